"""Nothing that the kept engine says of a split domain excludes a point of it, in exact arithmetic."""

from dataclasses import replace

import numpy as np
import pytest

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.passes.descent import Choice, Seed, descend
from nnsym.bounds.kept.passes.inputs import least
from nnsym.bounds.kept.passes.refresh import Refresh
from nnsym.bounds.kept.rounding import Precision
from nnsym.bounds.kept.types import Domains, Limit
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms, always
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, maximum, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge, relu
from nnsym.results.clock import NEVER
from nnsym.testing.bound_queries import real_queries
from nnsym.testing.random_nets import KINDS, random_network, random_query
from tests.depth import drawn
from tests.kept import ACTIVATIONS, EXACT, around, faults, inside, met, network_query, root

POINTS = 4


def split_and_bound(query, dtype, seed, values, *, steps=0):
    """Faults of the engine on three generations of subproblems around exact values."""
    engine, rng = Engine(query, dtype=dtype, hidden=2 * (seed % 2)), np.random.default_rng(seed)
    domains, found = root(engine, POINTS), []
    for generation in range(3):
        result = engine.bound(domains, steps=steps, hidden=steps // 2, goal=np.inf, refresh=generation != 1)
        found += faults(engine, values, result)
        assert np.isfinite(result.lower).all() or not engine.holds
        limits = met(domains.limits, around(values, engine, rng))
        domains = Domains(limits, domains.wanted, result.ranges, result.dual)
    return found


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", EXACT)
def test_exact_points_of_split_domains_are_never_below_a_bound(activation, dtype):
    seed = dtype == "float32"
    query = network_query(seed, activation, scale=(1.0, 30.0)[seed])
    values = query.values(inside(query, np.random.default_rng(seed), POINTS), exact=True)
    assert split_and_bound(query, dtype, seed, values, steps=4 * seed) == []
    assert split_and_bound(query, dtype, 1 - seed, values, steps=4 - 4 * seed) == []


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", EXACT)
def test_exact_points_of_many_split_domains(activation, dtype):
    for seed in range(2, 22):
        query = network_query(seed, activation, scale=(1.0, 30.0)[seed % 2])
        values = query.values(inside(query, np.random.default_rng(seed), POINTS), exact=True)
        assert split_and_bound(query, dtype, seed, values, steps=seed % 6) == []


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", ["relu", "leaky", "concave", "prelu"])
def test_any_dual_is_sound(activation, dtype):
    """Slopes and multipliers may be nonsense: they are cut down to what is valid."""
    query, rng = network_query(6, activation), np.random.default_rng(6)
    values = query.values(inside(query, rng, POINTS), exact=True)
    engine = Engine(query, dtype=dtype)
    domains = replace(root(engine, POINTS), limits=around(values, engine, rng))
    domains = replace(domains, dual=engine.bound(domains, steps=1, goal=np.inf).dual)
    for part in (domains.dual.slopes, domains.dual.multipliers):
        for node, found in part.items():
            part[node] = rng.normal(size=found.shape).astype(found.dtype) * 2
    for steps in (0, 2):
        assert faults(engine, values, engine.bound(domains, steps=steps, goal=np.inf)) == []


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", KINDS)
def test_exact_points_of_random_queries(kind, dtype):
    """Preconditions and rows that no float64 is included: rows are claimed only where preconditions hold."""
    query = random_query(random_network(kind, 3), 3)
    engine = Engine(query, dtype=dtype)
    points = inside(query, np.random.default_rng(5), 40)
    values = query.values(points, exact=True)
    kept = (query.rows.value(values)[:, always(query.formula)] <= 0).all(axis=1)
    values = {n: v[kept] for n, v in values.items()}
    found = engine.bound(root(engine, int(kept.sum())), steps=4, goal=np.inf)
    assert faults(engine, values, found) == []


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_sampled_points_of_smooth_networks(activation):
    """These have no exact values; float ones are off by less than 1e-9 here."""
    query = network_query(4, activation)
    rng = np.random.default_rng(4)
    points = {x: v.astype(np.float64) for x, v in inside(query, rng, POINTS).items()}
    values = query.values(points)
    for dtype in ("float64", "float32"):
        engine = Engine(query, dtype=dtype)
        domains = root(engine, POINTS)
        limits = {n: Limit(s.lower - 1e-9, s.upper + 1e-9) for n, s in around(values, engine, rng).items()}
        for again in (Domains(limits, domains.wanted, domains.ranges), domains):
            found = engine.bound(again, steps=3, goal=np.inf)
            assert (query.rows.value(values) >= found.lower - 1e-9).all()
            assert not found.empty.any()
            assert all((values[n] >= r.lower - 1e-9).all() for n, r in found.ranges.items())
            assert all((values[n] <= r.upper + 1e-9).all() for n, r in found.ranges.items())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_cancelling_weights_and_boxes_that_are_points(dtype):
    for number, query in enumerate(real_queries()):
        engine, rng = Engine(query, dtype=dtype), np.random.default_rng(number)
        values = query.values(inside(query, rng, POINTS), exact=True)
        domains = root(engine, POINTS)
        assert faults(engine, values, engine.bound(domains)) == []
        near = Domains(around(values, engine, rng), domains.wanted, domains.ranges)
        assert faults(engine, values, engine.bound(near, steps=3, goal=np.inf)) == []


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [1e-30, 1e14, 1e25, 1e40])
def test_boxes_and_weights_of_any_size(size, dtype):
    """Numbers beyond what a format takes count as unbounded, tiny ones are paid for."""
    rng = np.random.default_rng(12)
    x = new_input("x", 3)
    first = pointwise(relu(), affine(((Dense(rng.normal(size=(5, 3)) / size), x),), rng.normal(size=5)))
    second = pointwise(relu(), affine(((Dense(rng.normal(size=(4, 5)) * size), first),), rng.normal(size=4) * size))
    y = affine(((Dense(rng.normal(size=(2, 4))), second), (Dense(rng.normal(size=(2, 3))), x)), rng.normal(size=2))
    box = Box(-size * np.ones(3), size * np.ones(3))
    query = Query("sizes", {x: box}, Rows.of(y), Atoms(np.arange(2), strict=True, soft=True))
    values = query.values(inside(query, rng, POINTS), exact=True)
    engine = Engine(query, dtype=dtype)
    domains = root(engine, POINTS)
    limits = {x: Limit(np.repeat(box.lower[None], POINTS, 0), np.repeat(box.upper[None], POINTS, 0))}
    for again in (domains, Domains({**around(values, engine, rng), **limits}, domains.wanted)):
        assert faults(engine, values, engine.bound(again, steps=2, goal=np.inf)) == []


