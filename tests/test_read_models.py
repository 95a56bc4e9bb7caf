"""Constants of any size keep their value, tensors of any size are weighed before they are made, nodes in any order."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nnsym as nn
from nnsym.errors import InputError, NnsymError
from nnsym.ir.univariate import clip as clip_function
from nnsym.read.agree import require_agreement
from nnsym.read.onnx import load
from nnsym.read.ops import activations
from nnsym.read.runtime import run
from tests.models import f32, model, single

node = helper.make_node
LARGEST = float(np.finfo(np.float32).max)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("low", "high"), [(-1, 1e38), (-1e38, 1), (None, LARGEST), (-LARGEST, None), (1e7, 1e8), (0, LARGEST)]
)
def test_a_limit_is_a_number_whatever_its_size(dtype: type, low: float | None, high: float | None) -> None:
    bounds = [None if v is None else dtype(v) for v in (low, high)]
    f = load(_typed(single("Clip", (1, 4), *bounds), dtype))
    at = np.array([[-LARGEST, -3e7, 5e7, LARGEST]], dtype)
    np.testing.assert_array_equal(f.evaluate(at), run(f, {"x": at})["y"])


def _typed(proto: onnx.ModelProto, dtype: type) -> onnx.ModelProto:
    for value in (*proto.graph.input, *proto.graph.output):
        value.type.tensor_type.elem_type = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return proto


def _clipped(limit: float, factor: float = 1.0) -> onnx.ModelProto:
    nodes = [node("Mul", ["x", "k"], ["z"]), node("Clip", ["z", "lo", "hi"], ["y"])]
    constants = {"k": np.float64(factor), "lo": np.float64(-1), "hi": np.float64(limit)}
    return model(nodes, {"x": (1, 1)}, constants=constants, elem=TensorProto.DOUBLE)


@pytest.mark.parametrize(("limit", "factor"), [(1e39, 1.0), (3.5e38, 1e-38), (3.5e38, 1e30)])
def test_a_double_model_is_clipped_beyond_float32(limit: float, factor: float) -> None:
    f = load(_clipped(limit, factor))
    x = nn.Variable((1, 1), name="x")
    low = 10 * limit / factor
    p = nn.forall(x, where=nn.box(x, low, 2 * low), then=f(x)[0, 0] >= 5 * limit)
    for method in ("smt", None):
        assert nn.verify(p, method, timeout=30).status == "falsified"


@pytest.mark.parametrize(("limit", "factor"), [(1e39, 1.0), (3.5e38, 1e-38), (1e7, 1.0), (1e200, 1e3)])
def test_the_import_check_sees_a_limit_that_was_dropped(limit: float, factor: float, monkeypatch) -> None:
    """The check samples where the model's own constants lie, not only round 0."""
    monkeypatch.setattr(activations, "below", lambda x, high: x)
    monkeypatch.setattr(activations, "clip_function", lambda low, high: clip_function(low, 1e300))
    with pytest.raises(InputError, match="Please report this model"):
        load(_clipped(limit, factor))


def test_limits_of_elements_and_open_ones() -> None:
    at = np.array([[-1e9, -5, 7, 1e9]], np.float32)
    for op, limits in (("Max", [-np.inf, -1e8, 3, 0]), ("Min", [np.inf, 1e8, 3, 1e8])):
        f = load(single(op, (1, 4), np.float32(limits)))
        np.testing.assert_array_equal(f.evaluate(at), run(f, {"x": at})["y"])
    with pytest.raises(NnsymError):
        load(single("Max", (1, 4), np.float32([np.inf, 0, 0, 0])))


def test_a_clip_of_one_value_feeds_constants_of_the_models_type() -> None:
    nodes = [node("Clip", ["x", "c", "c"], ["z"]), node("BatchNormalization", ["z", "s", "b", "m", "v"], ["y"])]
    constants = {"c": np.float32(0.5), "s": f32(3), "b": f32(3, seed=1), "m": f32(3, seed=2), "v": abs(f32(3, seed=3))}
    for opset in (11, 13, 18):
        f = load(model(nodes, {"x": (1, 3, 2, 2)}, constants=constants, opset=opset))
        at = f32(1, 3, 2, 2)
        np.testing.assert_allclose(f.evaluate(at), run(f, {"x": at})["y"], rtol=1e-6)


def test_overflow_of_the_model_is_no_fault_of_the_import() -> None:
    """inf - inf inside the run, where the real function is moderate."""
    weight = np.full((2, 2), 3e38, np.float32)
    back = np.array([[1e-38, 1e-38], [-1e-38, -1e-38]], np.float32)
    nodes = [node("MatMul", ["x", "a"], ["z"]), node("MatMul", ["z", "b"], ["y"])]
    assert load(model(nodes, {"x": (1, 2)}, constants={"a": weight, "b": back})).nodes


