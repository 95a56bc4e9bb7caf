"""The method that is taken where none is named: a search, then a counter-search, bounds, exact encodings in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import final

from nnsym.errors import MissingBoundsError, SolverUnavailableError, UnsupportedError
from nnsym.ir.paired import pair
from nnsym.ir.query import Query
from nnsym.judge.bab import SearchMethod
from nnsym.judge.least import Least
from nnsym.judge.method import Method, Settings
from nnsym.judge.methods import FIRST, BoundMethod, ProgramMethod, program
from nnsym.results.clock import Clock
from nnsym.results.result import Deployed, Result, Verdict

#: What says of a method that it cannot take the question; the trail says so too.
_PASSED = (UnsupportedError, MissingBoundsError, SolverUnavailableError)

#: What decides the rest. Where a node has no exact rule, or products no lane at hand, the LP comes before rationals.
_SECOND = (("bigm", "highs"), ("triangle", "highs"), ("smt", "z3"))

_LOOSE = 1e-4  # a gap that a MILP's tolerances may leave, as a share of the value beyond 1: no reason to ask once more
_MANY = 200  # binaries of a MILP beyond which rationals will not narrow what it found


#: The share of the time that the search may take, and where few neurons are open.
_MOST, _LITTLE = 0.7, 0.2


@final
@dataclass(frozen=True, kw_only=True)
class Portfolio(Method):
    """Branch and bound; then a counter-search, bounds, an exact encoding on a solver; stops at the first verdict.

    The search has most of the time where many neurons are open, and a little where so few are that a program ends it;
    ``log`` is the file of its record. What compares two runs is bounded over differences, which the search does not do:
    there it comes last.
    """

    bounds: str = "crown"
    log: Path | None = None
    name = "portfolio"
    exact = True

    def judge(self, query: Query, clock: Clock, settings: Settings) -> Result:
        late = pair(query) is not None
        searched = None if late else self._searched(query, clock, settings)
        if searched is not None and searched.status is not Verdict.UNKNOWN:
            return searched
        first = FIRST.briefly(query, clock, settings)
        if first.status is not Verdict.UNKNOWN:
            return replace(first, method="portfolio: attack")
        decided = self._rest(query, first, clock, settings)
        decided = decided if first.deployed is Deployed.OPEN else replace(decided, deployed=first.deployed)
        if late and decided.status is Verdict.UNKNOWN and clock.left > 0:
            searched = self._searched(query, clock, settings)
        return decided if searched is None else _both(decided, searched, clock)

    def _searched(self, query: Query, clock: Clock, settings: Settings) -> Result | None:
        """The answer of the search; None where it cannot take the question."""
        try:
            result = SearchMethod(log=self.log, share=_MOST, brief=_LITTLE).judge(query, clock, settings)
        except _PASSED as error:
            clock.note("passed over", str(error))
            return None
        return replace(result, method=f"portfolio: {result.method}")

    def _rest(self, query: Query, first: Result, clock: Clock, settings: Settings) -> Result:
        """What decides after the counter-search; its own answer where nothing takes the question."""
        best: Result | None = None
        for make in self._programs():
            try:
                chosen = make()
                result = chosen.judge(query, clock, settings)
            except _PASSED as error:
                clock.note("passed over", str(error))
                continue
            decided = self.bounds if result.sizes.columns == 0 else result.method
            best = replace(result, method=f"portfolio: {decided}")
            if chosen.exact or result.status is not Verdict.UNKNOWN:
                return best
        if best is not None:
            return best
        try:
            last = BoundMethod(source=self.bounds).judge(query, clock, settings)
        except MissingBoundsError as error:
            clock.note("passed over", str(error))
            return replace(first, method="portfolio", trail=tuple(clock.trail))
        return replace(last, method="portfolio")

    def optimum(self, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        """Until one that is exact leaves no more than rounding does, or time runs out."""
        from nnsym.judge.optimise import by_bounds, by_program  # what solves programs is loaded where one is solved

        found = replace(FIRST.optimum(query, clock, settings, precision), by=f"portfolio: {self.bounds}")
        try:
            found = found.better(by_bounds(query, self.bounds, clock, settings))
        except _PASSED as error:
            clock.note("passed over", str(error))
        if found.closed(precision):
            return found
        for make in self._programs():
            if clock.left <= 0:
                break
            try:
                chosen = make()
                found = by_program(query, chosen, found, clock, settings, precision)
            except _PASSED as error:
                clock.note("passed over", str(error))
                continue
            found = replace(found, by=f"portfolio: {chosen.name}")
            hopeless = chosen.exact and found.point is not None and found.sizes.binary > _MANY
            if hopeless or found.closed(max(precision, _LOOSE) if chosen.exact else precision):
                break
        return found

    def _programs(self) -> Iterator[Callable[[], ProgramMethod]]:
        """The programs in turn, each made when it is asked: what cannot take the question is passed over."""
        for encoding, solver in _SECOND:
            yield partial(program, encoding, solver=solver, bounds=self.bounds)


def _both(decided: Result, searched: Result, clock: Clock) -> Result:
    """The later answer with the better side of both intervals; that of the search where only it decides."""
    if decided.status is Verdict.UNKNOWN and searched.status is not Verdict.UNKNOWN:
        return searched
    lower, upper = max(decided.lower, searched.lower), min(decided.upper, searched.upper)
    if lower > upper:  # a solver's bound, off by its tolerance
        lower, upper = decided.lower, decided.upper
    return replace(decided, lower=lower, upper=upper, trail=tuple(clock.trail))
