"""What bounds, a counter-search and a program establish about a query: run, solved, replayed, probed."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np

from nnsym.bounds.base import MEMORY, TIMEOUT, Bounds
from nnsym.bounds.domains import domain_margin
from nnsym.bounds.methods import compute, layers, margin
from nnsym.bounds.rational.exact import exact_margin
from nnsym.bounds.sources import FloatBoxes
from nnsym.encode.walk import closes
from nnsym.encoding import Exactness, Form
from nnsym.errors import MissingBoundsError
from nnsym.ir.array import Array
from nnsym.ir.exact import nearest_float
from nnsym.ir.names import node_names
from nnsym.ir.node import Input
from nnsym.ir.query import Query
from nnsym.judge.build import build
from nnsym.judge.conclude import Established, conclude, error_beside
from nnsym.judge.method import Settings
from nnsym.judge.paired import Paired
from nnsym.judge.probe import NOISE, least_margin, margins, nominal_violation
from nnsym.judge.repair import repaired
from nnsym.judge.verdict import Facts, facts_about, rule, tight
from nnsym.program import Feature, Kind, Program
from nnsym.relaxation.sources import find_source
from nnsym.replay import Outcome, Replay, confirm, replay_once, stronger
from nnsym.replay import replay as run_replay
from nnsym.results.clock import Clock, Deadline, OutOfTime
from nnsym.results.result import Result, Sizes, Trust
from nnsym.solvers.base import Answer, Goal, Limits, Status
from nnsym.solvers.lane import resolved
from nnsym.solvers.outer import GAP, taking
from nnsym.solvers.registry import check_fits, check_query, find, naming_others
from nnsym.solvers.split import solve_split, worth_splitting

#: A solver's point with at most this objective is replayed and polished as a counterexample.
NEAR_ZERO = 1e-5


_BYTES, _EACH_SECOND = 48, 5_000_000  # of a program for each coefficient; coefficients that are written in a second

_SAID = {
    Outcome.CONFIRMED: "confirmed",
    Outcome.BOUNDARY: "a point of the other function only: floats and reals differ by rounding",
    Outcome.UNDECIDED: "within rounding of the threshold: neither confirmed nor refuted",
    Outcome.SPURIOUS: "not confirmed",
}


def establish_bounds(query: Query, source: str, clock: Clock, settings: Settings) -> Established:
    """Bounds alone: they may rule the violation out."""
    bounds, lower = bound(query, source, clock, settings)
    if not bounds.ended:
        require_bounded(query, lower)
    facts = settle_tight(query, bounds, replace(facts_about(query), certified=lower), clock)
    return Established(
        facts=facts,
        bounds=source,
        sizes=_open(query, bounds),
        ended=bounds.ended,
        error=error_beside(query, rule(facts), bounds, clock),
    )


def establish_bounds_each(
    query: Query, source: str, boxes: FloatBoxes, clock: Clock, settings: Settings
) -> list[Established]:
    """The same on each box of a batch, less what is looked at one by one: ties with the threshold, float errors."""
    with clock.step("bounds") as notes:
        within = find_source(source).until(clock.deadline(), memory=settings.memory)
        bounds = compute(query, within, boxes=boxes, device=settings.device)
        count = len(bounds.rows.lower)
        notes.append(f"{source} on {count} boxes")
    facts = facts_about(query)
    return [
        Established(facts=replace(facts, certified=margin(query, bounds.box(k))), bounds=source, ended=bounds.ended)
        for k in range(count)
    ]


#: So many of the best candidates of an attack are replayed.
_REPLAYED = 5


def establish_attack(
    query: Query, clock: Clock, settings: Settings, *, restarts: int, steps: int, seed: int, share: float = 1.0
) -> Established:
    """A counter-search: a candidate that replay confirms, else the least margin that was replayed.

    It takes no more than ``share`` of the time that is left.
    """
    from nnsym.bounds.points.attack import search  # heavy: torch

    seconds, device = share * clock.left, settings.device
    with clock.step("attack") as notes:
        found = search(query, restarts=restarts, steps=steps, seed=seed, seconds=seconds, device=device)
        least = f"{found.margin[0]:.6g}" if len(found) else "none"
        notes.append(f"{steps} steps from {len(found)} points: least margin {least}")
    with clock.step("replay") as notes:
        hopeful = [k for k in range(min(len(found), _REPLAYED)) if found.margin[k] < NEAR_ZERO or k == 0]
        points = (found[k] for k in hopeful if found.margin[k] < np.inf)
        replayed = confirm(query, points, deadline=clock.deadline())
        notes.append(f"{_SAID[replayed.outcome]}, margin {replayed.margin:.6g}")
    late = not clock.left and replayed.outcome not in (Outcome.BOUNDARY, Outcome.UNDECIDED)
    facts = replace(facts_about(query), replay=replayed.outcome)
    return Established(facts=facts, replayed=replayed, ended="timeout" if late else "")


def require_bounded(query: Query, lower: float) -> None:
    """Bounds say nothing where the region is open: name the input instead of answering ``unknown``."""
    if lower > -np.inf:
        return
    for x, box in query.boxes.items():
        low, high = box.outer
        for k in np.flatnonzero(np.isinf(low) | np.isinf(high)):
            raise MissingBoundsError(
                f"element {k} has bounds [{low[k]:g}, {high[k]:g}] and the margin depends on it",
                where=f"input '{x.name}'",
                remedy="Bound it in the property (nn.box), or use an encoding that needs no bounds (smt)",
            )


#: The part of the time left that bounds may take where a program is to be solved after them.
BOUNDS_SHARE = 0.5


def bound(query: Query, source: str, clock: Clock, settings: Settings, *, share: float = 1.0) -> tuple[Bounds, float]:
    """Bounds of every node on the domain's hull, and the margin's lower bound over its disjuncts.

    ``share`` is the part of the time left that they may take. What they found by then counts (``Bounds.ended``).
    """
    with clock.step("bounds") as notes:
        within = find_source(source).until(clock.deadline(share), memory=settings.memory)
        lower, bounds = domain_margin(query, within, device=settings.device)
        together = ", over differences" if bounds.differences else ""
        notes.append(f"{source}{together}: margin >= {lower:.6g}")
        if bounds.ended:
            notes.append(f"{bounds.ended} before all was bounded")
        if query.assumed:
            names = node_names(query.nodes)
            notes.append(f"ASSUMED, not proved: bounds of {', '.join(names[node] for node in query.assumed)}")
    return bounds, lower


def settle_tight(query: Query, bounds: Bounds, facts: Facts, clock: Clock) -> Facts:
    """Re-evaluate a bound within rounding of the threshold in exact rationals."""
    if facts.certified > 0 or not tight(facts):
        return facts
    with clock.step("exact check") as notes:
        exact = exact_margin(query, bounds, deadline=clock.deadline())
        why = "too large or not piecewise linear" if clock.left else "no time"
        notes.append(why if exact is None else f"margin >= {nearest_float(exact):.6g} exactly")
    if exact is None:
        return facts
    if isinstance(exact, float):  # an infinity: no soft atom is left
        return replace(facts, certified=max(facts.certified, exact))
    return replace(facts, exact_bound=exact)


def judge_program(query: Query, method: Paired, clock: Clock, settings: Settings) -> Result:
    """What :func:`nnsym.judge.verdict.rule` says of one program."""
    return conclude(query, method, establish_program(query, method, clock, settings), clock)


def establish_program(query: Query, method: Paired, clock: Clock, settings: Settings) -> Established:
    """Bounds, encoding, solver, replay."""
    check_fits(method.encoding, method.solver)
    check_query(query, method.encoding, method.solver)
    bounds, lower = bound(query, method.bounds, clock, settings, share=BOUNDS_SHARE)
    known = replace(facts_about(query), certified=lower)
    early = rule(known)
    sizes = _open(query, bounds)
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


def solve(query: Query, method: Paired, bounds: Bounds, clock: Clock, settings: Settings) -> tuple[Program, Answer]:
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


def _nothing(method: Paired, why: str, said: str) -> tuple[Program, Answer]:
    """The answer where nothing was handed over."""
    status = Status.MEMORY_LIMIT if why == MEMORY else Status.TIME_LIMIT
    answer = Answer(status=status, solver=method.solver, raw="not begun", message=said)
    none = np.zeros(0)
    return Program(lower=none, upper=none, kind=np.zeros(0, dtype=np.int8), blocks=(), rows=()), answer


def facts_of(query: Query, method: Paired, program: Program, lower: float, answer: Answer) -> Facts:
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


def read(query: Query, method: Paired, program: Program, lower: float, answer: Answer, clock: Clock) -> Facts:
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
    method: Paired,
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
            notes.append(f"{_SAID[replayed.outcome] if violating else 'evaluated'}, margin {replayed.margin:.6g}")
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


def relax_bound(program: Program, method: Paired, answer: Answer, clock: Clock, settings: Settings) -> float | None:
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


def _open(query: Query, bounds: Bounds) -> Sizes:
    return Sizes(unstable=sum(layer.unstable for layer in layers(query, bounds)))
