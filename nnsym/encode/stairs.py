"""Functions that round, by an integer column y: it is an integer of a program of integers, and an Int of SMT.

    floor(h / q)          q y <= h < q y + q
    round half to even    y - 1/2 <= h <= y + 1/2, strictly where y is odd:  y = 2 j + p, p Boolean

Rows close what is strict, so that a margin form takes both limits at a jump; guarded rows are strict in solvers with
exact arithmetic. Every number is copied. Bounds of y are the function's at the ends of ``[l, u]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from nnsym.builder import row_block
from nnsym.encoding import Context, Exactness, NodeRule
from nnsym.ir.array import Array
from nnsym.ir.functions.stairs import Floor, RoundEven
from nnsym.ir.node import Node, Pointwise
from nnsym.program import Feature, Kind, Role, Tag


def floor(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """The floor of ``h / q``."""
    fn = node.fn
    assert isinstance(fn, Floor)  # rules are looked up by the type of fn
    ids, k, h = _open(ctx, node, args[0])
    terms = [(1.0, h), (-fn.unit, ids[k])]
    ctx.rows(node, terms, lower=0.0, says="h >= q y")
    if len(k):
        block = row_block(terms, upper=fn.unit, tag=Tag.NETWORK, origin=f"{ctx.names[node]}: h < q y + q")
        ctx.builder.rows(replace(block, strict=True))
    return ids


def nearest_rows(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """Rounding, closed: a tie may go either way."""
    ids, k, h = _open(ctx, node, args[0])
    ctx.rows(node, [(1.0, h), (-1.0, ids[k])], lower=-0.5, upper=0.5, says="y - 1/2 <= h <= y + 1/2")
    return ids


def nearest_cases(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """Rounding, ties to even: an odd y is nearer than a half."""
    ids = nearest_rows(ctx, node, args)
    k = np.flatnonzero(_several(ctx, node))
    h, y = args[0][k], ids[k]

    def halved(values: Mapping[Node, Array]) -> Array:
        return np.asarray(values[node][k] // 2)

    def odd(values: Mapping[Node, Array]) -> Array:
        return np.asarray(values[node][k] % 2)

    j = ctx.columns(node, Role.AUX, k, -np.inf, np.inf, kind=Kind.INTEGER, value=halved)
    p = ctx.columns(node, Role.BIT, k, 0.0, 1.0, kind=Kind.BINARY, value=odd)
    for value in (0, 1):
        ctx.implies(node, p, value, [(1.0, y), (-2.0, j)], lower=value, upper=value, says="y = 2 j + p")
    ctx.implies(node, p, 1, [(1.0, h), (-1.0, y)], lower=-0.5, upper=0.5, strict=True, says="odd => no tie")
    return ids


def _several(ctx: Context, node: Pointwise) -> Array:
    """Elements that may have several values over the bounds."""
    low, high = _range(ctx, node)
    return np.asarray(low < high)


def _range(ctx: Context, node: Pointwise) -> tuple[Array, Array]:
    lower, upper = ctx.interval(node.parents[0])
    least, most = node.fn.span(lower, upper)
    return least, most


def _open(ctx: Context, node: Pointwise, h: Array) -> tuple[Array, Array, Array]:
    """Column ids of the whole node, its open elements, and their arguments; a fixed value 0 has no column."""
    low, high = _range(ctx, node)
    ids = np.full(node.size, -1)
    fixed = np.flatnonzero((low == high) & (low != 0))
    ids[fixed] = ctx.columns(node, Role.POST, fixed, low[fixed], low[fixed])
    k = np.flatnonzero(low < high)
    ids[k] = ctx.columns(node, Role.POST, k, low[k], high[k], kind=Kind.INTEGER)
    return ids, k, h[k]


_INTEGERS = frozenset({Feature.INTEGERS})

#: Where rows are all there is; ties are closed.
STAIRS_ROWS = (
    NodeRule(Pointwise, Exactness.EXACT, floor, Floor, emits=_INTEGERS),
    NodeRule(Pointwise, Exactness.EXACT, nearest_rows, RoundEven, emits=_INTEGERS),
)

#: Where rows may be guarded.
STAIRS_CASES = (
    NodeRule(Pointwise, Exactness.EXACT, floor, Floor, emits=_INTEGERS),
    NodeRule(Pointwise, Exactness.EXACT, nearest_cases, RoundEven, emits=_INTEGERS),
)
