"""Double sampling: what two noises say together of a smoothed classifier (Li et al., ICML 2022).

Of all classifiers with probability ``p`` under noise P and ``q`` under noise Q, the least probability under P moved by
``v`` is the value of a linear program in the classifier. Its dual bounds it from below for any pair of multipliers,

    V >= R + l1 (p - P) + l2 (q - Q),    p the lower end of its interval where l1 >= 0, else the upper, q likewise,

with P, Q, R the three masses of ``S = {p(x - v) < l1 p(x) + l2 q(x)}``. So the pair is the certificate: whoever checks
it evaluates three integrals over a radius, and no optimiser need be trusted.

P and Q are general Gaussians of one k and of deviations sigma and beta. In ``t = |x|^2 / 2 s^2`` of P,
``l1 p + l2 q = L(t) p`` with ``L = l1 + m exp(-kappa t)``, ``kappa = (sigma / beta)^2 - 1`` and
``m = l2 (sigma / beta)^(d - 2k)``. Where l1 and l2 have different signs L changes its own at ``ln |m / l1| / kappa``,
and S ends there: the integrals are cut at that point and where the pieces of S open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, final

import numpy as np

from nnsym.evidence.general_gaussian import GeneralGaussian, Pair
from nnsym.evidence.quadrature import Enclosed
from nnsym.ir.array import Array


@final
@dataclass(frozen=True)
class Two:
    """Two noises of one k: that of the classifier, and a second of deviation ``beta``, on inputs of ``size``."""

    noise: GeneralGaussian
    beta: float
    size: int

    @property
    def kappa(self) -> float:
        return (self.noise.sigma / self.beta) ** 2 - 1

    @property
    def scaling(self) -> float:
        """``ln (m / l2)``."""
        return (self.size - 2 * self.noise.k) * math.log(self.noise.sigma / self.beta)

    def pair(self, away: float) -> Pair:
        return Pair(self.noise, self.size, away)


@final
@dataclass(frozen=True)
class Interval:
    """Lower and upper bounds of the probabilities of a class under either noise: at a point, or at many."""

    p: tuple[Any, Any]
    q: tuple[Any, Any]

    def at(self, point: int) -> Interval:
        """Those of one of many points."""
        sides = [tuple(float(side[point]) for side in pair) for pair in (self.p, self.q)]
        return Interval((sides[0][0], sides[0][1]), (sides[1][0], sides[1][1]))


@final
@dataclass(frozen=True)
class Dual:
    """One certificate: multipliers l1 and m (of L, see above) for inputs at distance ``away``."""

    two: Two
    away: float
    l1: float
    m: float

    @property
    def l2(self) -> float:
        return self.m * math.exp(-self.two.scaling)

    @property
    def pair(self) -> Pair:
        return self.two.pair(self.away)

    @cached_property
    def sign_change(self) -> float:
        """Where L is 0; 0 where it is nowhere."""
        if self.l1 * self.m >= 0:
            return 0.0
        return max(0.0, math.log(-self.m / self.l1) / self.two.kappa)

    def factor(self, t: Array) -> Array:
        """L."""
        return np.asarray(self.l1 + self.m * np.exp(-self.two.kappa * t))

    def inside(self, t: Array) -> Array:
        """The share of S among the points of each t."""
        factor = self.factor(t)
        logarithm = np.log(np.where(factor > 0, factor, 1.0))
        pair = self.pair
        return np.where(factor > 0, pair.outside(t, pair.where(pair.height(t) - logarithm)), 0.0)

    @cached_property
    def p(self) -> Enclosed:
        """The mass of S under P."""
        return self.pair.mean(self.inside, (self.sign_change,))

    @cached_property
    def q(self) -> Enclosed:
        """The mass of S under Q, whose own t is ``1 + kappa`` times that of P."""
        ratio = 1 + self.two.kappa
        return self.pair.mean(lambda t: self.inside(t / ratio), (self.sign_change * ratio,))

    def level(self, t: Array) -> Array:
        """``F = -ln p(x) - ln L``, which is below ``-ln p(x - v)`` in S; +inf where L <= 0."""
        factor = self.factor(t)
        with np.errstate(divide="ignore"):
            logarithm = np.log(np.where(factor > 0, factor, 0.0))
        return np.asarray(self.pair.height(t) - logarithm)

    @cached_property
    def pieces(self) -> tuple[tuple[float, float], ...]:
        """Intervals of t on each of which F is monotone, from where L becomes positive to where it ends.

        For l2 < 0 < l1 and ``A = l1 / |m|``, F' has the sign of ``h = (k + t) (A exp(kappa t) - 1) - kappa t``, convex
        in t and so of at most two zeros. For other signs F grows.
        """
        zero, end = self.sign_change, 4 * self.pair.gamma.ends[1] + 4 * self.away**2 / self.two.noise.sigma**2
        if self.m >= 0:
            stop = zero if self.l1 < 0 else end
            return ((0.0, stop),) if stop > 0 else ()
        turns = [t for t in self._turns(end) if zero < t < end]
        edges = [zero, *turns, end]
        return tuple(pairwise(edges))

    def _turns(self, end: float) -> Iterator[float]:
        from scipy.optimize import brentq

        k, kappa, ratio = self.two.noise.k, self.two.kappa, self.l1 / -self.m
        zero = self.sign_change

        def h(t: float) -> float:
            return (k + t) * (ratio * math.exp(min(kappa * t, 700.0)) - 1) - kappa * t

        def slope(t: float) -> float:
            grown = ratio * math.exp(min(kappa * t, 700.0))
            return grown * (1 + kappa * (k + t)) - 1 - kappa

        low = zero
        if h(zero) >= 0:  # no zero, or two round the least value
            if slope(zero) >= 0 or slope(end) <= 0:
                return
            low = float(brentq(slope, zero, end))
            if h(low) >= 0:
                return
            yield float(brentq(h, zero, low))
        if h(end) > 0:
            yield float(brentq(h, low, end))

    @cached_property
    def r(self) -> Enclosed:
        """The mass of S under P moved by v: for every t of the noise, the pieces of S that a sphere round v meets."""
        height, pair = self.pair.height, self.pair

        def share(t: Array) -> Array:
            total = np.zeros_like(t)
            for start, stop in self.pieces:
                total += self._crossed(t, height(t), start, stop)
            return np.clip(total, 0.0, 1.0)

        edges = np.array([t for piece in self.pieces for t in piece if t > 0])
        opens = [float(pair.where(np.array(f))) for f in self.level(edges) if np.isfinite(f)]
        return pair.mean(share, opens)

    def _crossed(self, t: Array, height: Array, start: float, stop: float) -> Array:
        """Of the sphere of each t round v: the share whose own t about 0 lies in a piece, where F < height."""
        inner = np.array([start + (stop - start) * 1e-12, stop - (stop - start) * 1e-12])
        rises = bool(np.diff(self.level(inner))[0] > 0)
        low, high = np.full_like(t, start), np.full_like(t, stop)
        for _ in range(56):
            middle = (low + high) / 2
            below = self.level(middle) < height
            up = below if rises else ~below
            low, high = np.where(up, middle, low), np.where(up, high, middle)
        ends = (np.full_like(t, start), low) if rises else (high, np.full_like(t, stop))
        return self._nearer(t, ends[1]) - self._nearer(t, ends[0])

    def _nearer(self, t: Array, other: Array) -> Array:
        """The share of the sphere of each t round v whose t about 0 is less than ``other``."""
        return 1.0 - self.pair.outside(t, other)

    def value(self, known: Interval) -> Any:
        """The lower bound of V, rounded down; of every point."""
        p = known.p[0] if self.l1 >= 0 else known.p[1]
        q = known.q[0] if self.l2 >= 0 else known.q[1]
        of_p = self.l1 * (p - (self.p.upper if self.l1 >= 0 else self.p.lower))
        of_q = self.l2 * (q - (self.q.upper if self.l2 >= 0 else self.q.lower))
        size = 1.0 + abs(of_p) + abs(of_q) + abs(self.l1) + abs(self.l2)
        return self.r.lower + of_p + of_q - 2.0**-48 * size
