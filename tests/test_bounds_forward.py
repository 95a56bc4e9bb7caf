"""Forward methods: against independent dense implementations, what they promise, and every kind of node."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from neurons import query_of
from test_bounds_crown import relu_net

from nnsym.bounds.methods import compute, margin
from nnsym.ir.domain import Ball
from nnsym.ir.functions import sigmoidal as smooth
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, maximum, new_input, pointwise, product
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.ir.rows import Rows
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import absolute, leaky_relu, relu
from nnsym.testing.random_nets import KINDS, SMOOTH_KINDS, random_network, random_query

FORWARD = ("forward", "zonotope")
Net = list[tuple[Any, Any]]


def plus(a: Any) -> Any:
    return np.maximum(a, 0)


def minus(a: Any) -> Any:
    return np.minimum(a, 0)


def intervals(net: Net, lower: Any, upper: Any) -> list[tuple[Any, Any]]:
    """Plain interval arithmetic, layer by layer."""
    found = []
    for weight, bias in net:
        lo = plus(weight) @ lower + minus(weight) @ upper + bias
        hi = plus(weight) @ upper + minus(weight) @ lower + bias
        found.append((lo, hi))
        lower, upper = plus(lo), plus(hi)
    return found


def dense_zonotope(net: Net, lower: Any, upper: Any) -> list[tuple[Any, Any]]:
    """DeepZ in NumPy: the parallelogram of least area, met with intervals step by step."""
    centre, generators = (lower + upper) / 2, np.diag((upper - lower) / 2)
    found, post = [], (lower, upper)
    for weight, bias in net:
        centre, generators = weight @ centre + bias, generators @ weight.T
        (lo, hi), radius = intervals([(weight, bias)], *post)[0], np.abs(generators).sum(0)
        lo, hi = np.maximum(lo, centre - radius), np.minimum(hi, centre + radius)
        found.append((lo, hi))
        open_ = (lo < 0) & (hi > 0)
        slope = np.where(open_, hi / np.where(open_, hi - lo, 1), hi > 0)
        half = np.where(open_, -slope * lo / 2, 0.0)
        centre, generators = slope * centre + half, np.vstack((generators * slope, np.diag(half)[open_]))
        radius = np.abs(generators).sum(0)
        post = np.maximum(plus(lo), centre - radius), np.minimum(plus(hi), centre + radius)
    return found


def symbolic(net: Net, lower: Any, upper: Any) -> list[tuple[Any, Any]]:
    """Symbolic intervals in NumPy: two functions of the inputs, CROWN's lines at every ReLU."""
    n = len(lower)
    below = above = (np.eye(n), np.zeros(n))
    found, post = [], (lower, upper)
    for weight, bias in net:
        p, m = plus(weight), minus(weight)
        below, above = (
            (p @ below[0] + m @ above[0], p @ below[1] + m @ above[1] + bias),
            (p @ above[0] + m @ below[0], p @ above[1] + m @ below[1] + bias),
        )
        lo, hi = intervals([(weight, bias)], *post)[0]
        lo = np.maximum(lo, plus(below[0]) @ lower + minus(below[0]) @ upper + below[1])
        hi = np.minimum(hi, plus(above[0]) @ upper + minus(above[0]) @ lower + above[1])
        found.append((lo, hi))
        open_ = (lo < 0) & (hi > 0)
        chord = np.where(open_, hi / np.where(open_, hi - lo, 1), hi > 0)
        flat = np.where(open_, hi >= -lo, hi > 0)
        below = (flat[:, None] * below[0], flat * below[1])
        above = (chord[:, None] * above[0], chord * above[1] + np.where(open_, -chord * lo, 0))
        post = (
            np.maximum(plus(lo), plus(below[0]) @ lower + minus(below[0]) @ upper + below[1]),
            np.minimum(plus(hi), plus(above[0]) @ upper + minus(above[0]) @ lower + above[1]),
        )
    return found


@pytest.mark.parametrize(("method", "reference"), [("zonotope", dense_zonotope), ("forward", symbolic)])
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_dense_numpy_implementation(method: str, reference: Any, seed: int) -> None:
    query, net, pre, (lower, upper) = relu_net(seed, [5, 12, 12, 12, 4])
    bounds, expected = compute(query, method), reference(net, lower, upper)
    for node, (lo, hi) in zip(pre[:-1], expected[:-1], strict=True):
        np.testing.assert_allclose(bounds[node].lower, lo, atol=1e-9)
        np.testing.assert_allclose(bounds[node].upper, hi, atol=1e-9)
    np.testing.assert_allclose(bounds.rows.lower, expected[-1][0], atol=1e-9)
    np.testing.assert_allclose(bounds.rows.upper, expected[-1][1], atol=1e-9)
    plain = intervals(net, lower, upper)
    assert (bounds.rows.lower > plain[-1][0] + 1e-3).all()  # it gains something
    assert bounds[pre[2]].source == method


