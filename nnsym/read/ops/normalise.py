"""Normalisations by computed statistics: a deviation times the reciprocal of a root.

With ``c = x - mean`` and ``v = sum_j w c_j^2 + epsilon``, the result is ``c / sqrt(v)``. As ``w c_i^2 <= v`` it lies
within ``-+ 1 / sqrt(w)``, which bounds of c and v by themselves do not know: a clip there changes no value. With an
epsilon below 0 it would, so there is none.

The standard itself writes a variance as ``mean x^2 - (mean x)^2``, and ONNX Runtime evaluates some of these operators
so. That is the same number on reals and another one in floats, by far where the mean is large beside the spread: such
values say so (``Network.either``).
"""

from __future__ import annotations

import math

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.functions.powers import Reciprocal, Sqrt, power_function
from nnsym.ir.linear import Scale, identity
from nnsym.ir.network import Tensor
from nnsym.ir.node import Node, affine, pointwise, product
from nnsym.ir.univariate import absolute, clip
from nnsym.read.ops.arithmetic import times
from nnsym.read.ops.base import Call
from nnsym.read.tensors import (
    Value,
    along,
    axis_of,
    contraction,
    mapped,
    numbers,
    selected,
    total,
)

_DENSE = 256  # elements up to which a deviation from the mean is one map, not two
_OUT = 1.0 + 2.0**-40  # limits are rounded by less


def layer_normalization(call: Call) -> list[Value]:
    """Over the axes from ``axis`` on, then scale and bias; the mean and the reciprocal root beside it."""
    x = call.tensor(0)
    axis = axis_of(call.integer("axis", -1), len(x.shape))
    groups, epsilon = numbers(x).reshape(math.prod(x.shape[:axis]), -1), _epsilon(call)
    results: list[Value] = [_moved(call, _standard(call, x, groups, epsilon), 2, 0)]
    if call.outputs > 1:
        kept = (*x.shape[:axis], *(1,) * (len(x.shape) - axis))
        squares = _variance(call, x.node, _centred(x.node, groups), groups, epsilon)
        results += [Tensor(_means(x.node, groups), kept), Tensor(pointwise(power_function(-0.5), squares), kept)]
    return results[: call.outputs]


def rms_normalization(call: Call) -> list[Value]:
    """``x / sqrt(mean x^2 + epsilon)`` over the axes from ``axis`` on, times scale."""
    x = call.tensor(0)
    axis = axis_of(call.integer("axis", -1), len(x.shape))
    groups = numbers(x).reshape(math.prod(x.shape[:axis]), -1)
    one = selected(x.node, groups)
    node = _over_root(call, one, _mean_square(one, groups.shape, _epsilon(call)), groups.shape[1])
    return [_moved(call, Tensor(node, x.shape), None, 0)]


def instance_normalization(call: Call) -> list[Value]:
    """Every channel of every sample by itself."""
    x = call.tensor(0)
    groups = numbers(x).reshape(x.shape[0] * x.shape[1], -1)
    return [_moved(call, _standard(call, x, groups, _epsilon(call)), 2, len(x.shape) - 2)]


def group_normalization(call: Call) -> list[Value]:
    """Groups of channels of every sample; scale and bias are per group before operator set 21, else per channel."""
    x, count = call.tensor(0), call.integer("num_groups", 1)
    each = x.shape[1] // max(count, 1)
    normal = _standard(call, x, numbers(x).reshape(x.shape[0] * count, -1), _epsilon(call))
    return [_moved(call, normal, 2, len(x.shape) - 2, repeats=each if call.opset < 21 else 1)]


def mean_variance_normalization(call: Call) -> list[Value]:
    """Over the named axes, with ONNX's own constant: ``c / (sqrt(v) + 1e-9)``. ONNX Runtime has none."""
    x = call.tensor(0)
    axes = [axis_of(a, len(x.shape)) for a in call.ints("axes", (0, 2, 3))]
    kept = [a for a in range(len(x.shape)) if a not in axes]
    groups = numbers(x).transpose(kept + axes).reshape(math.prod(x.shape[a] for a in kept), -1)
    deviation = _centred(x.node, groups)
    spread = pointwise(Sqrt(), _variance(call, x.node, deviation, groups, 0.0))
    divisor = affine(((identity(spread.size), spread),), 1e-9)
    call.either[divisor] = affine(((Scale(np.ones(spread.size)), spread),))
    node = _within(call, deviation, pointwise(Reciprocal(), divisor), math.sqrt(groups.shape[1]))
    return [_in_order(node, groups, x.shape)]


def lp_normalization(call: Call) -> list[Value]:
    """``x / |x|_p`` along an axis, for p = 1 and 2."""
    x, p = call.tensor(0), call.integer("p", 2)
    if p not in (1, 2):
        raise call.refuse(f"the norm of order {p}", "Orders 1 and 2 are read")
    lines = np.moveaxis(numbers(x), axis_of(call.integer("axis", -1), len(x.shape)), -1)
    groups = lines.reshape(-1, lines.shape[-1])
    one = selected(x.node, groups)
    powers = pointwise(absolute(), one) if p == 1 else product(one, one)
    size = mapped(contraction(np.ones(1), _rows(groups.shape), one.size), Tensor(powers, groups.shape), (len(groups),))
    node = _within(call, one, pointwise(power_function(-1.0 / p), size.node), 1.0)
    return [_in_order(node, groups, x.shape)]


