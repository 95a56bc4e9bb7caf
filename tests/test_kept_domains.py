"""What the kept engine bounds besides boxes: hidden rows, balls, preconditions, open inputs; and what it refuses."""

import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.plan.plan import Plan
from nnsym.bounds.kept.types import Domains, Limit
from nnsym.bounds.methods import compute
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.domain import Ball, Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms, conjunction
from nnsym.ir.linear import Dense, identity
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.pairs.difference import difference
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows, stack
from nnsym.ir.univariate import relu
from nnsym.results.clock import Deadline, OutOfTime
from nnsym.testing.bound_queries import infinite_queries
from tests.kept import around, boxes, faults, inside, relu_query, root


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
        assert engine.plan.hard is not None
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


def test_a_deadline_that_passed_leaves_intervals(monkeypatch):
    """Once the matrices are laid out; before that there is no engine."""
    query = relu_query()
    with pytest.raises(OutOfTime):
        Engine(query, deadline=Deadline.after(-1.0))
    timeless = lambda query, by, zero=None, *, cuts=None, deadline: Plan(query, by, zero)  # noqa: E731
    monkeypatch.setattr(sys.modules[Engine.__module__], "Plan", timeless)
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


def test_without_intervals_a_phase_says_nothing_of_the_range_of_a_later_layer():
    """y = relu(w), w = relu(x) + x / 2 - 1/4 in [-3/4, 5/4]: where x <= 0 the first term is 0, so that w <= 1/4."""
    x = new_input("x", 1)
    z = affine(((Dense(np.array([[1.0]])), x),), np.zeros(1))
    w = affine(((identity(1), pointwise(relu(), z)), (Dense(np.array([[0.5]])), x)), np.array([-0.25]))
    rows = Rows.of(pointwise(relu(), w)).combine(np.array([[-1.0]]))
    query = Query("y", {x: Box(np.array([-1.0]), np.array([1.0]))}, rows, Atoms(np.arange(1), True, True))
    off = {z: Limit(np.array([[-np.inf]]), np.array([[0.0]]))}
    found = []
    for intervals in (True, False):
        engine = Engine(query, inherit=False, intervals=intervals)
        ranges = {n: engine.ranges[n] for n in engine.plan.arguments}
        for refresh in (True, False):
            domains = Domains(off, np.ones((1, 1), dtype=bool), ranges)
            found.append(engine.bound(domains, refresh=refresh).lower[0, 0])
    assert found == pytest.approx([-0.25, -0.25, -0.25, -0.625], abs=1e-9)  # the last: 5/8 (w + 3/4)
