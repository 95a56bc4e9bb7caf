"""Cuts on ReLUs: the rows of Anderson et al. (2020) with the phase z eliminated, through the points of a relaxation.

For ``y = max(0, h)``, ``h = W p + b`` in ``[l, u]``, p in a box whose ends make ``W_i p_i`` equal to ``low_i`` at least
and to ``high_i`` at most, and the phase z in {0, 1}, these rows hold, the last one for every set I:

    y <= u z,    y <= h - l (1 - z),    y <= sum_{i in I} (W_i p_i - low_i (1 - z)) + (b + sum_{i not in I} high_i) z

At a point the least right-hand side is concave in z. Where it is highest two rows meet, one that rises in z and one
that falls; weighted so that z vanishes they are one row, the tightest at that point:

    y <= M p + offset.

Of the box alone that would be the convex hull of the neuron (Tjandraatmadja et al., 2020, whose rows mix two sets I);
the first two rows bring in a range ``[l, u]`` that is smaller than the box says. Let ``top`` be the weight of the first
row and ``line`` that of the second. *Any* M, ``top >= 0`` and ``line >= 0`` make a row that holds, with

    offset  =  max over the box of  (line W - M) p + line (b - l)                       where y = 0,  h >= l,
        and at least that of        ((1 - top) W - M) p + (1 - top) b + top u           where y = h <= u,

so that offsets are found anew for the ranges of every subproblem, and only they have to be rounded.

Multipliers of such rows join an ascent as those of limits do. De Palma et al. (Scaling the Convex Barrier with Active
Sets, ICLR 2021) keep z, and multipliers of the sets of I that they found, instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.bounds.kept.types import Limit
from nnsym.ir.array import Array
from nnsym.ir.linear import Sparse
from nnsym.ir.node import Affine, Node

_HALVINGS = 24  # of the interval of z
_LEAST = 2.0**-10  # what a cut takes off at its point, at least, as a share of u
_MIXED = 2.0**-20  # the weight of sets I, at least; without them a cut is the chord


@final
@dataclass(frozen=True, eq=False)
class Cuts:
    """``y[index[k]] <= sum_p (M_p p)[k] + offset[k]`` for a ReLU node y and the nodes p of its argument, in order.

    ``maps`` are the M; entries where W has none count as 0. ``top`` and ``line`` are what offsets are made of.
    """

    index: Array
    maps: tuple[Sparse, ...]
    top: Array
    line: Array

    def __len__(self) -> int:
        return len(self.index)

    def with_more(self, other: Cuts) -> Cuts:
        """These, then others of the same node."""
        index, top, line = (np.concatenate((getattr(self, n), getattr(other, n))) for n in ("index", "top", "line"))
        return Cuts(index, tuple(map(_stacked, self.maps, other.maps)), top, line)


@final
@dataclass(frozen=True, eq=False)
class Neurons:
    """Open elements of a ReLU node: ``rows`` is W for them over the elements of all p, one p after the other.

    ``low`` and ``high`` belong to the entries of W, ``b``, ``l`` and ``u`` to elements.
    """

    element: Array
    rows: Any
    b: Array
    l: Array  # noqa: E741
    u: Array
    low: Array
    high: Array

    @staticmethod
    def of(node: Node, ranges: Mapping[Node, Limit]) -> Neurons:
        """Those whose ranges are finite, where these are ``(1, size)``."""
        from scipy.sparse import csr_array, hstack

        (z,) = node.parents
        assert isinstance(z, Affine)
        lower, upper = (np.concatenate(s, axis=1)[0] for s in zip(*(_sides(ranges[p]) for p in z.parents), strict=True))
        l, u = (side[0] for side in _sides(ranges[z]))  # noqa: E741
        element = np.flatnonzero((l < 0) & (u > 0) & np.isfinite(u - l))
        rows = csr_array(hstack([m.matrix()[element] for m in z.maps]))
        rows.eliminate_zeros()
        unbounded = csr_array(rows != 0) @ ~np.isfinite(upper - lower)
        kept = np.flatnonzero((np.diff(rows.indptr) > 0) & (unbounded == 0))
        element, rows = element[kept], csr_array(rows[kept])
        ends = rows.data * lower[rows.indices], rows.data * upper[rows.indices]
        return Neurons(element, rows, z.bias[element], l[element], u[element], np.minimum(*ends), np.maximum(*ends))

    def each(self, values: Array) -> Array:
        """Values of elements, for each of their entries."""
        return np.repeat(values, np.diff(self.rows.indptr))

    def total(self, values: Array) -> Array:
        """Sums over the entries of each element."""
        return np.add.reduceat(values, self.rows.indptr[:-1])


def separated(node: Node, ranges: Mapping[Node, Limit], points: Mapping[Node, Array]) -> Cuts | None:
    """Cuts that points ``(points, size)`` of nodes violate, of a ReLU of an affine node; None where there are none.

    ``ranges`` are those of the domain on which the cuts are to be tight.
    """
    from scipy.sparse import csr_array, vstack

    neurons = Neurons.of(node, ranges)
    found = list(_violated(node, neurons, points)) if len(neurons.element) else []
    if not found:
        return None
    index, blocks, top, line = zip(*found, strict=True)
    rows, maps, first = csr_array(vstack(blocks)), [], 0
    for p in node.parents[0].parents:
        part = csr_array(rows[:, first : first + p.size])
        part.sort_indices()
        maps.append(Sparse(part.data, part.indices, part.indptr, p.size))
        first += p.size
    return Cuts(np.concatenate(index), tuple(maps), np.concatenate(top), np.concatenate(line))


def _violated(node: Node, neurons: Neurons, points: Mapping[Node, Array]) -> Iterator[tuple[Array, Any, Array, Array]]:
    """Elements, rows of M and weights of what each point violates."""
    from scipy.sparse import csr_array

    for y, p in zip(points[node], np.concatenate([points[p] for p in node.parents[0].parents], axis=1), strict=True):
        m, top, line, height = tightest(neurons, p[neurons.rows.indices])
        below = y[neurons.element] - height > _LEAST * neurons.u
        chosen = np.flatnonzero(below & (top + line < 1.0 - _MIXED))
        if len(chosen):
            whole = csr_array((m, neurons.rows.indices, neurons.rows.indptr), shape=neurons.rows.shape)
            yield neurons.element[chosen], whole[chosen], top[chosen], line[chosen]


def tightest(neurons: Neurons, p: Array) -> tuple[Array, Array, Array, Array]:
    """The tightest cut of each element where the entries read ``p``: entries of M, ``top``, ``line``, value there."""
    n, w = neurons, neurons.rows.data
    at, span = w * p, n.high - n.low
    h = n.total(at) + n.b
    left, right, height = np.zeros_like(h), np.ones_like(h), np.zeros_like(h)
    slopes = [n.u.copy(), n.l.copy()]  # of the row that rises and the one that falls, beside the place where they meet
    kinds = [np.zeros(len(h), dtype=np.int64), np.ones(len(h), dtype=np.int64)]
    sets = [np.zeros(len(at), dtype=bool), np.zeros(len(at), dtype=bool)]
    for _ in range(_HALVINGS):
        z = 0.5 * (left + right)
        inside = at <= n.low + n.each(z) * span
        base = n.total(np.where(inside, at - n.low, 0.0))
        slope = n.total(np.where(inside, n.low, n.high)) + n.b
        values = np.stack((n.u * z, h - n.l * (1.0 - z), base + slope * z))
        kind, height = values.argmin(axis=0), values.min(axis=0)
        slope = np.choose(kind, (n.u, n.l, slope))
        rises = slope >= 0
        left, right = np.where(rises, z, left), np.where(rises, right, z)
        for side, here in enumerate((rises, ~rises)):
            slopes[side] = np.where(here, slope, slopes[side])
            kinds[side] = np.where(here, kind, kinds[side])
            sets[side] = np.where(n.each(here), inside, sets[side])
    share = slopes[1] / (slopes[1] - slopes[0])
    weights = (share, 1.0 - share)
    top, line = share * (kinds[0] == 0), weights[1] * (kinds[1] == 1)
    mixed = [n.each(weight * (kind == 2)) * inside for weight, kind, inside in zip(weights, kinds, sets, strict=True)]
    return (mixed[0] + mixed[1] + n.each(line)) * w, top, line, height


def _stacked(one: Sparse, two: Sparse) -> Sparse:
    indptr = np.concatenate((one.indptr, one.indptr[-1] + two.indptr[1:]))
    return Sparse(np.concatenate((one.data, two.data)), np.concatenate((one.indices, two.indices)), indptr, one.n_in)


def _sides(limit: Limit) -> tuple[Array, Array]:
    return limit.lower, limit.upper
