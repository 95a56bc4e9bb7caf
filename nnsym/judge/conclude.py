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
from nnsym.judge.verdict import Facts, Floor, Ruling, beside, rule
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

    Attributes:
        facts: what the verdict is ruled by.
        bounds: the text of the source of bounds that was computed.
        sizes: of the program, of what bounds left open, and of a search's tree.
        ended: the limit that ended the run early, if one did.
        replayed: what :func:`nnsym.replay.confirm` made of points of the method's.
        points: those whose values are worth knowing where a term is minimised.
        relaxation: the bound of the program without integrality, where it was asked for.
        answer: what the solver said of the program.
        error: how far float runs may be from the real function.
        before: the bounds decided, so that the method's program was never built.
        evidence: what was counted of a smoothed classifier.
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


@final
@dataclass(frozen=True, kw_only=True)
class _Margin:
    """``lower <= margin <= upper`` and what each side rests on; ``relaxation`` is the root LP's side of it."""

    lower: float
    upper: float
    lower_trust: Trust | None
    upper_trust: Trust | None
    relaxation: float | None

    @property
    def negated(self) -> _Margin:
        """The interval of minus the margin, never with an end of -0.0."""
        return _Margin(
            lower=0.0 - self.upper,
            upper=0.0 - self.lower,
            lower_trust=self.upper_trust,
            upper_trust=self.lower_trust,
            relaxation=None if self.relaxation is None else 0.0 - self.relaxation,
        )


def _margin(told: Established, ruling: Ruling, proved: Floor) -> _Margin:
    """The interval of the least margin: what was proved of it, and the margin at a point or of samples."""
    upper = np.inf if told.replayed is None else told.replayed.margin
    trust = proved.trust if ruling.vacuous else Trust.EXACT if upper < np.inf else None
    sampled = told.facts.sampled
    if sampled is not None and sampled.upper < np.inf:
        upper, trust = sampled.upper, Trust.STATISTICAL
    return _Margin(
        lower=min(proved.bound, upper),  # a solver's own bound may be off by its tolerance
        upper=upper,
        lower_trust=proved.trust,
        upper_trust=trust,
        relaxation=told.relaxation,
    )


def _seconds(clock: Clock, answer: Answer | None) -> dict[str, float]:
    """Where the time went: the clock's steps, of which a worker knows its own better."""
    seconds = dict(clock.seconds)
    if answer is not None:
        seconds["solve"] = answer.seconds.get("solve", seconds.get("solve", 0.0))
        seconds["hand-over"] = answer.seconds.get("handover", 0.0)
    seconds["total"] = clock.elapsed
    return seconds


def conclude(query: Query, method: Recorded, told: Established, clock: Clock) -> Result:
    """The Result of what one method established."""
    replayed, answer, sampled = told.replayed, told.answer, told.facts.sampled
    proved, ruling = beside(told.facts, told.ruling, asked=method.goal == "optimise")
    if told.facts.undefined:
        clock.note("undefined", told.facts.undefined)
    margin = _margin(told, ruling, proved)
    found = None if replayed is None else replayed.counterexample
    exists = query.reading is Reading.EXISTS
    if exists:  # the search was for a witness: its least margin is minus the property's largest
        margin = margin.negated
        found = None if found is None else replace(found, margin=0.0 - found.margin)
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
        deployed=_deployed(query, ruling, told),
        lower=margin.lower,
        upper=margin.upper,
        lower_trust=margin.lower_trust,
        upper_trust=margin.upper_trust,
        relaxation=margin.relaxation,
        confidence=None if sampled is None else sampled.confidence,
        evidence=told.evidence,
        counterexample=None if exists else found,
        witness=found if exists else None,
        sizes=told.sizes,
        seconds=_seconds(clock, answer),
        peak_memory=0 if answer is None else answer.peak_memory,
        trail=tuple(clock.trail),
        versions=versions(None if told.before else method.lane or None),
        query=query if query.runs is None else query.runs,
    )


def _deployed(query: Query, ruling: Ruling, told: Established) -> Deployed:
    """What is known of the property of every float run: from a run, or from a margin above what rounding may do."""
    exists, replayed = query.reading is Reading.EXISTS, told.replayed
    covered = told.error is not None and told.error.covers(told.facts.sure)
    if replayed is not None and replayed.deployed:
        return Deployed.HOLDS if exists else Deployed.VIOLATED
    same = {Verdict.VERIFIED: Deployed.HOLDS, Verdict.FALSIFIED: Deployed.VIOLATED}.get(ruling.verdict, Deployed.OPEN)
    if smoothed_nodes(query):  # what was counted is runs; nothing was said of other runs
        return Deployed.OPEN
    if query.runs is not None or query.settled or not is_stored(query):
        return same
    return same if covered and ruling.excluded else Deployed.OPEN
