"""Big-M: the exact mixed-integer encoding with one binary per open neuron.

For an open ReLU ``y = max(0, h)``, ``l < 0 < u``, with a binary z that is 1 on the active side:

    y >= 0    y >= h    y <= u z    y <= h - l (1 - z)

Any hinge ``y = max(a h, b h)`` with a < b (leaky ReLU, absolute value) is the same after the line ``a h`` is
subtracted, and a concave hinge is one turned upside down:

    y >= a h    y >= b h    y <= a h + (b - a) u z    y <= b h - (b - a) l (1 - z)

Each M is the largest value the row has to give way by, rounded up; l and u are copied from the bounds. Stable
neurons have no binary, and no column where their slope is 0 or 1.

A maximum ``y = max_k x_k`` of members ``l_k <= x_k <= u_k`` that bounds leave open (sharp for independent x_k):

    y >= x_k    y <= sum_k t_k    t_k <= u_k z_k    t_k <= x_k - l_k (1 - z_k)    sum_k z_k = 1

A piecewise-linear function has an ordered binary for every line but the first that [l, u] leaves, 1 on the line and
beyond. With ``d_ck <= y - a_c h - b_c <= D_ck`` on line k (both 0 for k = c), for every line c

    b_c + sum_k (d_ck - d_c,k-1) z_k  <=  y - a_c h  <=  b_c + sum_k (D_ck - D_c,k-1) z_k     z_0 = 1    z_k+1 <= z_k

so a clip has two binaries, or one where one kink is open, and a hinge about any point is the hinge above. Lines that
meet bound each other by 0 on one side, which keeps h within the line's ends. The sums have to cancel exactly for k = c,
so the numbers are rounded outward to 30 bits. Where that is not enough, and where the function jumps, cells
``y = a_c h + b_c`` on ``[p_c, q_c]`` have a binary each; for every slope a that occurs

    sum_c w_c = 1    sum_c p_c w_c <= h <= sum_c q_c w_c
    sum_c min_[p_c, q_c] (y_c - a h) w_c <= y - a h <= sum_c max_[p_c, q_c] (y_c - a h) w_c

where a cell's own coefficient is its b, copied. At a jump the cells are closed: the rows allow both limits besides the
value.

Emits: linear rows, binary columns. Needs finite bounds of every open pre-activation.

Source: Tjeng, Xiao, Tedrake, Evaluating Robustness of Neural Networks with Mixed Integer Programming, ICLR 2019,
section 4.1, equations 4 and 5 (ReLU); the maximum is Balas' disjunctive formulation with y projected
(Balas, Disjunctive programming: properties of the convex hull of feasible points, 1998). Binaries of lines and cells:
the incremental and the multiple choice model (Croxton, Gendron, Magnanti, A comparison of mixed-integer programming
models for nonconvex piecewise linear cost minimization problems, 2003), without their copies of h.
"""

from __future__ import annotations

import numpy as np

from nnsym.encode.common import COMMON_ROWS
from nnsym.encode.pieces import OpenPieces, choose, open_pieces, phases
from nnsym.encode.rules import lower_lines, open_groups, open_hinges, require_finite
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule
from nnsym.ir.array import Array
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.outward import product_up, sum_down, sum_up
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.program import Feature, Kind, Role


