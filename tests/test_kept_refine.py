"""Hidden bounds that were searched for: sound, tighter, and no looser with more rounds."""

import numpy as np
import pytest

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import refined
from nnsym.ir.exact import to_fractions
from nnsym.results.clock import Deadline
from nnsym.testing.random_nets import KINDS, random_network, random_query
from tests.kept import faults, inside, network_query, root
from tests.test_kept_engine import relu_query


def opened(engine):
    """Open elements of hidden layers."""
    ranges = [engine.ranges[n] for n in engine.plan.arguments]
    return sum(int(((r.lower < 0) & (r.upper > 0)).sum()) for r in ranges)


def outside(engine, values):
    """Exact values of nodes that the engine's ranges exclude."""
    known = {n: engine.ranges[n] for n in engine.query.nodes}
    return sum(int((values[n] < r.lower).sum() + (values[n] > r.upper).sum()) for n, r in known.items())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_exact_points_are_inside_searched_bounds(dtype):
    for seed in range(3):
        query = relu_query(seed, widths=(6, 6, 5), inputs=3)
        engine = refined(query, dtype=dtype, rounds=6)
        values = query.values(inside(query, np.random.default_rng(seed), 20), exact=True)
        assert outside(engine, values) == 0
        assert faults(engine, values, engine.bound(root(engine, 20), steps=3, goal=np.inf)) == []


@pytest.mark.parametrize("activation", ["leaky", "abs", "concave", "clip"])
def test_exact_points_are_inside_searched_bounds_of_other_networks(activation):
    query = network_query(2, activation)
    engine = refined(query, rounds=4)
    values = query.values(inside(query, np.random.default_rng(2), 12), exact=True)
    assert faults(engine, values, engine.bound(root(engine, 12))) == []
    assert outside(engine, values) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_exact_points_of_random_queries(kind):
    """Some have elements that no row depends on, and preconditions: ranges hold without them."""
    for seed in (3, 11):
        query = random_query(random_network(kind, seed), seed)
        engine = refined(query, rounds=3)
        values = query.values(inside(query, np.random.default_rng(seed), 12), exact=True)
        assert outside(engine, values) == 0


def test_a_search_of_few_neurons_ends_at_the_true_range():
    """All regions are leaves in the end, and the bound of a region is attained."""
    query = relu_query(1, widths=(4, 3), inputs=2, radius=1.0)
    engine = refined(query, dtype="float64", rounds=60)
    second = engine.plan.arguments[1]
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 201)] * 2), axis=-1).reshape(-1, 2)
    (x,) = query.inputs
    values = query.values({x: grid})[second]
    plain = Engine(query).ranges[second]
    still = (plain.lower[0] < 0) & (plain.upper[0] > 0)
    assert still.any()
    for k in np.flatnonzero(still):
        low, high = engine.ranges[second].lower[0, k], engine.ranges[second].upper[0, k]
        assert low <= values[:, k].min() + 1e-12
        assert high >= values[:, k].max() - 1e-12
        if low < 0 < high:  # a row that is decided stops early
            assert low >= values[:, k].min() - 0.05
            assert high <= values[:, k].max() + 0.05


def test_rounds_pay():
    query = relu_query(2, widths=(16, 16, 12), radius=0.8)
    none, some, more = (refined(query, rounds=r) for r in (0, 5, 30))
    assert opened(more) <= opened(some) <= opened(none) <= opened(Engine(query))
    assert opened(more) < opened(none)
    lower = [e.bound(e.root(), steps=10, goal=np.inf).lower for e in (none, more)]
    assert (lower[1] > lower[0] + 1e-3).any()


def test_a_deadline_leaves_what_is_known():
    query = relu_query(2)
    engine = refined(query, deadline=Deadline.after(-1.0))
    (x,) = query.inputs
    value = query.values({x: to_fractions(np.zeros((1, 4)))}, exact=True)
    assert faults(engine, value, engine.bound(engine.root())) == []
