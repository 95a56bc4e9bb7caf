"""CROWN in rational arithmetic: decides the cases that lie within rounding of the threshold.

The same pass as :mod:`nnsym.bounds.engine.backward.linear` on arrays of Fractions, with the exact numbers of the boxes
and rows, for networks of affine maps, hinges, pieces and maxima. Every layer is bounded anew, so that a neuron whose
lower bound is exactly 0 is stable here. Long numbers are rounded outward where that keeps the result a lower bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.bounds.rational import exact_gaps
from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv
from nnsym.ir.domain import Box
from nnsym.ir.exact import round_down, round_up, short_slope, to_fractions
from nnsym.ir.formula import Atoms, InBox, reduce_formula
from nnsym.ir.functions import piece_lines
from nnsym.ir.functions.pieces import cells
from nnsym.ir.linear import LinearMap
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise
from nnsym.ir.pairs.difference import Difference
from nnsym.ir.pairs.paired import pair
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.ir.walk import topological
from nnsym.results.clock import NEVER, Deadline, OutOfTime

Coefficients = dict[Node, Array]

_ZERO: Any = Fraction(0)
_WORK = 300_000  # products of Fractions in the passes over hidden layers: a few seconds
_LONG = 192  # bits of a denominator from which a bound of a hidden neuron is rounded outward


def exact_margin(
    query: Query,
    bounds: Bounds,
    *,
    box: Mapping[Input, Box] | None = None,
    max_nonzeros: int = 20_000,
    deadline: Deadline = NEVER,
) -> Fraction | float | None:
    """An exact lower bound of the property's margin over ``box`` (the query's own boxes if not given).

    ``bounds`` are sound float bounds over that box. The result is a Fraction, or an infinity where the formula has
    no soft atom left to decide it; None if the network is smooth, bilinear, unbounded or has more than
    ``max_nonzeros`` coefficients, and where the ``deadline`` comes first. Where the query compares two runs, their
    differences are tried too.
    """
    boxes = {**query.boxes, **(box or {})}
    margin = _margin(query, bounds, boxes, max_nonzeros, deadline)
    paired = pair(query) if margin is not None and margin < 0 else None
    if paired is None or margin is None:
        return margin
    known = {gap: bounds.differences[key] for key, gap in paired.gaps.items() if key in bounds.differences}
    moved = {paired.nodes[node]: interval for node, interval in bounds.nodes.items()}
    rows = paired.query.rows.take(np.arange(len(query.rows)))
    gaps = paired.boxes({x: b.outer for x, b in boxes.items()})
    boxes = {x: boxes[x] if x in boxes else Box(*gaps[x]) for x in paired.query.boxes}
    both = replace(bounds, nodes={**moved, **known})
    over = _margin(replace(paired.query, rows=rows), both, boxes, max_nonzeros, deadline)
    return margin if over is None else max(margin, over)


def _margin(
    query: Query, bounds: Bounds, boxes: Mapping[Input, Box], max_nonzeros: int, deadline: Deadline
) -> Fraction | float | None:
    if any(b.empty for b in boxes.values()):
        return np.inf
    if not _fits(query, boxes, max_nonzeros):
        return None
    try:
        lower = _Exact(query, bounds, boxes, deadline).rows(bounds)
    except OutOfTime:
        return None

    def leaf(node: Atoms | InBox) -> Any:
        if isinstance(node, InBox):
            return np.inf if Box(node.lower, node.upper).intersect(boxes[node.input]).empty else -np.inf
        chosen: Any = lower[node.rows]
        if not node.soft:
            chosen = [np.inf if (v >= 0 if node.strict else v > 0) else -np.inf for v in chosen]
        return max(chosen, default=-np.inf) if node.every else min(chosen, default=np.inf)

    worst: Fraction | float = reduce_formula(
        query.formula, leaf, lambda p: max(p, default=-np.inf), lambda p: min(p, default=np.inf)
    )
    return worst


def _fits(query: Query, boxes: Mapping[Input, Box], most: int) -> bool:
    known = all(
        isinstance(n, (Input, Affine, Max, Difference))
        or (isinstance(n, Pointwise) and isinstance(n.fn, (Hinge, Piecewise)))
        for n in query.nodes
    )
    bounded = all(np.isfinite(side.astype(float)).all() for b in boxes.values() for side in (b.lower, b.upper))
    return known and bounded and _size(query) <= most


def _size(query: Query) -> int:
    maps = [m for n in query.nodes if isinstance(n, Affine) for m in n.maps]
    return sum(_entries(m) for m in maps) + sum(len(p.row) for p in query.rows.parts.values())


def _entries(linear: LinearMap) -> int:
    """Nonzeros of a map; for a convolution an upper bound that needs no matrix."""
    return linear.n_out * linear.weight[0].size if isinstance(linear, Conv) else linear.nnz


@final
class _Exact:
    """Exact intervals and lines of all nodes, parents first; raises OutOfTime where the deadline passes."""

    def __init__(self, query: Query, bounds: Bounds, boxes: Mapping[Input, Box], deadline: Deadline = NEVER) -> None:
        self.query, self.deadline = query, deadline
        self.lower: dict[Node, Array] = {}
        self.upper: dict[Node, Array] = {}
        self.lines: dict[Node, tuple[Array, Array, Array, Array]] = {}
        self.apart: dict[Node, tuple[Array, Array]] = {}
        self.budget = _WORK // max(1, _size(query))  # rows that may still be bounded anew
        for node in query.nodes:
            deadline.check()
            if isinstance(node, Input):
                self.lower[node], self.upper[node] = to_fractions(boxes[node].lower), to_fractions(boxes[node].upper)
                continue
            self._interval(node, bounds)
            if isinstance(node, Affine) and not all(isinstance(p, Input) for p in node.parents):
                self._tighten(node)
            if isinstance(node, Pointwise):
                self.lines[node] = self._hinge(node) if isinstance(node.fn, Hinge) else self._pieces(node)
            if isinstance(node, Difference):
                self._near(node)

    def seed(self) -> tuple[Coefficients, Array]:
        """The query's rows."""
        rows, seeds = self.query.rows, {}
        for node, part in rows.parts.items():
            seeds[node] = _zeros((len(rows), node.size))
            seeds[node][part.row, part.column] = to_fractions(part.coefficient)
        return seeds, to_fractions(rows.constant)

    def rows(self, bounds: Bounds) -> Array:
        """Lower bounds of the query's rows: backwards, by exact intervals, and as given; the best of them."""
        coefficients, constant = self.seed()
        plain = constant
        for node, c in coefficients.items():
            plain = plain + _total(c, np.where(c > 0, self.lower[node], self.upper[node]))
        best = np.maximum(self.below((coefficients, constant)), plain)
        known = np.isfinite(bounds.rows.lower)
        best[known] = np.maximum(best[known], to_fractions(bounds.rows.lower[known]))
        return best

    def below(self, seed: tuple[Coefficients, Array]) -> Array:
        """Exact lower bounds of affine forms over nodes, ``(rows,)``."""
        coefficients, constant = dict(seed[0]), seed[1]
        for node in topological(coefficients)[::-1]:
            c = coefficients.pop(node, None)
            if c is None:
                continue
            self.deadline.check()
            if isinstance(node, Input):
                constant = constant + _total(c, np.where(c > 0, self.lower[node], self.upper[node]))
            elif isinstance(node, Affine):
                constant = constant + _total(c, to_fractions(node.bias))
                for linear, parent in zip(node.maps, node.parents, strict=True):
                    _add(coefficients, parent, linear.adjoint(c))
            elif isinstance(node, Pointwise):
                low, high, low_offset, high_offset = self.lines[node]
                positive = c > 0
                constant = constant + _total(c, np.where(positive, low_offset, high_offset))
                _add(coefficients, node.parents[0], c * np.where(positive, low, high))
            elif isinstance(node, Max):
                constant = constant + self._maximum(node, c, coefficients)
            elif isinstance(node, Difference):
                constant = constant + self._difference(node, c, coefficients)
        return constant

    def _difference(self, node: Difference, c: Array, coefficients: Coefficients) -> Array:
        """By the lines over the gap, or ``left - right`` as it stands."""
        low, high, low_offset, high_offset = self.lines[node]
        positive = np.asarray(c > 0, dtype=bool)
        far = np.where(np.where(positive, *self.apart[node]), c, _ZERO)
        near = c - far
        _add(coefficients, node.left, far)
        _add(coefficients, node.right, -far)
        if isinstance(node.left, Pointwise):  # of maxima only the values themselves are used
            _add(coefficients, node.gap, near * np.where(positive, low, high))
        return _total(near, np.where(positive, low_offset, high_offset))

    def _near(self, node: Difference) -> None:
        """The lines over the gap, and where they are used."""
        every = np.ones(node.size, dtype=bool)
        if isinstance(node.left, Max):
            self.lines[node], self.apart[node] = (_zeros((node.size,)),) * 4, (every, every)
            return
        one, two, gap = ((self.lower[p], self.upper[p]) for p in node.parents[2:])
        lines = exact_gaps.band(exact_gaps.slope_range(node, one, two), gap)
        self.lines[node] = lines
        left, right = ((self.lower[side], self.upper[side]) for side in (node.left, node.right))
        self.apart[node] = exact_gaps.apart(lines, left, right, gap)

    def _interval(self, node: Node, bounds: Bounds) -> None:
        """Exact interval arithmetic, intersected with the given bounds."""
        if isinstance(node, Affine):
            low = high = to_fractions(node.bias)
            for linear, parent in zip(node.maps, node.parents, strict=True):
                centre = linear.apply((self.lower[parent] + self.upper[parent]) / 2)
                radius = linear.abs().apply((self.upper[parent] - self.lower[parent]) / 2)
                low, high = low + centre - radius, high + centre + radius
        elif isinstance(node, Pointwise) and isinstance(node.fn, Piecewise):
            low, high = piece_lines.span(node.fn, self.lower[node.parents[0]], self.upper[node.parents[0]])
        elif isinstance(node, Pointwise):
            a, b = self.lower[node.parents[0]], self.upper[node.parents[0]]
            ends = node.fn.value(a), node.fn.value(b)
            inside = (a < 0) & (b > 0)
            low, high = np.minimum(*ends), np.maximum(*ends)
            low, high = np.where(inside & (low > 0), _ZERO, low), np.where(inside & (high < 0), _ZERO, high)
        elif isinstance(node, Max):
            groups = node.filled
            low, high = (side[node.parents[0]][groups].max(axis=1) for side in (self.lower, self.upper))
        elif isinstance(node, Difference):
            low, high = (self.lower[node.left] - self.upper[node.right], self.upper[node.left] - self.lower[node.right])
            if isinstance(node.left, Pointwise):
                one, two, gap = ((self.lower[p], self.upper[p]) for p in node.parents[2:])
                least, most = exact_gaps.reach(exact_gaps.slope_range(node, one, two), gap)
                low, high = np.maximum(low, least), np.minimum(high, most)
        self._meet(node, np.arange(node.size), low, high)
        given = bounds.nodes.get(node)
        if given is None:
            return
        index = np.flatnonzero(np.isfinite(given.lower) & np.isfinite(given.upper))
        self._meet(node, index, to_fractions(given.lower[index]), to_fractions(given.upper[index]))

    def _meet(self, node: Node, index: Array, low: Array, high: Array) -> None:
        low, high = _shorten(low, round_down), _shorten(high, round_up)
        if node not in self.lower:
            self.lower[node], self.upper[node] = low, high
            return
        self.lower[node][index] = np.maximum(self.lower[node][index], low)
        self.upper[node][index] = np.minimum(self.upper[node][index], high)

    def _tighten(self, node: Affine) -> None:
        """A backward pass for the elements of both signs, those nearest to one sign first, as far as affordable.

        After these come elements that are beyond one line of a piecewise-linear function.
        """
        low, high = self.lower[node], self.upper[node]
        crossing = np.asarray((low < 0) & (high > 0), dtype=bool)
        wanted = crossing.copy()
        for consumer in self.query.nodes:
            if isinstance(consumer, Pointwise) and consumer.parents[0] is node and isinstance(consumer.fn, Piecewise):
                wanted |= cells(consumer.fn, low, high).count > 1
        index = np.flatnonzero(wanted)
        near = np.argsort([float(min(-low[i], high[i])) if crossing[i] else np.inf for i in index], kind="stable")
        index = np.sort(index[near[: self.budget // 2]])
        if not len(index):
            return
        self.budget -= 2 * len(index)
        rows = _zeros((2 * len(index), node.size))
        rows[np.arange(len(index)), index] = Fraction(1)
        rows[len(index) + np.arange(len(index)), index] = Fraction(-1)
        found = self.below(({node: rows}, _zeros((2 * len(index),))))
        self._meet(node, index, found[: len(index)], -found[len(index) :])

    def _hinge(self, node: Pointwise) -> tuple[Array, Array, Array, Array]:
        """Slopes and offsets below and above, valid as rationals: the offset is what the stored slope misses."""
        assert isinstance(node.fn, Hinge)
        left, right = (to_fractions(s) for s in node.fn.slopes(node.size))
        lines = _zeros((4, node.size))
        for i, (a, b) in enumerate(zip(self.lower[node.parents[0]], self.upper[node.parents[0]], strict=True)):
            if a >= 0 or b <= 0 or left[i] == right[i]:
                lines[:2, i] = right[i] if a >= 0 else left[i]
                continue
            chord = short_slope((right[i] * b - left[i] * a) / (b - a))
            gaps = ((left[i] - chord) * a, (right[i] - chord) * b)
            through = right[i] if b >= -a else left[i]
            convex = left[i] < right[i]
            lines[:, i] = (through, chord, _ZERO, max(gaps)) if convex else (chord, through, min(gaps), _ZERO)
        return lines[0], lines[1], lines[2], lines[3]

    def _pieces(self, node: Pointwise) -> tuple[Array, Array, Array, Array]:
        """Edges of the hull."""
        assert isinstance(node.fn, Piecewise)
        low, below, high, above = piece_lines.lines(node.fn, self.lower[node.parents[0]], self.upper[node.parents[0]])
        return low, high, below, above

    def _maximum(self, node: Max, c: Array, coefficients: Coefficients) -> Array:
        """Below: the member of largest lower bound. Above: that member if no other can win, else the upper bound."""
        parent, groups = node.parents[0], node.filled
        low, high = self.lower[parent][groups], self.upper[parent][groups]
        best = np.array([max(range(len(row)), key=row.__getitem__) for row in low])
        source = groups[np.arange(len(groups)), best]
        floor = self.lower[parent][source]
        decided = ((high <= floor[:, None]) | (groups == source[:, None])).all(axis=1)
        through = np.where((c > 0) | decided, c, _ZERO)
        spread = _zeros((len(c), parent.size))
        for i, column in enumerate(source):
            spread[:, column] = spread[:, column] + through[:, i]
        _add(coefficients, parent, spread)
        return _total(np.where((c < 0) & ~decided, c, _ZERO), self.upper[node])


def _shorten(values: Array, rounding: Any) -> Array:
    """Round outward the numbers that have grown long."""
    out = np.array(values, dtype=object)
    for i, v in enumerate(out):
        if v.denominator.bit_length() > _LONG:
            rounded = float(rounding(np.array([v], dtype=object))[0])
            out[i] = Fraction(rounded) if np.isfinite(rounded) else v
    return out


def _zeros(shape: tuple[int, ...]) -> Array:
    return np.full(shape, _ZERO, dtype=object)


def _total(c: Array, values: Array) -> Array:
    """``sum_i c_i values_i`` per row."""
    return np.asarray((c * values).sum(axis=1, initial=_ZERO), dtype=object)


def _add(coefficients: Coefficients, node: Node, term: Array) -> None:
    coefficients[node] = coefficients[node] + term if node in coefficients else term
