"""The conformance kit for solver lanes: tiny programs with known answers, and what a lane may say of each.

An answer must keep its promises, whatever its status: a lower bound is not above the optimum (``certified`` not at
all, ``bound`` by at most ``tau``), a point is in its bounds and satisfies every row, and a limit is met. Only
then is the expected status asked for. Use it from a test: ``check_solver(find("highs"))``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.builder import ProgramBuilder, row_block
from nnsym.program import ClauseBlock, ImplicationBlock, Kind, Program, Role, RowBlock, Tag
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Answer, Goal, Limits, Solver, Status

Array = NDArray[Any]

#: Wall seconds by which a lane may overrun its limit.
OVERRUN = 2.0


class ConformanceError(AssertionError):
    """A lane breaks its contract; the message names the problem and the numbers."""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """A program and its answer: the optimum, None where nothing is feasible, NaN where nobody knows."""

    name: str
    program: Program
    optimum: Fraction | float | None


def problems() -> list[Problem]:
    """The programs of the kit; all in margin form but the last three."""
    return [
        Problem(name="lp", program=_tent(Kind.REAL), optimum=Fraction(-29, 64)),
        Problem(name="binaries", program=_tent(Kind.BINARY), optimum=Fraction(-1, 4)),
        Problem(name="integers", program=_steps(), optimum=Fraction(-7, 4)),
        Problem(name="positive", program=_tent(Kind.BINARY, lift=1.0), optimum=Fraction(3, 4)),
        Problem(name="zero", program=_tent(Kind.REAL, lift=29 / 64), optimum=Fraction(0)),
        Problem(name="guards", program=_guards(), optimum=Fraction(-3, 4)),
        Problem(name="empty", program=_empty(Kind.REAL), optimum=None),
        Problem(name="no integer point", program=_empty(Kind.BINARY), optimum=None),
        Problem(name="clauses", program=_clauses(), optimum=Fraction(1)),
        Problem(name="feasible", program=_feasibility(1.0), optimum=Fraction(0)),
        Problem(name="infeasible", program=_feasibility(3.0), optimum=None),
        Problem(name="implications", program=_implications(0.5), optimum=Fraction(0)),
        Problem(name="refuted implications", program=_implications(2.5), optimum=None),
    ]


def check_solver(lane: Solver, *, names: Iterable[str] | None = None, seconds: float = 20.0) -> int:
    """Solve every problem that the lane accepts, deciding and optimising; returns how many were solved.

    Raises:
        ConformanceError: an answer is wrong, or later than the limit and :data:`OVERRUN`.
    """
    wanted = None if names is None else set(names)
    solved = 0
    for problem in problems():
        fits = problem.program.features <= lane.accepts
        if not fits or (wanted is not None and problem.name not in wanted):
            continue
        for decide in (True, False):
            answer = _timely(lane, problem.program, Limits(seconds=seconds), Goal(decide=decide), problem.name)
            check_answer(problem, answer, decide=decide)
            solved += 1
    return solved


def check_time_limit(lane: Solver, *, seconds: float = 2.0) -> Answer:
    """A market-split MILP that no lane solves in time: it must stop, say why, and claim nothing false."""
    program = market_split()
    answer = _timely(lane, program, Limits(seconds=seconds), Goal(decide=False), "time limit")
    _expect(answer.status is Status.TIME_LIMIT, "time limit", f"status {answer.status}, raw '{answer.raw}'")
    check_answer(Problem(name="time limit", program=program, optimum=np.nan), answer, decide=False)
    return answer


def check_answer(problem: Problem, answer: Answer, *, decide: bool) -> None:
    """The promises of one answer."""
    name, optimum = f"{answer.solver}, {problem.name}", problem.optimum
    _check_point(problem.program, answer, name)
    if isinstance(optimum, float):
        return
    _check_bounds(optimum, answer, name)
    _check_status(problem, answer, name, decide=decide)


def _check_bounds(optimum: Fraction | None, answer: Answer, name: str) -> None:
    if optimum is None:
        return
    low = [Fraction(v) for v in (answer.certified, answer.bound - answer.tau) if np.isfinite(v)]
    low += [] if answer.certified_exact is None else [answer.certified_exact]
    for bound in low:
        _expect(bound <= optimum, name, f"a lower bound {float(bound)} above the optimum {float(optimum)}")
    _expect(max(answer.certified, answer.bound) < np.inf, name, "an infinite bound on a feasible program")
    _expect(answer.objective >= float(optimum) - answer.tau, name, f"objective {answer.objective} below {optimum}")


def _check_status(problem: Problem, answer: Answer, name: str, *, decide: bool) -> None:
    optimum, margin = problem.optimum, problem.program.objective is not None
    said = f"status '{answer.status.value}' (raw '{answer.raw}', {answer.message})"
    if answer.exact:
        wanted = {Status.SAT if optimum is not None and (optimum <= 0 or not margin) else Status.UNSAT}
    elif optimum is None:
        wanted = {Status.INFEASIBLE}
    elif not margin:
        wanted = {Status.FEASIBLE}
    else:
        wanted = {Status.OPTIMAL} | ({Status.TARGET} if decide and optimum != 0 else set())
    _expect(answer.status in wanted, name, f"{said}, wanted {sorted(s.value for s in wanted)}")
    if answer.status is Status.OPTIMAL and isinstance(optimum, Fraction):
        off = abs(answer.objective - float(optimum))
        _expect(off <= max(answer.tau, 1e-6), name, f"optimum {answer.objective} instead of {float(optimum)}")
    if answer.status in (Status.OPTIMAL, Status.FEASIBLE, Status.SAT):
        _expect(answer.point is not None, name, "no point")
    _expect(not answer.conclusive_empty or optimum is None, name, "certified empty, and is not")


def _check_point(program: Program, answer: Answer, name: str, tolerance: float = 1e-6) -> None:
    """The point meets bounds, rows, implications and integrality."""
    if answer.point is None:
        return
    x = np.asarray(answer.point)
    _expect(len(x) == program.n_columns, name, f"a point of {len(x)} columns, not {program.n_columns}")
    model = LinearModel.of(program)
    near = max(tolerance, answer.tau)
    values = np.add.reduceat(np.append(model.data * x[model.indices], 0.0), model.indptr[:-1])
    off = np.maximum(model.row_lower - values, values - model.row_upper).max(initial=0.0)
    off = max(off, np.maximum(program.lower - x, x - program.upper).max())
    whole = program.kind != Kind.REAL
    off = max(off, np.abs(x - np.round(x))[whole].max(initial=0.0)) if not model.cases else off
    for block in program.implications:
        active = np.round(x[block.guard]) == block.value
        rows = block.rows
        value = np.add.reduceat(np.append(rows.data * x[rows.indices], 0.0), rows.indptr[:-1])
        off = max(off, np.maximum(rows.lower - value, value - rows.upper)[active].max(initial=0.0))
    _expect(bool(off <= near), name, f"its point violates the program by {off}")


def _timely(lane: Solver, program: Program, limits: Limits, goal: Goal, name: str) -> Answer:
    start = time.monotonic()
    answer = lane.solve(program, limits, goal)
    spent = time.monotonic() - start
    _expect(spent <= limits.seconds + OVERRUN, f"{lane.name}, {name}", f"{spent:.1f} s under {limits.seconds} s")
    return answer


def _expect(holds: bool, name: str, message: str) -> None:
    if not holds:
        raise ConformanceError(f"{name}: {message}")


def _columns(b: ProgramBuilder, node: str, role: str, low: float, high: float, n: int, kind: Kind = Kind.REAL) -> Array:
    return b.columns(node, Role(role), np.arange(n), np.full(n, low), np.full(n, high), kind=kind)


def _tent(kind: Kind, lift: float = 0.0) -> Program:
    """``t >= x0 + x1 - a + lift`` and ``t >= b - x0 - x1 + lift`` on the unit square; a, b dyadic."""
    b = ProgramBuilder()
    x, t = _columns(b, "x", "value", 0, 1, 2, kind), _columns(b, "spec", "margin", -8, 8, 1)
    shift = (-1.25, 0.1875) if kind == Kind.BINARY else (-77 / 64, 19 / 64)
    b.rows(row_block([(1.0, t), (-1.0, x[:1]), (-1.0, x[1:])], lower=shift[0] + lift, origin="up"))
    b.rows(row_block([(1.0, t), (1.0, x[:1]), (1.0, x[1:])], lower=shift[1] + lift, origin="down"))
    return b.build(objective=int(t[0]))


def _steps() -> Program:
    """``t >= 1/4 - k/2`` with ``2 k <= 9``, k an integer of 0..9."""
    b = ProgramBuilder()
    k, t = _columns(b, "k", "value", 0, 9, 1, Kind.INTEGER), _columns(b, "spec", "margin", -8, 8, 1)
    b.rows(row_block([(1.0, t), (0.5, k)], lower=0.25, origin="steps"))
    b.rows(row_block([(2.0, k)], upper=9.0, origin="cap"))
    return b.build(objective=int(t[0]))


def _guards() -> Program:
    """Either ``t >= x - 1/2`` on ``x >= 1/4`` or ``t >= -x`` on ``x <= 3/4``: one guard each, two cases."""
    b = ProgramBuilder()
    x, g = _columns(b, "x", "value", 0, 1, 1), _columns(b, "query", "guard", 0, 1, 2, Kind.BINARY)
    t = _columns(b, "query", "margin", -8, 8, 1)
    b.rows(row_block([(1.0, t), (-1.0, x), (-8.0, g[:1])], lower=-8.5, tag=Tag.CONCLUSION, origin="first"))
    b.rows(row_block([(1.0, x), (-0.25, g[:1])], lower=0.0, tag=Tag.PRECONDITION, origin="first"))
    b.rows(row_block([(1.0, t), (1.0, x), (-8.0, g[1:])], lower=-8.0, tag=Tag.CONCLUSION, origin="second"))
    b.rows(row_block([(1.0, x), (0.25, g[1:])], upper=1.0, tag=Tag.PRECONDITION, origin="second"))
    b.rows(row_block([(1.0, g[:1]), (1.0, g[1:])], lower=1.0, origin="either"))
    cases = ((g, np.array([1.0, 0.0])), (g, np.array([0.0, 1.0])))
    return b.build(objective=int(t[0]), cases=cases)


def _empty(kind: Kind) -> Program:
    """``5/4 <= x0 + x1 <= 7/4`` on binaries; on reals also ``x0 + x1 <= 1``."""
    b = ProgramBuilder()
    x, t = _columns(b, "x", "value", 0, 1, 2, kind), _columns(b, "spec", "margin", -8, 8, 1)
    b.rows(row_block([(1.0, x[:1]), (1.0, x[1:])], lower=1.25, upper=1.75, tag=Tag.PRECONDITION, origin="between"))
    if kind == Kind.REAL:
        b.rows(row_block([(1.0, x[:1]), (1.0, x[1:])], upper=1.0, tag=Tag.PRECONDITION, origin="below"))
    b.rows(row_block([(1.0, t), (-1.0, x[:1])], lower=0.0, origin="margin"))
    return b.build(objective=int(t[0]))


def _clauses() -> Program:
    """``a or b``, ``not a or c``, ``t >= a + 2 b``: the least is a = c = 1."""
    b = ProgramBuilder()
    p, t = _columns(b, "p", "value", 0, 1, 3, Kind.BINARY), _columns(b, "spec", "margin", -8, 8, 1)
    b.rows(row_block([(1.0, t), (-1.0, p[:1]), (-2.0, p[1:2])], lower=0.0, origin="weights"))
    positive = np.array([True, True, False, True])
    b.clauses(ClauseBlock(p[[0, 1, 0, 2]], np.array([0, 2, 4]), Tag.NETWORK, "clauses", positive))
    return b.build(objective=int(t[0]))


def _feasibility(least: float) -> Program:
    """``x0 + x1 >= least`` on the unit square, without an objective."""
    b = ProgramBuilder()
    x = _columns(b, "x", "value", 0, 1, 2)
    b.rows(row_block([(1.0, x[:1]), (1.0, x[1:])], lower=least, origin="sum"))
    return b.build(objective=None)


def _implications(least: float) -> Program:
    """``p => x >= 1``, ``not p => x <= 2``, ``p or x >= least`` as ``not p => x >= least``, and ``not p``."""
    b = ProgramBuilder()
    p, x = _columns(b, "p", "phase", 0, 1, 1, Kind.BINARY), _columns(b, "x", "value", 0, 4, 1)
    for value, low, high in ((1, 1.0, np.inf), (0, -np.inf, 2.0), (0, least, np.inf)):
        rows = row_block([(1.0, x)], lower=low, upper=high, origin="guarded")
        b.implications(ImplicationBlock(p, np.array([value]), rows))
    b.clauses(ClauseBlock(p, np.array([0, 1]), Tag.NETWORK, "off", np.array([False])))
    return b.build(objective=None)


def market_split(columns: int = 60, rows: int = 20, seed: int = 0) -> Program:
    """Cornuejols and Dawande's market split with slacks: the LP bound is 0 and the search hopeless."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 1000, (rows, columns)).astype(float)
    half = weights.sum(axis=1) // 2
    b = ProgramBuilder()
    x = _columns(b, "x", "value", 0, 1, columns, Kind.BINARY)
    slack, t = _columns(b, "slack", "aux", 0, 1e5, 2 * rows), _columns(b, "spec", "margin", -1e6, 1e6, 1)
    for i in range(rows):
        ids = np.concatenate([x, slack[[i, rows + i]]])
        data, ends = np.concatenate([weights[i], [1.0, -1.0]]), np.array([0, columns + 2])
        b.rows(RowBlock(data, ids, ends, half[i : i + 1], half[i : i + 1], Tag.NETWORK, f"market {i}"))
    ids, data = np.concatenate([t, slack]), np.concatenate([[1.0], -np.ones(2 * rows)])
    b.rows(RowBlock(data, ids, np.array([0, len(ids)]), np.zeros(1), np.full(1, np.inf), Tag.NETWORK, "total"))
    return b.build(objective=int(t[0]))
