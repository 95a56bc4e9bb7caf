"""Boxes, balls and bounds written as comparisons: the exact input region."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

import nnsym as nn
from nnsym.ir.formula import And, Atoms, InBox, Or, leaves


def region(x: Any, where: Any) -> tuple[list[Any], list[Any]]:
    box = nn.forall(x, where=where, then=x[0] <= 1000).query.boxes[x.input]
    return list(box.lower), list(box.upper)


@pytest.mark.parametrize("tenth", ["0.1", Decimal("0.1"), Fraction(1, 10)])
def test_decimal_bounds_are_exact(tenth: Any) -> None:
    x = nn.Variable(2)
    assert region(x, nn.box(x, tenth, ["0.3", 1])) == ([Fraction(1, 10)] * 2, [Fraction(3, 10), 1])
    assert region(x, nn.box(x, 0.1, 1))[0] == [0.1, 0.1]
    outer = nn.forall(x, where=nn.box(x, tenth, "0.3"), then=x[0] <= 1).query.boxes[x.input].outer
    assert Fraction(float(outer[0][0])) <= Fraction(1, 10)
    assert Fraction(float(outer[1][0])) >= Fraction(3, 10)


def test_bounds_may_be_open_and_of_any_array_kind() -> None:
    x = nn.Variable((2, 2))
    lower, upper = region_flat(x, nn.box(x, None, torch.tensor([[1.0, 2.0], [3.0, np.inf]])))
    assert lower == [-np.inf] * 4
    assert upper == [1, 2, 3, np.inf]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: nn.box(x, np.inf, np.inf), "lower holds \\+inf, which leaves no number"),
        (lambda x: nn.box(x, [0, 0], [1, -np.inf]), "upper holds -inf, which leaves no number"),
        (lambda x: nn.ball(x, 0, 1, within=(np.inf, None)), "within holds \\+inf"),
        (lambda x: nn.ball(x, 0, "1e400", 2), "beyond 1.8e308"),
        (lambda x: nn.ball(x, ["1e400", 0], 1, 1), "beyond 1.8e308"),
        (lambda x: x[:0].mean(), "mean of nothing"),
    ],
)
def test_what_holds_no_number_is_refused(make: Any, said: str) -> None:
    with pytest.raises(nn.NnsymError, match=said):
        make(nn.Variable(2))


def region_flat(x: Any, where: Any) -> tuple[list[Any], list[Any]]:
    box = nn.forall(x, where=where, then=x.sum() <= 1000).query.boxes[x.input]
    return list(box.lower), list(box.upper)


def test_ball_bounds_are_exact_rationals_cut_to_within() -> None:
    x = nn.Variable(3)
    lower, upper = region(x, nn.ball(x, np.array([0.5, 0.1, 0.0]), 0.03, within=(0, 1)))
    eps, tenth = Fraction(0.03), Fraction(0.1)
    assert [Fraction(v) for v in lower] == [Fraction(1, 2) - eps, tenth - eps, 0]
    assert [Fraction(v) for v in upper] == [Fraction(1, 2) + eps, tenth + eps, eps]


def test_a_sliced_variable_and_comparisons_give_the_same_region() -> None:
    x = nn.Variable(3)
    as_box = region(x, nn.box(x[1:], [0, "0.1"], 2) & nn.box(x[0], -1, 1))
    compared = (
        (x[1] >= 0) & (x[2] >= "0.1") & (x[1:] <= 2)[0] & (np.float64(2) >= x[2]) & (x[0] >= -1) & (2 * x[0] - 1 <= 1)
    )
    assert region(x, compared) == as_box == ([-1, 0, Fraction(1, 10)], [1, 2, 2])
    q = nn.forall(x, where=compared, then=x[0] <= 1000).query
    assert len(q.rows) == 1  # the conclusion only: bounds became the box


def test_strict_bounds_bound_the_box_and_stay_as_atoms() -> None:
    x = nn.Variable(1)
    p = nn.forall(x, where=(x[0] > 0) & (x[0] == "0.5"), then=x[0] <= 0)
    assert list(p.query.boxes[x.input].lower) == [Fraction(1, 2)]
    q = nn.forall(x, where=x[0] > 0, then=x[0] >= 1)
    assert list(q.query.boxes[x.input].lower) == [0]
    assert q([0])  # outside the premise
    assert not q([Fraction(1, 10**30)])


def test_boxes_inside_or_stay_leaves_and_their_hull_is_the_domain() -> None:
    x = nn.Variable(2)
    p = nn.forall(x, where=nn.box(x, 0, 1) | nn.box(x, [2, "2.5"], 3), then=x[0] + x[1] <= 5)
    box = p.query.boxes[x.input]
    assert list(box.lower) == [0, 0]
    assert list(box.upper) == [3, 3]
    assert isinstance(p.query.formula, And)
    found = leaves(p.query.formula)
    assert sum(isinstance(leaf, InBox) for leaf in found) == 2
    assert any(isinstance(part, Or) for part in p.query.formula.parts)
    assert p([2, 2])  # in neither box
    assert not p([3, 3])
    assert p.margin([1.5, 1.5]) == np.inf


def test_a_box_in_the_conclusion_is_soft() -> None:
    x = nn.Variable(2)
    for then, margin in [(nn.box(x, 0, 2), 0.5), (~nn.box(x, 0, 2), -0.5)]:
        p = nn.forall(x, then=then)
        assert all(isinstance(leaf, Atoms) and leaf.soft for leaf in leaves(p.query.formula))
        assert p.margin([0.5, 1]) == margin


def test_one_ball_of_norm_one() -> None:
    x = nn.Variable(3)
    p = nn.forall(x, where=nn.ball(x, [1, 2, 3], "0.5", p=1), then=x[0] >= 1)
    box = p.query.boxes[x.input]
    assert list(box.lower) == [0.5, 1.5, 2.5]
    assert list(box.upper) == [1.5, 2.5, 3.5]
    assert not p([0.5, 2, 3])
    assert p([0.5, 2, 3.25])  # in the box, not in the ball
    query = nn.forall(x := nn.Variable(30), where=nn.ball(x, 0, 1, p=1), then=x[0] <= 1).query
    assert len(query.rows) == 1  # the conclusion's: a ball at the top level of where is part of the domain


def test_a_contradiction_of_boxes_is_an_empty_region_not_an_error() -> None:
    x = nn.Variable(1)
    p = nn.forall(x, where=(x[0] >= 2) & (x[0] <= 1), then=x[0] >= 5)
    assert p.query.empty_box
    assert p([1.5])
