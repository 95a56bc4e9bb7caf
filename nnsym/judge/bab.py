"""Branch and bound as a method: the room :mod:`nnsym.search` under the rules that every method is under.

A search is complete: what it cannot split any further goes, as a query of its own, to an exact encoding in rationals.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import final

import numpy as np

from nnsym.bounds.base import MEMORY, TIMEOUT, Bounds, Interval
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import Aside, alone, refined
from nnsym.bounds.kept.tighter import tighter
from nnsym.bounds.kept.types import Limit
from nnsym.errors import UnsupportedError
from nnsym.ir.domain import require_limits
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.ir.words import count_of
from nnsym.judge.conclude import Established, error_beside
from nnsym.judge.least import Least
from nnsym.judge.method import Establisher, Settings
from nnsym.judge.programs.leaves import Leaves
from nnsym.judge.verdict import Facts, facts_about, floor, rule
from nnsym.results.clock import Clock, Deadline, OutOfMemory, OutOfTime
from nnsym.results.files import path_of
from nnsym.results.result import Sizes
from nnsym.search.goal import Decide, Goal, Minimise
from nnsym.search.loop import Search
from nnsym.search.session import Conditions, begin
from nnsym.search.steps.bounding import Bounding
from nnsym.search.steps.trial import PARTS
from nnsym.search.strategy import Strategy

#: Up to so many of them a point is run in rationals only to know what the margin is somewhere.
_QUICK = 50_000

#: Bytes of one coefficient in a search: it keeps layers as sparse matrices in two formats, their transposes and sizes.
_EACH = 48

#: The share of the memory that trees of hidden rows may take.
_TREES = 0.25


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class SearchMethod(Establisher):
    """Branch and bound by ``strategy``; ``log`` is a file for its record, from which a later run goes on.

    It takes ``share`` of the time that is left, and ``brief`` of it where few neurons are open.
    """

    strategy: Strategy = field(default_factory=Strategy)
    log: Path | None = None
    share: float = 1.0
    brief: float = 1.0
    exact = True
    goal = "search"
    bounds = "kept"
    summary = "branch and bound over inputs and neurons, on linear bounds"
    paper = "Wang et al. 2018, Bunel et al. 2018"

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.strategy.text

    def establish(self, query: Query, clock: Clock, settings: Settings) -> Established:
        goal = Decide(query)
        try:
            done = self.run(query, goal, clock, settings)
        except (OutOfTime, OutOfMemory) as limit:
            ended = TIMEOUT if isinstance(limit, OutOfTime) else MEMORY
            return Established(facts=facts_about(query), bounds=self.strategy.text, ended=ended)
        if goal.looked is None and done.exhausted and query.entries <= _QUICK:
            point = goal.hopeful or {x: np.add(*(v / 2 for v in box.outer)) for x, box in query.boxes.items()}
            goal.replay(point, clock.deadline())  # the other end of the margin's interval, and a float run
        points = () if goal.point is None else (goal.point,)
        facts = replace(_facts(query, done), replay=goal.looked)
        return Established(
            facts=facts,
            bounds=self.strategy.text,
            error=error_beside(query, rule(facts), _root(query, done), clock),
            sizes=Sizes(unstable=done.unstable, nodes=done.census.nodes),
            points=points,
            ended=done.ended,
            replayed=goal.replayed if goal.looked is not None else None,
        )

    def optimum(self, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        goal = Minimise(query, precision)
        strategy = replace(self.strategy, frontier="best", soft=False)
        try:
            done = replace(self, strategy=strategy).run(query, goal, clock, settings)
        except (OutOfTime, OutOfMemory):
            return Least(floor=floor(facts_about(query)), point=None, by=self.name)
        facts = replace(_facts(query, done), attained=goal.best)
        return Least(floor=floor(facts), point=goal.point, by=self.name)

    def run(self, query: Query, goal: Goal, clock: Clock, settings: Settings) -> Search:
        """The search, run until it is decided or its share of the clock is over.

        Raises OutOfTime or OutOfMemory where it could not begin.
        """
        _check(query)
        strategy = self.strategy.settled(query)
        end = clock.deadline(self.share)

        def fine(known: Bounding) -> Engine:
            return Engine(query, dtype="float64", ranges=known.ranges, cuts=known.cuts, deadline=end)

        def better(ranges: Mapping[Node, Limit], rounds: int, deadline: Deadline) -> Engine:
            dtype, memory = strategy.dtype if engine.holds else "float64", settings.memory / strategy.workers
            with _aside(query, strategy.workers, dtype, memory) as aside:
                refine = partial(refined, query, dtype=dtype, rounds=rounds, ranges=ranges, deadline=deadline)
                return refine(memory=_TREES * memory, aside=aside)

        def cutting(known: Bounding, rows: int, goal: float, deadline: Deadline) -> Bounding:
            return tighter(known, rows=rows, goal=goal, deadline=deadline) if isinstance(known, Engine) else known

        leaves = Leaves(settings)
        given = Conditions(
            deadline=end,
            brief=self.brief,
            memory=settings.memory,
            seed=settings.seed,
            log=self.log,
            fine=None if strategy.dtype == "float64" else fine,
            better=better,
            cutting=cutting,
            ask=leaves,
            watch=settings.watch,
        )
        with clock.step("search") as notes:
            needed = _EACH * query.entries
            if needed > settings.memory:
                notes.append(f"its matrices would take {needed / 2**30:.3g} of {settings.memory / 2**30:.3g} GiB")
                raise OutOfMemory
            engine = Engine(query, dtype=strategy.dtype, deadline=end)
            search = begin(query, engine if engine.holds else fine(engine), goal, strategy, given)
            together = strategy.workers > 1 and isinstance(goal, Decide)  # a best value would have to be shared
            try:
                search.go(PARTS if together else np.inf)
                if together and not search.decided and not search.ended:
                    from nnsym.search.crew import Crew  # start: one process is the rule

                    dtype = strategy.dtype if engine.holds else "float64"
                    Crew(search, dtype=dtype, memory=settings.memory, seed=settings.seed).go()
            finally:  # an interrupted search can be gone on with
                search.ledger.log.end()
            by = replace(strategy, branching=search.rule).text
            notes.append(f"{by}: {count_of(search.census.nodes, 'node')}, margin >= {search.lower:.6g}")
            if len(search.frontier):
                left = count_of(len(search.frontier), "part")
                notes.append(f"{float(search.census.mass):.3%} of the domain closed, {left} open")
            if leaves.asked:
                notes.append(f"{count_of(leaves.asked, 'part')} went to solvers, closed by them: {leaves.closed}")
        return search


def _aside(query: Query, workers: int, dtype: str, memory: float) -> AbstractContextManager[Aside]:
    """Who searches for hidden rows beside this process: the others of several, with so much memory each."""
    if workers == 1:
        return nullcontext(alone)
    from nnsym.search.helpers import helping  # start: one process is the rule

    return helping(query, workers - 1, dtype=dtype, memory=memory, trees=_TREES * memory)


def _root(query: Query, done: Search) -> Bounds:
    """What the engine knew of the nodes before anything was split."""
    ranges = done.examiner.engines.engine.ranges
    nodes = {n: Interval(limit.lower[0], limit.upper[0], "kept") for n, limit in ranges.items()}
    nothing = np.full(len(query.rows), np.inf)
    return Bounds("kept", nodes, Interval(-nothing, nothing, "kept"))


def _check(query: Query) -> None:
    """Raise for what a search cannot take."""
    if query.assumed:
        raise UnsupportedError("a search takes no bounds that are asserted", where=query.name)
    for x, box in query.boxes.items():
        require_limits(box, x.name, ": no end of splitting it")


def _facts(query: Query, done: Search) -> Facts:
    facts, ledger = facts_about(query), done.ledger
    return replace(facts, certified=done.lower, exhausted=done.exhausted, granted=ledger.believed, word=ledger.word)


def bab(
    branching: str | None = None,
    *,
    dtype: str = "float32",
    batch: int = 0,
    steps: int | None = None,
    refine: int | None = None,
    cuts: int | None = None,
    clip: bool = False,
    best: bool = False,
    workers: int = 1,
    leaf: str | None = None,
    few: int | None = None,
    log: str | Path | None = None,
) -> SearchMethod:
    """Branch and bound.

    Args:
        branching: what is split: ``smear`` or ``longest`` inputs, neurons by ``gap`` or ``early`` (layers first),
            ``mixed``, ``random``; chosen by the number of inputs where none is named.
        dtype: of the bounds; float32 is faster, as sound, and a little looser.
        batch: parts that are bounded at once; 0 chooses.
        steps: of ascent on the bounds of every part.
        refine: rounds of search on hidden rows, with which the ranges of the whole domain begin to be improved where a
            few dozen parts do not decide it; 0 leaves them, None does so where inputs are split.
        cuts: so many rows, those with the lowest bounds, have cuts on ReLUs where a few dozen parts do not decide it; 0
            for none, None for some where neurons are split by ``gap``.
        clip: also cut boxes by rows of the conclusion.
        best: the part with the least bound first, instead of the newest.
        workers: processes that share the work.
        leaf: who is asked about parts with few open neurons: ``lp``, ``milp`` or ``smt``, with cuts such as ``lp+tj``.
        few: with at most so many, always; None leaves the number to the solver, and asks ever more rarely in vain.
        log: a file for the record of the search; where it has a beginning the search goes on from there.
    """
    words = [w for w in (branching, dtype if dtype != "float32" else "", "clip" if clip else "") if w]
    words += ["best"] if best else []
    words += [f"steps={steps}"] if steps is not None else []
    words += [f"refine={refine}"] if refine is not None else []
    words += [f"cuts={cuts}"] if cuts is not None else []
    words += [f"batch={batch}"] if batch else []
    words += [f"workers={workers}"] if workers != 1 else []
    words += [f"leaf={leaf}"] if leaf is not None else []
    words += [f"few={few}"] if few is not None else []
    return SearchMethod(strategy=Strategy.of(":".join(("bab", *words))), log=None if log is None else path_of(log))
