"""cvc5 on SMT-LIB text, in exact rationals; the text is parsed inside the worker, as for Z3."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

from nnsym.program import Feature, Program
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.lane import package, timed
from nnsym.solvers.smtlib import TextJob, decide, solve_text
from nnsym.solvers.statuses import CVC5_REASONS, SMTLIB, look_up
from nnsym.solvers.workers.worker import Report
from nnsym.write.names import symbols
from nnsym.write.smtlib import to_smtlib


@final
@dataclass(frozen=True, kw_only=True)
class Cvc5:
    """The lane ``cvc5``."""

    name: str = "cvc5"
    accepts: frozenset[Feature] = frozenset(Feature)
    exact: bool = True

    def availability(self) -> Availability:
        return package("cvc5", "cvc5", licence="BSD-3-Clause", remedy="pip install 'nnsym[cvc5]'")

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """``sat`` with an exact point, ``unsat``, or why not."""
        return solve_text(self.name, __name__, TextJob(program=program, seed=limits.seed), limits, progress)


def run(job: TextJob, report: Report) -> Found:
    """In the worker: write, parse, check, read the model."""
    import cvc5

    program, seconds = job.program, dict[str, float]()
    solver = cvc5.Solver(cvc5.TermManager())
    for option, value in (("produce-models", "true"), ("incremental", "true"), ("seed", str(job.seed % 2**31))):
        solver.setOption(option, value)
    with timed(seconds, "handover"):
        terms = _parse(solver, to_smtlib(program, decide_below=0.0, named=False))
    with timed(seconds, "solve"):
        session = _Session(solver, [terms[name] for name in symbols(program)])
        found = decide(session, program.objective, report)
    found.seconds, found.version = seconds, cvc5.__version__
    return found


def _parse(solver: Any, text: str) -> dict[str, Any]:
    """Run all commands but ``check-sat``, whose time limit is not known before; the declared constants by name."""
    import cvc5

    parser = cvc5.InputParser(solver)
    parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "program")
    manager = parser.getSymbolManager()
    while not (command := parser.nextCommand()).isNull():
        if command.getCommandName() != "check-sat":
            said = command.invoke(solver, manager)
            if said.strip():
                raise RuntimeError(f"cvc5 says of {command.getCommandName()}: {said.strip()}")
    return {term.getSymbol(): term for term in manager.getDeclaredTerms()}


@final
class _Session:
    """See :class:`nnsym.solvers.smtlib.Session`; ``columns`` are the terms of the columns in order."""

    def __init__(self, solver: Any, columns: list[Any]) -> None:
        self._solver, self._columns = solver, columns

    def check(self, seconds: float) -> tuple[Status, str]:
        self._solver.setOption("tlimit-per", str(max(1, int(1000 * seconds))))
        result = self._solver.checkSat()
        if not result.isUnknown():
            return look_up(SMTLIB, str(result)), str(result)
        raw = result.getUnknownExplanation().name
        return look_up(CVC5_REASONS, raw), raw

    def point(self) -> tuple[Fraction, ...] | None:
        values = [self._solver.getValue(term) for term in self._columns]
        if not all(v.isRealValue() or v.isIntegerValue() or v.isBooleanValue() for v in values):
            return None
        return tuple(Fraction(v.toPythonObj()) for v in values)

    def require_negative(self, column: int) -> None:
        import cvc5

        manager = self._solver.getTermManager()
        self._solver.assertFormula(manager.mkTerm(cvc5.Kind.LT, self._columns[column], manager.mkReal(0)))
