"""The checker's own reading of networks and properties, against ONNX Runtime and by hand."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from certificates import box, certificate, of_files, plain, stated, verdict
from onnx import TensorProto, helper, numpy_helper

from nnsym.check.checker import Checker
from nnsym.check.errors import Refused, number
from nnsym.check.model import read_onnx
from nnsym.check.problem import Case
from nnsym.check.vnnlib import Atom, Junction, parse, read_property
from tests.depth import drawn

RNG = np.random.default_rng(7)


def grid(*shape: int) -> np.ndarray:
    """Random float32 on a coarse grid, so that float runs of small models are exact."""
    return (RNG.integers(-8, 9, shape) / 8).astype(np.float32)


def model(
    kind: str, shape: tuple[int, ...], *constants: Any, opset: int = 17, first: bool = True, **attributes: Any
) -> bytes:
    """One operator on an input x and constants (None: left out), its outputs y, y1 ... by ``outputs``."""
    outputs = attributes.pop("outputs", 1)
    given = {f"c{k}": np.asarray(c) for k, c in enumerate(constants) if c is not None}
    names = [f"c{k}" if c is not None else "" for k, c in enumerate(constants)]
    reads = ["x", *names] if first else [*names, "x"]
    made = ["y", *(f"y{k}" for k in range(1, outputs))]
    node = helper.make_node(kind, reads, made, **attributes)
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in made]
    stored = [numpy_helper.from_array(v, n) for n, v in given.items()]
    graph = helper.make_graph([node], "g", ends, results, stored)
    made_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(made_model.SerializeToString())


def forward(network: bytes, point: np.ndarray) -> list[tuple[list[float], float]]:
    """Values of every output by the checker, and how far they are enclosed."""
    names = [[0, output] for output in read_onnx(network).outputs]
    made, files = of_files(network, b"(declare-const X_0 Real)(assert (<= X_0 1.0))", [["l"]], names=names)
    checker = Checker(made, files, "reference")
    exact = tuple(Fraction(float(v)) for v in point.ravel())
    bits, values = checker.forward(Case(exact, exact))
    found = []
    for value in checker.problem.names:
        bounds = values[value.node]
        width = max((u - v for v, u in zip(bounds.lower, bounds.upper, strict=True)), default=0) / (1 << bits)
        found.append(([v / (1 << bits) for v in bounds.lower], width))
    return found


def operators() -> Iterator[Any]:
    """One case for each operator and each thing it can be asked."""

    def case(name: str, *given: Any, **more: Any) -> Any:
        return pytest.param(model(*given, **more), given[1], id=name)

    yield case("Add", "Add", (2, 3), grid(3))
    yield case("Sub", "Sub", (2, 3), grid(2, 1))
    yield case("Sub-from-constant", "Sub", (2, 3), grid(3), first=False)
    yield case("Mul", "Mul", (2, 3), grid(1, 3))
    yield case("Div", "Div", (2, 3), np.float32([2, -4, 0.5]))
    yield case("Div-by-3", "Div", (2, 3), np.float32([3, 7, 1]))
    yield case("Neg", "Neg", (4,))
    yield case("Pow", "Pow", (4,), np.float32(2))
    yield case("MatMul", "MatMul", (2, 3), grid(3, 4))
    yield case("MatMul-left", "MatMul", (3, 2), grid(4, 3), first=False)
    yield case("MatMul-vector", "MatMul", (3,), grid(3, 4))
    yield case("MatMul-stack", "MatMul", (2, 2, 3), grid(3, 2))
    yield case("MatMul-stack-left", "MatMul", (2, 3, 2), grid(4, 3), first=False)
    yield case("Gemm", "Gemm", (2, 3), grid(4, 3), grid(4), transB=1, alpha=0.5, beta=2.0)
    yield case("Gemm-transA", "Gemm", (3, 2), grid(3, 4), transA=1)
    yield case("Conv", "Conv", (1, 2, 5, 4), grid(3, 2, 3, 2), grid(3), strides=[2, 1], pads=[1, 0, 2, 1])
    yield case("Conv-dilated", "Conv", (2, 2, 6, 6), grid(2, 2, 2, 2), dilations=[2, 3])
    yield case("Conv-groups", "Conv", (1, 4, 3, 3), grid(4, 2, 2, 2), group=2)
    yield case("Conv-1d", "Conv", (1, 2, 7), grid(3, 2, 3), strides=[2])
    yield case("Conv-same", "Conv", (1, 1, 5, 4), grid(1, 1, 3, 2), auto_pad="SAME_LOWER", strides=[2, 2])
    positive = np.float32([0.5, 1.25, 2])
    yield case("BatchNormalization", "BatchNormalization", (2, 3, 2), grid(3), grid(3), grid(3), positive)
    yield case("AveragePool", "AveragePool", (1, 2, 4, 4), kernel_shape=[2, 2], strides=[2, 2])
    yield case("AveragePool-pads", "AveragePool", (1, 1, 4, 4), kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    yield case(
        "AveragePool-count", "AveragePool", (1, 1, 4, 4), kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
    )
    yield case("GlobalAveragePool", "GlobalAveragePool", (1, 2, 3, 3))
    yield case("MaxPool", "MaxPool", (1, 2, 5, 5), kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1])
    yield case("MaxPool-ceil", "MaxPool", (1, 1, 5, 5), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    yield case("GlobalMaxPool", "GlobalMaxPool", (1, 2, 3, 3))
    yield case("Max", "Max", (2, 3), grid(3), grid(2, 1))
    yield case("Min", "Min", (2, 3), grid(3))
    yield case("ReduceSum", "ReduceSum", (2, 3, 2), np.int64([1, -1]), keepdims=0)
    yield case("ReduceMean", "ReduceMean", (2, 3, 2), axes=[1])
    yield case("ReduceMax", "ReduceMax", (2, 5), axes=[1], keepdims=0)
    yield case("ReduceMin", "ReduceMin", (2, 3, 2), axes=[0, 2])
    yield case("Transpose", "Transpose", (2, 3, 4), perm=[2, 0, 1])
    yield case("Slice", "Slice", (4, 5), np.int64([3, 1]), np.int64([-10, 5]), np.int64([0, 1]), np.int64([-2, 2]))
    yield case("Slice-attributes", "Slice", (4, 5), opset=9, starts=[1], ends=[100], axes=[1])
    yield case("Gather", "Gather", (2, 3, 2), np.int64([[2, 0], [-1, 1]]), axis=1)
    yield case("Split", "Split", (2, 5), np.int64([2, 3]), axis=1, outputs=2)
    yield case("Concat", "Concat", (2, 3), grid(2, 2), axis=1)
    yield case("Pad", "Pad", (2, 3), np.int64([1, 0, 0, 2]), np.float32(1.5))
    yield case("Expand", "Expand", (2, 1), np.int64([3, 1, 4]))
    yield case("Reshape", "Reshape", (2, 3, 2), np.int64([0, -1]))
    yield case("Flatten", "Flatten", (2, 3, 2), axis=2)
    yield case("Squeeze", "Squeeze", (1, 3, 1), np.int64([0]))
    yield case("Unsqueeze", "Unsqueeze", (3,), np.int64([0, 2]))
    yield case("Relu", "Relu", (4,))
    yield case("LeakyRelu", "LeakyRelu", (4,), alpha=0.1)
    yield case("PRelu", "PRelu", (2, 3), np.float32([0.25, -0.5, 2]))
    yield case("Abs", "Abs", (4,))
    yield case("Sign", "Sign", (4,))
    yield case("Clip", "Clip", (4,), np.float32(-0.5), np.float32(0.25))
    yield case("Clip-attributes", "Clip", (4,), opset=7, max=0.25)
    yield case("HardSigmoid", "HardSigmoid", (4,), alpha=0.3, beta=0.4)
    yield case("Sigmoid", "Sigmoid", (4,))
    yield case("Tanh", "Tanh", (4,))


@pytest.mark.parametrize(("network", "shape"), list(operators()))
def test_operators_are_those_of_onnx_runtime(network: bytes, shape: tuple[int, ...]) -> None:
    session = ort.InferenceSession(network, providers=["CPUExecutionProvider"])
    for _ in range(4):
        x = grid(*shape)
        for (values, width), run in zip(forward(network, x), session.run(None, {"x": x}), strict=True):
            assert width < 2**-60
            np.testing.assert_allclose(values, run.ravel(), rtol=3e-6, atol=3e-6)


def test_an_operator_that_is_not_read_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="Softmax 'y': the operator is not read"):
        forward(model("Softmax", (1, 3)), grid(3))
    for wrong in (
        {"auto_pad": "SAME"},
        {"auto_pad": "SAME_UPPER", "pads": [1, 1]},
        {"auto_pad": "VALID", "pads": [0, 1]},
    ):
        with pytest.raises(Refused, match="auto_pad"):
            forward(model("Conv", (1, 1, 5), grid(1, 1, 2), **wrong), grid(5))
    with pytest.raises(Refused, match="argument 2 depends on inputs"):
        forward(model("Reshape", (2,), np.float32([[1, 2]]), first=False), grid(2))
    with pytest.raises(Refused, match="SAME with dilations"):
        forward(model("Conv", (1, 1, 5), grid(1, 1, 2), auto_pad="SAME_UPPER", dilations=[2]), grid(5))


@pytest.mark.parametrize("cut", [3, 40, 90])
def test_damaged_files_are_refused(cut: int) -> None:
    whole = model("Gemm", (2, 3), grid(3, 4), grid(4))
    for data in (whole[:-cut], whole[:cut] + b"\xff" * 9 + whole[cut:], b"\x3a\x7f", b""):
        with pytest.raises(Refused):
            forward(data, grid(2, 3))


def _files(benchmarks: Path) -> list[Path]:
    return sorted(p for p in benchmarks.glob("**/*.onnx*"))


def _compare(path: Path, points: int) -> None:
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    shape = [d if isinstance(d, int) else 1 for d in given.shape]
    for _ in range(points):
        x = RNG.uniform(-1, 1, shape).astype(np.float32)
        (values, width), *_ = forward(data, x)
        run = session.run(None, {given.name: x})[0].ravel()
        assert width == 0
        np.testing.assert_allclose(values, run, rtol=1e-4, atol=1e-5 * max(1, np.abs(run).max()))


def test_networks_of_the_field_run_as_in_onnx_runtime(benchmarks: Path) -> None:
    for path in (p for p in _files(benchmarks) if "acas" not in p.name.lower() and "256x4" not in p.name):
        _compare(path, 1)


@pytest.mark.field
def test_every_network_of_the_field_on_100_points(benchmarks: Path) -> None:
    for path in _files(benchmarks):
        _compare(path, 100)


# Properties


def test_numbers_are_exact() -> None:
    assert number("0.1") == Fraction(1, 10)
    assert number("-1.5e-3") == Fraction(-3, 2000)
    assert number("7/3") == Fraction(7, 3)
    for wrong in ("1e99999", "1/0", "0x10", "", "nan", "1.0/2", "9" * 5000, None, 1.5, True):
        with pytest.raises(Refused):
            number(wrong)


def test_a_property_is_its_comparisons() -> None:
    stated_ = read_property("""; a comment
        (declare-const X_0 Real) (declare-const Y_0 Real) (declare-const Y_1 Real)
        (assert (and (<= X_0 0.5) (> (+ (* 2 Y_0) (- Y_1) 1) 3)))
        (assert (or (and (<= Y_0 Y_1)) (!= Y_0 0)))""")
    (both, either) = stated_.formula.parts
    assert both == Junction(True, (
        Atom({(("X", 0),): Fraction(1), (): Fraction(-1, 2)}, False),
        Atom({(("Y", 0),): Fraction(-2), (("Y", 1),): Fraction(1), (): Fraction(2)}, True),
    ))  # fmt: skip
    assert not either.every
    assert [p.every for p in either.parts] == [True, False]


@pytest.mark.parametrize(("text", "reason"), [
    ("(assert (<= Z_0 0))", "neither declared"),
    ("(declare-const X_0 Real)(assert (<= X_0 0)", "not closed"),
    ("(declare-const X_0 Real)(assert (xor X_0 0))", "comparison"),
    ("(declare-const X_0 Real)(assert (<= (* X_0 X_0 X_0) 0))", "more than two"),
    ("(" * 200, "too deeply"),
    ("(declare-network f (declare-input x real [2]))(assert (<= x[2] 0.0))", "outside"),
    ("(declare-network f (declare-input x string [2]))", "type"),
    ("(set-logic QF_LRA)", "not read"), ('(declare-network f (declare-hidden h real [2] "a))', "not closed"),
    ("true", "'true'"), ("()", "'"), ("(assert)", "one formula"), ("(declare-network)", "without a name"),
    ("(declare-network f input)", "in a declaration"),
    ("(declare-network f (declare-tensor x real [2]))", "is not read"),
    ("(declare-network f (declare-input x real [1]) (declare-output x real [2]))", "declared twice"),
    ("(declare-const X_0 Real)(assert (<= X_0[0] 0))", "has an index"), ("(assert (and))", "of nothing"),
    ("(declare-network f (declare-input x real [2,3]))(assert (<= x[2] 0))", "does not fit"),
    ("(declare-network f (declare-input x real [2] \"a\"))", "declaration of 'x'"),
    ("(declare-network f (declare-hidden x real [2]))", "declaration of 'x'"), ("(declare-const X_0 Int)", "'"),
    ("(declare-const X_0 Real)(assert (<= (/ X_0 2) 0))", "the term"),
])  # fmt: skip
def test_properties_that_are_not_read_say_why(text: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        read_property(text)


def test_two_runs_of_one_file_and_hidden_tensors() -> None:
    network = model("Gemm", (1, 2), np.float32([[1, 2], [3, 4]]), np.float32([0, 0]))
    text = """(vnnlib-version <2.0>)
        (declare-network f
          (declare-input x real [1,2]) (declare-hidden h real [1,2] "y") (declare-output y real [1,2]))
        (declare-network g (equal-to f) (declare-input z real [1,2]) (declare-output w real [1,2]))
        (assert (>= x[0,0] 0.0)) (assert (<= x[0,0] 1.0)) (assert (>= x[0,1] 0.0)) (assert (<= x[0,1] 1.0))
        (assert (>= z[0,0] 2.0)) (assert (<= z[0,0] 3.0)) (assert (>= z[0,1] 1.5)) (assert (<= z[0,1] 3.0))
        (assert (>= h[0,0] w[0,0]))"""
    made, files = of_files(network, text.encode(), [["l"]])
    for engine in ("reference", "fast"):
        report = verdict(made, engine, files)
        assert not isinstance(report, str)
        assert report.least == pytest.approx(2.5, abs=1e-6)  # 2 + 4.5 - 4


def test_a_composition_applies_networks_by_name() -> None:
    inner = plain({"a": [2]}, [["MatMul", ["a", "W"], ["m"]], ["Relu", ["m"], ["r"]]], ["r"], W=[[1, -1], [0.5, 2]])
    outer = plain({"x": [2]}, [
        ["Mul", ["x", "two"], ["t"]], ["Network", ["t"], ["u"], {"name": "inner"}],
        ["Network", ["u"], ["v"], {"name": "inner"}],
    ], ["v"], two=[2])  # fmt: skip
    text = stated(outer, box("x", ["0", "1/2"], ["0", "1/2"]) + "(assert (>= v[0] 2.25))", {"v": [2]})
    made = certificate(text, [["l"]], {"name": "f", "graph": outer}, {"name": "inner", "graph": inner},
                       names=[[0, "u/m"], [0, "v/r"]])  # fmt: skip
    report = verdict(made, "reference")  # t = (0, 1), u = (1/2, 2), v = (3/2, 7/2)
    assert not isinstance(report, str)
    assert report.least == Fraction(3, 4)


@pytest.mark.parametrize(("kind", "constants", "attributes"), [
    ("Expand", [np.int64([1 << 40, 1, 3])], {}), ("Pad", [np.int64([1 << 40, 0])], {}), ("Gather", [np.int64([9])], {}),
    ("Reshape", [np.int64([1 << 40, -1])], {}), ("Slice", [np.int64([0]), np.int64([1]), np.int64([7])], {}),
    ("Unsqueeze", [np.int64([0, 0])], {}), ("Transpose", [], {"perm": [1]}), ("Split", [np.int64([2, 2])], {}),
    ("Split", [np.int64([4, -1])], {}),
])  # fmt: skip
def test_what_no_tensor_can_be_is_refused_before_it_is_made(kind: str, constants: Any, attributes: Any) -> None:
    with pytest.raises(Refused, match=f"{kind} 'y'"):
        forward(model(kind, (3,), *constants, **attributes), grid(3))


def test_windows_of_any_size_are_refused_before_they_are_made() -> None:
    with pytest.raises(Refused, match="Conv 'y'"):
        forward(model("Conv", (1, 1, 5), grid(1, 1, 2), pads=[1 << 40, 0]), grid(5))
    with pytest.raises(Refused, match="MaxPool 'y'"):
        forward(model("MaxPool", (1, 1, 5), kernel_shape=[1 << 40]), grid(5))


def test_what_may_be_read_in_two_ways_is_refused() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["x"], ["y"])]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (1, 2)) for n in "xy"]
    twice = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    stored = [numpy_helper.from_array(np.float32([v]), "c") for v in (1, 2)]
    named = helper.make_graph([helper.make_node("Add", ["x", "c"], ["y"])], "g", ends[:1], ends[1:], stored)
    for graph, reason in ((twice, "two tensors have the name 'y'"), (named, "two constants have one name")):
        with pytest.raises(Refused, match=reason):
            forward(helper.make_model(graph).SerializeToString(), grid(1, 2))
    for kind in (TensorProto.BOOL, TensorProto.FLOAT16):
        with pytest.raises(Refused, match="Cast"):
            forward(model("Cast", (2,), to=kind), grid(2))


def test_shapes_are_cut_as_they_are_asked_for() -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["s"], start=-1),
        helper.make_node("ConstantOfShape", ["s"], ["c"], value=numpy_helper.from_array(np.float32([2]))),
        helper.make_node("Mul", ["x", "c"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, (4, 2)) for n in "xy"]
    network = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:])).SerializeToString()
    ((values, _),) = forward(network, np.arange(8, dtype=np.float32))
    assert values == [0, 2, 4, 6, 8, 10, 12, 14]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("value", ["max", "min", np.inf, -np.inf, np.nan])
def test_constants_are_finite(kind: Any, value: Any) -> None:
    ends = [kind(1), getattr(np.finfo(kind), value) if isinstance(value, str) else kind(value), kind(-1)]
    made = model("Add", (2, 3), np.array(ends, dtype=kind))
    if isinstance(value, str):
        assert list(read_onnx(made).constants["c0"].values) == list(map(float, ends))
        return
    with pytest.raises(Refused, match="infinite or not a number"):
        read_onnx(made)


def test_lines_end_where_they_do_for_every_reader() -> None:
    parts = ["; a", "(assert", "\n", "\r\n", "\r", "\v", "\x1c", "\x85", "\u2029", "(<= X_0 1))"]
    for _ in range(drawn(200, 50)):
        text = "; begin" + "".join(RNG.choice(parts, 6)) + "\n"
        plain_ends = all(len(line.splitlines()) < 2 for line in text.replace("\r\n", "\n").split("\n"))
        try:
            parse(text)
            said = ""
        except Refused as error:
            said = str(error)
        assert plain_ends != ("ends a line" in said)


def test_terms_of_a_file_do_not_change_each_other() -> None:
    """Words are read once; sums that begin with one leave it as it was."""
    text = "(declare-const X_0 Real)(assert (<= (+ X_0 X_0 1) X_0))(assert (<= X_0 1))(assert (>= (- X_0 1) X_0))"
    x, one = (("X", 0),), ()
    lefts = [atom.left for atom in read_property(text).formula.parts]
    assert lefts == [{x: 1, one: 1}, {x: 1, one: -1}, {one: 1}]
