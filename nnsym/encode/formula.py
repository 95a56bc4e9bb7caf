"""The violation formula before it becomes rows: simplified by bounds, then flat, with one guard per disjunct.

Simplification uses the interval of each row: the margin form of a conjunction is the largest of its parts
and that of a disjunction the smallest, so a part whose interval shows that it can never be that one is left
out; the value of the formula stays the same at every point of the domain. A precondition, or any atom in
the Boolean form, counts as -inf where it surely holds and +inf where it surely fails.

Flattening is linear: a guard means "this disjunct is taken", every row and every inner disjunction is
attached to the innermost guard around it (polarity-aware; Plaisted and Greenbaum, 1986), and nothing needs the
reverse direction because the formula is in negation normal form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TypeVar, final

import numpy as np

from nnsym.encoding import Form
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.formula import And, Atoms, InBox, Or, RowFormula, always, reduce_formula
from nnsym.ir.node import Input

Valued = tuple[RowFormula, float, float]  # a formula and the interval of its margin form
Part = TypeVar("Part")


@final
@dataclass(frozen=True, eq=False)
class GuardedAtoms:
    """Atoms ``rows[k]`` under guard ``guard[k]`` (-1: always)."""

    rows: Array
    guard: Array
    soft: bool
    strict: bool


@final
@dataclass(frozen=True, eq=False)
class Clause:
    """One of ``guards`` is taken wherever guard ``head`` is (-1: always)."""

    head: int
    guards: Array


@final
@dataclass(frozen=True, eq=False)
class Flat:
    """A formula as guarded leaves. ``lower`` is a lower bound of its margin form, ``pruned`` counts dropped leaves."""

    atoms: tuple[GuardedAtoms, ...]
    boxes: tuple[tuple[InBox, int], ...]
    clauses: tuple[Clause, ...]
    n_guards: int
    lower: float
    pruned: int

    @property
    def rows(self) -> Array:
        """The rows of the specification that are still used, in increasing order."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(a.rows for a in self.atoms)]))


def flat_formula(formula: RowFormula, lower: Array, upper: Array, boxes: Mapping[Input, Box], form: Form) -> Flat:
    """``formula`` over rows with bounds ``lower`` and ``upper``, simplified and flat."""
    small, low, _ = simplify(formula, lower, upper, boxes, form)
    atoms, leaves, clauses, n_guards = _flatten(small)
    return Flat(atoms, leaves, clauses, n_guards, low, _size(formula) - _size(small))


def simplify(formula: RowFormula, lower: Array, upper: Array, boxes: Mapping[Input, Box], form: Form) -> Valued:
    """The formula without the parts that bounds decide, and the interval of its margin form.

    Preconditions that always hold stay whatever the bounds say: bounds may have used them.
    """
    premises = always(formula)

    def leaf(node: Atoms | InBox) -> Valued:
        if isinstance(node, InBox):
            return (node, *_box_interval(node, boxes[node.input]))
        low, high = lower[node.rows], upper[node.rows]
        if form is Form.BOOLEAN or not node.soft:
            low, high = _truth(low, high, node.strict and form is Form.BOOLEAN)
        if not node.soft:
            high = np.where(np.isin(node.rows, premises), np.inf, high)
        kept = _needed(low, high, node.every)
        small = Atoms(node.rows[kept], node.strict, node.soft, node.every)
        return (small, *_span(low, high, node.every))

    def combine(parts: list[Valued], every: bool) -> Valued:
        low, high = (np.array([p[k] for p in parts], dtype=np.float64) for k in (1, 2))
        kept = tuple(parts[k][0] for k in np.flatnonzero(_needed(low, high, every)))
        small = kept[0] if len(kept) == 1 else And(kept) if every else Or(kept)
        return (small, *_span(low, high, every))

    return reduce_formula(formula, leaf, lambda p: combine(p, True), lambda p: combine(p, False))


def _needed(low: Array, high: Array, every: bool) -> Array:
    """Which parts can be the largest (``every``) or the smallest one, the decided -inf (+inf) ones left out."""
    if not len(low):
        return np.zeros(0, dtype=bool)
    if not every:
        low, high = -high, -low
    best = int(np.argmax(low))
    kept = high > low[best]
    kept[best] = True
    return np.asarray(kept & (high > -np.inf))


def _span(low: Array, high: Array, every: bool) -> tuple[float, float]:
    if every:
        return float(low.max(initial=-np.inf)), float(high.max(initial=-np.inf))
    return float(low.min(initial=np.inf)), float(high.min(initial=np.inf))


