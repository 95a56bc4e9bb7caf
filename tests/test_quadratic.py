"""Balls and products on every route: one minimum margin, sound planes, and refusals that say where."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym import demo
from nnsym.bounds.methods import compute
from nnsym.encode.balls import tangents
from nnsym.encode.point import complete, residual
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.errors import UnsupportedError
from nnsym.ir.exact import to_fractions
from nnsym.program import Feature, Program, Tag
from nnsym.results.result import Trust, Verdict
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.outer import GAP, Outer
from nnsym.solvers.registry import find

EVERY = frozenset(Tag)
gurobi = pytest.mark.skipif(not find("gurobi").availability().available, reason="gurobipy is not installed")


def dyadic(sizes: tuple[int, ...], seed: int) -> nn.Network:
    """A ReLU network with weights in sixteenths."""
    rng = np.random.default_rng(seed)
    pairs = pairwise(sizes)
    return nn.sequential(
        [(np.round(rng.normal(size=(b, a)) * 16) / 16, np.round(rng.normal(size=b) * 16) / 16) for a, b in pairs]
    )


def near(p: Any, *, eps: str = "0.7", above: float = 2.0) -> nn.Property:
    """On a 2-8-8-3 network, around a centre and with a radius that no float64 is."""
    f, x = dyadic((2, 8, 8, 3), 1), nn.Variable(2, name="x")
    return nn.forall(x, where=nn.ball(x, ["0.1", 0.25], eps, p=p), then=f(x)[0] >= f(x)[1] - above, name="near")


def program_of(prop: nn.Property, encoding: str) -> Program:
    """The program on bounds of the box alone, so that nothing but its own rows knows of the ball."""
    return encode(prop.query, compute(replace(prop.query, balls={}), "crown"), find_encoding(encoding))


@pytest.mark.parametrize("norms", [(2,), pytest.param((1, 2, np.inf), marks=pytest.mark.slow)])
def test_all_routes_give_the_minimum_margin_of_every_norm(norms: tuple[float, ...]) -> None:
    margins = []
    for p in norms:
        prop = near(p)
        routes = [("bigm", "highs"), ("bigm", "glpk"), ("bigm", "gurobi"), ("indicator", "gurobi"), ("balas", "highs")]
        at_hand = [(e, s) for e, s in routes if find(s).availability().available]
        found = [nn.verify(prop, e, solver=s, optimise=True, shortcut=False) for e, s in at_hand]
        lowest = min(r.upper for r in found)
        for r in found:
            assert (r.status, r.lower) == (Verdict.VERIFIED, pytest.approx(lowest, abs=1e-6)), r
            assert r.lower <= r.upper + 1e-9
        angle, length = (v.ravel() for v in np.meshgrid(np.linspace(0, 7, 200), np.linspace(0, 0.7, 40)))
        ray = np.stack([np.cos(angle), np.sin(angle)])
        points = (np.array([[0.1], [0.25]]) + length * ray / np.linalg.norm(ray, p, axis=0)).T
        sampled = _margins(prop, points)
        assert lowest - 1e-6 <= sampled.min() <= lowest + 0.05
        for shift, verdict in ((1e-6, Verdict.VERIFIED), (-1e-6, Verdict.FALSIFIED)):  # rationals agree on both sides
            shifted = near(p, above=2.0 - lowest + shift)
            assert nn.verify(shifted, "smt", shortcut=False).status is verdict
        margins.append(lowest)
    assert margins == sorted(margins, reverse=True)


def _margins(prop: nn.Property, points: Any) -> Any:
    (x,) = prop.query.inputs
    values = prop.query.values({x: points})
    return prop.query.rows.value(values)[..., 0] if values[x].ndim == 1 else _rows(prop, values)


def _rows(prop: nn.Property, values: Any) -> Any:
    parts = prop.query.rows.parts
    count = len(next(iter(values.values())))
    return np.array([prop.query.rows.value({n: values[n][k] for n in parts})[0] for k in range(count)])


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("encoding", ["bigm", "triangle", "smt", "indicator"])
def test_runs_from_the_ball_satisfy_every_row_exactly_and_no_others_do(p: int, encoding: str) -> None:
    prop = near(p)
    program, x = program_of(prop, encoding), prop.query.inputs[0]
    centre, share = to_fractions([Decimal("0.1"), Decimal("0.25")]), Fraction(7, 10)
    edge = {1: [Fraction(1, 4), Fraction(-3, 4)], 2: [Fraction(-3, 5), Fraction(4, 5)]}[p]  # on the sphere, exactly
    for scale, inside in ((Fraction(1), True), (Fraction(1, 3), True), (Fraction(1) + Fraction(1, 10**12), False)):
        point = {x: centre + share * scale * np.array(edge, dtype=object)}
        worst, origin = residual(program, complete(program, prop.query, point, exact=True))
        assert (worst == 0) == inside, origin


@settings(max_examples=200, deadline=None)
@given(st.floats(-4, 4), st.fractions(-2, 2))
def test_tangents_hold_in_rationals_for_every_float_slope(a: float, u: Fraction) -> None:
    block = tangents(np.array([0]), np.array([1]), np.array([a]), "ball")
    values = {0: u, 1: u * u}
    left = sum(
        (Fraction(c) * values[j] for c, j in zip(block.data.tolist(), block.indices.tolist(), strict=True)), Fraction(0)
    )
    assert left >= Fraction(block.lower[0])
    assert left - Fraction(block.lower[0]) <= (u - Fraction(a)) ** 2 + Fraction(1, 10**14)  # and it touches at a


@pytest.mark.parametrize("n", [10, 20, 40])
@pytest.mark.parametrize("p", [1, 2])
def test_rows_and_columns_are_linear_in_the_dimension_without_binaries(p: int, n: int) -> None:
    """C2: a ball of the norm 1 cut by a half space, in a box."""
    f, x = dyadic((n, 2), n), nn.Variable(n, name="x")
    where = nn.ball(x, 0.5, "0.3", p=p, within=(0, 1)) & (np.ones(n) @ x <= 0.6 * n)
    program = program_of(nn.forall(x, where=where, then=f(x)[0] >= f(x)[1], name="c2"), "bigm")
    assert program.n_binary == 0
    assert program.n_columns <= 3 * n + 8
    assert program.n_rows <= (3 if p == 1 else 5) * n + 8


@pytest.mark.parametrize("n", [3, 20])
def test_rounds_reach_the_dual_norm_in_many_dimensions(n: int) -> None:
    """The least of w x over the ball is ``w c - r |w|``."""
    rng = np.random.default_rng(n)
    weight, x = np.round(rng.normal(size=n) * 64) / 64, nn.Variable(n, name="x")
    prop = nn.forall(x, where=nn.ball(x, 0.5, 0.25, p=2), then=weight @ x >= 0, name="dual")
    program = program_of(prop, "bigm")
    least = 0.5 * weight.sum() - 0.25 * np.linalg.norm(weight)
    lane = Outer(lane=find("highs"))
    answer = lane.solve(program, Limits(), Goal(decide=False))
    assert answer.status is Status.OPTIMAL
    assert answer.outside <= GAP
    assert answer.certified <= least <= answer.certified + 1e-7
    assert "rounds" in answer.message
    first = find("highs").solve(replace(program, quadratics=()), Limits(), Goal(decide=False))
    assert first.objective <= least - 1e-3  # the planes of the encoding alone do not reach it


def test_a_round_that_decides_is_the_last_and_time_leaves_a_bound() -> None:
    program = program_of(near(2), "triangle")
    decided = Outer(lane=find("highs")).solve(program, Limits(), Goal(decide=True, above=1e-6))
    assert "1 rounds" in decided.message
    late = Outer(lane=find("highs")).solve(program, Limits(seconds=1e-9), Goal(decide=False))
    assert late.status is Status.TIME_LIMIT


def test_tangents_pass_to_the_next_case_of_one_program_and_to_no_other() -> None:
    """An exact l2 question of 27 binaries and nine disjuncts ends; each alone used to take its full rounds."""
    from nnsym.solvers.outer import Kept

    balls = program_of(near(2), "triangle").quadratics
    kept, rows = Kept(), program_of(near(2), "triangle").rows
    kept.take(balls, rows)
    assert kept.of(balls) == rows
    assert kept.of(program_of(near(2), "triangle").quadratics) == ()


@pytest.mark.slow
def test_an_l2_question_of_27_binaries_ends() -> None:
    image, label = demo.digit(0)
    p = nn.props.robust(demo.network(), image, label, 0.5, p=2)
    result = nn.verify(p, "bigm", solver="highs", timeout=120)
    assert result.verified
    assert result.sizes.binary == 27


@pytest.mark.parametrize("solver", ["highs", "z3", "gurobi"])
def test_a_counterexample_lies_in_the_true_ball(solver: str) -> None:
    if not find(solver).availability().available:
        pytest.skip(f"{solver} is not installed")
    prop = near(2, above=-2.0)
    result = nn.verify(prop, "smt" if solver == "z3" else "bigm", solver=solver, optimise=solver != "z3")
    assert result.status is Verdict.FALSIFIED
    assert result.counterexample is not None
    point = result.counterexample.inputs["x"]
    assert not prop(point)
    if solver != "z3":
        assert result.upper - result.lower < 1e-6


def bounded(limit: float) -> nn.Property:
    """C10 (iii): a nonlinear precondition."""
    f, x = dyadic((2, 6, 6, 2), 3), nn.Variable(2, name="x")
    where = nn.box(x, [-1, -4], [1, 4]) & (200 * x[0] >= x[1] ** 2) & (x[0] > 0)
    return nn.forall(x, where=where, then=f(x)[0] <= limit, name="nonlinear")


def test_a_nonlinear_precondition_is_decided_and_replayed() -> None:
    routes = [("smt", "z3"), ("bigm", "z3"), ("bigm", "gurobi")]
    for encoding, solver in routes:
        if find(solver).availability().available:
            result = nn.verify(bounded(0.5), encoding, solver=solver, shortcut=False)
            assert (result.status, result.trust) == (
                Verdict.VERIFIED,
                Trust.SOLVER if solver == "gurobi" else Trust.EXACT,
            )
            wrong = nn.verify(bounded(-0.5), encoding, solver=solver)
            assert wrong.status is Verdict.FALSIFIED
            assert wrong.counterexample is not None
            assert not bounded(-0.5)(wrong.counterexample.inputs["x"])
    assert nn.verify(bounded(0.5)).status is Verdict.VERIFIED  # the portfolio finds a lane that takes products
    assert nn.verify(bounded(0.5), "triangle").status is Verdict.UNKNOWN  # McCormick's planes are looser


@pytest.mark.parametrize("solver", ["highs", "glpk", "cbc"])
def test_lanes_without_products_refuse_with_place_and_the_lanes_that_fit(solver: str) -> None:
    here = find(solver).availability()
    if not here.available:
        pytest.skip(f"{solver} is not installed: {here.remedy}")
    with pytest.raises(UnsupportedError, match=r"product_1 of `200 \* x\[0\] >= x\[1\] \*\* 2`") as caught:
        nn.verify(bounded(0.5), "bigm", solver=solver)
    assert f"solver '{solver}' does not take products" in str(caught.value)
    assert "z3" in caught.value.remedy
    assert nn.verify(near(2), "bigm", solver="highs").status is Verdict.VERIFIED  # the same pair, without products


def test_a_boolean_encoding_is_refused_by_lanes_that_optimise() -> None:
    with pytest.raises(UnsupportedError, match="Boolean problems"):
        nn.smt("smt", solver="gurobi")


@gurobi
@pytest.mark.parametrize("suffix", [".lp", ".mps"])
def test_files_hold_the_quadratic_rows_and_the_planes(suffix: str, tmp_path: Path) -> None:
    import gurobipy

    for prop, rows in ((near(2), 1), (bounded(0.5), 1)):
        path = nn.export(prop, tmp_path / f"model{suffix}", encoding="bigm")
        with gurobipy.Env(params={"OutputFlag": 0}) as env, gurobipy.read(str(path), env) as model:
            model.Params.FeasibilityTol = 1e-9
            model.optimize()
            assert model.NumQConstrs == rows
            solved = nn.verify(prop, "bigm", solver="gurobi", optimise=True, shortcut=False)
            assert model.ObjVal == pytest.approx(solved.lower, abs=1e-6)
    text = nn.export(near(2), tmp_path / f"ball{suffix}", encoding="bigm").read_text()
    assert "tangent s >= 2 a u - a^2" in text


def test_smt_text_holds_the_ball_as_a_polynomial(tmp_path: Path) -> None:
    text = nn.export(near(2), tmp_path / "ball.smt2").read_text()
    assert "(set-logic QF_NRA)" in text
    assert "(<= (+ (* |x.ball_1[0].offset| |x.ball_1[0].offset|) (*" in text
    assert "(set-logic QF_LRA)" in nn.export(near(1), tmp_path / "ball.smt2").read_text()
    assert Feature.QUADRATIC in program_of(near(2), "smt").features
