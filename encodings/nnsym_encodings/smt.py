"""SMT: facts and two guarded upper bounds per open neuron, in Boolean form, over exact rationals.

For an open ReLU ``y = max(0, h)``, ``l < 0 < u``, with a Boolean p for the active side:

    y >= 0    y >= h    p => y <= h    not p => y <= 0

The first two are facts, so every branch adds a single bound. Bounds of all columns are asserted and stable neurons are
substituted. A line near the triangle's upper one is a lemma,

    y <= s h + t    s near u / (u - l), t >= max(-s l, (1 - s) u)

with s and t of four bits: it is implied and spares branches, and the long numbers of the chord itself would cost exact
arithmetic far more than that (docs/encodings/smt.md). Any hinge ``y = max(a h, b h)`` with a < b, and upside
down the concave ones:

    y >= a h    y >= b h    p => y <= b h    not p => y <= a h

Of a piecewise-linear function (clip, sign) some cell c holds:

    c => y = a_c h + b_c    c => p_c <= h <= q_c

strictly where the function jumps away from the end of a line, so that sign is 0 at 0 and nothing else. Where two cells
are left one Boolean says which.

A maximum chooses: ``y >= x_k``, ``c_k => y <= x_k``, some c_k. A product is a product.

The violation is asked for as it stands, strict atoms strict: unsat proves the property, sat refutes it, in the
arithmetic of the rationals that the floats denote. Both sides may hold at h = 0: a gap there would be wrong, an
overlap is not.

Emits: linear rows, Boolean columns, implications, clauses; bilinear rows for products. Needs no bounds and is better
with them.

Source: the guarded form follows Katz et al., Reluplex, CAV 2017.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnsym.encode.common import COMMON_CASES
from nnsym.encode.hinges import OpenHinges, bounded
from nnsym.encode.pieces import OpenPieces, choose, open_pieces, phases
from nnsym.encode.rules import lower_lines, open_groups, open_hinges
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule
from nnsym.ir.array import Array
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.outward import product_up, sum_down, sum_up
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.program import ClauseBlock, Feature, Kind, Role, Tag

_BITS = 4  # of the numbers of a lemma


def hinge(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """ReLU and its relatives."""
    ids, o = guarded(ctx, node, args[0])
    short_chord(ctx, node, bounded(o))
    return ids


def short_chord(ctx: Context, node: Pointwise, o: OpenHinges) -> None:
    """The lemma: any slope would do, because the right-hand side is made for it."""
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # where the grid is 0 there is no row
        slope = _short((o.b * o.u - o.a * o.l) / (o.u - o.l), np.round)
        at_l, at_u = product_up(o.l, sum_down(o.a, -slope)), product_up(o.u, sum_up(o.b, -slope))
        top = _short(np.maximum(np.maximum(at_l, at_u), 0.0), np.ceil)  # 0: the corner h = y = 0
    k = np.flatnonzero(np.isfinite(slope) & np.isfinite(top))
    ctx.rows(node, [(o.sign[k], o.y[k]), (-slope[k], o.h[k])], upper=top[k], says="y <= s h + t, near the chord")


def _short(values: Array, towards: Callable[[Array], Array]) -> Array:
    """Floats of at most ``_BITS`` bits."""
    grid = 2.0 ** (np.frexp(values)[1] - _BITS)
    return np.asanyarray(towards(values / grid) * grid)


def guarded(ctx: Context, node: Pointwise, h: Array) -> tuple[Array, OpenHinges]:
    """Column ids of the whole node, and its open elements with the rows above."""
    ids, o = open_hinges(ctx, node, h)
    p = ctx.columns(node, Role.PHASE, o.index, 0.0, 1.0, kind=Kind.BINARY)
    lower_lines(ctx, node, o)
    ctx.implies(node, p, 1, [(o.sign, o.y), (-o.b, o.h)], upper=0.0, says="p => y <= b h")
    ctx.implies(node, p, 0, [(o.sign, o.y), (-o.a, o.h)], upper=0.0, says="not p => y <= a h")
    return ids, o


def pieces(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
    """Clip, sign and their relatives."""
    return guarded_pieces(ctx, node, args[0])[0]


def guarded_pieces(ctx: Context, node: Pointwise, h: Array) -> tuple[Array, list[OpenPieces]]:
    """Column ids of the whole node, and its open elements with the rows above."""
    ids, open_ = open_pieces(ctx, node, h)
    for o in open_:
        if len(o.place) == 2:
            (p,) = phases(ctx, node, o)
            guards = [(p, 0), (p, 1)]
        else:
            guards = [(w, 1) for w in choose(ctx, node, o)]
        for c, (guard, value) in enumerate(guards):
            line = [(1.0, o.y), (-o.slope[c], o.h)]
            ctx.implies(node, guard, value, line, lower=o.offset[c], upper=o.offset[c], says="cell => y = a h + b")
            _within(ctx, node, o, c, guard, value)
    return ids, open_


def _within(ctx: Context, node: Pointwise, o: OpenPieces, c: int, guard: Array, value: int) -> None:
    """The ends of a cell that are breakpoints; an end that is l or u is a bound of h already."""
    sides = ((o.low[c], o.l, o.open_low[c], 1.0), (o.high[c], o.u, o.open_high[c], -1.0))
    for end, limit, open_, sign in sides:
        for strict in (False, True):
            k = np.flatnonzero((open_ == strict) & ((end != limit) | open_))
            says = "cell => h inside"
            ctx.implies(node, guard[k], value, [(sign, o.h[k])], lower=sign * end[k], strict=strict, says=says)


def maximum(ctx: Context, node: Max, args: tuple[Array, ...]) -> Array:
    """Maxima over groups, and so max-pooling."""
    ids, o = open_groups(ctx, node, args[0])
    c = ctx.columns(node, Role.CHOICE, o.place, 0.0, 1.0, kind=Kind.BINARY)
    ctx.rows(node, [(1.0, o.y), (-1.0, o.x)], lower=0.0, says="y >= x_k")
    ctx.implies(node, c, 1, [(1.0, o.y), (-1.0, o.x)], upper=0.0, says="c_k => y <= x_k")
    pointers = np.append(np.unique(o.group, return_index=True)[1], len(c))
    ctx.builder.clauses(ClauseBlock(c, pointers, Tag.NETWORK, f"{ctx.names[node]}: some member is the largest"))
    return ids


SMT = Encoding(
    name="smt",
    summary="exact SMT, facts and two guarded bounds per open neuron",
    source="Katz et al., CAV 2017",
    form=Form.BOOLEAN,
    emits=frozenset({Feature.ROWS, Feature.BINARIES, Feature.IMPLICATIONS, Feature.CLAUSES, Feature.TRUTH}),
    rules=(
        NodeRule(Pointwise, Exactness.EXACT, hinge, Hinge),
        NodeRule(Pointwise, Exactness.EXACT, pieces, Piecewise),
        NodeRule(Max, Exactness.EXACT, maximum),
        *COMMON_CASES,
    ),
    needs_bounds=False,
)
