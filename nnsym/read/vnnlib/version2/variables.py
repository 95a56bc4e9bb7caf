"""The variables of a VNN-LIB 2.0 file: elements of declared tensors, inputs that are tied together, and products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import prod
from typing import Any, final

import numpy as np

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.read.meter import Meter
from nnsym.read.vnnlib.tree import Term
from nnsym.read.vnnlib.version2.solve import Solver

_DEGREE = 64
_MONOMIAL = 400  # bytes


@final
@dataclass(eq=False)
class Variables:
    """Numbers of variables: inputs count up from 0, hidden and output elements are ``~0``, ``~1`` and so on.

    ``first`` maps a declared name to the number of its first element, ``tied`` the elements of all declared inputs to
    their numbers; ``networks`` are the places of each network's elements in there, ``outputs`` its hidden and output
    elements. An input that an equation ties to a term is that term: its number is a negative one, and ``terms`` says
    what it is. ``monomials`` are the products met so far, each a tuple of sorted variables; monomial ``k`` is the
    variable ``~(others + k)``.
    """

    first: dict[str, int]
    shapes: dict[str, tuple[int, ...]]
    others: int
    tied: Array
    networks: tuple[range, ...] = ()
    outputs: tuple[range, ...] = ()
    terms: dict[int, Term] = field(default_factory=dict)
    monomials: list[tuple[int, ...]] = field(default_factory=list)
    known: dict[tuple[int, ...], int] = field(default_factory=dict)
    meter: Meter = field(default_factory=Meter)

    @staticmethod
    def of(networks: Sequence[Any], meter: Meter) -> Variables:
        """The variables of the declared networks, in the file's order."""
        first: dict[str, int] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        counts = [0, 0]
        ranges: tuple[list[range], list[range]] = ([], [])
        for network in networks:
            before = tuple(counts)
            for kind, tensors in enumerate((network.inputs, (*network.hidden, *network.outputs))):
                for tensor in tensors:
                    first[tensor.name] = counts[kind] if kind == 0 else ~counts[kind]
                    shapes[tensor.name] = tuple(tensor.shape)
                    counts[kind] += prod(tensor.shape)
            for kind in (0, 1):
                ranges[kind].append(range(before[kind], counts[kind]))
        inputs, computed = map(tuple, ranges)
        return Variables(first, shapes, counts[1], np.arange(counts[0]), inputs, computed, meter=meter)

    def place(self, leaf: Any) -> int:
        """The number of the element that a leaf of the tree names."""
        offset = 0
        for index, size in zip(leaf.indices, self.shapes[leaf.name], strict=True):
            if not 0 <= index < size:
                raise InputError(f"an index of '{leaf.name}' is out of range: {index}", remedy=f"0 to {size - 1}")
            offset = offset * size + index
        first = self.first[leaf.name]
        return int(self.tied[first + offset]) if first >= 0 else first - offset  # ~(start + offset)

    def tie(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Make the inputs of each pair one variable, the one declared first."""
        parent = list(range(len(self.tied)))

        def root(v: int) -> int:
            while parent[v] != v:
                parent[v] = v = parent[parent[v]]
            return v

        for a, b in pairs:
            low, high = sorted((root(a), root(b)))
            parent[high] = low
        roots = np.array([root(v) for v in parent], dtype=np.int64)
        self.tied = np.unique(roots, return_inverse=True)[1]

    def define(self, equations: Sequence[Term]) -> list[int]:
        """Make inputs the terms that equations ``term == 0`` tie them to; returns which equations were used up.

        Inputs that are left are numbered anew, without gaps.
        """
        found = Solver(self.tied, self.networks, self.outputs).solve(equations)
        if not found:
            return []
        count = int(self.tied.max()) + 1
        kept = np.array([v not in found for v in range(count)])
        number = np.where(kept, np.cumsum(kept) - 1, 0)
        for k, v in enumerate(sorted(found)):
            number[v] = ~(self.others + k)
        for v, (_, term) in found.items():
            moved = {int(number[w]) if w >= 0 else w: c for w, c in term.coefficients.items()}
            self.terms[int(number[v])] = Term(moved, term.constant)
        self.tied = number[self.tied]
        self.others += len(found)
        return [which for which, _ in found.values()]

    @property
    def free(self) -> Array:
        """For each element of the declared inputs: is it the first that has its number, and no term?"""
        first = np.zeros(len(self.tied), dtype=bool)
        first[np.unique(self.tied, return_index=True)[1]] = True
        return first & (self.tied >= 0)

    def monomial(self, factors: tuple[int, ...]) -> int:
        """The variable of a product; the product of all but its last factor comes before it."""
        if len(factors) == 1:
            return factors[0]
        if factors not in self.known:
            self.monomial(factors[:-1])
            self.known[factors] = ~(self.others + len(self.monomials))
            self.monomials.append(factors)
        return self.known[factors]

    def factors(self, variable: int) -> tuple[int, ...]:
        """The variables that a monomial multiplies."""
        k = ~variable - self.others
        return self.monomials[k] if k >= 0 else (variable,)

    def times(self, a: Term, b: Term) -> Term:
        """The product of two polynomials."""
        products = []
        for (v, c), (w, d) in ((p, q) for p in a.coefficients.items() for q in b.coefficients.items()):
            factors = (*self.factors(v), *self.factors(w))
            if len(factors) > _DEGREE:
                raise UnsupportedError(f"a product of {len(factors)} variables", remedy=f"At most {_DEGREE} are read")
            self.meter.take(_MONOMIAL, "products of sums", "multiplied out it")
            self.meter.step("products of sums")
            products.append(Term({self.monomial(tuple(sorted(factors))): c * d}, Fraction(0)))
        outer = Term({}, -a.constant * b.constant)
        return a.times(b.constant).sum([b.times(a.constant), outer, *products])
