from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from neurons import HINGES, accepts, grid, program_of

from nnsym.bounds.base import Interval
from nnsym.bounds.methods import compute
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.errors import MissingBoundsError, UnsupportedError
from nnsym.ir.domain import Box
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, maximum, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.smooth_functions import Tanh
from nnsym.ir.univariate import leaky_relu, relu
from nnsym.program import Kind
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.registry import find
from nnsym.testing.check_encoding import check_encoding
from nnsym.testing.random_nets import KINDS
from nnsym.testing.strategies import queries

FAST = tuple(k for k in KINDS if k != "conv")


@pytest.mark.parametrize("fn", HINGES, ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}")
def test_the_rows_of_an_open_hinge_describe_its_graph_and_nothing_else(fn):
    program = program_of(lambda x: pointwise(fn, x), [-1.0], [2.0], "bigm")
    assert program.n_binary == 1
    for h, y, z in product(grid(-1, 2, 0.5), grid(-4, 4, 0.5), (0, 1)):
        on_graph = y == fn.value(np.array([h]))[0]
        side = h >= 0 if z else h <= 0
        assert accepts(program, x=h, post=y, phase=z) == (on_graph and side), (h, y, z)


def test_relu_rows_are_those_of_the_paper():
    program = program_of(lambda x: pointwise(relu(), x), [-1.0], [2.0], "bigm")
    rows = {b.origin: (b.data.tolist(), b.lower.tolist(), b.upper.tolist()) for b in program.rows if "relu" in b.origin}
    inf = np.inf
    assert rows == {
        "relu_1: y above its right line": ([1.0, -1.0], [0.0], [inf]),
        "relu_1: y <= a h + (b - a) u z": ([1.0, -2.0], [-inf], [0.0]),
        "relu_1: y <= b h - (b - a) l (1 - z)": ([1.0, -1.0, 1.0], [-inf], [1.0]),
    }
    assert program.lower[1] == 0.0  # y >= 0 is a bound


@pytest.mark.parametrize(("lower", "upper"), [(0.0, 2.0), (-2.0, 0.0), (1.0, 1.0), (0.0, 0.0), (-1.0, -1.0)])
@pytest.mark.parametrize("fn", HINGES[:5], ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}")
def test_stable_neurons_have_no_binary_and_flat_or_identical_ones_no_column(fn, lower, upper):
    program = program_of(lambda x: pointwise(fn, x), [lower], [upper], "bigm")
    assert program.n_binary == 0
    slope = (fn.right if lower >= 0 else fn.left)[0]
    posts = sum(len(b.index) for b in program.blocks if b.role == "post")
    assert posts == (slope not in (0.0, 1.0))
    if posts:
        for h, y in product((lower, upper), grid(-4, 4, 0.25)):
            assert accepts(program, x=h, post=y) == (y == slope * h)


def test_derived_constants_are_rounded_up():
    low, high = -0.7, 0.3
    program = program_of(lambda x: pointwise(leaky_relu(0.1), x), [low], [high], "bigm")
    (left,) = (b for b in program.rows if "u z" in b.origin)
    (right,) = (b for b in program.rows if "l (1 - z)" in b.origin)
    rise = 1 - Fraction(0.1)
    assert 0 <= Fraction(-left.data[-1]) - rise * Fraction(high) < Fraction(1, 2**50)
    assert 0 <= Fraction(right.data[-1]) - rise * Fraction(-low) < Fraction(1, 2**50)
    assert right.upper[0] == right.data[-1]  # the same number, so that z = 1 cancels it


@pytest.mark.parametrize(
    ("lower", "upper"), [([-1.0, 0.0, -2.0], [1.0, 2.0, 0.5]), ([-3.0, -2.0], [-1.0, -0.5]), ([1.0, 0.5], [2.0, 3.0])]
)
def test_the_rows_of_a_maximum_describe_its_graph_and_nothing_else(lower, upper):
    size = len(lower)
    program = program_of(lambda x: maximum(x, np.arange(size)[None]), lower, upper, "bigm")
    assert program.n_binary == size
    spans = [grid(lo, hi, 0.5) for lo, hi in zip(lower, upper, strict=True)]
    for *x, winner in product(*spans, range(size)):
        z = [int(k == winner) for k in range(size)]
        t = [min(hi * c, v - lo * (1 - c)) for v, c, lo, hi in zip(x, z, lower, upper, strict=True)]
        for y in grid(min(lower), max(upper), 0.5):
            assert accepts(program, x=x, value=y, choice=z, aux=t) == (y == max(x) == x[winner]), (x, y, winner)
        for k in range(size):  # t is the largest that its rows allow
            more = [v + 0.5 * (j == k) for j, v in enumerate(t)]
            assert not accepts(program, x=x, value=max(x), choice=z, aux=more)


