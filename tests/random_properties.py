"""Random properties with nested conclusions and preconditions, about random networks; deterministic by seed.

``nnsym.testing.random_nets.random_query`` keeps to the forms that programs see most. Here a violation is any tree of
conjunctions and disjunctions over rows about inputs, hidden neurons and outputs and over boxes, some atoms strict,
with preconditions that may hold nowhere, or on a single face only.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.exact import add, from_numbers
from nnsym.ir.formula import And, Atoms, InBox, Or, RowFormula, conjunction, leaves, reduce_formula
from nnsym.ir.linear import Dense
from nnsym.ir.network import Network
from nnsym.ir.node import Input, Node, Pointwise, affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.ir.rows import Rows, stack
from nnsym.ir.univariate import absolute, leaky_relu, relu
from nnsym.testing.random_nets import tighten

Random = np.random.Generator

#: Margins that :func:`nested_query` may ask for, besides whatever the numbers happen to give.
MARGINS = (-(2.0**-11), -(2.0**-30), 0.0, 2.0**-30, 2.0**-11)


def nested_query(network: Network, seed: int, *, tight: bool = False, max_unstable: int = 14) -> Query:
    """A random property; with ``tight`` its least margin is one of :data:`MARGINS` where a conclusion decides it."""
    rng = np.random.default_rng([seed, 11])
    x = new_input("x", next(iter(network.inputs.values())).node.size)
    application = network.apply((x,))
    y = next(application.output(name) for name in network.outputs)
    middle, radius = rng.integers(-8, 9, x.size) / 8, rng.integers(2, 9, x.size) / 8
    box = Box(middle - radius, middle + radius)
    draw = _Draw(rng, x, y, box)
    formula = draw.conclusion(depth=2)
    for _ in range(int(rng.choice([0, 0, 1, 2]))):
        formula = conjunction(draw.precondition(middle), formula)
    query = Query(f"{network.name}-nested-{seed}", {x: box}, stack(draw.rows), formula, (application,))
    if rng.random() < 0.15:
        query = _on_the_edge(query, rng, max_unstable)
    return tighten(query, float(rng.choice(MARGINS)), max_unstable=max_unstable) if tight else query


class _Draw:
    """Draws leaves and collects their rows."""

    def __init__(self, rng: Random, x: Input, y: Node, box: Box) -> None:
        self.rng, self.x, self.y, self.box = rng, x, y, box
        self.rows: list[Rows] = []

    def conclusion(self, depth: int) -> RowFormula:
        kind = self.rng.random()
        if depth == 0 or kind < 0.25:
            return self._atoms(soft=True)
        parts = tuple(self.conclusion(depth - 1) for _ in range(int(self.rng.integers(1, 3))))
        if kind < 0.6:
            return And((*parts, self._box())) if self.rng.random() < 0.4 else And(parts)
        if self.rng.random() < 0.3:
            parts = (*parts, And((self._box(), self._atoms(soft=False), self._atoms(soft=True))))
        return Or(parts)

    def precondition(self, centre: Array) -> RowFormula:
        """About the input near the centre, or about the outputs; one row, or either of two."""
        if self.rng.random() < 0.5:
            return self._atoms(soft=False)
        plane = self._numbers((1, self.x.size), 2, 2)
        at = sum((Fraction(a) * Fraction(c) for a, c in zip(plane[0], centre, strict=True)), Fraction(0))
        limit = Rows.constants(from_numbers([at + Fraction(1, 8)]))
        strict = bool(self.rng.random() < 0.4)
        return self._leaf(Rows.of(self.x).combine(plane) - limit, strict=strict, soft=False, every=True)

    def _atoms(self, *, soft: bool) -> RowFormula:
        count = int(self.rng.integers(1, 3))
        weights = self._numbers((count, self.y.size), 2, 2)
        weights[np.arange(count), self.rng.integers(self.y.size, size=count)] += 1
        rows = Rows.of(self.y).combine(weights)
        if self.rng.random() < 0.25:
            rows = rows + Rows.of(self.x).combine(self._numbers((count, self.x.size), 1, 2))
        if self.rng.random() < 0.25:
            hidden = self._hidden()
            rows = rows + Rows.of(hidden).combine(self._numbers((count, hidden.size), 1, 2))
        rows = rows + Rows.constants(self.rng.integers(-16, 17, count) / 8)
        strict, every = bool(self.rng.random() < 0.4), bool(self.rng.random() < 0.5)
        return self._leaf(rows, strict=strict, soft=soft, every=every)

    def _leaf(self, rows: Rows, *, strict: bool, soft: bool, every: bool) -> RowFormula:
        first = sum(len(r) for r in self.rows)
        self.rows.append(rows)
        return Atoms(np.arange(first, first + len(rows)), strict, soft=soft, every=every)

    def _numbers(self, shape: tuple[int, int], bound: int, denominator: int) -> Array:
        """Dyadic numbers, at times thirds, which no float is."""
        if self.rng.random() < 0.2:
            thirds = [Fraction(int(v), 3) for v in self.rng.integers(-bound, bound + 1, shape).ravel()]
            return np.array(thirds, dtype=object).reshape(shape)
        return np.asarray(self.rng.integers(-bound, bound + 1, shape) / denominator)

    def _box(self) -> RowFormula:
        """A part of the domain's box; at times its numbers are no floats, and at times it is a slice."""
        k, part = int(self.rng.integers(self.x.size)), int(self.rng.integers(4))
        low, high = self.box.lower.astype(object), self.box.upper.astype(object)
        width = Fraction(high[k]) - Fraction(low[k])
        shares = ((0, Fraction(1, 4)), (Fraction(1, 3), Fraction(9, 10)), (Fraction(1, 2), 1), (Fraction(1, 2),) * 2)
        low[k], high[k] = (Fraction(self.box.lower[k]) + share * width for share in shares[part])
        return InBox(self.x, from_numbers(low), from_numbers(high))

    def _hidden(self) -> Node:
        node = self.y
        while not isinstance(node, Pointwise):
            node = node.parents[0]
        return node.parents[0] if self.rng.random() < 0.5 else node


