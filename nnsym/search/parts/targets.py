"""What a search has to rule out: the disjuncts of a query's formula, bounded for a batch of parts at once.

The formula says that a point violates the property. It is written as an "or" of at most :data:`CAP` disjuncts, each of
which is a *target*; a part is done once every target is ruled out on it, so that one tree serves them all. What
would have more disjuncts stays one target, and is bounded as it stands: with lower bounds of the rows, by minima over
its disjunctions and maxima over its conjunctions (:func:`nnsym.ir.formula.margin_lower`). Disjuncts that are one row in
a box of their own may be :data:`WIDE` many: each box is a part that knows its rows alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.kept.types import Limit
from nnsym.ir.array import Array
from nnsym.ir.distinct import distinct
from nnsym.ir.domain import Box
from nnsym.ir.exact import round_down, round_up
from nnsym.ir.formula import And, Atoms, InBox, RowFormula, conjunction, disjunction, leaves, reduce_formula
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.search.parts.boxed import Boxed, in_a_box

#: So many targets at most, and so many that are a row in a box.
CAP, WIDE = 64, 2**13


@final
@dataclass(frozen=True, eq=False)
class Target:
    """One disjunct of the formula, its rows, and the box that its points lie in.

    ``every`` is true where it is a conjunction of rows and boxes: each of its rows has to be met then.
    """

    formula: RowFormula
    boxes: Mapping[Input, Box]
    rows: Array
    hard: Array
    soft: Array
    every: bool

    @staticmethod
    def of(formula: RowFormula, query: Query) -> Target:
        atoms = [leaf for leaf in leaves(formula) if isinstance(leaf, Atoms)]
        boxes = dict(query.boxes)
        parts = formula.parts if isinstance(formula, And) else (formula,)
        for part in parts:
            if isinstance(part, InBox):
                boxes[part.input] = boxes[part.input].intersect(Box(part.lower, part.upper))
        whole = {x: box.whole(x.integer) if x.integer.any() else box for x, box in boxes.items()}
        plain = all(isinstance(p, InBox) or (isinstance(p, Atoms) and (p.every or len(p.rows) == 1)) for p in parts)
        hard, soft = ([a for a in atoms if a.soft is kind] for kind in (False, True))
        return Target(formula, whole, _numbers(atoms), _numbers(hard), _numbers(soft), plain)


def targets(query: Query, *, cap: int = CAP) -> tuple[Target, ...]:
    """The targets of a query's formula. Those whose box is empty are left out: no point lies in them."""

    def leaf(node: Atoms | InBox) -> list[RowFormula]:
        if isinstance(node, InBox) or node.every or not 1 < len(node.rows) <= cap:
            return [node]
        return [Atoms(node.rows[k : k + 1], node.strict, node.soft) for k in range(len(node.rows))]

    def fits(found: list[RowFormula]) -> bool:
        return len(found) <= cap or (len(found) <= WIDE and all(map(in_a_box, found)))

    def every(parts: list[list[RowFormula]]) -> list[RowFormula]:
        found: list[RowFormula] = [And(())]
        for part in parts:
            if len(found) * len(part) <= WIDE and fits(made := [conjunction(a, b) for a in found for b in part]):
                found = made
            else:
                few = found if len(found) <= cap else [disjunction(*found)]
                found = [conjunction(a, disjunction(*part)) for a in few]
        return found

    def some(parts: list[list[RowFormula]]) -> list[RowFormula]:
        found = [one for part in parts for one in part]
        return found if fits(found) else [disjunction(*found)]

    each = (Target.of(part, query) for part in reduce_formula(query.formula, leaf, every, some))
    return tuple(target for target in each if not any(box.empty for box in target.boxes.values()))


