"""Cuts in the kept engine: rows that hold whatever they are made of, the tightest of them, what they do to bounds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog

from nnsym.bounds.kept.cuts import Cuts, Neurons, separated, tightest
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.passes.refresh import Refresh
from nnsym.bounds.kept.passes.relaxations import is_relu
from nnsym.bounds.kept.passes.state import State
from nnsym.bounds.kept.rounding import Precision
from nnsym.bounds.kept.tighter import tighter
from nnsym.bounds.kept.types import Domains, Dual, Limit
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense, Sparse
from nnsym.ir.node import Affine, Node, affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import relu
from nnsym.results.clock import NEVER, Deadline, OutOfTime
from tests.kept import around, faults, inside, network_query, relu_query, root

POINTS = 4


def relus(query: Query) -> list[Node]:
    return [n for n in query.nodes if is_relu(n) and isinstance(n.parents[0], Affine)]


def random_cuts(query: Query, rng: np.random.Generator) -> dict[Node, Cuts]:
    """Rows of shares of W and of anything else, with any weights: they hold all the same."""
    found = {}
    for node in relus(query):
        index = rng.integers(0, node.size, 3 * node.size)
        maps = []
        for w, p in zip(node.parents[0].maps, node.parents[0].parents, strict=True):
            whole = w.matrix().toarray()[index]
            m = whole * rng.choice([0.0, 1.0, 1.0, 0.5, -1.0, 3.0], size=whole.shape)
            rows = np.repeat(np.arange(len(index)), p.size), np.tile(np.arange(p.size), len(index))
            maps.append(Sparse(m[rows], rows[1], np.arange(len(index) + 1) * p.size, p.size))
        top, line = rng.choice([0.0, 0.0, 0.3, 0.7, 1.0, 2.0], size=(2, len(index)))
        found[node] = Cuts(index, tuple(maps), top, line)
    return found


def state_of(engine: Engine, batch: int = 1, limits: Any = None) -> State:
    """Ranges as a pass sees them."""
    own = {n: engine._cut(n, s) for n, s in (limits or {}).items()}
    run = Refresh(engine.plan, batch, engine._base, {}, own, NEVER)
    with np.errstate(all="ignore"):
        return run.run(None, engine.plan.spec, *engine.query.inputs)


def exceeded(engine: Engine, state: State, values: Any) -> int:
    """How many of the cuts exact points do not satisfy, each in the subproblem of its number."""
    wrong = 0
    for node, cuts in engine.cuts.items():
        own, offset = engine.plan.cuts[node], state.cut(node).offset
        assert np.isfinite(offset).all()
        left = values[node][:, cuts.index[own.number]] - to_fractions(offset)
        for m, p in zip(cuts.maps, node.parents[0].parents, strict=True):
            left = left - values[p] @ to_fractions(m.matrix().toarray()[own.number]).T
        wrong += int((left > 0).sum())
    return wrong


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("query", [relu_query(1), network_query(3, "relu"), network_query(5, "relu", scale=30.0)])
def test_any_cut_holds_at_exact_points_of_split_domains(query: Query, dtype: str) -> None:
    """Also with any multipliers, below 0 too, which are cut down to what is valid."""
    rng = np.random.default_rng(7)
    values = query.values(inside(query, rng, POINTS), exact=True)
    engine = Engine(query, dtype=dtype, cuts=random_cuts(query, rng))
    limits = around(values, engine, rng)
    assert exceeded(engine, state_of(engine), values) == 0
    assert exceeded(engine, state_of(engine, POINTS, limits), values) == 0
    domains = replace(root(engine, POINTS), limits=limits)
    found = engine.bound(domains, steps=2, goal=np.inf)
    assert faults(engine, values, found) == []
    wild = {n: rng.normal(size=v.shape).astype(v.dtype) * 2 for n, v in found.dual.cuts.items()}
    assert all((v != 0).any() for v in wild.values())
    dual = Dual(found.dual.slopes, found.dual.multipliers, wild)
    for steps in (0, 2):
        again = engine.bound(replace(domains, dual=dual, ranges=found.ranges), steps=steps, goal=np.inf)
        assert faults(engine, values, again) == []


def one_neuron(rng: np.random.Generator, n: int = 4, shift: float = 0.0) -> Query:
    x = new_input("x", n)
    y = pointwise(relu(), affine(((Dense(rng.normal(size=(1, n))), x),), rng.normal(size=1) / 4))
    lower = rng.uniform(-1, 0, n)
    box = Box(lower, lower + rng.uniform(0.3, 2, n))
    return Query("one", {x: box}, Rows.of(y).combine(np.array([[-1.0]])), Atoms(np.arange(1), True, True))


@pytest.mark.parametrize("seed", range(6))
def test_an_offset_is_as_small_as_the_box_allows(seed: int) -> None:
    """Without ``top`` and ``line`` a corner attains it: neither side's maximum has a sign wrong or a term missing."""
    rng = np.random.default_rng(seed)
    query = one_neuron(rng)
    (x,), (node,) = query.inputs, relus(query)
    cuts = random_cuts(query, rng)[node]
    plain = Cuts(cuts.index, cuts.maps, 0.0 * cuts.top, 0.0 * cuts.line)
    engine = Engine(query, cuts={node: plain})
    box = query.boxes[x]
    corners = np.array(list(itertools.product(*zip(box.lower, box.upper, strict=True))))
    y = np.maximum(corners @ node.parents[0].maps[0].weight.T + node.parents[0].bias, 0)
    active = corners @ node.parents[0].maps[0].weight.T + node.parents[0].bias
    plane = corners @ plain.maps[0].matrix().toarray().T
    least = np.maximum((active - plane).max(axis=0), (-plane).max(axis=0))  # h <= M p + q and 0 <= M p + q apart
    offset = state_of(engine).cut(node).offset[0]
    assert (y - plane - offset <= 1e-12).all()
    assert np.allclose(offset, least, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_the_tightest_cut_is_the_optimum_over_all_rows_of_anderson(seed: int) -> None:
    """And over those of a range that is smaller than what the box says."""
    rng = np.random.default_rng(seed)
    query = one_neuron(rng)
    (x,), (node,) = query.inputs, relus(query)
    engine = Engine(query)
    z = node.parents[0]
    known = engine.ranges[z]
    share = rng.uniform(0.5, 1.0, 2) if seed % 2 else (1.0, 1.0)
    ranges = {**engine.ranges, z: Limit(known.lower * share[0], known.upper * share[1])}
    if not (known.lower < 0).all() or not (known.upper > 0).all():
        pytest.skip("not open")
    neurons = Neurons.of(node, ranges)
    W, b, l, u = z.maps[0].weight[0], z.bias[0], ranges[z].lower[0, 0], ranges[z].upper[0, 0]  # noqa: E741
    box = query.boxes[x]
    low, high = np.minimum(W * box.lower, W * box.upper), np.maximum(W * box.lower, W * box.upper)
    for _ in range(8):
        p = rng.uniform(box.lower, box.upper)
        m, top, line, height = tightest(neurons, p[neurons.rows.indices])
        rows, limits = [[1.0, -u], [1.0, -l]], [0.0, W @ p + b - l]  # over (y, z)
        for chosen in itertools.product((False, True), repeat=len(W)):
            inside = np.array(chosen)
            rows.append([1.0, -(low[inside].sum() + b + high[~inside].sum())])
            limits.append((W * p - low)[inside].sum())
        best = linprog([-1.0, 0.0], rows, limits, bounds=[(None, None), (0, 1)])
        assert height[0] == pytest.approx(-best.fun, abs=1e-6)
        entries = np.zeros((1, len(W)))
        entries[0, neurons.rows.indices] = m
        cut = Cuts(
            np.zeros(1, dtype=np.int64),
            (Sparse(entries[0], np.arange(len(W)), np.array([0, len(W)]), len(W)),),
            top,
            line,
        )
        other = Engine(query, ranges={z: ranges[z]}, cuts={node: cut})
        offset = state_of(other).cut(node).offset[0, 0]
        assert entries[0] @ p + offset == pytest.approx(height[0], abs=1e-5)  # the row passes through that point


def relaxed(query: Query, engine: Engine, *, cut: bool) -> float:
    """The least row over the relaxation by all rows of Anderson, or by triangles, on the engine's ranges."""
    columns: dict[Node, int] = {}
    count = 0
    for node in query.nodes:
        columns[node] = count
        count += node.size
    rows, limits, equal, right = [], [], [], []
    sides = [np.concatenate([getattr(engine.ranges[n], end)[0] for n in query.nodes]) for end in ("lower", "upper")]
    ends = list(zip(*sides, strict=True))
    for node in query.nodes:
        if isinstance(node, Affine):
            for k in range(node.size):
                row = np.zeros(count)
                row[columns[node] + k] = -1.0
                for m, p in zip(node.maps, node.parents, strict=True):
                    row[columns[p] : columns[p] + p.size] += m.matrix().toarray()[k]
                equal.append(row)
                right.append(-node.bias[k])
    phases = []
    for node in relus(query):
        (z,) = node.parents
        for k in range(node.size):
            l, u = engine.ranges[z].lower[0, k], engine.ranges[z].upper[0, k]  # noqa: E741
            y, h = columns[node] + k, columns[z] + k
            phases.append((y, h, l, u, z, k))
    wide = count + len(phases)

    def add(entries: dict[int, float], most: float) -> None:
        row = np.zeros(wide)
        for column, value in entries.items():
            row[column] += value
        rows.append(row)
        limits.append(most)

    for number, (y, h, l, u, z, k) in enumerate(phases):  # noqa: E741
        binary = count + number
        add({y: -1.0}, 0.0)
        add({h: 1.0, y: -1.0}, 0.0)
        add({y: 1.0, binary: -max(u, 0.0)}, 0.0)
        add({y: 1.0, h: -1.0, binary: -min(l, 0.0)}, -min(l, 0.0))
        if not cut or l >= 0 or u <= 0:
            continue
        (w,), (p,) = z.maps, z.parents
        W, b = w.matrix().toarray()[k], z.bias[k]
        a, c = (W * side[0] for side in (engine.ranges[p].lower, engine.ranges[p].upper))
        low, high = np.minimum(a, c), np.maximum(a, c)
        for chosen in itertools.product((False, True), repeat=len(W)):
            here = np.array(chosen)
            entries = {columns[p] + i: -W[i] for i in np.flatnonzero(here)}
            entries |= {y: 1.0, binary: -(low[here].sum() + b + high[~here].sum())}
            add(entries, -low[here].sum())
    best = []
    spec = query.spec[0]
    for k in range(len(query.rows)):
        cost = np.zeros(wide)
        for m, p in zip(spec.maps, spec.parents, strict=True):
            cost[columns[p] : columns[p] + p.size] += m.matrix().toarray()[k]
        padded = np.hstack((np.array(equal), np.zeros((len(equal), len(phases)))))
        done = linprog(cost, np.array(rows), limits, padded, right, bounds=ends + [(0, 1)] * len(phases))
        assert done.status == 0
        best.append(done.fun + spec.bias[k])
    return min(best)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)])
