"""Exact polynomials over the variables of a VNN-LIB file: what is left of a property's graph after seeing through it.

A variable is ``(tensor, element)``, numbers of a declared tensor and of an element in it. A maximum or a hinge of the
property has no name in the file; it stands as a kink ``(-1 - k, 0)`` until the comparison around it is split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import lcm
from typing import Any, TypeAlias

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import entry_rows
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge, Piecewise

Key: TypeAlias = tuple[int, int]
Polynomial: TypeAlias = dict[tuple[Key, ...], Fraction]


def constant(value: Fraction) -> Polynomial:
    """A number."""
    return {(): value} if value else {}


def plus(a: Polynomial, b: Polynomial, factor: Fraction | int = 1) -> Polynomial:
    """``a + factor b``."""
    total = dict(a)
    for monomial, value in b.items():
        total[monomial] = total.get(monomial, Fraction(0)) + factor * value
    return {m: c for m, c in total.items() if c}


def scaled(a: Polynomial, factor: Fraction) -> Polynomial:
    """``factor a``."""
    return {m: factor * c for m, c in a.items() if factor}


def times(a: Polynomial, b: Polynomial) -> Polynomial:
    """``a b``."""
    total: Polynomial = {}
    for m, c in a.items():
        for n, d in b.items():
            total = plus(total, {tuple(sorted((*m, *n))): c * d})
    return total


class Expander:
    """Elements of nodes as polynomials; ``base`` numbers the nodes that have variables of their own.

    ``carriers`` says what elements of inputs are, in terms of other variables. ``kinks`` collects the maxima (True) and
    minima met on the way, each with its pieces.
    """

    def __init__(self, base: Mapping[Node, int], carriers: Mapping[tuple[Input, int], Polynomial]) -> None:
        self.base, self.carriers = base, carriers
        self.kinks: dict[Key, tuple[bool, list[Polynomial]]] = {}
        self._known: dict[tuple[Node, int], Polynomial] = {}
        self._csr: dict[int, Any] = {}

    def rows(self, rows: Rows) -> list[Polynomial]:
        """Every row of a specification."""
        found = [constant(c) for c in to_fractions(rows.constant)]
        for node, part in rows.parts.items():
            for row, column, factor in zip(part.row, part.column, to_fractions(part.coefficient), strict=True):
                found[row] = plus(found[row], self.element(node, int(column)), factor)
        return found

    def element(self, node: Node, k: int) -> Polynomial:
        """Element ``k`` of a node: a variable of its own, or what the node computes."""
        if node in self.base:
            return {((self.base[node], k),): Fraction(1)}
        if (node, k) not in self._known:
            self._known[node, k] = self.inside(node, k)
        return self._known[node, k]

    def inside(self, node: Node, k: int) -> Polynomial:
        """What a node computes as element ``k``, even where it has variables of its own."""
        match node:
            case Input():
                if (node, k) not in self.carriers:
                    raise UnsupportedError(
                        f"'{node.name}[{k}]' is not an input of a network, and VNN-LIB has no other variables",
                        remedy="Export to .smt2, or state the property over the networks' inputs",
                    )
                return self.carriers[node, k]
            case Affine():
                return self._affine(node, k)
            case Product():
                return times(self.element(node.parents[0], k), self.element(node.parents[1], k))
            case Max():
                members = [self.element(node.parents[0], int(j)) for j in node.groups[k] if j >= 0]
                return self._kink(True, members)
            case Pointwise(fn=Hinge() as fn):
                z = self.element(node.parents[0], k)
                left, right = (Fraction(side[k]) for side in fn.slopes(node.size))
                return self._kink(left <= right, [scaled(z, left), scaled(z, right)])
            case Pointwise(fn=Piecewise() as fn) if not fn.jumps:
                return self._pieces(fn.take(np.array([k])), self.element(node.parents[0], k))
        raise UnsupportedError(
            f"VNN-LIB has no '{node.fn.name if isinstance(node, Pointwise) else type(node).__name__}' in a property",
            remedy="Make it part of the network, or export to .smt2",
        )

    def _pieces(self, fn: Piecewise, z: Polynomial) -> Polynomial:
        """The first line and ``(s_i+1 - s_i) max(0, z - t_i)`` for every breakpoint of a continuous function."""
        breaks, slopes, offsets = (to_fractions(part[0]) for part in (fn.breaks, fn.slopes, fn.offsets))
        total = plus(scaled(z, slopes[0]), constant(offsets[0]), Fraction(1))
        for t, turn in zip(breaks, np.diff(slopes), strict=True):
            kink = self._kink(True, [constant(Fraction(0)), plus(z, constant(-t), Fraction(1))])
            total = plus(total, kink, turn) if turn else total
        return total

    def _affine(self, node: Affine, k: int) -> Polynomial:
        total = constant(Fraction(node.bias[k]))
        for linear, parent in zip(node.maps, node.parents, strict=True):
            data, indices, indptr = self._csr.setdefault(id(linear), linear.csr())
            for j in range(indptr[k], indptr[k + 1]):
                if data[j]:
                    total = plus(total, self.element(parent, int(indices[j])), Fraction(data[j]))
        return total

    def _kink(self, largest: bool, pieces: list[Polynomial]) -> Polynomial:
        key = (-1 - len(self.kinks), 0)
        self.kinks[key] = (largest, pieces)
        return {(key,): Fraction(1)}


def single_rows(node: Node) -> list[tuple[int, Input, int, Fraction, Fraction]]:
    """``(k, x, j, factor, constant)`` for the elements ``k`` of an affine node that are ``factor x_j + constant``."""
    if not isinstance(node, Affine):
        return []
    entries: dict[int, list[tuple[Node, int, float]]] = {}
    for linear, parent in zip(node.maps, node.parents, strict=True):
        data, indices, indptr = linear.csr()
        rows = entry_rows(indptr)
        for row, column, value in zip(rows.tolist(), indices.tolist(), data.tolist(), strict=True):
            if value:
                entries.setdefault(row, []).append((parent, column, value))
    return [
        (k, parent, column, Fraction(value), Fraction(node.bias[k]))
        for k, ((parent, column, value), *more) in entries.items()
        if isinstance(parent, Input) and not more
    ]


def finite_scale(values: Iterable[Fraction]) -> int:
    """The least whole number that makes every value a finite decimal."""
    scale = 1
    for value in values:
        rest = value.denominator
        for prime in (2, 5):
            while rest % prime == 0:
                rest //= prime
        scale = lcm(scale, rest)
    return scale


def decimal(value: Fraction) -> str:
    """A finite decimal in full, with a point and without an exponent."""
    places, rest = 1, value.denominator
    while 10**places % rest:
        places += 1
    digits = str(abs(value.numerator) * 10**places // rest).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"
