"""Operators that round to integers: floor, ceiling, round half to even, truncation, remainder."""

from __future__ import annotations

import numpy as np

from nnsym.ir.functions.stairs import Floor, RoundEven
from nnsym.ir.network import Tensor
from nnsym.ir.node import Node, pointwise
from nnsym.ir.univariate import relu
from nnsym.ir.zero_one import integral
from nnsym.read.ops.base import Call
from nnsym.read.tensors import Value, float64, scaled, total

_MINUS = np.asarray(-1.0)


def floor(call: Call) -> list[Value]:
    """The largest integer not above x."""
    x = call.tensor(0)
    return [Tensor(_whole(x.node, Floor()), x.shape)]


def ceil(call: Call) -> list[Value]:
    """``-floor(-x)``."""
    return [_ceiling(call.tensor(0))]


def round_even(call: Call) -> list[Value]:
    """The nearest integer, ties to the even one."""
    x = call.tensor(0)
    return [Tensor(_whole(x.node, RoundEven()), x.shape)]


def _whole(node: Node, fn: Floor | RoundEven) -> Node:
    return node if integral(node).all() else pointwise(fn, node)


def _ceiling(x: Tensor) -> Tensor:
    if integral(x.node).all():
        return x
    below = scaled(x, _MINUS)
    return scaled(Tensor(pointwise(Floor(), below.node), x.shape), _MINUS)


def truncated(x: Tensor) -> Tensor:
    """The integer part: ``floor(max(x, 0)) - floor(max(-x, 0))``."""
    if integral(x.node).all():
        return x
    sides = (pointwise(Floor(), pointwise(relu(), side.node)) for side in (x, scaled(x, _MINUS)))
    return total([Tensor(side, x.shape) for side in sides], (1.0, -1.0))


def modulo(call: Call) -> list[Value]:
    """The remainder of a division by a constant number.

    ``x - q floor(x / q)`` has the divisor's sign, as integers want it; with ``fmod`` it has the sign of x.
    """
    x, divisor = call.tensor(0), float64(call.constant(1))
    if divisor.size != 1 or divisor.item() == 0:
        raise call.refuse("a remainder by other than one number", "Only one constant divisor is expressible")
    q = abs(float(divisor.item()))
    steps = Floor(q)
    if call.flag("fmod", 0):
        sides = (pointwise(steps, pointwise(relu(), side.node)) for side in (x, scaled(x, _MINUS)))
        up, down = (Tensor(side, x.shape) for side in sides)
        return [total([x, scaled(up, np.asarray(-q)), scaled(down, np.asarray(q))], (1.0, 1.0, 1.0))]
    turned = scaled(x, _MINUS) if divisor.item() < 0 else x
    rest = total([turned, scaled(Tensor(pointwise(steps, turned.node), x.shape), np.asarray(-q))], (1.0, 1.0))
    return [scaled(rest, _MINUS) if divisor.item() < 0 else rest]
