"""A share of a search in a process of its own: the same loop on some of the open parts, for a while, or until hurried.

What comes back is a record, as a file would have it, what is still open, and points that may violate the property.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from nnsym.bounds.kept.cuts import Cuts
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.types import Limit
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.results.clock import Deadline
from nnsym.search.branching import rule
from nnsym.search.frontier import FRONTIERS, OPEN
from nnsym.search.goal import Decide
from nnsym.search.loop import ATTACKED, Search
from nnsym.search.parcel import Parcel, known_nodes
from nnsym.search.parts.targets import targets
from nnsym.search.problem import SearchProblem
from nnsym.search.record.ledger import Ledger
from nnsym.search.record.log import Kept, Log
from nnsym.search.steps.bounding import Bounding, Engines
from nnsym.search.steps.examine import Examiner
from nnsym.search.steps.finish import Finisher
from nnsym.search.steps.looks import Looks
from nnsym.search.steps.reduce import Reducing
from nnsym.search.strategy import Strategy

if TYPE_CHECKING:
    from nnsym.solvers.workers.worker import Report

#: Numbers of parts that are made in a share begin here.
FRESH = 2**40


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Whole:
    """What all shares of a search have in common: the query, and what is known of it and of how to go about it."""

    query: Query
    strategy: Strategy
    reductions: Sequence[Reducing]
    dtype: str
    ranges: Mapping[Node, Limit]
    cuts: Mapping[Node, Cuts]

    def sealed(self) -> bytes:
        """For another process, which unpacks it once."""
        return pickle.dumps(self, protocol=5)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Share:
    """The parts that a process is to work on, by which rule, and how many were ``bounded`` so far.

    After ``turn`` seconds no batch is begun; one that was begun has all the ``seconds`` that the search has left, since
    bounds that are cut off cost splits. ``keeps`` says if there is a record.
    """

    whole: bytes
    parts: Parcel
    rule: str
    turn: float
    seconds: float
    memory: float
    bounded: int
    keeps: bool
    seed: int


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Done:
    """What became of a share: lines of a record, parts that are still open, those that nothing is left to do for,
    counts by depth, the least bound of what was closed, the best margin that was seen and a point that was confirmed.
    """

    lines: Sequence[dict[str, Any]]
    opened: Parcel | None
    stuck: Sequence[Parcel]
    seen: Mapping[int, int]
    closed: Mapping[int, int]
    splits: Mapping[tuple[int, int], int]
    least: float
    point: Sequence[Array] | None


def run(share: Share, report: Report) -> Done:
    """What a worker process does."""
    whole, engines = _opened(share.whole)
    goal, known = Decide(whole.query), known_nodes(whole.query)
    problem = SearchProblem(whole.query, targets(whole.query), goal, whole.strategy)
    log = Kept() if share.keeps else Log()
    ledger = Ledger(FRONTIERS[whole.strategy.frontier](OPEN * share.memory), log)
    ledger.start(share.parts.unpack(known), 1)
    ledger.next = FRESH
    ledger.census.seen[0] = share.bounded
    search = Search(
        problem=problem,
        rule=rule(share.rule),
        ledger=ledger,
        examiner=Examiner(problem, engines, Looks(problem, share.seed)),
        finisher=Finisher(problem, None),
        reductions=whole.reductions,
        deadline=Deadline.after(min(share.seconds, report.remaining())),
        batches=ATTACKED,
    )
    turn = Deadline.after(share.turn)
    while not (report.hurry.is_set() or turn.passed) and search.advance():
        pass
    ledger.census.seen[0] -= share.bounded
    left = ledger.frontier.take(len(ledger.frontier)) if len(ledger.frontier) else None
    number = {node: k for k, node in enumerate(known)}
    return Done(
        lines=log.lines if isinstance(log, Kept) else (),
        opened=None if left is None else Parcel.of(left, known, share.memory),
        stuck=[Parcel.of(parts, known, share.memory) for parts in ledger.lost],
        seen=ledger.census.seen,
        closed=ledger.census.closed,
        splits={(number[node], element): n for (node, element), n in ledger.census.splits.items()},
        least=ledger.closed,
        point=None if goal.point is None else [np.asarray(goal.point[x]) for x in whole.query.inputs],
    )


@functools.lru_cache(maxsize=1)
def _opened(sealed: bytes) -> tuple[Whole, Engines]:
    """The common part, and its engines, which serve all shares that this process gets."""
    whole: Whole = pickle.loads(sealed)  # noqa: S301 - written by our own parent process, never by a user

    def fine(engine: Bounding) -> Engine:
        return Engine(whole.query, dtype="float64", ranges=engine.ranges, cuts=whole.cuts)

    engine = Engine(whole.query, dtype=whole.dtype, ranges=whole.ranges, cuts=whole.cuts)
    return whole, Engines(engine, None if whole.dtype == "float64" else fine)
