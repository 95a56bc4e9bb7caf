"""The graph of a piecewise-linear function over an interval: which of its lines are left there, and their hull.

A function with m breakpoints has 2 m + 1 *cells*: line 0, the value at breakpoint 0, line 1, and so on. Over [l, u] a
line is left if it has a part of positive length, a value at a breakpoint if it is no end of a line that is left; so a
function that is affine over [l, u] has one cell. The cells, each with its ends, are the closure of the graph: at a
jump both limits count.

The convex hull of the graph has its vertices at the ends of cells. Its lower edges start at l and go, from each vertex,
along the least slope to a later one (Jarvis' march).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import short_slope, to_fractions
from nnsym.ir.outward import product_down, product_up, sum_down, sum_up

if TYPE_CHECKING:
    from nnsym.ir.univariate import Piecewise

_LARGEST = float(np.finfo(np.float64).max)
_STEEPEST = 2.0**30  # beyond it a solver in floats can do nothing with a row


@final
@dataclass(frozen=True, eq=False)
class Cells:
    """``y = slope x + offset`` for ``low <= x <= high`` in every cell, arrays ``(..., n, 2 m + 1)``; see the module.

    ``open_low`` and ``open_high`` say where the closure adds an end to a line. Numbers of cells that are not ``alive``
    mean nothing. They are Fractions if the interval is given in Fractions.
    """

    slope: Array
    offset: Array
    low: Array
    high: Array
    alive: Array
    open_low: Array
    open_high: Array

    @property
    def count(self) -> Array:
        """How many cells are left, at least 1."""
        return np.asarray(self.alive.sum(axis=-1))

    def only(self) -> tuple[Array, Array]:
        """Slope and offset of the first cell that is left: of the function itself where no other is."""
        first = self.alive.argmax(axis=-1)[..., None]
        return tuple(np.take_along_axis(v, first, -1)[..., 0] for v in (self.slope, self.offset))  # type: ignore[return-value]


def cells(fn: Piecewise, lower: Array, upper: Array) -> Cells:
    """The cells of a function over ``[lower, upper]``, arrays ``(..., n)`` that may be infinite."""
    upper = np.where(np.asarray(upper < lower, dtype=bool), lower, upper)  # an empty interval is as good as a point
    parts = (fn.breaks, fn.slopes, fn.offsets, fn.at)
    breaks, slopes, offsets, at = map(to_fractions, parts) if lower.dtype == object else parts
    shape = (*lower.shape, fn.breaks.shape[1])
    breaks = np.broadcast_to(breaks, shape)
    l, u = lower[..., None], upper[..., None]  # noqa: E741
    inside = np.asarray((l <= breaks) & (breaks <= u), dtype=bool)
    ends = np.where(np.asarray(breaks < l, dtype=bool), l, np.where(np.asarray(breaks > u, dtype=bool), u, breaks))
    low, high = np.concatenate((l, ends), axis=-1), np.concatenate((ends, u), axis=-1)
    left, right = (np.broadcast_to(side, shape) for side in fn.apart)
    point = np.asarray(l == u, dtype=bool)
    line = np.asarray(low < high, dtype=bool)
    line |= point & (np.arange(shape[-1] + 1) == np.asarray(breaks <= l, dtype=bool).sum(axis=-1, keepdims=True))
    line[..., 1:] &= ~(point & inside & right)  # the interval is a breakpoint, and the line does not reach its value
    alone = inside & ~((line[..., :-1] & ~left) | (line[..., 1:] & ~right))
    no = np.zeros((*lower.shape, 1), dtype=bool)
    return Cells(
        slope=_woven(np.broadcast_to(slopes, line.shape), np.broadcast_to(0 * at, shape)),
        offset=_woven(np.broadcast_to(offsets, line.shape), np.broadcast_to(at, shape)),
        low=_woven(low, breaks),
        high=_woven(high, breaks),
        alive=_woven(line, alone),
        open_low=_woven(np.concatenate((no, right & inside), axis=-1), np.zeros_like(left)),
        open_high=_woven(np.concatenate((left & inside, no), axis=-1), np.zeros_like(left)),
    )


def _woven(lines: Array, points: Array) -> Array:
    """Line 0, point 0, line 1, ... along the last axis."""
    out = np.empty_like(lines, shape=(*lines.shape[:-1], 2 * points.shape[-1] + 1))
    out[..., 0::2], out[..., 1::2] = lines, points
    return out


def number(fn: Piecewise, x: Array) -> Array:
    """The cell of each point ``x`` ``(..., n)``; at a breakpoint that of a line that ends in the value, if one does."""
    left, right = fn.apart
    breaks = to_fractions(fn.breaks) if x.dtype == object else fn.breaks
    beyond, there = (np.asarray(test, dtype=bool) for test in (x[..., None] > breaks, x[..., None] == breaks))
    return np.asarray(2 * beyond.sum(axis=-1) + (there * (left + (left & ~right).astype(int))).sum(axis=-1))


def steepness(fn: Piecewise, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The least and the largest slope of a continuous function on ``[lower, upper]``."""
    found = cells(fn, lower, upper)
    infinite = np.full(found.slope.shape, np.inf, dtype=found.slope.dtype)
    least, most = np.where(found.alive, found.slope, infinite), np.where(found.alive, found.slope, -infinite)
    return least.min(axis=-1), most.max(axis=-1)


