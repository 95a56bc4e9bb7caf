"""The margin of a property of class probabilities, from bounds of them: linear rows over a piece of the simplex."""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import nearest
from nnsym.ir.formula import Atoms, InBox, margin_lower
from nnsym.ir.functions.smoothed import Smoothed
from nnsym.ir.query import Query


def least_rows(coefficients: Array, constant: Array, lower: Array, upper: Array) -> Array:
    """``min C p + d`` over ``lower <= p <= upper, sum p = 1`` for every row, rounded down.

    The mass beyond ``lower`` goes where the row's coefficient is least.
    """
    order = np.argsort(coefficients, axis=1, kind="stable")
    room = (upper - lower)[order]
    before = np.cumsum(room, axis=1) - room
    rest = max(0.0, 1.0 - lower.sum())
    moved = np.clip(rest - before, 0.0, room)
    sorted_ = np.take_along_axis(coefficients, order, axis=1)
    found = coefficients @ lower + (sorted_ * moved).sum(axis=1) + constant
    size = np.abs(coefficients).max(axis=1, initial=0.0) + np.abs(constant)
    return np.asarray(found - 2.0**-50 * (coefficients.shape[1] + 4) * size)


def rows_of(query: Query, node: Smoothed) -> tuple[Array, Array]:
    """The rows of a query over one smoothed node, dense: ``(C, d)`` to nearest."""
    dense = np.zeros((len(query.rows), node.size))
    if node in query.rows.parts:
        part = query.rows.parts[node]
        dense[part.row, part.column] = nearest(part.coefficient)
    return dense, nearest(query.rows.constant)


def margin(query: Query, rows: Array) -> float:
    """The margin of the query's formula from bounds of its rows, of the side that they are bounds of.

    Inputs may lie in the boxes of the formula, and are taken to.
    """

    def atom(leaf: Atoms | InBox) -> Array:
        return np.array([-np.inf]) if isinstance(leaf, InBox) else rows[leaf.rows]

    return margin_lower(query.formula, atom)
