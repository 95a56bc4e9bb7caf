"""What rules are proved on: a neuron, maximum or product with symbolic bounds, arguments and slopes, and its graph."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, final

import numpy as np
import z3

from nnsym.ir.functions.comparisons import greater
from nnsym.ir.functions.powers import Monomial
from nnsym.ir.functions.stairs import Floor, Stairs
from nnsym.ir.linear import LinearMap
from nnsym.ir.node import Affine, Max, Node, Product, maximum, new_input, pointwise, product
from nnsym.ir.univariate import Hinge, Piecewise, Univariate
from nnsym.testing.prove.arrays import Numbers, symbolic
from nnsym.testing.prove.number import Number, floor, nearest, term
from nnsym.testing.prove.world import NotModelledError, World

#: Sums of integers up to here are exact.
_FAR = z3.RealVal(2**50)

#: Powers of numbers up to here are far from the largest float.
_FAR_POWER = z3.RealVal(2**200)

#: The unit roundoff of float64, for what is made for it.
UNIT = z3.Q(1, 2**53)

Graph = tuple[Any, list[Any]]  # the value of the node, and all that its graph's closure has there


@final
@dataclass(frozen=True, eq=False)
class Setup:
    """A node in a world: bounds and values of the nodes that it reads, its value, and the numbers it is all made of.

    ``values`` maps each node, the parents first, to one real an element; ``zero`` marks parents whose columns are the
    constant 0; ``closed`` are values of the node that jumps add. ``shown`` names the numbers for a counterexample.
    """

    node: Node
    bounds: dict[Node, tuple[Numbers, Numbers]]
    values: dict[Node, list[Any]]
    closed: tuple[Any, ...] = ()
    shown: dict[str, Any] = field(default_factory=dict)
    zero: bool = False


@final
@dataclass(frozen=True, eq=False)
class Subject:
    """What a theorem is about: its name, and how it is set up in a world; ``unit`` is what the world has to know."""

    name: str
    make: Callable[[World], Setup]
    fn: Univariate | None = None
    unit: Any = None


def bounded(world: World, name: str, count: int, shown: dict[str, Any], infinite: str = "") -> tuple[Any, list[Any]]:
    """Bounds and values ``l <= value <= u`` of some elements; ``infinite`` names ends, l or u, that are."""
    values, ends = [], []
    for k in range(count):
        mark = f"{name}_{k}" if count > 1 else name
        low, value, high = (z3.Real(f"{side} {mark}") for side in ("l", "value", "u"))
        world.assume(*([] if "l" in infinite else [low <= value]), *([] if "u" in infinite else [value <= high]))
        world.margins += [value - low, high - value]
        lower = -np.inf if "l" in infinite else Number(world, low)
        upper = np.inf if "u" in infinite else Number(world, high)
        ends.append((lower, upper))
        values.append(value)
        shown |= {f"l({mark})": lower, mark: value, f"u({mark})": upper}
    return tuple(symbolic(np.array(side, dtype=object)) for side in zip(*ends, strict=True)), values


def hinge(name: str, left: float | None = None, right: float | None = None, **options: Any) -> Subject:
    """``y = max`` or ``min`` of two lines through 0; slopes not given are any."""
    fn = Hinge(np.array([left]), np.array([right]), name) if left is not None and right is not None else None

    def make(world: World) -> Setup:
        shown: dict[str, Any] = {}
        a, b = (_slope(world, side, value, shown) for side, value in (("left", left), ("right", right)))
        used = fn or _hinge(a, b)
        return _pointwise(world, used, lambda h: (z3.If(h > 0, term(b) * h, term(a) * h), []), shown, **options)

    return Subject(name, make, fn)


def _slope(world: World, side: str, value: float | None, shown: dict[str, Any]) -> Any:
    if value is not None:
        return value
    shown[side] = Number(world, z3.Real(side))
    return shown[side]


def _hinge(left: Any, right: Any) -> Hinge:
    made = object.__new__(Hinge)  # its own constructor keeps floats only
    for name, value in (("left", left), ("right", right)):
        object.__setattr__(made, name, symbolic(np.array([value], dtype=object)))
    made.__dict__.update(name="hinge", key=f"symbolic {id(made)}")
    return made


def pieces(fn: Piecewise, **options: Any) -> Subject:
    """A piecewise-linear function with one row of numbers."""
    breaks, slopes, offsets, at = (side[0].tolist() for side in (fn.breaks, fn.slopes, fn.offsets, fn.at))

    def graph(h: Any) -> Graph:
        lines = [term(a) * h + term(b) for a, b in zip(slopes, offsets, strict=True)]
        value, closed = lines[0], []
        for t, point, before, line in zip(breaks, at, lines, lines[1:], strict=False):
            value = z3.If(h > term(t), line, z3.If(h == term(t), term(point), value))
            closed += [z3.If(h == term(t), side, value) for side in (before, line)]
        return value, [z3.simplify(side) for side in closed]

    return Subject(fn.name, lambda world: _pointwise(world, fn, graph, {}, **options), fn)


def stairs(fn: Stairs) -> Subject:
    """A function that rounds to integers of up to 50 bits; at a jump it closes to both sides."""
    unit = term(getattr(fn, "unit", 1.0))

    def graph(world: World, h: Any) -> Graph:
        if isinstance(fn, Floor):
            value = world.integer(floor, world.term(operator.truediv, h, unit))
            return value, [z3.If(value * unit == h, value - 1, value)]
        value = world.integer(nearest, h)
        return value, [2 * h - value]  # of a tie the other one; of others no integer

    def make(world: World) -> Setup:
        setup = _pointwise(world, fn, partial(graph, world), {})
        ((low,), (high,)) = setup.bounds[setup.node.parents[0]]
        world.assume(-_FAR * unit <= term(low), term(high) <= _FAR * unit)
        return setup

    return Subject(fn.name if unit.eq(term(1.0)) else f"{fn.name}, unit {unit}", make, fn)


def whole_power(fn: Monomial) -> Subject:
    """A power with a whole exponent, whose argument is of one sign where that is negative."""

    def graph(h: Any) -> Graph:
        power = z3.Product([h] * abs(fn.degree))
        return (power if fn.degree > 0 else 1 / power), []

    def make(world: World) -> Setup:
        setup = _pointwise(world, fn, graph, {})
        ((low,), (high,)) = setup.bounds[setup.node.parents[0]]
        if fn.degree < 0:
            world.assume(z3.Or(term(low) > 0, term(high) < 0))
        if columns:
            world.assume(term(low) >= -_FAR_POWER, term(high) <= _FAR_POWER)
        return setup

    columns = fn.degree not in (2, -1)  # of lower powers, whose bounds are made for float64
    return Subject(f"power {fn.degree}", make, fn, unit=UNIT if columns else None)


@final
@dataclass(frozen=True, eq=False)
class _Promised(Univariate):
    """A function of which no more is known than what it says: two lines that it lies between."""

    said: tuple[Any, ...]
    name: str = "any other function"
    key: str = "symbolic"

    def value(self, x: Any) -> Any:
        raise NotModelledError("a value of an unknown function")

    def lines(self, lower: Any, upper: Any, at: Any = None) -> Any:
        return self.said


def promised(name: str) -> Subject:
    """Any function at all, given its lines."""

    def make(world: World) -> Setup:
        sides = ["slope below", "offset below", "slope above", "offset above"]
        a, b, c, d = said = [Number(world, z3.Real(side)) for side in sides]
        shown: dict[str, Any] = dict(zip(sides, said, strict=True))
        fn = _Promised(tuple(symbolic(np.array([side], dtype=object)) for side in said))
        y = z3.Real("f(h)")

        def graph(h: Any) -> Graph:
            world.assume(a.term * h + b.term <= y, y <= c.term * h + d.term)
            return y, []

        return _pointwise(world, fn, graph, shown)

    return Subject(name, make)


def _pointwise(
    world: World,
    fn: Univariate,
    graph: Callable[[Any], Graph],
    shown: dict[str, Any],
    *,
    infinite: str = "",
    fan_in: int = 0,
    zero: bool = False,
) -> Setup:
    """One neuron, of an input or of ``w x + b`` for ``fan_in`` inputs in a box."""
    ends, (h,) = bounded(world, "h", 1, shown, infinite)
    parent: Node = new_input("h", 1)
    bounds: dict[Node, Any] = {}
    values: dict[Node, list[Any]] = {}
    if fan_in:
        x = new_input("x", fan_in)
        bounds[x], values[x] = bounded(world, "x", fan_in, shown)
        weights = [Number(world, z3.Real(f"w_{k}")) for k in range(fan_in)]
        bias = Number(world, z3.Real("b"))
        shown |= {f"w_{k}": w for k, w in enumerate(weights)} | {"b": bias}
        world.assume(h == z3.Sum([w.term * v for w, v in zip(weights, values[x], strict=True)]) + bias.term)
        parent = _affine(weights, x, bias)
    if zero:
        world.assume(h == 0)
    bounds[parent], values[parent] = ends, [h]
    node = pointwise(fn, parent)
    value, closed = graph(h)
    return Setup(node, bounds | {node: _around(world, value)}, values | {node: [value]}, tuple(closed), shown, zero)


def _around(world: World, value: Any) -> tuple[Any, Any]:
    """The node's own bounds, of which no more is known than that they hold."""
    low, high = z3.Real("l y"), z3.Real("u y")
    world.assume(low <= value, value <= high)
    return tuple(symbolic(np.array([Number(world, side)], dtype=object)) for side in (low, high))


