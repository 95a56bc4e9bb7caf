"""A query: is there an input in the box for which the formula is true?

This is what a property ``forall x. where => then`` becomes after negation: ``where and not then``. Rows of
the conclusion are soft; the margin of the property is ``min over x of formula(s)`` with min over
disjunctions and max over conjunctions (see :func:`nnsym.ir.formula.margin_lower`). ``exists x. where and then`` is the
same search without the negation, and ``minimise term where ...`` has the term as its one soft row: the
:class:`Reading` says what the answer of the search means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.declaration import Declaration
from nnsym.ir.digits import fraction
from nnsym.ir.domain import INSIDE, Ball, Box, pull_inside
from nnsym.ir.evaluate import evaluate
from nnsym.ir.exact import nearest, round_up, to_fractions
from nnsym.ir.formula import (
    And,
    Atoms,
    InBox,
    Or,
    RowFormula,
    conjunction,
    disjunction,
    leaves,
    margin_lower,
    reduce_formula,
)
from nnsym.ir.network import Application
from nnsym.ir.node import Affine, Input, Node
from nnsym.ir.row_bounds import bounded
from nnsym.ir.rows import Rows, stack
from nnsym.ir.stated import Source
from nnsym.ir.text import dump_query, number
from nnsym.ir.walk import flat_pickle, topological


class Reading(StrEnum):
    """What it means that the search finds a point."""

    FORALL = "forall"  # the point violates the property
    EXISTS = "exists"  # the point is the witness that the property asks for
    MINIMUM = "minimum"  # the point's margin is a value of the term

    @property
    def sought(self) -> str:
        """What the search looks for, in the text of a query."""
        return {"forall": "exists", "exists": "witness"}.get(self.value, self.value)


@final
@dataclass(frozen=True, eq=False)
class Query:
    """Is there a point of the domain at which ``formula`` is true?

    A point gives every input a vector. The domain is that of the points inside all boxes and balls. With ``s`` the
    values of ``rows`` at a point, the formula says of some of them ``s_i <= 0`` or ``s_i < 0``.

    Attributes:
        name: what the property is called.
        boxes: bounds of every input on all of the domain; boxes inside disjunctions are ``InBox`` leaves of the
            formula. Open ends that hard rows close are closed (:mod:`nnsym.ir.row_bounds`), and boxes of integer
            elements are cut down to whole numbers.
        rows: all linear atoms, stacked: ``s = C v + d`` over values ``v`` of nodes, exactly.
        formula: what is searched for, in negation normal form over the rows. Rows of the conclusion are soft, those of
            the precondition hard.
        applications: the runs of networks, which tell replay what nodes are outputs of a stored model.
        text: the property as its author wrote it.
        labels: the comparison that each row comes from, in words; empty if nobody knows.
        balls: balls of the norms 1 and 2, which cut the boxes of inputs further.
        reading: what it means that a point is found.
        slack: what the conclusion's comparisons were relaxed by.
        assumed: intervals of nodes that somebody asserted; what is proved with them rests on that word.
        declared: the variables of the file that the query was read from, in its order; a witness speaks of them.
        runs: the query whose stored models are run, where this one encloses what they compute in floats
            (:mod:`nnsym.deployed`); the further inputs of this one are errors of rounding.
        stated: the query that stored models are judged by, where this one says the same of the real function in other
            rows (:mod:`nnsym.ir.order`).
        source: the VNN-LIB text that it was read from (:func:`nnsym.ir.stated.source_of`).
    """

    name: str
    boxes: Mapping[Input, Box]
    rows: Rows
    formula: RowFormula
    applications: tuple[Application, ...] = ()
    text: str = ""
    labels: tuple[str, ...] = ()
    balls: Mapping[Input, tuple[Ball, ...]] = field(default_factory=dict)
    reading: Reading = Reading.FORALL
    slack: Fraction = Fraction(0)
    assumed: Mapping[Node, Box] = field(default_factory=dict)
    declared: tuple[Declaration, ...] = ()
    runs: Query | None = None
    stated: Query | None = None
    source: Source | None = None

    def __post_init__(self) -> None:
        closed = self._closed()
        if closed:
            boxes = {x: Box(*closed[x]) if x in closed else box for x, box in self.boxes.items()}
            object.__setattr__(self, "boxes", boxes)
        if any(x.integer.any() for x in self.boxes):
            object.__setattr__(self, "boxes", {x: box.whole(x.integer) for x, box in self.boxes.items()})

    def _closed(self) -> Mapping[Input, tuple[Array, Array]]:
        """The boxes whose open ends hard rows close."""
        if all(box.bounded for box in self.boxes.values()):
            return {}
        return bounded({x: (b.lower, b.upper) for x, b in self.boxes.items()}, self.rows, self.formula)

    def __reduce__(self) -> tuple[Any, ...]:
        return flat_pickle(self, self.nodes if self.stated is None else (*self.nodes, *self.stated.nodes))

    @property
    def inputs(self) -> tuple[Input, ...]:
        return tuple(self.boxes)

    @cached_property
    def spec(self) -> tuple[Node, Array, Array]:
        """The rows as one affine float64 layer, with the slack of :meth:`Rows.node`."""
        return self.rows.node()

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node that the rows and the domain depend on, parents first; the spec layer is not among them."""
        return topological((*self.inputs, *self.rows.parts))

    @cached_property
    def entries(self) -> int:
        """How many coefficients all layers have as sparse matrices, counted without these."""
        return sum(linear.nnz for node in self.nodes if isinstance(node, Affine) for linear in node.maps)

    @property
    def empty_box(self) -> bool:
        """True if no input at all satisfies the bounds, or the precondition is false: the property holds vacuously."""
        never = isinstance(self.formula, Or) and not self.formula.parts
        return never or any(box.empty for box in self.boxes.values())

    @cached_property
    def settled(self) -> bool:
        """True if the conclusion alone leaves the search no point, whatever the inputs."""
        return any(
            isinstance(leaf, Atoms) and leaf.soft and not leaf.every and not len(leaf.rows)
            for leaf in leaves(self.formula)
        )

    @cached_property
    def strict(self) -> bool:
        """True if every soft atom of the violation is strict, so that a margin of exactly 0 verifies."""
        return all(leaf.strict for leaf in leaves(self.formula) if isinstance(leaf, Atoms) and leaf.soft)

    def inside(self, values: Mapping[Node, Array]) -> bool:
        """True if the inputs lie in the boxes and balls, integer ones at whole numbers; exact for float or Fraction."""
        whole = all((values[x][x.integer] % 1 == 0).all() for x in self.boxes)
        boxed = all(box.contains(values[x]) for x, box in self.boxes.items())
        return whole and boxed and all(ball.contains(values[x]) for x, some in self.balls.items() for ball in some)

    def move_inside(self, point: Mapping[Input, Array]) -> dict[Input, Array]:
        """The float64 point (or points, ``(..., n)``) moved into boxes and balls, integer elements to whole numbers."""
        moved = {}
        for x, values in point.items():
            near = x.chosen(nearest(values).astype(np.float64))
            near = np.where(x.integer, np.round(near), near)
            moved[x] = pull_inside(near, self.boxes[x].inner, self.balls.get(x, ()), x.integer, INSIDE)
        return moved

    def shifted(self, amount: Fraction) -> Query:
        """The query whose soft rows are ``s + amount``; preconditions that read the same rows keep theirs."""
        count = len(self.rows)
        rows = stack([self.rows, self.rows + Rows.constants(np.full(count, amount, dtype=object))])

        def leaf(node: Atoms | InBox) -> RowFormula:
            return replace(node, rows=node.rows + count) if isinstance(node, Atoms) and node.soft else node

        moved = self._with(rows, (*self.labels, *self.labels), leaf)
        runs, stated = (None if q is None else q.shifted(amount) for q in (self.runs, self.stated))
        return replace(moved, runs=runs, stated=stated)

    def relaxed(self, slack: Any) -> Query:
        """The query of the property whose conclusion's comparisons may each be missed by ``slack``, which is exact.

        Raises :class:`InputError` unless ``slack`` is a number and not negative.
        """
        amount = _slack(slack)
        moved = self.shifted(-amount if self.reading is Reading.EXISTS else amount)
        return replace(moved, slack=self.slack + amount, text=f"{self.text}\n  slack {number(amount)}")

    def precondition(self) -> Query:
        """Is there an input that satisfies the precondition? The conclusion is left out."""

        def leaf(node: Atoms | InBox) -> RowFormula:
            return And(()) if isinstance(node, Atoms) and node.soft else node

        runs, stated = (None if q is None else q.precondition() for q in (self.runs, self.stated))
        kept = self._with(self.rows, self.labels, leaf)
        return replace(kept, reading=Reading.EXISTS, slack=Fraction(0), runs=runs, stated=stated)

    def _with(self, rows: Rows, labels: tuple[str, ...], leaf: Callable[[Atoms | InBox], RowFormula]) -> Query:
        """Other leaves, over those of the rows that they use."""
        formula = reduce_formula(self.formula, leaf, lambda p: conjunction(*p), lambda p: disjunction(*p))
        used = [node.rows for node in leaves(formula) if isinstance(node, Atoms)]
        kept = np.unique(np.concatenate([np.zeros(0, np.int64), *used]))

        def moved(node: Atoms | InBox) -> RowFormula:
            return replace(node, rows=np.searchsorted(kept, node.rows)) if isinstance(node, Atoms) else node

        formula = reduce_formula(formula, moved, lambda p: conjunction(*p), lambda p: disjunction(*p))
        return replace(self, rows=rows.take(kept), formula=formula, labels=labels and tuple(labels[i] for i in kept))

    def violated(self, values: Mapping[Node, Array]) -> bool:
        """True if the values (Fractions, for an exact answer) lie in the domain and make the formula true."""
        s = self.rows.value(values)

        def leaf(node: Atoms | InBox) -> bool:
            if isinstance(node, InBox):
                return _within(values[node.input], node.lower, node.upper)
            holds = s[node.rows] < 0 if node.strict else s[node.rows] <= 0
            return bool(np.all(holds) if node.every else np.any(holds))

        return self.inside(values) and reduce_formula(self.formula, leaf, all, any)

    def margin(self, values: Mapping[Node, Array], *, up: bool = False) -> float:
        """The margin at a point, to nearest or rounded ``up``: negative if violated, +inf off the precondition."""
        s = self.rows.value(values)

        def atom(node: Atoms | InBox) -> Array:
            if isinstance(node, InBox):
                inside = _within(values[node.input], node.lower, node.upper)
                return np.array([-np.inf if inside else np.inf])
            chosen = s[node.rows]
            if node.soft:
                return round_up(chosen) if up else nearest(chosen)
            holds = chosen < 0 if node.strict else chosen <= 0
            return np.where(holds, -np.inf, np.inf)

        return margin_lower(self.formula, atom) if self.inside(values) else np.inf

    def values(self, point: Mapping[Input, Array], *, exact: bool = False) -> dict[Node, Array]:
        """All node values at a point, in float64 or in exact rationals."""
        given: dict[Node, Array] = {x: to_fractions(v) if exact else v for x, v in point.items()}
        return evaluate((*self.inputs, *self.rows.parts), given)

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the networks' hashes and the property's exact content, as stated; names are not part of it."""
        if self.stated is not None:
            return self.stated.hash
        return hashlib.sha256(dump_query(self).encode()).hexdigest()


def _slack(given: Any) -> Fraction:
    """The exact amount."""
    try:
        amount = fraction(given) if isinstance(given, str) else Fraction(given)
        if abs(amount) > Fraction(np.finfo(np.float64).max):
            raise OverflowError
    except (TypeError, ValueError, OverflowError, ZeroDivisionError):
        shown = str(given) if isinstance(given, (str, float)) else type(given).__name__
        raise InputError(
            f"slack is {shown[:60]}, which is not a finite float64", remedy="Give a number from 0 to 1e308, as in 1e-4"
        ) from None
    if amount < 0:
        raise InputError(f"slack {given} is negative", remedy="A slack relaxes; state a stronger conclusion")
    return amount


def _within(x: Array, lower: Array, upper: Array) -> bool:
    return bool(((lower <= x) & (x <= upper)).all())
