"""Arithmetic on shaped element blocks: what the operator lowerings share.

A :class:`~nnsym.ir.network.Tensor` is symbolic, a NumPy array is a constant in the model's own dtype.
Movement is done on *element numbers*: apply any reshaping to ``numbers(tensor)`` and hand the result to
:func:`rearrange`. Coefficients are copied, never folded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.linear import LinearMap, Scale, Select, Sparse, matrix_map, row_pointers
from nnsym.ir.network import Tensor
from nnsym.ir.node import Node, affine, constant
from nnsym.read.sizes import LARGEST_CONSTANT, require_size

Value: TypeAlias = Tensor | Array


def lift(value: Value) -> Tensor:
    """A constant as a node without parents; a tensor as it is."""
    if isinstance(value, Tensor):
        return value
    return Tensor(constant(float64(value)), value.shape)


def float64(value: Any) -> Array:
    """A constant as float64, the same numbers; integers that float64 does not hold are refused, and so are texts."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" and array.dtype.name != "bfloat16":
        raise ValueError(f"a constant of type {array.dtype} is no array of numbers")
    numbers = array.astype(np.float64)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        far = np.abs(numbers) >= 2.0**53
        if any(int(a) != int(b) for a, b in zip(array[far].tolist(), numbers[far].tolist(), strict=True)):
            raise ValueError("an integer constant beyond 2^53 is no float64 number")
    return numbers


def floating(value: Array) -> Array:
    """A constant as it is where NumPy holds it as floats, else as float64: maps make their own copy, of what counts."""
    return value if value.dtype.kind == "f" else float64(value)


def flat(value: Array, shape: tuple[int, ...]) -> Array:
    """A constant broadcast to ``shape``, as flat float64."""
    require_size(shape)
    return np.broadcast_to(float64(value), shape).ravel()


def axis_of(axis: int, rank: int) -> int:
    """An axis counted from the front; negative ones count from the back."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a tensor of {rank} axes")
    return axis % rank


def numbers(tensor: Tensor) -> Array:
    """The number of every element, in the tensor's shape."""
    return np.arange(tensor.node.size).reshape(tensor.shape)


def weighted(index: Array, factor: Array, n_in: int) -> LinearMap:
    """``(A x)_i = factor_i x[index_i]``, in the cheapest form."""
    index, factor = index.ravel(), factor.ravel()
    if (factor == 1).all():
        return Select(index, n_in)
    if len(index) == n_in and (index == np.arange(n_in)).all():
        return Scale(factor)
    return Sparse(factor, index, np.arange(len(index) + 1), n_in)


def rearrange(parts: Sequence[Value], index: Array) -> Tensor:
    """Elements of the parts, numbered one part after the other, at the places that ``index`` says."""
    chosen = index.ravel()
    bias = np.zeros(len(chosen))
    terms: list[tuple[LinearMap, Node]] = []
    start = 0
    for part in parts:
        size = part.node.size if isinstance(part, Tensor) else part.size
        inside = (chosen >= start) & (chosen < start + size)
        local = np.where(inside, chosen - start, -1)
        start += size
        if isinstance(part, Tensor):
            if inside.any():
                terms.append((Select(local, size), part.node))
        elif inside.any():
            bias[inside] = float64(part).ravel()[local[inside]]
    return Tensor(affine(tuple(terms), bias), index.shape)


def selected(node: Node, index: Array) -> Node:
    """Some elements of a node."""
    return affine(((Select(index, node.size), node),))


def expand(value: Value, shape: tuple[int, ...]) -> Tensor:
    """A value broadcast to ``shape``."""
    if not isinstance(value, Tensor):
        return Tensor(constant(flat(value, shape)), shape)
    if value.shape == shape:
        return value
    require_size(shape)
    return rearrange([value], np.broadcast_to(numbers(value), shape))


def total(values: Sequence[Value], signs: Sequence[float]) -> Tensor:
    """``sum_k sign_k value_k`` with broadcasting; at most one constant, whose numbers are copied."""
    shape = np.broadcast_shapes(*(v.shape for v in values))
    size = require_size(shape)
    bias = np.zeros(size)
    terms: list[tuple[LinearMap, Node]] = []
    for value, sign in zip(values, signs, strict=True):
        if isinstance(value, Tensor):
            index = np.broadcast_to(numbers(value), shape)
            terms.append((weighted(index, np.full(size, sign), value.node.size), value.node))
        else:
            bias = sign * flat(value, shape)
    return Tensor(affine(tuple(terms), bias), shape)


def scaled(tensor: Tensor, factor: Array) -> Tensor:
    """``factor * tensor`` with broadcasting."""
    shape = np.broadcast_shapes(tensor.shape, factor.shape)
    require_size(shape)
    linear = weighted(np.broadcast_to(numbers(tensor), shape), flat(factor, shape), tensor.node.size)
    return Tensor(affine(((linear, tensor.node),)), shape)


def contraction(data: Array, index: Array, n_in: int) -> LinearMap:
    """``(A x)_i = sum_k data_ik x[index_ik]`` over the last axis, after broadcasting the two.

    Elements of one row must be distinct. A row that reads everything in order makes a dense map.
    """
    joint = np.broadcast_shapes(data.shape, index.shape)
    require_size(joint, "a matrix", largest=LARGEST_CONSTANT)
    require_size(joint[:-1])
    data, index = np.broadcast_to(data, joint), np.broadcast_to(index, joint)
    taps = data.shape[-1]
    if taps == n_in and (index == np.arange(n_in)).all():
        return matrix_map(data.reshape(-1, taps))
    rows = data.size // taps
    return Sparse(data.reshape(-1), index.reshape(-1), np.arange(rows + 1) * taps, n_in)


def mapped(linear: LinearMap, tensor: Tensor, shape: tuple[int, ...], bias: object = 0.0) -> Tensor:
    """``A x + bias`` read in the given shape."""
    return Tensor(affine(((linear, tensor.node),), bias), shape)


def along(tensor: Tensor, axis: int, weight: Array) -> Tensor:
    """A matrix ``(m, n)`` on every line of a tensor along one axis of length n; zeros are no coefficients."""
    moved = np.moveaxis(numbers(tensor), axis, -1)
    lines = moved.reshape(-1, moved.shape[-1])
    row, column = np.nonzero(weight)
    require_size((len(lines), len(row)), "a matrix", largest=LARGEST_CONSTANT)
    counts = np.tile(np.bincount(row, minlength=len(weight)), len(lines))
    indptr = row_pointers(counts)
    data = np.tile(weight[row, column], len(lines))
    linear = Sparse(data, lines[:, column].ravel(), indptr, tensor.node.size)
    shape = (*moved.shape[:-1], len(weight))
    result = mapped(linear, tensor, shape)
    last = list(range(len(shape) - 1))
    return rearrange([result], numbers(result).transpose([*last[:axis], len(shape) - 1, *last[axis:]]))
