"""How large the result of an operator will be, told before anything of that size is made.

A few bytes of a model can ask for any size: an operand doubled sixty times, a broadcast, a tile, a function that calls
another twice. Sizes here are bytes of what stays in memory, and lower limits where an operator is not listed.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np

from nnsym.ir.network import Tensor
from nnsym.read.meter import Meter
from nnsym.read.ops.base import Call
from nnsym.read.tensors import Value

#: Bytes of one computed element: its map and bias, and its values and errors at the points of the import check.
ELEMENT = 160
_NODES = 10**6  # nodes of all functions, inlined
_NUMBER = 24  # bytes of a folded constant: in its own type, as float64, and once on the way

_BROADCAST = frozenset({"Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean", "Where", "PRelu", "Mod"})
_COMPARED = frozenset({"And", "Or", "Xor", "Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual"})


def value_size(value: Value) -> int:
    """Bytes of a result."""
    return value.node.size * ELEMENT if isinstance(value, Tensor) else int(value.nbytes) * 2


def least_size(call: Call) -> int:
    """Bytes that the first result will take, or a lower limit."""
    count = _elements(call, [v.shape for v in call.inputs if v is not None])
    computed = any(isinstance(v, Tensor) for v in call.inputs)
    return count * (ELEMENT if computed else _NUMBER)


def _elements(call: Call, shapes: list[tuple[int, ...]]) -> int:
    match call.op:
        case "Concat":
            return sum(map(math.prod, shapes))
        case op if (op in _BROADCAST or op in _COMPARED) and call.opset < 7:  # only the second operand is broadcast
            return math.prod(shapes[0])
        case op if op in _BROADCAST or op in _COMPARED:
            return math.prod(np.broadcast_shapes(*shapes))
        case "MatMul" if len(shapes) == 2 and min(map(len, shapes)) >= 2:
            batch = np.broadcast_shapes(shapes[0][:-2], shapes[1][:-2])
            return math.prod(batch) * shapes[0][-2] * shapes[1][-1]
        case "Expand":
            return max(math.prod(shapes[0]), _product(call, 1)) if shapes else 0
        case "ConstantOfShape":
            return _product(call, 0)
        case "Tile":
            return math.prod(shapes[0]) * _product(call, 1)
        case "Range":
            start, end, delta = (float(call.constant(k)) for k in range(3))
            return max(0, math.ceil((end - start) / delta)) if delta and math.isfinite(end - start) else 0
        case "Pad":
            return _padded(call, shapes[0])
        case "Upsample" | "Resize":
            return _resized(call, shapes[0])
        case "OneHot":
            return math.prod(shapes[0]) * _product(call, 1)
        case "Gather":
            return math.prod(shapes[1]) * (math.prod(shapes[0]) // max(max(shapes[0], default=1), 1))
        case "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool":  # the padded input, which windows run over
            space = len(shapes[0]) - 2
            given = [*call.ints("pads", ()), *[0] * 2 * space]
            ends = zip(shapes[0][2:], given[:space], given[space:], strict=False)
            return math.prod(shapes[0][:2]) * math.prod(max(n + a + b, 0) for n, a, b in ends)
    return 0


def _numbers(call: Call, position: int) -> list[int]:
    """The whole numbers of a constant input; none where it is missing or computed."""
    given = call.inputs[position] if position < len(call.inputs) else None
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "iuf":
        return []
    return [int(n) for n in given.ravel().tolist() if math.isfinite(n)]


def _product(call: Call, position: int) -> int:
    numbers = _numbers(call, position)
    return math.prod(max(n, 0) for n in numbers) if numbers else 0


def _padded(call: Call, shape: tuple[int, ...]) -> int:
    amounts = _numbers(call, 1) or list(call.ints("pads", ()))
    if len(amounts) != 2 * len(shape):
        return math.prod(shape) + sum(max(n, 0) for n in amounts)
    ends = zip(shape, amounts[: len(shape)], amounts[len(shape) :], strict=True)
    return math.prod(max(n + a + b, 0) for n, a, b in ends)


def _resized(call: Call, shape: tuple[int, ...]) -> int:
    scales = call.inputs[1 if call.op == "Upsample" else 2] if len(call.inputs) > (call.op == "Resize") + 1 else None
    if isinstance(scales, np.ndarray) and scales.size == len(shape) and np.isfinite(scales).all():
        return math.prod(max(int(n * s), 0) for n, s in zip(shape, scales.ravel().tolist(), strict=True))
    return _product(call, 3) if call.op == "Resize" else 0


def require_modest(model: Any, where: str, meter: Meter) -> None:
    """Raise where inlining the model's functions would make more than a million nodes: one calls another twice."""
    bodies = {(f.domain, f.name): Counter((n.domain, n.op_type) for n in f.node) for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    while len(sizes) < len(bodies):
        known = len(sizes)
        meter.check(where)
        for key, called in bodies.items():
            if key not in sizes and all(c in sizes or c not in bodies for c in called):
                sizes[key] = sum(times * sizes.get(c, 1) for c, times in called.items())
        if len(sizes) == known:
            break  # they call each other in a ring, which ONNX itself refuses
    total = sum(sizes.get((n.domain, n.op_type), 1) for n in model.graph.node)
    if total > _NODES:
        raise meter.refuse(where, f"its functions, written out, have {total} nodes, at most {_NODES} are read")
