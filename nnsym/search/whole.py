"""Ranges of hidden neurons on the whole domain are searched for, and cuts, while that pays: they hold on every part."""

from __future__ import annotations

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

#: The share of the time for this; what is left of the gap, as a share of what was, where more rounds pay.
_SHARE, _PAYS = 0.25, 0.8

#: So many rows have cuts where nobody says how many.
CUT = 16

#: The same for cuts, which every part pays for from then on.
_CUTS_PAY = 0.95


@final
@dataclass(eq=False, kw_only=True)
class Improving:
    """What is still to come: ``better`` ranges after ``refined`` parts, and cuts.

    Where splits do not aim at ranges (``local``) cuts come first, and ranges, which take longer, wait where these pay;
    cuts are made anew on better ranges. With other rules there are none, unless they are ``wanted``.
    """

    better: Better | None = None
    cutting: Cutting | None = None
    wanted: bool = False
    refined: int = PARTS

    def due(self, nodes: int) -> bool:
        """True if something is looked for once so many parts were bounded."""
        return nodes >= self.refined if self.better is not None else self.cutting is not None

    def look(
        self, problem: SearchProblem, engines: Engines, ledger: Ledger, deadline: Deadline, *, local: bool
    ) -> None:
        """What is due now."""

        def going() -> bool:
            return len(ledger.frontier) > 0 and not problem.goal.done

        known = self.better is None
        first = local and not known and self.refined < LATER
        if self.cutting is not None and first and going():
            self.refined = LATER if cut(problem, engines, ledger, self.cutting, deadline) else 0
        if self.better is not None and ledger.census.nodes >= self.refined and going():
            refine(problem, engines, ledger, self.better, deadline)
            self.better = None
        if self.cutting is not None and self.better is None and (local or self.wanted) and going():
            cut(problem, engines, ledger, self.cutting, deadline)
            known = True
        if known:  # the rule that better ranges called for has had its turn
            self.cutting = None


def refine(problem: SearchProblem, engines: Engines, ledger: Ledger, better: Better, deadline: Deadline) -> None:
    """Better engines in turn, each with four times the rounds of the one before, while they close some of the gap.

    Open subproblems get the better bound of the whole.
    """
    end, rounds = deadline.share(_SHARE), problem.strategy.refine or 0
    gap, lower = _gap(problem, engines.engine, deadline)
    while gap > 0 and not end.passed:
        try:
            other = better(engines.engine.ranges, rounds, end)
        except OutOfTime:
            break
        before, rounds = gap, 4 * rounds
        gap, found = _gap(problem, other, deadline)
        lower = np.maximum(lower, found)
        if gap < before:
            engines.become(other)
        if gap > _PAYS * before:
            break
    _raise(problem, ledger, lower)


def cut(problem: SearchProblem, engines: Engines, ledger: Ledger, cutting: Cutting, deadline: Deadline) -> bool:
    """An engine with cuts for the lowest rows, where these close some of the gap; true where they do.

    Open subproblems get the better bound of the whole.
    """
    before, _ = _gap(problem, engines.engine, deadline)
    try:
        rows = CUT if problem.strategy.cuts is None else problem.strategy.cuts
        other = cutting(engines.engine, rows, problem.threshold, deadline.share(_SHARE))
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
    nodes = ledger.frontier.take(len(ledger.frontier))
    dual = None if nodes.domains.dual is None else replace(nodes.domains.dual, cuts={})
    nodes = replace(nodes, domains=replace(nodes.domains, dual=dual), lower=np.maximum(nodes.lower, lower))
    ledger.frontier.push(ledger.close(nodes, nodes.opened & ~problem.goal.closes(nodes.lower))[0])


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
