"""What a pair of multipliers proves at every distance below its own."""

from __future__ import annotations

import math

from nnsym.evidence.dual import Dual, Interval, Two

#: What is given away so that a bound at one distance, with a bound of its slope, reaches the next.
MARGIN = 1e-8


def steepest(two: Two) -> float:
    """A bound of how fast any mass under P changes with v: the greatest density of one element, at 0.

    ``E[1 / |x|] Gamma(d/2) / (sqrt(pi) Gamma((d-1)/2))``, where ``E t^(-1/2) = Gamma(a - 1/2) / Gamma(a)``.
    """
    from scipy.special import gammaln

    d, shape = two.size, two.size / 2 - two.noise.k
    logarithm = gammaln(d / 2) - gammaln((d - 1) / 2) + gammaln(shape - 0.5) - gammaln(shape)
    return float(math.exp(logarithm)) / (math.sqrt(2 * math.pi) * two.noise.scale(d)) * (1 + 1e-12)


def nowhere_less(dual: Dual, known: Interval, level: float, safe: float) -> bool:
    """True if the pair gives at least ``level`` at every distance from its own down to ``safe``.

    Unless l2 < 0 < l1, S is outside a cap of every sphere round v, and its mass falls as v moves away: what the pair
    gives at a smaller distance is no less. Else the distance is walked down: the slope is bounded, so that what is
    above the level at one distance covers a step, and there the pair is evaluated again.
    """
    here = dual.value(known)
    if here < level:
        return False
    if not (dual.l2 < 0 < dual.l1):
        return True
    slope, away = steepest(dual.two), dual.away
    for _ in range(1000):
        away -= (here - level) / slope
        if away <= safe:
            return True
        here = Dual(dual.two, away, dual.l1, dual.m).value(known)
        if here <= level:
            return False
    return False
