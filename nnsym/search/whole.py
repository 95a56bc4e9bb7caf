"""Ranges of hidden neurons on the whole domain are searched for, and cuts, while that pays: they hold on every part.

Ranges are searched for in levels, each with four times the splits of the one before. Between two levels the search has
as long as the last one took: so neither has more than about half of the time, whatever the limit is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.bounds.kept.types import Domains, Limit
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.results.clock import Deadline, OutOfTime
from nnsym.search.problem import SearchProblem
from nnsym.search.record.ledger import Ledger
from nnsym.search.steps.bounding import Better, Bounding, Cutting, Engines
from nnsym.search.steps.trial import PARTS

#: So many parts are bounded with cuts, where these pay, before ranges are searched for.
LATER = 32 * PARTS

#: The share of the time left that a level may take; how many times the splits the next one has; what is left of the
#: gap, as a share of what was, where another level pays.
_SHARE, _MORE, _PAYS = 0.5, 4, 0.8

#: So many rows have cuts where nobody says how many.
CUT = 16

#: The same shares for cuts, which every part pays for from then on.
_CUTS_SHARE, _CUTS_PAY = 0.25, 0.95


@final
@dataclass(eq=False, kw_only=True)
class Improving:
    """What is still to come: ``better`` ranges after ``refined`` parts, and cuts.

    Where splits do not aim at ranges (``local``) cuts come first, and ranges, which take longer, wait where these pay;
    cuts are made anew on better ranges. With other rules there are none, unless they are ``wanted``. ``levels`` were
    tried, the next one is due at the time ``again`` (of ``time.perf_counter``).
    """

    better: Better | None = None
    cutting: Cutting | None = None
    wanted: bool = False
    refined: int = PARTS
    levels: int = 0
    again: float = -np.inf

    def due(self, nodes: int) -> bool:
        """True if something is looked for once so many parts were bounded."""
        if self.better is None:
            return self.cutting is not None
        return nodes >= self.refined and time.perf_counter() >= self.again

    def look(
        self, problem: SearchProblem, engines: Engines, ledger: Ledger, deadline: Deadline, *, local: bool
    ) -> bool:
        """What is due now; true where ranges became better."""

        def going() -> bool:
            return len(ledger.frontier) > 0 and not problem.goal.done

        known, gained = self.better is None, False
        first = local and not known and not self.levels and self.refined < LATER
        if self.cutting is not None and first and going():
            self.refined = LATER if cut(problem, engines, ledger, self.cutting, deadline) else 0
        if self.better is not None and self.due(ledger.census.nodes) and going():
            gained = self._refine(self.better, problem, engines, ledger, deadline)
            known = known or gained or self.better is None
        if self.cutting is not None and known and (local or self.wanted) and going():
            cut(problem, engines, ledger, self.cutting, deadline)
        if self.better is None and known:  # the rule that better ranges called for has had its turn
            self.cutting = None
        return gained

    def _refine(
        self, better: Better, problem: SearchProblem, engines: Engines, ledger: Ledger, deadline: Deadline
    ) -> bool:
        """Another level; true where it closes some of the gap."""
        began, rounds = time.perf_counter(), (problem.strategy.refine or 0) * _MORE**self.levels
        end = deadline.share(_SHARE)
        before, gap = refine(problem, engines, ledger, better, rounds, end=end, deadline=deadline)
        self.levels, self.again = self.levels + 1, 2 * time.perf_counter() - began
        if gap > _PAYS * before or gap <= 0 or end.passed:
            self.better = None
        return gap < before


def refine(
    problem: SearchProblem,
    engines: Engines,
    ledger: Ledger,
    better: Better,
    rounds: int,
    *,
    end: Deadline,
    deadline: Deadline,
) -> tuple[float, float]:
    """An engine of better ranges, found by ``end``, where these close some of the gap; the gap before and after.

    Open parts get the better bound of the whole.
    """
    before, lower = _gap(problem, engines.engine, deadline)
    try:
        other = better(engines.engine.ranges, rounds, end)
    except OutOfTime:
        return before, before
    gap, found = _gap(problem, other, deadline)
    if gap < before:
        engines.become(other)
    _raise(problem, ledger, np.maximum(lower, found))
    return before, min(gap, before)


def cut(problem: SearchProblem, engines: Engines, ledger: Ledger, cutting: Cutting, deadline: Deadline) -> bool:
    """An engine with cuts for the lowest rows, where these close some of the gap; true where they do.

    Open parts get the better bound of the whole.
    """
    before, _ = _gap(problem, engines.engine, deadline)
    try:
        rows = CUT if problem.strategy.cuts is None else problem.strategy.cuts
        other = cutting(engines.engine, rows, problem.threshold, deadline.share(_CUTS_SHARE))
    except OutOfTime:
        return False
    if other is engines.engine:
        return False
    gap, lower = _gap(problem, other, deadline)
    pays = gap <= _CUTS_PAY * before
    if pays:
        engines.become(other)
    _raise(problem, ledger, lower)
    return pays


def _raise(problem: SearchProblem, ledger: Ledger, lower: Array) -> None:
    """What is open is bounded by what holds of the whole, and forgets multipliers of cuts: there may be others now."""
    parts = ledger.frontier.take(len(ledger.frontier))
    dual = None if parts.domains.dual is None else replace(parts.domains.dual, cuts={})
    parts = replace(parts, domains=replace(parts.domains, dual=dual), lower=np.maximum(parts.lower, lower))
    ledger.frontier.push(ledger.close(parts, parts.opened & ~problem.goal.closes(parts.lower))[0])


def _gap(problem: SearchProblem, engine: Bounding, deadline: Deadline) -> tuple[float, Array]:
    """How far the whole domain is from being closed, and the targets' lower bounds on it."""
    boxes = {x: box.outer for x, box in problem.query.boxes.items()}
    limits: dict[Node, Limit] = {x: Limit(lower[None], upper[None]) for x, (lower, upper) in boxes.items()}
    domains = Domains(limits, np.ones((1, len(problem.query.rows)), dtype=bool))
    found = engine.bound(domains, steps=problem.strategy.root, goal=problem.threshold, gaps=False, deadline=deadline)
    lower, _ = problem.worth.lower(found.lower, limits)
    lower = np.where(found.empty[:, None], np.inf, lower)
    opened = lower[~problem.goal.closes(lower)]
    return float(np.max(problem.threshold - opened, initial=0.0)), lower
