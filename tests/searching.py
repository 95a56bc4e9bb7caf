"""A search on a small query, and what the exact oracle says of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import nnsym as nn
from nnsym.bounds.kept.engine import Engine
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.results.clock import Deadline
from nnsym.search.goal import Decide
from nnsym.search.loop import Search
from nnsym.search.session import Conditions, begin
from nnsym.search.steps.bounding import Better, Cutting
from nnsym.search.strategy import Strategy


@dataclass(frozen=True, eq=False)
class Ran:
    """The search when it ended, what it was for, and the true least margin."""

    search: Search
    goal: Decide
    least: Any

    @property
    def decided(self) -> bool:
        return self.goal.done or self.search.exhausted

    def check(self, where: object) -> None:
        """Nothing that was said is refuted by the truth; a closed leaf's bound is no exception."""
        violated = self.least < 0 or (self.least == 0 and not self.goal.query.strict)
        assert self.search.lower <= self.least, where
        assert not self.goal.done or violated, where
        assert not self.search.exhausted or not violated or self.least == 0, where
        assert self.search.census.mass <= 1, where


def ran(
    query: Query,
    text: str,
    *,
    engine: Any = None,
    seconds: float = 5.0,
    nodes: int = 2000,
    log: Path | None = None,
    better: Better | None = None,
    cutting: Cutting | None = None,
) -> Ran:
    """The search of a text until it ends, with the kept engine or another, and one with ``better`` ranges after it."""
    strategy, goal = Strategy.of(text).settled(query), Decide(query)
    bounding = Engine(query, dtype=strategy.dtype) if engine is None else engine
    given = Conditions(deadline=Deadline.after(seconds), log=log, better=better, cutting=cutting)
    search = begin(query, bounding, goal, strategy, given)
    search.watch = lambda at: _stop(search, at.nodes >= nodes)
    search.go()
    search.ledger.log.end()
    return Ran(search, goal, minimum_margin(query).margin)


def begun(query: Query, text: str, log: Path | None = None) -> Search:
    """A search that has done nothing yet."""
    strategy = Strategy.of(text).settled(query)
    given = Conditions(deadline=Deadline.after(60.0), log=log)
    return begin(query, Engine(query, dtype=strategy.dtype), Decide(query), strategy, given)


def wide() -> Query:
    """A query with more inputs than are split: some 900 parts by ``early``, 113 by ``gap``."""
    f = nn.zoo.random_mlp(0, widths=(64, 16, 16, 2))
    x = nn.Variable(64, name="x")
    y = f(x)
    return nn.forall(x, where=nn.box(x, -0.6, 0.6), then=y[0] - y[1] <= 42).query


def _stop(search: Search, now: bool) -> None:
    if now:
        search.deadline = Deadline(0.0)


def inside(limits: Any, values: Any) -> np.ndarray:
    """Which subproblems ``(batch,)`` hold a point, given by the values of its nodes ``(size,)``."""
    found = [((s.lower <= values[n]) & (values[n] <= s.upper)).all(1) for n, s in limits.items()]
    return np.asarray(np.all(found, axis=0))
