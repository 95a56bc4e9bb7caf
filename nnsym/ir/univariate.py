"""Univariate functions: everything an activation has to say about itself.

A :class:`Hinge` is two lines that meet in the origin and covers ReLU, leaky ReLU, PReLU and abs; every
exact encoding works on it. Smooth functions give value and derivative; encodings and bounds relax them by
lines. A new activation is one object of either kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import UnsupportedError
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import digest, freeze

Array = NDArray[Any]


class Univariate(ABC):
    """A function applied to every element of a vector."""

    name: str

    @property
    @abstractmethod
    def key(self) -> str:
        """Content digest."""

    @abstractmethod
    def value(self, x: Array) -> Array:
        """The function at ``x`` of shape ``(..., n)``; exact on arrays of Fractions or an error."""

    def take(self, index: Array) -> Univariate:
        """The function of the selected elements (parameters may differ per element)."""
        return self


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


class Sigmoidal(Univariate):
    """An increasing smooth function, convex left of 0 and concave right of it."""

    #: Ulps by which a float64 evaluation of ``value`` or ``derivative`` may be off; consumers widen by it.
    ulps = 8

    @abstractmethod
    def derivative(self, x: Array) -> Array:
        """The derivative at ``x``, largest at 0 and decreasing with |x|."""

    def _refuse_exact(self, x: Array) -> None:
        if x.dtype == object:
            raise UnsupportedError(f"{self.name} has no exact rational value", remedy="Use bounds or an LP")


@final
@dataclass(frozen=True, eq=False)
class Sigmoid(Sigmoidal):
    """1 / (1 + exp(-x))."""

    name: str = "sigmoid"
    key: str = "sigmoid"

    def value(self, x: Array) -> Array:
        self._refuse_exact(x)
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

    def value(self, x: Array) -> Array:
        self._refuse_exact(x)
        return np.asarray(np.tanh(x))

    def derivative(self, x: Array) -> Array:
        decay = np.exp(-2.0 * np.abs(x))
        return np.asarray(4.0 * decay / (1.0 + decay) ** 2)
