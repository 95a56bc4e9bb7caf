"""Rows of a specification against naive sums of Fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.ir.node import new_input
from nnsym.ir.rows import Rows, stack

X, Y = new_input("x", 3), new_input("y", 2)
WIDTH = 6  # three of x, two of y, the constant

numbers = st.sampled_from([Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 3), Fraction(1, 10), Fraction(3, 4)])
matrices = st.integers(1, 4).flatmap(
    lambda m: st.lists(st.lists(numbers, min_size=WIDTH, max_size=WIDTH), min_size=m, max_size=m)
)


def rows_of(matrix: list[list[Fraction]]) -> Rows:
    full = np.array(matrix, dtype=object).reshape(len(matrix), WIDTH)
    both = Rows.of(X).combine(full[:, :3]) + Rows.of(Y).combine(full[:, 3:5])
    return both + Rows.constants(full[:, 5])


def matrix_of(rows: Rows) -> list[list[Fraction]]:
    full = np.zeros((len(rows), WIDTH), dtype=object)
    for node, start in ((X, 0), (Y, 3)):
        if node in rows.parts:
            part = rows.parts[node]
            place = part.row * node.size + part.column
            assert (np.diff(place) > 0).all()
            assert (part.coefficient != 0).all()
            for r, c, v in zip(part.row, part.column, part.coefficient, strict=True):
                full[r, start + c] += Fraction(v)
    full[:, 5] = [Fraction(v) for v in rows.constant]
    return full.tolist()


@settings(max_examples=60, deadline=None)
@given(matrices)
def test_rows_hold_exactly_what_was_put_in(matrix: list[list[Fraction]]) -> None:
    assert matrix_of(rows_of(matrix)) == matrix


@settings(max_examples=60, deadline=None)
@given(matrices, numbers, st.data())
def test_arithmetic(matrix: list[list[Fraction]], factor: Fraction, data: st.DataObject) -> None:
    rows, full = rows_of(matrix), np.array(matrix, dtype=object)
    assert matrix_of(rows.scale(factor)) == (full * factor).tolist()
    assert matrix_of(-rows) == (-full).tolist()
    other = data.draw(st.permutations(matrix))
    assert matrix_of(rows - rows_of(other)) == (full - np.array(other, dtype=object)).tolist()
    index = data.draw(st.lists(st.integers(0, len(matrix) - 1), min_size=1, max_size=6))
    assert matrix_of(rows.take(np.array(index))) == full[index].tolist()
    target = np.array(data.draw(st.lists(st.integers(0, 2), min_size=len(matrix), max_size=len(matrix))))
    grouped = [
        [sum((full[k, j] for k in np.flatnonzero(target == g)), Fraction(0)) for j in range(WIDTH)] for g in range(3)
    ]
    assert matrix_of(rows.sum_into(target, 3)) == grouped
    assert matrix_of(stack((rows, rows_of(other)))) == matrix + other


@settings(max_examples=60, deadline=None)
@given(matrices)
def test_value_exact_and_float(matrix: list[list[Fraction]]) -> None:
    rows = rows_of(matrix)
    point: dict[Any, Any] = {
        X: np.array([Fraction(1, 3), Fraction(-2), Fraction(5, 7)], dtype=object),
        Y: np.array([Fraction(1, 9), Fraction(4)], dtype=object),
    }
    values = [*point[X], *point[Y], Fraction(1)]
    expected = [sum(a * v for a, v in zip(row, values, strict=True)) for row in matrix]
    assert rows.value(point).tolist() == expected
    batch = {n: np.stack([v.astype(float)] * 2) for n, v in point.items()}
    np.testing.assert_allclose(rows.value(batch), [[float(e) for e in expected]] * 2, rtol=0, atol=1e-13)


@settings(max_examples=60, deadline=None)
@given(matrices)
def test_float_layer_is_within_its_slack(matrix: list[list[Fraction]]) -> None:
    rows = rows_of(matrix)
    node, slack, weight = rows.node()
    full = np.zeros((len(matrix), 5))
    for linear, parent in zip(getattr(node, "maps", ()), node.parents, strict=True):
        start = 0 if parent is X else 3
        full[:, start : start + parent.size] = linear.matrix().toarray()
    if node in (X, Y):  # a single identity is the parent itself
        return
    for k, row in enumerate(matrix):
        moved = sum(abs(Fraction(full[k, j]) - row[j]) for j in range(5))
        assert moved <= Fraction(weight[k])
        assert abs(Fraction(node.bias[k]) - row[5]) <= Fraction(slack[k])  # type: ignore[attr-defined]
        if all(Fraction(float(v)) == v for v in row):
            assert slack[k] == 0
            assert weight[k] == 0


def test_collect_adds_repeated_places() -> None:
    one, two = np.array([0, 1]), np.array([2, 2])
    entries = [(X, one, two, np.array([0.5, 1.0])), (X, np.array([1]), np.array([2]), np.array([-1.0]))]
    rows = Rows.collect(entries, np.zeros(2))
    assert matrix_of(rows) == [[0, 0, 0.5, 0, 0, 0], [0] * 6]


def test_keys_tell_rows_apart() -> None:
    rows = Rows.of(X).scale(Fraction(1, 3))
    assert rows.keys() == Rows.of(X).scale(Fraction(1, 3)).keys() != Rows.of(X).scale(Fraction(1, 4)).keys()
