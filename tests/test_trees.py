"""Tree ensembles: ONNX Runtime's values at the thresholds themselves, decided exactly, and bounded."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nnsym as nn
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.node import Pointwise, Product
from nnsym.read.onnx import load
from nnsym.read.runtime import run

#: Three trees over two features: ``(feature, threshold, true, false)``, or the number that a leaf adds.
TREES: list[Any] = [
    (0, 0.1, (1, 0.25, 1.5, -2.0), 0.375),
    (1, 0.25, (0, 0.1, 0.7, (0, 1 / 3, 3.0, -1.25)), (1, 0.5, -0.6, 2.0)),
    0.125,
]
THRESHOLDS = [np.float32(t) for t in (0.1, 0.25, 1 / 3, 0.5)]


def tables(mode: str, targets: int, prefix: str) -> dict[str, Any]:
    """The attributes of the operators of sets 1 and 3."""
    found: dict[str, list[Any]] = {
        f"nodes_{k}": [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    } | {f"{prefix}_{k}": [] for k in ("treeids", "nodeids", "ids", "weights")}

    def write(tree: int, node: Any, number: list[int]) -> int:
        mine = number[0]
        number[0] += 1
        leaf = not isinstance(node, tuple)
        feature, split = (0, 0.0) if leaf else node[:2]
        row = {"treeids": tree, "nodeids": mine, "featureids": feature, "values": float(np.float32(split))}
        for key, value in {**row, "modes": "LEAF" if leaf else mode, "truenodeids": 0, "falsenodeids": 0}.items():
            found[f"nodes_{key}"].append(value)
        place = len(found["nodes_modes"]) - 1
        if leaf:
            for target in range(targets):
                added = {"treeids": tree, "nodeids": mine, "ids": target, "weights": float(node) * (1 - 2 * target)}
                for key, value in added.items():
                    found[f"{prefix}_{key}"].append(value)
        else:
            for side, child in zip(("true", "false"), node[2:], strict=True):
                found[f"nodes_{side}nodeids"][place] = write(tree, child, number)
        return mine

    for k, tree in enumerate(TREES):
        write(k, tree, [0])
    return found


def forest(op: str, version: int, results: list[tuple[str, int]], **attributes: Any) -> onnx.ModelProto:
    outputs = [helper.make_tensor_value_info(n, kind, None) for n, kind in results]
    node = helper.make_node(op, ["x"], [n for n, _ in results], domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])], outputs)
    sets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", version)]
    return helper.make_model(graph, opset_imports=sets, ir_version=8)


def regressor(mode: str = "BRANCH_LEQ", targets: int = 1, **more: Any) -> onnx.ModelProto:
    given = {"n_targets": targets, **tables(mode, targets, "target"), **more}
    return forest("TreeEnsembleRegressor", 3, [("y", TensorProto.FLOAT)], **given)


def at_thresholds() -> list[Array]:
    sides = [v for t in THRESHOLDS for v in (np.nextafter(t, np.float32(-9)), t, np.nextafter(t, np.float32(9)))]
    return [
        np.array([p], dtype=np.float32) for p in itertools.product([*sides, np.float32(-1), np.float32(2)], repeat=2)
    ]


def same(proto: onnx.ModelProto) -> nn.Network:
    network = load(proto)
    for point in at_thresholds():
        there = run(network, {"x": point})
        here = network.evaluate(point.astype(float))
        for (name, expected), found in zip(there.items(), here if isinstance(here, tuple) else (here,), strict=True):
            np.testing.assert_allclose(np.asarray(found, dtype=float), expected.astype(float), atol=1e-5, err_msg=name)
            assert expected.shape == network.outputs[name].shape
    return network


@pytest.mark.parametrize("mode", ["LEQ", "LT", "GTE", "GT", "EQ", "NEQ"])
def test_values_at_the_thresholds_and_beside_them(mode: str) -> None:
    network = same(regressor(f"BRANCH_{mode}"))
    steps = [n for n in network.nodes if isinstance(n, Pointwise)]
    assert sum(n.size for n in steps) <= 10  # tests are shared by the trees: 5 and what turns them round


@pytest.mark.parametrize("how", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_aggregates_targets_and_base_values(how: str) -> None:
    same(regressor(targets=2, aggregate_function=how))
    same(regressor(base_values=[0.5], aggregate_function=how))


def test_a_logistic_transform() -> None:
    same(regressor(targets=2, post_transform="LOGISTIC"))
    with pytest.raises(UnsupportedError, match="which ONNX Runtime leaves out"):
        load(regressor(post_transform="LOGISTIC"))


def test_a_softmax_of_classes() -> None:
    results = [("label", TensorProto.INT64), ("scores", TensorProto.FLOAT)]
    many = tables("BRANCH_LEQ", 3, "class") | {"post_transform": "SOFTMAX"}
    same(forest("TreeEnsembleClassifier", 3, results, classlabels_int64s=[1, 2, 3], **many))


def test_classes() -> None:
    results = [("label", TensorProto.INT64), ("scores", TensorProto.FLOAT)]
    many = tables("BRANCH_LEQ", 3, "class")
    network = same(forest("TreeEnsembleClassifier", 3, results, classlabels_int64s=[7, -2, 5], **many))
    assert network.type_of("label") == "int64"
    one = tables("BRANCH_LEQ", 1, "class")
    same(forest("TreeEnsembleClassifier", 3, results, classlabels_int64s=[0, 1], **one))
    logistic = {"post_transform": "LOGISTIC"} | one
    same(forest("TreeEnsembleClassifier", 3, results, classlabels_int64s=[3, 9], **logistic))
    positive = one | {"class_weights": [abs(w) / 8 for w in one["class_weights"]]}
    same(forest("TreeEnsembleClassifier", 3, results, classlabels_int64s=[0, 1], **positive))
    with pytest.raises(UnsupportedError, match="labels that are texts"):
        load(forest("TreeEnsembleClassifier", 3, results, classlabels_strings=["a", "b", "c"], **many))


def test_the_operator_of_set_5() -> None:
    splits = np.float32([0.1, 0.25])
    given = {
        "n_targets": 1, "aggregate_function": 1, "tree_roots": [0],
        "nodes_featureids": [0, 1], "nodes_modes": numpy_helper.from_array(np.uint8([0, 2]), "m"),
        "nodes_splits": numpy_helper.from_array(splits, "s"),
        "nodes_truenodeids": [0, 1], "nodes_trueleafs": [1, 1], "nodes_falsenodeids": [1, 2],
        "nodes_falseleafs": [0, 1], "leaf_targetids": [0, 0, 0],
        "leaf_weights": numpy_helper.from_array(np.float32([1.5, -0.7, 3.0]), "w"),
    }  # fmt: skip
    same(forest("TreeEnsemble", 5, [("y", TensorProto.FLOAT)], **given))


def test_damaged_trees_are_refused() -> None:
    given = tables("BRANCH_LEQ", 1, "target")
    twice = given | {"nodes_falsenodeids": given["nodes_truenodeids"]}
    with pytest.raises(InputError, match="two parents"):
        load(forest("TreeEnsembleRegressor", 3, [("y", TensorProto.FLOAT)], n_targets=1, **twice))
    far = given | {"nodes_featureids": [9] * len(given["nodes_featureids"])}
    with pytest.raises(InputError, match="feature 9 of 2"):
        load(forest("TreeEnsembleRegressor", 3, [("y", TensorProto.FLOAT)], n_targets=1, **far), check=False)


def test_linear_models_and_scaling() -> None:
    given = {"coefficients": [1.0, -2.0, 0.5, 3.0], "intercepts": [0.25, -1.0]}
    same(forest("LinearRegressor", 1, [("y", TensorProto.FLOAT)], targets=2, **given))
    results = [("label", TensorProto.INT64), ("scores", TensorProto.FLOAT)]
    same(forest("LinearClassifier", 1, results, classlabels_ints=[4, 1], **given))
    same(forest("Scaler", 1, [("y", TensorProto.FLOAT)], offset=[0.5, 1.0], scale=[2.0, -0.25]))


def bounded(network: nn.Network, bound: float) -> nn.Property:
    x = nn.Variable((1, 2), name="x")
    return nn.forall(x, where=nn.box(x, 0.0, 1.0), then=network(x)[0, 0] <= bound)


@pytest.mark.parametrize("method", ["bigm", pytest.param("smt", marks=pytest.mark.slow)])
def test_decided_on_both_sides_of_the_maximum(method: str) -> None:
    network = load(regressor())
    top = max(
        float(network.evaluate(p.astype(float)).item()) for p in at_thresholds() if (p >= 0).all() and (p <= 1).all()
    )
    assert nn.verify(bounded(network, top + 1e-3), method, timeout=20).status.value == "verified"
    found = nn.verify(bounded(network, top - 1e-3), method, timeout=20)
    assert found.status.value == "falsified"
    assert any(isinstance(n, Product) for n in network.nodes)


def test_bounds_of_a_region_inside_one_leaf_are_its_value() -> None:
    network = load(regressor())
    x = nn.Variable((1, 2), name="x")
    value = float(network.evaluate(np.array([[0.05, 0.2]])).item())
    p = nn.forall(x, where=nn.box(x, [[0.0, 0.15]], [[0.05, 0.2]]), then=network(x)[0, 0] <= value + 1e-6)
    assert nn.verify(p, "ibp").status.value == "verified"


@pytest.mark.slow
def test_the_label_in_a_property() -> None:
    results = [("label", TensorProto.INT64), ("scores", TensorProto.FLOAT)]
    many = tables("BRANCH_LEQ", 3, "class")
    network = load(forest("TreeEnsembleClassifier", 3, results, classlabels_int64s=[7, -2, 5], **many))
    x = nn.Variable((1, 2), name="x")
    label, scores = network(x)
    p = nn.forall(x, where=nn.box(x, 0.0, 1.0), then=(label[0] == 5) == (nn.argmax(scores) == 2))
    assert nn.verify(p, "smt", timeout=20).status.value == "verified"
