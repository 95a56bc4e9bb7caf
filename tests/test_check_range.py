"""What leaves the fast engine's range is refused, never wrapped: sums of many large terms, wherever they are made."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from certificates import box, certificate, plain, stated, verdict

from nnsym.check.errors import OutOfRange
from nnsym.check.graph import Map
from nnsym.check.limbs import COARSE, FINE, Matrix, Rows, charged, dot, most, plus


def _line(assertions: str) -> tuple[dict[str, Any], str]:
    graph = plain({"x": [1]}, [["MatMul", ["x", "W"], ["y"]]], ["y"], W=[[1]])
    return graph, stated(graph, box("x", [-1], [1]) + assertions, {"y": [1]})


@pytest.mark.parametrize("times", [1024, 2048, 4096, 8192])
def test_one_fact_many_times(times: int) -> None:
    """``y + 0.1 <= 0`` with multipliers whose sum is 0 in 64 bits: its constant alone would close the leaf."""
    graph, text = _line("(assert (<= y[0] -0.1))")
    found = verdict(certificate(text, [["l", [[0, 2**20]] * times]], {"name": "f", "graph": graph}), "fast")
    assert "range" in str(found) or "not positive" in str(found)
    reference = verdict(certificate(text, [["l", [[0, 2**20]] * times]], {"name": "f", "graph": graph}), "reference")
    assert "not positive" in str(reference)


@pytest.mark.parametrize("count", [512, pytest.param(1024, marks=pytest.mark.slow), 2048])
def test_one_node_that_many_others_read(count: int) -> None:
    """The coefficient of x is a sum over all branches, 2^21 each: 0 in 64 bits where they are 2048."""
    nodes = [["Mul", ["x", "big"], [f"b{k}"]] for k in range(count)]
    nodes += [["Sum", [f"b{k}" for k in range(count)], ["s"]], ["MatMul", ["s", "W"], ["y"]]]
    graph = plain({"x": [1]}, nodes, ["y"], big=[2**20], W=[[1]])
    text = stated(graph, box("x", [-1], [1]) + "(assert (<= y[0] -0.1))", {"y": [1]})
    found = verdict(certificate(text, [["l"]], {"name": "f", "graph": graph}), "fast")
    assert isinstance(found, str)


@pytest.mark.parametrize("terms", [1, 2, 50, 512, 1 << 16])
def test_sums_of_products_stay_below_2_to_the_53rd(terms: int) -> None:
    """The greatest numbers of so many digits, times the greatest limbs."""
    matrix = Matrix(Map(terms, [(None, array("d", [float((1 << 43) - 1)] * terms))]))
    limbs = matrix.written("forth")
    assert sum(int(part.max()) << matrix.width * k for k, part in enumerate(limbs)) == (1 << 43) - 1
    greatest = terms * max(int(part.max()) for part in limbs)
    assert greatest << COARSE <= 1 << 52
    assert (greatest << matrix.width) * (62 // matrix.width + 1) <= 1 << 52  # of as many limbs as may meet
    assert (greatest << FINE - matrix.width) + (greatest << matrix.width) <= 1 << 52  # of a fine row's two


@pytest.mark.parametrize("turned", [False, True])
def test_sums_of_sparse_products_stay_below_2_to_the_53rd(turned: bool) -> None:
    """One column that many rows read, or one row that reads many columns."""
    terms, greatest = 1 << 12, [float((1 << 43) - 1)]
    rows: list[Any] = [((0,), array("d", greatest))] * terms
    if turned:
        rows = [(range(terms), array("d", greatest * terms)), ((0,), array("d", greatest))]
    matrix = Matrix(Map(terms + 1 if turned else 1, rows))
    largest = terms * max(int(part.max()) for part in matrix.kept[""])
    assert largest << COARSE <= 1 << 52


@pytest.mark.parametrize(("values", "greatest"), [([3, -5], 5), ([5, -3], 5), ([-1, -2], 2), ([1, 2], 2), ([], 0)])
def test_the_greatest_magnitude_is_of_both_signs(values: list[int], greatest: int) -> None:
    assert most(np.array(values, dtype=np.int64)) == greatest


def test_charges_beyond_the_range_are_refused() -> None:
    """What a row loses where its values are far below 0, or its units large."""
    for exponent, low in ((-40, -(1 << 50)), (0, -(1 << 61))):
        row = Rows(np.ones((1, 2)), np.array([exponent]), FINE)
        with pytest.raises(OutOfRange):
            charged(row, np.array([2.0]), np.array([[low, 1]]), np.array([0]))
    row = Rows(np.ones((1, 2)), np.array([-2]), FINE)
    for low in (-(1 << 40), -(1 << 40) - 1, -5):
        found = charged(row, np.array([2.0]), np.array([[low, 1]]), np.array([0]))
        assert 8 * (low - (1 << 16)) < found <= 8 * low


def test_a_matrix_of_too_many_terms_is_refused() -> None:
    with pytest.raises(OutOfRange):
        dot(Rows(np.ones((1, 1 << 20)), np.zeros(1, dtype=np.int64), FINE), *[np.ones((1, 1 << 20), np.int64)] * 2, [0])


def test_sums_at_the_edge() -> None:
    edge = np.array([1 << 60])
    assert plus(edge, edge - 1) == (1 << 61) - 1
    for a, b in ((edge, edge), (-edge, -edge)):
        with pytest.raises(OutOfRange):
            plus(a, b)
