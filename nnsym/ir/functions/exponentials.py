"""The exponential function and the natural logarithm, and units made of them: softplus, ELU and its kin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, final

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.functions.curves import U
from nnsym.ir.linear import digest
from nnsym.ir.smooth_functions import Smooth
from nnsym.ir.univariate import Univariate


@final
@dataclass(frozen=True, eq=False)
class Exp(Smooth):
    """``e^x``, convex; where it leaves the range of float64 it is bounded by infinity."""

    name: str = "exp"
    key: str = "exp"
    bends = (True,)
    unit = 0.0
    limits = (0.0, np.inf)
    noise = (0.0, 16.0, 0.0)

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
    bends = (False,)
    unit = 0.0
    noise = (4.0, 16.0, 0.0)

    def value(self, x: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(x))

    def derivative(self, x: Array) -> Array:
        with np.errstate(divide="ignore", over="ignore"):
            return np.where(x > 0, 1.0 / np.where(x > 0, x, 1.0), np.where(x == 0, np.inf, np.nan))

    def defined(self, lower: Array, upper: Array) -> Array:
        return np.asarray((lower > 0) & (upper >= lower))

    def demand(self) -> str:
        return "x > 0"


@final
@dataclass(frozen=True, eq=False)
class Softplus(Smooth):
    """``ln(1 + e^(beta x)) / beta`` for ``beta > 0``, convex.

    ``spelt`` where a model computes it by these operators: then ``e^(beta x)`` may leave the range of its format.
    """

    beta: float = 1.0
    spelt: bool = False
    name: str = "softplus"
    bends = (True,)
    ulps = 16
    limits = (0.0, np.inf)

    def __post_init__(self) -> None:
        _require_modest("softplus's beta", self.beta)

    @cached_property
    def key(self) -> str:
        return digest(("softplus", self.beta, self.spelt))

    def slips(self, lower: Array, upper: Array, unit: float, largest: float) -> Array:
        with np.errstate(over="ignore"):
            value = self.value(upper)
            lost = self.spelt & ~(self.beta * upper < np.log(largest) - 1.0)
        return np.where(lost, np.inf, 16 * unit * (1.0 / self.beta + value))

    def value(self, x: Array) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(np.logaddexp(0.0, self.beta * x) / self.beta)

    def derivative(self, x: Array) -> Array:
        with np.errstate(under="ignore"):
            decay = np.exp(-np.abs(self.beta * x))
        return np.asarray(np.where(x >= 0, 1.0, decay) / (1.0 + decay))


@final
@dataclass(frozen=True, eq=False)
class LogSigmoid(Smooth):
    """``ln(1 / (1 + e^-x))``, concave."""

    name: str = "log_sigmoid"
    key: str = "log_sigmoid"
    bends = (False,)
    limits = (-np.inf, 0.0)

    def value(self, x: Array) -> Array:
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(-np.logaddexp(0.0, -x))

    def derivative(self, x: Array) -> Array:
        with np.errstate(under="ignore"):
            decay = np.exp(-np.abs(x))
        return np.asarray(np.where(x >= 0, decay, 1.0) / (1.0 + decay))

    def slips(self, lower: Array, upper: Array, unit: float, largest: float) -> Array:
        """Engines take the logarithm of a sigmoid that is off by units of 1: far to the left nothing is known."""
        with np.errstate(invalid="ignore"):
            share = 64 * unit * (1.0 + np.exp(np.minimum(-lower, 700.0)))
            return np.where(share < 0.5, 2 * share + 16 * unit * (1.0 - self.value(lower)), np.inf)


@final
@dataclass(frozen=True, eq=False)
class CutSoftplus(Univariate):
    """Softplus where ``beta x <= threshold``, ``x`` beyond: a jump down by ``ln(1 + e^-threshold) / beta``.

    It lies between softplus and softplus less that jump, whose bounds it takes.
    """

    beta: float = 1.0
    threshold: float = 20.0
    name: str = "softplus"
    jumps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 1.0 <= self.threshold <= 700.0:
            raise UnsupportedError(f"softplus with the threshold {self.threshold:g}", remedy="Take one from 1 to 700")

    @cached_property
    def key(self) -> str:
        return digest(("cut softplus", self.beta, self.threshold))

    @cached_property
    def _whole(self) -> Softplus:
        return Softplus(self.beta)

    @cached_property
    def _jump(self) -> float:
        return float(np.exp(-self.threshold)) / self.beta * (1.0 + 1e-9)

    def value(self, x: Array) -> Array:
        return np.where(self.beta * x > self.threshold, x, self._whole.value(x))

    def derivative(self, x: Array) -> Array:
        return np.where(self.beta * x > self.threshold, 1.0, self._whole.derivative(x))

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = self._whole.span(lower, upper)
        return np.maximum(low - self._lost(low, upper), 0.0), high

    def steepness(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = self._whole.steepness(lower, upper)
        beyond = self._reached(upper)
        return np.where(beyond & ~self._passed(lower), -np.inf, low), np.where(beyond, np.maximum(high, 1.0), high)

    def lines(self, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
        a, b, c, d = self._whole.lines(lower, upper, at)
        return a, b - self._lost(b, upper), c, d

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        slope, low, high = self._whole.band(lower, upper)
        return slope, low - self._lost(low, upper), high

    def slips(self, lower: Array, upper: Array, unit: float, largest: float) -> Array:
        return self._whole.slips(lower, upper, unit, largest) + self._jump

    def _lost(self, side: Array, upper: Array) -> Array:
        """How far the function may lie below softplus, and the rounding of the difference."""
        with np.errstate(invalid="ignore"):
            lost = self._jump + 4 * U * np.abs(side)
        return np.where(self._reached(upper), lost, 0.0)

    def _reached(self, upper: Array) -> Array:
        return np.asarray(self.beta * upper >= self.threshold * (1 - 4 * U))

    def _passed(self, lower: Array) -> Array:
        return np.asarray(self.beta * lower > self.threshold * (1 + 4 * U))


@final
@dataclass(frozen=True, eq=False)
class Elu(Smooth):
    """``scale x`` right of 0, ``scale alpha (e^(x / width) - 1)`` left of it.

    ELU has an alpha, CELU a ``width = alpha``, SELU a scale and an alpha (Klambauer et al., Self-Normalizing Neural
    Networks, 2017). Left of 0 it is convex for ``alpha >= 0`` and concave for others; at 0 it has a kink, which is
    convex where ``alpha <= width``.
    """

    alpha: float = 1.0
    scale: float = 1.0
    width: float = 1.0
    name: str = "elu"
    ulps = 16

    def __post_init__(self) -> None:
        for what, number in (("scale", self.scale), ("width", self.width)):
            _require_modest(f"{self.name}'s {what}", number)
        if self.alpha:
            _require_modest(f"{self.name}'s alpha", abs(self.alpha))

    @cached_property
    def key(self) -> str:
        return digest(("elu", self.alpha, self.scale, self.width))

    def slips(self, lower: Array, upper: Array, unit: float, largest: float) -> Array:
        left = 16 * self.scale * (1.0 + abs(self.alpha) * (1.0 + 1.0 / self.width))
        with np.errstate(invalid="ignore"):
            return np.asarray(unit * (left + 16 * self.scale * np.maximum(upper, 0.0)))

    @property
    def _convex(self) -> bool:
        return 0 <= self.alpha <= self.width

    @property
    def kinks(self) -> tuple[float, ...]:  # type: ignore[override]
        return () if self.alpha == self.width else (0.0,)

    @property
    def bends(self) -> tuple[bool, ...]:
        return (True,) if self._convex else (self.alpha >= 0, True)

    def turns(self, lower: Array) -> tuple[Array | float, ...]:
        return (0.0,) if self.alpha < 0 else ()

    def cuts(self, lower: Array) -> tuple[Array | float, ...]:
        return () if self._convex else (0.0,)

    def value(self, x: Array) -> Array:
        with np.errstate(under="ignore"):
            left = self.alpha * np.expm1(np.minimum(x, 0.0) / self.width)
        return np.asarray(self.scale * np.where(x >= 0, x, left))

    def derivative(self, x: Array) -> Array:
        with np.errstate(under="ignore"):
            left = self.alpha / self.width * np.exp(np.minimum(x, 0.0) / self.width)
        return np.asarray(self.scale * np.where(x >= 0, 1.0, left))


def selu(alpha: float = 1.6732632423543772, scale: float = 1.0507009873554805) -> Elu:
    """SELU with the constants of the paper, or others."""
    return Elu(alpha, scale, name="selu")


def celu(alpha: float = 1.0) -> Elu:
    """``max(0, x) + min(0, alpha (e^(x / alpha) - 1))`` for ``alpha > 0`` (Barron, 2017)."""
    return Elu(alpha, width=alpha, name="celu")


def _require_modest(what: str, number: float) -> None:
    """Beyond these sizes float64 values are not known to the ulps that are declared."""
    if not 1e-6 <= number <= 1e6:
        raise UnsupportedError(f"{what} is {number:g}", remedy="Numbers from 1e-6 to 1e6 are taken")
