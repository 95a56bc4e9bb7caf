"""Cuts of groups: right-hand sides at exact vertices, facets as the exact library finds them, nothing over a box."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import columns_at, corners, excess, layer_scene
from scipy.optimize import linprog

from nnsym.encode.registry import find_cut
from nnsym.errors import InputError
from nnsym.ir.exact import to_fractions
from nnsym.ir.univariate import Hinge, absolute, leaky_relu, relu
from nnsym.separation import hull
from nnsym.separation.octahedra import octahedra, signs, vertices
from nnsym.testing.check_encoding import check_encoding
from nnsym_encodings.krelu import _cover, group_rows, krelu

HINGES = [relu(), leaky_relu(0.1), absolute(), Hinge(np.array([0.7]), np.array([-0.3]), "roof")]


def random_scene(rng, n=4, m=4, fn=None):
    weight, bias = rng.normal(size=(m, n)), rng.normal(size=m) * 0.1
    return layer_scene(weight, bias, -np.ones(n), np.ones(n), fn=fn)


def exact_vertices(c, k):
    """All vertices of all orthants' parts of an octahedron, by rational elimination."""
    planes = [[Fraction(int(v)) for v in a] for a in (*signs(k), *np.eye(k))]
    right = [Fraction(float(v)) for v in c] + [Fraction(0)] * k
    found = set()
    for some in combinations(range(len(planes)), k):
        solved = _solve([planes[i] for i in some], [right[i] for i in some])
        if solved is not None and all(
            sum(a * x for a, x in zip(plane, solved, strict=True)) <= limit
            for plane, limit in zip(planes[:-k], right[:-k], strict=True)
        ):
            found.add(solved)
    return found


def _solve(matrix, right):
    rows = [[*line, r] for line, r in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        pivot = next((j for j in range(i, len(rows)) if rows[j][i] != 0), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [v / rows[i][i] for v in rows[i]]
        for j in range(len(rows)):
            if j != i and rows[j][i] != 0:
                rows[j] = [a - rows[j][i] * b for a, b in zip(rows[j], rows[i], strict=True)]
    return tuple(row[-1] for row in rows)


def lifted(layer, group, h):
    """``(h, y)`` in rationals."""
    o = layer.hinges
    left, right = to_fractions((o.sign * o.a)[group]), to_fractions((o.sign * o.b)[group])
    h = np.array(h, dtype=object)
    return np.concatenate((h, np.where(h > 0, right * h, left * h)))


@pytest.mark.parametrize("fn", HINGES, ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}")
def test_rows_hold_at_every_exact_vertex_and_touch_one(fn):
    rng = np.random.default_rng(0)
    checked = 0
    for _ in range(4):
        scene = random_scene(rng, fn=fn)
        (layer,) = scene.layers
        for group in combinations(range(len(layer.hinges.index)), 2):
            found = octahedra(scene, layer, np.array([group]), "lp")
            for c in found.c:
                rows = group_rows(layer, np.array(group), c)
                points = [lifted(layer, np.array(group), v) for v in exact_vertices(c, 2)]
                for p, rhs in zip(to_fractions(rows.coefficients), to_fractions(rows.rhs), strict=True):
                    slack = min(rhs - sum(p * v) for v in points)
                    assert 0 <= slack < 1e-12
                    checked += 1
    assert checked > 30


def test_rows_of_triples_hold_at_every_exact_vertex():
    rng = np.random.default_rng(1)
    scene = random_scene(rng, n=3, m=3)
    (layer,) = scene.layers
    group = np.arange(len(layer.hinges.index))
    assert len(group) == 3
    (c,) = octahedra(scene, layer, group[None], "lp").c
    rows = group_rows(layer, group, c)
    assert len(rows.rhs) > 50
    points = [lifted(layer, group, v) for v in exact_vertices(c, 3)]
    for p, rhs in zip(to_fractions(rows.coefficients), to_fractions(rows.rhs), strict=True):
        assert 0 <= min(rhs - sum(p * v) for v in points) < 1e-12


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-9, 0.25, 1.0, 1.0 / 3, 7.0, 1e6]), min_size=8, max_size=8), st.integers(0, 99))
def test_every_vertex_of_a_degenerate_octahedron_is_near_a_point(numbers, seed):
    rng = np.random.default_rng(seed)
    c = np.array(numbers) * rng.choice([1.0, 1.0, 1.5], 8)
    points, delta = vertices(c, 2)
    for vertex in exact_vertices(c, 2):
        away = np.abs(to_fractions(points) - np.array(vertex, dtype=object)).max(axis=1)
        assert away.min() <= Fraction(delta)


def test_over_a_box_there_are_no_cuts():
    """Neurons that share no input: their octahedron is a box, and the hull the product of triangles."""
    scene = layer_scene(np.eye(3), np.zeros(3), -np.ones(3), 2 * np.ones(3))
    (layer,) = scene.layers
    pairs = np.array(list(combinations(range(3), 2)))
    assert len(octahedra(scene, layer, pairs, "lp").groups) == 0
    box = np.array([sum(np.where(a > 0, 2.0, 1.0) * (a != 0)) for a in signs(2)])
    assert len(group_rows(layer, np.array([0, 1]), box).rhs) == 0
    assert list(krelu(2).separator(scene)(np.full(scene.program.n_columns, 9.0))) == []


