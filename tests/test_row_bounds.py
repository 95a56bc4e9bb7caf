"""Inputs that only rows bound, and inputs that are terms."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import nnsym as nn
from nnsym.ir.check import check_query

F = nn.sequential([([[1, 1], [1, -1]], [0, 0]), ([[1, 1]], [0])], activation="relu", name="f")
X = nn.Variable(2, name="x")
A, B = X[0], X[1]


@pytest.mark.parametrize(
    ("region", "lower", "upper"),
    [
        ([A >= 1, A <= 2, B <= A, B >= -A], [1, -2], [2, 2]),
        ([A + B <= 1, A - B <= 1, B - A <= 1, -A - B <= 1], [-1, -1], [1, 1]),
        ([A + B == 1, A >= 0, B >= 0], [0, 0], [1, 1]),
        ([(A >= 1) | (A >= 2), A <= 3, B <= A, B >= -A], [1, -3], [3, 3]),
        ([((A >= 1) & (A <= 2) & (B == A)) | ((A >= 3) & (A <= 4) & (B == -A))], [1, -4], [4, 2]),
        ([A >= 0, 3 * A <= 1, 3 * B <= A, B >= -2 * A], [0, -2 / 3], [1 / 3, 1 / 9]),
        ([A >= 0, A <= 1, B <= A], [0, -np.inf], [1, 1]),
        ([A <= B, B <= A], [-np.inf] * 2, [np.inf] * 2),
    ],
)
def test_ends(region: list, lower: list, upper: list) -> None:
    query = nn.forall(X, where=region, then=F(X)[0] <= 100).query
    check_query(query)
    (box,) = query.boxes.values()
    low, high = box.outer
    assert np.allclose(low, lower, atol=1e-12)
    assert np.allclose(high, upper, atol=1e-12)
    assert (low <= np.array(lower) + 1e-15).all()
    assert (high >= np.array(upper) - 1e-15).all()


def test_ends_are_rounded_outward() -> None:
    query = nn.forall(X, where=[A >= 0, A <= 1, 3 * B <= A, 3 * B >= -A], then=F(X)[0] <= 100).query
    (box,) = query.boxes.values()
    assert Fraction(box.upper[1]) > Fraction(1, 3) > -Fraction(box.lower[1]) - Fraction(1, 10**15)
    assert Fraction(box.lower[1]) < -Fraction(1, 3)


def test_a_conclusion_bounds_nothing() -> None:
    query = nn.forall(X, where=[A >= 0, A <= 1, B >= 0], then=B <= A).query
    (box,) = query.boxes.values()
    assert box.upper[1] == np.inf


@pytest.mark.parametrize(("limit", "right"), [("1.9", "verified"), ("2.1", "falsified")])
def test_decided(limit: str, right: str) -> None:
    p = nn.forall(X, where=[A >= 1, A <= 2, B <= A, B >= -A], then=F(X)[0] >= limit)
    assert nn.verify(p, timeout=20).status.value == right


G = nn.sequential([([[1, 2], [-1, 1]], [0.5, 0]), ([[1, -1], [1, 1]], [0, 0])], activation="relu", name="g")
H = nn.sequential([([[1, 1]], [0])], name="h")
HEAD = """(vnnlib-version <2.0>)
(declare-network h (declare-input c real [2]) (declare-output d real [1]))
(declare-network g (declare-input x real [2]) (declare-output y real [2]))
(assert (>= x[0] 0.0)) (assert (<= x[0] 1.0)) (assert (>= x[1] 0.0)) (assert (<= x[1] 1.0))
"""


@pytest.mark.parametrize(
    ("lines", "term"),
    [
        ("(assert (== c[0] y[0])) (assert (== y[1] c[1]))", lambda x, y: [y[0], y[1]]),
        (
            "(assert (and (== c[0] (+ y[0] x[1])) (== (* 2.0 y[1]) (- c[1] 1.0))))",
            lambda x, y: [y[0] + x[1], 2 * y[1] + 1],
        ),
        ("(assert (== 0.0 (- y[0] c[0]))) (assert (== c[1] y[0]))", lambda x, y: [y[0], y[0]]),
    ],
)
def test_an_input_that_an_equation_ties_is_the_term(lines: str, term) -> None:
    """The file's networks stand in the other order; the property says the same in the language."""
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1), then=H(nn.concat(term(x, G(x))))[0] <= 3)
    text = HEAD + lines + "(assert (> d[0] 3.0))"
    query = nn.load_vnnlib(text.encode(), networks={"g": G, "h": H})
    check_query(query)
    assert len(query.inputs) == 1
    for point in np.random.default_rng(0).uniform(0, 1, (20, 2)):
        (mine,) = query.inputs
        values = query.values({mine: np.array([Fraction(v) for v in point], dtype=object)}, exact=True)
        assert query.violated(values) == (not p(point))
    mine, theirs = nn.verify(query, "bigm", timeout=20), nn.verify(p, "bigm", timeout=20)
    assert mine.status is theirs.status


@pytest.mark.parametrize(
    "lines",
    [
        "(assert (== x[0] d[0])) (assert (== c[0] y[0])) (assert (<= c[1] 1.0)) (assert (>= c[1] 0.0))",  # a cycle
        "(assert (== (* 3.0 c[0]) y[0])) (assert (== c[1] y[1]))",  # a third is no float64
        "(assert (== c[0] y[0])) (assert (== c[0] y[1])) (assert (== c[1] x[0]))",  # twice
        "(assert (== c[0] (* y[0] y[0]))) (assert (== c[1] x[0]))",  # not linear
    ],
)
def test_equations_that_define_nothing_stay_equations(lines: str) -> None:
    query = nn.load_vnnlib((HEAD + lines + "(assert (> d[0] 3.0))").encode(), networks={"g": G, "h": H})
    check_query(query)
    assert len(query.rows) >= 2
