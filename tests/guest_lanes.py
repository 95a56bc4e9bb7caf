"""Lanes that break one rule each: HiGHS in a worker, and Z3, with a fault in what they read, how they solve or say.

``fault`` is the name of a function of :data:`MODELS`, :data:`OPTIONS`, :data:`SAYINGS` (of :class:`Guest`), or of
:data:`PROGRAMS` and :data:`WORDS` (of :class:`ExactGuest`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from nnsym.program import ClauseBlock, Feature, Kind, Program
from nnsym.solvers import highs
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.lane import LINEAR, answer_of, submit, tolerance
from nnsym.solvers.registry import find


@dataclass(frozen=True, kw_only=True)
class GuestJob:
    """One MILP, always: no disjuncts."""

    model: LinearModel
    goal: Goal
    fault: str


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A lane of mixed-integer programs with a fault; without one it is right."""

    fault: str = ""
    accepts: frozenset[Feature] = LINEAR
    exact: bool = False
    name: str = "guest"

    def availability(self) -> Availability:
        return Availability(available=True)

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        program = READINGS.get(self.fault, lambda p: p)(program)
        model = LinearModel.of(program)
        job = GuestJob(
            model=MODELS.get(self.fault, lambda m: m)(replace(model, disjuncts=())), goal=goal, fault=self.fault
        )
        answer = answer_of(
            self.name, program, submit(self.name, __name__, job, limits, progress), tau=tolerance(model, 1e-9)
        )
        return SAYINGS.get(self.fault, lambda a, *_: a)(answer, program, limits, progress)


def run(job: GuestJob, report: Any) -> Found:
    """In the worker."""
    engine = highs.load(job.model)
    highs.set_options(engine, threads=1, seed=0)
    # a lane ends by its own limit, well before it is killed
    for name, value in {"time_limit": 0.5 * report.remaining(), **OPTIONS.get(job.fault, {})}.items():
        engine.setOptionValue(name, value)
    engine.run()
    found = highs._read(engine, mip=True)
    if not job.model.integer.any():
        found.bound = found.objective if found.status is Status.OPTIMAL else found.bound
    if job.model.objective < 0 and found.status is Status.OPTIMAL:
        found.status, found.bound = Status.FEASIBLE, -np.inf
    if found.status is not Status.INFEASIBLE and not np.isfinite(found.bound):
        found.bound = -np.inf
    if found.status is Status.UNKNOWN:
        found.bound, found.point, found.objective = -np.inf, None, np.inf
    return found


def turned(block: ClauseBlock) -> ClauseBlock:
    signs = np.ones(len(block.indices), dtype=bool) if block.positive is None else block.positive
    return replace(block, positive=~signs)


def other_column(program: Program) -> Program:
    """Minimise the last column, whatever the program says."""
    return program if program.objective is None else replace(program, objective=program.n_columns - 1)


def short(values: Any) -> Any:
    return np.round(np.asarray(values, dtype=float), 2)


#: Faults in reading the program.
READINGS: Mapping[str, Callable[[Program], Program]] = {
    "clauses dropped": lambda p: replace(p, clauses=()),
    "clauses turned": lambda p: replace(p, clauses=tuple(turned(c) for c in p.clauses)),
    "another column minimised": other_column,
    "rows dropped": lambda p: replace(p, rows=p.rows[:-1]),
}

#: Faults in what is handed over.
MODELS: Mapping[str, Callable[[LinearModel], LinearModel]] = {
    "integrality dropped": lambda m: replace(m, integer=np.zeros_like(m.integer)),
    "integers as binaries": lambda m: replace(m, upper=np.where(m.integer, np.minimum(m.upper, 1.0), m.upper)),
    "columns are not negative": lambda m: replace(m, lower=np.maximum(m.lower, np.minimum(0.0, m.upper))),
    "lower bounds of columns dropped": lambda m: replace(m, lower=np.maximum(m.lower * np.inf, -1e4)),
    "upper bounds of columns dropped": lambda m: replace(m, upper=np.full_like(m.upper, 1e4)),
    "lower sides of rows dropped": lambda m: replace(
        m, row_lower=np.where(np.isinf(m.row_upper), m.row_lower, -np.inf)
    ),
    "upper sides of rows dropped": lambda m: replace(m, row_upper=np.where(np.isinf(m.row_lower), m.row_upper, np.inf)),
    "right-hand sides dropped": lambda m: replace(
        m, row_lower=np.where(np.isinf(m.row_lower), m.row_lower, np.minimum(m.row_lower, 0.0))
    ),
    "coefficients rounded": lambda m: replace(m, data=short(m.data)),
    "columns of rows in another order": lambda m: replace(m, indices=m.indices[::-1].copy()),
}

