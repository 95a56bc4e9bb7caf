"""Partition: between big-M and the ideal encoding, with N copies per open neuron instead of one per input.

The terms of an open pre-activation ``h = sum_i w_i x_i + b`` are sorted by weight and cut into N runs of equal length;
``t_n`` is the sum of run n, ``a_n <= t_n <= c_n`` by box arithmetic, and ``s_n`` is t_n on the active side and 0
elsewhere. With the halves h0 + h1 of h (:mod:`nnsym_encodings.split`):

    h1 = sum_n s_n + b z      a_n z <= s_n <= c_n z      a_n (1 - z) <= t_n - s_n <= c_n (1 - z)

With one run per term this is Balas' formulation, with a single run (on interval bounds) it is big-M; the relaxation
gets tighter as N grows, at the price of N columns and 4 N rows per open neuron. Maxima are those of ``bigm``.

Emits: linear rows, binary columns. Needs finite bounds of open pre-activations and of what they are made of.

Source: Tsay, Kronqvist, Thebelt, Misener, Partition-based formulations for mixed-integer optimization of trained ReLU
neural networks, NeurIPS 2021, equations 8 to 12 (their sigma is 1 - z).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.encode.affine import Layer, Terms, encode_affine
from nnsym.encode.rules import BILINEAR, require_finite
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule, Rule
from nnsym.errors import InputError
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.outward import group_sum_up, product_down, product_up
from nnsym.ir.univariate import Hinge
from nnsym.program import Feature
from nnsym_encodings.bigm import maximum
from nnsym_encodings.split import Split, close_active, split_hinges

Array = NDArray[Any]


@final
@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of all open neurons that have a term: whose each is, its terms, and ``lower <= t <= upper``."""

    owner: Array
    terms: Terms
    lower: Array
    upper: Array


def runs(split: Split, count: int) -> Runs:
    """Cut the terms of every open pre-activation into ``count`` runs of equal length, in order of weight."""
    counts = split.terms.counts
    row = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((split.terms.data, row))
    data, columns = split.terms.data[order], split.terms.columns[order]
    rank = np.arange(len(row)) - split.terms.indptr[row]
    run = row * count + rank * count // np.maximum(counts[row], 1)
    owner, place, sizes = np.unique(run, return_inverse=True, return_counts=True)
    low, high = split.lower[order], split.upper[order]
    most = np.maximum(product_up(data, low), product_up(data, high))
    least = np.minimum(product_down(data, low), product_down(data, high))
    start = np.zeros(len(owner))
    pointers = np.concatenate(([0], np.cumsum(sizes)))
    return Runs(
        owner // count,
        Terms(data, columns, pointers, split.terms.distinct),
        -group_sum_up(place, -least, start),
        group_sum_up(place, most, start),
    )


def hinge(count: int) -> Rule:
    """The rule for ReLU and its relatives with ``count`` runs."""

    def rule(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
        ids, s = split_hinges(ctx, node, args[0])
        r = runs(s, count)
        require_finite(ctx, node.parents[0], r.lower, r.upper, s.open_.index[r.owner])
        number = np.arange(len(r.owner))
        layer = Layer(
            f"{ctx.names[node]}.run", "part", number, r.lower, r.upper, origin=f"{ctx.names[node]}: t = sum w x"
        )
        t, z = encode_affine(ctx.builder, layer, r.terms, np.zeros(len(number))), s.phase[r.owner]
        a, c = r.lower, r.upper
        low, high = np.minimum(a, 0.0), np.maximum(c, 0.0)
        active = ctx.builder.columns(layer.name, "active", number, low, high, factors=(t, z))
        ctx.rows(node, [(1.0, active), (-c, z)], upper=0.0, says="s <= c z")
        ctx.rows(node, [(1.0, active), (-a, z)], lower=0.0, says="s >= a z")
        ctx.rows(node, [(1.0, t), (-1.0, active), (c, z)], upper=c, says="t - s <= c (1 - z)")
        ctx.rows(node, [(1.0, t), (-1.0, active), (a, z)], lower=a, says="t - s >= a (1 - z)")
        close_active(ctx, node, s, r.owner, np.full(len(number), -1.0), active, says="h1 = sum s + b z")
        return ids

    return rule


def partition(count: int) -> Encoding:
    """The encoding with ``count`` runs per open neuron, ``partition2`` to ``partition4`` by name."""
    if count < 1:
        raise InputError(f"a partition into {count} runs", remedy="Take at least one")
    return Encoding(
        name=f"partition{count}",
        summary=f"exact MILP, {count} copies per open neuron",
        source="Tsay et al., NeurIPS 2021, eq. 8-12",
        form=Form.MARGIN,
        emits=frozenset({Feature.ROWS, Feature.BINARIES}),
        rules=(
            NodeRule(Pointwise, Exactness.EXACT, hinge(count), Hinge),
            NodeRule(Max, Exactness.EXACT, maximum),
            BILINEAR,
        ),
    )


PARTITIONS = tuple(partition(count) for count in (2, 3, 4))
