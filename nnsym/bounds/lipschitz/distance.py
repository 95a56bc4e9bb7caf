"""How far a node's value may be from its value at a centre: in the norms 1, 2 and infinity, and element by element.

The rules hold for any graph: with ``d`` the distances of the parents,

    affine       d_q <= sum_k min_p |A_k|_{p -> q} d_p(k);   one matrix [A_1 ... A_m] with sqrt(sum_k d_2(k)^2)
    pointwise    d_q <= max |slope| d_q                      slopes over the ranges of the domain
    maximum      d_inf <= d_inf;  d_2 <= sqrt(most groups that an element is in) d_2
    product      |uv - u0 v0| <= |u| |v - v0| + |v0| |u - u0|

Starting from a distance of 1 in the norm p, the output's q-norm is a Lipschitz constant p -> q.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.bounds.lipschitz.merged import Weight, merged
from nnsym.bounds.lipschitz.norms import FULL, Norm, dual, length, operator_norm, row_norms
from nnsym.bounds.lipschitz.residual import block_constant, joint
from nnsym.bounds.lipschitz.sorting import sorted_pairs
from nnsym.ir.array import Array
from nnsym.ir.intervals import Sides, magnitude, stretch
from nnsym.ir.linear import Dense, LinearMap, Select
from nnsym.ir.node import Affine, Max, Node, Pointwise, Product
from nnsym.ir.outward import gamma
from nnsym.ir.pairs.difference import Difference
from nnsym.results.clock import NEVER, Deadline, OutOfTime

NORMS: tuple[Norm, ...] = (1, 2, "inf")
_ONE = 1.0 + 2.0**-50  # pays a few roundings of positive numbers


@final
@dataclass(frozen=True, eq=False)
class Distance:
    """``each`` of ``(n,)`` bounds the elements' changes, ``one``, ``two`` and ``inf`` the norms of all."""

    each: Array
    one: float
    two: float
    inf: float

    @staticmethod
    def of(each: Array, one: float = np.inf, two: float = np.inf, inf: float = np.inf) -> Distance:
        """With every number as small as the others imply; of what is NaN, infinity less itself, nothing is known."""
        each = np.where(np.isnan(each), np.inf, each)
        one, two, inf = (np.inf if np.isnan(size) else size for size in (one, two, inf))
        most = min(inf, two, one, float(each.max(initial=0.0)))
        each = np.minimum(each, most)
        euclid = min(two, one, length(each, 2))
        root = float(np.sqrt(len(each))) * _ONE
        return Distance(each, min(one, length(each, 1), root * euclid * _ONE), euclid, most)

    def __getitem__(self, p: Norm) -> float:
        return {1: self.one, 2: self.two, "inf": self.inf}[p]


@final
@dataclass(frozen=True, eq=False)
class _Term:
    """One summand ``A v`` of an affine node: the map, its slack, and how far ``v`` may move."""

    linear: LinearMap
    moved: Distance
    slack: Array | None = None
    off: float = 0.0

    def each(self, deadline: Deadline) -> Array:
        """Bounds of the rows' changes: intervals, and Hoelder's inequality for every norm."""
        found = stretch(self.linear, self.moved.each)
        for p in NORMS:
            deadline.check()
            if np.isfinite(self.moved[p]):
                found = np.minimum(found, _times(row_norms(self.linear, dual(p)), self.moved[p]))
        if self.slack is not None:
            found = found + stretch(Dense(self.slack), self.moved.each)
        return np.asarray(found * _ONE)

    def norm(self, q: Norm, deadline: Deadline) -> float:
        found = np.inf
        for p in NORMS:
            deadline.check()
            if np.isfinite(self.moved[p]):
                found = min(found, _times(operator_norm(self.linear, p, q), self.moved[p]))
        extra = _times(self.off, self.moved.two) * (np.sqrt(self.linear.n_out) if q == 1 else 1.0)
        return float((found + extra) * _ONE)


def propagate(
    nodes: tuple[Node, ...],
    start: Mapping[Node, Distance],
    ranges: Mapping[Node, Sides],
    *,
    deadline: Deadline = NEVER,
) -> dict[Node, Distance]:
    """The distances of all nodes, parents first, given those of the inputs and the ranges of the domain.

    Of nodes that are not reached by the deadline nothing is known.
    """
    found = dict(start)
    for node in nodes:
        if node not in found:
            found[node] = step(node, found, ranges, deadline=deadline)
    return found


def unknown(node: Node) -> Distance:
    """The distance of a node of which nothing is known: infinite in every norm."""
    return Distance.of(np.full(node.size, np.inf))


def step(
    node: Node,
    known: Mapping[Node, Distance],
    ranges: Mapping[Node, Sides],
    *,
    merge: bool = True,
    deadline: Deadline = NEVER,
) -> Distance:
    """The distance of a node from its parents'; without ``merge`` an affine node takes its parents as they are.

    Where the deadline passes before all is added up nothing is known.
    """
    try:
        deadline.check()
        with np.errstate(over="ignore", invalid="ignore"):  # a distance may be infinite
            return _step(node, known, ranges, merge, deadline)
    except OutOfTime:
        return unknown(node)


def _step(
    node: Node, known: Mapping[Node, Distance], ranges: Mapping[Node, Sides], merge: bool, deadline: Deadline
) -> Distance:
    parents = tuple(known[p] for p in node.parents)
    match node:
        case Affine():
            found = _affine(node, known, ranges, merge, deadline)
            return _through(node, found, known, ranges, deadline) if merge else found
        case Pointwise():
            slope = slopes(node, ranges)
            most = float(slope.max(initial=0.0))
            sizes = [_times(most, parents[0][q]) for q in NORMS]
            return Distance.of(_times(slope, parents[0].each), *sizes)
        case Max():
            return _maximum(node, parents[0])
        case Product():
            return _product(node, parents, ranges)
        case Difference():
            sums = [(parents[0][q] + parents[1][q]) * _ONE for q in NORMS]
            return Distance.of((parents[0].each + parents[1].each) * _ONE, *sums)
    return unknown(node)


