"""The counter-search: slopes, projection into every kind of domain, and never below what is exact."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neurons import query_of
from random_properties import nested_query

import nnsym as nn
from nnsym.bounds.points.attack import descend, search
from nnsym.bounds.points.starts import project, spread, starts
from nnsym.bounds.points.tape import Tape, standing
from nnsym.errors import InputError
from nnsym.ir.domain import Ball, Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms, InBox, Or, conjunction, disjunction
from nnsym.ir.linear import Dense
from nnsym.ir.node import Input, affine, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import absolute
from nnsym.testing.random_nets import KINDS, SMOOTH_KINDS, random_network, random_query

CLOSE = np.array([0])


@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from((*KINDS, *SMOOTH_KINDS)), seed=st.integers(0, 10**6))
def test_slopes_are_differences_of_the_row_that_decides(kind: str, seed: int) -> None:
    query = random_query(random_network(kind, seed), seed)
    tape, rng = Tape(query), np.random.default_rng(seed)
    at = {x: rng.uniform(*query.boxes[x].inner, (3, x.size)) for x in query.inputs}
    values, here = tape.run(at)
    s = query.rows.value(query.values(at))
    for k in range(3):
        score = query.margin({n: v[k] for n, v in query.values(at).items()})
        assert here.score[k] == pytest.approx(score, abs=1e-9) or score == here.score[k]
    slopes, step = tape.slopes(values, here.row), 2.0**-24
    for x in query.inputs:
        for i in range(x.size):
            moved = {**at, x: at[x] + step * np.eye(x.size)[i]}
            rise = (query.rows.value(query.values(moved)) - s) / step
            back = (s - query.rows.value(query.values({**at, x: at[x] - step * np.eye(x.size)[i]}))) / step
            for k in np.flatnonzero(here.row >= 0):
                ends = sorted((rise[k, here.row[k]], back[k, here.row[k]]))  # at a kink, one of two slopes
                assert ends[0] - 1e-4 <= slopes[x][k, i] <= ends[1] + 1e-4


def test_products_and_the_row_of_a_nested_formula() -> None:
    x = new_input("x", 2)
    rows = Rows.of(product(x, affine(((Dense([[0.0, 1.0], [1.0, 0.0]]), x),))))  # x0 x1, twice
    query = query_of(product(x, x), {x: [-1, -1]}, {x: [1, 1]})
    tape = Tape(query)
    values, here = tape.run({x: np.array([[0.5, -0.25]])})
    np.testing.assert_array_equal(here.row, [1])  # x1^2 is the least
    np.testing.assert_array_equal(tape.slopes(values, here.row)[x], [[0.0, -0.5]])
    formula = disjunction(conjunction(_atom(0), _atom(1, every=False)), _atom(0, soft=False))
    found = standing(replace(query, rows=rows, formula=formula), np.array([[0.5, 1.0], [2.0, 1.0], [-1.0, 3.0]]), {})
    np.testing.assert_array_equal(found.score, [1.0, 2.0, -np.inf])
    np.testing.assert_array_equal(found.row[:2], [1, 0])


def _atom(row: int, *, soft: bool = True, every: bool = True) -> Atoms:
    return Atoms(np.array([row]), strict=False, soft=soft, every=every)


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**16), tight=st.booleans())
def test_never_below_the_oracle_and_replay_agrees(kind: str, seed: int, tight: bool) -> None:
    query = nested_query(random_network(kind, seed, width=3), seed, tight=tight, max_unstable=20)
    least = minimum_margin(query, max_unstable=20).margin
    found = search(query, restarts=12, steps=30)
    assert (np.diff(found.margin[np.isfinite(found.margin)]) >= 0).all()
    for k in range(min(3, len(found))):
        exact = query.margin(query.values({x: to_fractions(v) for x, v in found[k].items()}, exact=True))
        assert exact >= float(least)
        if np.isfinite(found.margin[k]):
            assert exact == np.inf or exact == pytest.approx(found.margin[k], abs=1e-9)  # strict rows at 0 apart
    result = nn.verify(query, nn.attack(restarts=12, steps=30))
    assert result.status in ("falsified", "unknown")
    assert result.upper >= float(least)
    assert result.lower == -np.inf


@pytest.mark.slow
def test_it_finds_most_violations_of_random_nets() -> None:
    found = violated = 0
    for seed in range(40):
        query = random_query(random_network(KINDS[seed % len(KINDS)], seed), seed)
        if minimum_margin(query).margin < -(2.0**-8):
            violated += 1
            found += nn.verify(query, "attack").status == "falsified"
    assert violated >= 15
    assert found == violated


def needle(*, width: float, at: float = 0.75) -> Query:
    """|x - at| - width > 0 on [-1, 1], which fails near one point only."""
    x = new_input("x", 1)
    rows = Rows.of(pointwise(absolute(), affine(((Dense([[1.0]]), x),), [-at]))) - Rows.constants([width])
    return Query("needle", {x: Box(-np.ones(1), np.ones(1))}, rows, Atoms(CLOSE, strict=False, soft=True))


def test_steps_go_where_samples_do_not() -> None:
    query = needle(width=1e-6)
    assert search(query, restarts=4, steps=0).margin[0] > 0
    assert search(query, restarts=4, steps=60).margin[0] <= 0
    assert nn.verify(query, nn.attack(restarts=4, steps=60)).status == "falsified"
    outcome = nn.verify(needle(width=-0.5), "attack")
    assert (outcome.status, outcome.reason) == ("unknown", "inconclusive")
    assert outcome.upper == pytest.approx(0.5, abs=1e-6)


def test_every_box_of_a_disjunction_is_searched() -> None:
    """The violation lies in the last of 20 thin boxes; a search of the hull alone would meet none of them."""
    x = new_input("x", 4)
    boxes = tuple(InBox(x, np.full(4, k / 20), np.full(4, k / 20 + 2.0**-20)) for k in range(20))
    rows = -Rows.of(x).take([0]) + Rows.constants([0.94])
    query = Query("thin", {x: Box(np.zeros(4), np.ones(4))}, rows, conjunction(Or(boxes), _atom(0)))
    found = search(query, restarts=20, steps=5)
    assert found.margin[0] == pytest.approx(-0.01, abs=1e-5)
    assert np.isfinite(found.margin).all()
    assert nn.verify(query, nn.attack(restarts=20, steps=5)).status == "falsified"


def test_outside_the_precondition_it_is_approached_first() -> None:
    """x0 + x1 >= 1.9 holds in a corner of the box; the search walks there, then down to the least margin inside."""
    x = new_input("x", 2)
    rows = Rows.of(x).combine(np.array([[-1.0, -1.0], [1.0, 0.0]])) + Rows.constants([1.9, 0.0])
    query = Query("corner", {x: Box(np.zeros(2), np.ones(2))}, rows, conjunction(_atom(0, soft=False), _atom(1)))
    centre = {x: np.full((1, 2), 0.5)}
    assert descend(query, centre, steps=0).margin[0] == np.inf
    assert descend(query, centre, steps=100).margin[0] < 1.0
    assert search(query, restarts=20, steps=100).margin[0] == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("p", [1, 2])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_projection_into_balls_is_the_nearest_point(p: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = new_input("x", 4)
    ball = Ball(rng.normal(size=4), Fraction(3, 4), p)
    query = replace(linear(x, -np.ones(4), p=p), balls={x: (ball,)}, boxes={x: Box(np.full(4, -9.0), np.full(4, 9.0))})
    given = {x: rng.normal(size=(5, 4)) * 2}
    moved = project(query, given, {x: query.boxes[x].inner})[x]
    others = ball.centre + 0.75 * rng.normal(size=(4000, 4)) * rng.random((4000, 1))
    others = others[np.linalg.norm(others - ball.centre, p, axis=1) <= 0.75]
    for before, after in zip(given[x], moved, strict=True):
        assert ball.contains(after)
        assert np.linalg.norm(before - after) <= np.linalg.norm(before - others, axis=1).min() + 1e-9


def linear(x: Input, weight: Any, *, p: int = 2, **domain: Any) -> Query:
    """weight x >= 0 in the unit ball of the norm p around 0."""
    rows = Rows.of(x).combine(np.array([weight]))
    box = domain.get("box", Box(-np.ones(x.size), np.ones(x.size)))
    ball = Ball(np.zeros(x.size), Fraction(1), p)
    return Query("linear", {x: box}, rows, Atoms(CLOSE, strict=False, soft=True), balls={x: (ball,)})


@pytest.mark.parametrize(("p", "least"), [(1, -3.0), (2, -np.sqrt(1 + 4 + 9))])
def test_the_least_margin_in_a_ball_is_the_dual_norm(p: int, least: float) -> None:
    x = new_input("x", 3)
    query = linear(x, [1.0, -2.0, 3.0], p=p)
    found = search(query, restarts=10, steps=100)
    assert found.margin[0] == pytest.approx(least, abs=1e-4)
    assert nn.verify(query, "attack").status == "falsified"


def test_integers_in_boxes_and_balls_stay_whole() -> None:
    x = new_input("x", 3, integer=[True, True, False])
    query = linear(x, [1.0, 1.0, 1.0], p=2, box=Box(np.full(3, -4.0), np.full(3, 4.0)))
    query = replace(query, balls={x: (Ball(np.zeros(3), Fraction(3), 2),)})
    found = search(query, restarts=20, steps=60)
    assert (found.points[x][:, :2] % 1 == 0).all()
    assert found.margin[0] == pytest.approx(-5.0, abs=1e-3)  # (-2, -2, -1); without whole numbers 3 sqrt(3)
    assert nn.verify(query, "attack").status == "falsified"


def test_open_boxes_empty_boxes_and_bad_sizes() -> None:
    x = new_input("x", 1)
    open_box = Box(np.array([-np.inf]), np.array([np.inf]))
    query = Query("open", {x: open_box}, Rows.of(x) + Rows.constants([3.0]), Atoms(CLOSE, strict=False, soft=True))
    assert nn.verify(query, "attack").status == "falsified"
    assert nn.verify(query).method == "portfolio: attack"
    empty = replace(query, boxes={x: Box(np.ones(1), np.zeros(1))})
    assert len(search(empty)) == 0
    with pytest.raises(InputError, match="0 restarts"):
        nn.attack(restarts=0)
    with pytest.raises(InputError, match="no solver"):
        nn.verify(query, "attack", solver="z3")


def test_starts_hold_the_centre_corners_and_random_points() -> None:
    points = spread(np.zeros(3), np.ones(3), count=9)
    np.testing.assert_array_equal(points[0], 0.5)
    assert np.isin(points[2::2], (0.0, 1.0)).all()
    assert not np.isin(points[1::2], (0.0, 1.0)).any()
    x = new_input("x", 2)
    boxes = [{x: Box(np.full(2, low), np.full(2, low + 1.0))} for low in (0.0, 5.0)]
    found = starts(query_of(x, {x: [0, 0]}, {x: [6, 6]}), boxes, count=3)[x]
    np.testing.assert_array_equal(found[[0, 3]], [[0.5, 0.5], [5.5, 5.5]])


def test_the_seed_decides_and_compare_has_a_row() -> None:
    query = random_query(random_network("dense", 3), 3)
    first, again, other = (search(query, restarts=5, steps=3, seed=s) for s in (1, 1, 2))
    for x in query.inputs:
        np.testing.assert_array_equal(first.points[x], again.points[x])
        assert (first.points[x] != other.points[x]).any()
    table = nn.compare(query, ["attack", nn.attack(restarts=3, steps=5), "bigm"])
    least, exact = table.rows[0].result, table.rows[2].result
    assert least is not None
    assert exact is not None
    assert [row.method for row in table.rows] == ["attack", "attack", "bigm"]
    assert not table.rows[0].exact
    assert exact.lower <= least.upper + 1e-6
