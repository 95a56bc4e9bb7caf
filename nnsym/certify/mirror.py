"""The checker's own graph and facts as a query, so that the kept engine bounds what the checker will compute.

Nothing here is relied upon: node by node the numbers are those of the checker's lowering, and what is proposed by them
counts only once the checker has accepted it. Every fact ``g <= 0`` of the certificate is one row, in the order of
:attr:`Mirror.facts`; a leaf of a tree is a box on which some row is positive.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from nnsym.check import functions as checked
from nnsym.check.graph import Affine, Curve, Input, Map, exact
from nnsym.check.problem import Case, Fact, Problem
from nnsym.errors import UnsupportedError
from nnsym.ir import node as ir
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.formula import TRUE
from nnsym.ir.linear import Dense, LinearMap, Select, Sparse
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Hinge, Piecewise, Univariate


@final
@dataclass(frozen=True, eq=False)
class Mirror:
    """``query`` has one input, all elements of the checker's box; ``nodes`` are the checker's nodes in it.

    ``facts`` are the facts of the root and of every operand of its disjunctions, ``number`` their rows.
    """

    query: Query
    input: ir.Input
    nodes: Mapping[Any, ir.Node]
    facts: tuple[Fact, ...]
    number: Mapping[int, int]

    def row(self, fact: Fact) -> int:
        """The row of a fact of the mirror's own."""
        return self.number[id(fact)]


def mirror(problem: Problem, cases: Sequence[Case], facts: Sequence[Fact]) -> Mirror:
    """The query of a problem on the hull of some cases, with a row for each of ``facts``.

    Boxes alone bound it, as they do the checker's nodes; other premises take part in a leaf by their multipliers.

    Raises :class:`UnsupportedError` for inputs without bounds and for functions that no engine here knows.
    """
    x = ir.new_input("x", problem.graph.width, integer=np.isin(np.arange(problem.graph.width), list(problem.integers)))
    nodes: dict[Any, ir.Node] = {}
    for node in problem.nodes:
        nodes[node] = _node(node, nodes, x)
    query = Query(name="certificate", boxes={x: _hull(cases)}, rows=_rows(facts, nodes, x), formula=TRUE)
    return Mirror(query, x, nodes, tuple(facts), {id(f): k for k, f in enumerate(facts)})


def _hull(cases: Sequence[Case]) -> Box:
    lowers, uppers = ([getattr(c, side) for c in cases] for side in ("lower", "upper"))
    ends = []
    for sides, choose in ((lowers, min), (uppers, max)):
        numbers = [choose(column, key=Fraction) if None not in column else None for column in zip(*sides, strict=True)]
        if None in numbers:
            raise UnsupportedError(f"input element {numbers.index(None)} has no bounds", where="certificate")
        ends.append(_fractions(numbers))
    return Box(*ends)


def _fractions(values: Sequence[Any]) -> Array:
    found = np.empty(len(values), dtype=object)
    found[:] = [Fraction(v) for v in values]
    return found


def _rows(facts: Sequence[Fact], nodes: Mapping[Any, ir.Node], x: ir.Input) -> Rows:
    entries, constant = [], []
    for k, fact in enumerate(facts):
        constant.append(Fraction(-1) if fact.squares else fact.constant)
        for node, terms in () if fact.squares else fact.terms.items():
            place = np.array(list(terms)) + (node.first if isinstance(node, Input) else 0)
            target = x if isinstance(node, Input) else nodes[node]
            entries.append((target, np.full(len(terms), k), place, _fractions(list(terms.values()))))
    return Rows.collect(entries, _fractions(constant))


def _node(node: Any, nodes: Mapping[Any, ir.Node], x: ir.Input) -> ir.Node:
    if isinstance(node, Input):
        place = np.arange(node.first, node.first + node.size)
        return ir.affine(((Select(place, x.size), x),))
    if isinstance(node, Affine):
        bias = np.zeros(node.size) if node.bias is None else _floats(node.bias)
        return ir.affine(tuple((_map(m), nodes[p]) for p, m in node.parts), bias)
    assert isinstance(node, Curve)
    parents = [nodes[p] for p in node.parents]
    if isinstance(node.function, checked.Product | checked.Square):
        return ir.product(parents[0], parents[-1])
    return ir.pointwise(function_of(node.function), parents[0])


def _map(m: Map) -> LinearMap:
    if all(columns is None for columns, _ in m.rows):
        return Dense(np.stack([_floats(weights) for _, weights in m.rows]))
    columns = [np.arange(m.width) if c is None else np.asarray(c, dtype=np.int64) for c, _ in m.rows]
    if all(len(c) == 1 for c in columns) and all(w[0] == 1 for _, w in m.rows):
        return Select(np.concatenate(columns), m.width)
    from scipy.sparse import csr_array

    ends = np.cumsum([0, *map(len, columns)])
    data = np.concatenate([_floats(weights) for _, weights in m.rows])
    summed = csr_array((data, np.concatenate(columns), ends), shape=(len(columns), m.width))
    summed.sum_duplicates()
    return Sparse(summed.data, summed.indices, summed.indptr, m.width)


def _floats(values: Sequence[Any]) -> Array:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):  # fractions
        return np.array([float(exact(v)) for v in values])


def function_of(function: Any) -> Univariate:
    """A function of the checker's as one that the engine knows."""
    if isinstance(function, checked.Sigmoid):
        known: dict[tuple[int, int, int], Univariate] = {(1, 1, 0): Sigmoid(), (2, 2, -1): Tanh()}
        if (function.k, function.m, function.c) in known:
            return known[function.k, function.m, function.c]
    if isinstance(function, checked.Pieces):
        d = function.d
        breaks = np.array([b / d for b in function.breaks])
        slopes, offsets = (np.array([part[k] / d for part in function.parts]) for k in (0, 1))
        if len(breaks) == 1 and not breaks[0] and not offsets.any():
            return Hinge(slopes[:1], slopes[1:])
        return Piecewise(breaks, slopes, offsets, slopes[1:] * breaks + offsets[1:])
    raise UnsupportedError(f"no bounds of the function {type(function).__name__}", where="certificate")
