"""The real function at a point: what a verdict speaks of, decided in outward intervals or in rationals.

A small network goes through rationals at once (:mod:`nnsym.ir.rational.scaled`). A large one goes through intervals,
one for every node, and through rationals only where an interval straddles a threshold of the property.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds, Interval
from nnsym.bounds.intervals import interval_bounds
from nnsym.errors import UnsupportedError
from nnsym.ir.absent import absent_rows, partial
from nnsym.ir.array import Array
from nnsym.ir.evaluate import evaluate
from nnsym.ir.exact import nearest, round_down, round_up, to_fractions
from nnsym.ir.formula import Atoms, InBox, margin_lower, reduce_formula
from nnsym.ir.intervals import Sides
from nnsym.ir.node import Node, Point, Pointwise
from nnsym.ir.query import Query
from nnsym.ir.rational.scaled import evaluate_scaled
from nnsym.replay.values import results
from nnsym.results.clock import NEVER, Deadline

#: Up to this many coefficients rationals come at once, and up to that many where intervals do not decide.
_EXACT_FIRST, _EXACT_AT_ALL = 500_000, 50_000_000

#: Seconds that a coefficient may take in rationals; what does not fit into the time left is not begun.
_EACH = 4e-7


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class RealRun:
    """``found``: the query's formula is true there for sure. ``margin`` is not below the true one.

    ``values`` are the networks' outputs, Fractions or rounded to float64; ``by`` says what decided, ``exact`` or
    ``intervals``. ``undecided`` is true where intervals straddle a threshold and nothing finer could be had.
    """

    found: bool
    margin: float
    values: Mapping[Node, Array]
    by: str
    undecided: bool = False


def run_real(query: Query, point: Point, *, deadline: Deadline = NEVER) -> RealRun:
    """The real function of the stored constants at a point of exact numbers."""
    work, rational = query.entries, all(n.fn.exact for n in query.nodes if isinstance(n, Pointwise))
    first = _in_rationals(query, point) if rational and work <= _EXACT_FIRST else None
    if first is not None:
        return first
    found = _in_intervals(query, point, deadline.grace)
    affordable = _EXACT_FIRST < work <= _EXACT_AT_ALL and work * _EACH <= deadline.left
    second = _in_rationals(query, point) if found.undecided and rational and affordable else None
    return found if second is None else second


def _in_rationals(query: Query, point: Point) -> RealRun | None:
    """None where a function that the rows read is not defined at the point."""
    exact: dict[Node, Array] = {x: to_fractions(v) for x, v in point.items()}
    try:
        rows = evaluate_scaled(query.rows.parts, point)
    except UnsupportedError:
        return None
    read = {**exact, **{node: rows[node].fractions() for node in query.rows.parts}}
    return RealRun(
        found=query.violated(read),
        margin=query.margin(read, up=True),
        values=_shown(query, point),
        by="exact",
    )


def _shown(query: Query, point: Point) -> dict[Node, Array]:
    """The networks' outputs: Fractions, or floats where a network that no row reads is smooth."""
    wanted = results(query)
    try:
        exact = evaluate_scaled(wanted, point)
    except UnsupportedError:
        nearby: dict[Node, Array] = {x: nearest(to_fractions(v)) for x, v in point.items()}
        found = evaluate(wanted, nearby)
        return {node: found[node] for node in wanted}
    return {node: exact[node].fractions() for node in wanted}


def _in_intervals(query: Query, point: Point, deadline: Deadline) -> RealRun:
    """The formula is true if the upper ends of all rows make it so, and false if the lower ends do.

    Where the deadline passes between two layers nothing is known.
    """
    point = {x: v if v.dtype == object else v.astype(np.float64) for x, v in point.items()}  # floats stay exact
    boxes: dict[Node, Sides] = {x: (round_down(v), round_up(v)) for x, v in point.items()}
    bounds = interval_bounds(query, boxes, name="replay", late=lambda: deadline.passed)
    rows = _with_values(query, bounds)

    def holds(node: Atoms | InBox, ends: Array) -> Array:
        if isinstance(node, InBox):
            return _within(point[node.input], node)
        return np.asarray(ends[node.rows] < 0 if node.strict else ends[node.rows] <= 0)

    def truth(ends: Array) -> bool:
        def leaf(node: Atoms | InBox) -> bool:
            held = holds(node, ends)
            return bool(held.any() if isinstance(node, Atoms) and not node.every else held.all())

        return reduce_formula(query.formula, leaf, all, any)

    def atom(node: Atoms | InBox) -> Array:
        if isinstance(node, Atoms) and node.soft:
            return np.asarray(rows.upper[node.rows])
        return np.where(holds(node, rows.upper), -np.inf, np.inf)

    inside = query.inside(dict(point.items()))
    found = inside and truth(rows.upper)
    nearby: dict[Node, Array] = {x: nearest(v) for x, v in point.items()}
    values = evaluate(results(query), nearby)
    return RealRun(
        found=found,
        margin=margin_lower(query.formula, atom) if inside else np.inf,
        values={node: values[node] for node in results(query)},
        by="intervals",
        undecided=inside and not found and truth(rows.lower),
    )


def _with_values(query: Query, bounds: Bounds) -> Interval:
    """The rows' ranges; what has no value at the point is neither violated nor met."""
    rows = bounds.rows
    if not partial(query.nodes):
        return rows
    lost = absent_rows(query.rows, {node: (found.lower, found.upper) for node, found in bounds.nodes.items()})
    return Interval(np.where(lost, -np.inf, rows.lower), np.where(lost, np.inf, rows.upper), rows.source)


def _within(values: Array, box: InBox) -> Array:
    exact = to_fractions(values)
    return np.array([bool(((box.lower <= exact) & (exact <= box.upper)).all())])
