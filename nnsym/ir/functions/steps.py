"""Functions that rise from one limit to another like a sigmoid: the error function, softsign, arc tangent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.smooth_functions import Sigmoidal, Smooth


@final
@dataclass(frozen=True, eq=False)
class Erf(Smooth):
    """The error function, ``2 / sqrt(pi)`` times the integral of ``e^(-t^2)`` from 0 to x."""

    name: str = "erf"
    key: str = "erf"
    inflections = (0.0,)
    bends = (True, False)
    noise = (16.0, 0.0, 0.0)
    limits = (-1.0, 1.0)

    def value(self, x: Array) -> Array:
        from scipy.special import erf

        return np.asarray(erf(x))

    def derivative(self, x: Array) -> Array:
        t = np.clip(x, -40.0, 40.0)
        with np.errstate(under="ignore"):
            return np.asarray(2.0 / np.sqrt(np.pi) * np.exp(-t * t))


@final
@dataclass(frozen=True, eq=False)
class Atan(Smooth):
    """The arc tangent."""

    name: str = "atan"
    key: str = "atan"
    inflections = (0.0,)
    bends = (True, False)
    noise = (16.0, 0.0, 0.0)

    def value(self, x: Array) -> Array:
        return np.asarray(np.arctan(x))

    def derivative(self, x: Array) -> Array:
        t = np.clip(x, -1e150, 1e150)
        return np.asarray(1.0 / (1.0 + t * t))


@final
@dataclass(frozen=True, eq=False)
class Softsign(Sigmoidal):
    """``x / (1 + |x|)``, rationals for rationals."""

    name: str = "softsign"
    key: str = "softsign"
    exact = True
    limits = (-1.0, 1.0)

    def value(self, x: Array) -> Array:
        if x.dtype == object:
            return np.asarray(x / (1 + abs(x)))
        with np.errstate(invalid="ignore"):
            return np.where(np.isinf(x), np.sign(x), x / (1.0 + np.abs(x)))

    def derivative(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(1.0 / (1.0 + np.abs(x)) ** 2)
