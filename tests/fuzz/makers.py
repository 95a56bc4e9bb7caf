"""One maker per operator: random attributes of every operator set in which they are spelled differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.fuzz.graphs import Graph, Maker, NotHere, Shape


def _require(holds: bool) -> None:
    if not holds:
        raise NotHere


def _axis(g: Graph, rank: int) -> int:
    """An axis; negative where the operator set has that."""
    _require(rank > 0)
    axis = g.draw.whole(0, rank - 1)
    return axis - rank if g.opset >= 11 and g.draw.chance(0.4) else axis


def _like(g: Graph, shape: Shape) -> Shape:
    """A shape that broadcasts to ``shape``, at times of fewer axes."""
    found = [1 if g.draw.chance(0.3) else n for n in shape]
    return tuple(found[g.draw.whole(0, len(found)) :]) if g.draw.chance(0.4) else tuple(found)


def plain(op: str, since: int = 1) -> Maker:
    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        _require(g.opset >= since)
        return g.node(op, [x])

    return make


def with_constant(op: str) -> Maker:
    """``Add``, ``Sub``, ``Mul``, ``Div``, ``Max``, ``Min``, ``Sum`` with a constant on either side."""

    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        _require(not (op in ("Max", "Min", "Sum") and g.opset < 8))
        c = g.constant(g.numbers(*_like(g, shape), positive=op == "Div"))
        both = [c, x] if op != "Div" and g.draw.chance(0.3) else [x, c]
        return g.node(op, both)

    return make


def with_tensor(op: str) -> Maker:
    """The same operators on two tensors that depend on the input."""

    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        _require(not (op in ("Max", "Min", "Sum") and g.opset < 8))
        both = [x, g.other(shape)]
        if op in ("Max", "Min", "Sum") and g.draw.chance(0.3):
            both.append(g.constant(g.numbers(*_like(g, shape))))
        return g.node(op, both)

    return make


def leaky(g: Graph, x: str, shape: Shape) -> list[str]:
    options = {"alpha": g.draw.choice((0.25, -0.5, 0.01, 1.5))} if g.draw.chance(0.8) else {}
    return g.node("LeakyRelu", [x], **options)


def prelu(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(g.opset >= 7)
    return g.node("PRelu", [x, g.constant(g.numbers(*_like(g, shape)))])


def clip(g: Graph, x: str, shape: Shape) -> list[str]:
    low, high = sorted(g.draw.some([-1.0, -0.5, 0.0, 0.25, 1.0, 3.0], 2))
    if g.draw.chance(0.15):
        high = low
    if g.opset < 11:
        options = {k: v for k, v in (("min", low), ("max", high)) if g.draw.chance(0.8)}
        return g.node("Clip", [x], **options)
    limits = [g.constant(v) if g.draw.chance(0.8) else "" for v in (low, high)]
    return g.node("Clip", [x, *limits])


def parameterised(op: str, since: int, **choices: Sequence[float]) -> Maker:
    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        _require(g.opset >= since)
        return g.node(op, [x], **{k: g.draw.choice(v) for k, v in choices.items() if g.draw.chance(0.8)})

    return make


def dropout(g: Graph, x: str, shape: Shape) -> list[str]:
    return g.node("Dropout", [x], **({"ratio": 0.3} if g.opset < 12 else {}))


def power(g: Graph, x: str, shape: Shape) -> list[str]:
    return g.node("Pow", [x, g.constant(g.draw.choice((1.0, 2.0, 2.0)))])


def cast(g: Graph, x: str, shape: Shape) -> list[str]:
    return g.node("Cast", [x], to=g.elem)


def gemm(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(len(shape) == 2)
    left = g.draw.chance(0.8)  # the tensor stands on the left
    turn = {"transA": g.draw.whole(0, 1), "transB": g.draw.whole(0, 1)}
    mine, other = ("transA", "transB") if left else ("transB", "transA")
    rows, inner = shape[::-1] if turn[mine] else shape
    inner = inner if left else rows
    free = g.draw.whole(1, 3)
    weight = (inner, free) if left else (free, inner)
    weight = weight[::-1] if turn[other] else weight
    result = (rows, free) if left else (free, (shape[::-1] if turn[mine] else shape)[1])
    scales = {k: g.draw.choice((0.5, 2.0, 1.5, 1.0)) for k in ("alpha", "beta") if g.draw.chance(0.5)}
    given = [x, g.constant(g.numbers(*weight))] if left else [g.constant(g.numbers(*weight)), x]
    bias = g.constant(g.numbers(*_like(g, result))) if g.opset < 11 or g.draw.chance(0.7) else ""
    turn = {k: v for k, v in turn.items() if v or g.draw.chance(0.5)}
    return g.node("Gemm", [*given, bias], **turn, **scales)


def matmul(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(len(shape) >= 1)
    if g.draw.chance(0.6) or len(shape) < 2:
        weight: Shape = (shape[-1],) if g.draw.chance(0.2) else (shape[-1], g.draw.whole(1, 3))
        if len(shape) > 2 and len(weight) == 2 and g.draw.chance(0.3):
            weight = (shape[-3], *weight)
        return g.node("MatMul", [x, g.constant(g.numbers(*weight))])
    weight = (shape[-2],) if g.draw.chance(0.2) else (g.draw.whole(1, 3), shape[-2])
    return g.node("MatMul", [g.constant(g.numbers(*weight)), x])


def batch_norm(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(len(shape) >= 2)
    n = shape[1]
    scale, bias, mean = (g.constant(g.numbers(n)) for _ in range(3))
    options = {"epsilon": g.draw.choice((1e-5, 1e-3, 0.25))} if g.draw.chance(0.7) else {}
    return g.node("BatchNormalization", [x, scale, bias, mean, g.constant(g.numbers(n, positive=True))], **options)


def _window(g: Graph, spatial: Shape, kernel: Shape, *, dilated: bool, small_pads: bool = False) -> dict[str, Any]:
    rank, options = len(spatial), {}
    if g.draw.chance(0.6):
        options["strides"] = [g.draw.whole(1, 3) for _ in range(rank)]
    if dilated and g.draw.chance(0.3):
        options["dilations"] = [g.draw.whole(1, 2) for _ in range(rank)]
    if g.draw.chance(0.2):
        options["auto_pad"] = g.draw.choice(("SAME_UPPER", "SAME_LOWER", "VALID"))
    elif g.draw.chance(0.6):
        options["pads"] = [g.draw.whole(0, min(2, (k - 1) if small_pads else 2)) for k in (*kernel, *kernel)]
    return options


def conv(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(len(shape) in (3, 4))
    channels, spatial = shape[1], shape[2:]
    groups = g.draw.choice([k for k in (1, 1, 2, channels) if channels % k == 0])
    kernel = tuple(g.draw.whole(1, min(3, n)) for n in spatial)
    weight = g.numbers(groups * g.draw.whole(1, 2), channels // groups, *kernel)
    given = [x, g.constant(weight), g.constant(g.numbers(len(weight))) if g.draw.chance(0.6) else ""]
    options = _window(g, spatial, kernel, dilated=True)
    if g.draw.chance(0.5):
        options["kernel_shape"] = list(kernel)
    return g.node("Conv", given, **options, **({"group": groups} if groups > 1 else {}))


def conv_transpose(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(len(shape) in (3, 4))
    channels, spatial = shape[1], shape[2:]
    groups = g.draw.choice([k for k in (1, 1, 2, channels) if channels % k == 0])
    kernel = tuple(g.draw.whole(1, 3) for _ in spatial)
    out = g.draw.whole(1, 2)
    given = [x, g.constant(g.numbers(channels, out, *kernel))]
    if g.draw.chance(0.6):
        given.append(g.constant(g.numbers(out * groups)))
    options: dict[str, Any] = {}
    strides = [g.draw.whole(1, 2) for _ in spatial]
    if g.draw.chance(0.6):
        options["strides"] = strides
        if g.draw.chance(0.4):
            options["output_padding"] = [g.draw.whole(0, s - 1) for s in strides]
    if g.draw.chance(0.3):
        options["dilations"] = [g.draw.whole(1, 2) for _ in spatial]
    if g.draw.chance(0.5):
        options["pads"] = [g.draw.whole(0, k - 1) for k in (*kernel, *kernel)]
    return g.node("ConvTranspose", given, **options, **({"group": groups} if groups > 1 else {}))


def pool(op: str) -> Maker:
    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        _require(len(shape) in (3, 4))
        kernel = tuple(g.draw.whole(1, min(3, n)) for n in shape[2:])
        dilated = g.opset >= (10 if op == "MaxPool" else 19)
        options = _window(g, shape[2:], kernel, dilated=dilated, small_pads=True)
        if g.opset >= 10 and g.draw.chance(0.4):
            options["ceil_mode"] = 1
        if op == "AveragePool" and g.draw.chance(0.5):
            options["count_include_pad"] = 1
        return g.node(op, [x], kernel_shape=list(kernel), **options)

    return make


def over_space(op: str) -> Maker:
    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        _require(len(shape) >= 3)
        return g.node(op, [x])

    return make


def reduction(op: str) -> Maker:
    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        rank = len(shape)
        axes = sorted({_axis(g, rank) % rank for _ in range(g.draw.whole(1, 2))})
        axes = [a - rank if g.opset >= 11 and g.draw.chance(0.3) else a for a in axes]
        options: dict[str, Any] = {"keepdims": g.draw.whole(0, 1)} if g.draw.chance(0.7) else {}
        if g.draw.chance(0.25):
            axes = []
        if g.opset < (13 if op == "ReduceSum" else 18):
            return g.node(op, [x], **options, **({"axes": axes} if axes else {}))
        if g.draw.chance(0.3):
            options["noop_with_empty_axes"] = g.draw.whole(0, 1)
        return g.node(op, [x, g.constant(axes, whole=True) if axes else ""], **options)

    return make


def reshape(g: Graph, x: str, shape: Shape) -> list[str]:
    size = int(np.prod(shape))
    target = [size]
    for k in (2, 3, 4):
        if target[0] % k == 0 and g.draw.chance(0.5):
            target = [target[0] // k, k, *target[1:]]
    if g.draw.chance(0.4):
        target[g.draw.whole(0, len(target) - 1)] = -1
    if shape and target[0] == shape[0] and g.draw.chance(0.5):
        target[0] = 0
    if g.draw.chance(0.1):
        return g.node("Reshape", [x, g.node("Shape", [x])[0]])
    return g.node("Reshape", [x, g.constant(target, whole=True)])


def flatten(g: Graph, x: str, shape: Shape) -> list[str]:
    options = {"axis": g.draw.whole(-len(shape) if g.opset >= 11 else 0, len(shape))} if g.draw.chance(0.8) else {}
    return g.node("Flatten", [x], **options)


def squeeze(g: Graph, x: str, shape: Shape) -> list[str]:
    ones = [k for k, n in enumerate(shape) if n == 1]
    _require(bool(ones))
    axes = sorted(g.draw.some(ones, g.draw.whole(1, len(ones))))
    axes = [a - len(shape) if g.opset >= 11 and g.draw.chance(0.4) else a for a in axes]
    return _with_axes(g, "Squeeze", x, axes if g.draw.chance(0.8) else [])


def unsqueeze(g: Graph, x: str, shape: Shape) -> list[str]:
    count = g.draw.whole(1, 2)
    axes = sorted(g.draw.some(range(len(shape) + count), count))
    axes = [a - len(shape) - count if g.opset >= 11 and g.draw.chance(0.4) else a for a in axes]
    return _with_axes(g, "Unsqueeze", x, axes)


def _with_axes(g: Graph, op: str, x: str, axes: list[int]) -> list[str]:
    if g.opset < 13:
        return g.node(op, [x], **({"axes": axes} if axes else {}))
    return g.node(op, [x, g.constant(axes, whole=True) if axes else ""])


def transpose(g: Graph, x: str, shape: Shape) -> list[str]:
    order = [int(k) for k in g.draw.rng.permutation(len(shape))]
    return g.node("Transpose", [x], **({"perm": order} if g.draw.chance(0.8) else {}))


def slices(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(len(shape) > 0)
    axes = sorted(g.draw.some(range(len(shape)), g.draw.whole(1, len(shape))))
    back = g.opset >= 10 and g.draw.chance(0.3)
    starts, ends, steps = [], [], []
    for a in axes:
        n = shape[a]
        low, high = g.draw.whole(0, n - 1), g.draw.choice((n, n, 2**31, -1 if n > 1 else n))
        starts.append(g.draw.choice((low, low - n)) if not back else n - 1)
        ends.append(high if not back else g.draw.choice((-n - 1, 0 if n > 1 else -n - 1)))
        steps.append(g.draw.whole(1, 2) * (-1 if back else 1))
    if g.opset < 10:
        return g.node("Slice", [x], starts=starts, ends=ends, axes=axes)
    axes = [a - len(shape) if g.draw.chance(0.3) else a for a in axes]
    given = [g.constant(v, whole=True) for v in (starts, ends, axes)]
    return g.node("Slice", [x, *given, g.constant(steps, whole=True) if back or g.draw.chance(0.5) else ""])


def split(g: Graph, x: str, shape: Shape) -> list[str]:
    axis = _axis(g, len(shape))
    n = shape[axis]
    _require(n >= 2)
    cut = g.draw.whole(1, n - 1)
    if n % 2 == 0 and g.opset < 18 and g.draw.chance(0.4):
        return g.node("Split", [x], 2, axis=axis)
    if g.opset >= 18 and g.draw.chance(0.4):
        return g.node("Split", [x], 2, axis=axis, num_outputs=2)
    if g.opset < 13:
        return g.node("Split", [x], 2, axis=axis, split=[cut, n - cut])
    return g.node("Split", [x, g.constant([cut, n - cut], whole=True)], 2, axis=axis)


def concat(g: Graph, x: str, shape: Shape) -> list[str]:
    axis = _axis(g, len(shape))
    extra = list(shape)
    extra[axis] = g.draw.whole(1, 2)
    parts = [x, g.constant(g.numbers(*extra))]
    if g.draw.chance(0.5):
        parts = [x, g.draw.choice([n for n, s in g.shapes.items() if s == shape])]
    return g.node("Concat", parts if g.draw.chance(0.7) else parts[::-1], axis=axis)


def gather(g: Graph, x: str, shape: Shape) -> list[str]:
    axis = _axis(g, len(shape))
    n = shape[axis]
    index = g.draw.rng.integers(-n if g.opset >= 11 else 0, n, g.draw.choice(((), (2,), (1, 3))))
    return g.node("Gather", [x, g.constant(index, whole=True)], axis=axis)


def gather_elements(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(g.opset >= 11)
    axis = _axis(g, len(shape))
    index = g.draw.rng.integers(-shape[axis], shape[axis], shape)
    return g.node("GatherElements", [x, g.constant(index, whole=True)], axis=axis)


def gather_nd(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(g.opset >= 11 and len(shape) >= 2)
    depth = g.draw.whole(1, len(shape))
    index = np.stack([g.draw.rng.integers(0, n, 3) for n in shape[:depth]], axis=-1)
    return g.node("GatherND", [x, g.constant(index, whole=True)])


def tile(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(len(shape) > 0)
    return g.node("Tile", [x, g.constant([g.draw.whole(1, 2) for _ in shape], whole=True)])


def expand(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(g.opset >= 8)
    target = [n if n > 1 else g.draw.whole(1, 3) for n in shape]
    return g.node("Expand", [x, g.constant([2, *target] if g.draw.chance(0.3) else target, whole=True)])


def pad(g: Graph, x: str, shape: Shape) -> list[str]:
    modes = ["constant", "constant", "reflect", "edge", *(["wrap"] if g.opset >= 19 else [])]
    mode = g.draw.choice(modes)
    least = min(shape, default=0)
    _require(least > 0)
    most = 2 if mode == "constant" else max(least - 1, 0)
    axes = list(range(len(shape)))
    if g.opset >= 18 and g.draw.chance(0.4):
        axes = sorted(g.draw.some(axes, g.draw.whole(1, len(axes))))
    pads = [g.draw.whole(-1 if mode == "constant" and least > 2 else 0, most) for _ in range(2 * len(axes))]
    value = g.draw.choice((0.0, 0.5, -1.0))
    options = {"mode": mode} if mode != "constant" or g.draw.chance(0.5) else {}
    if g.opset < 11:
        return g.node("Pad", [x], pads=pads, **options, **({"value": value} if value else {}))
    filler = g.constant(value) if mode == "constant" and g.draw.chance(0.6) else ""
    named = g.constant([a - len(shape) if g.draw.chance(0.3) else a for a in axes], whole=True) if len(axes) < len(shape) else ""
    return g.node("Pad", [x, g.constant(pads, whole=True), filler, named], **options)


def where(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(g.opset >= 9)
    other = g.constant(g.numbers(*_like(g, shape))) if g.draw.chance(0.6) else g.other(shape)
    both = [x, other] if g.draw.chance(0.5) else [other, x]
    return g.node("Where", [g.flags(g.draw.rng.random(shape) < 0.5), *both])


def depth_to_space(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(len(shape) == 4 and shape[1] % 4 == 0)
    options = {"mode": g.draw.choice(("DCR", "CRD"))} if g.opset >= 11 and g.draw.chance(0.7) else {}
    return g.node("DepthToSpace", [x], blocksize=2, **options)


def space_to_depth(g: Graph, x: str, shape: Shape) -> list[str]:
    _require(len(shape) == 4 and shape[2] % 2 == 0 and shape[3] % 2 == 0)
    return g.node("SpaceToDepth", [x], blocksize=2)


def unsupported(g: Graph, x: str, shape: Shape) -> list[str]:
    """What nnsym refuses, by name and with a remedy."""
    op = g.draw.choice(("Softmax", "Elu", "Softplus", "Floor", "Exp", "Pow", "Div", "MatMul", "MaxPool"))
    match op:
        case "Pow":
            return g.node("Pow", [x, g.constant(3.0)])
        case "Div":
            return g.node("Div", [g.constant(1.0), g.node("Exp", [x])[0]])
        case "MatMul":
            return g.node("MatMul", [x, g.node("Transpose", [x])[0]])
        case "MaxPool":
            _require(len(shape) == 4 and g.opset >= 8)
            values, _ = g.node("MaxPool", [x], 2, kernel_shape=[1, 1])
            return [values]
    return g.node(op, [x])


MAKERS: dict[str, Maker] = {
    **{op: plain(op) for op in ("Relu", "Abs", "Neg", "Identity", "Sigmoid", "Tanh")},
    "Sign": plain("Sign", 9),
    **{f"{op} constant": with_constant(op) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum")},
    **{f"{op} tensor": with_tensor(op) for op in ("Add", "Sub", "Mul", "Max", "Min", "Sum")},
    "LeakyRelu": leaky,
    "PRelu": prelu,
    "Clip": clip,
    "HardSigmoid": parameterised("HardSigmoid", 7, alpha=(0.25, 0.2, -0.5), beta=(0.5, 0.25, 0.0)),
    "ThresholdedRelu": parameterised("ThresholdedRelu", 10, alpha=(0.5, 1.0, -0.25)),
    "Dropout": dropout,
    "Pow": power,
    "Cast": cast,
    "Gemm": gemm,
    "MatMul": matmul,
    "BatchNormalization": batch_norm,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    **{op: pool(op) for op in ("MaxPool", "AveragePool")},
    **{op: over_space(op) for op in ("GlobalAveragePool", "GlobalMaxPool")},
    **{op: reduction(op) for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin")},
    "Reshape": reshape,
    "Flatten": flatten,
    "Squeeze": squeeze,
    "Unsqueeze": unsqueeze,
    "Transpose": transpose,
    "Slice": slices,
    "Split": split,
    "Concat": concat,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "Tile": tile,
    "Expand": expand,
    "Pad": pad,
    "Where": where,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "unsupported": unsupported,
}
