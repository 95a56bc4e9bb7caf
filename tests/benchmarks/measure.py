"""A small bench: routes of named steps, CPU time, medians of several rounds.

All routes run once in every round, one after the other, so that a machine that slows down slows all of them.
"""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal, final

Phase = Literal["build", "hand-over", "export", "read", "bounds", "start"]


def benchmark_folder() -> Path:
    """Where the field's benchmarks lie: ``NNSYM_BENCHMARKS``, else ``../shared/benchmarks``."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "benchmarks"
    return Path(os.environ.get("NNSYM_BENCHMARKS", default))


@final
@dataclass(frozen=True, kw_only=True)
class BenchSpec:
    """One way to do a job: each step gets what the step before returned, the first gets None."""

    route: str
    steps: Mapping[Phase, Callable[[Any], Any]]


@final
@dataclass(frozen=True, kw_only=True)
class Timing:
    """CPU seconds of every round, by step."""

    route: str
    seconds: Mapping[Phase, tuple[float, ...]]

    def median(self, phase: Phase) -> float:
        """The median over the rounds; 0 for a step that the route does not have."""
        return median(self.seconds.get(phase, (0.0,)))

    @property
    def total(self) -> float:
        """The median over the rounds of the whole route."""
        return median(self.rounds)

    @property
    def rounds(self) -> list[float]:
        """The whole route, round by round."""
        return list(map(sum, zip(*self.seconds.values(), strict=True)))

    def over(self, other: Timing) -> float:
        """How many times as long as another route: the median of the ratios of each round."""
        return median(a / b for a, b in zip(self.rounds, other.rounds, strict=True))


def measure(specs: Sequence[BenchSpec], rounds: int) -> list[Timing]:
    """Every route once to warm up (imports, caches), then ``rounds`` rounds of all."""
    found: list[dict[Phase, list[float]]] = [{phase: [] for phase in spec.steps} for spec in specs]
    for number in range(rounds + 1):
        for spec, seconds in zip(specs, found, strict=True):
            for phase, spent in _run(spec).items():
                if number:
                    seconds[phase].append(spent)
    return [
        Timing(route=spec.route, seconds={phase: tuple(s) for phase, s in seconds.items()})
        for spec, seconds in zip(specs, found, strict=True)
    ]


def _run(spec: BenchSpec) -> dict[Phase, float]:
    values, spent = [None], {}  # kept to the end: freeing is not timed
    gc.collect()
    for phase, step in spec.steps.items():
        start = cpu()
        values.append(step(values[-1]))
        spent[phase] = cpu() - start
    return spent


def cpu() -> float:
    """CPU seconds, user and system, of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    text = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) + " |" for line in lines]
    text.insert(1, "| " + " | ".join("-" * w for w in widths) + " |")
    return "\n".join((f"### {title}", "", *text, ""))


def ms(seconds: float) -> str:
    """Milliseconds with three figures or so."""
    return f"{seconds * 1e3:.1f}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"
