"""Balls at the inputs and the short float format: against hand formulas, and sound in exact rationals.

Small passes are made in float64 whatever is asked for; ``all_short`` makes them all short.
"""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.bounds.engine.backward import linear
from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.engine.backward.slopes import Ascent
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.rounding import FLOAT32, Precision
from nnsym.bounds.methods import METHODS, compute, margin
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.domain import Ball, Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import leaky_relu, relu
from nnsym.testing.random_nets import KINDS, random_network, random_query
from tests.depth import drawn


@pytest.fixture(params=["as it pays", "all short"])
def dtype_use(request, monkeypatch):
    if request.param == "all short":
        monkeypatch.setattr(linear, "_SHORT", 0)


@pytest.fixture
def all_short(monkeypatch):
    monkeypatch.setattr(linear, "_SHORT", 0)


def in_ball(query, p, centre, radius):
    (x,) = query.inputs
    return replace(query, balls={x: (Ball(centre, Fraction(radius), p),)})


def linear_query(weight, limit=4.0):
    x = new_input("x", weight.shape[1])
    rows = Rows.of(affine(((Dense(weight), x),)))
    box = Box(-np.full(x.size, limit), np.full(x.size, limit))
    return Query("linear", {x: box}, rows, Atoms(np.arange(len(weight)), True, True))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("p", "q"), [(1, np.inf), (2, 2)])
def test_a_row_over_a_ball_is_its_dual_norm(method, p, q):
    rng = np.random.default_rng(p)
    weight, centre = rng.normal(size=(6, 5)), rng.normal(size=5)
    bounds = compute(in_ball(linear_query(weight), p, centre, 0.5), method)
    away = 0.5 * np.linalg.norm(weight, ord=q, axis=1)
    np.testing.assert_allclose(bounds.rows.lower, weight @ centre - away, atol=1e-12)
    np.testing.assert_allclose(bounds.rows.upper, weight @ centre + away, atol=1e-12)
    assert (bounds.rows.lower <= weight @ centre - away).all()


@pytest.mark.parametrize("p", [1, 2])
def test_the_box_counts_where_it_is_better(p):
    weight = np.array([[1.0, 1.0], [1.0, 0.0]])
    bounds = compute(in_ball(linear_query(weight, 0.25), p, np.zeros(2), 0.5), "ibp")
    np.testing.assert_allclose(bounds.rows.lower, [-0.5, -0.25])


def ball_points(rng, centre, radius, p, count):
    """Exact points of a ball, those on coordinate axes and some inside."""
    n = len(centre)
    points = []
    for k in range(n):
        for sign in (-1, 1):
            step = [Fraction(0)] * n
            step[k] = sign * Fraction(radius)
            points.append(step)
    for _ in range(count):
        direction = [Fraction(int(v), 16) for v in rng.integers(-16, 17, n)]
        size = sum(map(abs, direction)) if p == 1 else max(sum(v * v for v in direction), 1)
        points.append([Fraction(radius) * v / max(size, Fraction(1)) for v in direction])
    return np.array(points, dtype=object) + np.array([Fraction(c) for c in centre], dtype=object)


