"""Boxes whose exact limits are made late: the next floats, and the limits themselves, are those of rationals."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.ir.domain import Box
from nnsym.ir.exact import round_down, round_up
from nnsym.ir.max_ball import MaxBall, neighbours

FLOATS = (
    st.floats(-1e6, 1e6)
    | st.integers(0, 255).map(lambda k: float(np.float32(k / 255)))
    | st.sampled_from([0.0, -0.0, 5e-324, 1.0, 1.0 + 2.0**-52, 1.0 - 2.0**-53, 2.0**-30, 2.0**52 + 0.5])
)
RADII = (
    st.fractions(0, 2, max_denominator=1000)
    | st.floats(0, 2).map(Fraction)
    | st.sampled_from(
        [Fraction(1, 10), Fraction(8, 255), Fraction(1, 2**1060), Fraction(1, 3**700), 1 + Fraction(1, 2**90)]
    )
)


@settings(deadline=None, max_examples=300)
@given(st.lists(FLOATS, min_size=1, max_size=6), RADII)
def test_neighbours_of_sums_are_those_of_rationals(values: list[float], radius: Fraction) -> None:
    for shift in (radius, -radius):
        exact = np.array([Fraction(v) + shift for v in values], dtype=object)
        down, up = neighbours(np.array(values), shift)
        assert down.tolist() == round_down(exact).tolist()
        assert up.tolist() == round_up(exact).tolist()


@settings(deadline=None, max_examples=200)
@given(st.lists(FLOATS, min_size=1, max_size=6), RADII, st.booleans())
def test_a_reach_is_the_box_of_rationals(values: list[float], radius: Fraction, cut: bool) -> None:
    centre = np.array(values)
    limits = tuple(np.full(len(values), side) for side in ((0.25, 0.75) if cut else (-np.inf, np.inf)))
    below, above = [Fraction(v) - radius for v in values], [Fraction(v) + radius for v in values]
    low = np.array([max(v, Fraction(1, 4)) if cut else v for v in below], dtype=object)
    high = np.array([min(v, Fraction(3, 4)) if cut else v for v in above], dtype=object)
    found, box = MaxBall(centre, radius, (limits[0], limits[1])), Box(low, high)
    assert found.empty == box.empty
    assert (found.lower == low).all()
    assert (found.upper == high).all()
    for mine, other in zip((*found.outer, *found.inner), (*box.outer, *box.inner), strict=True):
        assert mine.tolist() == other.tolist()
    again = pickle.loads(pickle.dumps(found))
    assert (again.lower == low).all()
    for x in (centre, low, np.array([float(v) for v in high])):
        assert found.contains(x) == box.contains(x)


@pytest.mark.parametrize("eps", [0.1, Fraction(1, 10), "8/255"])
def test_a_property_of_a_ball_has_the_hash_of_the_box_that_it_is(eps: object) -> None:
    f = nn.zoo.random_mlp(0, widths=(6, 8, 3))
    x, centre = nn.Variable(6, name="x"), np.linspace(0, 1, 6)
    radius = Fraction(eps) if not isinstance(eps, str) else Fraction(8, 255)
    low = [max(Fraction(v) - radius, Fraction(0)) for v in centre.tolist()]
    high = [min(Fraction(v) + radius, Fraction(1)) for v in centre.tolist()]
    ball = nn.forall(x, where=nn.ball(x, centre, eps, within=(0, 1)), then=f(x)[0] >= f(x)[1])
    box = nn.forall(x, where=nn.box(x, low, high), then=f(x)[0] >= f(x)[1])
    assert ball.query.hash == box.query.hash


def test_an_empty_ball_is_refused_at_its_element() -> None:
    x = nn.Variable(2, name="x")
    with pytest.raises(nn.InputError, match=r"the ball and 'within' leave nothing for x\[1\]"):
        nn.ball(x, [0.5, 2.0], 0.5, within=(0, 1))
