"""Double sampling at one point: multipliers that an ascent finds, and what they prove up to a distance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.errors import InputError
from nnsym.evidence import confidence
from nnsym.evidence.certificate import Certificate, Known, Samples
from nnsym.evidence.distances import MARGIN, nowhere_less
from nnsym.evidence.dual import Dual, Interval, Two
from nnsym.evidence.general_gaussian import GeneralGaussian, root
from nnsym.evidence.noise import Noise
from nnsym.evidence.pool import Pool
from nnsym.ir.array import Array


def best_dual(two: Two, away: float, known: Interval) -> Dual:
    """The pair of multipliers with the greatest bound that an ascent finds; the dual is concave in them.

    Its slope is ``(p - P, q - Q)``. l2 is in units in which the two densities of a usual radius are alike.
    """
    from scipy.optimize import minimize

    weight = math.exp(two.kappa * (two.size / 2 - two.noise.k) - two.scaling)  # l2 of a unit
    tried: list[tuple[float, Dual]] = []

    def loss(at: Array) -> tuple[float, Array]:
        dual = Dual(two, away, float(at[0]), float(at[1]) * weight * math.exp(two.scaling))
        found = dual.value(known)
        tried.append((found, dual))
        p = known.p[0] if dual.l1 >= 0 else known.p[1]
        q = known.q[0] if dual.l2 >= 0 else known.q[1]
        return -found, -np.array([p - dual.p.value, (q - dual.q.value) * weight])

    first = np.array((_plain(two, away, known.p[0]), 0.0))
    minimize(loss, first, jac=True, method="BFGS", options={"maxiter": 40, "gtol": 1e-7})
    return max(tried, key=lambda pair: pair[0])[1]


def _plain(two: Two, away: float, p: float) -> float:
    """The multiplier of the first noise alone."""
    pair = two.pair(away)
    return math.exp(-root(lambda c: pair.mass(c).value - p))


@final
@dataclass(frozen=True, kw_only=True)
class DoubleSampling(Certificate):
    """``dsrs:0.8``: half of the samples, and half of alpha, go to general Gaussian noise of 0.8 times the deviation."""

    share: float = 0.8

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(
                f"the second noise of dsrs has {self.share} of the deviation", remedy="Give 0 to 1, as 0.8"
            )

    @property
    def text(self) -> str:  # type: ignore[override]
        return f"dsrs:{self.share:g}"

    def check(self, noise: Noise, size: int) -> None:
        if not isinstance(noise, GeneralGaussian) or noise.k == 0:
            remedy = "Use nn.general_gaussian(sigma, k), k somewhat below half the number of elements"
            raise InputError(f"double sampling takes general Gaussian noise of k > 0, not {noise.text}", remedy=remedy)
        noise.check(size)

    def second(self, noise: Noise) -> Noise | None:
        assert isinstance(noise, GeneralGaussian)
        return GeneralGaussian(sigma=noise.sigma * self.share, k=noise.k)

    def known(self, evidence: Samples, alpha: float, *, uppers: bool) -> Known:
        """Both sides of both probabilities, each with a quarter of alpha."""
        if evidence.second is None:
            raise InputError("the evidence holds no second noise", remedy='Draw it with certificate="dsrs"')
        own, noise = evidence.noise, evidence.second.noise
        assert isinstance(own, GeneralGaussian)
        if not isinstance(noise, GeneralGaussian) or noise.k != own.k or noise.sigma >= own.sigma:
            raise InputError(f"{noise.text} beside {own.text} is no second noise", remedy="Give it a smaller deviation")
        hits, n, part = evidence.second.hits, evidence.second.n, alpha / 4
        other = (evidence.second.noise, confidence.lower(hits, n, part), confidence.upper(hits, n, part))
        plain = Certificate.known(self, evidence, part, uppers=uppers)
        return Known(
            noise=plain.noise,
            size=plain.size,
            top=plain.top,
            lower=plain.lower,
            upper=evidence.upper(evidence.top, part),
            uppers=plain.uppers,
            second=other,
        )

    def least(self, known: Known, t: float) -> float:
        plain = known.noise.least(known.lower, t, known.size)
        if t <= 0 or known.second is None:
            return plain
        two = self._two(known)
        interval = Interval((known.lower, known.upper), known.second[1:])
        dual = best_dual(two, t, interval)
        level = dual.value(interval) - MARGIN
        if level <= plain or not nowhere_less(dual, interval, level, self._safe(known, level, t)):
            return plain
        return float(level)

    def keep_all(self, known: Sequence[Known], t: float) -> Array:
        """Points of the same two noises share their certificates (:mod:`nnsym.evidence.pool`)."""
        two = {self._two(one) for one in known}
        if len(two) != 1 or t <= 0 or any(min(one.uppers) < 1 for one in known):
            return super().keep_all(known, t)
        sides = np.array([(one.lower, one.upper, *(one.second or (None, 0.0, 1.0))[1:]) for one in known]).T
        plain = known[0].noise.needed(t, known[0].size)
        return Pool(two.pop(), t).certified(Interval((sides[0], sides[1]), (sides[2], sides[3])), sides[0] > plain)

    @staticmethod
    def _two(known: Known) -> Two:
        assert known.second is not None
        assert isinstance(known.noise, GeneralGaussian)
        assert isinstance(known.second[0], GeneralGaussian)
        return Two(known.noise, known.second[0].sigma, known.size)

    def _safe(self, known: Known, level: float, t: float) -> float:
        """A distance up to which the first noise alone gives the level."""
        low, high = 0.0, t
        for _ in range(12):
            middle = (low + high) / 2
            low, high = (middle, high) if known.noise.least(known.lower, middle, known.size) >= level else (low, middle)
        return low

    def distance(self, known: Known) -> float:
        """By bisection between what the first noise alone certifies and where this no longer does."""
        low = known.noise.distance(known.lower, known.size)
        if low <= 0:
            return 0.0
        high = 1.5 * low
        while self.keeps(known, high) and high < 100 * low:
            low, high = high, 1.5 * high
        for _ in range(14):
            middle = (low + high) / 2
            low, high = (middle, high) if self.keeps(known, middle) else (low, middle)
        return low
