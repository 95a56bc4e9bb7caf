"""Every lane that is installed here: the conformance kit, agreement, limits, licences."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_solvers_runner import living, wait_until_gone

from nnsym.builder import ProgramBuilder
from nnsym.errors import InputError, UnsupportedError
from nnsym.program import Feature, Kind, Program, RowBlock, Tag
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.glpk import GlpkJob
from nnsym.solvers.registry import check_fits, find, lanes, naming_others, solver_table
from nnsym.solvers.workers import memory
from nnsym.solvers.workers.runner import Job, Worker
from nnsym.testing.check_solver import check_solver, check_time_limit, market_split, problems

HERE = [name for name, lane in lanes().items() if lane.availability().available]
FLOAT = [name for name in HERE if not lanes()[name].exact]


def need(name: str) -> None:
    if name not in HERE:
        pytest.skip(f"{name} is not installed: {find(name).availability().remedy}")


@pytest.mark.slow
@pytest.mark.parametrize("name", HERE)
def test_conformance(name: str) -> None:
    lane = find(name)
    accepted = [p for p in problems() if p.program.features <= lane.accepts and (lane.exact or not p.exact_only)]
    done = check_solver(lane)
    assert {p.name for p in accepted} <= set(done.problems)
    assert done.solved >= 2 * len(accepted) >= 54


@pytest.mark.parametrize("name", HERE)
def test_time_limit_holds(name: str) -> None:
    answer = check_time_limit(find(name), seconds=1.0)
    assert answer.bound <= 1e-6, "the market split's bound is 0 until it is solved"


@pytest.mark.parametrize("name", HERE)
def test_what_a_lane_does_before_its_job_counts(name: str) -> None:
    """A limit that began when the caller asked and is over: no second is granted anew."""
    lane = find(name)
    program = next(p.program for p in problems() if p.program.features <= lane.accepts)
    answer = lane.solve(program, Limits(seconds=20, end=time.monotonic() - 1), Goal(decide=False))
    assert answer.status in (Status.TIME_LIMIT, Status.LICENSE)
    assert answer.solver == name


@pytest.mark.parametrize("name", HERE)
def test_memory_limit_holds(name: str) -> None:
    answer = find(name).solve(market_split(), Limits(seconds=20, memory=8 * 2**20), Goal(decide=False))
    assert answer.status is Status.MEMORY_LIMIT
    assert answer.peak_memory > 8 * 2**20


@st.composite
def small_milp(draw: st.DrawFn) -> Program:
    """Up to 4 binaries and 3 bounded reals, dyadic data, so that ties are exact ties."""
    n_binary, n_real = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    quarter = st.integers(-12, 12).map(lambda v: v / 4)
    b = ProgramBuilder()
    z = b.columns("z", "phase", np.arange(n_binary), np.zeros(n_binary), np.ones(n_binary), kind=Kind.BINARY)
    x = b.columns("x", "value", np.arange(n_real), np.full(n_real, -2.0), np.full(n_real, 2.0))
    t = b.columns("q", "margin", np.arange(1), np.array([-64.0]), np.array([64.0]))
    ids = np.concatenate([z, x])
    for i in range(draw(st.integers(1, 4))):
        data = np.array(draw(st.lists(quarter, min_size=len(ids), max_size=len(ids))))
        soft = i == 0 or draw(st.booleans())
        low = np.array([draw(quarter)])
        high = np.array([np.inf]) if soft or draw(st.booleans()) else low + abs(draw(quarter))
        columns, values = (np.append(ids, t), np.append(data, 1.0)) if soft else (ids, data)
        kept = values != 0
        ends = np.array([0, int(kept.sum())])
        b.rows(RowBlock(values[kept], columns[kept], ends, low, high, Tag.CONCLUSION, f"row {i}"))
    return b.build(objective=int(t[0]))


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(small_milp())
def test_lanes_agree(program: Program) -> None:
    answers = {name: find(name).solve(program, Limits(seconds=300), Goal(decide=False)) for name in FLOAT}
    first = answers["highs"]
    assert first.status in (Status.OPTIMAL, Status.INFEASIBLE)
    for name, answer in answers.items():
        assert answer.status is first.status, (name, answer.raw, answer.message)
        if first.status is Status.OPTIMAL:
            assert abs(answer.objective - first.objective) <= 1e-5, name
            assert answer.bound <= first.objective + answer.tau, name
    if "z3" in HERE and (first.status is Status.INFEASIBLE or abs(first.objective) > 1e-5):
        violated = first.status is Status.OPTIMAL and first.objective < 0
        exact = find("z3").solve(program, Limits(seconds=300), Goal())
        assert exact.status is (Status.SAT if violated else Status.UNSAT)
        assert (exact.exact_point is not None) == violated


@settings(deadline=None, max_examples=15)
@given(small_milp())
def test_deciding_agrees_with_optimising(program: Program) -> None:
    for name in ("highs", "gurobi"):
        if name in HERE:
            best = find(name).solve(program, Limits(seconds=20), Goal(decide=False))
            sign = find(name).solve(program, Limits(seconds=20), Goal(decide=True))
            assert sign.bound <= best.objective + 1e-6
            assert sign.objective >= best.objective - 1e-6
            if sign.status is Status.TARGET:
                assert sign.bound > Goal().above or sign.objective < Goal().below


@pytest.mark.parametrize("name", ["gurobi", "pyomo:gurobi"])
def test_licence_refusal_is_read_and_names_lanes_that_fit(name: str) -> None:
    need(name)
    b = ProgramBuilder()
    x = b.columns("x", "value", np.arange(2001), np.zeros(2001), np.ones(2001), kind=Kind.BINARY)
    b.rows(RowBlock(np.ones(2001), x, np.array([0, 2001]), np.ones(1), np.ones(1), Tag.NETWORK, "one"))
    program = b.build(objective=0)
    answer = naming_others(find(name).solve(program, Limits(seconds=20), Goal()), program)
    if answer.status is Status.OPTIMAL:
        pytest.skip("this Gurobi licence has no size limit")
    assert answer.status is Status.LICENSE
    assert answer.raw == "error 10010"
    assert "2001 columns" in answer.message
    assert "highs" in answer.message
    assert "gurobi," not in answer.message.split("Lanes that fit:")[1]


def test_glpk_is_found_without_a_path() -> None:
    need("glpk")
    code = """
