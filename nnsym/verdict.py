"""The one place that speaks the verdict: a pure function of what was established.

Every rule below names the fact it rests on; whatever no rule covers is ``unknown``. A margin of exactly 0
verifies only where every soft atom of the violation is strict (``strict``), e.g. for ``y0 >= y1``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.encoding import Exactness
from nnsym.replay import Outcome
from nnsym.result import Trust, Verdict
from nnsym.solvers.base import Status

#: A lower bound this close below zero may be rounding alone and is worth an exact check.
ROUNDING = 1e-6

#: Statuses after which a solver's own lower bound is a bound of the optimum.
BOUNDED = (Status.OPTIMAL, Status.FEASIBLE, Status.TARGET, Status.TIME_LIMIT, Status.MEMORY_LIMIT)


@final
@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a run established about the minimum margin of a property.

    ``certified`` is a lower bound re-derived outward in floats, ``exact_bound`` one in rationals, ``bound`` the
    solver's own. ``attained`` is the least margin at the points that were evaluated, the solver's own and probes.
    ``nominal`` is true if an encoded run of the network satisfies every network and cut row and no probe meets the
    precondition. ``empty`` is true where the domain was found empty before any solver ran.
    """

    strict: bool
    exactness: Exactness = Exactness.OUTER
    status: Status = Status.UNKNOWN
    certified: float = -np.inf
    exact_bound: Fraction | None = None
    bound: float = -np.inf
    attained: float = np.inf
    tau: float = 0.0
    exact_solver: bool = False
    conclusive_empty: bool = False
    nominal: bool = False
    empty: bool = False
    assumed: bool = False
    replay: Outcome | None = None
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
    def _bound(self) -> float:
        return self.bound if self.status in BOUNDED and self.bound < np.inf else -np.inf


@final
@dataclass(frozen=True, kw_only=True)
class Ruling:
    """Verdict, reason and trust."""

    verdict: Verdict
    reason: str
    trust: Trust | None = None
    vacuous: bool = False


_GAVE_UP = {
    Status.TIME_LIMIT: "timeout",
    Status.MEMORY_LIMIT: "memory",
    Status.LICENSE: "licence",
    Status.ERROR: "solver_error",
    Status.UNKNOWN: "solver_unknown",
}


def rule(facts: Facts) -> Ruling:
    """The verdict that the facts support, and no more."""
    if facts.replay is Outcome.CONFIRMED:
        return Ruling(verdict=Verdict.FALSIFIED, reason="counterexample replayed", trust=Trust.EXACT)
    verified = _verified(facts)
    if verified is not None:
        trust = Trust.ASSUMED if facts.assumed else verified.trust
        return Ruling(verdict=verified.verdict, reason=verified.reason, trust=trust, vacuous=verified.vacuous)
    return Ruling(verdict=Verdict.UNKNOWN, reason=_why_not(facts))


def _verified(facts: Facts) -> Ruling | None:
    def yes(reason: str, trust: Trust, *, vacuous: bool = False) -> Ruling:
        return Ruling(verdict=Verdict.VERIFIED, reason=reason, trust=trust, vacuous=vacuous)

    if facts.empty:
        return yes("the precondition is empty: no input satisfies it", Trust.EXACT, vacuous=True)
    if facts.status is Status.UNSAT and facts.exact_solver:
        return yes("no counterexample exists (unsat)", Trust.EXACT)
    if facts.exact_bound is not None and positive(facts.exact_bound, strict=facts.strict):
        return yes("the margin's lower bound in exact rationals rules a violation out", Trust.EXACT)
    if facts.certified == np.inf:
        return yes("the precondition is empty: its bounds refute it", Trust.CERTIFIED, vacuous=True)
    if positive(facts.certified, strict=facts.strict):
        return yes("the margin's certified lower bound rules a violation out", Trust.CERTIFIED)
    if facts.status is Status.INFEASIBLE and (facts.nominal or facts.conclusive_empty):
        trust = Trust.CERTIFIED if facts.conclusive_empty else Trust.SOLVER
        return yes("the precondition is empty: the program is infeasible", trust, vacuous=True)
    if facts.believed > facts.tau:
        return yes("the solver's lower bound on the margin exceeds its tolerance", Trust.SOLVER)
    return None


def positive(bound: float | Fraction, *, strict: bool) -> bool:
    """True if a lower bound of the margin rules the violation out."""
    return bound > 0 or (strict and bound == 0)


def tight(facts: Facts) -> bool:
    """True if rounding alone may stand between the bound and a verdict: worth an exact check."""
    reach = max(ROUNDING, facts.tau)
    return -reach <= max(facts.certified, facts.believed) <= reach


def _why_not(facts: Facts) -> str:
    if facts.status is Status.INFEASIBLE:
        return "infeasible_unconfirmed"
    if facts.replay is Outcome.BOUNDARY:
        return "boundary"
    if facts.refuted:
        return "solver_refuted"
    if facts.status in _GAVE_UP and not (facts.status is Status.UNKNOWN and facts.certified > -np.inf):
        return _GAVE_UP[facts.status]
    if tight(facts):
        return "within_rounding"
    if facts.exactness is Exactness.OUTER:
        return "inconclusive"
    if facts.replay is Outcome.SPURIOUS:
        return "spurious"
    return "inconclusive"