def stable_query(seed, layers=3):
    """A chain of layers whose neurons are all active, so that bounds are attained at corners, up to rounding alone.

    Biases are near zero so that ranges are, and weights of one layer cancel those of the next.
    """
    rng = np.random.default_rng(seed)
    x = new_input("x", 3)
    node = x
    for _ in range(layers):
        node = pointwise(relu(), affine(((Dense(rng.normal(size=(8, node.size))), node),), np.full(8, 50.0)))
    y = affine(((Dense(rng.normal(size=(4, 8))), node),), rng.normal(size=4))
    centre = rng.normal(size=3) / 7
    box = Box(centre - 1e-3, centre + 1e-3)
    return Query("stable", {x: box}, Rows.of(y), Atoms(np.arange(4), strict=True, soft=True, every=True))


def attained(count, dtype, *, phases=False):
    """Faults at the corners of stable networks; with ``phases`` these are stated as limits, and have multipliers."""
    found = 0
    for seed in range(count):
        query = stable_query(seed)
        (x,) = query.inputs
        lower, upper = (to_fractions(side) for side in (query.boxes[x].lower, query.boxes[x].upper))
        corners = np.array([[(lower, upper)[b >> k & 1][k] for k in range(3)] for b in range(8)], dtype=object)
        values = query.values({x: corners}, exact=True)
        engine = Engine(query, dtype=dtype)
        domains = root(engine, 8)
        if phases:
            sides = {n: (np.where(values[n] > 0, 0.0, -np.inf), np.full((8, 8), np.inf)) for n in engine.plan.arguments}
            limits = {n: Limit(*s) for n, s in sides.items()}
            domains = Domains(limits, domains.wanted, domains.ranges)
        box = Limit(np.repeat(query.boxes[x].lower[None], 8, 0), np.repeat(query.boxes[x].upper[None], 8, 0))
        corner = Limit(corners.astype(np.float64), corners.astype(np.float64))
        for inner in (box, corner):
            again = Domains({**domains.limits, x: inner}, domains.wanted, domains.ranges)
            found += len(faults(engine, values, engine.bound(again, steps=2 * phases, goal=np.inf)))
    return found


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_charges_are_what_makes_bounds_sound(dtype, monkeypatch):
    assert attained(3, dtype) == 0
    assert attained(1, dtype, phases=True) == 0
    monkeypatch.setattr(Precision, "gamma", lambda self, additions: 0.0)
    assert attained(3, dtype) > 0


