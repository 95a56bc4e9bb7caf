"""When a target is ruled out, and what points are for: to decide a question, or to find the least value of a term."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.node import Input
from nnsym.ir.query import Query
from nnsym.replay import Outcome, Replay, attained, replay_once, stronger
from nnsym.results.clock import Deadline
from nnsym.results.result import Witness
from nnsym.search.parts.points import Tried
from nnsym.search.patience import Patience

#: A float64 margin up to this much above zero is worth an exact look.
_NEAR = 1e-9

#: So many exact looks that confirm nothing are had; after them ever fewer promising batches have one.
_PATIENCE = 8


class Goal(ABC):
    """What a search is for. ``best`` is the least margin that was replayed, ``done`` ends the search."""

    best: float = np.inf
    done: bool = False

    @property
    def threshold(self) -> float:
        """The margin above which nothing is looked for."""
        return 0.0

    @property
    def tight(self) -> bool:
        """True if a point was found whose margin is 0 up to rounding, which violates nothing."""
        return False

    @abstractmethod
    def closes(self, lower: Array) -> Array:
        """Which certified lower bounds of a target need no further work."""

    @abstractmethod
    def look(self, at: Tried, deadline: Deadline) -> None:
        """Replay what is worth it among points."""

    @abstractmethod
    def replay(self, point: Mapping[Input, Array], deadline: Deadline) -> None:
        """Look at a point exactly, floats or Fractions."""


@final
class Decide(Goal):
    """Is there a point with a margin of at most 0? ``hopeful`` is the one with the least margin in floats."""

    def __init__(self, query: Query) -> None:
        self.query = query
        self.replayed = Replay(outcome=Outcome.SPURIOUS)
        self.point: Mapping[Input, Array] | None = None
        self.hopeful: dict[Input, Array] | None = None
        self._least = np.inf
        self._patience = Patience(_PATIENCE)

    @property
    def looked(self) -> Outcome | None:
        """What replay found, if anything was replayed."""
        return self.replayed.outcome if self._patience.misses else None

    @property
    def tight(self) -> bool:
        return not self.done and 0 <= self.best <= _NEAR

    def closes(self, lower: Array) -> Array:
        return np.asarray(lower >= 0 if self.query.strict else lower > 0)

    def look(self, at: Tried, deadline: Deadline) -> None:
        margins = at.best
        if not len(margins) or self.done:
            return
        k = int(margins.argmin())
        if margins[k] < self._least:
            self._least, self.hopeful = float(margins[k]), at.point(k)
        if margins[k] <= _NEAR and not self._patience.waits():
            self.replay(at.point(k), deadline)

    def replay(self, point: Mapping[Input, Array], deadline: Deadline) -> None:
        found = replay_once(self.query, point, deadline=deadline)
        self.replayed = stronger(self.replayed, found)
        self.best = min(self.best, found.margin)
        if found.outcome is Outcome.CONFIRMED:
            self.point, self.done = point, True
        self._patience.missed()


@final
class Minimise(Goal):
    """The least value of a term, to within ``precision`` times the value beyond 1."""

    def __init__(self, query: Query, precision: float, known: Witness | None = None) -> None:
        self.query, self.precision = query, precision
        self.point: Witness | None = known
        self.best = np.inf if known is None else known.margin

    def closes(self, lower: Array) -> Array:
        return np.asarray(lower >= self.threshold)

    @property
    def threshold(self) -> float:
        return self.best - self.precision * max(1.0, abs(self.best)) if self.best < np.inf else np.inf

    def look(self, at: Tried, deadline: Deadline) -> None:
        margins = at.best
        if not len(margins):
            return
        k = int(margins.argmin())
        if margins[k] >= self.best - 0.25 * self.precision * max(1.0, abs(self.best)) or deadline.passed:
            return
        self.replay(at.point(k), deadline)

    def replay(self, point: Mapping[Input, Array], deadline: Deadline) -> None:
        run = attained(self.query, point, deadline=deadline)
        if run is not None and run.margin < self.best:
            self.best, self.point = run.margin, run
