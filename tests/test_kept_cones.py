"""Rows of hidden elements are bounded in their cones: as soundly, and as well, as in the whole network."""

from fractions import Fraction

import numpy as np
import onnx
import pytest

import nnsym as nn
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.passes import local
from nnsym.bounds.kept.plan import cones
from nnsym.bounds.kept.plan.balls import Round
from nnsym.bounds.kept.plan.maps import leading
from nnsym.bounds.kept.types import Domains, Limit
from nnsym.ir.domain import Ball
from nnsym.ir.formula import always
from nnsym.ir.linear import Sparse
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.testing.random_nets import KINDS, random_network, random_query
from tests.kept import around, faults, inside, network_query, root
from tests.test_kept_cuts import random_cuts
from tests.test_kept_soundness import POINTS, split_and_bound


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each element in a cone, however small the network and however large the cone."""
    monkeypatch.setattr(local, "_MANY", 0)
    monkeypatch.setattr(cones, "_FEWEST", 1)
    monkeypatch.setattr(cones, "_GAIN", 0)


def windows(ball: int | None = None) -> Query:
    """Two convolutions with padding, a sum with a copy, maxima over windows, two rows, on a box or a ball's box.

    A third of the first channel is 0 on all of it, so that nobody keeps it.
    """
    rng = np.random.default_rng(0)
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weights = {"a": rng.normal(size=(2, 1, 3, 3)), "b": rng.normal(size=(2, 2, 3, 3)), "d": rng.normal(size=(72, 2))}
    weights |= {"c": np.where(rng.uniform(size=(2, 12, 12)) < 1 / 3, -9.0, 0.0)}
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["z"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["z", "c"], ["s"]),
        helper.make_node("Relu", ["s"], ["y"]),
        helper.make_node("Conv", ["y", "b"], ["u"], pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["u", "y"], ["v"]),
        helper.make_node("Relu", ["v"], ["w"]),
        helper.make_node("MaxPool", ["w"], ["m"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("MatMul", ["f", "d"], ["o"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, [1, 1, 12, 12])],
        [helper.make_tensor_value_info("o", 1, [1, 2])],
        [numpy_helper.from_array(w.astype(np.float32), n) for n, w in weights.items()],
    )
    f = nn.load(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8))
    x, centre = nn.Variable((1, 1, 12, 12), name="x"), rng.uniform(-0.3, 0.3, size=(1, 1, 12, 12))
    where = nn.ball(x, centre, 0.05) if ball is None else nn.ball(x, centre, 0.1, p=ball)
    y = f(x)
    return nn.forall(x, where=where, then=y[0, 0] <= y[0, 1] + 100).query


def halves(engine: Engine, node: Node) -> Domains:
    """The whole, and four parts with a tenth of what is open of a node cut in two."""
    low, high = (np.repeat(side, 5, 0) for side in (engine.ranges[node].lower, engine.ranges[node].upper))
    middle = low / 2 + high / 2 if node in engine.query.inputs else np.zeros_like(low)
    rng = np.random.default_rng(1)
    chosen = (low < middle) & (middle < high) & (rng.uniform(size=low.shape) < 1 / 10)
    chosen[0] = False
    side = np.where(chosen, rng.choice([-1, 1], size=low.shape), 0)
    limits = {node: Limit(np.where(side > 0, middle, -np.inf), np.where(side < 0, middle, np.inf))}
    return Domains(limits, np.ones((5, len(engine.query.rows)), dtype=bool))


@pytest.mark.parametrize(("dtype", "ball"), [("float64", None), ("float64", 2), ("float32", 1)])
def test_cones_of_convolutions_and_maxima_give_what_the_whole_gives(
    dtype: str, ball: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_MANY", 2**62)
    engine, slack = Engine(windows(ball), dtype=dtype), 1e-6 if dtype == "float64" else 1e-3
    inputs, phases = (halves(engine, node) for node in (engine.query.inputs[0], engine.plan.arguments[0]))
    asked = [(inputs, 0), (inputs, 2), (phases, 0), (phases, 2)]
    whole = [engine.bound(domains, hidden=hidden) for domains, hidden in asked]
    monkeypatch.setattr(local, "_MANY", 0)
    found = [engine.bound(domains, hidden=hidden) for domains, hidden in asked]
    widths = []
    for one, two in zip(whole, found, strict=True):
        assert not (one.lower == np.inf).any()  # no part is empty
        for node in engine.plan.arguments:
            np.testing.assert_allclose(one.ranges[node].lower, two.ranges[node].lower, rtol=slack, atol=slack)
            np.testing.assert_allclose(one.ranges[node].upper, two.ranges[node].upper, rtol=slack, atol=slack)
        widths.append(float((two.ranges[node].upper - two.ranges[node].lower).sum()))
    assert widths[1] < 0.999 * widths[0]  # ascents took part
    assert widths[3] < 0.999 * widths[2]
    made = {n: engine.plan.cones(n) for n in engine.plan.arguments if n not in engine.plan.straight}
    assert any(len(some) > 20 for some in made.values())
    for node, some in made.items():
        if some:
            assert sorted(np.concatenate([c.keep[node] for c in some])) == engine.plan.keep[node].tolist()
        below = sum(engine.plan.size(n) for n in engine.plan.order(node)[1:])
        assert all(3 * sum(c.size(n) for n in c.nodes if n is not node) <= below for c in some)


def test_a_dense_layer_has_no_cones() -> None:
    plan = Engine(network_query(0, "relu")).plan
    assert not any(plan.cones(node) for node in plan.nodes)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_exact_points_of_random_queries(kind: str, dtype: str) -> None:
    for seed in (3, 4):
        query = random_query(random_network(kind, seed), seed)
        engine, rng = Engine(query, dtype=dtype, hidden=2 * (seed % 2)), np.random.default_rng(5)
        values = query.values(inside(query, rng, 40), exact=True)
        kept = (query.rows.value(values)[:, always(query.formula)] <= 0).all(axis=1)
        values = {n: v[kept] for n, v in values.items()}
        domains = root(engine, int(kept.sum()))
        found = engine.bound(domains, steps=2, hidden=2, goal=np.inf)
        assert faults(engine, values, found) == []
        parts = Domains(around(values, engine, rng), domains.wanted, found.ranges, found.dual)
        assert faults(engine, values, engine.bound(parts, hidden=2, goal=np.inf)) == []


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", ["relu", "leaky", "abs", "clip", "prelu"])
def test_exact_points_of_split_domains(activation: str, dtype: str) -> None:
    query = network_query(2, activation, scale=3.0)
    values = query.values(inside(query, np.random.default_rng(2), POINTS), exact=True)
    assert split_and_bound(query, dtype, 3, values, steps=4) == []


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cuts_and_their_multipliers_are_cut_down_too(dtype: str) -> None:
    for seed in (3, 5):
        query = network_query(seed, "relu")
        rng = np.random.default_rng(seed)
        values = query.values(inside(query, rng, POINTS), exact=True)
        engine = Engine(query, dtype=dtype).with_cuts(random_cuts(query, rng))
        domains = Domains(around(values, engine, rng), np.ones((POINTS, len(query.rows)), dtype=bool))
        assert faults(engine, values, engine.bound(domains, steps=3, hidden=3, goal=np.inf)) == []


@pytest.mark.parametrize("p", [1, 2])
def test_balls_in_a_cone_are_shadows(p: int) -> None:
    """The least value of a form over the shadow of a ball is that over the ball, the form being 0 elsewhere."""
    rng = np.random.default_rng(p)
    ball = Round.of(Ball(rng.normal(size=9), Fraction(7, 10), p))
    index = np.array([1, 4, 8])
    form, origin = rng.normal(size=(5, 3)), rng.normal(size=9)
    full = np.zeros((5, 9))
    full[:, index] = form
    some = ball.part(index).least(form, origin[index], 0)
    np.testing.assert_allclose(some, ball.least(full, origin, 0), rtol=1e-12)
    assert (some >= ball.least(full, origin, 0)).all()  # shorter sums, smaller charges


def test_a_map_whose_stored_zeros_come_first_is_grouped_by_what_it_reads() -> None:
    data, indices = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0, 3, 1, 2])
    assert leading(Sparse(data, indices, np.array([0, 2, 2, 4]), 4)).tolist() == [3, 4, 1]
