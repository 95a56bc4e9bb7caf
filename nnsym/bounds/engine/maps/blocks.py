"""Matrices made of full blocks of one size: what a layer does to every token, or one operand of a matrix product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from nnsym.bounds.engine.maps.torch_maps import TorchMap, kept
from nnsym.ir.array import Array


@final
@dataclass(frozen=True, eq=False)
class FullBlocks:
    """Entry ``place[k, a, b]`` stands in row ``rows[k, a]`` and column ``columns[k, b]``; no other entry does."""

    rows: Array
    columns: Array
    place: Array

    @staticmethod
    def of(row: Array, column: Array, n_rows: int, n_columns: int) -> FullBlocks | None:
        """The blocks of distinct entries; None where some row is empty, or blocks are not full or of several sizes."""
        length = np.bincount(row, minlength=n_rows)
        if (length != length[:1]).any():
            return None
        last = np.iinfo(np.int64).max
        first, label = np.full(n_rows, last), np.full(n_columns, last)
        np.minimum.at(first, row, column)
        np.minimum.at(label, column, first[row])
        used = np.flatnonzero(label < last)
        number = len(np.unique(label[used]))
        if not number or (first == last).any() or (first[row] != label[column]).any():
            return None
        if n_rows % number or len(used) % number or n_rows * len(used) != number * len(row):
            return None
        rows = np.argsort(first, kind="stable").reshape(number, -1)
        columns = used[np.argsort(label[used], kind="stable")].reshape(number, -1)
        if (first[rows] != first[rows[:, :1]]).any() or (label[columns] != first[rows[:, :1]]).any():
            return None
        block, down, across = (np.empty(n, dtype=np.int64) for n in (n_rows, n_rows, n_columns))
        block[rows] = np.arange(number)[:, None]
        down[rows], across[columns] = np.arange(rows.shape[1]), np.arange(columns.shape[1])
        place = np.full((number, rows.shape[1], columns.shape[1]), -1)
        place[block[row], down[row], across[column]] = np.arange(len(row))
        return FullBlocks(rows, columns, place) if (place >= 0).all() else None


@final
class Blockwise:
    """``x -> y``: elements ``read`` of ``x`` in blocks, each times its part of a weight, put at ``write`` of ``y``."""

    def __init__(self, read: Tensor, write: Tensor, size: int) -> None:
        self._size = size
        self._read = None if _in_order(read) else read
        self._write: Tensor | None = write
        self._back: Tensor | None = None
        if len(write) == size:  # a permutation: reading is faster than writing
            back = write.argsort()
            self._write, self._back = None, None if _in_order(back) else back

    def __call__(self, x: Tensor, weight: Tensor) -> Tensor:
        """``(..., n_in)`` to ``(..., size)`` for a weight ``(..., blocks, a, b)``."""
        read = x if self._read is None else x.index_select(-1, self._read)
        split = read.reshape(*x.shape[:-1], *weight.shape[-3:-1]).transpose(-2, -3)
        flat = (split @ weight).transpose(-2, -3).flatten(-2)
        if self._write is not None:
            out = torch.zeros(*flat.shape[:-1], self._size, dtype=x.dtype, device=x.device)
            return out.index_copy_(-1, self._write, flat)
        return flat if self._back is None else flat.index_select(-1, self._back)


def _in_order(index: Tensor) -> bool:
    return bool((index == torch.arange(len(index), device=index.device)).all())


@final
class BlockMap(TorchMap):
    """A matrix of full blocks, of any rows and columns."""

    def __init__(self, weight: Tensor, found: FullBlocks, n_in: int, exact: bool) -> None:
        self._hold(weight, exact)
        self.n_in, self.n_out = n_in, found.rows.size
        rows, columns = (torch.tensor(v.ravel(), device=weight.device) for v in (found.rows, found.columns))
        self._up, self._down = Blockwise(columns, rows, self.n_out), Blockwise(rows, columns, n_in)
        self.weight = weight
        self.back, self.terms = (n + (not exact) for n in weight.shape[1:])

    @kept
    def fine(self) -> bool:
        return self._fine(self.weight)

    def apply(self, x: Tensor) -> Tensor:
        return self._up(x.reshape(-1, self.n_in), self.weight.mT).reshape(*x.shape[:-1], self.n_out)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._down(y.reshape(-1, self.n_out), self.weight).reshape(*y.shape[:-1], self.n_in)

    def stretch(self, x: Tensor) -> Tensor:
        return self._up(x.reshape(-1, self.n_in), self.weight.abs().mT).reshape(*x.shape[:-1], self.n_out)
