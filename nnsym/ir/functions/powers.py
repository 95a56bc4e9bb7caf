"""Powers of one variable: the square root, the reciprocal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import UnsupportedError
from nnsym.ir.univariate import Smooth

Array = NDArray[Any]


@final
@dataclass(frozen=True, eq=False)
class Sqrt(Smooth):
    """The square root of ``x >= 0``, concave; its slope at 0 is infinite."""

    name: str = "sqrt"
    key: str = "sqrt"
    domain = "x >= 0"
    bends = (False,)
    ulps = 2
    unit = 0.0
    limits = (0.0, np.inf)

    def value(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(x))

    def derivative(self, x: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(0.5 / np.sqrt(x))

    def defined(self, lower: Array, upper: Array) -> Array:
        return np.asarray((lower >= 0) & (upper >= lower))


@final
@dataclass(frozen=True, eq=False)
class Reciprocal(Smooth):
    """``1 / x`` for ``x != 0``, concave left of 0 and convex right of it; rationals for rationals."""

    name: str = "reciprocal"
    key: str = "reciprocal"
    exact = True
    domain = "x != 0"
    inflections = (0.0,)
    ulps = 2
    unit = 0.0

    def value(self, x: Array) -> Array:
        if x.dtype == object:
            return _inverse(x)
        with np.errstate(divide="ignore"):
            return np.asarray(1.0 / x)

    def derivative(self, x: Array) -> Array:
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(-1.0 / x / x)

    def defined(self, lower: Array, upper: Array) -> Array:
        return np.asarray(((lower > 0) | (upper < 0)) & (upper >= lower))

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = super().span(lower, upper)
        return np.where(lower > 0, np.maximum(low, 0.0), low), np.where(upper < 0, np.minimum(high, 0.0), high)


def _inverse(x: Array) -> Array:
    if not np.asarray(x != 0, dtype=bool).all():
        raise UnsupportedError("1 / x is not defined at 0", remedy="Bound the divisor away from 0")
    return np.asarray(1 / x)
