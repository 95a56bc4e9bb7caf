"""Resize and Upsample: one linear map for every axis that changes, its weights those that ONNX Runtime uses."""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.network import Tensor
from nnsym.read.ops.base import Call
from nnsym.read.runtime import run_node
from nnsym.read.sizes import require_size
from nnsym.read.tensors import Value, along, axis_of, numbers, rearrange

_GLOBAL = frozenset({"axes", "keep_aspect_ratio_policy", "scales", "height_scale", "width_scale"})  # not of one axis


def resize(call: Call) -> list[Value]:
    """Interpolation of any mode, axis by axis; the nearest neighbour only copies."""
    x = call.tensor(0)
    if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise call.refuse("a Resize that keeps the aspect ratio", "Export it with the resulting scales")
    if call.text("coordinate_transformation_mode", "") == "tf_crop_and_resize":
        raise call.refuse("a Resize that crops", "Use Slice before it")
    factors, by_size = _factors(call)
    rank = len(x.shape)
    axes = [axis_of(a, rank) for a in call.ints("axes", range(rank))]
    if len(axes) != len(factors):
        raise ValueError(f"{len(factors)} factors for {len(axes)} axes")
    for axis, factor in zip(axes, factors.tolist(), strict=True):
        length = x.shape[axis]
        if factor != (length if by_size else 1):
            grown = int(factor) if by_size else int(length * factor)
            require_size((x.node.size // max(length, 1), max(grown, 0)))
            x = _along(call, x, axis, factor, by_size)
    return [x]


def _factors(call: Call) -> tuple[Array, bool]:
    """Scales, or lengths of the result, of the axes that change."""
    if call.op == "Upsample" or call.opset < 11:
        given = call.optional_constant(1)
        if given is None and "height_scale" in call.attributes:
            return np.array([1.0, 1.0, call.number("height_scale", 1.0), call.number("width_scale", 1.0)]), False
        return np.asarray(call.attributes["scales"] if given is None else given), False
    sizes = call.optional_constant(3)
    if sizes is not None and sizes.size:
        return sizes, True
    return call.constant(2), False


def _along(call: Call, x: Tensor, axis: int, factor: float, by_size: bool) -> Tensor:
    """One axis, as ONNX Runtime does it to the numbers of its places, or to all unit vectors."""
    length = x.shape[axis]
    if call.text("mode", "nearest") == "nearest":
        places = np.arange(length, dtype=np.float32).reshape(1, 1, length, 1)
        index = _alone(call, places, factor, by_size).ravel().astype(np.int64)
        return rearrange([x], np.take(numbers(x), index, axis=axis))
    units = np.eye(length, dtype=np.float32).reshape(length, 1, length, 1)
    return along(x, axis, _alone(call, units, factor, by_size)[:, 0, :, 0].T.astype(np.float64))


def _alone(call: Call, values: Array, factor: float, by_size: bool) -> Array:
    """The operator on the third of four axes."""
    from onnx import helper

    old = call.op == "Upsample" or call.opset < 11
    shape = np.array([*values.shape[:2], factor, 1], dtype=np.int64) if by_size else None
    scales = None if by_size else np.array([1, 1, factor, 1], dtype=np.float32)
    names = ["x", "scales"] if old else ["x", "", "" if by_size else "scales", *(["sizes"] if by_size else [])]
    node = helper.make_node(call.op, names, ["y"])
    node.attribute.extend(a for a in call.proto.attribute if a.name not in _GLOBAL)
    arguments = (values, scales) if old else (values, None, scales, *((shape,) if by_size else ()))
    opset = max(call.opset, 9) if call.op == "Upsample" else call.opset
    found = run_node(node, opset, arguments)
    if found is None:
        raise call.refuse("ONNX Runtime does not resize in this way", "Check the attributes of this node")
    return found[0]