def dual(net: Net, known: list[tuple[Any, Any]], lower: Any, upper: Any, row: Any) -> float:
    """The dual bound of Wong and Kolter (Provable Defenses via the Convex Outer Adversarial Polytope, 2018, theorem 1).

    ``nu`` runs back from ``-c``; at an open neuron ``nu = u / (u - l) nu_hat``, and ``l max(nu, 0)`` is added.
    """
    nu, value = -row, 0.0
    for depth in reversed(range(len(net))):
        weight, bias = net[depth]
        value -= nu @ bias
        hat = weight.T @ nu
        if depth == 0:
            centre, radius = (lower + upper) / 2, (upper - lower) / 2
            return float(value - centre @ hat - radius @ np.abs(hat))
        lo, hi = known[depth - 1]
        open_ = (lo < 0) & (hi > 0)
        nu = np.where(open_, hi / np.where(open_, hi - lo, 1), hi > 0) * hat
        value += (lo * plus(nu))[open_].sum()
    raise AssertionError


@pytest.mark.parametrize("seed", range(4))
def test_fast_lin_is_the_dual_bound_of_wong_and_kolter(seed: int) -> None:
    query, net, pre, (lower, upper) = relu_net(seed, [5, 12, 12, 12, 4])
    bounds = compute(query, "fastlin")
    known = [(bounds[node].lower, bounds[node].upper) for node in pre[:-1]]
    assert sum(int(((lo < 0) & (hi > 0)).sum()) for lo, hi in known) >= 4
    for k, row in enumerate(np.eye(4)):
        least = dual(net, known, lower, upper, row)
        assert bounds.rows.lower[k] == pytest.approx(max(least, intervals(net, lower, upper)[-1][0][k]), abs=1e-9)
        most = -dual(net, known, lower, upper, -row)
        assert bounds.rows.upper[k] == pytest.approx(min(most, intervals(net, lower, upper)[-1][1][k]), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_merging_the_last_layer_is_interval_arithmetic_on_the_product(seed: int) -> None:
    query, net, _, (lower, upper) = relu_net(seed, [4, 10, 10, 3])
    rows = np.array([[1.0, -1.0, 0.0], [1.0, 0.0, -1.0]])
    query = replace(query, rows=Rows.of(next(iter(query.rows.parts))).combine(rows))
    merged = [*net[:-1], (rows @ net[-1][0], rows @ net[-1][1])]
    expected = intervals(merged, lower, upper)[-1]
    bounds, plain = compute(query, "ibp-merged"), compute(query, "ibp")
    np.testing.assert_allclose(bounds.rows.lower, expected[0], atol=1e-9)
    np.testing.assert_allclose(bounds.rows.upper, expected[1], atol=1e-9)
    assert (bounds.rows.lower > plain.rows.lower + 1e-3).all()
    for node in query.nodes:
        np.testing.assert_allclose(bounds[node].lower, plain[node].lower, rtol=1e-12, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(kind=st.sampled_from((*KINDS, *SMOOTH_KINDS)), seed=st.integers(0, 2**16))
def test_every_forward_method_is_at_least_intervals(kind: str, seed: int) -> None:
    query = random_query(random_network(kind, seed), seed)
    plain = compute(query, "ibp")
    for method in ("ibp-merged", *FORWARD):
        bounds = compute(query, method)
        for node in query.nodes:
            assert (bounds[node].lower >= plain[node].lower).all()
            assert (bounds[node].upper <= plain[node].upper).all()
        assert margin(query, bounds) >= margin(query, plain)
        if kind in KINDS:
            assert margin(query, bounds) <= minimum_margin(query, max_unstable=20).margin


@pytest.mark.parametrize("method", FORWARD)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16), kind=st.sampled_from(("residual", "conv", "maxpool", "tanh")))
@example(seed=27027, kind="maxpool")  # two thresholds of a maximum that are equally good
def test_a_batch_gives_each_box_what_it_gets_alone(method: str, seed: int, kind: str) -> None:
    query, rng = random_query(random_network(kind, seed), seed), np.random.default_rng(seed)
    x = query.inputs[0]
    low, high = query.boxes[x].outer
    ends = np.sort(rng.uniform(low, high, (2, 3, x.size)), axis=0)
    batch = compute(query, method, boxes={x: (ends[0], ends[1])})
    for k in range(3):
        alone = compute(query, method, boxes={x: (ends[0, k], ends[1, k])}).box(0)
        np.testing.assert_allclose(batch.box(k).rows.lower, alone.rows.lower, atol=1e-9)
        for node in query.nodes:
            np.testing.assert_allclose(batch.box(k)[node].upper, alone[node].upper, atol=1e-9)


