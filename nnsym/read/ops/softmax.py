"""Softmax, its logarithm, and logarithms of sums of exponentials."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from nnsym.ir import softmax as graphs
from nnsym.ir.array import Array
from nnsym.ir.network import Tensor
from nnsym.ir.node import Node
from nnsym.read.ops.base import Call
from nnsym.read.tensors import Value, axis_of, numbers, selected


def softmax(call: Call) -> list[Value]:
    """``exp(x_i) / sum_j exp(x_j)`` along an axis; before operator set 13 over all axes from there on."""
    return _grouped(call, graphs.softmax)


def log_softmax(call: Call) -> list[Value]:
    """The logarithm of the softmax."""
    return _grouped(call, graphs.log_softmax)


def _grouped(call: Call, build: Callable[[Node, Array], Node]) -> list[Value]:
    x = call.tensor(0)
    axis = axis_of(call.integer("axis", -1 if call.opset >= 13 else 1), max(len(x.shape), 1)) if x.shape else 0
    if call.opset < 13:
        return [Tensor(build(x.node, numbers(x).reshape(math.prod(x.shape[:axis]), -1)), x.shape)]
    lines = np.moveaxis(numbers(x), axis, -1) if x.shape else numbers(x)
    groups = lines.reshape(-1, x.shape[axis] if x.shape else 1)
    place = np.empty(x.node.size, dtype=np.int64)
    place[groups.ravel()] = np.arange(x.node.size)
    return [Tensor(selected(build(x.node, groups), place), x.shape)]
