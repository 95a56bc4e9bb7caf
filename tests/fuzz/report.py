"""What a fuzzer found, one table for all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import final


@final
@dataclass(frozen=True, kw_only=True)
class Report:
    """One harness: cases and seconds; answers that are ``wrong``; ``tracebacks``, exceptions that are no answer.

    ``caught`` of the ``controls`` that were planted were found; ``lines`` say what happened, faults with the command
    that repeats them.
    """

    name: str
    cases: int
    seconds: float
    wrong: int = 0
    tracebacks: int = 0
    controls: int = 0
    caught: int = 0
    lines: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """No fault, and every planted one was caught."""
        return not self.wrong and not self.tracebacks and self.caught == self.controls


@dataclass(eq=False)
class Tally:
    """What a harness counts: cases, runs of methods on them, ``wrong`` answers, ``crashes``; ``lines`` name faults."""

    cases: int = 0
    runs: int = 0
    wrong: int = 0
    crashes: int = 0
    lines: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    @property
    def tracebacks(self) -> int:
        """Exceptions that are no answer."""
        return self.crashes

    def report(self, name: str, caught: Mapping[str, bool], *said: str) -> Report:
        """The report, which begins with what else was counted; ``caught`` are the controls."""
        return Report(
            name=name,
            cases=self.cases,
            seconds=time.monotonic() - self.began,
            wrong=self.wrong,
            tracebacks=self.tracebacks,
            controls=len(caught),
            caught=sum(caught.values()),
            lines=(*said, *missed(caught), *self.lines),
        )


def missed(caught: Mapping[str, bool]) -> list[str]:
    """A line for every planted fault that was not caught."""
    return [f"control not caught: {name}" for name, ok in caught.items() if not ok]


def table(reports: Sequence[Report]) -> str:
    """All harnesses, with their lines below."""
    rows = [("harness", "cases", "seconds", "wrong", "tracebacks", "controls caught")]
    for r in reports:
        caught = f"{r.caught} of {r.controls}" if r.controls else "not run"
        rows.append((r.name, str(r.cases), f"{r.seconds:.0f}", str(r.wrong), str(r.tracebacks), caught))
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    notes = [f"{r.name}: {line}" for r in reports for line in r.lines]
    return "\n".join([*lines, "", *notes] if notes else lines)
