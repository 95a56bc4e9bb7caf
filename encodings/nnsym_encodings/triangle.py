"""Triangle: the tightest linear relaxation of one neuron at a time (Planet, LP-ALL); no binaries.

For an open ReLU ``y = max(0, h)``, ``l < 0 < u``, the convex hull of its graph over [l, u]:

    y >= 0    y >= h    (u - l) y - u h <= -u l

Any hinge ``y = max(a h, b h)`` with a < b, and upside down the concave ones:

    y >= a h    y >= b h    (u - l) y - (b u - a l) h <= (b - a) u (-l)

Any other piecewise-linear function (clip, sign) has as hull the edges through the ends of its lines over [l, u], at a
jump through both limits and the value; on either side there is at most one edge more than breakpoints inside:

    y >= (f(q) - f(p)) / (q - p) (h - p) + f(p)  for neighbours p < q of the lower hull, and above likewise

Any other function lies between two lines over [l, u] that it names itself, a smooth one between edges of its hull, a
tangent or chord each (``nnsym.ir.functions.curves``); a hull with a curved side takes the cuts ``tangents``.
A maximum of members ``l_k <= x_k <= u_k`` has as hull over independent members ``y >= x_k`` and, for every
threshold th in ``{max_j l_j} + {u_k : u_k > max_j l_j}`` (the largest of them is a bound of y):

    y <= th + sum_k w_k (x_k - l_k),    w_k = max(u_k - th, 0) / (u_k - l_k)

A product ``y = x v`` with x in [p, P] and v in [q, Q] lies in McCormick's envelope:

    y >= q x + p v - p q    y >= Q x + P v - P Q    y <= Q x + p v - p Q    y <= q x + P v - P q

Numbers: the slopes of a row are floats near those of the formula; its right-hand side is then the largest value
of its left-hand side over the corners of the graph *for these floats*, rounded up. So every row holds in exact
arithmetic.

Emits: linear rows. Needs finite bounds of everything that is open.

Source: Ehlers, Formal Verification of Piece-Wise Linear Feed-Forward Neural Networks, ATVA 2017, section 4 (ReLU
and maximum); Salman, Yang, Zhang, Hsieh, Zhang, A Convex Relaxation Barrier to Tight Robustness Verification of
Neural Networks, NeurIPS 2019, section 3; McCormick, Mathematical Programming 10, 1976 (product). The thresholds of
the maximum are the fractional knapsack's dual.
"""

from __future__ import annotations

import numpy as np

from nnsym.encode.hinges import OpenHinges
from nnsym.encode.pieces import hull, open_pieces
from nnsym.encode.rules import OpenGroups, lower_lines, open_groups, open_hinges, require_finite
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule
from nnsym.ir.array import Array
from nnsym.ir.node import Max, Node, Pointwise, Product
from nnsym.ir.outward import group_sum_up, product_down, product_up, sum_down, sum_up
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.program import Feature, Role