def hinge(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """ReLU and its relatives."""
    ids, o = open_hinges(ctx, node, args[0])
    require_finite(ctx, node.parents[0], o.l, o.u, o.index)
    z = ctx.columns(node, Role.PHASE, o.index, 0.0, 1.0, kind=Kind.BINARY)
    rise = sum_up(o.b, -o.a)
    m_left, m_right = product_up(rise, o.u), product_up(rise, -o.l)
    lower_lines(ctx, node, o)
    ctx.rows(node, [(o.sign, o.y), (-o.a, o.h), (-m_left, z)], upper=0.0, says="y <= a h + (b - a) u z")
    ctx.rows(node, [(o.sign, o.y), (-o.b, o.h), (m_right, z)], upper=m_right, says="y <= b h - (b - a) l (1 - z)")
    return ids


def pieces(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """Clip, sign and their relatives."""
    ids, open_ = open_pieces(ctx, node, args[0])
    for o in open_:
        require_finite(ctx, node.parents[0], o.l, o.u, o.index)
        simple = _ordered(ctx, node, o) if o.continuous else np.zeros(len(o.index), dtype=bool)
        if not simple.all():
            _cells(ctx, node, o.take(~simple))
    return ids


def _ordered(ctx: Context, node: Pointwise, o: OpenPieces) -> Array:
    """Lines that meet, with a binary for each but the first; which elements can be stated without rounding."""
    count = len(o.slope)
    rows = [(sign, *_deviations(sign, o, c)) for c in range(count) for sign in (1.0, -1.0)]
    simple = np.asarray(np.all([exact for *_, exact in rows], axis=0))
    if not simple.any():
        return simple
    part = o.take(simple)
    z = phases(ctx, node, part)
    said: list[Array] = []
    for k, (sign, most, top, _) in enumerate(rows):
        slope, side = part.slope[k // 2], "below" if sign > 0 else "above"
        row = np.stack([-sign * slope, *-np.diff(most[:, simple], axis=0), top[simple]])
        new = (row[:-1] != 0).any(axis=0)  # else it is a bound of the column
        for before in said[k % 2 :: 2]:  # of lines with one slope
            new &= (row != before).any(axis=0)
        said.append(row)
        some = np.flatnonzero(new)
        terms = [(sign, part.y[some]), *((c[some], column[some]) for c, column in zip(row, (part.h, *z), strict=False))]
        ctx.rows(node, terms, upper=row[-1, some], says=f"y {side} line {k // 2} and what others add")
    return simple


def _deviations(sign: float, o: OpenPieces, c: int) -> tuple[Array, Array, Array]:
    """``D`` with ``sign (y - a_c h - b_c) <= D_k`` on line k, ``sign b_c + D_0``, and where that is exact."""
    a, b = sign * o.slope, sign * o.offset
    most = []
    for k in range(len(a)):
        ends = [sum_up(_most(a[c], a[k], b[k], x), -b[c]) for x in (o.low[k], o.high[k])]
        meet = np.maximum(*ends) if abs(k - c) > 1 else np.maximum(ends[1 if k > c else 0], 0.0)  # at the far end, or 0
        most.append(meet if k != c else np.zeros_like(meet))
    table = np.stack(most)
    with np.errstate(divide="ignore", invalid="ignore"):  # of tiny numbers the grid is 0: they are not simple
        grid = 2.0 ** (np.frexp(np.abs(table).max(axis=0))[1] - 30)
        table = np.ceil(table / grid) * grid
    top = sum_up(b[c], table[0])
    return table, top, np.isfinite(table).all(axis=0) & (top == sum_down(b[c], table[0]))


def _cells(ctx: Context, node: Pointwise, o: OpenPieces) -> None:
    """Any number of cells; every row sums over all of them."""
    w = choose(ctx, node, o)
    ctx.rows(node, [(1.0, o.h), *((-p, c) for p, c in zip(o.low, w, strict=True))], lower=0.0, says="h >= sum p w")
    ctx.rows(node, [(1.0, o.h), *((-q, c) for q, c in zip(o.high, w, strict=True))], upper=0.0, says="h <= sum q w")
    for k, slope in enumerate(o.slope):
        if any((slope == before).all() for before in o.slope[:k]):
            continue
        ends = [(o.low[c], o.high[c], o.slope[c], o.offset[c]) for c in range(len(w))]
        most = [np.maximum(_most(slope, a, b, p), _most(slope, a, b, q)) for p, q, a, b in ends]
        least = [-np.maximum(_most(-slope, -a, -b, p), _most(-slope, -a, -b, q)) for p, q, a, b in ends]
        terms = [(1.0, o.y), (-slope, o.h)]
        high, low = ([*terms, *((-r, c) for r, c in zip(side, w, strict=True))] for side in (most, least))
        ctx.rows(node, high, upper=0.0, says="y - a h <= sum max w")
        ctx.rows(node, low, lower=0.0, says="y - a h >= sum min w")


def _most(slope: Array, a: Array, b: Array, x: Array) -> Array:
    """``a x + b - slope x`` rounded up; exact where the slopes are equal."""
    steep = np.where(x >= 0, sum_up(a, -slope), sum_down(a, -slope))
    return sum_up(product_up(steep, x), b)


def maximum(ctx: Context, node: Max, args: tuple[Array, ...]) -> Array:
    """Maxima over groups, and so max-pooling."""
    ids, o = open_groups(ctx, node, args[0])
    require_finite(ctx, node, o.l, o.u, o.group)
    z = ctx.columns(node, Role.CHOICE, o.place, 0.0, 1.0, kind=Kind.BINARY)
    low, high = np.minimum(o.l, 0.0), np.maximum(o.u, 0.0)
    t = ctx.builder.columns(ctx.names[node], Role.AUX, o.place, low, high, factors=(o.x, z))
    ctx.rows(node, [(1.0, o.y), (-1.0, o.x)], lower=0.0, says="y >= x_k")
    ctx.rows(node, [(1.0, t), (-o.u, z)], upper=0.0, says="t_k <= u_k z_k")
    ctx.rows(node, [(1.0, t), (-1.0, o.x), (-o.l, z)], upper=-o.l, says="t_k <= x_k - l_k (1 - z_k)")
    ctx.sums(node, o.group, [(1.0, z)], lower=1.0, upper=1.0, says="one member is chosen")
    ctx.sums(node, o.group, [(-1.0, t)], head=ids, upper=0.0, says="y <= sum_k t_k")
    return ids


BIGM = Encoding(
    name="bigm",
    summary="exact MILP, one binary per open neuron",
    source="Tjeng, Xiao, Tedrake, ICLR 2019, eq. 4-5",
    form=Form.MARGIN,
    emits=frozenset({Feature.ROWS, Feature.BINARIES}),
    rules=(
        NodeRule(Pointwise, Exactness.EXACT, hinge, Hinge),
        NodeRule(Pointwise, Exactness.EXACT, pieces, Piecewise),
        NodeRule(Max, Exactness.EXACT, maximum),
        *COMMON_ROWS,
    ),
)
