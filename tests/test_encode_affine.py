from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.bounds.methods import compute
from nnsym.builder import ProgramBuilder
from nnsym.encode.affine import AffineLayer, encode_affine, gather
from nnsym.encode.point import complete, residual
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.ir.convolution import Conv
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense, Select, identity
from nnsym.ir.node import affine, concatenate, constant, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import relu


def program_of(y, boxes, encoding="bigm", bounds="ibp"):
    query = Query("q", boxes, Rows.of(y), Atoms(np.arange(y.size), strict=False, soft=True))
    return query, encode(query, compute(query, bounds), find_encoding(encoding))


def unit(x):
    return {x: Box(-np.ones(x.size), np.ones(x.size))}


def columns(program, node):
    return sum(len(b.index) for b in program.blocks if b.node == node)


def test_weights_stand_once_and_as_they_are():
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(3, 4)), rng.normal(size=3)
    x = new_input("x", 4)
    _, program = program_of(pointwise(relu(), affine(((Dense(weight), x),), bias)), unit(x))
    (block,) = (b for b in program.rows if b.origin == "affine_1: h = A v + b")
    data = block.data.reshape(3, 5)
    assert (data[:, :4] == weight).all()
    assert (data[:, 4] == -1).all()
    assert (block.lower == -bias).all()
    assert (block.upper == -bias).all()
    assert block.indices.reshape(3, 5)[:, 4].tolist() == [4, 5, 6]


def test_selections_make_no_columns_and_no_rows():
    x = new_input("x", 4)
    y = affine(((Select(np.array([3, -1, 0]), 4), x),))
    query, program = program_of(y, unit(x))
    assert program.n_columns == 4 + 1
    assert [b.tag.value for b in program.rows] == ["conclusion"]
    assert program.rows[0].indices.tolist() == [3, 4, 4, 0, 4]  # s <= t; the constant 0 has no column
    assert residual(program, complete(program, query, {x: np.array([0.5, 1, -1, 0.25])}))[0] == 0


def test_constants_and_padding():
    x = new_input("x", 2)
    y = concatenate((constant([3.0, 0.0]), x))
    query, program = program_of(y, unit(x))
    assert columns(program, "affine_1") + columns(program, "constant_1") == 1  # only the 3 needs a column
    assert residual(program, complete(program, query, {x: np.zeros(2)}, exact=True))[0] == 0


def test_columns_that_meet_in_one_row_are_added_where_that_is_exact():
    x = new_input("x", 2)
    copy = affine(((Select(np.array([0, 0]), 2), x),))
    y = affine(((Dense(np.array([[0.25, -1.0], [3.0, 0.1]])), copy), (identity(2), x)))
    query, program = program_of(y, unit(x))
    (block,) = (b for b in program.rows if "affine_2" in b.origin and "copy" not in b.origin)
    rows = [
        dict(zip(block.indices[i:j].tolist(), block.data[i:j].tolist(), strict=True))
        for i, j in zip(block.indptr[:-1], block.indptr[1:], strict=True)
    ]
    assert rows[0] == {0: 0.25, block.indices[block.indptr[1] - 1]: -1.0}  # 0.25 - 1 + 1
    assert len(rows[1]) == 4  # 3 + 0.1 is not a float: one of them goes to a copy of the column
    assert sum("copy" in b.origin for b in program.rows) == 1
    point = {x: np.array([0.3, -0.7])}
    assert residual(program, complete(program, query, point, exact=True))[0] == 0
    point = complete(program, query, point, exact=True)
    point[block.indices[block.indptr[2] - 1]] += Fraction(1, 10**9)
    assert residual(program, point)[0] > 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**16))
def test_any_sum_of_maps_over_any_aliases_is_what_the_rows_say(seed):
    rng = np.random.default_rng(seed)
    builder = ProgramBuilder()
    ids = builder.columns("x", "value", np.arange(4), -np.ones(4), np.ones(4))
    values = to_fractions(rng.integers(-8, 9, 4) / 8)
    parts, expected = [], to_fractions(np.zeros(3))
    for _ in range(rng.integers(1, 4)):
        matrix = rng.choice([0.0, 1.0, -1.0, 0.1, 0.5, 0.7], size=(3, 3))
        own = rng.integers(-1, 4, size=3)
        parts.append((Dense(matrix).csr(), np.where(own >= 0, ids[own], -1)))
        operand = to_fractions(np.where(own >= 0, values[own], 0))
        expected = expected + Dense(matrix).apply(operand)
    bias = rng.choice([0.0, 0.3], 3)
    layer = AffineLayer("y", "value", np.arange(3), np.full(3, -50.0), np.full(3, 50.0))
    out = encode_affine(builder, layer, gather(parts, 3), bias)
    program = builder.build(objective=None)
    point = to_fractions(np.zeros(program.n_columns))
    for block in program.blocks:
        span = slice(block.start, block.start + len(block.index))
        if block.node == "x":
            point[span] = values
        elif block.role == "copy":
            point[span] = point[block.index]
        else:
            point[span] = (expected + to_fractions(bias))[block.index]
    assert residual(program, point)[0] == 0
    for row in program.rows:
        for start, stop in zip(row.indptr[:-1], row.indptr[1:], strict=True):
            assert len(set(row.indices[start:stop].tolist())) == stop - start
    where = np.append(point, Fraction(0))[out]
    assert (where == expected + to_fractions(bias)).all()


def test_a_convolution_is_the_dense_map_it_stands_for():
    rng = np.random.default_rng(1)
    conv = Conv(rng.normal(size=(2, 1, 2, 2)), (1, 3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    x = new_input("x", 9)
    query, program = program_of(
        pointwise(relu(), affine(((conv, x),), rng.normal(size=conv.n_out))), unit(x), bounds="crown"
    )
    assert len(next(b for b in program.rows if "affine_1" in b.origin).data) == conv.nnz + conv.n_out
    for _ in range(5):
        point = complete(program, query, {x: rng.uniform(-1, 1, 9)}, exact=True)
        assert residual(program, point)[0] == 0


def test_exact_coefficients_of_the_property_come_with_an_interval_that_contains_them():
    x = new_input("x", 2)
    third, tenth = Fraction(1, 3), Fraction(1, 10)
    rows = Rows.of(x).combine(np.array([[third, -tenth]], dtype=object)) + Rows.constants([tenth])
    query = Query("q", {x: Box(np.array([-3.0, -1.0]), np.array([1.0, 7.0]))}, rows, Atoms(np.array([0]), False, True))
    program = encode(query, compute(query, "ibp"), find_encoding("bigm"))
    (block,) = (b for b in program.rows if b.origin == "spec: s = C v + d")
    assert [Fraction(v) for v in block.exact[0]] == [third, -tenth, -1]
    assert block.exact[1][0] == block.exact[2][0] == -tenth
    worst = abs(third - Fraction(block.data[0])) * 3 + abs(tenth + Fraction(block.data[1])) * 7
    assert Fraction(block.lower[0]) <= -tenth - worst
    assert Fraction(block.upper[0]) >= -tenth + worst
    assert block.upper[0] - block.lower[0] < 1e-14
