"""Flipped labels: noise on the labels that a classifier learns from, against whoever poisons some of them.

The "input" is a vector of labels 0 and 1, and the function learns from them and says the class of one test point. Each
label is flipped with probability q. Where an adversary changes r labels, the likelihood ratio of a vector depends on
the number j of those r that were flipped: binomial of probability q, and of 1 - q. The lemma of Neyman and Pearson then
is a sum over j. Rosenfeld, Winston, Ravikumar, Kolter, "Certified Robustness to Label-Flipping Attacks via Randomized
Smoothing", ICML 2020.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import final

import numpy as np

from nnsym.errors import InputError
from nnsym.evidence.noise import Noise
from nnsym.ir.array import Array


@final
@dataclass(frozen=True, kw_only=True)
class Flips(Noise):
    """Every element, 0 or 1, is flipped with probability ``q``, less than a half. Distances are numbers of flips."""

    q: float
    norm = 1

    def __post_init__(self) -> None:
        if not 0 < self.q < 0.5:
            raise InputError(f"labels flipped with probability {self.q}", remedy="Give a number between 0 and 1/2")

    @property
    def text(self) -> str:
        return f"flips({self.q!r})"

    @property
    def unit(self) -> float:
        return 1.0

    def check(self, size: int) -> None:
        """Noise for any number of labels."""

    def draw(self, source: np.random.Generator, count: int, size: int) -> Array:
        return np.asarray((source.random((count, size)) < self.q).astype(np.float64))

    def added(self, point: Array, noise: Array) -> Array:
        if not np.isin(point, (0.0, 1.0)).all():
            raise InputError("labels that are flipped are 0 or 1")
        return np.asarray(np.abs(point - noise))

    def least(self, p: float, t: float, size: int) -> float:
        """Exactly in rationals, then rounded down: outcomes in the order in which the shift makes them rarer."""
        flips = min(max(0, math.ceil(t - 1e-9)), size)
        left, found = Fraction(max(p, 0.0)), Fraction(0)
        for here, there in outcomes(self.q, flips):
            taken = min(here, left)
            found += there * taken / here
            left -= taken
        return max(0.0, math.nextafter(float(found), -1.0))

    def distance_of_ball(self, radius: float, p: float, size: int) -> float:
        if p == math.inf:
            return float(size) if radius >= 1 else 0.0
        return float(math.floor(radius**p * (1 + 1e-9)))

    def distance_of_box(self, reach: Array) -> float:
        return float(np.count_nonzero(reach >= 1))


@lru_cache(maxsize=256)
def outcomes(q: float, flips: int) -> tuple[tuple[Fraction, Fraction], ...]:
    """For every number of those labels that noise flips: its probability for the point, and for the poisoned one.

    Those come first whose probability falls most: where few are flipped the vector looks like the point's.
    """
    share = Fraction(q)
    found = []
    for j in range(flips + 1):
        ways = math.comb(flips, j)
        here = ways * share**j * (1 - share) ** (flips - j)
        there = ways * share ** (flips - j) * (1 - share) ** j
        found.append((here, there))
    return tuple(found)
