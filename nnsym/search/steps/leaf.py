"""One part for somebody else to decide: the query cut down to it, and what is known of its nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.bounds.kept.types import Limit
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms, RowFormula, conjunction, disjunction
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows, stack
from nnsym.results.clock import Deadline
from nnsym.results.result import Trust
from nnsym.search.leaves import LeafSolver
from nnsym.search.parts.batch import Parts
from nnsym.search.parts.targets import Worth


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Told:
    """What a solver says of a part: on what ``trust`` no point of it violates, if so, or a candidate ``point``.

    ``lower`` is a certified lower bound of the margin that was asked about.
    """

    excluded: Trust | None = None
    lower: float = -np.inf
    point: Mapping[Input, Array] | None = None


#: Asks a solver about a query that is one part, of whose nodes these ranges ``(1, size)`` are known.
Ask = Callable[[LeafSolver, Query, Mapping[Node, Limit], Deadline], Told]


def restricted(query: Query, leaf: Parts, worth: Worth, threshold: float = 0.0) -> Query:
    """The query on the limits of one part, with the targets that are open there: its points, and no others.

    Limits of inputs go into their boxes, those of other nodes become hard rows ``v <= u`` and ``l <= v``. A finite
    ``threshold`` is subtracted from the rows of the conclusion: what is asked is whether a margin gets down to it.
    """
    boxes, rows, formulas = dict(query.boxes), [query.rows], list[RowFormula]()
    count = len(query.rows)
    for node, limit in leaf.domains.limits.items():
        if isinstance(node, Input):
            boxes[node] = boxes[node].intersect(Box(limit.lower[0], limit.upper[0]))
            continue
        for made in _sides(node, limit):
            rows.append(made)
            formulas.append(Atoms(count + np.arange(len(made)), strict=False, soft=False))
            count += len(made)
    opened = [worth.targets[k].formula for k in np.flatnonzero(leaf.opened[0])]
    formula = conjunction(disjunction(*opened), *formulas)
    labels = (*query.labels, *("limit" for _ in range(count - len(query.rows)))) if query.labels else ()
    asked = replace(query, boxes=boxes, rows=stack(rows), formula=formula, labels=labels)
    return asked.shifted(Fraction(-threshold)) if threshold and abs(threshold) < np.inf else asked


def _sides(node: Node, limit: Limit) -> list[Rows]:
    """``v - u`` and ``l - v`` where the limits are finite."""
    every = Rows.of(node)
    found = []
    for side, sign in ((limit.upper[0], 1.0), (limit.lower[0], -1.0)):
        index = np.flatnonzero(np.isfinite(side))
        if len(index):
            chosen = every.take(index).scale(sign)
            found.append(chosen + Rows.constants(side[index] * -sign))
    return found
