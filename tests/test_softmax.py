"""Softmax as a graph: its values, its form told again, and properties that only compare its results."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from onnx import helper

import nnsym as nn
from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.engine.forward.interval import ibp
from nnsym.ir.evaluate import evaluate
from nnsym.ir.linear import Scale, Sparse
from nnsym.ir.node import affine, new_input
from nnsym.ir.order import before_softmax
from nnsym.ir.softmax import _read, log_softmax, log_sum_exp, softmax, unordered
from nnsym.read.onnx import load
from nnsym.testing.bound_queries import about
from tests.models import f32, model

SIZES = (1, 2, 3, 10, 16, 17, 40)


def groups(k: int) -> np.ndarray:
    return np.random.default_rng(k).permutation(40)[: 40 // k * k].reshape(-1, k)


@pytest.mark.parametrize("k", SIZES)
def test_values_are_those_of_the_formula(k):
    x, chosen = new_input("x", 40), groups(k)
    v = np.random.default_rng(1).normal(0.0, 3.0, (7, 40))
    e = np.exp(v[:, chosen])
    share = e / e.sum(-1, keepdims=True)
    found = evaluate([s := softmax(x, chosen), logs := log_softmax(x, chosen), total := log_sum_exp(x, chosen)], {x: v})
    np.testing.assert_allclose(
        np.broadcast_to(found[s], (7, chosen.size)), share.reshape(7, -1), rtol=1e-12, atol=1e-15
    )
    np.testing.assert_allclose(
        np.broadcast_to(found[logs], (7, chosen.size)), np.log(share).reshape(7, -1), rtol=1e-10, atol=1e-13
    )
    np.testing.assert_allclose(found[total], np.log(e.sum(-1)), rtol=1e-12)


@pytest.mark.parametrize("k", SIZES[1:])
def test_a_softmax_is_told_by_building_it_again(k):
    x, chosen = new_input("x", 40), groups(k)
    for build in (softmax, log_softmax):
        found = unordered(build(x, chosen))
        assert found is not None
        assert found[0] is x
        assert (found[1] == chosen).all()


def test_what_only_looks_like_one_is_none():
    x = new_input("x", 6)
    y = softmax(x, np.arange(6).reshape(2, 3))
    assert unordered(affine(((Scale(np.full(6, 2.0)), y),))) is None
    assert unordered(x) is None


@pytest.mark.parametrize("k", [2, 5, 20])
@pytest.mark.parametrize("spread", [0.1, 30.0])
def test_bounds_hold_every_value_and_are_shares(k, spread):
    x = nn.Variable(k, name="x")
    centre = np.random.default_rng(k).normal(size=k)
    proto = model([helper.make_node("Softmax", ["x"], ["y"], axis=-1)], {"x": (k,)})
    f = load(proto)
    p = nn.forall(x, where=nn.box(x, centre - spread, centre + spread), then=nn.all(f(x) >= 2))
    points = np.random.default_rng(3).uniform(centre - spread, centre + spread, (500, k))
    e = np.exp(points - points.max(-1, keepdims=True))
    values = e / e.sum(-1, keepdims=True) - 2  # the rows of the violation
    for source in (ibp, crown):
        found = source(p.query).rows
        assert (found.lower <= values.min(0) + 1e-12).all()
        assert (found.upper >= values.max(0) - 1e-12).all()
        assert (found.lower >= -2 - 1e-9).all()
        assert (found.upper <= -1 + 1e-9).all() or k > 16  # a long one's arguments may be above 0 for intervals


def classifier(*, log: bool = False) -> nn.Network:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["logits"]),
        helper.make_node("LogSoftmax" if log else "Softmax", ["logits"], ["y"], axis=-1),
    ]
    return load(model(nodes, {"x": (1, 4)}, ["y"], {"w": f32(4, 6), "v": f32(6, 3, seed=1)}))


@pytest.mark.parametrize("log", [False, True])
def test_comparisons_of_one_softmax_are_those_of_its_arguments(log):
    f = classifier(log=log)
    x = nn.Variable((1, 4), name="x")
    y = f(x)[0]
    p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.all(y[0] >= y[1], y[0] > y[2]))
    query = before_softmax(p.query)
    assert query.stated is p.query
    assert set(query.rows.parts) == {f.apply((p.query.inputs[0],)).image[f.tensors["logits"].node]}
    assert query.hash == p.query.hash
    random = np.random.default_rng(0)
    for _ in range(50):
        point = {p.query.inputs[0]: random.uniform(-1, 1, 4)}
        assert query.violated(query.values(point)) == p.query.violated(p.query.values(point))
    again = pickle.loads(pickle.dumps(query))
    assert again.stated is not None


def test_other_rows_keep_the_softmax():
    f = classifier()
    x = nn.Variable((1, 4), name="x")
    y = f(x)[0]
    for then in (y[0] >= 0.3, y[0] >= 2 * y[1], y[0] >= y[1] + 0.1, y[0] + y[1] >= y[2]):
        query = nn.forall(x, where=nn.box(x, -1, 1), then=then).query
        assert before_softmax(query) is query
    mixed = before_softmax(nn.forall(x, where=nn.box(x, -1, 1), then=nn.all(y[0] >= y[1], y[0] >= 0.3)).query)
    assert len(mixed.rows.parts) == 2


def test_of_two_groups_nothing_is_said():
    proto = model([helper.make_node("Softmax", ["x"], ["y"], axis=-1)], {"x": (2, 3)})
    f, x = load(proto), nn.Variable((2, 3), name="x")
    y = f(x)
    query = nn.forall(x, where=nn.box(x, 0, 1), then=y[0, 0] >= y[1, 0]).query
    assert before_softmax(query) is query


def test_an_exact_method_decides_a_property_of_a_softmax():
    f = classifier()
    x = nn.Variable((1, 4), name="x")
    y = f(x)[0]
    point = np.array([[0.9, -0.3, 0.2, 0.5]])
    best = int(np.argmax(f.evaluate(point)))
    for radius, status in ((1e-3, "verified"), (2.0, "falsified")):
        p = nn.forall(x, where=nn.box(x, point - radius, point + radius), then=nn.argmax(y) == best)
        result = nn.verify(p, "bigm", shortcut=False)
        assert str(result.status) == status
        assert any(step.name == "softmax" for step in result.trail)


def test_a_tie_that_rounding_makes_is_no_counterexample_of_the_real_function():
    """Logits that float32's softmax cannot tell apart: only the stored model violates ``y_0 > y_1``."""
    shift = np.array([0.0, -1e-9], dtype=np.float32)
    nodes = [
        helper.make_node("Mul", ["x", "zero"], ["h"]),
        helper.make_node("Add", ["h", "shift"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["y"], axis=-1),
    ]
    f = load(model(nodes, {"x": (2,)}, ["y"], {"zero": np.zeros(2, np.float32), "shift": shift}))
    x = nn.Variable(2, name="x")
    y = f(x)
    p = nn.forall(x, where=nn.box(x, 0, 1), then=y[0] > y[1])
    for method in ("crown", "bigm", "attack"):
        assert str(nn.verify(p, method).status) != "falsified"
    assert str(nn.verify(p, "crown").status) == "verified"


def test_a_long_softmax_stays_between_0_and_1_in_every_bound():
    x = new_input("x", 24)
    y = softmax(x, np.arange(24)[None])
    query = about("long", y, x, np.full(24, -1e4), np.full(24, 1e4))
    for bounded in (ibp(query), crown(query)):
        bounds = bounded[y]
        assert (bounds.lower >= -1e-9).all()
        assert (bounds.upper <= 1 + 1e-9).all()


def test_sums_of_three_that_are_no_softmax_are_left_alone() -> None:
    """A row that copies, one that shifts and one that adds look like ``x - m - log sum`` at the first glance."""
    y = nn.zoo.random_mlp(1, widths=(2, 4, 2))(x := nn.Variable(2, name="x"))
    rows = nn.concat(nn.clip(y[0], -0.3, 1), y[0] + 1.25, nn.relu(y[1]) + y[0])
    assert nn.verify(nn.forall(x, where=nn.box(x, -1, 1), then=nn.norm(rows, 1) <= 40), "ibp").status == "verified"


@pytest.mark.parametrize("count", range(1, 9))
def test_differences_of_any_number_for_any_results_are_read_without_error(count: int) -> None:
    """Rows ``x_i - x_j`` are groups of a softmax only where their number fits that of the results."""
    x = new_input("x", 9)
    indices = np.stack([np.arange(count), np.arange(count) + 1], axis=1).ravel()
    rows = Sparse(np.tile([1.0, -1.0], count), indices, np.arange(0, 2 * count + 1, 2), 9)
    node = affine(((rows, x),))
    for size in range(1, 12):
        for parent, found in _read(node, size):
            assert parent is x
            assert found.ndim == 2
            assert found.size == size or 2 * count == size
