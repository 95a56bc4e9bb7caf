"""Hidden rows in several processes: helpers grow the trees of some elements of a layer, each its own.

Rows of a layer know nothing of each other, so who grows which changes no bound but by rounding. A helper that is lost
has found nothing: its elements keep the bounds that they have.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, final

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import Aside, searched
from nnsym.bounds.kept.types import Limit
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.results.clock import Deadline
from nnsym.search.parcel import known_nodes
from nnsym.solvers.workers.runner import Job, Returned, default_pool

if TYPE_CHECKING:
    from nnsym.solvers.workers.worker import Report

_LATE = 2.0  # seconds after its own deadline at which a helper is given up


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Elements:
    """Elements of a layer whose rows a process is to search for, ``below`` which these ranges are known."""

    query: bytes
    dtype: str
    below: Mapping[int, tuple[Array, Array]]
    layer: int
    chosen: Array
    rounds: int
    memory: float
    seconds: float


def run(asked: Elements, report: Report) -> Sequence[tuple[Array, Array]]:
    """What a worker process does."""
    query, known = _opened(asked.query)
    deadline = Deadline.after(min(asked.seconds, report.remaining()))
    below = {known[k]: Limit(*sides) for k, sides in asked.below.items()}
    engine = Engine(query, dtype=asked.dtype, ranges=below, deadline=deadline)
    found = searched(
        engine,
        known[asked.layer],
        asked.chosen,
        asked.rounds,
        memory=asked.memory,
        deadline=deadline,
        hurry=report.hurry,
    )
    return [(limit.lower, limit.upper) for limit in found]


@functools.lru_cache(maxsize=1)
def _opened(sealed: bytes) -> tuple[Query, tuple[Node, ...]]:
    query: Query = pickle.loads(sealed)  # noqa: S301 - written by our own parent process, never by a user
    return query, known_nodes(query)


@contextmanager
def helping(query: Query, count: int, *, dtype: str, memory: float, trees: float) -> Iterator[Aside]:
    """So many processes that search for hidden rows of a query, with ``memory`` for each, of which some is for trees.

    Whoever is still at it in the end is told to hurry.
    """
    hurry = Event()
    with ThreadPoolExecutor(count) as threads:
        try:
            yield _Helpers(
                pickle.dumps(query, protocol=5), known_nodes(query), dtype, memory, trees, threads, count, hurry
            )
        finally:
            hurry.set()


@final
@dataclass(frozen=True, eq=False)
class _Helpers:
    """Who begins what is put aside, one process for each thread."""

    query: bytes
    known: Sequence[Node]
    dtype: str
    memory: float
    trees: float
    threads: ThreadPoolExecutor
    count: int
    hurry: Event

    def __call__(
        self, below: Mapping[Node, Limit], layer: Node, elements: Array, rounds: int, deadline: Deadline
    ) -> tuple[Array, Callable[[], Sequence[Limit]]]:
        """Every element in turn to one of us."""
        number = {node: k for k, node in enumerate(self.known)}
        ranges = {number[n]: (r.lower, r.upper) for n, r in below.items()}
        shares = [elements[k :: self.count + 1] for k in range(self.count + 1)]
        begun: list[Future[Returned]] = []
        for chosen in shares[1 : len(elements)]:
            asked = Elements(
                query=self.query,
                dtype=self.dtype,
                below=ranges,
                layer=number[layer],
                chosen=chosen,
                rounds=rounds,
                memory=self.trees,
                seconds=deadline.left,
            )
            most, late = int(self.memory), deadline.left + _LATE
            job = Job(module="nnsym.search.helpers", payload=asked, seconds=late, memory=most, hurry=self.hurry)
            begun.append(self.threads.submit(default_pool().run, "search", job))

        def found() -> Sequence[Limit]:
            answers = (future.result().value for future in begun)
            return [Limit(*sides) for answer in answers for sides in answer or ()]

        return shares[0], found
