"""The optimum of a term by a program's dual bound, or by bisection; the other side is a point that was run."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from nnsym.encoding import Form
from nnsym.ir.query import Query
from nnsym.judge.least import Least, run_beside
from nnsym.judge.method import Settings
from nnsym.judge.programs.encoded import EncodedMethod
from nnsym.judge.programs.interpret import probe
from nnsym.judge.programs.solving import judge_program, solve
from nnsym.judge.run import BOUNDS_SHARE, bound
from nnsym.judge.verdict import Floor, facts_about, floor
from nnsym.replay import inputs_of
from nnsym.results.clock import Clock
from nnsym.results.result import Trust, Verdict
from nnsym.solvers.base import Status
from nnsym.solvers.registry import check_fits, check_query, find


def by_program(
    query: Query, method: EncodedMethod, found: Least, clock: Clock, settings: Settings, precision: float
) -> Least:
    """By its dual bound where the lane has one, by bisection where it decides in rationals."""
    check_fits(method.encoding, method.solver)
    if method.encoding.form is Form.BOOLEAN or find(method.solver).exact:
        return _bisect(query, method, found, clock, settings, precision)
    return _solved(query, replace(method, optimise=True), found, clock, settings, precision)


def _solved(
    query: Query, method: EncodedMethod, found: Least, clock: Clock, settings: Settings, precision: float
) -> Least:
    """One program in margin form: its dual bound, and the network run at its point. Bounds may close the interval."""
    check_query(query, method.encoding, method.solver)
    bounds, lower = bound(query, method.bounds, clock, settings, share=BOUNDS_SHARE)
    bounded = found.better(Least(floor=floor(replace(facts_about(query), certified=lower)), by=method.bounds))
    if settings.shortcut and bounded.closed(precision):
        return bounded
    solved = solve(query, method, bounds, clock, settings, lower=lower)
    point, candidate, facts = None, solved.candidate, solved.facts
    if candidate is not None:
        with clock.step("replay") as notes:
            point = run_beside(query, candidate, found.point, clock)
            notes.append("the condition fails there" if point is None else f"value {point.margin:.9g}")
    if facts.status is Status.INFEASIBLE or floor(facts).trust is Trust.SOLVER:
        facts = probe(query, solved.program, facts, clock)
    if point is not None:
        facts = replace(facts, attained=min(facts.attained, point.margin))
    return replace(bounded, by="").better(Least(floor=floor(facts), point=point, sizes=solved.sizes()))


def _bisect(
    query: Query, method: EncodedMethod, found: Least, clock: Clock, settings: Settings, precision: float
) -> Least:
    """Halve the interval by exact decisions "is the term at most c somewhere?", each a query of its own.

    A point that was just found is first asked to be optimal: its value less the precision.
    """
    _, lower = bound(query, method.bounds, clock, settings)
    found = found.better(Least(floor=floor(replace(facts_about(query), certified=lower))))
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
            found = found.better(Least(floor=Floor(bound=threshold, trust=result.trust), sizes=result.sizes))
            continue
        point = run_beside(query, inputs_of(query, result.counterexample), found.point, clock)
        hopeful, step = not hopeful, step * 2
        found = found.better(Least(point=point, sizes=result.sizes))
    return found


def _feasible(query: Query, method: EncodedMethod, clock: Clock, settings: Settings) -> Least:
    """A point of the condition, or that there is none."""
    result = judge_program(query.precondition(), method, clock, settings)
    if result.status is Verdict.FALSIFIED:
        return Least(floor=Floor(bound=np.inf, trust=result.trust, empty=True))
    if result.witness is None:
        return Least()
    return Least(point=run_beside(query, inputs_of(query, result.witness), None, clock))
