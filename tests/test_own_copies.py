"""What a property computes is exact, also where it is the very layer that a stored network rounds."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from models import model
from onnx import helper

import nnsym as nn
from nnsym.errors import UnsupportedError
from nnsym.ir.exact import to_fractions
from nnsym.ir.network import Network
from nnsym.results.result import Agreement, Deployed, Verdict

W = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
B = np.random.default_rng(1).normal(size=3).astype(np.float32)
V = np.random.default_rng(2).normal(size=(3, 2)).astype(np.float32)


def stored(note: str = "net") -> Network:
    """Two layers in float32, the second without a bias; ``note`` makes another file of the same graph."""
    nodes = [
        helper.make_node("MatMul", ["x", "W"], ["a"]),
        helper.make_node("Add", ["a", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"], name=note),
        helper.make_node("MatMul", ["r", "V"], ["y"]),
    ]
    return nn.load(model(nodes, {"x": (1, 4)}, ["y"], {"W": W, "b": B, "V": V}))


def exact() -> Network:
    return nn.sequential([(W.T.astype(float), B.astype(float)), (V.T.astype(float), None)])


def ask(then: Any, x: Any, method: str | None = "crown", **options: Any) -> Any:
    return nn.verify(nn.forall(x, where=nn.box(x, 0, 1), then=then), method, **options)


def test_an_exact_copy_of_a_stored_network_does_not_share_its_rounding() -> None:
    x = nn.Variable((1, 4), name="x")
    below = stored()(x).ravel()[0] <= exact()(x.ravel())[0]
    real = ask(below, x)
    assert (real.status, real.trust.value) == (Verdict.VERIFIED, "exact")
    assert real.deployed is not Deployed.HOLDS
    assert real.float_error > 1e-8
    run = ask(below, x, "attack", semantics="deployed")
    assert run.status is Verdict.FALSIFIED
    value = exact()(to_fractions(run.counterexample.inputs["x"].ravel()))[0]  # and a float run is above it
    assert any(to_fractions(y.ravel())[0] > value for y in run.counterexample.outputs.values() if y.dtype == np.float32)
    for method in ("crown", "bigm", "smt"):
        assert ask(below, x, method, semantics="deployed", timeout=20).status is not Verdict.VERIFIED


def test_what_a_property_makes_of_an_output_reads_the_run() -> None:
    x = nn.Variable((1, 4), name="x")
    y = stored()(x).ravel()
    moved = nn.relu(y + np.array([100.0, 100.0]))  # the sum may not move into the layer that made y
    found = ask(moved[0] - 100 - y[0] <= 0, x, semantics="deployed")
    assert (found.status, found.deployed) == (Verdict.VERIFIED, Deployed.HOLDS)
    above = ask(moved[0] - 100 <= exact()(x.ravel())[0], x, semantics="deployed")
    assert above.status is not Verdict.VERIFIED


def test_an_own_layer_beside_a_hidden_one() -> None:
    x = nn.Variable((1, 4), name="x")
    own = nn.relu(x.ravel() @ W.astype(float) + B.astype(float))
    hidden = stored().hidden("r")(x).post.ravel()
    assert ask(own[0] <= hidden[0], x).status is Verdict.VERIFIED
    assert ask(own[0] <= hidden[0], x, semantics="deployed").status is not Verdict.VERIFIED
    assert ask(own[0] <= hidden[0] + 1e-3, x, semantics="deployed").deployed is Deployed.HOLDS


def test_two_files_are_two_runs_and_one_file_is_one() -> None:
    x = nn.Variable((1, 4), name="x")
    first, again, other = stored(), stored(), stored("other")
    assert first(x).rows.parts.keys() == again(x).rows.parts.keys()
    assert not first(x).rows.parts.keys() & other(x).rows.parts.keys()
    difference = first(x).ravel()[0] - other(x).ravel()[0] <= 0
    assert ask(difference, x).status is Verdict.VERIFIED
    assert ask(difference, x, semantics="deployed").status is not Verdict.VERIFIED
    assert ask(first(x).ravel()[0] - again(x).ravel()[0] <= 0, x, semantics="deployed").status is Verdict.VERIFIED


def test_whose_run_a_node_is_travels_with_it() -> None:
    x = nn.Variable((1, 4), name="x")
    query = nn.forall(x, where=nn.box(x, 0, 1), then=stored()(x).ravel()[0] <= exact()(x.ravel())[0]).query
    back = pickle.loads(pickle.dumps(query))
    assert {node.model for node in back.rows.parts} == {node.model for node in query.rows.parts} == {"", stored().hash}


def test_a_value_that_no_run_gives() -> None:
    nodes = [helper.make_node("MatMul", ["x", "W"], ["a"]), helper.make_node("HardSigmoid", ["a"], ["y"])]
    f = nn.load(model(nodes, {"x": (1, 4)}, ["y"], {"W": W}))
    x = nn.Variable((1, 4), name="x")
    inside = f.hidden("affine_2")(x).post.ravel()  # alpha a + beta, before it is clipped
    found = ask(inside[0] <= -10, x, None)
    assert (found.status, found.counterexample.engine) == (Verdict.FALSIFIED, Agreement.NOT_RUN)
    with pytest.raises(UnsupportedError, match="does not name"):
        ask(inside[0] <= 10, x, semantics="deployed")
