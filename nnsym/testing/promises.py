"""What one answer of a lane promises, checked against a program whose answer is known.

A promise holds whatever the status: no bound above the optimum (``certified`` exactly, ``bound`` within ``tau``), a
point that satisfies the program (of an exact lane: without any tolerance), an objective that is the point's, no NaN,
a tolerance that is one. Then the status: whether it is true, and whether it is what such a program must end with.
"""

from __future__ import annotations

from fractions import Fraction
from math import isnan

import numpy as np

from nnsym.encode.point import residual
from nnsym.program import Kind, Program, Tag
from nnsym.solvers.base import Answer, Goal, Status
from nnsym.testing.conformance import ConformanceError as ConformanceError
from nnsym.testing.least import binding
from nnsym.testing.problem import Problem

#: What a point of a float lane may miss a row by, and the most that a lane may publish as its tolerance: the numbers
#: of the kit's programs are at most about 8.
TOLERANCE, MOST_TAU = 1e-6, 2e-4
_POINTS = (Status.OPTIMAL, Status.FEASIBLE, Status.SAT)
_ENDS = (Status.OPTIMAL, Status.INFEASIBLE, Status.SAT, Status.UNSAT)
_NOTHING = (Status.TIME_LIMIT, Status.MEMORY_LIMIT, Status.UNKNOWN, Status.ERROR)


def expect(holds: bool, name: str, message: str) -> None:
    """Raise a :class:`ConformanceError` that says where."""
    if not holds:
        raise ConformanceError(f"{name}: {message}")


def check_answer(problem: Problem, answer: Answer, *, decide: bool, settled: bool = True) -> None:
    """Everything that an answer promises; ``settled`` wants the status that the program has, not a limit."""
    name = f"{answer.solver}, {problem.name}"
    check_promises(problem, answer, name)
    _check_truth(problem, answer, name)
    if settled:
        _check_status(problem, answer, name, decide=decide)


def check_promises(problem: Problem, answer: Answer, name: str) -> None:
    """Numbers, bounds and point."""
    numbers = (answer.bound, answer.certified, answer.objective, answer.tau, answer.outside)
    expect(not any(isnan(v) for v in numbers), name, f"NaN among bound, certified, objective, tau, outside: {numbers}")
    expect(
        0 <= answer.tau <= MOST_TAU,
        name,
        f"tau {answer.tau}: the tolerance on numbers of this size is at most {MOST_TAU}",
    )
    expect(not answer.exact or answer.tau == 0, name, f"exact, and a tolerance of {answer.tau}")
    _check_point(problem, answer, name)
    _check_bounds(problem, answer, name)


def check_progress(problem: Problem, lower: float, best: float, tau: float, name: str) -> None:
    """What a lane streams while it runs: it is the answer if the lane is killed then."""
    expect(not isnan(lower) and not isnan(best), name, f"reports ({lower}, {best}) while it runs")
    if problem.optimum is not None:
        optimum, within = float(problem.optimum), max(tau, TOLERANCE)
        says = f"reports ({lower}, {best}) while it runs, the optimum is {optimum}"
        expect(lower - within <= optimum <= best + within, name, says)


def _check_bounds(problem: Problem, answer: Answer, name: str) -> None:
    optimum = problem.optimum
    if optimum is None or problem.exact_only:
        return
    low = [Fraction(v) for v in (answer.certified, answer.bound - answer.tau) if np.isfinite(v)]
    low += [] if answer.certified_exact is None else [answer.certified_exact]
    for bound in low:
        expect(bound <= optimum, name, f"a lower bound {float(bound)} above the optimum {float(optimum)}")
    expect(max(answer.certified, answer.bound) < np.inf, name, "an infinite bound on a feasible program")
    within = max(answer.tau, TOLERANCE)
    expect(answer.objective >= float(optimum) - within, name, f"objective {answer.objective} below {float(optimum)}")


def _check_truth(problem: Problem, answer: Answer, name: str) -> None:
    """A status that would settle the property must be true."""
    said = f"status '{answer.status.value}' (raw '{answer.raw}', {answer.message})"
    if answer.exact and answer.status in (Status.SAT, Status.UNSAT):
        expect((answer.status is Status.SAT) == problem.satisfiable, name, f"{said}, which is not true")
    if not answer.exact:
        expect(answer.status not in (Status.SAT, Status.UNSAT), name, f"{said} is for exact lanes")
    if problem.exact_only:
        return
    if answer.status is Status.INFEASIBLE:
        expect(problem.optimum is None, name, f"{said}, the optimum is {problem.optimum}")
    if answer.status is Status.OPTIMAL:
        expect(problem.optimum is not None, name, f"{said}, and nothing is feasible")
        expect(problem.optimum != -np.inf, name, f"{said}, and the objective is unbounded")
        off, within = abs(answer.objective - float(problem.optimum or 0)), max(answer.tau, TOLERANCE)
        optimum = f"optimum {answer.objective} instead of {float(problem.optimum or 0)}"
        expect(off <= within or problem.program.objective is None, name, optimum)
    expect(not answer.conclusive_empty or problem.optimum is None, name, "certified empty, and is not")


