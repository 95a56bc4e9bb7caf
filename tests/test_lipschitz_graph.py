"""Distances through graphs: every rule against pairs of runs that are as far apart as they can be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nnsym.bounds.lipschitz.ball_box import Lens
from nnsym.bounds.lipschitz.distance import NORMS, Distance, propagate
from nnsym.bounds.lipschitz.jacobian import interval_jacobian, jacobian_norm
from nnsym.bounds.lipschitz.merged import merged
from nnsym.bounds.points.steep import jacobians
from nnsym.ir.evaluate import evaluate
from nnsym.ir.exact import to_fractions
from nnsym.ir.functions.exponentials import Exp
from nnsym.ir.intervals import interval_run
from nnsym.ir.linear import Dense, Scale, Select, identity
from nnsym.ir.node import Affine, Input, Node, affine, concatenate, maximum, new_input, pointwise, product
from nnsym.ir.smooth_functions import Tanh
from nnsym.ir.univariate import absolute, clip, leaky_relu, relu
from nnsym.ir.walk import topological

RNG = np.random.default_rng(0)


def dense(m: int, n: int) -> Dense:
    return Dense(np.round(RNG.standard_normal((m, n)) * 8) / 8)


def graphs() -> dict[str, tuple[Node, Node]]:
    """Input and root of small graphs, one for each rule."""
    x = new_input("x", 4)
    h = pointwise(relu(), affine(((dense(5, 4), x),), RNG.standard_normal(5)))
    wide = affine(((dense(4, 5), h), (identity(4), x)))
    first, second = affine(((dense(3, 4), x),), [1.0, 0.0, -1.0]), affine(((dense(3, 5), h),))
    halves = concatenate((maximum(x, [[0, 1], [2, 3]]), maximum(affine(((Scale(-np.ones(4)), x),)), [[0, 1], [2, 3]])))
    chain = affine(((dense(3, 4), affine(((dense(4, 4), affine(((Select([3, 2, 1, 0], 4), x),))),))),))
    return {
        "affine chain": (x, chain),
        "sum of branches": (x, wide),
        "concatenation": (x, concatenate((h, x, affine(((Select([0, 0, 0], 4), x),))))),
        "overlapping maxima": (x, maximum(x, [[0, 1, -1], [0, 2, -1], [0, 3, 1]])),
        "halves of a sort": (x, halves),
        "product": (x, product(first, second)),
        "square": (x, product(first, first)),
        "smooth": (x, affine(((dense(2, 5), pointwise(Tanh(), affine(((dense(5, 4), x),)))),))),
        "exponential": (x, pointwise(Exp(), affine(((Scale(np.full(4, 0.5)), x),)))),
        "mixed": (
            x,
            affine(((dense(2, 4), pointwise(absolute(), wide)), (dense(2, 3), pointwise(clip(-1, 1), first)))),
        ),
        "leaky": (x, pointwise(leaky_relu(-0.5), affine(((dense(3, 4), x),)))),
    }


def pairs(count: int, reach: float, p: Any) -> tuple[np.ndarray, np.ndarray]:
    """The centre again and again, and points at most ``reach`` from it: corners and axes among them."""
    centre = np.array([0.25, -0.5, 0.125, 0.0])
    ways = np.concatenate((RNG.standard_normal((count, 4)), np.eye(4), -np.eye(4), RNG.choice([-1.0, 1.0], (16, 4))))
    lengths = np.linalg.norm(ways, ord=np.inf if p == "inf" else p, axis=1, keepdims=True)
    ends = centre + reach * ways / lengths * RNG.choice([1.0, 0.01], (len(ways), 1))
    return np.broadcast_to(centre, ends.shape), ends


@pytest.mark.parametrize("name", graphs())
@pytest.mark.parametrize("p", NORMS)
def test_no_pair_of_runs_is_farther_apart(name: str, p: Any) -> None:
    x, root = graphs()[name]
    reach = 1.5
    a, b = pairs(120, reach, p)
    low, high = a[0] - reach, a[0] + reach
    start = Distance.of(np.full(4, reach), *(reach if q == p else np.inf for q in NORMS))
    nodes = topological((root,))
    found = propagate(nodes, {x: start}, interval_run(nodes, {x: (low, high)}))
    runs = evaluate(nodes, {x: a}), evaluate(nodes, {x: b})
    for node in nodes:
        change = np.abs(runs[0][node] - runs[1][node])
        assert (change <= found[node].each * (1 + 1e-12) + 1e-12).all(), node
        for q in NORMS:
            size = np.linalg.norm(change, ord=np.inf if q == "inf" else q, axis=1).max()
            assert size <= found[node][q] * (1 + 1e-12) + 1e-12, (node, q)


@pytest.mark.parametrize("name", graphs())
def test_jacobians_lie_in_their_intervals(name: str) -> None:
    x, root = graphs()[name]
    assert isinstance(x, Input)
    nodes = topological((root,))
    for reach in (0.05, 1.0):
        centre = RNG.standard_normal(4)
        ranges = interval_run(nodes, {x: (centre - reach, centre + reach)})
        ends = interval_jacobian(root, x, ranges)
        assert ends is not None
        found = jacobians(root, x, centre + reach * RNG.uniform(-1, 1, (200, 4)))
        assert (ends[0] <= found + 1e-12).all()
        assert (found <= ends[1] + 1e-12).all()
        for p in NORMS:
            norms = np.linalg.norm(found @ np.eye(4), ord=np.inf if p == "inf" else p, axis=(1, 2))
            assert norms.max() <= jacobian_norm(ends, p, p) * (1 + 1e-12)


def test_what_the_rules_are_worth() -> None:
    """Numbers of one's own: where branches meet, halves of a sort, copies."""
    made = graphs()
    for name, most in (("halves of a sort", 1.0), ("overlapping maxima", np.sqrt(3)), ("concatenation", np.inf)):
        x, root = made[name]
        nodes = topological((root,))
        start = Distance.of(np.ones(4), two=1.0)
        everywhere = interval_run(nodes, {x: (np.full(4, -np.inf), np.full(4, np.inf))})
        assert propagate(nodes, {x: start}, everywhere)[root].two <= most * (1 + 1e-9)


