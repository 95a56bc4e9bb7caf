"""Groups without hulls: maxima against exact LPs over every orthant, separation against the facets of hulls."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scenes import columns_at, excess, layer_scene

from nnsym.bounds.methods import compute
from nnsym.encode.point import complete, residual
from nnsym.encode.registry import find_cut, find_encoding
from nnsym.encode.walk import encode
from nnsym.encoding import Rounds
from nnsym.ir.exact import to_fractions
from nnsym.ir.rational.simplex import minimise
from nnsym.ir.univariate import Hinge, absolute, leaky_relu, relu
from nnsym.judge.programs.build import build
from nnsym.program import Tag
from nnsym.separation import orthants as module
from nnsym.separation.gauge import separate
from nnsym.separation.groups import Group
from nnsym.separation.hull import facets
from nnsym.separation.octahedra import octahedra, signs, vertices
from nnsym.separation.orthants import Parts, orthants
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.registry import find
from nnsym.testing.check_encoding import check_encoding
from nnsym.testing.random_nets import random_network, random_query
from nnsym_encodings.krelu import krelu
from nnsym_encodings.krelu_separated import apart, group_row, right_hand_side

HINGES = [relu(), leaky_relu(0.1), absolute(), Hinge(np.array([0.7]), np.array([-0.3]), "roof")]


def octahedron(rng, k, n):
    """A layer of k neurons over the box [-1, 1]^n, and their octahedron."""
    weight, bias = rng.normal(size=(k, n)), rng.normal(size=k) * 0.1
    scene = layer_scene(weight, bias, -np.ones(n), np.ones(n), fn=HINGES[int(rng.integers(4))])
    (layer,) = scene.layers
    assert len(layer.hinges.index) == k
    a = signs(k)
    return layer, np.abs(a @ weight).sum(axis=1) + a @ bias + 1e-12


def greatest(cost, c, s):
    """The greatest ``cost h`` over a part of an octahedron in rationals; None if it is empty."""
    k = len(s)
    infinite = float("inf")
    low = [Fraction(0) if v > 0 else -infinite for v in s]
    high = [infinite if v > 0 else Fraction(0) for v in s]
    rows = [[Fraction(int(v)) for v in a] for a in signs(k)]
    found = minimise([-v for v in cost], rows, to_fractions(c).tolist(), low, high)
    return None if found is None else -found.value


def greatest_of_row(group, row, c):
    """The greatest value of ``p h + q y`` over an octahedron in rationals, None if it is empty."""
    k = len(group.members)
    p, q = to_fractions(row[:k]), to_fractions(row[k:])
    left, right = to_fractions(group.left), to_fractions(group.right)
    values = [greatest(p + q * np.where(s > 0, right, left), c, s) for s in orthants(k)]
    return max((v for v in values if v is not None), default=None)


@pytest.mark.parametrize(("k", "rows"), [(2, 20), (3, 6), (4, 2)])
def test_right_hand_sides_hold_in_every_orthant_and_are_tight(k, rows):
    rng = np.random.default_rng(k)
    layer, c = octahedron(rng, k, 5)
    group, parts = Group(layer, np.arange(k)), Parts.of(c, k)
    for _ in range(rows):
        row = rng.normal(size=2 * k)
        slack = Fraction(right_hand_side(group, parts, row)) - greatest_of_row(group, row, c)
        assert 0 <= slack < 1e-8


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 1e-9, 0.25, 1.0, 1.0 / 3, 7.0, -0.25, 1e6]), min_size=8, max_size=8),
    st.lists(st.sampled_from([0.0, 1.0, -1.0, 0.1, -1e-7, 3e5]), min_size=4, max_size=4),
)
def test_maxima_hold_over_degenerate_octahedra(numbers, row):
    """Flat ones, single points, empty ones, whatever the right-hand sides are."""
    c, row = np.array(numbers), np.array(row)
    scene = layer_scene(np.eye(2), np.zeros(2), -np.ones(2), np.ones(2))
    group, parts = Group(scene.layers[0], np.arange(2)), Parts.of(c, 2)
    for s, empty in zip(orthants(2), parts.empty, strict=True):
        assert not empty or greatest(to_fractions(np.zeros(2)), c, s) is None
    best = greatest_of_row(group, row, c)
    assert best is None or right_hand_side(group, parts, row) >= best


def test_what_a_rounded_slope_may_hide_is_charged():
    """p + 3 * 0.1 is 0 in floats and -3e-17 exactly, on the side where that makes the row positive."""
    roof = Hinge(np.array([0.1]), np.array([0.1 - 2.0**-40]), "roof")
    scene = layer_scene(np.eye(2), np.zeros(2), -np.ones(2), np.ones(2), fn=roof)
    group, c, row = Group(scene.layers[0], np.arange(2)), np.abs(signs(2)).sum(axis=1), np.array([-3 * 0.1, 0, 3, 0])
    best = greatest_of_row(group, row, c)
    assert 0 < best < 1e-16
    assert best <= Fraction(right_hand_side(group, Parts.of(c, 2), row)) < 1e-13


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), flat=st.sampled_from(["no", "equal rows", "a zero side", "two inputs"]))
def test_rows_of_four_neurons_hold_at_exact_maxima(seed, flat):
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=(4, 2 if flat == "two inputs" else 4)), rng.normal(size=4) * 0.1
    if flat == "equal rows":
        weight[1], bias[1] = weight[0], bias[0]
    if flat == "a zero side":
        bias[2] = np.abs(weight[2]).sum() * (1 - 1e-12)
    n = weight.shape[1]
    scene = layer_scene(weight, bias, -np.ones(n), np.ones(n))
    (layer,) = scene.layers
    assume(len(layer.hinges.index) == 4)
    group = Group(layer, np.arange(4))
    high = columns_at(scene, np.zeros(n)).astype(float)
    high[layer.hinges.y] = 0.7 * layer.hinges.u
    for c in octahedra(scene, layer, np.arange(4)[None], "lp").c:
        parts = Parts.of(c, 4)
        if len(parts.points):
            found = group_row(group, parts, high, 1e-6)
            for row, rhs in zip(found.coefficients, found.rhs, strict=True):
                assert Fraction(rhs) >= greatest_of_row(group, row, c)
    for block in krelu(4).separator(scene)(high):
        for x in rng.choice([-1.0, 1.0, 0.5], size=(8, n)):
            assert max(excess(block, columns_at(scene, x))) <= 0


@pytest.mark.parametrize("k", [2, 3])
def test_the_gauge_is_that_of_the_hulls_facets(k):
    """The most violated facet, in units of its distance from the middle of the points."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        layer, c = octahedron(rng, k, 6)
        group, parts = Group(layer, np.arange(k)), Parts.of(c, k)
        lifted = group.lift(parts.points) / group.size
        middle = lifted.mean(axis=0)
        directions = facets(lifted)
        limits = (directions @ (lifted - middle).T).max(axis=1)
        for _ in range(5):
            p = middle + rng.normal(size=2 * k) * 0.4
            direction, gauge = separate(lifted, p)
            assert gauge == pytest.approx((directions @ (p - middle) / limits).max(), rel=1e-7)
            assert direction @ (p - middle) == pytest.approx(gauge * (direction @ (lifted - middle).T).max(), rel=1e-6)


