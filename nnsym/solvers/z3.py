"""Z3 on SMT-LIB text: what is solved is literally what is exported, in exact rationals.

The text is written and parsed inside the worker (a model built through Z3's Python objects took gigabytes before any
limit applied), so that is under the limits too.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

from nnsym.program import Feature, Program
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.lane import package, timed
from nnsym.solvers.smtlib import TextJob, decide, solve_text
from nnsym.solvers.statuses import SMTLIB, Z3_REASONS, look_up
from nnsym.solvers.workers.worker import Report
from nnsym.write.names import symbols
from nnsym.write.smtlib import logic, to_smtlib


@final
@dataclass(frozen=True, kw_only=True)
class Z3:
    """The lane ``z3``."""

    name: str = "z3"
    accepts: frozenset[Feature] = frozenset(Feature)
    exact: bool = True

    def availability(self) -> Availability:
        return package("z3-solver", "z3", licence="MIT")

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """``sat`` with an exact point, ``unsat``, or why not."""
        return solve_text(self.name, __name__, TextJob(program=program, seed=limits.seed), limits, progress)


def run(job: TextJob, report: Report) -> Found:
    """In the worker: write, parse, check, read the model."""
    import z3

    program, seconds = job.program, dict[str, float]()
    solver = z3.SolverFor(logic(program))
    try:
        with timed(seconds, "handover"):
            solver.from_string(to_smtlib(program, decide_below=0.0, named=False))
        solver.set("random_seed", job.seed % 2**31)
        with timed(seconds, "solve"):
            found = decide(_Session(solver, symbols(program)), program.objective, report)
    except z3.Z3Exception as error:
        if "memory" in str(error):
            raise MemoryError from error
        raise
    found.seconds, found.version = seconds, z3.get_version_string()
    return found


@final
class _Session:
    """See :class:`nnsym.solvers.smtlib.Session`."""

    def __init__(self, solver: Any, names: list[str]) -> None:
        self._solver, self._names = solver, names

    def check(self, seconds: float) -> tuple[Status, str]:
        self._solver.set("timeout", max(1, int(1000 * seconds)))
        raw = str(self._solver.check())
        status = look_up(SMTLIB, raw)
        if status is Status.UNKNOWN:
            raw = self._solver.reason_unknown()
            status = look_up(Z3_REASONS, raw)
        return status, raw

    def point(self) -> tuple[Fraction, ...] | None:
        return _point(self._solver.model(), self._names)

    def require_negative(self, column: int) -> None:
        from z3 import Real

        self._solver.add(Real(self._names[column]) < 0)


def _point(model: Any, names: list[str]) -> tuple[Fraction, ...] | None:
    """The columns' values; a column that the model leaves open takes 0. None if one is no number.

    An algebraic number, which nonlinear programs have, becomes a rational within 1e-30 of it. Such a point is near a
    model and may be none: good enough for a candidate, which is moved into the domain and replayed exactly.
    """
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
        elif z3.is_algebraic_value(value):
            near = value.approx(30)
            point.append(Fraction(near.numerator_as_long(), near.denominator_as_long()))
        elif z3.is_int_value(value):
            point.append(Fraction(value.as_long()))
        else:
            return None
    return tuple(point)