def test_another_function_is_noticed_at_the_scale_of_its_constants() -> None:
    f = load(single("Add", (1, 2), np.float32([1e6, 0])))
    g = load(single("Clip", (1, 2), np.float32(-1e30), np.float32(2e6)))
    with pytest.raises(InputError, match="the imported network gives"):
        require_agreement(g, lambda point: {"y": point["x"]}, by="the identity")
    with pytest.raises(InputError, match="the imported network gives"):
        require_agreement(f, lambda point: {"y": point["x"] + np.float32([1e6, 1e-3])}, by="a bias that is a bit off")


_HUGE = {
    "input": single("Relu", (1, 10**12)),
    "product of the input's axes": single("Relu", (1, 2**40, 2**40)),
    "Pad": single("Pad", (1, 2), np.array([0, 0, 10**6, 10**6])),
    "Expand": single("Expand", (1, 2), np.array([10**6, 10**6, 2])),
    "Tile": single("Tile", (1, 2), np.array([10**9, 10**9])),
    "Tile of another rank": single("Tile", (2,), np.array([10**9, 10**9])),
    "MatMul": single("MatMul", (1, 10**6, 1), f32(1, 1000)),
    "Add": single("Add", (1, 10**5, 1), f32(1, 1, 10**4)),
    "Conv": single("Conv", (1, 1, 5), f32(1, 1, 1), pads=[10**9, 10**9]),
    "MaxPool": single("MaxPool", (1, 1, 5), kernel_shape=[2], pads=[10**9, 10**9]),
    "ConvTranspose": single("ConvTranspose", (1, 1, 5), f32(1, 1, 1), strides=[10**9]),
    "ConstantOfShape": model(
        [node("ConstantOfShape", ["s"], ["c"]), node("Add", ["x", "c"], ["y"])],
        {"x": (1,)},
        constants={"s": np.array([10**6, 10**6])},
    ),
    "Range": model(
        [node("Range", ["a", "b", "d"], ["r"]), node("Add", ["x", "r"], ["y"])],
        {"x": (1,)},
        constants={"a": np.float32(0), "b": np.float32(1e12), "d": np.float32(1)},
    ),
    "doubling": model(
        [node("Concat", [f"v{k}", f"v{k}"], [f"v{k + 1}"], axis=0) for k in range(60)], {"v0": (1,)}, ["v60"]
    ),
}


@pytest.mark.parametrize("case", [pytest.param(c, marks=pytest.mark.slow) if c == "doubling" else c for c in _HUGE])
def test_sizes_are_weighed_before_arrays_are_made(case: str) -> None:
    with pytest.raises(InputError, match=r"more than the|are read at most|reading may use") as caught:
        load(_HUGE[case])
    assert caught.value.where.startswith("model: ")
    assert caught.value.remedy


_BROKEN = {
    "strides 0": single("MaxPool", (1, 1, 4), kernel_shape=[1], strides=[0]),
    "no spatial axis": single("GlobalMaxPool", (2,)),
    "a reduction of no axis": single("ReduceSum", (), np.array([0])),
    "an axis out of range": single("ReduceSum", (1, 2), np.array([5])),
    "a squeeze out of range": single("Squeeze", (1, 2), np.array([4])),
    "a flatten out of range": single("Flatten", (1, 2), axis=7),
    "another number of elements": single("Reshape", (1, 6), np.array([4, -1])),
    "a kernel of another rank": single("Conv", (1, 2, 5, 5), f32(3, 2, 3)),
    "a perm of another rank": single("Transpose", (1, 2, 3), perm=[0, 1]),
    "a matrix for Gemm": single("Gemm", (3,), f32(3, 4)),
    "a constant of texts": single("Add", (1, 2), np.array(["a", "b"])),
    "a nameless operand": model([node("Max", ["x", ""], ["y"])], {"x": (1, 2)}),
    "a missing attribute": single("DepthToSpace", (1, 4, 2, 2)),
    "an attribute of another type": single("Flatten", (1, 2), axis="x"),
    "a constant without value": model([node("Constant", [], ["c"]), node("Add", ["x", "c"], ["y"])], {"x": (1,)}),
    "a loop": model([node("Loop", ["n", "c"], ["y"], body=single("Relu", (1,)).graph)], {"x": (1,)},
                    constants={"n": np.int64(10**15), "c": np.True_}),
}  # fmt: skip


