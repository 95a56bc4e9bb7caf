"""What a program establishes about a query: bounds, encoding, lane, and what :mod:`.interpret` makes of its answer."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np

from nnsym.bounds.base import MEMORY, TIMEOUT, Bounds
from nnsym.errors import MissingBoundsError
from nnsym.ir.query import Query
from nnsym.judge.conclude import Established, conclude, error_beside
from nnsym.judge.method import Settings
from nnsym.judge.programs.build import build
from nnsym.judge.programs.encoded import EncodedMethod
from nnsym.judge.programs.interpret import interpret
from nnsym.judge.programs.solved import Solved
from nnsym.judge.run import BOUNDS_SHARE, bound, sizes_of
from nnsym.judge.verdict import facts_about, rule
from nnsym.program import Feature, Program
from nnsym.results.clock import Clock, Deadline, OutOfTime
from nnsym.results.result import Result
from nnsym.solvers.base import Answer, Goal, Limits, Status
from nnsym.solvers.outer import taking
from nnsym.solvers.registry import check_fits, check_query, find, naming_others
from nnsym.solvers.split import solve_split, worth_splitting

_BYTES, _EACH_SECOND = 48, 5_000_000  # of a program for each coefficient; coefficients that are written in a second


def judge_program(query: Query, method: EncodedMethod, clock: Clock, settings: Settings) -> Result:
    """What :func:`nnsym.judge.verdict.rule` says of one program."""
    return conclude(query, method, establish_program(query, method, clock, settings), clock)


def establish_program(query: Query, method: EncodedMethod, clock: Clock, settings: Settings) -> Established:
    """Bounds, encoding, solver, replay."""
    check_fits(method.encoding, method.solver)
    check_query(query, method.encoding, method.solver)
    bounds, lower = bound(query, method.bounds, clock, settings, share=BOUNDS_SHARE)
    known = replace(facts_about(query), certified=lower)
    early = rule(known)
    sizes = sizes_of(query, bounds)
    if early.excluded and settings.shortcut and not method.optimise:
        clock.note("verdict", f"the {method.bounds} bounds decide; nothing was left to solve")
        error = error_beside(query, early, bounds, clock)
        return Established(facts=known, bounds=method.bounds, sizes=sizes, error=error, before=True)
    solved = solve(query, method, bounds, clock, settings, lower=lower)
    facts, replayed = interpret(solved, clock)
    return Established(
        facts=facts,
        bounds=method.bounds,
        sizes=replace(solved.sizes(sizes.unstable), nodes=solved.answer.nodes),
        replayed=replayed,
        relaxation=root_lp(solved, clock, settings) if settings.relaxation else None,
        answer=solved.answer,
        error=error_beside(query, rule(facts), bounds, clock),
    )


def solve(
    query: Query,
    method: EncodedMethod,
    bounds: Bounds,
    clock: Clock,
    settings: Settings,
    *,
    lower: float = -np.inf,
) -> Solved:
    """Encode on the bounds, which gave the margin's lower bound ``lower``, and hand the program to the method's lane.

    Where time is over before the program is complete, or bounds that it needs were not reached in time, the answer is
    that of a lane at its limit, of an empty program.
    """
    goal = Goal(decide=not method.optimise)
    program = _built(query, method, bounds, clock, settings, goal)
    if isinstance(program, Answer):
        return Solved(query=query, method=method, bounds=bounds, program=_EMPTY, answer=program, lower=lower)
    lane = taking(find(method.solver), program.features)
    with clock.step("solve") as notes:
        run = partial(solve_split, lane) if worth_splitting(program, lane) else lane.solve
        answer = naming_others(run(program, _limits(clock, settings), goal, settings.progress), program)
        notes.append(
            f"{answer.solver}: {answer.raw or answer.status.value}" + (f" ({answer.message})" if answer.message else "")
        )
    return Solved(query=query, method=method, bounds=bounds, program=program, answer=answer, lower=lower)


def _built(
    query: Query, method: EncodedMethod, bounds: Bounds, clock: Clock, settings: Settings, goal: Goal
) -> Program | Answer:
    """The program, or the answer where a limit is reached before it is complete."""
    with clock.step("encode") as notes:
        end = clock.deadline()
        if trouble := _too_large(query, end, settings):
            notes.append("the program would be too large")
            return _not_begun(method, trouble, notes[-1])
        try:
            program = build(query, bounds, method.encoding, limits=_limits(clock, settings), goal=goal, deadline=end)
            end.check()
        except OutOfTime:
            notes.append("no time to encode")
            return _not_begun(method, TIMEOUT, notes[-1])
        except MissingBoundsError as error:
            if not bounds.ended:
                raise
            notes.append(f"bounds ended early: {error}")
            return _not_begun(method, bounds.ended, notes[-1])
        notes.append(
            f"{program.n_columns} columns ({program.n_binary} binary), {program.n_rows} rows, {program.nnz} nonzeros"
        )
        notes.extend(f"cuts: {said}" for said in (program.meta.get("cuts"),) if said)
    return program


def _too_large(query: Query, end: Deadline, settings: Settings) -> str:
    """The limit that a program with all coefficients would break, else empty."""
    if _BYTES * query.entries > settings.memory:
        return MEMORY
    return TIMEOUT if query.entries > _EACH_SECOND * end.left else ""


def _not_begun(method: EncodedMethod, why: str, said: str) -> Answer:
    """The answer where nothing was handed over."""
    status = Status.MEMORY_LIMIT if why == MEMORY else Status.TIME_LIMIT
    return Answer(status=status, solver=method.solver, raw="not begun", message=said)


#: What stands for a program that was not completed.
_EMPTY = Program(lower=np.zeros(0), upper=np.zeros(0), kind=np.zeros(0, dtype=np.int8), blocks=(), rows=())


def _limits(clock: Clock, settings: Settings) -> Limits:
    """What is left of the clock, running."""
    left, end = clock.left, time.monotonic()
    return Limits(seconds=left, memory=settings.memory, threads=settings.threads, seed=settings.seed, end=end + left)


def root_lp(solved: Solved, clock: Clock, settings: Settings) -> float | None:
    """The optimum of the program without the network's integrality, over the same disjuncts; None if it has none."""
    program, method, answer = solved.program, solved.method, solved.answer
    if program.objective is None or Feature.PRODUCTS in program.features or not method.optimise:
        return None
    if not method.exact:
        return answer.objective if answer.status is Status.OPTIMAL else None
    with clock.step("root LP") as notes:
        limits = Limits(seconds=max(clock.left, 1.5), memory=settings.memory, threads=settings.threads)
        root = taking(find(method.solver), program.features).solve(program.relax(), limits, Goal(decide=False))
        notes.append(f"{root.bound:.6g}")
    return root.objective if root.status is Status.OPTIMAL else None
