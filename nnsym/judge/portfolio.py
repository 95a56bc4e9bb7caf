"""Methods in turn, each asked what those before it left open; and what is taken where no method is named."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar, final

from nnsym.bounds.base import MEMORY
from nnsym.encode.registry import find_encoding
from nnsym.errors import NnsymError, UnsupportedError
from nnsym.ir.functions.smoothed import smoothed_nodes
from nnsym.ir.node import Affine, Input
from nnsym.ir.pairs.paired import pair
from nnsym.ir.query import Query
from nnsym.judge.bab import SearchMethod
from nnsym.judge.least import Least
from nnsym.judge.method import PASSED, RESTARTS, STEPS, Method, Settings
from nnsym.judge.methods import FIRST, BoundMethod
from nnsym.results.clock import Clock
from nnsym.results.result import Deployed, Result, Verdict

#: What decides by default. Where a node has no exact rule, or products no lane at hand, the LP comes before rationals.
_PROGRAMS = (("bigm", "highs"), ("triangle", "highs"), ("smt", "z3"))

_LOOSE = 1e-4  # a gap that a MILP's tolerances may leave, as a share of the value beyond 1: no reason to ask once more
_MOST, _LITTLE = 0.7, 0.2  # the share of the time that the search may take, and where few neurons are open
_LOADING = 2.0  # CPU seconds that torch takes to load
_MANY = 200  # binaries of a MILP beyond which rationals will not narrow what it found
_WIDE = 4 * RESTARTS * STEPS  # neurons from which an attack runs the network less often than bounds of all of them do


T = TypeVar("T")


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Portfolio(Method):
    """A method of methods: the members in turn, until one decides, or one that is exact has had its say.

    A member that cannot take the question is passed over, and the trail says why. One that ends for want of memory has
    not had its say. ``otherwise`` is asked where no member that proves anything takes it. Once time is over nobody is
    asked after one that proves.
    """

    members: tuple[Method, ...]
    otherwise: Method | None = None
    name = "portfolio"

    @property
    def exact(self) -> bool:  # type: ignore[override]
        return any(member.exact for member in self.members)

    @property
    def proves(self) -> bool:  # type: ignore[override]
        return any(member.proves for member in self.members)

    @property
    def bounds(self) -> str:  # type: ignore[override]
        return next((member.bounds for member in self.members if member.bounds), "")

    def judge(self, query: Query, clock: Clock, settings: Settings) -> Result:
        told: list[tuple[Method, Result]] = []
        refused: NnsymError | None = None
        for k, member in enumerate(self.members):
            if clock.left <= 0 and any(asked.proves for asked, _ in told):
                break
            ask = member.judge if k == len(self.members) - 1 else member.briefly
            try:
                told.append((member, ask(query, clock, settings)))
            except PASSED as error:
                refused = error
                clock.note("passed over", str(error))
                continue
            answer = told[-1][1]
            if answer.status is not Verdict.UNKNOWN or (member.exact and answer.reason != MEMORY):
                return _last(told, clock)
        proving = [(member, result) for member, result in told if member.proves]
        if not proving and self.otherwise is not None:
            last = _taken(partial(self.otherwise.judge, query, clock, settings), clock)
            if last is not None:
                return replace(_last([*told, (self.otherwise, last)], clock), method=self.name)
        if proving:
            return _last(proving, clock, told)
        if told:
            return replace(_last(told, clock), method=self.name)
        raise refused or UnsupportedError("has no members", where=f"method '{self.name}'", remedy="Give some")

    def optimum(self, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        """Until one that is exact leaves no more than rounding does, or time runs out."""
        return self.narrow(Least(), query, clock, settings, precision)

    def narrow(self, found: Least, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        proved = False
        for member in self.members:
            if proved and clock.left <= 0:
                break
            told = _taken(partial(member.narrow, replace(found, by=""), query, clock, settings, precision), clock)
            if told is None:
                continue
            found = replace(told, by=f"{self.name}: {told.by or member.name}")
            proved = proved or member.proves
            hopeless = member.exact and found.point is not None and found.sizes.binary > _MANY
            if hopeless or found.closed(max(precision, _LOOSE) if member.exact else precision):
                return found
        if not proved and self.otherwise is not None:
            told = _taken(partial(self.otherwise.narrow, found, query, clock, settings, precision), clock)
            found = found if told is None else replace(told, by=f"{self.name}: {self.otherwise.name}")
        return found


def _taken(ask: Callable[[], T], clock: Clock) -> T | None:
    """What a method answers; None where it cannot take the question, and the trail says why."""
    try:
        return ask()
    except PASSED as error:
        clock.note("passed over", str(error))
        return None


def _last(
    told: list[tuple[Method, Result]], clock: Clock, everyone: list[tuple[Method, Result]] | None = None
) -> Result:
    """The last result, named; what anyone knew of float runs counts, the first to know it before others."""
    member, result = told[-1]
    decided = member.bounds if member.encoded and result.sizes.columns == 0 else result.method
    known = (some.deployed for _, some in everyone or told if some.deployed is not Deployed.OPEN)
    return replace(
        result,
        method=f"portfolio: {decided}",
        deployed=next(known, Deployed.OPEN),
        trail=tuple(clock.trail),
    )


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Usual(Method):
    """Branch and bound; then a counter-search, bounds, an exact encoding on a solver; stops at the first verdict.

    Of a network of many neurons the counter-search comes first: it costs less than the first bounds. The search has
    most of the time where many neurons are open, and a little where so few are that a program ends it; ``log`` is the
    file of its record. What compares two runs is bounded over differences, which the search does not do: there it comes
    last, where there is time to load what does.
    """

    bounds: str = "crown"
    log: Path | None = None
    name = "portfolio"
    exact = True

    @property
    def turns(self) -> Portfolio:
        """What is asked beside the search, whose verdicts need no encodings; the first of them only once."""
        from nnsym.judge.programs.methods import ProgramMethod  # start: the search decides most

        programs = (ProgramMethod(encoding=find_encoding(e), solver=lane, bounds=self.bounds) for e, lane in _PROGRAMS)
        return Portfolio(members=(FIRST, *programs), otherwise=BoundMethod(source=self.bounds))

    def accept(self, query: Query) -> None:
        """Whatever it is about: smoothed classifiers are sampled."""

    def judge(self, query: Query, clock: Clock, settings: Settings) -> Result:
        if smoothed_nodes(query):
            from nnsym.judge.sampling import sampling  # start: few ask about smoothed classifiers

            return sampling().judge(query, clock, settings)
        ready = room(clock)
        late = ready and pair(query) is not None
        first = ready and not late and _neurons(query) > _WIDE
        if first:
            tried = self._attacked(query, clock, settings)
            if tried is not None and tried.status is not Verdict.UNKNOWN:
                return tried
        searched = None if late else self._searched(query, clock, settings)
        if searched is not None and searched.status is not Verdict.UNKNOWN:
            return searched
        if searched is not None and not room(clock):
            clock.note("passed over", "attack, bounds and programs: no time is left to load what they need")
            return searched
        turns = self.turns
        turns = replace(turns, members=turns.members[1:]) if first else turns
        decided = turns.judge(query, clock, settings)
        if late and decided.status is Verdict.UNKNOWN and clock.left > 0:
            searched = self._searched(query, clock, settings)
        if searched is None or decided.status is Verdict.FALSIFIED:
            return decided
        return _both(decided, searched, clock)

    def _attacked(self, query: Query, clock: Clock, settings: Settings) -> Result | None:
        """The answer of a short counter-search; None where it cannot take the question."""
        return self._named(_taken(partial(FIRST.briefly, query, clock, settings), clock))

    def _searched(self, query: Query, clock: Clock, settings: Settings) -> Result | None:
        """The answer of the search; None where it cannot take the question."""
        share, brief = (_MOST, _LITTLE) if room(clock, 1 - _MOST) else (1.0, 1.0)
        search = SearchMethod(log=self.log, share=share, brief=brief)
        return self._named(_taken(partial(search.judge, query, clock, settings), clock))

    def _named(self, result: Result | None) -> Result | None:
        return None if result is None else replace(result, method=f"{self.name}: {result.method}")

    def optimum(self, query: Query, clock: Clock, settings: Settings, precision: float) -> Least:
        return self.turns.optimum(query, clock, settings, precision)


def _neurons(query: Query) -> int:
    return sum(node.size for node in query.nodes if not isinstance(node, (Affine, Input)))


def room(clock: Clock, share: float = 1.0) -> bool:
    """True if time is left and torch is loaded, or would be within a share of that time: an import cannot be stopped.

    The machine is taken to stay as busy as it has been.
    """
    busy = clock.elapsed / max(time.process_time(), 1e-3)
    needed = 0.0 if "torch" in sys.modules else _LOADING * max(1.0, busy)
    return share * clock.left > needed


def _both(decided: Result, searched: Result, clock: Clock) -> Result:
    """The later answer with the better side of both intervals; that of the search where only it decides."""
    if decided.status is Verdict.UNKNOWN and searched.status is not Verdict.UNKNOWN:
        return searched
    low = searched if searched.lower > decided.lower else decided
    high = searched if searched.upper < decided.upper else decided
    if low.lower > high.upper:  # a solver's bound, off by its tolerance
        low = high = decided
    return replace(
        decided,
        lower=low.lower,
        upper=high.upper,
        lower_trust=low.lower_trust,
        upper_trust=high.upper_trust,
        trail=tuple(clock.trail),
    )