def lrn(call: Call) -> list[Value]:
    """``x / (bias + alpha / size sum x^2)^beta`` with the sum over ``size`` neighbouring channels.

    ONNX Runtime moves one sum from channel to channel: what enters is added, what leaves is subtracted.
    """
    x, size = call.tensor(0), call.integer("size", 1)
    alpha, beta, bias = call.number("alpha", 1e-4), call.number("beta", 0.75), call.number("bias", 1.0)
    if bias <= 0 or alpha < 0:
        raise call.refuse("an LRN whose divisor may be 0", "Use a positive bias")
    channels = np.arange(x.shape[1])
    apart = channels[None, :] - channels[:, None]
    window = (apart >= -((size - 1) // 2)) & (apart <= size // 2)
    squares, least = Tensor(product(x.node, x.node), x.shape), np.asarray(bias)
    divisor, last, first = (
        total((along(squares, 1, members * (alpha / size)), least), (1.0, 1.0))
        for members in (window, apart <= size // 2, apart < -((size - 1) // 2))
    )
    call.either[divisor.node] = total((last, first, least), (1.0, -1.0, 1.0)).node
    return [Tensor(product(x.node, pointwise(power_function(-beta), divisor.node)), x.shape)]


def _epsilon(call: Call) -> float:
    found = call.number("epsilon", 1e-5)
    if not found >= 0:
        raise call.refuse(f"an epsilon of {found:g}, with which the divisor may be 0", "Export it with one above 0")
    return found


def _standard(call: Call, x: Tensor, groups: Array, epsilon: float) -> Tensor:
    """Every group less its mean, over the root of its variance, in the shape of x; groups follow its order."""
    deviation = _centred(x.node, groups)
    squares = _variance(call, x.node, deviation, groups, epsilon)
    return Tensor(_over_root(call, deviation, squares, groups.shape[1]), x.shape)


def _variance(call: Call, x: Node, deviation: Node, groups: Array, epsilon: float) -> Node:
    """``mean c^2 + epsilon`` of every group with deviations c, which an engine may take by its moments."""
    found = _mean_square(deviation, groups.shape, epsilon)
    mean, square = _means(x, groups), _mean_square(selected(x, groups), groups.shape, epsilon)
    call.either[found] = total(
        (Tensor(square, (square.size,)), Tensor(product(mean, mean), (mean.size,))), (1.0, -1.0)
    ).node
    return found


def _means(x: Node, groups: Array) -> Node:
    """The mean of every group; ``1 / n`` is derived once."""
    linear = contraction(np.full(1, 1.0 / groups.shape[1]), groups, x.size)
    return affine(((linear, x),))


def _centred(x: Node, groups: Array) -> Node:
    """Every element less the mean of its group; ``1 / n`` is derived once."""
    count, n = groups.shape
    if n <= _DENSE:
        data = np.eye(n) - 1.0 / n
        return mapped(contraction(data, groups[:, None, :], x.size), Tensor(x, (x.size,)), (count, n)).node
    mean = Tensor(_means(x, groups), (count, 1))
    return total((Tensor(selected(x, groups), groups.shape), mean), (1.0, -1.0)).node


def _over_root(call: Call, c: Node, squares: Node, count: int) -> Node:
    """``c / sqrt(v)`` for the rows of c, of ``count`` elements, where v is the mean of their squares or more."""
    return _within(call, c, pointwise(power_function(-0.5), squares), math.sqrt(count))


def _within(call: Call, c: Node, inverse: Node, limit: float) -> Node:
    """Every row of c times its element of ``inverse``, where that is at most ``limit`` in size; no engine clips it."""
    factors = selected(inverse, np.repeat(np.arange(inverse.size), c.size // inverse.size))
    plain = product(c, factors)
    found = pointwise(clip(-limit * _OUT, limit * _OUT), plain)
    call.either[found] = plain
    return found


def _mean_square(c: Node, shape: tuple[int, ...], epsilon: float) -> Node:
    """``sum_j c_j^2 / n + epsilon`` of every row of n."""
    linear = contraction(np.full(1, 1.0 / shape[1]), _rows(shape), c.size)
    return mapped(linear, Tensor(product(c, c), shape), (shape[0],), epsilon).node


def _rows(shape: tuple[int, ...]) -> Array:
    return np.arange(math.prod(shape)).reshape(shape)


def _in_order(node: Node, groups: Array, shape: tuple[int, ...]) -> Tensor:
    """The elements of groups in the order of the tensor they were taken from."""
    return Tensor(selected(node, np.argsort(groups.ravel())), shape)


def _moved(call: Call, x: Tensor, bias: int | None, trailing: int, repeats: int = 1) -> Tensor:
    """Scale, the second input, and bias; so many axes of x come after theirs."""

    def there(value: Value) -> Value:
        shape = (*value.shape, *(1,) * trailing)
        if isinstance(value, Tensor):
            return Tensor(selected(value.node, np.repeat(np.arange(value.node.size), repeats)), shape)
        return np.repeat(value, repeats).reshape(-1, *(1,) * trailing) if repeats > 1 else value.reshape(shape)

    scale = call.optional(1)
    moved = x if scale is None else times(x, there(scale))
    shift = None if bias is None else call.optional(bias)
    return moved if shift is None else total((moved, there(shift)), (1.0, 1.0))
