"""From exact rows to nodes: where a term meets a network or a nonlinear function, its numbers become float64."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import nearest
from nnsym.ir.linear import Dense, LinearMap, Scale, Select, Sparse, row_pointers
from nnsym.ir.node import Node, affine
from nnsym.ir.rows import Coefficients, Rows
from nnsym.lang.guard import bad_input
from nnsym.lang.statements.formulas import broadcast

if TYPE_CHECKING:
    from nnsym.lang.algebra.terms import Term

_BLOCK = 4096  # matrices with more entries become a node instead of being multiplied out


def is_float(rows: Rows) -> bool:
    """True if every number of the rows is a float64, so that making a node of them rounds nothing."""
    return rows.constant.dtype != object and all(p.coefficient.dtype != object for p in rows.parts.values())


def materialise(rows: Rows) -> Node:
    """The rows as a node. Coefficients that are no float64 are rounded to the nearest, here and only here."""
    if rows.whole is not None:
        return rows.whole
    terms = tuple((_linear_map(part, len(rows), parent.size), parent) for parent, part in rows.parts.items())
    return affine(terms, rounded(rows.constant))


def rounded(numbers: Array) -> Array:
    """The nearest float64 numbers; :class:`InputError` where one is beyond them all."""
    found = nearest(numbers)
    if not np.isfinite(found).all():
        raise bad_input("a function is asked of a number beyond 1.8e308", "Take smaller numbers inside of functions")
    return found


def _linear_map(part: Coefficients, n_out: int, n_in: int) -> LinearMap:
    """The leanest map with these coefficients: a selection, a diagonal, a matrix or a sparse matrix."""
    data, counts = rounded(part.coefficient), np.bincount(part.row, minlength=n_out)
    if _all_ones(part.coefficient) and counts.max(initial=0) <= 1:
        index = np.full(n_out, -1)
        index[part.row] = part.column
        return Select(index, n_in)
    if n_out == n_in == len(part.row) and (part.row == part.column).all():
        return Scale(data)
    if len(data) == n_out * n_in:
        return Dense(data.reshape(n_out, n_in))
    return Sparse(data, part.column, row_pointers(counts), n_in)


def _all_ones(coefficient: Array) -> bool:
    return bool((coefficient == 1).all())


def multiply(weights: Array, rows: Rows) -> Rows:
    """``weights @ rows`` without rounding; a large matrix stays one dense affine node."""
    if weights.size > _BLOCK and weights.dtype != object and is_float(rows):
        return Rows.of(affine(((Dense(weights), materialise(rows)),)))
    return rows.combine(weights)


def is_plain(rows: Rows) -> bool:
    """True if every row is a single element as it is, or a constant."""
    if not all(_all_ones(p.coefficient) for p in rows.parts.values()):
        return False
    counts = rows.entries
    return bool(((counts == 0) | (counts == 1) & (rows.constant == 0)).all())


def share_elements(a: Rows, b: Rows) -> bool:
    """True if some row of ``a`` and the same row of ``b`` read the same element of a node."""
    for node, mine in a.parts.items():
        theirs = b.parts.get(node)
        if theirs is None:
            continue
        places = mine.row * node.size + mine.column
        if np.isin(places, theirs.row * node.size + theirs.column).any():
            return True
    return False


def difference(left: Rows, right: Rows) -> Rows:
    """``left - right``; two expressions over the same elements stay two nodes.

    Merging ``x + y`` and ``x - y`` into one row would answer ``x + y >= x - y`` before any method saw it;
    as written, intervals give two ranges that overlap and linear bounds cancel ``x`` themselves.
    """
    if (
        not is_plain(left)
        and not is_plain(right)
        and is_float(left)
        and is_float(right)
        and share_elements(left, right)
    ):
        left, right = Rows.of(materialise(left)), Rows.of(materialise(right))
    return left - right


def aligned(left: Term, right: Term) -> tuple[Rows, Rows, tuple[int, ...]]:
    """Both terms' rows, broadcast to the common shape."""
    if left.shape == right.shape:
        return left.rows, right.rows, left.shape
    (a, b), shape = broadcast([left.shape, right.shape])
    first = left.rows if left.shape == shape else left.rows.take(a)
    return first, right.rows if right.shape == shape else right.rows.take(b), shape
