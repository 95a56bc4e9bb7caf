"""What the rules of several encodings share: what bounds decide before any row is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.encode.hinges import OpenHinges, opened, stable
from nnsym.encoding import Context, Exactness, NodeRule
from nnsym.errors import MissingBoundsError
from nnsym.ir.array import Array
from nnsym.ir.node import Max, Node, Pointwise, Product
from nnsym.ir.univariate import Hinge
from nnsym.program import Feature, ProductBlock, Role


def open_hinges(ctx: Context, node: Pointwise, h: Array) -> tuple[Array, OpenHinges]:
    """Column ids of the whole node, and its open elements.

    A stable element is linear: slope 1 shares the column of h, slope 0 has none (-1), any other slope gets
    a column and the row ``slope h - y = 0``. Open elements get a column ``y`` whose bounds include those
    of a flat side, so that ``y >= 0`` needs no row.
    """
    fn = node.fn
    assert isinstance(fn, Hinge)  # rules are looked up by the type of fn
    left, right = fn.slopes(node.size)
    l, u = ctx.interval(node.parents[0])  # noqa: E741
    fixed = stable(l, u, left, right, h)
    slope = np.where((l >= 0) | (left == right), right, left)
    ids = np.where(fixed & (slope == 1), h, -1)
    sloped = np.flatnonzero(fixed & (slope != 1) & (slope != 0) & (h >= 0))
    lower, upper = ctx.interval(node)
    ids[sloped] = ctx.columns(node, Role.POST, sloped, lower[sloped], upper[sloped])
    ctx.rows(node, [(slope[sloped], h[sloped]), (-1.0, ids[sloped])], lower=0.0, upper=0.0, says="stable: y = slope h")
    index = np.flatnonzero(~fixed)
    flat, convex = (left[index] == 0) | (right[index] == 0), left[index] <= right[index]
    low = np.where(flat & convex, np.maximum(lower[index], 0.0), lower[index])
    high = np.where(flat & ~convex, np.minimum(upper[index], 0.0), upper[index])
    ids[index] = ctx.columns(node, Role.POST, index, low, high)
    return ids, opened(index, h, ids, l, u, left, right)


def lower_lines(ctx: Context, node: Node, open_: OpenHinges) -> None:
    """``sign y >= a h`` and ``sign y >= b h``; a slope of 0 is a bound of the column already."""
    for slope, name in ((open_.a, "left"), (open_.b, "right")):
        some = np.flatnonzero(slope != 0)
        terms = [(open_.sign[some], open_.y[some]), (-slope[some], open_.h[some])]
        ctx.rows(node, terms, lower=0.0, says=f"y above its {name} line")


@final
@dataclass(frozen=True, eq=False)
class OpenGroups:
    """The groups of a maximum with several members left, one entry per pair (group, member).

    ``group`` numbers the outputs and is sorted; ``place`` is the number of the pair in the flattened
    ``groups`` of the node; ``x`` and ``y`` are column ids; ``l <= x <= u``.
    """

    group: Array
    place: Array
    x: Array
    y: Array
    l: Array  # noqa: E741
    u: Array


def open_groups(ctx: Context, node: Max, x: Array) -> tuple[Array, OpenGroups]:
    """Column ids of the whole node, and its open groups.

    A member with ``u_k <= max_j l_j`` is never needed (the member that attains the right side is kept), and one that
    is the column of another member neither: rows over all members have each column once. A group with one member left
    shares its column.
    """
    l, u = ctx.interval(node.parents[0])  # noqa: E741
    members, present = np.where(node.groups < 0, 0, node.groups), node.groups >= 0
    low, high = np.where(present, l[members], -np.inf), np.where(present, u[members], -np.inf)
    best = np.argmax(np.where(present, low, -np.inf), axis=1)
    top = low[np.arange(node.size), best]
    kept = present & (high > top[:, None])
    best = np.where(present[np.arange(node.size), best], best, np.argmax(present, axis=1))
    kept[np.arange(node.size), best] = True
    kept &= _first_of_its_column(np.where(kept, x[members], -2))
    alone = kept.sum(axis=1) == 1
    ids = np.full(node.size, -1)
    ids[alone] = x[members[alone, np.argmax(kept[alone], axis=1)]]
    index = np.flatnonzero(~alone)
    lower, upper = ctx.interval(node)
    cap = np.where(kept, high, -np.inf).max(axis=1)
    ids[index] = ctx.columns(node, Role.VALUE, index, np.maximum(lower, top)[index], np.minimum(upper, cap)[index])
    group, position = np.nonzero(kept & ~alone[:, None])
    chosen = members[group, position]
    place = group * node.groups.shape[1] + position
    return ids, OpenGroups(group, place, x[chosen], ids[group], l[chosen], u[chosen])


def _first_of_its_column(columns: Array) -> Array:
    """Which entries of ``(groups, places)`` are the first of their number in their row."""
    order = np.argsort(columns, axis=1, kind="stable")
    along = np.take_along_axis(columns, order, axis=1)
    first = np.ones_like(columns, dtype=bool)
    np.put_along_axis(first, order[:, 1:], along[:, 1:] != along[:, :-1], axis=1)
    return first


def product(ctx: Context, node: Product, args: tuple[Array, ...]) -> Array:
    """Products of two elements as bilinear equations; zero where one is constantly zero."""
    left, right = args
    lower, upper = ctx.interval(node)
    ids = np.full(node.size, -1)
    index = np.flatnonzero((left >= 0) & (right >= 0))
    ids[index] = ctx.columns(node, Role.VALUE, index, lower[index], upper[index])
    ctx.builder.products(ProductBlock(ids[index], left[index], right[index], f"{ctx.names[node]}: y = x v"))
    return ids


#: Products as they are: exact, and for solvers that take bilinear rows.
BILINEAR = NodeRule(Product, Exactness.EXACT, product, emits=frozenset({Feature.PRODUCTS}))


def require_finite(ctx: Context, node: Node, lower: Array, upper: Array, index: Array) -> None:
    """Raise :class:`MissingBoundsError` where one of the bounds ``lower``, ``upper`` of elements ``index`` is infinite.

    What a rule needs and has not got is asked of the user; nobody invents a large number in its place.
    """
    for k in np.flatnonzero(~(np.isfinite(lower) & np.isfinite(upper)))[:1]:
        raise MissingBoundsError(
            f"element {index[k]} has bounds [{lower[k]}, {upper[k]}], a finite one is needed",
            where=ctx.names[node],
            remedy="Bound all inputs in the property, or use an encoding that needs no bounds (smt)",
        )
