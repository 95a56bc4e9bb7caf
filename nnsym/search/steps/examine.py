"""A batch is bounded: what that closes is booked, and the points at which the other bounds are attained are tried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.results.clock import Deadline
from nnsym.search.parts.batch import Parts
from nnsym.search.problem import Bounded, SearchProblem
from nnsym.search.record.ledger import Ledger
from nnsym.search.steps.bounding import Engines
from nnsym.search.steps.looks import POINTS, Looks


@final
@dataclass(frozen=True, eq=False)
class Examiner:
    """Bounds and points of one search."""

    problem: SearchProblem
    engines: Engines
    looks: Looks

    def examine(self, parts: Parts, ledger: Ledger, *, first: bool, gaps: bool, deadline: Deadline) -> Bounded:
        """What is left of a batch. The ``first`` has more steps of ascent, and a counter-search where neurons are
        split; ``gaps`` says whether anyone looks at them.
        """
        strategy, goal = self.problem.strategy, self.problem.goal
        steps = strategy.root if first else strategy.then(ledger.census.nodes)
        parts = replace(parts, domains=replace(parts.domains, wanted=self.problem.worth.wanted(parts.opened)))
        found, lower, picks = self.engines.bound(parts, self.problem, steps=steps, gaps=gaps, deadline=deadline)
        parts = replace(parts.bare(), lower=np.maximum(parts.lower, lower))
        ledger.census.bounded(parts)
        parts, kept = ledger.close(parts, parts.opened & ~goal.closes(parts.lower))
        if len(kept) < len(found):
            found, picks = found.take(kept), picks[kept]
        if not len(parts) or goal.done:
            return Bounded(parts, found, picks, kept)
        row = self.looks.minimisers(parts, found, picks, deadline)
        if first and not goal.done and self.problem.worth.joined:
            self.looks.around(found, deadline)
        if first and strategy.hidden and not goal.done:
            self.looks.attack(POINTS, deadline)
        # where boxes shrink a plain pass has better slopes than the larger box had, but for sums of rows
        warm = found.dual if strategy.hidden or self.problem.worth.joined else None
        known = replace(parts.domains, ranges=found.ranges, dual=warm)
        return Bounded(replace(parts, domains=known), found, picks, row)