def test_a_merged_chain_is_the_product_within_its_slack() -> None:
    x = new_input("x", 4)
    weights = [RNG.standard_normal(shape) for shape in ((6, 4), (5, 6), (3, 5))]
    node: Node = x
    for weight in weights:
        node = affine(((Dense(weight), node),))
    assert isinstance(node, Affine)
    found = merged(node)
    assert found is not None
    exact = to_fractions(weights[2]) @ to_fractions(weights[1]) @ to_fractions(weights[0])
    away = np.abs(exact - to_fractions(found[x].matrix))
    assert found[x].slack is not None
    assert (away <= to_fractions(found[x].slack)).all()
    assert found[x].slack.max() < 1e-12


def test_a_row_over_a_box_and_a_ball() -> None:
    """Between the least of many points and what either set says alone; and exact where the answer is known."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        low, high = -rng.random(5), rng.random(5)
        rows, radius = rng.standard_normal((4, 5)), float(rng.uniform(0.1, 1.5))
        lens = Lens(low, high, np.zeros(5), radius)
        found = lens.least(rows)
        points = rng.uniform(low, high, (4000, 5))
        points *= np.minimum(1.0, radius / np.linalg.norm(points, axis=1))[:, None]
        alone = np.maximum(np.minimum(rows * low, rows * high).sum(axis=1), -radius * np.linalg.norm(rows, axis=1))
        assert (found <= (points @ rows.T).min(axis=0)).all()
        assert (found >= alone - 1e-9).all()
    unit = Lens(np.array([-0.6, -1.0]), np.array([0.6, 1.0]), np.zeros(2), 1.0)
    assert np.isclose(unit.least(np.array([[-4.0, -3.0]]))[0], -(4 * 0.6 + 3 * 0.8))  # the box cuts one element
