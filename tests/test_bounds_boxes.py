"""Domains of several boxes: covered, without repetition, and bounded one by one."""

import numpy as np
import pytest

from nnsym.bounds.domains import domain_boxes, domain_margin, exact_boxes
from nnsym.ir.domain import Box
from nnsym.ir.formula import And, Atoms, InBox, Or, conjunction
from nnsym.ir.node import new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import absolute

X = new_input("x", 2)
SOFT = Atoms(np.array([0]), False, True)


def inside(lower, upper):
    return InBox(X, np.array(lower), np.array(upper))


def query(formula, rows=None):
    rows = Rows.of(X).combine(np.array([[1.0, 1.0]])) if rows is None else rows
    return Query("q", {X: Box(-np.full(2, 4.0), np.full(2, 4.0))}, rows, formula)


LEFT, RIGHT = inside([-4.0, 0.0], [-3.0, 1.0]), inside([3.0, 0.0], [4.0, 1.0])


def test_boxes_inside_or_become_boxes():
    found = domain_boxes(query(And((Or((And((LEFT, SOFT)), And((RIGHT, SOFT)), And((LEFT, SOFT)))), SOFT))))
    assert sorted(tuple(case[X][0]) for case in found) == [(-4.0, 0.0), (3.0, 0.0)]


def test_conjunctions_meet_and_empty_ones_vanish():
    found = exact_boxes(query(And((Or((LEFT, RIGHT)), inside([2.0, -1.0], [9.0, 0.5])))))
    assert len(found) == 1
    np.testing.assert_array_equal(found[0][X].lower, [3.0, 0.0])
    np.testing.assert_array_equal(found[0][X].upper, [4.0, 0.5])
    assert exact_boxes(query(And((LEFT, RIGHT)))) == []


def test_a_branch_without_box_covers_everything():
    found = exact_boxes(query(Or((LEFT, SOFT))))
    assert len(found) == 1
    np.testing.assert_array_equal(found[0][X].lower, [-4.0, -4.0])


def test_too_many_boxes_become_their_hull():
    many = Or(tuple(inside([k / 10, 0.0], [k / 10, 1.0]) for k in range(10)))
    assert len(exact_boxes(query(many), limit=10)) == 10
    found = exact_boxes(query(many), limit=9)
    assert len(found) == 1
    np.testing.assert_array_equal(found[0][X].upper, [0.9, 1.0])


@pytest.mark.parametrize("method", ["ibp", "crown"])
def test_boxes_decide_what_the_hull_does_not(method):
    rows = Rows.of(pointwise(absolute(), X)).take([0]) - Rows.constants([2.5])  # |x0| >= 2.5 holds on both boxes
    q = query(conjunction(Or((LEFT, RIGHT)), SOFT), rows)
    lower, hull = domain_margin(q, method)
    assert hull.rows.lower[0] == pytest.approx(-2.5)
    assert lower == pytest.approx(0.5)
    assert domain_margin(query(And((LEFT, RIGHT, SOFT))), method)[0] == np.inf
