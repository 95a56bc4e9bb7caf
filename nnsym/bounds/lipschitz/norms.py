"""Operator norms of one linear map from above: ``|A|_{p -> q} = max |A x|_q / |x|_p`` for p, q in 1, 2, infinity.

    1 -> q     the largest q-norm of a column                p -> inf   the largest dual norm of a row
    2 -> 2     Gram iteration (:mod:`gram`), frequencies of a convolution (:mod:`frequencies`)
    inf -> 2, 2 -> 1, inf -> 1     the least of what norms of rows, and the norms above, say

The first two kinds are exact up to the rounding of one sum. Norms that take time are kept by content.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, final

import numpy as np

from nnsym.bounds.lipschitz.frequencies import convolution_norm
from nnsym.bounds.lipschitz.gram import spectral_norm
from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv
from nnsym.ir.linear import LinearMap, Scale, Select, entry_rows
from nnsym.ir.outward import gamma

Norm = Literal[1, 2, "inf"]

_DUAL: dict[Norm, Norm] = {1: "inf", 2: 2, "inf": 1}

#: Entries of a matrix up to which it is taken as a full one.
FULL = 2**20
_TINY = 2.0**-500  # its square is more than what underflows in sums of squares, and far from every norm that counts


@final
@dataclass(frozen=True)
class _Kept:
    """A map that is told by its content; what is kept of it does not keep it."""

    key: str
    reference: weakref.ref[LinearMap] = field(compare=False, repr=False)

    @staticmethod
    def of(linear: LinearMap) -> _Kept:
        return _Kept(linear.key, weakref.ref(linear))

    @property
    def linear(self) -> LinearMap:
        found = self.reference()
        assert found is not None  # whoever asks holds it
        return found


def norm_of(p: object) -> Norm:
    """1, 2 or ``"inf"`` of what people write for them."""
    if isinstance(p, (int, float, str)):
        if p in (1, 2):
            return 1 if p == 1 else 2
        if p in ("inf", float("inf")):
            return "inf"
    raise InputError(f"a norm of {p!r}", remedy="Use 1, 2 or inf")


def operator_norm(linear: LinearMap, p: object = 2, q: object = 2) -> float:
    """A float64 not below ``|A|_{p -> q}``."""
    return _known(_Kept.of(linear), norm_of(p), norm_of(q)) if linear.nnz else 0.0


@lru_cache(maxsize=4096)
def _known(kept: _Kept, start: Norm, end: Norm) -> float:
    linear = kept.linear
    if start == 1 or end == "inf":
        exact = column_norms(linear, end) if start == 1 else row_norms(linear, dual(start))
        return float(exact.max())
    if (start, end) == (2, 2):
        return _spectral(linear)
    return _mixed(linear, start, end)


def dual(p: Norm) -> Norm:
    """The dual norm, ``1/p + 1/q = 1``."""
    return _DUAL[p]


def row_norms(linear: LinearMap, q: Norm) -> Array:
    """The q-norms of the rows, rounded up."""
    return _row_norms(_Kept.of(linear), q)


@lru_cache(maxsize=512)
def _row_norms(kept: _Kept, q: Norm) -> Array:
    linear = kept.linear
    data, _, indptr = linear.csr()
    return _lengths(np.abs(data), entry_rows(indptr), linear.n_out, q)


def column_norms(linear: LinearMap, q: Norm) -> Array:
    """The q-norms of the columns, rounded up."""
    data, indices, _ = linear.csr()
    return _lengths(np.abs(data), np.asarray(indices), linear.n_in, q)


def length(values: Array, q: Norm) -> float:
    """The q-norm of a vector of sizes not below 0, rounded up."""
    return float(_lengths(values, np.zeros(len(values), dtype=np.int64), 1, q)[0])


def _lengths(sizes: Array, group: Array, count: int, q: Norm) -> Array:
    """q-norms of groups of sizes; infinite where a size is not known (NaN)."""
    found = _sums(np.where(np.isnan(sizes), np.inf, sizes), group, count, q)
    return np.where(np.isnan(found), np.inf, found)


def _sums(sizes: Array, group: Array, count: int, q: Norm) -> Array:
    out = np.zeros(count)
    if q == "inf":
        np.maximum.at(out, group, sizes)
        return out
    most = int(np.bincount(group, minlength=1).max(initial=0))
    if q == 1:
        return np.bincount(group, weights=sizes, minlength=count) * (1 + gamma(most))
    largest = np.zeros(count)
    np.maximum.at(largest, group, sizes)
    scale = np.where((largest > 0) & np.isfinite(largest), np.ldexp(1.0, np.frexp(largest)[1] - 1), 1.0)
    scaled = sizes / scale[group]  # by powers of two, to 2 at most: squares neither overflow nor underflow together
    squares = np.bincount(group, weights=scaled * scaled, minlength=count)
    return np.asarray(np.where(largest > 0, scale * np.sqrt(squares) * (1 + gamma(most + 2)) + _TINY, 0.0))


def _spectral(linear: LinearMap) -> float:
    if isinstance(linear, Scale):
        return float(np.abs(linear.factor).max())
    if isinstance(linear, Select):  # orthogonal rows, each element copied a few times
        copied = np.bincount(linear.index[linear.index >= 0])
        return float(np.nextafter(np.sqrt(copied.max()), np.inf)) if copied.max() > 1 else 1.0
    rows = float(row_norms(linear, 1).max())
    columns = float(column_norms(linear, 1).max())
    found = [np.nextafter(np.sqrt(rows) * np.sqrt(columns) * (1 + gamma(2)), np.inf)]
    if isinstance(linear, Conv):
        found.append(convolution_norm(linear))
    if linear.n_in * linear.n_out <= FULL or _narrow(linear):
        found.append(spectral_norm(linear.matrix().toarray()))
    return float(min(found))


def _narrow(linear: LinearMap) -> bool:
    """True for a full matrix with a side so short that its Gram matrix is quick."""
    return (
        not isinstance(linear, Conv) and min(linear.n_in, linear.n_out) <= 2048 and linear.n_in * linear.n_out <= 2**24
    )


def _mixed(linear: LinearMap, p: Norm, q: Norm) -> float:
    """Of inf -> 2, inf -> 1 and 2 -> 1: rows one by one, or the spectral norm with ``|x|_2 <= sqrt n |x|_inf``."""
    by_rows = length(row_norms(linear, dual(p)), q)
    wide = linear.n_in if p == "inf" else 1
    tall = linear.n_out if q == 1 else 1
    return min(by_rows, operator_norm(linear) * float(np.sqrt(wide) * np.sqrt(tall)) * (1 + gamma(4)))
