"""Replay: a counterexample counts only after it was evaluated at numbers that lie in the domain.

Two functions may be meant (docs/numerics.md). The *real* one, of the stored constants, is decided in outward intervals
or in rationals (:mod:`nnsym.replay.real`); then the stored models are run on the same point, and the witness says
whether they agree. The *deployed* one is what a stored model computes: a query whose ``runs`` names the query that is
run is decided by runs alone (:mod:`nnsym.replay.engine`). What the property itself computes is exact in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import nearest
from nnsym.ir.node import Input, Labels, Node, Point
from nnsym.ir.query import Query, Reading
from nnsym.replay.engine import EngineRun, run_engine
from nnsym.replay.orders import float_runs
from nnsym.replay.points import DomainPoint, beside, places, stored_dtype
from nnsym.replay.real import RealRun, run_real
from nnsym.replay.values import input_shape, named
from nnsym.results.clock import NEVER, Deadline
from nnsym.results.result import Agreement, Witness


class Outcome(Enum):
    """What replay found of the function that was asked about."""

    CONFIRMED = "confirmed"
    BOUNDARY = "boundary"  # only the other of the two functions is violated there
    UNDECIDED = "undecided"  # intervals straddle a threshold of the real function, and nothing finer could be had
    SPURIOUS = "spurious"


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Replay:
    """The outcome, the counterexample if confirmed, and the smallest replayed margin (+inf if none ran).

    ``deployed`` is true if some run of the stored models violated the property, at this point or another.
    """

    outcome: Outcome
    counterexample: Witness | None = None
    margin: float = np.inf
    deployed: bool = False


def replay(query: Query, candidate: Point, *, polish_steps: int = 40, deadline: Deadline = NEVER) -> Replay:
    """Try the candidate, then points polished from it, until one is confirmed on which the models agree."""
    return confirm(query, _attempts(query, candidate, polish_steps, deadline), deadline=deadline)


def _attempts(query: Query, candidate: Point, steps: int, deadline: Deadline) -> Iterator[Point]:
    from nnsym.bounds.points.attack import descend  # heavy: torch

    yield candidate
    yield descend(query, {x: nearest(v)[None] for x, v in candidate.items()}, steps=steps, deadline=deadline)[0]
    if stored_dtype(query.runs or query) != "exact":
        yield from beside(query, candidate)


def confirm(query: Query, candidates: Iterable[Point], *, deadline: Deadline = NEVER) -> Replay:
    """Replay candidates until one is confirmed by every function there is; else the outcome that says most.

    The first is looked at in any case, others until the deadline.
    """
    best = Replay(outcome=Outcome.SPURIOUS)
    for point in candidates:
        best = stronger(best, replay_once(query, point, deadline=deadline))
        if (best.outcome is Outcome.CONFIRMED and not _alone(best)) or deadline.passed:
            return best
    return best


_RANK = {Outcome.SPURIOUS: 0, Outcome.UNDECIDED: 1, Outcome.BOUNDARY: 2, Outcome.CONFIRMED: 3}


def stronger(first: Replay, second: Replay) -> Replay:
    """The outcome that says more, a witness on which the models agree before one where they do not."""
    better = max(first, second, key=lambda r: (_RANK[r.outcome], not _alone(r)))  # the first of equals
    return Replay(
        outcome=better.outcome,
        counterexample=better.counterexample,
        margin=min(first.margin, second.margin),
        deployed=first.deployed or second.deployed,
    )


def _alone(found: Replay) -> bool:
    """True if a witness of the real function is none of the stored models."""
    witness = found.counterexample
    return witness is not None and witness.engine not in (Agreement.AGREES, Agreement.NONE)


#: A margin that rounding a point to the models' dtype does not make up for.
_HOPELESS = 1e-2


def replay_once(query: Query, candidate: Point, *, deadline: Deadline = NEVER) -> Replay:
    """The points at a candidate, until one is confirmed."""
    if query.runs is not None:
        return _deployed_once(query.runs, candidate, deadline)
    best = Replay(outcome=Outcome.SPURIOUS)
    for place in places(query, candidate):
        best = stronger(best, _real_at(query, place, deadline))
        if best.outcome is Outcome.CONFIRMED or deadline.passed or _HOPELESS < best.margin < np.inf:
            return best
    return best


def _real_at(query: Query, place: DomainPoint, deadline: Deadline) -> Replay:
    real, stated = run_real(query, place.values, deadline=deadline), query.stated or query
    run = run_engine(stated, place.values) if place.stored else None
    violates = run is not None and run.violates(stated) is True
    if real.found:
        witness = _witness(query, place, real, run)
        return Replay(outcome=Outcome.CONFIRMED, counterexample=witness, margin=real.margin, deployed=violates)
    other = Outcome.BOUNDARY if violates else Outcome.SPURIOUS
    outcome = Outcome.UNDECIDED if real.undecided else other
    return Replay(outcome=outcome, margin=real.margin, deployed=violates)


def _deployed_once(query: Query, candidate: Point, deadline: Deadline) -> Replay:
    """Float runs of the stored models at the nearest numbers of their dtype, in several orders of summation."""
    own = {x: candidate[x] for x in query.inputs}
    best = Replay(outcome=Outcome.SPURIOUS)
    for place in places(query, own, real=False):
        runs = [run for run in float_runs(query, place.values) if run.violates(query) is not None]
        least = min(runs, key=lambda run: (not run.violates(query), run.margin(query)), default=None)
        if least is not None and least.violates(query):
            witness = _witness(query, place, None, least)
            return Replay(outcome=Outcome.CONFIRMED, counterexample=witness, margin=witness.margin, deployed=True)
        margin = np.inf if least is None else least.margin(query)
        outcome = Outcome.BOUNDARY if run_real(query, place.values, deadline=deadline).found else Outcome.SPURIOUS
        best = stronger(best, Replay(outcome=outcome, margin=margin))
        if deadline.passed:
            break
    return best


def attained(query: Query, candidate: Point, *, deadline: Deadline = NEVER) -> Witness | None:
    """The run at a candidate, with its margin rounded up; None where the precondition fails.

    Rationals that would not be there by the deadline are not begun.
    """
    asked = query.runs or query
    for place in places(asked, {x: candidate[x] for x in asked.inputs}, real=query.runs is None):
        found = _attained_at(query, place, deadline)
        if found is not None and found.margin < np.inf:
            return found
    return None


def _attained_at(query: Query, place: DomainPoint, deadline: Deadline) -> Witness | None:
    if query.runs is not None:
        stored = query.runs
        runs = [run for run in float_runs(stored, place.values) if run.violates(stored) is not None]
        least = min(runs, key=lambda run: run.margin(stored), default=None)
        return None if least is None else _witness(stored, place, None, least)
    real = run_real(query, place.values, deadline=deadline)
    run = run_engine(query.stated or query, place.values) if place.stored and real.margin < np.inf else None
    return _witness(query, place, real, run)


def inputs_of(query: Query, witness: Witness) -> dict[Input, Array]:
    """A witness as a point of a query; errors of rounding, which no witness has, are 0."""
    named = {x: witness.inputs[x.name].ravel() for x in (query.runs or query).inputs}
    return {x: named.get(x, np.zeros(x.size)) for x in query.inputs}


def found_at(query: Query, candidate: Point, *, deadline: Deadline = NEVER) -> Witness | None:
    """The witness at a candidate, moved into the domain, if the query's formula is true there."""
    return replay_once(query, candidate, deadline=deadline).counterexample


