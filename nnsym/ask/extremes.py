"""``minimize`` and ``maximize``: a certified interval round the optimum of a term.

A term is a query whose soft row is that term, so everything that judges properties bounds it: bounds and LPs by duals,
MILPs by the solver's dual bound, SMT by bisection, each step of which is decided in rationals. The other side is
always the term's value at a point where the network was run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.ask.verify import FIRST, as_meant
from nnsym.encoding import Encoding, Form
from nnsym.errors import MissingBoundsError, SolverUnavailableError, UnsupportedError
from nnsym.ir.exact import nearest, to_fractions
from nnsym.ir.node import Input
from nnsym.ir.query import Query
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
from nnsym.judge.repair import repaired
from nnsym.judge.run import (
    BOUNDS_SHARE,
    Settings,
    bound,
    candidate_of,
    facts_of,
    judge_program,
    measure,
    probe,
    require_bounded,
    solve,
)
from nnsym.judge.verdict import Floor, facts_about, floor
from nnsym.lang.algebra.terms import as_term
from nnsym.lang.statements.objective import objective
from nnsym.replay import attained, inputs_of
from nnsym.results import ranges as options
from nnsym.results.clock import Clock
from nnsym.results.optimum import Optimum
from nnsym.results.result import Semantics, Sizes, Trust, Verdict, Witness
from nnsym.solvers.base import Progress, Solver, Status

Array = NDArray[Any]

#: So many of the best candidates of a counter-search are run.
_RUN = 3

#: How far a point that misses the condition is moved towards one that does not, in turn.
_TOWARDS = tuple(Fraction(1, 2**k) for k in (40, 34, 28, 22, 16))


def minimize(
    term: object,
    method: MethodChoice | None = None,
    *,
    where: object = None,
    encoding: str | Encoding | None = None,
    solver: str | Solver | None = None,
    bounds: BoundsChoice = "crown",
    precision: float = 1e-6,
    timeout: float = 60.0,
    memory: int = 8 * 2**30,
    semantics: str | Semantics = Semantics.REAL,
    threads: int = 1,
    seed: int = 0,
    device: str = "cpu",
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Optimum:
    """The least value of a term where ``where`` holds, as an interval: ``lower <= min term <= upper``.

    Args:
        term: one number of the language, over any variables; all of them range over ``where``.
        method: as for :func:`nnsym.ask.verify.verify`. With none, sampling and bounds; if they leave a gap a MILP; SMT
            where an input has no bounds or a solver's point was lost.
        where: a formula, or an iterable of formulas that all hold. Strict inequalities are closed for ``lower``.
        encoding: the same, for an encoding.
        solver: a lane; each encoding has a default.
        bounds: what feeds the encoding.
        precision: stop once ``upper - lower`` is at most this, times ``|upper|`` beyond 1.
        timeout: wall seconds for everything.
        memory: bytes the solver's process may use.
        semantics: the function whose values are meant, ``real`` or ``deployed`` (:func:`nnsym.ask.verify.verify`).
        threads: threads of the solver.
        seed: seed of sampling and of the solver.
        device: where bounds are computed.
        progress: called with (lower bound, best value) as a solver improves them.
        clock: a budget that has been running already.

    Raises:
        MissingBoundsError: the method that was named needs bounds of an input that ``where`` leaves open.
        InputError, UnsupportedError, SolverUnavailableError: as for ``verify``.
    """
    timeout, precision = options.seconds(timeout), options.precision(precision)
    chosen = resolve(method, encoding=encoding, solver=solver, bounds=bounds, optimise=True)
    settings = Settings(memory=memory, threads=threads, seed=seed, device=device, progress=progress)
    running = clock if clock is not None else Clock(timeout)
    query, trouble = as_meant(objective(term, where), semantics, running, settings)
    return _optimum(query, FIRST if trouble else chosen, running, settings, precision)


def maximize(term: object, method: MethodChoice | None = None, **options: Any) -> Optimum:
    """The greatest value of a term, ``lower <= max term <= upper``: :func:`minimize` of its negative.

    ``upper`` is the proved side, ``lower`` the value at :attr:`Optimum.point`. The options are those of ``minimize``.
    """
    least = minimize(-as_term(term), method, **options)
    point = least.point and replace(least.point, margin=0.0 - least.point.margin)  # never -0.0
    return replace(
        least,
        goal="maximum",
        lower=0.0 - least.upper,
        upper=0.0 - least.lower,
        lower_trust=least.upper_trust,
        upper_trust=least.lower_trust,
        point=point,
    )


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class _Found:
    """The interval so far: a proved floor, and the best point that was run."""

    floor: Floor = field(default_factory=Floor)
    point: Witness | None = None
    sizes: Sizes = field(default_factory=Sizes)

    @property
    def value(self) -> float:
        return np.inf if self.point is None else self.point.margin

    def better(self, other: _Found) -> _Found:
        """The stronger side of each."""
        strong = max(self.floor, other.floor, key=lambda f: f.bound)
        sizes = other.sizes if other.sizes.columns else self.sizes
        return _Found(floor=strong, point=min(self, other, key=lambda f: f.value).point, sizes=sizes)

    def closed(self, precision: float) -> bool:
        """True where nothing is left to find: no point at all, or a finite interval of the width that was asked."""
        if self.floor.empty:
            return True
        width = self.value - self.floor.bound
        return bool(np.isfinite(width)) and width <= precision * max(1.0, abs(self.value))


def _optimum(query: Query, method: Method, clock: Clock, settings: Settings, precision: float) -> Optimum:
    from nnsym.results.versions import versions

    name = method.name
    if query.empty_box:
        found = _Found(floor=floor(replace(facts_about(query), empty=True)))
    else:
        found = _attacked(query, method if isinstance(method, AttackMethod) else FIRST, clock, settings, share=0.1)
        match method:
            case BoundMethod():
                found = found.better(_by_bounds(query, method.source, clock, settings))
            case ProgramMethod():
                found = _by_method(query, method, found, clock, settings, precision)
            case Portfolio():
                found, name = _portfolio(query, method, found, clock, settings, precision)
    solved = method if isinstance(method, ProgramMethod) else None
    proved, empty = found.floor, found.floor.empty
    value = np.inf if empty else found.value
    return Optimum(
        goal="minimum",
        query=query.runs or query,
        semantics=Semantics.REAL if query.runs is None else Semantics.DEPLOYED,
        lower=min(proved.bound, value),  # a solver's own bound may be off by its tolerance
        upper=value,
        lower_trust=proved.trust,
        upper_trust=proved.trust if empty else None if found.point is None else Trust.EXACT,
        tau=proved.tau,
        point=None if empty else found.point,
        empty=empty,
        method=name,
        encoding=solved.encoding.name if solved else "",
        solver=solved.solver if solved else "",
        bounds=method.bounds,
        sizes=found.sizes,
        seconds={**clock.seconds, "total": clock.elapsed},
        trail=tuple(clock.trail),
        versions=versions(solved.solver if solved else None),
    )


def _attacked(query: Query, method: AttackMethod, clock: Clock, settings: Settings, share: float) -> _Found:
    """The least value that a counter-search reaches; it takes no more than ``share`` of the time that is left."""
    from nnsym.bounds.points.attack import search

    seed = settings.seed if method.seed is None else method.seed
    with clock.step("attack") as notes:
        found = search(
            query,
            restarts=method.restarts,
            steps=method.steps,
            seed=seed,
            seconds=share * clock.left,
            device=settings.device,
        )
        runs = (attained(query, found[k]) for k in range(min(len(found), _RUN)) if found.margin[k] < np.inf)
        best = min((run for run in runs if run is not None), key=lambda run: run.margin, default=None)
        notes.append("no point of the domain" if best is None else f"least value {best.margin:.9g}")
    return _Found(point=best)


def _by_bounds(query: Query, source: str, clock: Clock, settings: Settings) -> _Found:
    _, lower = bound(query, source, clock, settings)
    require_bounded(query, lower)
    return _Found(floor=floor(replace(facts_about(query), certified=lower)))


#: What the default method solves, in turn. The LP is for nodes without an exact rule, SMT for inputs without bounds.
_SOLVED = (("bigm", "highs"), ("triangle", "highs"), ("smt", "z3"))

_LOOSE = 1e-4  # a gap that a MILP's tolerances may leave, as a share of the value beyond 1: no reason to ask once more
_MANY = 200  # binaries of a MILP beyond which rationals will not narrow what it found


def _portfolio(
    query: Query, method: Portfolio, found: _Found, clock: Clock, settings: Settings, precision: float
) -> tuple[_Found, str]:
    """Bounds, then a MILP, an LP, SMT: until one that is exact leaves no more than rounding does, or time runs out.

    What cannot take the question, or needs bounds that the inputs do not have, is passed over and the trail says so.
    """
    name = f"portfolio: {method.bounds}"
    try:
        found = found.better(_by_bounds(query, method.bounds, clock, settings))
    except (MissingBoundsError, UnsupportedError) as error:
        clock.note("passed over", str(error))
    if found.closed(precision):
        return found, name
    for encoding, solver in _SOLVED:
        if clock.left <= 0:
            break
        try:
            chosen = program(encoding, solver=solver, bounds=method.bounds, optimise=solver != "z3")
            found = _by_method(query, chosen, found, clock, settings, precision)
        except (UnsupportedError, MissingBoundsError, SolverUnavailableError) as error:
            clock.note("passed over", str(error))
            continue
        name = f"portfolio: {chosen.name}"
        hopeless = is_exact(chosen) and found.point is not None and found.sizes.binary > _MANY
        if hopeless or found.closed(max(precision, _LOOSE) if is_exact(chosen) else precision):
            break
    return found, name


def _by_method(
    query: Query, method: ProgramMethod, found: _Found, clock: Clock, settings: Settings, precision: float
) -> _Found:
    from nnsym.solvers.registry import find

    if method.encoding.form is Form.BOOLEAN or find(method.solver).exact:
        return _bisect(query, method, found, clock, settings, precision)
    return found.better(_by_program(query, replace(method, optimise=True), found.point, clock, settings))


def _by_program(
    query: Query, method: ProgramMethod, anchor: Witness | None, clock: Clock, settings: Settings
) -> _Found:
    """One program in margin form: its dual bound, and the network run at its point."""
    from nnsym.solvers.registry import check_query

    check_query(query, method.encoding, method.solver)
    bounds, lower = bound(query, method.bounds, clock, settings, share=BOUNDS_SHARE)
    built, answer = solve(query, method, bounds, clock, settings)
    point = None
    if answer.point is not None:
        with clock.step("replay") as notes:
            point = _run(query, candidate_of(query, built, answer), anchor, clock)
            notes.append("the condition fails there" if point is None else f"value {point.margin:.9g}")
    facts = facts_of(query, method, built, lower, answer)
    if facts.status is Status.INFEASIBLE or floor(facts).trust is Trust.SOLVER:
        facts = probe(query, built, facts, clock)
    if point is not None:
        facts = replace(facts, attained=min(facts.attained, point.margin))
    return _Found(floor=floor(facts), point=point, sizes=measure(built, 0))


def _run(query: Query, candidate: Mapping[Input, Array], anchor: Witness | None, clock: Clock) -> Witness | None:
    """The best run of a candidate, of points just beside it, and of where descent leads from it.

    A solver's point may miss a row of the condition by its tolerance. Then it is moved onto the row in rationals
    (:mod:`nnsym.judge.repair`), and where that finds nothing, towards ``anchor``, which satisfies the condition.
    """
    from nnsym.bounds.points.attack import descend

    near = descend(query, {x: nearest(v)[None] for x, v in candidate.items()}, steps=40)[0]
    first = attained(query, candidate)
    runs = [first, attained(query, near)]
    if first is None:
        runs.append(_first(query, repaired(query, candidate, conclusion=False, seconds=clock.left)))
    if first is None and runs[-1] is None and anchor is not None:
        aim = {x: to_fractions(v) for x, v in inputs_of(query, anchor).items()}
        start = {x: to_fractions(v) for x, v in candidate.items()}
        beside = ({x: v + share * (aim[x] - v) for x, v in start.items()} for share in _TOWARDS)
        runs.append(_first(query, beside))
    return min((run for run in runs if run is not None), key=lambda run: run.margin, default=None)


def _first(query: Query, points: Iterable[Mapping[Input, Array]]) -> Witness | None:
    """The run at the first of the points that satisfies the condition."""
    return next(filter(None, (attained(query, point) for point in points)), None)


def _bisect(
    query: Query, method: ProgramMethod, found: _Found, clock: Clock, settings: Settings, precision: float
) -> _Found:
    """Halve the interval by exact decisions "is the term at most c somewhere?", each a query of its own.

    A point that was just found is first asked to be optimal: its value less the precision.
    """
    _, lower = bound(query, method.bounds, clock, settings)
    found = found.better(_Found(floor=floor(replace(facts_about(query), certified=lower))))
    if found.point is None and not found.floor.empty:
        found = found.better(_feasible(query, method, clock, settings))
    step, hopeful = 1.0, True
    while found.point is not None and not found.closed(precision) and clock.left > 0:
        low, high = found.floor.bound, found.value
        wide = precision * max(1.0, abs(high))
        threshold = high - wide if hopeful else high - step if low == -np.inf else low + (high - low) / 2
        if not low < threshold < high or step > 2.0**100:
            break
        result = judge_program(query.shifted(-Fraction(threshold)), method, clock, settings)
        if result.status is Verdict.UNKNOWN:
            break
        if result.counterexample is None:
            hopeful = False
            found = found.better(_Found(floor=Floor(bound=threshold, trust=result.trust), sizes=result.sizes))
            continue
        point = _run(query, inputs_of(query, result.counterexample), found.point, clock)
        hopeful, step = not hopeful, step * 2
        found = found.better(_Found(point=point, sizes=result.sizes))
    return found


def _feasible(query: Query, method: ProgramMethod, clock: Clock, settings: Settings) -> _Found:
    """A point of the condition, or that there is none."""
    result = judge_program(query.precondition(), method, clock, settings)
    if result.status is Verdict.FALSIFIED:
        return _Found(floor=Floor(bound=np.inf, trust=result.trust, empty=True))
    if result.witness is None:
        return _Found()
    return _Found(point=_run(query, inputs_of(query, result.witness), None, clock))
