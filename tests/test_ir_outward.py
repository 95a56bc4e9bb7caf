"""Sums and products rounded to one side: never below the exact value, equal where nothing rounds, close elsewhere."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnsym.ir.outward import (
    dot_up,
    gamma,
    group_dot_up,
    group_sum_up,
    product_down,
    product_up,
    sum_down,
    sum_up,
)

TINY = Fraction(2) ** -999
numbers = st.floats(-1e3, 1e3) | st.sampled_from([0.0, 0.1, -0.1, 1e8, -1e8, 1e-9])
groups = st.lists(st.lists(numbers, max_size=9), max_size=5)


def exact(values: list[float]) -> Fraction:
    return sum(map(Fraction, values), Fraction(0))


wild = st.floats(-1e150, 1e150) | numbers
OPERATIONS = (
    (sum_up, sum_down, lambda x, y: Fraction(x) + Fraction(y)),
    (product_up, product_down, lambda x, y: Fraction(x) * Fraction(y)),
)


def beside(value: float, true: Fraction, side: int) -> bool:
    """A float on that side of a number (1: not below), with one float between at most."""
    nearer = float(np.nextafter(np.nextafter(value, -side * np.inf), -side * np.inf))
    return side * (Fraction(value) - true) >= 0 and side * (Fraction(nearer) - true) < 0


@given(wild, wild)
def test_one_operation_is_rounded_to_its_side_by_one_float_at_most(x: float, y: float) -> None:
    for up, down, of in OPERATIONS:
        true = of(x, y)
        assert beside(float(up(x, y)), true, 1)
        assert beside(float(down(x, y)), true, -1)


@given(st.integers(-(2**20), 2**20), st.integers(-(2**20), 2**20))
def test_operations_that_do_not_round_are_exact(x: int, y: int) -> None:
    """Sums; products by 0, 1 and -1."""
    assert sum_up(x / 64, y / 64) == sum_down(x / 64, y / 64) == (x + y) / 64
    for factor in (0.0, 1.0, -1.0):
        for a, b in ((factor, x / 7), (x / 7, factor)):
            assert product_up(a, b) == product_down(a, b) == a * b


@pytest.mark.parametrize("x", [-np.inf, -1.5, 0.0, 2.0, np.inf])
def test_infinite_ends_stay_infinite(x: float) -> None:
    """0 times infinity is 0: of a bound that nothing weighs."""
    for up, down, sign in ((product_up, product_down, 1.0), (product_up, product_down, -1.0)):
        for a, b in ((x, sign * np.inf), (sign * np.inf, x)):
            assert up(a, b) == down(a, b) == (0.0 if x == 0 else sign * np.sign(x) * np.inf)
    if x != -np.inf:
        assert sum_up(x, np.inf) == sum_down(np.inf, x) == np.inf
        assert sum_up(-x, -np.inf) == sum_down(-np.inf, -x) == -np.inf


@given(groups)
def test_sums_of_groups_are_rounded_up(parts: list[list[float]]) -> None:
    group = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    start = np.linspace(0, 1, len(parts)) / 3
    found = group_sum_up(group, np.array([v for p in parts for v in p]), start)
    for value, first, part in zip(found.tolist(), start.tolist(), parts, strict=True):
        over = Fraction(value) - exact([first, *part])
        assert 0 <= over <= Fraction(gamma(len(part) + 1)) * exact([first, *map(abs, part)])
        assert part or value == first


@given(st.lists(st.lists(st.integers(-(2**20), 2**20), min_size=1, max_size=9), min_size=1, max_size=5))
def test_sums_that_do_not_round_are_exact(parts: list[list[int]]) -> None:
    group = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    found = group_sum_up(group, np.array([v / 64 for p in parts for v in p]), np.zeros(len(parts)))
    assert found.tolist() == [sum(p) / 64 for p in parts]


@given(st.lists(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=9), max_size=5))
def test_products_of_runs_are_raised_by_what_rounding_may_cost(parts: list[list[tuple[float, float]]]) -> None:
    first = np.cumsum([0, *map(len, parts)])[:-1]
    a, b = (np.array([pair[k] for p in parts for pair in p]) for k in (0, 1))
    found = group_dot_up(first, a, b)
    assert len(found) == len(parts)
    longest = max(map(len, parts), default=0)
    for value, part in zip(found.tolist(), parts, strict=True):
        terms = [Fraction(x) * Fraction(y) for x, y in part]
        over, size = Fraction(value) - sum(terms), sum(map(abs, terms))
        assert 0 <= over <= 3 * Fraction(gamma(longest)) * size + TINY
        assert size or value == 0
        alone = dot_up(np.array([x for x, _ in part]), np.array([y for _, y in part]))
        assert 0 <= Fraction(float(alone)) - sum(terms) <= 3 * Fraction(gamma(len(part))) * size + TINY
