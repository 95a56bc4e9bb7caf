"""What a method established about a query, and the Result that is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.deployed.statement import FloatError, float_error, is_stored
from nnsym.ir.array import Array
from nnsym.ir.functions.smoothed import smoothed_nodes
from nnsym.ir.node import Input
from nnsym.ir.query import Query, Reading
from nnsym.judge.verdict import Facts, Ruling, beside, rule
from nnsym.replay import Replay
from nnsym.results.clock import Clock
from nnsym.results.result import Deployed, Result, Semantics, Sizes, Trust, Verdict
from nnsym.results.versions import versions
from nnsym.solvers.base import Answer

if TYPE_CHECKING:
    from nnsym.evidence.evidence import Evidence


class Recorded(Protocol):
    """What a result says of the method that gave it."""

    @property
    def name(self) -> str: ...

    @property
    def encoded(self) -> str: ...

    @property
    def lane(self) -> str: ...

    @property
    def goal(self) -> str: ...


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Established:
    """The facts that a method established, and what a record keeps besides.

    ``bounds`` names the source that was computed. ``ended`` is the limit that ended the run early, if one did.
    ``replayed`` is what :func:`nnsym.replay.confirm` made of points of the method's; ``points`` are those whose values
    are worth knowing where a term is minimised. ``relaxation`` and ``answer`` are of a program that was solved,
    ``error`` is how far float runs may be from the real function. ``before`` says that the bounds decided, so that the
    method's program was never built. ``evidence`` is what was counted of a smoothed classifier.
    """

    facts: Facts
    bounds: str = ""
    sizes: Sizes = field(default_factory=Sizes)
    ended: str = ""
    replayed: Replay | None = None
    points: tuple[Mapping[Input, Array], ...] = ()
    relaxation: float | None = None
    answer: Answer | None = None
    error: FloatError | None = None
    before: bool = False
    evidence: Evidence | None = None

    @property
    def ruling(self) -> Ruling:
        """The verdict of the facts. Where nothing was solved it is no solver that knows nothing."""
        ruling = rule(self.facts)
        if ruling.verdict is not Verdict.UNKNOWN or self.answer is not None:
            return ruling
        if ruling.reason == "undefined" and self.ended == "within_rounding":  # no bound would have told more
            return ruling
        if self.ended or ruling.reason == "solver_unknown":
            return Ruling(verdict=Verdict.UNKNOWN, reason=self.ended or "inconclusive")
        return ruling


def error_beside(query: Query, ruling: Ruling, bounds: Bounds | None, clock: Clock) -> FloatError | None:
    """How far float runs can be from the real function where something was proved of either."""
    real = query if query.runs is None else query.runs
    if not ruling.excluded or ruling.vacuous or not is_stored(real) or clock.left <= 0:
        return None
    with clock.step("float error") as notes:
        found = float_error(real, bounds if real is query else None, deadline=clock.deadline())
        notes.append("not known" if found is None else f"rows move by at most {max(found.soft, found.hard):.3g}")
    return found


def conclude(
    query: Query,
    method: Recorded,
    told: Established,
    clock: Clock,
) -> Result:
    """The Result of what one method established."""
    ruling, replayed, relaxation, answer = told.ruling, told.replayed, told.relaxation, told.answer
    proved, ruling = beside(told.facts, ruling, asked=method.goal == "optimise")
    if told.facts.undefined:
        clock.note("undefined", told.facts.undefined)
    upper = np.inf if replayed is None else replayed.margin
    trusts = (proved.trust, proved.trust if ruling.vacuous else Trust.EXACT if upper < np.inf else None)
    sampled = told.facts.sampled
    if sampled is not None and sampled.upper < np.inf:
        upper, trusts = sampled.upper, (trusts[0], Trust.STATISTICAL)
    deployed = _deployed(query, ruling, replayed, covered=told.error is not None and told.error.covers(told.facts.sure))
    lower = min(proved.bound, upper)  # a solver's own bound may be off by its tolerance
    exists = query.reading is Reading.EXISTS
    found = replayed.counterexample if replayed is not None else None
    if exists:
        lower, upper = 0.0 - upper, 0.0 - lower  # never -0.0
        trusts = trusts[::-1]
        found = None if found is None else replace(found, margin=0.0 - found.margin)
        relaxation = None if relaxation is None else 0.0 - relaxation
    seconds = dict(clock.seconds)
    if answer is not None:
        seconds.update({"solve": answer.seconds.get("solve", seconds.get("solve", 0.0))})
        seconds["hand-over"] = answer.seconds.get("handover", 0.0)
    seconds["total"] = clock.elapsed
    return Result(
        status=ruling.verdict,
        reason=ruling.reason,
        trust=ruling.trust,
        method=f"{told.bounds} (before {method.name})" if told.before else method.name,
        encoding="" if told.before else method.encoded,
        solver="" if told.before else method.lane,
        bounds=told.bounds,
        goal="optimise" if method.goal == "optimise" else "decide",
        vacuous=ruling.vacuous,
        reading=query.reading,
        slack=float(query.slack),
        semantics=Semantics.REAL if query.runs is None else Semantics.DEPLOYED,
        float_error=None if told.error is None else max(told.error.soft, told.error.hard),
        deployed=deployed,
        lower=lower,
        upper=upper,
        lower_trust=trusts[0],
        upper_trust=trusts[1],
        relaxation=relaxation,
        confidence=None if sampled is None else sampled.confidence,
        evidence=told.evidence,
        counterexample=None if exists else found,
        witness=found if exists else None,
        sizes=told.sizes,
        seconds=seconds,
        peak_memory=answer.peak_memory if answer is not None else 0,
        trail=tuple(clock.trail),
        versions=versions(None if told.before else method.lane or None),
        query=query if query.runs is None else query.runs,
    )


def _deployed(query: Query, ruling: Ruling, replayed: Replay | None, *, covered: bool) -> Deployed:
    """What is known of the property of every float run: from a run, or from a margin above what rounding may do."""
    exists = query.reading is Reading.EXISTS
    if replayed is not None and replayed.deployed:
        return Deployed.HOLDS if exists else Deployed.VIOLATED
    same = {Verdict.VERIFIED: Deployed.HOLDS, Verdict.FALSIFIED: Deployed.VIOLATED}.get(ruling.verdict, Deployed.OPEN)
    if smoothed_nodes(query):  # what was counted is runs; nothing was said of other runs
        return Deployed.OPEN
    if query.runs is not None or query.settled or not is_stored(query):
        return same
    return same if covered and ruling.excluded else Deployed.OPEN