def _check_status(problem: Problem, answer: Answer, name: str, *, decide: bool) -> None:
    """The status that is wanted of a program of this size."""
    optimum, margin = problem.optimum, problem.program.objective is not None
    if answer.exact:
        wanted = {Status.SAT if problem.satisfiable else Status.UNSAT}
    elif optimum is None:
        wanted = {Status.INFEASIBLE}
    elif not margin:
        wanted = {Status.FEASIBLE}
    elif optimum == -np.inf:
        wanted = {*_NOTHING, Status.FEASIBLE} | ({Status.TARGET} if decide else set())
    else:
        wanted = {Status.OPTIMAL} | ({Status.TARGET} if decide and optimum != 0 else set())
    said = f"status '{answer.status.value}' (raw '{answer.raw}', {answer.message})"
    expect(answer.status in wanted, name, f"{said}, wanted {sorted(s.value for s in wanted)}")
    if answer.status is Status.TARGET:
        goal = Goal()
        reached = max(answer.bound, answer.certified) > goal.above or answer.objective < goal.below
        expect(reached, name, f"{said} with a bound of {answer.bound} and an objective of {answer.objective}")
    if answer.status in _POINTS:
        expect(answer.point is not None, name, "no point")
    if answer.status is Status.OPTIMAL and np.isfinite(answer.certified) and optimum is not None:
        weak = answer.certified < float(optimum) - 1e-3
        says = f"certified {answer.certified}, optimum {float(optimum)}: are the duals those of a minimisation?"
        expect(not weak or problem.program.n_binary > 0, name, says)


def _check_point(problem: Problem, answer: Answer, name: str) -> None:
    """The point meets bounds, rows, clauses, sets, functions and integrality, and has the objective that is said."""
    program = problem.program
    if answer.point is None:
        expect(answer.exact_point is None, name, "an exact point without a point")
        return
    x = np.array(answer.point, dtype=float)
    expect(x.shape == (program.n_columns,), name, f"a point of shape {x.shape}, not of {program.n_columns} columns")
    expect(not np.isnan(x).any(), name, "NaN in its point")
    near = max(TOLERANCE, answer.tau)
    whole = program.kind != Kind.REAL
    off = max(np.maximum(program.lower - x, x - program.upper).max(), np.abs(x - np.round(x))[whole].max(initial=0.0))
    x[whole] = np.round(x[whole])
    missed, row = residual(program, np.where(np.abs(x) <= near, 0.0, x) if program.sets else x, frozenset(Tag))
    worst = max(float(off), missed - (answer.outside if program.quadratics else 0.0))
    expect(worst <= near, name, f"its point violates the program by {worst} ({row})")
    if program.objective is not None:
        own = float(answer.point[program.objective])
        expect(abs(own - answer.objective) <= near, name, f"objective {answer.objective}, at its point {own}")
    if answer.exact and answer.status is Status.SAT:
        _check_exact_point(program, answer, name)


def _check_exact_point(program: Program, answer: Answer, name: str) -> None:
    """Without any tolerance, where the program has rational points."""
    if program.products or program.quadratics:
        return
    point = answer.exact_point
    expect(point is not None and len(point) == program.n_columns, name, "sat without an exact point")
    assert point is not None
    chosen = dict(enumerate(point))
    whole = np.flatnonzero(program.kind != Kind.REAL).tolist()
    expect(all(point[k].denominator == 1 for k in whole), name, "its exact point is not integral")
    expect(all(row.holds(point) for row in binding(program, chosen)), name, "its exact point violates a row")
    values = np.array(point, dtype=object)
    missed, row = residual(program, values, frozenset(Tag))
    low, high = program.exact_bounds or (program.lower, program.upper)
    inside = all(a <= v <= b for a, v, b in zip(low.tolist(), point, high.tolist(), strict=True))
    expect(missed == 0 and inside, name, f"its exact point violates {row or 'a bound of a column'}")
    if program.objective is not None:
        expect(point[program.objective] <= 0, name, f"sat with a margin of {float(point[program.objective])}")
