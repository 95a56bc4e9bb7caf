"""Rules about hidden neurons of a stored network: implications, dead neurons, coverage; replayed by ONNX Runtime."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from readers import READERS, z3_minimum
from stored import onnx_values, random_layers, stored_mlp

import nnsym as nn
from nnsym.ask.export import build_program
from nnsym.errors import InputError
from nnsym.replay.engine import execute
from nnsym.write.smtlib import to_smtlib

LAYERS = random_layers(4, 2, 6, 6, 2)
f = stored_mlp(LAYERS, "rules")
x = nn.Variable(2, name="x")
y = f(x).ravel()
h2 = f.hidden("relu2")(x)
box = nn.box(x, -1, 1)


def rule(least: object) -> nn.Property:
    """Where neuron 1 of the second layer is on and neuron 3 is off, output 0 is ahead of output 1."""
    on, off = h2.pre[0, 1] > 0, h2.post[0, 3] == 0
    return nn.forall(x, where=[box, on, off], then=y[0] - y[1] >= least, name="rule")


@pytest.fixture(scope="module")
def least() -> Fraction:
    """The smallest lead where the rule applies, exactly: Z3's optimum over the rationals."""
    _, program, _ = build_program(rule(0), "bigm")
    return z3_minimum(to_smtlib(program), "query[0].margin")


@pytest.mark.parametrize(("encoding", "solver"), [("bigm", "highs"), ("smt", "z3"), ("sos1", "gurobi")])
def test_an_implication_between_hidden_and_outer_values(least: Fraction, encoding: str, solver: str) -> None:
    slack = Fraction(1, 100)
    held = nn.verify(rule(least - slack), encoding, solver=solver, timeout=60)
    assert held.status.value == "verified"
    assert not held.vacuous
    broken = nn.verify(rule(least + slack), encoding, solver=solver, timeout=60)
    assert broken.status.value == "falsified"
    assert broken.counterexample is not None
    assert broken.counterexample.replayed_by == "onnxruntime"
    values = onnx_values(f, broken.counterexample.inputs["x"], "fc2", "relu2")
    assert values["fc2"][1] > 0
    assert values["relu2"][3] == 0
    assert Fraction(float(values["y"][0])) - Fraction(float(values["y"][1])) < least + slack


def test_exported_files_have_the_same_optimum(least: Fraction, tmp_path: Path) -> None:
    for suffix in (".lp", ".mps"):
        path = nn.export(rule(0), tmp_path / f"rule{suffix}", encoding="bigm")
        for reader in READERS:
            assert reader(path) == pytest.approx(float(least), abs=1e-6)
    text = nn.export(rule(0), tmp_path / "rule.smt2", encoding="smt").read_text()
    assert 'rules(x).hidden("relu2").pre[0, 1] > 0' in text


def test_dead_neurons_are_those_that_no_corner_wakes() -> None:
    """The first layer's largest pre-activations are sums of absolute weights; one verdict for each neuron."""
    (weight, bias), tops = LAYERS[0], []
    for j in range(6):
        tops.append(np.abs(weight[j]).sum() + bias[j])
        p = nn.forall(x, where=box, then=~f.active("relu1", (0, j))(x), name=f"dead {j}")
        result = nn.verify(p, "bigm", timeout=30)
        assert result.status.value == ("verified" if tops[j] <= 0 else "falsified")
        if tops[j] > 0:
            assert onnx_values(f, result.counterexample.inputs["x"], "fc1")["fc1"][j] > 0
    small = nn.box(x, [0.75, -1], [1, -0.75])
    dead = [bool(weight[j] @ [0.875, -0.875] + np.abs(weight[j]).sum() / 8 + bias[j] <= 0) for j in range(6)]
    assert any(dead)
    found = [nn.verify(nn.forall(x, where=small, then=~f.active("relu1", (0, j))(x)), "crown") for j in range(6)]
    assert [r.status.value == "verified" for r in found] == dead


def test_coverage_is_a_witness_that_wakes_all() -> None:
    weight, bias = LAYERS[0]
    together = [j for j in range(6) if weight[j] @ [0.5, 0.5] + bias[j] > 0.125]
    assert len(together) >= 2
    awake = nn.exists(x, where=box, then=nn.all(f.active("relu1", (0, j))(x) for j in together), name="coverage")
    result = nn.verify(awake, "bigm", timeout=30)
    assert result.status.value == "verified"
    values = onnx_values(f, result.witness.inputs["x"], "fc1")["fc1"]
    assert (values[together] > 0).all()
    both = f.hidden("fc1")(x)
    never = nn.exists(x, where=box, then=(both.post[0, 0] > 0) & (both.post[0, 0] + 2 < 0))
    assert nn.verify(never, "smt", solver="z3", timeout=30).status.value == "falsified"


def test_functions_of_hidden_values_are_replayed_on_the_models_own() -> None:
    """The largest hidden value of the IR differs from the model's float32 one; replay computes from the model's."""
    g = stored_mlp([(w * 1.1, b / 3) for w, b in LAYERS], "odd")
    top = nn.max(g.hidden("relu2")(x).post) + 0 * g(x)[0, 0]
    p = nn.forall(x, where=box, then=top <= 1)
    (node,) = [n for n in p.query.nodes if type(n).__name__ == "Max"]
    point = np.float32([0.3, -0.7])
    run = execute(p.query, {x.input: point})
    computed = run.computed
    assert run.by == "onnxruntime"
    assert computed[node][0] == onnx_values(g, point, "relu2")["relu2"].max()
    of_the_graph = p.query.values({x.input: point.astype(float)})[node][0]
    assert float(computed[node][0]) != float(of_the_graph)


def test_unknown_names_list_close_ones_and_the_network_alone_has_no_hidden_values() -> None:
    with pytest.raises(InputError, match=r"rules: has no value named 'relu3'. Close names: relu2, relu1"):
        f.hidden("relu3")
    with pytest.raises(InputError, match=r"not bound to an application.*rules\.hidden\(\"relu2\"\)\(x\)"):
        _ = f.hidden("relu2").post
