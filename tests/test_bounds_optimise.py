"""Optimised bounds: any choice is sound, the best one reaches what can be computed by hand or by an LP."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from nnsym.bounds.builtin import Alpha
from nnsym.bounds.domains import domain_margin
from nnsym.bounds.engine.backward import linear
from nnsym.bounds.engine.backward.descent import Dual
from nnsym.bounds.engine.backward.linear import Backward, crown, fixed
from nnsym.bounds.engine.backward.slopes import Ascent, preconditions
from nnsym.bounds.engine.inputs import domain
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.methods import compute, find_source, margin
from nnsym.errors import InputError
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import And, Atoms, Or
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows, stack
from nnsym.ir.univariate import Hinge, relu
from nnsym.testing.random_nets import KINDS, random_network, random_query

FUNCTIONS = [relu(), Hinge(np.array([-0.5]), np.array([1.0])), Hinge(np.array([1.0]), np.array([0.25]))]


def chain(seed, fn=None, sizes=(2, 4, 4, 2)):
    """A query about a small dense network with the box [-1, 1]^n, its arguments of activations, its activations."""
    rng = np.random.default_rng(seed)
    x = h = new_input("x", sizes[0])
    pre, post = [], []
    for n, m in itertools.pairwise(sizes):
        h = affine(((Dense(rng.normal(size=(m, n)) / 2), h),), rng.normal(size=m) / 3)
        if m is not sizes[-1] or len(pre) < len(sizes) - 2:
            pre.append(h)
            h = pointwise(fn or relu(), h)
            post.append(h)
    box = Box(-np.ones(sizes[0]), np.ones(sizes[0]))
    return Query("chain", {x: box}, Rows.of(h), Atoms(np.arange(sizes[-1]), True, True)), pre, post


def engine_of(query, dtype="float64", phases=None):
    maps = Maps("cpu", dtype)
    engine = Backward(query, domain(query, None, maps.wide)[0], maps, fixed=fixed(phases, maps.wide))
    with torch.no_grad():
        engine.run(None)
        engine.prepare(query.spec[0])
    return engine


def random_slopes(engine, rng, rows):
    """Slopes anywhere between those of the two lines, one per row and free element."""
    found = {}
    for node, free in engine.state.free.items():
        sides = engine.relaxed[node].free
        part = torch.tensor(rng.random((1, rows, len(free))), dtype=engine.maps.dtype)
        low, high = engine.maps.between(sides.least[free], sides.most[free])
        found[node] = (low + part * (high - low)).clamp(low, high)
    return found


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda fn: fn.name)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_slopes_are_sound(dtype, fn, seed):
    query, _, _ = chain(seed, fn)
    rng = np.random.default_rng(seed)
    engine = engine_of(query, dtype)
    spec = query.spec[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "_SHORT", 0)
        found = engine.backward(spec, torch.arange(2), Dual(random_slopes(engine, rng, 4)))
    x = query.inputs[0]
    corners = np.array(list(itertools.product([-1, 1], repeat=2)), dtype=float)
    points = to_fractions(np.concatenate((corners, rng.integers(-64, 65, (12, 2)) / 64)))
    rows = query.rows.value(query.values({x: points}, exact=True))
    assert (rows >= to_fractions(found.lower[0].double().numpy())).all()
    assert (rows <= to_fractions(found.upper[0].double().numpy())).all()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_lines_closer_than_a_format_can_tell_apart(dtype, monkeypatch):
    """Between slopes of 0.1 and 0.1 + 1e-10 there is no float32: the nearest ones are wrong by 0.006 at -1e6."""
    monkeypatch.setattr(linear, "_SHORT", 0)
    x = new_input("x", 1)
    y = pointwise(Hinge(np.array([0.1]), np.array([0.1 + 1e-10])), x)
    query = Query("close", {x: Box(np.array([-1e6]), np.array([1e6]))}, Rows.of(y), Atoms(np.array([0]), True, True))
    assert compute(query, Alpha(3), dtype=dtype).rows.lower[0] <= -1e6 * Fraction(0.1)


@pytest.mark.parametrize("seed", range(4))
def test_slopes_per_row_equal_a_dense_numpy_implementation(seed):
    query, pre, post = chain(seed, sizes=(3, 8, 8, 3))
    engine = engine_of(query)
    slopes = random_slopes(engine, np.random.default_rng(seed), 6)
    found = engine.backward(query.spec[0], torch.arange(3), Dual(slopes)).lower[0]
    assert sum(s.shape[-1] for s in slopes.values()) >= 3
    layers = [(n.maps[0].weight, n.bias) for n in (*pre, next(iter(query.rows.parts)))]
    for row in range(3):
        c, constant = layers[-1][0][row], layers[-1][1][row]
        for depth in (1, 0):
            lo, hi = (engine.ranges[pre[depth]].lower[0].numpy(), engine.ranges[pre[depth]].upper[0].numpy())
            alpha = (lo >= 0).astype(float)
            alpha[engine.state.free[post[depth]]] = slopes[post[depth]][0, row]
            open_ = (lo < 0) & (hi > 0)
            chord = np.where(open_, hi / np.where(open_, hi - lo, 1), lo >= 0)
            constant = constant + np.minimum(c, 0) @ np.where(open_, -chord * lo, 0)
            c = np.maximum(c, 0) * alpha + np.minimum(c, 0) * chord
            constant, c = constant + c @ layers[depth][1], c @ layers[depth][0]
        assert float(found[row]) == pytest.approx(constant - np.abs(c).sum(), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from((*KINDS, "tanh")), seed=st.integers(0, 10**6), shared=st.booleans())
def test_never_looser_than_crown(kind, seed, shared):
    query = random_query(random_network(kind, seed), seed)
    linear, best = compute(query, "crown"), compute(query, Alpha(5, shared=shared))
    for node in query.nodes:
        assert (best[node].lower >= linear[node].lower - 1e-9).all()
        assert (best[node].upper <= linear[node].upper + 1e-9).all()
    assert margin(query, best) >= margin(query, linear) - 1e-9


@pytest.mark.parametrize("seed", range(3))
def test_reaches_the_linear_program(seed):
    """With one hidden layer the dual over slopes is the triangle LP (Salman et al., 2019, theorem 4.2)."""
    query, (h,), _ = chain(seed, sizes=(3, 6, 2))
    bounds = compute(query, "crown")
    optimised = crown(query, intermediate=bounds, ascent=Ascent(iterations=200)).rows.lower
    out = next(iter(query.rows.parts))
    W, b, C, d = h.maps[0].weight, h.bias, out.maps[0].weight, out.bias
    lo, hi = bounds[h].lower, bounds[h].upper
    rows, limits, y_bounds = [], [], []
    for k in range(6):
        low, high = np.zeros(9), np.zeros(9)
        low[:3], low[3 + k], high[3 + k] = W[k], -1.0, 1.0
        slope = hi[k] / (hi[k] - lo[k]) if lo[k] < 0 < hi[k] else float(lo[k] >= 0)
        high[:3] = -slope * W[k]
        if lo[k] < 0 < hi[k] or lo[k] >= 0:
            rows.append(low), limits.append(-b[k])
        rows.append(high), limits.append(slope * (b[k] - lo[k]) if lo[k] < 0 < hi[k] else slope * b[k])
        y_bounds.append((0, None))
    for k in range(2):
        cost = np.concatenate((np.zeros(3), C[k]))
        least = linprog(cost, np.array(rows), np.array(limits), bounds=[(-1, 1)] * 3 + y_bounds).fun + d[k]
        assert optimised[k] <= least + 1e-9
        assert optimised[k] == pytest.approx(least, abs=2e-3)
    assert (optimised > bounds.rows.lower + 1e-4).any() or seed


def split_chain(seed, count=2):
    """A chain, the most open neurons of its layers, and all their phase patterns as a batch."""
    query, pre, post = chain(seed, sizes=(2, 5, 5, 2))
    bounds = compute(query, "crown")
    chosen = []
    for z, y in list(zip(pre, post, strict=True))[:count]:
        chosen.append((y, np.minimum(-bounds[z].lower, bounds[z].upper).argmax()))
    signs = np.array(list(itertools.product([-1, 1], repeat=len(chosen))))
    phases = {}
    for k, (y, element) in enumerate(chosen):
        phases[y] = np.zeros((len(signs), y.size))
        phases[y][:, element] = signs[:, k]
    boxes = {x: tuple(np.stack([v] * len(signs)) for v in box.outer) for x, box in query.boxes.items()}
    return query, boxes, phases


@pytest.mark.parametrize("seed", range(5))
def test_multipliers_of_fixed_phases(seed):
    query, boxes, phases = split_chain(seed)
    plain = crown(query, boxes, phases=phases, ascent=Ascent(iterations=1))
    best = crown(query, boxes, phases=phases, ascent=Ascent(iterations=40))
    assert (best.rows.lower >= plain.rows.lower - 1e-9).all()
    x = query.inputs[0]
    points = np.random.default_rng(seed).integers(-32, 33, (60, 2)) / Fraction(32)
    values = query.values({x: points}, exact=True)
    rows, met = query.rows.value(values), 0
    for case in range(len(plain.rows.lower)):
        inside = np.ones(len(points), dtype=bool)
        for y, signs in phases.items():
            inside &= ((values[y.parents[0]] * signs[case].astype(int)) >= 0).all(axis=1)
        met += int(inside.sum())
        assert (rows[inside] >= best.rows.lower[case]).all()
    assert met >= len(points)


def test_beta_is_what_the_phase_adds_to_a_linear_row():
    """The row 9/8 z with z = x0 + x1 >= 0 is at least 0 by beta = 9/8; the interval of z does not say it."""
    x = new_input("x", 2)
    z = affine(((Dense([[1.0, 1.0]]), x),))
    y = pointwise(relu(), z)
    row = Rows.of(x).combine(np.array([[1.0, 1.0]])) + Rows.of(y).scale(Fraction(1, 8))
    query = Query("q", {x: Box(-np.ones(2), np.ones(2))}, row, Atoms(np.array([0]), True, True))
    phases = {y: np.array([1.0])}
    assert crown(query, phases=phases).rows.lower[0] == pytest.approx(-2.0)
    assert -0.1 <= crown(query, phases=phases, ascent=Ascent(iterations=60)).rows.lower[0] <= 0.0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), dtype=st.sampled_from(["float64", "float32"]))
def test_any_multipliers_are_sound(seed, dtype):
    query, pre, post = chain(seed)
    rng = np.random.default_rng(seed)
    signs = {y: rng.integers(-1, 2, y.size).astype(float) for y in post}
    engine = engine_of(query, dtype, signs)
    price = {
        z: -torch.tensor(signs[y] * rng.exponential(size=(1, 4, y.size)), dtype=engine.maps.dtype)
        for z, y in zip(pre, post, strict=True)
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "_SHORT", 0)
        found = engine.backward(query.spec[0], torch.arange(2), Dual(random_slopes(engine, rng, 4), price))
    points = rng.integers(-64, 65, (80, 2)) / Fraction(64)
    values = query.values({query.inputs[0]: points}, exact=True)
    inside = np.all(
        [(values[z] * signs[y].astype(int) >= 0).all(axis=1) for z, y in zip(pre, post, strict=True)], axis=0
    )
    rows = query.rows.value(values)[inside]
    assert (rows >= to_fractions(found.lower[0].double().numpy())).all()
    assert (rows <= to_fractions(found.upper[0].double().numpy())).all()


def half_plane(limit, formula=None):
    """Minimise x0 + relu(x1) - x1 over [-1, 1]^2 where x0 + x1 >= limit, the row ``limit - x0 - x1 <= 0``."""
    x = new_input("x", 2)
    y = pointwise(relu(), x)
    soft = Rows.of(x).combine(np.array([[1.0, -1.0]])) + Rows.of(y).combine(np.array([[0.0, 1.0]]))
    hard = Rows.constants([limit]) - Rows.of(x).combine(np.array([[1.0, 1.0]]))
    both = And((Atoms(np.array([1]), False, False), Atoms(np.array([0]), False, True)))
    return Query("half", {x: Box(-np.ones(2), np.ones(2))}, stack((soft, hard)), formula or both)


@pytest.mark.parametrize("limit", [0.5, Fraction(1, 3)])
def test_linear_preconditions_cut_the_box(limit):
    query = half_plane(limit)
    x = query.inputs[0]
    points = np.random.default_rng(0).integers(-32, 33, (300, 2)) / Fraction(32)
    values = query.values({x: points}, exact=True)
    rows = query.rows.value(values)
    inside = rows[:, 1] <= 0
    best = compute(query, Alpha(60))
    assert (rows[inside, 0] >= best.rows.lower[0]).all()
    assert compute(query, "crown").rows.lower[0] == pytest.approx(-1.0)
    # x1 <= 1 leaves x0 >= limit - 1, where the row is x0: by lambda = 1, up to what the triangle of relu(x1) loses
    assert best.rows.lower[0] == pytest.approx(float(limit) - 1, abs=0.02)
    assert domain_margin(query, "alpha:60")[0] == best.rows.lower[0]


def test_only_preconditions_of_every_case_count():
    hard, soft = Atoms(np.array([1]), False, False), Atoms(np.array([0]), False, True)
    assert preconditions(half_plane(0.5)).tolist() == [1]
    either = half_plane(0.5, Or((And((hard, soft)), soft)))
    assert preconditions(either).tolist() == []
    assert preconditions(half_plane(0.5, Or((And((hard, soft)), And((soft, hard)))))).tolist() == [1]
    assert preconditions(half_plane(0.5, And((soft,)))).tolist() == []
    assert compute(either, Alpha(40)).rows.lower[0] == pytest.approx(-1.0)


@settings(max_examples=10, deadline=None)
@given(kind=st.sampled_from(("dense", "conv", "maxpool")), seed=st.integers(0, 10**6), shared=st.booleans())
@example(kind="conv", seed=461, shared=False)
@example(kind="maxpool", seed=1225, shared=False)
def test_a_batch_is_its_members(kind, seed, shared):
    """Passes are the same; where a gradient is 0 but for rounding, an ascent may go another way, a little."""
    query = random_query(random_network(kind, seed), seed)
    x, box = next(iter(query.boxes.items()))
    radius = np.random.default_rng(seed).uniform(0.1, 1, (3, x.size))
    centre = (box.lower + box.upper) / 2
    boxes = {x: (centre - radius, centre + radius)}
    plain, batch = compute(query, "crown", boxes=boxes), compute(query, Alpha(4, shared=shared), boxes=boxes)
    same = []
    for k in range(3):
        alone = replace(query, boxes={x: Box(centre - radius[k], centre + radius[k])})
        single, start = compute(alone, Alpha(4, shared=shared)).rows.lower, compute(alone, "crown").rows.lower
        np.testing.assert_allclose(plain.box(k).rows.lower, start, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(batch.box(k).rows.lower, single, rtol=0.01, atol=0.01)
        same.append(np.isclose(batch.box(k).rows.lower, single, rtol=1e-9, atol=1e-9))
    assert np.mean(same) >= 0.6


def test_chunks_change_nothing():
    query, *_ = chain(3, sizes=(3, 8, 8, 3))
    whole, pieces = (crown(query, ascent=Ascent(iterations=5), maps=Maps(memory=m)) for m in (2**28, 1))
    np.testing.assert_allclose(pieces.rows.lower, whole.rows.lower, atol=1e-10)


def test_alpha_as_text():
    for source, text in (
        (Alpha(), "alpha"),
        (Alpha(7), "alpha:7"),
        (Alpha(7, hidden=False, shared=True), "alpha:7:rows:shared"),
    ):
        assert source.text == text
        assert find_source(text) == source
    assert find_source("alpha:20").text == "alpha"
    for wrong in ("alpha:", "alpha:x", "alpha:3:fast", "alpha:0", "alpha:-1"):
        with pytest.raises(InputError, match="alpha"):
            find_source(wrong)
