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
_PROOF = 0.3  # of the time, for what checks the multipliers that were found
_MOST = 1024  # certificates that are kept
_kept: OrderedDict[str, tuple[Certificate, bool]] = OrderedDict()  # and whether the search for them was complete


def certificate(
    system: Sectors, *, start: Multipliers | None = None, deadline: Deadline = NEVER, steps: int = 400
) -> Certificate:
    """The best constant that was found and proved; ``start`` are multipliers of a system with the same blocks.

    A search that the deadline cut short is taken up where it ended when the same is asked again.
    """
    known, complete = _kept.get(system.key, (_NONE, False))
    if complete or deadline.passed:
        return known
    while_searching = deadline.share(1 - _PROOF)
    found = search(system, start=known.multipliers or start, deadline=while_searching, steps=steps)
    if found is not None:
        proved = certified(system, found.multipliers, found.rho, deadline=deadline)
        if proved < known.constant:
            known = Certificate(proved, found.multipliers)
    _kept[system.key] = known, not (while_searching.passed or deadline.passed)
    _kept.move_to_end(system.key)
    while len(_kept) > _MOST:
        _kept.popitem(last=False)
    return known
