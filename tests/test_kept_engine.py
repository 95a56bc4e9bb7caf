"""The kept engine does what crown does, batch by batch, and less of it where something is known already."""

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.plan import Plan
from nnsym.bounds.kept.types import Domains, Limit
from nnsym.bounds.methods import compute
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.difference import difference
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms, conjunction
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Ball, Box, Query
from nnsym.ir.rows import Rows, stack
from nnsym.ir.univariate import relu
from nnsym.results.clock import Deadline
from nnsym.testing.bound_queries import infinite_queries
from nnsym.testing.random_nets import KINDS, random_network, random_query
from tests.kept import ACTIVATIONS, around, faults, inside, network_query, root


def relu_query(seed=0, widths=(12, 10, 8), inputs=4, radius=0.6, shift=-0.2):
    """A ReLU network with some neurons that are dead."""
    rng = np.random.default_rng(seed)
    x = new_input("x", inputs)
    node = x
    for width in widths:
        weight = rng.normal(size=(width, node.size)) / np.sqrt(node.size)
        node = pointwise(relu(), affine(((Dense(weight), node),), rng.normal(size=width) + shift))
    y = affine(((Dense(rng.normal(size=(3, node.size))), node),), rng.normal(size=3))
    rows = Rows.of(y)
    box = Box(np.full(inputs, -radius), np.full(inputs, radius))
    return Query("relu", {x: box}, rows, Atoms(np.arange(3), strict=False, soft=True, every=False))


