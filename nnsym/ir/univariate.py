"""Univariate functions: everything an activation has to say about itself.

A :class:`Hinge` is two lines that meet in the origin and covers ReLU, leaky ReLU, PReLU and abs; a :class:`Piecewise`
has any number of lines between breakpoints and covers clip and sign; every exact encoding works on both. A
:class:`Smooth` function gives value, derivative, extremes and inflections; encodings and bounds relax it by lines. A
new activation is one object of one of these kinds, or any :class:`Univariate` that answers what it is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from numbers import Rational
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir import curves, piece_lines, sigmoidal
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import digest, freeze
from nnsym.ir.outward import product_up, sum_down, sum_up

Array = NDArray[Any]


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
        """True if the function is not continuous (docs/numerics.md, "Jumps")."""
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
            remedy=f"Define {method}, or make it an nnsym.ir.univariate.Smooth, which answers everything from value, "
            "derivative, extremes and inflections",
        )


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
        return np.where(x > 0, right * x, left * x)

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
    for values there (docs/numerics.md, "Jumps").
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
        out = slopes[:, 0] * x + offsets[:, 0]
        for j in range(breaks.shape[1]):
            t, line = breaks[:, j], slopes[:, j + 1] * x + offsets[:, j + 1]
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


class Smooth(Univariate):
    """A function with a continuous derivative, or with few kinks: all answers from its facts (:mod:`nnsym.ir.curves`).

    ``extremes`` are all points where the derivative is 0, ``inflections`` all where the curvature changes sign: floats
    next to them, in order. ``kinks``, floats themselves, are where the derivative jumps; a function that has some says
    in ``bends`` of every part between inflections and kinks whether it is convex there.
    ``value`` and ``derivative`` take float64 arrays and are off by at most ``ulps`` units in the last place of the
    result or of ``unit``, whichever is larger; at an infinity they are the limit, or NaN. All values lie in ``limits``.
    ``noise`` is what engines miss, in unit roundoffs of 1, of the result and of the argument; None if it is not known.
    The ``key`` is made of the class's name, its attributes and values, unless a subclass has its own.
    """

    extremes: ClassVar[tuple[float, ...]] = ()
    inflections: ClassVar[tuple[float, ...]] = ()
    kinks: ClassVar[tuple[float, ...]] = ()
    ulps: ClassVar[int] = 8
    unit: ClassVar[float] = 1.0
    limits: ClassVar[tuple[float, float]] = (-np.inf, np.inf)
    longest: ClassVar[float] = np.inf  # the longest interval whose turns and cuts are all named
    noise: ClassVar[tuple[float, float, float] | None] = None
    blur: ClassVar[float] = 0.0  # how far listed points may be off beside the two ulps, relative to their size

    @property
    def key(self) -> str:
        own = sorted((name, value) for name, value in vars(self).items() if name != "bends")
        with np.errstate(all="ignore"):  # as many digits as every machine gives alike
            values = [f"{v:.6e}" for v in self.value(np.linspace(-8.0, 8.0, 65)).tolist()]
        return f"{self.name}:{digest((type(self).__qualname__, *own, values))}"

    @abstractmethod
    def derivative(self, x: Array) -> Array:
        """The derivative at ``x``."""

    @cached_property
    def bends(self) -> tuple[bool, ...]:
        """For every part between inflections, whether the function is convex there."""
        return curves.convexity(self)

    def turns(self, lower: Array) -> tuple[Array | float, ...]:
        """Points between which the function is monotone on intervals that begin in ``lower``, in order."""
        return tuple(sorted({*self.extremes, *self.kinks}))

    def cuts(self, lower: Array) -> tuple[Array | float, ...]:
        """Points between which its derivative is monotone there, in order: one fewer than ``bends``."""
        return tuple(sorted({*self.inflections, *self.kinks}))

    def slips(self, lower: Array, upper: Array, unit: float, largest: float) -> Array:
        if self.noise is None:
            return super().slips(lower, upper, unit, largest)
        one, result, argument = self.noise
        with np.errstate(invalid="ignore", over="ignore"):
            values = np.max(np.abs(self.span(lower, upper)), axis=0)
            size = np.full(lower.shape, one) + (result * values if result else 0.0)
            return np.asarray(unit * (size + (argument * np.maximum(-lower, upper) if argument else 0.0)))

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return curves.span(self, lower, upper)

    def steepness(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return curves.steepness(self, lower, upper)

    def lines(self, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
        return curves.lines(self, lower, upper, at)

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        return curves.band(self, lower, upper)


class Sigmoidal(Smooth):
    """An increasing smooth function, convex left of 0 and concave right of it, its derivative even.

    Here ``ulps`` are of the result itself, however small: answers keep its sign (:mod:`nnsym.ir.sigmoidal`).
    """

    inflections = (0.0,)
    noise = (32.0, 0.0, 0.0)  # ONNX Runtime 1.32 clamps arguments and is off by up to 6 in float32, 10 in float64

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return sigmoidal.span(self, lower, upper)

    def steepness(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return sigmoidal.steepness(self, lower, upper)

    def lines(self, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
        return sigmoidal.lines(self, lower, upper, at)

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        return sigmoidal.band(self, lower, upper)


@final
@dataclass(frozen=True, eq=False)
class Sigmoid(Sigmoidal):
    """1 / (1 + exp(-x))."""

    name: str = "sigmoid"
    key: str = "sigmoid"
    limits = (0.0, 1.0)

    def value(self, x: Array) -> Array:
        decay = np.exp(-np.abs(x))
        return np.where(x >= 0, 1.0, decay) / (1.0 + decay)

    def derivative(self, x: Array) -> Array:
        decay = np.exp(-np.abs(x))
        return np.asarray(decay / (1.0 + decay) ** 2)


@final
@dataclass(frozen=True, eq=False)
class Tanh(Sigmoidal):
    """The hyperbolic tangent."""

    name: str = "tanh"
    key: str = "tanh"
    limits = (-1.0, 1.0)

    def value(self, x: Array) -> Array:
        return np.asarray(np.tanh(x))

    def derivative(self, x: Array) -> Array:
        decay = np.exp(-2.0 * np.abs(x))
        return np.asarray(4.0 * decay / (1.0 + decay) ** 2)


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
