"""From a statement about ``where`` and a goal to a query: boxes first, then rows, then the formula that is searched."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from nnsym.ir import formula as ir
from nnsym.ir.array import Array
from nnsym.ir.domain import Ball, Box
from nnsym.ir.exact import simplify, to_fractions
from nnsym.ir.max_ball import MaxBall
from nnsym.ir.node import Input
from nnsym.ir.rows import Rows, stack
from nnsym.lang.guard import fractions
from nnsym.lang.statements import logic
from nnsym.lang.statements.logic import Block, Each, InBall, Inside, Tree

Boxes = dict[Input, Box]


def domain(where: Tree, inputs: Iterable[Input]) -> Boxes:
    """A box for every input that contains all points satisfying ``where``, exact numbers.

    Conjunctions intersect, disjunctions take the hull. Every bound that is not inside a disjunction is exact.
    """
    found = logic.fold(where, _leaf_boxes, _intersection, _hull)
    return {x: _tidy(found[x]) if x in found else _everything(x) for x in inputs}


def balls(where: Tree) -> dict[Input, tuple[Ball, ...]]:
    """The balls in which every input lies that satisfies ``where``: those at its top level."""
    found: dict[Input, tuple[Ball, ...]] = {}
    for part in _conjuncts(where):
        if isinstance(part, InBall):
            found[part.input] = (*found.get(part.input, ()), part.ball)
    return found


def _conjuncts(where: Tree) -> tuple[Tree, ...]:
    return where.parts if isinstance(where, logic.AllOf) else (where,)


def _everything(x: Input) -> Box:
    return Box(np.full(x.size, -np.inf), np.full(x.size, np.inf))


def _tidy(box: Box) -> Box:
    if isinstance(box, MaxBall):
        return box
    lower, upper = (b if b.dtype != object else simplify(fractions(b)) for b in (box.lower, box.upper))
    return Box(lower, upper)


def _leaf_boxes(leaf: Tree) -> Boxes:
    match leaf:
        case Inside():
            return {leaf.input: leaf.box}
        case InBall():
            return {leaf.input: leaf.ball.box}
        case Each() if len(leaf.rows) == 1:
            return _row_boxes(leaf.rows, np.arange(1))
        case Block(each=each, every=True):
            return _row_boxes(each.rows, np.arange(len(each.rows)))
        case Block(each=each) if len(each.rows):
            return _hull([_row_boxes(each.rows, np.array([i])) for i in range(len(each.rows))])
    return {}


def _row_boxes(rows: Rows, index: Array) -> Boxes:
    """What the rows ``c * x_j + d <= 0`` among ``index`` say about inputs: ``x_j <= -d / c``, or ``>=``."""
    single = np.zeros(len(rows), dtype=bool)
    single[index] = rows.entries[index] == 1
    boxes: Boxes = {}
    for node, part in rows.parts.items():
        chosen = np.flatnonzero(single[part.row])
        if not isinstance(node, Input) or not len(chosen):
            continue
        lower, upper = np.full(node.size, -np.inf, dtype=object), np.full(node.size, np.inf, dtype=object)
        limits = -to_fractions(rows.constant[part.row[chosen]]) / to_fractions(part.coefficient[chosen])
        for j, c, limit in zip(part.column[chosen], part.coefficient[chosen], limits, strict=True):
            if c > 0:
                upper[j] = min(upper[j], limit)
            else:
                lower[j] = max(lower[j], limit)
        boxes[node] = Box(lower, upper)
    return boxes


def _intersection(parts: list[Boxes]) -> Boxes:
    found: Boxes = {}
    for part in parts:
        for x, box in part.items():
            found[x] = found[x].intersect(box) if x in found else box
    return found


def _hull(parts: list[Boxes]) -> Boxes:
    if not parts:
        return {}
    found = dict(parts[0])
    for part in parts[1:]:
        found = {x: box.hull(part[x]) for x, box in found.items() if x in part}
    return found


def without_bounds(where: Tree) -> Tree:
    """``where`` without what :func:`domain` and :func:`balls` hold exactly: top-level boxes, balls, closed bounds."""
    return logic.conjunction(kept for part in _conjuncts(where) if (kept := _rest(part)) is not None)


def _rest(part: Tree) -> Tree | None:
    match part:
        case Inside() | InBall():
            return None
        case Each():
            each = part
        case Block(each=each, every=True):
            pass
        case _:
            return part
    if each.strict:
        return part
    bound = np.zeros(len(each.rows), dtype=bool)
    single = each.rows.entries == 1
    for node, rows in each.rows.parts.items():
        if isinstance(node, Input):
            bound[rows.row] |= single[rows.row]
    left = np.flatnonzero(~bound)
    if len(left) == len(bound):
        return part
    rest = logic.take(each, left)
    return Block(rest, True) if len(left) and isinstance(rest, Each) else None


@dataclass(eq=False)
class _Builder:
    """Collects blocks of rows while formulas are translated; equal rows are stored once at the end."""

    blocks: list[Rows] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def translate(self, tree: Tree, *, soft: bool) -> ir.RowFormula:
        def leaf(node: Tree) -> ir.RowFormula:
            match node:
                case Each():
                    return self.atoms(node, every=True, soft=soft)
                case Block():
                    return self.atoms(node.each, every=node.every, soft=soft)
                case Inside() if not soft:
                    return ir.InBox(node.input, node.box.lower, node.box.upper)
                case Inside():
                    return leaf(logic.box_atoms(node))
                case InBall():
                    box, row = node.ball.box, self.atoms(node.each, every=True, soft=soft)
                    return row if soft else ir.conjunction(ir.InBox(node.input, box.lower, box.upper), row)
            raise TypeError(f"unknown formula {node!r}")

        return logic.fold(tree, leaf, lambda parts: ir.conjunction(*parts), lambda parts: ir.disjunction(*parts))

    def atoms(self, each: Each, *, every: bool, soft: bool) -> ir.RowFormula:
        start, count = len(self.names), len(each.rows)
        self.blocks.append(each.rows)
        self.names.extend(each.name(i) for i in range(count))
        return ir.Atoms(np.arange(start, start + count), each.strict, soft, every)

    def finish(self, formula: ir.RowFormula) -> Sought:
        rows = stack(self.blocks)
        first, place = _distinct(rows)
        rows = rows if len(first) == len(rows) else rows.take(first)

        def leaf(node: ir.Atoms | ir.InBox) -> ir.RowFormula:
            if isinstance(node, ir.InBox):
                return node
            return ir.Atoms(place[node.rows], node.strict, node.soft, node.every)

        moved = ir.reduce_formula(formula, leaf, lambda p: ir.conjunction(*p), lambda p: ir.disjunction(*p))
        return rows, moved, tuple(self.names[i] for i in first)


#: Rows, the formula over them, and a name for each row.
Sought = tuple[Rows, ir.RowFormula, tuple[str, ...]]


def search(where: Tree, goal: Tree) -> Sought:
    """``where & goal``; the goal's atoms are soft."""
    builder = _Builder()
    hard = builder.translate(logic.leafwise(where, _whole), soft=False)
    soft = builder.translate(goal, soft=True)
    never = isinstance(soft, ir.Or) and not soft.parts
    return builder.finish(ir.conjunction(hard, ir.NEVER if never else soft))


