"""Lines over smooth functions, proved from the shape of a function alone, since Z3 has no exponential.

The function is an oracle: a value and a slope for each point that is asked of, of which is known on which side of its
tangents it lies, and how far off the code's values are. The theorem: for every slope ``a``, ``f(x) - a x`` is at most
what :mod:`nnsym.ir.functions.curves` says of an interval without inflections, or :mod:`nnsym.ir.functions.sigmoidal` of
any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast, final

import numpy as np
import z3

from nnsym.ir.functions import curves, sigmoidal
from nnsym.testing.prove.arrays import symbolic
from nnsym.testing.prove.number import Number, term
from nnsym.testing.prove.search import Counterexample, Denial, Proof, number_in, prove
from nnsym.testing.prove.subjects import UNIT, bounded
from nnsym.testing.prove.tries import find_model
from nnsym.testing.prove.world import World

Shape = Literal["convex", "concave", "S-shaped"]

_smooth, _sigmoidal = cast(Any, curves._offset), cast(Any, sigmoidal._offset)

#: Processor seconds for one fact on the way.
_LEMMA = 5.0

#: More than the few operations between two such facts round.
_SOME = 1 + 8 * UNIT


@final
class Oracle:
    """A function of a shape, and what a :class:`nnsym.ir.functions.curves.Curve` is asked for the offset of a line."""

    ulps, unit, limits = 4, 1.0, (-np.inf, np.inf)

    def __init__(self, world: World, shape: Shape) -> None:
        self.world, self.shape, self.bends = world, shape, (shape == "convex",)
        self._points: dict[int, tuple[Any, Any, Any]] = {}  # a point, the value and the slope there

    def cuts(self, lower: Any) -> tuple[()]:
        return ()

    def exact(self, x: Any) -> tuple[Any, Any]:
        """The value and the slope at a point."""
        key = x.get_id()
        if key not in self._points:
            found = x, self.world.result(_value, x), self.world.result(_slope, x)
            for other in self._points.values():
                self.world.assume(*self._compared(found, other), *self._compared(other, found))
            self._points[key] = found
        return self._points[key][1:]

    def _compared(self, one: tuple[Any, Any, Any], other: tuple[Any, Any, Any]) -> Iterator[Any]:
        """What the tangent at one point says of another."""
        (x, value, slope), (z, far, _) = one, other
        tangent = value + slope * (z - x)
        if self.shape != "concave":
            yield far >= tangent if self.shape == "convex" else z3.Implies(z3.And(x <= 0, z <= 0), far >= tangent)
        if self.shape != "convex":
            yield far <= tangent if self.shape == "concave" else z3.Implies(z3.And(x >= 0, z >= 0), far <= tangent)

    def value(self, x: Any) -> Any:
        return self._computed(0, x)

    def derivative(self, x: Any) -> Any:
        return self._computed(1, x)

    def _computed(self, which: int, x: Any) -> Any:
        near = _relative if self.shape == "S-shaped" else _absolute
        found = [Number(self.world, self.world.result(near, self.exact(term(v))[which], UNIT)) for v in np.ravel(x)]
        return symbolic(np.array(found, dtype=object).reshape(np.shape(x)))


def _value(r: Any, x: Any) -> tuple[Any, ...]:
    return ()


def _slope(r: Any, x: Any) -> tuple[Any, ...]:
    return ()


def _relative(r: Any, exact: Any, unit: Any) -> tuple[Any, ...]:
    slip = 2 * Oracle.ulps * unit * z3.If(r >= 0, r, -r)
    return r - exact <= slip, exact - r <= slip


def _absolute(r: Any, exact: Any, unit: Any) -> tuple[Any, ...]:
    """Off by units of itself, or of 1; and no float is above the largest."""
    slip = 2 * Oracle.ulps * unit * z3.If(r >= 1, r, z3.If(r <= -1, -r, z3.RealVal(1)))
    most = term(float(np.finfo(np.float64).max))
    return r - exact <= slip, exact - r <= slip, -most <= r, r <= most


@final
@dataclass(frozen=True, eq=False)
class _Made:
    """A line above ``sign f``: arrays of its slope and of the range, its offset, and ``sign f(x) - a x`` at a point."""

    fn: Oracle
    sign: float
    a: Any
    ends: tuple[Any, Any]
    x: Any
    top: Any
    value: Any
    shown: dict[str, Any]
    touch: Any = None

    def counterexample(self, model: Any) -> Counterexample:
        return Counterexample({name: number_in(model, v) for name, v in self.shown.items()}, "its line cuts it off")

    def steps(self) -> Iterator[Any]:
        """What follows one from another, and is too much at once."""
        low, high = self.ends
        if self.fn.shape == "S-shaped":
            yield from self._convex((low, np.minimum(high, 0)), self.x <= 0)
            yield from self._concave(self.touch, (np.maximum(low, 0), high), self.x >= 0)
        elif (self.fn.shape == "convex") == (self.sign > 0):
            yield from self._convex((low, high), z3.BoolVal(True))
        else:
            ((_, d),) = curves._inside(self.fn, self.sign, self.a, low, high, 0)  # type: ignore[arg-type]
            yield from self._concave(d, (low, high), z3.BoolVal(True))

    def _rise(self, x: Any) -> Any:
        if self.fn.shape == "S-shaped":
            return term(sigmoidal._rise(self.fn, self.fn.value(x), self.a, x)[0])  # type: ignore[arg-type]
        return term(curves._rise(self.fn, self.sign, self.a, x)[0])  # type: ignore[arg-type]

    def _exact(self, x: Any) -> tuple[Any, Any]:
        """``sign f(x) - a x``, and the slope of ``sign f``."""
        value, slope = self.fn.exact(term(x[0]))
        return self.sign * value - term(self.a[0]) * term(x[0]), self.sign * slope

    def _convex(self, ends: tuple[Any, Any], when: Any) -> Iterator[Any]:
        steep = self.sign * self.fn.exact(self.x)[1] - term(self.a[0])
        for end, there in zip(ends, (steep <= 0, steep >= 0), strict=True):  # where the tangent at x rises to it
            yield z3.Implies(z3.And(when, there), steep * (term(end[0]) - self.x) >= 0)
            yield z3.Implies(z3.And(when, there), self.value <= self._exact(end)[0])
        yield z3.Implies(when, z3.Or(*(self.value <= self._exact(end)[0] for end in ends)))
        for end in ends:
            yield self._rise(end) >= self._exact(end)[0]

    def _concave(self, d: Any, ends: tuple[Any, Any], when: Any) -> Iterator[Any]:
        slope = self.sign * self.fn.derivative(d)
        slip = curves._error(self.fn, slope) if self.fn.shape != "S-shaped" else sigmoidal._error(self.fn, slope)  # type: ignore[arg-type]
        up, down = np.maximum(slope + slip - self.a, 0.0), np.maximum(self.a - (slope - slip), 0.0)
        right, left = np.maximum(ends[1] - d, 0.0), np.maximum(d - ends[0], 0.0)
        moved = term(curves.over_tangent(slope, slip, self.a, d, ends)[0])
        up, down, right, left = (term(side[0]) for side in (up, down, right, left))
        (at_d, steep), away = self._exact(d), self.x - term(d[0])
        steep = steep - term(self.a[0])
        yield z3.And(steep <= _SOME * up, -steep <= _SOME * down)
        yield z3.Implies(when, z3.And(away <= _SOME * right, -away <= _SOME * left))
        yield z3.And(up >= 0, down >= 0, right >= 0, left >= 0)
        along = _SOME * _SOME * (up * right + down * left)
        yield z3.Implies(when, steep * away <= along)
        yield moved >= along
        yield z3.Implies(when, self.value <= at_d + steep * away)
        yield self._rise(d) >= at_d


def prove_offset(
    shape: Shape, sign: float = 1.0, *, offset: Callable[..., Any] | None = None, seconds: float = 60.0
) -> Proof:
    """Prove or refute the offset of a line of any slope above ``sign f``; ``offset`` is a function in place of ours.

    Of S-shaped functions it is that of :mod:`nnsym.ir.functions.sigmoidal`, with any point of the range where its
    tangent is.
    """

    def run(world: World) -> _Made:
        shown: dict[str, Any] = {}
        (low, high), (x,) = bounded(world, "x", 1, shown)
        world.margins.clear()  # steps are told instead
        fn = Oracle(world, shape)
        a, d = (symbolic(np.array([Number(world, z3.Real(name))], dtype=object)) for name in ("a", "d"))
        y, _ = fn.exact(x)
        shown |= {"a": a[0], "f(x)": y}
        if shape == "S-shaped":
            l, u, t = (term(side[0]) for side in (low, high, d))  # noqa: E741
            world.assume(t >= 0, t >= l, z3.Or(t <= u, t == 0))
            top = (offset or _sigmoidal)(fn, fn.value, fn.derivative, low, high, a, d)
        else:
            top = (offset or _smooth)(fn, sign, a, low, high)
        value = sign * y - term(a[0]) * x
        return _Made(fn, sign, a, (low, high), x, term(top[0]), value, shown, d)

    def denials(made: _Made) -> Iterator[Denial]:
        world = made.fn.world
        for fact in made.steps():
            if find_model(world, z3.Not(fact), _LEMMA) is False:
                world.assume(fact)
        yield made.value > made.top, made.counterexample

    claim = "line above", f"{shape}, {'' if sign > 0 else '-'}f", "any slope"
    return prove(claim, run, denials, seconds=seconds, unit=UNIT)
