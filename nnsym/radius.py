"""``radius``, ``largest`` and ``smallest``: where along a family of properties the verdict changes.

A family gives one property for every number. ``largest`` is for families that get harder as the number grows (a ball of
radius eps), ``smallest`` for those that get easier (a Lipschitz bound L). What is verified at one number is verified at
every easier one, and a counterexample counts at every number at which it is still one, so the bracket shrinks to the
easiest of these at once, by replaying the one point. As such points lie near the threshold more often than not, the
next question is whether the property holds just beyond them; only then is the bracket halved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.clock import Clock
from nnsym.errors import InputError
from nnsym.ir.network import Network
from nnsym.ir.query import Reading
from nnsym.lang.property import Property
from nnsym.lang.props import lipschitz as lipschitz_property
from nnsym.lang.props import robust
from nnsym.options import seconds
from nnsym.replay import found_at
from nnsym.result import NoTruthValue, Result, Verdict, Witness
from nnsym.verify import verify

Array = NDArray[Any]
Family = Callable[[float], Property]

_HALVINGS = 30


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Threshold(NoTruthValue):
    """Where the family changes: the largest (``goal``) or smallest number with a property that holds.

    ``certified`` is the hardest number at which it was verified, ``falsified`` the easiest one at which ``witness`` is
    a replayed counterexample; infinite where there is none. The threshold lies between them if the family is monotone.
    ``results`` lists what was asked, in order.
    """

    spoken = ("the bracket of a threshold", "Ask for its certified or falsified end, or compare them with a number")

    goal: str
    certified: float
    falsified: float
    witness: Witness | None
    results: tuple[tuple[float, Result], ...]
    precision: float

    @property
    def lower(self) -> float:
        """The lower end of the bracket."""
        return min(self.certified, self.falsified)

    @property
    def upper(self) -> float:
        """The upper end of the bracket."""
        return max(self.certified, self.falsified)

    @property
    def certificate(self) -> Result | None:
        """The result that verified at ``certified``."""
        return next((r for at, r in self.results if at == self.certified and r.status is Verdict.VERIFIED), None)

    @property
    def complete(self) -> bool:
        """True if the bracket is as narrow as was asked; else some question stayed open or time ran out."""
        return self.upper - self.lower <= self.precision

    def to_records(self) -> list[dict[str, Any]]:
        """One flat dictionary per property that was asked."""
        return [
            {
                "at": at,
                "verdict": result.status.value,
                "trust": result.trust.value if result.trust else None,
                "reason": result.reason,
                "method": result.method,
                "seconds": result.seconds["total"],
            }
            for at, result in self.results
        ]

    def __repr__(self) -> str:
        found = self.certificate
        trust = f", trust {found.trust.value}" if found is not None and found.trust else ""
        at = f", replayed by {self.witness.replayed_by}" if self.witness is not None else ""
        open_ = "" if self.complete else "; not closed to the precision"
        head = f"{self.goal} in [{self.lower:.9g}, {self.upper:.9g}]"
        return f"<{head}: holds at {self.certified:.9g}{trust}; fails at {self.falsified:.9g}{at}{open_}>"

    def _repr_html_(self) -> str:
        from nnsym.report.optima import records_html

        return records_html(repr(self)[1:-1], self.to_records())


def largest(
    family: Family, method: Any = None, *, low: float = 0.0, high: float, precision: float = 1e-3, **options: Any
) -> Threshold:
    """The largest number in ``[low, high]`` whose property holds, for a family that gets harder as the number grows.

    Args:
        family: a property for every number.
        method: as for :func:`nnsym.verify.verify`; ``timeout`` is for the whole search.
        low: where the property is expected to hold.
        high: where it is expected to fail.
        precision: the width of the bracket at which the search ends.
        options: those of ``verify``.
    """
    return _search("largest", family, method, float(low), float(high), precision, options)


def smallest(
    family: Family, method: Any = None, *, low: float = 0.0, high: float, precision: float = 1e-3, **options: Any
) -> Threshold:
    """The smallest number in ``[low, high]`` whose property holds, where it gets easier; see :func:`largest`."""
    return _search("smallest", family, method, float(high), float(low), precision, options)


def radius(
    f: Network | Family,
    x0: object = None,
    label: object = None,
    method: Any = None,
    *,
    high: float,
    low: float = 0.0,
    precision: float = 1e-3,
    p: object = np.inf,
    within: tuple[object, object] | None = None,
    **options: Any,
) -> Threshold:
    """``sup {eps: argmax f(x) == label for all x with norm(x - x0, p) <= eps}``, or that of any family of properties.

    ``f`` is a network with a point and its label, or a callable that gives a property for every eps. The options are
    those of :func:`largest`; ``within`` cuts the balls to valid inputs.
    """
    if not isinstance(f, Network):
        if x0 is not None or label is not None:
            raise InputError("a family of properties takes no point and no label", remedy="Put them into the family")
        return largest(f, method, low=low, high=high, precision=precision, **options)
    if x0 is None or label is None:
        raise InputError(
            "the radius of a network needs a point and its label", remedy="nn.radius(f, x0, label, high=1)"
        )
    net = f

    def ball_of(eps: float) -> Property:
        return robust(net, x0, label, eps, p=p, within=within)

    return largest(ball_of, method, low=low, high=high, precision=precision, **options)


def lipschitz(
    f: Network,
    lower: object,
    upper: object,
    method: Any = None,
    *,
    high: float,
    low: float = 0.0,
    precision: float = 1e-3,
    p: object = np.inf,
    gap: object = 0,
    **options: Any,
) -> Threshold:
    """The smallest L in ``[low, high]`` with ``|f_k(x) - f_k(y)| <= L norm(x - y, p) + gap`` on the box, for all k.

    The options are those of :func:`smallest`.
    """

    def bounded_by(constant: float) -> Property:
        return lipschitz_property(f, lower, upper, constant, p=p, gap=gap)

    return smallest(bounded_by, method, low=low, high=high, precision=precision, **options)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class _Bracket:
    """``good`` is verified (or the end where that is hoped for), ``bad`` falsified by ``witness`` (or the other end).

    ``doubt`` is the range of numbers, from the good to the bad side, where the method said ``unknown``. ``fresh`` is
    true while nothing was asked since the counterexample was found.
    """

    good: float
    bad: float
    held: bool = False
    witness: Witness | None = None
    doubt: tuple[float, float] | None = None
    fresh: bool = False

    @property
    def sign(self) -> float:
        """1 where numbers grow from good to bad, else -1."""
        return 1.0 if self.good < self.bad else -1.0

    def gap(self) -> tuple[float, float]:
        """The widest range to ask in next; beyond a doubtful one only where easier counterexamples may be found."""
        if self.doubt is None:
            return self.good, self.bad
        gaps = [(self.good, self.doubt[0])]
        if self.witness is not None:
            gaps.append((self.doubt[1], self.bad))
        return max(gaps, key=lambda gap: abs(gap[1] - gap[0]))

    def next(self, precision: float) -> float | None:
        """The number to ask about, None where the bracket is closed."""
        start, end = self.gap()
        if not self.held or abs(end - start) <= precision:
            return None
        near = self.bad - self.sign * 0.99 * precision
        return near if self.fresh and end == self.bad else start + (end - start) / 2

    def verified(self, at: float) -> _Bracket:
        return replace(self, good=at, held=True, doubt=_beyond(self.doubt, at, self.bad), fresh=False)

    def falsified(self, at: float, witness: Witness) -> _Bracket:
        return replace(self, bad=at, witness=witness, doubt=_beyond(self.doubt, self.good, at), fresh=True)

    def doubted(self, at: float) -> _Bracket:
        ends = (*(self.doubt or ()), at)
        ordered = sorted(ends, key=lambda v: self.sign * v)
        return replace(self, doubt=(ordered[0], ordered[-1]), fresh=False)


def _search(
    goal: str, family: Family, method: Any, good: float, bad: float, precision: float, options: dict[str, Any]
) -> Threshold:
    if not (np.isfinite([good, bad]).all() and good != bad and (good < bad) is (goal == "largest") and precision > 0):
        raise InputError("the search needs finite numbers low < high, and a positive precision")
    clock = Clock(seconds(options.pop("timeout", 60.0)))
    results: list[tuple[float, Result]] = []
    bracket = _Bracket(good=good, bad=bad)
    bracket = _asked(family, good, method, bracket, results, clock, options)
    if bracket.held:
        bracket = _asked(family, bad, method, bracket, results, clock, options)
    while bracket.good != bracket.bad and clock.left > 0 and (at := bracket.next(precision)) is not None:
        bracket = _asked(family, at, method, bracket, results, clock, options)
    beyond = np.inf if goal == "largest" else -np.inf
    return Threshold(
        goal=goal,
        certified=bracket.good if bracket.held else -beyond,
        falsified=bracket.bad if bracket.witness is not None else beyond,
        witness=bracket.witness,
        results=tuple(results),
        precision=precision,
    )


def _asked(
    family: Family,
    at: float,
    method: Any,
    bracket: _Bracket,
    results: list[tuple[float, Result]],
    clock: Clock,
    options: dict[str, Any],
) -> _Bracket:
    """Verify the property at one number and move the end of the bracket that the verdict is about."""
    prop = family(at)
    if prop.reading is not Reading.FORALL:
        raise InputError("a search goes by counterexamples", where=prop.name, remedy="Give a family of nn.forall")
    result = verify(prop, method, timeout=max(clock.left, 1e-3), **options)
    results.append((at, result))
    if result.status is Verdict.VERIFIED:
        return bracket.verified(at)
    if result.counterexample is None:
        return bracket.doubted(at)
    return bracket.falsified(*_shrink(family, at, bracket.good, result.counterexample))


def _beyond(doubt: tuple[float, float] | None, good: float, bad: float) -> tuple[float, float] | None:
    """The part of the doubtful range that lies strictly between the ends; None if nothing is left."""
    if doubt is None:
        return None
    sign = 1.0 if good < bad else -1.0
    kept = [v for v in doubt if sign * good < sign * v < sign * bad]
    return (kept[0], kept[-1]) if kept else None


def _shrink(family: Family, at: float, good: float, found: Witness) -> tuple[float, Witness]:
    """The easiest number that was tried at which the point is still a counterexample, and its replay there."""
    kept, easy = found, good
    for _ in range(_HALVINGS):
        middle = easy + (at - easy) / 2
        query = family(middle).query
        still = found_at(query, {x: found.inputs[x.name].ravel() for x in query.inputs})
        if still is None:
            easy = middle
        else:
            at, kept = middle, still
    return at, kept
