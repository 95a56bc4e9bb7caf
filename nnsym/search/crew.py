"""Several processes on one search: this one goes on with it, and lends shares of what is open to helpers.

A helper works on its share as the loop does, for some seconds, or until somebody has nothing left to do, and hands back
what it did. Its lines are written as one piece, with the numbers that the record gives its parts. A helper that is lost
has done nothing: its share is still open.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any, final

from nnsym.search.ledger import Ledger
from nnsym.search.loop import Search
from nnsym.search.nodes import Nodes
from nnsym.search.parcel import Parcel, known_nodes, renumbered
from nnsym.search.share import FRESH, Done, Share, Whole
from nnsym.solvers.workers.runner import Job, Returned, default_pool

#: Seconds of a turn, and how many turns may end without an answer before the rest is done here.
_TURN, _LOSSES = 2.0, 3


@final
@dataclass(frozen=True, eq=False)
class Turn:
    """What a helper is at: the parts that were lent, and how it is told to hurry."""

    nodes: Nodes
    hurry: Event = field(default_factory=Event)


@final
class Crew:
    """A search that was begun and not decided, with one helper fewer than its strategy has workers."""

    def __init__(self, search: Search, *, dtype: str, memory: int, seed: int) -> None:
        self.search, self.seed = search, seed
        problem, workers = search.problem, search.problem.strategy.workers
        self.helpers, self.memory = workers - 1, int(memory / workers)
        self.known = known_nodes(problem.query)
        engine, known = search.examiner.engines.engine, set(self.known)
        whole = Whole(
            query=problem.query,
            strategy=problem.strategy,
            reductions=search.reductions,
            dtype=dtype,
            ranges={n: r for n, r in engine.ranges.items() if n in known},
            cuts=engine.cuts,
        )
        self._whole, self._losses = whole.sealed(), 0
        self._turns: dict[Future[Returned], Turn] = {}

    def go(self) -> None:
        """Until nothing is open, the goal is reached, or time or memory end."""
        with ThreadPoolExecutor(self.helpers) as threads:
            try:
                while self._step(threads):
                    pass
            finally:
                self._hurry()

    def _step(self, threads: ThreadPoolExecutor) -> bool:
        """One batch here, and what has come back; false where nobody has anything to do."""
        self._lend(threads)
        worked = self.search.advance()
        if not worked or len(self._turns) < self.helpers:
            self._hurry()
        if not worked:
            wait(self._turns, return_when=FIRST_COMPLETED)
        back = [future for future in self._turns if future.done()]
        for future in back:
            self._take(self._turns.pop(future).nodes, future.result())
        return worked or bool(back)

    def _hurry(self) -> None:
        """Somebody has nothing left to do: what is away is shared anew."""
        for turn in self._turns.values():
            turn.hurry.set()

    def _lend(self, threads: ThreadPoolExecutor) -> None:
        """Whoever is idle gets a share, as large as what stays here."""
        frontier, goal = self.search.frontier, self.search.problem.goal
        for idle in range(self.helpers - len(self._turns), 0, -1):
            if len(frontier) <= idle or goal.done or self.search.deadline.passed or self._losses >= _LOSSES:
                break
            turn = Turn(frontier.share(idle + 1))
            self.search.ledger.away.append(turn.nodes)
            self._turns[threads.submit(default_pool().run, "search", self._job(turn))] = turn

    def _job(self, turn: Turn) -> Job:
        search, seconds = self.search, self.search.deadline.left
        share = Share(
            whole=self._whole,
            parts=Parcel.of(turn.nodes, self.known),
            rule=search.rule.text,
            seconds=min(_TURN, seconds),
            memory=self.memory,
            bounded=search.census.nodes,
            keeps=search.ledger.log.keeps,
            seed=self.seed,
        )
        most = seconds + _TURN
        return Job(module="nnsym.search.share", payload=share, seconds=most, memory=self.memory, hurry=turn.hurry)

    def _take(self, nodes: Nodes, outcome: Returned) -> None:
        """What a helper did, or its share as it was; nothing of parts that were settled meanwhile."""
        ledger, problem = self.search.ledger, self.search.problem
        if nodes not in ledger.away:
            return
        ledger.away.remove(nodes)
        if not isinstance(outcome.value, Done):
            self._losses += 1
            ledger.frontier.push(nodes)
            return
        done = outcome.value
        names = _written(done.lines, ledger)
        splits = {(self.known[n], element): count for (n, element), count in done.splits.items()}
        ledger.merge(done.least, done.seen, done.closed, splits)
        if done.opened is not None:
            ledger.frontier.push(_named(done.opened.nodes(self.known), names))
        if done.point is not None:
            problem.goal.replay(dict(zip(problem.query.inputs, done.point, strict=True)), self.search.deadline)
        for stuck in done.stuck:
            self.search.finisher.finish(_named(stuck.nodes(self.known), names), ledger, self.search.deadline)


def _named(nodes: Nodes, names: Mapping[int, int]) -> Nodes:
    return replace(nodes, number=renumbered(nodes.number, names))


def _written(lines: Any, ledger: Ledger) -> dict[int, int]:
    """Write a child's lines, parts numbered as they come here; the numbers of its new parts."""
    names: dict[int, int] = {}
    fresh = FRESH
    for line in lines:
        if "split" in line:
            rows = []
            for number, *rest in line["split"]:
                rows.append((names.get(number, number), *rest))
                for k in (0, 1):
                    names[fresh + k] = ledger.next + k
                fresh, ledger.next = fresh + 2, ledger.next + 2
            line = {"split": rows}
        elif "close" in line:
            line = {"close": [(names.get(number, number), least) for number, least in line["close"]]}
        ledger.log.write(line)
    return names