@pytest.mark.parametrize("method", FORWARD)
def test_correlations_survive_affine_maps_maxima_and_products(method: str) -> None:
    """x - x through two layers is 0; a decided maximum and a product with a constant are linear."""
    x = new_input("x", 2)
    h = affine(((Dense([[1.0, 2.0], [1.0, 2.0]]), x),), [0.5, 0.0])
    apart = affine(((Dense([[1.0, -1.0]]), h),))
    query = query_of(apart, {x: [-1, -1]}, {x: [1, 1]})
    np.testing.assert_allclose(compute(query, method).rows.lower, [0.5], atol=1e-12)
    winner = maximum(affine(((Dense([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), x),), [0.0, 5.0, 0.0]), [[0, 1, 2]])
    same = affine(((Dense([[1.0]]), winner), (Dense([[-1.0, 0.0]]), x)))
    np.testing.assert_allclose(compute(query_of(same, {x: [-1, -1]}, {x: [1, 1]}), method).rows.upper, [5], atol=1e-12)
    scaled = product(x, affine(((Dense(np.zeros((2, 2))), x),), [2.0, 3.0]))
    gap = affine(((Dense([[1.0, 0.0]]), scaled), (Dense([[-2.0, 0.0]]), x)))
    found = compute(query_of(gap, {x: [-1, -1]}, {x: [1, 1]}), method).rows
    np.testing.assert_allclose([found.lower[0], found.upper[0]], 0.0, atol=1e-12)


@pytest.mark.parametrize("fn", [Sigmoid(), Tanh()], ids=lambda fn: fn.name)
def test_bands_of_smooth_functions_hold_and_touch(fn: Any) -> None:
    ends = np.array([-30.0, -3.0, -1.0, -0.25, 0.0, 0.25, 1.0, 3.0, 30.0])
    lo, hi = (np.array(side) for side in zip(*itertools.combinations_with_replacement(ends, 2), strict=True))
    slope, low, high = smooth.band(fn, lo, hi)
    for t in np.linspace(0, 1, 201):
        x = lo + t * (hi - lo)
        assert (slope * x + low <= fn.value(x)).all()
        assert (slope * x + high >= fn.value(x)).all()
    np.testing.assert_allclose(slope * lo + low, fn.value(lo), atol=1e-12)
    np.testing.assert_allclose(slope * hi + high, fn.value(hi), atol=1e-12)
    assert (slope[(hi - lo < 3) & (lo > -2) & (hi < 2)] > 0.04).all()


@pytest.mark.parametrize("fn", [leaky_relu(0.25), absolute(), relu()], ids=lambda fn: fn.name)
def test_the_parallelogram_of_a_hinge(fn: Any) -> None:
    """Against the node itself: y - slope x ranges over exactly the band's height."""
    x = new_input("x", 1)
    y = pointwise(fn, x)
    left, right = fn.left[0], fn.right[0]
    slope = (right * 2 + left) / 3  # the chord over [-1, 2]
    query = query_of(affine(((Dense([[1.0]]), y), (Dense([[-slope]]), x))), {x: [-1]}, {x: [2]})
    found = compute(query, "zonotope").rows
    np.testing.assert_allclose([found.lower[0], found.upper[0]], [0.0, (right - left) * 2 / 3], atol=1e-12)


def test_forward_functions_use_balls() -> None:
    x = new_input("x", 3)
    query = query_of(affine(((Dense([[1.0, -2.0, 2.0]]), x),)), {x: [-1] * 3}, {x: [1] * 3})
    for p, least in ((1, -2.0), (2, -3.0)):
        inside = replace(query, balls={x: (Ball(np.zeros(3), Fraction(1), p),)})
        assert compute(inside, "forward").rows.lower[0] == pytest.approx(least, abs=1e-9)