def _on_the_edge(query: Query, rng: Random, max_unstable: int) -> Query:
    """With one more precondition that holds nowhere, by a hair, or just on the boundary of what is possible."""
    row = query.rows.take(np.array([0]))
    alone = replace(query, rows=row, formula=Atoms(np.array([0]), strict=False, soft=True))
    least = minimum_margin(alone, max_unstable=max_unstable).margin
    shift = from_numbers([-Fraction(least) + Fraction(rng.choice([0.0, 2.0**-20, 0.25]))])
    rows = stack([query.rows, Rows(row.parts, add(row.constant, shift))])
    hard = Atoms(np.array([len(rows) - 1]), strict=bool(rng.random() < 0.3), soft=False)
    return replace(query, rows=rows, formula=conjunction(hard, query.formula))


def hostile_query(seed: int, *, max_unstable: int = 14) -> Query:
    """A network of full-length floats whose layers scale by up to 10^4 either way, with a margin of at most 1e-4.

    Tolerances of float solvers are of the size of what is asked here, or larger.
    """
    rng = np.random.default_rng([seed, 99])
    gain = 10.0 ** rng.uniform(-4, 4, 3)
    if seed % 2:
        gain = gain / np.prod(gain) ** (1 / 3)
    fn = [relu(), leaky_relu(0.01), absolute()][seed % 3]
    x = new_input("x", 2)
    y: Node = x
    for k, size in enumerate((4, 4, 3)):
        weights = rng.normal(size=(size, y.size)) * gain[k]
        bias = rng.normal(size=size) * (0.5 if k < 2 else 1.0) * np.prod(gain[: k + 1])
        y = affine(((Dense(weights), y),), bias)
        y = pointwise(fn, y) if k < 2 else y
    middle, radius = rng.normal(size=2), rng.uniform(0.2, 1, 2)
    rows = Rows.of(y).combine(rng.normal(size=(2, 3)))
    strict, every = bool(rng.random() < 0.3), bool(rng.random() < 0.5)
    margin = rng.choice([0, 1e-12, 1e-9, 1e-7, 2e-6, 1e-5, 1e-4]) * rng.choice([-1, 1])
    formula = Atoms(np.arange(2), strict, soft=True, every=every)
    query = Query(f"hostile-{seed}", {x: Box(middle - radius, middle + radius)}, rows, formula)
    return tighten(query, margin, max_unstable=max_unstable)


def shifted(query: Query, amount: float) -> Query:
    """The query with ``amount`` added to every row of its conclusion, exactly."""
    soft = np.zeros(len(query.rows), dtype=bool)
    for leaf in leaves(query.formula):
        if isinstance(leaf, Atoms) and leaf.soft:
            soft[leaf.rows] = True
    constant = add(query.rows.constant, from_numbers([Fraction(amount) if s else Fraction(0) for s in soft]))
    return replace(query, rows=Rows(query.rows.parts, constant))


def is_violated(query: Query, *, max_unstable: int = 14) -> bool:
    """Does some input make the violation true, strict atoms strict? By the exact oracle.

    The largest of the strict rows is minimised where the other atoms hold; it is attained, so only a negative
    minimum will do. The oracle does this where strict atoms are its soft ones.
    """

    def leaf(node: Atoms | InBox) -> RowFormula:
        return replace(node, soft=node.strict) if isinstance(node, Atoms) else node

    formula: RowFormula = reduce_formula(query.formula, leaf, lambda p: And(tuple(p)), lambda p: Or(tuple(p)))
    return minimum_margin(replace(query, formula=formula), max_unstable=max_unstable).margin < 0
