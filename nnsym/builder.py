"""How a Program is made: a builder that collects columns and blocks, and rows from terms.

Columns of -1 stand for the constant 0; coefficients are copied as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.linear import row_pointers
from nnsym.ir.outward import floats, written
from nnsym.program import (
    CaseBlock,
    ClauseBlock,
    ColumnBlock,
    ImplicationBlock,
    Kind,
    ProductBlock,
    Program,
    QuadraticBlock,
    Role,
    RowBlock,
    SosBlock,
    Tag,
    Valued,
    role_of,
)
from nnsym.results.clock import NEVER, Deadline

RowTerms = Sequence[tuple[Array | float, Array]]  # coefficient (one, or one a row) and column, of each term of a row


class ProgramBuilder:
    """Collects columns and blocks; the only way a Program is made.

    Past the ``deadline`` columns and rows raise OutOfTime: one node may have millions of them.
    """

    def __init__(self, deadline: Deadline = NEVER) -> None:
        self._deadline = deadline
        self._lower: list[Array] = []
        self._upper: list[Array] = []
        self._kind: list[Array] = []
        self._exact: list[tuple[Array, Array]] = []
        self._blocks: list[ColumnBlock] = []
        self._rows: list[RowBlock] = []
        self._implications: list[ImplicationBlock] = []
        self._clauses: list[ClauseBlock] = []
        self._products: list[ProductBlock] = []
        self._quadratics: list[QuadraticBlock] = []
        self._functions: list[CaseBlock] = []
        self._sets: list[SosBlock] = []
        self.n_columns = 0

    def columns(
        self,
        node: str,
        role: Role,
        index: Array,
        lower: Array,
        upper: Array,
        *,
        kind: Kind | Array = Kind.REAL,
        exact: tuple[Array, Array] | None = None,
        factors: tuple[Array, Array] | None = None,
        value: Valued | None = None,
    ) -> Array:
        """Add columns; returns their ids. ``exact`` gives the bounds as exact numbers where float64 cannot."""
        self._deadline.check()
        count = len(index)
        ids = np.arange(self.n_columns, self.n_columns + count)
        self._blocks.append(ColumnBlock(node, role_of(role), np.asarray(index), self.n_columns, factors, value))
        lower, upper = (np.broadcast_to(floats(v), (count,)) for v in (lower, upper))
        self._lower.append(lower)
        self._upper.append(upper)
        self._kind.append(np.broadcast_to(np.asarray(kind, dtype=np.int8), (count,)))
        self._exact.append(exact if exact is not None else (lower, upper))
        self.n_columns += count
        return ids

    def check(self) -> None:
        """Raise OutOfTime past the deadline: for rules between steps that take long and add nothing yet."""
        self._deadline.check()

    def bounds(self) -> tuple[Array, Array]:
        """Bounds of all columns so far."""
        return np.concatenate(self._lower), np.concatenate(self._upper)

    def rows(self, block: RowBlock) -> None:
        """Add linear rows."""
        self._deadline.check()
        if len(block):
            self._rows.append(block)

    def implications(self, block: ImplicationBlock) -> None:
        """Add guarded rows."""
        if len(block.guard):
            self._implications.append(block)

    def clauses(self, block: ClauseBlock) -> None:
        """Add clauses."""
        if len(block.indptr) > 1:
            self._clauses.append(block)

    def products(self, block: ProductBlock) -> None:
        """Add bilinear equations."""
        if len(block.out):
            self._products.append(block)

    def quadratics(self, block: QuadraticBlock) -> None:
        """Add a unit ball."""
        self._quadratics.append(block)

    def functions(self, block: CaseBlock) -> None:
        """Add functions by cases."""
        if len(block.out):
            self._functions.append(block)

    def sets(self, block: SosBlock) -> None:
        """Add sets with at most one nonzero member."""
        if len(block.indptr) > 1:
            self._sets.append(block)

    def build(
        self,
        *,
        objective: int | None,
        disjuncts: tuple[tuple[Array, Array], ...] = (),
        decides: str = "",
        meta: Mapping[str, str] | None = None,
    ) -> Program:
        """The finished program."""
        join = np.concatenate
        exact = None
        if any(lo.dtype == object or hi.dtype == object for lo, hi in self._exact):
            exact = (
                join([lo.astype(object) for lo, _ in self._exact]),
                join([hi.astype(object) for _, hi in self._exact]),
            )
        return Program(
            lower=join(self._lower),
            upper=join(self._upper),
            kind=join(self._kind),
            blocks=tuple(self._blocks),
            rows=tuple(self._rows),
            implications=tuple(self._implications),
            clauses=tuple(self._clauses),
            products=tuple(self._products),
            quadratics=tuple(self._quadratics),
            functions=tuple(self._functions),
            sets=tuple(self._sets),
            objective=objective,
            exact_bounds=exact,
            disjuncts=disjuncts,
            decides=decides,
            meta=dict(meta or {}),
        )


def row_block(
    terms: RowTerms,
    *,
    lower: Array | float = -np.inf,
    upper: Array | float = np.inf,
    tag: Tag = Tag.NETWORK,
    origin: str,
) -> RowBlock:
    """Elementwise rows: row ``i`` is ``lower_i <= sum_t coefficient_t[i] * column_t[i] <= upper_i``.

    Columns of -1 stand for the constant 0 and are left out, and so are coefficients of 0. The others are
    copied as they are.
    """
    count = len(terms[0][1])
    data = np.stack([np.broadcast_to(floats(c), (count,)) for c, _ in terms], axis=1)
    columns = np.stack([np.asarray(ids) for _, ids in terms], axis=1, dtype=np.int32, casting="same_kind")
    kept = (columns >= 0) & written(data)
    indptr = row_pointers(kept.sum(axis=1))
    low, high = (np.broadcast_to(floats(v), (count,)) for v in (lower, upper))
    return RowBlock(data[kept], columns[kept], indptr, low, high, tag, origin)


def sum_block(
    group: Array,
    terms: RowTerms,
    *,
    head: Array | None = None,
    lower: Array | float = -np.inf,
    upper: Array | float = np.inf,
    tag: Tag = Tag.NETWORK,
    origin: str,
) -> RowBlock:
    """One row per number in ``group`` (sorted): the sum over its entries of all ``coefficient * column``.

    ``head`` maps the number to one more column with coefficient 1. The terms of one row have different columns.
    """
    numbers, first = np.unique(group, return_index=True)
    count = len(numbers)
    flat = row_block(terms, origin=origin)
    ends = flat.indptr[np.append(first, len(group))]
    data, indices = flat.data, flat.indices
    if head is not None:
        data = np.insert(data, ends[:-1], np.ones(count))
        indices = np.insert(indices, ends[:-1], head[numbers])
        ends = ends + np.arange(count + 1)
    low, high = (np.broadcast_to(floats(v), (count,)) for v in (lower, upper))
    return RowBlock(data, indices, ends, low, high, tag, origin)
