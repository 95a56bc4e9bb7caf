"""Pyomo models with matrix rows: stock Pyomo gets real rows or an exception, never an unconstrained network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pyo = pytest.importorskip("pyomo.environ")

import nnsym as nn  # noqa: E402
import nnsym.solvers.pyomo_solvers  # noqa: E402  (the door that registers solvers)
from nnsym.builder import ProgramBuilder, row_block  # noqa: E402
from nnsym.errors import InputError, UnsupportedError  # noqa: E402
from nnsym.program import Kind, Program  # noqa: E402
from nnsym.solvers.pyomo.compiled import compile_model  # noqa: E402
from nnsym.solvers.pyomo.model import to_pyomo  # noqa: E402
from nnsym.testing.check_solver import problems  # noqa: E402

OPTIMUM = -0.5


def relu() -> Program:
    """t >= 1/2 - relu(h), h = 2 x - 1 on [0, 1]: relu by big-M over hidden columns; optimum -1/2 at x = 1."""
    b = ProgramBuilder()
    x = b.columns("x", "value", np.arange(1), np.zeros(1), np.ones(1))
    h = b.columns("h", "pre", np.arange(1), np.full(1, -1.0), np.ones(1))
    y = b.columns("y", "post", np.arange(1), np.zeros(1), np.ones(1))
    z = b.columns("y", "phase", np.arange(1), np.zeros(1), np.ones(1), kind=Kind.BINARY)
    t = b.columns("q", "margin", np.arange(1), np.full(1, -9.0), np.full(1, 9.0))
    b.rows(row_block([(2.0, x), (-1.0, h)], lower=1.0, upper=1.0, origin="h"))
    b.rows(row_block([(1.0, y), (-1.0, h)], lower=0.0, origin="y >= h"))
    b.rows(row_block([(1.0, y), (-1.0, h), (1.0, z)], upper=1.0, origin="y <= h + (1 - z)"))
    b.rows(row_block([(1.0, y), (-1.0, z)], upper=0.0, origin="y <= z"))
    b.rows(row_block([(1.0, t), (1.0, y)], lower=0.5, origin="margin"))
    return b.build(objective=int(t[0]))


def solver(name: str) -> Any:
    made = pyo.SolverFactory(name)
    if not made.available(exception_flag=False):
        pytest.skip(f"Pyomo has no {name} here")
    return made


OURS = ["nnsym_highs", "nnsym_gurobi"]
STOCK = ["appsi_highs", "highs", "gurobi_direct", "gurobi_direct_v2", "cbc", "scip_direct"]
FORMATS = ["lp", "mps", "nl", "gms"]


@pytest.mark.parametrize("columns", ["io", "all"])
@pytest.mark.parametrize("name", OURS)
def test_registered_solvers(name: str, columns: Any) -> None:
    model = to_pyomo(relu(), columns=columns)
    result = solver(name).solve(model)
    assert result.solver.termination_condition == pyo.TerminationCondition.optimal
    assert pyo.value(model.objective) == pytest.approx(OPTIMUM)
    assert result.problem.lower_bound == pytest.approx(OPTIMUM)
    assert model.x["x[0].value"].value == pytest.approx(1.0)
    assert ("h[0].pre" in model.x) == (columns == "all")
    assert model.rows.values_of_columns == pytest.approx([1, 1, 1, 1, OPTIMUM])


def test_names_do_not_depend_on_the_columns_shown() -> None:
    b = ProgramBuilder()
    one = np.ones(1)
    for node, role in (("a|", "value"), ("a!", "post"), ("a!", "value"), ("q", "margin")):
        last = b.columns(node, role, np.arange(1), -one, one)
    b.rows(row_block([(1.0, last)], lower=0.0, origin="row"))
    few, every = (to_pyomo(b.build(objective=int(last[0])), columns=c) for c in ("io", "all"))
    assert list(few.x) == ["a![0].value", "a![0].value__2", "q[0].margin"]
    assert few.rows.column_names == every.rows.column_names == list(every.x)
    assert set(few.x) < set(every.x)


@pytest.mark.parametrize("name", STOCK)
def test_stock_solvers_get_real_rows(name: str) -> None:
    model = to_pyomo(relu(), columns="all")
    solver(name).solve(model)
    assert pyo.value(model.objective) == pytest.approx(OPTIMUM)


@pytest.mark.parametrize("name", STOCK)
def test_stock_solvers_refuse_hidden_columns(name: str) -> None:
    made = solver(name)
    with pytest.raises(UnsupportedError, match="hidden columns"):
        made.solve(to_pyomo(relu()))


@pytest.mark.parametrize("suffix", FORMATS)
def test_writers(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{suffix}"
    to_pyomo(relu(), columns="all").write(str(path))
    assert path.stat().st_size > 300
    with pytest.raises(UnsupportedError, match="hidden columns"):
        to_pyomo(relu()).write(str(tmp_path / f"hidden.{suffix}"))


@pytest.mark.skipif(shutil.which("cbc") is None, reason="cbc is not installed")
def test_written_lp_is_read_with_its_binaries(tmp_path: Path) -> None:
    """A reader that drops the section of binaries would find the relaxation: lower here."""
    problem = next(p for p in problems() if p.name == "binaries")
    model = to_pyomo(problem.program, columns="all")
    solver("cbc").solve(model)
    assert pyo.value(model.objective) == pytest.approx(float(problem.optimum))  # type: ignore[arg-type]


def test_pprint_and_indexing_make_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    model = to_pyomo(relu(), columns="all")
    assert len(model.rows) == 5
    assert [c.name for c in model.component_data_objects(pyo.Constraint)] == [f"rows[network_{k}_0]" for k in range(5)]
    assert (model.rows["network_0_0"].lower, model.rows["network_0_0"].upper) == (1.0, 1.0)
    model.pprint()
    assert "2.0*x['x[0].value'] - x['h[0].pre']" in capsys.readouterr().out
    with pytest.raises(UnsupportedError, match=r"rows.*columns='all'"):
        to_pyomo(relu()).pprint()


@pytest.mark.parametrize("name", OURS)
def test_user_rows_bounds_and_fixed_variables_count(name: str) -> None:
    made = solver(name)
    model = to_pyomo(relu())
    x, t = model.x["x[0].value"], model.x["q[0].margin"]
    model.u = pyo.Var(bounds=(0, 3))
    model.cap = pyo.Constraint(expr=2 * x + model.u <= 1.75)
    model.floor = pyo.Constraint(expr=(0.25, model.u, 2))
    made.solve(model)
    assert pyo.value(t) == pytest.approx(0.0)  # x <= 3/4
    copy = model.clone()
    copy.x["x[0].value"].setub(0.625)
    made.solve(copy)
    assert pyo.value(copy.objective) == pytest.approx(0.25)
    assert pyo.value(t) == pytest.approx(0.0), "the original is left alone"
    x.fix(0.0)
    made.solve(model)
    assert pyo.value(t) == pytest.approx(0.5)


@pytest.mark.parametrize("name", OURS)
def test_other_objectives(name: str) -> None:
    made = solver(name)
    model = to_pyomo(relu())
    model.objective.deactivate()
    x, t = model.x["x[0].value"], model.x["q[0].margin"]
    model.other = pyo.Objective(expr=3 - 2 * t - 2 * x, sense=pyo.maximize)
    result = made.solve(model)
    assert pyo.value(model.other) == pytest.approx(2.0)  # -2 t = 2 relu(2x - 1) - 1, so 2 at x = 0 or 1
    assert result.problem.upper_bound == pytest.approx(2.0)


def changed(kind: str, model: Any) -> None:
    x, y, z = model.x["x[0].value"], model.x["y[0].post"], model.x["y[0].phase"]
    match kind:
        case "upper":
            x.setub(5)
        case "none":
            x.setlb(None)
        case "hidden":
            y.setlb(-1)
        case "fixed":
            x.fix(1.5, skip_validation=True)
        case "domain":
            z.domain = pyo.UnitInterval
        case "relaxed":
            pyo.TransformationFactory("core.relax_integer_vars").apply_to(model)
        case "half":
            z.fix(0.5, skip_validation=True)


@pytest.mark.parametrize("kind", ["upper", "none", "hidden", "fixed", "domain", "relaxed", "half"])
@pytest.mark.parametrize("name", ["nnsym_highs", "appsi_highs"])
def test_what_the_rows_were_not_made_for_is_refused(name: str, kind: str) -> None:
    made = solver(name)
    model = to_pyomo(relu(), columns="all")
    made.solve(model)  # the rows may have been made before
    for one in (model.clone(), model):
        changed(kind, one)
        with pytest.raises(InputError, match=r"Pyomo variable .* only\. Bounds may be tightened"):
            made.solve(one)
    with pytest.raises(InputError, match="only"):
        model.rows.check()


@pytest.mark.parametrize("name", ["nnsym_highs", "appsi_highs"])
def test_what_is_within_is_solved_as_it_says(name: str) -> None:
    model = to_pyomo(relu(), columns="all")
    x = model.x["x[0].value"]
    for change, least in (
        (lambda: x.setub(0.625), 0.25),
        (lambda: x.setub(1), OPTIMUM),
        (lambda: x.fix(0.75), 0.0),
    ):
        change()
        solver(name).solve(model)
        assert pyo.value(model.objective) == pytest.approx(least, abs=1e-6)
    x.fix(1 + 1e-9, skip_validation=True)  # as solvers return it
    model.rows.check()


def test_a_single_row_cannot_be_taken_from_arrays() -> None:
    model = to_pyomo(relu(), columns="all")
    model.rows["network_4_0"].deactivate()
    with pytest.raises(UnsupportedError, match="a single row is deactivated"):
        solver("nnsym_highs").solve(model)


@pytest.mark.parametrize("name", ["nnsym_highs", "appsi_highs"])
def test_bounds_that_were_tightened_until_they_cross_are_infeasible(name: str) -> None:
    f = nn.zoo.random_mlp(3, widths=(2, 4, 2))
    model = pyo.ConcreteModel()
    model.f = nn.surrogate(f, (0, 1))
    model.f.outputs[0].setlb(100.0)
    model.goal = pyo.Objective(expr=model.f.outputs[1])
    result = solver(name).solve(model, load_solutions=False)
    assert result.solver.termination_condition == "infeasible"


def test_infeasible_model_is_said_to_be() -> None:
    model = to_pyomo(relu())
    model.never = pyo.Constraint(expr=model.x["x[0].value"] + model.x["q[0].margin"] <= -1)
    result = solver("nnsym_highs").solve(model, load_solutions=False)
    assert result.solver.termination_condition == pyo.TerminationCondition.infeasible


def test_compiled_arrays_are_the_program() -> None:
    program = relu()
    for columns in ("io", "all"):
        arrays = compile_model(to_pyomo(program, columns=columns)).arrays  # type: ignore[arg-type]
        data, indices, indptr, low, high = program.matrix
        for ours, theirs in zip(
            (arrays.data, arrays.indices, arrays.indptr, arrays.row_lower, arrays.row_upper, arrays.lower),
            (data, indices, indptr, low, high, program.lower),
            strict=True,
        ):
            assert (ours == theirs).all()
        assert arrays.objective == program.objective
        assert (arrays.integer == (program.kind != Kind.REAL)).all()


@pytest.mark.parametrize("columns", ["io", "all"])
def test_neither_rows_nor_their_names_are_made_for_arrays(columns: Any) -> None:
    """They take several times as long as all else."""
    model = to_pyomo(relu(), columns=columns)
    solver("nnsym_highs").solve(model)
    copy = model.clone()
    solver("nnsym_highs").solve(copy)
    for rows in (model.rows, copy.rows):
        assert (rows._made, rows._named) == (None, None)
        assert rows.index_set().data() == tuple(f"network_{k}_0" for k in range(5))
        assert rows.index_set().parent_block() is rows.parent_block()
        assert "network_0_0" in rows.index_set()
        assert rows._made is None
        with pytest.raises(KeyError if columns == "all" else UnsupportedError):
            rows["network_5_0"]


def test_implications_are_refused() -> None:
    guarded = next(p for p in problems() if p.name == "implications")
    with pytest.raises(UnsupportedError, match="implications"):
        to_pyomo(guarded.program)
