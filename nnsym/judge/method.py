"""What a method is: a named way to judge a property, to bound the optimum of a term, and to say where values lie.

One of your own is an :class:`Establisher`: it says what it found, facts and points, and what follows is spoken here by
the rules that ours are under. It is handed over as an object, or found by an entry point (:mod:`nnsym.judge.registry`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import numpy as np

from nnsym.bounds.sources import FloatBoxes
from nnsym.errors import MissingBoundsError, SolverUnavailableError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.formula import about, soft_rows
from nnsym.ir.functions.smoothed import refuse_smoothed
from nnsym.ir.node import Input
from nnsym.ir.query import Query, Reading
from nnsym.judge.conclude import Established, conclude
from nnsym.judge.least import Least, attacked, run_beside
from nnsym.judge.verdict import facts_about, floor
from nnsym.replay import confirm
from nnsym.results import ranges as options
from nnsym.results.clock import Clock, Deadline
from nnsym.results.result import Result, Sizes
from nnsym.solvers.base import Progress

if TYPE_CHECKING:
    from nnsym.search.record.progress import Snapshot

#: What says of a method, or of an encoding on its solver, that it cannot take the question.
PASSED = (UnsupportedError, MissingBoundsError, SolverUnavailableError)

#: The counter-search that comes first: a fraction of a second on networks of the usual sizes.
RESTARTS, STEPS, SHARE = 16, 60, 0.1

#: Part of the time left that one direction of a picture may take.
DIRECTION = 1 / 8


@final
@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every method of one run shares.

    ``relaxation`` also solves the program without integrality. ``shortcut`` ends a run whose bounds decide before
    anything is encoded; a comparison of encodings does without it. ``progress`` hears of a solver's bounds, ``watch``
    of a search.
    """

    memory: int = 8 * 2**30
    threads: int = 1
    seed: int = 0
    relaxation: bool = False
    shortcut: bool = True
    device: str = "cpu"
    progress: Progress | None = None
    watch: Callable[[Snapshot], None] | None = None

    def __post_init__(self) -> None:
        options.count_of_bytes(self.memory)
        options.threads(self.threads)
        options.seed(self.seed)
        options.device(self.device)


class Method(ABC):
    """How a property is judged. ``verify`` asks :meth:`judge`, ``minimize`` :meth:`optimum`, pictures :meth:`support`.

    ``name`` is its own, ``summary`` and ``paper`` are what ``nnsym methods`` prints, ``bounds`` the text of the source
    that feeds it, or nothing. ``exact`` is true if it decides every property it supports, given time; ``rational`` if
    it does so in exact arithmetic. One that does not ``prove`` only finds counterexamples; one that is ``quick`` takes
    no longer than bounds do. ``encoded``, ``lane`` and ``goal`` go into the record. A method speaks of functions unless
    it overrides :meth:`accept`.
    """

    name: str
    bounds: str = ""
    summary: str = ""
    paper: str = ""
    exact: bool = False
    rational: bool = False
    proves: bool = True
    quick: bool = False
    encoded: str = ""
    lane: str = ""
    goal: str = "decide"

    def __repr__(self) -> str:
        return f"<method {self.name}{f' on {self.bounds}' if self.encoded else ''}>"

    def accept(self, query: Query) -> None:
        """Raise :class:`UnsupportedError` where the query is about what the method cannot speak of at all."""
        refuse_smoothed(query, self.name)

    @abstractmethod
    def judge(self, query: Query, clock: Clock, settings: Settings) -> Result:
        """The verdict on a query, within the clock."""

    def briefly(self, query: Query, clock: Clock, settings: Settings) -> Result:
        """The verdict where others come after: less of the time, if it is known to find early what it finds."""
        return self.judge(query, clock, settings)

    def establish_each(
        self, query: Query, boxes: FloatBoxes, clock: Clock, settings: Settings
    ) -> Sequence[Established] | None:
        """What is found out on each box of a batch, as if the query had that box; None: it takes one at a time.

        ``boxes`` are float64 arrays ``(batch, size)``, rounded outward.
        """
        return None

    @abstractmethod
    def optimum(self, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        """An interval round the least margin of a query, until it is as narrow as ``precision`` or time is over."""

    def narrow(self, found: Least, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        """The same from an interval that others have found, whose work is not done again."""
        return found.better(self.optimum(query, clock, settings, precision))

    def support(self, asked: Query, deadline: Deadline) -> tuple[Array, bool]:
        """A lower bound of each soft row of a query where its hard ones hold, ``(rows,)``: what a picture shows.

        And whether the method was done with all of them in time.
        """
        raise UnsupportedError(f"'{self.name}' has no region to draw", remedy="Name bounds or an encoding")


class Establisher(Method):
    """A method that establishes facts, once: :func:`nnsym.judge.verdict.rule` judges them, ``floor`` bounds by them."""

    @abstractmethod
    def establish(self, query: Query, clock: Clock, settings: Settings) -> Established:
        """What is found out about the least margin of a query within the clock: :func:`established` makes it."""

    def judge(self, query: Query, clock: Clock, settings: Settings) -> Result:
        return conclude(query, self, self.establish(query, clock, settings), clock)

    def optimum(self, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        found = scouted(query, clock, settings)
        told = self.establish(query, clock, settings)
        runs = (run_beside(query, point, found.point, clock) for point in told.points)
        best = min((run for run in runs if run is not None), key=lambda run: run.margin, default=None)
        least = told.facts.attained if best is None else min(told.facts.attained, best.margin)
        facts = replace(told.facts, attained=least)
        return found.better(Least(floor=floor(facts), point=best, sizes=told.sizes))

    def support(self, asked: Query, deadline: Deadline) -> tuple[Array, bool]:
        rows = soft_rows(asked.formula)
        least, done = np.full(len(rows), -np.inf), True
        for k, row in enumerate(rows.tolist()):
            one = replace(asked, formula=about(asked.formula, row))
            clock = Clock(deadline.part(DIRECTION))
            least[k] = floor(self.establish(one, clock, Settings()).facts).bound
            done = done and clock.left > 0
        return least, done


def scouted(query: Query, clock: Clock, settings: Settings) -> Least:
    """The least value of a short counter-search."""
    size = {"restarts": RESTARTS, "steps": STEPS, "seed": settings.seed}
    return attacked(query, clock, **size, device=settings.device, share=SHARE)


def established(
    query: Query,
    clock: Clock,
    *,
    lower: float = -np.inf,
    points: Iterable[Mapping[Input, Array]] = (),
    bounds: str = "",
    ended: str = "",
) -> Established:
    """What a certified lower bound of the least margin and some points of the domain say.

    Args:
        query: what was asked.
        clock: its time.
        lower: a bound in exact arithmetic: no point of the domain that the formula admits has a smaller margin. +inf
            says that there is no such point.
        points: by input, ``(size,)``, the most hopeful first. They are replayed until one is confirmed; nothing is
            taken on the method's word.
        bounds: the text of the source that was computed.
        ended: the limit that ended the search, ``timeout`` or ``memory``.
    """
    kept = tuple(points)
    facts = replace(facts_about(query), certified=lower)
    if not kept or query.reading is Reading.MINIMUM:
        return Established(facts=facts, bounds=bounds, points=kept, ended=ended)
    with clock.step("replay") as notes:
        replayed = confirm(query, kept, deadline=clock.deadline())
        notes.append(f"{len(kept)} points: {replayed.outcome.value}, margin {replayed.margin:.6g}")
    facts = replace(facts, replay=replayed.outcome)
    return Established(facts=facts, bounds=bounds, points=kept, ended=ended, replayed=replayed, sizes=Sizes())