def test_bounds_stay_below_the_relaxation_with_all_cuts_and_come_near_it(seed: int) -> None:
    query = relu_query(seed, widths=(5, 5), inputs=4, radius=1.0, shift=0.0)
    engine = Engine(query)
    plain, ideal = (relaxed(query, engine, cut=cut) for cut in (False, True))
    assert ideal - plain > 0.02  # there is something to gain
    alpha = float(engine.bound(engine.root(), steps=100, goal=np.inf).lower.min())
    assert plain - 0.05 < alpha <= plain + 1e-6
    shares, better = [], engine
    for _ in range(3):
        better = tighter(better, rows=3, goal=np.inf)
        found = float(better.bound(better.root(), steps=150, goal=np.inf).lower.min())
        assert found <= ideal + 1e-6
        shares.append((found - plain) / (ideal - plain))
    assert shares[0] > 0.6, shares
    assert shares[-1] > 0.9, shares


def at_the_top(count: int, dtype: str) -> int:
    """Faults where a cut is attained: at the corner where neurons are largest rows rest on cuts alone."""
    found = 0
    for seed in range(count):
        rng = np.random.default_rng(seed)
        x = new_input("x", 6)
        node = pointwise(relu(), affine(((Dense(rng.normal(size=(12, 6))), x),), rng.normal(size=12) / 4))
        centre = rng.normal(size=6) / 7
        rows = Rows.of(node).combine(-np.eye(12))
        box = Box(centre - 0.3, centre + 0.3)
        query = Query("top", {x: box}, rows, Atoms(np.arange(12), True, True))
        highest = np.where(node.parents[0].maps[0].weight > 0, box.upper, box.lower)
        values = query.values({x: to_fractions(highest)}, exact=True)
        engine = Engine(query, dtype=dtype)
        cuts = separated(node, engine.ranges, {node: np.full((1, 12), 1e3), x: centre[None]})
        engine = engine.with_cuts({node: cuts})
        domains = root(engine, 12)
        start = engine.bound(domains, steps=1, goal=np.inf).dual
        own = np.broadcast_to(np.arange(12)[:, None] == cuts.index, (12, 12, len(cuts)))
        dual = Dual(start.slopes, {}, {node: own.astype(np.float64)})
        found += len(faults(engine, values, engine.bound(replace(domains, dual=dual))))
        found += exceeded(engine, state_of(engine), values)
    return found