def test_facets_are_those_of_the_exact_library_and_flat_sets_are_left_to_it():
    pytest.importorskip("ppl")
    rng = np.random.default_rng(3)
    points = np.round(rng.random((12, 4)) * 2**20) / 2**20
    ours = hull.facets(points)
    exact = hull.exact_facets(points)
    exact = exact / np.abs(exact).max(axis=1, keepdims=True)
    assert len(ours) == len(exact)
    for direction in ours:
        assert np.abs(exact - direction).max(axis=1).min() < 1e-7
    flat = np.concatenate((points[:, :3], points[:, :1]), axis=1)
    found = hull.facets(flat)
    assert len(found)
    ends = found @ flat.T
    assert any(np.ptp(row) < 1e-5 for row in ends)  # the equation of the plane


def test_without_the_exact_library_a_flat_group_has_no_facets(monkeypatch):
    monkeypatch.setattr(hull, "find_spec", lambda name: None)
    flat = np.ones((9, 4)) * np.arange(9)[:, None]
    assert hull.facets(flat).shape == (0, 4)


def test_equal_neurons_get_rows_that_hold():
    weight = np.array([[1.0, -0.5], [1.0, -0.5], [0.3, 0.9]])
    scene = layer_scene(weight, np.zeros(3), -np.ones(2), np.ones(2))
    high = columns_at(scene, np.zeros(2)).astype(float)
    (layer,) = scene.layers
    high[layer.hinges.y] = layer.hinges.u
    blocks = list(krelu(2).separator(scene)(high))
    for x in corners(-np.ones(2), np.ones(2)):
        for block in blocks:
            assert max(excess(block, columns_at(scene, x))) <= 0


def test_the_cuts_of_a_pair_are_the_hull_of_its_octahedron():
    """Maximising over the rows gives the best convex combination of lifted vertices."""
    rng = np.random.default_rng(5)
    scene = random_scene(rng, m=2)
    (layer,) = scene.layers
    o, group = layer.hinges, np.array([0, 1])
    (c,) = octahedra(scene, layer, group[None], "lp").c
    rows = group_rows(layer, group, c)
    points = np.array([[float(v) for v in lifted(layer, group, p)] for p in exact_vertices(c, 2)])
    a = signs(2)
    single = np.zeros((4, 4))
    single[[0, 1], [0, 1]], single[[0, 1], [2, 3]] = -o.u, o.u - o.l
    single[[2, 3], [0, 1]], single[[2, 3], [2, 3]] = 1.0, -1.0
    matrix = np.concatenate((rows.coefficients, np.concatenate((a, np.zeros_like(a)), axis=1), single))
    limit = np.concatenate((rows.rhs, c, -o.u * o.l, np.zeros(2)))
    for _ in range(20):
        cost = rng.normal(size=4)
        bounds = [(-9, 9), (-9, 9), (0, 9), (0, 9)]
        answer = linprog(-cost, A_ub=matrix, b_ub=limit, bounds=bounds)
        assert -answer.fun == pytest.approx((points @ cost).max(), abs=1e-7)


def test_octahedra_of_both_sources_hold():
    rng = np.random.default_rng(6)
    scene = random_scene(rng, n=5, m=6)
    (layer,) = scene.layers
    groups = np.array(list(combinations(range(len(layer.hinges.index)), 2)))
    for source in ("lp", "crown"):
        found = octahedra(scene, layer, groups, source)
        for _ in range(30):
            point = columns_at(scene, rng.choice([-1.0, 1.0, 0.25], 5))
            for group, c in zip(found.groups, to_fractions(found.c), strict=True):
                assert (to_fractions(signs(2)) @ point[layer.hinges.h[group]] <= c).all()


def test_no_two_groups_of_a_cover_share_a_pair():
    groups = _cover(30, 3, 12, 1000)
    pairs = [pair for group in groups for pair in combinations(group, 2)]
    assert len(pairs) == len(set(pairs))
    assert len(groups) > 20


def test_names_and_errors():
    assert find_cut("krelu2:crown").text == "krelu2:crown"
    assert replace(find_cut("krelu3"), octahedra="crown") == find_cut("krelu3:crown")
    with pytest.raises(InputError, match=r"krelu: groups of 5 neurons"):
        krelu(5)
    with pytest.raises(InputError, match=r"'exact' is no source of octahedra"):
        find_cut("krelu2:exact")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["triangle+krelu2", "triangle+krelu3+tj", "triangle+krelu2:crown"])
def test_conformance(name):
    check_encoding(name, kinds=("dense", "leaky", "residual", "conv"), seeds=range(2), runs=2, bounds=("ibp",))
