"""Certified bounds hold for any multipliers whatever, in exact arithmetic."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.builder import ProgramBuilder, row_block
from nnsym.ir.exact import to_fractions
from nnsym.program import Kind, Program, RowBlock, Tag
from nnsym.solvers.arrays import SMALLEST, LinearModel
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.certify import certify_exact, lower_bound, proves_empty
from nnsym.solvers.lane import resolved
from nnsym.solvers.registry import find

DECIMALS = st.integers(-300, 300).map(lambda v: v / 100)  # 0.1, 0.7: not dyadic, sums round
WILD = st.one_of(DECIMALS, st.floats(-1e9, 1e9), st.sampled_from([0.0, 1e-300, -5e-324, 1e16, 0.1 + 0.2]))


@st.composite
def feasible(draw: st.DrawFn) -> tuple[Program, np.ndarray, np.ndarray]:
    """A program, a point in it (every row holds exactly), and multipliers."""
    n, m = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    numbers = lambda count, s: np.array(draw(st.lists(s, min_size=count, max_size=count)))  # noqa: E731
    x, width = numbers(n, DECIMALS), np.abs(numbers(n, DECIMALS))
    b = ProgramBuilder()
    b.columns("x", "value", np.arange(n), x - width, x + np.abs(numbers(n, DECIMALS)))
    for i in range(m):
        a = numbers(n, DECIMALS)
        value = sum((Fraction(v) * Fraction(float(w)) for v, w in zip(a.tolist(), x, strict=True)), Fraction(0))
        low, high = np.nextafter(float(value), -np.inf), np.nextafter(float(value), np.inf)
        side = draw(st.sampled_from(["low", "high", "both"]))
        ends = (np.array([-np.inf if side == "high" else low]), np.array([np.inf if side == "low" else high]))
        b.rows(RowBlock(a, np.arange(n), np.array([0, n]), *ends, Tag.NETWORK, f"row {i}"))
    return b.build(objective=draw(st.integers(0, n - 1))), x, numbers(m, WILD)


@settings(deadline=None, max_examples=200)
@given(feasible())
def test_any_multipliers_bound_any_feasible_point(case: tuple[Program, np.ndarray, np.ndarray]) -> None:
    program, x, duals = case
    model = LinearModel.of(program)
    assert program.objective is not None
    value = Fraction(float(x[program.objective]))
    bound = lower_bound(model, program.lower, program.upper, duals)
    exact = certify_exact(program, duals)
    assert exact is not None
    assert exact <= value
    assert bound == -np.inf or Fraction(bound) <= value
    assert not proves_empty(model, program.lower, program.upper, duals)


@settings(deadline=None, max_examples=100)
@given(feasible(), st.integers(0, 3))
def test_float_bound_is_below_the_exact_one_and_near_it(case: Any, seed: int) -> None:
    program, _, _ = case
    duals = np.random.default_rng(seed).integers(-3, 4, program.n_rows).astype(float)  # near themselves: one candidate
    model = LinearModel.of(program)
    bound, exact = lower_bound(model, program.lower, program.upper, duals), certify_exact(program, duals)
    assert exact is not None
    assert Fraction(bound) <= exact
    assert exact - Fraction(bound) < Fraction(1, 10**10)


def test_rounding_that_a_plain_evaluation_gets_wrong() -> None:
    """0.1 + 0.2 against 0.3: in floats the reduced cost is 0 or of the wrong sign, exactly it is not."""
    b = ProgramBuilder()
    x = b.columns("x", "value", np.arange(2), np.array([-1e9, -1.0]), np.array([1e9, 1.0]))
    for data in ([0.1, 1.0], [0.2, -1.0], [0.7, 0.0]):
        b.rows(RowBlock(np.array(data), x, np.array([0, 2]), np.zeros(1), np.full(1, np.inf), Tag.NETWORK, "r"))
    program, duals = b.build(objective=0), np.array([1.0, 1.0, 1.0])
    exact = certify_exact(program, duals)
    bound = lower_bound(LinearModel.of(program), program.lower, program.upper, duals)
    plain = 1.0 - (0.1 + 0.2 + 0.7)
    assert plain == 0.0
    assert exact is not None
    assert exact < 0
    assert Fraction(bound) <= exact


def test_farkas_proves_an_empty_program_and_no_other() -> None:
    b = ProgramBuilder()
    x = b.columns("x", "value", np.arange(2), np.zeros(2), np.ones(2))
    b.rows(row_block([(1.0, x[:1]), (1.0, x[1:])], upper=0.5, origin="a"))
    b.rows(row_block([(1.0, x[:1]), (-1.0, x[1:])], lower=0.6, origin="b"))
    model, ray = LinearModel.of(b.build(objective=None)), np.array([-0.5, 0.5])
    assert proves_empty(model, model.lower, model.upper, ray)
    assert proves_empty(model, model.lower, model.upper, -ray), "the sign of a ray is the solver's own"
    assert not proves_empty(model, model.lower, model.upper, np.array([0.5, 0.5]))
    wide = replace(model, row_upper=np.array([0.7, np.inf]))
    assert not proves_empty(wide, wide.lower, wide.upper, ray)


def test_an_unbounded_column_makes_no_bound() -> None:
    b = ProgramBuilder()
    x = b.columns("x", "value", np.arange(1), np.array([-np.inf]), np.array([np.inf]))
    b.rows(row_block([(1.0, x)], lower=0.25, origin="a"))
    program = b.build(objective=0)
    model = LinearModel.of(program)
    assert lower_bound(model, model.lower, model.upper, np.array([0.5])) == -np.inf
    assert certify_exact(program, np.array([0.5])) is None
    assert certify_exact(program, np.array([1.0])) == Fraction(1, 4)


def test_exact_numbers_of_a_program_are_used() -> None:
    """x in [0, 1/3]: the float64 bound is rounded outward, the exact one is not."""
    b = ProgramBuilder()
    third = to_fractions(np.array([Fraction(1, 3)], dtype=object))
    x = b.columns("x", "value", np.arange(1), np.zeros(1), np.array([0.34]), exact=(to_fractions(np.zeros(1)), third))
    t = b.columns("q", "margin", np.arange(1), np.array([-9.0]), np.array([9.0]))
    b.rows(row_block([(1.0, t), (1.0, x)], lower=0.0, origin="a"))
    assert certify_exact(b.build(objective=1), np.array([1.0])) == Fraction(-1, 3)


@pytest.mark.parametrize("lane", ["highs", "gurobi", "glpk", "pyomo:highs"])
def test_tight_margin_is_certified_exactly(lane: str) -> None:
    """The lecture's x + y >= x - y on x in [1, 2], y in [0, 1]: margin exactly 0."""
    if not find(lane).availability().available:
        pytest.skip(f"{lane} is not installed")
    b = ProgramBuilder()
    xy = b.columns("x", "value", np.arange(2), np.array([1.0, 0.0]), np.array([2.0, 1.0]))
    ab = b.columns("s", "pre", np.arange(2), np.array([1.0, 0.0]), np.array([3.0, 2.0]))
    t = b.columns("q", "margin", np.arange(1), np.array([-9.0]), np.array([9.0]))
    b.rows(row_block([(1.0, xy[:1]), (1.0, xy[1:]), (-1.0, ab[:1])], lower=0.0, upper=0.0, origin="x + y"))
    b.rows(row_block([(1.0, xy[:1]), (-1.0, xy[1:]), (-1.0, ab[1:])], lower=0.0, upper=0.0, origin="x - y"))
    b.rows(row_block([(1.0, t), (-1.0, ab[:1]), (1.0, ab[1:])], lower=0.0, origin="margin"))
    answer = find(lane).solve(b.build(objective=int(t[0])), Limits(seconds=20), Goal())
    assert answer.status is Status.OPTIMAL
    assert answer.certified <= 0
    assert answer.certified > -1e-12
    assert answer.certified_exact == 0


