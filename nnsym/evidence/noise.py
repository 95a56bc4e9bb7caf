"""Noise that is added to the input of a smoothed classifier, and what it says of the classifier around a point.

Everything is said in *distances*, in which a shift of the input by ``v`` counts ``|v|``: for noise of independent
elements of scale ``s`` it is ``|v / s|`` in the noise's own norm. Where the classifier gives a class the probability p
at a point, :meth:`Noise.least` is the least probability that any classifier, equal or not, gives it at distance t, by
the lemma of Neyman and Pearson: the worst set of inputs is a level set of the ratio of the two shifted densities.

For independent elements with the distribution function F that ratio is monotone along an axis, so the worst set is a
half-space and ``least(p, t) = F(F^-1(p) - t)``. A shift in l1 is a sequence of shifts along axes, each of which takes
its part of t off, and the Gaussian is the same in every direction:

* Gaussian, l2: Cohen, Rosenfeld, Kolter, "Certified Adversarial Robustness via Randomized Smoothing", ICML 2019;
* Laplace, l1: Teng, Lee, Yuan, "l1 Adversarial Robustness Certificates: a Randomized Smoothing Approach", 2019;
* uniform, l1: Lee, Yuan, Chang, Jaakkola, NeurIPS 2019; Yang et al., "Randomized Smoothing of All Shapes and Sizes",
  ICML 2020.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array

#: Relative allowance for the rounding of SciPy's special functions, whose error is some 1e-15.
SLACK = 1e-12


class Noise(ABC):
    """A distribution of noise. ``norm`` is 1 or 2, ``text`` says it in full."""

    norm: int

    @property
    @abstractmethod
    def text(self) -> str:
        """What the language calls it, with every parameter."""

    @abstractmethod
    def check(self, size: int) -> None:
        """Raise :class:`InputError` unless it is noise for inputs of ``size`` elements."""

    @abstractmethod
    def draw(self, source: np.random.Generator, count: int, size: int) -> Array:
        """``count`` samples, float64 of shape ``(count, size)``, independent of how many are drawn at once."""

    def added(self, point: Array, noise: Array) -> Array:
        """The noisy points that the network is run on."""
        return point + noise

    @abstractmethod
    def least(self, p: float, t: float, size: int) -> float:
        """A lower bound of the probability at distance ``t`` of a class that has at least ``p`` at 0.

        It does not grow in ``t`` and does not fall in ``p``.
        """

    @abstractmethod
    def distance_of_ball(self, radius: float, p: float, size: int) -> float:
        """The greatest distance of a shift in the ball of ``radius`` in the norm ``p``, rounded up."""

    @abstractmethod
    def distance_of_box(self, reach: Array) -> float:
        """The same for shifts with ``|v_i| <= reach_i``."""

    @property
    @abstractmethod
    def unit(self) -> float:
        """The radius in the noise's own norm that has distance 1, rounded down."""

    def most(self, p: float, t: float, size: int) -> float:
        """An upper bound at distance ``t`` where the class has at most ``p`` at 0."""
        return min(1.0, math.nextafter(1.0 - self.least(max(0.0, math.nextafter(1.0 - p, 0.0)), t, size), 2.0))

    def needed(self, t: float, size: int) -> float:
        """A probability at 0 that leaves more than a half at distance ``t``, as small as bisection finds it."""
        low, high = 0.5, 1.0
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (low, middle) if self.least(middle, t, size) > 0.5 else (middle, high)
        return high

    def distance(self, p: float, size: int) -> float:
        """The distance up to which a class with at least ``p`` at 0 keeps more than a half; 0 where it has none."""
        if not self.least(p, 0.0, size) > 0.5:
            return 0.0
        low, high = 0.0, 1.0
        while self.least(p, high, size) > 0.5:
            low, high = high, 2 * high
            if high > 2.0**60:
                return low
        for _ in range(80):
            middle = (low + high) / 2
            low, high = (middle, high) if self.least(p, middle, size) > 0.5 else (low, middle)
        return low


