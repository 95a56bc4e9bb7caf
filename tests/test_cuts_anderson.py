"""Anderson's rows: true at every corner and phase in rationals, and ideal for one neuron over a box."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scenes import columns_at, corners, excess, inequalities, layer_scene
from scipy.optimize import linprog

from nnsym.encode.registry import find_cut, find_encoding
from nnsym.encoding import Rounds
from nnsym.errors import UnsupportedError
from nnsym.ir.univariate import Hinge, absolute, leaky_relu, relu
from nnsym.separation.box import box_neurons
from nnsym.testing.check_encoding import check_encoding
from nnsym_encodings.anderson import most_violated
from tests.depth import drawn

ANDERSON = find_cut("anderson")
HINGES = [relu(), leaky_relu(0.1), absolute(), Hinge(np.array([0.7]), np.array([-0.3]), "roof")]


def random_scene(rng, n=4, m=3, fn=None):
    weight, bias = rng.normal(size=(m, n)), rng.normal(size=m) * 0.2
    lower = rng.normal(size=n)
    upper = lower + rng.random(n) + 0.1
    if rng.random() < 0.3:
        weight[:, 0], upper[1] = 0.0, lower[1]
    return layer_scene(weight, bias, lower, upper, encoding="bigm", fn=fn), lower, upper


def with_phases(scene, point, value=None):
    """The point with z as the network sets it, or at a value."""
    for layer in scene.layers:
        z = scene.phases(layer)
        point[z] = np.asarray(point[layer.hinges.h] > 0, dtype=float) if value is None else value
    return point


@pytest.mark.parametrize("fn", HINGES, ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}")
def test_every_row_holds_at_every_corner_in_rationals(fn):
    rng = np.random.default_rng(0)
    found, trials = 0, drawn(20, 10)
    for _ in range(trials):
        scene, lower, upper = random_scene(rng, fn=fn)
        separate, blocks = ANDERSON.separator(scene), []
        for _ in range(3):
            point = with_phases(scene, columns_at(scene, lower + rng.random(4) * (upper - lower)).astype(float), 0.4)
            for layer in scene.layers:
                o = layer.hinges
                point[o.y] += o.sign * 5.0
            blocks += separate(point)
        for x in corners(lower, upper):
            for block in blocks:
                assert max(excess(block, with_phases(scene, columns_at(scene, x)))) <= 0
        found += sum(map(len, blocks))
    assert found > 2 * trials


def test_one_neuron_over_a_box_is_ideal():
    """With all of its rows, vertices of the relaxation have whole phases; without them they do not."""
    rng = np.random.default_rng(1)
    fractional, scenes = 0, drawn(14, 7)
    for _ in range(scenes):
        scene, lower, _ = random_scene(rng, m=1)
        if not scene.layers:
            continue
        blocks = []  # those of earlier objectives hold for all
        for _ in range(20):
            cost = rng.normal(size=scene.program.n_columns)
            cost[len(lower) + 3 :] = 0.0  # the columns after x, h, y, z are the property's
            plain = vertex(scene, cost, [])
            fractional += whole(scene, plain) > 1e-6
            assert whole(scene, cut(scene, cost, blocks)) < 1e-6
    assert fractional > 1.4 * scenes


def vertex(scene, cost, blocks):
    program = scene.program
    rows = [b for b in program.rows if "spec" not in b.origin and "query" not in b.origin]
    bounds = list(zip(program.lower, program.upper, strict=True))
    answer = linprog(cost, *inequalities(program, [*rows, *blocks]), bounds=bounds, method="highs-ds")
    assert answer.status == 0
    return answer.x


def cut(scene, cost, blocks):
    separate = ANDERSON.separator(scene)
    for _ in range(60):
        point = vertex(scene, cost, blocks)
        found = list(separate(point))
        if not found:
            return point
        blocks += found
    raise AssertionError("the rounds do not end")


def whole(scene, point):
    (layer,) = scene.layers
    z = point[scene.phases(layer)]
    return float(np.abs(z - np.round(z)).max())


def test_the_row_found_is_the_smallest_of_all_subsets():
    rng = np.random.default_rng(2)
    for _ in range(drawn(20, 10)):
        scene, lower, upper = random_scene(rng)
        for some in box_neurons(scene):
            x, z = lower + rng.random(4) * (upper - lower), np.full(len(some.k), rng.random())
            x = x[np.isin(np.arange(4), some.x)]
            c = most_violated(some, x, z)
            best = np.array([_value(some, i, c[i] != 0, x, z[i]) for i in range(len(c))])
            for subset in corners(np.zeros(len(x)), np.ones(len(x))).astype(bool):
                every = [_value(some, i, subset, x, z[i]) for i in range(len(c))]
                assert (best <= np.array(every) + 1e-12).all()


def _value(some, i, inside, x, z):
    w, low, high = some.W[i], some.least[i], some.most[i]
    return (w * (x - low * (1 - z)))[inside].sum() + (some.b[i] + (w * high)[~inside].sum()) * z


def test_it_needs_phases():
    with pytest.raises(UnsupportedError, match=r"'anderson' need binary phases.*bigm\+anderson"):
        find_encoding("triangle+anderson")


@pytest.mark.slow
@pytest.mark.parametrize("cuts", ["anderson", "krelu2", "anderson+krelu2+tj"])
def test_conformance_of_exact_programs_with_cuts(cuts):
    encoding = replace(find_encoding(f"bigm+{cuts}"), rounds=Rounds(least_binaries=0))
    check_encoding(encoding, kinds=("dense", "leaky", "residual"), seeds=range(2), runs=2, bounds=("ibp",))