def corner_faults(query, dtype):
    """Faults at all corners of the box of one input."""
    (x,) = query.inputs
    ends = [to_fractions(side) for side in (query.boxes[x].lower, query.boxes[x].upper)]
    corners = np.array([[ends[b >> k & 1][k] for k in range(x.size)] for b in range(2**x.size)], dtype=object)
    engine = Engine(query, dtype=dtype)
    found = engine.bound(root(engine, len(corners)))
    return len(faults(engine, query.values({x: corners}, exact=True), found))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_long_sums_of_equal_terms_pay_for_the_product(dtype):
    """Partial sums of one number are rounded the same way for long, and no hinge pays for that."""
    x, weight = new_input("x", 1), float(np.float32(0.243))
    y = affine(((Dense(np.full((2**13, 1), weight)), x),))
    rows = Rows.of(y).combine(np.stack((np.ones(2**13), -np.ones(2**13))))
    query = Query("long", {x: Box(-np.ones(1), np.ones(1))}, rows, Atoms(np.arange(2), True, True))
    engine = Engine(query, dtype=dtype)
    assert (engine.bound(engine.root()).lower <= -weight * 2.0**13).all()


def test_long_sums_of_equal_offsets_pay_for_themselves():
    """The sum of many ReLUs whose lower line is 0: its least value is 0, and offsets are all there is."""
    x = new_input("x", 2**15)
    rows = Rows.of(pointwise(relu(), x)).combine(np.ones((1, 2**15)))
    for upper in (0.31, 0.45, 0.59):
        box = Box(-np.ones(2**15), np.full(2**15, upper))
        query = Query("offsets", {x: box}, rows, Atoms(np.arange(1), True, True))
        engine = Engine(query, dtype="float32")
        seed, state = passes(engine)
        assert (least(state, seed, descend(state, seed, Choice())) <= 0).all()


def passes(engine):
    """The rows of a query as a seed, and the state they are bounded in; intervals would hide what a pass says."""
    run = Refresh(engine.plan, 1, engine._base, {}, {}, NEVER)
    count = len(engine.query.rows)
    seed = Seed(engine.plan.spec, None, np.arange(count)[:, None], np.ones((count, 1)))
    return seed, run.run(None, engine.plan.spec, *engine.query.inputs)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_chain_of_slopes_pays_for_each(side):
    """Slopes just below half a float32 step above 1 are all rounded down to 1."""
    x = new_input("x", 2)
    node = x
    for _ in range(30):
        node = pointwise(Hinge(np.array([1 + 0.499 * 2.0**-23]), np.array([2.0])), node)
    y = affine(((Dense(side * np.array([[1.0, -1.0]])), node),))
    query = Query("chain", {x: Box(-np.full(2, 1.5), -np.ones(2))}, Rows.of(y), Atoms(np.arange(1), True, True))
    assert corner_faults(query, "float32") == 0


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("activation", [*EXACT, "gains"])
def test_exact_points_where_some_elements_matter(activation, dtype):
    """Other elements of one argument matter to a function, a maximum, a product, and to rows.

    A hinge with one slope of 0 and others of 1 in part is no ReLU.
    """
    for seed in range(drawn(8, 1)):
        rng = np.random.default_rng(seed)
        fn = ACTIVATIONS.get(activation, Hinge(np.zeros(4), np.array([1.0, 0.5, 2.0, -1.0])))
        x = new_input("x", 3)
        h = affine(((Dense(rng.normal(size=(4, 3))), x),), rng.normal(size=4) / 4)
        g = affine(((Dense(rng.normal(size=(4, 4))), pointwise(fn, h)),), rng.normal(size=4))
        nodes = pointwise(fn, g), maximum(g, [[0, 1], [2, 3], [1, 2]]), product(g, h), g
        keep = [np.flatnonzero(rng.random(n.size) < 0.6) for n in nodes]
        parts = [(Dense(rng.normal(size=(3, len(k))) @ np.eye(n.size)[k]), n) for n, k in zip(nodes, keep, strict=True)]
        y = affine(tuple(parts), rng.normal(size=3))
        low = rng.normal(size=3) / 4
        query = Query("some", {x: Box(low, low + rng.random(3))}, Rows.of(y), Atoms(np.arange(3), True, True))
        values = query.values(inside(query, rng, POINTS), exact=True)
        assert split_and_bound(query, dtype, seed, values, steps=2 * (seed % 2)) == []


def test_every_activation_is_tried():
    assert set(EXACT) | {"sigmoid", "tanh"} == set(ACTIVATIONS)