@final
class Worth:
    """The targets' lower bounds, from those of the rows; at points their margins, which is the same arithmetic.

    ``joined`` are the targets that sums of rows may say more of: conjunctions of several, some of the conclusion. Where
    there are any, the rows ``count + k`` are the sum of target k.
    """

    def __init__(self, targets: Sequence[Target], count: int) -> None:
        self.targets, self.count = tuple(targets), count
        self.boxed = Boxed.of([target.formula for target in self.targets])
        self._others = sorted(set(range(len(self.targets))).difference(self.boxed.which.tolist()))
        every = enumerate(self.targets)
        self.joined = tuple(k for k, one in every if one.every and len(one.rows) > 1 and len(one.soft))
        width = count + (len(self.targets) if self.joined else 0)
        self.uses = np.zeros((len(self.targets), width), dtype=bool)
        self.hard = np.zeros((len(self.targets), width), dtype=bool)
        self.soft = np.zeros(width, dtype=bool)
        for k in self.joined:
            self.uses[k, count + k] = self.soft[count + k] = True
        for k, target in enumerate(self.targets):
            self.uses[k, target.rows] = True
            self.hard[k, target.hard] = True
            self.soft[target.soft] = True

    def wanted(self, opened: Array) -> Array:
        """The rows ``(batch, rows)`` that targets ``(batch, targets)`` which are still open read."""
        some = np.flatnonzero(opened.any(0))
        return np.asarray(opened[:, some].astype(np.float32) @ self.uses[some].astype(np.float32) > 0)

    def lower(self, rows: Array, inputs: Mapping[Node, Limit]) -> tuple[Array, Array]:
        """Lower bounds of the targets ``(batch, targets)``, and the row that each rests on, -1 where none does.

        ``rows`` are lower bounds ``(batch, rows)``. +inf says that no point of the inputs' limits meets the target's
        hard rows and boxes.
        """
        shape = (len(rows), len(self.targets))
        values, picks = np.empty(shape), np.empty(shape, dtype=np.int64)
        values[:, self.boxed.which] = self.boxed.lower(rows, inputs)
        picks[:, self.boxed.which] = self.boxed.rows
        for k in self._others:
            values[:, k], picks[:, k] = _reduced(self.targets[k].formula, rows, inputs)
        return values, picks


_Pair = tuple[Array, Array]


def _reduced(formula: RowFormula, rows: Array, inputs: Mapping[Node, Limit]) -> _Pair:
    """Minimum over disjunctions, maximum over conjunctions, with the row that attains it."""
    count = len(rows)

    def leaf(node: Atoms | InBox) -> _Pair:
        if isinstance(node, InBox):
            return np.where(_apart(node, inputs[node.input]), np.inf, -np.inf), np.full(count, -1)
        if not len(node.rows):
            return np.full(count, -np.inf if node.every else np.inf), np.full(count, -1)
        chosen = rows[:, node.rows]
        pick = chosen.argmax(1) if node.every else chosen.argmin(1)
        value = chosen[np.arange(count), pick]
        if not node.soft:  # refuted or possible; which one only grows with the bound, so the pick is right
            value = np.where(value >= 0 if node.strict else value > 0, np.inf, -np.inf)
        return value, node.rows[pick]

    def every(parts: list[_Pair]) -> _Pair:
        return _best(parts, +1, count)

    def some(parts: list[_Pair]) -> _Pair:
        return _best(parts, -1, count)

    return reduce_formula(formula, leaf, every, some)


def _best(parts: list[_Pair], sign: int, count: int) -> _Pair:
    """The largest (``sign`` +1) or smallest value; of equal ones the first that rests on a row."""
    if not parts:
        return np.full(count, -sign * np.inf), np.full(count, -1)
    value, pick = parts[0]
    for other, row in parts[1:]:
        better = (sign * other > sign * value) | ((other == value) & (pick < 0))
        value, pick = np.where(better, other, value), np.where(better, row, pick)
    return value, pick


def _apart(box: InBox, limit: Limit) -> Array:
    """True where no point of the limits lies in the box, which is rounded outward."""
    lower, upper = round_down(box.lower), round_up(box.upper)
    return np.asarray(((limit.lower > upper) | (limit.upper < lower)).any(-1))


def _numbers(atoms: list[Atoms]) -> Array:
    return distinct(np.zeros(0, np.int64), *(a.rows for a in atoms)).astype(np.int64)
