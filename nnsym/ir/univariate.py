"""Univariate functions: everything an activation has to say about itself.

A :class:`Hinge` is two lines that meet in the origin and covers ReLU, leaky ReLU, PReLU and abs; a :class:`Piecewise`
has any number of lines between breakpoints and covers clip and sign; every exact encoding works on both. A
:class:`~nnsym.ir.smooth_functions.Smooth` function gives value, derivative, extremes and inflections; encodings and
bounds relax it by lines. A new activation is one object of one of these kinds, or any :class:`Univariate` that answers
what it is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from numbers import Rational
from typing import Any, ClassVar, final

import numpy as np

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.functions import piece_lines
from nnsym.ir.linear import digest, freeze
from nnsym.ir.outward import product_up, sum_down, sum_up


class Univariate(ABC):
    """A function applied to every element of a vector, and what bounds and encodings ask of it over an interval.

    Answers hold in exact arithmetic, for arrays ``(..., n)`` of ends that may be infinite. A function that has none of
    its own to a question raises :class:`UnsupportedError`, which says what to define. ``exact`` is true if the
    function takes rationals to rationals.
    """

    name: str
    exact: ClassVar[bool] = False

    @property
    @abstractmethod
    def key(self) -> str:
        """Content digest."""

    @property
    def jumps(self) -> bool:
        """True if the function is not continuous (docs/rounding.md, "Jumps")."""
        return False

    @abstractmethod
    def value(self, x: Array) -> Array:
        """The function at ``x`` of shape ``(..., n)``; exact on arrays of Fractions where it is ``exact``."""

    def take(self, index: Array) -> Univariate:
        """The function of the selected elements (parameters may differ per element)."""
        return self

    def defined(self, lower: Array, upper: Array) -> Array:
        """For every interval, whether the function is defined at all of its points."""
        return np.ones(np.broadcast_shapes(lower.shape, upper.shape), dtype=bool)

    def demand(self) -> str:
        """What the argument of a function that is not defined everywhere has to be, as in ``x > 0``; else empty."""
        return ""

    def derivative(self, x: Array) -> Array:
        """The derivative at ``x``, about: a direction for searches."""
        raise self._silent("its derivative", "derivative(x)")

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """The least and the largest value on ``[lower, upper]``, rounded outward."""
        raise self._silent("its range over an interval", "span(lower, upper)")

    def steepness(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        """The least and the largest slope between two points of ``[lower, upper]``, rounded outward."""
        raise self._silent("its slopes over an interval", "steepness(lower, upper)")

    def lines(self, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
        """``(slope, offset)`` of a line below and of a line above; tight at the point ``at`` (None: as one likes)."""
        low, high = self.span(lower, upper)
        return np.zeros_like(low), low, np.zeros_like(high), high

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        """``(slope, low, high)`` with ``slope x + low <= f(x) <= slope x + high``: parallel lines."""
        slope, low, steep, top = self.lines(lower, upper)
        with np.errstate(invalid="ignore"):
            rest = (sum_down(steep, -slope), sum_up(steep, -slope))
            ends = [product_up(r, x) for r in rest for x in (lower, upper)]
            high = sum_up(top, np.where(steep == slope, 0.0, np.max(ends, axis=0)))
        least, most = self.span(lower, upper)
        fine = np.isfinite(high) & np.isfinite(low)
        return np.where(fine, slope, 0.0), np.where(fine, low, least), np.where(fine, high, most)

    def slips(self, lower: Array, upper: Array, unit: float, largest: float) -> Array:
        """How far an engine's values may be from the function's, for arguments in ``[lower, upper]``.

        ``unit`` is the unit roundoff of its format and ``largest`` its largest number; infinite where nothing is known.
        """
        raise UnsupportedError(f"no rounding errors of '{self.name}' are known", remedy="Ask for the real function")

    def _silent(self, question: str, method: str) -> UnsupportedError:
        return UnsupportedError(
            f"the function does not say {question}",
            where=f"activation '{self.name}'",
            remedy=f"Define {method}, or make it an nnsym.ir.smooth_functions.Smooth, which answers everything from "
            "value, derivative, extremes and inflections",
        )


def _on_line(slope: Array, x: Array) -> Array:
    """``slope * x``; 0 on a flat line however far out, also where floats have no number for it."""
    if x.dtype == object or not (far := np.isinf(x)).any():
        return np.asarray(slope * x)
    return np.asarray(slope * np.where(far & (slope == 0), 0.0, x))


@final
@dataclass(frozen=True, eq=False)
class Hinge(Univariate):
    """``f(x) = left * x`` for ``x <= 0`` and ``right * x`` for ``x >= 0``.

    ``left`` and ``right`` have shape ``(1,)`` or ``(n,)``. ReLU is (0, 1), leaky ReLU (alpha, 1), abs (-1, 1).
    Where ``left <= right`` the function is convex, the maximum of its two lines, else concave.
    """

    left: Array
    right: Array
    name: str = "hinge"
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "left", freeze(np.atleast_1d(self.left)))
        object.__setattr__(self, "right", freeze(np.atleast_1d(self.right)))

    def __reduce__(self) -> tuple[Any, ...]:
        return Hinge, (self.left, self.right, self.name)

    @cached_property
    def key(self) -> str:
        return digest(("hinge", self.left, self.right))

    def value(self, x: Array) -> Array:
        left, right = self.left, self.right
        if x.dtype == object:
            left, right = to_fractions(left), to_fractions(right)
        return np.where(x > 0, _on_line(right, x), _on_line(left, x))

    def derivative(self, x: Array) -> Array:
        """The slope at ``x``, the left one at 0."""
        return np.where(x > 0, self.right, self.left)

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return self._pieces.span(lower, upper)

    def steepness(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return self._pieces.steepness(lower, upper)

    def lines(self, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
        return self._pieces.lines(lower, upper, at)

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        return self._pieces.band(lower, upper)

    @cached_property
    def _pieces(self) -> Piecewise:
        slopes = np.stack(np.broadcast_arrays(self.left, self.right), axis=-1)
        zero = np.zeros((len(slopes), 1))
        return Piecewise(zero, slopes, np.zeros_like(slopes), zero, self.name)

    def slopes(self, n: int) -> tuple[Array, Array]:
        """``(left, right)``, each of shape ``(n,)``."""
        return np.broadcast_to(self.left, (n,)), np.broadcast_to(self.right, (n,))

    def take(self, index: Array) -> Hinge:
        n = max(len(self.left), len(self.right))
        if n == 1:
            return self
        left, right = self.slopes(n)
        return Hinge(left[index], right[index], self.name)


def relu() -> Hinge:
    """max(0, x)."""
    return Hinge(np.zeros(1), np.ones(1), "relu")


def leaky_relu(slope: object) -> Hinge:
    """``slope * x`` left of 0, ``x`` right of it; ``slope`` a number or one number per element."""
    return Hinge(np.atleast_1d(np.asarray(slope, dtype=np.float64)), np.ones(1), "leaky_relu")


def absolute() -> Hinge:
    """|x|."""
    return Hinge(-np.ones(1), np.ones(1), "abs")


@final
@dataclass(frozen=True, eq=False)
class Piecewise(Univariate):
    """``f(x) = slopes_i x + offsets_i`` between the breakpoints i and i + 1, ``at_j`` at breakpoint ``breaks_j``.

    With m breakpoints ``breaks`` and ``at`` have shape ``(m,)``, ``slopes`` and ``offsets`` ``(m + 1,)``, or all four a
    leading axis of one row per element. The function is that of the rationals which the float64 numbers denote. Where
    the two lines do not meet in ``at_j``, exactly, there is a jump; methods that know closed sets only take both limits
    for values there (docs/rounding.md, "Jumps").
    """

    breaks: Array
    slopes: Array
    offsets: Array
    at: Array
    name: str = "piecewise"
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for field in ("breaks", "slopes", "offsets", "at"):
            object.__setattr__(self, field, freeze(np.atleast_2d(getattr(self, field))))
        (rows, m), shapes = self.breaks.shape, (self.slopes.shape, self.offsets.shape, self.at.shape)
        if m < 1 or shapes != ((rows, m + 1), (rows, m + 1), (rows, m)):
            raise InputError(f"{m} breakpoints of {rows} elements with lines and values of shapes {shapes}")
        if (np.diff(self.breaks) <= 0).any():
            raise InputError("the breakpoints do not increase", where=self.name, remedy="Sort them, each once")

    def __reduce__(self) -> tuple[Any, ...]:
        return Piecewise, (self.breaks, self.slopes, self.offsets, self.at, self.name)

    @cached_property
    def key(self) -> str:
        return digest(("piecewise", self.breaks, self.slopes, self.offsets, self.at))

    def value(self, x: Array) -> Array:
        parts = (self.breaks, self.slopes, self.offsets, self.at)
        breaks, slopes, offsets, at = map(to_fractions, parts) if x.dtype == object else parts
        out = _on_line(slopes[:, 0], x) + offsets[:, 0]
        for j in range(breaks.shape[1]):
            t, line = breaks[:, j], _on_line(slopes[:, j + 1], x) + offsets[:, j + 1]
            out = np.where(np.asarray(x > t, dtype=bool), line, np.where(np.asarray(x == t, dtype=bool), at[:, j], out))
        return out

    def derivative(self, x: Array) -> Array:
        """The slope of the line at ``x``, of the left one at a breakpoint."""
        out = np.broadcast_to(self.slopes[:, 0], x.shape)
        for j in range(self.breaks.shape[1]):
            out = np.where(x > self.breaks[:, j], self.slopes[:, j + 1], out)
        return out

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return piece_lines.span(self, lower, upper)

    def steepness(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return piece_lines.steepness(self, lower, upper)

    def lines(self, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
        return piece_lines.lines(self, lower, upper)

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        return piece_lines.band(self, lower, upper)

    @cached_property
    def apart(self) -> tuple[Array, Array]:
        """Where the line left of a breakpoint, and the one right of it, does not end in the value there."""
        breaks, slopes, offsets, at = map(to_fractions, (self.breaks, self.slopes, self.offsets, self.at))
        left = slopes[:, :-1] * breaks + offsets[:, :-1] != at
        return np.asarray(left, dtype=bool), np.asarray(slopes[:, 1:] * breaks + offsets[:, 1:] != at, dtype=bool)

    @cached_property
    def jumps(self) -> bool:
        """True if the function is not continuous."""
        return bool(self.apart[0].any() or self.apart[1].any())

    def take(self, index: Array) -> Piecewise:
        if len(self.breaks) == 1:
            return self
        return Piecewise(self.breaks[index], self.slopes[index], self.offsets[index], self.at[index], self.name)


def clip(low: object, high: object, name: str = "clip") -> Piecewise:
    """``min(max(x, low), high)`` for numbers ``low < high``, or one pair per element."""
    lower, upper = np.broadcast_arrays(np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64))
    ends, zero = np.stack((lower, upper), axis=-1), np.zeros_like(lower)
    lines = np.stack((zero, zero + 1, zero), axis=-1), np.stack((lower, zero, upper), axis=-1)
    return Piecewise(ends, *lines, ends, name)


def relu6() -> Piecewise:
    """min(max(x, 0), 6)."""
    return clip(0.0, 6.0, "relu6")


def hard_tanh() -> Piecewise:
    """min(max(x, -1), 1)."""
    return clip(-1.0, 1.0, "hard_tanh")


def sign() -> Piecewise:
    """-1 left of 0, 0 at 0, 1 right of it."""
    return Piecewise(np.zeros(1), np.zeros(2), np.array([-1.0, 1.0]), np.zeros(1), "sign")


def direction(fn: Univariate, x: Array) -> Array:
    """The derivative, for searches; 0 where the function does not say it, so that points alone are tried."""
    try:
        return fn.derivative(x)
    except UnsupportedError:
        return np.zeros_like(x)


def same_function(one: Univariate, two: Univariate) -> bool:
    """True if the two are one function: of one class, with one key."""
    return type(one) is type(two) and one.key == two.key


def in_rationals(fn: Univariate, x: Array) -> Array:
    """The function of Fractions; :class:`UnsupportedError` where that gives no rationals."""
    if fn.exact:
        return fn.value(x)
    try:
        y = fn.value(x)
    except TypeError:  # NumPy has no exponential of a Fraction
        raise no_rationals(fn) from None
    if y.dtype != object or not all(isinstance(v, Rational) for v in y.flat):
        raise no_rationals(fn)
    return y


def no_rationals(fn: Univariate) -> UnsupportedError:
    """The error where a rational value is asked of a function that has none."""
    return UnsupportedError(f"{fn.name} has no exact rational value", remedy="Use bounds or an LP")
