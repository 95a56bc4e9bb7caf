"""SOS2: convex combinations of neighbouring points, and a solver that branches on which two they are.

With the points and weights of :mod:`nnsym_encodings.combination`

    (h, y) = sum_k w_k (p_k, f(p_k))      sum_k w_k = 1      at most two neighbours of w_0, ..., w_m+1 are not 0

and no binaries. The linear relaxation is the hull of the graph of one neuron. Maxima are those of ``bigm``.

Emits: linear rows, special ordered sets of two neighbours; binary columns of maxima and of functions that jump. Needs
finite bounds of every open pre-activation.

Source: Beale and Tomlin, Special facilities in a general mathematical programming system for non-convex problems using
ordered sets of variables, 1970.
"""

from __future__ import annotations

import numpy as np

from nnsym.encoding import Context, Encoding, Form
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.program import Feature, SosBlock
from nnsym_encodings.combination import Chain, rules


def neighbours(ctx: Context, node: Node, chain: Chain, w: Array) -> None:
    """One set for every element."""
    origin = f"{ctx.names[node]}: w of two neighbours"
    ctx.builder.sets(SosBlock(w.T.ravel(), len(w) * np.arange(w.shape[1] + 1), origin, most=2))


SOS2 = Encoding(
    name="sos2",
    summary="exact MILP, convex combinations with special ordered sets",
    source="Beale and Tomlin 1970",
    form=Form.MARGIN,
    emits=frozenset({Feature.ROWS, Feature.BINARIES, Feature.SOS2}),
    rules=rules(neighbours),
)
