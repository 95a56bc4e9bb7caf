"""What a smooth function of one variable says over an interval, valid in exact arithmetic: ranges, slopes, lines.

All of it follows from the value, the derivative, the points where the derivative is 0 (``extremes``), those where
the curvature changes sign (``inflections``) and those where the derivative jumps (``kinks``). Between neighbouring
extremes and kinks ``f`` is monotone, between neighbouring *cuts* (inflections and kinks) ``f'`` is, so that ends and
listed points give their ranges. A line above of *any* slope ``a`` has the offset ``max (f(x) - a x)`` over [l, u]; on
a part [p, q] without a cut that is at most

    max(f(p) - a p, f(q) - a q)                                          where f is convex,
    f(d) - a d + max(f'(d) - a, 0)(q - d) + max(a - f'(d), 0)(d - p)     where it is concave, for any d in [p, q].

Evaluation may be off by ``ulps`` units of the last place of the result or of ``unit``, whichever is larger, and listed
points by two and ``blur``; offsets are widened by that, so slopes and d need not be accurate. Lines below are lines
above ``-f``.
Where a function is not defined at every point of an interval (``defined``) nothing is known there: open bounds. Cuts
and extremes are asked for by interval, since a wave has as many as the interval is long.

The line taken is the lowest at one point m, that is the edge of the hull over m: a tangent at m, or a line that
touches left and right of m. Its slope is where ``max over x <= m`` and ``max over x >= m`` of ``f(x) - a x`` are equal,
found by secants through both touching points within a bracket.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array

#: The unit roundoff of float64, and an absolute slack that covers underflow.
U, TINY = 2.0**-53, 2.0**-800
_LARGEST = float(np.finfo(np.float64).max)
_ROUNDS, _ROUGH, _FINE = 14, 30, 60  # secants, and halvings for a slope and for an offset; no soundness rests on them


class Curve(Protocol):
    """What is asked of a function; ``bends`` says of each part between inflections whether it is convex."""

    @property
    def name(self) -> str: ...
    @property
    def ulps(self) -> int: ...
    @property
    def unit(self) -> float: ...
    @property
    def limits(self) -> tuple[float, float]: ...
    @property
    def longest(self) -> float: ...
    @property
    def blur(self) -> float: ...
    @property
    def extremes(self) -> tuple[float, ...]: ...
    @property
    def inflections(self) -> tuple[float, ...]: ...
    @property
    def bends(self) -> tuple[bool, ...]: ...
    def value(self, x: Array) -> Array: ...
    def derivative(self, x: Array) -> Array: ...
    def defined(self, lower: Array, upper: Array) -> Array: ...
    def turns(self, lower: Array) -> Iterable[Array | float]: ...
    def cuts(self, lower: Array) -> Iterable[Array | float]: ...


def convexity(fn: Curve) -> tuple[bool, ...]:
    """For every part between inflections, whether the function is convex there: whether its derivative grows.

    Raises :class:`InputError` for points that are not in order, or a curvature that does not change at each of them.
    """
    for points, what in ((fn.extremes, "extremes"), (fn.inflections, "inflections")):
        if not np.isfinite(points).all() or (np.diff(points) <= 0).any():
            raise InputError(f"its {what} are not finite numbers in order", where=f"activation '{fn.name}'")
    cuts = fn.inflections
    first, last = (cuts[0], cuts[-1]) if cuts else (1.0, -1.0)
    starts, ends = np.array([first - 2.0, *cuts]), np.array([*cuts, last + 2.0])
    with np.errstate(all="ignore"):
        slopes = [np.asarray(fn.derivative(starts + t * (ends - starts))) for t in (0.25, 0.75)]
        grows = slopes[1] - slopes[0]
        clear = np.abs(grows) > _error(fn, slopes[0]) + _error(fn, slopes[1])
    signs = np.sign(grows) * np.where(np.arange(len(grows)) % 2, -1.0, 1.0)
    found = set(signs[clear].tolist())
    if len(found) != 1:
        raise InputError(
            "its derivative does not turn at each of its inflections, and only there",
            where=f"activation '{fn.name}'",
            remedy="List every point where the curvature changes sign, in order",
        )
    return tuple((found == {1.0}) == (k % 2 == 0) for k in range(len(grows)))


def span(fn: Curve, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The range of the function over ``[lower, upper]``, which may be infinite, rounded outward."""
    low, high = _between(fn, fn.value, fn.turns(_start(lower)), lower, upper)
    with np.errstate(invalid="ignore", over="ignore"):
        long, known = ~(upper - lower <= fn.longest), fn.defined(lower, upper)
    least, most = fn.limits
    low = np.where(long, -np.inf, low)
    high = np.where(long, np.inf, high)
    return np.where(known, np.maximum(low, least), -np.inf), np.where(known, np.minimum(high, most), np.inf)


