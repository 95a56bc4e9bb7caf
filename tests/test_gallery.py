"""The whole gallery by the same proofs: rows at every corner in rationals, runs of a real network, flips that are seen.

What is particular to one encoding or family is in its own file; here is what must hold of all of them, degenerate
layers and flipped signs included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neurons import query_of
from ours import OURS
from scenes import columns_at, corners, envelope, excess, layer_scene
from scipy.optimize import linprog
from test_cuts_anderson import vertex, whole, with_phases
from test_cuts_krelu import exact_vertices, lifted

from nnsym import demo
from nnsym.bounds.base import Interval
from nnsym.bounds.methods import compute
from nnsym.encode.point import complete, residual
from nnsym.encode.registry import find_cut, find_encoding
from nnsym.encode.walk import encode
from nnsym.encoding import Rounds
from nnsym.errors import MissingBoundsError
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, maximum, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.smooth_functions import Sigmoidal
from nnsym.ir.univariate import Hinge, absolute, leaky_relu, relu
from nnsym.judge.programs.build import build
from nnsym.program import Program, RowBlock, Tag
from nnsym.read.onnx import load
from nnsym.read.vnnlib.load import load_vnnlib
from nnsym.separation import hull
from nnsym.separation.octahedra import octahedra
from nnsym_encodings import CUTS, ENCODINGS, partition
from nnsym_encodings.krelu import group_rows

GALLERY = tuple(e.name for e in ENCODINGS)
FAMILIES = tuple(c.name for c in CUTS if c.name != "tangents")
HINGES = [relu(), leaky_relu(0.1), absolute(), leaky_relu(3.3), Hinge(np.array([0.7]), np.array([-0.3]), "roof")]
RUNS = frozenset({Tag.NETWORK, Tag.DOMAIN, Tag.CUT})


@pytest.mark.parametrize("name", [*GALLERY, "triangle+tj+krelu2+krelu3", "bigm+anderson+krelu2"])
def test_runs_of_a_real_network_satisfy_every_row(name):
    """Digits of 64 pixels, a box of radius 4/64: corners and points of it, a few of them in rationals."""
    runs_satisfy(demo.properties()[2].query, name, count=300 if "+" in name else 60, bounds="ibp")


@pytest.mark.field
@pytest.mark.parametrize("name", ["triangle+tj+krelu2+krelu3", "bigm+anderson+krelu2", "balas", "partition3", "sos1"])
def test_runs_of_mnist_fc_satisfy_every_row(name, benchmarks):
    """VNN-COMP's mnist_fc 256x2, its first property of radius 0.03, linear bounds: 300 corners and points."""
    folder = benchmarks / "mnist_fc"
    query = load_vnnlib(folder / "vnnlib" / "prop_0_0.03.vnnlib.gz", load(folder / "onnx" / "mnist-net_256x2.onnx.gz"))
    runs_satisfy(query, name, count=300, bounds="crown")


def runs_satisfy(query: Query, name: str, *, count: int, bounds: str) -> None:
    """Runs at corners and inside of the input's box satisfy every row, the first two in rationals."""
    (x,) = query.inputs
    low, high = query.boxes[x].inner
    encoding = replace(find_encoding(name), rounds=Rounds(least_binaries=0))
    program, rng = build(query, compute(query, bounds), encoding), np.random.default_rng(0)
    assert ("+" in name) == any(block.tag is Tag.CUT for block in program.rows)
    for k in range(count):
        share = rng.integers(0, 2, x.size) if k % 2 else rng.random(x.size)
        point, exact = {x: np.clip(low + share * (high - low), low, high)}, k < 2
        assert residual(program, complete(program, query, point, exact=exact), RUNS)[0] <= (0 if exact else 1e-9)


