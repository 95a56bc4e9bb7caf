"""Balls of the norms 1 and 2: part of the domain at the top level of ``where``, rows elsewhere."""

from __future__ import annotations

import pickle
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms, InBox, leaves
from nnsym.ir.node import Pointwise, Product
from nnsym.replay.points import cast_inward


@pytest.mark.parametrize("p", [1, 2])
def test_a_ball_at_the_top_of_where_is_part_of_the_domain_exactly(p: int) -> None:
    x = nn.Variable(2, name="x")
    near = nn.ball(x, ["0.1", 0], "0.3", p=p, within=(0, 1))
    query = nn.forall(x, where=near & (x[0] >= x[1]), then=x[0] <= 1).query
    (ball,) = query.balls[x.input]
    assert (list(ball.centre), ball.radius, ball.p) == ([Fraction(1, 10), 0], Fraction(3, 10), p)
    assert list(query.boxes[x.input].lower) == [0, 0]
    assert list(query.boxes[x.input].upper) == [Fraction(4, 10), Fraction(3, 10)]
    assert len(query.rows) == 2
    assert not any(isinstance(node, (Pointwise, Product)) for node in query.nodes)
    edge = {x.input: to_fractions([Decimal("0.4"), 0])}
    assert query.inside(query.values(edge, exact=True))
    beyond = {x.input: to_fractions([Decimal("0.4") - Decimal("0.1"), Decimal("0.3")])}
    assert not query.inside(query.values(beyond, exact=True))


def test_a_norm_compared_with_a_number_is_the_same_ball() -> None:
    x = nn.Variable((2, 2), name="x")
    centre = np.arange(4.0).reshape(2, 2)
    for where in (nn.norm(x - centre, 2) <= 0.5, nn.norm(centre.T - x.T, 2) <= 0.5, nn.norm(x - centre) <= 0.5):
        query = nn.forall(x, where=where, then=x[0, 0] <= 9).query
        (ball,) = query.balls[x.input]
        assert (ball.centre.tolist(), ball.radius, ball.p) == ([0, 1, 2, 3], Fraction(1, 2), 2)
        assert query.boxes[x.input].upper.tolist() == [0.5, 1.5, 2.5, 3.5]
    strict = nn.forall(x, where=nn.norm(x, 2) < 1, then=x[0, 0] <= 9)
    assert strict.query.balls
    assert strict([[1, 0], [0, 0]])
    assert not strict.query.inside(strict.query.values({x.input: np.ones(4)}))


@pytest.mark.parametrize("p", [1, 2])
def test_inside_a_disjunction_it_is_a_box_and_a_row(p: int) -> None:
    x = nn.Variable(2, name="x")
    where = nn.ball(x, 0, 1, p=p) | nn.ball(x, [5, 0], "0.5", p=p)
    prop = nn.forall(x, where=where, then=x[0] + x[1] <= "1.2")
    assert not prop.query.balls
    kinds = [type(leaf) for leaf in leaves(prop.query.formula)]
    assert kinds.count(InBox) == 2
    assert kinds.count(Atoms) == 3
    assert (prop.query.boxes[x.input].lower.tolist(), prop.query.boxes[x.input].upper.tolist()) == ([-1, -1], [5.5, 1])
    assert prop(np.array([1.0, 0.75]))  # in the box of the first ball, in neither ball
    assert prop([0.5, 0.5])
    assert not prop([5.25, 0.25])


def test_parts_of_an_input_and_outputs_are_rows() -> None:
    x = nn.Variable(3, name="x")
    for term in (x[:2], 2 * x, nn.concat(x, x)):
        query = nn.forall(x, where=nn.box(x, -9, 9) & nn.ball(term, 0, 1, p=2), then=x[0] <= 1).query
        assert not query.balls
        assert len(query.rows) > 1


def test_hash_text_and_pickle_hold_the_ball() -> None:
    x = nn.Variable(2, name="x")

    def prop(eps: object, p: object) -> nn.Property:
        return nn.forall(x, where=nn.ball(x, 0, eps, p=p), then=x[0] <= 1, name="p")

    assert len({prop(1, 1).hash, prop(1, 2).hash, prop(1, np.inf).hash, prop(2, 2).hash}) == 4
    query = pickle.loads(pickle.dumps(prop("1/3", 2).query))
    assert query.hash == prop("1/3", 2).hash
    assert nn.parse(nn.dumps(prop("1/3", 2))).hash == query.hash


def test_a_negative_radius_and_several_radii() -> None:
    x = nn.Variable(2, name="x")
    assert nn.forall(x, where=nn.box(x, 0, 1) & (nn.norm(x) <= -1), then=x[0] > 5)([0.5, 0.5])
    assert not nn.forall(x, where=nn.box(x, 0, 1) & (nn.norm(x) > -1), then=x[0] > 5)([0.5, 0.5])
    with pytest.raises(nn.NnsymError, match="one eps"):
        nn.ball(x, 0, [1, 2], p=2)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([1, 2]), st.sampled_from(["float32", "float64", "exact"]))
def test_points_are_moved_into_the_ball_in_every_arithmetic(seed: int, p: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    x, eps = nn.Variable(4, name="x"), Fraction(int(rng.integers(1, 400)), 300)
    centre = [Fraction(int(k), 10) for k in rng.integers(0, 11, size=4)]
    query = nn.forall(x, where=nn.ball(x, centre, eps, p=p, within=(0, 1)), then=x[0] <= 9).query
    far = rng.normal(size=(3, 4)) * 3
    moved = query.move_inside({x.input: far})[x.input]
    for start, near in zip(far, moved, strict=True):
        assert query.inside({x.input: near})
        cast: Any = cast_inward(start, query.boxes[x.input], dtype, x.input.integer, query.balls[x.input])
        assert query.inside({x.input: cast})
        assert dtype == "exact" or cast.dtype == dtype
        distance = np.linalg.norm(np.clip(start, 0, 1) - cast.astype(float))
        assert distance <= np.linalg.norm(np.clip(start, 0, 1) - near) * 1.01 + 1e-3


def test_a_point_of_the_ball_stays_where_it_is() -> None:
    ball = nn.forall(x := nn.Variable(2, name="x"), where=nn.ball(x, 0, 5, p=2), then=x[0] <= 9).query.balls[x.input]
    box, whole = Box(np.full(2, -9.0), np.full(2, 9.0)), np.zeros(2, dtype=bool)
    for dtype in ("float32", "float64", "exact"):
        assert cast_inward(np.array([3.0, 4.0]), box, dtype, whole, ball).tolist() == [3, 4]  # on the sphere, exactly
        outside = cast_inward(np.array([3.0, 4.0 + 2.0**-10]), box, dtype, whole, ball)
        assert outside is not None
        assert ball[0].contains(outside)
