"""Sums, differences, products, quotients and reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import InputError
from nnsym.ir.functions.powers import power_function
from nnsym.ir.linear import Select
from nnsym.ir.network import Tensor
from nnsym.ir.node import Node, affine, concatenate, constant, maximum, pointwise, product
from nnsym.read.ops.base import Call
from nnsym.read.sizes import require_size
from nnsym.read.tensors import (
    Value,
    axis_of,
    contraction,
    expand,
    flat,
    float64,
    mapped,
    numbers,
    rearrange,
    scaled,
    total,
)

Array = NDArray[Any]


def _operands(call: Call) -> tuple[Value, Value]:
    if "axis" in call.attributes:  # before operator set 7 broadcasting was another one
        raise call.refuse("broadcasting along a named axis", "Convert the model to operator set 7 or later")
    return call.value(0), call.value(1)


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


def neg(call: Call) -> list[Value]:
    """``-x``."""
    return [scaled(call.tensor(0), np.asarray(-1.0))]


def mul(call: Call) -> list[Value]:
    """``a * b`` with broadcasting: a scaling if one side is constant, else an elementwise product."""
    a, b = _operands(call)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        shape = np.broadcast_shapes(a.shape, b.shape)
        require_size(shape)
        return [Tensor(product(expand(a, shape).node, expand(b, shape).node), shape)]
    if isinstance(a, Tensor):
        return [scaled(a, call.constant(1))]
    return [scaled(call.tensor(1), a)]


def div(call: Call) -> list[Value]:
    """``x / c`` for a constant ``c``: a scaling by ``1 / c``, derived once."""
    if not isinstance(_operands(call)[0], Tensor):
        raise call.refuse("division by a tensor that depends on the input", "Only constant divisors are linear")
    divisor = float64(call.constant(1))
    if (divisor == 0).any():
        raise InputError("division by zero", where=call.where, remedy="Check the constants of the model")
    return [scaled(call.tensor(0), 1.0 / divisor)]


def power(call: Call) -> list[Value]:
    """``x ** c`` for constants ``c``, one or one per element; a square is a product."""
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


def _power(node: Node, exponent: float) -> Node:
    if exponent == 0:
        return constant(np.ones(node.size))
    if exponent == 1:
        return node
    return product(node, node) if exponent == 2 else pointwise(power_function(exponent), node)


def _reduced(call: Call) -> tuple[Array, tuple[int, ...]]:
    """Element numbers of shape ``(outputs, reduced)`` and the shape of the result."""
    x = call.tensor(0)
    given = call.optional_constant(1)
    rank = len(x.shape)
    named = call.ints("axes", ()) if given is None else tuple(int(a) for a in given.ravel())
    if not named and call.integer("noop_with_empty_axes", 0):
        return numbers(x).reshape(-1, 1), x.shape
    axes = sorted({axis_of(a, rank) for a in named}) if named else list(range(rank))
    kept = [a for a in range(rank) if a not in axes]
    count = math.prod(x.shape[a] for a in axes)
    index = numbers(x).transpose(kept + axes).reshape(-1, count)
    if call.integer("keepdims", 1):
        return index, tuple(1 if a in axes else x.shape[a] for a in range(rank))
    return index, tuple(x.shape[a] for a in kept)


def reduce_sum(call: Call) -> list[Value]:
    """The sum over axes."""
    x = call.tensor(0)
    index, shape = _reduced(call)
    return [mapped(contraction(np.ones(1), index, x.node.size), x, shape)]


def reduce_mean(call: Call) -> list[Value]:
    """The mean over axes; ``1 / n`` is derived once."""
    x = call.tensor(0)
    index, shape = _reduced(call)
    return [mapped(contraction(np.full(1, 1.0 / index.shape[1]), index, x.node.size), x, shape)]


def reduce_max(call: Call) -> list[Value]:
    """The maximum over axes."""
    index, shape = _reduced(call)
    return [Tensor(maximum(call.tensor(0).node, index), shape)]


def reduce_min(call: Call) -> list[Value]:
    """The minimum over axes, ``-max(-x)``."""
    x = call.tensor(0)
    index, shape = _reduced(call)
    negative = scaled(x, np.asarray(-1.0))
    return [scaled(Tensor(maximum(negative.node, index), shape), np.asarray(-1.0))]
