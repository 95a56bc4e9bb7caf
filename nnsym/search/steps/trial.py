"""Which rule suits a query: small trees by several of them, none of which was decided, are compared.

Splits of early layers close networks whose hidden ranges they tighten, and nothing on others, where the largest gap is
what counts; a few dozen parts tell the two apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

import numpy as np

from nnsym.search.problem import SearchProblem
from nnsym.search.record.ledger import Ledger

#: So many parts are bounded by each rule.
PARTS = 31


class Searching(Protocol):
    """A search that can be begun: what is asked of :class:`nnsym.search.loop.Search`."""

    ledger: Ledger
    problem: SearchProblem

    @property
    def decided(self) -> bool:
        """True if nothing is left to do."""

    def go(self, parts: float) -> None:
        """Go on until so many parts were bounded."""


S = TypeVar("S", bound=Searching)


def trial(first: S, others: Iterable[S]) -> S:
    """The search that leaves least after :data:`PARTS` parts, or that decides; the first of equal ones."""
    best = first
    best.go(PARTS)
    for other in others:
        if best.decided:
            break
        other.go(PARTS)
        if other.decided or left(other.ledger, other.problem) < left(best.ledger, best.problem):
            best = other
    return best


def left(ledger: Ledger, problem: SearchProblem) -> tuple[float, float]:
    """How much is left of a tree: how far its open parts are from being closed, and their mass.

    Both are means over the domain, a part of depth d counting ``2^-d``. Parts without a bound count as mass first.
    """
    far, mass, unbounded = 0.0, 0.0, 0.0
    for block in ledger.frontier.blocks:
        weight = 0.5**block.depth
        distance = problem.threshold - block.least
        finite = np.isfinite(distance)
        far += float(weight[finite] @ np.maximum(distance[finite], 0.0))
        unbounded += float(weight[~finite].sum())
        mass += float(weight.sum())
    return (np.inf, unbounded) if unbounded else (far, mass)
