"""A batch is bounded: what that closes is booked, and the points at which the other bounds are attained are tried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.results.clock import Deadline
from nnsym.search.parts.nodes import Nodes
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

    def examine(self, nodes: Nodes, ledger: Ledger, *, first: bool, gaps: bool, deadline: Deadline) -> Bounded:
        """What is left of a batch. The ``first`` has more steps of ascent, and a counter-search where neurons are
        split; ``gaps`` says whether anyone looks at them.
        """
        strategy, goal = self.problem.strategy, self.problem.goal
        steps = strategy.root if first else strategy.then(ledger.census.nodes)
        nodes = replace(nodes, domains=replace(nodes.domains, wanted=self.problem.worth.wanted(nodes.opened)))
        found, lower, picks = self.engines.bound(nodes, self.problem, steps=steps, gaps=gaps, deadline=deadline)
        nodes = replace(nodes.bare(), lower=np.maximum(nodes.lower, lower))
        ledger.census.bounded(nodes)
        nodes, kept = ledger.close(nodes, nodes.opened & ~goal.closes(nodes.lower))
        if len(kept) < len(found):
            found, picks = found.take(kept), picks[kept]
        if not len(nodes) or goal.done:
            return Bounded(nodes, found, picks, kept)
        row = self.looks.minimisers(nodes, found, picks, deadline)
        if first and not goal.done and self.problem.worth.joined:
            self.looks.around(found, deadline)
        if first and strategy.hidden and not goal.done:
            self.looks.attack(POINTS, deadline)
        # where boxes shrink a plain pass has better slopes than the larger box had, but for sums of rows
        warm = found.dual if strategy.hidden or self.problem.worth.joined else None
        known = replace(nodes.domains, ranges=found.ranges, dual=warm)
        return Bounded(replace(nodes, domains=known), found, picks, row)
