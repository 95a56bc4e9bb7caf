"""Sums and products rounded to one side: never below the exact value, equal where nothing rounds, close elsewhere."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nnsym.ir.outward import dot_up, gamma, group_dot_up, group_sum_up

TINY = Fraction(2) ** -999
numbers = st.floats(-1e3, 1e3) | st.sampled_from([0.0, 0.1, -0.1, 1e8, -1e8, 1e-9])
groups = st.lists(st.lists(numbers, max_size=9), max_size=5)


def exact(values: list[float]) -> Fraction:
    return sum(map(Fraction, values), Fraction(0))


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
