"""Reductions over axes: sums, means, maxima, products, norms; running sums."""

from __future__ import annotations

import math

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.functions.exponentials import Log
from nnsym.ir.functions.powers import Sqrt
from nnsym.ir.linear import Scale, identity
from nnsym.ir.network import Tensor
from nnsym.ir.node import Node, affine, concatenate, maximum, pointwise, product
from nnsym.ir.softmax import log_sum_exp
from nnsym.ir.univariate import Univariate, absolute
from nnsym.read.ops.base import Call
from nnsym.read.tensors import Value, along, axis_of, contraction, mapped, numbers, scaled, selected


def _reduced(call: Call) -> tuple[Array, tuple[int, ...]]:
    """Element numbers of shape ``(outputs, reduced)`` and the shape of the result."""
    x = call.tensor(0)
    given = call.optional_constant(1)
    rank = len(x.shape)
    named = call.ints("axes", ()) if given is None else tuple(int(a) for a in given.ravel())
    if not named and call.flag("noop_with_empty_axes", 0):
        return numbers(x).reshape(-1, 1), x.shape
    axes = sorted({axis_of(a, rank) for a in named}) if named else list(range(rank))
    kept = [a for a in range(rank) if a not in axes]
    count = math.prod(x.shape[a] for a in axes)
    index = numbers(x).transpose(kept + axes).reshape(-1, count)
    if call.flag("keepdims", 1):
        return index, tuple(1 if a in axes else x.shape[a] for a in range(rank))
    return index, tuple(x.shape[a] for a in kept)


def _sum(call: Call, node: Node) -> Tensor:
    """The sums of a node that has the operand's elements."""
    index, shape = _reduced(call)
    return mapped(contraction(np.ones(1), index, node.size), Tensor(node, call.tensor(0).shape), shape)


def reduce_sum(call: Call) -> list[Value]:
    """The sum over axes."""
    return [_sum(call, call.tensor(0).node)]


def reduce_l1(call: Call) -> list[Value]:
    """``sum |x|``."""
    return [_sum(call, pointwise(absolute(), call.tensor(0).node))]


def reduce_sum_square(call: Call) -> list[Value]:
    """``sum x^2``."""
    node = call.tensor(0).node
    return [_sum(call, product(node, node))]


def reduce_l2(call: Call) -> list[Value]:
    """``sqrt(sum x^2)``."""
    (squares,) = reduce_sum_square(call)
    return [_applied(Sqrt(), squares)]


def reduce_log_sum(call: Call) -> list[Value]:
    """``log(sum x)``."""
    (sums,) = reduce_sum(call)
    return [_applied(Log(), sums)]


def reduce_log_sum_exp(call: Call) -> list[Value]:
    """``log(sum exp(x))``."""
    index, shape = _reduced(call)
    return [Tensor(log_sum_exp(call.tensor(0).node, index), shape)]


def _applied(fn: Univariate, x: Value) -> Tensor:
    assert isinstance(x, Tensor)
    return Tensor(pointwise(fn, x.node), x.shape)


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


def reduce_prod(call: Call) -> list[Value]:
    """The product over axes, of neighbours, then of neighbouring products.

    Engines multiply in any order: first what is above 1, whose product may overflow, or what is below, and may be
    nothing before it is multiplied by the rest. Beside it stands another order, and the product of ``|x| + 1`` times 0.
    """
    x = call.tensor(0)
    index, shape = _reduced(call)
    found = _in_pairs(x.node, index)
    if index.shape[1] > 2:
        above = _in_pairs(affine(((identity(x.node.size), pointwise(absolute(), x.node)),), 1.0), index)
        one, none = (Scale(np.full(found.size, factor)) for factor in (1.0, 0.0))
        call.either[found] = affine(((one, _in_pairs(x.node, index[:, ::-1])), (none, above)))
    return [Tensor(found, shape)]


def _in_pairs(node: Node, index: Array) -> Node:
    """The product of the elements that every row names."""
    while index.shape[1] > 1:
        half, odd = divmod(index.shape[1], 2)
        even, next_to = (selected(node, index[:, k : 2 * half : 2]) for k in (0, 1))
        pairs = product(even, next_to)
        if not odd:
            node, index = pairs, np.arange(pairs.size).reshape(-1, half)
            continue
        rest = selected(node, index[:, -1])
        node = concatenate((pairs, rest))
        index = np.column_stack((np.arange(pairs.size).reshape(-1, half), pairs.size + np.arange(rest.size)))
    return selected(node, index)


def cum_sum(call: Call) -> list[Value]:
    """Running sums along an axis, without the element itself if ``exclusive``, from the end if ``reverse``."""
    x = call.tensor(0)
    axis = axis_of(int(call.constant(1).item()), len(x.shape))
    before = np.tri(x.shape[axis], k=-call.flag("exclusive", 0))
    return [along(x, axis, before.T if call.flag("reverse", 0) else before)]