def test_a_point_inside_has_a_gauge_below_one_and_a_flat_hull_an_equation():
    square = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    assert separate(square, np.array([0.75, 0.5, 1.0]))[1] == pytest.approx(0.5)
    direction, gauge = separate(square, np.array([0.5, 0.5, 1.25]))
    assert direction[2] == 1
    assert gauge > 1e5


def same(points, others):
    """Are two sets of points equal up to rounding?"""
    away = np.abs(points[:, None] - others[None]).max(axis=2)
    return away.min(axis=1).max() < 1e-8 and away.min(axis=0).max() < 1e-8


def test_sections_and_qhull_find_the_vertices_that_enumeration_finds(monkeypatch):
    rng = np.random.default_rng(2)
    for _ in range(5):
        _, c = octahedron(rng, 3, 5)
        enumerated, _ = vertices(c, 3)
        monkeypatch.setattr(module, "_ENUMERATED", 2)
        assert same(Parts.of(c, 3).points, enumerated)
        monkeypatch.undo()


def test_four_dimensions_have_the_vertices_of_generic_octahedra():
    rng = np.random.default_rng(4)
    _, c = octahedron(rng, 4, 9)
    parts = Parts.of(c, 4)
    assert 600 < len(parts.points) < 640
    assert (signs(4) @ parts.points.T <= c[:, None] + 1e-9).all()
    assert parts.inside.any(axis=1).all()