def _witness(query: Query, place: DomainPoint, real: RealRun | None, run: EngineRun | None) -> Witness:
    """The point with its outputs: the models' own where they agree with the real function, else the real ones."""
    inputs = {x.name: v.reshape(input_shape(query, x)) for x, v in place.values.items()}
    labels = {x.name: x.labels for x in place.values if x.labels != Labels()}
    if real is None:
        assert run is not None
        return Witness(
            inputs=inputs,
            outputs=run.outputs,
            margin=run.margin(query),
            replayed_by=run.by,
            engine=Agreement.AGREES,
            note=place.note,
            labels=labels,
        )
    agrees = _agreement(query, place, real, run)
    own = run is not None and agrees is Agreement.AGREES
    return Witness(
        inputs=inputs,
        outputs=run.outputs if own and run is not None else named(query, _shown(real, agrees)),
        margin=real.margin,
        replayed_by=run.by if own and run is not None else real.by,
        engine=agrees,
        note=place.note,
        labels=labels,
    )


def _shown(real: RealRun, agrees: Agreement) -> dict[Node, Array]:
    """Fractions for networks from arrays, whose dtype they are; floats beside stored models."""
    return dict(real.values) if agrees is Agreement.NONE else {node: nearest(v) for node, v in real.values.items()}


def _agreement(query: Query, place: DomainPoint, real: RealRun, run: EngineRun | None) -> Agreement:
    if all(a.network.model is None for a in query.applications):
        return Agreement.NONE
    if run is None or not place.stored:
        return Agreement.NOT_RUN
    if query.reading is Reading.MINIMUM:
        return Agreement.AGREES if run.margin(query) < np.inf else Agreement.DIFFERS
    violates = run.violates(query.stated or query)
    if violates is None:
        return Agreement.NOT_RUN
    return Agreement.AGREES if violates == real.found else Agreement.DIFFERS
