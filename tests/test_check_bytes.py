"""ONNX's bytes with a few of them changed: what the checker takes, the format's own reader reads in the same way."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from nnsym.check.errors import Refused
from nnsym.check.model import Const, Model, read_onnx, read_plain
from tests.depth import drawn


def small() -> bytes:
    """A model with every kind of number that is read, few bytes for each."""
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["a"], alpha=0.5, transB=1),
        helper.make_node("Pad", ["a", "p"], ["b"], mode="constant"),
        helper.make_node("Conv", ["b", "k"], ["c"], pads=[1, 0]),
        helper.make_node("Constant", [], ["d"], value=numpy_helper.from_array(np.float64([2.5]))),
        helper.make_node("Scale", ["c"], ["y"], scales=[1.5, -2.0]),
    ]
    stored = [
        numpy_helper.from_array(np.float32([[1, -2]]), "w"),
        helper.make_tensor("p", TensorProto.INT64, [2], [3, -1]),
        helper.make_tensor("k", TensorProto.FLOAT, [1, 2], [0.5, 4.0]),
        helper.make_tensor("t", TensorProto.INT32, [1], [-7]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 2)) for n in "xy"]
    made = helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], stored), opset_imports=[helper.make_opsetid("", 13)]
    )
    made.producer_name = ""
    return bytes(made.SerializeToString())


def ours(model: Model) -> Any:
    def plain(value: Any) -> Any:
        return (value.shape, list(value.values)) if isinstance(value, Const) else value

    constants = {name: plain(c) for name, c in model.constants.items()}
    ops = [(o.kind, o.inputs, o.outputs, {k: plain(v) for k, v in o.attributes.items()}) for o in model.ops]
    return [*model.inputs], constants, ops, [*model.outputs]


def theirs(model: onnx.ModelProto) -> Any:
    graph = model.graph

    def tensor(t: Any) -> Any:
        return tuple(t.dims), numpy_helper.to_array(t).ravel().tolist()

    def attribute(a: Any) -> Any:
        stated = [f.name for f, _ in a.ListFields() if f.name not in ("name", "type", "doc_string")]
        implied = {"f": 1, "i": 2, "s": 3, "t": 4, "floats": 6, "ints": 7}
        kind = a.type or implied[stated[0]]
        kinds = {AttributeProto.FLOAT: a.f, AttributeProto.INT: a.i, AttributeProto.FLOATS: list(a.floats)}
        kinds |= {AttributeProto.INTS: list(a.ints), AttributeProto.STRING: a.s.decode()}
        return tensor(a.t) if kind == AttributeProto.TENSOR else kinds[kind]

    constants = {t.name: tensor(t) for t in graph.initializer}
    ends = [(v.name, tuple(d.dim_value for d in v.type.tensor_type.shape.dim)) for v in graph.input]
    ops = [
        (n.op_type, tuple(n.input), tuple(n.output), {a.name: attribute(a) for a in n.attribute}) for n in graph.node
    ]
    return [e for e in ends if e[0] not in constants], constants, ops, [v.name for v in graph.output]


def changed(rng: np.random.Generator, whole: bytes) -> bytes:
    data = bytearray(whole)
    for _ in range(int(rng.integers(1, 3))):
        at = int(rng.integers(len(data)))
        match rng.integers(4):
            case 0:
                data[at] ^= 1 << int(rng.integers(8))
            case 1:
                data[at] = int(rng.integers(256))
            case 2:
                del data[at]
            case _:
                data.insert(at, int(rng.integers(256)))
    return bytes(data)


def written_otherwise(whole: bytes) -> Iterator[bytes]:
    """How a field is written stands in the last three bits of its key: every byte with others."""
    for at in range(len(whole)):
        yield from (whole[:at] + bytes([whole[at] ^ k]) + whole[at + 1 :] for k in range(1, 8))


def test_bytes_that_are_taken_are_read_as_the_format_reads_them() -> None:
    rng, whole, taken = np.random.default_rng(5), small(), 0
    assert ours(read_onnx(whole)) == theirs(onnx.ModelProto.FromString(whole))
    for data in chain(written_otherwise(whole), (changed(rng, whole) for _ in range(drawn(24000, 2000)))):
        try:
            read = ours(read_onnx(data))
        except Refused:
            continue
        try:
            model = onnx.ModelProto.FromString(data)
        except Exception:
            continue  # it is damaged for them in a part that is of no matter here
        assert read == theirs(model), data
        taken += 1
    assert taken > 300


def field(number: int, data: bytes, wire: int = 2) -> bytes:
    """A field of fewer than 128 bytes."""
    key = number << 3 | wire
    start = bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])
    return start + (bytes([len(data)]) if wire == 2 else b"") + data


def constant(kind: int, *fields: bytes) -> bytes:
    """A model's graph with one constant of a type."""
    return field(7, field(5, field(2, bytes([kind]), 0) + field(8, b"c") + b"".join(fields)))


