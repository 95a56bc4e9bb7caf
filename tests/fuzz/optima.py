"""Least and greatest values of random terms: with products, norms, balls and smooth functions.

The interval is wrong where it lies above the exact optimum (on small regions of piecewise affine terms) or above a
sampled value, or where the point that is returned does not have the value that is claimed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

import nnsym as nn
from nnsym.errors import NnsymError
from nnsym.results.optimum import Optimum
from tests.fuzz.cells import Cell, Incomplete, Point, decided
from tests.fuzz.draws import Draw
from tests.fuzz.generate import Drawing
from tests.fuzz.judge import point_of, shown
from tests.fuzz.language import Speaker
from tests.fuzz.meaning import truth
from tests.fuzz.nets import SMOOTH
from tests.fuzz.oracle import Case, region, sampled, scope
from tests.fuzz.plans import Run, plan
from tests.fuzz.properties import command, trials
from tests.fuzz.report import Report, Tally
from tests.fuzz.terms import Sum, nets_of

_TIMEOUT = 20.0

#: Smooth values are known to some roundings only, relative to the largest number of the term.
_NEAR = Fraction(1, 10**9)


@dataclass(frozen=True, eq=False)
class Trial:
    """A term over a case's precondition; ``values`` at points, the exact optimum among them if ``complete``."""

    case: Case
    term: Sum
    goal: str
    complete: bool
    values: tuple[tuple[Point, Fraction], ...]
    spoken: tuple[Any, Any]

    @staticmethod
    def of(seed: int, *, lie: float = 0.0) -> Trial:
        drawing = Drawing.seeded(seed, 31)
        case, term = drawing.objective(seed)
        goal = drawing.draw.choice(("minimum", "maximum"))
        complete, values = _values(case, term, drawing.draw)
        speaker = Speaker(lie)
        for variable in case.variables:
            speaker.var(variable)
        where = [speaker.statement(s) for s in case.where]
        return Trial(case, term, goal, complete, values, (speaker.sum(term), where))

    def ask(self, run: Run) -> Optimum:
        call = nn.minimize if self.goal == "minimum" else nn.maximize
        options = {k: v for k, v in run.options if k in ("solver", "bounds")}
        return call(self.spoken[0], run.method, where=self.spoken[1], timeout=_TIMEOUT, **options)

    def faults(self, found: Optimum) -> list[str]:
        """What is wrong with an interval."""
        side = 1 if self.goal == "minimum" else -1
        if found.empty:
            return [f"empty, but {shown(self.values[0][0])} satisfies the condition"] if self.values else []
        proved, reached = (found.lower, found.upper) if side > 0 else (-found.upper, -found.lower)
        wrong = []
        if self.values:
            point, best = min(((p, side * v) for p, v in self.values), key=lambda pair: pair[1])
            if np.isfinite(proved) and Fraction(proved) > best + self._room(best):
                wrong.append(f"{found!r}, but the value at {shown(point)} is {float(side * best)!r}")
            if self.complete and np.isfinite(reached) and Fraction(reached) < best - self._room(best):
                wrong.append(f"{found!r}, but no value lies beyond {float(side * best)!r}")
        if found.point is not None:
            wrong += self._at(found, reached, side)
        return wrong

    def _at(self, found: Optimum, reached: float, side: int) -> list[str]:
        assert found.point is not None
        here = scope(self.case.variables, Cell((point_of(self.case, found.point.inputs),)))
        if not truth(self.case.premise, here):
            return [f"{found!r}: its point does not satisfy the condition"]
        value = side * here.sum(self.term)[0]
        if value > Fraction(reached) + self._room(value):
            return [f"{found!r}: at its point the term is {float(side * value)!r}"]
        return []

    def _room(self, value: Fraction) -> Fraction:
        smooth = any(net.activation in SMOOTH for net in nets_of(self.term, *self.case.where))
        return _NEAR * max(1, abs(value), *(abs(v) for _, v in self.values)) if smooth else Fraction(0)


def _values(case: Case, term: Sum, draw: Draw) -> tuple[bool, tuple[tuple[Point, Fraction], ...]]:
    """The term at the corners of all cells of the condition, which hold the optimum; else at samples."""

    def ask(cell: Cell) -> tuple[Fraction, ...] | None:
        here = scope(case.variables, cell)
        return here.sum(term) if truth(case.premise, here) else None

    complete = True
    try:
        found = list(decided(region(case.variables), ask))
    except Incomplete:
        complete = False
        found = list(decided(sampled(case.variables, draw, 150), ask))
    pairs = [pair for cell, v in found if v is not None for pair in zip(cell.vertices, v, strict=True)]
    return complete, tuple(pairs)


@dataclass(eq=False)
class OptimumTally(Tally):
    """Counts over all runs."""

    kinds: Counter[str] = field(default_factory=Counter)
    oracle: Counter[str] = field(default_factory=Counter)

    def fault(self, seed: int, run: Run, text: str) -> None:
        self.lines.append(f"seed {seed}, {run.text}: {text[:300]}  [{command('optima', seed)}]")


def judge(trial: Trial, run: Run, change: Callable[[Optimum], Optimum] | None = None) -> tuple[str, list[str], str]:
    """What kind of answer, what is wrong with it, and the crash if it is one."""
    try:
        found = trial.ask(run)
    except NnsymError as error:
        return "refused", [], str(error) if "report" in str(error) else ""
    except Exception as error:
        return "crash", [], f"{type(error).__name__}: {error}"
    found = change(found) if change is not None else found
    wide = found.gap > 1e-3 * max(1.0, abs(found.upper))
    kind = "empty" if found.empty else "open" if wide or np.isinf(found.gap) else "closed"
    return kind, trial.faults(found), ""


def fuzz(seed: int, seconds: float, *, cases: int | None = None, controls: bool = False) -> Report:
    """Judge optima from ``seed`` on for so many wall seconds."""
    tally = OptimumTally()
    for number in trials(seed, seconds, cases):
        tally.cases += 1
        try:
            trial = Trial.of(number)
        except Exception as error:
            tally.crashes += 1
            tally.lines.append(f"seed {number}: {type(error).__name__}: {error}  [{command('optima', number)}]")
            continue
        tally.oracle["exact" if trial.complete else "sampled"] += 1
        for run in plan(number, 2):
            tally.runs += 1
            kind, wrong, crash = judge(trial, run)
            tally.kinds[kind] += 1
            tally.wrong += bool(wrong)
            tally.crashes += bool(crash)
            for text in (*wrong, crash):
                if text:
                    tally.fault(number, run, text)
    caught: dict[str, bool] = {}
    if controls:
        from tests.fuzz.controls import optimum_controls

        caught = optimum_controls()
    kinds = ", ".join(f"{n} {kind}" for kind, n in tally.kinds.most_common())
    oracle = ", ".join(f"{n} {kind}" for kind, n in tally.oracle.most_common())
    return tally.report("optima", caught, f"{tally.runs} runs: {kinds}; oracle: {oracle}")
