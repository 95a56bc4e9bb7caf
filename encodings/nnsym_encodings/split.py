"""The two halves of an open neuron, which the ideal encodings share.

For an open hinge ``sign y = max(a h, b h)``, a < b, with a binary z that is 1 on the active side, the pre-activation
is split as ``h = h0 + h1``: h1 is h where the neuron is active and 0 elsewhere, h0 the other way round, so

    h0 + h1 = h      sign y = a h0 + b h1      l (1 - z) <= h0 <= 0      0 <= h1 <= u z

without any coefficient that had to be computed. With nothing else this is big-M; an encoding adds how h1 is made of
the active copies of what h is made of.

Source: Balas, Disjunctive programming, 1998; Tsay, Kronqvist, Thebelt, Misener, NeurIPS 2021, equations 8 to 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.encode.affine import Terms, gather
from nnsym.encode.hinges import OpenHinges
from nnsym.encode.rules import open_hinges, require_finite
from nnsym.encoding import Context
from nnsym.ir.array import Array
from nnsym.ir.node import Affine, Pointwise
from nnsym.program import Kind, Role


@final
@dataclass(frozen=True, eq=False)
class Split:
    """The columns h1 and z of the open elements, and what their pre-activations are made of.

    Row k of ``terms`` and ``bias[k]`` define the k-th open pre-activation; ``lower`` and ``upper`` bound the column
    of every term.
    """

    open_: OpenHinges
    active: Array
    phase: Array
    terms: Terms
    bias: Array
    lower: Array
    upper: Array


def split_hinges(ctx: Context, node: Pointwise, h: Array) -> tuple[Array, Split]:
    """Column ids of the whole node, and the halves of its open elements with the rows above."""
    ids, o = open_hinges(ctx, node, h)
    require_finite(ctx, node.parents[0], o.l, o.u, o.index)
    z = ctx.columns(node, Role.PHASE, o.index, 0.0, 1.0, kind=Kind.BINARY)
    active = ctx.builder.columns(ctx.names[node], Role.ACTIVE, o.index, np.zeros(len(z)), o.u, factors=(o.h, z))
    rest = ctx.columns(node, Role.PART, o.index, o.l, 0.0)
    ctx.rows(node, [(1.0, o.h), (-1.0, active), (-1.0, rest)], lower=0.0, upper=0.0, says="h = h0 + h1")
    ctx.rows(node, [(1.0, active), (-o.u, z)], upper=0.0, says="h1 <= u z")
    ctx.rows(node, [(1.0, rest), (o.l, z)], lower=o.l, says="h0 >= l (1 - z)")
    terms = [(o.sign, o.y), (-o.a, rest), (-o.b, active)]
    ctx.rows(node, terms, lower=0.0, upper=0.0, says="y = a h0 + b h1")
    made, bias = _made_of(ctx, node, o)
    lower, upper = ctx.builder.bounds()
    return ids, Split(o, active, z, made, bias, lower[made.columns], upper[made.columns])


def _made_of(ctx: Context, node: Pointwise, o: OpenHinges) -> tuple[Terms, Array]:
    """The affine rows of the open pre-activations; a pre-activation that is no affine layer is made of itself."""
    parent = node.parents[0]
    if not isinstance(parent, Affine):
        return Terms(np.ones(len(o.h)), o.h, np.arange(len(o.h) + 1), distinct=True), np.zeros(len(o.h))
    maps = ((m.csr(), ctx.ids[p]) for m, p in zip(parent.maps, parent.parents, strict=True))
    return gather(maps, parent.size).take(o.index), parent.bias[o.index]


def active_copies(
    ctx: Context,
    node: Pointwise,
    block: tuple[str, Role, Array],
    whole: Array,
    phase: Array,
    lower: Array,
    upper: Array,
    *,
    letters: tuple[str, str, str, str],
) -> Array:
    """Columns that are ``whole`` on the active side and 0 elsewhere, where ``lower <= whole <= upper``:

        L z <= x1 <= U z      L (1 - z) <= x - x1 <= U (1 - z)

    without what the columns' own bounds say already. ``block`` is their name, role and index; ``letters`` are what
    the origins of rows call x, x1, L and U.
    """
    x, x1, l, u = letters  # noqa: E741
    low, high = np.minimum(lower, 0.0), np.maximum(upper, 0.0)
    copy = ctx.builder.columns(*block, low, high, factors=(whole, phase))
    some = np.flatnonzero(upper != 0)
    ctx.rows(node, [(1.0, copy[some]), (-upper[some], phase[some])], upper=0.0, says=f"{x1} <= {u} z")
    some = np.flatnonzero(lower != 0)
    ctx.rows(node, [(1.0, copy[some]), (-lower[some], phase[some])], lower=0.0, says=f"{x1} >= {l} z")
    ctx.rows(node, [(1.0, whole), (-1.0, copy), (upper, phase)], upper=upper, says=f"{x} - {x1} <= {u} (1 - z)")
    ctx.rows(node, [(1.0, whole), (-1.0, copy), (lower, phase)], lower=lower, says=f"{x} - {x1} >= {l} (1 - z)")
    return copy


def close_active(
    ctx: Context, node: Pointwise, split: Split, row: Array, coefficients: Array, columns: Array, *, says: str
) -> None:
    """``h1 + sum coefficients columns - b z = 0`` for every open element; entry k belongs to element ``row[k]``."""
    every = np.arange(len(split.phase))
    group = np.concatenate((row, every))
    order = np.argsort(group, kind="stable")
    factor, column = np.concatenate((coefficients, -split.bias)), np.concatenate((columns, split.phase))
    terms = [(factor[order], column[order])]
    ctx.sums(node, group[order], terms, head=split.active, lower=0.0, upper=0.0, says=says)
