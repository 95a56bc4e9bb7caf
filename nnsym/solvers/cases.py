"""A program whose only integral columns are guards, solved as one LP per disjunct inside one worker job.

The optimum is the least over the disjuncts, each bound is re-derived from row duals, and the next one starts
from the last basis because only bounds of guard columns change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import numpy as np

from nnsym.ir.array import Array
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Goal, Status
from nnsym.solvers.certify import EXACT_NONZEROS, lower_bound, proves_empty
from nnsym.solvers.workers.worker import Report

#: A certified bound this close to zero is worth re-evaluating in rationals.
TIGHT = 1e-6


@dataclass(frozen=True, eq=False, kw_only=True)
class LpEnd:
    """How one LP ended. ``duals`` are row multipliers of the minimisation, ``ray`` a Farkas ray."""

    status: Status
    raw: str
    objective: float = np.inf
    point: Array | None = None
    duals: Array | None = None
    ray: Array | None = None


class LpEngine(Protocol):
    """A loaded model whose column bounds can change."""

    def solve(self, lower: Array, upper: Array, seconds: float) -> LpEnd:
        """Solve with these column bounds."""


@dataclass(kw_only=True)
class Found:
    """What a worker sends back of a solve, LPs of disjuncts and MILP alike; see :class:`nnsym.solvers.base.Answer`."""

    status: Status = Status.UNKNOWN
    raw: str = ""
    bound: float = -np.inf
    certified: float = -np.inf
    certified_exact: Fraction | None = None
    objective: float = np.inf
    point: Array | None = None
    exact_point: tuple[Fraction, ...] | None = None
    conclusive_empty: bool = False
    duals: list[Array] = field(default_factory=list)
    message: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    nodes: int = 0
    version: str = ""

    def without_objective(self) -> None:
        """Nothing was minimised: an optimum is a point, and no number bounds anything."""
        if self.status is not Status.INFEASIBLE:
            self.bound = -np.inf
            self.status = Status.FEASIBLE if self.status is Status.OPTIMAL else self.status


def solve_disjuncts(model: LinearModel, engine: LpEngine, goal: Goal, report: Report) -> Found:
    """Solve the disjuncts one after the other; stops early where the goal allows."""
    found = Found(bound=np.inf, certified=np.inf, conclusive_empty=True)
    ends: list[LpEnd] = []
    for disjunct in model.disjuncts:
        lower, upper = model.bounds(disjunct)
        end = engine.solve(lower, upper, report.remaining())
        ends.append(end)
        _fold(found, model, lower, upper, end)
        report.bounds(-np.inf, found.objective)
        decided = end.status is Status.OPTIMAL and goal.decide and found.objective < goal.below
        if decided or end.status is Status.TIME_LIMIT:
            break
    _conclude(found, ends, model, goal)
    return found


def _fold(found: Found, model: LinearModel, lower: Array, upper: Array, end: LpEnd) -> None:
    certified = -np.inf
    if end.status is Status.INFEASIBLE:
        if end.ray is not None and proves_empty(model, lower, upper, end.ray):
            certified = np.inf
        else:
            found.conclusive_empty = False
    else:
        found.conclusive_empty = False
        found.bound = min(found.bound, end.objective if end.status is Status.OPTIMAL else -np.inf)
        if end.duals is not None:
            certified = lower_bound(model, lower, upper, end.duals)
    found.certified = min(found.certified, certified)
    if end.duals is not None and len(model.data) * len(model.disjuncts) <= EXACT_NONZEROS:
        found.duals.append(end.duals)
    if end.point is not None and end.status is Status.OPTIMAL and end.objective < found.objective:
        found.objective, found.point = end.objective, end.point


def _conclude(found: Found, ends: list[LpEnd], model: LinearModel, goal: Goal) -> None:
    """One status for all disjuncts: the first that settled nothing, else optimal, else infeasible."""
    complete = len(ends) == len(model.disjuncts)
    open_ends = [e for e in ends if e.status not in (Status.OPTIMAL, Status.INFEASIBLE)]
    solved = [e for e in ends if e.status is Status.OPTIMAL]
    decisive = open_ends or solved or ends
    found.status, found.raw = decisive[0].status, decisive[0].raw
    if not complete:
        found.bound = found.certified = -np.inf
        if not open_ends:
            found.status = Status.TARGET
    if found.status is Status.OPTIMAL and model.objective < 0:
        found.status, found.bound, found.certified = Status.FEASIBLE, -np.inf, -np.inf
    if found.status is Status.INFEASIBLE:
        found.bound = np.inf
    keep = complete and len(found.duals) == len(ends) and abs(found.certified) < TIGHT
    found.duals = found.duals if keep else []
