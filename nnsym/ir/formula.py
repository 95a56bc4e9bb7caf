"""Formulas in negation normal form over the rows of a specification and over input boxes.

A query asks whether some input makes its formula true (the formula is the *violation* of the property).
Leaves are blocks: one :class:`Atoms` may stand for a thousand rows, one :class:`InBox` for a whole image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.node import Input

T = TypeVar("T")


class RowFormula:
    """``Atoms``, ``InBox``, ``And`` or ``Or``."""

    __slots__ = ()


@final
@dataclass(frozen=True, eq=False, slots=True)
class Atoms(RowFormula):
    """Rows ``s_i <= 0`` (``s_i < 0`` where ``strict``), all of them or any of them.

    ``soft`` atoms come from the conclusion: the margin form relaxes them to ``s_i <= t``. The others are
    preconditions and always hold exactly. Any of no rows is false: :data:`NEVER`.
    """

    rows: Array
    strict: bool
    soft: bool
    every: bool = True


@final
@dataclass(frozen=True, eq=False, slots=True)
class InBox(RowFormula):
    """``lower <= x <= upper`` for one input (exact numbers, infinite where open); always hard."""

    input: Input
    lower: Array
    upper: Array


@final
@dataclass(frozen=True, eq=False, slots=True)
class And(RowFormula):
    """All parts; ``And(())`` is true."""

    parts: tuple[RowFormula, ...]


@final
@dataclass(frozen=True, eq=False, slots=True)
class Or(RowFormula):
    """Some part; ``Or(())`` is false."""

    parts: tuple[RowFormula, ...]


TRUE = And(())
FALSE = Or(())

#: A conclusion that is false everywhere. It keeps the precondition beside it, which ``FALSE`` would swallow.
NEVER = Atoms(np.zeros(0, np.int64), strict=False, soft=True, every=False)


def conjunction(*parts: RowFormula) -> RowFormula:
    """Flat conjunction."""
    flat: list[RowFormula] = []
    for part in parts:
        if isinstance(part, And):
            flat.extend(part.parts)
        else:
            flat.append(part)
    if any(not p.parts for p in flat if isinstance(p, Or)):
        return FALSE
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def disjunction(*parts: RowFormula) -> RowFormula:
    """Flat disjunction."""
    flat: list[RowFormula] = []
    for part in parts:
        if isinstance(part, Or):
            flat.extend(part.parts)
        else:
            flat.append(part)
    if any(not p.parts for p in flat if isinstance(p, And)):
        return TRUE
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def reduce_formula(
    formula: RowFormula,
    leaf: Callable[[Atoms | InBox], T],
    every: Callable[[list[T]], T],
    some: Callable[[list[T]], T],
) -> T:
    """Fold a formula bottom-up, left to right, without recursion (formulas may nest deeply).

    A part that occurs several times is folded once.
    """
    done: dict[int, T] = {}
    stack: list[tuple[RowFormula, bool]] = [(formula, False)]
    while stack:
        node, expanded = stack.pop()
        if id(node) in done:
            continue
        if isinstance(node, (And, Or)):
            if expanded:
                parts = [done[id(p)] for p in node.parts]
                done[id(node)] = every(parts) if isinstance(node, And) else some(parts)
            else:
                stack.append((node, True))
                stack.extend((p, False) for p in reversed(node.parts))
        elif isinstance(node, (Atoms, InBox)):
            done[id(node)] = leaf(node)
        else:
            raise TypeError(f"{type(node).__name__} is not a formula")
    return done[id(formula)]


def leaves(formula: RowFormula) -> list[Atoms | InBox]:
    """All leaves, left to right, each object once."""
    found: list[Atoms | InBox] = []
    reduce_formula(formula, found.append, lambda parts: None, lambda parts: None)
    return found


def soft_rows(formula: RowFormula) -> Array:
    """The numbers of the rows of soft atoms, in order."""
    found = [leaf.rows for leaf in leaves(formula) if isinstance(leaf, Atoms) and leaf.soft]
    return np.concatenate([np.zeros(0, np.int64), *found])


def about(formula: RowFormula, row: int) -> RowFormula:
    """The formula whose soft atoms are one row alone; what is hard stays."""

    def leaf(node: Atoms | InBox) -> RowFormula:
        asked = isinstance(node, Atoms) and node.soft
        return Atoms(np.array([row]), strict=False, soft=True) if asked else node

    return reduce_formula(formula, leaf, lambda p: conjunction(*p), lambda p: disjunction(*p))


def always(formula: RowFormula) -> Array:
    """The numbers, sorted, of the rows of hard atoms that hold wherever the formula does."""

    def leaf(node: Atoms | InBox) -> frozenset[int]:
        if isinstance(node, InBox) or node.soft or not (node.every or len(node.rows) == 1):
            return frozenset()
        return frozenset(node.rows.tolist())

    def every(parts: list[frozenset[int]]) -> frozenset[int]:
        return frozenset().union(*parts)

    def some(parts: list[frozenset[int]]) -> frozenset[int]:
        return parts[0].intersection(*parts[1:]) if parts else frozenset()

    held = reduce_formula(formula, leaf, every, some)
    return np.array(sorted(held), dtype=np.int64)


def margin_lower(formula: RowFormula, atom: Callable[[Atoms | InBox], Array]) -> float:
    """Value of the margin form: min over disjunctions, max over conjunctions, of ``atom(leaf)`` per row.

    With row values at a point it is the property's margin there; with lower bounds of the rows it is a
    lower bound of the margin. A hard leaf gives -inf where it (possibly) holds and +inf where it does not.
    """

    def leaf(node: Atoms | InBox) -> float:
        values = atom(node)
        every = not isinstance(node, Atoms) or node.every
        if not len(values):
            return -np.inf if every else np.inf
        return float(values.max() if every else values.min())

    def largest(parts: list[float]) -> float:
        return max(parts, default=-np.inf)

    def smallest(parts: list[float]) -> float:
        return min(parts, default=np.inf)

    return reduce_formula(formula, leaf, largest, smallest)
