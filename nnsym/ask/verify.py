"""``verify``: one property, one verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nnsym.deployed.statement import is_stored
from nnsym.encoding import Encoding, Form
from nnsym.errors import InputError, MissingBoundsError, SolverUnavailableError, UnsupportedError
from nnsym.ir.query import Query, Reading
from nnsym.judge.methods import (
    AttackMethod,
    BoundMethod,
    BoundsChoice,
    Method,
    MethodChoice,
    Portfolio,
    ProgramMethod,
    is_exact,
    program,
    resolve,
)
from nnsym.judge.premise import with_premise
from nnsym.judge.run import BOUNDS_SHARE, Settings, conclude, judge_attack, judge_bounds, judge_program
from nnsym.judge.verdict import facts_about, rule
from nnsym.results import ranges as options
from nnsym.results.clock import Clock, OutOfTime
from nnsym.results.result import Deployed, Result, Semantics, Sizes, Verdict
from nnsym.solvers.base import Progress, Solver

Array = NDArray[Any]


class HasQuery(Protocol):
    """A property: anything that knows its query."""

    @property
    def query(self) -> Query: ...


def verify(
    prop: HasQuery | Query,
    method: MethodChoice | None = None,
    *,
    encoding: str | Encoding | None = None,
    solver: str | Solver | None = None,
    bounds: BoundsChoice = "crown",
    timeout: float = 60.0,
    memory: int = 8 * 2**30,
    optimise: bool = False,
    relaxation: bool = False,
    shortcut: bool = True,
    slack: object = 0,
    semantics: str | Semantics = Semantics.REAL,
    threads: int = 1,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Result:
    """Verify a property by one method, or by a short portfolio if none is named.

    Args:
        prop: a property (``nn.forall``, ``nn.exists``, ``nn.load_vnnlib``) or its query.
        method: bounds (``"ibp"``, ``"crown"`` ...), ``"attack"``, the name of an encoding, or a method value such as
            ``nn.milp("bigm")``.
        encoding: the same, for an encoding.
        solver: a lane (``nnsym solvers`` lists them); each encoding has a default.
        bounds: what feeds the encoding, a name such as ``"crown"`` (``nnsym methods`` lists them) or a source.
        timeout: wall seconds for everything: bounds, encoding, solving, replay.
        memory: bytes the solver's process may use.
        optimise: ask for the margin itself instead of its sign.
        relaxation: also report the bound of the program without integrality.
        shortcut: stop before encoding where the bounds decide.
        slack: judge the property with every comparison of its conclusion relaxed by this; the result says so.
        semantics: ``real``: the verdict speaks of the real function of the stored constants; ``deployed``: of every run
            of a stored network in its own dtype, in any order of summation.
        threads: threads of the solver.
        seed: seed of sampling and of the solver.
        device: where bounds are computed.
        progress: called with (lower bound, best value) as a solver improves them.
        clock: a budget that has been running already (time spent on loading counts).

    Returns:
        A :class:`nnsym.results.result.Result`; ``verified`` and ``falsified`` are never guesses (docs/numerics.md).

    Raises:
        InputError, UnsupportedError, SolverUnavailableError: before or instead of a verdict.
        MissingBoundsError: the method that was named needs bounds of an input; with none, SMT is asked.
    """
    timeout = options.seconds(timeout)
    query = prop if isinstance(prop, Query) else prop.query
    if query.reading is Reading.MINIMUM:
        raise InputError(
            "a term to minimise is neither true nor false", where=query.name, remedy="Use nn.minimize, or state a bound"
        )
    query = query.relaxed(slack) if slack else query
    chosen = resolve(method, encoding=encoding, solver=solver, bounds=bounds, optimise=optimise)
    running = clock if clock is not None else Clock(timeout)
    settings = Settings(
        memory=memory,
        threads=threads,
        seed=seed,
        relaxation=relaxation,
        shortcut=shortcut,
        device=device,
        progress=progress,
    )
    if query.empty_box:
        ruling = rule(replace(facts_about(query), empty=True))
        return conclude(query, chosen, ruling, running, lower=np.inf, bounds="", sizes=Sizes())
    query, trouble = as_meant(query, semantics, running, settings)
    if trouble:
        return unenclosed(query, chosen, trouble, running, settings)
    return with_premise(query, _judged(query, chosen, running, settings), chosen, running, settings)


def _judged(query: Query, method: Method, clock: Clock, settings: Settings) -> Result:
    match method:
        case BoundMethod():
            return judge_bounds(query, method, clock, settings)
        case AttackMethod():
            return judge_attack(query, method, clock, settings)
        case ProgramMethod():
            return _settled(query, judge_program(query, method, clock, settings), method, clock, settings)
        case Portfolio():
            return _portfolio(query, method, clock, settings)


def as_meant(query: Query, semantics: str | Semantics, clock: Clock, settings: Settings) -> tuple[Query, str]:
    """The query of the function that is meant, and why nothing encloses its float runs: ``overflow`` or ``timeout``.

    Raises :class:`InputError` for a word that names no semantics.
    """
    try:
        wanted = Semantics(semantics)
    except ValueError:
        known = ", ".join(s.value for s in Semantics)
        raise InputError(f"no semantics '{semantics}'", remedy=f"Use one of: {known}") from None
    if wanted is Semantics.REAL or not is_stored(query):
        return query, ""
    from nnsym.bounds.methods import compute, find_source
    from nnsym.deployed.enclose import enclose

    with clock.step("rounding errors") as notes:
        within = find_source("crown").until(clock.deadline(BOUNDS_SHARE), memory=settings.memory)
        try:
            bounds = compute(query, within, device=settings.device)
            enclosed = enclose(query, bounds, deadline=clock.deadline())
        except OutOfTime:
            notes.append("no time to bound them")
            return replace(query, runs=query), "timeout"
        if enclosed.overflow:
            notes.append(f"{enclosed.overflow} may leave the range of the stored numbers: nothing encloses its runs")
            return replace(query, runs=query), "overflow"
        largest = max((float(e.max()) for e in enclosed.errors.values()), default=0.0)
        notes.append(f"at most {largest:.3g} in a layer")
    return enclosed.query, ""


def unenclosed(query: Query, method: Method, trouble: str, clock: Clock, settings: Settings) -> Result:
    """Where nothing encloses the float runs no method proves anything of them; one may still violate the property."""
    found = judge_attack(query, FIRST, clock, settings)
    reason = found.reason if found.status is not Verdict.UNKNOWN else trouble
    return replace(found, method=method.name, reason=reason, trail=tuple(clock.trail))


#: A program with at most this many binaries is worth an exact re-check by SMT when its bound is within rounding.
_RECHECK_BINARIES = 40

#: Reasons for which it is asked again.
_RECHECKED = (
    "within_rounding",
    "reals_only",
    "floats_only",
    "spurious",
    "jump",
    "infeasible_unconfirmed",
    "solver_refuted",
    "beyond_float",
    "solver_error",
)


def _settled(query: Query, result: Result, method: ProgramMethod, clock: Clock, settings: Settings) -> Result:
    """Ask the exact SMT encoding where a tolerance solver's answer lies within rounding, or was refuted."""
    from nnsym.solvers.registry import find

    if (
        result.reason not in _RECHECKED
        or method.encoding.form is Form.BOOLEAN
        or result.sizes.binary > _RECHECK_BINARIES
        or clock.left < 0.5
    ):
        return result
    if method.encoding.relaxed or not find("z3").availability().available:
        return result
    if not is_exact(method):
        return result
    clock.note("exact check", f"{result.reason}: the SMT encoding decides in rational arithmetic")
    exact = judge_program(
        query, program("smt", solver="z3", bounds=method.bounds), clock, replace(settings, relaxation=False)
    )
    if exact.status is Verdict.UNKNOWN:
        return replace(result, trail=tuple(clock.trail))
    lower, upper = max(result.lower, exact.lower), min(result.upper, exact.upper)
    if lower > upper:  # a solver's bound, off by its tolerance
        lower, upper = exact.lower, exact.upper
    return replace(
        result,
        status=exact.status,
        reason=exact.reason + " (exact re-check)",
        trust=exact.trust,
        vacuous=exact.vacuous,
        counterexample=exact.counterexample,
        witness=exact.witness,
        lower=lower,
        upper=upper,
        seconds=exact.seconds,
        trail=tuple(clock.trail),
    )


