"""Random properties by every encoding, lane and source of bounds, judged in rationals.

A run is wrong where it contradicts the exact truth, where its counterexample is none for the real function of the
stored constants, or where its bound is refuted by a point.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import nnsym as nn
from nnsym.results.result import Result, Semantics
from nnsym.solvers.registry import available, find
from tests.benchmarks.fair_clock import fair
from tests.fuzz.cells import Point
from tests.fuzz.deployed import can_run, decisive_runs, deployed_faults
from tests.fuzz.draws import Draw
from tests.fuzz.generate import draw_case
from tests.fuzz.judge import Outcome, attempt, faults
from tests.fuzz.language import Speaker
from tests.fuzz.oracle import Case, Truth, find_truth
from tests.fuzz.plans import Run, deployed_plan, plan, triples
from tests.fuzz.report import Report, Tally

#: Seconds of a run in this process, and of one with a lane, by a clock that stands still while this process waits for
#: a processor; a lane's own process may wait too.
_OWN, _LANE = 2.0, 10.0

#: Seconds in which a lane's process has imported what it needs, on a busy machine.
_START = 120.0

Change = Callable[[Result], Result]


@dataclass(frozen=True, eq=False)
class Trial:
    """A case with its truth and the property that nnsym was given."""

    case: Case
    truth: Truth
    prop: Any
    runs: list[Point] = field(default_factory=list)  # of stored models, where a float run decides

    @staticmethod
    def of(seed: int, *, lie: float = 0.0) -> Trial:
        case = draw_case(seed)
        truth = find_truth(case, Draw.seeded(seed, 1))
        runs = decisive_runs(case, truth, Draw.seeded(seed, 2)) if can_run(case) else []
        return Trial(case, truth, said(case, lie=lie), runs)

    def judge(self, run: Run, change: Change | None = None) -> Outcome:
        """One run; ``change`` plants a fault in its result."""

        options = dict(run.options)
        limit = _LANE if "solver" in options else _OWN

        def ask() -> Result:
            with fair():
                result = nn.verify(self.prop, run.method, timeout=limit, **options)
            return change(result) if change is not None else result

        return attempt(ask, lambda result: self.faults(result, proved=run.proved))

    def faults(self, result: Result, *, proved: bool) -> list[str]:
        found = deployed_faults(self.case, self.runs, result)
        if result.semantics is Semantics.REAL:
            found += faults(self.case, self.truth, result, proved=proved)
        return found


def said(case: Case, *, lie: float = 0.0) -> Any:
    """The case in the language; with ``lie`` its networks give that much more than they should."""
    speaker = Speaker(lie)
    variables = [speaker.var(v) for v in case.variables]
    quantify = nn.exists if case.reading == "exists" else nn.forall
    where = [speaker.statement(s) for s in case.where]
    return quantify(variables, where=where, then=speaker.statement(case.then), name=f"fuzz-{case.seed}")


@dataclass(eq=False)
class PropertyTally(Tally):
    """Counts over all runs."""

    kinds: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    floats: int = 0
    apart: int = 0
    covered: set[str] = field(default_factory=set)

    def take(self, seed: int, run: Run, outcome: Outcome) -> None:
        self.runs += 1
        self.kinds[outcome.status] += 1
        self.covered.add(run.name)
        if outcome.status == "unknown":
            self.reasons[outcome.note] += 1
        self.wrong += bool(outcome.wrong)
        self.crashes += bool(outcome.crash or outcome.odd)
        for text in (*outcome.wrong, outcome.crash, outcome.odd):
            if text:
                line = f"seed {seed}, verify(p, {run.text}): {text[:400]}  [{command('properties', seed)}]"
                self.lines.append(line)
                print(line, file=sys.stderr, flush=True)  # a run that is stopped has said it


def command(harness: str, seed: int) -> str:
    """What repeats one case."""
    return f"python -m tests.fuzz {harness} --seed {seed} --cases 1"


def trials(seed: int, seconds: float, cases: int | None) -> Iterator[int]:
    """Seeds, one after the other, until time or the number of cases is out."""
    start = time.monotonic()
    number = 0
    while (cases is None or number < cases) and (number == 0 or time.monotonic() - start < seconds):
        yield seed + number
        number += 1


def warmed(lane: str) -> None:
    """Leave a process of the lane that has imported what it needs: else every run could end before that."""
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.relu(x[0]) <= 2)
    nn.verify(p, "smt" if find(lane).exact else "bigm", solver=lane, bounds="ibp", shortcut=False, timeout=_START)


def fuzz(seed: int, seconds: float, *, cases: int | None = None, controls: bool = False) -> Report:
    """Judge properties from ``seed`` on for so many wall seconds."""
    for lane in available():
        warmed(lane)
    tally = PropertyTally()
    for number in trials(seed, seconds, cases):
        tally.cases += 1
        try:
            trial = Trial.of(number)
        except Exception as error:  # the language refused, or broke on, a well-formed property
            tally.crashes += 1
            tally.lines.append(f"seed {number}: {type(error).__name__}: {error}  [{command('properties', number)}]")
            continue
        tally.lines += _points(trial, number)
        tally.floats += bool(trial.runs)
        tally.apart += bool(trial.runs) and trial.truth.holds(trial.case.reading) is (trial.case.reading == "forall")
        for run in (*plan(number), *(deployed_plan(number) if can_run(trial.case) else ())):
            outcome = trial.judge(run)
            tally.take(number, run, outcome)
            if outcome.note == "timeout" and (lane := dict(run.options).get("solver")):
                warmed(lane)  # its process was killed
    caught = _controls() if controls else {}
    return tally.report("properties", caught, *_summary(tally))


def _points(trial: Trial, seed: int) -> list[str]:
    """The property at points, by the language itself."""
    found = []
    for point, margin in trial.truth.points[:4]:
        parts, start = [], 0
        for var in trial.case.variables:
            parts.append(list(point[start : start + var.size]))
            start += var.size
        if trial.prop.margin(*parts) != float(margin):
            found.append(
                f"seed {seed}: p.margin is {trial.prop.margin(*parts)!r}, not {float(margin)!r}, at {parts}  "
                f"[{command('properties', seed)}]"
            )
    return found


def _summary(tally: PropertyTally) -> list[str]:
    every = {"/".join(t) for t in triples()}
    pairs = {name.rsplit("/", 1)[0] for name in every}
    seen = {name.rsplit("/", 1)[0] for name in tally.covered & every}
    with_sources = f"{len(tally.covered & every)} of {len(every)}"
    kinds = ", ".join(f"{n} {kind}" for kind, n in tally.kinds.most_common())
    reasons = ", ".join(f"{reason or '-'} {n}" for reason, n in tally.reasons.most_common(8))
    return [
        f"{tally.runs} runs: {kinds}",
        f"a float run of a stored model decides {tally.floats} cases, {tally.apart} of them against the real function",
        f"unknown: {reasons}" if reasons else "no unknown",
        f"covered: {len(seen)} of {len(pairs)} pairs of encoding and lane, {with_sources} with their sources",
    ]


def _controls() -> dict[str, bool]:
    from tests.fuzz.controls import property_controls

    return property_controls()
