"""Parts that go to a solver: those with few open neurons left, where the strategy names one, and those with nothing
left to split, whose margins are 0 up to rounding.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np

from nnsym.bounds.kept.types import Limit
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.results.clock import Deadline
from nnsym.results.result import weakest
from nnsym.search.leaves import LEAVES, LeafSolver
from nnsym.search.parts.batch import Parts
from nnsym.search.parts.places import count_open
from nnsym.search.parts.points import tried
from nnsym.search.patience import Patience
from nnsym.search.problem import Bounded, SearchProblem
from nnsym.search.record.ledger import Ledger
from nnsym.search.steps.leaf import Ask, Told, restricted

#: So many parts are given up; more say that the margin is 0 along a face, which splitting does not end.
GIVEN_UP = 64

#: So many parts in a row a solver may leave open before it is asked more rarely; how many may be stuck and asked about.
_MISSES, _STUCK = 8, 32

#: So many coefficients at most go to rationals at once; beyond them an LP is asked first.
_SMALL = 20_000


@final
class Finisher:
    """Asks solvers about parts, if there is somebody who does; of what is said it books what is good enough."""

    def __init__(self, problem: SearchProblem, ask: Ask | None) -> None:
        self.problem, self._ask, self._stuck = problem, ask, 0
        self._patience = Patience(_MISSES if problem.strategy.few is None else np.inf)

    def ask(self, batch: Bounded, ledger: Ledger, deadline: Deadline) -> Bounded:
        """What is left of a batch once the strategy's solver was asked about the parts with few open neurons."""
        leaf, few = self.problem.strategy.leaf, self.problem.strategy.few
        if leaf is None or not len(batch):
            return batch
        opened = count_open(self.problem.places, batch.parts.domains.ranges or {})
        parts, left, lower = batch.parts, np.ones(len(batch), dtype=bool), batch.parts.lower.copy()
        for k in np.flatnonzero(opened <= (leaf.few if few is None else few)):
            if self.problem.goal.done or deadline.passed:
                break
            if self._patience.waits():
                continue
            one = parts.take(np.array([k]))
            told = self._told(leaf, one, deadline)
            left[k] = not self._booked(told, leaf, one, ledger)
            lower[k] = np.where(parts.opened[k], np.maximum(lower[k], told.lower), lower[k])
            (self._patience.missed if left[k] else self._patience.hit)()
        kept = np.flatnonzero(left)
        return batch.left(replace(parts, lower=lower).take(kept), kept)

    def finish(self, parts: Parts, ledger: Ledger, deadline: Deadline) -> None:
        """Parts with nothing left to split, one by one; those that nothing decides are given up."""
        for k in range(len(parts)):
            one = parts.take(np.array([k]))
            self._stuck += 1
            solvers = self._solvers if self._stuck <= _STUCK else ()
            if not any(self._booked(self._told(leaf, one, deadline), leaf, one, ledger) for leaf in solvers):
                ledger.give_up(one)

    def settle(self, ledger: Ledger, deadline: Deadline) -> None:
        """No bound in floats gets above what a point has: the whole query is one leaf, and nothing is split any more.

        Where that decides nothing, so many parts count as given up that the search ends.
        """
        ledger.given_up = GIVEN_UP + 1
        for leaf in self._solvers:
            if _enough(self._answer(leaf, self.problem.query, {}, deadline), leaf):
                ledger.settle()
                return

    @property
    def _solvers(self) -> tuple[LeafSolver, ...]:
        """Those that are asked about what no split ends: rationals, which a large part is not handed to at once."""
        small = self.problem.query.entries <= _SMALL
        return (LEAVES["smt"],) if small else (LEAVES["lp"], LEAVES["smt"])

    def _told(self, leaf: LeafSolver, one: Parts, deadline: Deadline) -> Told:
        """What a solver says of one part; its bound is moved by what the rows were."""
        shift = self.problem.threshold
        asked = restricted(self.problem.query, one, self.problem.worth, shift)
        told = self._answer(leaf, asked, one.domains.ranges or {}, deadline)
        return replace(told, lower=float(np.nextafter(told.lower + shift, -np.inf))) if shift else told

    def _answer(self, leaf: LeafSolver, asked: Query, ranges: Mapping[Node, Limit], deadline: Deadline) -> Told:
        """What a solver says of a query. Its point is looked at like any other; one in rationals is replayed."""
        if self._ask is None or deadline.passed or self.problem.goal.done:
            return Told()
        told, goal = self._ask(leaf, asked, ranges, deadline), self.problem.goal
        if told.point is None:
            return told
        if all(np.asarray(v).dtype == object for v in told.point.values()):
            goal.replay(told.point, deadline)
        else:
            points = {x: np.asarray(v, dtype=np.float64)[None] for x, v in told.point.items()}
            goal.look(tried(self.problem.query, self.problem.worth, points), deadline)
        return told

    def _booked(self, told: Told, leaf: LeafSolver, one: Parts, ledger: Ledger) -> bool:
        """True if the part is closed by what was said of it."""
        if told.excluded is None or not _enough(told, leaf):
            return False
        least = np.maximum(np.maximum(one.least, self.problem.threshold), told.lower)
        ledger.rule_out(one, least, told.excluded)
        return True


def _enough(told: Told, leaf: LeafSolver) -> bool:
    """True if what was said rests on no less than the solver is asked for."""
    return told.excluded is not None and weakest(told.excluded, leaf.trust) is leaf.trust
