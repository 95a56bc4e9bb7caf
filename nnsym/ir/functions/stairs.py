"""Functions that round to integers: of unboundedly many pieces, constant between jumps of one unit.

:class:`Floor` is ``floor(x / unit)``, :class:`RoundEven` rounds to the nearest integer, ties to the even one. The
ceiling is ``-floor(-x)``, truncation ``floor(max(x, 0)) - floor(max(-x, 0))``, a remainder ``x - q floor(x / q)``.

Over ``[l, u]`` the graph's closure has the hull of four corners: of its first and of its last jump, and its ends. All
lines follow from these (:mod:`nnsym.ir.functions.piece_lines`). Breakpoints that are no floats are rounded outward,
later where that makes a line below lower and earlier where it makes a line above higher.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.functions import piece_lines
from nnsym.ir.functions.pieces import Profile
from nnsym.ir.outward import product_down, product_up, sum_down, sum_up
from nnsym.ir.univariate import Univariate

_FAR = 2.0**50  # beyond it halves are no longer floats: only the range is given


class Stairs(Univariate):
    """An integer-valued function that grows by 1 at every jump."""

    exact: ClassVar[bool] = True

    @property
    def jumps(self) -> bool:
        """True: every step is one."""
        return True

    @abstractmethod
    def breakpoint(self, value: Array) -> tuple[Array, Array]:
        """Where the function comes to ``value``, rounded down and up."""

    def derivative(self, x: Array) -> Array:
        """0, but for the jumps."""
        return np.zeros_like(x, dtype=np.float64)

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return self.profile(lower, upper).span

    def steepness(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Infinite where a jump is, or may be."""
        low, high = self.span(lower, upper)
        return np.where(low < high, -np.inf, 0.0), np.where(low < high, np.inf, 0.0)

    def lines(self, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
        return piece_lines.hull_lines(self.profile(lower, upper), self._near(lower, upper))

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        return piece_lines.hull_band(self.profile(lower, upper), self._near(lower, upper))

    def profile(self, lower: Array, upper: Array) -> Profile:
        """The corners of the closure's hull over ``[lower, upper]``."""
        upper = np.where(np.asarray(upper < lower, dtype=bool), lower, upper)
        first, last = self._ends(lower, upper)
        with np.errstate(invalid="ignore"):
            starts, stops = self.breakpoint(first + 1), self.breakpoint(last)
        corners = [
            (lower, first, first),
            *((_within(lower, x, upper), first, first + 1) for x in starts),
            *((_within(lower, x, upper), last - 1, last) for x in stops),
            (upper, last - np.asarray(upper <= stops[1]), last),
        ]
        flat = first == last
        x, low, high = (np.stack(part, axis=-1) for part in zip(*corners, strict=True))
        still = flat[..., None]
        return Profile(x, np.where(still, first[..., None], low), np.where(still, first[..., None], high))

    def _ends(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """Values at the ends, rounded outward where float arithmetic cannot tell."""
        first, last = self.value(lower), self.value(upper)
        if lower.dtype == object:
            return first, last
        with np.errstate(invalid="ignore"):
            first = np.where(self.breakpoint(first)[1] > lower, first - 1, first)
            last = np.where(self.breakpoint(last + 1)[0] <= upper, last + 1, last)
        return np.where(np.isinf(lower), lower, first), np.where(np.isinf(upper), upper, last)

    def _near(self, lower: Array, upper: Array) -> Array:
        if lower.dtype == object:
            return np.ones(lower.shape, dtype=bool)
        return np.asarray((np.abs(lower) < _FAR) & (np.abs(upper) < _FAR))


@final
@dataclass(frozen=True, eq=False)
class Floor(Stairs):
    """``floor(x / unit)`` for a unit above 0."""

    unit: float = 1.0
    name: str = "floor"

    def __post_init__(self) -> None:
        if not 0 < self.unit < np.inf:
            raise InputError(f"steps of width {self.unit}", where=self.name, remedy="Give a number above 0")

    @property
    def key(self) -> str:
        return f"floor:{self.unit!r}"

    def value(self, x: Array) -> Array:
        if x.dtype == object:
            unit = Fraction(self.unit)
            return _whole(x, lambda v: math.floor(v / unit))
        return np.floor(x if self.unit == 1 else x / self.unit)

    def breakpoint(self, value: Array) -> tuple[Array, Array]:
        if value.dtype == object:
            exact = value * Fraction(self.unit)
            return exact, exact
        return product_down(value, self.unit), product_up(value, self.unit)


@final
@dataclass(frozen=True, eq=False)
class RoundEven(Stairs):
    """The nearest integer, of two the even one."""

    name: str = "round"
    key: str = "round_even"

    def value(self, x: Array) -> Array:
        return _whole(x, round) if x.dtype == object else np.rint(x)

    def breakpoint(self, value: Array) -> tuple[Array, Array]:
        if value.dtype == object:
            exact = value - Fraction(1, 2)
            return exact, exact
        return sum_down(value, -0.5), sum_up(value, -0.5)

    def _ends(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return self.value(lower), self.value(upper)


def _whole(x: Array, rounded: Callable[[Any], int]) -> Array:
    return np.asarray(to_fractions(np.array([Fraction(rounded(v)) for v in x.ravel()], dtype=object)).reshape(x.shape))


def _within(lower: Array, x: Array, upper: Array) -> Array:
    return np.where(np.asarray(x < lower, dtype=bool), lower, np.where(np.asarray(x > upper, dtype=bool), upper, x))
