"""The exact encodings beside big-M: what their rows describe, how strong their relaxations are, and that they agree."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neurons import accepts, grid, program_of

from nnsym.bounds.methods import compute
from nnsym.encode.point import residual
from nnsym.encode.registry import encodings, find_encoding
from nnsym.encode.walk import encode
from nnsym.encoding import Encoding
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge, absolute, leaky_relu, relu
from nnsym.judge.programs.methods import default_solver
from nnsym.program import Feature
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.registry import find
from nnsym.testing.check_encoding import check_encoding
from nnsym.testing.random_nets import KINDS
from nnsym.testing.strategies import queries
from nnsym_encodings import partition
from nnsym_encodings.partition import _by_weight
from tests.depth import drawn

FAST = tuple(k for k in KINDS if k != "conv")
SPLIT = ("balas", "partition2", "partition3", "partition4")
CASES = ("smt-textbook", "smt-ite", "smt-implies")
HINGES = [relu(), leaky_relu(0.25), absolute(), leaky_relu(2.0), Hinge(np.array([1.0]), np.array([-0.5]), "roof")]
LIMITS = Limits(seconds=30)


def here(name: str) -> bool:
    return find(default_solver(find_encoding(name))).availability().available


def optimum(query: Query, encoding: str | Encoding, *, bounds: str = "ibp") -> float:
    program = encode(query, compute(query, bounds), find_encoding(encoding))
    answer = find(default_solver(find_encoding(encoding))).solve(program, LIMITS, Goal(decide=False))
    assert answer.status is Status.OPTIMAL, answer
    return answer.objective


def neuron(weight: np.ndarray, bias: float, objective: np.ndarray) -> Query:
    """Minimise ``objective . (x, y)`` for one ReLU ``y`` of ``weight x + bias`` over the unit box."""
    n = len(weight)
    x = new_input("x", n)
    y = pointwise(relu(), affine(((Dense(weight[None]), x),), np.array([bias])))
    rows = Rows.of(affine(((Dense(objective[None, :n]), x), (Dense(objective[None, n:]), y))))
    return Query("one", {x: Box(-np.ones(n), np.ones(n))}, rows, Atoms(np.array([0]), strict=False, soft=True))


@pytest.mark.parametrize(
    "fn",
    [*HINGES[::2], *(pytest.param(fn, marks=pytest.mark.slow) for fn in HINGES[1::2])],
    ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}",
)
@pytest.mark.parametrize("name", ["balas", "partition2"])
def test_the_halves_of_a_hinge_describe_its_graph_and_nothing_else(fn, name):
    program = program_of(lambda x: pointwise(fn, x), [-1.0], [2.0], name)
    assert program.n_binary == 1
    copies = {"active_input"} if name == "balas" else set()
    for h, y, z in product(grid(-1, 2, 0.5), grid(-4, 4, 0.5), (0, 1)):
        half = h * z
        values = {"active": half, "part": h - half, **dict.fromkeys(copies, half)}
        on_graph = y == fn.value(np.array([h]))[0]
        assert accepts(program, x=h, post=y, phase=z, **values) == (on_graph and (h >= 0 if z else h <= 0)), (h, y, z)
        for wrong in (half + 0.5, half - 0.5):
            assert not accepts(program, x=h, post=y, phase=z, **values | {"active": wrong, "part": h - wrong})


@pytest.mark.parametrize("fn", HINGES, ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}")
@pytest.mark.parametrize("name", CASES)
def test_definitions_by_cases_describe_the_graph_and_nothing_else(fn, name):
    program = program_of(lambda x: pointwise(fn, x), [-1.0], [2.0], name)
    assert program.features == {Feature.ROWS, Feature.CASES}
    for h, y in product(grid(-1, 2, 0.5), grid(-4, 4, 0.5)):
        assert accepts(program, x=h, post=y) == (y == fn.value(np.array([h]))[0]), (h, y)


@pytest.mark.parametrize("fn", HINGES, ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}")
def test_of_the_distances_to_the_lines_one_is_zero(fn):
    program = program_of(lambda x: pointwise(fn, x), [-1.0], [2.0], "sos1")
    assert program.n_binary == 0
    sign = 1.0 if fn.left[0] <= fn.right[0] else -1.0
    slopes = sorted([sign * fn.left[0], sign * fn.right[0]])
    place = {block.node: block.start for block in program.blocks if block.role in ("value", "post", "part")}
    names = [next(name for name in place if name.endswith(end)) for end in ("1", ".left", ".right")]
    for h, y in product(grid(-1, 2, 0.5), grid(-4, 4, 0.5)):
        values = np.zeros(program.n_columns)
        values[place["x"]] = h
        for name, value in zip(names, (y, *(sign * y - slope * h for slope in slopes)), strict=True):
            values[place[name]] = value
        assert (residual(program, values)[0] == 0) == (y == fn.value(np.array([h]))[0]), (h, y)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.integers(2, 5))
def test_balas_is_ideal_for_one_neuron_and_partitions_climb_to_it(seed, n):
    """Relaxed optima rise from big-M to Balas, which is the hull: its relaxed optimum is the exact one."""
    rng = np.random.default_rng(seed)
    query = neuron(rng.integers(-8, 9, n) / 4, rng.integers(-4, 5) / 4, rng.integers(-8, 9, n + 1) / 4)
    exact = optimum(query, "bigm")
    chain = [find_encoding("bigm"), *(partition(k) for k in range(1, n + 1)), find_encoding("balas")]
    roots = [optimum(query, encoding.relax()) for encoding in chain]
    assert roots[1] == pytest.approx(roots[0], abs=1e-7)  # one run: big-M, on the same interval bounds
    assert roots[-2] == pytest.approx(roots[-1], abs=1e-7)  # as many runs as inputs: Balas
    assert roots[-1] == pytest.approx(exact, abs=1e-7)
    assert all(root <= exact + 1e-7 for root in roots)
    assert roots[0] <= min(roots[1:]) + 1e-7


@settings(max_examples=10, deadline=None)
@given(queries())
def test_relaxed_partitions_are_no_weaker_than_big_m_and_no_stronger_than_balas(query):
    least, most = (_root(query, name) for name in ("bigm", "balas"))
    for name in SPLIT[1:]:
        assert least - 1e-6 <= _root(query, name) <= most + 1e-6


def _root(query: Query, name: str) -> float:
    program = encode(query, compute(query, "crown"), find_encoding(name).relax())
    answer = find("highs").solve(program, LIMITS, Goal(decide=False))
    assert answer.status in (Status.OPTIMAL, Status.INFEASIBLE)
    return answer.objective


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SPLIT, *CASES, "indicator", "sos1"])
def test_conformance(name):
    if not here(name):
        pytest.skip(f"no solver for {name} here")
    done = check_encoding(name, kinds=FAST, seeds=range(2), runs=3, bounds=("crown",))
    assert done.queries == 10


@pytest.mark.parametrize(
    ("lane", "name"),
    [
        *(("cvc5", name) for name in ("smt", *CASES)),
        ("smtlib:z3", "smt"),
        *(pytest.param("smtlib:z3", name, marks=pytest.mark.slow) for name in CASES),
    ],
)
def test_every_smt_lane_decides_every_form(name, lane):
    if not find(lane).availability().available:
        pytest.skip(f"{lane} is not here")
    check_encoding(name, kinds=("dense", "maxpool"), seeds=range(drawn(2, 1)), runs=1, bounds=("crown",), solver=lane)


def test_runs_are_cut_by_weight_and_bounded_outward():
    weight = np.array([0.1, -0.7, 0.3, -0.2, 0.9])
    query = neuron(weight, 0.05, np.ones(6))
    program = encode(query, compute(query, "ibp"), partition(2))
    (block,) = (b for b in program.blocks if b.role == "part" and b.node.endswith("run"))
    (rows,) = (b for b in program.rows if "t = sum w x" in b.origin)
    assert [rows.data[s:e].tolist() for s, e in ((0, 4), (4, 7))] == [[-0.7, -0.2, 0.1, -1.0], [0.3, 0.9, -1.0]]
    for k, group in enumerate(((-0.7, -0.2, 0.1), (0.3, 0.9))):
        reach = sum(abs(Fraction(w)) for w in group)
        assert 0 <= Fraction(program.upper[block.start + k]) - reach <= Fraction(1, 2**48)
        assert 0 <= -Fraction(program.lower[block.start + k]) - reach <= Fraction(1, 2**48)


@given(st.lists(st.lists(st.integers(-2, 2), min_size=20, max_size=20), min_size=1, max_size=3), st.booleans())
def test_equal_weights_are_cut_in_the_order_of_their_inputs(weights, ragged):
    data, counts = np.array(weights, float).ravel(), np.full(len(weights), 20)
    if ragged:
        data, counts = data[1:], counts - np.eye(1, len(weights), dtype=int)[0]
    row = np.repeat(np.arange(len(counts)), counts)
    assert _by_weight(data, row, counts).tolist() == sorted(range(len(data)), key=lambda k: (row[k], data[k], k))
    distinct = data + np.arange(len(data)) / 64
    assert _by_weight(distinct, row, counts).tolist() == np.lexsort((distinct, row)).tolist()


def test_rows_that_bounds_say_already_are_left_out():
    x = new_input("x", 2)
    y = pointwise(relu(), affine(((Dense(np.array([[1.0, 1.0]])), x),), np.array([-1.0])))
    rows, box = Rows.of(y), Box(np.array([0.0, -1.0]), np.array([2.0, 2.0]))
    query = Query("one", {x: box}, rows, Atoms(np.array([0]), strict=False, soft=True))
    program = encode(query, compute(query, "ibp"), find_encoding("balas"))
    counts = {b.origin.split(": ")[1]: len(b) for b in program.rows if "x1" in b.origin}
    assert counts == {
        "x1 <= U z": 2,
        "x1 >= L z": 1,
        **{f"x - x1 {s} (1 - z)": 2 for s in ("<= U", ">= L")},
        "h1 = w x1 + b z": 1,
    }


def test_the_gallery_is_listed():
    assert {*SPLIT, *CASES, "indicator", "sos1", "bigm", "smt", "triangle"} <= set(encodings())
