"""One budget for a whole verification, deadlines within it, and the record of where it went."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar, final

from nnsym.results.result import Step

T = TypeVar("T")


_GRACE = 0.5  # seconds after a deadline
_LITTLE = 0.05


class OutOfTime(Exception):  # noqa: N818 - not an error: what was found so far counts
    """A deadline passed in the middle of a step. Whoever holds the best answer so far catches it and returns that."""


class OutOfMemory(Exception):  # noqa: N818 - the same
    """What comes next would take more memory than was given, and was not begun."""


def latest(answers: Iterable[T]) -> T | None:
    """The last of better and better answers that came in time; None if time was over before the first."""
    kept: T | None = None
    with suppress(OutOfTime):
        for answer in answers:
            kept = answer
    return kept


@final
@dataclass(frozen=True)
class Deadline:
    """A moment of ``time.perf_counter``, +inf where there is none.

    Long steps look at it between layers, chunks of rows and iterations; a look costs about 0.1 microseconds.
    """

    end: float = math.inf

    @staticmethod
    def after(seconds: float) -> Deadline:
        """So many seconds from now."""
        return Deadline(time.perf_counter() + seconds)

    @property
    def left(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.end - time.perf_counter())

    @property
    def passed(self) -> bool:
        return time.perf_counter() >= self.end

    def check(self) -> None:
        """Raise :class:`OutOfTime` once it has passed."""
        if self.passed:
            raise OutOfTime

    def share(self, part: float) -> Deadline:
        """The deadline of a step that may take this part of the time left."""
        return self if self.end == math.inf else Deadline.after(part * self.left)

    def part(self, share: float) -> float:
        """Seconds of a step that may take this part of the time left, and a little where none is."""
        return max(share * self.left, _LITTLE)

    @property
    def grace(self) -> Deadline:
        """A little later: for a first answer, which costs little, and without which nothing would be known."""
        return Deadline(self.end + _GRACE)


#: Steps as they end, for whoever configures Python's logging: nothing is written unless somebody asks.
_LOG = logging.getLogger("nnsym")


#: No limit.
NEVER = Deadline()


@final
class Clock:
    """Counts down from ``budget`` seconds and keeps the trail.

    ``began`` is when the budget began, by ``time.perf_counter``, if not now: what has passed is the step ``start``.
    """

    def __init__(self, budget: float, *, began: float | None = None) -> None:
        self._start = time.perf_counter() if began is None else began
        self._budget = budget
        self.trail: list[Step] = []
        self.seconds: dict[str, float] = {}
        if began is not None:
            self._add(Step(name="start", seconds=self.elapsed))

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self._start

    @property
    def left(self) -> float:
        """Seconds left of the budget, never negative."""
        return max(0.0, self._budget - self.elapsed)

    def deadline(self, share: float = 1.0) -> Deadline:
        """The end of the budget, or of a share of what is left of it."""
        return Deadline.after(share * self.left)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step; what is appended to the yielded list becomes its note."""
        begin, notes = time.perf_counter(), list[str]()
        try:
            yield notes
        finally:
            self._add(Step(name=name, seconds=time.perf_counter() - begin, note="; ".join(notes)))

    def note(self, name: str, text: str) -> None:
        """A line of the trail that took no time of its own."""
        self._append(Step(name=name, seconds=0.0, note=text))

    def _add(self, step: Step) -> None:
        self.seconds[step.name] = self.seconds.get(step.name, 0.0) + step.seconds
        self._append(step)

    def _append(self, step: Step) -> None:
        self.trail.append(step)
        _LOG.debug("%s %.3f s%s", step.name, step.seconds, f" {step.note}" if step.note else "")