def attribute(*fields: bytes) -> bytes:
    """A model's graph with one operator that has one attribute."""
    return field(7, field(1, field(4, b"Relu") + field(5, field(1, b"a") + b"".join(fields))))


NONE, LESS_THAN_0 = field(7, b""), field(1, b"\xff" * 9 + b"\1", 0)


@pytest.mark.parametrize(("data", "reason"), [
    (field(3, bytes(8), 3) + NONE, "wire type 3"), (field(3, bytes(4), 4) + NONE, "wire type 4"),
    (field(3, b"\1" * 8, 7) + NONE, "wire type 7"), (field(0, b"x") + NONE, "field 0 "),
    (b"\x18" + b"\xff" * 10 + b"\1" + NONE, "more than ten bytes"), (NONE + field(2, b"abc")[:-1], "ends within"),
    (field(7, bytes(4), 5), "field 7 has the wire type 5"),
    (field(7, field(1, field(1, bytes(4), 5))), "field 1 has the wire type 5"),
    (field(7, field(1, bytes(4), 5)), "field 1 has the wire type 5"),
    (constant(1, field(9, bytes(6))), "do not fit"),
    (constant(1, field(4, bytes(8), 1)), "field 4 has the wire type 1"),
    (constant(7, field(1, bytes(4), 5)), "field 1 has the wire type 5"),
    (constant(7, LESS_THAN_0, LESS_THAN_0, field(7, b"\1")), "a constant of shape"),
    (constant(7, field(1, b"\3", 0), field(7, b"\1")), "1 values for"),
    (constant(1, field(1, b"\1", 0), field(13, b"\1")), "outside of the file"),
    (constant(1, field(3, b"\1")), "outside of the file"), (constant(1, field(14, b"\1", 0)), "outside of the file"),
    (field(7, field(1, field(4, b"Relu") + field(7, b"own"))), "domain 'own'"),
    (attribute(field(3, b"\1", 0), field(2, bytes(4), 5)), "two values"), (attribute(field(21, b"b")), "two values"),
    (attribute(field(3, b"\1", 0), field(20, b"\1", 0)), "two values"), (attribute(field(6, b"")), "not read"),
    (attribute(), "not read"),
    (attribute(field(3, b"\1")), "another type"), (attribute(field(2, bytes(8), 1)), "field 2 has the wire type 1"),
    (attribute(field(7, b"\1", 0)), "field 7 has the wire type 0"),
    (attribute(field(4, bytes(4), 5)), "field 4 has the wire type 5"),
    (field(7, field(1, 2 * field(5, field(1, b"a") + field(3, b"\1", 0)))), "two attributes"),
    (NONE + field(25, b""), "functions of the file"), (field(7, field(15, b"")), "sparse"), (b"", "no graph"),
])  # fmt: skip
def test_bytes_that_are_refused_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read_onnx(field(8, field(2, b"\x0d", 0)) + data)


def test_two_tensors_of_one_name_are_refused() -> None:
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1,))] * 2
    with pytest.raises(Refused, match="have one name"):
        read_onnx(helper.make_model(helper.make_graph([], "g", ends, [])).SerializeToString())
    with pytest.raises(Refused, match="have one name"):
        read_plain(
            {"inputs": [["x", [1]]], "constants": {"x": {"shape": [], "values": [1]}}, "nodes": [], "outputs": []}
        )