def test_dominated_members_are_dropped_and_a_single_one_is_shared():
    groups = np.array([[0, 1, 2], [2, 0, -1], [0, 3, -1]])
    program = program_of(lambda x: maximum(x, groups), [0.0, 1.0, 3.0, 0.0], [2.0, 1.5, 4.0, 1.0], "bigm")
    choices = np.concatenate([b.index for b in program.blocks if b.role == "choice"])
    assert choices.tolist() == [6, 7]  # group 2, both members; groups 0 and 1 are x[2]
    assert program.n_columns == 4 + 1 + 2 + 2 + 1  # x, y, z, t, margin; bounds decide which output is the least


def test_a_missing_bound_is_an_error_with_a_name():
    x = new_input("image", 2)
    box = {x: Box(np.array([0.0, -np.inf]), np.array([1.0, 1.0]))}
    query = Query("open", box, *_positive(pointwise(relu(), x)))
    with pytest.raises(MissingBoundsError, match=r"input 'image': element 1 .*'bigm'.*nn\.box"):
        encode(query, compute(query, "ibp"), find_encoding("bigm"))


@pytest.mark.parametrize("name", ["bigm", "triangle"])
@pytest.mark.parametrize("make", [lambda h: pointwise(relu(), h), lambda h: maximum(h, np.array([[0, 1]]))])
@pytest.mark.parametrize(("lower", "upper"), [(-np.inf, 1.0), (-1.0, np.inf)])
def test_no_bound_is_invented_for_a_hidden_layer(name, make, lower, upper):
    x = new_input("x", 2)
    h = affine(((Dense(np.eye(2)), x),), np.ones(2))
    query = Query("hidden", {x: Box(-np.ones(2), np.ones(2))}, *_positive(make(h)))
    bounds = compute(query, "ibp")
    loose = Interval(np.array([-1.0, lower]), np.array([1.0, upper]), "assumed")
    bounds = replace(bounds, nodes={**bounds.nodes, h: loose})
    with pytest.raises(MissingBoundsError, match=r"(affine_1|max_1): element [01] has bounds .*inf"):
        encode(query, bounds, find_encoding(name))


def test_an_activation_without_a_rule_names_the_encodings_that_have_one():
    with pytest.raises(UnsupportedError, match=r"tanh_1: the encoding 'bigm' has no rule .* triangle"):
        program_of(lambda x: pointwise(Tanh(), x), [-1.0], [1.0], "bigm")


@settings(max_examples=12, deadline=None)
@given(queries())
def test_the_relaxed_program_is_as_strong_as_the_triangle(query):
    bounds = compute(query, "crown")
    bigm, triangle = find_encoding("bigm"), find_encoding("triangle")
    relaxed, outer = encode(query, bounds, bigm.relax()), encode(query, bounds, triangle)
    assert (relaxed.kind[[r == "guard" for r in _roles(relaxed)]] == Kind.BINARY).all()
    answers = [find("highs").solve(p, Limits(seconds=30), Goal(decide=False)) for p in (relaxed, outer)]
    assert answers[0].status is answers[1].status
    if answers[0].status is Status.OPTIMAL:
        assert answers[0].objective == pytest.approx(answers[1].objective, abs=1e-7)


def _roles(program):
    return [block.role for block in program.blocks for _ in block.index]


def _positive(y):
    from nnsym.ir.formula import Atoms
    from nnsym.ir.rows import Rows

    return Rows.of(y), Atoms(np.arange(y.size), strict=False, soft=True)


@pytest.mark.slow
def test_conformance():
    done = check_encoding("bigm", kinds=FAST, seeds=range(3), runs=3, bounds=("crown",))
    assert (done.queries, done.solved) == (15, 30)
    check_encoding("bigm", kinds=["conv"], seeds=[2], runs=2, bounds=("ibp",))
