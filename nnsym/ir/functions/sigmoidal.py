"""Sound lines over sigmoids and tanh, in NumPy, valid in exact arithmetic.

For an increasing ``f`` that is convex left of 0 and concave right of it, on ``[l, u]``:
the upper line ``a x + b`` for *any* slope ``a`` and any ``d`` in ``[max(l, 0), u]`` has

    b = max( f(d) - a d + max(f'(d) - a, 0)(u - d) + max(a - f'(d), 0)(d - max(l, 0)),      concave part
             f(l) - a l,  f(min(u, 0)) - a min(u, 0) )                                        convex part

because f lies under its tangent at d where it is concave and under its chord where it is convex. Every value is
widened by the ulps its evaluation may be off, so neither ``a`` nor ``d`` has to be accurate. Lower lines are the
upper lines of ``-f(-x)``. Slopes as in CROWN (Zhang et al., 2018, tables 2 and 3): chord, or tangent at the middle
or through the far end.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.functions.curves import TINY, Curve, U, over_tangent

Function = Callable[[Array], Array]

_STEPS = 40  # halvings of an interval while looking for the tangent point; accuracy is not needed for soundness


def span(fn: Curve, lower: Array, upper: Array) -> tuple[Array, Array]:
    """Outward rounded range of an increasing function."""
    low, high = fn.value(lower), fn.value(upper)
    least, most = fn.limits
    return np.maximum(low - _error(fn, low), least), np.minimum(high + _error(fn, high), most)


def steepness(fn: Curve, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The least and the largest slope on an interval: the derivative falls with the distance from 0."""
    near, far = np.maximum(np.maximum(lower, -upper), 0.0), np.maximum(-lower, upper)
    slip = 2 * (fn.ulps + 4) * U
    with np.errstate(over="ignore"):
        return fn.derivative(far) * (1 - slip), fn.derivative(near) * (1 + slip)


def lines(fn: Curve, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
    """``(slope, offset)`` of a line below and of a line above ``fn`` on ``[lower, upper]``.

    The tightest ones at the point ``at``, or at the middle, which is least area: the tangent at that point, or the
    chord's part of the hull where it lies before the tangent point.
    """
    bounded = np.isfinite(lower) & np.isfinite(upper)
    lo, hi = np.where(bounded, lower, 0.0), np.where(bounded, upper, 0.0)
    high_slope, high_offset = _above(fn, fn.value, fn.derivative, lo, hi, at)
    turned = None if at is None else -at
    low_slope, mirrored = _above(fn, lambda z: -fn.value(-z), lambda z: fn.derivative(-z), -hi, -lo, turned)
    low, high = span(fn, lower, upper)
    return (
        np.where(bounded, low_slope, 0.0),
        np.where(bounded, -mirrored, low),
        np.where(bounded, high_slope, 0.0),
        np.where(bounded, high_offset, high),
    )


def band(fn: Curve, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
    """``(slope, low, high)`` with ``slope x + low <= fn(x) <= slope x + high`` on ``[lower, upper]``.

    The derivative is smallest at an end of the interval. A slope that is not above it leaves ``fn(x) - slope x``
    increasing, so that the ends give the offsets (Singh et al., Fast and Effective Robustness Certification, 2018,
    theorem 3.2).
    """
    bounded = np.isfinite(lower) & np.isfinite(upper)
    lo, hi = np.where(bounded, lower, 0.0), np.where(bounded, upper, 0.0)
    least = np.minimum(fn.derivative(lo), fn.derivative(hi))
    slope = np.maximum(least - _error(fn, least), 0.0)
    f_l, f_u = fn.value(lo), fn.value(hi)
    at_l = f_l - slope * lo - _error(fn, f_l) - 8 * U * (np.abs(f_l) + np.abs(slope * lo))
    at_u = f_u - slope * hi + _error(fn, f_u) + 8 * U * (np.abs(f_u) + np.abs(slope * hi))
    low, high = span(fn, lower, upper)
    return np.where(bounded, slope, 0.0), np.where(bounded, at_l, low), np.where(bounded, at_u, high)


def _error(fn: Curve, value: Array) -> Array:
    return 2 * (fn.ulps + 2) * U * np.abs(value) + TINY


def _above(
    fn: Curve, value: Function, slope_at: Function, lo: Array, hi: Array, at: Array | None
) -> tuple[Array, Array]:
    """Slope and offset of a line above a convex-then-concave function."""
    f_l, f_u = value(lo), value(hi)
    with np.errstate(invalid="ignore", divide="ignore"):
        chord = np.where(hi > lo, (f_u - f_l) / (hi - lo), 0.0)
    touch = _tangent_point(value, slope_at, lo, hi, f_l)
    wanted = 0.5 * lo + 0.5 * hi if at is None else at
    d = np.where(lo >= 0, wanted, np.clip(np.maximum(touch, wanted), np.maximum(lo, 0), np.maximum(hi, 0)))
    d = np.clip(d, np.maximum(lo, 0), np.maximum(hi, np.maximum(lo, 0)))
    tangent = slope_at(d)
    use_chord = (hi <= 0) | (lo < 0) & (touch >= hi)
    a = np.where(use_chord, chord, tangent)
    return a, _offset(fn, value, slope_at, lo, hi, a, d)


def _offset(fn: Curve, value: Function, slope_at: Function, lo: Array, hi: Array, a: Array, d: Array) -> Array:
    """The ``b`` of the module's formula, rounded up."""
    zero, knee = np.maximum(lo, 0), np.minimum(hi, 0)
    slope = slope_at(d)
    concave = _rise(fn, value(d), a, d) + over_tangent(slope, _error(fn, slope), a, d, (zero, hi))
    convex = np.maximum(_rise(fn, value(lo), a, lo), _rise(fn, value(knee), a, knee))
    best = np.where(hi <= 0, convex, np.where(lo >= 0, concave, np.maximum(concave, convex)))
    return best + 8 * U * np.abs(best) + TINY


def _rise(fn: Curve, value: Array, a: Array, x: Array) -> Array:
    """``f(x) - a x`` from above."""
    return np.asarray(value - a * x + _error(fn, value) + 8 * U * np.abs(a * x))


def _tangent_point(value: Function, slope_at: Function, lo: Array, hi: Array, f_l: Array) -> Array:
    """The ``d`` in ``[0, u]`` whose tangent runs through ``(l, f(l))``, or ``u`` if there is none before it."""
    low, high = np.zeros_like(hi), np.maximum(hi, 0.0)
    end = high
    for _ in range(_STEPS):
        mid = 0.5 * low + 0.5 * high
        beyond = value(mid) - slope_at(mid) * (mid - lo) > f_l  # the tangent at mid passes above (l, f(l))
        low, high = np.where(beyond, low, mid), np.where(beyond, mid, high)
    found = value(end) - slope_at(end) * (end - lo) > f_l
    return np.where(found, high, end)
