"""Exact affine forms over elements of nodes, stacked: the rows of a specification.

``Rows`` is ``s = sum_k C_k v_k + d`` where every ``v_k`` is the vector of a node. Coefficients and
constants are exact (see :mod:`nnsym.ir.exact`), stored in COO form, one block for any number of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.exact import add, from_numbers, joined, multiply, nearest, round_up, to_fractions
from nnsym.ir.linear import Sparse, row_pointers
from nnsym.ir.node import Node, affine


@final
@dataclass(frozen=True, eq=False)
class Coefficients:
    """Coefficients of one node: ``coefficient[k]`` stands in row ``row[k]`` at element ``column[k]``.

    Entries are sorted by row, then column, without duplicates and without zeros.
    """

    row: Array
    column: Array
    coefficient: Array


@final
@dataclass(frozen=True, eq=False)
class Rows:
    """``m`` affine forms; ``parts`` maps each node to its coefficients, ``constant`` has shape ``(m,)``."""

    parts: Mapping[Node, Coefficients]
    constant: Array

    def __len__(self) -> int:
        return len(self.constant)

    @staticmethod
    def of(node: Node) -> Rows:
        """The elements of a node, as they are."""
        every = np.arange(node.size)
        return Rows({node: Coefficients(every, every, np.ones(node.size))}, np.zeros(node.size))

    @staticmethod
    def constants(values: object) -> Rows:
        """Rows without variables."""
        return Rows({}, from_numbers(values).ravel())

    @staticmethod
    def collect(entries: Iterable[tuple[Node, Array, Array, Array]], constant: Array) -> Rows:
        """Rows from blocks ``(node, row, column, coefficient)`` in any order; repeated places add up exactly."""
        parts: dict[Node, Coefficients] = {}
        for node, row, column, coefficient in entries:
            part = _clean(row, column, coefficient, node.size)
            parts[node] = part if node not in parts else _merge(parts[node], part, node.size)
        return Rows({n: p for n, p in parts.items() if len(p.row)}, constant)

    def take(self, index: Array) -> Rows:
        """The rows ``index``, in that order; a row may be taken more than once."""
        index = np.asarray(index, dtype=np.int64).ravel()
        every, parts = np.arange(len(self)), {}
        for node, part in self.parts.items():
            if len(index) and np.array_equal(part.row, every):  # one entry in every row
                parts[node] = Coefficients(np.arange(len(index)), part.column[index], part.coefficient[index])
                continue
            starts = np.searchsorted(part.row, index, "left")
            picked = np.searchsorted(part.row, index, "right") - starts
            if not picked.sum():
                continue
            row = np.repeat(np.arange(len(index)), picked)
            entry = np.arange(picked.sum()) - np.repeat(np.cumsum(picked) - picked, picked)
            entry = entry + np.repeat(starts, picked)
            parts[node] = Coefficients(row, part.column[entry], part.coefficient[entry])
        return Rows(parts, self.constant[index])

    @cached_property
    def whole(self) -> Node | None:
        """The node whose elements the rows are, all of them in order; None if they are anything else."""
        if len(self.parts) != 1 or self.constant.any():
            return None
        (node, part), every = next(iter(self.parts.items())), np.arange(len(self))
        same = node.size == len(part.row) == len(every) and bool((part.coefficient == 1).all())
        return node if same and (part.row == every).all() and (part.column == every).all() else None

    @property
    def entries(self) -> Array:
        """How many elements each row reads."""
        counts = np.zeros(len(self), dtype=np.int64)
        for part in self.parts.values():
            counts += np.bincount(part.row, minlength=len(self))
        return counts

    def scale(self, factor: object) -> Rows:
        """Every row times a number, or times its own number; without rounding."""
        factors = np.broadcast_to(from_numbers(factor).ravel(), (len(self),))
        parts = {}
        for node, part in self.parts.items():
            parts[node] = _clean(part.row, part.column, multiply(part.coefficient, factors[part.row]), node.size)
        return Rows({n: p for n, p in parts.items() if len(p.row)}, multiply(self.constant, factors))

    def __neg__(self) -> Rows:
        parts = {node: Coefficients(p.row, p.column, -p.coefficient) for node, p in self.parts.items()}
        return Rows(parts, -self.constant)

    def __add__(self, other: Rows) -> Rows:
        parts: dict[Node, Coefficients] = dict(self.parts)
        for node, part in other.parts.items():
            mine = parts.get(node)
            merged = part if mine is None else _merge(mine, part, node.size)
            parts[node] = merged
        return Rows({n: p for n, p in parts.items() if len(p.row)}, add(self.constant, other.constant))

    def __sub__(self, other: Rows) -> Rows:
        return self + (-other)

    def combine(self, weights: Array) -> Rows:
        """``weights @ rows`` for exact weights of shape ``(p, m)``; without rounding."""
        which, source = np.nonzero(weights)
        scaled = self.take(source).scale(weights[which, source])
        return scaled.sum_into(which, len(weights))

    def sum_into(self, target: Array, count: int) -> Rows:
        """Row ``k`` is added to row ``target[k]`` of ``count`` new rows; without rounding."""
        parts = {}
        for node, part in self.parts.items():
            parts[node] = _clean(target[part.row], part.column, part.coefficient, node.size)
        constant = _group_sum(target, self.constant, count)
        return Rows({n: p for n, p in parts.items() if len(p.row)}, constant)

    def value(self, values: Mapping[Node, Array]) -> Array:
        """The rows at node values of shape ``(..., size)``: float64, or exact on arrays of Fractions."""
        exact = any(v.dtype == object for v in values.values())
        batch = next((v.shape[:-1] for v in values.values()), ())
        total: Array = np.broadcast_to(
            to_fractions(self.constant) if exact else nearest(self.constant), (*batch, len(self))
        )
        for node, part in self.parts.items():
            v = values[node][..., part.column]
            terms = v * (to_fractions(part.coefficient) if exact else nearest(part.coefficient))
            shape = (*terms.shape[:-1], len(self))
            summed = np.zeros(shape, dtype=object if exact else np.float64)
            np.add.at(np.moveaxis(summed, -1, 0), part.row, np.moveaxis(terms, -1, 0))
            total = total + summed
        return np.asarray(total)

    def node(self) -> tuple[Node, Array, Array]:
        """The rows as one float64 affine node, and what rounding the numbers may have moved.

        Returns ``(s, slack, weight)``: the exact rows differ from ``s`` by at most
        ``slack + weight * max_k |v_k|`` per row; both are zero where every number is a float64. Raises
        :class:`InputError` for numbers beyond the range of float64.
        """
        m = len(self)
        terms = []
        weight = np.zeros(m)
        for node, part in self.parts.items():
            rounded = _held(part.coefficient)
            np.add.at(weight, part.row, _distance(part.coefficient, rounded))
            indptr = row_pointers(np.bincount(part.row, minlength=m))
            terms.append((Sparse(rounded, part.column, indptr, node.size), node))
        bias = _held(self.constant)
        slack = _distance(self.constant, bias)
        weight = np.where(weight > 0, np.nextafter(weight * (1 + 1e-12), np.inf), 0.0)
        return affine(tuple(terms), bias), slack, weight

    def keys(self) -> tuple[object, ...]:
        """Exact content, for hashing and equality."""
        parts = tuple(
            (id(node), p.row.tobytes(), p.column.tobytes(), tuple(to_fractions(p.coefficient)))
            for node, p in self.parts.items()
        )
        return (*parts, tuple(to_fractions(self.constant)))


def stack(blocks: Iterable[Rows]) -> Rows:
    """All rows of the blocks, one after the other."""
    blocks = tuple(blocks)
    starts = np.cumsum([0, *(len(b) for b in blocks)])
    gathered: dict[Node, list[tuple[int, Coefficients]]] = {}
    for start, block in zip(starts, blocks, strict=False):
        for node, part in block.parts.items():
            gathered.setdefault(node, []).append((int(start), part))
    parts = {
        node: Coefficients(
            np.concatenate([part.row + start for start, part in found]),
            np.concatenate([part.column for _, part in found]),
            joined([part.coefficient for _, part in found]),
        )
        for node, found in gathered.items()
    }
    return Rows(parts, joined([b.constant for b in blocks]) if blocks else np.zeros(0))


def _held(numbers: Array) -> Array:
    """The nearest float64 numbers, which have to be finite."""
    rounded = nearest(numbers)
    if not np.isfinite(rounded).all():
        raise InputError(
            "a number of the property, or of what it adds up to, is beyond 1.8e308",
            remedy="Divide both sides of the comparison by a power of ten",
        )
    return rounded


def _distance(exact: Array, rounded: Array) -> Array:
    """|exact - rounded| per entry, rounded up."""
    if exact.dtype != object:
        return np.zeros(exact.shape)
    return round_up(np.abs(to_fractions(exact) - to_fractions(rounded)))


def _clean(row: Array, column: Array, coefficient: Array, size: int) -> Coefficients:
    """Sort, add duplicates without rounding, drop zeros."""
    place = row.astype(np.int64) * size + column
    order = np.argsort(place, kind="stable")
    unique, summed = place[order], coefficient[order]
    if (unique[1:] == unique[:-1]).any():
        unique, inverse = np.unique(place, return_inverse=True)
        summed = _group_sum(inverse, coefficient, len(unique))
    kept = summed != 0
    if not kept.all():
        unique, summed = unique[kept], summed[kept]
    row, column = np.divmod(unique, size)
    return Coefficients(row, column, summed)


def _group_sum(target: Array, values: Array, count: int) -> Array:
    total: Array = np.zeros(count)
    rank = _occurrence(target)
    for level in range(int(rank.max(initial=-1)) + 1):  # one pass per repetition, each without rounding
        chosen = np.flatnonzero(rank == level)
        addend: Array = np.zeros(count) if values.dtype != object else to_fractions(np.zeros(count))
        addend[target[chosen]] = values[chosen]
        total = add(total, addend)
    return total


def _occurrence(target: Array) -> Array:
    """How many times each entry's value stood before it."""
    order = np.argsort(target, kind="stable")
    ordered = target[order]
    first = np.searchsorted(ordered, ordered, "left")
    rank = np.empty(len(target), dtype=np.int64)
    rank[order] = np.arange(len(target)) - first
    return rank


def _merge(a: Coefficients, b: Coefficients, size: int) -> Coefficients:
    return _clean(
        np.concatenate((a.row, b.row)),
        np.concatenate((a.column, b.column)),
        joined([a.coefficient, b.coefficient]),
        size,
    )
