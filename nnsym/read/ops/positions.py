"""Where the largest or the least element is, as an integer.

The first place of the largest of ``s_0 .. s_n-1`` is at least i where ``max_{j >= i} s_j > max_{j < i} s_j`` (for the
last place ``>=``), so that the place is the sum of n - 1 steps. Ties are decided as the operator decides them.
"""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.functions import comparisons as steps
from nnsym.ir.network import Tensor
from nnsym.ir.node import maximum, pointwise
from nnsym.read.ops.base import Call, Lowering
from nnsym.read.sizes import LARGEST, require_size
from nnsym.read.tensors import Value, axis_of, contraction, mapped, numbers, scaled, total


def position(sign: float) -> Lowering:
    """ArgMax for a sign of 1, ArgMin for -1."""

    def lower(call: Call) -> list[Value]:
        """The place of the first largest (least) element along an axis, by steps: which place it is at or after."""
        x = call.tensor(0)
        axis = axis_of(call.integer("axis", 0), len(x.shape))
        kept = call.flag("keepdims", 1)
        shape = tuple(1 if a == axis else n for a, n in enumerate(x.shape) if a != axis or kept)
        order = np.moveaxis(numbers(x), axis, -1).reshape(-1, x.shape[axis])
        last = call.flag("select_last_index", 0)
        return [place_of_largest(x if sign > 0 else scaled(x, np.asarray(sign)), order, shape, last=last)]

    return lower


def place_of_largest(x: Tensor, order: Array, shape: tuple[int, ...], *, last: bool = False) -> Tensor:
    """For every row of element numbers ``order`` the place of the first largest (or ``last``)."""
    if order.shape[1] == 1:
        return Tensor(total([np.zeros(shape)], [1.0]).node, shape)
    beyond = steps_to_largest(x, order, last=last)
    return mapped(contraction(np.ones(1), numbers(beyond), beyond.node.size), beyond, shape)


def steps_to_largest(x: Tensor, order: Array, *, last: bool = False) -> Tensor:
    """``(rows, n - 1)``: whether the place of the largest of each row is at least 1, 2, ..."""
    rows, n = order.shape
    require_size((rows, n, n), "the groups of an argmax", largest=LARGEST)
    heads = np.stack([np.where(np.arange(n) < i, order, -1) for i in range(1, n)], axis=1)
    tails = np.stack([np.where(np.arange(n) >= i, order, -1) for i in range(1, n)], axis=1)
    count = rows * (n - 1)
    ends = [Tensor(maximum(x.node, groups.reshape(count, n)), (rows, n - 1)) for groups in (tails, heads)]
    step = steps.greater_equal() if last else steps.greater()
    return Tensor(pointwise(step, total(ends, (1.0, -1.0)).node), (rows, n - 1))
