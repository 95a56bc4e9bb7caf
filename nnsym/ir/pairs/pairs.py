"""Difference nodes of pairs of nodes: two copies of one network, or two networks of one shape, walked in lock-step.

For a pair ``(a, b)`` the *gap* is a node equal to ``a - b`` in exact arithmetic, made of the gaps of their parents:

    a = sum_k A_k p_k + c,  b = sum_k B_k q_k + d       a - b = sum_k A_k (p_k - q_k) + (A_k - B_k) q_k + (c - d)
    a = phi(p),  b = phi(q)                             a Difference node over p - q
    two inputs                                          a new input, whose box holds what is known of their difference
    anything else                                       the affine node a - b

The first line is that of Paulsen, Wang, Wang (ReluDiff, ICSE 2020), with the coefficients of related networks: no float
can hold every ``A_k - B_k``, but the rounded difference and its rounding error together do (Knuth's TwoSum), so both
are coefficients of the node, and nothing is folded. Of equal maps nothing is left of ``A_k - B_k``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv
from nnsym.ir.linear import Dense, LinearMap, Scale, Select, Sparse, entry_rows, identity
from nnsym.ir.node import Affine, Input, Node, affine, constant, new_input
from nnsym.ir.pairs.difference import alike, difference

Pair = tuple[Node, Node]
_Terms = list[tuple[LinearMap, Node, LinearMap, Node]]


@final
class Gaps:
    """The gaps of all pairs asked for so far, and of the pairs that these rest on; each is made once."""

    def __init__(self) -> None:
        self.known: dict[Pair, Node] = {}

    def of(self, left: Node, right: Node) -> Node:
        """The gap of two different nodes of one size."""
        stack: list[tuple[Pair, bool]] = [((left, right), False)]
        while stack:
            pair, expanded = stack.pop()
            if pair in self.known:
                continue
            if pair[::-1] in self.known:
                reverse = self.known[pair[::-1]]
                self.known[pair] = affine(((_minus(reverse.size), reverse),))
            elif expanded:
                self.known[pair] = self._make(*pair)
            else:
                stack.append((pair, True))
                stack.extend((below, False) for below in reversed(_below(*pair)))
        return self.known[left, right]

    def inputs(self) -> dict[Input, tuple[Input, Input]]:
        """The new inputs, each with the pair whose gap it is."""
        pairs = ((gap, left, right) for (left, right), gap in self.known.items())
        return {
            gap: (left, right)
            for gap, left, right in pairs
            if isinstance(gap, Input) and isinstance(left, Input) and isinstance(right, Input)
        }

    def _make(self, left: Node, right: Node) -> Node:
        if isinstance(left, Input) and isinstance(right, Input):
            return new_input(f"{left.name}-{right.name}", left.size)
        if alike(left, right):
            a, b = left.parents[0], right.parents[0]
            gap = affine((), np.zeros(a.size)) if a is b else self.known[a, b]
            return difference(left, right, gap)
        return self._affine(left, right)

    def _affine(self, left: Node, right: Node) -> Node:
        aligned, bias = _aligned(left, right), _parts(_bias(left), _bias(right))
        if aligned is None or bias is None:
            return _plain(left, right)
        terms: list[tuple[LinearMap, Node]] = []
        for linear, p, other, q in aligned:
            delta = map_difference(linear, other)
            if delta is None:
                return _plain(left, right)
            if p is not q:
                terms.append((linear, self.known[p, q]))
            terms.extend((part, q) for part in delta)
        terms.extend((identity(left.size), constant(rest)) for rest in bias[1:])
        return affine(tuple(terms), bias[0])


def related(left: Node, right: Node) -> bool:
    """True if the gap of two nodes is more than their difference as it stands."""
    if left.size != right.size or left is right:
        return False
    both = isinstance(left, Input) and isinstance(right, Input)
    return both or alike(left, right) or _aligned(left, right) is not None


def _below(left: Node, right: Node) -> list[Pair]:
    """The pairs whose gaps the gap of a pair is made of."""
    if alike(left, right):
        pairs = [(left.parents[0], right.parents[0])]
    else:
        pairs = [(p, q) for _, p, _, q in _aligned(left, right) or ()]
    return [(p, q) for p, q in pairs if p is not q]


def _aligned(left: Node, right: Node) -> _Terms | None:
    """The terms of two affine nodes side by side; None where they do not match.

    A node may stand for the identity of itself beside an affine node over it alone, as ``x`` beside ``x + c``.
    """
    a, b = _terms(left), _terms(right)
    same = len(a) == len(b) and all(m.n_in == n.n_in for (m, _), (n, _) in zip(a, b, strict=True))
    if not same or not (isinstance(left, Affine) or isinstance(right, Affine)):
        return None
    terms = [(m, p, n, q) for (m, p), (n, q) in zip(a, b, strict=True)]
    whole = isinstance(left, Affine) and isinstance(right, Affine)
    return terms if whole or all(p is q for _, p, _, q in terms) else None


def _terms(node: Node) -> list[tuple[LinearMap, Node]]:
    if isinstance(node, Affine):
        return list(zip(node.maps, node.parents, strict=True))
    return [(identity(node.size), node)]


def _bias(node: Node) -> Array:
    return node.bias if isinstance(node, Affine) else np.zeros(node.size)


def _minus(size: int) -> LinearMap:
    return Scale(np.full(size, -1.0))


def _plain(left: Node, right: Node) -> Node:
    return affine(((identity(left.size), left), (_minus(right.size), right)))


def map_difference(left: LinearMap, right: LinearMap) -> tuple[LinearMap, ...] | None:
    """Maps whose exact sum is ``left - right``: none if they are equal, one or two else.

    The second holds the rounding errors of the first. None if a difference overflows.
    """
    if left.key == right.key:
        return ()
    parts: list[LinearMap]
    match left, right:
        case Dense(), Dense():
            parts = [Dense(values) for values in _parts(left.weight, right.weight) or ()]
        case Scale(), Scale():
            parts = [Scale(values) for values in _parts(left.factor, right.factor) or ()]
        case Conv(), Conv() if replace(left, weight=right.weight).key == right.key:
            parts = [replace(left, weight=values) for values in _parts(left.weight, right.weight) or ()]
        case _:
            return _sparse_difference(left, right)
    return tuple(parts) if parts else None


def _parts(left: Array, right: Array) -> list[Array] | None:
    """The rounded difference and, where there is one, its rounding error; None where it overflows."""
    if left.shape != right.shape:
        return None
    near, rest = _two_sum(left, -right)
    if not (np.isfinite(near).all() and np.isfinite(rest).all()):
        return None
    return [near, rest] if rest.any() else [near]


def _sparse_difference(left: LinearMap, right: LinearMap) -> tuple[LinearMap, ...] | None:
    """The same for maps of any kinds, on the union of their patterns."""
    (data, place), (other, there) = _entries(left), _entries(right)
    union = np.union1d(place, there)
    a, b = np.zeros(len(union)), np.zeros(len(union))
    a[np.searchsorted(union, place)], b[np.searchsorted(union, there)] = data, other
    indptr = np.searchsorted(union, np.arange(left.n_out + 1) * left.n_in)
    found = _parts(a, b)
    return None if found is None else tuple(Sparse(v, union % left.n_in, indptr, left.n_in) for v in found)


def _entries(linear: LinearMap) -> tuple[Array, Array]:
    """Coefficients and the numbers of their places, row by row."""
    data, indices, indptr = linear.csr()
    return data, entry_rows(indptr) * linear.n_in + indices


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """``fl(a + b)`` and ``(a + b) - fl(a + b)``, which is a float again (Knuth, TAOCP 2, section 4.2.2)."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = a + b
        head = total - a
        return total, (a - (total - head)) + (b - head)


def opposite(left: LinearMap, right: LinearMap) -> bool:
    """True if ``left == -right``, entry by entry; not looked at for convolutions."""
    if isinstance(left, Conv) or isinstance(right, Conv) or (left.n_out, left.n_in) != (right.n_out, right.n_in):
        return False
    if isinstance(left, Select) and isinstance(right, Select):
        return False
    (data, place), (other, there) = _entries(left), _entries(right)
    if len(data) != len(other):
        return False
    one, two = np.argsort(place, kind="stable"), np.argsort(there, kind="stable")
    return bool((place[one] == there[two]).all() and (data[one] == -other[two]).all())
