"""Constants 2 -> 2 of a graph by semidefinite certificates, kept by the content of what was asked.

A question about a radius asks for the constants of the same rows again and again, and so do images of one label.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.lipschitz.certificate import certified
from nnsym.bounds.lipschitz.multipliers import Multipliers, search
from nnsym.bounds.lipschitz.sectors import Sectors
from nnsym.results.clock import NEVER, Deadline


@final
@dataclass(frozen=True, eq=False)
class Certificate:
    """A Lipschitz constant 2 -> 2 with the multipliers that prove it; infinite without any."""

    constant: float
    multipliers: Multipliers = ()


_NONE = Certificate(np.inf)
_MOST = 1024  # certificates that are kept
_kept: OrderedDict[str, Certificate] = OrderedDict()


def certificate(
    system: Sectors, *, start: Multipliers | None = None, deadline: Deadline = NEVER, steps: int = 400
) -> Certificate:
    """The best constant that was found and proved; ``start`` are multipliers of a system with the same blocks."""
    if system.key in _kept:
        _kept.move_to_end(system.key)
        return _kept[system.key]
    found = search(system, start=start, deadline=deadline, steps=steps)
    if found is None:
        return _NONE
    proved = Certificate(certified(system, found.multipliers, found.rho), found.multipliers)
    if not deadline.passed:  # what was cut short may be better another time
        _kept[system.key] = proved
        while len(_kept) > _MOST:
            _kept.popitem(last=False)
    return proved
