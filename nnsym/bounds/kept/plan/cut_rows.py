"""Cuts as passes use them: the elements that matter, in the format of rows, and what their offsets are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.bounds.kept.cuts import Cuts
from nnsym.bounds.kept.plan.maps import Matrix
from nnsym.bounds.kept.rounding import FLOAT64, Precision
from nnsym.ir.array import Array
from nnsym.ir.linear import Sparse
from nnsym.ir.node import Affine, Node


@final
@dataclass(frozen=True, eq=False)
class CutRows:
    """``y[index] <= sum_p M_p p + offset`` for elements ``index`` of what matters of y, which are of all ``count`` cuts
    those at ``number``.

    ``b`` is the constant of the argument ``W p + b``; ``passive`` and ``active``, a matrix for each p, are ``line W -
    M`` and ``(1 - top) W - M`` up to a few roundings of terms whose sizes add up to ``size`` over a row. ``most`` is
    the largest number of cuts of one element.
    """

    count: int
    number: Array
    index: Array
    matrices: tuple[tuple[Matrix, Node], ...]
    top: Array
    line: Array
    b: Array
    passive: tuple[Matrix, ...]
    active: tuple[Matrix, ...]
    size: Array
    most: int

    def __len__(self) -> int:
        return len(self.index)

    @staticmethod
    def of(node: Node, cuts: Cuts, keep: Mapping[Node, Array], by: Precision) -> CutRows:
        """The cuts of a ReLU node whose elements are kept; the elements of nodes that matter are those of ``keep``."""
        (z,) = node.parents
        assert isinstance(z, Affine)
        number = np.flatnonzero(np.isin(cuts.index, keep[node]))
        index, top, line = cuts.index[number], cuts.top[number], cuts.line[number]
        size, matrices = np.zeros(len(number)), []
        passive: list[Matrix] = []
        active: list[Matrix] = []
        for m, w, p in zip(cuts.maps, z.maps, z.parents, strict=True):
            weights = w.matrix()[index]
            own = (m.matrix()[number] * (weights != 0)).tocsr()  # what W does not read may be missing in p
            size += np.asarray(abs(own).sum(1) + abs(weights).sum(1) * (1.0 + top + line)).ravel()
            for share, side in ((line, passive), (1.0 - top, active)):
                side.append(_matrix(weights * share[:, None] - own, keep[p], FLOAT64))
            matrices.append((_matrix(own, keep[p], by), p))
        place, b = np.searchsorted(keep[node], index), z.bias[index]
        most = int(np.bincount(place).max(initial=0))
        sides = tuple(passive), tuple(active)
        return CutRows(len(cuts), number, place, tuple(matrices), top, line, b, *sides, size, most)


def _matrix(rows: Any, into: Array, by: Precision) -> Matrix:
    made = rows.tocsr()
    made.sort_indices()
    entries = Sparse(made.data, made.indices, made.indptr, made.shape[1])
    return Matrix.of(entries, np.arange(made.shape[0]), into, by)
