"""Sums, differences, products and quotients."""

from __future__ import annotations

import numpy as np

from nnsym.errors import InputError
from nnsym.ir import logic
from nnsym.ir.functions.exponentials import Exp
from nnsym.ir.functions.powers import Reciprocal, power_function
from nnsym.ir.linear import Select
from nnsym.ir.network import Tensor
from nnsym.ir.node import Node, affine, concatenate, constant, pointwise, product
from nnsym.read.ops.base import Call
from nnsym.read.sizes import require_size
from nnsym.read.tensors import Value, axis_of, expand, flat, float64, rearrange, scaled, total


def _operands(call: Call) -> tuple[Value, Value]:
    a, b = call.value(0), call.value(1)
    if call.opset >= 7 or "axis" not in call.attributes or not call.integer("broadcast", 0):
        return a, b
    axis = axis_of(call.integer("axis", 0), len(a.shape))  # where the axes of b begin among those of a
    return a, _shaped(b, (*b.shape, *(1,) * (len(a.shape) - axis - len(b.shape))))


def _shaped(value: Value, shape: tuple[int, ...]) -> Value:
    return Tensor(value.node, shape) if isinstance(value, Tensor) else value.reshape(shape)


def add(call: Call) -> list[Value]:
    """``a + b`` with broadcasting; a constant becomes the bias."""
    return [total(_operands(call), (1.0, 1.0))]


def sub(call: Call) -> list[Value]:
    """``a - b`` with broadcasting."""
    return [total(_operands(call), (1.0, -1.0))]


def sum_of(call: Call) -> list[Value]:
    """The sum of any number of values. Constants beyond the first are nodes, so that no two are added up in floats."""
    values = [v for v in call.inputs if v is not None]
    parts: list[Value] = [v for v in values if isinstance(v, Tensor)]
    constants = [float64(v) for v in values if not isinstance(v, Tensor)]
    parts += [Tensor(constant(v), v.shape) for v in constants[1:]]
    return [total([*parts, *constants[:1]], [1.0] * (len(parts) + len(constants[:1])))]


def mean_of(call: Call) -> list[Value]:
    """The mean of any number of values; ``1 / n`` is derived once."""
    (value,) = sum_of(call)
    assert isinstance(value, Tensor)
    return [scaled(value, np.asarray(1.0 / len(call.inputs)))]


def neg(call: Call) -> list[Value]:
    """``-x``."""
    return [scaled(call.tensor(0), np.asarray(-1.0))]


def times(a: Value, b: Value) -> Tensor:
    """``a * b`` with broadcasting: a scaling if one side is constant, else an elementwise product."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        shape = np.broadcast_shapes(a.shape, b.shape)
        require_size(shape)
        return Tensor(logic.times(expand(a, shape).node, expand(b, shape).node), shape)
    if isinstance(a, Tensor):
        assert not isinstance(b, Tensor)
        return scaled(a, b)
    assert isinstance(b, Tensor)  # constants were folded before
    return scaled(b, a)


def mul(call: Call) -> list[Value]:
    """``a * b`` with broadcasting."""
    return [times(*_operands(call))]


def div(call: Call) -> list[Value]:
    """``a / b``: a scaling by ``1 / b``, derived once, where b is constant, else a product with the reciprocal of b."""
    a, b = _operands(call)
    if isinstance(b, Tensor):
        return [times(a, Tensor(pointwise(Reciprocal(), b.node), b.shape))]
    assert isinstance(a, Tensor)  # constants were folded before
    divisor = float64(b)
    if (divisor == 0).any():
        raise InputError("division by zero", where=call.where, remedy="Check the constants of the model")
    return [scaled(a, 1.0 / divisor)]


def power(call: Call) -> list[Value]:
    """``x ** c`` for constants ``c``, one or one per element; a square is a product.

    ``c ** x`` for ``c > 0`` is ``exp(x ln c)``, with the logarithm derived once.
    """
    if not isinstance(call.value(0), Tensor) and isinstance(call.value(1), Tensor):
        return [_exponential(call)]
    x, exponents = call.tensor(0), float64(call.constant(1))
    shape = np.broadcast_shapes(x.shape, exponents.shape)
    require_size(shape)
    z, given = expand(x, shape), flat(exponents, shape)
    kinds = [(c, np.flatnonzero(given == c)) for c in np.unique(given).tolist()]
    if len(kinds) == 1:
        return [Tensor(_power(z.node, kinds[0][0]), shape)]
    parts = [_power(rearrange([z], places).node, c) for c, places in kinds]
    order = np.argsort(np.concatenate([places for _, places in kinds]), kind="stable")
    return [Tensor(affine(((Select(order, z.node.size), concatenate(tuple(parts))),)), shape)]


def _exponential(call: Call) -> Tensor:
    base = float64(call.constant(0))
    if not (base > 0).all():
        raise call.refuse("a power whose base is not above 0", "Only a constant above 0 has every power")
    exponent = scaled(call.tensor(1), np.log(base))
    return Tensor(pointwise(Exp(), exponent.node), exponent.shape)


def _power(node: Node, exponent: float) -> Node:
    if exponent == 0:
        return constant(np.ones(node.size))
    if exponent == 1:
        return node
    return product(node, node) if exponent == 2 else pointwise(power_function(exponent), node)
