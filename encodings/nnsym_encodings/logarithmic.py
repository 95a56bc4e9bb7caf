"""Logarithmic: convex combinations of neighbouring points with one binary for every doubling of the lines.

The lines of a function are numbered by a Gray code: neighbours differ in one bit. With the points and weights of
:mod:`nnsym_encodings.combination`, a binary z_s for each bit s, and for a point the codes of the lines that meet there:

    (h, y) = sum_k w_k (p_k, f(p_k))      sum_k w_k = 1
    sum of w_k over points whose lines all have bit s      <= z_s
    sum of w_k over points whose lines all lack bit s      <= 1 - z_s

so n lines take ceil(log2 n) binaries and twice as many rows. Ideal: every vertex of the linear relaxation has integral
binaries, and the relaxation is the hull of the graph of one neuron. Maxima are those of ``bigm``.

Emits: linear rows, binary columns. Needs finite bounds of every open pre-activation.

Source: Vielma and Nemhauser, Modeling disjunctive constraints with a logarithmic number of binary variables and
constraints, Mathematical Programming 128, 2011, theorem 2 and section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nnsym.encoding import Context, Encoding, Form
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.program import Feature, Kind, Role
from nnsym_encodings.combination import Chain, rules


def coded(ctx: Context, node: Node, chain: Chain, w: Array) -> None:
    """The binaries of the line's code and the rows that tie weights to them."""
    lines = np.arange(len(w) - 1)
    code = lines ^ (lines >> 1)  # Gray's
    parent, one = node.parents[0], np.ones(w.shape[1])

    def bit(s: int) -> Callable[[Mapping[Node, Array]], Array]:
        return lambda values: np.asarray(code[chain.line(values[parent][chain.index])] >> s & 1, dtype=np.float64)

    for s in range(int(lines[-1]).bit_length()):
        name = f"{ctx.names[node]}.bit{s}"
        z = ctx.builder.columns(name, Role.BIT, chain.index, 0 * one, one, kind=Kind.BINARY, value=bit(s))
        has = np.asarray(code >> s & 1, dtype=bool)
        left, right = np.append(has[0], has), np.append(has, has[-1])  # of the lines that meet in each point
        with_, without = ([(1.0, column) for column in w[some]] for some in (left & right, ~left & ~right))
        ctx.rows(node, [*with_, (-1.0, z)], upper=0.0, says=f"w with bit {s} <= z_{s}")
        ctx.rows(node, [*without, (1.0, z)], upper=1.0, says=f"w without bit {s} <= 1 - z_{s}")


LOG = Encoding(
    name="log",
    summary="exact MILP, a binary for every doubling of the lines, ideal for each neuron",
    source="Vielma and Nemhauser, Math. Program. 128, 2011",
    form=Form.MARGIN,
    emits=frozenset({Feature.ROWS, Feature.BINARIES}),
    rules=rules(coded),
)
