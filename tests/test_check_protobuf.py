"""Fields of ONNX files in forms that protobuf's own readers drop: the checker drops them too, or refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_check_readers import forward

from nnsym.check.errors import Refused
from nnsym.check.model import read_onnx


def varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found, value = found + bytes([value & 127 | 128]), value >> 7
    return found + bytes([value])


def fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Number, wire type and bytes (of a varint: its own) of each field."""

    def read(at: int) -> tuple[int, int]:
        value, shift = 0, 0
        while True:
            value |= (data[at] & 127) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 128:
                return value, at

    at = 0
    while at < len(data):
        key, at = read(at)
        start, wire = at, key & 7
        if wire == 0:
            _, at = read(at)
        elif wire == 2:
            size, start = read(at)
            at = start + size
        else:
            at += 8 if wire == 1 else 4
        yield key >> 3, wire, data[start:at]


def written(number: int, wire: int, data: bytes) -> bytes:
    return varint(number << 3 | wire) + (varint(len(data)) if wire == 2 else b"") + data


def otherwise(wire: int, data: bytes) -> Iterator[tuple[int, bytes]]:
    """The same bytes, or about the same, with every other wire type."""
    if wire != 0:
        yield 0, varint(data[0] if data else 0)
    if wire != 2:
        yield 2, data
    yield from ((w, data.ljust(size, b"\0")[:size]) for w, size in ((1, 8), (5, 4)) if w != wire)


def recoded(data: bytes, of: Any) -> Iterator[bytes]:
    """The message with one field, at any depth, in another form: in place of the stored one, and beside it."""
    parts = list(fields(data))
    for k, (number, wire, inside) in enumerate(parts):
        before, after = (b"".join(written(*p) for p in some) for some in (parts[:k], parts[k + 1 :]))
        for w, value in otherwise(wire, inside):
            yield before + written(number, w, value) + after
            yield before + written(number, wire, inside) + written(number, w, value) + after
        field = of.fields_by_number.get(number)
        if field is not None and field.message_type is not None:
            for changed in recoded(inside, field.message_type):
                yield before + written(number, 2, changed) + after


def models() -> Iterator[onnx.ModelProto]:
    """Attributes and constants of every kind that is read."""
    floats = TensorProto(name="w", data_type=1, dims=[4, 4], float_data=np.arange(16) / 8)
    halves = TensorProto(name="h", data_type=1, dims=[4], raw_data=np.float32([1, 2, 3, 4]).tobytes())
    shape = TensorProto(name="s", data_type=7, dims=[2], int64_data=[1, 4])
    nodes = [
        helper.make_node("Gemm", ["x", "w", "h"], ["a"], alpha=0.5, transB=1),
        helper.make_node("LeakyRelu", ["a"], ["b"], alpha=0.25),
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.float32([1, 2, 3, 4]))),
        helper.make_node("Add", ["b", "c"], ["d"]), helper.make_node("Reshape", ["d", "s"], ["e"]),
        helper.make_node("ReduceSum", ["e"], ["y"], keepdims=0),
    ]  # fmt: skip
    yield _model(nodes, [1, 4], [floats, halves, shape])
    kernel = numpy_helper.from_array(np.float32([[[1, 2]]]), "k")
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["a"], strides=[2], pads=[1, 0], kernel_shape=[2]),
        helper.make_node("AveragePool", ["a"], ["b"], kernel_shape=[2], auto_pad="SAME_UPPER", count_include_pad=1),
        helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0]),
        helper.make_node("Concat", ["a", "b"], ["d"], axis=-1),
        helper.make_node("Flatten", ["d"], ["y"]),
    ]
    yield _model(nodes, [1, 1, 4], [kernel])


def _model(nodes: list[onnx.NodeProto], shape: list[int], constants: list[TensorProto]) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", None))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def test_fields_in_another_form_are_refused_or_dropped() -> None:
    """What is read of a file is what is read of it without the fields that are unknown to protobuf's own reader."""
    refused, read = 0, 0
    for proto in models():
        data = proto.SerializeToString()
        read_onnx(data)
        for changed in recoded(data, onnx.ModelProto.DESCRIPTOR):
            try:
                found = read_onnx(changed)
            except Refused:
                refused += 1
                continue
            known = onnx.ModelProto.FromString(changed)
            known.DiscardUnknownFields()
            assert found == read_onnx(known.SerializeToString())
            read += 1
    assert refused > 900
    assert read > 30  # of fields that nobody reads, such as the producer's name


@pytest.mark.parametrize(("name", "stored", "type_", "kind"), [
    (b"alpha", written(2, 2, np.float32(0.5).tobytes()), 1, "LeakyRelu"),
    (b"keepdims", written(3, 2, b"\x00"), 2, "ReduceSum"), (b"keepdims", written(3, 5, b"\x00" * 4), 2, "ReduceSum"),
])  # fmt: skip
def test_a_runtime_drops_such_fields(name: bytes, stored: bytes, type_: int, kind: str) -> None:
    """ONNX Runtime runs these files, with numbers other than those that stand there."""
    x = np.float32([-1, 1])
    attribute = written(1, 2, name) + stored + written(20, 0, varint(type_))
    proto = _model([], [2], [])
    node = helper.make_node(kind, ["x"], ["y"]).SerializeToString() + written(5, 2, attribute)
    graph = proto.graph.SerializeToString() + written(1, 2, node)
    proto.ClearField("graph")
    data = proto.SerializeToString() + written(7, 2, graph)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    assert ort.InferenceSession(data, options).run(None, {"x": x})
    with pytest.raises(Refused):
        forward(data, x)
