"""First-order certificates: the probability of a class and a bound of its gradient, for Gaussian noise.

In standard noise z the probability moved by r in any direction is least for a slab ``a <= z_1 <= b`` with the same
probability p and the same gradient G against the direction: ``Phi(b) - Phi(a) = p`` and ``phi(a) - phi(b) = -G``. It
gives ``Phi(b - r) - Phi(a - r)``, which falls in r. Mohapatra et al., "Higher-Order Certification for Randomized
Smoothing", NeurIPS 2020; Levine et al., "Tight Second-Order Certificates for Randomized Smoothing", 2020.

Where p exceeds a half the slab holds 0, so that more probability, or less slope, makes the value no smaller. It is of
smaller value the greater G is, up to ``G = phi(Phi^-1(p))``, a half-space: the certificate without the
gradient. So an upper confidence bound of ``|E[1_c z]|`` is needed. With X and Y its means over two halves of m samples
each, ``X Y`` differs from ``X E`` by at most ``|X| u`` and that from ``|E|^2`` by at most ``|E| u``, each but with
probability alpha / 2, where ``u = 2 sqrt(2 log(2 / alpha) / m)``: for any unit vector w and h with values in [0, 1],
``E exp(l (h w z - E h w z)) <= E cosh(l (h w z - h' w z')) <= E cosh(2 l w z) = exp(2 l^2)``, for an independent copy.
"""

from __future__ import annotations

import math
from typing import final

from nnsym.errors import InputError
from nnsym.evidence.certificate import Certificate, Known, Samples
from nnsym.evidence.noise import Gaussian, Noise, shifted


def gradient_bound(inner: float, length: float, half: int, alpha: float) -> float:
    """An upper bound of ``|E|`` from ``X Y`` and ``|X|``, over ``half`` samples each, with confidence ``1 - alpha``."""
    u = 2 * math.sqrt(2 * math.log(2 / alpha) / half)
    square = max(0.0, inner + length * u)
    return (u + math.sqrt(u * u + 4 * square)) / 2 * (1 + 1e-9)


def slab(p: float, slope: float) -> tuple[float, float]:
    """``a`` and ``b`` of the slab of probability p and gradient ``slope``, at most that of a half-space."""
    from scipy.optimize import brentq
    from scipy.special import ndtr, ndtri

    top = float(ndtri(p))
    if slope >= _density(top):
        return -math.inf, top

    def end(a: float) -> float:
        return float(ndtri(min(ndtr(a) + p, 1 - 2.0**-53)))

    low, high = -38.0, float(ndtri((1 - p) / 2))  # a half-space, and no gradient at all
    a = float(brentq(lambda a: _density(end(a)) - _density(a) - slope, low, high, xtol=1e-14))
    return a, end(a)


def _density(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def least(p: float, slope: float, t: float) -> float:
    """The probability of the slab at distance t, rounded down by more than its ends may be off."""
    from scipy.special import ndtr, ndtri

    a, b = slab(p, slope)
    plain = shifted(ndtri, ndtr, p, t)
    if a == -math.inf:
        return plain
    found = float(ndtr(b - t) - ndtr(a - t)) - 1e-10
    return max(plain, found)


@final
class FirstOrder(Certificate):
    """``order1``: half of alpha goes to the probability, half to its gradient."""

    text = "order1"
    gradient = True

    def check(self, noise: Noise, size: int) -> None:
        if not isinstance(noise, Gaussian) or isinstance(noise.scale, tuple):
            raise InputError(
                f"first-order certificates take Gaussian noise of one sigma, not {noise.text}",
                remedy='Use nn.gaussian(sigma), or certificate="np"',
            )

    def known(self, evidence: Samples, alpha: float, *, uppers: bool) -> Known:
        if evidence.gradient is None:
            raise InputError("the evidence holds no gradient", remedy='Draw it with certificate="order1"')
        plain = Certificate.known(self, evidence, alpha / 2, uppers=uppers)
        slope = gradient_bound(*evidence.gradient, evidence.n // 2, alpha / 2)
        return Known(
            noise=plain.noise, size=plain.size, top=plain.top, lower=plain.lower, uppers=plain.uppers, slope=slope
        )

    def least(self, known: Known, t: float) -> float:
        if known.slope is None or t <= 0 or not 0.5 < known.lower < 1:
            return known.noise.least(known.lower, t, known.size)
        return least(known.lower, known.slope, t)
