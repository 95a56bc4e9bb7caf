"""What a program establishes about a query: encoded on bounds, solved, read, replayed, probed."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np

from nnsym.bounds.base import MEMORY, TIMEOUT, Bounds
from nnsym.encode.walk import closes
from nnsym.encoding import Exactness, Form
from nnsym.errors import MissingBoundsError
from nnsym.ir.array import Array
from nnsym.ir.names import node_names
from nnsym.ir.node import Input
from nnsym.ir.query import Query
from nnsym.judge.conclude import Established, conclude, error_beside
from nnsym.judge.method import Settings
from nnsym.judge.probe import NOISE, least_margin, margins, nominal_violation
from nnsym.judge.programs.build import build
from nnsym.judge.programs.encoded import EncodedMethod
from nnsym.judge.repair import repaired
from nnsym.judge.run import BOUNDS_SHARE, NEAR_ZERO, SAID, bound, settle_tight, sizes_of
from nnsym.judge.verdict import Facts, facts_about, rule
from nnsym.program import Feature, Kind, Program
from nnsym.replay import Outcome, Replay, confirm, replay_once, stronger
from nnsym.replay import replay as run_replay
from nnsym.results.clock import Clock, Deadline, OutOfTime
from nnsym.results.result import Result, Sizes, Trust
from nnsym.solvers.base import Answer, Goal, Limits, Status
from nnsym.solvers.lane import resolved
from nnsym.solvers.outer import GAP, taking
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
    program, answer = solve(query, method, bounds, clock, settings)
    facts, replayed = interpret(query, method, bounds, lower, program, answer, clock)
    relaxation = relax_bound(program, method, answer, clock, settings) if settings.relaxation else None
    return Established(
        facts=facts,
        bounds=method.bounds,
        sizes=replace(measure(program, sizes.unstable), nodes=answer.nodes),
        replayed=replayed,
        relaxation=relaxation,
        answer=answer,
        error=error_beside(query, rule(facts), bounds, clock),
    )


def solve(
    query: Query, method: EncodedMethod, bounds: Bounds, clock: Clock, settings: Settings
) -> tuple[Program, Answer]:
    """Encode on the bounds and hand the program to the method's lane.

    Where time is over before the program is complete, or bounds that it needs were not reached in time, the answer is
    that of a lane at its limit, of an empty program.
    """
    goal = Goal(decide=not method.optimise)
    with clock.step("encode") as notes:
        end = clock.deadline()
        if trouble := _too_large(query, end, settings):
            notes.append("the program would be too large")
            return _nothing(method, trouble, notes[-1])
        try:
            program = build(query, bounds, method.encoding, limits=_limits(clock, settings), goal=goal, deadline=end)
            end.check()
        except (OutOfTime, MissingBoundsError) as error:
            if isinstance(error, MissingBoundsError) and not bounds.ended:
                raise
            said = "no time to encode" if isinstance(error, OutOfTime) else f"bounds ended early: {error}"
            notes.append(said)
            return _nothing(method, bounds.ended if isinstance(error, MissingBoundsError) else TIMEOUT, said)
        notes.append(
            f"{program.n_columns} columns ({program.n_binary} binary), {program.n_rows} rows, {program.nnz} nonzeros"
        )
        notes.extend(f"cuts: {said}" for said in (program.meta.get("cuts"),) if said)
    lane = taking(find(method.solver), program.features)
    with clock.step("solve") as notes:
        run = partial(solve_split, lane) if worth_splitting(program, lane) else lane.solve
        answer = naming_others(run(program, _limits(clock, settings), goal, settings.progress), program)
        notes.append(
            f"{answer.solver}: {answer.raw or answer.status.value}" + (f" ({answer.message})" if answer.message else "")
        )
    return program, answer


def _too_large(query: Query, end: Deadline, settings: Settings) -> str:
    """The limit that a program with all coefficients would break, else empty."""
    if _BYTES * query.entries > settings.memory:
        return MEMORY
    return TIMEOUT if query.entries > _EACH_SECOND * end.left else ""


def _nothing(method: EncodedMethod, why: str, said: str) -> tuple[Program, Answer]:
    """The answer where nothing was handed over."""
    status = Status.MEMORY_LIMIT if why == MEMORY else Status.TIME_LIMIT
    answer = Answer(status=status, solver=method.solver, raw="not begun", message=said)
    none = np.zeros(0)
    return Program(lower=none, upper=none, kind=np.zeros(0, dtype=np.int8), blocks=(), rows=()), answer


def facts_of(query: Query, method: EncodedMethod, program: Program, lower: float, answer: Answer) -> Facts:
    """What a solver's answer says, before anything of it is checked."""
    margin_form = method.encoding.form is Form.MARGIN
    claims = answer.bound > -np.inf or answer.status is Status.INFEASIBLE  # else nothing rests on the program's numbers
    return replace(
        facts_about(query),
        exactness=Exactness.EXACT if method.exact and answer.outside <= GAP else Exactness.OUTER,
        status=answer.status,
        certified=max(lower, answer.certified) if margin_form else lower,
        exact_bound=answer.certified_exact if margin_form else None,
        bound=answer.bound if margin_form else -np.inf,
        tau=answer.tau,
        exact_solver=answer.exact,
        resolved=answer.exact or not claims or resolved(program),
        conclusive_empty=answer.conclusive_empty,
        closed=closes(method.encoding, query),
        message=answer.message,
    )


