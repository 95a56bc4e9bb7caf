"""Groups of open hinges of one layer, and rows over them: what the families over octahedra have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.linear import row_pointers
from nnsym.program import RowBlock, Tag
from nnsym.separation.scene import OpenLayer


@final
@dataclass(frozen=True, eq=False)
class Group:
    """Open hinges ``members`` of a layer, ``y_i = left_i h_i`` where ``h_i <= 0`` and ``right_i h_i`` elsewhere."""

    layer: OpenLayer
    members: Array

    @property
    def left(self) -> Array:
        o = self.layer.hinges
        return np.asarray((o.sign * o.a)[self.members])

    @property
    def right(self) -> Array:
        o = self.layer.hinges
        return np.asarray((o.sign * o.b)[self.members])

    @property
    def steep(self) -> Array:
        """The Lipschitz constants."""
        return np.maximum(np.abs(self.left), np.abs(self.right))

    @property
    def columns(self) -> Array:
        """The columns of h, then of y."""
        o = self.layer.hinges
        return np.concatenate((o.h[self.members], o.y[self.members]))

    @property
    def size(self) -> Array:
        """How large h and y get, for scaling."""
        o = self.layer.hinges
        scale = np.maximum(-o.l, o.u)[self.members]
        return np.concatenate((scale, scale * self.steep))

    def lift(self, h: Array) -> Array:
        """``(h, y)`` of points ``(n, k)``."""
        return np.concatenate((h, np.where(h > 0, self.right, self.left) * h), axis=1)


@final
@dataclass(frozen=True, eq=False)
class GroupRows:
    """Rows ``p h + q y <= rhs`` of many groups of a layer: columns and coefficients of shape ``(rows, 2 k)``."""

    layer: OpenLayer
    columns: Array
    coefficients: Array
    rhs: Array

    @staticmethod
    def empty(layer: OpenLayer, k: int) -> GroupRows:
        return GroupRows(layer, np.zeros((0, 2 * k), int), np.zeros((0, 2 * k)), np.zeros(0))

    @staticmethod
    def joined(pools: Sequence[GroupRows]) -> GroupRows:
        """All rows in one pool."""
        parts = [np.concatenate([getattr(p, name) for p in pools]) for name in ("columns", "coefficients", "rhs")]
        return GroupRows(pools[0].layer, *parts)

    def violated(self, point: Array, tolerance: float) -> RowBlock:
        """The rows that a point violates."""
        norm = np.sqrt((self.coefficients**2).sum(axis=1))
        bad = (self.coefficients * point[self.columns]).sum(axis=1) - self.rhs > tolerance * norm
        data, columns = self.coefficients[bad], self.columns[bad]
        kept = data != 0
        pointers = row_pointers(kept.sum(axis=1))
        origin = f"{self.layer.name}: facet of {self.columns.shape[1] // 2} neurons over an octahedron"
        lower = np.full(int(bad.sum()), -np.inf)
        return RowBlock(data[kept], columns[kept], pointers, lower, self.rhs[bad], Tag.CUT, origin)
