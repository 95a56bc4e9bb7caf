"""The lecture's claims: what each method says of x + y >= x - y, and that a widely copied formula is unsound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.bounds.methods import compute
from nnsym.lang.property import Property
from nnsym.results.result import Verdict

FILE = Path(__file__).resolve().parents[1] / "docs" / "lecture" / "intervals.py"


@pytest.fixture(scope="module")
def weak() -> Property:
    return nn.load_property(f"{FILE}:weak")


@pytest.fixture(scope="module")
def strict() -> Property:
    return nn.load_property(f"{FILE}:strict")


def test_intervals_know_the_layer_and_not_the_difference(weak: Property) -> None:
    bounds = compute(weak.query, "ibp")
    layer = bounds[weak.query.nodes[-1]]
    assert (layer.lower.tolist(), layer.upper.tolist()) == ([1, 0], [3, 2])
    result = nn.verify(weak, "ibp")
    assert result.status is Verdict.UNKNOWN
    assert result.lower == -1


@pytest.mark.parametrize("method", ["crown", "triangle", "bigm", "smt"])
def test_everything_else_verifies_a_margin_of_zero(weak: Property, method: str) -> None:
    result = nn.verify(weak, method, timeout=60)
    assert result.status is Verdict.VERIFIED
    assert not result.vacuous
    if method != "smt":
        assert result.lower == 0


@pytest.mark.parametrize("method", ["triangle", "bigm", "smt", None])
def test_the_strict_version_is_false_on_the_edge(strict: Property, weak: Property, method: str | None) -> None:
    result = nn.verify(strict, method, timeout=60)
    assert result.status is Verdict.FALSIFIED
    point = result.counterexample.inputs["v"]
    assert point[1] == 0
    assert strict.margin(point) == 0
    assert not strict(point)
    assert weak(point)


def test_bounds_never_verify_the_strict_version(strict: Property) -> None:
    for method in ("ibp", "crown"):
        assert nn.verify(strict, method).status is Verdict.UNKNOWN


def interval(weights: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """W+ u + W- l."""
    return np.maximum(weights, 0) @ upper + np.minimum(weights, 0) @ lower


def misprint(weights: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """W+ u + W- u, which is W u."""
    return np.maximum(weights, 0) @ upper + np.minimum(weights, 0) @ upper


def test_the_misprint_misses_a_value_of_the_network() -> None:
    weights, lower, upper = np.array([[1, 1], [1, -1]]), np.array([1, 0]), np.array([2, 1])
    assert interval(weights, lower, upper).tolist() == [3, 2]
    assert misprint(weights, lower, upper).tolist() == [3, 1]
    assert (weights @ [2, 0]).tolist() == [2, 2]  # above the 1 that the misprint allows


@given(st.lists(st.integers(-8, 8), min_size=3, max_size=3), st.lists(st.integers(0, 8), min_size=3, max_size=3))
@settings(deadline=None, max_examples=100)
def test_the_misprint_is_unsound_wherever_it_differs(row: list[int], width: list[int]) -> None:
    weights, lower = np.array([row]), np.zeros(3, dtype=int)
    upper = np.array(width)
    best = np.where(weights[0] > 0, upper, lower)  # a point of the box
    assert weights @ best == interval(weights, lower, upper)
    assert misprint(weights, lower, upper) <= weights @ best
    if (misprint(weights, lower, upper) != interval(weights, lower, upper)).any():
        assert weights @ best > misprint(weights, lower, upper)
