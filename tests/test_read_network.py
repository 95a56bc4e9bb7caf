"""What the reader makes of a model: nodes, names, dtype, hidden tensors, and its comparison with the runtime."""

from __future__ import annotations

import gzip
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from nnsym.errors import InputError
from nnsym.ir.convolution import Conv
from nnsym.ir.evaluate import evaluate
from nnsym.ir.linear import Dense, Scale, Select
from nnsym.ir.node import Affine, Max, Pointwise
from nnsym.read.onnx import load
from nnsym.read.runtime import run
from tests.models import agrees, f32, model, single

node = helper.make_node


def chain(weight, bias, more=()):
    nodes = [node("MatMul", ["x", "W"], ["a"], name="mm"), node("Add", ["a", "b"], ["z"], name="add"),
             node("Relu", ["z"], ["h"], name="act"), *more, node("Gemm", ["h", "V"], ["y"], name="last")]  # fmt: skip
    return model(nodes, {"x": (1, 3)}, constants={"W": weight, "b": bias, "V": f32(4, 2, seed=5)})


def test_weights_are_the_same_numbers_and_the_bias_joins_its_matrix():
    weight, bias = f32(3, 4), f32(4, seed=2)
    network = load(chain(weight, bias))
    affine = network.tensors["z"].node
    assert isinstance(affine, Affine)
    assert isinstance(affine.maps[0], Dense)
    assert np.array_equal(affine.maps[0].weight, weight.T.astype(np.float64))
    assert np.array_equal(affine.bias, bias.astype(np.float64))
    assert affine.parents == (network.inputs["x"].node,)
    assert [type(n).__name__ for n in network.nodes] == ["Input", "Affine", "Pointwise", "Affine"]


def test_names_of_nodes_and_tensors_lead_to_the_same_places():
    network = load(chain(f32(3, 4), f32(4)), name="net")
    assert network.name == "net"
    assert network.dtype == "float32"
    assert set(network.tensors) == {"x", "a", "z", "h", "y", "mm", "add", "act", "last"}
    for by_node, by_tensor in {"mm": "a", "add": "z", "act": "h", "last": "y"}.items():
        assert network.tensors[by_node].node is network.tensors[by_tensor].node
    assert isinstance(network.tensors["act"].node, Pointwise)
    assert network.tensors["act"].shape == (1, 4)


def test_hidden_tensors_run_by_either_name():
    network = load(chain(f32(3, 4), f32(4)))
    x = f32(3, seed=9)
    found = run(network, {"x": x}, hidden=("act", "z", "x", "y"))
    inner = evaluate([network.outputs["y"].node], {network.inputs["x"].node: x.astype(np.float64)})
    for name in ("act", "z", "x", "y"):
        np.testing.assert_allclose(found[name].ravel(), inner[network.tensors[name].node], rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="no tensor or node 'nowhere'"):
        run(network, {"x": x}, hidden=("nowhere",))


def test_views_make_no_node_and_copies_no_coefficients():
    nodes = [node("Flatten", ["x"], ["f"]), node("Reshape", ["f", "s"], ["r"]), node("Transpose", ["r"], ["t"]),
             node("Transpose", ["t"], ["y"])]  # fmt: skip
    network = load(model(nodes, {"x": (1, 2, 3)}, constants={"s": np.array([3, 2])}))
    assert network.tensors["f"].node is network.tensors["r"].node is network.inputs["x"].node
    assert network.outputs["y"].node is network.inputs["x"].node  # the two transpositions cancel
    assert isinstance(network.tensors["t"].node.maps[0], Select)


def test_kinds_of_maps():
    conv = load(single("Conv", (1, 2, 5, 5), f32(3, 2, 3, 3), f32(3))).outputs["y"].node
    assert isinstance(conv.maps[0], Conv)
    assert isinstance(load(single("Mul", (1, 3), f32(3))).outputs["y"].node.maps[0], Scale)
    pool = (
        load(single("MaxPool", (1, 1, 4, 4), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])).outputs["y"].node
    )
    assert isinstance(pool, Max)
    assert (pool.groups < 0).sum() == 9 - 4 + 2 * (9 - 6)  # padding is left out, never a zero


def test_an_average_is_derived_once():
    pool = load(single("AveragePool", (1, 1, 6), kernel_shape=[3], strides=[3])).outputs["y"].node
    assert (pool.maps[0].csr()[0] == 1.0 / 3.0).all()


def test_exact_evaluation_of_a_clip():
    network = load(single("Clip", (1, 3), np.float32(-0.1), np.float32(6)))
    point = np.array([Fraction(-1), Fraction(1, 3), Fraction(7)], dtype=object)
    low = Fraction(float(np.float32(-0.1)))
    assert network.evaluate(point).ravel().tolist() == [low, Fraction(1, 3), Fraction(6)]


def test_initializers_listed_as_inputs_are_constants():
    proto = chain(f32(3, 4), f32(4))
    proto.ir_version = 3
    for tensor in proto.graph.initializer:
        shape = list(tensor.dims)
        proto.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, shape))
    assert list(load(proto).inputs) == ["x"]


def test_all_forms_of_a_source(tmp_path):
    proto = chain(f32(3, 4), f32(4))
    data = proto.SerializeToString()
    plain, packed = tmp_path / "net.onnx", tmp_path / "net.onnx.gz"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))
    networks = [load(s) for s in (plain, str(plain), packed, data, gzip.compress(data), proto)]
    assert len({n.hash for n in networks}) == 1
    assert [n.name for n in networks] == ["net", "net", "net", "f", "f", "g"]
    assert all(n.model == data for n in networks)