def test_tiny_coefficients_widen_their_row() -> None:
    """Solvers drop them on their own; dropped here, no point of the row is lost."""
    b = ProgramBuilder()
    x = b.columns("x", "value", np.arange(3), np.array([-1.0, -1e6, 0.0]), np.array([1.0, 1e6, 1.0]))
    row = np.array([1.0, SMALLEST / 4, 0.0])
    one = np.ones(1)
    b.rows(RowBlock(row, x, np.array([0, 3]), one, one, Tag.NETWORK, "a"))
    model = LinearModel.of(b.build(objective=0))
    assert model.data.tolist() == [1.0]
    reach = Fraction(SMALLEST / 4) * 10**6
    assert Fraction(float(model.row_lower[0])) <= 1 - reach
    assert Fraction(float(model.row_upper[0])) >= 1 + reach
    assert model.row_upper[0] < 1 + 1.1 * float(reach)


@given(st.lists(st.tuples(st.floats(-SMALLEST, SMALLEST, exclude_min=True, exclude_max=True), WILD, WILD), max_size=8))
def test_tiny_terms_that_cancel_lose_no_point_either(terms: list[tuple[float, float, float]]) -> None:
    """``0 <= x_0 + sum a x <= 0``: in exact arithmetic nothing of what the terms can be is missing, and hardly more."""
    b = ProgramBuilder()
    data, *ends = (np.array([v, *(t[k] for t in terms)]) for k, v in enumerate((1.0, 0.0, 0.0)))
    x = b.columns("x", "value", np.arange(len(data)), np.minimum(*ends), np.maximum(*ends))
    b.rows(RowBlock(data, x, np.array([0, len(x)]), np.zeros(1), np.zeros(1), Tag.NETWORK, "a"))
    model = LinearModel.of(b.build(objective=0))
    products = [sorted(Fraction(a) * Fraction(v) for v in pair) for a, *pair in terms]
    least, most = (sum((pair[k] for pair in products), Fraction(0)) for k in (0, 1))
    near = sum((max(map(abs, pair)) for pair in products), Fraction(0)) / 2**48 + Fraction(1, 2**1000)
    assert model.data.tolist() == [1.0]
    assert -most - near <= Fraction(float(model.row_lower[0])) <= -most
    assert -least <= Fraction(float(model.row_upper[0])) <= -least + near


