"""Corners of the encodings' rules: padding, ties, zeros, one-sided bounds, last bits."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
from neurons import accepts, program_of, query_of

import nnsym as nn
from nnsym.bounds.base import Interval
from nnsym.bounds.methods import compute
from nnsym.encode.point import complete, residual
from nnsym.encode.registry import encodings, find_encoding
from nnsym.encode.walk import encode, exactness_of
from nnsym.encoding import Exactness
from nnsym.errors import MissingBoundsError
from nnsym.ir.linear import Dense, Select
from nnsym.ir.node import affine, maximum, new_input, pointwise
from nnsym.ir.node import product as times
from nnsym.ir.univariate import relu
from nnsym.judge.programs.build import build
from nnsym.program import Tag
from tests.depth import drawn

NETWORK = frozenset({Tag.NETWORK})


def upper_rows(program):
    """The rows of a maximum that bound it from above."""
    return [b for b in program.rows if "th + sum" in b.origin]


def test_some_member_of_a_maximum_has_to_be_chosen():
    lower, upper = [-2.0, -2.0], [-0.5, -1.0]
    program = program_of(lambda x: maximum(x, np.array([[0, 1]])), lower, upper, "bigm")
    assert accepts(program, x=[-1.0, -1.5], value=-1.0, choice=[1, 0], aux=[-1.0, 0.0])
    assert not accepts(program, x=[-1.0, -1.5], value=-1.0, choice=[0, 0], aux=[0.0, 0.0])
    (block,) = (b for b in program.blocks if b.role == "aux")
    span = slice(block.start, block.start + 2)
    assert program.lower[span].tolist() == lower
    assert program.upper[span].tolist() == [0.0, 0.0]


def test_a_maximum_has_one_row_per_threshold():
    """Thresholds are the largest l and every u above it but the largest, which is a bound of the column."""
    lower, upper = [0.0, 1.0, -1.0, 0.5, 0.5, 0.0], [3.0, 1.0, 2.0, 4.0, 1.5, 2.5]
    for group, count in (([0, 1, 2], 2), ([0, 2, 3], 3), ([1, 2, -1], 1), ([1, 4, -1], 1), ([3, 4, 5], 3)):
        program = program_of(lambda x, g=group: maximum(x, np.array([g])), lower, upper, "triangle")
        assert sum(len(b) for b in upper_rows(program)) == count, group


def test_groups_of_several_sizes_have_the_rows_that_each_has_alone():
    lower = np.array([-1.0, 0.0, -2.0, 0.25, -0.5])
    upper = np.array([1.0, 2.0, 0.5, 3.0, 1.5])
    groups = [[4, 1, -1, -1], [0, 1, 2, 3], [2, 0, -1, -1]]
    together = program_of(lambda x: maximum(x, np.array(groups)), lower, upper, "triangle")
    found = [row for b in upper_rows(together) for row in _content(b, together)]
    alone = []
    for number, group in enumerate(groups):
        program = program_of(lambda x, g=group: maximum(x, np.array([g])), lower, upper, "triangle")
        alone += [(number, *row[1:]) for b in upper_rows(program) for row in _content(b, program)]
    assert sorted(found) == sorted(alone)


def _content(block, program):
    """Rows as (number of the output, inputs with coefficients, limit)."""
    outputs = {b.start + k: int(i) for b in program.blocks if b.node == "max_1" for k, i in enumerate(b.index)}
    for k in range(len(block)):
        span = slice(block.indptr[k], block.indptr[k + 1])
        pairs = list(zip(block.indices[span].tolist(), block.data[span].tolist(), strict=True))
        (number,) = (outputs[c] for c, _ in pairs if c in outputs)
        yield number, sorted((c, v) for c, v in pairs if c not in outputs), block.upper[k]


@pytest.mark.parametrize("kind", ["maximum", "square", "product"])
def test_rows_hold_to_the_last_bit(kind):
    """Hundreds of elements at once, every corner in rationals."""
    rng = np.random.default_rng(7)
    count, size = drawn(300, 100), {"maximum": 3, "square": 1, "product": 2}[kind]
    x = new_input("x", count * size)
    lower = rng.normal(size=x.size)
    upper = lower + rng.random(x.size) * 3
    parts = [affine(((Select(np.arange(k, x.size, size), x.size), x),)) for k in range(size)]
    y = {
        "maximum": lambda: maximum(x, np.arange(x.size).reshape(count, size)),
        "square": lambda: times(parts[0], parts[0]),
        "product": lambda: times(parts[0], parts[-1]),
    }[kind]()
    query = query_of(y, {x: lower}, {x: upper})
    program = encode(query, compute(query, "ibp"), find_encoding("triangle"))
    for corner in product((0, 1), repeat=size):
        side = np.tile(np.array(corner, dtype=bool), count)
        values = complete(program, query, {x: np.where(side, upper, lower)}, exact=True)
        assert residual(program, values, NETWORK)[0] == 0


def test_a_square_lies_above_the_tangents_at_both_ends():
    x = new_input("x", 1)
    query = query_of(times(x, x), {x: [-1.0]}, {x: [2.0]})
    program = encode(query, compute(query, "ibp"), find_encoding("triangle"))
    lines = [[*b.data, *b.lower] for b in program.rows if "2 p x" in b.origin]
    assert np.allclose(lines, [[1.0, 2.0, -1.0], [1.0, -4.0, -4.0]], rtol=0, atol=1e-14)


@pytest.mark.parametrize("narrow", [0, 1])
def test_a_square_uses_the_bounds_of_both_names_of_its_column(narrow):
    x = new_input("x", 1)
    both = [affine(((Select(np.array([0, k]), 1), x),)) for k in (-1, 0)]  # (x, 0) and (x, x)
    query = query_of(times(*both), {x: [-1.0]}, {x: [2.0]})
    bounds = compute(query, "ibp")
    tight = Interval(
        np.array([-0.5, bounds[both[narrow]].lower[1]]), np.array([1.0, bounds[both[narrow]].upper[1]]), ""
    )
    bounds = replace(bounds, nodes={**bounds.nodes, both[narrow]: tight})
    program = encode(query, bounds, find_encoding("triangle"))
    (chord,) = (b for b in program.rows if "(l + u) x" in b.origin)
    assert (chord.data.tolist(), chord.upper.tolist()) == ([1.0, -0.5], [0.5])
    assert [len(b.index) for b in program.blocks if b.node == "product_1"] == [1]  # x x; 0 x is 0


@pytest.mark.parametrize("name", ["triangle", "smt"])
def test_a_product_with_a_zero_on_either_side_is_zero(name):
    x = new_input("x", 3)
    left, right = (affine(((Select(np.array(k), 3), x),)) for k in ([2, -1, 0, 1], [1, 0, -1, 2]))
    query = query_of(times(left, right), {x: [-1.0] * 3}, {x: [2.0] * 3})
    program = encode(query, compute(query, "ibp"), find_encoding(name))
    (block,) = (b for b in program.blocks if b.node == "product_1")
    assert block.index.tolist() == [0, 3]
    rows = [b for b in program.rows if "spec" in b.origin and b.tag is Tag.NETWORK]
    used = np.unique(np.concatenate([np.zeros(0, int), *(b.indices for b in rows)]))
    assert not set(used.tolist()) & {0, 1, 2}  # a zero is no other column
    point = {x: np.array([-0.5, 1.5, 2.0])}
    assert residual(program, complete(program, query, point, exact=True))[0] == 0


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(("lower", "upper"), [(-np.inf, 1.0), (-1.0, np.inf)])
@pytest.mark.parametrize("kind", ["relu", "max", "product"])
def test_the_triangle_invents_no_bound(kind, lower, upper, side):
    x = new_input("x", 4)
    one, two = (affine(((Dense(np.eye(2, 4, 2 * k)), x),), np.ones(2)) for k in (0, 1))
    node = (one, two)[side]
    y = {
        "relu": lambda: pointwise(relu(), node),
        "max": lambda: maximum(node, np.array([[0, 1]])),
        "product": lambda: times(one, two),
    }[kind]()
    query = query_of(y, {x: [-1.0] * 4}, {x: [1.0] * 4})
    bounds = compute(query, "ibp")
    loose = Interval(np.array([-1.0, lower]), np.array([1.0, upper]), "assumed")
    bounds = replace(bounds, nodes={**bounds.nodes, node: loose})
    with pytest.raises(MissingBoundsError, match=r"element [01] has bounds .*inf"):
        encode(query, bounds, find_encoding("triangle"))


def test_a_member_that_is_a_point_is_one_more_number():
    """A member with l = u counts like any other: y = max(x_0, 1) on [0, 2]."""
    program = program_of(lambda x: maximum(x, np.array([[0, 1]])), [0.0, 1.0], [2.0, 1.0], "triangle")
    for v, y in product((0.0, 1.0, 2.0), (1.0, 1.25, 1.5, 2.0)):
        assert accepts(program, x=[v, 1.0], value=y) == (max(v, 1.0) <= y <= 1.0 + v / 2)
    assert accepts(program, exact=True, x=[Fraction(1, 3), Fraction(1)], value=Fraction(7, 6))


def repeating(x):
    """Terms whose nodes meet one element of x under several numbers."""
    layers = [([[2, 3, 1], [1, -1.5, -2], [1, 1, 1]], [0, 0.5, 1]), ([[1, 1, -1], [0, 1, 1]], [0, 0.25])]
    twice, f = nn.concat(x[0], x[0], x[1]), nn.sequential(layers)
    stable = nn.relu(twice + 3)
    return {
        "layer": f(twice)[0],
        "stable layer": f(stable)[0],
        "network of one output": f([f(twice)[0], f(twice)[0], x[0]])[1],
        "maximum": nn.max(twice),
        "maximum of stable elements": nn.max(nn.concat(stable, nn.relu(x + 2))),
        "maximum of zeros": nn.max(nn.concat(0 * x[0], 0 * x[1], x[0])),
        "groups of several sizes": nn.max(nn.max(x[0], x[0], x[0]), x[1], x[1]) + nn.max(x[1], x[1], x[0]),
        "sum of the largest": nn.topk(twice, 2).sum(),
        "product": twice[0] * twice[1] + twice[0] * twice[2],
        "difference of two runs": f(twice)[0] - f([x[1], x[1], x[1]])[0],
    }


@pytest.mark.parametrize("encoding", [*encodings(), "triangle+tj", "triangle+krelu3", "bigm+anderson"])
def test_rows_have_each_column_once_whatever_is_repeated(encoding):
    """HiGHS refuses a model with a column twice in a row, and other solvers make of it what they like."""
    x = nn.Variable(2, name="x")
    for name, term in repeating(x).items():
        query = nn.forall(x, where=nn.box(x, -1, 1), then=(term >= -1) | (term + x[0] <= -2)).query
        if exactness_of(find_encoding(encoding), query) is Exactness.UNSUPPORTED:
            continue
        program = build(query, compute(query, "ibp"), find_encoding(encoding))
        for block in (*program.rows, *(guarded.rows for guarded in program.implications)):
            for start, end in pairwise(block.indptr.tolist()):
                columns = block.indices[start:end].tolist()
                assert len(set(columns)) == len(columns), (name, block.origin)
        point = {node: np.array([0.25, -0.5]) for node in query.inputs}
        assert residual(program, complete(program, query, point))[0] <= 1e-9, name


@pytest.mark.parametrize("method", ["triangle", "line-zero", "line-adaptive", "bigm", "balas"])
def test_a_maximum_of_repeated_elements_is_that_of_each_once(method):
    x = nn.Variable(2, name="x")
    region = nn.box(x, -1, 1)
    once, twice = (
        nn.minimize(m - x[1] / 2, method, where=region, bounds="ibp")
        for m in (nn.max(x[0], x[1]), nn.max(x[0], x[0], x[1], x[1]))
    )
    assert abs(once.lower - twice.lower) < 1e-6
    assert abs(once.upper - twice.upper) < 1e-6