def translation(given: float, own: int, size: int) -> float:
    """The factor by which ``|v|_own`` may exceed ``|v|_given``, rounded up: ``size^(1/own - 1/given)``, at least 1."""
    power = 1 / own - (0.0 if given == math.inf else 1 / given)
    return 1.0 if power <= 0 else _up(float(size) ** power)


def _up(value: float) -> float:
    return value * (1 + SLACK)


def _down(value: float) -> float:
    return value * (1 - SLACK)


def shifted(ppf: Any, cdf: Any, p: float, t: float) -> float:
    """``F(F^-1(p) - t)``, rounded down by more than the error of the two functions."""
    if t <= 0:
        return max(0.0, p)
    if p <= 0:
        return 0.0
    point = float(ppf(min(p, 1.0 - 2.0**-53)))
    found = float(cdf(point - abs(point) * SLACK - _up(t)))
    return max(0.0, _down(found))


@dataclass(frozen=True, kw_only=True)
class Independent(Noise):
    """Noise of independent elements with one scale each, or one for all: ``scale`` times a standard distribution.

    ``word`` is what the language calls it.
    """

    scale: float | tuple[float, ...]
    word: ClassVar[str]

    def __post_init__(self) -> None:
        values = self.scale if isinstance(self.scale, tuple) else (self.scale,)
        if not values or not all(0 < v < math.inf for v in values):
            shown = f"{len(values)} of them" if isinstance(self.scale, tuple) else self.scale
            raise InputError(f"the scale of noise is {shown}", remedy="Give positive finite numbers")

    @property
    def text(self) -> str:
        return f"{self.word}({list(self.scale) if isinstance(self.scale, tuple) else self.scale!r})"

    def check(self, size: int) -> None:
        if isinstance(self.scale, tuple) and len(self.scale) != size:
            raise InputError(
                f"noise of {len(self.scale)} scales on an input of {size} elements",
                remedy="Give one scale, or one for each element in C order",
            )

    @property
    def unit(self) -> float:
        return min(self.scale) if isinstance(self.scale, tuple) else self.scale

    def _scaled(self, standard: Array) -> Array:
        standard *= np.asarray(self.scale)
        return standard

    def distance_of_ball(self, radius: float, p: float, size: int) -> float:
        return _up(radius * translation(p, self.norm, size) / self.unit)

    def distance_of_box(self, reach: Array) -> float:
        with np.errstate(over="ignore"):  # infinite, where nothing is certified
            return _up(float(np.linalg.norm(reach / np.asarray(self.scale), self.norm)))


@final
@dataclass(frozen=True, kw_only=True)
class Gaussian(Independent):
    """Normal noise; ``scale`` is the standard deviation."""

    norm, word = 2, "gaussian"

    def draw(self, source: np.random.Generator, count: int, size: int) -> Array:
        return self._scaled(source.standard_normal((count, size)))

    def least(self, p: float, t: float, size: int) -> float:
        from scipy.special import ndtr, ndtri

        return shifted(ndtri, ndtr, p, t)


@final
@dataclass(frozen=True, kw_only=True)
class Laplace(Independent):
    """Laplace noise of density ``exp(-|v| / scale) / (2 scale)``."""

    norm, word = 1, "laplace"

    def draw(self, source: np.random.Generator, count: int, size: int) -> Array:
        return self._scaled(source.laplace(size=(count, size)))

    def least(self, p: float, t: float, size: int) -> float:
        return shifted(_laplace_ppf, _laplace_cdf, p, t)


@final
@dataclass(frozen=True, kw_only=True)
class Uniform(Independent):
    """Noise that is uniform on ``[-scale, scale]``."""

    norm, word = 1, "uniform"

    def draw(self, source: np.random.Generator, count: int, size: int) -> Array:
        return self._scaled(source.uniform(-1.0, 1.0, (count, size)))

    def least(self, p: float, t: float, size: int) -> float:
        return max(0.0, math.nextafter(p - _up(t) / 2, -1.0)) if t > 0 else max(0.0, p)


def _laplace_ppf(p: float) -> float:
    return math.log(2 * p) if p < 0.5 else -math.log(2 * (1 - p))


def _laplace_cdf(x: float) -> float:
    return math.exp(x) / 2 if x < 0 else 1 - math.exp(-x) / 2
