"""Several processes on one search: the parent keeps the open parts and the record, children work on shares of them.

Each child takes the parts nearest to the root, works as the loop does for about a second, and hands back what it did.
Its lines are written as one piece, with the numbers that the record gives its parts. A child that is lost has done
nothing: its share is still open.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any, final

from nnsym.search.ledger import Ledger
from nnsym.search.loop import Search
from nnsym.search.nodes import Nodes
from nnsym.search.parcel import Parcel, known_nodes, renumbered
from nnsym.search.share import FRESH, Done, Share, Whole
from nnsym.solvers.workers.runner import Job, Returned, default_pool

#: Seconds of a turn, and how many turns may end without an answer before the rest is done here.
_TURN, _LOSSES = 1.0, 3


@final
class Crew:
    """Children on a search that was begun and not decided, as many as its strategy says."""

    def __init__(self, search: Search, *, dtype: str, memory: int, seed: int) -> None:
        self.search, self.memory, self.seed = search, memory, seed
        problem, self.count = search.problem, search.problem.strategy.workers
        self.known = known_nodes(problem.query)
        engine, known = search.examiner.engines.engine, set(self.known)
        ranges = {n: r for n, r in engine.ranges.items() if n in known}
        whole = Whole(
            query=problem.query,
            strategy=problem.strategy,
            reductions=search.reductions,
            dtype=dtype,
            ranges=ranges,
            cuts=engine.cuts,
        )
        self._whole, self._losses = whole.sealed(), 0

    def go(self) -> None:
        """Until nothing is open, the goal is reached, or time or memory end."""
        search, frontier = self.search, self.search.frontier
        busy: dict[Future[Returned], Nodes] = {}
        with ThreadPoolExecutor(self.count) as threads:
            while not search.problem.goal.done and self._losses < _LOSSES:
                search.ended = search.limit()
                while len(frontier) and len(busy) < self.count and not search.ended:
                    nodes = frontier.nearest(self._size(len(frontier), self.count - len(busy)))
                    busy[threads.submit(self._turn, nodes)] = nodes
                if not busy:
                    break
                for future in wait(busy, return_when=FIRST_COMPLETED).done:
                    self._take(busy.pop(future), future.result())
                if search.watch is not None:
                    search.watch(search.snapshot(*busy.values()))
            for future, nodes in busy.items():
                self._take(nodes, future.result())
        if self._losses >= _LOSSES:
            search.go()

    def _size(self, opened: int, idle: int) -> int:
        """Shares of what is open; some is kept back for whoever ends early, unless there is little."""
        least = self.search.problem.strategy.batch
        return max(-(-opened // (2 * idle)), min(least, -(-opened // idle)))

    def _turn(self, nodes: Nodes) -> Returned:
        search = self.search
        share = Share(
            whole=self._whole,
            parts=Parcel.of(nodes, self.known),
            rule=search.rule.text,
            seconds=min(_TURN, search.deadline.left),
            memory=self.memory / self.count,
            batches=max(search.batches, 1),
            bounded=search.census.nodes,
            seed=self.seed,
        )
        seconds, memory = search.deadline.left + _TURN, int(self.memory / self.count)
        job = Job(module="nnsym.search.share", payload=share, seconds=seconds, memory=memory)
        return default_pool().run("search", job)

    def _take(self, nodes: Nodes, outcome: Returned) -> None:
        """What a child did, or its share as it was."""
        if not isinstance(outcome.value, Done):
            self._losses += 1
            self.search.frontier.push(nodes)
            return
        done, ledger = outcome.value, self.search.ledger
        names = _written(done.lines, ledger)
        ledger.closed = min(ledger.closed, done.least)
        ledger.census.merge(done.seen, done.closed, {(self.known[n], e): c for (n, e), c in done.splits.items()})
        self.search.batches = max(self.search.batches, done.batches)
        if done.opened is not None:
            ledger.frontier.push(_named(done.opened.nodes(self.known), names))
        if done.point is not None:
            point = dict(zip(self.search.problem.query.inputs, done.point, strict=True))
            self.search.problem.goal.replay(point, self.search.deadline)
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
