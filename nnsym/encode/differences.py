"""Cuts of two runs that a query compares: every encoding sees that their neurons move together.

With ``d = a - b`` in [l, u] by the bounds, and slopes of phi between k and K (:mod:`nnsym.bounds.pairs.gaps`), every
run has

    l <= a - b <= u
    phi(a) - phi(b) - c (a - b) <= max((k - c) l, (K - c) u)      c = (K u - k l) / (u - l)
    phi(a) - phi(b) - c (a - b) >= min((K - c) l, (k - c) u)      c = (k u - K l) / (u - l)

and, where d has one sign, the lines ``k d`` and ``K d`` through the origin. No column is added: that the gap of the
next layer is ``W (phi(a) - phi(b))`` is what the rows of both layers say already. Any float c would do, the right-hand
side is rounded outward for it. Where the bounds rest on preconditions, so do the rows.
"""

from __future__ import annotations

import numpy as np

from nnsym.builder import RowTerms, row_block
from nnsym.encoding import Context
from nnsym.ir.array import Array
from nnsym.ir.formula import Atoms, leaves
from nnsym.ir.node import Affine, Node, Pointwise
from nnsym.ir.outward import product_up, sum_down, sum_up
from nnsym.ir.pairs.difference import alike
from nnsym.ir.pairs.pairs import Pair
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge
from nnsym.program import Tag


def encode_differences(ctx: Context, query: Query) -> None:
    """Add the cuts of all pairs that the bounds know differences of."""
    hard = any(isinstance(leaf, Atoms) and not leaf.soft for leaf in leaves(query.formula))
    writer = _Writer(ctx, Tag.PRECONDITION if hard else Tag.CUT)
    for a, b in ctx.bounds.differences:
        if a not in ctx.ids or b not in ctx.ids:
            continue
        if isinstance(a, Affine) and isinstance(b, Affine):
            writer.apart(a, b)
        elif isinstance(a, Pointwise) and alike(a, b) and isinstance(a.fn, Hinge):
            writer.band(a, b, a.fn)


class _Writer:
    def __init__(self, ctx: Context, tag: Tag) -> None:
        self.ctx, self.tag = ctx, tag

    def apart(self, a: Node, b: Node) -> None:
        """The range of the difference, where the ranges of both do not give it."""
        low, high = self._gap((a, b))
        (la, ua), (lb, ub) = self.ctx.interval(a), self.ctx.interval(b)
        x, y = self.ctx.ids[a], self.ctx.ids[b]
        told = (low > sum_down(la, -ub)) | (high < sum_up(ua, -lb))
        k = np.flatnonzero(told & (x != y))
        self._rows((a, b), [(1.0, x[k]), (-1.0, y[k])], low[k], high[k], "range of the difference")

    def band(self, y: Pointwise, v: Node, fn: Hinge) -> None:
        """The two lines around the difference of open neurons; those stable in one phase move by one slope anyway."""
        a, b = y.parents[0], v.parents[0]
        if (a, b) not in self.ctx.bounds.differences:
            return
        columns = np.stack([self.ctx.ids[n] for n in (y, v, a, b)])
        low, high = self._gap((a, b))
        (la, ua), (lb, ub) = self.ctx.interval(a), self.ctx.interval(b)
        stable = (la >= 0) & (lb >= 0) | (ua <= 0) & (ub <= 0)
        kept = np.flatnonzero(~stable & np.isfinite(low) & np.isfinite(high) & _distinct(columns))
        left, right = (s[kept] for s in fn.slopes(y.size))
        least, most, low, high = np.minimum(left, right), np.maximum(left, right), low[kept], high[kept]
        slope, offset = _chord(least, most, low, high)
        self._lines((y, v), columns[:, kept], slope, upper=offset)
        slope, offset = _chord(-most, -least, low, high)  # the lower line is the upper one of the negatives
        self._lines((y, v), columns[:, kept], -slope, lower=-offset)

    def _lines(
        self, pair: Pair, columns: Array, slope: Array, *, lower: Array | float = -np.inf, upper: Array | float = np.inf
    ) -> None:
        y, v, a, b = columns
        terms: RowTerms = [(1.0, y), (-1.0, v), (-slope, a), (slope, b)]
        self._rows(pair, terms, lower, upper, "line over the gap")

    def _gap(self, pair: Pair) -> tuple[Array, Array]:
        interval = self.ctx.bounds.differences[pair]
        return interval.lower, interval.upper

    def _rows(self, pair: Pair, terms: RowTerms, lower: Array | float, upper: Array | float, says: str) -> None:
        if len(terms[0][1]):
            origin = " - ".join(self.ctx.names[node] for node in pair) + f": {says}"
            self.ctx.builder.rows(row_block(terms, lower=lower, upper=upper, tag=self.tag, origin=origin))


def _distinct(columns: Array) -> Array:
    """Where no column stands twice; -1 is the constant 0 and may."""
    ordered = np.sort(columns, axis=0)
    return np.asarray(~((ordered[1:] == ordered[:-1]) & (ordered[1:] >= 0)).any(axis=0))


def _chord(least: Array, most: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """Slope and offset of a line above ``max(least d, most d)`` on [low, high]."""
    crossing = (low < 0) & (high > 0)
    l, u = np.where(crossing, low, -1.0), np.where(crossing, high, 1.0)  # noqa: E741
    slope = (most * u - least * l) / (u - l)
    at_l, at_u = product_up(sum_down(least, -slope), l), product_up(sum_up(most, -slope), u)
    slope = np.where(crossing, slope, np.where(low >= 0, most, least))
    return slope, np.where(crossing, np.maximum(at_l, at_u), 0.0)