def boxes(query, rng, count):
    """Random boxes inside the query's."""
    (x,) = query.inputs
    lower, upper = query.boxes[x].outer
    ends = np.sort(rng.uniform(lower, upper, size=(2, count, x.size)), axis=0)
    return x, Limit(ends[0], ends[1])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_root_has_the_bounds_of_crown(activation):
    query = network_query(1, activation, pooled=False)  # of a maximum's best lines rounding chooses one
    engine, known = Engine(query), compute(query, "crown")
    for node in engine.plan.arguments:
        assert np.allclose(engine.ranges[node].lower[0], known[node].lower, rtol=1e-9, atol=1e-9)
        assert np.allclose(engine.ranges[node].upper[0], known[node].upper, rtol=1e-9, atol=1e-9)
    found = engine.bound(engine.root())
    assert np.allclose(found.lower[0], known.rows.lower, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_random_queries_and_boxes_have_the_bounds_of_crown(kind):
    query = random_query(random_network(kind, 11), 11)
    engine, rng = Engine(query), np.random.default_rng(0)
    x, limit = boxes(query, rng, 5)
    known = compute(query, "crown", boxes={x: (limit.lower, limit.upper)})
    found = engine.bound(Domains({x: limit}, root(engine, 5).wanted))
    assert np.allclose(found.lower, known.rows.lower, rtol=1e-9, atol=1e-9)
    for node in engine.plan.arguments:
        assert (found.ranges[node].lower >= known[node].lower - 1e-9).all()  # they inherit the root's


def test_float32_loses_little_of_float64():
    query = relu_query()
    x, limit = boxes(query, np.random.default_rng(1), 9)
    short, wide = (
        engine.bound(Domains({x: limit}, root(engine, 9).wanted)).lower
        for engine in (Engine(query, dtype="float32"), Engine(query))
    )
    assert (short <= wide).all()
    assert np.allclose(short, wide, rtol=1e-4, atol=1e-4)
    assert not np.allclose(short, wide, rtol=1e-9, atol=1e-9)


def test_a_batch_gives_each_subproblem_what_it_gets_alone():
    query = relu_query()
    engine = Engine(query)
    x, limit = boxes(query, np.random.default_rng(2), 6)
    domains = Domains({x: limit}, root(engine, 6).wanted)
    together = engine.bound(domains, steps=3)
    for k in range(6):
        alone = engine.bound(domains.take(np.array([k])), steps=3)
        assert np.allclose(together.lower[k], alone.lower[0], rtol=1e-9, atol=1e-12)
        for node, limits in alone.ranges.items():
            assert np.allclose(together.ranges[node].upper[k], limits.upper[0], rtol=1e-9, atol=1e-12)
        for node, values in alone.gaps.items():
            assert np.allclose(together.gaps[node][k], values[0], rtol=1e-6, atol=1e-9)


def test_inherited_ranges_are_met_and_nodes_below_a_limit_stay():
    query = relu_query()
    engine = Engine(query)
    x, limit = boxes(query, np.random.default_rng(3), 4)
    parent = engine.bound(Domains({x: limit}, root(engine, 4).wanted))
    first, second, third = engine.plan.arguments
    half = Limit(np.full((4, second.size), -np.inf), np.where(parent.ranges[second].lower < 0, 0.0, np.inf))
    limits = {x: limit, second: half}
    ranges = {**parent.ranges, x: limit}
    child = engine.bound(Domains(limits, parent.lower > -np.inf, ranges))
    fresh = engine.bound(Domains(limits, parent.lower > -np.inf))
    assert (child.ranges[first].lower == parent.ranges[first].lower).all()
    assert (child.ranges[third].lower >= parent.ranges[third].lower).all()
    assert (child.lower >= fresh.lower - 1e-9).all()
    assert (child.ranges[third].upper < parent.ranges[third].upper).any()
    assert (child.lower > parent.lower + 1e-3).any()


def test_only_wanted_rows_have_bounds():
    query = relu_query()
    engine = Engine(query)
    x, limit = boxes(query, np.random.default_rng(4), 5)
    every = engine.bound(Domains({x: limit}, root(engine, 5).wanted))
    wanted = np.random.default_rng(4).random((5, 3)) < 0.5
    some = engine.bound(Domains({x: limit}, wanted))
    assert (some.lower[~wanted] == -np.inf).all()
    assert np.allclose(some.lower[wanted], every.lower[wanted])
    assert np.allclose(some.forms[x][wanted], every.forms[x][wanted])
    assert np.allclose(some.point[x][wanted], every.point[x][wanted])


def test_contradicting_limits_are_empty_and_only_these():
    query = relu_query()
    engine = Engine(query)
    x, limit = boxes(query, np.random.default_rng(5), 4)
    parent = engine.bound(Domains({x: limit}, root(engine, 4).wanted))
    second = engine.plan.arguments[1]
    stable = (parent.ranges[second].lower > 0).any(axis=0).argmax()
    lower, upper = (np.full((4, second.size), side) for side in (-np.inf, np.inf))
    upper[:, stable] = 0.0
    found = engine.bound(Domains({x: limit, second: Limit(lower, upper)}, parent.lower > -np.inf))
    assert found.empty.tolist() == (parent.ranges[second].lower[:, stable] > 0).tolist()
    assert found.empty.any()
    assert (found.lower[found.empty] == np.inf).all()
    crossed = Limit(limit.upper + 1e-3, limit.lower)
    assert engine.bound(Domains({x: crossed}, parent.lower > -np.inf)).empty.all()


def test_limits_on_dropped_elements_are_looked_at():
    query = relu_query(shift=-1.0)
    engine = Engine(query)
    first = engine.plan.arguments[0]
    dead = np.setdiff1d(np.arange(first.size), engine.plan.keep[first])
    assert len(dead)
    lower = np.full((1, first.size), -np.inf)
    lower[0, dead[0]] = 0.0
    found = engine.bound(Domains({first: Limit(lower, np.full((1, first.size), np.inf))}, root(engine, 1).wanted))
    assert found.empty.all()


def test_dead_elements_are_dropped_and_nothing_changes(monkeypatch):
    query = relu_query(shift=-0.6)
    engine = Engine(query)
    assert any(engine.plan.size(n) < n.size for n in engine.plan.arguments)
    x, limit = boxes(query, np.random.default_rng(6), 3)
    small = engine.bound(Domains({x: limit}, root(engine, 3).wanted), steps=2)
    monkeypatch.setattr(Plan, "_worthless", lambda self, zero: {})
    whole = Engine(query).bound(Domains({x: limit}, root(engine, 3).wanted), steps=2)
    assert np.allclose(small.lower, whole.lower, rtol=1e-9, atol=1e-9)
    for node in engine.plan.arguments:
        assert small.gaps[node].shape == whole.gaps[node].shape
        assert np.allclose(
            small.ranges[node].lower[:, engine.plan.keep[node]], whole.ranges[node].lower[:, engine.plan.keep[node]]
        )


def test_layers_that_are_dead_altogether():
    query = relu_query(shift=-9.0)
    engine, known = Engine(query), compute(query, "crown")
    assert [engine.plan.size(n) for n in engine.plan.arguments] == [0, 0, 0]
    found = engine.bound(root(engine, 2), steps=2, goal=np.inf)
    assert np.allclose(found.lower[1], known.rows.lower)
    assert found.gaps[engine.plan.arguments[1]].shape == (2, 3, 10)


def test_inputs_that_no_row_depends_on():
    query = relu_query()
    other = new_input("other", 2)
    query = replace(query, boxes={**query.boxes, other: Box(np.zeros(2), np.ones(2))})
    engine = Engine(query)
    found = engine.bound(root(engine, 2), steps=2, goal=np.inf)
    alone = Engine(replace(query, boxes={x: b for x, b in query.boxes.items() if x is not other}))
    assert np.allclose(found.lower, alone.bound(root(alone, 2), steps=2, goal=np.inf).lower)
    assert (found.forms[other] == 0).all()
    assert found.point[other].shape == (2, 3, 2)
    limit = Limit(np.full((2, 2), 2.0), np.full((2, 2), 3.0))
    beyond = engine.bound(Domains({other: limit}, root(engine, 2).wanted))
    assert beyond.empty.all()
    assert other in beyond.ranges
    third = engine.plan.arguments[2]
    target = engine.rows(third, engine.plan.keep[third][None], np.ones((1, engine.plan.size(third))))
    hidden = engine.bound(Domains({}, np.ones(target.index.shape, dtype=bool)), target=target)
    assert np.isfinite(hidden.lower).all()


def test_a_form_is_least_at_its_point():
    query = relu_query()
    engine = Engine(query)
    x, limit = boxes(query, np.random.default_rng(7), 5)
    found = engine.bound(Domains({x: limit}, root(engine, 5).wanted), steps=2, goal=np.inf)
    at_point = (found.forms[x] * found.point[x]).sum(axis=-1) + found.constant
    assert np.allclose(at_point, found.lower, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("activation", ["relu", "leaky", "abs", "concave", "clip", "sigmoid"])
def test_gaps_of_one_layer_are_what_the_bound_misses(activation):
    """Arguments of the only nonlinear layer are real at the point, so nothing else lies between bound and network."""
    rng = np.random.default_rng(8)
    x = new_input("x", 3)
    z = affine(((Dense(rng.normal(size=(6, 3))), x),), 0.2 * rng.normal(size=6))
    y = affine(((Dense(rng.normal(size=(2, 6))), pointwise(ACTIVATIONS[activation], z)),), 0.0)
    box = Box(np.full(3, -0.7), np.full(3, 0.7))
    query = Query("layer", {x: box}, Rows.of(y), Atoms(np.arange(2), strict=True, soft=True))
    engine = Engine(query)
    for steps in (0, 3):
        found = engine.bound(engine.root(), steps=steps, goal=np.inf)
        bound = (found.forms[x] * found.point[x]).sum(axis=-1) + found.constant  # intervals may have a better one
        missed = query.rows.value(query.values({x: found.point[x][0]}))[[0, 1], [0, 1]] - bound[0]
        assert np.allclose(found.gaps[z][0].sum(axis=-1), missed, rtol=1e-6, atol=1e-9)
        assert (missed > 1e-3).all()


def test_no_gap_where_nothing_is_open():
    query = relu_query(radius=1e-3)
    found = Engine(query).bound(Engine(query).root())
    (x,) = query.inputs
    assert max(float(g.max()) for g in found.gaps.values()) < 1e-12
    at_point = query.rows.value(query.values({x: found.point[x][0]}))[np.arange(3), np.arange(3)]
    assert np.allclose(at_point, found.lower[0], rtol=1e-9, atol=1e-12)


def test_ascents_gain_and_their_duals_are_a_start():
    query = relu_query()
    engine = Engine(query)
    plain = engine.bound(engine.root(), goal=np.inf)
    climbed = engine.bound(engine.root(), steps=15, goal=np.inf)
    assert (climbed.lower >= plain.lower - 1e-12).all()
    assert (climbed.lower > plain.lower + 1e-2).any()
    again = engine.bound(replace(engine.root(), dual=climbed.dual))
    assert np.allclose(again.lower, climbed.lower, rtol=1e-9, atol=1e-9)
    assert (Engine(query, hidden=10).bound(engine.root()).lower > plain.lower + 1e-3).any()


def test_the_gradient_of_a_bound_is_the_minimiser(monkeypatch):
    """Against differences of bounds: slopes of all hinges, and multipliers of phases."""
    from nnsym.bounds.kept import ascent

    query = relu_query(seed=3)
    engine, seen = Engine(query), []
    move = ascent._Variable.move
    monkeypatch.setattr(ascent._Variable, "move", lambda self, g, step: seen.append(g.copy()) or move(self, g, step))
    second = engine.plan.arguments[1]
    known = engine.ranges[second]
    opened = np.flatnonzero((known.lower[0] < 0) & (known.upper[0] > 0))[:3]
    lower, upper = (np.full((1, second.size), side) for side in (-np.inf, np.inf))
    lower[0, opened[0]] = upper[0, opened[1]] = 0.0
    domains = Domains({second: Limit(lower, upper)}, root(engine, 1).wanted)
    first = engine.bound(replace(domains, dual=None), steps=1, goal=np.inf)
    dual = first.dual
    nudged = []
    for part in (dual.slopes, dual.multipliers):
        for node, values in part.items():
            inner = 0.5 * np.ones_like(values) if part is dual.slopes else np.zeros_like(values)
            if part is dual.multipliers:
                inner[..., opened[0]], inner[..., opened[1]] = 0.1, -0.1
            values[...] = inner
            nudged.append((part, node))
    seen.clear()
    base = engine.bound(replace(domains, dual=dual), steps=1, goal=np.inf)
    del base
    gradients = dict(zip([node for _, node in nudged], seen, strict=True))
    centre = engine.bound(replace(domains, dual=dual), steps=0).lower[0]
    tried, h = 0, 1e-6
    for part, node in nudged:
        keep = engine.plan.keep[node]
        for k in np.flatnonzero(np.abs(gradients[node]).max(axis=(0, 1)) > 1e-6)[:4]:
            part[node][..., keep[k]] += h
            moved = engine.bound(replace(domains, dual=dual), steps=0).lower[0]
            part[node][..., keep[k]] -= h
            assert np.allclose((moved - centre) / h, gradients[node][..., k].ravel(), rtol=1e-3, atol=1e-5)
            tried += 1
    assert tried >= 8


def test_multipliers_of_phases_gain():
    query = relu_query(seed=5)
    engine = Engine(query)
    first = engine.plan.arguments[0]
    opened = (engine.ranges[first].lower < 0) & (engine.ranges[first].upper > 0)
    limits = {first: Limit(np.where(opened, 0.0, -np.inf), np.full((1, first.size), np.inf))}
    domains = Domains(limits, root(engine, 1).wanted, engine.root().ranges)
    with_them = engine.bound(domains, steps=30, goal=np.inf)
    without = engine.bound(Domains({}, domains.wanted, with_them.ranges), steps=30, goal=np.inf)
    assert (with_them.lower > without.lower + 1e-2).any()
    assert all((m >= 0).all() for m in with_them.dual.multipliers.values())


def test_rows_beyond_the_goal_leave_an_ascent(monkeypatch):
    from nnsym.bounds.kept import ascent

    query = relu_query()
    engine, sizes = Engine(query), []
    descend = ascent.descend
    monkeypatch.setattr(
        ascent, "descend", lambda s, seed, *a, **k: sizes.append(seed.index.size) or descend(s, seed, *a, **k)
    )
    x, limit = boxes(query, np.random.default_rng(9), 20)
    domains = Domains({x: limit}, root(engine, 20).wanted)
    low = engine.bound(domains).lower
    engine.bound(domains, steps=4, goal=float(np.median(low)))
    assert sizes[0] == 60
    assert len(sizes) == 5
    assert sizes[1] <= 30
    sizes.clear()
    engine.bound(domains, steps=4, goal=float(low.min()) - 1.0)
    assert sizes == [60]


def test_rows_of_hidden_nodes():
    query = relu_query()
    engine = Engine(query)
    third = engine.plan.arguments[2]
    kept = engine.plan.keep[third]
    index = np.stack((kept, kept))
    sign = np.stack((np.ones(len(kept)), -np.ones(len(kept))))
    found = engine.bound(Domains({}, np.ones(index.shape, dtype=bool)), target=engine.rows(third, index, sign))
    known = engine.ranges[third]
    lower, upper = known.lower[0, kept], known.upper[0, kept]
    opened = (lower < 0) & (upper > 0)
    assert np.allclose(found.lower[0, opened], lower[opened])
    assert np.allclose(-found.lower[1, opened], upper[opened])
    assert (found.lower[0] >= lower - 1e-12).all()
    dead = np.setdiff1d(np.arange(third.size), kept)[:1]
    if len(dead):
        with pytest.raises(InputError, match="are 0"):
            engine.rows(third, dead[None], np.ones((1, 1)))


@pytest.mark.parametrize("p", [1, 2])
def test_balls_cut_boxes(p):
    query = relu_query(radius=2.0)
    (x,) = query.inputs
    query = replace(query, balls={x: (Ball(np.full(4, 0.1), Fraction(1, 3), p),)})
    engine, known, rng = Engine(query), compute(query, "crown"), np.random.default_rng(10)
    found = engine.bound(engine.root(), steps=3, goal=np.inf)
    assert np.allclose(engine.bound(engine.root()).lower[0], known.rows.lower, rtol=1e-9, atol=1e-9)
    away = rng.normal(size=(50, 4))
    away = away / np.linalg.norm(away, ord=p, axis=1, keepdims=True) / 3.0000001
    values = query.values({x: to_fractions(0.1 + away)}, exact=True)
    assert (query.rows.value(values).astype(np.float64) >= found.lower).all()
    assert all((values[n] >= r.lower).all() and (values[n] <= r.upper).all() for n, r in found.ranges.items())
    assert (np.linalg.norm(found.point[x] - 0.1, ord=p, axis=-1) <= 1 / 3 + 1e-9).all()


def test_preconditions_are_multiplied():
    """-relu(x0 + x1) + 1/2 where x0 + x1 <= 1/4; without that it falls to -3/2."""
    x = new_input("x", 2)
    total = affine(((Dense(np.ones((1, 2))), x),), 0.0)
    y = affine(((Dense(-np.ones((1, 1))), pointwise(relu(), total)),), 0.5)
    rows = stack([Rows.of(y), Rows.of(x).combine(np.ones((1, 2))) + Rows.constants(np.array([-0.25]))])
    parts = (Atoms(np.array([0]), strict=False, soft=True), Atoms(np.array([1]), strict=False, soft=False))
    query = Query("cut", {x: Box(-np.ones(2), np.ones(2))}, rows, conjunction(*parts))
    for dtype in ("float64", "float32"):
        engine = Engine(query, dtype=dtype)
        assert engine.plan.cuts is not None
        assert engine.bound(engine.root()).lower[0, 0] < -1.4
        lower = engine.bound(engine.root(), steps=60, goal=np.inf).lower[0, 0]
        assert -0.63 < lower <= -0.625  # below -(x0 + x1) / 2 - 1/2, whose least value there is -0.625
    upper = Limit(np.full((1, 2), 0.5), np.full((1, 2), 1.0))
    assert engine.bound(Domains({x: upper}, root(engine, 1).wanted)).empty.all()


def test_rows_that_no_float_holds_are_lowered_by_their_slack():
    query = relu_query()
    engine, before = Engine(query), Engine(query).bound(Engine(query).root())
    engine.plan.extra[engine.plan.spec] = np.array([0.5, 0.0, 0.25]), np.array([0.0, 0.125, 0.0])
    (parent,) = engine.plan.spec.parents
    most = max(np.abs(engine.ranges[parent].lower).max(), np.abs(engine.ranges[parent].upper).max())
    after = engine.bound(engine.root())
    for lowered in ((before.lower - after.lower)[0], (before.constant - after.constant)[0]):
        assert np.allclose(lowered[[0, 2]], [0.5, 0.25])
        assert 0 < lowered[1] <= 0.125 * most + 1e-12


def test_open_inputs_are_unbounded_and_nothing_else():
    for query in infinite_queries():
        engine, rng = Engine(query), np.random.default_rng(11)
        found = engine.bound(engine.root(), steps=2)
        inner = replace(query, boxes={x: Box(np.full(2, -1.0), np.full(2, 0.5)) for x in query.inputs})
        values = query.values(inside(inner, rng, 5), exact=True)
        assert faults(engine, values, engine.bound(root(engine, 5))) == []
        assert not np.isnan(found.lower).any()


def test_a_deadline_that_passed_leaves_intervals():
    query = relu_query()
    late = Engine(query, deadline=Deadline.after(-1.0))
    assert (late.bound(late.root(), deadline=Deadline.after(-1.0)).lower == -np.inf).all()
    third = late.plan.arguments[2]
    assert (late.ranges[third].lower < Engine(query).ranges[third].lower - 1e-3).any()
    known = compute(query, "ibp")
    assert np.allclose(late.ranges[third].lower[0], known[third].lower)


def test_what_it_cannot_take_is_refused_at_once():
    x, z = new_input("x", 2), new_input("z", 2)
    gap = affine(((Dense(np.eye(2)), x), (Dense(-np.eye(2)), z)))
    node = difference(pointwise(relu(), x), pointwise(relu(), z), gap)
    box = Box(-np.ones(2), np.ones(2))
    query = Query("pair", {x: box, z: box}, Rows.of(node), Atoms(np.arange(2), strict=True, soft=True))
    with pytest.raises(UnsupportedError, match="kept engine"):
        Engine(query)
    with pytest.raises(InputError, match="float16"):
        Engine(relu_query(), dtype="float16")
    engine = Engine(relu_query())
    with pytest.raises(InputError, match="shapes"):
        engine.bound(
            Domains({engine.query.inputs[0]: Limit(np.zeros((1, 3)), np.ones((1, 3)))}, root(engine, 1).wanted)
        )


def test_parts_of_domains_fit_together():
    query = relu_query()
    engine = Engine(query)
    x, limit = boxes(query, np.random.default_rng(12), 4)
    found = engine.bound(Domains({x: limit}, root(engine, 4).wanted), steps=2, goal=np.inf)
    whole = Domains({x: limit}, root(engine, 4).wanted, found.ranges, found.dual)
    values = query.values({x: 0.5 * (limit.lower + limit.upper)})
    other = Domains(
        around({n: to_fractions(v) for n, v in values.items()}, engine, np.random.default_rng(0)), whole.wanted
    )
    both = Domains.concatenate([whole.take(np.array([2, 0])), replace(other, ranges=found.ranges, dual=found.dual)])
    assert len(both) == 6
    again = engine.bound(both)
    assert np.allclose(again.lower[:2], found.lower[[2, 0]], rtol=1e-9, atol=1e-9)
    with pytest.raises(InputError, match="no domains"):
        Domains.concatenate([])


def test_torch_is_not_imported():
    code = (
        "import sys; from nnsym.bounds.kept.engine import Engine; sys.exit(bool({'torch', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