@final
@dataclass(frozen=True, eq=False)
class Profile:
    """The least and the largest value of the graph's closure at l, the breakpoints within, and u: ``(..., n, m + 2)``.

    float64 rounded outward, or Fractions. Where a position has no point of the graph ``low`` is inf and ``high`` -inf.
    """

    x: Array
    low: Array
    high: Array

    @property
    def span(self) -> tuple[Array, Array]:
        """The range of the function."""
        return self.low.min(axis=-1), self.high.max(axis=-1)


def profile(fn: Piecewise, lower: Array, upper: Array) -> Profile:
    """The graph over ``[lower, upper]`` at the ends of its cells, by position."""
    c = cells(fn, lower, upper)
    x = np.concatenate((c.low[..., 0::2], c.high[..., -1:]), axis=-1)
    values = [(c.low, 0), (c.high, 1)]
    low, high = np.full_like(x, np.inf), np.full_like(x, -np.inf)
    for ends, shift in values:
        down, up = _line(c, ends)
        for start, place in ((0, slice(shift, x.shape[-1] - 1 + shift)), (1, slice(1, -1))):
            alive = c.alive[..., start::2]
            low[..., place] = np.minimum(low[..., place], np.where(alive, down[..., start::2], np.inf))
            high[..., place] = np.maximum(high[..., place], np.where(alive, up[..., start::2], -np.inf))
    return Profile(x, low, high)


def _line(c: Cells, x: Array) -> tuple[Array, Array]:
    """``slope x + offset`` rounded down and up."""
    if c.slope.dtype == object:
        exact = c.slope * x + c.offset
        return exact, exact
    return (
        sum_down(product_down(c.slope, x), c.offset),
        sum_up(product_up(c.slope, x), c.offset),
    )


@final
@dataclass(frozen=True, eq=False)
class Edge:
    """``y >= slope x + offset``, an edge over ``[start, stop]``, where ``there``; arrays ``(..., n)``."""

    there: Array
    start: Array
    stop: Array
    slope: Array
    offset: Array


def lower_edges(x: Array, y: Array) -> Iterator[Edge]:
    """The lower hull of points ``(..., n, k)`` by increasing x, left to right; points with y = inf are none.

    Any slope gives a row: the offset is made for it, the least of ``y - slope x`` rounded down. So fractions that would
    grow long are shortened, and an edge as steep as a jump over next to nothing is flat instead.
    """
    k = x.shape[-1]
    real = np.asarray(y != np.inf, dtype=bool)
    here = real.argmax(axis=-1)
    x, y = np.where(real, x, 0 * x), np.where(real, y, 0 * x)
    for _ in range(k - 1):
        at_x, at_y = (np.take_along_axis(v, here[..., None], -1) for v in (x, y))
        ahead = real & np.asarray(x > at_x, dtype=bool)
        run = np.where(ahead, x - at_x, 1 + 0 * x)
        with np.errstate(over="ignore"):
            slopes = np.where(ahead, np.minimum((y - at_y) / run, _LARGEST), np.inf)
        best = slopes.min(axis=-1, keepdims=True)
        there = ahead.any(axis=-1)
        reached = k - 1 - np.asarray(slopes == best, dtype=bool)[..., ::-1].argmax(axis=-1)
        after = np.where(there, reached, here)
        usable = there & np.asarray(abs(best[..., 0]) <= _STEEPEST, dtype=bool)
        slope = np.where(usable, best[..., 0], 0 * x[..., 0])
        if slope.dtype == object:
            slope = np.array([short_slope(s) for s in slope.flat], dtype=object).reshape(slope.shape)
        offset = np.where(real, _minus(y, slope[..., None], x), np.inf).min(axis=-1)
        yield Edge(there, at_x[..., 0], np.take_along_axis(x, after[..., None], -1)[..., 0], slope, offset)
        here = after


def _minus(y: Array, slope: Array, x: Array) -> Array:
    """``y - slope x`` rounded down."""
    return np.asarray(y - slope * x) if y.dtype == object else sum_down(y, -product_up(slope, x))
