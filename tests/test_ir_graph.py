"""Nodes: interning, simplification without rounding, pickling, long chains, names, evaluation."""

from __future__ import annotations

import gc
import pickle
from fractions import Fraction

import numpy as np
import pytest

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.check import check
from nnsym.ir.evaluate import evaluate
from nnsym.ir.linear import Dense, Scale, Select, identity
from nnsym.ir.names import node_names
from nnsym.ir.network import Network, Tensor
from nnsym.ir.node import (
    Affine,
    Node,
    affine,
    concatenate,
    constant,
    maximum,
    new_input,
    pointwise,
    product,
)
from nnsym.ir.smooth_functions import Tanh
from nnsym.ir.univariate import absolute, leaky_relu, relu
from nnsym.ir.walk import fold, inputs_of, substitute, topological

A = Dense([[1.0, 2.0], [3.0, -4.0]])


def chain(length: int) -> Network:
    x = node = new_input("x", 2)
    for k in range(length):
        node = pointwise(relu(), affine(((A, node),), np.full(2, float(k))))
    return Network("chain", {"x": Tensor(x, (2,))}, {"y": Tensor(node, (2,))})


def test_equal_content_is_one_node() -> None:
    x = new_input("x", 2)
    first = pointwise(relu(), affine(((A, x),), [1.0, 0.0]))
    again = pointwise(relu(), affine(((Dense(A.weight), x),), np.array([1, 0])))
    assert first is again
    assert first is not pointwise(absolute(), first.parents[0])
    assert new_input("x", 2) is not new_input("x", 2)
    assert maximum(x, [[0, 1]]) is maximum(x, np.array([[0, 1]])) is not maximum(x, [[0, -1]])
    assert product(x, first) is product(x, first) is not product(first, x)


def test_dropped_nodes_leave_the_table() -> None:
    from nnsym.ir.node import _interned

    x = new_input("x", 2)
    gc.collect()
    before = len(_interned)
    node: Node | None = pointwise(relu(), affine(((A, x),)))
    assert len(_interned) == before + 2
    del node
    gc.collect()
    assert len(_interned) == before


def test_simplification_copies_and_never_rounds() -> None:
    x = new_input("x", 3)
    assert affine(((identity(3), x),)) is x
    biased = affine(((identity(3), x),), 1.0)
    assert biased is not x
    first = affine(((Select([2, -1, 0], 3), x),))
    second = affine(((Select([0, 1, 2, -1], 3), first),))
    assert isinstance(second, Affine)
    assert second.parents == (x,)
    assert second.maps[0].key == Select([2, -1, 0, -1], 3).key
    zero_bias = affine(((Scale([0.1, 0.2, 0.3]), x),))
    moved = affine(((identity(3), zero_bias),), [1.0, 2.0, 3.0])
    assert isinstance(moved, Affine)
    assert moved.parents == (x,)
    stays = affine(((identity(3), biased),), 0.1)  # 1 + 0.1 would round
    assert isinstance(stays, Affine)
    assert stays.parents == (biased,)


def test_repeated_parents_keep_their_coefficients_apart() -> None:
    x = new_input("x", 2)
    node = affine(((A, x), (A, x), (Scale([0.1, 0.1]), x)))
    check([node])
    point = {x: np.array([[0.5, 0.25]])}
    np.testing.assert_allclose(evaluate([node], point)[node], 2 * A.apply(point[x]) + 0.1 * point[x], atol=1e-15)
    y = new_input("y", 2)
    total = affine(((A, x), (A, y)))
    doubled = substitute([total], {y: x})[total]
    check([doubled])
    assert np.array_equal(evaluate([doubled], point)[doubled], 2 * A.apply(point[x]))


@pytest.mark.parametrize(
    "build",
    [
        lambda x: affine(((Dense(np.ones((2, 3))), x),)),
        lambda x: affine(((A, x), (Dense(np.ones((3, 2))), x))),
        lambda x: maximum(x, [[0, 2]]),
        lambda x: maximum(x, [[-1, -1]]),
        lambda x: product(x, new_input("z", 3)),
        lambda x: affine(((A, x),), [np.nan, 0.0]),
    ],
)
def test_what_does_not_fit_is_refused(build: object) -> None:
    with pytest.raises(InputError):
        build(new_input("x", 2))  # type: ignore[operator]