#: What is tried before anything is bounded: a fraction of a second on networks of the usual sizes.
FIRST = AttackMethod(restarts=16, steps=60)


#: What decides the rest. Where a node has no exact rule, or products no lane at hand, the LP comes before rationals.
_SECOND = (("bigm", "highs"), ("triangle", "highs"), ("smt", "z3"))


def _portfolio(query: Query, method: Portfolio, clock: Clock, settings: Settings) -> Result:
    first = judge_attack(query, FIRST, clock, settings, share=0.1)
    if first.status is not Verdict.UNKNOWN:
        return replace(first, method="portfolio: attack")
    decided = _rest(query, method, first, clock, settings)
    return decided if first.deployed is Deployed.OPEN else replace(decided, deployed=first.deployed)


def _rest(query: Query, method: Portfolio, first: Result, clock: Clock, settings: Settings) -> Result:
    """What decides after the counter-search; its own answer where nothing takes the question."""
    best: Result | None = None
    for encoding, solver in _SECOND:
        try:
            chosen = program(encoding, solver=solver, bounds=method.bounds)
            result = judge_program(query, chosen, clock, settings)
        except (UnsupportedError, MissingBoundsError, SolverUnavailableError) as error:
            clock.note("passed over", str(error))
            continue
        result = _settled(query, result, chosen, clock, settings)
        decided = method.bounds if result.sizes.columns == 0 else result.method
        best = replace(result, method=f"portfolio: {decided}")
        if is_exact(chosen) or result.status is not Verdict.UNKNOWN:
            return best
    if best is not None:
        return best
    try:
        last = judge_bounds(query, BoundMethod(source=method.bounds), clock, settings)
    except MissingBoundsError as error:
        clock.note("passed over", str(error))
        return replace(first, method="portfolio", trail=tuple(clock.trail))
    return replace(last, method="portfolio")
