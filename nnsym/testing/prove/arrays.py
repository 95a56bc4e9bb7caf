"""Arrays of symbolic numbers, which code takes for float64 ones, and what functions of NumPy and ours make of them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import z3

from nnsym.bounds.planes import between
from nnsym.ir import outward
from nnsym.testing.prove.number import (
    Exponent,
    Number,
    above,
    add,
    below,
    exact_root,
    floor,
    larger,
    nearest,
    root,
    shared_grid,
    sum_above,
    sum_below,
    term,
    within,
)
from nnsym.testing.prove.powers import power
from nnsym.testing.prove.world import NotModelledError, World


class Numbers(np.ndarray[Any, Any]):
    """An array of Numbers and floats that says it is one of float64, and answers :mod:`nnsym.ir.outward` by itself."""

    @property
    def dtype(self) -> Any:
        held = np.ndarray.dtype.__get__(self)
        return np.dtype(np.float64) if held.hasobject else held

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        inputs, options = _plain(inputs), _plain(options)
        if ufunc in _BY_ELEMENT:
            return _elementwise(_BY_ELEMENT[ufunc], *inputs)
        if ufunc is np.frexp:
            return _elementwise(lambda v: _frexp(v)[0], *inputs), _elementwise(lambda v: _frexp(v)[1], *inputs)
        with np.errstate(invalid="ignore"):
            return symbolic(getattr(_CHOICES.get(ufunc.__name__, ufunc), method)(*inputs, **options))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        with np.errstate(invalid="ignore"):
            return symbolic(func(*_plain(args), **_plain(kwargs)))

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        return np.argmax(_plain(self), axis=axis, keepdims=keepdims)

    def __outward__(self, name: str, args: tuple[Any, ...]) -> Any:
        """The function of that name of :mod:`nnsym.ir.outward`."""
        return outward_of(name, args)


def exact_numbers(world: World, terms: list[Any]) -> Numbers:
    """Real numbers of a theorem as an array."""
    return symbolic(np.array([Number(world, t, exact=True) for t in terms], dtype=object))  # type: ignore[no-any-return]


def outward_of(name: str, args: tuple[Any, ...]) -> Any:
    """What a function of :mod:`nnsym.ir.outward` is for arrays that hold symbolic numbers."""
    return symbolic(OUTWARD[name](*_plain(args)))


def symbolic(values: Any) -> Any:
    """Arrays of objects as :class:`Numbers`, alone or in tuples and lists."""
    if isinstance(values, (tuple, list)):
        return type(values)(map(symbolic, values))
    if isinstance(values, np.ndarray) and np.ndarray.dtype.__get__(values).hasobject:
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


def _next(value: Any, towards: Any) -> Any:
    if not isinstance(value, Number):
        return math.nextafter(value, towards)
    if isinstance(towards, Number) or math.isfinite(towards):
        raise NotModelledError("the next float towards a finite one")
    return Number(value.world, value.world.result(above if towards > 0 else below, value.term))


def _sqrt(value: Any) -> Any:
    if not isinstance(value, Number):
        return math.sqrt(value)
    return Number(value.world, value.world.result(exact_root if value.exact else root, value.term), exact=value.exact)


def _rounded(facts: Callable[..., tuple[Any, ...]], by_float: Callable[[float], Any]) -> Callable[[Any], Any]:
    """To an integer, which is exact."""

    def rounded(value: Any) -> Any:
        if not isinstance(value, Number):
            return by_float(value)
        return Number(value.world, value.world.integer(facts, value.term), exact=value.exact, grid=1)

    return rounded


_BY_ELEMENT: dict[np.ufunc, Callable[..., Any]] = {
    np.nextafter: _next,
    np.power: power,
    np.sqrt: _sqrt,
    np.floor: _rounded(floor, np.floor),
    np.rint: _rounded(nearest, np.rint),
    np.isfinite: lambda v: isinstance(v, Number) or math.isfinite(v),
    np.isinf: lambda v: not isinstance(v, Number) and math.isinf(v),
    np.isnan: lambda v: not isinstance(v, Number) and math.isnan(v),
}


def _sum(sign: int) -> Callable[[Any, Any], Any]:
    by_float, facts = (outward.sum_up, sum_above) if sign > 0 else (outward.sum_down, sum_below)

    def rounded(a: Any, b: Any) -> Any:
        known = [v for v in (a, b) if not isinstance(v, Number)]
        if len(known) == 2:
            return float(by_float(a, b))
        if (known and (known[0] == 0 or not math.isfinite(known[0]))) or shared_grid(a, b) is not None:
            return a + b
        world = a.world if isinstance(a, Number) else b.world
        return Number(world, world.result(facts, world.term(add, term(a), term(b))))

    return rounded


def _product(sign: int) -> Callable[[Any, Any], Any]:
    by_float, facts = (outward.product_up, above) if sign > 0 else (outward.product_down, below)

    def rounded(a: Any, b: Any) -> Any:
        known = [v for v in (a, b) if not isinstance(v, Number)]
        if len(known) == 2:
            return float(by_float(a, b))
        if known and (known[0] == 0 or abs(known[0]) == 1):
            return a * b
        if known and not math.isfinite(known[0]):
            return 0.0 if (a == 0 or b == 0) else a * b
        some = a if isinstance(a, Number) else b
        exact = some.world.term(operator.mul, term(a), term(b))
        if known and some.grid == 1 and abs(math.frexp(known[0])[0]) == 0.5:  # an integer and a power of two
            return Number(some.world, exact)
        return Number(some.world, some.world.result(facts, exact))

    return rounded


def _between(low: Any, high: Any, share: Any) -> Any:
    """Any number within the ends; another one for another share."""
    worlds = [v.world for v in (low, high) if isinstance(v, Number)]
    if not worlds:
        return float(between(np, low, high, share))
    return Number(worlds[0], worlds[0].result(within, *map(term, (low, high, share))))


def _from(floor: Any) -> Any:
    """Any number from another one on."""
    if not isinstance(floor, Number):
        return floor
    found = Number(floor.world, floor.world.result(above, floor.term))
    floor.world.thresholds.append(found)
    return found


def _total(exact: list[Any]) -> Any:
    """A number not below a sum of exact terms, Numbers or Fractions."""
    worlds = [v.world for v in exact if isinstance(v, Number)]
    if not worlds:
        raise NotModelledError("a sum of floats among symbolic ones")
    return Number(worlds[0], worlds[0].result(above, worlds[0].term(_add_all, *map(term, exact))))


def _add_all(*terms: Any) -> Any:
    return z3.simplify(z3.Sum(terms))


def _exact_product(a: Any, b: Any) -> Any:
    some = a if isinstance(a, Number) else b
    if not isinstance(some, Number):
        return Fraction(a) * Fraction(b)
    return Number(some.world, some.world.term(operator.mul, term(a), term(b)))


def _dot_up(a: Any, b: Any) -> Any:
    products = np.frompyfunc(_exact_product, 2, 1)(a, b)
    out = np.empty(products.shape[:-1], dtype=object)
    for place in np.ndindex(out.shape):
        out[place] = total = _total(list(products[place]))
        total.world.dots.append(tuple(map(term, products[place])))
    return out


def _group_dot_up(first: Any, a: Any, b: Any) -> Any:
    if not len(first):
        return np.zeros(0)
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
    "floats": np.asarray,
    "written": lambda data: np.frompyfunc(lambda v: isinstance(v, Number) or v != 0, 1, 1)(data).astype(bool),
    "sum_up": np.frompyfunc(_sum(1), 2, 1),
    "sum_down": np.frompyfunc(_sum(-1), 2, 1),
    "product_up": np.frompyfunc(_product(1), 2, 1),
    "product_down": np.frompyfunc(_product(-1), 2, 1),
    "between": np.frompyfunc(_between, 3, 1),
    "from": np.frompyfunc(_from, 1, 1),
    "dot_up": _dot_up,
    "group_dot_up": _group_dot_up,
    "group_sum_up": _group_sum_up,
}
