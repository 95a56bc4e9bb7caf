"""Products with a factor that is 0 or 1, which are linear in two cases: ``z = c v`` with ``l <= v <= u``.

In rows, for mixed-integer programs (McCormick, Computability of global solutions to factorable nonconvex programs,
1976; exact where c is 0 or 1):

    l c <= z <= u c        v - u (1 - c) <= z <= v - l (1 - c)

Guarded, without bounds: a Boolean q with ``q => c >= 1 and z = v`` and ``not q => c <= 0 and z = 0``. Bounds are
copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nnsym.encode.rules import require_finite
from nnsym.encoding import Context, Exactness, NodeRule
from nnsym.ir.array import Array
from nnsym.ir.node import Product
from nnsym.ir.zero_one import gates, zero_one
from nnsym.program import Kind, Role


def rows(ctx: Context, node: Product, args: tuple[Array, ...]) -> Array:
    """The product ``z = c v`` of a factor c in {0, 1} by four rows (McCormick 1976), exact where c is whole."""
    ids, k, (c, v), (low, high) = _open(ctx, node, args)
    require_finite(ctx, node, low, high, k)
    z = ids[k]
    ctx.rows(node, [(1.0, z), (-low, c)], lower=0.0, says="z >= l c")
    ctx.rows(node, [(1.0, z), (-high, c)], upper=0.0, says="z <= u c")
    ctx.rows(node, [(1.0, z), (-1.0, v), (-high, c)], lower=-high, says="z >= v - u (1 - c)")
    ctx.rows(node, [(1.0, z), (-1.0, v), (-low, c)], upper=-low, says="z <= v - l (1 - c)")
    return ids


def guarded(ctx: Context, node: Product, args: tuple[Array, ...]) -> Array:
    """The product ``z = c v`` of a factor c in {0, 1} by a Boolean q: ``q => z = v`` and ``not q => z = 0``."""
    ids, k, (c, v), _ = _open(ctx, node, args)
    first = zero_one(node.parents[0])[k]
    parents = node.parents

    def chosen(values: Any) -> Array:
        return np.asarray(np.where(first, values[parents[0]][k], values[parents[1]][k]))

    q, z = ctx.columns(node, Role.BIT, k, 0.0, 1.0, kind=Kind.BINARY, value=chosen), ids[k]
    ctx.implies(node, q, 1, [(1.0, c)], lower=1.0, says="q => c >= 1")
    ctx.implies(node, q, 1, [(1.0, z), (-1.0, v)], lower=0.0, upper=0.0, says="q => z = v")
    ctx.implies(node, q, 0, [(1.0, c)], upper=0.0, says="not q => c <= 0")
    ctx.implies(node, q, 0, [(1.0, z)], lower=0.0, upper=0.0, says="not q => z = 0")
    return ids


def _open(
    ctx: Context, node: Product, args: tuple[Array, ...]
) -> tuple[Array, Array, tuple[Array, Array], tuple[Array, Array]]:
    """Column ids of the whole node, its open elements with the columns ``c`` and ``v`` of each, and the bounds of v.

    A factor that bounds fix is no factor: the product is 0 (no column) or the other one (its column).
    """
    first = zero_one(node.parents[0])
    sides = [ctx.interval(p) for p in node.parents]
    c, v = np.where(first, args[0], args[1]), np.where(first, args[1], args[0])
    (lc, uc), (lv, uv) = (tuple(np.where(mine, a, b) for a, b in zip(*sides, strict=True)) for mine in (first, ~first))
    ids = np.where((lc > 0) & (c >= 0), v, -1)
    k = np.flatnonzero((c >= 0) & (v >= 0) & (lc <= 0) & (uc >= 1))
    lower, upper = ctx.interval(node)
    ids[k] = ctx.columns(node, Role.VALUE, k, lower[k], upper[k])
    return ids, k, (c[k], v[k]), (lv[k], uv[k])


#: Where rows are all there is.
GATE_ROWS = NodeRule(Product, Exactness.EXACT, rows, when=gates)

#: Where rows may be guarded.
GATE_CASES = NodeRule(Product, Exactness.EXACT, guarded, when=gates)
