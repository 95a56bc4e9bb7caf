"""The conformance kit for solver lanes: programs with known answers, and what a lane may say of each.

An answer must keep its promises, whatever its status: a lower bound is not above the optimum (``certified`` not at
all, ``bound`` by at most ``tau``), a point is in its bounds and satisfies every row, and a limit is met. Only
then is the expected status asked for (:mod:`nnsym.testing.promises`). The tiny programs show one thing each
(:mod:`nnsym.testing.programs`); the hard ones need a search, and show gaps, incumbents that are called bounds, and
limits (:mod:`nnsym.testing.hard_programs`). A lane is asked what it accepts, and the rest is said to be skipped. Use
it from a test: ``check_solver(find("highs"))``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.ir.words import kind_of
from nnsym.program import Program
from nnsym.solvers.base import Answer, Goal, Limits, Solver, Status
from nnsym.solvers.registry import find
from nnsym.testing.conformance import Conformance
from nnsym.testing.conformance import ConformanceError as ConformanceError
from nnsym.testing.hard_programs import knapsack, market_problem, planted_lp
from nnsym.testing.hard_programs import market_split as market_split
from nnsym.testing.problem import Problem
from nnsym.testing.programs import problems as problems
from nnsym.testing.promises import check_answer, check_progress, expect

#: Wall seconds by which a lane may overrun its limit.
OVERRUN = 2.0
#: A memory limit that every process exceeds.
_NO_ROOM = 8 * 2**20
#: The limits that are checked, by the names that ``names`` knows them under.
LIMITS = ("time limit", "bounds under a limit", "memory limit")


@final
@dataclass(frozen=True, kw_only=True)
class SolverConformance(Conformance):
    """What was checked: ``solved`` answers to ``problems``, and what was ``skipped``, each with the reason."""

    solved: int = 0
    problems: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.solved} answers to {len(self.problems)} programs, {len(self.skipped)} skipped"


def check_solver(
    lane: str | Solver, *, names: Iterable[str] | None = None, seconds: float = 20.0, networks: bool = False
) -> SolverConformance:
    """Ask a lane, by its name or itself, for every program that it accepts, and hold it to its limits.

    ``names`` chooses programs and :data:`LIMITS`. ``networks`` asks for big-M programs of small networks too, which say
    more of the solver behind a lane than of the lane: HiGHS before 1.16, and SciPy's copy of it, lose their optima.
    What was skipped is printed, and in the answer.

    Raises:
        ConformanceError: an answer is wrong, or later than the limit and :data:`OVERRUN`.
    """
    lane, wanted = find(lane), None if names is None else set(names)
    done = SolverConformance()
    first, *rest = problems()
    for problem in (first, *hard_problems()):
        done = _solve(lane, problem, seconds, done, wanted)
    for name, check in zip(LIMITS, (_time_limit, _bounds_under_limit, _memory_limit), strict=True):
        done = check(lane, done) if wanted is None or name in wanted else done
    if networks:
        from nnsym.testing.programs_of_networks import network_problems  # heavy: torch

        rest += network_problems()
    elif wanted is None:
        done = done.skip("networks", "networks=True asks for them")
    for problem in (*rest, replace(first, name=f"{first.name}, again")):  # nothing of what came before is left
        done = _solve(lane, problem, seconds, done, wanted)
    done.say(f"check_solver({lane.name})")
    expect(done.solved > 0, lane.name, f"none of the programs fits what it accepts: {_listed(lane.accepts)}")
    return done


def hard_problems() -> list[Problem]:
    """Programs that need a search, seconds at most."""
    above, below = Fraction(1, 64), Fraction(-1, 64)
    return [
        *(knapsack(f"knapsack {seed}", items=25, bits=10, seed=seed) for seed in range(2)),
        *(knapsack(f"knapsack of fine numbers {seed}", items=20, bits=17, seed=seed) for seed in range(2)),
        knapsack("knapsack, just violated", items=10, bits=6, at=below),
        knapsack("knapsack, just not violated", items=10, bits=6, at=above),
    ]


def check_time_limit(lane: Solver, *, seconds: float = 2.0) -> Answer:
    """A market-split MILP that no lane solves in time: it must stop, say why, and claim nothing false."""
    problem = replace(market_problem(), name="time limit")
    answer = _ask(lane, problem, Limits(seconds=seconds), Goal(decide=False))
    check_answer(problem, answer, decide=False, settled=False)
    said = f"status '{answer.status.value}', raw '{answer.raw}' ({answer.message})"
    expect(answer.status is Status.TIME_LIMIT, f"{lane.name}, time limit", said)
    return answer


def check_memory_limit(lane: Solver) -> Answer:
    """A limit that every process exceeds: the lane must stop and say why."""
    problem = replace(market_problem(), name="memory limit")
    answer = _ask(lane, problem, Limits(seconds=10.0, memory=_NO_ROOM), Goal(decide=False))
    check_answer(problem, answer, decide=False, settled=False)
    said = f"status '{answer.status.value}' under {_NO_ROOM >> 20} MiB (raw '{answer.raw}', {answer.message})"
    expect(answer.status is Status.MEMORY_LIMIT, f"{lane.name}, memory limit", said)
    return answer


def _solve(
    lane: Solver, problem: Problem, seconds: float, done: SolverConformance, wanted: set[str] | None
) -> SolverConformance:
    if wanted is not None and problem.name not in wanted:
        return done
    reason = _unfit(lane, problem)
    if reason:
        return done.skip(problem.name, reason)
    for decide in (True, False):
        answer = _ask(lane, problem, Limits(seconds=seconds), Goal(decide=decide))
        check_answer(problem, answer, decide=decide)
    return replace(done, solved=done.solved + 2, problems=(*done.problems, problem.name))


def _time_limit(lane: Solver, done: SolverConformance) -> SolverConformance:
    reason = _unfit(lane, market_problem())
    if reason:
        return done.skip("time limit", reason)
    check_time_limit(lane, seconds=1.0)
    return replace(done, solved=done.solved + 1)


def _bounds_under_limit(lane: Solver, done: SolverConformance) -> SolverConformance:
    """Whatever is said after a fifth of a second must be true."""
    for problem in (market_problem(), knapsack("large knapsack", items=60, bits=17), planted_lp()):
        reason = _unfit(lane, problem)
        if reason:
            done = done.skip(f"{problem.name} under a limit", reason)
            continue
        named = replace(problem, name=f"{problem.name} under a limit of 0.2 s")
        answer = _ask(lane, named, Limits(seconds=0.2), Goal(decide=False))
        check_answer(named, answer, decide=False, settled=False)
        done = replace(done, solved=done.solved + 1)
    return done


def _memory_limit(lane: Solver, done: SolverConformance) -> SolverConformance:
    reason = _unfit(lane, market_problem())
    if reason:
        return done.skip("memory limit", reason)
    check_memory_limit(lane)
    return replace(done, solved=done.solved + 1)


def _unfit(lane: Solver, problem: Problem) -> str:
    """Why a lane is not asked for a program; empty where it is."""
    missing = problem.program.features - lane.accepts
    if missing:
        return f"it does not take {_listed(missing)}"
    return "its arithmetic is not rational" if problem.exact_only and not lane.exact else ""


def _listed(features: Iterable[object]) -> str:
    return ", ".join(sorted(str(getattr(f, "value", f)) for f in features)) or "nothing"


def _ask(lane: Solver, problem: Problem, limits: Limits, goal: Goal) -> Answer:
    """One answer, on time, of the lane that was asked, with every report on the way."""
    name, reports = f"{lane.name}, {problem.name}", list[tuple[float, float]]()
    before = _numbers(problem.program)
    start = time.monotonic()
    answer = lane.solve(problem.program, limits, goal, lambda lower, best: reports.append((lower, best)))
    spent = time.monotonic() - start
    expect(spent <= limits.seconds + OVERRUN, name, f"{spent:.1f} s under a limit of {limits.seconds} s")
    expect(isinstance(answer, Answer), name, f"it returned {kind_of(answer)}, not an Answer")
    expect(answer.solver == lane.name, name, f"the answer is signed '{answer.solver}'")
    expect(answer.exact == lane.exact, name, f"the answer says exact={answer.exact}, the lane {lane.exact}")
    expect(np.array_equal(before, _numbers(problem.program), equal_nan=True), name, "it changed the program")
    for lower, best in reports:
        check_progress(problem, lower, best, answer.tau, name)
    return answer


def _numbers(program: Program) -> np.ndarray:
    return np.concatenate([program.lower, program.upper, program.kind.astype(float), *program.matrix])