def test_parts_are_empty_where_the_octahedron_says_so():
    """h_0 is below h_1 - 1/4 everywhere, so never positive while h_1 is negative."""
    k, a = 4, signs(4)
    c = np.abs(a).sum(axis=1)
    c[(a == [1, -1, 0, 0]).all(axis=1)] = -0.25
    parts = Parts.of(c, k)
    assert (parts.empty == ((orthants(4)[:, 0] > 0) & (orthants(4)[:, 1] < 0))).all()


def test_where_qhull_finds_nothing_there_are_no_cuts():
    """Four equal neurons: P is a segment. Three of four: it is flat. Neither is an error."""
    for weight in (np.ones((4, 2)), np.array([[1.0, 0.5], [1.0, 0.5], [1.0, 0.5], [0.25, -1.0]])):
        scene = layer_scene(weight, np.zeros(4), -np.ones(2), np.ones(2))
        (layer,) = scene.layers
        (c,) = octahedra(scene, layer, np.arange(4)[None], "lp").c
        assert not len(Parts.of(c, 4).points)
        assert list(krelu(4).separator(scene)(np.full(scene.program.n_columns, 9.0))) == []


def test_an_octahedron_without_points_leaves_the_box():
    """The box [-1, 2]^4, of which the farther end counts; what w may be off by is charged on it too."""
    c = np.where(signs(4) > 0, 2.0, np.abs(signs(4))).sum(axis=1)
    nothing = Parts(c, np.zeros((0, 4)), np.zeros((16, 0), dtype=bool), np.zeros(16, dtype=bool))
    w = np.tile([1.0, -2.0, 0.0, 4.0], (16, 1))
    assert nothing.most(w, np.zeros((16, 4))) == pytest.approx(14.0)
    assert nothing.most(w, np.full((16, 4), 0.5)) == pytest.approx(18.0)
    mirrored = replace(nothing, c=c[::-1].copy())  # signs come in the order of their opposites, too
    assert mirrored.most(w, np.zeros((16, 4))) == pytest.approx(14.0)


def test_groups_share_no_pair_and_come_in_order():
    every = list(combinations(range(9), 4))
    found = apart(every, 100)
    pairs = [pair for group in found for pair in combinations(group, 2)]
    assert len(pairs) == len(set(pairs))
    assert found[0] == (0, 1, 2, 3)
    assert all(set(combinations(group, 2)) & set(pairs) for group in every)
    assert apart(every, 1) == [(0, 1, 2, 3)]


def test_neurons_with_the_largest_gaps_are_looked_at():
    rng = np.random.default_rng(5)
    scene = layer_scene(rng.normal(size=(8, 5)), np.zeros(8), -np.ones(5), np.ones(5))
    (layer,) = scene.layers
    o = layer.hinges
    point = columns_at(scene, np.zeros(5)).astype(float)
    assert list(krelu(4).separator(scene)(point)) == []
    point[o.y[[1, 3, 4, 6]]] = 0.6 * o.u[[1, 3, 4, 6]]
    (block,) = replace(krelu(4), neurons=4).separator(scene)(point)
    assert set(block.indices.tolist()) <= {*o.h[[1, 3, 4, 6]].tolist(), *o.y[[1, 3, 4, 6]].tolist()}
    assert "facet of 4 neurons" in block.origin