@final
class _Weights(LinearMap):
    """One row of symbolic weights."""

    def __init__(self, weights: Sequence[Number]) -> None:
        self.n_in, self.n_out, self._weights = len(weights), 1, weights

    key = "symbolic"

    def csr(self) -> Any:
        data = symbolic(np.array(self._weights, dtype=object))
        return data, np.arange(self.n_in, dtype=np.int32), np.array([0, self.n_in], dtype=np.int32)

    def abs(self) -> LinearMap:
        raise NotModelledError("it asks for absolute values of weights, which are any numbers")


def _affine(weights: Sequence[Number], x: Node, bias: Number) -> Node:
    node = object.__new__(Affine)  # its own constructor keeps floats only
    Node.__init__(node, 1, (x,), ("symbolic", id(weights)))
    node.maps, node.bias = (_Weights(weights),), symbolic(np.array([bias], dtype=object))
    return node


def largest(count: int) -> Subject:
    """The maximum of some members."""

    def make(world: World) -> Setup:
        shown: dict[str, Any] = {}
        ends, values = bounded(world, "x", count, shown)
        x = new_input("x", count)
        node: Max = maximum(x, np.arange(count)[None])  # type: ignore[assignment]
        value = values[0]
        for other in values[1:]:
            value = z3.If(other > value, other, value)
        return Setup(node, {x: ends, node: _around(world, value)}, {x: values, node: [value]}, (), shown)

    return Subject(f"max of {count}", make)


