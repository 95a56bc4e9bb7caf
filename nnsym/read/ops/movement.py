"""Operators that only move elements: the reference implementation applied to element numbers."""

from __future__ import annotations

import math

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.network import Tensor
from nnsym.read.ops.base import Call
from nnsym.read.ops.fold import reference
from nnsym.read.sizes import require_size
from nnsym.read.tensors import Value, axis_of, numbers, rearrange

#: Which inputs are moved, where these are not the first alone.
_DATA = {"Where": (1, 2), **dict.fromkeys(("ScatterElements", "ScatterND"), (0, 2))}


def move(call: Call) -> list[Value]:
    """Transpose, Slice, Gather, Split, Concat, Where ...

    The elements of all data inputs are numbered, the operator's reference implementation moves the numbers,
    and what it returns says where every element of the result comes from.
    """
    positions = {"Concat": range(len(call.inputs)), **_DATA}.get(call.op, (0,))
    parts: list[Value] = []
    arguments: list[Array | None] = [None if isinstance(v, Tensor) else v for v in call.inputs]
    if call.text("reduction", "none") != "none":
        raise call.refuse("a scatter that adds to what is there", "Only scatters that replace elements are read")
    start = 1  # what is filled in is 0
    if call.op in ("Concat", "Where"):
        require_size((sum(math.prod(v.shape) for v in call.inputs if v is not None),))
    for position in positions:
        part = call.value(position)
        parts.append(part)
        size = math.prod(part.shape)
        arguments[position] = np.arange(start, start + size, dtype=np.int64).reshape(part.shape)
        start += size
    for position, argument in enumerate(arguments):
        if argument is None and call.optional(position) is not None:
            reason = (
                f"input {position} depends on the network's input, and so would where elements go or how many they are"
            )
            raise call.refuse(reason, "Moves by constants are read, and a choice by Where")
    return [rearrange(parts, index - 1) for index in reference(call, tuple(arguments))]


def reshape(call: Call) -> list[Value]:
    """Another shape for the same elements: 0 keeps an axis, -1 is what remains."""
    x = call.tensor(0)
    given = call.ints("shape", ()) if call.optional(1) is None else tuple(int(n) for n in call.constant(1).ravel())
    if not call.flag("allowzero", 0):
        given = tuple(x.shape[a] if n == 0 else n for a, n in enumerate(given))
    return [Tensor(x.node, np.empty(x.node.size, dtype=bool).reshape(given).shape)]


def flatten(call: Call) -> list[Value]:
    """A matrix: the axes before ``axis`` are its rows."""
    x = call.tensor(0)
    axis = call.integer("axis", 1)
    if not -len(x.shape) <= axis <= len(x.shape):
        raise ValueError(f"axis {axis} of a tensor of {len(x.shape)} axes")
    rows = math.prod(x.shape[: axis if axis >= 0 else axis + len(x.shape)])
    return [Tensor(x.node, (rows, x.node.size // rows))]


def _named_axes(call: Call) -> tuple[int, ...]:
    given = call.optional_constant(1)
    return call.ints("axes", ()) if given is None else tuple(int(a) for a in given.ravel())


def squeeze(call: Call) -> list[Value]:
    """Axes of length 1 removed: the named ones, or all."""
    x = call.tensor(0)
    axes = {axis_of(a, len(x.shape)) for a in _named_axes(call)} or {a for a, n in enumerate(x.shape) if n == 1}
    if any(x.shape[a] != 1 for a in axes):
        raise ValueError(f"axes {sorted(axes)} of shape {x.shape} are not all of length 1")
    return [Tensor(x.node, tuple(n for a, n in enumerate(x.shape) if a not in axes))]


def unsqueeze(call: Call) -> list[Value]:
    """Axes of length 1 inserted; the named axes count in the result."""
    x, axes = call.tensor(0), _named_axes(call)
    return [Tensor(x.node, np.expand_dims(numbers(x), axes).shape)]


def pad(call: Call) -> list[Value]:
    """Padding by a constant, or by copies of elements (``reflect``, ``edge``, ``wrap``); negative pads crop."""
    x, mode = call.tensor(0), call.text("mode", "constant")
    given = call.optional_constant(1)
    amounts = call.ints("pads", ()) if given is None else tuple(int(v) for v in given)
    axes = call.optional_constant(3)
    rank = len(x.shape)
    named = list(range(rank)) if axes is None else [axis_of(int(a), rank) for a in axes]
    if len(amounts) != 2 * len(named):
        raise ValueError(f"pads {amounts} do not fit axes {named}")
    width = [(0, 0)] * rank
    for place, axis in enumerate(named):
        width[axis] = (amounts[place], amounts[len(named) + place])
    require_size(n + max(b, 0) + max(e, 0) for n, (b, e) in zip(x.shape, width, strict=True))
    index = numbers(x)[tuple(slice(max(-b, 0), n - max(-e, 0)) for n, (b, e) in zip(x.shape, width, strict=True))]
    grown = [(max(b, 0), max(e, 0)) for b, e in width]
    if mode != "constant":
        return [rearrange([x], np.pad(index, grown, mode=mode))]  # type: ignore[call-overload]
    filler = call.optional_constant(2)
    value = np.asarray(call.number("value", 0.0)) if filler is None else filler.reshape(())
    return [rearrange([x, value], np.pad(index, grown, constant_values=x.node.size))]


def same(call: Call) -> list[Value]:
    """Identity, and Dropout at inference."""
    if call.op == "Dropout":
        mode = call.optional_constant(2)
        if mode is not None and bool(mode):
            raise call.refuse("Dropout in training mode", "Export the model in evaluation mode")
        kept: list[Value] = [call.tensor(0), np.ones(call.tensor(0).shape, dtype=bool)]
        return kept[: call.outputs]
    return [call.tensor(0)]


def shape(call: Call) -> list[Value]:
    """The shape as a constant; free axes were fixed at import."""
    found = np.asarray(call.tensor(0).shape, dtype=np.int64)
    start = call.integer("start", 0)
    return [found[start : call.integer("end", len(found))]]


def size(call: Call) -> list[Value]:
    """The number of elements as a constant."""
    return [np.asarray(call.tensor(0).node.size, dtype=np.int64)]
