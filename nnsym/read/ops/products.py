"""Matrix products and batch normalisation."""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.linear import Scale
from nnsym.ir.network import Tensor
from nnsym.ir.node import product
from nnsym.read.ops.base import Call
from nnsym.read.sizes import require_size
from nnsym.read.tensors import (
    Value,
    contraction,
    flat,
    float64,
    floating,
    mapped,
    numbers,
    rearrange,
    scaled,
    total,
)


def _times(a: Value, b: Value) -> Tensor:
    """``a @ b`` as NumPy defines it."""
    left, right = (numbers(v) if isinstance(v, Tensor) else floating(v) for v in (a, b))
    rows, columns = left.ndim > 1, right.ndim > 1
    left = left if rows else left[None, :]
    right = right if columns else right[:, None]
    if left.shape[-1] != right.shape[-2]:
        raise ValueError(f"a product of shapes {a.shape} and {b.shape}")
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    shape = (*batch, *(left.shape[-2:-1] if rows else ()), *(right.shape[-1:] if columns else ()))
    return summed(a, left[..., :, None, :], b, right.swapaxes(-1, -2)[..., None, :, :], shape)


def summed(a: Value, left: Array, b: Value, right: Array, shape: tuple[int, ...]) -> Tensor:
    """``sum_k a[left_ik] b[right_ik]`` read in ``shape``: element numbers of a tensor, of a constant its numbers.

    Where both depend on the input every product is an element of its own, McCormick's envelope its bounds.
    """
    if not isinstance(b, Tensor):
        assert isinstance(a, Tensor)  # constants were folded before
        return mapped(contraction(right, left, a.node.size), a, shape)
    if not isinstance(a, Tensor):
        return mapped(contraction(left, right, b.node.size), b, shape)
    joint = np.broadcast_shapes(left.shape, right.shape)
    size = require_size(joint, "the products of two computed tensors")
    first, second = (rearrange([v], np.broadcast_to(index, joint)).node for v, index in ((a, left), (b, right)))
    pairs = Tensor(product(first, second), joint)
    if joint[-1] == 1:
        return Tensor(pairs.node, shape)
    return mapped(contraction(np.ones(1), np.arange(size).reshape(joint), size), pairs, shape)


def matmul(call: Call) -> list[Value]:
    """``a @ b``."""
    return [_times(call.value(0), call.value(1))]


def gemm(call: Call) -> list[Value]:
    """``alpha A' B' + beta C``; ``beta`` is multiplied in once, ``alpha`` not: ``A' B'`` may overflow before."""
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    a = _oriented(call.value(0), call.flag("transA", 0))
    b = _oriented(call.value(1), call.flag("transB", 0))
    result = _times(a, b) if alpha == 1 else scaled(_times(a, b), np.asarray(alpha))
    offset = call.optional(2)
    if offset is None or beta == 0:
        return [result]
    if isinstance(offset, Tensor):
        return [total((result, offset), (1.0, beta))]
    return [total((result, beta * float64(offset)), (1.0, 1.0))]


def _oriented(value: Value, transposed: int) -> Value:
    if not transposed:
        return value
    return rearrange([value], numbers(value).T) if isinstance(value, Tensor) else value.T


def batch_normalization(call: Call) -> list[Value]:
    """``a (x - mean) + B``; ``a = scale / sqrt(var + epsilon)`` per channel is derived once, the others are copied."""
    x = call.tensor(0)
    if call.outputs > 1 or call.flag("training_mode", 0) or (call.opset < 7 and not call.flag("is_test", 0)):
        raise call.refuse("batch normalisation in training mode", "Export the model in evaluation mode")
    scale, bias, mean, variance = (float64(call.constant(i)) for i in range(1, 5))
    factor = scale / np.sqrt(variance + call.number("epsilon", 1e-5))
    channels = (-1, *(1,) * (len(x.shape) - 2))
    centred = total((x, mean.reshape(channels)), (1.0, -1.0))
    linear = Scale(flat(factor.reshape(channels), x.shape))
    return [mapped(linear, centred, x.shape, flat(bias.reshape(channels), x.shape))]