def hinge(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """ReLU and its relatives."""
    ids, o = open_hinges(ctx, node, args[0])
    require_finite(ctx, node.parents[0], o.l, o.u, o.index)
    lower_lines(ctx, node, o)
    chord(ctx, node, o)
    return ids


def chord(ctx: Context, node: Node, o: OpenHinges) -> None:
    """The upper row; every float ``width`` and ``slope`` would do, because the right-hand side is made for them."""
    width = o.u - o.l
    slope = o.b * o.u - o.a * o.l
    at_l = product_up(o.l, sum_down(product_down(width, o.a), -slope))
    at_u = product_up(o.u, sum_up(product_up(width, o.b), -slope))
    top = np.maximum(np.maximum(at_l, at_u), 0.0)  # 0: the corner h = y = 0
    ctx.rows(node, [(o.sign * width, o.y), (-slope, o.h)], upper=top, says="(u-l) y - (b u - a l) h <= (b-a) u (-l)")


def pieces(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """Clip, sign and their relatives."""
    ids, open_ = open_pieces(ctx, node, args[0])
    for o in open_:
        require_finite(ctx, node.parents[0], o.l, o.u, o.index)
        hull(ctx, node, o)
    return ids


def smooth(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """Any other function between its two lines."""
    l, u = ctx.interval(node.parents[0])  # noqa: E741
    lower, upper = ctx.interval(node)
    below, low, above, high = node.fn.lines(l, u)
    y = ctx.columns(node, Role.POST, ctx.every(node), lower, upper)
    ctx.rows(node, [(1.0, y), (-below, args[0])], lower=low, says="y above its lower line")
    ctx.rows(node, [(1.0, y), (-above, args[0])], upper=high, says="y below its upper line")
    return y


def maximum(ctx: Context, node: Max, args: tuple[Array, ...]) -> Array:
    """Maxima over groups, and so max-pooling."""
    ids, o = open_groups(ctx, node, args[0])
    require_finite(ctx, node, o.l, o.u, o.group)
    ctx.rows(node, [(1.0, o.y), (-1.0, o.x)], lower=0.0, says="y >= x_k")
    numbers, start, where = np.unique(o.group, return_index=True, return_inverse=True)
    floor, cap = (np.full_like(o.l, -np.inf, shape=len(numbers)) for _ in range(2))
    np.maximum.at(floor, where, o.l)
    np.maximum.at(cap, where, o.u)
    sizes = np.bincount(where, minlength=len(numbers))
    _threshold(ctx, node, ids, o, floor)
    for k in range(int(sizes.max(initial=0))):  # the k-th member's u as threshold
        th = np.where(k < sizes, o.u[np.minimum(start + k, len(where) - 1)], np.inf)
        _threshold(ctx, node, ids, o, np.where((floor < th) & (th < cap), th, np.inf))
    return ids


def _threshold(ctx: Context, node: Max, ids: Array, o: OpenGroups, threshold: Array) -> None:
    """One row for every group with a finite threshold, for floats w near the formula's:

        y - sum_k w_k x_k <= max_j (u_j - w_j (u_j - l_j)) - sum_k w_k l_k

    The left-hand side is largest at a corner: with ``y = x_j`` it has the slope ``1 - w_j >= 0`` in x_j and
    ``-w_k <= 0`` in the others.
    """
    some = np.isfinite(threshold)[np.unique(o.group, return_inverse=True)[1]]
    group, x, l, u = o.group[some], o.x[some], o.l[some], o.u[some]  # noqa: E741
    where = np.unique(group, return_inverse=True)[1]
    th = threshold[np.isfinite(threshold)][where]
    w = np.where(u > l, np.clip((u - th) / np.where(u > l, u - l, 1.0), 0.0, 1.0), 0.0)
    top = np.full_like(u, -np.inf, shape=int(where.max(initial=-1)) + 1)
    np.maximum.at(top, where, sum_up(u, product_up(-w, sum_down(u, -l))))
    top = group_sum_up(where, product_up(-w, l), top)
    ctx.sums(node, group, [(-w, x)], head=ids, upper=top, says="y <= th + sum_k w_k (x_k - l_k)")


def product(ctx: Context, node: Product, args: tuple[Array, ...]) -> Array:
    """Products of two elements; a square (one column twice) is in :func:`_square`."""
    x, v = args
    (lx, ux), (lv, uv) = ctx.interval(node.parents[0]), ctx.interval(node.parents[1])
    lower, upper = ctx.interval(node)
    ids = np.full(node.size, -1)
    index = np.flatnonzero((x >= 0) & (v >= 0))
    for low, high, parent in ((lx, ux, node.parents[0]), (lv, uv, node.parents[1])):
        require_finite(ctx, parent, low[index], high[index], index)
    ids[index] = ctx.columns(node, Role.VALUE, index, lower[index], upper[index])
    same = index[x[index] == v[index]]
    _square(ctx, node, ids[same], x[same], np.maximum(lx, lv)[same], np.minimum(ux, uv)[same])
    k = index[x[index] != v[index]]
    for p, q in ((lx[k], lv[k]), (ux[k], uv[k])):
        terms = [(1.0, ids[k]), (-q, x[k]), (-p, v[k])]
        ctx.rows(node, terms, lower=product_down(-p, q), says="y >= q x + p v - p q")
    for p, q in ((lx[k], uv[k]), (ux[k], lv[k])):
        terms = [(1.0, ids[k]), (-q, x[k]), (-p, v[k])]
        ctx.rows(node, terms, upper=product_up(-p, q), says="y <= q x + p v - p q")
    return ids


def _square(ctx: Context, node: Node, y: Array, x: Array, l: Array, u: Array) -> None:  # noqa: E741
    """``y = x^2``: tangents at both ends, and the chord with its right-hand side made for its float slope."""
    for end in (l, u):
        ctx.rows(node, [(1.0, y), (-2.0 * end, x)], lower=product_down(-end, end), says="y >= 2 p x - p p")
    slope = l + u
    top = np.maximum(product_up(l, _off(l, slope)), product_up(u, _off(u, slope)))
    ctx.rows(node, [(1.0, y), (-slope, x)], upper=top, says="y <= (l + u) x - l u")


def _off(end: Array, slope: Array) -> Array:
    """``end - slope`` on the side that makes ``end * (end - slope)`` largest."""
    return np.where(end > 0, sum_up(end, -slope), sum_down(end, -slope))


TRIANGLE = Encoding(
    name="triangle",
    summary="LP, the hull of every neuron by itself",
    source="Ehlers, ATVA 2017; Salman et al., NeurIPS 2019",
    form=Form.MARGIN,
    emits=frozenset({Feature.ROWS, Feature.BINARIES}),
    rules=(
        NodeRule(Pointwise, Exactness.OUTER, hinge, Hinge),
        NodeRule(Pointwise, Exactness.OUTER, pieces, Piecewise),
        NodeRule(Pointwise, Exactness.OUTER, smooth),
        NodeRule(Max, Exactness.OUTER, maximum),
        NodeRule(Product, Exactness.OUTER, product),
    ),
)
