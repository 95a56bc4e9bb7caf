"""From quantified variables, a premise and a goal to the query that methods search."""

from __future__ import annotations

import numpy as np

from nnsym.ir.domain import Box
from nnsym.ir.node import Input
from nnsym.ir.query import Query, Reading
from nnsym.ir.rows import Rows
from nnsym.lang.guard import misread
from nnsym.lang.statements import logic
from nnsym.lang.statements.formulas import Formula, as_formula, reduce_all, together
from nnsym.lang.statements.lower import balls, domain, search, without_bounds


def as_statement(given: object, role: str) -> Formula:
    """One formula from a formula or an iterable of formulas that all hold."""
    if isinstance(given, (list, tuple)):
        return reduce_all(*given)
    formula = as_formula(given)
    if formula.size != 1:
        raise misread(
            f"'{role}' is an array of {formula.size} comparisons, not one statement",
            "Reduce it with nn.all(...) or nn.any(...)",
        )
    return formula


def searched(
    reading: Reading,
    inputs: tuple[Input, ...],
    where: Formula | None,
    goal: Formula,
    *,
    name: str,
    text: str,
) -> Query:
    """The query: an input with ``where`` and ``goal``, whose atoms are soft."""
    premise = logic.conjunction((logic.TRUE if where is None else where.tree, *map(one_hot, inputs)))
    rest = without_bounds(premise)
    rows, formula, labels = goal.sought if logic.is_true(rest) else search(rest, goal.tree)
    return Query(
        name=name,
        boxes=domain(premise, inputs),
        rows=rows,
        formula=formula,
        applications=together(() if where is None else where.applications, goal.applications),
        text=text,
        labels=labels,
        reading=reading,
        balls=balls(premise),
    )


def one_hot(x: Input) -> logic.Tree:
    """The elements of every one-hot group lie in [0, 1] and sum to 1; true where there are no groups."""
    groups = x.groups()
    if not groups:
        return logic.TRUE
    member = x.choice >= 0
    unit = Box(np.where(member, 0.0, -np.inf), np.where(member, 1.0, np.inf))
    box = logic.Inside(x, unit, f"{x.name} is one-hot")
    columns = np.flatnonzero(member)
    total = Rows.collect([(x, x.choice[columns], columns, np.ones(len(columns)))], np.full(len(groups), -1.0))
    sums = logic.comparison(total, "==", f"the elements of {x.name} sum to 1")
    return logic.conjunction((box, logic.every(sums, len(groups))))


def mentioned(*formulas: Formula | None) -> tuple[Input, ...]:
    """The inputs that the formulas are about."""
    return tuple(dict.fromkeys(x for f in formulas if f is not None for x in f.inputs))
