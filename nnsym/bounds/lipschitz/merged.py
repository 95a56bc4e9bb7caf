"""Affine nodes as one matrix per node below that is not affine, with what the multiplication may have rounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.lipschitz.norms import FULL
from nnsym.ir.array import Array
from nnsym.ir.linear import Dense, LinearMap, Select
from nnsym.ir.node import Affine, Node
from nnsym.ir.outward import gamma

_TINY = 2.0**-900  # more than what underflows in one product of matrices, where anything is computed at all


@final
@dataclass(frozen=True, eq=False)
class Weight:
    """A matrix ``(m, n)``: the exact one differs from ``matrix`` by at most ``slack`` in every entry; None is 0."""

    matrix: Array
    slack: Array | None = None

    @staticmethod
    def of(linear: LinearMap) -> Weight:
        return Weight(linear.weight if isinstance(linear, Dense) else linear.matrix().toarray())

    def after(self, linear: LinearMap) -> Weight:
        """``linear`` times this one."""
        if isinstance(linear, Select):
            return Weight(_picked(linear, self.matrix), None if self.slack is None else _picked(linear, self.slack))
        product = linear.apply(self.matrix.T).T
        if self.slack is None and (_selects(self.matrix) or _copies(linear)):
            return Weight(product)
        size = linear.abs().apply(np.abs(self.matrix).T).T
        there = (self.matrix != 0) | (np.asarray(self._charge) > 0)
        some = linear.abs().apply(there.T.astype(np.float64)).T > 0  # of what is there all may underflow
        slack = np.where(some, gamma(linear.n_in) * size + _TINY, 0.0)
        if self.slack is not None:
            slack = slack + linear.abs().apply(self.slack.T).T * (1 + gamma(linear.n_in))
        return Weight(product, slack * (1 + gamma(2)))

    def plus(self, other: Weight) -> Weight:
        total, meet = self.matrix + other.matrix, (self.matrix != 0) & (other.matrix != 0)
        if self.slack is None and other.slack is None and not meet.any():
            return Weight(total)
        rounded = np.where(meet, gamma(1) * np.abs(total), 0.0)
        return Weight(total, (self._charge + other._charge + rounded) * (1 + gamma(2)))

    def scaled(self, factors: Array) -> Weight:
        """The columns times factors."""
        if (factors == 1).all():
            return self
        matrix = self.matrix * factors
        if ((factors == 0) | (np.abs(factors) == 1)).all():
            return Weight(matrix, None if self.slack is None else self.slack * np.abs(factors))
        there = (self.matrix != 0) | (np.asarray(self._charge) > 0)
        extra = gamma(1) * np.abs(matrix) + np.where(there & (factors != 0), _TINY, 0.0)
        return Weight(matrix, (self._charge * np.abs(factors) + extra) * (1 + gamma(2)))

    def beside(self, other: Weight) -> Weight:
        """The columns of this one, then of the other."""
        slack = None
        if self.slack is not None or other.slack is not None:
            parts = [np.zeros(w.matrix.shape) if w.slack is None else w.slack for w in (self, other)]
            slack = np.hstack(parts)
        return Weight(np.hstack((self.matrix, other.matrix)), slack)

    @property
    def _charge(self) -> Array | float:
        return 0.0 if self.slack is None else self.slack

    @property
    def off(self) -> float:
        """The Frobenius norm of the slack, rounded up: what any exact norm 2 -> 2 may differ by."""
        if self.slack is None:
            return 0.0
        return float(np.sqrt((self.slack * self.slack).sum() + 2.0**-1000) * (1 + gamma(self.slack.size)))


def _picked(linear: Select, matrix: Array) -> Array:
    return np.where((linear.index >= 0)[:, None], matrix[linear.index], 0.0)


def _selects(matrix: Array) -> bool:
    """True if a column has one entry at most, one of 1, -1, 1/2: a product with it copies, and rounds nothing."""
    size = np.abs(matrix)
    return bool(((size == 0) | (size == 1) | (size == 0.5)).all() and (np.count_nonzero(size, axis=0) <= 1).all())


def _copies(linear: LinearMap) -> bool:
    """True if every row of the map has one entry at most, one of 1, -1, 1/2."""
    data, _, indptr = linear.csr()
    return bool((np.diff(indptr) <= 1).all() and np.isin(np.abs(data), (0.0, 0.5, 1.0)).all())


def merged(node: Affine, *, most: int = FULL) -> Mapping[Node, Weight] | None:
    """The node over the nodes below that are not affine; None where a matrix would have more than ``most`` entries."""
    found: dict[Node, Weight] = {}
    for linear, parent in zip(node.maps, node.parents, strict=True):
        if isinstance(parent, Affine):
            inner = merged(parent, most=most)
            if inner is None or any(linear.n_out * w.matrix.shape[1] > most for w in inner.values()):
                return None
            new = {below: weight.after(linear) for below, weight in inner.items()}
        elif linear.n_in * linear.n_out > most:
            return None
        else:
            new = {parent: Weight.of(linear)}
        for below, weight in new.items():
            found[below] = found[below].plus(weight) if below in found else weight
    return found
