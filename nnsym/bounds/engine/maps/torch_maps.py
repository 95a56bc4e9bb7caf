"""Linear maps on tensors: the torch counterparts of :mod:`nnsym.ir.linear`, with any number of leading batch axes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import TypeVar, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nnsym.bounds.engine.rounding import on_grid, precision
from nnsym.ir.array import Array

S = TypeVar("S")
T = TypeVar("T")


def kept(make: Callable[[S], T]) -> cached_property[T]:
    """A cached property whose tensors gradients may pass through, whatever the mode in which it is first asked for."""
    return cached_property(torch.inference_mode(False)(make))


class TorchMap(ABC):
    """``A : R^n_in -> R^n_out`` on tensors.

    ``terms`` is the largest number of products in one sum of ``apply``, ``back`` in one of ``adjoint``, and one more
    where the coefficients themselves had to be rounded, so that they are not ``exact``. ``copies`` is true if ``apply``
    only copies elements, so that it never rounds. ``work`` is the number of products of one ``apply`` of a vector.
    """

    n_in: int
    n_out: int
    terms: int
    back: int
    device: torch.device
    dtype: torch.dtype
    exact = True
    copies = False

    @property
    def work(self) -> int:
        return self.terms * self.n_out

    @abstractmethod
    def apply(self, x: Tensor) -> Tensor:
        """``A x`` for ``(..., n_in)``."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """``A^T y`` for ``(..., n_out)``."""

    @abstractmethod
    def stretch(self, x: Tensor) -> Tensor:
        """``|A| x`` for ``(..., n_in)``."""

    def rows(self, index: Tensor) -> Tensor:
        """Rows ``index`` of the matrix, ``(len(index), n_in)``."""
        return self.adjoint(functional.one_hot(index, self.n_out).to(self.dtype))

    @kept
    def touched(self) -> Tensor:
        """1 for every row with a coefficient, else 0: rows of zeros make no error, those rounded to zeros do."""
        ones = torch.ones(self.n_in, dtype=self.dtype, device=self.device)
        return (self.stretch(ones) > 0).to(self.dtype) if self.exact else ones.new_ones(self.n_out)

    @kept
    def fine(self) -> bool:
        """Every coefficient is a multiple of the grid of :func:`nnsym.bounds.engine.rounding.on_grid`."""
        return self.copies

    def _hold(self, coefficients: Tensor, exact: bool) -> None:
        """What coefficients say about the map: where they are, and whether they were rounded."""
        self.device, self.dtype, self.exact = coefficients.device, coefficients.dtype, exact

    def _fine(self, coefficients: Tensor) -> bool:
        return self.exact and on_grid(coefficients, precision(coefficients))

    def stretch_any(self, x: Tensor) -> Tensor:
        """``|A| x`` for ``x >= 0`` that may be infinite, with 0 times infinity = 0."""
        finite = torch.isfinite(x)
        if bool(finite.all()):
            return self.stretch(x)
        total = self.stretch(torch.where(finite, x, 0.0))
        return torch.where(self.stretch((~finite).to(x.dtype)) > 0, torch.inf, total)


@final
class DenseMap(TorchMap):
    """A full matrix."""

    def __init__(self, weight: Tensor, exact: bool) -> None:
        self._hold(weight, exact)
        self.weight = weight
        self.n_out, self.n_in = weight.shape
        nonzero = weight != 0  # products with 0 are exact
        self.terms, self.back = (
            (int(nonzero.sum(axis).max()) if weight.numel() else 0) + (not exact) for axis in (1, 0)
        )

    @kept
    def _abs(self) -> Tensor:
        return self.weight.abs()

    @property
    def work(self) -> int:
        return self.weight.numel()

    @kept
    def fine(self) -> bool:
        return self._fine(self.weight)

    def apply(self, x: Tensor) -> Tensor:
        return x @ self.weight.T

    def adjoint(self, y: Tensor) -> Tensor:
        return y @ self.weight

    def stretch(self, x: Tensor) -> Tensor:
        return x @ self._abs.T

    def rows(self, index: Tensor) -> Tensor:
        return self.weight[index]


@final
class SparseMap(TorchMap):
    """A sparse matrix, kept with its transpose."""

    def __init__(self, data: Tensor, indices: Array, indptr: Array, n_in: int, exact: bool) -> None:
        self._hold(data, exact)
        self.n_in, self.n_out = n_in, len(indptr) - 1
        counts = np.diff(indptr)
        columns = np.bincount(indices, minlength=1)
        self.terms, self.back = (int(most.max(initial=0)) + (not exact) for most in (counts, columns))
        row = np.repeat(np.arange(self.n_out), counts)
        order = np.lexsort((indices, row)) if (np.diff(row * n_in + indices) < 0).any() else None
        self._place = np.stack((row, indices.astype(np.int64)))
        self._data = data
        if order is not None:
            self._place, self._data = self._place[:, order], data[torch.tensor(order, device=data.device)]

    def _matrix(self, place: Array, data: Tensor, shape: tuple[int, int]) -> Tensor:
        """From entries in the order of rows and columns: what torch would otherwise sort, in seconds."""
        at = torch.tensor(place, device=data.device)
        return torch.sparse_coo_tensor(at, data, shape, check_invariants=False, is_coalesced=True)

    @kept
    def _forward(self) -> Tensor:
        return self._matrix(self._place, self._data, (self.n_out, self.n_in))

    @kept
    def _abs(self) -> Tensor:
        return self._matrix(self._place, self._data.abs(), (self.n_out, self.n_in))

    @kept
    def _backward(self) -> Tensor:
        from scipy.sparse import coo_array

        places = coo_array((np.arange(len(self._data)), tuple(self._place)), shape=(self.n_out, self.n_in))
        order = places.tocsc().data
        data = self._data[torch.tensor(order, device=self._data.device)]
        return self._matrix(self._place[::-1, order], data, (self.n_in, self.n_out))

    def apply(self, x: Tensor) -> Tensor:
        return _sparse(self._forward, x)

    def adjoint(self, y: Tensor) -> Tensor:
        return _sparse(self._backward, y)

    def stretch(self, x: Tensor) -> Tensor:
        return _sparse(self._abs, x)


def _sparse(matrix: Tensor, x: Tensor) -> Tensor:
    flat = x.reshape(-1, matrix.shape[1])
    out: Tensor = torch.sparse.mm(matrix, flat.T)
    return out.T.reshape(*x.shape[:-1], matrix.shape[0])


@final
class ScaleMap(TorchMap):
    """A diagonal matrix."""

    def __init__(self, factor: Tensor, exact: bool) -> None:
        self._hold(factor, exact)
        self.factor = factor
        self.terms = self.back = 1 + (not exact)
        self.n_in = self.n_out = len(factor)

    def apply(self, x: Tensor) -> Tensor:
        return x * self.factor

    def adjoint(self, y: Tensor) -> Tensor:
        return y * self.factor

    def stretch(self, x: Tensor) -> Tensor:
        return x * self.factor.abs()

    @kept
    def fine(self) -> bool:
        return self._fine(self.factor)


@final
class SelectMap(TorchMap):
    """Copies of elements, 0 where the index is -1."""

    copies = True

    def __init__(self, index: Tensor, n_in: int, dtype: torch.dtype) -> None:
        self.n_in, self.n_out, self.device, self.dtype = n_in, len(index), index.device, dtype
        self.kept = torch.nonzero(index >= 0).ravel()
        self.source = index[self.kept]
        self.identity = self.n_in == self.n_out and bool((index == torch.arange(n_in, device=index.device)).all())
        self.terms, self.back = 1, int(torch.bincount(self.source, minlength=1).max())
        self.permutes = self.back == 1 and len(self.kept) == self.n_in == self.n_out

    def apply(self, x: Tensor) -> Tensor:
        if self.identity:
            return x
        if len(self.kept) == self.n_out:
            return x[..., self.source]
        out = torch.zeros(*x.shape[:-1], self.n_out, dtype=x.dtype, device=x.device)
        out[..., self.kept] = x[..., self.source]
        return out

    def adjoint(self, y: Tensor) -> Tensor:
        if self.identity:
            return y
        out = torch.zeros(*y.shape[:-1], self.n_in, dtype=y.dtype, device=y.device)
        return out.index_add_(-1, self.source, y if len(self.kept) == self.n_out else y[..., self.kept])

    def stretch(self, x: Tensor) -> Tensor:
        return self.apply(x)
