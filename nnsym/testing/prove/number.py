"""Symbolic float64 numbers and arrays of them: what rules are run on to be proved.

A :class:`Number` is a real term that stands for any float. What is known of a float operation is only

- rounded outward (:mod:`nnsym.ir.outward`): some real on the right side of the exact result;
- plain: some real of the same sign as the exact result, 0 included where a product or a quotient may underflow;
- exact: negation, ``abs``, 0 and +-1 as factors, 0 as a summand, powers of two from 2 on, sums of multiples of one power
  of two that is at most 50 bits below the largest of them.

So what is proved holds for every way of rounding, in any format. Overflow is left out: results are finite. A term with
``exact`` is a real number of the theorem, not of the code; what is computed from it is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import z3
from numpy.typing import NDArray

from nnsym.ir import outward
from nnsym.testing.prove.world import NotModelledError, World

Array = NDArray[Any]

_PRECISE = 50  # bits over which sums of multiples of one power of two are exact


def term(value: Any) -> Any:
    """The Z3 term of a number, symbolic or not."""
    if isinstance(value, Number):
        return value.term
    exact = Fraction(value)
    return z3.Q(exact.numerator, exact.denominator)


class Number:
    """See the module. ``grid`` is the power of two that it is a multiple of, where that is known."""

    def __init__(self, world: World, term: Any, *, exact: bool = False, grid: Power | None = None) -> None:
        self.world, self.term, self.exact, self.grid = world, term, exact, grid

    def _with(
        self, other: Any, result: Any, rounded: Callable[[Any], list[Any]], *, exact: bool, grid: Power | None = None
    ) -> Number:
        """The number ``result`` if it is known to be exact, else a new one of which ``rounded`` tells."""
        exact_number = self.exact or (isinstance(other, Number) and other.exact)
        if exact or exact_number:
            return Number(self.world, result, exact=exact_number, grid=grid)
        new = self.world.fresh("float")
        self.world.assume(*rounded(new))
        return Number(self.world, new)

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, Number) and (other == 0 or not math.isfinite(other)):
            return self if other == 0 else other
        total = z3.simplify(self.term + term(other))
        if z3.is_rational_value(total) and total.as_fraction() == 0:
            return 0.0
        grid = shared_grid(self, other)

        def rounded(r: Any) -> list[Any]:
            return [(r > 0) == (total > 0), (r < 0) == (total < 0)]

        return self._with(other, total, rounded, exact=grid is not None, grid=grid)

    def __mul__(self, other: Any) -> Any:
        if not isinstance(other, Number):
            if other == 0 or not math.isfinite(other):
                return 0.0 if other == 0 else math.copysign(1, other) * (1 if self > 0 else -1) * math.inf
            size = abs(math.frexp(other)[0]) == 0.5 and abs(other) >= 1
            return self._product(other, exact=size)
        return self._product(other, exact=False)

    def _product(self, other: Any, *, exact: bool) -> Number:
        p = self.term * term(other)
        positive, negative = same_sign(self.term, term(other)), same_sign(self.term, -term(other))
        zero = z3.Or(self.term == 0, term(other) == 0)
        return self._with(
            other, p, lambda r: [z3.Implies(positive, r >= 0), z3.Implies(negative, r <= 0), z3.Implies(zero, r == 0)],
            exact=exact,
        )  # fmt: skip

    def __truediv__(self, other: Any) -> Any:
        if isinstance(other, Power):
            return Scaled(self, other)
        if other == 0:
            raise NotModelledError("a division by zero")
        if not isinstance(other, Number) and not math.isfinite(other):
            return 0.0
        return self._quotient(self.term, term(other), other)

    def __rtruediv__(self, other: Any) -> Any:
        if other == 0:
            return 0.0
        if isinstance(self, Power):
            return Scaled(other, self)
        if self == 0:
            raise NotModelledError("a division by zero")
        return self._quotient(term(other), self.term, other)

    def _quotient(self, above: Any, below: Any, other: Any) -> Any:
        positive, negative = same_sign(above, below), same_sign(above, -below)
        rounded = [(positive, 1), (negative, -1)]
        return self._with(
            other,
            above / below,
            lambda r: [*(z3.Implies(side, s * r >= 0) for side, s in rounded), z3.Implies(above == 0, r == 0)],
            exact=False,
        )

    def __neg__(self) -> Number:
        return Number(self.world, -self.term, exact=self.exact, grid=self.grid)

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
        return self._below(other, z3.ArithRef.__lt__)

    def __le__(self, other: Any) -> bool:
        return self._below(other, z3.ArithRef.__le__)

    def __gt__(self, other: Any) -> bool:
        return not self <= other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __eq__(self, other: object) -> bool:
        return self is other or self._below(other, z3.ExprRef.__eq__, never=True)

    __hash__ = object.__hash__

    def _below(self, other: Any, test: Callable[..., Any], *, never: bool = False) -> bool:
        if not isinstance(other, Number) and not math.isfinite(other):
            return not never and bool(other > 0)
        return self.world.decide(test(self.term, term(other)))

    def __bool__(self) -> bool:
        return self != 0

    def __float__(self) -> float:
        raise NotModelledError("a symbolic number is turned into a float")

    def sqrt(self) -> Number:
        """Called by ``np.sqrt``: any number that is not negative."""
        root = self.world.fresh("root")
        self.world.assume(root >= 0)
        return Number(self.world, root)


def larger(a: Any, b: Any) -> Any:
    """The larger one of two numbers, without a question which it is."""
    if not isinstance(a, Number) and not isinstance(b, Number):
        return max(a, b)
    for one, other in ((a, b), (b, a)):
        if not isinstance(one, Number) and not math.isfinite(one):
            return one if one > 0 else other
    world = a.world if isinstance(a, Number) else b.world
    new = world.fresh("larger")
    world.assume(new >= term(a), new >= term(b), z3.Or(new == term(a), new == term(b)))
    exact = any(isinstance(v, Number) and v.exact for v in (a, b))
    return Number(world, new, exact=exact, grid=shared_grid(a, b))


def shared_grid(a: Any, b: Any) -> Power | None:
    """The power of two that both are known to be multiples of; 0 is one of all."""
    grids = [v.grid for v in (a, b) if isinstance(v, Number)]
    if any(not isinstance(v, Number) and v != 0 for v in (a, b)):
        return None
    return grids[0] if all(g is grids[0] for g in grids) else None


def same_sign(a: Any, b: Any) -> Any:
    """Both positive or both negative; said without a product."""
    return z3.Or(z3.And(a > 0, b > 0), z3.And(a < 0, b < 0))


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
        super().__init__(of.world, of.world.fresh("power"))
        self.of, self.bits = abs(of), bits
        end = self.of.term / 2**bits
        self.world.assume(self.term > 0, end < self.term, z3.Implies(end > 0, end >= self.term / 2))

    def holds(self, value: Any) -> bool:
        """True if a number is no larger than the one that the power was made for."""
        return self.bits <= _PRECISE and bool(self.of >= value) and bool(-self.of <= value)


class Scaled:
    """``value / unit`` for a power of two, which is exact; all that is done with it is to round it to integers."""

    def __init__(self, value: Any, unit: Power, slack: tuple[Any, Any] | None = None) -> None:
        self._value, self._unit, self._slack = value, unit, slack

    def __ceil__(self) -> Scaled:
        return Scaled(self._value, self._unit, (0, 1))

    def __floor__(self) -> Scaled:
        return Scaled(self._value, self._unit, (-1, 0))

    def rint(self) -> Scaled:
        return Scaled(self._value, self._unit, (-z3.Q(1, 2), z3.Q(1, 2)))

    def __mul__(self, unit: Any) -> Number:
        if unit is not self._unit or self._slack is None:
            raise NotModelledError("a number divided by a power of two is not rounded and multiplied again")
        value, (less, more), new = term(self._value), self._slack, unit.world.fresh("rounded")
        unit.world.assume(new >= value + less * unit.term, new <= value + more * unit.term)
        unit.world.assume(z3.Implies(value == 0, new == 0))
        return Number(unit.world, new, grid=unit if unit.holds(self._value) else None)


class Numbers(np.ndarray[Any, Any]):
    """An array of Numbers and floats that says it is one of float64, and answers :mod:`nnsym.ir.outward` by itself."""

    @property
    def dtype(self) -> Any:  # type: ignore[override]
        held = np.ndarray.dtype.__get__(self)  # type: ignore[attr-defined]
        return np.dtype(np.float64) if held == object else held

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        inputs, options = _plain(inputs), _plain(options)
        if ufunc in _BY_ELEMENT:
            return _elementwise(_BY_ELEMENT[ufunc], *inputs)
        if ufunc.__name__ in _CHOICES:
            return symbolic(getattr(_CHOICES[ufunc.__name__], method)(*inputs, **options))
        if ufunc is np.frexp:
            return _elementwise(lambda v: _frexp(v)[0], *inputs), _elementwise(lambda v: _frexp(v)[1], *inputs)
        return symbolic(getattr(ufunc, method)(*inputs, **options))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return symbolic(func(*_plain(args), **_plain(kwargs)))

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:  # type: ignore[override]
        return np.argmax(_plain(self), axis=axis, keepdims=keepdims)

    def __outward__(self, name: str, args: tuple[Any, ...]) -> Any:
        """The function of that name of :mod:`nnsym.ir.outward`."""
        return symbolic(OUTWARD[name](*_plain(args)))


def symbolic(values: Any) -> Any:
    """Arrays of objects as :class:`Numbers`, alone or in tuples and lists."""
    if isinstance(values, (tuple, list)):
        return type(values)(map(symbolic, values))
    if isinstance(values, np.ndarray) and np.ndarray.dtype.__get__(values) == object:  # type: ignore[attr-defined]
        return values.view(Numbers)
    return values


def _plain(values: Any) -> Any:
    if isinstance(values, (tuple, list)):
        return type(values)(map(_plain, values))
    if isinstance(values, dict):
        return {key: _plain(value) for key, value in values.items()}
    return values.view(np.ndarray) if isinstance(values, Numbers) else values


def _elementwise(f: Callable[..., Any], *arrays: Any) -> Any:
    """``f`` of every element; Booleans make an array of them."""
    found = np.frompyfunc(f, len(arrays), 1)(*(np.asarray(a, dtype=object) for a in arrays))
    if isinstance(found, np.ndarray) and all(isinstance(v, bool) for v in found.flat):
        return found.astype(bool)
    return symbolic(found)


def _frexp(value: Any) -> tuple[Any, Any]:
    return (None, Exponent(value)) if isinstance(value, Number) else math.frexp(value)


_CHOICES: dict[str, Any] = {
    "maximum": np.frompyfunc(larger, 2, 1),
    "minimum": np.frompyfunc(lambda a, b: -larger(-a, -b), 2, 1),
    "clip": np.frompyfunc(lambda v, low, high: -larger(-larger(v, low), -high), 3, 1),
}

_BY_ELEMENT: dict[np.ufunc, Callable[..., Any]] = {
    np.isfinite: lambda v: isinstance(v, Number) or math.isfinite(v),
    np.isinf: lambda v: not isinstance(v, Number) and math.isinf(v),
    np.isnan: lambda v: not isinstance(v, Number) and math.isnan(v),
}


def _beyond(world: World, exact: Any, sign: int, *, sum_: bool = False) -> Number:
    """Any real on that side of a term; a sum that is not positive is not rounded up beyond 0."""
    new = world.fresh("up" if sign > 0 else "down")
    world.assume(new >= exact if sign > 0 else new <= exact)
    if sum_:
        world.assume(z3.Implies(exact <= 0, new <= 0) if sign > 0 else z3.Implies(exact >= 0, new >= 0))
    return Number(world, new)


def _sum(sign: int) -> Callable[[Any, Any], Any]:
    by_float = outward.sum_up if sign > 0 else outward.sum_down

    def rounded(a: Any, b: Any) -> Any:
        known = [v for v in (a, b) if not isinstance(v, Number)]
        if len(known) == 2:
            return float(by_float(a, b))
        if known and (known[0] == 0 or not math.isfinite(known[0])):
            return a + b
        world = a.world if isinstance(a, Number) else b.world
        if shared_grid(a, b) is not None:
            return a + b
        return _beyond(world, term(a) + term(b), sign, sum_=True)

    return rounded


def _product(sign: int) -> Callable[[Any, Any], Any]:
    by_float = outward.product_up if sign > 0 else outward.product_down

    def rounded(a: Any, b: Any) -> Any:
        known = [v for v in (a, b) if not isinstance(v, Number)]
        if len(known) == 2:
            return float(by_float(a, b))
        if known and (known[0] == 0 or abs(known[0]) == 1 or not math.isfinite(known[0])):
            return a * b
        world = a.world if isinstance(a, Number) else b.world
        return _beyond(world, term(a) * term(b), sign)

    return rounded


def _total(exact: list[Any]) -> Any:
    """A number not below a sum of exact terms, Numbers or Fractions."""
    worlds = [v.world for v in exact if isinstance(v, Number)]
    if not worlds:
        raise NotModelledError("a sum of floats among symbolic ones")
    return _beyond(worlds[0], z3.Sum([term(v) for v in exact]), 1)


def _exact_product(a: Any, b: Any) -> Any:
    some = a if isinstance(a, Number) else b
    return Number(some.world, term(a) * term(b)) if isinstance(some, Number) else Fraction(a) * Fraction(b)


def _dot_up(a: Any, b: Any) -> Any:
    products = np.frompyfunc(_exact_product, 2, 1)(a, b)
    out = np.empty(products.shape[:-1], dtype=object)
    for place in np.ndindex(out.shape):
        out[place] = _total(list(products[place]))
    return out


def _group_dot_up(first: Any, a: Any, b: Any) -> Any:
    products = np.frompyfunc(_exact_product, 2, 1)(a, b)
    return np.array([_total(list(part)) for part in np.split(products, first[1:])], dtype=object)


def _group_sum_up(group: Any, values: Any, start: Any) -> Any:
    out = np.asarray(start, dtype=object).copy()
    for g in range(len(out)):
        some = [v for v in np.asarray(values, dtype=object)[group == g] if isinstance(v, Number) or v != 0]
        out[g] = _total([out[g], *some]) if some else out[g]
    return out


#: The functions of :mod:`nnsym.ir.outward` on arrays of objects.
OUTWARD: dict[str, Callable[..., Any]] = {
    "written": lambda data: np.frompyfunc(lambda v: isinstance(v, Number) or v != 0, 1, 1)(data).astype(bool),
    "sum_up": np.frompyfunc(_sum(1), 2, 1),
    "sum_down": np.frompyfunc(_sum(-1), 2, 1),
    "product_up": np.frompyfunc(_product(1), 2, 1),
    "product_down": np.frompyfunc(_product(-1), 2, 1),
    "dot_up": _dot_up,
    "group_dot_up": _group_dot_up,
    "group_sum_up": _group_sum_up,
}
