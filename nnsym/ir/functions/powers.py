"""Powers of one variable: square root, reciprocal, whole and other constant exponents."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import final

import numpy as np

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.linear import digest
from nnsym.ir.smooth_functions import Smooth
from nnsym.ir.univariate import Univariate

#: Whole exponents beyond these are no polynomials that anybody solves.
HIGHEST = 64


@final
@dataclass(frozen=True, eq=False)
class Sqrt(Smooth):
    """The square root of ``x >= 0``, concave; its slope at 0 is infinite."""

    name: str = "sqrt"
    key: str = "sqrt"
    bends = (False,)
    ulps = 2
    unit = 0.0
    noise = (0.0, 16.0, 0.0)
    limits = (0.0, np.inf)

    def value(self, x: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return np.asarray(np.sqrt(x))

    def derivative(self, x: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(0.5 / np.sqrt(np.abs(x)))  # at -0.0 too it rises

    def defined(self, lower: Array, upper: Array) -> Array:
        return np.asarray((lower >= 0) & (upper >= lower))

    def demand(self) -> str:
        return "x >= 0"


class Monomial(Smooth):
    """``x ^ degree`` for a whole degree, rationals for rationals: encodings that have products have it exactly."""

    exact = True
    ulps = 4
    unit = 0.0
    noise = (0.0, 16.0, 0.0)

    @property
    @abstractmethod
    def degree(self) -> int:
        """The exponent; one below 0 is a pole at 0."""


class _Poled(Monomial):
    """A monomial with a pole."""

    def cuts(self, lower: Array) -> tuple[Array | float, ...]:
        return (0.0,)

    def defined(self, lower: Array, upper: Array) -> Array:
        return np.asarray(((lower > 0) | (upper < 0)) & (upper >= lower))

    def demand(self) -> str:
        return "x != 0"


@final
@dataclass(frozen=True, eq=False)
class Reciprocal(_Poled):
    """``1 / x`` for ``x != 0``, concave left of 0 and convex right of it."""

    name: str = "reciprocal"
    key: str = "reciprocal"
    bends = (False, True)
    degree = -1

    def value(self, x: Array) -> Array:
        if x.dtype == object:
            return np.asarray(1 / _without_zero(x))
        with np.errstate(divide="ignore", over="ignore"):
            return np.asarray(1.0 / x)

    def derivative(self, x: Array) -> Array:
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            return np.asarray(-1.0 / x / x)

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = super().span(lower, upper)
        return np.where(lower > 0, np.maximum(low, 0.0), low), np.where(upper < 0, np.minimum(high, 0.0), high)


@final
@dataclass(frozen=True, eq=False)
class WholePower(Monomial):
    """``x ^ n`` for a whole ``n >= 2``: convex for even n; for odd ones concave left of 0 and convex right of it."""

    n: int
    name: str = "power"

    def __post_init__(self) -> None:
        _require_whole(self.n)

    @cached_property
    def key(self) -> str:
        return f"power:{self.n}"

    @property
    def degree(self) -> int:
        return self.n

    @property
    def bends(self) -> tuple[bool, ...]:
        return (False, True) if self.n % 2 else (True,)

    def turns(self, lower: Array) -> tuple[Array | float, ...]:
        return (0.0,)

    def cuts(self, lower: Array) -> tuple[Array | float, ...]:
        return (0.0,) if self.n % 2 else ()

    def value(self, x: Array) -> Array:
        if x.dtype == object:
            return np.asarray(x**self.n)
        with np.errstate(over="ignore", under="ignore"):
            found: Array = np.power(x, float(self.n))
            return found

    def derivative(self, x: Array) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(self.n * np.power(x, float(self.n - 1)))

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = super().span(lower, upper)
        return np.where((lower >= 0) | (self.n % 2 == 0), np.maximum(low, 0.0), low), high


@final
@dataclass(frozen=True, eq=False)
class InversePower(_Poled):
    """``1 / x ^ n`` for a whole ``n >= 2`` and ``x != 0``; left of 0 convex for even n and concave for odd ones."""

    n: int
    name: str = "inverse_power"

    def __post_init__(self) -> None:
        _require_whole(self.n)

    @cached_property
    def key(self) -> str:
        return f"inverse_power:{self.n}"

    @property
    def degree(self) -> int:
        return -self.n

    @property
    def bends(self) -> tuple[bool, ...]:
        return (self.n % 2 == 0, True)

    def value(self, x: Array) -> Array:
        if x.dtype == object:
            return np.asarray(1 / _without_zero(x) ** self.n)
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            return np.asarray(np.power(x, -float(self.n)))

    def derivative(self, x: Array) -> Array:
        with np.errstate(divide="ignore", over="ignore", under="ignore"):
            return np.asarray(-self.n * np.power(x, -float(self.n + 1)))

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = super().span(lower, upper)
        known = (lower > 0) | (upper < 0)
        return np.where(known & ((lower > 0) | (self.n % 2 == 0)), np.maximum(low, 0.0), low), high


@final
@dataclass(frozen=True, eq=False)
class RealPower(Smooth):
    """``x ^ r`` of ``x >= 0`` for ``r > 0`` that is no whole number, of ``x > 0`` for ``r < 0``.

    Concave for ``0 < r < 1``, else convex.
    """

    r: float
    name: str = "real_power"
    ulps = 4
    unit = 0.0
    noise = (0.0, 16.0, 0.0)
    limits = (0.0, np.inf)

    def __post_init__(self) -> None:
        if not 2.0**-10 <= abs(self.r) <= HIGHEST:
            raise UnsupportedError(f"the exponent {self.r:g}", remedy=f"Exponents reach from 2^-10 to {HIGHEST}")

    @cached_property
    def key(self) -> str:
        return digest(("real power", self.r))

    @property
    def bends(self) -> tuple[bool, ...]:
        return (not 0 < self.r < 1,)

    def value(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(np.power(x, self.r))

    def derivative(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            found = np.asarray(self.r * np.power(x, self.r - 1.0))
            if Fraction(self.r - 1.0) == Fraction(self.r) - 1:
                return found
            # far out an error of the exponent, times ln x, is many last places of the power
            return np.where((x > 0) & np.isfinite(x), self.r * np.power(x, self.r) / x, found)

    def defined(self, lower: Array, upper: Array) -> Array:
        inside = lower >= 0 if self.r > 0 else lower > 0
        return np.asarray(inside & (upper >= lower))

    def demand(self) -> str:
        return "x >= 0" if self.r > 0 else "x > 0"


def power_function(exponent: float) -> Univariate:
    """``x ^ exponent`` for any constant but 0 and 1, which are no functions of their own."""
    if exponent in (0.0, 1.0) or not np.isfinite(exponent):
        raise InputError(f"x ^ {exponent:g} is no power function")
    if exponent == int(exponent):
        n = int(exponent)
        if n == -1:
            return Reciprocal()
        return WholePower(n) if n > 0 else InversePower(-n)
    return Sqrt() if exponent == 0.5 else RealPower(float(exponent))


def _require_whole(n: int) -> None:
    if not 2 <= n <= HIGHEST:
        raise UnsupportedError(f"the exponent {n}", remedy=f"Whole exponents reach to {HIGHEST}")


def _without_zero(x: Array) -> Array:
    if not np.asarray(x != 0, dtype=bool).all():
        raise UnsupportedError("1 / x is not defined at 0", remedy="Bound the divisor away from 0")
    return x