@settings(max_examples=40, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 10**6),
    p=st.sampled_from([1, 2]),
    method=st.sampled_from(METHODS),
    dtype=st.sampled_from(["float64", "float32"]),
)
def test_networks_over_balls_in_exact_rationals(kind, seed, p, method, dtype):
    query = random_query(random_network(kind, seed), seed)
    query = replace(query, formula=Atoms(np.arange(len(query.rows)), True, True))
    (x,) = query.inputs
    box, rng = query.boxes[x], np.random.default_rng(seed)
    centre = [(Fraction(a) + Fraction(b)) / 2 + Fraction(1, 30) for a, b in zip(box.lower, box.upper, strict=True)]
    radius = Fraction(rng.integers(1, 10).item(), 7)
    cut = in_ball(query, p, np.array(centre, dtype=object), radius)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "_SHORT", int(rng.integers(2)) * linear._SHORT)
        bounds = compute(cut, method, dtype=dtype)
    points = ball_points(rng, centre, radius, p, 12)
    points = np.array([v for v in points if cut.inside({x: v})], dtype=object)
    if len(points):
        values = cut.values({x: points}, exact=True)
        rows = cut.rows.value(values)
        assert (rows >= bounds.rows.lower).all()
        assert (rows <= bounds.rows.upper).all()
        for node in query.nodes:
            assert (values[node] >= bounds[node].lower).all()
            assert (values[node] <= bounds[node].upper).all()
    if dtype == "float64" and method == "ibp":  # slopes that are chosen by intervals may be worse for tighter ones
        assert margin(cut, bounds) >= margin(query, compute(query, method)) - 1e-9


def test_a_ball_decides_what_its_box_does_not():
    query = random_query(random_network("dense", 3), 3)
    (x,) = query.inputs
    centre = (query.boxes[x].lower + query.boxes[x].upper) / 2
    boxed = replace(query, boxes={x: Box(centre - 0.25, centre + 0.25)})
    widths = [
        float((b.rows.upper - b.rows.lower).sum())
        for b in (crown(boxed), crown(in_ball(boxed, 2, centre, 0.25)), crown(in_ball(boxed, 1, centre, 0.25)))
    ]
    assert widths[0] > widths[1] + 1e-3 > widths[2] + 2e-3


def rough(seed, activation):
    rng = np.random.default_rng(seed)
    x = new_input("x", 3)
    h = affine(((Dense(rng.normal(size=(6, 3)) * 1e4), x),), rng.normal(size=6))
    y = pointwise(activation, h)
    z = affine(((Dense(rng.normal(size=(3, 6)) / 3), y),), rng.normal(size=3))
    centre = rng.normal(size=3) / 7
    rows = Rows.of(z).scale(Fraction(1, 3)) + Rows.of(product(z, z))
    return Query("rough", {x: Box(centre - 1e-3, centre + 1e-3)}, rows, Atoms(np.arange(3), True, True))


def short_violations(query, method, seed):
    (x,) = query.inputs
    low, high = (np.array([Fraction(v) for v in side], dtype=object) for side in query.boxes[x].outer)
    part = np.random.default_rng(seed).integers(0, 2, (16, 3)) * Fraction(1)
    values = query.values({x: low + part * (high - low)}, exact=True)
    bounds = compute(query, method, dtype="float32")
    rows = query.rows.value(values)
    found = int((rows < bounds.rows.lower).sum() + (rows > bounds.rows.upper).sum())
    for node in query.nodes:
        found += int((values[node] < bounds[node].lower).sum() + (values[node] > bounds[node].upper).sum())
    return found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("activation", [relu(), leaky_relu(0.1)], ids=["relu", "leaky"])
@pytest.mark.usefixtures("dtype_use")
def test_float32_is_sound_where_weights_do_not_fit(method, activation):
    assert sum(short_violations(rough(seed, activation), method, seed) for seed in range(3, 3 + drawn(12, 3))) == 0