@pytest.mark.parametrize("case", _BROKEN)
def test_a_broken_node_is_named(case: str) -> None:
    with pytest.raises(NnsymError) as caught:
        load(_BROKEN[case])
    assert caught.value.where.startswith("model: node " if case != "a matrix for Gemm" else "model")
    assert caught.value.remedy
    assert "report" not in str(caught.value)


@pytest.mark.parametrize("number", [-1, -(2**47) - 1, 2**31, 2**40, 2**63 - 1])
@pytest.mark.parametrize("what", ["ai.onnx", "com.acme", "IR"])
def test_versions_that_do_not_exist_are_refused(number: int, what: str) -> None:
    proto = single("Relu", (1, 2))
    if what == "IR":
        proto.ir_version = number
    elif what == "ai.onnx":
        proto.opset_import[0].version = number
    else:
        proto.opset_import.add(domain=what, version=number)
    with pytest.raises(InputError, match=f"version.* is {number}"):
        load(proto)


def test_whatever_a_lowering_raises_names_the_node(monkeypatch) -> None:
    from nnsym.read.ops import LOWERINGS

    def broken(call: object) -> list[object]:
        raise RuntimeError("a bug of ours")

    monkeypatch.setitem(LOWERINGS, "Relu", broken)
    with pytest.raises(InputError, match="node 'n', Relu: cannot be read: RuntimeError: a bug of ours") as caught:
        load(single("Relu", (1, 2)))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_nodes_in_any_order_run_and_replay() -> None:
    one = numpy_helper.from_array(np.ones(2, np.float32), "one")
    nodes = [node("Relu", ["a"], ["y"]), node("Add", ["x", "c"], ["a"]), node("Constant", [], ["c"], value=one)]
    f = load(model(nodes, {"x": (1, 2)}))
    at = np.array([[1, -3]], np.float32)
    np.testing.assert_array_equal(f.evaluate(at), run(f, {"x": at}, hidden=("a",))["y"])
    x = nn.Variable((1, 2), name="x")
    result = nn.verify(nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0, 0] <= 1.5), timeout=30)
    assert result.status == "falsified"
    assert result.counterexample is not None
    assert result.counterexample.replayed_by == "onnxruntime"


def test_cycles_and_names_that_are_defined_twice() -> None:
    circle = [node("Add", ["x", "b"], ["a"], name="one"), node("Relu", ["a"], ["b"], name="two")]
    with pytest.raises(
        InputError, match=r"'two' -> 'one' -> 'two' read each other|'one' -> 'two' -> 'one' read each other"
    ):
        load(model(circle, {"x": (1,)}, ["b"]))
    with pytest.raises(InputError, match=r"node 1 .*Neg: defines 'y', which is defined before"):
        load(model([node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])], {"x": (1,)}))
    with pytest.raises(InputError, match="outputs: two of them are called 'y'"):
        load(model([node("Relu", ["x"], ["y"])], {"x": (1,)}, ["y", "y"]))


def test_data_of_a_constant_in_another_file(tmp_path, monkeypatch) -> None:
    """Beside the model it is read, from whatever folder nnsym runs in; outside of its folder it is not."""
    weight = np.array([[2.0], [3.0]], np.float32)
    (tmp_path / "models").mkdir()
    for place in (tmp_path / "models" / "w.bin", tmp_path / "w.bin"):
        place.write_bytes(weight.tobytes())
    monkeypatch.chdir(tmp_path)
    for location, works in (
        ("w.bin", True),
        ("../w.bin", False),
        (str(tmp_path / "w.bin"), False),
        ("none.bin", False),
    ):
        tensor = TensorProto(name="W", data_type=1, dims=[2, 1], data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value=location)
        nodes = [node("Constant", [], ["W"], value=tensor), node("MatMul", ["x", "W"], ["y"])]
        path = tmp_path / "models" / "f.onnx"
        path.write_bytes(model(nodes, {"x": (1, 2)}).SerializeToString())
        if works:
            assert load(path).evaluate(np.ones((1, 2))).tolist() == [[5.0]]
            continue
        with pytest.raises(InputError, match="lie in another file"):
            load(path)
        with pytest.raises(InputError, match="lie in another file"):
            load(path.read_bytes())


def test_integers_that_float64_does_not_hold_are_refused() -> None:
    with pytest.raises(NnsymError, match=r"2\^53"):
        load(model([node("Identity", ["c"], ["z"]), node("Relu", ["x"], ["y"])], {"x": (1,)}, ["y", "z"],
                   {"c": np.array([2**53 + 1])}), check=False)  # fmt: skip