@pytest.mark.parametrize("name", ["balas", "partition4"])
def test_with_a_copy_of_every_input_one_neuron_is_ideal(name):
    """Vertices of the relaxation have whole phases, whatever the objective; those of big-M have not."""
    rng, fractional = np.random.default_rng(3), 0
    for _ in range(20):
        weight, lower = rng.normal(size=(1, 4)), rng.normal(size=4)
        upper = lower + 0.1 + rng.random(4)
        bias = -weight @ (lower + rng.random(4) * (upper - lower))
        ideal, plain = (layer_scene(weight, bias, lower, upper, encoding=e) for e in (name, "bigm"))
        fractional += whole(plain, vertex(plain, cost_of(plain, rng), [])) > 1e-6
        for _ in range(10):
            assert whole(ideal, vertex(ideal, cost_of(ideal, rng), [])) < 1e-7
    assert fractional > 1


def cost_of(scene, rng):
    """A random objective on the columns of the network."""
    cost = rng.normal(size=scene.program.n_columns)
    for block in scene.program.blocks:
        if block.node in ("spec", "query"):
            cost[block.start : block.start + len(block.index)] = 0.0
    return cost


@pytest.mark.parametrize("name", ["indicator", "sos1", "smt", "smt-textbook", "smt-ite", "smt-implies"])
def test_what_has_no_number_from_bounds_needs_none(name):
    x = new_input("x", 1)
    query = query_of(pointwise(relu(), x), {x: [-np.inf]}, {x: [np.inf]})
    program = encode(query, compute(query, "ibp"), find_encoding(name))
    for at in (-1e9, -0.5, 0.0, 3.0):
        assert residual(program, complete(program, query, {x: np.array([at])})) == (0, "")


@pytest.mark.parametrize("name", ["balas", "partition2"])
@pytest.mark.parametrize(("lower", "upper"), [(-np.inf, 1.0), (-1.0, np.inf)])
@pytest.mark.parametrize("where", ["affine_1", "affine_2"])
def test_no_bound_of_a_neuron_or_of_what_it_is_made_of_is_invented(name, lower, upper, where):
    x = new_input("x", 2)
    v = affine(((Dense(np.array([[1.0, 2.0], [2.0, 1.0]])), x),), np.ones(2))
    h = affine(((Dense(np.ones((1, 2))), v),))
    query = query_of(pointwise(relu(), h), {x: [-1.0, -1.0]}, {x: [1.0, 1.0]})
    known = {v: Interval(-np.ones(2), np.ones(2), ""), h: Interval(-np.ones(1), np.ones(1), "")}
    node = v if where == "affine_1" else h
    known[node] = Interval(np.full(node.size, lower), np.full(node.size, upper), "")
    bounds = compute(query, "ibp")
    with pytest.raises(MissingBoundsError, match=r"affine_2: element 0 has bounds .*inf"):
        encode(query, replace(bounds, nodes={**bounds.nodes, **known}), find_encoding(name))


@pytest.mark.parametrize(("name", "role"), [("balas", "active_input"), ("partition2", "active")])
def test_a_copy_is_bounded_by_what_it_copies_and_0(name, role):
    weight = np.array([[1.0, 1.0]])
    scene = layer_scene(weight, np.array([-1.0]), np.array([0.25, -0.75]), np.array([1.5, 0.5]), encoding=name)
    (block,) = (b for b in scene.program.blocks if b.role == role and not (name == "partition2" and b.node == "relu_1"))
    span = slice(block.start, block.start + 2)
    assert scene.program.lower[span] == pytest.approx([0.0, -0.75], abs=1e-12)
    assert scene.program.upper[span] == pytest.approx([1.5, 0.5], abs=1e-12)
    assert (scene.program.lower[span] <= [0.0, -0.75]).all()
    assert (scene.program.upper[span] >= [1.5, 0.5]).all()


