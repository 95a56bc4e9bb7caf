"""The source ``lipschitz``: every node, and every row, by its value at a centre and how far it can be from that.

    s_i(x) >= s_i(c) - L_i r,        r the distance of the domain from the centre c in any of the norms

A row is a layer merged with the one below, so ``L_i`` is the constant of that very combination of outputs: a margin
between two classes has its own (Tsuzuku et al., Lipschitz-Margin Training, 2018, section 5). With ``outputs`` the
network's outputs are bounded together and a row has the norm of its coefficients, ``sqrt 2 L`` between two classes
(their proposition 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.bounds.base import TIMEOUT, Bounds, Interval
from nnsym.bounds.lipschitz.distance import Distance, propagate, step
from nnsym.bounds.lipschitz.norms import length
from nnsym.bounds.lipschitz.rows import row_distances
from nnsym.ir.array import Array
from nnsym.ir.domain import Ball
from nnsym.ir.exact import nearest, round_up, to_fractions
from nnsym.ir.intervals import Sides, interval_run, magnitude
from nnsym.ir.node import Input, Node
from nnsym.ir.outward import gamma, sum_down, sum_up
from nnsym.ir.query import Query
from nnsym.results.clock import Deadline

_NAME = "lipschitz"  # of intervals, whatever the parameters


@final
@dataclass(frozen=True, eq=False)
class Around:
    """A point of the domain and how far every input can be from it: the centre of a ball, or of the box."""

    centre: Mapping[Node, Sides]
    moved: Mapping[Node, Distance]
    ranges: Mapping[Node, Sides]

    @staticmethod
    def of(query: Query) -> Around:
        centre: dict[Node, Sides] = {}
        moved: dict[Node, Distance] = {}
        ranges: dict[Node, Sides] = {}
        for x, box in query.boxes.items():
            low, high = box.outer
            balls = query.balls.get(x, ())
            near = nearest(balls[0].centre) if balls else _middle(low, high)
            point = np.clip(near, low, high)
            each = np.maximum(sum_up(high, -point), sum_up(point, -low))
            radii = {p: min((_radius(b, near) for b in balls if b.p == p), default=np.inf) for p in (1, 2)}
            centre[x], ranges[x] = (point, point), (low, high)
            moved[x] = Distance.of(each, one=radii[1], two=radii[2])
        return Around(centre, moved, ranges)


def _middle(low: Array, high: Array) -> Array:
    with np.errstate(invalid="ignore"):
        middle = np.clip(low / 2 + high / 2, low, high)
    ends = np.where(np.isfinite(low), low, np.where(np.isfinite(high), high, 0.0))
    return np.where(np.isfinite(middle), middle, ends)


def _radius(ball: Ball, near: Array) -> float:
    """How far the domain's part of a ball may be from ``near``, and from that point clipped to the domain's box.

    Clipping to a box moves a point no farther from the box's own points, in any of the norms.
    """
    own = ball.outer_radius
    away = round_up(np.abs(to_fractions(ball.centre) - to_fractions(near)))
    return float(sum_up(own, length(away, 1 if ball.p == 1 else 2)))


def by_constants(query: Query, *, text: str, sdp: bool, outputs: bool, deadline: Deadline) -> Bounds:
    """The bounds of one domain; ``sdp`` and ``outputs`` as in :class:`nnsym.bounds.lipschitz.sources.Lipschitz`."""
    spec, around = query.spec[0], Around.of(query)
    nodes = query.nodes if spec in query.nodes else (*query.nodes, spec)
    values, ranges = (interval_run(nodes, s, late=lambda: deadline.passed) for s in (around.centre, around.ranges))
    moved = propagate(query.nodes, around.moved, ranges, deadline=deadline)
    if spec in moved:
        each = moved[spec].each
    else:
        each = step(spec, moved, ranges, merge=not outputs, deadline=deadline).each
    if sdp and not deadline.passed:
        each = np.minimum(each, row_distances(query, moved, ranges, together=outputs, deadline=deadline))
    names = {n: "domain" if isinstance(n, Input) else _NAME for n in query.nodes}
    intervals = {n: _met(ranges[n], values[n], moved[n].each, names[n]) for n in query.nodes}
    found = _met(ranges[spec], values[spec], each, _NAME)
    return Bounds(text, intervals, widened(found, query, ranges), ended=TIMEOUT if deadline.passed else "")


def _met(range_: Sides, value: Sides, each: Array, source: str) -> Interval:
    """The interval round the value at the centre, met with a range."""
    own = Interval(range_[0], range_[1], "ibp" if source != "domain" else source)
    return own.intersect(Interval(*round_value(value, each), source))


def round_value(value: Sides, each: Array) -> Sides:
    """The values at most ``each`` from an enclosed one."""
    with np.errstate(invalid="ignore"):
        low, high = sum_down(value[0], -each), sum_up(value[1], each)
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def widened(rows: Interval, query: Query, ranges: Mapping[Node, Sides]) -> Interval:
    """With what rounding the exact rows to float64 may have moved (:meth:`nnsym.ir.rows.Rows.node`)."""
    _, slack, weight = query.spec
    if not slack.any() and not weight.any():
        return rows
    most = max((float(magnitude(ranges[p]).max(initial=0.0)) for p in query.rows.parts), default=0.0)
    extra = (slack + np.multiply(weight, most, out=np.zeros_like(weight), where=weight > 0)) * (1 + gamma(4))
    return replace(rows, lower=sum_down(rows.lower, -extra), upper=sum_up(rows.upper, extra))
