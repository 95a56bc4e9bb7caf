"""What a loss is computed from, by text: which bounds, over which part of a box, and which share of attacked points.

ibp, crown-ibp, crown, fastlin    bounds over the whole box, as the sources of :mod:`nnsym.bounds.methods`,
fastlin-ibp     fastlin's lines of the rows, hidden neurons by intervals,
attack          the property at points that a counter-search finds (Madry et al. 2018),
sabr:S          intervals over a box of S of the size round such a point (Mueller et al. 2023),
mtl:A           A of the loss by intervals, 1 - A of that at such points (De Palma et al. 2024).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from nnsym.errors import InputError, did_you_mean
from nnsym.train.passes import INTERVALS, NodeBounding


@final
@dataclass(frozen=True, kw_only=True)
class Plan:
    """``share`` of the loss from bounds over boxes of ``size`` of the given ones, the rest from attacked points."""

    lines: NodeBounding = INTERVALS
    size: float = 1.0
    share: float = 1.0

    @property
    def attacks(self) -> bool:
        return self.size < 1.0 or self.share < 1.0

    @staticmethod
    def of(text: str) -> Plan:
        """Raises :class:`InputError` for what is none of the texts above."""
        name, colon, number = text.partition(":") if isinstance(text, str) else ("", "", "")
        if name in _PLANS and not colon:
            return _PLANS[name]
        if name in ("sabr", "mtl") and colon:
            part = _part(number, text)
            return Plan(size=part) if name == "sabr" else Plan(share=part)
        known = (*_PLANS, "sabr:0.1", "mtl:0.02")
        remedy = f"{did_you_mean(name, known)}Choose one of: {', '.join(known)}"
        raise InputError(f"no loss is computed from '{text}'", remedy=remedy)


_PLANS: Mapping[str, Plan] = {
    "ibp": Plan(),
    "crown-ibp": Plan(lines=NodeBounding(lower="adaptive")),
    "crown": Plan(lines=NodeBounding(lower="adaptive", hidden=True)),
    "fastlin-ibp": Plan(lines=NodeBounding(lower="parallel")),
    "fastlin": Plan(lines=NodeBounding(lower="parallel", hidden=True)),
    "attack": Plan(share=0.0),
}


def _part(number: str, text: str) -> float:
    try:
        part = float(number)
    except ValueError:
        part = -1.0
    if not 0 < part <= 1:
        raise InputError(f"'{text}' names no part of 1", remedy="Give a number above 0 and at most 1, as in sabr:0.1")
    return part
