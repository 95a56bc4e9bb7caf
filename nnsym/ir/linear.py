"""Linear maps: the coefficients of the IR, kept in the shape the network gave them.

A map ``A : R^n -> R^m`` acts on flat vectors in C order with any number of leading batch axes. Every map
knows ``apply`` (x -> A x), ``adjoint`` (y -> A^T y), ``matrix`` (CSR) and ``abs`` (|A|). Coefficients are
float64 and are only ever copied. ``apply`` and ``adjoint`` take float arrays and ``object`` arrays of
``fractions.Fraction``; on the latter they are exact.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.rational.exact_product import exact_product

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def freeze(values: object, dtype: type = np.float64) -> Array:
    """A read-only copy of ``values``; NaN and infinities are refused."""
    array: Array = np.array(values, dtype=dtype, copy=True, order="C")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError("a constant holds NaN or infinity", remedy="Check the weights of the model")
    array.setflags(write=False)
    return array


def digest(parts: Iterable[object]) -> str:
    """Content digest of arrays and plain values, independent of names and of the process."""
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype != object:
            hasher.update(f"{part.dtype.str}{part.shape}".encode())
            hasher.update(np.ascontiguousarray(part).tobytes())
        else:  # exact numbers: their values, not their addresses
            hasher.update(repr(part.tolist() if isinstance(part, np.ndarray) else part).encode())
        hasher.update(b"\0")
    return hasher.hexdigest()


def entry_rows(indptr: Array) -> Array:
    """The row of every entry of a matrix in CSR form."""
    return np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))


def row_pointers(counts: Array | list[int]) -> Array:
    """The pointers of a matrix in CSR form whose rows have so many entries: where each begins, and the last ends."""
    return np.concatenate(([0], np.cumsum(counts)))


class LinearMap(ABC):
    """A linear map from ``n_in`` to ``n_out`` flat elements."""

    n_in: int
    n_out: int

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), tuple(getattr(self, f.name) for f in fields(self))  # type: ignore[arg-type]

    @cached_property
    @abstractmethod
    def key(self) -> str:
        """Content digest: equal keys mean equal maps."""

    @abstractmethod
    def csr(self) -> tuple[Array, Array, Array]:
        """``(data, indices, indptr)`` of the map; no duplicate column inside a row."""

    @abstractmethod
    def abs(self) -> LinearMap:
        """The map with every coefficient replaced by its absolute value."""

    @cached_property
    def _few(self) -> tuple[Array, Array, Array] | None:
        """``(data, row, column)`` of every entry where they are so few that SciPy is not loaded for them."""
        data, indices, indptr = self.csr()
        if len(data) > _FEW:
            return None
        return data, entry_rows(indptr), indices

    @cached_property
    def _csr_array(self) -> csr_array:
        from scipy.sparse import csr_array

        return csr_array(self.csr(), shape=(self.n_out, self.n_in))

    def matrix(self) -> csr_array:
        """The map as a SciPy CSR array of shape ``(n_out, n_in)``; do not write to it."""
        return self._csr_array

    def apply(self, x: Array) -> Array:
        """``A x`` for ``x`` of shape ``(..., n_in)``; the result has shape ``(..., n_out)``."""
        if x.dtype == object:
            return exact_product(self.csr(), x, self.n_out)
        flat = x.reshape(-1, self.n_in)
        if self._few is not None:
            data, row, column = self._few
            return _gathered(flat, data, column, row, self.n_out).reshape(*x.shape[:-1], self.n_out)
        return np.asarray((self._csr_array @ flat.T).T).reshape(*x.shape[:-1], self.n_out)

    def adjoint(self, y: Array) -> Array:
        """``A^T y`` for ``y`` of shape ``(..., n_out)``; the result has shape ``(..., n_in)``."""
        if y.dtype == object:
            transposed = self._csr_array.T.tocsr()
            parts = (transposed.data, transposed.indices, transposed.indptr)
            return exact_product(parts, y, self.n_in)
        flat = y.reshape(-1, self.n_out)
        if self._few is not None:
            data, row, column = self._few
            return _gathered(flat, data, row, column, self.n_in).reshape(*y.shape[:-1], self.n_in)
        return np.asarray((self._csr_array.T @ flat.T).T).reshape(*y.shape[:-1], self.n_in)

    @property
    def nnz(self) -> int:
        return len(self.csr()[0])

    @property
    def coefficients(self) -> Array:
        """The numbers that occur as entries, in any order and number; some others may be among them."""
        return self.csr()[0]

    @cached_property
    def longest(self) -> int:
        """The most entries of a row."""
        return int(np.diff(self.csr()[2]).max(initial=0))

    @cached_property
    def nonnegative(self) -> bool:
        """True if no coefficient is below 0."""
        return bool((self.coefficients >= 0).all())


_FEW = 128  # entries up to which NumPy multiplies, as fast: SciPy's sparse matrices take 0.15 s to load


def _gathered(x: Array, data: Array, reads: Array, to: Array, n: int) -> Array:
    """``out[b, j]``, the sum of ``data[k] x[b, reads[k]]`` over ``to[k] = j`` in the order of k, as SciPy sums."""
    with np.errstate(over="ignore", invalid="ignore"):
        terms = data * x[:, reads]
    place = to + n * np.arange(len(x))[:, None]
    found = np.bincount(place.ravel(), weights=terms.ravel(), minlength=len(x) * n)
    return found.astype(np.float64, copy=False).reshape(len(x), n)  # without entries it counts in integers


@final
@dataclass(frozen=True, eq=False)
class Dense(LinearMap):
    """A full matrix: ``weight`` has shape ``(n_out, n_in)``."""

    weight: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", freeze(self.weight))

    @property
    def n_out(self) -> int:  # type: ignore[override]
        return int(self.weight.shape[0])

    @property
    def n_in(self) -> int:  # type: ignore[override]
        return int(self.weight.shape[1])

    @cached_property
    def key(self) -> str:
        return digest(("dense", self.weight))

    def csr(self) -> tuple[Array, Array, Array]:
        m, n = self.weight.shape
        indices = np.tile(np.arange(n, dtype=np.int32), m)
        return self.weight.ravel(), indices, np.arange(0, m * n + 1, n or 1, dtype=np.int32)[: m + 1]

    @property
    def longest(self) -> int:
        return self.n_in

    def apply(self, x: Array) -> Array:
        return super().apply(x) if x.dtype == object else x @ self.weight.T

    def adjoint(self, y: Array) -> Array:
        return super().adjoint(y) if y.dtype == object else y @ self.weight

    def abs(self) -> Dense:
        return Dense(np.abs(self.weight))


@final
@dataclass(frozen=True, eq=False)
class Sparse(LinearMap):
    """A general sparse matrix in CSR form, without duplicate entries; each row is kept in the order of its columns."""

    data: Array
    indices: Array
    indptr: Array
    n_in: int

    def __post_init__(self) -> None:
        data, indices = _in_row_order(np.asarray(self.data), np.asarray(self.indices), np.asarray(self.indptr))
        object.__setattr__(self, "data", freeze(data))
        object.__setattr__(self, "indices", freeze(indices, np.int32))
        object.__setattr__(self, "indptr", freeze(self.indptr, np.int32))

    @property
    def n_out(self) -> int:  # type: ignore[override]
        return len(self.indptr) - 1

    @cached_property
    def key(self) -> str:
        return digest(("sparse", self.data, self.indices, self.indptr, self.n_in))

    def csr(self) -> tuple[Array, Array, Array]:
        return self.data, self.indices, self.indptr

    def abs(self) -> Sparse:
        return Sparse(np.abs(self.data), self.indices, self.indptr, self.n_in)


def _in_row_order(data: Array, indices: Array, indptr: Array) -> tuple[Array, Array]:
    """The entries of every row sorted by column: what SciPy would otherwise do in place."""
    falls = np.flatnonzero(np.diff(indices) < 0) + 1
    if np.isin(falls, indptr).all():
        return data, indices
    order = np.lexsort((indices, entry_rows(indptr)))
    return data[order], indices[order]


#: Entries from which a matrix is kept sparse where at most one in :data:`_RARE` is not zero.
_LARGE, _RARE = 2**20, 16


def matrix_map(weight: Array) -> LinearMap:
    """The map of a full matrix ``(n_out, n_in)``: the same coefficients, without its zeros where these are nearly all.

    Selections and networks of maxima are stored as such matrices; 64 functions of two inputs take 33 million entries
    for 16,000 that count.
    """
    if weight.size < _LARGE or np.count_nonzero(weight) * _RARE > weight.size:
        return Dense(weight)
    column, row = np.nonzero(weight.T) if weight.flags.f_contiguous else np.nonzero(weight)[::-1]
    order = np.lexsort((column, row))
    row, column = row[order], column[order]
    indptr = row_pointers(np.bincount(row, minlength=weight.shape[0]))
    return Sparse(weight[row, column], column, indptr, weight.shape[1])


@final
@dataclass(frozen=True, eq=False)
class Scale(LinearMap):
    """A diagonal map: ``(A x)_i = factor_i x_i``."""

    factor: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", freeze(self.factor))

    @property
    def n_in(self) -> int:  # type: ignore[override]
        return len(self.factor)

    @property
    def n_out(self) -> int:  # type: ignore[override]
        return len(self.factor)

    @cached_property
    def key(self) -> str:
        return digest(("scale", self.factor))

    def csr(self) -> tuple[Array, Array, Array]:
        n = len(self.factor)
        return self.factor, np.arange(n, dtype=np.int32), np.arange(n + 1, dtype=np.int32)

    def apply(self, x: Array) -> Array:
        return x * (to_fractions(self.factor) if x.dtype == object else self.factor)

    def adjoint(self, y: Array) -> Array:
        return self.apply(y)

    def abs(self) -> Scale:
        return Scale(np.abs(self.factor))


@final
@dataclass(frozen=True, eq=False)
class Select(LinearMap):
    """Copies elements: ``(A x)_i = x[index_i]``, or 0 where ``index_i`` is -1.

    Slices, gathers, transposes, concatenations and zero padding are all selections; they never make a
    column or a row in a program.
    """

    index: Array
    n_in: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", freeze(np.ravel(self.index), np.int64))
        if len(self.index) and (self.index.min() < -1 or self.index.max() >= self.n_in):
            raise InputError(f"a selection reads outside its {self.n_in} elements")

    @property
    def n_out(self) -> int:  # type: ignore[override]
        return len(self.index)

    @cached_property
    def key(self) -> str:
        return digest(("select", self.index, self.n_in))

    @property
    def is_identity(self) -> bool:
        return self.n_in == self.n_out and bool((self.index == np.arange(self.n_in)).all())

    def csr(self) -> tuple[Array, Array, Array]:
        kept = self.index >= 0
        indptr = row_pointers(kept).astype(np.int32)
        return np.ones(int(kept.sum())), self.index[kept].astype(np.int32), indptr

    def apply(self, x: Array) -> Array:
        zero = to_fractions(0.0) if x.dtype == object else 0.0
        return np.where(self.index >= 0, x[..., self.index], zero)

    def abs(self) -> Select:
        return self


def identity(n: int) -> Select:
    """The identity on ``n`` elements."""
    return Select(np.arange(n), n)
