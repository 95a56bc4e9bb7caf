"""Symbolic float64 numbers: what rules are run on to be proved.

A :class:`Number` is a real term that stands for any float. What is known of a float operation is only

- rounded outward (:mod:`nnsym.ir.outward`): some real on the right side of the exact result;
- plain: of a sum some real of its sign, of a product or quotient any real at all;
- exact: negation, ``abs``, 0 and +-1 as factors, 0 as a summand, powers of two from 2 on, sums of multiples of one
  power of two that is at most 50 bits below the largest of them, integers among them: theorems about what is
  rounded to integers are about bounds up to 2^50.

So what is proved holds for every way of rounding, in any format. A world with a ``unit`` knows more: a plain sum or
product is off by at most that part of it, as float64's is (underflow left out). A ``sharp`` one also knows that a sum
with a number that is 0 is exact, and that a positive number divided by itself is 1. Overflow is left out in all,
results are finite, and zeros have no sign. A number with ``exact`` is one of the theorem, not of the code; what comes
of it is exact.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import z3

from nnsym.testing.prove.world import NotModelledError, World

_PRECISE = 50  # bits over which sums of multiples of one power of two are exact


def term(value: Any) -> Any:
    """The Z3 term of a number, symbolic or not."""
    return value.term if isinstance(value, Number) else _constant(value)


@cache
def _constant(value: Any) -> Any:
    exact = Fraction(value)
    return z3.Q(exact.numerator, exact.denominator)


class Number:
    """See the module. ``grid`` is the power of two that it is a multiple of, where that is known; 1 of an integer."""

    def __init__(self, world: World, term: Any, *, exact: bool = False, grid: Power | int | None = None) -> None:
        self.world, self.term, self.exact, self.grid = world, term, exact, grid

    def _with(self, other: Any, make: Callable[[Any, Any], Any], facts: Callable[..., Any], *, exact: bool) -> Number:
        """The exact result if the operation is known to be exact, else a new number of which ``facts`` tells."""
        world, of_theorem = self.world, self.exact or (isinstance(other, Number) and other.exact)
        result = world.term(make, self.term, term(other))
        if exact or of_theorem:
            return Number(world, result, exact=of_theorem, grid=shared_grid(self, other))
        if z3.is_rational_value(result) and make is add:
            return Number(world, result)
        known = [] if world.unit is None else [world.unit]
        if world.unit is not None and world.sharp and make is add:
            known += sorted((self.term, term(other)), key=lambda t: t.get_id())
        return Number(world, world.result(facts, result, *known))

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, Number) and (other == 0 or not math.isfinite(other)):
            return self if other == 0 else other
        total = self._with(other, add, _plain_sum, exact=shared_grid(self, other) is not None)
        return 0.0 if z3.is_rational_value(total.term) and total.term.as_fraction() == 0 else total

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, Number):
            if other == 0:
                return 0.0
            if not math.isfinite(other):
                return self._infinite(other)
            if abs(other) == 1:
                return self if other == 1 else -self
        power = not isinstance(other, Number) and abs(math.frexp(other)[0]) == 0.5 and abs(other) > 1
        return self._with(other, operator.mul, _plain_product, exact=power)

    def _infinite(self, other: float) -> float:
        if math.isnan(other) or self == 0:
            return math.nan
        return other if self > 0 else -other

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Power):
            return Scaled(self, other)
        if not isinstance(other, Number) and not math.isfinite(other):
            return 0.0
        if not isinstance(other, Number) and other and abs(math.frexp(other)[0]) == 0.5 and abs(other) < 1:
            return self * (1 / other)
        return _quotient(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        if isinstance(self, Power):
            return Scaled(other, self)
        return _quotient(other, self) if other != 0 else 0.0

    def __floordiv__(self, other: int) -> Number:
        if not self.exact:
            raise NotModelledError("a quotient rounded down")
        quotient = self.world.term(operator.truediv, self.term, term(other))
        return Number(self.world, self.world.integer(floor, quotient), exact=True)

    def __mod__(self, other: int) -> Number:
        return self - (self // other) * other  # type: ignore[no-any-return]

    def __neg__(self) -> Number:
        return Number(self.world, self.world.term(_negated, self.term), exact=self.exact, grid=self.grid)

    def __abs__(self) -> Number:
        return larger(self, -self)  # type: ignore[no-any-return]

    def __radd__(self, other: Any) -> Any:
        return self + other

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __rmul__(self, other: Any) -> Any:
        return self * other

    def __lt__(self, other: Any) -> bool:
        return self._compared(other, operator.lt)

    def __le__(self, other: Any) -> bool:
        return self._compared(other, operator.le)

    def __gt__(self, other: Any) -> bool:
        return other == other and not self <= other  # nothing is above NaN

    def __ge__(self, other: Any) -> bool:
        return other == other and not self < other

    def __eq__(self, other: object) -> bool:
        return self is other or self._compared(other, operator.eq, never=True)

    __hash__ = object.__hash__

    def _compared(self, other: Any, test: Callable[..., Any], *, never: bool = False) -> bool:
        if not isinstance(other, Number) and not math.isfinite(other):
            return not never and bool(other > 0)
        return self.world.decide(test, self.term, term(other))

    def __bool__(self) -> bool:
        return self != 0

    def __float__(self) -> float:
        raise NotModelledError("a symbolic number is turned into a float")

    def __outward__(self, name: str, args: tuple[Any, ...]) -> Any:
        """The function of that name of :mod:`nnsym.ir.outward`, of arrays that hold the number."""
        from nnsym.testing.prove.arrays import outward_of  # circle: arrays are made of numbers

        return outward_of(name, args)


def larger(a: Any, b: Any) -> Any:
    """The larger one of two numbers, without a question which it is."""
    if not isinstance(a, Number) and not isinstance(b, Number):
        return max(a, b)
    for one, other in ((a, b), (b, a)):
        if not isinstance(one, Number) and not math.isfinite(one):
            return other if one < 0 else one
    world = a.world if isinstance(a, Number) else b.world
    if term(a).eq(term(b)):
        return a
    new = world.result(_larger, term(a), term(b))
    exact = any(isinstance(v, Number) and v.exact for v in (a, b))
    return Number(world, new, exact=exact, grid=shared_grid(a, b))


def shared_grid(a: Any, b: Any) -> Power | int | None:
    """The power of two that both are known to be multiples of; 0 is one of all."""
    grids = [v.grid for v in (a, b) if isinstance(v, Number)]
    plain = [v for v in (a, b) if not isinstance(v, Number) and v != 0]
    if plain and not (grids == [1] and float(plain[0]).is_integer()):
        return None
    return grids[0] if all(g is grids[0] for g in grids) else None


def _quotient(a: Any, b: Any) -> Any:
    """``a / b``: any real, but of the sign of a where b is positive."""
    some = a if isinstance(a, Number) else b
    if b == 0:
        return math.nan if a == 0 else math.inf if a > 0 else -math.inf
    if any(isinstance(v, Number) and v.exact for v in (a, b)):
        return Number(some.world, some.world.term(operator.truediv, term(a), term(b)), exact=True)
    facts = _nothing
    if b > 0:
        facts = _quotient_in_format if some.world.sharp else _quotient_sign
    return Number(some.world, some.world.result(facts, term(a), term(b)))


def _negated(a: Any) -> Any:
    """The negated term, simplified: twice is once."""
    return z3.simplify(-a)


def add(a: Any, b: Any) -> Any:
    """The exact sum, simplified."""
    return z3.simplify(a + b)


# What is known of a new number ``r``, by the operation that it is the result of.


def _plain_sum(r: Any, exact: Any, unit: Any = None, *summands: Any) -> tuple[Any, ...]:
    same = (z3.Implies(exact == s, r == s) for s in summands)  # the other one is 0
    return ((r > 0) == (exact > 0), (r < 0) == (exact < 0), *_plain_product(r, exact, unit), *same)


def _plain_product(r: Any, exact: Any, unit: Any = None) -> tuple[Any, ...]:
    return () if unit is None else near(r, exact, unit)


def near(r: Any, exact: Any, unit: Any) -> tuple[Any, ...]:
    """``|r - exact| <= unit |exact|``."""
    size = z3.If(exact >= 0, exact, -exact)
    return r - exact <= unit * size, exact - r <= unit * size


def _quotient_sign(r: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return z3.Implies(a >= 0, r >= 0), z3.Implies(a <= 0, r <= 0)


def _quotient_in_format(r: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return *_quotient_sign(r, a, b), z3.Implies(a == b, r == 1)


def _nothing(r: Any, *terms: Any) -> tuple[Any, ...]:
    return ()


def _larger(r: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return r >= a, r >= b, z3.Or(r == a, r == b)


def floor(r: Any, value: Any) -> tuple[Any, ...]:
    """The largest integer that is no larger."""
    return r <= value, value < r + 1


def nearest(r: Any, value: Any) -> tuple[Any, ...]:
    """The nearest integer, of two the even one."""
    half, integer = z3.Q(1, 2), r.arg(0)
    tie = z3.Or(value - r == half, r - value == half)
    return r - half <= value, value <= r + half, z3.Implies(tie, integer % 2 == 0)


def root(r: Any, square: Any) -> tuple[Any, ...]:
    """No more of a square root than its sign."""
    return (r >= 0,)


def exact_root(r: Any, square: Any) -> tuple[Any, ...]:
    """The square root itself."""
    return r >= 0, r * r == square


def above(r: Any, exact: Any) -> tuple[Any, ...]:
    """Rounded up."""
    return (r >= exact,)


def below(r: Any, exact: Any) -> tuple[Any, ...]:
    """Rounded down."""
    return (r <= exact,)


def within(r: Any, low: Any, high: Any, share: Any) -> tuple[Any, ...]:
    """No more than the ends, wherever between them."""
    return r >= low, r <= high


def sum_above(r: Any, exact: Any) -> tuple[Any, ...]:
    """A sum that is not positive is not rounded up beyond 0; a product may be, where it underflows."""
    return r >= exact, z3.Implies(exact <= 0, r <= 0)


def sum_below(r: Any, exact: Any) -> tuple[Any, ...]:
    """The mirror image of :func:`sum_above`."""
    return r <= exact, z3.Implies(exact >= 0, r >= 0)


def _power(r: Any, end: Any) -> tuple[Any, ...]:
    return r > 0, end < r, z3.Implies(end > 0, end >= r / 2)


def _to_integer(r: Any, value: Any, unit: Any, less: Any, more: Any) -> tuple[Any, ...]:
    return r >= value + less * unit, r <= value + more * unit, z3.Implies(value == 0, r == 0)


class Exponent:
    """``e - less`` for the exponent e of a number x: ``2^(e-1) <= |x| < 2^e``."""

    def __init__(self, of: Number, less: int = 0) -> None:
        self._of, self._less = of, less

    def __sub__(self, other: int) -> Exponent:
        return Exponent(self._of, self._less + int(other))

    def __rpow__(self, base: float) -> Power:
        if base != 2:
            raise NotModelledError(f"a power of {base}")
        return Power(self._of, self._less)


class Power(Number):
    """``2^(e - bits)`` for the exponent e of the number ``of``."""

    def __init__(self, of: Number, bits: int) -> None:
        self.of, self.bits = abs(of), bits
        super().__init__(of.world, of.world.result(_power, self.of.term / 2**bits))

    def holds(self, value: Any) -> bool:
        """True if a number is no larger than the one that the power was made for."""
        return self.bits <= _PRECISE and bool(self.of >= value) and bool(-self.of <= value)


class Scaled:
    """``value / unit`` for a power of two, which is exact; all that is done with it is to round it to integers."""

    def __init__(self, value: Any, unit: Power, slack: tuple[Any, Any] | None = None) -> None:
        self._value, self._unit, self._slack = value, unit, slack

    def __ceil__(self) -> Scaled:
        return Scaled(self._value, self._unit, (0.0, 1.0))

    def __floor__(self) -> Scaled:
        return Scaled(self._value, self._unit, (-1.0, 0.0))

    def rint(self) -> Scaled:
        return Scaled(self._value, self._unit, (-0.5, 0.5))

    def __mul__(self, unit: Any) -> Number:
        if unit is not self._unit or self._slack is None:
            raise NotModelledError("a number divided by a power of two is not rounded and multiplied again")
        new = unit.world.result(_to_integer, term(self._value), unit.term, *map(term, self._slack))
        return Number(unit.world, new, grid=unit if unit.holds(self._value) else None)