def _truth(low: Array, high: Array, strict: bool) -> tuple[Array, Array]:
    """The interval of a hard atom: -inf where it holds, +inf where it fails."""
    holds = high < 0 if strict else high <= 0
    fails = low >= 0 if strict else low > 0
    return np.where(fails, np.inf, -np.inf), np.where(holds, -np.inf, np.inf)


def _box_interval(node: InBox, hull: Box) -> tuple[float, float]:
    if (node.lower > hull.upper).any() or (node.upper < hull.lower).any() or (node.lower > node.upper).any():
        return np.inf, np.inf
    if (node.lower <= hull.lower).all() and (node.upper >= hull.upper).all():
        return -np.inf, -np.inf
    return -np.inf, np.inf


def _size(formula: RowFormula) -> int:
    """Rows and boxes in the leaves."""

    def leaf(node: Atoms | InBox) -> int:
        return len(node.rows) if isinstance(node, Atoms) else 1

    def total(parts: list[int]) -> int:
        return sum(parts)

    return reduce_formula(formula, leaf, total, total)


def _flatten(
    formula: RowFormula,
) -> tuple[tuple[GuardedAtoms, ...], tuple[tuple[InBox, int], ...], tuple[Clause, ...], int]:
    atoms: list[GuardedAtoms] = []
    boxes: list[tuple[InBox, int]] = []
    clauses: list[Clause] = []
    count = 0
    stack: list[tuple[RowFormula, int]] = [(formula, -1)]
    while stack:
        node, guard = stack.pop()
        match node:
            case InBox():
                boxes.append((node, guard))
            case Atoms() if node.every or len(node.rows) == 1:
                atoms.append(GuardedAtoms(node.rows, np.full(len(node.rows), guard), node.soft, node.strict))
            case And():
                stack.extend((part, guard) for part in reversed(node.parts))
            case Atoms() | Or():
                first = count
                for part in _disjuncts(node):
                    own = np.arange(
                        count, count + (len(part.rows) if isinstance(part, Atoms) and not part.every else 1)
                    )
                    count += len(own)
                    if isinstance(part, Atoms) and not part.every:
                        atoms.append(GuardedAtoms(part.rows, own, part.soft, part.strict))
                    else:
                        stack.append((part, int(own[0])))
                clauses.append(Clause(guard, np.arange(first, count)))
    return tuple(atoms), tuple(boxes), tuple(clauses), count


def _disjuncts(formula: RowFormula) -> list[RowFormula]:
    """The parts of a disjunction, those of disjunctions inside it included."""
    found: list[RowFormula] = []
    stack = [formula]
    while stack:
        node = stack.pop()
        if isinstance(node, Or):
            stack.extend(reversed(node.parts))
        else:
            found.append(node)
    return found


def disjuncts(flat: Flat, limit: int) -> list[Array]:
    """The ways to take one guard per clause, as 0/1 vectors over the guards; empty if more than ``limit``."""
    inner: dict[int, list[Clause]] = {}
    for clause in flat.clauses:
        inner.setdefault(clause.head, []).append(clause)
    if not flat.n_guards or _fold_guards(inner, _count) > limit:
        return []
    paths = _fold_guards(inner, _paths)
    vectors = []
    for path in paths:
        vector = np.zeros(flat.n_guards)
        vector[list(path)] = 1.0
        vectors.append(vector)
    return vectors


def _count(clauses: list[list[tuple[int, int]]]) -> int:
    return prod(sum(ways for _, ways in clause) for clause in clauses)


def _paths(clauses: list[list[tuple[int, list[tuple[int, ...]]]]]) -> list[tuple[int, ...]]:
    """Every way to take one guard of each clause, and then one way through what that guard needs."""
    choices = [[(guard, *path) for guard, paths in clause for path in paths] for clause in clauses]
    return [tuple(g for part in chosen for g in part) for chosen in product(*choices)]


def _fold_guards(inner: Mapping[int, list[Clause]], rule: Callable[[list[list[tuple[int, Part]]]], Part]) -> Part:
    """``rule`` over the clauses of a guard, with its value for the guards inside; guards inside have larger numbers."""
    values: dict[int, Part] = {}
    leaf = rule([])
    for head in sorted(inner, reverse=True):
        values[head] = rule([[(int(g), values.get(int(g), leaf)) for g in c.guards] for c in inner[head]])
    return values.get(-1, leaf)
