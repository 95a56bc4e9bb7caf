"""Intervals of a query over ranges that are known, without torch: a point of a replay, a part of a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nnsym.bounds.base import Bounds, Interval
from nnsym.ir.intervals import Sides, interval_run, interval_step, magnitude, unbounded
from nnsym.ir.node import Node
from nnsym.ir.outward import product_up, sum_down, sum_up
from nnsym.ir.query import Query


def interval_bounds(
    query: Query, known: Mapping[Node, Sides], *, name: str, late: Callable[[], bool] = lambda: False
) -> Bounds:
    """Bounds of every node and row, named: the ``known`` ranges, those of all inputs among them, and intervals over
    them; infinite ones once ``late`` says so.
    """
    found = interval_run(query.nodes, known, late=late)
    spec, slack, weight = query.spec
    parents = tuple(found[p] for p in spec.parents)
    low, high = unbounded(spec) if late() else interval_step(spec, parents)
    most = max((float(magnitude(sides).max(initial=0.0)) for sides in parents), default=0.0)
    moved = sum_up(slack, product_up(weight, most))
    rows = Interval(sum_down(low, -moved), sum_up(high, moved), name)
    return Bounds(name, {n: Interval(*sides, name) for n, sides in found.items()}, rows)
