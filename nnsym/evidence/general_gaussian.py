"""Gaussian noise whose radius is that of fewer dimensions: density ``|v|^(-2k) exp(-|v|^2 / 2 s^2)``.

With ``s = sigma sqrt(d / (d - 2k))`` its variance is that of Gaussian noise of sigma; k = 0 is that noise. Yang et al.,
"Randomized Smoothing of All Shapes and Sizes", ICML 2020; Li et al., "Double Sampling Randomized Smoothing", ICML 2022.

``t = |v|^2 / 2 s^2`` has the gamma distribution of shape ``d/2 - k``, and ``(1 + cos) / 2`` of its angle with any
direction the beta distribution of ``(d-1)/2, (d-1)/2``: so masses of sets of spheres round two centres are integrals
over t. The density falls with the radius, and a set ``{|v - c| >= psi(|v|)}`` is outside a cap for every radius round
``c``; moving c away from 0 takes mass off it. So what is certified at a distance is certified at every smaller one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

import numpy as np

from nnsym.errors import InputError
from nnsym.evidence.noise import SLACK, Noise, translation
from nnsym.evidence.quadrature import Enclosed, Gamma
from nnsym.ir.array import Array

#: In sigma, the least distance at which integrals are taken: nearer by, rounding would weigh more than the distance.
_NEAREST = 1e-4

#: A greater probability is taken for this one: its sets have prices at which errors of the masses would decide.
_SUREST = 1 - 1e-9

#: Logarithms of ratios of densities beyond which no mass is left.
_WIDEST = 500.0


@final
@dataclass(frozen=True, kw_only=True)
class GeneralGaussian(Noise):
    """``sigma`` is the standard deviation of an element, ``k`` the number of pairs of dimensions that are taken off."""

    sigma: float
    k: int
    norm = 2

    def __post_init__(self) -> None:
        if not 0 < self.sigma < math.inf:
            raise InputError(f"sigma is {self.sigma}", remedy="Give a positive finite number")
        if not isinstance(self.k, int) or self.k < 0:
            raise InputError(f"k is {self.k!r}", remedy="Give a whole number, less than half the elements of the input")

    @property
    def text(self) -> str:
        return f"general_gaussian({self.sigma!r}, {self.k})"

    @property
    def unit(self) -> float:
        return 1.0

    def check(self, size: int) -> None:
        if size < 3 or 2 * self.k >= size - 1:
            remedy = f"Give k below {(size - 1) / 2:g}" if size >= 3 else "Its inputs have three elements or more"
            raise InputError(f"{self.text} on an input of {size} elements", remedy=remedy)

    def scale(self, size: int) -> float:
        """s, of which t is in units."""
        return self.sigma * math.sqrt(size / (size - 2 * self.k))

    def draw(self, source: np.random.Generator, count: int, size: int) -> Array:
        direction = source.standard_normal((count, size))
        t = source.standard_gamma(size / 2 - self.k, count)
        length = self.scale(size) * np.sqrt(2 * t) / np.linalg.norm(direction, axis=1)
        return np.asarray(direction * length[:, None])

    def distance_of_ball(self, radius: float, p: float, size: int) -> float:
        return radius * translation(p, 2, size) * (1 + SLACK)

    def distance_of_box(self, reach: Array) -> float:
        return float(np.linalg.norm(reach)) * (1 + SLACK)

    def least(self, p: float, t: float, size: int) -> float:
        """By weak duality: ``R + (p - P) / K`` for the set of any K, here one whose mass P is near p."""
        if t <= 0 or p <= 0:
            return min(max(0.0, p), 1.0)
        p = min(p, _SUREST)
        pair = Pair(self, size, max(t, _NEAREST * self.sigma))  # what holds there holds nearer by
        return min(p, pair.bound(root(lambda c: pair.mass(c).value - p), p))

    def needed(self, t: float, size: int) -> float:
        """The probability that leaves a half: one root for all classifiers, moved up by what rounding may hide."""
        return needed(self, t, size)


@lru_cache(maxsize=1024)
def needed(noise: GeneralGaussian, t: float, size: int) -> float:
    """The probability p at the centre with ``least(p) = 1/2``, from above."""
    if t <= 0:
        return 0.5
    pair = Pair(noise, size, max(t, _NEAREST * noise.sigma))
    c = root(lambda c: pair.shifted(c).value - 0.5)
    return pair.mass(c).upper + math.exp(c) * (0.5 - pair.shifted(c).lower)  # where the dual bound of S_c is a half


@final
@dataclass(frozen=True)
class Pair:
    """The noise round two centres, ``away`` apart: masses of ``S_c = {ln p(v) - ln p(v - away) >= c}``."""

    noise: GeneralGaussian
    size: int
    away: float

    @property
    def gamma(self) -> Gamma:
        """The distribution of t."""
        return Gamma(self.size / 2 - self.noise.k)

    def outside(self, t: Array, other: Array) -> Array:
        """For v of each t: the probability that ``t`` of ``v - away`` is at least ``other``."""
        from scipy.special import betainc

        length = self.noise.scale(self.size) * np.sqrt(2 * t)
        reach = 2 * self.noise.scale(self.size) ** 2 * other
        share = ((length + self.away) ** 2 - reach) / (4 * length * self.away)
        half = (self.size - 1) / 2
        return np.asarray(betainc(half, half, np.clip(share, 0.0, 1.0)))

    def height(self, t: Array) -> Array:
        """``-ln p`` but for a constant: ``k ln t + t``."""
        return np.asarray(self.noise.k * np.log(t) + t)

    def where(self, height: Array) -> Array:
        """The t of a height; 0 where none is so low."""
        from scipy.special import wrightomega

        k = self.noise.k
        return np.maximum(height, 0.0) if k == 0 else np.asarray(k * wrightomega(height / k - math.log(k)))

    @cached_property
    def rounding(self) -> float:
        """What rounding moves a mean of :meth:`outside` by, at most.

        A share is a quotient by ``4 |v| away`` of numbers of the size ``(|v| + away)^2``, each some hundred roundings
        off with the inverse of the height; the beta distribution is nowhere steeper than ``2 C``, C the greatest
        density of a cosine. The mean of ``(|v| + away)^2 / (4 |v| away)`` is known.
        """
        from scipy.special import gammaln

        d, shape, scale = self.size, self.gamma.shape, math.sqrt(2) * self.noise.scale(self.size)
        length = scale * math.exp(gammaln(shape + 0.5) - gammaln(shape))
        inverse = math.exp(gammaln(shape - 0.5) - gammaln(shape)) / scale if shape > 0.5 else math.inf
        steep = 2 * math.exp(gammaln(d / 2) - gammaln((d - 1) / 2)) / math.sqrt(math.pi)
        return 2.0**-42 * steep * (length / (4 * self.away) + self.away * inverse / 4 + 0.5)

    def mean(self, function: Callable[[Array], Array], breaks: Iterable[float] = ()) -> Enclosed:
        """The mean over t of a function that is made of :meth:`outside`, its rounding included."""
        found = self.gamma.mean(function, breaks)
        return Enclosed(found.value, found.error + self.rounding)

    def mass(self, c: float) -> Enclosed:
        """The probability of S_c under noise round 0."""
        return self.mean(lambda t: self.outside(t, self.where(self.height(t) + c)))

    def shifted(self, c: float) -> Enclosed:
        """The same under noise round the other centre: by symmetry that of the complement of ``S_-c``."""
        found = self.mass(-c)
        return Enclosed(1.0 - found.value, found.error)

    def bound(self, c: float, p: float) -> float:
        """A lower bound of the probability at the other centre of a class that has at least ``p`` at this one."""
        mass, shifted, price = self.mass(c), self.shifted(c), math.exp(-c)
        return max(0.0, (shifted.lower + price * (p - mass.upper)) * (1 - SLACK) - SLACK * price)


def root(function: Callable[[float], float]) -> float:
    """A zero of a monotone function of a logarithm, or the end of what is worth trying on its side."""
    from scipy.optimize import brentq

    low, high = -1.0, 1.0
    while (function(low) > 0) == (function(high) > 0):
        if high > _WIDEST:
            return high if abs(function(high)) < abs(function(low)) else low
        low, high = 2 * low, 2 * high
    return float(brentq(function, low, high, xtol=1e-13, rtol=1e-14))
