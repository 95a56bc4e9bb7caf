"""The search along a family of properties: cheap answers bracket the threshold, then the method narrows the bracket.

What is verified at one number is verified at every easier one, and a counterexample counts at every number at which it
is still one, so the bracket shrinks to the easiest of these at once, by replaying the one point. First a counter-search
and bounds are asked, at both ends and between them; only then the method that was named, on what they leave open, each
question with a share of the clock, so that one that is too hard does not cost the others. As counterexamples lie near
the threshold more often than not, the next question is whether the property holds just beyond them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from nnsym.ask.verify import verify
from nnsym.errors import InputError, MissingBoundsError, UnsupportedError
from nnsym.ir.query import Reading
from nnsym.judge.method import Method
from nnsym.judge.methods import FIRST, BoundMethod, check_bounds
from nnsym.judge.registry import is_bounds, resolve
from nnsym.lang.property import Property
from nnsym.replay import found_at
from nnsym.results.clock import Clock
from nnsym.results.ranges import seconds
from nnsym.results.result import Result, Verdict, Witness

Family = Callable[[float], Property]

_FINE = 1 / 16  # share of the precision to which a counterexample's own number is found
_QUICK = 8  # numbers that are asked by counter-search and bounds, the ends among them
_QUICK_SHARE = 0.05  # of the clock, for each of the two
_COARSE = 1 / 16  # share of the bracket to which a cheap counterexample is followed
_SHARES = 3  # a question of the method's gets this part of the clock, at least


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Bracket:
    """``good`` is verified if ``held`` (else the end where that is hoped for), ``bad`` falsified by ``witness``.

    ``doubt`` is the range of numbers, from the good to the bad side, where nobody knew. ``fresh`` is true while nothing
    was asked since the counterexample was found. ``certifies`` is false where the method only finds counterexamples.
    """

    good: float
    bad: float
    held: bool = False
    witness: Witness | None = None
    doubt: tuple[float, float] | None = None
    fresh: bool = False
    certifies: bool = True

    @property
    def sign(self) -> float:
        """1 where numbers grow from good to bad, else -1."""
        return 1.0 if self.good < self.bad else -1.0

    @property
    def closed(self) -> bool:
        """True where the property fails at the good end or holds at the bad one."""
        return self.good == self.bad

    @property
    def may_narrow(self) -> bool:
        """True if another answer of the method can say more: of bounds only beyond what holds, of a search only short
        of what fails.
        """
        return self.held if self.certifies else self.witness is not None

    def gap(self) -> tuple[float, float]:
        """The widest range to ask in next; beyond a doubtful one only where easier counterexamples may be found."""
        if self.doubt is None:
            return self.good, self.bad
        gaps = [(self.good, self.doubt[0])] if self.certifies else [(self.good, self.good)]
        if self.witness is not None:
            gaps.append((self.doubt[1], self.bad))
        return max(gaps, key=lambda gap: abs(gap[1] - gap[0]))

    def next(self, precision: float) -> float | None:
        """The number to ask about, None where the bracket is closed: just beyond a new counterexample, else halfway."""
        start, end = self.gap()
        if abs(end - start) <= precision:
            return None
        near = self.bad - self.sign * 0.99 * precision
        return near if self.fresh and end == self.bad else start + (end - start) / 2

    def verified(self, at: float) -> Bracket:
        return replace(self, good=at, held=True, doubt=_beyond(self.doubt, at, self.bad), fresh=False)

    def falsified(self, at: float, witness: Witness) -> Bracket:
        return replace(self, bad=at, witness=witness, doubt=_beyond(self.doubt, self.good, at), fresh=True)

    def doubted(self, at: float) -> Bracket:
        ends = (*(self.doubt or ()), at)
        ordered = sorted(ends, key=lambda v: self.sign * v)
        return replace(self, doubt=(ordered[0], ordered[-1]), fresh=False)


def search(
    family: Family, good: float, bad: float, *, method: Any, precision: float, options: Mapping[str, Any]
) -> tuple[Bracket, list[tuple[float, Result]]]:
    """The bracket between ``good`` and ``bad``, and what was asked; ``options`` are those of ``verify``."""
    import nnsym.bounds.engine.backward.linear  # noqa: F401  # heavy: torch, loaded before the clock runs

    named = ("encoding", "solver", "bounds", "optimise")
    chosen = resolve(method, **{name: options[name] for name in named if name in options})
    rest = {name: value for name, value in options.items() if name not in (*named, "timeout", "clock")}
    clock = options.get("clock") or Clock(seconds(options.get("timeout", 60.0)))
    source = chosen.bounds if is_bounds(chosen.bounds) else options.get("bounds", "crown")
    quick = BoundMethod(source=check_bounds(source))
    asker = _Asker(family=family, method=chosen, quick=quick, clock=clock, precision=precision, options=rest)
    bracket = Bracket(good=good, bad=bad, certifies=chosen.proves)
    if not chosen.quick:
        bracket = replace(_quickly(asker, bracket, precision), doubt=None)
    if not bracket.held and not bracket.closed:
        bracket = asker.ask(bracket, good)
    if bracket.witness is None and (bracket.held or not bracket.certifies) and not bracket.closed and clock.left > 0:
        bracket = asker.ask(bracket, bad)
    while not bracket.closed and bracket.may_narrow and clock.left > 0:
        at = bracket.next(precision)
        if at is None:
            break
        bracket = asker.ask(bracket, at, questions=_questions(bracket, precision))
    return bracket, asker.results


def _quickly(asker: _Asker, bracket: Bracket, precision: float) -> Bracket:
    """Both ends by cheap answers, then halves towards the good end until one holds."""
    good, bad = bracket.good, bracket.bad
    bracket = asker.quickly(bracket, good)
    if not bracket.closed:
        bracket = asker.quickly(bracket, bad)
    while bracket.held and bracket.good == good and not bracket.closed and len(asker.results) < _QUICK:
        end = bracket.bad if bracket.doubt is None else bracket.doubt[0]
        if abs(end - good) <= precision or asker.clock.left <= 0:
            break
        bracket = asker.quickly(bracket, good + (end - good) / 2)
    return replace(bracket, fresh=bracket.witness is not None)


def _questions(bracket: Bracket, precision: float) -> int:
    """How many halvings the gap may need."""
    start, end = bracket.gap()
    return max(1, int(np.ceil(np.log2(max(abs(end - start) / precision, 1.0)))))


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class _Asker:
    """Asks about one number and moves the end of the bracket that the verdict is about; keeps what was asked."""

    family: Family
    method: Method
    quick: BoundMethod
    clock: Clock
    precision: float
    options: Mapping[str, Any]
    results: list[tuple[float, Result]] = field(default_factory=list)

    def ask(self, bracket: Bracket, at: float, *, questions: int = _SHARES) -> Bracket:
        """The method that was named, with a share of the clock."""
        result = verify(
            self._property(at),
            self.method,
            timeout=max(self.clock.left / min(questions, _SHARES), 1e-3),
            **self.options,
        )
        return self._take(bracket, at, result, self.precision)

    def quickly(self, bracket: Bracket, at: float) -> Bracket:
        """Bounds, then a counter-search if they do not verify; at the bad end the search comes first."""
        prop = self._property(at)
        result = None
        for method in (FIRST, self.quick) if at == bracket.bad else (self.quick, FIRST):
            asked = self._briefly(prop, method)
            result = result if asked is None else asked
            if result is not None and result.status is not Verdict.UNKNOWN:
                break
        coarse = max(self.precision, _COARSE * abs(bracket.bad - bracket.good))
        return bracket.doubted(at) if result is None else self._take(bracket, at, result, coarse)

    def _briefly(self, prop: Property, method: Method) -> Result | None:
        """None where the method cannot take the property: the one that was named may."""
        try:
            return verify(prop, method, timeout=max(_QUICK_SHARE * self.clock.left, 1e-3), **self.options)
        except (UnsupportedError, MissingBoundsError):
            return None

    def _property(self, at: float) -> Property:
        prop = self.family(at)
        if not isinstance(prop, Property):
            remedy = "Return nn.forall(...)"
            raise InputError(f"the family gives {type(prop).__name__}, no property", where=f"at {at:g}", remedy=remedy)
        if prop.reading is not Reading.FORALL:
            raise InputError("a search goes by counterexamples", where=prop.name, remedy="Give a family of nn.forall")
        return prop

    def _take(self, bracket: Bracket, at: float, result: Result, precision: float) -> Bracket:
        self.results.append((at, result))
        if result.status is Verdict.VERIFIED:
            return bracket.verified(at)
        if result.counterexample is None:
            return bracket.doubted(at)
        return bracket.falsified(*self._shrink(at, bracket.good, result.counterexample, _FINE * precision))

    def _shrink(self, at: float, good: float, found: Witness, width: float) -> tuple[float, Witness]:
        """The easiest number that was tried at which the point is still a counterexample, and its replay there."""
        kept, easy = found, good
        while abs(at - easy) > width and self.clock.left > 0:
            middle = easy + (at - easy) / 2
            query = self.family(middle).query
            at_it = {x: found.inputs[x.name].ravel() for x in query.inputs}
            still = found_at(query, at_it, deadline=self.clock.deadline())
            if still is None:
                easy = middle
            else:
                at, kept = middle, still
        return at, kept


def _beyond(doubt: tuple[float, float] | None, good: float, bad: float) -> tuple[float, float] | None:
    """The part of the doubtful range that lies strictly between the ends; None if nothing is left."""
    if doubt is None:
        return None
    sign = 1.0 if good < bad else -1.0
    kept = [v for v in doubt if sign * good < sign * v < sign * bad]
    return (kept[0], kept[-1]) if kept else None
