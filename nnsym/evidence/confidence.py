"""Confidence bounds of a probability from counts: for a number of samples fixed in advance, and for one that is not.

Fixed: Clopper and Pearson 1934, ``P(X >= k; n, p) = I_p(k, n - k + 1)``, whose root in p is a quantile of the beta
distribution. Anytime: mixtures of likelihood ratios, martingales under the hypothesis, exceed ``1 / alpha`` at any
time whatsoever with probability at most alpha (Ville 1939; Robbins 1970).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array

#: What bounds are moved outward by, relatively: SciPy's quantiles miss the level by up to some 1e-12.
_SLACK = 1e-9

#: The least probability of error that is taken: one minus it is a float below 1, and parts of it do not underflow.
_LEAST = 1e-15


def check_alpha(alpha: object) -> None:
    """Raise unless it is a probability of error."""
    if not isinstance(alpha, (int, float)) or not _LEAST <= alpha < 1:
        remedy = f"Give the probability of error, from {_LEAST:g} to below 1, as 0.001"
        raise InputError(f"alpha is {alpha!r}", remedy=remedy)


def _rounding(n: Any) -> Any:
    """More than the logarithms of n samples lose to rounding: they are some n in size, relatively 1e-15 off."""
    return 1e-11 * (1 + n)


def lower(hits: int, n: int, alpha: float) -> float:
    """A bound that exceeds the probability with probability at most ``alpha``, for ``n`` fixed beforehand."""
    from scipy.special import betainc, betaincinv

    if hits == 0:
        return 0.0
    found = float(betaincinv(hits, n - hits + 1, alpha)) * (1 - _SLACK)
    while found > 0 and betainc(hits, n - hits + 1, found) > alpha:  # far tails, where the quantile is less exact
        found *= 1 - 1e-3
    return found


def upper(hits: int, n: int, alpha: float) -> float:
    """A bound that is below the probability with probability at most ``alpha``."""
    return min(1.0, math.nextafter(1.0 - lower(n - hits, n, alpha), 2.0))


def anytime_lower(hits: int, n: int, alpha: float) -> float:
    """The same as :func:`lower` where sampling may have stopped at any time, for any reason.

    The uniform mixture ``B(k+1, n-k+1) / (p^k (1-p)^(n-k))`` falls in p below k/n; every p with a value of 1 / alpha or
    more there is ruled out.
    """
    from scipy.special import betaln

    if hits == 0:
        return 0.0
    mixed, wanted = float(betaln(hits + 1, n - hits + 1)), -math.log(alpha)

    def excess(p: float) -> float:
        rest = (n - hits) * math.log1p(-p) if hits < n else 0.0
        return mixed - hits * math.log(p) - rest - wanted

    low, high = 0.0, hits / n
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if middle > 0 and excess(middle) > _rounding(n) else (low, middle)
    return low * (1 - _SLACK)


def above(hits: Array, n: Array, p: float) -> Array:
    """Logarithms of the evidence that the probability exceeds ``p``: a supermartingale wherever it does not.

    The likelihood ratio against ``p``, mixed uniformly over (p, 1):
    ``log B(k+1, n-k+1) + log(1 - I_p(k+1, n-k+1)) - log(1-p) - k log p - (n-k) log(1-p)``.
    """
    from scipy.special import betainc, betaln

    k, rest = hits.astype(np.float64), (n - hits).astype(np.float64)
    beyond = betainc(rest + 1, k + 1, 1 - p)
    with np.errstate(divide="ignore"):
        tail = np.log(beyond)
    found = betaln(k + 1, rest + 1) + tail - math.log1p(-p) - k * math.log(p) - rest * math.log1p(-p)
    return np.asarray(found - _rounding(n))


def below(hits: Array, n: Array, p: float) -> Array:
    """Logarithms of the evidence that the probability is less than ``p``."""
    return above(n - hits, n, 1 - p)