def cancelling(seed, width=24):
    """All neurons are active, and rows are sums that nearly cancel: what rounding moves is large beside the rest."""
    rng = np.random.default_rng(seed)
    x = new_input("x", 3)
    twins = np.repeat(rng.normal(size=(width // 2, 3)), 2, axis=0) + 1e-4 * rng.normal(size=(width, 3))
    h = pointwise(relu(), affine(((Dense(twins), x),), np.full(width, 1e3)))
    half = rng.normal(size=(4, width // 2))
    y = affine(((Dense(np.stack((half, -half), axis=2).reshape(4, width)), h),))
    rows = Rows.of(y)
    return Query("cancelling", {x: Box(-np.ones(3), np.ones(3))}, rows, Atoms(np.arange(4), True, True))


def corner_violations(query, method):
    """Rows that leave their float32 bounds at a corner, where the bounds of a network without open neurons are met."""
    (x,) = query.inputs
    corners = np.array([[Fraction(v) for v in c] for c in itertools.product((-1, 1), repeat=3)], dtype=object)
    rows, bounds = query.rows.value(query.values({x: corners}, exact=True)), compute(query, method, dtype="float32")
    return int((rows < bounds.rows.lower).sum() + (rows > bounds.rows.upper).sum())


LINEAR = ("forward", "zonotope", "crown-zero", "fastlin", "crown-ibp", "crown", "alpha")


@pytest.mark.usefixtures("all_short")
@pytest.mark.parametrize("method", METHODS)
def test_the_terms_of_float32_are_what_makes_it_sound(method, monkeypatch):
    """Where lines are computed, every sum that cancels tells; of ``ibp`` weights that do not fit.

    ``lipschitz`` and ``bcp`` have no short passes; of ``ibp-merged`` no network here tells.
    """
    queries = [*map(cancelling, range(6))]
    assert sum(corner_violations(query, method) for query in queries) == 0
    gamma = Precision.gamma
    monkeypatch.setattr(Precision, "gamma", lambda self, k: 0.0 if self is FLOAT32 else gamma(self, k))
    if method in LINEAR:
        assert min(corner_violations(query, method) for query in queries) > 0
    elif method == "ibp":
        assert sum(short_violations(rough(seed, relu()), method, seed) for seed in range(3, 6)) > 0


def test_float32_pays_for_distances_from_a_centre_not_for_size():
    query = cancelling(0)
    (x,) = query.inputs
    narrow = replace(query, boxes={x: Box(np.full(3, 1.0 - 1e-6), np.ones(3))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "_SHORT", 0)
        lost = [(crown(q).rows.lower - compute(q, "crown", dtype="float32").rows.lower).max() for q in (query, narrow)]
    assert 0 <= lost[1] < 1e-4 * lost[0]


@pytest.mark.parametrize("fn", [Sigmoid(), Tanh()], ids=lambda fn: fn.name)
@pytest.mark.usefixtures("dtype_use")
def test_smooth_functions_in_float32(fn):
    rng = np.random.default_rng(0)
    x = new_input("x", 3)
    a = pointwise(fn, affine(((Dense(rng.normal(size=(5, 3))), x),), rng.normal(size=5)))
    query = Query("s", {x: Box(-np.ones(3), np.ones(3))}, Rows.of(product(a, a)), Atoms(np.arange(5), True, True))
    values = query.values({x: rng.uniform(-1, 1, (2000, 3))})
    rows = query.rows.value(values)
    long = compute(query, "crown")
    short = compute(query, "crown", dtype="float32")
    assert (rows >= short.rows.lower).all()
    assert (rows <= short.rows.upper).all()
    np.testing.assert_allclose(short.rows.lower, long.rows.lower, atol=1e-4)
    assert (short.rows.lower <= long.rows.lower + 1e-12).all()


def test_too_long_a_sum_in_float32_has_no_bound():
    assert FLOAT32.gamma(2**21) < np.inf
    assert FLOAT32.gamma(2**22) == np.inf


def test_products_of_fewer_bits_are_refused():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        with pytest.raises(UnsupportedError, match="highest"):
            Maps(dtype="float32")
    finally:
        torch.set_float32_matmul_precision(before)


def test_devices_and_formats_by_name():
    query = linear_query(np.ones((1, 2)))
    np.testing.assert_array_equal(compute(query, "crown", device="auto").rows.lower, [-8.0])
    with pytest.raises(InputError, match="float16"):
        compute(query, "crown", dtype="float16")
    if Maps("auto").device == "cpu":
        with pytest.raises(UnsupportedError, match="auto"):
            Maps("cuda")
    assert crown(query, ascent=Ascent(iterations=1)).rows.lower[0] == -8.0
