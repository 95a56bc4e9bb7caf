"""Sine and cosine: as many extremes and inflections as an interval is long.

Between neighbouring multiples of pi the sine is concave or convex by turns, between neighbouring odd multiples of
pi / 2 it is monotone; a cosine is that a quarter later. On intervals of two periods and more the line of height 1 is
the hull's edge over the middle, so that no more is asked of them; far from 0, where floats are too coarse for extremes,
it is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.functions import curves
from nnsym.ir.smooth_functions import Smooth

_FAR = 2.0**20


class Wave(Smooth):
    """A function of period 2 pi and height 1; ``peak`` is where it is 1, in units of pi."""

    peak: ClassVar[float]
    bends = (True, False, True, False, True, False, True, False)
    limits = (-1.0, 1.0)
    longest = 4 * np.pi
    noise = (16.0, 0.0, 4.0)

    def turns(self, lower: Array) -> tuple[Array | float, ...]:
        first = np.floor(lower / np.pi - self.peak)
        return tuple((first + (j + self.peak)) * np.pi for j in range(6))

    def cuts(self, lower: Array) -> tuple[Array | float, ...]:
        start = self.peak - 0.5  # it is concave from here on, for half a period
        first = 2 * np.floor((lower / np.pi - start) / 2)
        return tuple((first + (j + start)) * np.pi for j in range(7))

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return curves.span(self, *_near(lower, upper))

    def steepness(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = curves.steepness(self, *_near(lower, upper))
        return np.maximum(low, -1.0), np.minimum(high, 1.0)

    def lines(self, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
        return curves.lines(self, *_near(lower, upper), at)

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        return curves.band(self, *_near(lower, upper))


def _near(lower: Array, upper: Array) -> tuple[Array, Array]:
    """The interval, or the whole axis in its place where it reaches far out."""
    far = (lower < -_FAR) | (upper > _FAR)
    return np.where(far, -np.inf, lower), np.where(far, np.inf, upper)


@final
@dataclass(frozen=True, eq=False)
class Sin(Wave):
    """The sine."""

    name: str = "sin"
    key: str = "sin"
    peak = 0.5

    def value(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sin(x))

    def derivative(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.cos(x))


@final
@dataclass(frozen=True, eq=False)
class Cos(Wave):
    """The cosine."""

    name: str = "cos"
    key: str = "cos"
    peak = 0.0

    def value(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.cos(x))

    def derivative(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return np.asarray(-np.sin(x))
