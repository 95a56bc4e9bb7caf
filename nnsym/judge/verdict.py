"""The one place that speaks the verdict: a pure function of what was established about the search of a query.

Every rule below names the fact it rests on; whatever no rule covers is ``unknown``. A search that finds a point
falsifies ``forall`` and verifies ``exists``; where every point is ruled out it is the other way round.
A bound of exactly 0 rules out only where every soft atom is strict (``strict``), e.g. for ``forall ... y0 >= y1``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.bounds.defined import undefined
from nnsym.encoding import Exactness
from nnsym.ir.exact import round_down
from nnsym.ir.query import Query, Reading
from nnsym.replay import Outcome
from nnsym.results.result import Trust, Verdict
from nnsym.solvers.base import Status

#: A lower bound this close below zero may be rounding alone and is worth an exact check.
ROUNDING = 1e-6

#: Statuses after which a solver's own lower bound is a bound of the optimum.
BOUNDED = (Status.OPTIMAL, Status.FEASIBLE, Status.TARGET, Status.TIME_LIMIT, Status.MEMORY_LIMIT)


@final
@dataclass(frozen=True, kw_only=True)
class Sampled:
    """What samples of a smoothed classifier say with ``confidence``, both sides at once.

    ``lower`` is a lower bound of the margin over the domain, ``upper`` one of the margin at a point of it.
    """

    confidence: float
    lower: float = -np.inf
    upper: float = np.inf


@final
@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a run established about the least margin of a query, ``min margin(x)`` over its domain.

    Whatever is not known has the default, from which no rule follows.

    Attributes:
        strict: a margin of exactly 0 is no violation (:attr:`nnsym.ir.query.Query.strict`).
        reading: what it means that the search finds a point.
        slack: what the conclusion was relaxed by.
        exactness: of the program that was solved: whether all its points are runs of the network.
        status: what the solver said, by its lane's table.
        certified: a lower bound of the margin, computed in floats with outward rounding.
        exact_bound: a lower bound in rationals.
        bound: the solver's own lower bound, which counts for some statuses alone.
        attained: the least margin at points that were evaluated, the solver's own and probes.
        tau: the tolerance of the lane on its objective.
        exact_solver: the solver's arithmetic is rational.
        resolved: false where the program's numbers are too large for a float solver to tell whether its rows are met:
            then its word counts for nothing.
        conclusive_empty: infeasibility is certified, and needs no nominal run.
        nominal: an encoded run of the network satisfies every network and cut row, and no probe meets the
            precondition: then "infeasible" may be believed.
        exhausted: a search ruled out every part of the domain.
        granted: the lower bound of a search, as far as ``word`` goes.
        word: what a search rests on.
        empty: the domain was found empty before any solver ran.
        settled: the conclusion alone leaves no point.
        closed: the program took both limits at a jump for values: a point of it need not be one of the query.
        assumed: bounds rest on somebody's word.
        deployed: the query speaks of float runs.
        replay: what became of the points that were replayed.
        sampled: what is known of a smoothed classifier; nothing else is known of one.
        undefined: names a function that need not be defined on the whole domain: then nothing is ruled out.
        message: what else the lane had to say.
    """

    strict: bool
    reading: Reading = Reading.FORALL
    slack: Fraction = Fraction(0)
    exactness: Exactness = Exactness.OUTER
    status: Status = Status.UNKNOWN
    certified: float = -np.inf
    exact_bound: Fraction | None = None
    bound: float = -np.inf
    attained: float = np.inf
    tau: float = 0.0
    exact_solver: bool = False
    resolved: bool = True
    conclusive_empty: bool = False
    nominal: bool = False
    exhausted: bool = False
    granted: float = -np.inf
    word: Trust = Trust.CERTIFIED
    empty: bool = False
    settled: bool = False
    closed: bool = False
    assumed: bool = False
    deployed: bool = False
    replay: Outcome | None = None
    sampled: Sampled | None = None
    undefined: str = ""
    message: str = ""

    @property
    def refuted(self) -> bool:
        """True if some point has a margin below what the solver calls a lower bound, beyond its tolerance."""
        return self.attained < self._bound - max(self.tau, ROUNDING * abs(self._bound))

    @property
    def believed(self) -> float:
        """The solver's lower bound where its status says that it is one, unless it is refuted."""
        return -np.inf if self.refuted else min(self._bound, self.attained)

    @property
    def sure(self) -> float:
        """The strongest lower bound that rests on no solver's word, as a float64 not above it."""
        return -np.inf if self.undefined else max(self.certified, self._exact)

    @property
    def sides(self) -> tuple[Floor, ...]:
        """Every lower bound that is known, with what it rests on; the solver's is not moved by its tolerance."""
        if self.undefined:
            return ()
        sides = (
            Floor(bound=self._exact, trust=Trust.EXACT),
            Floor(bound=self.certified, trust=Trust.CERTIFIED),
            Floor(bound=self.believed, trust=Trust.SOLVER, tau=self.tau),
            Floor(bound=min(self.granted, self.attained), trust=self.word),
            Floor(bound=-np.inf if self.sampled is None else self.sampled.lower, trust=Trust.STATISTICAL),
        )
        return tuple(replace(side, trust=Trust.ASSUMED) for side in sides) if self.assumed else sides

    @property
    def _exact(self) -> float:
        exact = self.exact_bound
        return -np.inf if exact is None else float(round_down(np.array([exact], dtype=object))[0])

    @property
    def _bound(self) -> float:
        return self.bound if self.status in BOUNDED and self.bound < np.inf and self.resolved else -np.inf


