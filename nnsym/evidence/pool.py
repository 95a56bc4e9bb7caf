"""Double sampling for many points at once: the certificates of one distance are shared.

Whether V is a half or more is asked of every point. The pairs ``(l1, l2)`` that matter are those where R, the mass of S
round the moved centre, is a half: a curve, one pair for every direction of ``(l1, l2)``, on which R grows with the
length. A pair and its three masses serve every point by two multiplications. Where a point is nearly certified the
curve is made finer; each pair that is used is checked by itself at every smaller distance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import final

import numpy as np

from nnsym.evidence.distances import MARGIN, nowhere_less
from nnsym.evidence.dual import Dual, Interval, Two
from nnsym.ir.array import Array

_FIRST, _ROUNDS = 33, 8  # directions at first, and times that they are made finer
_NEAR = 2e-2  # what a point may lack and yet be certified by a pair between two that are known


@final
@dataclass(eq=False)
class Pool:
    """The pairs of one distance, in the order of their directions."""

    two: Two
    away: float
    angles: list[float] = field(default_factory=list)
    duals: list[Dual] = field(default_factory=list)

    def certified(self, intervals: Interval, safe: Array) -> Array:
        """Which points have more than a half at the distance and at all below; ``safe`` have it without this."""
        found: Array = np.array(safe, dtype=bool)
        for angle in np.linspace(-math.pi / 2, math.pi, _FIRST + 2)[1:-1]:
            self._add(float(angle))
        for turn in range(_ROUNDS):
            values = self._values(intervals)
            if not len(values):
                return found
            best, best_at = values.max(axis=0), values.argmax(axis=0)
            near = (~found) & (best > -_NEAR) & (best < MARGIN)
            if turn == _ROUNDS - 1 or not near.any():
                break
            self._refine({int(k) for k in best_at[near]})
        for point in np.flatnonzero(~found & (best >= MARGIN)):
            dual = self.duals[best_at[point]]
            found[point] = nowhere_less(dual, intervals.at(int(point)), 0.5, 0.0)
        return found

    def _values(self, intervals: Interval) -> Array:
        """By how much each pair shows more than a half, ``(pairs, points)``."""
        return np.array([dual.value(intervals) - 0.5 for dual in self.duals])

    def _refine(self, places: set[int]) -> None:
        between = set()
        for k in places:
            for left, right in ((k - 1, k), (k, k + 1)):
                if left >= 0 and right < len(self.angles):
                    between.add((self.angles[left] + self.angles[right]) / 2)
        for angle in sorted(between):
            self._add(angle)

    def _add(self, angle: float) -> None:
        """The pair of a direction whose R is a half, if there is one."""
        dual = self._at_half(angle)
        if dual is None:
            return
        place = int(np.searchsorted(self.angles, angle))
        self.angles.insert(place, angle)
        self.duals.insert(place, dual)

    def _at_half(self, angle: float) -> Dual | None:
        from scipy.optimize import brentq

        usual = math.exp(self.two.kappa * (self.two.size / 2 - self.two.noise.k))  # m of a unit of l2

        def dual(logarithm: float) -> Dual:
            length = math.exp(logarithm)
            return Dual(self.two, self.away, length * math.cos(angle), length * math.sin(angle) * usual)

        low, high = -3.0, 3.0
        while dual(low).r.value > 0.5 and low > -40:
            low -= 3
        while dual(high).r.value < 0.5:
            high += 3
            if high > 40:
                return None
        return dual(float(brentq(lambda x: dual(x).r.value - 0.5, low, high, xtol=1e-8)))
