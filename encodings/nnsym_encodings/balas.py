"""Balas' extended formulation: the ideal mixed-integer encoding of one neuron over a box, with a copy of every input.

For an open pre-activation ``h = w x + b``, ``L <= x <= U``, split into halves h0 + h1 (:mod:`nnsym_encodings.split`),
x1 is x on the active side and 0 elsewhere:

    h1 = w x1 + b z      L z <= x1 <= U z      L (1 - z) <= x - x1 <= U (1 - z)

The linear relaxation is the convex hull of ``{(x, y, z)}`` over the box, so for a single neuron every vertex has an
integral z. It costs a column and four rows for every weight of every open neuron: for tests, small networks, and as the
far end of the scale that starts at big-M (``bigm``), with ``partition2`` ... in between. Maxima are those of ``bigm``.

A piecewise-linear function (clip, sign) with cells ``y = a_c h + b_c`` on ``[p_c, q_c]`` has a copy of h for each:

    h = sum_c h_c    y = sum_c (a_c h_c + b_c w_c)    p_c w_c <= h_c <= q_c w_c    sum_c w_c = 1

This is ideal for ``{(h, y)}``, and there is no coefficient that had to be computed. At a jump the cells are closed.

Emits: linear rows, binary columns. Needs finite bounds of open pre-activations and of what they are made of.

Source: Balas, Disjunctive programming: properties of the convex hull of feasible points, 1998; for ReLUs Anderson,
Huchette, Ma, Tjandraatmadja, Vielma, Strong mixed-integer programming formulations for trained neural networks, 2020,
proposition 2; for pieces Croxton, Gendron, Magnanti, A comparison of mixed-integer programming models for nonconvex
piecewise linear cost minimization problems, 2003 (multiple choice), with jumps Vielma, Ahmed, Nemhauser, Mixed-integer
models for nonseparable piecewise-linear optimization, 2010.
"""

from __future__ import annotations

import numpy as np

from nnsym.encode.common import COMMON_ROWS
from nnsym.encode.pieces import OpenPieces, choose, open_pieces
from nnsym.encode.rules import require_finite
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule
from nnsym.ir.array import Array
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.program import Feature, Role
from nnsym_encodings.bigm import maximum
from nnsym_encodings.split import active_copies, close_active, split_hinges


def hinge(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """ReLU and its relatives."""
    ids, s = split_hinges(ctx, node, args[0])
    row = np.repeat(np.arange(len(s.phase)), s.terms.counts)
    x, z, lower, upper = s.terms.columns, s.phase[row], s.lower, s.upper
    require_finite(ctx, node.parents[0], lower, upper, s.open_.index[row])
    block = (ctx.names[node], Role.ACTIVE_INPUT, x)
    x1 = active_copies(ctx, node, block, x, z, lower, upper, letters=("x", "x1", "L", "U"))
    close_active(ctx, node, s, row, -s.terms.data, x1, says="h1 = w x1 + b z")
    return ids


def pieces(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """Clip, sign and their relatives."""
    ids, open_ = open_pieces(ctx, node, args[0])
    for o in open_:
        require_finite(ctx, node.parents[0], o.l, o.u, o.index)
        cells(ctx, node, o)
    return ids


def cells(ctx: Context, node: Pointwise, o: OpenPieces) -> None:
    """A copy of h for every cell."""
    w, name = choose(ctx, node, o), ctx.names[node]
    low, high = np.minimum(o.low, 0.0), np.maximum(o.high, 0.0)
    each = zip(o.place, low, high, w, strict=True)
    part = [ctx.builder.columns(name, Role.AUX, k, p, q, factors=(o.h, column)) for k, p, q, column in each]
    for p, q, x, column in zip(o.low, o.high, part, w, strict=True):
        ctx.rows(node, [(1.0, x), (-p, column)], lower=0.0, says="h_c >= p_c w_c")
        ctx.rows(node, [(1.0, x), (-q, column)], upper=0.0, says="h_c <= q_c w_c")
    ctx.rows(node, [(1.0, o.h), *((-1.0, x) for x in part)], lower=0.0, upper=0.0, says="h = sum h_c")
    made = [*zip(-o.slope, part, strict=True), *zip(-o.offset, w, strict=True)]
    ctx.rows(node, [(1.0, o.y), *made], lower=0.0, upper=0.0, says="y = sum a_c h_c + b_c w_c")


BALAS = Encoding(
    name="balas",
    summary="exact MILP, ideal for each neuron, a copy of every input",
    source="Balas 1998; Anderson et al. 2020, proposition 2",
    form=Form.MARGIN,
    emits=frozenset({Feature.ROWS, Feature.BINARIES}),
    rules=(
        NodeRule(Pointwise, Exactness.EXACT, hinge, Hinge),
        NodeRule(Pointwise, Exactness.EXACT, pieces, Piecewise),
        NodeRule(Max, Exactness.EXACT, maximum),
        *COMMON_ROWS,
    ),
)