def test_the_charges_are_what_makes_cuts_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64 the radii's own spare hides them."""
    assert at_the_top(4, "float64") == at_the_top(4, "float32") == 0
    monkeypatch.setattr(Precision, "gamma", lambda self, additions: 0.0)
    assert at_the_top(4, "float32") > 0


def test_a_part_inherits_multipliers_and_offsets_fit_its_ranges() -> None:
    """Without ascent it has the bound that its parent found, or a better one; parts without multipliers do not."""
    query = relu_query(2, widths=(8, 8), inputs=4, radius=1.0)
    engine = tighter(Engine(query), rows=3, goal=np.inf)
    first = engine.bound(engine.root(), steps=40, goal=np.inf)
    again = replace(engine.root(), dual=first.dual)
    assert np.allclose(engine.bound(again).lower, first.lower, rtol=0, atol=1e-9)
    assert (engine.bound(replace(again, dual=replace(first.dual, cuts={}))).lower < first.lower - 1e-3).any()
    (x,) = query.inputs
    box = query.boxes[x]
    half = Limit(box.lower[None], np.where(np.arange(x.size) == 0, 0.0, box.upper)[None])
    whole, smaller = state_of(engine), state_of(engine, 1, {x: half})
    gained = [whole.cut(node).offset - smaller.cut(node).offset for node in engine.cuts]
    assert all((some >= -1e-12).all() for some in gained)
    assert any((some > 1e-3).any() for some in gained)
    part = replace(again, limits={x: half})
    found = engine.bound(Domains.concatenate([part, replace(part, dual=Dual(first.dual.slopes))]))
    assert (found.lower[0] >= first.lower[0] - 1e-9).all()
    assert (found.lower[1] < found.lower[0] - 1e-3).any()


