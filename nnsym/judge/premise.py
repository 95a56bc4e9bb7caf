"""Does a verdict speak of any input at all? What is asked, in the same budget, once every point was ruled out.

Whoever rules out all violations need not have noticed that the precondition alone leaves none: a solver says unsat of
the whole, a bound of the conclusion is positive everywhere. A point of the precondition settles it at no cost; where
none is found the exact encoding is asked about the precondition alone, for no longer than the verdict itself took.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnsym.bounds.domains import exact_boxes
from nnsym.bounds.points.starts import starts
from nnsym.ir.formula import Atoms, leaves
from nnsym.ir.query import Query, Reading
from nnsym.judge.method import PASSED, Method, Settings
from nnsym.judge.repair import repaired
from nnsym.replay import found_at
from nnsym.results.clock import Clock, Deadline
from nnsym.results.result import Result, Trust, Verdict

_LEAST = 5.0  # seconds that the question may take, however short the run was: solvers are loaded in them
_BOXES, _POINTS = 16, 8


def with_premise(query: Query, result: Result, method: Method, clock: Clock, settings: Settings) -> Result:
    """The result, ``vacuous`` where no input satisfies the precondition; what decides that gives the trust."""
    exists = query.reading is Reading.EXISTS
    known = np.isfinite(result.lower if exists else result.upper)  # the margin of a point that meets the precondition
    if result.status is not (Verdict.FALSIFIED if exists else Verdict.VERIFIED) or result.vacuous or known:
        return result
    asked = query.precondition()
    if not leaves(asked.formula) and not query.balls:
        return result
    if not any(isinstance(leaf, Atoms) and leaf.soft for leaf in leaves(query.formula)):
        return _vacuous(result, result.trust, clock)  # nothing but the precondition was asked for
    with clock.step("precondition") as notes:
        met = _is_met(asked, clock.deadline())
        notes.append("a point satisfies it" if met else "no point is at hand")
    if met or clock.left <= 0:
        return replace(result, trail=tuple(clock.trail))
    return _ask(asked, result, method, clock, settings)


def _is_met(asked: Query, deadline: Deadline) -> bool:
    """True if one of a few points satisfies the precondition, or one that is repaired does; exactly."""
    boxes = exact_boxes(asked, limit=_BOXES)
    if not boxes:
        return False
    points = starts(asked, boxes, count=_POINTS)
    moved = asked.move_inside(points)
    values = asked.values(moved)
    needed = {node: values[node] for node in (*asked.inputs, *asked.rows.parts)}
    count = len(next(iter(moved.values())))
    for k in range(count):
        if asked.margin({node: v[k] for node, v in needed.items()}) < np.inf:
            return found_at(asked, {x: v[k] for x, v in moved.items()}, deadline=deadline) is not None
    near = repaired(asked, {x: v[0] for x, v in moved.items()}, conclusion=True, seconds=deadline.left)
    return any(found_at(asked, point, deadline=deadline) is not None for point in near)


def _ask(asked: Query, result: Result, method: Method, clock: Clock, settings: Settings) -> Result:
    """The exact encoding on the precondition alone, on a clock of its own."""
    from nnsym.judge.programs.methods import program  # start: most preconditions are met by a point at hand

    seconds = min(clock.left, max(_LEAST, clock.elapsed))
    try:
        # by bounds of our own: those of the method may be an object that no text names
        chosen = method if method.rational else program("smt", solver="z3", bounds="crown")
        with clock.step("precondition") as notes:
            said = chosen.judge(asked, Clock(seconds), replace(settings, relaxation=False))
            notes.append(f"{chosen.name}: {said.reason}")
    except PASSED as error:
        clock.note("precondition", str(error))
        return replace(result, trail=tuple(clock.trail))
    if said.status is Verdict.FALSIFIED:
        return _vacuous(result, said.trust, clock)
    return replace(result, trail=tuple(clock.trail))


def _vacuous(result: Result, trust: Trust | None, clock: Clock) -> Result:
    reason = "the precondition is empty: no input satisfies it"
    end = -np.inf if result.reading is Reading.EXISTS else np.inf
    seconds = {**result.seconds, "precondition": clock.seconds.get("precondition", 0.0), "total": clock.elapsed}
    return replace(
        result,
        reason=reason,
        trust=trust,
        vacuous=True,
        lower=end,
        upper=end,
        lower_trust=trust,
        upper_trust=trust,
        seconds=seconds,
        trail=tuple(clock.trail),
    )
