"""The source ``bcp``: at every node a box and a ball round the value at a centre, carried forward together.

Over the intersection of a box and a ball a row of a layer has its least value where clipping meets the sphere. With
``d = x - c`` in ``[l, u]`` and ``|d|_2 <= rho`` any split ``w = a + b`` gives the lower bound

    w d >= sum_i min(a_i l_i, a_i u_i) - rho |b|_2,

which is the least value for ``b = -mu d``, ``d = clip(-w / mu, l, u)``, ``|d|_2 = rho`` (Lee, Lee, Park, Lipschitz-
Certifiable Training with a Tight Outer Bound, 2020, section 4). The number mu is bisected in floats, the split is
charged for its rounding. Ball radii come from :mod:`distance`, and from the boxes where these are smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.base import TIMEOUT, Bounds, Interval
from nnsym.bounds.lipschitz.distance import Distance, step, unknown
from nnsym.bounds.lipschitz.merged import Weight, merged
from nnsym.bounds.lipschitz.norms import length
from nnsym.bounds.lipschitz.source import Around, round_value, widened
from nnsym.ir.array import Array
from nnsym.ir.intervals import Sides, interval_run, interval_step, unbounded
from nnsym.ir.node import Affine, Input, Node
from nnsym.ir.outward import gamma, sum_down, sum_up
from nnsym.ir.query import Query
from nnsym.results.clock import Deadline

_HALVINGS = 40
_ENTRIES = 2**22  # numbers of the rows that are bounded at once


@final
@dataclass(frozen=True, eq=False)
class Lens:
    """The intersection of a box ``[lower, upper]`` and a ball of ``radius`` round ``centre``, a float64 point."""

    lower: Array
    upper: Array
    centre: Array
    radius: float

    @staticmethod
    def of(box: Sides, value: Sides, radius: float) -> Lens:
        """Round a value that is enclosed itself."""
        centre = value[0] / 2 + value[1] / 2
        away = length(np.maximum(sum_up(value[1], -centre), sum_up(centre, -value[0])), 2)
        return Lens(sum_down(box[0], -centre), sum_up(box[1], -centre), centre, float(sum_up(radius, away)))

    def least(self, rows: Array) -> Array:
        """Lower bounds of ``rows (x - centre)``; ``rows`` of ``(m, n)``."""
        pieces = np.array_split(rows, max(1, rows.size // _ENTRIES))
        return np.concatenate([self._least(piece) for piece in pieces])

    def _least(self, rows: Array) -> Array:
        b = self._split(rows)
        a = rows - b
        corners = np.minimum(_times(a, self.lower), _times(a, self.upper))
        size = _times(np.abs(a), np.maximum(-self.lower, self.upper)).sum(axis=1)
        scale = np.maximum(np.abs(b).max(axis=1), 2.0**-300)
        norm = scale * np.sqrt(((b / scale[:, None]) ** 2).sum(axis=1)) * (1 + gamma(rows.shape[1]))
        ball = self.radius * norm if np.isfinite(self.radius) else np.zeros(len(rows))  # b is 0 without a ball
        slip = gamma(rows.shape[1] + 4) * (size + ball) + 2.0**-900
        with np.errstate(invalid="ignore"):
            found = corners.sum(axis=1) - ball - slip
        return np.where(np.isnan(found), -np.inf, found)

    def _split(self, rows: Array) -> Array:
        """The part of every row that the ball bounds."""
        low, high = np.zeros(len(rows)), np.full(len(rows), 1.0)
        largest = np.linalg.norm(rows, axis=1)
        if not 2.0**-500 < self.radius < np.inf:
            return np.zeros_like(rows)
        top = np.where(largest > 0, largest / self.radius, 1.0)  # there the ball alone is met
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            d = self._moved(rows, top * middle)
            inside = np.linalg.norm(d, axis=1) <= self.radius
            low, high = np.where(inside, low, middle), np.where(inside, middle, high)
        mu = top * high
        return np.where((largest > 0)[:, None], -mu[:, None] * self._moved(rows, mu), 0.0)

    def _moved(self, rows: Array, mu: Array) -> Array:
        return np.clip(-rows / np.maximum(mu, 2.0**-300)[:, None], self.lower, self.upper)


def _times(a: Array, b: Array) -> Array:
    """Products in which 0 times infinity is 0."""
    with np.errstate(invalid="ignore"):
        return np.where(a == 0, 0.0, a * b)


def by_balls(query: Query, *, name: str, deadline: Deadline) -> Bounds:
    """Bounds of every node and row of a query on its own domain, boxes and balls together."""
    spec, around = query.spec[0], Around.of(query)
    nodes = query.nodes if spec in query.nodes else (*query.nodes, spec)
    values = interval_run(nodes, around.centre, late=lambda: deadline.passed)
    ranges, moved = dict(around.ranges), dict(around.moved)
    for node in nodes:
        if node not in ranges:
            found = unknown(node) if deadline.passed else step(node, moved, ranges)
            own = unbounded(node) if deadline.passed else _range(node, ranges, values, moved)
            near = round_value(values[node], found.each)
            ranges[node] = np.maximum(own[0], near[0]), np.minimum(own[1], near[1])
            moved[node] = _within(found, ranges[node], values[node])
    names = {n: "domain" if isinstance(n, Input) else name for n in query.nodes}
    intervals = {n: Interval(*ranges[n], names[n]) for n in query.nodes}
    rows = widened(Interval(*ranges[spec], name), query, ranges)
    return Bounds(name, intervals, rows, ended=TIMEOUT if deadline.passed else "")


def _range(
    node: Node, ranges: Mapping[Node, Sides], values: Mapping[Node, Sides], moved: Mapping[Node, Distance]
) -> Sides:
    found = interval_step(node, tuple(ranges[p] for p in node.parents))
    weights = merged(node) if isinstance(node, Affine) else None
    if not weights or not all(np.isfinite(side).all() for n in (node, *weights) for side in values[n]):
        return found
    low, high = _rows(weights, ranges, values, moved)
    low, high = sum_down(values[node][0], low), sum_up(values[node][1], high)
    return np.maximum(found[0], low), np.minimum(found[1], high)


def _rows(
    weights: Mapping[Node, Weight],
    ranges: Mapping[Node, Sides],
    values: Mapping[Node, Sides],
    moved: Mapping[Node, Distance],
) -> Sides:
    """By how much the rows of an affine node differ from their values at the centre, at least and at most."""
    low: Array | float = 0.0
    high: Array | float = 0.0
    for below, weight in weights.items():
        lens = Lens.of(ranges[below], values[below], moved[below].two)
        off = np.zeros(len(weight.matrix))
        ends = np.maximum(np.abs(lens.lower), np.abs(lens.upper))
        if weight.slack is not None:
            off = off + _times(weight.slack, ends).sum(axis=1) * (1 + gamma(len(ends)))
        width = sum_up(values[below][1], -values[below][0])  # the lens is round the middle of the enclosed value
        off = off + _times(np.abs(weight.matrix), width).sum(axis=1) * (1 + gamma(len(width)))
        low = sum_down(low, sum_down(lens.least(weight.matrix), -off))
        high = sum_up(high, sum_up(-lens.least(-weight.matrix), off))
    return np.asarray(low), np.asarray(high)


def _within(found: Distance, range_: Sides, value: Sides) -> Distance:
    """The distance, no farther than the box reaches."""
    reach = np.maximum(sum_up(range_[1], -value[0]), sum_up(value[1], -range_[0]))
    return Distance.of(np.minimum(found.each, reach), found.one, found.two, found.inf)
