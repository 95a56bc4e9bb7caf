"""Hidden bounds that were searched for: sound, tighter, and no looser with more rounds."""

import numpy as np
import pytest

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import refined
from nnsym.ir.exact import to_fractions
from nnsym.results.clock import Deadline
from nnsym.testing.random_nets import KINDS, random_network, random_query
from tests.kept import faults, inside, network_query, relu_query, root


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
    for seed in range(2):
        query = relu_query(seed, widths=(6, 6, 5), inputs=3)
        engine = refined(query, dtype=dtype, rounds=5)
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
    for seed in (11,):
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
    query = relu_query(2, widths=(12, 12, 10), radius=0.8)
    none, some, more = (refined(query, rounds=r) for r in (0, 4, 16))
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


@pytest.mark.parametrize(("seed", "radius"), [(0, 0.8), (1, 1.5)])
def test_more_rounds_on_known_ranges_lose_nothing(seed, radius):
    """What is known of a layer must not blind the search of it: staged, it gets as far as at once."""
    query = relu_query(seed, widths=(16, 16, 12), radius=radius)
    some = refined(query, rounds=3)
    staged, once = refined(query, rounds=9, ranges=some.ranges), refined(query, rounds=9)
    wide = []
    for engine in (staged, once):
        ranges = [engine.ranges[node] for node in engine.plan.arguments]
        wide.append(sum((r.upper - r.lower)[(r.lower < 0) & (r.upper > 0)].sum() for r in ranges))
    assert wide[0] <= 1.005 * wide[1]  # 1.05 where an engine knows the layer's own ranges
    for node in once.plan.arguments:
        assert (staged.ranges[node].lower >= some.ranges[node].lower).all()
        assert (staged.ranges[node].upper <= some.ranges[node].upper).all()
    values = query.values(inside(query, np.random.default_rng(2), 20), exact=True)
    assert outside(staged, values) == 0


def test_trees_are_held_to_the_memory():
    query = relu_query(2, widths=(12, 12, 10), radius=0.8)
    plain, none, few, all_ = (
        Engine(query, dtype="float32"),
        *(refined(query, rounds=16, memory=m) for m in (0, 3e4, 1e9)),
    )
    assert opened(none) == opened(plain)
    assert opened(all_) <= opened(few) <= opened(none)
    wide = [
        sum(float((e.ranges[n].upper - e.ranges[n].lower).sum()) for n in e.plan.arguments) for e in (all_, few, none)
    ]
    assert wide[0] < wide[1] < wide[2]