def test_rows_of_a_triple_are_the_facets_of_its_hull():
    """As the exact library finds them, apart from those of fewer than two neurons."""
    pytest.importorskip("ppl")
    weight = np.array([[1.0, -0.5, 0.25], [0.5, 1.0, -0.75], [-0.25, 0.5, 1.0]])
    scene = layer_scene(weight, np.array([0.1, -0.2, 0.05]), -np.ones(3), np.ones(3))
    (layer,), group = scene.layers, np.arange(3)
    (c,) = octahedra(scene, layer, group[None], "lp").c
    ours = unit(group_rows(layer, group, c).coefficients)
    points = np.array([lifted(layer, group, v) for v in exact_vertices(c, 3)], dtype=float)
    theirs = unit(hull.exact_facets(points))
    several = ((theirs[:, :3] != 0) | (theirs[:, 3:] != 0)).sum(axis=1) >= 2
    lifts = several & (theirs[:, 3:] != 0).any(axis=1)
    assert len(ours) == lifts.sum() > 50
    for direction in ours:
        assert np.abs(theirs[lifts] - direction).max(axis=1).min() < 1e-5  # it rounds points to multiples of 2^-20


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.abs(rows).max(axis=1, keepdims=True)


def test_the_maximum_of_big_m_is_sharp():
    """Without integrality its rows are the hull over independent members."""
    rng = np.random.default_rng(4)
    for size in (2, 3, 4):
        lower = rng.uniform(-1, 0, size)
        upper = lower + rng.uniform(1, 2, size)
        x = new_input("x", size)
        query = query_of(maximum(x, np.arange(size)[None]), {x: lower}, {x: upper})
        program = encode(query, compute(query, "ibp"), find_encoding("bigm").relax())
        ends = corners(lower, upper)
        for _ in range(4):
            at = lower + rng.random(size) * (upper - lower)
            least, most = attained(program, at, size)
            assert least == pytest.approx(at.max(), abs=1e-7)
            assert most == pytest.approx(envelope(at, ends, ends.max(axis=1)), abs=1e-7)


def attained(program: Program, x: np.ndarray, column: int) -> tuple[float, float]:
    """Least and largest value of a column of the relaxation with the inputs at ``x``."""
    bounds = np.stack((program.lower, program.upper), axis=1)
    bounds[: len(x)] = x[:, None]
    cost = np.eye(program.n_columns)[column]
    return -most(program, -cost, bounds), most(program, cost, bounds)


def most(program: Program, cost: np.ndarray, bounds: np.ndarray) -> float:
    """The largest value of a linear form over the network rows of the relaxation; -inf if they are inconsistent.

    Of guarded rows those hold whose guard is fixed to their value.
    """
    rows = [b for b in program.rows if b.tag is Tag.NETWORK and "spec" not in b.origin]
    rows += [b.rows for b in program.implications if (bounds[b.guard] == b.value[:, None]).all()]
    lines = [line for block in rows for line in dense(block, program.n_columns)]
    answer = linprog(-cost, [a for a, _ in lines], [q for _, q in lines], bounds=bounds)
    assert answer.status in (0, 2)
    return -np.inf if answer.status else -answer.fun


def dense(block: RowBlock, columns: int) -> Iterator[tuple[np.ndarray, float]]:
    """The rows of a block as ``a v <= q``."""
    for k in range(len(block)):
        line = np.zeros(columns)
        span = slice(block.indptr[k], block.indptr[k + 1])
        line[block.indices[span]] = block.data[span]
        for sign, limit in ((1.0, block.upper[k]), (-1.0, -block.lower[k])):
            if np.isfinite(limit):
                yield sign * line, limit


WITH_ROWS = tuple(name for name in GALLERY if name not in ("smt-textbook", "smt-ite", "smt-implies", "smt-short12"))


