"""The matrices of a network as the kept engine uses them: cut down to the elements that matter, in both formats."""

from __future__ import annotations

import math
from typing import Any, final

import numpy as np

from nnsym.bounds.kept.rounding import FLOAT64, Precision
from nnsym.ir.array import Array
from nnsym.ir.linear import Dense, LinearMap, Select, entry_rows

_DENSE = 2**20  # a matrix of at most this many entries is faster as a full one,
_SMALL, _RARE = 2**17, 32  # unless it has more than so many, of which at most one in 32 counts


@final
class Matrix:
    """Some rows and columns of a linear map ``A``: a full matrix, or a sparse one of SciPy.

    Products with centres and amounts are made in float64, those with rows in the format ``by``. ``terms`` is the
    largest number of products in one sum of :meth:`apply`, ``back`` in one of :meth:`adjoint`; ``rounded`` is 1 if the
    format does not hold the coefficients, else 0, ``copies`` true if :meth:`apply` only copies elements.
    """

    def __init__(self, wide: Any, by: Precision, *, copies: bool) -> None:
        self.wide, self.by, self.copies = _lean(wide), by, copies
        self.full = isinstance(self.wide, np.ndarray)
        self.size = np.abs(self.wide)
        self.narrow = self.wide.astype(by.dtype, copy=False)
        there = self.wide != 0
        counts = [np.asarray(there.sum(axis)).ravel() for axis in (1, 0)]
        self.terms, self.back = (int(c.max(initial=0)) for c in counts)
        self.touched = (counts[0] > 0).astype(np.float64)
        values = self.wide if self.full else self.wide.data
        same = by is FLOAT64 or bool((values.astype(by.dtype) == values).all())
        self.rounded = 0 if same else 1
        self._transposed = None if self.full else self.narrow.T.tocsr()

    @staticmethod
    def of(linear: LinearMap, out: Array, into: Array, by: Precision) -> Matrix:
        """Rows ``out`` and columns ``into`` of a map."""
        return Matrix(_cut(linear, out, into), by, copies=isinstance(linear, Select))

    def part(self, out: Array, into: Array) -> Matrix:
        """Some of its rows and columns."""
        if self.full:
            return Matrix(self.wide[np.ix_(out, into)], self.by, copies=self.copies)
        wide = self.wide[out][:, into]
        return Matrix(wide.toarray() if len(out) * len(into) <= _DENSE else wide, self.by, copies=self.copies)

    @property
    def shape(self) -> tuple[int, int]:
        """``(n_out, n_in)``."""
        return self.wide.shape  # type: ignore[no-any-return]

    def apply(self, x: Array) -> Array:
        """``A x`` in float64 for ``(batch, n_in)``."""
        return _times(self.wide, x)

    def stretch(self, x: Array) -> Array:
        """``|A| x`` in float64 for amounts ``x >= 0`` that may be infinite, with 0 times infinity = 0."""
        finite = np.isfinite(x)
        if finite.all():
            return _times(self.size, x)
        total = _times(self.size, np.where(finite, x, 0.0))
        return np.where(_times(self.size, (~finite).astype(np.float64)) > 0, np.inf, total)

    def forward(self, x: Array) -> Array:
        """``A x`` for ``(..., n_in)`` in the format of rows, uncharged."""
        return _times(self.narrow, _flat(x)).reshape(*x.shape[:-1], self.shape[0])

    def adjoint(self, c: Array) -> Array:
        """``A^T c`` in the format of rows for ``(..., n_out)``."""
        flat = _flat(c)
        found = flat @ self.narrow if self.full else np.ascontiguousarray((self._transposed @ flat.T).T)
        return np.asarray(found).reshape(*c.shape[:-1], self.shape[1])

    def rows(self, index: Array) -> Array:
        """Rows ``index`` of A in the format of rows, ``(*index.shape, n_in)``; a copy."""
        found = self.narrow[index.ravel()]
        return np.asarray(found if self.full else found.toarray()).reshape(*index.shape, self.shape[1])


def columns(linear: LinearMap, rows: Array) -> Array:
    """The columns in which some of the ``rows`` (a mask) have a coefficient, as a mask."""
    if isinstance(linear, Dense):
        return np.asarray((linear.weight[rows] != 0).any(axis=0))
    data, indices, indptr = linear.csr()
    there = np.zeros(linear.n_in, dtype=bool)
    there[indices[np.repeat(rows, np.diff(indptr)) & (data != 0)]] = True
    return there


def leading(linear: LinearMap) -> Array:
    """The first column in which each row has a coefficient; any where it has none."""
    if isinstance(linear, Dense):
        return np.asarray((linear.weight != 0).argmax(axis=1)) if linear.n_in else np.zeros(linear.n_out, dtype=int)
    data, indices, indptr = linear.csr()
    first = np.full(linear.n_out, linear.n_in)
    np.minimum.at(first, entry_rows(indptr), np.where(data != 0, indices, linear.n_in))
    return first


def _flat(values: Array) -> Array:
    """All rows of an array as one matrix, also where there are no elements."""
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])


def _times(matrix: Any, x: Array) -> Array:
    return np.asarray(x @ matrix.T) if isinstance(matrix, np.ndarray) else np.ascontiguousarray((matrix @ x.T).T)


def _lean(matrix: Any) -> Any:
    """A full matrix without its zeros, where these are nearly all of a large one: selections, lattices of maxima."""
    if not isinstance(matrix, np.ndarray) or matrix.size <= _SMALL or np.count_nonzero(matrix) * _RARE > matrix.size:
        return matrix
    import scipy.sparse  # heavy: scipy

    return scipy.sparse.csr_array(matrix)


def _cut(linear: LinearMap, out: Array, into: Array) -> Any:
    """Rows and columns of a map, as a full matrix if it is one or small."""
    whole = len(out) == linear.n_out and len(into) == linear.n_in
    if isinstance(linear, Dense):
        return linear.weight if whole else np.ascontiguousarray(linear.weight[np.ix_(out, into)])
    if linear.n_in * linear.n_out <= _DENSE:
        data, indices, indptr = linear.csr()
        full = np.zeros((linear.n_out, linear.n_in))
        full[entry_rows(indptr), indices] = data
        return full[np.ix_(out, into)]
    part = linear.matrix() if whole else linear.matrix()[out][:, into]
    return part.toarray() if len(out) * len(into) <= _DENSE else part
