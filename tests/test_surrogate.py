"""Surrogates: a network as a Pyomo block has exactly the function's points, in models of others, under any solver."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models import model
from onnx import helper
from stored import onnx_values, random_layers, stored_mlp

import nnsym as nn
from nnsym.errors import InputError, LanguageError, MissingBoundsError, OutOfTimeError, UnsupportedError
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.lang.statements.objective import objective

pyo = pytest.importorskip("pyomo.environ")

SOLVERS = ["nnsym_highs", "appsi_highs"]
#: Widths of the networks, seeds, and encodings, each of which has the exact optimum.
CASES = [
    (1, (2, 6, 2), "bigm"),
    (2, (2, 4, 4, 2), "bigm"),
    (3, (3, 5, 3), "partition2"),
    (4, (2, 3, 3, 3, 2), "balas"),
    (5, (4, 6, 2), "bigm"),
]


def solved(model: Any, solver: str = "appsi_highs") -> float:
    pyo.SolverFactory(solver).solve(model)
    (objective_,) = model.component_data_objects(pyo.Objective, active=True)
    return float(pyo.value(objective_))


def values(elements: Any) -> Any:
    return np.array([pyo.value(v) for v in elements.values()])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("seed", "widths", "encoding"), CASES)
def test_the_optimum_is_that_of_exact_enumeration(
    seed: int, widths: tuple[int, ...], encoding: str, solver: str
) -> None:
    f = nn.zoo.random_mlp(seed, widths=widths)
    x = nn.Variable(widths[0], name="x")
    score = f(x)[0] * 2 - f(x)[1] + x[0] / 4
    exact = minimum_margin(objective(score, nn.box(x, -1, 1) & (x.sum() <= "0.5")))
    m = pyo.ConcreteModel()
    m.net = nn.surrogate(f, (-1, 1), encoding=encoding)
    m.cap = pyo.Constraint(expr=sum(m.net.inputs.values()) <= 0.5)
    m.score = pyo.Objective(expr=2 * m.net.outputs[0] - m.net.outputs[1] + m.net.inputs[0] / 4)
    assert solved(m, solver) == pytest.approx(float(exact.margin), abs=1e-5)
    assert f(values(m.net.inputs)) == pytest.approx(values(m.net.outputs), abs=1e-5)


def test_every_point_of_the_function_is_one_of_the_block_and_no_other() -> None:
    f = nn.zoo.random_mlp(3, widths=(2, 5, 5, 2))
    m = pyo.ConcreteModel()
    m.net = nn.surrogate(f, (-1, 1))
    for point in np.random.default_rng(0).uniform(-1, 1, (6, 2)):
        for sense, k in itertools.product((pyo.minimize, pyo.maximize), (0, 1)):
            one = m.clone()
            for variable, value in zip(one.net.inputs.values(), point, strict=True):
                variable.fix(value)
            one.goal = pyo.Objective(expr=one.net.outputs[k], sense=sense)
            assert solved(one) == pytest.approx(f(point)[k], abs=1e-6)


def test_nothing_but_the_network_is_in_the_block() -> None:
    f = nn.zoo.random_mlp(1, widths=(2, 6, 6, 2))
    block = nn.surrogate(f, (0, 1))
    assert not list(block.component_data_objects(pyo.Objective))
    assert not [name for name in block.x if "query" in name or "spec" in name or "guard" in name]
    assert {row.split("_")[0] for row in block.rows} == {"network"}
    assert sum(1 for _ in block.component_data_objects(pyo.Var)) == len(block.x)


def test_names_come_from_the_stored_model_and_do_not_change(tmp_path: Path) -> None:
    f = stored_mlp(random_layers(1, 2, 5, 3), "plant")
    names = [v.local_name for v in nn.surrogate(f, (0, 1)).outputs.values()]
    assert names == [f"x['y[{k}].value']" for k in range(3)]
    for where, encoding in (((0, 2), "bigm"), ((0, 1), "triangle")):
        assert [v.local_name for v in nn.surrogate(f, where, encoding=encoding).outputs.values()] == names
    m = pyo.ConcreteModel()
    m.first, m.second = nn.surrogate(f, (0, 1)), nn.surrogate(f, (0, 1))
    m.tie = pyo.Constraint(expr=m.first.outputs[0] == m.second.inputs[1])
    m.goal = pyo.Objective(expr=m.second.outputs[2])
    m.write(str(tmp_path / "plant.lp"), io_options={"symbolic_solver_labels": True})
    text = (tmp_path / "plant.lp").read_text()
    assert "first_x(_y(0)_value_)" in text
    assert "second_rows(network_0_0)_" in text


def test_rows_are_called_as_in_the_exported_file(tmp_path: Path) -> None:
    f = nn.zoo.random_mlp(1, widths=(2, 6, 2))
    x = nn.Variable(2)
    p = nn.forall(x, where=nn.box(x, 0, 1), then=nn.any(f(x) <= 1))
    text = nn.export(p, tmp_path / "p.lp").read_text()
    rows = [line.split(":")[0].strip() for line in text.splitlines() if ": " in line and line.startswith(" ")]
    assert [row for row in rows if row != "obj"] == list(nn.to_pyomo(p).rows)


def test_elements_are_found_by_place_and_by_name() -> None:
    f = nn.zoo.random_mlp(1, widths=(2, 6, 3))
    x = nn.Variable(2, name="x", names=["oil", "water"])
    block = nn.surrogate({"y": f(x), "gain": f(x)[0] - x["oil"]}, where=nn.box(x, 0, 1))
    assert block.inputs["oil"] is block.inputs["x.oil"] is block.inputs["x", 0] is block.inputs[0]
    assert block.inputs["x"] == [block.inputs[0], block.inputs[1]]
    assert block.outputs["gain", 0] is block.outputs[3]
    assert block.outputs["y", 2] is block.outputs[2]
    assert list(block.outputs) == [0, 1, 2, 3]
    with pytest.raises(InputError, match=r"no element 'gas'.*'x.oil', 'oil'"):
        block.inputs["gas"]
    stored = nn.surrogate(stored_mlp(random_layers(1, 2, 5, 3), "s"), (0, 1))  # of shape (1, 3)
    assert stored.outputs[0, 2] is stored.outputs["y", 0, 2] is stored.outputs[2]


def test_a_stored_network_is_that_of_onnx_runtime() -> None:
    f = stored_mlp(random_layers(7, 3, 6, 4, 2), "plant")
    m = pyo.ConcreteModel()
    m.net = nn.surrogate(f, ([0, -1, 0], [1, 1, "0.5"]))
    m.goal = pyo.Objective(expr=m.net.outputs[0] + m.net.outputs[1])
    solved(m)
    assert onnx_values(f, values(m.net.inputs), "y")["y"] == pytest.approx(values(m.net.outputs), abs=1e-5)


@pytest.mark.parametrize("solver", SOLVERS)
def test_several_networks_in_one_model(solver: str) -> None:
    f, g = nn.zoo.random_mlp(1, widths=(2, 5, 2)), nn.zoo.random_mlp(2, widths=(2, 4, 1))
    x = nn.Variable(2, name="x")
    exact = minimum_margin(objective(g(f(x))[0] + f(x)[0], nn.box(x, -1, 1)))
    m = pyo.ConcreteModel()
    m.f = nn.surrogate(f, (-1, 1))
    m.g = nn.surrogate(g, (-9, 9))
    m.u = pyo.Var(bounds=(-50, 50))
    m.tie = pyo.Constraint([0, 1], rule=lambda m, k: m.f.outputs[k] == m.g.inputs[k])
    m.cost = pyo.Constraint(expr=m.u >= m.g.outputs[0] + m.f.outputs[0])
    m.goal = pyo.Objective(expr=m.u)
    assert solved(m, solver) == pytest.approx(float(exact.margin), abs=1e-5)
    if solver == "nnsym_highs":
        assert len(m.g.rows.values_of_columns) == len(m.g.x)
        assert m.g.rows.values_of_columns[:2] == pytest.approx(values(m.g.inputs))


def test_blocks_in_blocks_are_copied_and_kept() -> None:
    f = nn.zoo.random_mlp(2, widths=(2, 4, 2))
    m = pyo.ConcreteModel()
    m.step = pyo.Block([0, 1])
    net = nn.surrogate(f, (-1, 1))
    for k in (0, 1):
        m.step[k].net = net.clone()
    m.goal = pyo.Objective(expr=m.step[0].net.outputs["y", 0] - m.step[1].net.outputs["y", 0])
    copy = pickle.loads(pickle.dumps(m))
    assert copy.step[1].net.outputs["y", 1].name == "step[1].net.x['y[1].value']"
    assert solved(copy) == pytest.approx(solved(m), abs=1e-6)
    assert m.step[0].net.inputs[0] is not m.step[1].net.inputs[0]


def test_bounds_inside_are_those_of_the_source() -> None:
    f = nn.zoo.random_mlp(4, widths=(2, 8, 8, 2))
    wide, tight = (nn.surrogate(f, (-1, 1), bounds=b) for b in ("ibp", "crown"))
    spans = [sum(v.ub - v.lb for v in block.outputs.values()) for block in (wide, tight)]
    assert spans[1] < 0.9 * spans[0]
    for point in np.random.default_rng(1).uniform(-1, 1, (50, 2)):
        assert all(v.lb <= y <= v.ub for v, y in zip(tight.outputs.values(), f(point), strict=True))


@pytest.mark.parametrize("solver", SOLVERS)
def test_tighter_bounds_are_solved_and_wider_ones_refused(solver: str) -> None:
    f = nn.zoo.random_mlp(2, widths=(2, 5, 2))
    m = pyo.ConcreteModel()
    m.net = nn.surrogate(f, (-1, 1))
    m.goal = pyo.Objective(expr=m.net.outputs[0])
    m.net.inputs[0].setub(0)
    x = nn.Variable(2)
    exact = minimum_margin(objective(f(x)[0], nn.box(x, -1, [0, 1])))
    assert solved(m, solver) == pytest.approx(float(exact.margin), abs=1e-5)
    m.net.inputs[0].setub(2)
    with pytest.raises(InputError, match=r"net.x\['x\[0\].value'\].*hold for values in \[-1, 1\] only"):
        solved(m, solver)


def test_a_relaxation_contains_the_function() -> None:
    f = nn.zoo.random_mlp(4, widths=(2, 8, 8, 2))
    found = []
    for encoding in ("triangle", "bigm"):
        m = pyo.ConcreteModel()
        m.net = nn.surrogate(f, (-1, 1), encoding=encoding)
        m.goal = pyo.Objective(expr=m.net.outputs[0])
        found.append(solved(m))
        assert any(v.is_integer() for v in m.net.x.values()) == (encoding == "bigm")
    assert found[0] < found[1] - 1e-3


def test_cuts_tighten_every_output_both_ways_and_take_no_point_away() -> None:
    f = nn.zoo.random_mlp(4, widths=(2, 8, 8, 2))
    x, m = nn.Variable(2), pyo.ConcreteModel()
    m.plain, m.cut = (nn.surrogate(f, (-1, 1), encoding=e) for e in ("triangle", "triangle+krelu2"))
    assert any(name.startswith("cut_") for name in m.cut.rows)
    for sense, k in itertools.product((pyo.minimize, pyo.maximize), (0, 1)):
        best = [sense * float(minimum_margin(objective(sense * f(x)[k], nn.box(x, -1, 1))).margin)]
        for block in (m.cut, m.plain):
            m.goal = pyo.Objective(expr=block.outputs[k], sense=sense)
            best.append(solved(m, "nnsym_highs"))
            m.del_component("goal")
        exact, cut, plain = (sense * value for value in best)
        assert plain < cut - 0.1
        assert cut <= exact + 1e-6
    m.goal = pyo.Objective(expr=m.cut.outputs[0])
    for point in np.random.default_rng(0).uniform(-1, 1, (10, 2)):
        for variable, value in zip(m.cut.inputs.values(), point, strict=True):
            variable.fix(value)
        assert solved(m, "nnsym_highs") <= f(point)[0] + 1e-6


@pytest.mark.parametrize("encoding", ["sos1", "sos2"])
def test_special_ordered_sets_are_components_that_copies_keep(encoding: str) -> None:
    f = nn.zoo.random_mlp(3, widths=(2, 5, 5, 2))
    m = pyo.ConcreteModel()
    m.net = nn.surrogate(f, (-1, 1), encoding=encoding)
    x = nn.Variable(2)
    m.goal = pyo.Objective(expr=m.net.outputs[0])
    for solver, kind in (("nnsym_highs", UnsupportedError), ("appsi_highs", NotImplementedError)):
        with pytest.raises(kind, match=r"special ordered sets.*gurobi_direct|SOS"):
            solved(m, solver)
    if not pyo.SolverFactory("gurobi_direct").available(exception_flag=False):
        pytest.skip("no Gurobi, and no other solver here knows special ordered sets")
    exact = float(minimum_margin(objective(f(x)[0], nn.box(x, -1, 1))).margin)
    for same in (m, m.clone(), pickle.loads(pickle.dumps(m))):
        assert solved(same, "gurobi_direct") == pytest.approx(exact, abs=1e-5)
    m.net.component(encoding).deactivate()
    assert solved(m, "gurobi_direct") < exact - 0.01  # the sets are what makes it exact


def test_terms_in_engineering_units_whole_numbers_and_conditions() -> None:
    f = nn.zoo.random_mlp(5, widths=(2, 5, 1))
    x = nn.Variable(2, name="x", integer=[True, False], names=["count", "load"])
    y = f((x - [3, 10]) / [2, 4])[0] * 10
    where = nn.box(x, [0, 6], [6, 14]) & (x["count"] + x["load"] <= 12)
    m = pyo.ConcreteModel()
    m.net = nn.surrogate(y, where=where)
    assert m.net.inputs["count"].is_integer()
    m.goal = pyo.Objective(expr=m.net.outputs[0])
    v, least = nn.Variable(1, name="v"), []
    for k in range(7):
        score = f((nn.concat([k], v) - [3, 10]) / [2, 4])[0] * 10
        least.append(minimum_margin(objective(score, nn.box(v, 6, min(14, 12 - k)))).margin)
    assert solved(m) == pytest.approx(float(min(least)), abs=1e-5)


def test_choices_and_conditions_on_outputs_are_rows() -> None:
    s = nn.one_hot(3, "s")
    f = nn.zoo.random_mlp(1, widths=(3, 6, 2))
    m = pyo.ConcreteModel()
    m.net = nn.surrogate(f(s), where=nn.box(s, 0, 1) & (f(s)[0] >= "0.2"))
    m.goal = pyo.Objective(expr=m.net.outputs[0])
    reached = [v for v in (f(np.eye(3)[k])[0] for k in range(3)) if v >= 0.2]
    assert len(reached) < 3
    assert solved(m) == pytest.approx(min(reached), abs=1e-6)


def test_a_stored_network_of_two_inputs_and_two_outputs() -> None:
    weight = np.float32([[1, -2, 0.5], [0.5, 1, -1]])
    nodes = [
        helper.make_node("Concat", ["u", "v"], ["c"], axis=1),
        helper.make_node("Gemm", ["c", "W"], ["h"], transB=1),
        helper.make_node("Relu", ["h"], ["positive"]),
        helper.make_node("ReduceSum", ["positive", "axes"], ["total"], keepdims=1),
    ]
    constants = {"W": weight, "axes": np.array([1], np.int64)}
    f = nn.load(model(nodes, {"u": (1, 2), "v": (1, 1)}, ["positive", "total"], constants))
    a, b, u, v = (nn.Variable(n, name=name) for n, name in ((2, "a"), (1, "b"), (2, "u"), (1, "v")))
    ways = {
        "pairs": nn.surrogate(f, {"v": (0, 1), "u": (-1, 1)}),
        "names": nn.surrogate(f, nn.box(v, 0, 1) & nn.box(u, -1, 1)),
        "terms": nn.surrogate(f(a, b), nn.box(b, 0, 1) & nn.box(a, -1, 1)),
    }
    x = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (0, 1)])
    most = np.maximum(x @ weight.T, 0).sum(axis=1).max()  # convex, so at a corner
    for block in ways.values():
        m = pyo.ConcreteModel()
        m.net = block
        m.goal = pyo.Objective(expr=m.net.outputs["total"][0], sense=pyo.maximize)
        assert solved(m) == pytest.approx(float(most), abs=1e-6)
        assert m.net.outputs["positive", 0, 1] is m.net.outputs[1]
    assert ways["pairs"].inputs["v", 0] is ways["pairs"].inputs[2]
    with pytest.raises(LanguageError, match=r"about a, v, the inputs are u, v.*nn.surrogate\(f\(a, b\)"):
        nn.surrogate(f, nn.box(v, 0, 1) & nn.box(a, -1, 1))
    with pytest.raises(LanguageError, match="for each of: u, v"):
        nn.surrogate(f, (0, 1))


def test_several_inputs_and_constant_outputs() -> None:
    a, b = nn.Variable(2, name="a"), nn.Variable(1, name="b")
    g = nn.zoo.random_mlp(2, widths=(3, 4, 1))
    block = nn.surrogate({"y": g(nn.concat(a, b)), "zero": a[:1] * 0, "same": b}, nn.box(a, 0, 1) & nn.box(b, -1, 0))
    assert [v.name for v in block.inputs.values()] == [f"x['{name}.value']" for name in ("a[0]", "a[1]", "b[0]")]
    assert block.outputs["same", 0] is block.inputs["b", 0]
    zero = block.outputs["zero", 0]
    assert (zero.lb, zero.ub) == (0, 0)


F = nn.zoo.random_mlp(1, widths=(2, 6, 2))
X = nn.Variable(2, name="x")


@pytest.mark.parametrize(
    ("build", "kind", "said"),
    [
        (lambda: nn.surrogate(F, nn.box(X, 0, 1) | nn.box(X, 2, 3)), UnsupportedError, r"alternatives \(or\)"),
        (lambda: nn.surrogate(F, nn.ball(X, [0, 0], 1, p=2)), UnsupportedError, "ball of norm 1 or 2"),
        (lambda: nn.surrogate(F, (0, 1), encoding="smt"), UnsupportedError, "Boolean problem.*bigm"),
        (lambda: nn.surrogate(F, (0, 1), encoding="indicator"), UnsupportedError, "implications.*sos1"),
        (lambda: nn.surrogate(F, (0, 1), encoding="triangle+krelu2", timeout=-1), InputError, "-1"),
        (lambda: nn.surrogate(F, nn.box(X, 0, None)), MissingBoundsError, "element 0 has bounds"),
        (lambda: nn.surrogate(F, nn.box(X, 0, 1) & (X[0] >= 2)), InputError, "the domain is empty"),
        (lambda: nn.surrogate(F, {"u": (0, 1)}), LanguageError, r"pair \(lower, upper\) for each of: x"),
        (lambda: nn.surrogate(F, (1, 0)), InputError, "leave nothing"),
        (lambda: nn.surrogate(F, None), LanguageError, r"'where' is NoneType.*nn\.box"),
        (lambda: nn.surrogate(F, (0, 1, 2)), LanguageError, r"'where' is tuple"),
        (lambda: nn.surrogate(abs, nn.box(X, 0, 1)), LanguageError, "no network and no term"),
        (lambda: nn.surrogate(F, (0, 1), bounds="crwn"), InputError, "no bounds 'crwn'"),
        (lambda: nn.to_pyomo(nn.forall(X, where=nn.ball(X, 0, 1, p=2), then=F(X)[0] <= 9)), UnsupportedError, "ball"),
    ],
)
def test_what_is_no_surrogate_is_refused_in_words(build: Any, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        build()


def test_the_timeout_is_for_bounds_and_program_too() -> None:
    f = nn.sequential(random_layers(0, 2, 3, 1))
    with pytest.raises(OutOfTimeError, match="not encoded in the time"):
        nn.surrogate(f, ([-1, -1], [1, 1]), timeout=1e-9)
    with pytest.raises(InputError, match="timeout is -1"):
        nn.surrogate(f, ([-1, -1], [1, 1]), timeout=-1)
