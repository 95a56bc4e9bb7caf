"""Bounds contain every exact value: corners and points of the box, evaluated in rationals."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.bounds.engine.backward.linear import Backward
from nnsym.bounds.engine.backward.slopes import preconditions
from nnsym.bounds.engine.inputs import domain
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.rounding import Precision
from nnsym.bounds.methods import METHODS, compute, margin
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense, identity
from nnsym.ir.node import affine, constant, maximum, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Hinge, absolute, leaky_relu, relu
from nnsym.testing.random_nets import KINDS, random_network, random_query
from tests.depth import drawn

ACTIVATIONS = {
    "relu": relu(),
    "leaky": leaky_relu(0.1),
    "abs": absolute(),
    "prelu": Hinge(np.array([0.3, -0.7, 1.5, 0.0]), np.array([1.0, 1.0, 0.2, -1.0])),
    "concave": Hinge(np.array([1.0]), np.array([0.3])),
    "gains": Hinge(np.zeros(4), np.array([1.0, 0.0, 1.0, -1.0])),
}


def points(query, rng, count=4):
    """Exact corners of the box and exact points inside, as arrays of Fractions per input."""
    lower = np.concatenate([to_fractions(b.lower) for b in query.boxes.values()])
    upper = np.concatenate([to_fractions(b.upper) for b in query.boxes.values()])
    corners = list(itertools.product(*zip(lower, upper, strict=True))) if len(lower) <= 4 else []
    inside = [
        [
            a + (b - a) * Fraction(int(t), 64)
            for a, b, t in zip(lower, upper, rng.integers(0, 65, len(lower)), strict=True)
        ]
        for _ in range(count)
    ]
    values = np.array([*map(list, corners), *inside], dtype=object)
    starts = np.cumsum([0, *(x.size for x in query.inputs)])
    return {x: values[:, s : s + x.size] for x, s in zip(query.inputs, starts, strict=False)}


def violations(query, bounds, rng):
    """How many node elements or rows have an exact value outside their bounds; rows only where preconditions hold."""
    values = query.values(points(query, rng), exact=True)
    rows = query.rows.value(values)
    met = (rows[:, preconditions(query)] <= 0).all(axis=1)
    found = int((rows[met] < bounds.rows.lower).sum() + (rows[met] > bounds.rows.upper).sum())
    for node in query.nodes:
        found += int((values[node] < bounds[node].lower).sum() + (values[node] > bounds[node].upper).sum())
    return found


def rough_query(seed, activation, *, radius=0.3, relu_margin=0.0):
    """A residual network with a maximum, of weights that cancel: 1/3, 1e8 beside -1e8, 1e-9."""
    rng = np.random.default_rng(seed)

    def dense(m, n):
        weight = rng.normal(size=(m, n)) / 3
        weight[0] *= 1e8
        weight[-1] = -weight[0] + rng.normal(size=n)
        weight[:, 0] *= rng.choice([1.0, 1e-9, 0.0])
        return Dense(weight)

    x = new_input("x", 3)
    h = affine(((dense(4, 3), x),), rng.normal(size=4) + relu_margin)
    a = pointwise(activation, h)
    g = affine(((dense(4, 4), a), (identity(4), h)), rng.normal(size=4))
    m = maximum(g, [[0, 3], [1, 2], [1, -1], [0, 1]])
    y = affine(((Dense(rng.normal(size=(3, 4))), m), (dense(3, 4), a)), rng.normal(size=3))
    centre = rng.normal(size=3) / 7
    rows = Rows.of(y).combine(np.array([[1.0, -1, 0], [0, 1, 1]]))
    return Query("rough", {x: Box(centre - radius, centre + radius)}, rows, Atoms(np.arange(2), True, True))


def rough_violations(method, activations, count):
    """Those of ``count`` networks that cancel, with each activation in turn, on small and large boxes and on points."""
    found = 0
    for seed, activation in zip(range(count), itertools.cycle(activations), strict=False):
        rng = np.random.default_rng(seed)
        query = rough_query(seed, activation, radius=rng.choice([0.0, 1e-9, 0.1, 1.0]))
        found += violations(query, compute(query, method), rng)
    return found


@pytest.mark.parametrize("method", METHODS)
def test_exact_values_of_cancelling_networks_are_inside(method):
    assert rough_violations(method, ACTIVATIONS.values(), drawn(40, len(ACTIVATIONS))) == 0


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6))
def test_exact_values_of_random_queries_are_inside(method, kind, seed):
    query = random_query(random_network(kind, seed), seed)
    bounds = compute(query, method)
    rng = np.random.default_rng(seed)
    assert violations(query, bounds, rng) == 0
    values = query.values(points(query, rng), exact=True)
    lower = margin(query, bounds)
    assert all(query.margin({n: v[i] for n, v in values.items()}) >= lower for i in range(len(values[query.inputs[0]])))


def stable_violations(count):
    """Networks whose neurons are all active: bounds are attained at corners, up to rounding alone."""
    found = 0
    for seed in range(count):
        query = rough_query(seed, relu(), radius=1e-3, relu_margin=1e9)
        for method in METHODS:
            found += violations(query, compute(query, method), np.random.default_rng(seed))
    return found


def test_the_rounding_terms_are_what_makes_them_sound(monkeypatch):
    assert stable_violations(drawn(5, 2)) == 0
    monkeypatch.setattr(Precision, "gamma", lambda self, additions: 0.0)
    assert stable_violations(drawn(5, 2)) > 0


def test_cancellation_between_layers_is_charged():
    rng = np.random.default_rng(0)
    for _ in range(20):
        c, a = rng.uniform(1, 2, 2) * 1e6
        x = new_input("x", 1)
        y = affine(((Dense([[a], [c]]), x),))  # z = c (a x) - a (c x) is 0 up to the rounding of its products
        z = affine(((Dense([[c, -a]]), y),))
        query = Query("zero", {x: Box(np.ones(1), np.ones(1))}, Rows.of(z).scale(0.3), Atoms(np.arange(1), False, True))
        maps = Maps("cpu")
        engine = Backward(query, domain(query, None, maps)[0], maps, fixed={})
        engine.run(None)
        engine.prepare(query.spec[0])
        assert engine.backward(query.spec[0], torch.arange(1)).lower.item() <= 0


def test_rows_that_no_float_can_hold_are_widened():
    x = new_input("x", 2)
    third = Rows.of(x).combine(np.array([[1.0, 1.0]])).scale(Fraction(1, 3)) - Rows.constants([Fraction(1, 7)])
    query = Query("thirds", {x: Box(np.zeros(2), np.full(2, 1e6))}, third, Atoms(np.arange(1), False, True))
    for method in METHODS:
        assert violations(query, compute(query, method), np.random.default_rng(0)) == 0


@pytest.mark.parametrize("fn", [Sigmoid(), Tanh()], ids=lambda fn: fn.name)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([0.01, 1.0, 30.0]))
def test_smooth_networks_by_sampling(fn, seed, scale):
    rng = np.random.default_rng(seed)
    x = new_input("x", 3)
    a = pointwise(fn, affine(((Dense(scale * rng.normal(size=(5, 3))), x),), rng.normal(size=5)))
    b = pointwise(fn, affine(((Dense(rng.normal(size=(5, 5))), a),), rng.normal(size=5)))
    q = product(b, affine(((Dense(rng.normal(size=(5, 5))), a),)))
    query = Query("smooth", {x: Box(-np.ones(3), np.ones(3))}, Rows.of(product(q, q)), Atoms(np.arange(5), True, True))
    values = query.values({x: rng.uniform(-1, 1, (2000, 3))})
    for method in METHODS:
        bounds = compute(query, method)
        for node in query.nodes:
            slack = 1e-12 * (1 + np.abs(values[node]))
            assert (values[node] >= bounds[node].lower - slack).all()
            assert (values[node] <= bounds[node].upper + slack).all()


def test_constants_and_several_inputs():
    x, z = new_input("x", 2), new_input("z", 1)
    y = affine(((Dense([[1.0, -1.0]]), x), (Dense([[2.0]]), z), (Dense([[1.0]]), constant([0.1]))), [0.2])
    boxes = {x: Box(np.zeros(2), np.ones(2)), z: Box(np.array([-1.0]), np.array([1.0]))}
    query = Query("two", boxes, Rows.of(pointwise(absolute(), y)), Atoms(np.arange(1), True, True))
    for method in METHODS:
        bounds = compute(query, method)
        assert violations(query, bounds, np.random.default_rng(0)) == 0
        assert bounds[y].lower == pytest.approx([-2.7])
        assert bounds.rows.upper == pytest.approx([3.3])


def test_unbounded_inputs_give_infinite_bounds_and_no_nan():
    x = new_input("x", 2)
    h = affine(((Dense([[1.0, 0.0], [1.0, 1.0], [0.0, -2.0]]), x),), [0.5, 0.0, 0.0])
    y = affine(((Dense([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]), pointwise(relu(), h)),))
    box = Box(np.array([0.0, -np.inf]), np.array([1.0, 3.0]))
    query = Query("open", {x: box}, Rows.of(y), Atoms(np.arange(2), True, True))
    for method in METHODS:
        bounds = compute(query, method)
        np.testing.assert_allclose(bounds[h].lower, [0.5, -np.inf, -6.0])
        np.testing.assert_allclose(bounds[h].upper, [1.5, 4.0, np.inf])
        np.testing.assert_allclose(bounds.rows.lower, [0.5, 0.0], atol=1e-12)
        np.testing.assert_allclose(bounds.rows.upper, [1.5, np.inf])


def test_a_third_is_inside_without_any_rounding_term(monkeypatch):
    monkeypatch.setattr(Precision, "gamma", lambda self, additions: 0.0)
    x = new_input("x", 1)
    for third in (Fraction(1, 3), Fraction(2, 3)):  # one rounds down, the other up
        for row in (Rows.of(x).scale(third), Rows.of(x) - Rows.constants([1 - third])):
            query = Query("third", {x: Box(np.ones(1), np.ones(1))}, row, Atoms(np.arange(1), False, True))
            bounds = compute(query, "ibp")
            assert bounds.rows.lower[0] < third < bounds.rows.upper[0]


def test_products_that_underflow_are_not_zero():
    x, z = new_input("x", 1), new_input("z", 1)
    tiny = Box(np.array([-1e-200]), np.array([1e-200]))
    query = Query("tiny", {x: tiny, z: tiny}, Rows.of(product(x, z)), Atoms(np.arange(1), True, True))
    leaky = Query("leaky", {x: tiny}, Rows.of(pointwise(leaky_relu(1e-200), x)), Atoms(np.arange(1), True, True))
    for method in METHODS:
        assert violations(query, compute(query, method), np.random.default_rng(0)) == 0
        assert violations(leaky, compute(leaky, method), np.random.default_rng(0)) == 0


def test_a_sum_of_many_parents_counts_them():
    inputs = [new_input(f"x{k}", 1) for k in range(40)]
    y = affine(tuple((Dense([[1.0 / 3]]), x) for x in inputs))
    boxes = {x: Box(np.array([0.1 * k]), np.array([0.1 * k])) for k, x in enumerate(inputs)}
    query = Query("many", boxes, Rows.of(y), Atoms(np.arange(1), True, True))
    for method in METHODS:
        assert violations(query, compute(query, method), np.random.default_rng(0)) == 0
