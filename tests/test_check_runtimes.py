"""What a file may say at the edge of ONNX: the checker reads it as ONNX Runtime does, or refuses it."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_check_readers import forward

from nnsym.check.errors import Refused

Nodes = list[tuple[str, str, str, dict[str, Any]]]  # operator, arguments and results (words), attributes


def whole(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def model(nodes: Nodes, shape: tuple[int, ...], opset: int, constants: dict[str, Any]) -> bytes:
    """A network of x and y."""
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", None))]
    stored = [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()]
    made = [helper.make_node(kind, a.split(), r.split(), **more) for kind, a, r, more in nodes]
    graph = helper.make_graph(made, "g", ends[:1], ends[1:], stored)
    whole_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(whole_model.SerializeToString())


def alike(nodes: Nodes, shape: tuple[int, ...], opset: int = 18, **constants: Any) -> bool:
    """Whether the checker reads a network; where it does, a runtime does too and has the same values."""
    data = model(nodes, shape, opset, constants)
    x = np.random.default_rng(3).standard_normal(shape).astype(np.float32)
    try:
        values = forward(data, x)[0][0]
    except Refused:
        return False
    quiet = ort.SessionOptions()
    quiet.log_severity_level = 4
    run = ort.InferenceSession(data, quiet, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    np.testing.assert_allclose(values, run.ravel(), rtol=1e-5, atol=1e-6)
    return True


def one(kind: str, arguments: str, **attributes: Any) -> Nodes:
    return [(kind, arguments, "y", attributes)]


def scaled(*nodes: tuple[str, str, str, dict[str, Any]]) -> Nodes:
    """x times a constant k that nodes compute."""
    return [*nodes, ("Cast", "k", "factor", {"to": 1}), ("Mul", "x factor", "y", {})]


def test_slices_are_those_of_the_runtime() -> None:
    far = (1 << 63) - 1
    read = 0
    for start, end, step in product((-99, -5, -1, 3, 9), (-far, -6, -2, 0, 5, far), (1, -1, -2)):
        given = {"s": whole(start), "e": whole(end), "a": whole(0), "t": whole(step)}
        read += alike(one("Slice", "x s e a t"), (5,), **given)
    assert read > 40


def test_a_square_has_the_shape_of_both_arguments() -> None:
    """Row 0 of a matrix of one row is all of it, element 0 of a vector is one."""
    nodes: Nodes = [("Pow", "x e", "p", {}), *one("Gather", "p i", axis=0)]
    assert alike(nodes, (3,), e=np.full((1, 1), 2, "f4"), i=whole(0))
    assert alike(nodes, (3,), e=np.float32(2), i=whole(0))


@pytest.mark.parametrize(("nodes", "constants", "reads"), [
    (scaled(("Add", "a b", "k", {})), {"a": whole(7), "b": whole(2)}, True),
    (scaled(("Add", "a a", "k", {})), {"a": whole(1 << 62)}, False),
    (scaled(("Mul", "a a", "k", {})), {"a": np.int32([1 << 20])}, False),
    (scaled(("Add", "a a", "k", {})), {"a": np.uint8([200])}, False),
    (scaled(("Neg", "a", "k", {})), {"a": np.int8([-128])}, False),
    (scaled(("Div", "a b", "k", {})), {"a": whole(-7), "b": whole(2)}, True),
    (scaled(("Add", "a a", "s", {}), ("Div", "s b", "k", {})), {"a": whole(7), "b": whole(4)}, True),
    (scaled(("Mul", "a a", "s", {}), ("Div", "s b", "k", {})), {"a": whole(-7), "b": whole(4)}, True),
    (scaled(("Neg", "a", "s", {}), ("Div", "s b", "k", {})), {"a": whole(7), "b": whole(4)}, True),
    (scaled(("Cast", "a", "p", {"to": 1}), ("Div", "p q", "k", {})), {"a": whole(7), "q": np.float32([2])}, True),
    (scaled(("Cast", "a", "p", {"to": 1}), ("Cast", "b", "q", {"to": 1}), ("Div", "p q", "k", {})),
     {"a": whole(7), "b": whole(2)}, True),
    (scaled(("Cast", "a", "k", {"to": 7})), {"a": np.float32([1e20])}, False),
    (scaled(("Cast", "a", "k", {"to": 6})), {"a": whole(1 << 33)}, False),
])  # fmt: skip
def test_whole_numbers_are_those_of_their_type(nodes: Nodes, constants: dict[str, Any], reads: bool) -> None:
    """They are divided towards 0 as long as they are whole, and nothing that a type would wrap is computed."""
    assert alike(nodes, (1,), **constants) == reads


@pytest.mark.parametrize(("nodes", "shape", "constants", "opset"), [
    (one("Clip", "x c"), (3,), {"c": np.float32([0, 1, 2])}, 18), (one("Squeeze", "x a"), (1, 3), {"a": whole(2)}, 18),
    (one("Unsqueeze", "x a"), (3,), {"a": whole(7)}, 18), (one("ReduceSum", "x a"), (2, 3), {"a": whole(3)}, 18),
    (one("Flatten", "x", axis=9), (2, 3), {}, 18), (one("Reshape", "x s"), (2, 3), {"s": whole(-2, -3)}, 18),
    ([("Split", "x", "y z", {})], (5,), {}, 13),
    (one("Gemm", "x w c"), (1, 3), {"w": np.ones((3, 2), "f4"), "c": np.ones((4, 2), "f4")}, 18),
    (one("Conv", "x w b"), (1, 1, 3, 3), {"w": np.ones((2, 1, 2, 2), "f4"), "b": np.float32([1])}, 18),
    (one("Conv", "x w b"), (1, 1, 3, 3), {"w": np.ones((2, 1, 2, 2), "f4"), "b": np.float32([1, 2, 3])}, 18),
    (one("BatchNormalization", "x s s s s"), (1, 2, 3), {"s": np.float32([1, 2, 3])}, 18),
])  # fmt: skip
def test_what_no_runtime_runs_is_refused(nodes: Nodes, shape: tuple[int, ...], constants: Any, opset: int) -> None:
    """A reading of it would be the checker's own invention."""
    quiet = ort.SessionOptions()
    quiet.log_severity_level = 4
    with pytest.raises(Exception, match="ONNXRuntime"):
        ort.InferenceSession(model(nodes, shape, opset, constants), quiet).run(None, {"x": np.ones(shape, "f4")})
    assert not alike(nodes, shape, opset, **constants)


