"""What passes over pieces of rows found, put together as arrays of subproblems and rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.kept.passes.descent import Choice, Descent, Seed
from nnsym.bounds.kept.passes.inputs import constants, minimiser
from nnsym.bounds.kept.passes.minimum import gaps
from nnsym.bounds.kept.passes.state import State
from nnsym.bounds.kept.plan.plan import Plan
from nnsym.bounds.kept.types import BatchBounds, Dual, Limit
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.results.clock import NEVER, Deadline


@final
@dataclass(frozen=True)
class Options:
    """How subproblems are bounded, see :meth:`nnsym.bounds.kept.engine.Engine.bound`."""

    steps: int = 0
    goal: float = np.inf
    hidden: int = 0
    refresh: bool = True
    forms: bool = True
    gaps: bool = False
    deadline: Deadline = NEVER


@final
class Collector:
    """Arrays ``(batch, rows, ...)`` that pieces of ragged rows are written to."""

    def __init__(self, plan: Plan, wanted: Array, state: State, options: Options) -> None:
        self.state, self.plan, self.shape, self.options = state, plan, wanted.shape, options
        self.lower = np.full(wanted.shape, -np.inf)
        self.constant = np.full(wanted.shape, -np.inf)
        inputs = plan.query.inputs if options.forms else ()
        self.forms = {x: np.zeros((*wanted.shape, x.size), dtype=self.plan.by.dtype) for x in inputs}
        self.point = {x: np.zeros((*wanted.shape, x.size)) for x in inputs}
        self.gaps: dict[Node, Array] = {}
        self.slopes: dict[Node, Array] = {}
        self.multipliers: dict[Node, Array] = {}
        self.cuts: dict[Node, Array] = {}

    def add(self, seed: Seed, row: Array, done: Descent, choice: Choice, lower: Array, slack: Array | float) -> None:
        """Rows ``row``, ``(sets, rows)``, of a piece's subproblems: their bounds, and the slack of their lines."""
        at = (seed.where, row)
        self.lower[at] = lower
        if self.options.forms:
            self._forms(seed, at, done, slack)
        if self.options.gaps:
            _points, apart = gaps(self.state, seed, done, choice)
            for node, values in apart.items():
                self._spread(self.gaps, node, at, values)
        for part, found in ((self.slopes, choice.slopes), (self.multipliers, choice.multipliers)):
            for node, values in found.items():
                self._spread(part, node, at, values)
        for node, values in choice.cuts.items():
            own = self.plan.cuts[node]
            if node not in self.cuts:
                self.cuts[node] = np.zeros((*self.shape, own.count), dtype=values.dtype)
            self.cuts[node][at[0][:, None], at[1][..., None], own.number] = values

    def _forms(self, seed: Seed, at: tuple[Array, Array], done: Descent, slack: Array | float) -> None:
        """The lines of rows over the inputs, and where these are least."""
        self.constant[at] = constants(self.state, seed, done) - slack
        for x, c in done.forms.items():
            self.forms[x][at] = c  # type: ignore[index]
        for x in self.point:
            form = done.forms.get(x, np.zeros((*seed.index.shape, x.size), dtype=self.plan.by.dtype))
            self.point[x][at] = minimiser(self.state, seed, x, form)

    def _spread(self, into: dict[Node, Array], node: Node, at: tuple[Array, Array], values: Array) -> None:
        """Values of the elements that matter, among all of a node's."""
        if node not in into:
            into[node] = np.zeros((*self.shape, node.size), dtype=values.dtype)
        keep = self.plan.keep[node]
        if len(keep) == node.size:
            into[node][at] = values
        else:
            into[node][at[0][:, None], at[1][..., None], keep] = values

    def found(self, ranges: Mapping[Node, Limit], empty: Array) -> BatchBounds:
        """Everything; rows of empty subproblems are bounded by anything."""
        lower = np.where(empty[:, None], np.inf, self.lower)
        dual = Dual(self.slopes, self.multipliers, self.cuts) if self.options.steps else None
        return BatchBounds(lower, ranges, empty, self.forms, self.constant, self.point, self.gaps, dual)


def warm(plan: Plan, dual: Dual | None, seed: Seed, row: Array) -> Choice:
    """The choices that a subproblem came with, for rows ``row`` ``(sets, rows)`` of a seed."""
    if dual is None:
        return Choice()

    def some(part: Mapping[Node, Array], number: Mapping[Node, Array]) -> dict[Node, Array]:
        own = {n: v[seed.where, row][..., number[n]] for n, v in part.items() if n in number}
        return {n: v.astype(plan.by.dtype, copy=False) for n, v in own.items()}

    cuts = {n: own.number for n, own in plan.cuts.items()}
    return Choice(some(dual.slopes, plan.keep), some(dual.multipliers, plan.keep), some(dual.cuts, cuts))