def test_an_engine_without_open_rows_or_neurons_gets_no_cuts() -> None:
    query = relu_query(3)
    engine = Engine(query)
    assert tighter(engine, goal=-1e3) is engine
    point = replace(query, boxes={x: Box(b.lower, b.lower) for x, b in query.boxes.items()})
    fixed = Engine(point)
    assert tighter(fixed, goal=np.inf) is fixed
    with pytest.raises(OutOfTime):
        tighter(engine, goal=np.inf, deadline=Deadline.after(-1.0))


def test_what_has_no_ends_has_no_cut() -> None:
    """Nor are those used that someone gives."""
    x = new_input("x", 2)
    node = pointwise(relu(), affine(((Dense(np.array([[1.0, -1.0]])), x),), np.zeros(1)))
    rows = Rows.of(node).combine(np.array([[-1.0]]))
    query = Query("open", {x: Box(np.array([-1.0, -np.inf]), np.ones(2))}, rows, Atoms(np.arange(1), True, True))
    engine = Engine(query)
    assert separated(node, engine.ranges, {node: np.ones((1, 1)), x: np.zeros((1, 2))}) is None
    row = Sparse(np.ones(1), np.zeros(1, dtype=np.int64), np.array([0, 1]), 2)
    other = engine.with_cuts({node: Cuts(np.zeros(1, dtype=np.int64), (row,), np.zeros(1), np.zeros(1))})
    with np.errstate(all="ignore"):
        assert not state_of(other).cut(node).usable.any()
    found = other.bound(other.root(), steps=3, goal=np.inf)
    assert not found.dual.cuts[node].any()
    assert np.isneginf(found.lower).all()
