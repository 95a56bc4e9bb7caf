"""CROWN: against an independent dense implementation, and what it promises beside intervals."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.bounds.base import Bounds, Interval
from nnsym.bounds.engine.backward.linear import Backward, crown
from nnsym.bounds.engine.inputs import domain
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.layers import layers, open_elements
from nnsym.bounds.methods import METHODS, SOURCES, compute, find_source, margin
from nnsym.bounds.rational.exact import exact_margin
from nnsym.errors import InputError
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import Pointwise, affine, identity, maximum, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import absolute, leaky_relu, relu
from nnsym.testing.random_nets import KINDS, random_network, random_query


def relu_net(seed, sizes):
    rng = np.random.default_rng(seed)
    layers = [(rng.normal(size=(m, n)) / np.sqrt(n), rng.normal(size=m) / 3) for n, m in itertools.pairwise(sizes)]
    x = new_input("x", sizes[0])
    h = x
    pre = []
    for k, (weight, bias) in enumerate(layers):
        h = affine(((Dense(weight), h),), bias)
        pre.append(h)
        h = pointwise(relu(), h) if k < len(layers) - 1 else h
    centre, radius = rng.normal(size=sizes[0]), 0.2
    boxes = {x: Box(centre - radius, centre + radius)}
    query = Query("net", boxes, Rows.of(h), Atoms(np.arange(sizes[-1]), True, True, every=False))
    return query, layers, pre, (centre - radius, centre + radius)


def reference(layers, lower, upper, choice="adaptive"):
    """Dense CROWN in NumPy, by the formulas of the papers: bounds per layer, the lower slope by ``choice``."""
    pos, neg = (lambda a: np.maximum(a, 0)), (lambda a: np.minimum(a, 0))
    found = []
    post = (lower, upper)
    for depth, (weight, bias) in enumerate(layers):
        lo = pos(weight) @ post[0] + neg(weight) @ post[1] + bias
        hi = pos(weight) @ post[1] + neg(weight) @ post[0] + bias
        ends = []
        for sign in (1.0, -1.0):
            coefficients, constant = sign * weight, sign * bias
            for below in reversed(range(depth)):
                a, b = found[below]
                open_ = (a < 0) & (b > 0)
                slope = np.where(open_, b / np.where(open_, b - a, 1), b > 0)
                free = {"zero": 0.0, "parallel": slope, "adaptive": b >= -a}[choice]
                flat = np.where(open_, free, b > 0)
                constant = constant + neg(coefficients) @ np.where(open_, -slope * a, 0.0)
                coefficients = pos(coefficients) * flat + neg(coefficients) * slope
                constant = constant + coefficients @ layers[below][1]
                coefficients = coefficients @ layers[below][0]
            ends.append(pos(coefficients) @ lower + neg(coefficients) @ upper + constant)
        undecided = (lo < 0) & (hi > 0) if depth < len(layers) - 1 else np.ones(len(lo), dtype=bool)
        lo = np.where(undecided, np.maximum(lo, ends[0]), lo)
        hi = np.where(undecided, np.minimum(hi, -ends[1]), hi)
        found.append((lo, hi))
        post = (pos(lo), pos(hi))
    return found


@pytest.mark.parametrize(("method", "choice"), [("crown", "adaptive"), ("fastlin", "parallel"), ("crown-zero", "zero")])
@pytest.mark.parametrize("seed", range(4))
def test_equals_a_dense_numpy_implementation(seed, method, choice):
    query, net, pre, (lower, upper) = relu_net(seed, [5, 12, 12, 12, 4])
    bounds = compute(query, method)
    expected = reference(net, lower, upper, choice)
    assert sum(int(open_elements(bounds, n).sum()) for n in query.nodes) >= 4
    for node, (lo, hi) in zip(pre[:-1], expected[:-1], strict=True):
        np.testing.assert_allclose(bounds[node].lower, lo, atol=1e-9)
        np.testing.assert_allclose(bounds[node].upper, hi, atol=1e-9)
    np.testing.assert_allclose(bounds.rows.lower, expected[-1][0], atol=1e-9)
    np.testing.assert_allclose(bounds.rows.upper, expected[-1][1], atol=1e-9)


def test_crown_ibp_takes_hidden_bounds_from_intervals():
    query, *_ = relu_net(2, [5, 12, 12, 12, 4])
    intervals, mixed = compute(query, "ibp"), compute(query, "crown-ibp")
    expected = crown(query, intermediate=intervals).rows
    np.testing.assert_allclose(mixed.rows.lower, expected.lower, rtol=1e-12)
    assert all(np.allclose(mixed[n].lower, intervals[n].lower, rtol=1e-12, atol=1e-12) for n in query.nodes)
    assert (mixed.rows.lower > intervals.rows.lower + 1e-6).any()


@pytest.mark.parametrize("seed", range(2))
def test_the_exact_pass_equals_it_too(seed):
    query, net, _, (lower, upper) = relu_net(seed, [3, 8, 8, 2])
    expected = reference(net, lower, upper)[-1][0]
    vague = compute(query, "ibp")
    nodes = {n: Interval(np.full(n.size, -np.inf), np.full(n.size, np.inf), "none") for n in query.nodes}
    nothing = Bounds("none", nodes, Interval(np.full(2, -np.inf), np.full(2, np.inf), "none"))
    assert sum(int(open_elements(vague, n).sum()) for n in query.nodes) >= 2
    for row in range(2):
        single = Query("row", query.boxes, query.rows.take([row]), Atoms(np.array([0]), True, True))
        rows = Interval(nothing.rows.lower[:1], nothing.rows.upper[:1], "none")
        exact = exact_margin(single, Bounds("none", nodes, rows))
        assert float(exact) == pytest.approx(expected[row], abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(method=st.sampled_from(METHODS), kind=st.sampled_from(KINDS), seed=st.integers(0, 10**6))
def test_never_looser_than_intervals(method, kind, seed):
    """Up to the last digits: intervals over tighter parents are computed anew."""
    query = random_query(random_network(kind, seed), seed)
    plain, linear = (compute(query, method) for method in ("ibp", method))
    pairs = [(linear.rows, plain.rows), *((linear[node], plain[node]) for node in query.nodes)]
    for found, known in pairs:
        assert (found.lower >= known.lower - 1e-12 * (1 + np.abs(known.lower))).all()
        assert (found.upper <= known.upper + 1e-12 * (1 + np.abs(known.upper))).all()
    one, other = margin(query, plain), margin(query, linear)
    assert other >= one or other >= one - 1e-12 * (1 + abs(one))


def one_relu(lower, upper, fn):
    x = new_input("x", 1)
    y = pointwise(fn, x)
    return Query("one", {x: Box(np.array([lower]), np.array([upper]))}, Rows.of(y), Atoms(np.arange(1), False, True)), y


def bare(query, node):
    """The lines alone, without intervals."""
    maps = Maps("cpu")
    ranges, _ = domain(query, None, maps)
    engine = Backward(query, ranges, maps, fixed={})
    engine.run(None)
    return engine.backward(node, torch.arange(node.size))


def test_a_bare_line_may_lose_to_intervals():
    query, y = one_relu(-1.0, 2.0, relu())
    line = bare(query, y)
    assert (float(line.lower), float(line.upper)) == pytest.approx((-1.0, 2.0))
    assert compute(query, "ibp").rows.lower == 0
    assert compute(query, "crown").rows.lower == 0


@pytest.mark.parametrize(("lower", "upper", "expected"), [(-2.0, 1.0, 0.0), (-1.0, 2.0, -1.0)])
def test_lower_slope_by_area(lower, upper, expected):
    query, y = one_relu(lower, upper, relu())
    assert float(bare(query, y).lower) == pytest.approx(expected)


def test_abs_is_convex_and_its_negative_is_not():
    query, y = one_relu(-1.0, 3.0, absolute())
    line = bare(query, y)
    assert float(line.upper) == pytest.approx(3.0)
    assert float(line.lower) == pytest.approx(-1.0)


def test_correlated_members_of_a_maximum():
    x = new_input("x", 2)
    h = affine(((Dense([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), x),), [0.0, -5.0, 0.0])
    y = affine(((Dense([[1.0, 0.0]]), maximum(h, [[0, 1], [0, 2]])), (Dense([[-1.0, 0.0]]), x)))
    query = Query("max", {x: Box(-np.ones(2), np.ones(2))}, Rows.of(y), Atoms(np.arange(1), False, True))
    rows = compute(query, "crown").rows
    np.testing.assert_allclose((rows.lower, rows.upper), 0.0, atol=1e-12)  # decided: the maximum is x[0]
    assert compute(query, "ibp").rows.lower == pytest.approx(-2.0)


def test_upper_line_of_a_maximum_is_the_envelope():
    x = new_input("x", 2)
    y = maximum(x, [[0, 1]])
    row = Rows.of(y) - Rows.of(x).take([0])
    box = Box(np.array([-1.0, -1.0]), np.array([1.0, -0.5]))
    query = Query("max", {x: box}, row, Atoms(np.arange(1), False, True))
    # max(a, b) - a <= 1/2, attained at (-1, -1/2); the constant line max(a, b) <= 1 would give 2
    assert compute(query, "crown").rows.upper == pytest.approx([0.5])


@settings(max_examples=15, deadline=None)
@given(kind=st.sampled_from((*KINDS, "tanh")), seed=st.integers(0, 10**6), method=st.sampled_from(METHODS))
def test_a_batch_is_its_members(kind, seed, method):
    network = random_network(kind, seed)
    query = random_query(network, seed)
    rng = np.random.default_rng(seed)
    centre = {x: (b.lower + b.upper) / 2 for x, b in query.boxes.items()}
    boxes = {}
    for x in query.inputs:
        radius = rng.uniform(0, 1, (3, x.size))
        boxes[x] = (centre[x] - radius, centre[x] + radius)
    batch = compute(query, method, boxes=boxes)
    for k in range(3):
        alone = Query(query.name, {x: Box(lo[k], hi[k]) for x, (lo, hi) in boxes.items()}, query.rows, query.formula)
        single = compute(alone, method)
        for node in query.nodes:
            np.testing.assert_allclose(batch.box(k)[node].lower, single[node].lower, rtol=1e-9, atol=1e-9)
            np.testing.assert_allclose(batch.box(k)[node].upper, single[node].upper, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(batch.box(k).rows.lower, single.rows.lower, rtol=1e-9, atol=1e-9)


def test_chunks_of_rows_change_nothing():
    query, *_ = relu_net(3, [5, 12, 12, 12, 4])
    whole = compute(query, "crown")
    np.testing.assert_allclose(crown(query, maps=Maps(memory=1)).rows.lower, whole.rows.lower, atol=1e-12)


def test_phases_and_given_bounds_tighten():
    query, _, pre, _ = relu_net(4, [5, 12, 12, 4])
    plain = compute(query, "crown")
    first = next(n for n in query.nodes if isinstance(n, Pointwise))
    open_ = [np.minimum(-plain[pre[0]].lower, plain[pre[0]].upper).argmax()]  # the one nearest to the middle
    phase = np.zeros((2, first.size))
    phase[0, open_[0]], phase[1, open_[0]] = 1, -1
    boxes = {x: tuple(np.stack([v, v]) for v in b.outer) for x, b in query.boxes.items()}
    split = crown(query, boxes, phases={first: phase})
    assert split[pre[0]].lower[0, open_[0]] == 0
    assert split[pre[0]].upper[1, open_[0]] == 0
    worst = split.rows.lower.min(axis=0)
    assert (worst > plain.rows.lower + 1e-6).any()
    points = np.random.default_rng(0).uniform(*(v[0] for v in boxes[query.inputs[0]]), (500, 5))
    values = query.values({query.inputs[0]: points})
    rows, positive = query.rows.value(values), values[pre[0]][:, open_[0]] >= 0
    assert 0 < positive.sum() < 500
    assert (rows[positive] >= split.rows.lower[0]).all()
    assert (rows[~positive] >= split.rows.lower[1]).all()
    again = crown(query, intermediate=plain)
    np.testing.assert_allclose(again.rows.lower, plain.rows.lower, atol=1e-9)


def test_provenance_and_layers():
    query, _, pre, _ = relu_net(1, [5, 12, 12, 4])
    bounds = compute(query, "crown")
    assert bounds[query.inputs[0]].source == "domain"
    assert bounds[pre[0]].source == "ibp"
    assert bounds[pre[1]].source == "crown"
    names = [(layer.name, layer.size) for layer in layers(query, bounds)]
    assert names == [("relu_1", 12), ("relu_2", 12)]
    assert all(0 <= layer.unstable <= layer.size and layer.mean_width > 0 for layer in layers(query, bounds))


def test_a_skip_connection_cancels():
    x = new_input("x", 3)
    a = affine(((identity(3), x),), np.ones(3))
    difference = affine(((identity(3), a), (Dense(-np.eye(3)), x)))
    query = Query("skip", {x: Box(-np.ones(3), np.ones(3))}, Rows.of(difference), Atoms(np.arange(3), True, True))
    np.testing.assert_allclose(compute(query, "crown").rows.lower, 1.0, atol=1e-12)
    np.testing.assert_allclose(compute(query, "ibp").rows.lower, -1.0, atol=1e-12)


def test_bad_boxes_and_methods_are_named():
    query, y = one_relu(-1.0, 1.0, relu())
    with pytest.raises(InputError, match="x: boxes of shapes"):
        compute(query, "ibp", boxes={query.inputs[0]: (np.zeros((2, 3)), np.ones((2, 3)))})
    with pytest.raises(InputError, match="'lp'"):
        compute(query, "lp")
    assert y.size == 1


@pytest.mark.parametrize(("choice", "slope"), [("zero", 0.25), ("parallel", 0.75), ("adaptive", 1.0)])
def test_slopes_of_a_leaky_hinge(choice, slope):
    query, y = one_relu(-1.0, 2.0, leaky_relu(0.25))
    maps = Maps("cpu")
    engine = Backward(query, domain(query, None, maps)[0], maps, fixed={}, lower=choice)
    engine.run(None)
    assert engine.relaxed[y].taps[0].low.item() == pytest.approx(slope)


def test_sources_by_text():
    assert all(find_source(name).text == name and find_source(find_source(name)) == SOURCES[name] for name in METHODS)
    for text, message in (("lp", r"'lp'.*ibp.*crown"), ("crown:3", "'crown' take no parameter")):
        with pytest.raises(InputError, match=message):
            find_source(text)
