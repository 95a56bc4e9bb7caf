"""Networks in properties: applications, compositions, hidden neurons, and how expressions become nodes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import nnsym as nn
from nnsym.errors import InputError, LanguageError
from nnsym.ir.linear import Dense, Select
from nnsym.ir.node import Affine

f = nn.zoo.random_mlp(3, widths=(2, 3, 2))
g = nn.zoo.random_mlp(4, widths=(2, 3, 2))
POINT = np.array([0.5, -0.25])


def test_equal_applications_are_one() -> None:
    x = nn.Variable(2)
    p = nn.forall(x, then=(f(x)[0] >= f(x)[1]) | (f(x)[0] >= g(x)[0]))
    assert [a.network for a in p.query.applications] == [f, g]
    a, b = f.evaluate(POINT), g.evaluate(POINT)
    assert p.margin(POINT) == max(a[0] - a[1], a[0] - b[0])


def test_two_copies_and_a_composition() -> None:
    x, z = nn.Variable(2, name="x"), nn.Variable(2, name="z")
    closed = f(np.array([[1, 0.5], [0, 1]]) @ x + [[0.25, 0], [0, 1]] @ nn.concat(g(x)[0], g(z)[1]))
    p = nn.forall([x, z], where=x[0] <= z[0], then=closed[1] <= f(z)[1])
    assert len(p.query.applications) == 4
    a, b = POINT, np.array([1.0, 2.0])
    mixed = np.array([g.evaluate(a)[0], g.evaluate(b)[1]])
    inner = np.array([[1, 0.5], [0, 1]]) @ a + np.array([[0.25, 0], [0, 1]]) @ mixed
    assert p.margin(a, b) == pytest.approx(f.evaluate(b)[1] - f.evaluate(inner)[1])
    assert p.margin(b, a) == np.inf
    with pytest.raises(LanguageError, match="1 arrays for the variables x, z"):
        p(a)


def test_wrong_number_of_elements_names_the_network_and_shape() -> None:
    wrong = (
        r"test_lang_networks.py:\d+: `.*`: input 'x' of 'random_mlp_3' has shape \(2,\) \(float64, 2 elements\), "
        r"the argument 'z\[0\]' has shape \(3,\)"
    )
    with pytest.raises(InputError, match=wrong):
        f(nn.Variable((2, 3), name="z")[0])
    with pytest.raises(InputError, match="2 arguments for 1 input"):
        f(nn.Variable(2), nn.Variable(2))


def test_constants_and_numbers_as_arguments() -> None:
    assert np.allclose(f(POINT), f.evaluate(POINT))
    x = nn.Variable(1)
    p = nn.forall(x, then=f(nn.concat(x[0], -0.25))[0] <= 0)
    assert p.margin([0.5]) == -f.evaluate(POINT)[0]
    assert nn.forall(x, then=f([x[0], -0.25])[0] <= 0).margin([0.5]) == p.margin([0.5])


def test_hidden_neurons_before_and_after_the_activation() -> None:
    x, z = nn.Variable(2, name="x"), nn.Variable(2, name="z")
    weight, bias = f.tensor("affine_1").node.maps[0].weight, f.tensor("affine_1").node.bias
    pre = weight @ POINT + bias
    for hidden in (f(x).hidden("relu_1"), f.hidden("relu_1")(x), f(x)[0].hidden("relu_1")):
        for k in range(3):
            assert nn.forall(x, then=hidden.pre[k] >= 0).margin(POINT) == pre[k]
            assert nn.forall(x, then=hidden.post[k] >= 0).margin(POINT) == max(pre[k], 0)
    only = nn.forall(x, then=f.hidden("relu_1")(x).pre[0] >= 0)
    assert [a.network for a in only.query.applications] == [f]
    assert "hidden" in str(only)
    with pytest.raises(InputError, match=r"no value named 'relu_7'. Close names: .*relu_1"):
        f.hidden("relu_7")
    with pytest.raises(InputError, match=r"not bound to an application.*hidden\(\"relu_1\"\)\(x\)"):
        _ = f.hidden("relu_1").pre
    with pytest.raises(InputError, match=r"test_lang_networks.py:\d+.*not computed by an activation"):
        _ = f.hidden("affine_1")(x).pre
    with pytest.raises(LanguageError, match="2 network applications"):
        (f(x) + f(z)).hidden("relu_1")


def test_phases_are_strict_signs_of_the_argument() -> None:
    x = nn.Variable(2)
    pre = f.tensor("affine_1").node.maps[0].weight @ POINT + f.tensor("affine_1").node.bias
    for k in range(3):
        for phase in (f.active("relu_1", k)(x), f(x).active("relu_1", k), f.hidden("relu_1")(x).active(k)):
            assert nn.forall(x, then=phase)(POINT) == (pre[k] > 0)
    assert nn.forall(x, then=f.active("relu_1")(x).any())(POINT) == (pre > 0).any()
    assert nn.forall(x, then=f.active("relu_1", [0, 2])(x).all())(POINT) == (pre[[0, 2]] > 0).all()
    with pytest.raises(InputError, match=r"no value named 'relu_7'"):
        f.active("relu_7", 0)


def test_a_large_matrix_stays_one_dense_node_and_a_small_one_stays_rows() -> None:
    x = nn.Variable(100)
    big = np.arange(10000.0).reshape(100, 100)
    (node,) = (big @ x).rows.parts
    assert isinstance(node, Affine)
    assert isinstance(node.maps[0], Dense)
    assert node.parents == (x.input,)
    assert list((np.ones((2, 100)) @ x).rows.parts) == [x.input]


def test_whole_nodes_are_reused_and_parts_are_selections() -> None:
    x = nn.Variable((2, 3))
    assert nn.concat(x[0], x[1]).rows.parts.keys() == {x.input}
    (relu,) = nn.relu(x.reshape(6)).rows.parts
    assert relu.parents == (x.input,)
    (relu,) = nn.relu(x.T).rows.parts
    assert isinstance(relu.parents[0].maps[0], Select)


def test_matrix_products_and_reductions_follow_numpy() -> None:
    x = nn.Variable((2, 3))
    value = np.arange(6.0).reshape(2, 3) - 2.5
    a, b = np.array([[1.0, 2.0], [0.5, -1.0], [0.0, 4.0]]), np.array([1.0, -2.0, 0.25])
    pairs = [
        (a @ x, a @ value), (x @ a, value @ a), (x @ b, value @ b), (x.T @ [1, 1], value.T @ [1, 1]),
        (x.sum(), value.sum()), (x.sum(axis=0), value.sum(axis=0)), (x.mean(axis=1), value.mean(axis=1)),
        (x[:, ::-1] - b, value[:, ::-1] - b), (x.reshape(3, -1), value.reshape(3, 2)), (nn.abs(x), abs(value)),
        (nn.max(x), value.max()), (nn.max(x[0], x[1], 0), np.maximum(value.max(axis=0), 0)),
        (nn.min([x[0, 0], 3]), -2.5),
        (nn.norm(x, 1), abs(value).sum()), (nn.norm(x, np.inf), abs(value).max()), (nn.relu(x), np.maximum(value, 0)),
        (x[x.shape[0] - 1, -1], value[1, -1]), (x[[1, 0]], value[[1, 0]]), (-x / 4, -value / 4),
    ]  # fmt: skip
    for term, expected in pairs:
        assert term.shape == np.shape(expected)
        assert nn.forall(x, then=nn.all(nn.abs(term - expected) <= 1e-12))(value)


def test_materialised_constants_are_rounded_to_nearest_once() -> None:
    x = nn.Variable(1)
    (node,) = nn.relu(x * Fraction(1, 3)).rows.parts
    assert node.parents[0].maps[0].csr()[0][0] == 1 / 3
