"""Names and units of elements travel with a point; terms have values at it."""

from __future__ import annotations

import json
import pickle
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from models import model
from onnx import helper
from stored import random_layers, stored_mlp

import nnsym as nn
from nnsym.ask.export import build_program
from nnsym.ir.titles import column_titles, node_titles

NAMES, UNITS = ["pos", "vel"], ["m", "m/s"]


def variable() -> nn.Variable:
    return nn.Variable(2, name="x", names=NAMES, units=UNITS)


def falsified(f: nn.Network, x: nn.Variable) -> nn.Property:
    return nn.forall(
        x, where=nn.box(x, -1, 1) & (x["pos"] + x[1] <= 1.5), then=f(x).ravel()[0] <= f(x).ravel()[1] - 100, name="q"
    )


def test_names_stand_in_formulas_and_change_no_hash():
    f = nn.zoo.random_mlp(1, widths=(2, 6, 2))
    p, plain = falsified(f, variable()), nn.Variable(2, name="x")
    assert "x.pos + x.vel <= 1.5" in str(p)
    where = nn.box(plain, -1, 1) & (plain[0] + plain[1] <= 1.5)
    other = nn.forall(plain, where=where, then=f(plain)[0] <= f(plain)[1] - 100)
    assert p.hash == other.hash
    assert r"{x}_{\mathrm{pos}} + {x}_{\mathrm{vel}} \leq 1.5" in p._repr_latex_()
    read = nn.parse(p.text(), [f])
    assert read.text() == p.text()
    assert read.hash == p.hash
    assert read.variables[0].input.labels == (tuple(NAMES), tuple(UNITS))
    assert pickle.loads(pickle.dumps(p.query)).inputs[0].labels.names == tuple(NAMES)


def test_an_element_is_the_same_by_name_and_by_index():
    x = nn.Variable((2, 2), name="x", names=["a", "b", "c", "d"])
    assert str(x["c"]) == str(x[1, 0]) == "x.c"
    point = {"x": [[1, 2], [3, 4]]}
    assert x["c"](point) == 3
    assert (x["c"].rows.value({x.input: np.arange(4.0)}) == [2]).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": ["a"]}, "1 names for 2 elements"),
        ({"names": ["a", "a"]}, "same name"),
        ({"names": "ab"}, "not a list of names"),
        ({"names": ["a b", "c"]}, "'a b' is no name of an element. Name it as in Python: a_b"),
        ({"names": ["c", "1"]}, "'1' is no name of an element. Name it as in Python, by letters"),
        ({"units": ["m"]}, "1 units for 2 elements"),
        ({"units": [1, 2]}, "not text"),
    ],
)
def test_names_that_do_not_fit_are_refused(options, said):
    with pytest.raises(nn.LanguageError, match=said):
        nn.Variable(2, **options)


def test_an_unknown_name_lists_the_others():
    with pytest.raises(nn.LanguageError, match=r"no element 'velocity'.*pos, vel"):
        variable()["velocity"]
    with pytest.raises(nn.LanguageError, match=r"Name them: nn.Variable"):
        nn.Variable(2)["pos"]


def test_counterexamples_files_and_columns_speak_in_names(tmp_path: Path):
    f = stored_mlp(random_layers(3, 2, 6, 2), "small")
    x = variable()
    p = falsified(f, x)
    r = nn.verify(p, "attack")
    assert r.falsified
    values = r.counterexample.inputs["x"].ravel()
    lines = list(r.counterexample.lines())
    assert lines[:2] == [f"x.pos = {float(values[0]):.9g} m", f"x.vel = {float(values[1]):.9g} m/s"]
    assert lines[0] in r._repr_html_()
    assert "<witness: margin" in repr(r.counterexample)
    _, program, _ = build_program(p)
    names = program.column_names()
    assert {"x.pos.value", "x.vel.value"} <= set(names)
    text = nn.export(p, tmp_path / "q.lp").read_text()
    assert "x_pos_value" in text
    output = next(iter(f.outputs))
    assert f"{output}_0_value" in text
    told = json.loads(nn.write_witness(p, r, tmp_path / "q.json").read_text())
    assert told["point"]["labels"]["x"] == {"names": NAMES, "units": UNITS}
    assert told["point"]["inputs"]["x"]["data"] == [float(v) for v in values]
    assert {m["kind"] for m in told["model"]} == {"input", "output"}
    assert told["hash"] == p.hash