@pytest.mark.parametrize("small", [1e-9, 5e-10, 1.1e-10])
def test_no_lane_drops_small_coefficients_beside_integers(small: float) -> None:
    """HiGHS did: its bound was ``small`` 2^19 where the optimum is minus that."""
    b = ProgramBuilder()
    x = b.columns("x", "value", np.arange(1), np.zeros(1), np.array([2.0**20]))
    z = b.columns("z", "phase", np.arange(1), np.zeros(1), np.ones(1), kind=Kind.BINARY)
    t = b.columns("q", "margin", np.arange(1), np.array([-9.0]), np.array([9.0]))
    b.rows(row_block([(1.0, t), (small, x), (1.0, z)], lower=1 + small * 2**17, origin="margin"))
    b.rows(row_block([(2.0**-20, x), (1.0, z)], upper=1.25, origin="sum"))
    answer = find("highs").solve(b.build(objective=int(t[0])), Limits(seconds=20), Goal())
    assert answer.bound <= -small * 2**17 + answer.tau


def test_guards_alone_are_disjuncts_and_phases_are_not() -> None:
    b = ProgramBuilder()
    g = b.columns("q", "guard", np.arange(2), np.zeros(2), np.ones(2), kind=Kind.BINARY)
    z = b.columns("r", "phase", np.arange(1), np.zeros(1), np.ones(1), kind=Kind.BINARY)
    b.rows(row_block([(1.0, g[:1]), (1.0, g[1:]), (1.0, z)], lower=1.0, origin="either"))
    program = b.build(objective=None, disjuncts=((g, np.array([1.0, 0.0])), (g, np.array([0.0, 1.0]))))
    assert LinearModel.of(program).disjuncts == ()
    assert LinearModel.of(program.relax()).disjuncts == program.disjuncts


@pytest.mark.parametrize(("largest", "told"), [(9e6, True), (1e7, False), (np.inf, True)])
def test_rows_are_resolved_as_long_as_a_last_place_is_within_the_tolerance(largest: float, told: bool) -> None:
    """Infinite columns say nothing of the size of a term; their bounds are no bounds anyway."""
    b = ProgramBuilder()
    x = b.columns("x", "value", np.arange(2), [-largest / 2, 0.0], [1.0, 1.0])
    b.rows(row_block([(2.0, x[:1]), (-1.0, x[1:])], upper=0.0, origin="2 x_0 <= x_1"))
    assert resolved(b.build(objective=None)) is told
