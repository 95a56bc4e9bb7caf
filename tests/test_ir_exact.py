"""Exact numbers against plain Fractions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnsym.ir.exact import add, from_numbers, multiply, nearest, round_down, round_up, simplify, to_fractions

floats = st.floats(allow_nan=False, allow_infinity=False)
short = st.integers(-64, 64).map(lambda k: k / 8)
fractions = st.fractions(max_denominator=10**6)


def exact(values: object) -> list[Fraction]:
    return [Fraction(v) for v in np.asarray(values).ravel().tolist()]


@settings(max_examples=300, deadline=None)
@given(floats | short, floats | short)
@example(1e308, 1e308)
@example(5e-324, 0.5)
@example(2.0**-537, 2.0**-537)
@example(1.0 + 2.0**-52, 1.0 - 2.0**-53)
@example(1e16, 1.0)
def test_add_and_multiply_never_round(a: float, b: float) -> None:
    left, right = np.array([a]), np.array([b])
    assert exact(add(left, right)) == [Fraction(a) + Fraction(b)]
    assert exact(multiply(left, right)) == [Fraction(a) * Fraction(b)]


@settings(max_examples=60, deadline=None)
@given(short, short)
def test_exact_results_stay_floats(a: float, b: float) -> None:
    assert add(np.array([a]), np.array([b])).dtype == np.float64
    assert multiply(np.array([a]), np.array([b])).dtype == np.float64


@settings(max_examples=200, deadline=None)
@given(fractions | floats.map(Fraction))
@example(Fraction(10) ** 400)
@example(-(Fraction(10) ** 400))
@example(Fraction(1, 10**400))
@example(Fraction(-1, 10**400))
def test_rounding_is_outward_and_tight(value: Fraction) -> None:
    array = np.array([value], dtype=object)
    (low,), (high,) = round_down(array), round_up(array)
    assert low <= value <= high  # Python compares floats and Fractions exactly, infinities too
    with np.errstate(over="ignore"):
        assert high == low or np.nextafter(low, np.inf) == high
    (near,) = nearest(array)
    assert near in (low, high)


def test_infinite_bounds_stay() -> None:
    array = np.array([-np.inf, Fraction(1, 3), np.inf], dtype=object)
    low, high = round_down(array), round_up(array)
    assert low[0] == -np.inf
    assert high[2] == np.inf
    assert low[1] < high[1]
    assert simplify(array) is array
    assert simplify(np.array([-np.inf, Fraction(1, 4)], dtype=object)).dtype == np.float64


def test_from_numbers_takes_what_a_user_writes() -> None:
    assert from_numbers([1, 2]).dtype == np.float64
    assert from_numbers("0.1") == Fraction(1, 10)
    assert from_numbers([Decimal("0.5"), Fraction(1, 4)]).tolist() == [0.5, 0.25]
    assert from_numbers([Decimal("0.1"), 2]).tolist() == [Fraction(1, 10), 2]
    assert from_numbers(2).dtype == np.float64
    assert from_numbers(2**53 + 1) == 2**53 + 1
    assert from_numbers(2**70 + 1) == 2**70 + 1
    assert from_numbers(np.float32(0.1)) == float(np.float32(0.1))
    with pytest.raises(TypeError, match="not a number"):
        from_numbers([1, object()])


def test_to_fractions() -> None:
    assert to_fractions(0.1) == Fraction(0.1) != Fraction(1, 10)
    nested = to_fractions(np.array([[0.5, 0.25]]))
    assert nested.dtype == object
    assert nested.tolist() == [[Fraction(1, 2), Fraction(1, 4)]]
