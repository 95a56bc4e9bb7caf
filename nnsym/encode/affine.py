"""Affine layers, the same for every encoding: ``h = A v + b`` with every coefficient copied once.

Elements that only copy one element (slices, reshapes, identities) share its column and an element that is
constantly 0 has none (-1). Every other element gets one column ``h_i`` and one row ``A_i v - h_i = -b_i``,
so no coefficient and no constant is ever added to another in floats (folding ``b - l`` made verified nets
out of violated ones). Where several terms of a row turn out to be one column, because stable neurons share
columns, their coefficients are added if the float sum is exact; otherwise a copy of the column is made.

The specification ``s = C v + d`` is one more such layer; its numbers may be exact rationals (object arrays),
then the float64 row is the interval that contains the exact one and the exact numbers go along.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.builder import ProgramBuilder
from nnsym.ir.array import Array
from nnsym.ir.exact import add, joined, nearest, round_down, round_up, to_fractions
from nnsym.ir.linear import entry_rows, row_pointers
from nnsym.ir.outward import sum_down, sum_up
from nnsym.program import Role, RowBlock, Tag


@final
@dataclass(frozen=True, eq=False)
class Terms:
    """CSR rows over program columns: ``data`` is float64, or an object array of Fractions.

    ``distinct`` is true where it is known that no column stands twice in a row.
    """

    data: Array
    columns: Array
    indptr: Array
    distinct: bool = False

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def counts(self) -> Array:
        return np.diff(self.indptr)

    def take(self, index: Array) -> Terms:
        """The rows ``index``, in increasing order."""
        if len(index) == len(self):
            return self
        chosen = np.zeros(len(self), dtype=bool)
        chosen[index] = True
        kept = np.repeat(chosen, self.counts)
        return Terms(self.data[kept], self.columns[kept], _pointers(self.counts[index]), self.distinct)


@final
@dataclass(frozen=True, eq=False)
class AffineLayer:
    """Where an affine layer stands in a program: its node's name, role, element numbers, bounds and tag.

    With ``slack`` an element may be off its affine form by that much, to either side.
    """

    name: str
    role: Role
    index: Array
    lower: Array
    upper: Array
    tag: Tag = Tag.NETWORK
    origin: str = ""
    slack: Array | None = None


def gather(parts: Iterable[tuple[tuple[Array, Array, Array], Array]], count: int) -> Terms:
    """The sum of CSR maps ``(data, indices, indptr)``, each over the columns ``ids[indices]``.

    Columns of -1 (constant 0) and zero coefficients are left out; a column may still stand twice in a row.
    """
    parts = list(parts)
    used = np.concatenate([ids[ids >= 0] for _, ids in parts]) if parts else np.zeros(0)
    distinct = len(np.unique(used)) == len(used)
    pieces = [_placed(csr, ids) for csr, ids in parts]
    if not pieces:
        return Terms(np.zeros(0), np.zeros(0, np.int32), np.zeros(count + 1, np.int32), distinct)
    if len(pieces) == 1:
        return Terms(pieces[0].data, pieces[0].columns, pieces[0].indptr, distinct)
    row = np.concatenate([np.repeat(np.arange(count), p.counts) for p in pieces])
    order = np.argsort(row, kind="stable")
    data = joined([p.data for p in pieces])
    columns = np.concatenate([p.columns for p in pieces])
    return Terms(data[order], columns[order], _pointers(np.bincount(row, minlength=count)), distinct)


def _placed(csr: tuple[Array, Array, Array], ids: Array) -> Terms:
    data, indices, indptr = csr
    columns = ids.astype(np.int32)[indices]
    if data.all() and ids.min(initial=0) >= 0:
        return Terms(data, columns, indptr)
    kept = (columns >= 0) & (data != 0)
    ends = row_pointers(kept)[indptr]
    return Terms(data[kept], columns[kept], ends.astype(np.int32))


def _pointers(counts: Array) -> Array:
    return row_pointers(counts).astype(np.int32)


def encode_affine(builder: ProgramBuilder, layer: AffineLayer, terms: Terms, bias: Array) -> Array:
    """Add the layer ``A v + bias`` to the program; returns its column ids."""
    terms = _distinct(builder, layer, terms)
    zero, single = bias == 0, terms.counts == 1
    if layer.slack is not None:
        zero &= layer.slack == 0
    heads = terms.indptr[:-1][single]
    copies = np.zeros(len(terms), dtype=bool)
    copies[single] = terms.data[heads] == 1
    copies &= zero
    ids = np.full(len(terms), -1)
    ids[copies] = terms.columns[terms.indptr[:-1][copies]]
    fresh = np.flatnonzero(~copies & ~(zero & (terms.counts == 0)))
    if len(fresh):
        ids[fresh] = _defined(builder, layer, terms.take(fresh), bias[fresh], fresh)
    return ids


def _defined(builder: ProgramBuilder, layer: AffineLayer, terms: Terms, bias: Array, fresh: Array) -> Array:
    """Columns and rows of the elements that are neither copies nor zero."""
    ids = builder.columns(layer.name, layer.role, layer.index[fresh], layer.lower[fresh], layer.upper[fresh])
    indices, indptr = _closed(terms.columns, terms.indptr, ids.astype(np.int32))
    origin = layer.origin or f"{layer.name}: h = A v + b"
    if terms.data.dtype != object and bias.dtype != object:
        data, _ = _closed(terms.data, terms.indptr, np.full(len(terms), -1.0))
        slack = np.zeros(len(bias)) if layer.slack is None else layer.slack[fresh]
        lower, upper = sum_down(-bias, -slack), sum_up(-bias, slack)
        builder.rows(RowBlock(data, indices, indptr, lower, upper, layer.tag, origin))
        return ids
    exact, _ = _closed(to_fractions(terms.data), terms.indptr, to_fractions(np.full(len(terms), -1.0)))
    rhs = -to_fractions(bias)
    slack = _rounding_slack(builder, exact, indices, indptr)
    lower, upper = _outward(rhs, slack)
    block = RowBlock(nearest(exact), indices, indptr, lower, upper, layer.tag, origin, exact=(exact, rhs, rhs))
    builder.rows(block)
    return ids


def _closed(values: Array, indptr: Array, last: Array) -> tuple[Array, Array]:
    """Every row with one more entry at its end; rows of one length (dense layers) take the fast way."""
    count = len(last)
    ends = (indptr + np.arange(count + 1)).astype(np.int32)
    width = len(values) // count
    if (np.diff(indptr) == width).all():
        return np.concatenate((values.reshape(count, width), last[:, None]), axis=1).ravel(), ends
    return np.insert(values, indptr[1:], last), ends


def _rounding_slack(builder: ProgramBuilder, exact: Array, indices: Array, indptr: Array) -> Array:
    """How far rounding the coefficients to float64 may move each row, over the columns' bounds: exact, or inf."""
    lower, upper = builder.bounds()
    moved = np.abs(exact - to_fractions(nearest(exact)))
    size = np.maximum(np.abs(lower), np.abs(upper))[indices]
    total = np.zeros(len(indptr) - 1, dtype=object)
    row = entry_rows(indptr)
    for k in np.flatnonzero(moved != 0):
        total[row[k]] = total[row[k]] + (moved[k] * Fraction(size[k]) if np.isfinite(size[k]) else np.inf)
    return total


