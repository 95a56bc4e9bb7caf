"""Tjandraatmadja's rows: true at every corner in rationals, and the concave envelope at the point they are made for."""

from __future__ import annotations

import numpy as np
import pytest
from scenes import columns_at, corners, envelope, excess, layer_scene

from nnsym.encode.registry import find_cut
from nnsym.ir.univariate import Hinge, absolute, leaky_relu, relu
from nnsym.separation.box import box_neurons
from nnsym.testing.check_encoding import check_encoding
from nnsym_encodings import tjandraatmadja
from nnsym_encodings.tjandraatmadja import most_violated
from tests.depth import drawn

TJ = find_cut("tj")
HINGES = [relu(), leaky_relu(0.1), absolute(), Hinge(np.array([0.7]), np.array([-0.3]), "roof")]


def random_layer(rng, n=5, m=3):
    weight, bias = rng.normal(size=(m, n)), rng.normal(size=m) * 0.2
    lower = rng.normal(size=n)
    return weight, bias, lower, lower + rng.random(n) + 0.1


def above(scene, x):
    """A point of the relaxation over ``x``: every neuron as high as its triangle lets it."""
    point = columns_at(scene, x).astype(float)
    for layer in scene.layers:
        o = layer.hinges
        h = point[o.h]
        chord = (o.b * o.u * (h - o.l) + o.a * o.l * (o.u - h)) / (o.u - o.l)
        point[o.y] = o.sign * chord
    return point


@pytest.mark.parametrize("fn", HINGES, ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}")
def test_the_row_at_a_point_is_the_concave_envelope_there(fn):
    rng = np.random.default_rng(1)
    checked = 0
    for _ in range(25):
        weight, bias, lower, upper = random_layer(rng)
        scene = layer_scene(weight, bias, lower, upper, fn=fn)
        ends = corners(lower, upper)
        x = lower + rng.random(len(lower)) * (upper - lower)
        point = columns_at(scene, x).astype(float)
        for some in box_neurons(scene):
            c = most_violated(some, point[some.x])
            q = np.maximum(some.passive(c), some.active(c))
            o = some.layer.hinges
            for i, k in enumerate(some.k):
                value = o.a[k] * point[o.h[k]] + c[i] @ point[some.x] + q[i]
                h = ends @ weight[o.index[k]] + bias[o.index[k]]
                expected = envelope(x, ends, o.sign[k] * fn.take(np.array([0])).value(h))
                assert value == pytest.approx(expected, abs=1e-12)
                checked += 1
    assert checked > 25


@pytest.mark.parametrize("fn", HINGES, ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}")
def test_every_row_holds_at_every_corner_in_rationals(fn):
    rng = np.random.default_rng(2)
    found, trials = 0, drawn(30, 12)
    for trial in range(trials):
        weight, bias, lower, upper = random_layer(rng)
        if trial % 3 == 0:  # degenerate: weights of 0, fixed inputs, equal rows, sizes that cancel
            weight[:, 0] = 0.0
            upper[1] = lower[1]
            weight[1] = weight[0]
            weight[2] *= 1e8
        scene = layer_scene(weight, bias, lower, upper, fn=fn)
        separate = TJ.separator(scene)
        inner = lower + rng.random(len(lower)) * (upper - lower)
        blocks = [b for x in (inner, (lower + upper) / 2) for b in separate(above(scene, x))]
        for point in [columns_at(scene, x) for x in corners(lower, upper)]:
            for block in blocks:
                assert max(excess(block, point)) <= 0
        found += sum(map(len, blocks))
    assert found > 2 / 3 * trials


def test_wrong_coefficients_cost_strength_and_never_truth(monkeypatch):
    """The right-hand side is made for the coefficients: whatever they are, it holds, and a corner attains it."""
    rng = np.random.default_rng(3)
    monkeypatch.setattr(
        tjandraatmadja, "most_violated", lambda some, x: most_violated(some, x) + rng.normal(size=some.W.shape)
    )
    found = 0
    for _ in range(20):
        weight, bias, lower, upper = random_layer(rng)
        scene = layer_scene(weight, bias, lower, upper)
        high = columns_at(scene, (lower + upper) / 2).astype(float)
        for layer in scene.layers:
            high[layer.hinges.y] += 50.0
        for block in TJ.separator(scene)(high):
            worst = np.max([excess(block, columns_at(scene, x)) for x in corners(lower, upper)], axis=0)
            assert (worst <= 0).all()
            assert (worst > -1e-12).all()
            found += len(block)
    assert found > 20


def test_a_neuron_that_its_box_decides_and_an_input_that_is_one_get_no_row():
    scene = layer_scene(np.array([[1.0, 1.0]]), np.array([2.5]), -np.ones(2), np.ones(2))
    assert list(TJ.separator(scene)(np.full(scene.program.n_columns, 9.0))) == []


@pytest.mark.slow
def test_conformance():
    check_encoding("triangle+tj", kinds=("dense", "leaky", "residual", "maxpool", "tanh"), seeds=range(2), runs=3)
