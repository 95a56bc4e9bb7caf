"""Bands and ranges of sigmoids, proved from their shape alone, as their lines are (:mod:`nnsym.testing.prove.curves`).

The theorem: ``a x + low <= f(x) <= a x + high`` for every increasing function that is convex left of 0 and concave
right of it, where ``a``, ``low`` and ``high`` are what :func:`nnsym.ir.functions.sigmoidal.band` says of an interval,
or 0 and what ``span`` says. The code takes a slope that is nowhere above the function's, so that ``f(x) - a x`` grows;
the proof goes the same way: from the ends to x, over 0 where that lies between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast, final

import numpy as np
import z3

from nnsym.ir.functions import sigmoidal
from nnsym.testing.prove.curves import Oracle
from nnsym.testing.prove.number import term
from nnsym.testing.prove.search import Counterexample, Denial, Proof, number_in, prove
from nnsym.testing.prove.subjects import UNIT, bounded
from nnsym.testing.prove.tries import find_model
from nnsym.testing.prove.world import World

_band = cast(Any, sigmoidal.band)

#: Processor seconds for one fact on the way.
_LEMMA = 5.0


@final
@dataclass(frozen=True, eq=False)
class _Made:
    """A band: its slope, its ends, and the ends of the range and a point x in it with what is exact there."""

    world: World
    slope: Any
    low: Any
    high: Any
    left: _Point
    right: _Point
    zero: _Point
    at: _Point

    def steps(self) -> Iterator[Any]:
        """What follows one from another, and is too much at once."""
        s, between = self.slope, z3.And(self.left.x <= 0, self.right.x >= 0)
        yield z3.And(s >= 0, s <= self.left.slope, s <= self.right.slope)
        yield s <= self.at.slope
        yield z3.Implies(between, s <= self.zero.slope)
        for p, q in ((self.left, self.at), (self.at, self.right)):
            yield from self._rises(p, q, q.x <= 0, p.slope)
            yield from self._rises(p, q, p.x >= 0, q.slope)
            over = z3.And(p.x <= 0, q.x >= 0)
            yield from self._rises(p, self.zero, over, p.slope)
            yield from self._rises(self.zero, q, over, q.slope)
            yield q.value - p.value >= s * q.x - s * p.x
        yield self.low <= self.left.value - s * self.left.x
        yield self.high >= self.right.value - s * self.right.x

    def _rises(self, p: _Point, q: _Point, when: Any, steep: Any) -> Iterator[Any]:
        """From p to q by no less than the band's slope, since it is ``steep`` enough at one of both."""
        yield z3.Implies(when, (steep - self.slope) * (q.x - p.x) >= 0)
        yield z3.Implies(when, q.value - p.value >= self.slope * q.x - self.slope * p.x)

    def counterexample(self, model: Any) -> Counterexample:
        shown = {"l": self.left.x, "x": self.at.x, "u": self.right.x, "f(x)": self.at.value, "a": self.slope}
        return Counterexample({name: number_in(model, v) for name, v in shown.items()}, "it leaves its band")


@final
@dataclass(frozen=True, eq=False)
class _Point:
    """A point, and the value and the slope there."""

    x: Any
    value: Any
    slope: Any


def prove_band(
    *, band: Callable[..., Any] | None = None, span: Callable[..., Any] | None = None, seconds: float = 60.0
) -> Proof:
    """Prove or refute a sigmoid's ``band``, ours if none is given, or its range by ``span`` if that is given."""

    def run(world: World) -> _Made:
        (low, high), (x,) = bounded(world, "x", 1, {})
        world.margins.clear()  # steps are told instead
        fn = Oracle(world, "S-shaped")
        made = (np.zeros(1), *span(fn, low, high)) if span else (band or _band)(fn, low, high)
        points = [_Point(p, *fn.exact(p)) for p in (term(low[0]), term(high[0]), z3.RealVal(0), x)]
        world.assume(*(p.slope >= 0 for p in points))
        for p in points:
            for q in points:
                world.assume(z3.Implies(z3.And(p.x <= q.x, q.x <= 0), p.slope <= q.slope))
                world.assume(z3.Implies(z3.And(p.x >= 0, p.x <= q.x), p.slope >= q.slope))
        return _Made(world, *(term(side[0]) for side in made), *points)

    def denials(made: _Made) -> Iterator[Denial]:
        for fact in made.steps():
            if find_model(made.world, z3.Not(fact), _LEMMA) is not False:
                break  # the others rest on it
            made.world.assume(fact)
        y, along = made.at.value, made.slope * made.at.x
        yield made.low + along > y, made.counterexample
        yield y > made.high + along, made.counterexample

    return prove(("range" if span else "band", "S-shaped", "any interval"), run, denials, seconds=seconds, unit=UNIT)