def test_pickles_intern_again() -> None:
    x = new_input("x", 2, integer=[True, False])
    node = product(
        pointwise(leaky_relu([0.1, 0.2]), affine(((A, x), (identity(2), x)), 0.5)), maximum(x, [[0, 1], [1, -1]])
    )
    text = pickle.dumps(node)
    assert pickle.loads(text) is node
    fresh = pickle.loads(pickle.dumps(A))
    assert fresh.key == A.key
    assert not fresh.weight.flags.writeable


def test_a_chain_of_thousands_of_layers() -> None:
    network = chain(2000)
    (y,) = (t.node for t in network.outputs.values())
    assert len(network.nodes) == 4001
    assert len(inputs_of([y])) == 1
    depth = fold([y], lambda node, parents: 1 + max(parents, default=0))
    assert depth[y] == 4001
    z = new_input("z", 2)
    image = network.apply((z,)).output("y")
    assert image is not y
    assert len(topological([image])) == 4001
    assert network.apply(tuple(t.node for t in network.inputs.values())).output("y") is y
    copy = pickle.loads(pickle.dumps(network))
    assert copy.outputs["y"].node is y
    check([y])


def test_topological_order_is_deterministic_and_parents_come_first() -> None:
    x = new_input("x", 2)
    h = pointwise(relu(), affine(((A, x),)))
    y = affine(((A, h), (identity(2), x)))
    order = topological([y, h])
    assert order == (x, h.parents[0], h, y)
    assert list(node_names(order).values()) == ["x", "affine_1", "relu_1", "affine_2"]


def test_evaluation_in_floats_and_fractions() -> None:
    x = new_input("x", 2)
    h = pointwise(leaky_relu(0.1), affine(((A, x),), [0.0, -1.0]))
    top = maximum(concatenate((h, constant([0.25]))), [[0, 1, 2], [1, -1, -1]])
    out = product(top, h)
    point = np.array([[0.3, 0.7], [-1.0, 2.0]])
    values = evaluate([out], {x: point})
    pre = point @ A.weight.T + [0.0, -1.0]
    hidden = np.where(pre > 0, pre, 0.1 * pre)
    peak = np.stack([np.maximum(hidden.max(axis=1), 0.25), hidden[:, 1]], axis=1)
    np.testing.assert_allclose(values[out], peak * hidden, atol=1e-15)
    third = np.array([Fraction(1, 3), Fraction(1, 7)], dtype=object)
    exact = evaluate([out], {x: third})
    first = Fraction(1, 3) + Fraction(2, 7)
    second = Fraction(0.1) * (1 - Fraction(4, 7) - 1)
    assert exact[h].tolist() == [first, second]
    assert exact[out].tolist() == [first * first, second * second]


@pytest.mark.parametrize("number", [0.0, 2.0])
@pytest.mark.parametrize("index", [[0, 0, 1], [1, -1], [0, 1]])
def test_copies_of_constants_are_nodes_like_any(number: float, index: list[int]) -> None:
    node = affine(((Select(index, 2), constant(np.full(2, number))),), np.arange(len(index)))
    expected = np.where(np.array(index) >= 0, number, 0.0) + np.arange(len(index))
    assert evaluate([node], {})[node].tolist() == expected.tolist()


def test_constants_stay_exact_and_take_the_batch() -> None:
    x = new_input("x", 1)
    tenth = pointwise(leaky_relu(0.1), constant([-0.1]))
    total = affine(((identity(1), x), (Scale([0.1]), tenth)))
    exact = evaluate([total], {x: np.array([Fraction(1, 3)], dtype=object)})[total]
    assert exact.tolist() == [Fraction(1, 3) - Fraction(0.1) ** 3]
    assert evaluate([x, tenth], {x: np.zeros((4, 1))})[tenth].shape == (4, 1)


def test_smooth_functions_refuse_exact_values() -> None:
    x = new_input("x", 1)
    with pytest.raises(UnsupportedError, match="tanh"):
        evaluate([pointwise(Tanh(), x)], {x: np.array([Fraction(1)], dtype=object)})


def test_network_calls_reshape() -> None:
    x = new_input("x", 4)
    y = affine(((Dense(np.arange(24.0).reshape(6, 4)), x),))
    network = Network("f", {"x": Tensor(x, (2, 2))}, {"y": Tensor(y, (3, 2))})
    flat = np.array([1.0, 2.0, 3.0, 4.0])
    assert network(flat).shape == network(flat.reshape(2, 2)).shape == (3, 2)
    assert network(np.stack([flat.reshape(2, 2)] * 5)).shape == (5, 3, 2)
    with pytest.raises(InputError, match="1 input"):
        network.apply(())
    with pytest.raises(InputError, match="4 elements"):
        network.apply((new_input("z", 3),))