def test_the_answer_file_has_the_stated_and_the_networks_units(tmp_path: Path):
    """The variable is in feet, the network gets feet / 1000."""
    f = stored_mlp(random_layers(3, 1, 6, 2), "small")
    x = nn.Variable(1, name="d", names=["distance"], units="ft")
    y = f(x / 1000).ravel()
    p = nn.forall(x, where=nn.box(x, 500, 1000), then=y[0] <= y[1] - 100)
    told = json.loads(nn.write_witness(p, nn.verify(p, "attack"), tmp_path / "a.json").read_text())
    feet = told["point"]["inputs"]["d"]["data"][0]
    assert 500 <= feet <= 1000
    (given,) = [m["values"] for m in told["model"] if m["kind"] == "input"]
    assert given[0] == pytest.approx(feet / 1000, rel=1e-6)


def test_layers_have_the_names_of_model_and_step(tmp_path: Path):
    f = stored_mlp(random_layers(3, 2, 4, 2), "ctl")
    x = nn.Variable(2, name="x")
    once = f(x).ravel()
    twice = f(x + once).ravel()
    p = nn.forall(x, where=nn.box(x, -1, 1), then=twice[0] <= 1e6)
    output = next(iter(f.outputs))
    assert {f"ctl_1.{output}", f"ctl_2.{output}"} <= set(node_titles(p.query).values())
    assert f"ctl_2.{output}" in column_titles(p.query).values()
    assert f"ctl_2.{output}" in str(nn.bounds(p))
    assert f">ctl_2.{output}</td>" in nn.bounds(p)._repr_html_()
    head = nn.export(p, tmp_path / "loop.lp").read_text().partition("Minimize")[0]
    assert "layers    in the models: " in head
    assert "is ctl_1.act1," in head
    assert "is ctl_2.act1," in head


def test_terms_have_the_values_that_the_property_reads():
    f = nn.zoo.random_mlp(2, widths=(2, 5, 3))
    x, v = nn.Variable(2, name="x"), nn.Variable(1, name="v")
    term = nn.max(f(x)) * 2 - v[0] / 3
    point = {"x": [0.25, -1], "v": [Fraction(1, 2)]}
    outputs = f(np.array([0.25, -1.0]))
    assert term(point) == pytest.approx(2 * outputs.max() - 1 / 6, abs=1e-15)
    assert f(x)([0.25, -1]).shape == (3,)
    assert np.allclose(f(x)([0.25, -1]), outputs)
    p = nn.forall([x, v], where=nn.box(x, -1, 1) & nn.box(v, 0, 1), then=term <= 1)
    assert p.margin(point["x"], point["v"]) == pytest.approx(1 - float(term(point)))


def test_values_round_once():
    x = nn.Variable(1)
    assert (x[0] * "1/3" + "2/3")([1]) == 1.0
    assert (nn.relu(x[0] + 2**60) - 2**60)([0.5]) == 0.5
    smooth = nn.apply("tanh", x)
    assert smooth([0.5])[0] == pytest.approx(np.tanh(0.5))


def test_a_trajectory_is_the_states_at_the_counterexample():
    f = nn.zoo.random_mlp(2, widths=(2, 4, 1))
    a, b = np.array([[1, 0.125], [0, 1]]), np.array([[0.0], [0.25]])
    states = [nn.Variable(2, name="x")]
    for _ in range(3):
        states.append(a @ states[-1] + b @ f(states[-1]))
    p = nn.forall(states[0], where=nn.box(states[0], -1, 1), then=states[-1][0] >= 50)
    found = nn.verify(p, "attack").counterexample
    here = np.float64(found.inputs["x"]).ravel()
    for state in states:
        assert np.allclose(state(found), here)
        here = a @ here + b @ f(here)


def test_points_that_do_not_fit_are_refused():
    x, v = nn.Variable(2, name="x"), nn.Variable(1, name="v")
    with pytest.raises(nn.InputError, match="no values for 'v'"):
        (x[0] + v[0])({"x": [1, 2]})
    with pytest.raises(nn.InputError, match="several variables"):
        (x[0] + v[0])([1, 2])
    with pytest.raises(nn.InputError, match="2 elements, the point 3"):
        x[0]([1, 2, 3])


