"""The kept engine does what crown does, batch by batch, and less of it where something is known already."""

from dataclasses import replace

import numpy as np
import pytest

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.plan.maps import Matrix
from nnsym.bounds.kept.plan.plan import Plan
from nnsym.bounds.kept.rounding import FLOAT64, blend
from nnsym.bounds.kept.types import Domains, Limit
from nnsym.bounds.methods import compute
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge, relu
from nnsym.testing.random_nets import KINDS, random_network, random_query
from tests.kept import ACTIVATIONS, boxes, network_query, relu_query, root


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
    assert (some.constant[~wanted] == -np.inf).all()
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
    """Arguments of the only nonlinear layer are real at the point, so nothing else lies between bound and network.

    Where a row takes the chord of a hinge, what that misses the kink by counts beside it.
    """
    rng = np.random.default_rng(8)
    x = new_input("x", 3)
    z = affine(((Dense(rng.normal(size=(6, 3))), x),), 0.2 * rng.normal(size=6))
    fn, weight = ACTIVATIONS[activation], rng.normal(size=(2, 6))
    y = affine(((Dense(weight), pointwise(fn, z)),), 0.0)
    box = Box(np.full(3, -0.7), np.full(3, 0.7))
    query = Query("layer", {x: box}, Rows.of(y), Atoms(np.arange(2), strict=True, soft=True))
    engine = Engine(query)
    for steps in (0, 3):
        found = engine.bound(engine.root(), steps=steps, goal=np.inf)
        bound = (found.forms[x] * found.point[x]).sum(axis=-1) + found.constant  # intervals may have a better one
        missed = query.rows.value(query.values({x: found.point[x][0]}))[[0, 1], [0, 1]] - bound[0]
        kinks = _chords(fn, weight, found.ranges[z]) if isinstance(fn, Hinge) else 0.0
        assert np.allclose(found.gaps[z][0].sum(axis=-1), missed + kinks, rtol=1e-6, atol=1e-9)
        assert (missed > 1e-3).all()


def _chords(fn, weight, limit):
    """``|C| |right - left| (-l) u / (u - l)`` of every row over the elements that are open and bent towards it."""
    low, high = np.minimum(limit.lower[0], 0.0), np.maximum(limit.upper[0], 0.0)
    bend = fn.right - fn.left
    return (np.maximum(-weight * bend, 0.0) * (-low * high / (high - low))).sum(axis=1)


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
    from nnsym.bounds.kept.passes import ascent

    query = relu_query(seed=3)
    engine, seen = Engine(query), []
    way = ascent._Variable.way
    monkeypatch.setattr(ascent._Variable, "way", lambda self, g, step: seen.append(g.copy()) or way(self, g, step))
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


def test_a_start_near_the_goal_is_not_thrown_off_it(monkeypatch):
    """Subproblems that begin with their parent's choices reach a goal in a few steps; steps of full length do not."""
    from nnsym.bounds.kept.passes import ascent

    def reached(beyond: float) -> int:
        monkeypatch.setattr(ascent, "_BEYOND", beyond)
        return sum(int((engine.bound(d, steps=3, goal=goal).lower > goal).sum()) for engine, d, goal in asked)

    asked = []
    for seed in range(12):
        engine = Engine(relu_query(seed=seed))
        parent = engine.bound(engine.root(), steps=60, goal=np.inf)
        node = engine.plan.arguments[1]
        low, high = parent.ranges[node].lower, parent.ranges[node].upper
        widest = (np.where(low < 0, np.maximum(high, 0.0), 0.0)).argmax()
        upper = np.full((1, node.size), np.inf)
        upper[0, widest] = 0.0
        limits = {node: Limit(np.full((1, node.size), -np.inf), upper)}
        child = Domains(limits, root(engine, 1).wanted, parent.ranges, parent.dual)
        begun, best = (engine.bound(child, steps=k, goal=np.inf).lower[0] for k in (0, 200))
        for row in np.flatnonzero(best > begun + 1e-3):
            wanted = np.arange(len(best))[None] == row
            asked.append((engine, replace(child, wanted=wanted), float(0.3 * begun[row] + 0.7 * best[row])))
    assert len(asked) > 8
    assert reached(ascent._BEYOND) > 1.25 * reached(np.inf)


def test_a_row_without_coefficients_pays_for_a_part_without_points():
    """Where the last layer is off a row is a number, and only limits of the layers below it can close the part."""
    x = new_input("x", 2)
    z = affine(((Dense(np.ones((2, 2))), x),), np.array([0.0, -1.0]))
    w = affine(((Dense(np.ones((1, 2))), pointwise(relu(), z)),), -0.5)
    y = affine(((Dense(np.ones((1, 1))), pointwise(relu(), w)),), -0.1)
    box = Box(np.full(2, -1.0), np.full(2, 1.0))
    engine = Engine(Query("off", {x: box}, Rows.of(y), Atoms(np.arange(1), strict=True, soft=True)))
    up, down = np.full((1, 1), np.inf), np.zeros((1, 1))
    phases = Limit(np.array([[-np.inf, 0.0]]), np.array([[0.0, np.inf]]))  # z_2 = z_1 - 1
    found = engine.bound(Domains({z: phases, w: Limit(-up, down)}, np.ones((1, 1), dtype=bool)), steps=8)
    assert not found.empty.any()
    assert found.lower[0, 0] > 0


def test_rows_beyond_the_goal_leave_an_ascent(monkeypatch):
    from nnsym.bounds.kept.passes import ascent

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


def test_a_large_matrix_of_zeros_keeps_none_of_them():
    """A selection of a lattice: the same products, and the same sums are charged for."""
    rng, size = np.random.default_rng(0), 400
    weight = np.zeros((size, size))
    weight[np.repeat(np.arange(size), 2), rng.integers(0, size, 2 * size)] = rng.normal(0, 1, 2 * size)
    every, x, c = np.arange(size), rng.normal(0, 1, (3, size)), rng.normal(0, 1, (2, 3, size))
    lean = Matrix.of(Dense(weight), every, every, FLOAT64)
    assert (lean.full, lean.terms <= 2, lean.back) == (False, True, int((weight != 0).sum(0).max()))
    assert np.allclose(lean.apply(x), x @ weight.T)
    assert np.allclose(lean.stretch(np.abs(x)), np.abs(x) @ np.abs(weight).T)
    assert np.allclose(lean.adjoint(c), c @ weight)
    assert np.allclose(lean.rows(np.array([[3, 5]])), weight[None, [3, 5]])


def test_blending_is_choosing_bit_by_bit():
    odd = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, 5e-324, -1e300])
    a, b = np.repeat(odd, len(odd)), np.tile(odd, len(odd))
    mask = np.arange(len(a)) % 3 == 0
    for dtype, bits in ((np.float64, np.int64), (np.float32, np.int32)):
        with np.errstate(all="ignore"):
            one, other = a.astype(dtype), b.astype(dtype)
        assert (blend(mask, one, other).view(bits) == np.where(mask, one, other).view(bits)).all()
        assert blend(mask[:8], one[:8], other[:16].reshape(2, 8)).shape == (2, 8)


def test_what_nobody_looks_at_changes_no_bound():
    query = relu_query(3, widths=(8, 8, 6), inputs=3, radius=1.0)
    engine = Engine(query)
    found, bare = (engine.bound(engine.root(), steps=6, forms=f, gaps=f) for f in (True, False))
    assert (found.lower == bare.lower).all()
    assert found.forms
    assert found.point
    assert not bare.forms
    assert not bare.point
    assert not bare.gaps
