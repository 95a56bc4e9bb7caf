"""Units of the form ``x g(x)``, g rising from 0 to 1: GELU in both forms, SiLU, Mish, HardSwish.

Each has one minimum left of 0. Engines compute them by one kernel or by the operators that a file spells out: ``x``
times a gate that may be off by as much as a sigmoid. The minima and inflections were computed to 60 digits and rounded;
those of a unit with a parameter that only stretches the axis are stretched.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, final

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import digest
from nnsym.ir.smooth_functions import Smooth

#: Unit roundoffs of 1, of the result, of the argument. ONNX Runtime 1.32's own kernels are off by up to 9 of the first.
GATE = (16.0, 16.0, 48.0)

#: GELU's factor, and the constants of its other form (Hendrycks and Gimpel, Gaussian Error Linear Units, 2016).
ROOT_HALF, ROOT_2_OVER_PI, CUBIC = float(np.sqrt(0.5)), float(np.sqrt(2.0 / np.pi)), 0.044715


@final
@dataclass(frozen=True, eq=False)
class Gelu(Smooth):
    """``x (1 + erf(slope x)) / 2``; GELU has the slope 1 / sqrt(2), or what a file stores for it."""

    slope: float = ROOT_HALF
    name: str = "gelu"
    noise = GATE

    def __post_init__(self) -> None:
        _require_near(self.name, self.slope, ROOT_HALF, 100.0)

    @cached_property
    def key(self) -> str:
        return digest(("gelu", self.slope))

    @property
    def extremes(self) -> tuple[float, ...]:  # type: ignore[override]
        return (-0.5315968851493932 / self.slope,)

    @property
    def inflections(self) -> tuple[float, ...]:  # type: ignore[override]
        return (-1.0 / self.slope, 1.0 / self.slope)

    blur = 2.0**-50

    def value(self, x: Array) -> Array:
        from scipy.special import erfc

        with np.errstate(invalid="ignore", under="ignore"):
            y = 0.5 * x * erfc(-self.slope * x)
        return np.where(np.isneginf(x), 0.0, y)

    def derivative(self, x: Array) -> Array:
        from scipy.special import erfc

        t = np.clip(self.slope * x, -40.0, 40.0)
        with np.errstate(under="ignore"):
            return np.asarray(0.5 * erfc(-t) + t * np.exp(-t * t) / np.sqrt(np.pi))


@final
@dataclass(frozen=True, eq=False)
class TanhGelu(Smooth):
    """``x (1 + tanh(rate (x + cubic x^3))) / 2``: GELU's second form, with its constants as a file stores them."""

    rate: float = ROOT_2_OVER_PI
    cubic: float = CUBIC
    name: str = "gelu_tanh"
    noise = GATE
    blur = 1e-10

    def __post_init__(self) -> None:
        _require_near(self.name, self.rate, ROOT_2_OVER_PI, 1.01)
        _require_near(self.name, self.cubic, CUBIC, 1.01)

    @cached_property
    def key(self) -> str:
        return digest(("gelu tanh", self.rate, self.cubic))

    @cached_property
    def extremes(self) -> tuple[float, ...]:  # type: ignore[override]
        return (_root(lambda x: float(self.derivative(np.array(x))), -1.0, -0.5),)

    @cached_property
    def inflections(self) -> tuple[float, ...]:  # type: ignore[override]
        at = _root(self._curvature, 1.0, 2.0)
        return (-at, at)

    def value(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            y = x / (1.0 + np.exp(-2.0 * self.rate * (x + self.cubic * x**3)))
        return np.where(np.isneginf(x), 0.0, y)

    def derivative(self, x: Array) -> Array:
        z = np.clip(x, -40.0, 40.0)  # beyond, the derivative is 0 and 1 to all digits
        with np.errstate(all="ignore"):
            share, rest = _shares(2.0 * self.rate * (z + self.cubic * z**3))
        return np.asarray(share + z * share * rest * 2.0 * self.rate * (1.0 + 3.0 * self.cubic * z * z))

    def slips(self, lower: Array, upper: Array, unit: float, largest: float) -> Array:
        """Kernels hold the two constants as float32, in float64 too."""
        known = super().slips(lower, upper, unit, largest)
        return np.asarray(known + 2.0**-24 * np.minimum(np.maximum(-lower, upper), 8.0))

    def _curvature(self, x: float) -> float:
        """``s (1 - s) (2 g' + x g'' + x g'^2 (1 - 2 s))`` without its positive factor; g the exponent, s its share."""
        share = 1.0 / (1.0 + float(np.exp(-2.0 * self.rate * (x + self.cubic * x**3))))
        slope, bend = 2.0 * self.rate * (1.0 + 3.0 * self.cubic * x * x), 12.0 * self.rate * self.cubic * x
        return 2.0 * slope + x * bend + x * slope * slope * (1.0 - 2.0 * share)


@final
@dataclass(frozen=True, eq=False)
class Silu(Smooth):
    """``x / (1 + e^(-beta x))`` for ``beta > 0``; SiLU, or Swish, has ``beta = 1``."""

    beta: float = 1.0
    name: str = "silu"
    noise = GATE
    blur = 2.0**-50

    def __post_init__(self) -> None:
        _require_near(self.name, self.beta, 1.0, 1000.0)

    @cached_property
    def key(self) -> str:
        return digest(("silu", self.beta))

    @property
    def extremes(self) -> tuple[float, ...]:  # type: ignore[override]
        return (-1.2784645427610737 / self.beta,)

    @property
    def inflections(self) -> tuple[float, ...]:  # type: ignore[override]
        return (-2.3993572805154675 / self.beta, 2.3993572805154675 / self.beta)

    def value(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            y = x / (1.0 + np.exp(-self.beta * x))
        return np.where(np.isneginf(x), 0.0, y)

    def derivative(self, x: Array) -> Array:
        z = np.clip(self.beta * x, -700.0, 700.0)
        share, rest = _shares(z)
        return np.asarray(share * (1.0 + z * rest))


def _shares(z: Array) -> tuple[Array, Array]:
    """``1 / (1 + e^-z)`` and what is missing to 1, which a difference would leave with no digits."""
    return np.asarray(1.0 / (1.0 + np.exp(-z))), np.asarray(1.0 / (1.0 + np.exp(z)))


@final
@dataclass(frozen=True, eq=False)
class Mish(Smooth):
    """``x tanh(ln(1 + e^x))`` (Misra, Mish, 2019)."""

    name: str = "mish"
    key: str = "mish"
    noise = GATE
    extremes = (-1.1924312145154952,)
    inflections = (-2.256376396360793, 1.4905711794854284)

    def value(self, x: Array) -> Array:
        with np.errstate(all="ignore"):
            y = x * _tanh_softplus(x)[0]
        return np.where(np.isneginf(x), 0.0, y)

    def derivative(self, x: Array) -> Array:
        z = np.clip(x, -700.0, 700.0)
        gate, rest = _tanh_softplus(z)
        return np.asarray(gate + z * rest * (1.0 + gate) * _shares(z)[0])


def _tanh_softplus(x: Array) -> tuple[Array, Array]:
    """``((1 + e)^2 - 1) / ((1 + e)^2 + 1)`` for ``e = e^x``, and what is missing to 1, without overflow."""
    e = np.exp(-np.abs(x))
    top, rest = np.where(x >= 0, 1.0 + 2.0 * e, e * (e + 2.0)), np.where(x >= 0, 2.0 * e * e, 2.0)
    return np.asarray(top / (top + rest)), np.asarray(rest / (top + rest))


@final
@dataclass(frozen=True, eq=False)
class HardSwish(Smooth):
    """``x min(max(rise x + shift, 0), 1)``, rationals for rationals; HardSwish has ``x / 6 + 1 / 2``.

    0, then a parabola, then the identity. Both kinks are concave, and the parabola is convex (``rise > 0``,
    ``0 < shift < 1``).
    """

    rise: Fraction = Fraction(1, 6)
    shift: Fraction = Fraction(1, 2)
    name: str = "hard_swish"
    noise = GATE
    exact = True
    bends = (True, True, True)

    def __post_init__(self) -> None:
        _require_near(self.name, float(self.rise), 1 / 6, 100.0)
        if not 0.01 <= self.shift <= 0.99:
            raise UnsupportedError(f"{self.name}'s shift is {float(self.shift):g}", remedy="It lies between 0 and 1")

    @cached_property
    def key(self) -> str:
        return digest(("hard swish", str(self.rise), str(self.shift)))

    @property
    def extremes(self) -> tuple[float, ...]:  # type: ignore[override]
        return (float(-self.shift / (2 * self.rise)),)

    @property
    def kinks(self) -> tuple[float, ...]:  # type: ignore[override]
        return (float(-self.shift / self.rise), float((1 - self.shift) / self.rise))

    def value(self, x: Array) -> Array:
        if x.dtype == object:
            gate = np.asarray(self.rise * to_fractions(x) + self.shift)
            zero, one = to_fractions(np.zeros(1)), to_fractions(np.ones(1))
            return np.asarray(x * np.minimum(np.maximum(gate, zero), one))
        with np.errstate(invalid="ignore"):
            y = x * np.clip(float(self.rise) * x + float(self.shift), 0.0, 1.0)
        return np.where(np.isneginf(x), 0.0, y)

    def derivative(self, x: Array) -> Array:
        left, right = self.kinks
        inner = 2.0 * float(self.rise) * np.clip(x, left, right) + float(self.shift)
        return np.where(x <= left, 0.0, np.where(x >= right, 1.0, inner))


def _root(fn: Any, low: float, high: float) -> float:
    """Where a function changes its sign, by halving."""
    rising = fn(high) > 0
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if (fn(middle) > 0) == rising else (middle, high)
    return 0.5 * (low + high)


def _require_near(name: str, number: float, usual: float, factor: float) -> None:
    """Beyond, float64 values are not known to the ulps that are declared, or the curve is another one."""
    if not usual / factor <= number <= usual * factor:
        raise UnsupportedError(f"{name} with the constant {number:g}", remedy=f"Numbers like {usual:g} are taken")