def steepness(fn: Curve, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The range of its derivative there: the least and the largest slope between two points."""
    cuts = tuple(fn.cuts(_start(lower)))
    sides = tuple(c + s * _width(fn, c) for c in cuts for s in (-1.0, 1.0))
    low, high = _between(fn, fn.derivative, (*cuts, *sides), lower, upper)
    with np.errstate(invalid="ignore", over="ignore"):
        known = fn.defined(lower, upper) & (upper - lower <= fn.longest)
    return np.where(known, low, -np.inf), np.where(known, high, np.inf)


def _start(lower: Array) -> Array:
    return np.where(np.isfinite(lower), lower, 0.0)


def _between(
    fn: Curve, function: Callable[[Array], Array], turns: Iterable[Array | float], lower: Array, upper: Array
) -> tuple[Array, Array]:
    """The range of a function that is monotone between its turns, from its values at them and at the ends."""
    _ = fn.bends  # refuses points that are no inflections
    low, high = np.full(lower.shape, np.inf), np.full(lower.shape, -np.inf)
    with np.errstate(all="ignore"):
        for x in (lower, upper, *(np.clip(t, lower, upper) for t in turns)):
            y = function(x)  # NaN at an infinity: nothing is known
            slip = _error(fn, y)
            low = np.minimum(low, np.where(np.isnan(y), -np.inf, np.minimum(y, _LARGEST) - slip))
            high = np.maximum(high, np.where(np.isnan(y), np.inf, np.maximum(y, -_LARGEST) + slip))
    return low, high


def lines(fn: Curve, lower: Array, upper: Array, at: Array | None = None) -> tuple[Array, Array, Array, Array]:
    """``(slope, offset)`` of a line below and of a line above, the tightest at the point ``at`` (None: the middle)."""
    bounded, lo, hi = _bounded(fn, lower, upper)
    here = np.clip(0.5 * lo + 0.5 * hi if at is None else at, lo, hi)
    flat = span(fn, lower, upper)
    found: list[Array] = []
    with np.errstate(all="ignore"):
        for sign in (-1.0, 1.0):
            slope, offset = np.zeros_like(lo), sign * flat[sign > 0]
            for a in _wanted(fn, sign, lo, hi, here):
                top = _offset(fn, sign, a, lo, hi)
                better = bounded & (a * here + top < slope * here + offset)
                slope, offset = np.where(better, a, slope), np.where(better, top, offset)
            found += [sign * slope, sign * offset]
    return found[0], found[1], found[2], found[3]


def band(fn: Curve, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
    """``(slope, low, high)`` with ``slope x + low <= f(x) <= slope x + high`` on ``[lower, upper]``.

    Of the chord, the least and the mean slope, and 0, the one with the smallest height.
    """
    bounded, lo, hi = _bounded(fn, lower, upper)
    low, high = span(fn, lower, upper)
    slope = np.zeros_like(lo)
    with np.errstate(all="ignore"):
        least, most = steepness(fn, lo, hi)
        for a in (_chord(fn, 1.0, lo, hi), least, most, 0.5 * least + 0.5 * most):
            top, bottom = _offset(fn, 1.0, a, lo, hi), -_offset(fn, -1.0, -a, lo, hi)
            better = bounded & (top - bottom < high - low)
            slope, low, high = (np.where(better, *pair) for pair in ((a, slope), (bottom, low), (top, high)))
    return slope, low, high


def _bounded(fn: Curve, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
    """Which intervals have lines, and these intervals; a point at which the function is defined in place of others."""
    with np.errstate(all="ignore"):
        bounded = np.isfinite(lower) & np.isfinite(upper) & (upper - lower <= fn.longest) & fn.defined(lower, upper)
    place = lower[bounded][:1] if bounded.any() else np.ones(1)
    return bounded, np.where(bounded, lower, place), np.where(bounded, upper, place)


def _error(fn: Curve, value: Array) -> Array:
    return 2 * (fn.ulps + 2) * U * np.clip(np.abs(value), fn.unit, _LARGEST) + TINY


def _wanted(fn: Curve, sign: float, lo: Array, hi: Array, at: Array) -> list[Array]:
    """Slopes worth a try for a line above ``sign f``: the chord, the tangent at a point, the hull's edge over it."""
    chord, tangent = _chord(fn, sign, lo, hi), sign * fn.derivative(at)
    if len(fn.bends) == 1:
        return [chord, tangent]
    ends = [np.clip(sign * side, -_LARGEST, _LARGEST) for side in steepness(fn, lo, hi)]
    least, most = np.minimum(*ends), np.maximum(*ends)
    a, best, height = chord, chord, np.full(lo.shape, np.inf)
    for k in range(_ROUNDS):
        (left, x), (right, z) = _peak(fn, sign, a, lo, at, _ROUGH), _peak(fn, sign, a, at, hi, _ROUGH)
        least, most = np.where(left < right, a, least), np.where(left > right, a, most)
        over = a * at + np.maximum(left, right)
        best, height = np.where(over < height, a, best), np.where(over < height, over, height)
        secant = sign * (fn.value(z) - fn.value(x)) / (z - x)
        inside = (secant > least) & (secant < most) & (k % 4 < 3)  # secants alone may creep
        a = np.where(inside, secant, 0.5 * least + 0.5 * most)
    return [chord, tangent, best, a]


def _chord(fn: Curve, sign: float, lo: Array, hi: Array) -> Array:
    return np.where(hi > lo, sign * (fn.value(hi) - fn.value(lo)) / np.where(hi > lo, hi - lo, 1.0), 0.0)


def _offset(fn: Curve, sign: float, a: Array, lo: Array, hi: Array) -> Array:
    """``max (sign f(x) - a x)`` over [lo, hi], rounded up; infinite where it cannot be had."""
    top = _peak(fn, sign, a, lo, hi, _FINE)[0]
    top = top + 8 * U * np.abs(top) + TINY
    return np.where(np.isfinite(a) & ~np.isnan(top), top, np.inf)


def _peak(fn: Curve, sign: float, a: Array, lo: Array, hi: Array, steps: int) -> tuple[Array, Array]:
    """A bound from above of ``sign f(x) - a x`` over [lo, hi], and about where it is attained."""
    best, place = np.full(lo.shape, -np.inf), lo
    cuts = [np.asarray(c) for c in fn.cuts(lo)]
    if len(fn.bends) != len(cuts) + 1:
        raise InputError(
            f"it has {len(cuts)} inflections and kinks, and bends of {len(fn.bends)} parts",
            where=f"activation '{fn.name}'",
            remedy="Say in bends of every part between them whether it is convex there",
        )
    units = [_width(fn, c) for c in cuts]
    starts = [np.asarray(-np.inf), *(c + w for c, w in zip(cuts, units, strict=True))]
    ends = [*(c - w for c, w in zip(cuts, units, strict=True)), np.asarray(np.inf)]
    for start, end, convex in zip(starts, ends, fn.bends, strict=True):
        there = (hi >= start) & (lo <= end)
        if not there.any():
            continue
        p, q = np.clip(start, lo, hi), np.clip(end, lo, hi)
        for top, x in _ends(fn, sign, a, p, q) if convex == (sign > 0) else _inside(fn, sign, a, p, q, steps):
            place = np.where(there & (top > best), x, place)
            best = np.where(there, np.maximum(top, best), best)  # NaN stays
    for cut, width in zip(cuts, units, strict=True):  # between the parts, where a listed point may be off
        near = (cut + 2 * width >= lo) & (cut - 2 * width <= hi)
        x = np.clip(cut, lo, hi)
        beside = [fn.derivative(np.clip(cut + side * width, lo, hi)) for side in (-1.0, 0.0, 1.0)]
        steep = np.max([np.abs(slope) + _error(fn, slope) for slope in beside], axis=0)
        top = _rise(fn, sign, a, x) + 4 * width * (steep + np.abs(a))
        place = np.where(near & (top > best), x, place)
        best = np.where(near, np.maximum(top, best), best)
    return best, place


def _width(fn: Curve, cut: Array | float) -> Array:
    """By how much a listed point may be off."""
    return np.asarray(2 * np.spacing(np.abs(cut)) + fn.blur * np.abs(cut))


def _ends(fn: Curve, sign: float, a: Array, p: Array, q: Array) -> list[tuple[Array, Array]]:
    """Where ``sign f`` is convex."""
    return [(_rise(fn, sign, a, p), p), (_rise(fn, sign, a, q), q)]


def _inside(fn: Curve, sign: float, a: Array, p: Array, q: Array, steps: int) -> list[tuple[Array, Array]]:
    """Where ``sign f`` is concave: from the tangent where its derivative passes ``a``, or at an end."""
    ends = [sign * fn.derivative(x) for x in (p, q)]
    d = np.where(ends[0] <= a, p, np.where(ends[1] >= a, q, _passed(fn, sign, a, p, q, steps)))
    slope = sign * fn.derivative(d)
    return [(_rise(fn, sign, a, d) + over_tangent(slope, _error(fn, slope), a, d, (p, q)), d)]


def _passed(fn: Curve, sign: float, a: Array, low: Array, high: Array, steps: int) -> Array:
    """Where the derivative passes ``a``, about, by halving: any point between will do."""
    if hasattr(low, "__outward__"):
        return np.asanyarray(low.__outward__("between", (low, high, a)))
    for _ in range(steps):
        d = 0.5 * low + 0.5 * high
        before = sign * fn.derivative(d) > a
        low, high = np.where(before, d, low), np.where(before, high, d)
    return np.asanyarray(0.5 * low + 0.5 * high)


def over_tangent(slope: Array, slip: Array, a: Array, d: Array, ends: tuple[Array, Array]) -> Array:
    """By how much ``f(x) - a x`` may exceed what it is at ``d``, between ends where f is concave: along its tangent.

    ``slope`` is that of the tangent, within ``slip``.
    """
    up, down = np.maximum(slope + slip - a, 0.0), np.maximum(a - (slope - slip), 0.0)
    right, left = np.maximum(ends[1] - d, 0.0), np.maximum(d - ends[0], 0.0)
    return np.asanyarray(1.0000001 * (up * right + down * left))


def _rise(fn: Curve, sign: float, a: Array, x: Array) -> Array:
    """``sign f(x) - a x`` from above."""
    y = fn.value(x)
    return np.asanyarray(sign * y - a * x + _error(fn, y) + 8 * U * np.abs(a * x))