def _outward(rhs: Array, slack: Array) -> tuple[Array, Array]:
    bounded = np.array([s != np.inf for s in slack], dtype=bool)
    lower, upper = np.full(len(rhs), -np.inf), np.full(len(rhs), np.inf)
    lower[bounded] = round_down(to_fractions(rhs[bounded] - slack[bounded]))
    upper[bounded] = round_up(to_fractions(rhs[bounded] + slack[bounded]))
    return lower, upper


def _distinct(builder: ProgramBuilder, layer: AffineLayer, terms: Terms) -> Terms:
    """The same rows with no column twice in a row."""
    turn = 0
    while (pairs := _repeated(terms)) is not None:
        order, first, second, row = pairs
        data, columns = terms.data[order], terms.columns[order]
        total = add(data[first], data[second])
        rounded = total if data.dtype == object else nearest(total)
        same = np.asarray(rounded == total, dtype=bool)
        data[first[same]] = rounded[same]
        if not same.all():
            columns[second[~same]] = _copies(builder, f"{layer.name}.{turn}", columns[second[~same]])
        kept = np.ones(len(data), dtype=bool)
        kept[second[same]] = False
        kept &= data != 0
        terms = Terms(data[kept], columns[kept], _pointers(np.bincount(row[kept], minlength=len(terms))))
        turn += 1
    return terms


def _repeated(terms: Terms) -> tuple[Array, Array, Array, Array] | None:
    """Disjoint pairs of entries of one row with one column, in sorted order; None if there are none."""
    if terms.distinct or len(terms.data) < 2:
        return None
    key = np.repeat(np.arange(len(terms)), terms.counts) * (int(terms.columns.max()) + 1) + terms.columns
    if (key[1:] > key[:-1]).all():
        return None
    order = np.argsort(key, kind="stable")
    key = key[order]
    run = np.arange(len(key)) - np.searchsorted(key, key, "left")
    second = np.flatnonzero(run % 2 == 1)
    row = np.repeat(np.arange(len(terms)), terms.counts)[order]
    return (order, second - 1, second, row) if len(second) else None


def _copies(builder: ProgramBuilder, name: str, columns: Array) -> Array:
    """Second columns for the given ones, each with a row that makes them equal."""
    original, which = np.unique(columns, return_inverse=True)
    lower, upper = builder.bounds()
    ids = builder.columns(name, Role.COPY, original, lower[original], upper[original])
    indices = np.stack((ids, original), axis=1).ravel()
    data = np.tile([1.0, -1.0], len(ids))
    zero = np.zeros(len(ids))
    builder.rows(RowBlock(data, indices, np.arange(len(ids) + 1) * 2, zero, zero, Tag.NETWORK, f"{name}: a copy"))
    return np.asarray(ids[which])