@pytest.mark.parametrize("name", WITH_ROWS)
def test_a_flipped_sign_cuts_off_a_run_or_lets_in_what_was_cut_off(name):
    """Every sign of every row of a neuron over three inputs.

    Bounds tighter than those of the box make every row count, as bounds from linear propagation do.
    """
    x = new_input("x", 3)
    h = affine(((Dense(np.array([[1.0, -2.0, 3.0]])), x),), np.array([0.5]))
    query = query_of(pointwise(relu(), h), {x: [-1.0, -1.0, -1.0]}, {x: [2.0, 1.0, 1.0]})
    bounds = compute(query, "ibp")
    bounds = replace(bounds, nodes={**bounds.nodes, h: Interval(np.array([-4.0]), np.array([6.0]), "assumed")})
    program = encode(query, bounds, find_encoding(name))
    points = product((-1.0, 0.5, 2.0), (-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0))
    runs = [complete(program, query, {x: np.array(point)}) for point in points]
    runs = [run for run in runs if residual(program, run)[0] == 0]
    seen = {"cut off": 0, "let in": 0, "nothing": 0}
    for wrong, right in flips(program):
        cut = max(residual(wrong, run)[0] for run in runs) > 0
        seen["cut off" if cut else "let in" if lets_in(wrong, right) else "nothing"] += 1
    one_sided = any((block.lower != block.upper).any() for block in program.rows if block.tag is Tag.NETWORK)
    assert seen["cut off"] > 0
    assert seen["nothing"] <= 0.06 * sum(seen.values())  # of rows that the others imply at this neuron
    if name in OURS:  # one-sided rows let in what they cut off when turned; a wrong equation cuts off
        assert seen["cut off"] > seen["let in"] >= one_sided


def lets_in(wrong: Program, right: RowBlock) -> bool:
    """Has the relaxation of a program, its guards open or fixed, a point that violates one of these rows?"""
    guards = np.unique(np.concatenate([np.zeros(0, int), *(b.guard for b in wrong.implications)]))
    for ends in ((0.0, 1.0), (0.0, 0.0), (1.0, 1.0)):
        bounds = np.stack((wrong.lower, wrong.upper), axis=1)
        bounds[guards] = ends
        if any(most(wrong, line, bounds) > limit + 1e-6 for line, limit in dense(right, wrong.n_columns)):
            return True
    return False


def flips(program: Program) -> Iterator[tuple[Program, RowBlock]]:
    """The program with one sign of one block of the neuron changed, a coefficient's or a limit's; and what it was."""
    for number, block in enumerate(program.rows):
        if "relu" in block.origin:
            for wrong in flipped(block):
                yield replace(program, rows=(*program.rows[:number], wrong, *program.rows[number + 1 :])), block
    for number, implied in enumerate(program.implications):
        for rows in flipped(implied.rows):
            wrong = replace(implied, rows=rows)
            every = (*program.implications[:number], wrong, *program.implications[number + 1 :])
            yield replace(program, implications=every), implied.rows


def flipped(block: RowBlock) -> Iterator[RowBlock]:
    for k in range(len(block.data)):
        yield replace(block, data=np.where(np.arange(len(block.data)) == k, -block.data, block.data))
    for side in ("lower", "upper"):
        limit = getattr(block, side)
        for k in np.flatnonzero(np.isfinite(limit) & (limit != 0) & (block.lower != block.upper)):
            yield replace(block, **{side: np.where(np.arange(len(limit)) == k, -limit, limit)})


NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 0.5, -0.25, 0.1, -0.7, 1 / 3, 1e-8, -3e6])
WIDTHS = st.sampled_from([0.0, 1e-9, 0.25, 1 / 3, 1.0, 2.0])