def test_pyomo_models_name_their_ends():
    pyo = pytest.importorskip("pyomo.environ")
    f = nn.zoo.random_mlp(1, widths=(2, 6, 6, 2))
    x = nn.Variable(2, name="x", names=["oil", "water"])
    p = nn.forall(x, where=nn.box(x, 0, 1), then=nn.all(f(x) <= 1000))
    model = nn.to_pyomo(p)
    for objective in list(model.component_data_objects(pyo.Objective)):
        objective.deactivate()
    oil, water = model.inputs["x"]
    model.mixture = pyo.Constraint(expr=oil + water == 1)
    model.profit = pyo.Objective(expr=model.outputs["y"][0] - oil / 2, sense=pyo.maximize)
    pyo.SolverFactory("appsi_highs").solve(model)
    found = np.array([pyo.value(oil), pyo.value(water)])
    assert f(found)[0] - found[0] / 2 == pytest.approx(pyo.value(model.profit), abs=1e-6)
    best = nn.maximize(f(x)[0] - x["oil"] / 2, where=nn.box(x, 0, 1) & (x[0] + x[1] == 1))
    assert pyo.value(model.profit) == pytest.approx(best.lower, abs=1e-5)
    copy = model.clone()
    assert copy.outputs["y"][0] is not model.outputs["y"][0]


def test_a_property_is_asked_at_a_point_by_name():
    f = nn.zoo.random_mlp(2, widths=(2, 5, 3))
    x, v = nn.Variable(2, name="x"), nn.Variable(1, name="v")
    p = nn.forall([x, v], where=nn.box(x, -1, 1) & nn.box(v, 0, 1), then=nn.max(f(x)) - v[0] <= -50)
    found = nn.verify(p, "attack").counterexample
    assert not p(found)
    assert p.margin(found) == p.margin(found.inputs) == p.margin(found.inputs["x"], found.inputs["v"]) < 0
    with pytest.raises(nn.InputError, match="no values for 'v'"):
        p({"x": [0, 0]})


def renamed(first: str, second: str) -> nn.Network:
    """Two hidden layers whose activations are called so in the model."""
    shapes = {"A": (4, 2), "B": (4, 4), "C": (2, 4)}
    constants = {k: np.random.default_rng(1).normal(size=v).astype(np.float32) for k, v in shapes.items()}
    steps = [("Gemm", ["x", "A"], "p"), ("Relu", ["p"], first), ("Gemm", [first, "B"], "q"), ("Relu", ["q"], second)]
    steps.append(("Gemm", [second, "C"], "y"))
    nodes = [
        helper.make_node(kind, inputs, [output], **({"transB": 1} if kind == "Gemm" else {}))
        for kind, inputs, output in steps
    ]
    return nn.load(model(nodes, {"x": (1, 2)}, ["y"], constants))


def columns_of(f: nn.Network) -> list[str]:
    v = nn.Variable(2, name="x")
    return build_program(nn.forall(v, where=nn.box(v, -1, 1), then=f(v).ravel()[0] <= 1))[1].column_names()


def test_hidden_columns_have_the_models_names_and_never_anothers_of_ours(tmp_path: Path):
    names = columns_of(renamed("encoder", "decoder"))
    assert {"x[1].value", "p[0].pre", "encoder[2].post", "q[3].pre", "decoder[0].post", "y[0].value"} <= set(names)
    assert any(name.startswith("encoder[") and name.endswith(".phase") for name in names)
    assert not any(name.startswith(("relu_", "affine_")) for name in names)
    swapped = columns_of(renamed("relu_2", "relu_1"))  # our relu_1 is the first one
    assert {"relu_1[0].post", "relu_2[0].post"} <= set(swapped)
    assert swapped.index("relu_1[0].post") < swapped.index("relu_2[0].post")
    long = "/backbone/" + "block/" * 20 + "Relu_output_0"
    f = renamed(long, "decoder")
    v = nn.Variable(2, name="x")
    p = nn.forall(v, where=nn.box(v, -1, 1), then=f(v).ravel()[0] <= 1)
    text = nn.export(p, tmp_path / "p.lp").read_text()
    assert "block_Relu_output_0_2_post" in text  # a long name keeps its end, where the place stands
    assert "layers    in the models: " in text
