"""Whole numbers over one denominator: the same values as Fractions, on every kind of node and any size of number."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.convolution import Conv
from nnsym.ir.evaluate import evaluate
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import Dense, Scale, Select, Sparse
from nnsym.ir.node import Node, affine, constant, maximum, new_input, pointwise, product
from nnsym.ir.rational.scaled import Scaled, evaluate_scaled
from nnsym.ir.smooth_functions import Sigmoid
from nnsym.ir.univariate import absolute, clip, leaky_relu, relu, sign

floats = st.floats(allow_nan=False, allow_infinity=False, width=64)


@given(st.lists(floats, min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_floats_of_any_size_are_kept(values: list[float]) -> None:
    assert Scaled.of(np.array(values)).fractions().tolist() == [Fraction(v) for v in values]


@given(st.lists(st.fractions(), min_size=1, max_size=6))
@settings(max_examples=100, deadline=None)
def test_fractions_are_kept(values: list[Fraction]) -> None:
    assert Scaled.of(np.array(values, dtype=object)).fractions().tolist() == values


def test_infinities_have_no_exact_value() -> None:
    with pytest.raises(InputError, match="no exact value"):
        Scaled.of(np.array([1.0, np.inf]))


def graph(rng: np.random.Generator) -> tuple[Node, Node]:
    """Every kind of map and node once, with weights of sizes from 2^-60 to 2^60 and exact zeros."""
    size = lambda *shape: rng.normal(size=shape) * 2.0 ** rng.integers(-60, 60, shape) * (rng.random(shape) < 0.8)  # noqa: E731
    x = new_input("x", 8)
    conv = Conv(size(2, 1, 3), (1, 8), (2,), (1, 1), (1,), 1)
    a = pointwise(relu(), affine(((conv, x),), size(8)))
    sparse = Sparse(size(3), np.array([0, 5, 7]), np.array([0, 2, 2, 3]), 8)  # its middle row is empty
    b = pointwise(leaky_relu(0.1), affine(((Dense(size(3, 8)), a), (sparse, x)), size(3)))
    c = affine(((Scale(size(3)), b), (Select(np.array([2, -1, 7]), 8), x)), size(3))
    d = product(c, pointwise(clip(-0.3, 0.7), b))
    e = affine(((Dense(size(3, 3)), pointwise(absolute(), d)), (Select(np.arange(3), 3), constant(size(3)))))
    top = maximum(e, np.array([[0, 1], [2, -1]]))
    return x, affine(((Dense(size(2, 2)), top), (Dense(size(2, 3)), pointwise(sign(), d))), size(2))


@pytest.mark.parametrize("seed", range(12))
def test_every_node_has_its_exact_value(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = graph(rng)
    stored, decimal = (
        rng.normal(size=8),
        np.array([Fraction(int(v), 30) for v in rng.integers(-90, 90, 8)], dtype=object),
    )
    for point in (stored, decimal):
        right = evaluate((y,), {x: to_fractions(point)})
        found = evaluate_scaled((y,), {x: point})
        assert set(found) == set(right)
        for node, values in right.items():
            assert found[node].fractions().tolist() == np.ravel(values).tolist(), node


def test_smooth_functions_are_refused() -> None:
    x = new_input("x", 1)
    with pytest.raises(UnsupportedError, match="no exact rational value"):
        evaluate_scaled((pointwise(Sigmoid(), x),), {x: np.zeros(1)})