def facts_about(query: Query) -> Facts:
    """What is known of a query before anything was run."""
    return Facts(
        strict=query.strict,
        reading=query.reading,
        slack=query.slack,
        settled=query.settled,
        assumed=bool(query.assumed),
        deployed=query.runs is not None,
        undefined=undefined(query),
    )


@final
@dataclass(frozen=True, kw_only=True)
class Ruling:
    """Verdict, reason and trust. ``excluded`` is true where the search was shown to have no point."""

    verdict: Verdict
    reason: str
    trust: Trust | None = None
    vacuous: bool = False
    excluded: bool = False


@final
@dataclass(frozen=True, kw_only=True)
class Floor:
    """A lower bound of the least margin, what it rests on, and the solver's tolerance that it already allows for.

    ``empty`` is true where no input satisfies the precondition: the bound is +inf.
    """

    bound: float = -np.inf
    trust: Trust | None = None
    tau: float = 0.0
    empty: bool = False


_GAVE_UP = {
    Status.TIME_LIMIT: "timeout",
    Status.MEMORY_LIMIT: "memory",
    Status.LICENSE: "licence",
    Status.ERROR: "solver_error",
    Status.UNKNOWN: "solver_unknown",
}


def rule(facts: Facts) -> Ruling:
    """The verdict that the facts support, and no more."""
    exists = facts.reading is Reading.EXISTS
    found, excluded = (Verdict.VERIFIED, Verdict.FALSIFIED) if exists else (Verdict.FALSIFIED, Verdict.VERIFIED)
    if facts.replay is Outcome.CONFIRMED:
        reason = f"{'witness' if exists else 'counterexample'} replayed"
        return Ruling(verdict=found, reason=reason + _relaxed(facts), trust=Trust.EXACT)
    if facts.sampled is not None and facts.sampled.upper < 0:
        reason = "the smoothed classifier violates it at a point, with confidence"
        return Ruling(verdict=found, reason=reason + _relaxed(facts), trust=Trust.STATISTICAL)
    known = _excluded(facts)
    if known is not None and facts.undefined and not known[2]:
        return Ruling(verdict=Verdict.UNKNOWN, reason="undefined")
    if known is None:
        return Ruling(verdict=Verdict.UNKNOWN, reason=_why_not(facts))
    reason, trust, vacuous = known
    if facts.assumed:
        trust = Trust.ASSUMED
    return Ruling(verdict=excluded, reason=reason + _relaxed(facts), trust=trust, vacuous=vacuous, excluded=True)


def _relaxed(facts: Facts) -> str:
    return f"; the conclusion is relaxed by a slack of {float(facts.slack):g}" if facts.slack else ""


