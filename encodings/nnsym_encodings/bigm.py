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

Emits: linear rows, binary columns. Needs finite bounds of every open pre-activation.

Source: Tjeng, Xiao, Tedrake, Evaluating Robustness of Neural Networks with Mixed Integer Programming, ICLR 2019,
section 4.1, equations 4 and 5 (ReLU); the maximum is Balas' disjunctive formulation with y projected
(Balas, Disjunctive programming: properties of the convex hull of feasible points, 1998).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.encode.rules import BILINEAR, lower_lines, open_groups, open_hinges, require_finite
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.outward import product_up, sum_up
from nnsym.ir.univariate import Hinge
from nnsym.program import Feature, Kind

Array = NDArray[Any]


def hinge(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """ReLU and its relatives."""
    ids, o = open_hinges(ctx, node, args[0])
    require_finite(ctx, node.parents[0], o.l, o.u, o.index)
    z = ctx.columns(node, "phase", o.index, 0.0, 1.0, kind=Kind.BINARY)
    rise = sum_up(o.b, -o.a)
    m_left, m_right = product_up(rise, o.u), product_up(rise, -o.l)
    lower_lines(ctx, node, o)
    ctx.rows(node, [(o.sign, o.y), (-o.a, o.h), (-m_left, z)], upper=0.0, says="y <= a h + (b - a) u z")
    ctx.rows(node, [(o.sign, o.y), (-o.b, o.h), (m_right, z)], upper=m_right, says="y <= b h - (b - a) l (1 - z)")
    return ids


def maximum(ctx: Context, node: Max, args: tuple[Array, ...]) -> Array:
    """Maxima over groups, and so max-pooling."""
    ids, o = open_groups(ctx, node, args[0])
    require_finite(ctx, node, o.l, o.u, o.group)
    z = ctx.columns(node, "choice", o.place, 0.0, 1.0, kind=Kind.BINARY)
    t = ctx.columns(node, "aux", o.place, np.minimum(o.l, 0.0), np.maximum(o.u, 0.0))
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
        NodeRule(Max, Exactness.EXACT, maximum),
        BILINEAR,
    ),
)
