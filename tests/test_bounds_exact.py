"""Exact margins: tight cases are decided, and the float bound is never above."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.bounds.base import Bounds, Interval
from nnsym.bounds.methods import METHODS, compute, margin
from nnsym.bounds.rational.exact import _Exact, exact_margin
from nnsym.errors import UnsupportedError
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms, InBox, Or, conjunction
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.ir.rows import Rows, stack
from nnsym.ir.smooth_functions import Tanh
from nnsym.ir.univariate import relu
from nnsym.testing.random_nets import KINDS, random_network, random_query


def textbook(fn=None, weight=((1.0, 1.0), (1.0, -1.0)), box=((1.0, 0.0), (2.0, 1.0))):
    """x + y >= x - y on x in [1, 2], y in [0, 1]: the margin is exactly 0."""
    x = new_input("x", 2)
    h = affine(((Dense(np.array(weight)), x),))
    rows = Rows.of(h if fn is None else pointwise(fn, h)).combine(np.array([[1.0, -1.0]]))
    lower, upper = (np.array(v) for v in box)
    return Query("textbook", {x: Box(lower, upper)}, rows, Atoms(np.array([0]), True, True)), h


@pytest.mark.parametrize("method", [m for m in METHODS if m not in ("lipschitz", "bcp")])  # norms are rounded up
@pytest.mark.parametrize("fn", [None, relu()])
def test_the_textbook_margin_is_zero(method, fn):
    query, h = textbook(fn)
    bounds = compute(query, method)
    np.testing.assert_array_equal(bounds[h].lower, [1.0, 0.0])
    np.testing.assert_array_equal(bounds[h].upper, [3.0, 2.0])
    blind = method == "ibp" or (method == "ibp-merged" and fn is not None)  # no affine layer to merge behind a ReLU
    assert margin(query, bounds) == (-1.0 if blind else pytest.approx(0.0, abs=1e-12))
    assert exact_margin(query, bounds) == 0


def test_zero_stays_zero_where_floats_round():
    query, _ = textbook(relu(), weight=((0.1, 0.1), (0.1, -0.1)), box=((0.3, 0.0), (0.7, 0.3)))
    bounds = compute(query, "crown")
    assert margin(query, bounds) < 0
    assert exact_margin(query, bounds) == 0


def test_margins_of_decimals_are_rational():
    x = new_input("x", 1)
    box = Box(np.array([Fraction(1, 10)], dtype=object), np.array([Fraction(3, 10)], dtype=object))
    query = Query("tenth", {x: box}, Rows.of(x) - Rows.constants([Fraction(1, 10)]), Atoms(np.array([0]), True, True))
    assert exact_margin(query, compute(query, "ibp")) == 0


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6), tight=st.sampled_from([False, False, False, True]))
def test_float_bound_below_exact_bound_below_values(kind, seed, tight):
    query = random_query(random_network(kind, seed), seed, tight=tight)
    bounds = compute(query, "crown")
    exact = exact_margin(query, bounds)
    assert exact is not None
    assert margin(query, bounds) <= exact
    rng = np.random.default_rng(seed)
    for _ in range(5):
        point = {x: b.lower + (b.upper - b.lower) * rng.integers(0, 65, x.size) / 64 for x, b in query.boxes.items()}
        values = query.values(point, exact=True)
        assert query.margin(values) >= float(exact)


@settings(max_examples=15, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6))
def test_never_above_the_least_margin(kind, seed):
    query = random_query(random_network(kind, seed), seed)
    vague = compute(query, "ibp")
    open_rows = Bounds("none", vague.nodes, Interval(np.full(len(query.rows), -np.inf), vague.rows.upper, "none"))
    exact = exact_margin(query, open_rows)
    try:
        least = minimum_margin(query).margin
    except UnsupportedError:  # too many open neurons for the oracle
        assume(False)
    assert exact <= least
    assert margin(query, compute(query, "crown")) <= least


def test_exact_lines_and_shortened_intervals_stay_outside():
    x = new_input("x", 3)
    ends = [
        [Fraction(-1, 3) ** 301, Fraction(-1, 7), Fraction(-2, 3)],
        [Fraction(1, 7) ** 200, Fraction(5, 7), Fraction(1, 9)],
    ]
    lower, upper = (np.array(e, dtype=object) for e in ends)
    h = affine(((Dense(np.eye(3)), x),))
    y = pointwise(relu(), h)
    box = {x: Box(lower, upper)}
    query = Query("q", box, Rows.of(y), Atoms(np.arange(3), True, True))
    engine = _Exact(query, compute(query, "ibp"), box)
    assert (engine.lower[h] <= lower).all()
    assert (engine.upper[h] >= upper).all()
    assert engine.lower[h][0] < lower[0]
    low, high, low_offset, high_offset = engine.lines[y]
    for point in (engine.lower[h], engine.upper[h], 0 * lower):
        assert (high * point + high_offset >= np.maximum(point, 0)).all()
        assert (low * point + low_offset <= np.maximum(point, 0)).all()


def test_disjoint_boxes_and_preconditions_are_refuted():
    x = new_input("x", 1)
    box = Box(np.array([0.0]), np.array([1.0]))
    rows = stack((Rows.of(x), Rows.of(x) - Rows.constants([2.0]), Rows.constants([2.0]) - Rows.of(x)))
    soft = Atoms(np.array([1]), False, True)
    elsewhere = conjunction(InBox(x, np.array([3.0]), np.array([4.0])), soft)
    impossible = conjunction(Atoms(np.array([2]), False, soft=False), soft)
    possible = conjunction(Atoms(np.array([0]), False, soft=False), soft)
    for formula, expected in ((elsewhere, np.inf), (impossible, np.inf), (Or((elsewhere, possible)), -2.0)):
        query = Query("q", {x: box}, rows, formula)
        bounds = compute(query, "ibp")
        assert exact_margin(query, bounds) == expected
        assert margin(query, bounds) == pytest.approx(expected)


def test_what_has_no_exact_margin():
    x = new_input("x", 2)
    smooth = Rows.of(pointwise(Tanh(), x))
    for rows in (smooth, Rows.of(product(x, x))):
        query = Query("q", {x: Box(np.zeros(2), np.ones(2))}, rows, Atoms(np.array([0]), True, True))
        assert exact_margin(query, compute(query, "ibp")) is None
    query, _ = textbook()
    assert exact_margin(query, compute(query, "ibp"), max_nonzeros=3) is None


def _twice(network, strength):
    """``f(x) <= f(z) + strength`` for x <= z that differ in one element, as rows of a query."""
    x, z = (new_input(n, 2) for n in "xz")
    y = [network.apply((v,)).output(next(iter(network.outputs))) for v in (x, z)]
    box = Box(-np.ones(2), np.ones(2))
    apart = Rows.of(x) - Rows.of(z)
    hard = stack((apart, -apart.take(np.array([1]))))  # x_0 <= z_0, x_1 == z_1
    soft = (Rows.of(y[1]) - Rows.of(y[0])).take(np.array([0])) + Rows.constants([strength])
    formula = conjunction(Atoms(np.array([1, 2, 3]), False, soft=False), Atoms(np.array([0]), True, True))
    return Query("twice", {x: box, z: box}, stack((soft, hard)), formula)


def _rising(seed):
    """A random network with no negative weight."""
    rng = np.random.default_rng(seed)
    layers = [(np.abs(rng.normal(size=(m, n))), rng.normal(size=m)) for n, m in ((2, 4), (4, 3), (3, 1))]
    return nn.sequential(layers, activation="relu")


@pytest.mark.parametrize("seed", range(3))
def test_the_margin_of_a_monotone_network_is_exactly_zero(seed):
    query = _twice(_rising(seed), 0.0)
    for source in ("ibp", "crown"):
        bounds = compute(query, source)
        assert -1e-9 < margin(query, bounds) < 0
        assert exact_margin(query, bounds) == 0


@settings(max_examples=15, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6))
def test_exact_margins_over_differences_are_below_all_values(kind, seed):
    network = random_network(kind, seed, outputs=1)
    if next(iter(network.inputs.values())).node.size != 2:
        return
    query = _twice(network, 1.0)
    bounds = compute(query, "ibp")
    exact = exact_margin(query, bounds)
    assert margin(query, bounds) <= exact
    rng = np.random.default_rng(seed)
    x, z = query.inputs
    for _ in range(20):
        low = rng.choice([-64, 64, *range(-64, 65)], 2) / 64
        high = np.array([rng.integers(int(64 * low[0]), 65) / 64, low[1]])
        assert query.margin(query.values({x: to_fractions(low), z: to_fractions(high)}, exact=True)) >= exact