#: Faults in how it is solved, as options of HiGHS.
OPTIONS: Mapping[str, Mapping[str, float | int]] = {
    "relative gap": {"mip_rel_gap": 0.3},
    "relative gap, bound by the incumbent": {"mip_rel_gap": 0.3},
    "small relative gap, bound by the incumbent": {"mip_rel_gap": 1e-3},
    "absolute gap": {"mip_abs_gap": 1.0},
    "absolute gap, bound by the incumbent": {"mip_abs_gap": 1.0},
    "first point": {"mip_max_improving_sols": 1},
    "loose feasibility": {"mip_feasibility_tolerance": 1e-2, "primal_feasibility_tolerance": 1e-2},
}


def change(**changes: Any) -> Callable[..., Answer]:
    """Say something else, whenever."""
    return lambda a, *_: replace(a, **changes)


def when(test: Callable[[Answer], bool], **changes: Any) -> Callable[..., Answer]:
    """Say something else in answers of one kind; a callable change gets the answer."""

    def said(a: Answer, *_: Any) -> Answer:
        made = {key: value(a) if callable(value) else value for key, value in changes.items()}
        return replace(a, **made) if test(a) else a

    return said


def has(status: Status) -> Callable[[Answer], bool]:
    return lambda a: a.status is status


def moved(a: Answer, *_: Any) -> Answer:
    return a if a.point is None else replace(a, point=a.point + 1e-3)


class Stale:
    """The first point for every program of the same size."""

    def __init__(self) -> None:
        self.seen: dict[int, Any] = {}

    def __call__(self, a: Answer, program: Program, *_: Any) -> Answer:
        if a.point is None:
            return a
        return replace(a, point=self.seen.setdefault(program.n_columns, a.point))


def streams(a: Answer, program: Program, limits: Limits, progress: Progress | None) -> Answer:
    if progress is not None and np.isfinite(a.objective):
        progress(a.objective + 0.25, a.objective + 0.5)
    return a


def late(a: Answer, program: Program, limits: Limits, *_: Any) -> Answer:
    if a.status is Status.TIME_LIMIT:
        time.sleep(limits.seconds + 2.5)
    return a


def changes_the_program(a: Answer, program: Program, *_: Any) -> Answer:
    program.upper[program.kind == Kind.REAL] += 1.0
    return a


def guessed(a: Answer, *_: Any) -> Answer:
    """A float answer, dressed as an exact one."""
    exact = None if a.point is None else tuple(Fraction(float(v)) for v in a.point)
    sat = a.status in (Status.OPTIMAL, Status.FEASIBLE) and (a.objective <= 0 or a.objective == np.inf)
    status = Status.SAT if sat else Status.UNSAT if a.status in (Status.OPTIMAL, Status.INFEASIBLE) else a.status
    return replace(a, status=status, exact=True, exact_point=exact, tau=0.0, bound=-np.inf)


def incumbent(a: Answer) -> float:
    return a.objective if np.isfinite(a.objective) else a.bound


_OPTIMAL, _LATE, _EMPTY, _FEASIBLE = map(has, (Status.OPTIMAL, Status.TIME_LIMIT, Status.INFEASIBLE, Status.FEASIBLE))
_OPEN = has(Status.UNKNOWN)
_BY_INCUMBENT = when(lambda a: True, bound=incumbent)

#: Faults in what is said.
SAYINGS: Mapping[str, Callable[..., Answer]] = {
    "relative gap, bound by the incumbent": _BY_INCUMBENT,
    "small relative gap, bound by the incumbent": _BY_INCUMBENT,
    "absolute gap, bound by the incumbent": _BY_INCUMBENT,
    "bound by the incumbent": _BY_INCUMBENT,
    "first point": when(lambda a: a.point is not None and a.raw == "kSolutionLimit", status=Status.OPTIMAL),
    "a limit is optimal": when(_LATE, status=Status.OPTIMAL),
    "a limit is infeasible": when(_LATE, status=Status.INFEASIBLE, bound=np.inf),
    "a limit is a certificate": when(_LATE, conclusive_empty=True, certified=np.inf),
    "a limit is unknown": when(_LATE, status=Status.UNKNOWN),
    "unbounded is optimal": when(_OPEN, status=Status.OPTIMAL, objective=-8.0),
    "unbounded is infeasible": when(_OPEN, status=Status.INFEASIBLE),
    "unbounded has a bound": when(_OPEN, bound=-1e20),
    "infeasible is optimal": when(_EMPTY, status=Status.OPTIMAL),
    "infeasible is unknown": when(_EMPTY, status=Status.UNKNOWN),
    "a point is optimal": when(_FEASIBLE, status=Status.OPTIMAL),
    "always empty": change(conclusive_empty=True),
    "certified is the float optimum": when(_OPTIMAL, certified=lambda a: np.nextafter(a.objective, np.inf)),
    "certified from duals of the wrong sign": when(_OPTIMAL, certified=-8.0),
    "certified in rationals, guessed": when(
        _OPTIMAL, certified_exact=lambda a: Fraction(a.objective) + Fraction(1, 10**9)
    ),
    "bound of nan": change(bound=float("nan")),
    "tolerance of anything": change(tau=4.0),
    "bound within a large tolerance": when(_OPTIMAL, bound=lambda a: a.objective + 0.5, tau=1.0),
    "point moved": moved,
    "stale point": Stale(),
    "no point": change(point=None),
    "point of nan": when(lambda a: a.point is not None, point=lambda a: a.point * np.nan),
    "point of fewer columns": when(lambda a: a.point is not None, point=lambda a: a.point[:-1]),
    "objective moved": when(_OPTIMAL, objective=lambda a: a.objective - 1e-3),
    "objective without its offset": when(_OPTIMAL, objective=lambda a: a.objective + 0.25, bound=-np.inf),
    "maximised": when(_OPTIMAL, objective=lambda a: -a.objective, bound=lambda a: -a.bound),
    "target without reaching it": when(_OPTIMAL, status=Status.TARGET, objective=1.0, bound=-1.0, point=None),
    "streams incumbents as bounds": streams,
    "later than its limit": late,
    "changes the program": changes_the_program,
    "signed by another": change(solver="highs"),
    "sat of floats": when(_OPTIMAL, status=Status.SAT),
    "exact without being it": guessed,
}


