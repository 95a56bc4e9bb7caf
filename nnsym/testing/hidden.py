"""Networks whose counterexample is hidden: a dip too narrow to be hit by chance, with slopes of 0 all round it.

A method that takes "nothing was found" for "nothing is there" says ``verified`` of them. The truth is known exactly, at
any size: far from the point c the row is at least 1/8, and at least twice ``least``, and round it

    row(x) = g(x) - t - A relu(1 - k |x - c|_1),        A = g(c) - t - least,

with ``t`` so much below an interval bound of the random network g, and ``k A`` at least its Lipschitz constant, so
that the least value is that at c, ``least``. It is negative where there is a counterexample. SoundnessBench (Zhou et
al., 2024, arXiv 2412.03154) plants counterexamples by training, which hides them from attacks in another way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.network import Network, Tensor
from nnsym.ir.node import Input, Node, affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import relu
from nnsym.testing.random_nets import Random

_Layer = tuple[Array, Array]  # weights and biases


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Hidden:
    """A query, the point at which its margin is least, and that margin."""

    query: Query
    point: Mapping[Input, Array]
    least: Fraction

    @property
    def violated(self) -> bool:
        """True if the point is a counterexample; else there is none."""
        return self.least < 0


def hidden(seed: int, *, inputs: int = 5, width: int = 16, least: float = -(2.0**-4)) -> Hidden:
    """A query whose least margin is ``least``, a short dyadic number: all numbers of the network are dyadic too.

    Three hidden layers of ``width`` neurons and those of the dip, in random order, each scaled by a power of two.
    """
    rng = np.random.default_rng([seed, inputs, width])
    centre = rng.integers(-200, 201, inputs) / 256
    sizes = (inputs, width, width, width, 1)
    weights = [rng.integers(-6, 7, (m, n)) / 4 / 2.0 ** (n.bit_length() // 2) for n, m in pairwise(sizes)]
    biases = [rng.integers(-4, 5, n) / 8 for n in sizes[1:]]
    low, high, at = -np.ones(inputs), np.ones(inputs), centre
    for k, (W, b) in enumerate(zip(weights, biases, strict=True)):
        plus, minus = np.maximum(W, 0), np.minimum(W, 0)
        low, high, at = plus @ low + minus @ high + b, plus @ high + minus @ low + b, W @ at + b
        if k < len(weights) - 1:
            low, high, at = np.maximum(low, 0), np.maximum(high, 0), np.maximum(at, 0)
    threshold = float(low[0]) - max(0.125, 2 * least)
    depth = float(at[0]) - threshold - least
    steep = float(np.linalg.multi_dot([np.abs(W) for W in reversed(weights)]).max()) / depth
    layers = _dipped(weights, biases, centre, depth, 2.0 ** max(4, int(np.ceil(np.log2(max(steep, 1.0))))))
    x = new_input("x", inputs)
    y = _network(rng, x, layers)
    network = Network(f"hidden-{seed}", {"x": Tensor(x, (inputs,))}, {"y": Tensor(y, (1,))})
    given = new_input("x", inputs)
    application = network.apply((given,))
    query = Query(
        name=f"{network.name} at {least:g}",
        boxes={given: Box(-np.ones(inputs), np.ones(inputs))},
        rows=Rows.of(application.output("y")) + Rows.constants(np.array([-threshold])),
        formula=Atoms(np.array([0]), strict=True, soft=True),
        applications=(application,),
        text=f"no output below {threshold:g}",
        labels=("y[0] < threshold",),
    )
    return Hidden(query=query, point={given: centre}, least=Fraction(least))


def _dipped(weights: list[Array], biases: list[Array], centre: Array, depth: float, k: float) -> list[_Layer]:
    """The layers of g with those of the dip beside them: ``|x_j - c_j|`` as two neurons, then one, handed on."""
    n = len(centre)
    first = np.vstack([weights[0], np.eye(n), -np.eye(n)]), np.concatenate([biases[0], -centre, centre])
    second = _beside(weights[1], np.full((1, 2 * n), -k)), np.append(biases[1], 1.0)
    third = _beside(weights[2], np.ones((1, 1))), np.append(biases[2], 0.0)
    return [first, second, third, (np.append(weights[3], [[-depth]], axis=1), biases[3])]


def _beside(one: Array, two: Array) -> Array:
    """Both matrices as one, each with rows and columns of its own."""
    whole = np.zeros((len(one) + len(two), one.shape[1] + two.shape[1]))
    whole[: len(one), : one.shape[1]], whole[len(one) :, one.shape[1] :] = one, two
    return whole


def _network(rng: Random, x: Input, layers: list[_Layer]) -> Node:
    """The layers with their neurons in random order and scaled by powers of two, which nothing undoes but the next."""
    node: Node = x
    order: Array = np.arange(x.size)
    scale: Array = np.ones(x.size)
    for k, (W, b) in enumerate(layers):
        last = k == len(layers) - 1
        mine = np.arange(len(b)) if last else rng.permutation(len(b))
        size = np.ones(len(b)) if last else 2.0 ** rng.integers(-1, 2, len(b))
        weight = W[mine][:, order] / scale * size[:, None]
        node = affine(((Dense(weight), node),), b[mine] * size)
        node = node if last else pointwise(relu(), node)
        order, scale = mine, size
    return node
