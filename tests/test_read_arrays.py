from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from nnsym.errors import InputError
from nnsym.ir.node import Pointwise
from nnsym.ir.univariate import Hinge
from nnsym.read.arrays import sequential
from nnsym.read.runtime import run

W1, B1 = np.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]]), np.array([0.1, -0.2, 0.3])
W2, B2 = np.array([[1.0, -1.0, 2.0]]), np.array([0.5])
ACTS = {
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
    "abs": np.abs,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("activation", ACTS)
def test_value(activation):
    network = sequential([(W1, B1), (W2, B2)], activation=activation)
    for x in np.random.default_rng(0).normal(size=(20, 2)):
        np.testing.assert_allclose(network.evaluate(x), W2 @ ACTS[activation](W1 @ x + B1) + B2, rtol=1e-12)


def test_lists_a_custom_activation_and_no_activation_at_the_end():
    half = Hinge(np.full(1, 0.5), np.ones(1), "half")
    network = sequential([([[1, 2]], [1]), ([[-1]], None)], activation=half, name="g")
    assert network.name == "g"
    assert network.model is None
    assert network.dtype == "float64"
    assert network.evaluate(np.array([-3.0, 0.0])).item() == 1.0
    assert network.evaluate(np.array([3.0, 0.0])).item() == -4.0
    assert sum(isinstance(n, Pointwise) for n in network.nodes) == 1


def test_exact_on_fractions():
    network = sequential([([[0.1, 1]], [0]), ([[3]], [0.25])])
    x = np.array([Fraction(1, 3), Fraction(1, 7)], dtype=object)
    assert network.evaluate(x).item() == 3 * (Fraction(0.1) / 3 + Fraction(1, 7)) + Fraction(1, 4)


def test_names_of_hidden_tensors():
    network = sequential([(W1, B1), (W2, B2)])
    assert set(network.tensors) == {"x", "affine_1", "act_1", "affine_2", "y"}
    assert network.tensors["act_1"].node.parents[0] is network.tensors["affine_1"].node
    assert network.tensors["y"].node is network.tensors["affine_2"].node


def test_arrays_are_copied():
    weight = W1.copy()
    network = sequential([(weight, B1)])
    before = network.evaluate(np.ones(2))
    weight[:] = 0
    assert np.array_equal(network.evaluate(np.ones(2)), before)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "f: a network needs at least one layer"),
        ([(W1, B1), (W1, B1)], r"f: layer 2: W has shape \(3, 2\) but gets 3 elements"),
        ([(W1, B2)], r"f: layer 1: b has shape \(1,\), W has shape \(3, 2\)"),
        ([(W1, B1), (B1, B2)], r"f: layer 2: W has shape \(3,\)"),
        ([([[1, 2], [3]], [0, 0])], "f: layer 1: W: not an array of numbers, or ragged"),
        ([([[1, "a"]], [0])], "f: layer 1: W: not an array of numbers"),
        ([(W1, [0, np.nan, 0])], "f: layer 1: b: holds NaN or infinity"),
        ([([[Fraction(1, 3)]], [0])], "f: layer 1: W: holds numbers that are not float64"),
        ([W1], r"f: layer 1: not a pair \(W, b\)"),
    ],
)
def test_errors_name_the_layer(layers, message):
    with pytest.raises(InputError, match=message):
        sequential(layers)


def test_unknown_activation_lists_the_known_ones():
    with pytest.raises(InputError, match=r"unknown activation 'gloo'\. Choose one of: relu, leaky_relu, abs"):
        sequential([(W1, B1)], activation="gloo")


def test_there_is_no_model_to_run():
    with pytest.raises(InputError, match="no ONNX model"):
        run(sequential([(W1, B1)]), {"x": np.zeros(2)})
