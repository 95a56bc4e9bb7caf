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

from nnsym.search.loop import Search
from nnsym.search.parcel import Parcel, known_nodes, renumbered
from nnsym.search.parts.batch import Parts
from nnsym.search.record.ledger import Ledger
from nnsym.search.share import FRESH, Done, Share, Whole
from nnsym.search.steps.bounding import Bounding
from nnsym.solvers.workers.runner import Job, Returned, default_pool

#: Seconds of a turn, and how many turns may end without an answer before the rest is done here.
_TURN, _LOSSES = 2.0, 3


@final
@dataclass(frozen=True, eq=False)
class Turn:
    """What a helper is at: the parts that were lent, the engine that bounds them, and how it is told to hurry."""

    parts: Parts
    engine: Bounding
    hurry: Event = field(default_factory=Event)


@final
class Crew:
    """A search that was begun and not decided, with one helper fewer than its strategy has workers."""

    def __init__(self, search: Search, *, dtype: str, memory: int, seed: int) -> None:
        self.search, self.seed = search, seed
        problem, workers = search.problem, search.problem.strategy.workers
        self.helpers, self.memory = workers - 1, int(memory / workers)
        self.known, self.dtype = known_nodes(problem.query), dtype
        self._engine, self._whole = search.examiner.engines.engine, b""
        self._losses, self._turns = 0, dict[Future[Returned], Turn]()

    def go(self) -> None:
        """Until nothing is open, the goal is reached, or time or memory end."""
        with ThreadPoolExecutor(self.helpers) as threads:
            try:
                while self._step(threads):
                    pass
            finally:
                for future, turn in self._turns.items():
                    future.cancel()
                    turn.hurry.set()

    def _step(self, threads: ThreadPoolExecutor) -> bool:
        """One batch here, and what has come back; false where nobody has anything to do.

        Where better bounds of the whole are looked for in this batch, all that is open is here: it gets them.
        """
        if self._improves:
            self._gather()
        else:
            self._lend(threads)
        worked = self.search.advance()
        recalled = self._recall() if not worked or len(self._turns) < self.helpers else 0
        if not worked and not recalled:
            wait(self._turns, return_when=FIRST_COMPLETED)
        return self._collect() > 0 or worked or recalled > 0

    @property
    def _improves(self) -> bool:
        search = self.search
        nodes = search.census.nodes
        return search.improving.due(nodes + search.problem.strategy.at_once(nodes))

    def _gather(self) -> None:
        """All that was lent comes back."""
        self._recall()
        for turn in self._turns.values():
            turn.hurry.set()
        wait(self._turns)
        self._collect()

    def _collect(self) -> int:
        """Take what has come back; so many turns have ended."""
        back = [future for future in self._turns if future.done()]
        for future in back:
            self._take(self._turns.pop(future), future.result())
        return len(back)

    def _recall(self) -> int:
        """Somebody has nothing left to do: shares that nobody has begun come back, or else all helpers hurry."""
        waiting = [future for future in self._turns if future.cancel()]
        for future in waiting:
            self._back(self._turns.pop(future))
        for turn in () if waiting else self._turns.values():
            turn.hurry.set()
        return len(waiting)

    def _lend(self, threads: ThreadPoolExecutor) -> None:
        """Whoever is idle gets a share, and where a batch is open another one, to go on with while a batch here lasts.

        All are alike, and as much as they have stays here.
        """
        search, frontier = self.search, self.search.frontier
        each = 2 if len(frontier) >= search.problem.strategy.at_once(search.census.nodes) else 1
        over = search.problem.goal.done or search.deadline.passed or self._losses >= _LOSSES
        for missing in range(0 if over else each * self.helpers - len(self._turns), 0, -1):
            if len(frontier) <= missing:
                break
            turn = Turn(frontier.share(missing + each), search.examiner.engines.engine)
            search.ledger.away.append(turn.parts)
            self._turns[threads.submit(self._run, self._share(turn.parts), turn.hurry)] = turn

    def _common(self) -> bytes:
        """What helpers have to know of the search and of its engine, written once for each."""
        search, engine, known = self.search, self.search.examiner.engines.engine, set(self.known)
        if not self._whole or engine is not self._engine:
            whole = Whole(
                query=search.problem.query,
                strategy=search.problem.strategy,
                reductions=search.reductions,
                dtype=self.dtype,
                ranges={n: r for n, r in engine.ranges.items() if n in known},
                cuts=engine.cuts,
            )
            self._engine, self._whole = engine, whole.sealed()
        return self._whole

    def _share(self, parts: Parts) -> Share:
        search = self.search
        return Share(
            whole=self._common(),
            parts=Parcel.of(parts, self.known, self.memory),
            rule=search.rule.text,
            turn=_TURN,
            seconds=search.deadline.left,
            memory=self.memory,
            bounded=search.census.nodes,
            keeps=search.ledger.log.keeps,
            seed=self.seed,
        )

    def _run(self, share: Share, hurry: Event) -> Returned:
        """What a helper makes of a share; the time that is left is what is left when it begins."""
        share = replace(share, seconds=self.search.deadline.left)
        most = share.seconds + _TURN
        job = Job(module="nnsym.search.share", payload=share, seconds=most, memory=self.memory, hurry=hurry)
        return default_pool().run("search", job)

    def _back(self, turn: Turn) -> None:
        """A share is open here again, unless it was settled meanwhile."""
        if turn.parts in self.search.ledger.away:
            self.search.ledger.away.remove(turn.parts)
            self.search.frontier.push(self._known(turn.parts, turn))

    def _take(self, turn: Turn, outcome: Returned) -> None:
        """What a helper did, or its share as it was; nothing of parts that were settled meanwhile."""
        if isinstance(outcome.value, Done):
            self._book(turn, outcome.value)
        else:
            self._losses += 1
            self._back(turn)

    def _book(self, turn: Turn, done: Done) -> None:
        ledger, problem = self.search.ledger, self.search.problem
        if turn.parts not in ledger.away:
            return
        ledger.away.remove(turn.parts)
        names = _written(done.lines, ledger)
        splits = {(self.known[n], element): count for (n, element), count in done.splits.items()}
        ledger.merge(done.least, done.seen, done.closed, splits)
        if done.opened is not None:
            ledger.frontier.push(self._known(_named(done.opened.unpack(self.known), names), turn))
        if done.point is not None:
            problem.goal.replay(dict(zip(problem.query.inputs, done.point, strict=True)), self.search.deadline)
        for stuck in done.stuck:
            self.search.finisher.finish(_named(stuck.unpack(self.known), names), ledger, self.search.deadline)

    def _known(self, parts: Parts, turn: Turn) -> Parts:
        """Parts with what helps to bound them, unless there is another engine by now: multipliers are of one's cuts."""
        return parts if turn.engine is self.search.examiner.engines.engine else parts.bare()


def _named(parts: Parts, names: Mapping[int, int]) -> Parts:
    return replace(parts, number=renumbered(parts.number, names))


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
