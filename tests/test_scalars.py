"""Inputs and outputs of shape ``()``: evaluated, run, verified, exported and read back like any other."""

from __future__ import annotations

import json

import numpy as np
import pytest
from onnx import helper

import nnsym as nn
from nnsym.errors import InputError
from nnsym.ir.network import Network
from nnsym.read.onnx import load
from nnsym.read.runtime import run
from nnsym.results.plain import result_json
from tests.models import model

node = helper.make_node


def cost() -> Network:
    """``relu(x0 + 3 x1) + relu(-2 x0 + x1)``, a scalar."""
    weight = np.array([[1, -2], [3, 1]], np.float32)
    nodes = [node("MatMul", ["x", "W"], ["a"]), node("Relu", ["a"], ["r"]), node("ReduceSum", ["r"], ["y"], keepdims=0)]
    return load(model(nodes, {"x": [1, 2]}, constants={"W": weight}, opset=13))


def doubled() -> Network:
    """``relu(2 x)`` of a scalar."""
    nodes = [node("Mul", ["x", "c"], ["a"]), node("Relu", ["a"], ["y"])]
    return load(model(nodes, {"x": []}, constants={"c": np.float32(2)}))


def test_evaluation_keeps_the_shape_and_batch_axes() -> None:
    f, g = cost(), doubled()
    assert f.evaluate(np.array([[1.0, 1.0]])).shape == ()
    assert f.evaluate(np.array([[1.0, 1.0]])) == 4
    assert f.evaluate(np.ones((5, 1, 2))).tolist() == [4.0] * 5
    assert g.evaluate(3.0) == 6
    assert g.evaluate(np.array([1.0, 3.0])).tolist() == [2.0, 6.0]
    assert run(g, {"x": np.float32(3)})["y"].shape == ()
    with pytest.raises(InputError, match="2 arguments for 1 input"):
        g.evaluate(1.0, 2.0)


@pytest.mark.parametrize("method", [None, "attack", "bigm", "smt"])
def test_a_scalar_is_decided_and_its_witness_is_a_scalar(method: str | None) -> None:
    f = doubled()
    x = nn.Variable((), name="x")
    p = nn.forall(x, where=nn.box(x, -1, 2), then=f(x) <= 1.5)
    result = nn.verify(p, method, timeout=30)
    assert result.status == "falsified"
    assert result.counterexample is not None
    assert [v.shape for v in (*result.counterexample.inputs.values(), *result.counterexample.outputs.values())] == [
        ()
    ] * 2
    data = json.loads(json.dumps(result_json(result)))["counterexample"]
    assert data["inputs"]["x"]["shape"] == []
    assert not p(result.counterexample.inputs["x"])


def test_a_scalar_goes_through_vnnlib(tmp_path) -> None:
    f = cost()
    (tmp_path / "f.onnx").write_bytes(f.model)
    x = nn.Variable((1, 2), name="x")
    for limit, verdict in ((4.5, "verified"), (3.5, "falsified")):
        path = nn.export(nn.forall(x, where=nn.box(x, 0, 1), then=f(x) <= limit), tmp_path / "p.vnnlib")
        assert nn.verify(nn.load_vnnlib(path, tmp_path / "f.onnx"), timeout=30).status == verdict


def test_inputs_with_and_without_a_batch_are_broadcast() -> None:
    f = load(model([node("Add", ["a", "b"], ["y"])], {"a": [1, 2], "b": [1, 2]}))
    assert f.evaluate(np.ones((3, 1, 2)), np.zeros((1, 2))).shape == (3, 1, 2)
    assert f.evaluate(np.zeros((1, 2)), np.ones((3, 1, 2))).shape == (3, 1, 2)
