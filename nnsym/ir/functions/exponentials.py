"""The exponential function and the natural logarithm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.ir.univariate import Smooth

Array = NDArray[Any]


@final
@dataclass(frozen=True, eq=False)
class Exp(Smooth):
    """``e^x``, convex; where it leaves the range of float64 it is bounded by infinity."""

    name: str = "exp"
    key: str = "exp"
    bends = (True,)
    unit = 0.0
    limits = (0.0, np.inf)

    def value(self, x: Array) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(np.exp(x))

    def derivative(self, x: Array) -> Array:
        return self.value(x)


@final
@dataclass(frozen=True, eq=False)
class Log(Smooth):
    """The natural logarithm of ``x > 0``, concave."""

    name: str = "log"
    key: str = "log"
    domain = "x > 0"
    bends = (False,)
    unit = 0.0

    def value(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(x))

    def derivative(self, x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.where(x > 0, 1.0 / np.where(x > 0, x, 1.0), np.where(x == 0, np.inf, np.nan))

    def defined(self, lower: Array, upper: Array) -> Array:
        return np.asarray((lower > 0) & (upper >= lower))