@dataclass(frozen=True, kw_only=True)
class ExactGuest:
    """Z3 with a fault."""

    fault: str = ""
    accepts: frozenset[Feature] = frozenset(Feature)
    exact: bool = True
    name: str = "z3"

    def availability(self) -> Availability:
        return Availability(available=True)

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        read = PROGRAMS.get(self.fault, lambda p: p)(program)
        answer = find("z3").solve(read, limits, goal, progress)
        return WORDS.get(self.fault, lambda a, *_: a)(answer, program, limits, progress)


def rows(program: Program, change: Callable[[Any], Any]) -> Program:
    """The program with every row block changed, guarded ones too."""
    guarded = tuple(replace(b, rows=change(b.rows)) for b in program.implications)
    return replace(program, rows=tuple(change(b) for b in program.rows), implications=guarded)


def decimal(block: Any) -> Any:
    """Numbers as decimals of a few digits denote them, which is what they are printed as."""
    read = [np.array([Fraction(repr(float(v))) if np.isfinite(v) else v for v in side], dtype=object)
            for side in (block.data, block.lower, block.upper)]  # fmt: skip
    return replace(block, exact=tuple(read)) if block.exact is None else block


#: Faults in reading the program.
PROGRAMS: Mapping[str, Callable[[Program], Program]] = {
    "guarded rows dropped": lambda p: replace(p, implications=()),
    "guarded rows of the wrong value": lambda p: replace(
        p, implications=tuple(replace(b, value=1 - b.value) for b in p.implications)
    ),
    "guarded rows always": lambda p: replace(p, rows=(*p.rows, *(b.rows for b in p.implications)), implications=()),
    "clauses dropped": lambda p: replace(p, clauses=()),
    "clauses turned": lambda p: replace(p, clauses=tuple(turned(c) for c in p.clauses)),
    "sets dropped": lambda p: replace(p, sets=()),
    "functions dropped": lambda p: replace(p, functions=()),
    "functions of one case": lambda p: replace(
        p, functions=tuple(replace(f, slopes=f.slopes[[0, 0]]) for f in p.functions)
    ),
    "products dropped": lambda p: replace(p, products=()),
    "balls dropped": lambda p: replace(p, quadratics=()),
    "strict rows closed": lambda p: rows(p, lambda b: replace(b, strict=False)),
    "closed rows strict": lambda p: rows(p, lambda b: replace(b, strict=True)),
    "floats for exact numbers": lambda p: rows(p, lambda b: replace(b, exact=None)),
    "decimals for floats": lambda p: rows(p, decimal),
    "bounds of columns dropped": lambda p: replace(p, lower=p.lower - 1.0, upper=p.upper + 1.0),
}


def beside(a: Answer, *_: Any) -> Answer:
    """A model that is off by what floats are off by."""
    if a.exact_point is None:
        return a
    return replace(a, exact_point=tuple(Fraction(float(v)) + Fraction(1, 2**60) for v in a.exact_point))


_SAT = has(Status.SAT)

#: Faults in what is said.
WORDS: Mapping[str, Callable[..., Answer]] = {
    "unsat on time-out": when(_LATE, status=Status.UNSAT),
    "sat on time-out": when(_LATE, status=Status.SAT),
    "unknown on time-out": when(_LATE, status=Status.UNKNOWN),
    "always unsat": change(status=Status.UNSAT, point=None, exact_point=None),
    "sat without a model": when(_SAT, point=None, exact_point=None),
    "sat without an exact model": when(_SAT, exact_point=None),
    "a model beside": beside,
    "a model of zeros": when(_SAT, exact_point=lambda a: tuple(Fraction(0) for _ in a.exact_point or ())),
    "feasible for sat": when(_SAT, status=Status.FEASIBLE),
    "optimal for sat": when(_SAT, status=Status.OPTIMAL),
    "answers that are not exact": change(exact=False),
    "a minimum that was not proved": when(_SAT, certified_exact=lambda a: Fraction(0)),
}
