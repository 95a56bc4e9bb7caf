"""Piecewise-linear functions: values, jumps, what an interval leaves of them, and the hull of that."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from nnsym.errors import InputError
from nnsym.ir.check import check
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms, conjunction
from nnsym.ir.functions.pieces import cells, lower_edges, number, profile, steepness
from nnsym.ir.linear import Dense
from nnsym.ir.node import Pointwise, affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.ir.rows import Rows, stack
from nnsym.ir.univariate import Piecewise, clip, hard_tanh, relu6, sign
from tests.pieces import FUNCTIONS, STAIRS, ZIGZAG, critical, functions, intervals, two_hinges

X = np.array([-3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 1.5, 2.0, 7.0])


def test_values():
    np.testing.assert_array_equal(clip(-1.0, 1.5).value(X), np.clip(X, -1, 1.5))
    np.testing.assert_array_equal(sign().value(X), np.sign(X))
    np.testing.assert_array_equal(relu6().value(X), np.clip(X, 0, 6))
    np.testing.assert_array_equal(hard_tanh().value(X), np.clip(X, -1, 1))
    np.testing.assert_array_equal(STAIRS.value(X), [-1.0, -1.0, 0.75, 0.25, 0.25, 2.0, 0.0, -0.5, -5.5])
    np.testing.assert_array_equal(clip(-1.0, 1.5).derivative(X), [0, 0, 1, 1, 1, 1, 1, 0, 0])


@given(functions(rough=True), st.integers(0, 10**6))
def test_values_in_rationals_are_those_of_the_stored_numbers(fn, seed):
    x = critical(fn, -3.0, 3.0)
    found = fn.value(x[:, None])[:, 0]
    for value, point in zip(found, x, strict=True):
        i = sum(Fraction(t) < point for t in fn.breaks[0])
        at = [a for t, a in zip(fn.breaks[0], fn.at[0], strict=True) if Fraction(t) == point]
        line = Fraction(fn.slopes[0, i]) * point + Fraction(fn.offsets[0, i])
        assert value == (Fraction(at[0]) if at else line)


def test_whether_lines_meet_is_decided_in_rationals():
    assert not clip(0.1, 0.7).jumps
    assert not ZIGZAG.jumps
    assert sign().jumps
    assert Piecewise([0.1], [0.0, 3.0], [0.3, 0.0], [0.3]).jumps  # 3 * 0.1 is not the float 0.3
    assert [side.tolist() for side in STAIRS.apart] == [[[False, True, True]], [[True, False, True]]]


def test_elements_may_have_functions_of_their_own():
    fn = clip([-1.0, 0.0], [1.0, 0.5])
    np.testing.assert_array_equal(fn.value(np.array([[-2.0, -2.0], [2.0, 2.0]])), [[-1, 0], [1, 0.5]])
    assert fn.take(np.array([1])).key == clip(0.0, 0.5).key
    x = new_input("x", 3)
    with pytest.raises(InputError, match="breakpoints for 2 of 3"):
        check((pointwise(fn, x),))
    node = pointwise(clip([-1.0, 0.0, 0.1], 1.0), x)
    again = pickle.loads(pickle.dumps(node))
    assert isinstance(again, Pointwise)
    assert again.fn.key == node.fn.key
    assert again.fn.name == "clip"


@pytest.mark.parametrize(
    ("parts", "message"),
    [(([1.0, 0.0], [0, 0, 0], [0, 0, 0], [0, 0]), "increase"), (([0.0], [1.0], [1.0], [0.0]), "lines and values")],
)
def test_what_is_no_function_is_refused(parts, message):
    with pytest.raises(InputError, match=message):
        Piecewise(*parts)


@pytest.mark.parametrize(
    ("name", "low", "high", "left"),
    [
        ("clip", -2, 2, [0, 2, 4]),
        ("clip", -2, 0, [0, 2]),
        ("clip", -2, -1, [0]),
        ("clip", -1, 1.5, [2]),
        ("clip", 1.5, 1.5, [4]),
        ("clip", -np.inf, np.inf, [0, 2, 4]),
        ("sign", -1, 1, [0, 1, 2]),
        ("sign", 0, 1, [1, 2]),
        ("sign", -1, 0, [0, 1]),
        ("sign", 0, 0, [1]),
        ("sign", 1, np.inf, [2]),
        ("stairs", -2, -0.5, [0, 2]),  # the value at -1 is the left line's
        ("stairs", -1, -0.5, [1, 2]),
        ("stairs", -2, -1, [0]),
        ("stairs", -0.5, 0, [2, 3]),  # that at 0 the right line's
        ("stairs", -0.5, 0.5, [2, 4]),
        ("stairs", 0, 0, [4]),
        ("stairs", 1, 1, [5]),
    ],
)
def test_what_an_interval_leaves(name, low, high, left):
    found = cells(FUNCTIONS[name], np.array([float(low)]), np.array([float(high)]))
    assert np.flatnonzero(found.alive[0]).tolist() == left


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_the_cells_are_the_graph(data):
    """The cells that hold a point, without the ends that the closure adds, have its value; among them the one named."""
    fn = data.draw(functions())
    low, high = data.draw(intervals(fn))
    c = cells(fn, *(np.array([Fraction(v)], dtype=object) for v in (low, high)))
    assert 1 <= c.count[0] <= 2 * fn.breaks.shape[1] + 1
    for x in critical(fn, low, high):
        point = np.array([x], dtype=object)
        on = [
            k
            for k in np.flatnonzero(c.alive[0])
            if c.low[0, k] <= x <= c.high[0, k]
            and not (c.open_low[0, k] and x == c.low[0, k])
            and not (c.open_high[0, k] and x == c.high[0, k])
        ]
        values = {c.slope[0, k] * x + c.offset[0, k] for k in on}
        assert values == {fn.value(point)[0]}
        alive = np.flatnonzero(c.alive[0])
        begun = alive[alive <= number(fn, point)[0]]
        assert (begun[-1] if len(begun) else alive[0]) in on
        steep = steepness(fn, *(np.array([Fraction(v)], dtype=object) for v in (low, high)))
        assert all(steep[0][0] <= c.slope[0, k] <= steep[1][0] for k in on)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_the_edges_are_the_envelope(data):
    """At any point the best edge is what the LP over the ends of all cells gives, below and above."""
    fn = data.draw(functions())
    low, high = data.draw(intervals(fn))
    ends = np.array([low]), np.array([high])
    c, points = cells(fn, *ends), profile(fn, *ends)
    alive = np.flatnonzero(c.alive[0])
    x = np.concatenate([c.low[0, alive], c.high[0, alive]])
    y = np.concatenate([c.slope[0, alive] * end[0, alive] + c.offset[0, alive] for end in (c.low, c.high)])
    assert (points.span[0][0], points.span[1][0]) == pytest.approx((y.min(), y.max()), abs=1e-12)
    if high - low < 1e-4:
        return
    at = low + data.draw(st.sampled_from([0.0, 0.2, 0.5, 0.9, 1.0])) * (high - low)
    for sign_, heights in ((1.0, points.low), (-1.0, -points.high)):
        edges = [e for e in lower_edges(points.x, heights) if e.there[0]]
        best = max(float(e.slope[0] * at + e.offset[0]) for e in edges)
        envelope = linprog(sign_ * y, A_eq=np.stack((x, np.ones_like(x))), b_eq=[at, 1.0])
        assert best == pytest.approx(envelope.fun, abs=1e-7)
        assert all(e.start[0] < e.stop[0] for e in edges)


def test_the_oracle_knows_a_clip_as_it_knows_two_hinges():
    rng = np.random.default_rng(3)
    for _ in range(6):
        x = new_input("x", 2)
        h = affine(((Dense(rng.integers(-6, 7, (3, 2)) / 4), x),), rng.integers(-4, 5, 3) / 8)
        out = Dense(rng.integers(-6, 7, (1, 3)) / 4)
        margins = []
        for y in (pointwise(clip(-0.25, 0.5), h), two_hinges(h, -0.25, 0.5)):
            rows, box = Rows.of(affine(((out, y),))), Box(-np.ones(2), np.ones(2))
            query = Query("q", {x: box}, rows, Atoms(np.arange(1), False, True))
            margins.append(minimum_margin(query).margin)
        assert margins[0] == margins[1]


@pytest.mark.parametrize(
    ("low", "high", "least", "closed"),
    [(-1.0, 1.0, -1, -1), (0.0, 1.0, 0, -1), (0.5, 1.0, 1, 1), (0.0, 0.0, 0, -1), (-1.0, 0.0, -1, -1)],
)
def test_the_oracle_tells_a_jump_from_its_closure(low, high, least, closed):
    x = new_input("x", 1)
    box = Box(np.array([low]), np.array([high]))
    query = Query("jump", {x: box}, Rows.of(pointwise(sign(), x)), Atoms(np.arange(1), False, True))
    assert minimum_margin(query).margin == least
    assert minimum_margin(query, closed=True).margin == closed


def test_a_precondition_that_only_touches_an_open_piece_does_not_meet_it():
    """x <= 0 and sign(x) - 1 <= 0: the right piece, where the margin would be 1, begins beyond 0."""
    x = new_input("x", 1)
    rows = Rows.of(x), -Rows.of(pointwise(sign(), x))
    hard, soft = Atoms(np.array([0]), False, False), Atoms(np.array([1]), False, True)
    query = Query("touch", {x: Box(-np.ones(1), np.ones(1))}, stack(rows), conjunction(hard, soft))
    assert minimum_margin(query).margin == 0
    assert minimum_margin(query, closed=True).margin == -1
