"""Bounds of piecewise-linear functions: sound next to every kink and jump, in both formats, batched, and tight."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.bounds.layers import open_elements
from nnsym.bounds.methods import METHODS, compute, margin
from nnsym.bounds.rational.exact import exact_margin
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.functions import piece_lines as pieces
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Piecewise, clip, relu, sign
from nnsym.testing.random_nets import PIECE_KINDS, random_network, random_query
from tests.depth import drawn
from tests.pieces import FUNCTIONS, STAIRS, critical, functions, intervals, two_hinges
from tests.test_bounds_soundness import points, rough_query, rough_violations, violations

ROUGH = {**FUNCTIONS, "tenths": clip(-0.1, 0.3), "own": clip([-0.1, 0.0, -1e8, 0.2], [0.3, 1e-9, 1e8, 0.7])}


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_lines_bands_and_spans_hold_exactly(data):
    fn = data.draw(functions(rough=data.draw(st.booleans())))
    low, high = data.draw(intervals(fn))
    ends = np.array([low]), np.array([high])
    x = critical(fn, low, high)
    y = fn.value(x[:, None])[:, 0]
    a, b, c, d = (Fraction(float(v[0])) for v in pieces.lines(fn, *ends))
    assert (a * x + b <= y).all()
    assert (y <= c * x + d).all()
    slope, least, most = (Fraction(float(v[0])) for v in pieces.band(fn, *ends))
    assert (slope * x + least <= y).all()
    assert (y <= slope * x + most).all()
    least, most = (Fraction(float(v[0])) for v in pieces.span(fn, *ends))
    assert least <= y.min()
    assert y.max() <= most


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_lines_in_rationals_hold_and_the_float_ones_are_next_to_them(data):
    fn = data.draw(functions())
    low, high = data.draw(intervals(fn))
    ends = np.array([low]), np.array([high])
    exact = [v[0] for v in pieces.lines(fn, *map(to_fractions, ends))]
    x = critical(fn, low, high)
    y = fn.value(x[:, None])[:, 0]
    assert (exact[0] * x + exact[1] <= y).all()
    assert (y <= exact[2] * x + exact[3]).all()
    if high - low > 1e-3:
        middle, near = (Fraction(low) + Fraction(high)) / 2, [Fraction(float(v[0])) for v in pieces.lines(fn, *ends)]
        for k in (0, 2):
            assert abs(exact[k] * middle + exact[k + 1] - near[k] * middle - near[k + 1]) < 1e-9


def test_the_lines_of_a_clip_and_of_sign():
    def of(fn, low, high):
        return tuple(float(v[0]) for v in pieces.lines(fn, np.array([low]), np.array([high])))

    assert of(clip(0.0, 1.0), -1.0, 3.0) == pytest.approx((1 / 3, 0, 0, 1))  # steeper above left of 1: (1/2, 1/2)
    assert of(clip(0.0, 1.0), -3.0, 2.0) == pytest.approx((0, 0, 0.25, 0.75))
    assert of(clip(0.0, 1.0), 0.0, 1.0) == (1, 0, 1, 0)
    assert of(clip(0.0, 1.0), -1.0, 0.5) == pytest.approx((0, 0, 1 / 3, 1 / 3))
    assert of(sign(), -1.0, 4.0) == pytest.approx((0.5, -1, 0, 1))
    assert of(sign(), 0.0, 4.0) == pytest.approx((0.25, 0, 0, 1))
    assert of(sign(), -np.inf, 4.0) == (0, -1, 0, 1)
    assert of(sign(), 1.0, np.inf) == (0, 1, 0, 1)


@pytest.mark.parametrize("method", METHODS)
def test_exact_values_of_cancelling_networks_are_inside(method):
    assert rough_violations(method, ROUGH.values(), drawn(24, len(ROUGH))) == 0


@pytest.mark.parametrize("name", ROUGH)
@pytest.mark.parametrize("method", ["ibp", "zonotope", "forward", "crown", "alpha:3"])
def test_exact_values_are_inside_in_float32(method, name):
    for seed in range(drawn(4, 2)):
        query = rough_query(seed, ROUGH[name])
        assert violations(query, compute(query, method, dtype="float32"), np.random.default_rng(seed)) == 0


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=6, deadline=None)
@given(kind=st.sampled_from(PIECE_KINDS), seed=st.integers(0, 10**6))
def test_margins_of_random_queries_are_below_every_run(method, kind, seed):
    query = random_query(random_network(kind, seed), seed)
    bounds, rng = compute(query, method), np.random.default_rng(seed)
    assert violations(query, bounds, rng) == 0
    values = query.values(points(query, rng), exact=True)
    lower = margin(query, bounds)
    assert all(query.margin({n: v[i] for n, v in values.items()}) >= lower for i in range(len(values[query.inputs[0]])))


@pytest.mark.parametrize("method", ["ibp", "zonotope", "forward", "crown"])
def test_a_batch_has_the_bounds_of_its_boxes(method):
    query = rough_query(5, STAIRS)
    (x,) = query.inputs
    rng = np.random.default_rng(0)
    low = rng.normal(size=(6, 3)) / 2
    high = low + rng.choice([0.0, 0.1, 1.0], size=(6, 3))
    batch = compute(query, method, boxes={x: (low, high)})
    for k in range(6):
        alone = compute(query, method, boxes={x: (low[k : k + 1], high[k : k + 1])})
        for node in query.nodes:
            for side in ("lower", "upper"):
                own, other = getattr(alone[node], side)[0], getattr(batch[node], side)[k]
                np.testing.assert_allclose(own, other, rtol=1e-9, atol=1e-9 * (1 + np.abs(own).max()))


def _net(rng, make):
    x = new_input("x", 4)
    h = x
    for n in (8, 8):
        h = make(affine(((Dense(rng.normal(size=(n, h.size)) / 2), h),), rng.normal(size=n) / 4))
    rows = Rows.of(affine(((Dense(rng.normal(size=(1, 8))), h),)))
    return Query("net", {x: Box(-np.ones(4), np.ones(4))}, rows, Atoms(np.arange(1), False, True))


@pytest.mark.parametrize("method", ["crown", "zonotope", "forward"])
def test_margins_are_better_than_those_of_two_hinges(method):
    gains = []
    for seed in range(8):
        one = _net(np.random.default_rng(seed), lambda h: pointwise(clip(-0.5, 0.75), h))
        two = _net(np.random.default_rng(seed), lambda h: two_hinges(h, -0.5, 0.75))
        gains.append(margin(one, compute(one, method)) - margin(two, compute(two, method)))
    assert min(gains) >= -1e-9
    assert np.mean(gains) > 0.05


def test_a_relu_as_a_piecewise_function_has_the_bounds_of_a_relu():
    bent = Piecewise([0.0], [0.0, 1.0], [0.0, 0.0], [0.0])
    for seed in range(4):
        one, two = (_net(np.random.default_rng(seed), lambda h, f=f: pointwise(f, h)) for f in (bent, relu()))
        for method in ("ibp", "crown", "zonotope", "forward"):
            a, b = (margin(q, compute(q, method)) for q in (one, two))
            assert a == pytest.approx(b, abs=1e-9)
        opened = [open_elements(compute(query, "ibp"), query.nodes[2]).tolist() for query in (one, two)]
        assert opened[0] == opened[1]


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(PIECE_KINDS), seed=st.integers(0, 10**6), tight=st.booleans())
def test_margins_in_rationals_are_below_the_oracle(kind, seed, tight):
    query = random_query(random_network(kind, seed), seed, tight=tight, max_unstable=24)
    bounds = compute(query, "crown")
    found = exact_margin(query, bounds)
    assert found is not None
    assert found <= minimum_margin(query, max_unstable=24).margin
    assert float(found) >= margin(query, bounds) - 1e-9


def test_a_margin_of_exactly_zero_is_verified():
    """Over [1/10, 7/10] a clip to [0, 1/2] is at least x - 1/5, with equality at 7/10."""
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, "0.1", "0.7"), then=nn.clip(x, 0, 0.5)[0] >= x[0] - "0.2", name="touch")
    for method in ("crown", "triangle", "bigm", "smt"):
        result = nn.verify(p, method)
        assert result.status.value == "verified", method


def test_two_runs_of_a_clip_are_bounded_together():
    """f is monotone with slopes up to 1: a step of 1/8 moves it by at most 1/8, which products of bounds miss."""
    f = nn.sequential([([[1.0]], [0.0]), ([[1.0]], [0.0])], activation="hard_tanh")
    x, z = nn.Variable(1, name="x"), nn.Variable(1, name="z")
    near = nn.box(x, -3, 3) & nn.box(z, -3, 3) & (nn.abs(x - z)[0] <= 0.125)
    p = nn.forall([x, z], where=near, then=f(x)[0] - f(z)[0] <= 0.126, name="lipschitz")
    assert nn.verify(p, "crown").status.value == "verified"
    steps = nn.sequential([([[1.0]], [0.0]), ([[1.0]], [0.0])], activation="sign")
    q = nn.forall([x, z], where=near, then=steps(x)[0] - steps(z)[0] <= 1, name="jump")
    assert nn.verify(q, "crown").status.value == "unknown"
    assert nn.verify(q, "smt").status.value == "falsified"
