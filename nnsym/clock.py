"""One budget for a whole verification, and the record of where it went."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from nnsym.result import Step


@final
class Clock:
    """Counts down from ``budget`` seconds and keeps the trail."""

    def __init__(self, budget: float) -> None:
        self._start = time.perf_counter()
        self._budget = budget
        self.trail: list[Step] = []
        self.seconds: dict[str, float] = {}

    @property
    def elapsed(self) -> float:
        return time.perf_counter() - self._start

    @property
    def left(self) -> float:
        """Seconds left of the budget, never negative."""
        return max(0.0, self._budget - self.elapsed)

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Time a step; what is appended to the yielded list becomes its note."""
        begin, notes = time.perf_counter(), list[str]()
        try:
            yield notes
        finally:
            spent = time.perf_counter() - begin
            self.seconds[name] = self.seconds.get(name, 0.0) + spent
            self.trail.append(Step(name=name, seconds=spent, note="; ".join(notes)))

    def note(self, name: str, text: str) -> None:
        """A line of the trail that took no time of its own."""
        self.trail.append(Step(name=name, seconds=0.0, note=text))
