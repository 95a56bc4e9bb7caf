"""Exact encodings without any M: logic that a MILP solver branches on by itself.

For an open hinge ``sign y = max(a h, b h)``, a < b, beside ``sign y >= a h`` and ``sign y >= b h``:

    indicator      z = 0 => sign y <= a h      z = 1 => sign y <= b h         with a binary z
    sos1           p = sign y - a h >= 0,  q = sign y - b h >= 0,  at most one of p, q is not 0

There is no coefficient made of bounds, so nothing grows with loose bounds and nothing leaks through an
integrality tolerance; the price is a relaxation that is weak until the solver finds its own bounds. Maxima use z,
one per member, in the same way (``sos1`` too). The triangle's row is added where bounds are finite.

Other piecewise-linear functions have the cells of ``smt``, with a binary for each where more than two are left; at a
jump a solver in floats closes them.

Emits: linear rows, binary columns, implications; special ordered sets. Needs no bounds.

Source: Bonami, Lodi, Tramontani, Wiese, On mathematical programming with indicator constraints, 2015; Beale and
Tomlin, Special facilities in a general mathematical programming system, 1970.
"""

from __future__ import annotations

import numpy as np

from nnsym.encode.common import COMMON_ROWS
from nnsym.encode.hinges import bounded
from nnsym.encode.pieces import hull
from nnsym.encode.rules import open_groups, open_hinges
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule
from nnsym.ir.array import Array
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.program import Feature, Kind, Role, SosBlock
from nnsym_encodings.smt import guarded, guarded_pieces
from nnsym_encodings.triangle import chord


def hinge(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """The guarded form of ``smt``, and the triangle's row."""
    ids, o = guarded(ctx, node, args[0])
    chord(ctx, node, bounded(o))
    return ids


def pieces(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """The guarded form of ``smt``, and the rows of the hull."""
    ids, open_ = guarded_pieces(ctx, node, args[0])
    for o in open_:
        hull(ctx, node, o.bounded)
    return ids


def maximum(ctx: Context, node: Max, args: tuple[Array, ...]) -> Array:
    """``y >= x_k``, ``z_k = 1 => y <= x_k``, one z_k is 1."""
    ids, o = open_groups(ctx, node, args[0])
    z = ctx.columns(node, Role.CHOICE, o.place, 0.0, 1.0, kind=Kind.BINARY)
    ctx.rows(node, [(1.0, o.y), (-1.0, o.x)], lower=0.0, says="y >= x_k")
    ctx.implies(node, z, 1, [(1.0, o.y), (-1.0, o.x)], upper=0.0, says="z_k => y <= x_k")
    ctx.sums(node, o.group, [(1.0, z)], lower=1.0, upper=1.0, says="one member is chosen")
    return ids


def sos_hinge(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """The distances to the two lines, of which one is 0."""
    ids, o = open_hinges(ctx, node, args[0])
    distances = []
    for slope, side in ((o.a, "left"), (o.b, "right")):
        gap = ctx.builder.columns(f"{ctx.names[node]}.{side}", Role.PART, o.index, 0.0 * o.a, np.full(len(o.a), np.inf))
        terms: list[tuple[Array | float, Array]] = [(o.sign, o.y), (-slope, o.h), (-1.0, gap)]
        ctx.rows(node, terms, lower=0.0, upper=0.0, says=f"distance to the {side} line")
        distances.append(gap)
    members = np.stack(distances, axis=1).ravel()
    pointers = 2 * np.arange(len(o.index) + 1)
    ctx.builder.sets(SosBlock(members, pointers, f"{ctx.names[node]}: one distance is 0"))
    chord(ctx, node, bounded(o))
    return ids


INDICATOR = Encoding(
    name="indicator",
    summary="exact MILP, indicator constraints instead of big-M",
    source="Bonami, Lodi, Tramontani, Wiese 2015",
    form=Form.MARGIN,
    emits=frozenset({Feature.ROWS, Feature.BINARIES, Feature.IMPLICATIONS}),
    rules=(
        NodeRule(Pointwise, Exactness.EXACT, hinge, Hinge),
        NodeRule(Pointwise, Exactness.EXACT, pieces, Piecewise),
        NodeRule(Max, Exactness.EXACT, maximum),
        *COMMON_ROWS,
    ),
    needs_bounds=False,
)

SOS1 = Encoding(
    name="sos1",
    summary="exact MILP, special ordered sets instead of big-M",
    source="Beale and Tomlin 1970",
    form=Form.MARGIN,
    emits=frozenset({Feature.ROWS, Feature.BINARIES, Feature.IMPLICATIONS, Feature.SOS1}),
    rules=(
        NodeRule(Pointwise, Exactness.EXACT, sos_hinge, Hinge),
        NodeRule(Pointwise, Exactness.EXACT, pieces, Piecewise),
        NodeRule(Max, Exactness.EXACT, maximum),
        *COMMON_ROWS,
    ),
    needs_bounds=False,
)