from nnsym.solvers.registry import find
from nnsym.solvers.base import Limits, Goal
from nnsym.testing.check_solver import check_solver
lane = find("glpk")
assert lane.availability().available
check_solver(lane, names=["lp", "binaries"])
"""
    paths = os.pathsep.join(p for p in sys.path if p)
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", "PYTHONPATH": paths, "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_killing_a_worker_kills_glpsol() -> None:
    need("glpk")
    worker, found = Worker(), list[int]()
    payload = GlpkJob(program=market_split(), goal=Goal(decide=False), seed=0, memory=2**32)
    job = Job(module="nnsym.solvers.glpk", payload=payload, seconds=60.0)
    thread = threading.Thread(target=lambda: worker.run(job))
    thread.start()
    for _ in range(1500):
        found = memory.children(worker.pid)
        if living(found):  # the first may be glpsol that is asked for its version, and gone
            time.sleep(0.2)
            if living(found):
                break
        time.sleep(0.02)
    assert living(found), "glpsol runs"
    os.kill(worker.pid, 9)
    thread.join()
    assert wait_until_gone([worker.pid, *found])


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"unknown solver 'cplex'.*Known: highs, gurobi.*installed here: highs"):
        find("cplex")


class Guarded:
    name = "guarded"
    emits = frozenset({Feature.ROWS, Feature.IMPLICATIONS})


def test_a_pair_that_does_not_fit_names_those_that_do() -> None:
    with pytest.raises(UnsupportedError, match=r"'highs' does not take implications.*fit 'guarded': (z3|cvc5|gurobi)"):
        check_fits(Guarded(), "highs")
    if "z3" in HERE:
        check_fits(Guarded(), "z3")


def test_the_table_of_solvers_imports_none_of_them() -> None:
    code = """
import sys
from nnsym.solvers.registry import solver_table
rows = solver_table()
heavy = {"highspy", "gurobipy", "z3", "pyomo", "pyscipopt", "scipy", "torch"} & set(sys.modules)
assert not heavy, heavy
"""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    rows = {row.name: row for row in solver_table()}
    assert set(rows) == set(lanes())
    assert "2000" in rows["gurobi"].availability.licence
    assert rows["z3"].exact
    assert all(row.availability.version or row.availability.remedy for row in rows.values())