def times(*, square: bool = False) -> Subject:
    """The product of two elements, or the square of one."""

    def make(world: World) -> Setup:
        shown: dict[str, Any] = {}
        nodes = [new_input(name, 1) for name in ("x" if square else "xv")]
        found = {node: bounded(world, node.name, 1, shown) for node in nodes}
        node: Product = product(nodes[0], nodes[-1])  # type: ignore[assignment]
        values = {some: value for some, (_, value) in found.items()}
        result = values[nodes[0]][0] * values[nodes[-1]][0]
        bounds = {some: ends for some, (ends, _) in found.items()}
        return Setup(node, bounds | {node: _around(world, result)}, values | {node: [result]}, (), shown)

    return Subject("square" if square else "product", make)


def gate() -> Subject:
    """The product of an element that is 0 or 1, a step, and another one."""

    def make(world: World) -> Setup:
        shown: dict[str, Any] = {}
        c, v = pointwise(greater(), new_input("h", 1)), new_input("v", 1)
        found = {node: bounded(world, name, 1, shown) for node, name in ((c, "c"), (v, "v"))}
        (one,), (other,) = (value for _, value in found.values())
        world.assume(z3.Or(one == 0, one == 1))
        node: Product = product(c, v)  # type: ignore[assignment]
        result = z3.If(one == 1, other, z3.RealVal(0))
        bounds = {some: ends for some, (ends, _) in found.items()} | {node: _around(world, result)}
        return Setup(node, bounds, {c: [one], v: [other], node: [result]}, (), shown)

    return Subject("gate", make)
