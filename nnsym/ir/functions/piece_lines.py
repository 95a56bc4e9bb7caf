"""Sound lines over piecewise-linear functions, in NumPy, valid in exact arithmetic; the counterpart of
``curves``.

Below and above are edges of the convex hull of the graph over ``[l, u]`` (:mod:`nnsym.ir.functions.pieces`): of all
lines that stay on one side of the function, the edge at the middle of the interval leaves the least area, since the
area under a line is its value there times ``u - l``. For a ReLU this is CROWN's adaptive choice (Zhang et al., 2018).
Where one line of the function is left it is taken as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.functions.pieces import Profile, cells, lower_edges, profile
from nnsym.ir.functions.pieces import steepness as steepest
from nnsym.ir.outward import product_up, sum_up

if TYPE_CHECKING:
    from nnsym.ir.univariate import Piecewise

Lines = tuple[Array, Array, Array, Array]


def span(fn: Piecewise, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The range of the function, rounded outward; at a jump both limits count."""
    return profile(fn, lower, upper).span


def steepness(fn: Piecewise, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The least and the largest slope between two points of an interval, infinite over a jump."""
    least, most = steepest(fn, lower, upper)
    torn = fn.apart[0] | fn.apart[1]
    jump = (torn & (lower[..., None] <= fn.breaks) & (fn.breaks <= upper[..., None])).any(axis=-1)
    return np.where(jump, -np.inf, least), np.where(jump, np.inf, most)


def lines(fn: Piecewise, lower: Array, upper: Array) -> Lines:
    """``(slope, offset)`` of a line below and of a line above ``fn`` on ``[lower, upper]``, float64 or Fractions."""
    found, points = cells(fn, lower, upper), profile(fn, lower, upper)
    single = found.count == 1
    own, constant = found.only()
    rest = hull_lines(points, _bounded(lower, upper))
    return (
        np.where(single, own, rest[0]),
        np.where(single, constant, rest[1]),
        np.where(single, own, rest[2]),
        np.where(single, constant, rest[3]),
    )


def hull_lines(points: Profile, bounded: Array) -> Lines:
    """The edges of the points' hull over the middle of the interval; flat lines where it is not bounded."""
    low, high = points.span
    below, above = _edge(points.x, points.low, bounded), _edge(points.x, -points.high, bounded)
    return (
        np.where(bounded, below[0], 0 * below[0]),
        np.where(bounded, below[1], low),
        np.where(bounded, -above[0], 0 * above[0]),
        np.where(bounded, -above[1], high),
    )


def band(fn: Piecewise, lower: Array, upper: Array) -> tuple[Array, Array, Array]:
    """``(slope, low, high)`` with ``slope x + low <= fn(x) <= slope x + high`` on ``[lower, upper]``, of least height.

    The height is convex and piecewise linear in the slope and bends at the slopes of the hull's edges, one of which is
    therefore best (Singh et al., Fast and Effective Robustness Certification, 2018, theorem 3.1, for a ReLU).
    """
    found, points = cells(fn, lower, upper), profile(fn, lower, upper)
    slope, constant = found.only()
    single = found.count == 1
    rest = hull_band(points, _bounded(lower, upper) & ~single)
    return np.where(single, slope, rest[0]), np.where(single, constant, rest[1]), np.where(single, constant, rest[2])


def hull_band(points: Profile, bounded: Array) -> tuple[Array, Array, Array]:
    """The parallel lines of least height around the points; flat ones where they are not ``bounded``."""
    low, high = points.span
    slope, best = np.zeros_like(low), (low, high)
    x = np.where(bounded[..., None], points.x, 0.0)
    for sign, y in ((1.0, points.low), (-1.0, -points.high)):
        for edge in lower_edges(x, y):
            steep = sign * edge.slope
            new = _offsets(Profile(x, points.low, points.high), steep)
            better = bounded & edge.there & (new[1] - new[0] < best[1] - best[0])
            slope = np.where(better, steep, slope)
            best = np.where(better, new[0], best[0]), np.where(better, new[1], best[1])
    return slope, *best


def _bounded(lower: Array, upper: Array) -> Array:
    exact = lower.dtype == object  # Fractions are finite
    return np.ones(lower.shape, dtype=bool) if exact else np.isfinite(lower) & np.isfinite(upper)


def _edge(x: Array, y: Array, bounded: Array) -> tuple[Array, Array]:
    """Slope and offset of the lower edge over the middle of the interval."""
    x = x if x.dtype == object else np.where(bounded[..., None], x, 0.0)
    middle = (x[..., 0] + x[..., -1]) / 2
    slope, offset = 0 * middle, y.min(axis=-1)
    for edge in lower_edges(x, y):
        here = np.asarray(edge.there & (edge.start <= middle) & (middle <= edge.stop), dtype=bool)
        slope, offset = np.where(here, edge.slope, slope), np.where(here, edge.offset, offset)
    return slope, offset


def _offsets(points: Profile, slope: Array) -> tuple[Array, Array]:
    """The range of ``f(x) - slope x``, rounded outward."""
    steep = slope[..., None]
    low = -sum_up(-points.low, product_up(steep, points.x)).max(axis=-1)
    return low, sum_up(points.high, product_up(-steep, points.x)).max(axis=-1)
