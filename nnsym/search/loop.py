"""Branch and bound: what is open is bounded in batches, closed, cut down, split, until nothing is left.

    while parts are open:
        take     a batch of them from the frontier
        examine  bound their targets, close those above the goal's threshold, try points at which bounds are attained
        reduce   cut off what holds no violation, without a split
        ask      a solver about parts with few open neurons, where the strategy names one
        branch   split each part in two, by the rule
        finish   give those that nothing can split to an exact encoding

A *part* is the query under further limits on its nodes, a *target* one disjunct of the violation; a part is closed when
all its targets are ruled out. What closes a target is a bound with every rounding paid; points only ever falsify, after
they were replayed. So the least bound of all parts, open and closed, is at every moment a lower bound of the margin
(:mod:`nnsym.search.record.ledger`). Sources: Bunel et al., Branch and Bound for Piecewise Linear Neural Network
Verification, 2020; Wang et al., Beta-CROWN, 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np

from nnsym.results.clock import Deadline
from nnsym.search.branching import Branching, Gap
from nnsym.search.frontier import Frontier
from nnsym.search.parts.batch import Parts
from nnsym.search.parts.places import count_open
from nnsym.search.problem import SearchProblem
from nnsym.search.record.census import Census
from nnsym.search.record.ledger import Ledger
from nnsym.search.record.progress import Snapshot
from nnsym.search.steps.branch import branched
from nnsym.search.steps.examine import Examiner
from nnsym.search.steps.finish import GIVEN_UP, Finisher
from nnsym.search.steps.looks import POINTS
from nnsym.search.steps.reduce import Reducing
from nnsym.search.steps.trial import PARTS, trial
from nnsym.search.whole import Improving

#: So many open neurons are few: a program may end the search at once.
FEW = 30

#: After which batches there is a counter-search, and from how many points.
_ATTACKS = {2: POINTS, 12: 4096}

#: So many batches are behind a search that has no counter-search any more.
ATTACKED = max(_ATTACKS)


@final
@dataclass(eq=False, kw_only=True)
class Search:
    """One search: ``go`` runs it until it is decided, or until the deadline or the memory's end.

    Attributes:
        problem: what is searched and what for, which does not change.
        rule: says what of a part is split, and where.
        ledger: what was done and what is open.
        examiner: bounds a batch and looks for violations.
        finisher: knows what becomes of parts that go to a solver.
        reductions: what makes parts smaller without a split.
        deadline: when the search ends.
        improving: betters the bounds of the whole domain where a few parts do not decide the query.
        brief: the share of the time that it has where few neurons are open.
        watch: hears where the search stands, after every batch.
        rivals: rules that are tried instead of ``rule``, once.
        rival: begins the search anew by such a rule.
        ended: why it ended undecided: ``timeout``, ``memory`` or ``within_rounding``.
        unstable: open neurons on the whole domain.
        batches: so many were taken.
    """

    problem: SearchProblem
    rule: Branching
    ledger: Ledger
    examiner: Examiner
    finisher: Finisher
    reductions: Sequence[Reducing]
    deadline: Deadline
    improving: Improving = field(default_factory=Improving)
    brief: float = 1.0
    watch: Callable[[Snapshot], None] | None = None
    rivals: Sequence[Branching] = ()
    rival: Callable[[Branching], Search] | None = None
    ended: str = ""
    unstable: int = 0
    batches: int = 0

    @property
    def lower(self) -> float:
        """The certified lower bound of the margin."""
        return self.ledger.lower

    @property
    def exhausted(self) -> bool:
        """True if every part of the domain was ruled out."""
        return self.ledger.exhausted and not self.problem.goal.done and not self.ended

    @property
    def frontier(self) -> Frontier:
        """What is open."""
        return self.ledger.frontier

    @property
    def census(self) -> Census:
        """What was done, in numbers."""
        return self.ledger.census

    @property
    def decided(self) -> bool:
        """True if a point was found, or every part ruled out."""
        return self.problem.goal.done or self.exhausted

    @property
    def _going(self) -> bool:
        return len(self.frontier) > 0 and not self.problem.goal.done

    def go(self, parts: float = np.inf) -> None:
        """Until nothing is open, the goal is reached, time or memory end, or so many parts were bounded."""
        while self.census.nodes < parts and self.advance():
            pass

    @np.errstate(over="ignore", invalid="ignore")  # lines, scores and points that overflow lead nowhere
    def advance(self) -> bool:
        """One batch; false where there is none, since nothing is open, the goal is reached, or time or memory end."""
        self.ended = self.limit() if self._going else self.ended
        if self.ended or not self._going:
            return False
        self._step(self.frontier.take(self.problem.strategy.at_once(self.census.nodes)))
        self.batches += 1
        if self.batches in _ATTACKS and self._going:
            self.examiner.looks.attack(_ATTACKS[self.batches], self.deadline)
        if self.census.nodes >= PARTS and self._going:
            self._change()
        if self.watch is not None:
            self.watch(self.snapshot())
        return True

    def limit(self) -> str:
        """What ends the search now, if anything does."""
        if self.deadline.passed:
            return "timeout"
        if self.problem.goal.tight and self.ledger.given_up <= GIVEN_UP:
            self.finisher.settle(self.ledger, self.deadline)
        return "memory" if self.frontier.full else "within_rounding" if self.ledger.given_up > GIVEN_UP else ""

    def snapshot(self) -> Snapshot:
        """Where it stands."""
        mass, opened = float(self.census.mass), len(self.frontier) + sum(map(len, self.ledger.away))
        best, nodes = self.problem.goal.best, self.census.nodes
        return Snapshot(lower=self.lower, best=best, mass=mass, opened=opened, nodes=nodes)

    def _step(self, parts: Parts) -> None:
        goal, first = self.problem.goal, not self.batches
        batch = self.examiner.examine(parts, self.ledger, first=first, gaps=self.rule.gaps, deadline=self.deadline)
        if first and len(batch):
            self.unstable = int(count_open(self.problem.places, batch.found.ranges).max())
            self.deadline = self.deadline.share(self.brief) if self.unstable <= FEW else self.deadline
        for reducing in self.reductions:
            if len(batch) and not goal.done:
                batch = reducing.reduce(batch, self.problem, self.ledger)
        batch = self.finisher.ask(batch, self.ledger, self.deadline)
        if goal.done or not len(batch):
            return self.frontier.push(batch.parts)
        stuck = branched(batch, self.rule, self.problem, self.ledger)
        return self.finisher.finish(stuck, self.ledger, self.deadline)

    def _change(self) -> None:
        """What comes where some parts did not decide it: other rules are tried, and better bounds of the whole.

        Which rule suits the query depends on what is known of it: on better ranges all are tried anew.
        """
        rival, self.rival = self.rival, None
        if rival is not None:
            self._adopt(trial(self, map(rival, self.rivals)))
        local = isinstance(self.rule, Gap) and self.rule.early == 1
        refined = self.improving.look(self.problem, self.examiner.engines, self.ledger, self.deadline, local=local)
        if rival is not None and self.rivals and refined and self._going:
            rules = (rule for rule in (self.problem.strategy.branching, *self.rivals) if rule is not None)
            first, *others = map(rival, rules)
            self._adopt(trial(first, others))
        self.ledger.log.release()

    def _adopt(self, best: Search) -> None:
        """Go on with what another search did."""
        if best is not self:
            self.ledger.become(best.ledger)
            self.rule = best.rule
