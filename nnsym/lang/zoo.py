"""Small networks to learn and to test with."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from nnsym.ir.linear import Dense
from nnsym.ir.network import Network, Tensor
from nnsym.ir.node import Node, affine, new_input, pointwise
from nnsym.ir.univariate import relu


def xor() -> Network:
    """``|x0 - x1|`` as two ReLUs: exclusive or on {0, 1}^2."""
    return _dense("xor", [([[1, -1], [-1, 1]], [0, 0]), ([[1, 1]], [0])])


def lecture() -> Network:
    """Two hidden ReLUs whose intervals lose what their sum cancels: ``relu(x + y) - relu(x - y)``."""
    return _dense("lecture", [([[1, 1], [1, -1]], [0, 0]), ([[1, -1]], [0])])


def random_mlp(seed: int = 0, *, widths: tuple[int, ...] = (3, 6, 6, 2)) -> Network:
    """Dense ReLU layers of the given widths; weights are multiples of 1/8, so that exact arithmetic stays short."""
    rng = np.random.default_rng(seed)
    layers: list[tuple[Any, Any]] = []
    for n_in, n_out in itertools.pairwise(widths):
        layers.append((rng.integers(-8, 9, size=(n_out, n_in)) / 8, rng.integers(-8, 9, size=n_out) / 8))
    return _dense(f"random_mlp_{seed}", layers)


def _dense(name: str, layers: list[tuple[Any, Any]]) -> Network:
    start = new_input("x", np.shape(layers[0][0])[1])
    node: Node = start
    tensors: dict[str, Tensor] = {}
    for number, (weight, bias) in enumerate(layers, start=1):
        if number > 1:
            node = pointwise(relu(), node)
            tensors[f"relu_{number - 1}"] = Tensor(node, (node.size,))
        node = affine(((Dense(np.asarray(weight, dtype=np.float64)), node),), bias)
        tensors[f"affine_{number}"] = Tensor(node, (node.size,))
    inputs, outputs = {"x": Tensor(start, (start.size,))}, {"y": Tensor(node, (node.size,))}
    return Network(name, inputs, outputs, tensors | inputs | outputs)
