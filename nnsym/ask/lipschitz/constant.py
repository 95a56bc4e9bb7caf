"""What a question about a Lipschitz constant returns: an interval, and the two points that are as steep as its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np

from nnsym.bounds.lipschitz.norms import Norm
from nnsym.ir.array import Array
from nnsym.ir.words import how_replayed
from nnsym.report.optima import records_html
from nnsym.results.result import NoTruthValue, Step, Trust


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Slope:
    """Two points at which the network was evaluated, and the values there.

    ``value`` is not above ``|f(a) - f(b)|_q / |a - b|_p`` of the real function; ``replayed_by`` is ``exact`` where the
    values were computed in rationals, ``intervals`` where they were enclosed. ``values`` are rounded to nearest.
    """

    a: Array
    b: Array
    values: tuple[Array, Array]
    value: float
    replayed_by: str


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Tried:
    """One method's upper bound; ``note`` says why there is none."""

    method: str
    bound: float
    trust: Trust | None
    seconds: float
    note: str = ""


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class LipschitzConstant(NoTruthValue):
    """``falsified <= L <= certified`` for the least L with ``|f(x) - f(y)|_q <= L |x - y|_p`` on the domain.

    ``certified`` is the least upper bound of all that were tried, by ``method`` and with ``trust``; ``falsified`` is
    the slope between the two points of ``witness``: every smaller number is no Lipschitz constant. ``where`` says the
    domain; empty for all of the input space.
    """

    spoken = ("the interval of a Lipschitz constant", "Ask for its certified or falsified end")

    p: Norm
    q: Norm
    where: str
    certified: float
    falsified: float
    trust: Trust | None
    method: str
    witness: Slope | None
    tried: tuple[Tried, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    trail: tuple[Step, ...] = ()

    @property
    def lower(self) -> float:
        """The lower end of the interval."""
        return self.falsified

    @property
    def upper(self) -> float:
        """The upper end of the interval."""
        return self.certified

    def to_records(self) -> list[dict[str, Any]]:
        """One flat dictionary per method that was tried."""
        return [
            {
                "method": t.method,
                "L": t.bound,
                "trust": t.trust.value if t.trust else None,
                "seconds": t.seconds,
                "note": t.note,
            }
            for t in self.tried
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain data; infinite ends are null."""
        points = None
        if self.witness is not None:
            w = self.witness
            points = {"a": w.a.tolist(), "b": w.b.tolist(), "slope": w.value, "replayed_by": w.replayed_by}
        return {
            "p": str(self.p),
            "q": str(self.q),
            "where": self.where,
            "certified": self.certified if np.isfinite(self.certified) else None,
            "falsified": self.falsified,
            "trust": self.trust.value if self.trust else None,
            "method": self.method,
            "witness": points,
            "tried": [{**r, "L": r["L"] if np.isfinite(r["L"]) else None} for r in self.to_records()],
            "seconds": dict(self.seconds),
        }

    def lines(self) -> tuple[str, str, str]:
        """The interval, what its upper end rests on, and its lower one."""
        held = f"certified {self.certified:.9g} by {self.method}" if np.isfinite(self.certified) else "no upper bound"
        trust = f", trust {self.trust.value}" if self.trust else ""
        by = f", {how_replayed(self.witness.replayed_by)}" if self.witness else ""
        return (
            f"Lipschitz constant {self.p} -> {self.q} in [{self.falsified:.9g}, {self.certified:.9g}]",
            f"{held}{trust}",
            f"slope {self.falsified:.9g}{by}",
        )

    def __repr__(self) -> str:
        """One line: the interval, what each side rests on, the method."""
        interval, held, slope = self.lines()
        return f"<{interval}: {held}; {slope}>"

    def _repr_html_(self) -> str:
        return records_html(repr(self)[1:-1], self.to_records())