@pytest.mark.parametrize("opset", [7, 9, 13, 14, 17])
def test_batches_are_normalised_as_in_the_runtime(opset: int) -> None:
    """Beside a variance near -epsilon it matters that epsilon is a float32; further outputs may mean training."""
    ones = {n: np.float32([v]) for n, v in (("s", 1), ("b", 0), ("m", 0))}
    for variance in (4.0, -9.99e-6):
        given = ones | {"v": np.float32([variance])}
        assert alike(one("BatchNormalization", "x s b m v"), (3, 1), opset, **given)
    for more in ("p q r t" if opset < 14 else "p q", "p"):
        nodes: Nodes = [("BatchNormalization", "x s b m v", f"y {more}", {})]
        assert not alike(nodes, (3, 1), opset, **ones, v=np.float32([4]))


@pytest.mark.parametrize(("name", "kind", "opset", "more"), [
    ("keepdims", "ReduceSum", 12, {"axes": [1]}), ("keepdims", "ReduceMean", 12, {"axes": [1]}),
    ("keepdims", "ReduceMax", 12, {"axes": [1]}), ("noop_with_empty_axes", "ReduceSum", 13, {}),
    ("ceil_mode", "MaxPool", 12, {"kernel_shape": [2], "strides": [2]}), ("transA", "Gemm", 12, {}),
    ("count_include_pad", "AveragePool", 12, {"kernel_shape": [2], "pads": [1, 0]}), ("transB", "Gemm", 12, {}),
])  # fmt: skip
def test_what_says_whether_is_0_or_1(name: str, kind: str, opset: int, more: dict[str, Any]) -> None:
    """Runtimes compare it with 0, or with 1: of other numbers nothing is said."""
    shape = (3, 3) if kind == "Gemm" else (1, 3, 3)
    for value in (-1, 0, 1, 2):
        nodes = one(kind, "x w" if kind == "Gemm" else "x", **more, **{name: value})
        assert alike(nodes, shape, opset, w=np.float32([[1, 2, 3], [4, 5, 6], [7, 8, 10]])) == (value in (0, 1))


def test_inputs_are_floats() -> None:
    """Whole numbers are divided, and wrap, in a way that the graph does not have."""
    ends = [helper.make_tensor_value_info(n, TensorProto.INT64, (1,)) for n in "xy"]
    two = numpy_helper.from_array(whole(2), "two")
    graph = helper.make_graph([helper.make_node("Div", ["x", "two"], ["y"])], "g", ends[:1], ends[1:], [two])
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    with pytest.raises(Refused, match="no floats"):
        forward(data, np.float32([3]))