def test_external_weights_are_brought_in(tmp_path):
    import onnx

    proto = chain(f32(3, 4), f32(4))
    split = onnx.load_model_from_string(proto.SerializeToString())
    onnx.save_model(split, tmp_path / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0)
    x = f32(3)
    found = load(tmp_path / "net.onnx")
    assert np.array_equal(run(found, {"x": x})["y"], run(load(proto), {"x": x})["y"])
    with pytest.raises(InputError, match=r"net\.bin"):
        load((tmp_path / "net.onnx").read_bytes())
    (tmp_path / "net.bin").unlink()
    with pytest.raises(InputError, match=r"net\.onnx: the weights of 'W' lie in another file, 'net\.bin'"):
        load(tmp_path / "net.onnx")


def test_model_functions_are_inlined():
    opset = [helper.make_opsetid("", 18)]
    function = helper.make_function("own", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], opset)
    proto = model([node("Twice", ["x"], ["t"], domain="own"), node("Relu", ["t"], ["y"], name="act")], {"x": (1, 3)})
    proto.functions.append(function)
    proto.opset_import.append(helper.make_opsetid("own", 1))
    network = agrees(proto)
    assert run(network, {"x": f32(3)}, hidden=("act",))["act"].shape == (1, 3)


def test_a_chain_of_more_layers_than_calls_may_nest():
    names = ["x", *(f"t{i}" for i in range(1499)), "y"]
    nodes = [
        node("Relu", [a], [b]) if i % 2 else node("Add", [a, "c"], [b]) for i, (a, b) in enumerate(pairwise(names))
    ]
    network = load(model(nodes, {"x": (1, 2)}, constants={"c": np.array([0.01, -0.001], np.float32)}))
    assert len(network.nodes) == 1501
    assert len(network.tensors) == 1501


@pytest.mark.parametrize("depth", [1, 12, 40])
def test_another_model_than_the_network_is_noticed(depth):
    """One layer off by a thousandth is more than rounding, in deep networks too."""
    weights = [f32(64, 64, seed=i) / 6 for i in range(depth)]

    def deep(scale):
        constants = {f"W{i}": w.copy() for i, w in enumerate(weights)}
        constants["W0"] *= np.float32(scale)
        nodes, names = [], "x"
        for i in range(depth):
            nodes += [node("MatMul", [names, f"W{i}"], [f"a{i}"]), node("LeakyRelu", [f"a{i}"], [f"h{i}"])]
            names = f"h{i}"
        return model([*nodes, node("Identity", [names], ["y"])], {"x": (1, 64)}, constants=constants)

    from nnsym.read.agree import require_agreement

    network = load(deep(1.0))
    other = replace(network, model=deep(1.001).SerializeToString())
    with pytest.raises(
        InputError, match=r"output 'y'\[0, \d+\]: the imported network gives .* where ONNX Runtime gives"
    ):
        require_agreement(other, lambda point: run(other, point), by="ONNX Runtime")


@pytest.mark.parametrize("seed", range(3))
def test_rounding_alone_is_no_disagreement(seed):
    """Wide, deep, badly scaled: float32 noise stays within the derived tolerance."""
    random = np.random.default_rng(seed)
    nodes, constants, last = [], {}, "x"
    for i in range(20):
        constants[f"W{i}"] = (random.normal(size=(128, 128)) * 10 ** random.uniform(-1, 0)).astype(np.float32)
        constants[f"b{i}"] = (random.normal(size=128) * 10).astype(np.float32)
        nodes += [
            node("Gemm", [last, f"W{i}", f"b{i}"], [f"a{i}"]),
            node("Tanh" if i % 3 else "Relu", [f"a{i}"], [f"h{i}"]),
        ]
        last = f"h{i}"
    load(model([*nodes, node("Sum", [last, "a0"], ["y"])], {"x": (1, 128)}, constants=constants))


def test_positive_sums_do_not_look_like_a_disagreement():
    nodes, last = [], "x"
    for i in range(30):
        nodes += [node("MatMul", [last, "W"], [f"a{i}"])]
        last = f"a{i}"
    load(
        model(
            [*nodes, node("Relu", [last], ["y"])], {"x": (1, 50)}, constants={"W": np.full((50, 50), 0.019, np.float32)}
        )
    )


def test_overflow_of_the_model_is_not_a_disagreement():
    nodes = [node("Mul", ["x", "c"], ["a"]), node("Mul", ["a", "c"], ["y"])]
    load(model(nodes, {"x": (1, 2)}, constants={"c": np.float32(1e30)}))


def test_every_benchmark_loads(benchmarks):
    paths = sorted(benchmarks.rglob("*.onnx*"))
    assert len(paths) >= 20
    for path in paths:
        network = load(path)
        assert network.dtype == "float32"
        assert len(network.inputs) == len(network.outputs) == 1


def test_numpy_helper_reads_double_models():
    proto = model([node("Gemm", ["x", "W"], ["y"])], {"x": (1, 2)}, elem=TensorProto.DOUBLE)
    proto.graph.initializer.append(numpy_helper.from_array(np.full((2, 2), 0.1), "W"))
    network = load(proto)
    assert network.dtype == "float64"
    assert (network.outputs["y"].node.maps[0].weight == 0.1).all()
