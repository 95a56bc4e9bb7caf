"""``check_activation`` refuses functions that are wrong by little, or in one kind of place alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from nnsym.errors import InputError
from nnsym.ir.functions.powers import Sqrt
from nnsym.ir.smooth_functions import Smooth
from nnsym.ir.univariate import Univariate
from nnsym.testing.check_activation import ConformanceError, check_activation
from tests.test_activations import Array, SiLU, Softplus

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::RuntimeWarning")]


class Overflows(Smooth):
    """sqrt(1 + x^2), whose square is infinite far out."""

    name, extremes = "overflows", (0.0,)

    def value(self, x: Array) -> Array:
        return np.sqrt(1 + x * x)

    def derivative(self, x: Array) -> Array:
        return x / np.hypot(1, x)


class Cancels(Smooth):
    """The logistic function by a difference that has no digits far below, where it says that it has all."""

    name, inflections, unit = "cancels", (0.0,), 0.0

    def value(self, x: Array) -> Array:
        return 1 - 1 / (1 + np.exp(np.minimum(x, 700.0)))

    def derivative(self, x: Array) -> Array:
        decay = np.exp(-np.abs(x))
        return np.asarray(decay / (1 + decay) ** 2)


class Coarse(SiLU):
    """Its derivative has a difference that is off by 20 ulps."""

    def derivative(self, x: Array) -> Array:
        share = 1 / (1 + np.exp(-x))
        return np.asarray(share * (1 + x * (1 - share)))


class Clamps(SiLU):
    """It writes into what it is asked about."""

    def value(self, x: Array) -> Array:
        x[x < -700] = -700
        return super().value(x)


class NearInflection(SiLU):
    inflections = (-2.3993572805154678, 2.3993572805154678 + 1e-6)


@dataclass(frozen=True, eq=False)
class Steep(Smooth):
    """tanh of several rates, all under one key."""

    rate: float = 2.0
    name: str = "steep"
    key: str = "steep"
    inflections = (0.0,)

    def value(self, x: Array) -> Array:
        return np.tanh(self.rate * x)

    def derivative(self, x: Array) -> Array:
        return self.rate / np.cosh(np.clip(self.rate * x, -300, 300)) ** 2


class Scaled(Univariate):
    """A multiple per element, whose range is turned where that is negative."""

    name = "scaled"

    def __init__(self, by: tuple[float, ...] = (1.0, 2.0, -1.0)) -> None:
        self.by = np.asarray(by)

    @property
    def key(self) -> str:
        return f"scaled {self.by.tolist()}"

    def take(self, index: Array) -> Univariate:
        return Scaled(tuple(self.by[index]))

    def value(self, x: Array) -> Array:
        return self.by * x

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        return self.by * lower, self.by * upper


class Placed(Softplus):
    """In a batch every interval gets the line at the first one's point."""

    def lines(self, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
        if at is not None and at.ndim > 1:
            at = np.clip(at[:1], lower, upper)
        return super().lines(lower, upper, at)


class Where(Softplus):
    """A range, lines and slopes that are wrong in one kind of place."""

    def __init__(self, name: str) -> None:
        self.name = name

    def _bad(self, lower: Array, upper: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return {
                "open above": np.isinf(upper),
                "wide about zero": (lower < -200) & (upper > 200),
                "millions": (upper - lower > 1e4) & (upper - lower < 1e8),
                "subnormal": (upper > lower) & (upper - lower < 1e-300),
            }[self.name]

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = super().span(lower, upper)
        return low, np.where(self._bad(lower, upper), np.minimum(0.999 * high - 1e-12, 1e13), high)


class Flattened(Softplus):
    """Its slopes over short intervals do not reach the derivative in them."""

    def steepness(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        low, high = super().steepness(lower, upper)
        return low, np.where((upper > lower) & (upper - lower < 1e-12), high - 1e-6, high)


class Thirds(Univariate):
    """0.3 x above 0, exactly, with one answer that is rounded to nearest."""

    name, key, exact = "thirds", "thirds", True

    def __init__(self, wrong: str) -> None:
        self.wrong = wrong

    def value(self, x: Array) -> Array:
        rate = Fraction(0.3) if x.dtype == object else 0.3
        return np.where(x > 0, x * rate, x * 0)

    def span(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        ends = [np.maximum(0, 0.3 * side) for side in (lower, upper)]
        return np.nextafter(ends[0], -np.inf), np.nextafter(ends[1], np.inf)

    def band(self, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
        low, high = self.span(lower, upper)
        return 0 * low, low, 0.3 * np.maximum(upper, 0) if self.wrong == "band" else high

    def steepness(self, lower: Array, upper: Array) -> tuple[Array, Array]:
        rate = np.nextafter(0.3, 0) if self.wrong == "steepness" else 0.3
        return np.where(lower > 0, 0.3, 0.0), np.where(upper > 0, rate, 0.0)


class Waves(SiLU):
    """Too few bends."""

    bends = (True, False)


def test_an_exact_function_with_outward_answers_passes() -> None:
    assert check_activation(Thirds(""), seeds=(0,)).answers > 1000


KINDS: list[Callable[[], Univariate]] = [
    *(Overflows, Cancels, Coarse, Clamps, NearInflection, Steep, Scaled, Placed, Flattened, Waves),
    *(partial(Where, name) for name in ("open above", "wide about zero", "millions", "subnormal")),
    *(partial(Thirds, name) for name in ("band", "steepness")),
]


@pytest.mark.parametrize("wrong", KINDS, ids=lambda make: str(getattr(make, "args", None) or make.__name__))
def test_what_is_wrong_by_little_is_refused(wrong: Callable[[], Univariate]) -> None:
    with pytest.raises((ConformanceError, InputError)) as caught:
        check_activation(wrong(), seeds=(0,))
    assert wrong().name in str(caught.value)


def test_a_root_is_steep_at_either_zero() -> None:
    """The slope at -0.0 was said to be -inf, and so the steepest one that of the other end."""
    zero = np.array([0.0, -0.0])
    low, high = Sqrt().steepness(zero, np.ones(2))
    assert np.isposinf(high).all()
    assert (low == low[0]).all()