def _whole(leaf: Tree) -> Tree:
    """``a x < b`` over integers as ``a x <= ceil(b) - 1``, which methods that close strict rows keep exactly.

    Only where all coefficients of all rows are integers, and all their elements.
    """
    each = leaf.each if isinstance(leaf, Block) else leaf
    if not isinstance(each, Each) or not each.strict or not each.rows.parts:
        return leaf
    for node, part in each.rows.parts.items():
        if not isinstance(node, Input) or not node.integer[part.column].all():
            return leaf
        if any(c.denominator != 1 for c in to_fractions(part.coefficient)):
            return leaf
    constant = np.array([Fraction(math.floor(c) + 1) for c in to_fractions(each.rows.constant)], dtype=object)
    tight = Each(Rows(each.rows.parts, simplify(constant)), False, each.label, each.index)
    return Block(tight, leaf.every) if isinstance(leaf, Block) else tight


def _distinct(rows: Rows) -> tuple[Array, Array]:
    """``(first, place)``: the numbers of the distinct rows, and for every row which of those it is."""
    contents: list[list[object]] = [[c] for c in rows.constant.tolist()]
    for node, part in rows.parts.items():
        starts = np.searchsorted(part.row, np.arange(len(rows) + 1))
        coefficients = part.coefficient.tolist()
        for row in np.flatnonzero(np.diff(starts)):
            span = slice(starts[row], starts[row + 1])
            contents[row] += [id(node), part.column[span].tobytes(), tuple(coefficients[span])]
    known: dict[tuple[object, ...], int] = {}
    first: list[int] = []
    place = []
    for i, content in enumerate(contents):
        number = known.setdefault(tuple(content), len(first))
        place.append(number)
        if number == len(first):
            first.append(i)
    return np.array(first, dtype=np.int64), np.array(place, dtype=np.int64)
