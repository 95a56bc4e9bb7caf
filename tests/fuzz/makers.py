"""One maker per operator: random attributes of every operator set in which they are spelled differently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import TensorProto

from tests.fuzz.graphs import Graph, Maker, Shape
from tests.fuzz.logical import comparison, connective, one_hot, position, remainder, through, whole_remainder
from tests.fuzz.moving import (
    concat,
    depth_to_space,
    expand,
    flatten,
    gather,
    gather_elements,
    gather_nd,
    like,
    pad,
    pick_axis,
    require,
    reshape,
    slices,
    space_to_depth,
    split,
    squeeze,
    tile,
    transpose,
    unsqueeze,
    where,
)


def plain(op: str, since: int = 1) -> Maker:
    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        require(g.opset >= since)
        return g.node(op, [x])

    return make


def with_constant(op: str) -> Maker:
    """``Add``, ``Sub``, ``Mul``, ``Div``, ``Max``, ``Min``, ``Sum`` with a constant on either side."""

    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        require(not (op in ("Max", "Min", "Sum") and g.opset < 8))
        c = g.constant(g.numbers(*like(g, shape), positive=op == "Div"))
        both = [c, x] if op != "Div" and g.draw.chance(0.3) else [x, c]
        return g.node(op, both)

    return make


def with_tensor(op: str) -> Maker:
    """The same operators on two tensors that depend on the input."""

    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        require(not (op in ("Max", "Min", "Sum") and g.opset < 8))
        both = [x, g.other(shape)]
        if op in ("Max", "Min", "Sum") and g.draw.chance(0.3):
            both.append(g.constant(g.numbers(*like(g, shape))))
        return g.node(op, both)

    return make


def leaky(g: Graph, x: str, shape: Shape) -> list[str]:
    options = {"alpha": g.draw.choice((0.25, -0.5, 0.01, 1.5))} if g.draw.chance(0.8) else {}
    return g.node("LeakyRelu", [x], **options)


def prelu(g: Graph, x: str, shape: Shape) -> list[str]:
    require(g.opset >= 7)
    return g.node("PRelu", [x, g.constant(g.numbers(*like(g, shape)))])


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
        require(g.opset >= since)
        return g.node(op, [x], **{k: g.draw.choice(v) for k, v in choices.items() if g.draw.chance(0.8)})

    return make


def dropout(g: Graph, x: str, shape: Shape) -> list[str]:
    return g.node("Dropout", [x], **({"ratio": 0.3} if g.opset < 12 else {}))


def power(g: Graph, x: str, shape: Shape) -> list[str]:
    return g.node("Pow", [x, g.constant(g.draw.choice((1.0, 2.0, 2.0, 3.0)))])


def bounded_away(op: str) -> Maker:
    """A function that is not defined everywhere, of an argument that is at least 1/2."""

    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        size = g.node("Abs", [x])[0]
        return g.node(op, g.node("Add", [size, g.constant(0.5)]))

    return make


def of_bounded(op: str, since: int = 1) -> Maker:
    """A function that grows fast, or waves, of an argument between -1 and 1."""

    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        require(g.opset >= since)
        return g.node(op, g.node("Tanh", [x]))

    return make


def cast(g: Graph, x: str, shape: Shape) -> list[str]:
    return g.node("Cast", [x], to=g.elem)


def gemm(g: Graph, x: str, shape: Shape) -> list[str]:
    require(len(shape) == 2)
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
    bias = g.constant(g.numbers(*like(g, result))) if g.opset < 11 or g.draw.chance(0.7) else ""
    turn = {k: v for k, v in turn.items() if v or g.draw.chance(0.5)}
    return g.node("Gemm", [*given, bias], **turn, **scales)


def matmul(g: Graph, x: str, shape: Shape) -> list[str]:
    require(len(shape) >= 1)
    if g.draw.chance(0.6) or len(shape) < 2:
        weight: Shape = (shape[-1],) if g.draw.chance(0.2) else (shape[-1], g.draw.whole(1, 3))
        if len(shape) > 2 and len(weight) == 2 and g.draw.chance(0.3):
            weight = (shape[-3], *weight)
        return g.node("MatMul", [x, g.constant(g.numbers(*weight))])
    weight = (shape[-2],) if g.draw.chance(0.2) else (g.draw.whole(1, 3), shape[-2])
    return g.node("MatMul", [g.constant(g.numbers(*weight)), x])


def batch_norm(g: Graph, x: str, shape: Shape) -> list[str]:
    require(len(shape) >= 2)
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
    require(len(shape) in (3, 4))
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
    require(len(shape) in (3, 4))
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
        require(len(shape) in (3, 4))
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
        require(len(shape) >= 3)
        return g.node(op, [x])

    return make


def reduction(op: str) -> Maker:
    def make(g: Graph, x: str, shape: Shape) -> list[str]:
        rank = len(shape)
        axes = sorted({pick_axis(g, rank) % rank for _ in range(g.draw.whole(1, 2))})
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


def unsupported(g: Graph, x: str, shape: Shape) -> list[str]:
    """What nnsym refuses, by name and with a remedy."""
    op = g.draw.choice(("Softmax", "Div", "MatMul", "MaxPool"))
    match op:
        case "Div":
            return g.node("Div", [g.constant(1.0), g.node("Exp", [x])[0]])
        case "MatMul":
            return g.node("MatMul", [x, g.node("Transpose", [x])[0]])
        case "MaxPool":
            require(len(shape) == 4 and g.opset >= 8)
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
    **{op: of_bounded(op) for op in ("Exp",)},
    **{op: of_bounded(op, 7) for op in ("Sin", "Cos", "Atan")},
    **{op: bounded_away(op) for op in ("Log", "Sqrt", "Reciprocal")},
    **{op: plain(op) for op in ("Softplus", "Softsign")},
    "Erf": plain("Erf", 9),
    "Mish": plain("Mish", 18),
    "HardSwish": plain("HardSwish", 14),
    "Elu": parameterised("Elu", 6, alpha=(1.0, 0.5, 2.0)),
    "Selu": parameterised("Selu", 6, alpha=(1.5,), gamma=(1.25,)),
    "Celu": parameterised("Celu", 12, alpha=(1.0, 0.5)),
    "Shrink": parameterised("Shrink", 9, lambd=(0.5, 1.0), bias=(0.0, 0.5)),
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
    **{op: comparison(op, since) for op, since in (("Greater", 9), ("Less", 9), ("Equal", 11))},
    **{op: comparison(op, 12) for op in ("GreaterOrEqual", "LessOrEqual")},
    **{op: connective(op) for op in ("And", "Or", "Xor", "Not")},
    "Cast bool": through(TensorProto.BOOL),
    "Cast integer": through(TensorProto.INT64),
    **{f"Cast {kind}": through(kind) for kind in (TensorProto.FLOAT, TensorProto.DOUBLE)},
    "Floor": plain("Floor"),
    "Ceil": plain("Ceil"),
    "Round": plain("Round", 11),
    "Mod": remainder,
    "Mod integer": whole_remainder,
    "ArgMax": position("ArgMax"),
    "ArgMin": position("ArgMin"),
    "OneHot": one_hot,
    "unsupported": unsupported,
}
