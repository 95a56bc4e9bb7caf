"""Interval steps in NumPy: no exact value of a node lies outside, and they are as tight as the engine's."""

from fractions import Fraction

import numpy as np
import pytest

from nnsym.bounds.methods import compute
from nnsym.ir.exact import to_fractions
from nnsym.ir.intervals import interval_run, interval_step, stretch
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise, product
from nnsym.ir.rational.scaled import evaluate_scaled
from nnsym.ir.univariate import relu
from nnsym.ir.walk import topological
from nnsym.testing.bound_queries import cancelling, real_queries
from nnsym.testing.random_nets import KINDS, random_network, random_query


def queries():
    found = [random_query(random_network(kind, seed), seed) for kind in KINDS for seed in range(3)]
    return found + list(real_queries())[:8]


def inside(exact, sides):
    low, high = map(to_fractions, sides)
    return bool(((low <= exact) & (exact <= high)).all())


@pytest.mark.parametrize("query", queries())
def test_exact_values_lie_inside_and_the_engine_is_no_tighter(query):
    rng = np.random.default_rng(4)
    boxes = {x: box.outer for x, box in query.boxes.items()}
    if not all(np.isfinite(side).all() for sides in boxes.values() for side in sides):
        pytest.skip("no corner to stand on")
    nodes = topological((*query.nodes, query.spec[0]))
    found = interval_run(nodes, boxes)
    for k in range(12):
        share = {x: rng.integers(0, 2, x.size) if k < 8 else rng.random(x.size) for x in boxes}
        point = {x: np.clip(low + share[x] * (high - low), low, high) for x, (low, high) in boxes.items()}
        for node, value in evaluate_scaled([n for n in nodes if n.size], point).items():
            assert inside(value.fractions(), found[node])
    other = compute(query, "ibp")
    for node in query.nodes:
        low, high = found[node]
        slack = 1e-9 * (1 + np.abs(other[node].lower) + np.abs(other[node].upper))
        assert (low >= other[node].lower - slack).all()
        assert (high <= other[node].upper + slack).all()


def test_sums_that_cancel_are_paid():
    """``1e16 x + x - 1e16 x`` over floats loses ``x``; the interval must not."""
    x = new_input("x", 1)
    node = cancelling(np.random.default_rng(0), x)
    found = interval_run(topological((node,)), {x: (np.array([0.1]), np.array([0.1]))})
    assert inside(evaluate_scaled([node], {x: np.array([0.1])})[node].fractions(), found[node])
    rng = np.random.default_rng(5)
    for _ in range(50):
        weights = rng.choice([1e16, -1e16, 1.0, 3e-9], size=(4, 6)) * rng.random((4, 6))
        row = affine(((Dense(weights), new_input("y", 6)),), rng.normal(size=4))
        at = rng.normal(size=6)
        low, high = interval_step(row, ((at, at),))
        exact = [sum(Fraction(w) * Fraction(v) for w, v in zip(line, at, strict=True)) for line in weights]
        exact = [total + Fraction(b) for total, b in zip(exact, row.bias, strict=True)]
        assert all(Fraction(a) <= e <= Fraction(b) for a, e, b in zip(low, exact, high, strict=True))


def test_open_ends_stay_open_where_a_coefficient_reads_them():
    x = new_input("x", 2)
    row = affine(((Dense(np.array([[1.0, 0.0], [0.0, 2.0]])), x),), np.ones(2))
    low, high = interval_step(row, ((np.array([0.0, 1.0]), np.array([np.inf, 2.0])),))
    assert high[0] == np.inf
    assert 3 - 1e-9 <= low[1] <= 3
    assert 5 <= high[1] <= 5 + 1e-9
    assert stretch(Dense(np.array([[0.0, -1.0]])), np.array([np.inf, 1.0])) == pytest.approx([1.0])
    rest = interval_step(pointwise(relu(), row), ((low, high),))
    assert rest[0][0] >= 0
    assert rest[1][0] == np.inf


def test_a_square_is_never_negative():
    x = new_input("x", 3)
    low, high = interval_step(product(x, x), ((np.array([-1.0, 2.0, -3.0]), np.array([2.0, 3.0, -1.0])),) * 2)
    assert (low <= [0, 4, 1]).all()
    assert (low >= [0.0, 3.99, 0.99]).all()
    assert (high >= [4.0, 9.0, 9.0]).all()
    assert (high <= [4.01, 9.01, 9.01]).all()
