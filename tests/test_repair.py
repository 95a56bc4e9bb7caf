"""Points that satisfy rows exactly beside points that miss them by rounding, and what is made of them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed import mixed_problem
from stored import random_layers, stored_mlp

import nnsym as nn
from nnsym.ir.exact import to_fractions
from nnsym.ir.rational.nearby import ExactRow, nearby
from nnsym.ir.tangent import tangent
from nnsym.judge.repair import repaired
from nnsym.lang.statements.objective import objective
from nnsym.results.result import Verdict


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_a_point_that_misses_rows_by_rounding_is_put_onto_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    exact = [Fraction(int(v), 7) for v in rng.integers(-20, 21, n)]  # no float satisfies what it satisfies
    rows = []
    for k in range(int(rng.integers(1, n + 3))):
        line = {j: Fraction(int(a)) for j, a in enumerate(rng.integers(-9, 10, n)) if a}
        rows.append(ExactRow(line, -sum((a * exact[j] for j, a in line.items()), Fraction(0)), equation=k == 0))
    start = [Fraction(float(v)) for v in exact]
    found = nearby(rows, start, [Fraction(-3)] * (n - 1) + [-np.inf], [Fraction(3)] * n)
    assert found is not None
    assert not any(row.missed(found) for row in rows)
    assert all(-3 <= v <= 3 for v in found[:-1])
    assert max(abs(a - b) for a, b in zip(found, start, strict=True)) < 1e-6


def test_whole_numbers_stay_and_what_cannot_be_met_is_not() -> None:
    row = ExactRow({0: Fraction(2), 1: Fraction(3)}, Fraction(-1), equation=True)
    assert nearby([row], [Fraction(1), Fraction(0)], [1, -9], [1, 9]) == [1, Fraction(-1, 3)]
    assert nearby([row], [Fraction(1), Fraction(0)], [1, 0], [1, 9]) is None
    inside = ExactRow({0: Fraction(1)}, Fraction(-1), slack=Fraction(1, 8))
    assert nearby([inside], [Fraction(1)], [-np.inf], [np.inf]) == [Fraction(7, 8)]


def test_rows_that_broke_join_in() -> None:
    """The equation moves the column with most room, which then breaks the inequality: both have to hold."""
    first = ExactRow({0: Fraction(1), 1: Fraction(1)}, Fraction(-1), equation=True)
    second = ExactRow({0: Fraction(1), 1: Fraction(-3)}, Fraction(1))
    found = nearby([first, second], [Fraction(1, 2), Fraction(1, 2) - Fraction(1, 10**9)], [0, 0], [1, 1])
    assert found is not None
    assert not first.missed(found)
    assert not second.missed(found)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_the_tangent_is_the_row_where_no_activation_changes_its_piece(seed: int) -> None:
    x = nn.Variable(3)
    y = nn.zoo.random_mlp(seed, widths=(3, 6, 4))(x)
    some = objective(nn.max(y[:2]) + nn.abs(y)[2] - nn.clip(y[3], -1, 1) + x[0] / 3)
    rng = np.random.default_rng(seed)
    point = {some.inputs[0]: rng.normal(size=3)}
    parts, constant = tangent(some.rows, some.values(point))
    for step in (0.0, 2.0**-40):
        exact = to_fractions(point[some.inputs[0]] + step)
        value = some.rows.value(some.values({some.inputs[0]: exact}, exact=True))
        assert (parts[some.inputs[0]] @ exact + constant == value).all()


@pytest.mark.parametrize("seed", [3, 19, *(pytest.param(k, marks=pytest.mark.slow) for k in (13, 29, 44, 55))])
@pytest.mark.parametrize("method", [None, "bigm"])
def test_mixed_integer_optima_are_attained(seed: int, method: str | None) -> None:
    term, where = mixed_problem(seed)
    found = nn.minimize(term, method, where=where)
    assert found.gap <= 2e-6 * max(1.0, abs(found.upper)), found
    assert found.point is not None
    values = {x: found.point.inputs[x.name].ravel() for x in found.query.inputs}
    assert found.query.margin(found.query.values(values, exact=True), up=True) == found.upper


def test_a_stored_model_meets_an_equation_in_its_own_numbers() -> None:
    f = stored_mlp(random_layers(3, 3, 6, 2), "f")
    x = nn.Variable(3)
    found = nn.minimize(f(x)[0, 0], where=nn.box(x, 0, 1) & (x[0] + x[1] + x[2] == 1))
    assert found.gap <= 1e-5, found
    assert found.point is not None
    assert found.point.replayed_by == "onnxruntime"
    assert sum(to_fractions(found.point.inputs["x"].ravel())) == 1


def test_the_part_of_a_disjunction_that_is_nearest_is_repaired() -> None:
    x = nn.Variable(2)
    third = Fraction(1, 3)
    query = objective(x[0], nn.box(x, -1, 1) & ((x[0] + x[1] == third) | (x[0] - x[1] >= 1)))
    start = {query.inputs[0]: np.array([1.0, 1 / 3 - 1.0])}
    points = list(repaired(query, start, conclusion=False))
    assert points
    for point in points:
        a, b = point[query.inputs[0]]
        assert a + b == third or a - b >= 1


def test_a_strict_row_is_met_strictly_and_a_ball_from_inside() -> None:
    x = nn.Variable(2)
    strict = nn.minimize(-x[0] - x[1], "bigm", where=nn.box(x, -1, 1) & (x[0] + x[1] < Fraction(1, 3)))
    assert -Fraction(1, 3) < Fraction(strict.upper) < -0.33333
    assert strict.gap < 3e-6
    where = nn.ball(x, [0, 0], 1, p=2) & (x[0] + x[1] == Fraction(1, 3))
    assert nn.minimize(x[0] - x[1], where=where).gap < 1e-3


@pytest.mark.parametrize("solver", ["highs", "gurobi"])
def test_a_violation_on_an_equation_is_confirmed_without_another_solver(solver: str) -> None:
    try:
        method = nn.milp("bigm", solver=solver)
        f = nn.zoo.random_mlp(5, widths=(3, 6, 2))
        x = nn.Variable(3)
        where = nn.box(x, 0, 1) & (x[0] + Fraction(7, 10) * x[1] + x[2] / 3 == Fraction(4, 5))
        least = nn.minimize(f(x)[0], method, where=where)
        found = nn.verify(nn.forall(x, where=where, then=f(x)[0] >= least.upper + 1e-4), method)
    except nn.SolverUnavailableError as error:
        pytest.skip(str(error))
    assert found.status is Verdict.FALSIFIED
    assert found.reason == "counterexample replayed"
