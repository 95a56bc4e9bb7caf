"""Partition: between big-M and the ideal encoding, with N copies per open neuron instead of one per input.

The terms of an open pre-activation ``h = sum_i w_i x_i + b`` are sorted by weight and cut into N runs of equal length;
``t_n`` is the sum of run n, ``a_n <= t_n <= c_n`` by box arithmetic, and ``s_n`` is t_n on the active side and 0
elsewhere. With the halves h0 + h1 of h (:mod:`nnsym_encodings.split`):

    h1 = sum_n s_n + b z      a_n z <= s_n <= c_n z      a_n (1 - z) <= t_n - s_n <= c_n (1 - z)

With one run per term this is Balas' formulation, with a single run (on interval bounds) it is big-M; the relaxation
gets tighter as N grows, at the price of N columns and 4 N rows per open neuron. Maxima and
other piecewise-linear functions are those of ``bigm``.

Emits: linear rows, binary columns. Needs finite bounds of open pre-activations and of what they are made of.

Source: Tsay, Kronqvist, Thebelt, Misener, Partition-based formulations for mixed-integer optimization of trained ReLU
neural networks, NeurIPS 2021, equations 8 to 12 (their sigma is 1 - z).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.encode.affine import AffineLayer, Terms, encode_affine
from nnsym.encode.common import COMMON_ROWS
from nnsym.encode.rules import require_finite
from nnsym.encoding import Context, Encoding, Exactness, Form, NodeRule, Rule
from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.outward import group_dot_up
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.program import Feature, Role
from nnsym_encodings.bigm import maximum, pieces
from nnsym_encodings.split import Split, active_copies, close_active, split_hinges

_AT_ONCE = 2**20  # terms that are sorted before the clock is looked at again


@final
@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of all open neurons that have a term: whose each is, its terms, and ``lower <= t <= upper``."""

    owner: Array
    terms: Terms
    lower: Array
    upper: Array


def runs(split: Split, count: int, check: Callable[[], None] = lambda: None) -> Runs:
    """Cut the terms of every open pre-activation into ``count`` runs of equal length, in order of weight.

    ``check`` is called between groups of rows, and may raise.
    """
    terms, counts = split.terms, split.terms.counts
    row, order = np.repeat(np.arange(len(counts)), counts), np.arange(len(terms.data))
    for first, last in itertools.pairwise(_groups(terms.indptr)):
        check()
        span = slice(int(terms.indptr[first]), int(terms.indptr[last]))
        order[span] = span.start + _by_weight(terms.data[span], row[span], counts[first:last])
    check()
    data, low, high = terms.data[order], split.lower[order], split.upper[order]
    rank = np.arange(len(row)) - terms.indptr[row]
    run = row * count + rank * count // counts[row]
    first = np.flatnonzero(np.diff(run, prepend=-1))
    rising = data > 0
    return Runs(
        row[first],
        Terms(data, terms.columns[order], np.append(first, len(run)).astype(np.int32), terms.distinct),
        -group_dot_up(first, -data, np.where(rising, low, high)),
        group_dot_up(first, data, np.where(rising, high, low)),
    )


def _groups(indptr: Array) -> Array:
    """Where groups of rows begin and end: of about :data:`_AT_ONCE` terms each."""
    begin = np.searchsorted(indptr, np.arange(0, indptr[-1], _AT_ONCE))
    return np.unique(np.append(begin, len(indptr) - 1))


def _by_weight(data: Array, row: Array, counts: Array) -> Array:
    """The order of the terms by row, then weight, then input; rows of one length take the fast way."""
    if len(data) and (counts == counts[0]).all():
        rows = data.reshape(len(counts), -1)
        order = np.argsort(rows, axis=1)
        ranked = np.take_along_axis(rows, order, axis=1)
        if not (ranked[:, 1:] == ranked[:, :-1]).any():  # which of two equal weights is first differs by machine
            return np.ravel(order + counts[0] * np.arange(len(counts))[:, None])
    return np.lexsort((data, row))


def hinge(count: int) -> Rule:
    """The rule for ReLU and its relatives with ``count`` runs."""

    def rule(ctx: Context, node: Pointwise, args: tuple[Array, ...]) -> Array:
        ids, s = split_hinges(ctx, node, args[0])
        r = runs(s, count, ctx.builder.check)
        require_finite(ctx, node.parents[0], r.lower, r.upper, s.open_.index[r.owner])
        number = np.arange(len(r.owner))
        layer = AffineLayer(
            f"{ctx.names[node]}.run", Role.PART, number, r.lower, r.upper, origin=f"{ctx.names[node]}: t = sum w x"
        )
        t, z = encode_affine(ctx.builder, layer, r.terms, np.zeros(len(number))), s.phase[r.owner]
        block = (layer.name, Role.ACTIVE, number)
        active = active_copies(ctx, node, block, t, z, r.lower, r.upper, letters=("t", "s", "a", "c"))
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
            NodeRule(Pointwise, Exactness.EXACT, pieces, Piecewise),
            NodeRule(Max, Exactness.EXACT, maximum),
            *COMMON_ROWS,
        ),
    )


PARTITIONS = tuple(partition(count) for count in (2, 3, 4))
