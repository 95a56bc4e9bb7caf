"""Gaussian noise on a grid: a smoothed classifier whose certificate no rounding of its noise can void.

The theorem is about normal noise and real numbers, sampling about floats: inputs are known for which the difference
certifies what is false (Jin et al., "Getting a-Round Guarantees", 2022; Voracek and Hein, "Sound Randomized Smoothing
in Floating-Point Arithmetic", ICLR 2023). Let the classifier read its input rounded to the grid ``h Z``. For a point of
the grid, rounding ``x + e`` is adding the rounded ``e``: whole numbers of steps, with the probabilities
``Phi((j + 1/2) h / sigma) - Phi((j - 1/2) h / sigma)``, drawn from a table by whole random numbers. What is certified
holds at every real point of the ball for that classifier, ``x -> f(h round(x / h))`` with Gaussian noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np

from nnsym.errors import InputError
from nnsym.evidence.noise import Gaussian, Noise
from nnsym.ir.array import Array

_FINEST = 2.0**-16  # of sigma in a step, of which the table holds one entry for each up to 9.5 sigma


@final
@dataclass(frozen=True, kw_only=True)
class GridGaussian(Noise):
    """Gaussian noise of deviation ``sigma`` for a classifier that reads its input rounded to multiples of ``step``."""

    sigma: float
    step: float
    norm = 2

    def __post_init__(self) -> None:
        _ = self.plain
        if not _FINEST * self.sigma <= self.step < math.inf:
            remedy = "Give a step of sigma / 65536 or more"
            raise InputError(f"a grid of {self.step} for sigma {self.sigma}", remedy=remedy)

    @property
    def plain(self) -> Gaussian:
        """The noise that is rounded."""
        return Gaussian(scale=self.sigma)

    @property
    def text(self) -> str:
        return f"gaussian({self.sigma!r}, grid={self.step!r})"

    @property
    def unit(self) -> float:
        return self.plain.unit

    def check(self, size: int) -> None:
        """Noise for any number of elements."""

    def draw(self, source: np.random.Generator, count: int, size: int) -> Array:
        """Numbers of steps."""
        beyond = table(self.sigma, self.step)
        bits = source.integers(0, 2**64, (count, size), dtype=np.uint64)
        steps = np.searchsorted(beyond, bits >> np.uint64(1), side="right")  # of falling tails, from the far end
        steps = len(beyond) - steps
        return np.asarray(np.where(bits & np.uint64(1), steps, -steps))

    def added(self, point: Array, noise: Array) -> Array:
        whole = np.rint(point / self.step)
        off = np.flatnonzero(whole * self.step != point)
        if len(off):
            raise InputError(
                f"element {off[0]} of the point, {point[off[0]]!r}, is not on the grid of {self.step!r}",
                remedy="Round the point: numpy.rint(x / step) * step",
            )
        return np.asarray((whole + noise) * self.step)

    def least(self, p: float, t: float, size: int) -> float:
        """That of Gaussian noise, less what the table's own rounding may move."""
        moved = size * (len(table(self.sigma, self.step)) * 2.0**-60 + 2.0**-48)
        return self.plain.least(max(0.0, p - moved), t, size)

    def distance_of_ball(self, radius: float, p: float, size: int) -> float:
        return self.plain.distance_of_ball(radius, p, size)

    def distance_of_box(self, reach: Array) -> float:
        return self.plain.distance_of_box(reach)


@lru_cache(maxsize=8)
def table(sigma: float, step: float) -> Array:
    """``2^63 P(|j| >= k)`` for k = 1, 2, ... while it is 1 or more, as whole numbers that rise (the last k first)."""
    from scipy.special import erfc

    most = math.ceil(9.5 * sigma / step) + 1
    tails = erfc((np.arange(1, most + 1) - 0.5) * step / (sigma * math.sqrt(2)))
    whole = [int(v) for v in (np.longdouble(2.0) ** 63 * tails).astype(np.longdouble)]
    return np.array([v for v in reversed(whole) if v >= 1], dtype=np.uint64)