def test_without_time_or_groups_to_try_there_are_no_cuts():
    rng = np.random.default_rng(5)
    scene = layer_scene(rng.normal(size=(8, 5)), np.zeros(8), -np.ones(5), np.ones(5))
    high = columns_at(scene, np.zeros(5)).astype(float)
    high[scene.layers[0].hinges.y] = 0.6 * scene.layers[0].hinges.u
    (block,) = replace(krelu(4), most=1).separator(scene)(high)
    assert len(block) == 1
    assert list(replace(krelu(4), most=0).separator(scene)(high)) == []
    clock = iter([10.0])  # what is left: ten seconds when the family starts, a little ever after
    late = replace(scene, remaining=lambda: next(clock, 0.2))
    assert list(krelu(4).separator(late)(high)) == []


def query_of(kind, seed, width=6):
    return random_query(random_network(kind, seed, width=width), seed, tight=False, max_unstable=24)


def optimum(program):
    answer = find("highs").solve(program, Limits(seconds=60), Goal(decide=False))
    assert answer.status is Status.OPTIMAL
    return answer.objective


def cut_rows(program):
    return sum(len(b) for b in program.rows if b.tag is Tag.CUT)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "leaky", "abs", "residual"])
def test_four_neurons_are_at_least_as_strong_as_three_and_never_beyond_the_exact_optimum(kind):
    query = query_of(kind, 11, width=8)
    bounds = compute(query, "crown")
    names = ("triangle", "triangle+krelu3", "triangle+krelu3+krelu4", "triangle+krelu3+krelu4+tj")
    values = [optimum(build(query, bounds, find_encoding(name))) for name in names]
    exact = optimum(encode(query, bounds, find_encoding("bigm")))
    for less, more in pairwise([*values, exact]):
        assert less <= more + 1e-6 * max(1.0, abs(more))


def test_four_neurons_close_what_three_leave_open():
    query = query_of("dense", 11)
    bounds = compute(query, "crown")
    triangle, three, four = (
        optimum(build(query, bounds, find_encoding(name)))
        for name in ("triangle", "triangle+krelu3", "triangle+krelu3+krelu4")
    )
    assert triangle + 1e-3 < three
    assert three + 1e-3 < four


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "residual"])
def test_they_serve_mixed_integer_programs(kind):
    query = query_of(kind, 9)
    bounds = compute(query, "crown")
    bigm = find_encoding("bigm")
    program = build(query, bounds, replace(bigm + krelu(4, octahedra="crown"), rounds=Rounds(least_binaries=0)))
    plain = encode(query, bounds, bigm)
    assert cut_rows(program) > 0
    assert optimum(program) == pytest.approx(optimum(plain), abs=1e-6)
    assert optimum(program.relax()) > optimum(plain.relax()) + 1e-4


@pytest.mark.parametrize("source", ["lp", pytest.param("crown", marks=pytest.mark.slow)])
def test_every_run_of_the_network_satisfies_the_cuts_exactly(source):
    rng = np.random.default_rng(0)
    query = query_of("dense", 11, width=8)
    program = build(query, compute(query, "ibp"), find_encoding(f"triangle+krelu4:{source}"))
    assert cut_rows(program) > 3
    for k in range(20):
        point = {}
        for x, box in query.boxes.items():
            low, high = box.outer
            share = rng.integers(0, 2, x.size) if k % 2 else rng.random(x.size)
            point[x] = low + share * (high - low)
        assert residual(program, complete(program, query, point, exact=True), frozenset({Tag.CUT}))[0] == 0


def test_names():
    assert find_cut("krelu4") == krelu(4)
    assert find_cut("krelu4:crown").text == "krelu4:crown"
    assert find_cut("krelu4:crown") == krelu(4, octahedra="crown")


@pytest.mark.slow
def test_conformance():
    check_encoding("triangle+krelu4", kinds=("dense", "conv", "abs"), seeds=range(2), runs=2, bounds=("ibp",))
    mixed = replace(find_encoding("bigm+krelu4"), rounds=Rounds(least_binaries=0))
    check_encoding(mixed, kinds=("dense", "leaky"), seeds=range(2), runs=2, bounds=("ibp",))