def _excluded(facts: Facts) -> tuple[str, Trust, bool] | None:
    """Why no point is left, what that rests on, and whether the precondition alone leaves none."""
    exists = facts.reading is Reading.EXISTS
    side, what = ("upper", "witness") if exists else ("lower", "violation")
    if facts.empty:
        return "the precondition is empty: no input satisfies it", Trust.EXACT, True
    if facts.settled:
        return f"the conclusion is true of {'no' if exists else 'every'} input", Trust.EXACT, False
    if facts.status is Status.UNSAT and facts.exact_solver:
        return f"no {'witness' if exists else 'counterexample'} exists (unsat)", Trust.EXACT, False
    if facts.exact_bound is not None and positive(facts.exact_bound, strict=facts.strict):
        return f"the margin's {side} bound in exact rationals rules a {what} out", Trust.EXACT, False
    if facts.certified == np.inf:
        return "the precondition is empty: its bounds refute it", Trust.CERTIFIED, True
    if positive(facts.certified, strict=facts.strict):
        return f"the margin's certified {side} bound rules a {what} out", Trust.CERTIFIED, False
    if facts.exhausted:
        some = "" if facts.word is Trust.CERTIFIED else ", some on a solver's word"
        return f"every part of the domain rules a {what} out{some}", facts.word, False
    if facts.sampled is not None and positive(facts.sampled.lower, strict=facts.strict):
        return f"the margin's {side} bound rules a {what} out, with confidence", Trust.STATISTICAL, False
    if facts.status is Status.INFEASIBLE and ((facts.nominal and facts.resolved) or facts.conclusive_empty):
        trust = Trust.CERTIFIED if facts.conclusive_empty else Trust.SOLVER
        return "the precondition is empty: the program is infeasible", trust, True
    if facts.believed > facts.tau:
        return f"the solver's {side} bound on the margin exceeds its tolerance", Trust.SOLVER, False
    return None


def floor(facts: Facts) -> Floor:
    """The strongest lower bound of the least margin that the facts support, wherever its sign."""
    known = _excluded(facts)
    if known is not None and known[2]:
        return Floor(bound=np.inf, trust=Trust.ASSUMED if facts.assumed else known[1], empty=True)
    best = max(map(_moved, facts.sides), key=lambda side: side.bound, default=Floor())
    return best if best.bound > -np.inf else Floor()


def _moved(side: Floor) -> Floor:
    """A solver's own bound less its tolerance."""
    return replace(side, bound=float(np.nextafter(side.bound - side.tau, -np.inf))) if side.tau else side


#: What rests on nobody's word.
_SURE = (Trust.EXACT, Trust.CERTIFIED)


def beside(facts: Facts, ruling: Ruling, *, asked: bool) -> tuple[Floor, Ruling]:
    """The lower bound that stands beside a ruling, and the ruling whose trust covers it.

    What was decided on sure evidence is not mixed with the word of a solver or of the user, unless the margin itself
    was ``asked`` for. Then the solver's bound is the answer, and where it says that no point is left, by how much, the
    trust is that of the bound. It is not moved by its tolerance.
    """
    if ruling.vacuous:
        return Floor(bound=np.inf, trust=ruling.trust, empty=True), ruling
    sides = [side for side in facts.sides if side.bound > -np.inf]
    if ruling.excluded:  # no point at all: the margin is nowhere negative
        sides.insert(0, Floor(bound=np.inf if facts.settled else 0.0, trust=ruling.trust))
    if ruling.trust in _SURE:
        sides = [side for side in sides if side.trust in _SURE or (asked and side.trust is Trust.SOLVER)]
    best = max(sides, key=lambda side: side.bound, default=Floor())
    if ruling.excluded and ruling.trust in _SURE and best.trust is Trust.SOLVER:
        return best, replace(ruling, trust=best.trust, reason=f"{ruling.reason}; by how much is the solver's word")
    return best, ruling


def positive(bound: float | Fraction, *, strict: bool) -> bool:
    """True if a lower bound of the least margin leaves the search no point."""
    return bound > 0 or (strict and bound == 0)


def tight(facts: Facts) -> bool:
    """True if rounding alone may stand between the bound and a verdict: worth an exact check."""
    reach = max(ROUNDING, facts.tau)
    return -reach <= max(facts.certified, facts.believed) <= reach


def _why_not(facts: Facts) -> str:
    if facts.undefined:
        return "undefined"
    if facts.sampled is not None:
        return "abstain"
    if facts.status is Status.INFEASIBLE:
        return "infeasible_unconfirmed"
    if not facts.resolved and facts.replay is None and facts.bound > facts.tau:
        return "beyond_float"
    if facts.replay is Outcome.BOUNDARY:
        return "reals_only" if facts.deployed else "floats_only"
    if facts.refuted:
        return "solver_refuted"
    undecided = facts.replay is Outcome.UNDECIDED
    if facts.status in _GAVE_UP and not (facts.status is Status.UNKNOWN and (undecided or facts.certified > -np.inf)):
        return _GAVE_UP[facts.status]
    if undecided or tight(facts):
        return "within_rounding"
    if facts.exactness is Exactness.OUTER or facts.deployed:  # not every point of the enclosure is a run's
        return "inconclusive"
    if facts.replay is Outcome.SPURIOUS:
        return "jump" if facts.closed else "spurious"
    return "inconclusive"