def slopes(node: Pointwise, ranges: Mapping[Node, Sides]) -> Array:
    """The largest magnitude of a slope of every element over the range of its argument."""
    low, high = node.fn.steepness(*ranges[node.parents[0]])
    size = np.maximum(np.abs(low), np.abs(high))
    return np.broadcast_to(np.where(np.isnan(size), np.inf, size), (node.size,))


def _times(a: Array | float, b: Array | float) -> Any:
    """A product rounded up, in which 0 times infinity is 0."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where((np.asarray(a) == 0) | (np.asarray(b) == 0), 0.0, np.multiply(a, b) * _ONE + 2.0**-1060)[()]


def _affine(
    node: Affine, known: Mapping[Node, Distance], ranges: Mapping[Node, Sides], merge: bool, deadline: Deadline
) -> Distance:
    weights = merged(node) if merge else None
    terms = _plain(node, known) if weights is None else _merged_terms(weights, known, ranges)
    if not terms:  # a constant, at times of a constant
        return Distance.of(np.zeros(node.size), 0.0, 0.0, 0.0)
    each = np.sum([t.each(deadline) for t in terms], axis=0) * (1 + gamma(len(terms)))
    sizes = [sum(t.norm(q, deadline) for t in terms) * (1 + gamma(len(terms))) for q in NORMS]
    if len(terms) > 1:
        deadline.check()
        sizes[1] = min(sizes[1], _joint(terms))
    return Distance.of(each, *sizes)


def _plain(node: Affine, known: Mapping[Node, Distance]) -> list[_Term]:
    return [_Term(m, known[p]) for m, p in zip(node.maps, node.parents, strict=True)]


def _through(
    node: Affine,
    found: Distance,
    known: Mapping[Node, Distance],
    ranges: Mapping[Node, Sides],
    deadline: Deadline,
) -> Distance:
    """With what the block says that ends here, where branches meet, and there is time for it."""
    block = joint(node, known)
    if block is None or not np.isfinite(known[block.start].two):
        return found
    try:
        two = float(_times(block_constant(block, ranges, deadline=deadline), known[block.start].two))
    except OutOfTime:
        return found
    return found if two >= found.two else Distance.of(found.each, found.one, two, found.inf)


def _merged_terms(
    weights: Mapping[Node, Weight], known: Mapping[Node, Distance], ranges: Mapping[Node, Sides]
) -> list[_Term]:
    """One term for each node below; one for both halves of a sort."""
    left, terms = dict(weights), []
    for larger, smaller in sorted_pairs(weights):
        a, b, argument = left.pop(larger), left.pop(smaller), known[larger.parents[0]]
        each = np.concatenate((known[larger].each, known[smaller].each))
        moved = Distance.of(each, argument.one, argument.two, argument.inf)
        both = a.beside(b.scaled(np.full(smaller.size, -1.0)))
        terms.append(_Term(Dense(both.matrix), moved, both.slack, both.off))
    return terms + [_term(w, p, known, ranges) for p, w in left.items()]


def _term(weight: Weight, below: Node, known: Mapping[Node, Distance], ranges: Mapping[Node, Sides]) -> _Term:
    """One matrix; the slopes of an activation scale its columns, so that dead neurons drop out of its norm."""
    moved = known[below]
    if isinstance(below, Pointwise):
        slope = slopes(below, ranges)
        if np.isfinite(slope).all():
            weight, moved = weight.scaled(slope), known[below.parents[0]]
    return _Term(Dense(weight.matrix), moved, weight.slack, weight.off)


def _joint(terms: list[_Term]) -> float:
    """``|[A_1 ... A_m]|_2 sqrt(sum d_2^2)``: exact for a concatenation, better than the sum for alike summands."""
    total = length(np.array([t.moved.two for t in terms]), 2)
    off = length(np.array([t.off for t in terms]), 2)
    maps = [t.linear for t in terms]
    if all(isinstance(m, Select) for m in maps) and _apart(maps):
        return float(_times(max(operator_norm(m) for m in maps), total))
    if sum(m.n_in for m in maps) * maps[0].n_out > FULL or not np.isfinite(total):
        return np.inf
    wide = Dense(np.hstack([m.matrix().toarray() for m in maps]))
    return float(_times((operator_norm(wide) + off) * _ONE, total))


def _apart(maps: list[Any]) -> bool:
    """True if every output copies from one summand at most."""
    return bool(np.max(sum((m.index >= 0).astype(np.int64) for m in maps), initial=0) <= 1)


def _maximum(node: Max, parent: Distance) -> Distance:
    members = node.groups[node.groups >= 0]
    most = int(np.bincount(members).max())
    each = np.where(node.groups >= 0, parent.each[node.groups], 0.0).max(axis=1)
    two = parent.two if most == 1 else parent.two * float(np.sqrt(most)) * _ONE
    return Distance.of(each, parent.one * most * _ONE, two, parent.inf)


def _product(node: Product, parents: tuple[Distance, ...], ranges: Mapping[Node, Sides]) -> Distance:
    left, right = (magnitude(ranges[p]) for p in node.parents)
    each = (_times(left, parents[1].each) + _times(right, parents[0].each)) * _ONE
    most = float(left.max(initial=0.0)), float(right.max(initial=0.0))
    sizes = [(_times(most[0], parents[1][q]) + _times(most[1], parents[0][q])) * _ONE for q in NORMS]
    return Distance.of(each, *sizes)
