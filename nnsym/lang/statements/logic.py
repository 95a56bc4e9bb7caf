"""Formulas inside the language: negation normal form over blocks of rows, elementwise until reduced.

A tree of size n stands for n truth values. ``Each`` holds n rows ``s_i <= 0`` (or ``< 0``); ``AllOf`` and
``AnyOf`` work elementwise; ``Block``, ``Inside`` and ``InBall`` are single truth values. Negation is done at once, so
that strictness sits on atoms only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar, final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.domain import Ball, Box
from nnsym.ir.node import Input, Node
from nnsym.ir.rows import Rows, stack
from nnsym.ir.walk import postorder

T = TypeVar("T")


class Tree:
    """``Each``, ``Block``, ``Inside``, ``InBall``, ``Spread``, ``AllOf`` or ``AnyOf``."""

    __slots__ = ()


@final
@dataclass(frozen=True, eq=False)
class Each(Tree):
    """Element i is true iff row i is ``<= 0`` (``< 0`` if strict); ``label`` and ``index`` name it to people."""

    rows: Rows
    strict: bool
    label: str
    index: Array | None = None

    def name(self, i: int) -> str:
        return self.label if self.index is None else f"{self.label} at {self.index[i]}"


@final
@dataclass(frozen=True, eq=False)
class Block(Tree):
    """All, or any, of the elements of ``each``."""

    each: Each
    every: bool


@final
@dataclass(frozen=True, eq=False)
class Inside(Tree):
    """The input lies in the box."""

    input: Input
    box: Box
    label: str


@final
@dataclass(frozen=True, eq=False)
class InBall(Tree):
    """The input lies in the ball; ``each`` says so as one row, for places where a ball is no part of the domain."""

    input: Input
    ball: Ball
    each: Each


@final
@dataclass(frozen=True, eq=False)
class Spread(Tree):
    """One truth value repeated ``size`` times."""

    part: Tree
    size: int


@final
@dataclass(frozen=True, eq=False)
class AllOf(Tree):
    """All parts, elementwise; no parts: true."""

    parts: tuple[Tree, ...]


@final
@dataclass(frozen=True, eq=False)
class AnyOf(Tree):
    """Some part, elementwise; no parts: false."""

    parts: tuple[Tree, ...]


TRUE, FALSE = AllOf(()), AnyOf(())


def is_true(tree: Tree) -> bool:
    """True for a conjunction of nothing."""
    return isinstance(tree, AllOf) and not tree.parts


def conjunction(parts: Iterable[Tree]) -> Tree:
    """Flat conjunction."""
    flat = [q for p in parts for q in (p.parts if isinstance(p, AllOf) else (p,))]
    return flat[0] if len(flat) == 1 else AllOf(tuple(flat))


def disjunction(parts: Iterable[Tree]) -> Tree:
    """Flat disjunction."""
    flat = [q for p in parts for q in (p.parts if isinstance(p, AnyOf) else (p,))]
    return flat[0] if len(flat) == 1 else AnyOf(tuple(flat))


def _parts(tree: Tree) -> tuple[Tree, ...]:
    return tree.parts[::-1] if isinstance(tree, (AllOf, AnyOf)) else ()


def fold(tree: Tree, leaf: Callable[[Tree], T], every: Callable[[list[T]], T], some: Callable[[list[T]], T]) -> T:
    """Bottom-up without recursion; ``leaf`` sees everything that is neither ``AllOf`` nor ``AnyOf``."""
    done: dict[int, T] = {}
    for node in postorder([tree], _parts):
        match node:
            case AllOf():
                done[id(node)] = every([done[id(p)] for p in node.parts])
            case AnyOf():
                done[id(node)] = some([done[id(p)] for p in node.parts])
            case _:
                done[id(node)] = leaf(node)
    return done[id(tree)]


def nodes(tree: Tree) -> list[Node]:
    """The nodes that a tree speaks of directly."""
    found: list[Node] = []

    def leaf(node: Tree) -> None:
        match node:
            case Inside() | InBall():
                found.append(node.input)
            case Block(each=each) | (Each() as each):
                found.extend(each.rows.parts)

    fold(tree, leaf, lambda parts: None, lambda parts: None)
    return found


def leafwise(tree: Tree, change: Callable[[Tree], Tree]) -> Tree:
    """The tree with every leaf changed; every leaf keeps its size."""
    return fold(tree, change, conjunction, disjunction)


_STRICT = frozenset("<>")


def comparison(over: Rows, symbol: str, label: str) -> Tree:
    """``left symbol right`` elementwise, where ``over`` is ``left - right``."""
    index = np.arange(len(over)) if len(over) > 1 else None

    def atom(rows: Rows, strict: bool) -> Tree:
        return Each(rows, strict, label, index)

    match symbol:
        case "<=" | "<":
            return atom(over, symbol in _STRICT)
        case ">=" | ">":
            return atom(-over, symbol in _STRICT)
        case "==":
            return AllOf((atom(over, False), atom(-over, False)))
    return AnyOf((atom(over, True), atom(-over, True)))


def negate(tree: Tree) -> Tree:
    """The complement; rows change sign and strictness."""

    def leaf(node: Tree) -> Tree:
        match node:
            case Each():
                return Each(-node.rows, not node.strict, node.label, node.index)
            case Block():
                return Block(_each(negate(node.each)), not node.every)
            case Inside():
                return Block(_each(negate(box_atoms(node).each)), False)
            case InBall():
                return negate(node.each)
            case Spread():
                return Spread(negate(node.part), node.size)
        raise TypeError(f"unknown formula {node!r}")

    return fold(tree, leaf, disjunction, conjunction)


def _each(tree: Tree) -> Each:
    assert isinstance(tree, Each)
    return tree


def take(tree: Tree, index: Array) -> Tree:
    """The truth values ``index``, in that order."""

    def leaf(node: Tree) -> Tree:
        if isinstance(node, Each):
            numbers = index if node.index is None and len(node.rows) > 1 else None
            numbers = node.index[index] if node.index is not None else numbers
            return Each(node.rows.take(index), node.strict, node.label, numbers)
        part = node.part if isinstance(node, Spread) else node
        return part if len(index) == 1 else Spread(part, len(index))

    return fold(tree, leaf, conjunction, disjunction)


def every(tree: Tree, size: int) -> Tree:
    """One truth value: all elements of a tree of the given size."""
    return _reduced(tree, size, True)


def some(tree: Tree, size: int) -> Tree:
    """One truth value: any element of a tree of the given size."""
    return _reduced(tree, size, False)


def _reduced(tree: Tree, size: int, all_of: bool) -> Tree:
    join, flat = (conjunction, AllOf) if all_of else (disjunction, AnyOf)
    if not size:
        return flat(())
    match tree:
        case Each():
            return Block(tree, all_of)
        case Spread():
            return tree.part
        case AllOf() | AnyOf() if size > 1:
            if isinstance(tree, flat):
                return join(_reduced(p, size, all_of) for p in tree.parts)
            return join(_reduced(take(tree, np.array([i])), 1, all_of) for i in range(size))
    return tree


def box_atoms(inside: Inside) -> Block:
    """The finite bounds of a box as rows: ``lower - x <= 0`` and ``x - upper <= 0``."""
    x, box = Rows.of(inside.input), inside.box
    low, high = (
        np.flatnonzero([np.isfinite(float(v)) if isinstance(v, float) else True for v in b.tolist()])
        for b in (box.lower, box.upper)
    )
    rows = stack([Rows.constants(box.lower[low]) - x.take(low), x.take(high) - Rows.constants(box.upper[high])])
    return Block(Each(rows, False, inside.label, np.concatenate((low, high))), True)
