"""Z3 on SMT-LIB text: what is solved is literally what is exported, in exact rationals.

The text is written and parsed inside the worker (a model built through Z3's Python objects took gigabytes before any
limit applied), so that is under the limits too.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from nnsym.program import Feature, Program
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.lane import answer_of, package, submit, timed
from nnsym.solvers.statuses import SMTLIB, Z3_REASONS, look_up
from nnsym.solvers.worker import Report
from nnsym.write.names import symbols
from nnsym.write.smtlib import logic, to_smtlib


@final
@dataclass(frozen=True, kw_only=True)
class Z3:
    """The lane ``z3``. A program in margin form is decided, never optimised: is there a point with t <= 0?

    Where the first point has t = 0 exactly, t < 0 is asked as well: ``unsat`` there shows that the minimum is 0,
    which is then ``certified_exact``.
    """

    name: str = "z3"
    accepts: frozenset[Feature] = frozenset(Feature)
    exact: bool = True

    def availability(self) -> Availability:
        return package("z3-solver", "z3", licence="MIT")

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """``sat`` with an exact point, ``unsat``, or why not."""
        job = Z3Job(program=program, seed=limits.seed)
        return answer_of(self.name, program, submit(self.name, __name__, job, limits, progress), tau=0.0, exact=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class Z3Job:
    """The program itself: its text is written in the worker."""

    program: Program
    seed: int


def run(job: Z3Job, report: Report) -> Found:
    """In the worker: write, parse, check, read the model."""
    import z3

    program, seconds = job.program, dict[str, float]()
    solver = z3.SolverFor(logic(program))
    try:
        with timed(seconds, "handover"):
            solver.from_string(to_smtlib(program, decide_below=0.0, named=False))
        solver.set("random_seed", job.seed % 2**31)
        with timed(seconds, "solve"):
            found = _check(solver, program, report)
    except z3.Z3Exception as error:
        if "memory" in str(error):
            raise MemoryError from error
        raise
    found.seconds, found.version = seconds, z3.get_version_string()
    return found


def _check(solver: Any, program: Program, report: Report) -> Found:
    """One query, or two where the margin of the first point is exactly 0."""
    names = symbols(program)
    found = _query(solver, names, report)
    t = program.objective
    if found.exact_point is None or t is None:
        return found
    if found.exact_point[t] == 0:
        from z3 import Real

        solver.add(Real(names[t]) < 0)
        deeper = _query(solver, names, report)
        if deeper.status is Status.SAT:
            found = deeper
        elif deeper.status is Status.UNSAT:
            found.certified_exact = Fraction(0)
    assert found.point is not None
    found.objective = float(found.point[t])
    return found


def _query(solver: Any, names: list[str], report: Report) -> Found:
    solver.set("timeout", max(1, int(1000 * report.remaining())))
    raw = str(solver.check())
    found = Found(status=look_up(SMTLIB, raw), raw=raw)
    if found.status is Status.SAT:
        found.exact_point = _point(solver.model(), names)
        if found.exact_point is not None:
            found.point = np.array([_nearest(v) for v in found.exact_point])
    elif found.status is Status.UNKNOWN:
        found.raw = solver.reason_unknown()
        found.status = look_up(Z3_REASONS, found.raw)
    return found


def _point(model: Any, names: list[str]) -> tuple[Fraction, ...] | None:
    """The columns' values; a column that the model leaves open takes 0. None if one is not rational."""
    import z3

    values = {d.name(): model[d] for d in model.decls()}
    point = []
    for name in names:
        value = values.get(name)
        if value is None or z3.is_false(value):
            point.append(Fraction(0))
        elif z3.is_true(value):
            point.append(Fraction(1))
        elif z3.is_rational_value(value):
            point.append(Fraction(value.numerator_as_long(), value.denominator_as_long()))
        elif z3.is_int_value(value):
            point.append(Fraction(value.as_long()))
        else:
            return None
    return tuple(point)


def _nearest(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return np.inf if value > 0 else -np.inf
