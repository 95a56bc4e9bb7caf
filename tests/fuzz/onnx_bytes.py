"""Mutants of ONNX models: small valid models with fields changed, and with bytes flipped."""

from __future__ import annotations

import random

import numpy as np
from onnx import AttributeProto, ModelProto, helper, numpy_helper

# fmt: off
_OPERATORS = (
    "Relu", "Sigmoid", "Tanh", "Neg", "Identity", "Flatten", "LeakyRelu", "Abs", "Clip", "Softmax", "Transpose",
    "Squeeze", "Reshape", "Concat", "Add", "Sub", "Mul", "Div", "MatMul", "Gemm", "Conv", "MaxPool", "AveragePool",
    "BatchNormalization", "Pad", "Slice", "Gather", "Split", "ReduceSum", "Constant", "Shape", "Expand", "Tile",
    "Cast", "Loop", "If", "ConstantOfShape", "Range", "Resize", "OneHot", "Pow", "Sign", "Where", "Unknown",
)
# fmt: on
_ATTRIBUTES = ("axis", "axes", "pads", "strides", "dilations", "group", "alpha", "auto_pad", "to", "mode", "value")
_SIZES = (0, 1, 2, 3, -1, -2, 7, 2**31, 2**40, -(2**63), 10**12)


def model(r: random.Random, kind: int | None = None) -> ModelProto:
    """A valid model of some dense layers or a small convolution."""
    kind = r.randrange(3) if kind is None else kind
    draw = np.random.default_rng(r.randrange(2**32))

    def array(*shape: int) -> np.ndarray:
        return draw.normal(size=shape).astype(np.float32)

    node = helper.make_node
    if kind == 0:
        nodes = [node("Gemm", ["x", "w", "b"], ["h"], transB=1), node("Relu", ["h"], ["r"])]
        nodes.append(node("MatMul", ["r", "v"], ["y"]))
        given, shape, out = {"w": array(3, 2), "b": array(3), "v": array(3, 2)}, [1, 2], [1, 2]
    elif kind == 1:
        nodes = [
            node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
            node("LeakyRelu", ["c"], ["l"], alpha=0.1),
            node("MaxPool", ["l"], ["m"], kernel_shape=[2, 2]),
            node("Flatten", ["m"], ["y"]),
        ]
        given, shape, out = {"w": array(2, 1, 3, 3)}, [1, 1, 4, 4], [1, 2]
    else:
        nodes = [
            node("Reshape", ["x", "s"], ["t"]),
            node("Concat", ["t", "t"], ["d"], axis=1),
            node("Pad", ["d", "p"], ["e"]),
            node("ReduceSum", ["e"], ["y"], keepdims=1),
        ]
        given = {"s": np.array([1, 2], np.int64), "p": np.array([0, 1, 0, 0], np.int64)}
        shape, out = [1, 2], [1, 1]
    inits = [numpy_helper.from_array(v, k) for k, v in given.items()]
    ends = [helper.make_tensor_value_info(n, 1, s) for n, s in (("x", shape), ("y", out))]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], inits)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def mutant(r: random.Random) -> bytes:
    """A model with some fields changed; rarely with bytes flipped or cut."""
    proto = model(r)
    for _ in range(r.choice([0, 1, 1, 1, 2])):
        r.choice([_operator, _attribute, _wire, _shape, _weights, _order, _opset, _names])(r, proto)
    data = bytearray(proto.SerializeToString())
    if r.random() < 0.15:
        for _ in range(r.randint(1, 4)):
            data[r.randrange(len(data))] ^= 1 << r.randrange(8)
    return bytes(data[: r.randrange(len(data))] if r.random() < 0.02 else data)


def _operator(r: random.Random, proto: ModelProto) -> None:
    r.choice(proto.graph.node).op_type = r.choice(_OPERATORS)


def _attribute(r: random.Random, proto: ModelProto) -> None:
    node = r.choice(proto.graph.node)
    if node.attribute and r.random() < 0.7:
        attribute = r.choice(node.attribute)
        if attribute.type == AttributeProto.INTS:
            values = list(attribute.ints)
            values[r.randrange(len(values))] = r.choice(_SIZES)
            del attribute.ints[:]
            attribute.ints.extend(values[: r.randint(0, len(values))] if r.random() < 0.2 else values)
        elif attribute.type == AttributeProto.INT:
            attribute.i = r.choice(_SIZES)
        else:
            attribute.f = r.choice([0.0, -1.0, float("nan"), float("inf"), 1e30])
    else:
        value = r.choice([1, -1, 0, 2**40, [1, 1], [0, 0], 0.5, "VALID", "SAME_UPPER"])
        name = r.choice(_ATTRIBUTES)
        node.attribute.append(helper.make_attribute(name, value))


def _wire(r: random.Random, proto: ModelProto) -> None:
    node = r.choice(proto.graph.node)
    made = [o for n in proto.graph.node for o in n.output]
    names = ["x", "", "nowhere", *(t.name for t in proto.graph.initializer), *made]
    field = r.choice([node.input, node.output])
    if field:
        field[r.randrange(len(field))] = r.choice(names)


def _shape(r: random.Random, proto: ModelProto) -> None:
    dims = r.choice([*proto.graph.input, *proto.graph.output]).type.tensor_type.shape.dim
    if dims and r.random() < 0.8:
        dims[r.randrange(len(dims))].dim_value = r.choice(_SIZES)
    elif dims:
        del dims[-1]


def _weights(r: random.Random, proto: ModelProto) -> None:
    if not proto.graph.initializer:
        return
    tensor = r.choice(proto.graph.initializer)
    step = r.randrange(4)
    if step == 0 and tensor.dims:
        tensor.dims[r.randrange(len(tensor.dims))] = r.choice(_SIZES)
    elif step == 1:
        tensor.data_type = r.choice([0, 1, 2, 6, 7, 8, 10, 11, 16, 99])
    elif step == 2:
        tensor.raw_data = tensor.raw_data[: r.randrange(len(tensor.raw_data) + 1)]
    else:
        tensor.raw_data = r.choice([b"\xff", b"\0"]) * len(tensor.raw_data)


def _order(r: random.Random, proto: ModelProto) -> None:
    nodes = list(proto.graph.node)
    r.shuffle(nodes)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def _opset(r: random.Random, proto: ModelProto) -> None:
    proto.opset_import[0].version = r.choice([0, 1, 6, 7, 9, 11, 13, 17, 21, 99, -1])


def _names(r: random.Random, proto: ModelProto) -> None:
    r.choice(proto.graph.node).name = r.choice(["", "a\nb", "größe", "x", "\x1b[31m"])
    if r.random() < 0.3:
        r.choice(proto.graph.output).name = r.choice(["", "x", "nowhere", "h"])