@st.composite
def layers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Hinge]:
    """``fn(W x + b)`` over a box: weights of 0, equal neurons, inputs that are one number, l or u at 0, any scale."""
    n, m = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    weight = np.array(draw(st.lists(NUMBERS, min_size=n * m, max_size=n * m))).reshape(m, n)
    if m > 1 and draw(st.booleans()):
        weight[1] = weight[0]
    lower = np.array(draw(st.lists(NUMBERS, min_size=n, max_size=n)))
    upper = lower + np.array(draw(st.lists(WIDTHS, min_size=n, max_size=n)))
    low = np.minimum(weight * lower, weight * upper).sum(axis=1)
    high = np.maximum(weight * lower, weight * upper).sum(axis=1)
    share = np.array(draw(st.lists(st.sampled_from([0.0, 0.5, 0.9, 1.0]), min_size=m, max_size=m)))
    return weight, -(low + share * (high - low)), lower, upper, draw(st.sampled_from(HINGES))


def query_about(layer: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Hinge]) -> Query:
    weight, bias, lower, upper, fn = layer
    x = new_input("x", len(lower))
    return query_of(pointwise(fn, affine(((Dense(weight), x),), bias)), {x: lower}, {x: upper})


def points_of(lower: np.ndarray, upper: np.ndarray) -> Iterator[np.ndarray]:
    """Every corner of a box, and points inside that no float has."""
    low, high = to_fractions(lower), to_fractions(upper)
    yield from corners(low, high)
    for share in to_fractions([1 / 3, 0.5, 0.7]):
        yield low + share * (high - low)


@settings(max_examples=10, deadline=None)
@given(layers())
def test_every_row_of_every_encoding_holds_at_every_corner_in_rationals(layer):
    query = query_about(layer)
    (x,), bounds = query.inputs, compute(query, "ibp")
    points = list(points_of(*layer[2:4]))
    for encoding in (*ENCODINGS, partition(1), partition(5)):
        program = encode(query, bounds, encoding)
        for point in points:
            assert residual(program, complete(program, query, {x: point}, exact=True)) == (0, ""), encoding.name


@settings(max_examples=80, deadline=None)
@given(layers(), st.sampled_from(FAMILIES), st.integers(0, 99))
def test_every_row_of_every_family_holds_at_every_corner_in_rationals(layer, name, seed):
    weight, bias, lower, upper, fn = layer
    family, rng = find_cut(name), np.random.default_rng(seed)
    scene = layer_scene(weight, bias, lower, upper, "bigm" if family.needs_phases else "triangle", fn)
    separate, blocks = family.separator(scene), list[RowBlock]()
    for _ in range(2):
        point = columns_at(scene, lower + rng.random(len(lower)) * (upper - lower)).astype(float)
        for some in scene.layers:
            point[some.hinges.y] += some.hinges.sign * (some.hinges.u - some.hinges.l)
        blocks += separate(with_phases(scene, point, 0.4) if family.needs_phases else point)
    for x in points_of(lower, upper):
        point = columns_at(scene, x)
        for block in blocks:
            assert max(excess(block, with_phases(scene, point) if family.needs_phases else point)) <= 0


class Softsign(Sigmoidal):
    """x / (1 + |x|): smooth, and rational at rationals."""

    name, key = "softsign", "softsign"

    def value(self, x):
        return x / (1 + np.abs(x))

    def derivative(self, x):
        return (1 + np.abs(x)) ** -2.0


@settings(max_examples=25, deadline=None)
@given(st.floats(-8, 4), st.sampled_from([0.0, 1e-9, 0.5, 3.0, 10.0]), st.sampled_from(["triangle", "line-adaptive"]))
def test_lines_of_a_smooth_function_hold_in_rationals(lower, width, name):
    x = new_input("x", 1)
    query = query_of(pointwise(Softsign(), x), {x: [lower]}, {x: [lower + width]})
    encoding = replace(find_encoding(f"{name}+tangents"), rounds=Rounds(gain=0.0, most=5))
    program = build(query, compute(query, "ibp"), encoding)
    for share in to_fractions(np.linspace(0, 1, 9)):
        point = to_fractions([lower]) + share * to_fractions([width])
        if point[0] <= lower + width:
            assert residual(program, complete(program, query, {x: point}, exact=True)) == (0, "")