def read(query: Query, method: EncodedMethod, program: Program, lower: float, answer: Answer, clock: Clock) -> Facts:
    """What a solver's answer says; what rests on its word alone is probed."""
    facts = facts_of(query, method, program, lower, answer)
    if not facts.conclusive_empty and rule(replace(facts, nominal=True)).trust is Trust.SOLVER:
        return probe(query, program, facts, clock)
    return facts


def _limits(clock: Clock, settings: Settings) -> Limits:
    """What is left of the clock, running."""
    left, end = clock.left, time.monotonic()
    return Limits(seconds=left, memory=settings.memory, threads=settings.threads, seed=settings.seed, end=end + left)


def interpret(
    query: Query,
    method: EncodedMethod,
    bounds: Bounds,
    lower: float,
    program: Program,
    answer: Answer,
    clock: Clock,
) -> tuple[Facts, Replay | None]:
    """Turn a solver's answer into facts: read it, replay its point, settle tight bounds."""
    margin_form = method.encoding.form is Form.MARGIN
    facts = read(query, method, program, lower, answer, clock)
    replayed = None
    if answer.point is not None:
        violating = answer.objective < NEAR_ZERO or not margin_form
        with clock.step("replay") as notes:
            candidate = candidate_of(query, program, answer)
            end = clock.deadline()
            attempt = run_replay if violating else replay_once
            replayed = attempt(query, candidate, deadline=end)
            if violating and replayed.outcome is not Outcome.CONFIRMED:
                near = repaired(query, candidate, conclusion=True, seconds=clock.left)
                replayed = stronger(replayed, confirm(query, near, deadline=end))
            notes.append(f"{SAID[replayed.outcome] if violating else 'evaluated'}, margin {replayed.margin:.6g}")
            here = margins(query, {x: v[None] for x, v in candidate.items()})
        facts = replace(facts, attained=min(facts.attained, float(here[0])))
        if violating or replayed.outcome is Outcome.CONFIRMED:
            facts = replace(facts, replay=replayed.outcome)
    if replayed is None or replayed.outcome is not Outcome.CONFIRMED:
        facts = settle_tight(query, bounds, facts, clock)
    return facts, replayed


def probe(query: Query, program: Program, facts: Facts, clock: Clock) -> Facts:
    """Look for a run of the network that contradicts what rests on the solver's word alone."""
    with clock.step("probing") as notes:
        attained = least_margin(query, deadline=clock.deadline())
        notes.append(f"least margin {attained:.6g}")
        if facts.status is not Status.INFEASIBLE:
            return replace(facts, attained=attained)
        worst, origin = nominal_violation(query, program)
        notes.append(f"nominal run violates rows by {worst:.3g} {origin}".rstrip())
    return replace(facts, attained=attained, nominal=worst <= NOISE and attained == np.inf)


def candidate_of(query: Query, program: Program, answer: Answer) -> dict[Input, Array]:
    """The solver's point as inputs, exact where the solver was."""
    names = node_names(query.nodes)
    values: Array = np.array(answer.exact_point, dtype=object) if answer.exact_point else np.asarray(answer.point)
    point: dict[Input, Array] = {}
    for x in query.inputs:
        block = next(b for b in program.blocks if b.node == names[x])
        point[x] = values[block.start : block.start + x.size]
    return point


def relax_bound(
    program: Program, method: EncodedMethod, answer: Answer, clock: Clock, settings: Settings
) -> float | None:
    """The optimum of the program without the network's integrality ("root LP"), over the same disjuncts."""
    if program.objective is None or Feature.PRODUCTS in program.features or not method.optimise:
        return None
    if not method.exact:
        return answer.objective if answer.status is Status.OPTIMAL else None
    with clock.step("root LP") as notes:
        limits = Limits(seconds=max(clock.left, 1.5), memory=settings.memory, threads=settings.threads)
        root = taking(find(method.solver), program.features).solve(program.relax(), limits, Goal(decide=False))
        notes.append(f"{root.bound:.6g}")
    return root.objective if root.status is Status.OPTIMAL else None


def measure(program: Program, unstable: int) -> Sizes:
    """Sizes for the table."""
    return Sizes(
        columns=program.n_columns,
        binary=int((program.kind == Kind.BINARY).sum()),
        rows=program.n_rows,
        nonzeros=program.nnz,
        unstable=unstable,
    )
