"""Smooth functions of one variable: what follows from value, derivative, extremes and inflections; sigmoid and tanh."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.functions import curves, sigmoidal
from nnsym.ir.linear import digest
from nnsym.ir.univariate import Univariate


class Smooth(Univariate):
    """A function with a continuous derivative, or few kinks: answers from its facts (:mod:`nnsym.ir.functions.curves`).

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

    Here ``ulps`` are of the result itself, however small: answers keep its sign (:mod:`nnsym.ir.functions.sigmoidal`).
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
