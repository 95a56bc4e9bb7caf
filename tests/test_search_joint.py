"""Conjunctions are bounded by weighted sums of their rows: sound to the last place, and worth it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.types import BatchBounds, Domains, Limit
from nnsym.ir.node import Input, new_input
from nnsym.results.clock import NEVER
from nnsym.search.goal import Decide
from nnsym.search.parts.points import descended, samples
from nnsym.search.parts.targets import Worth, targets
from nnsym.search.steps import joint as joining
from nnsym.search.steps.joint import Joint, joint, summed
from tests.depth import drawn
from tests.mutants import mutant
from tests.searching import begun


def test_conjunctions_are_bounded_together() -> None:
    """Neither of ``x_0 - x_1 <= -1/4`` and ``x_1 - x_0 <= -1/4`` is ruled out by itself, their mean is, at once."""
    x = nn.Variable(2, name="x")
    y = nn.sequential([([[1.0, -1.0]], [0.0])])(x)[0]
    query = nn.exists(x, where=nn.box(x, -1, 1), then=(y + 0.25 <= 0) & (0.25 - y <= 0)).query
    search = begun(query, "bab:longest")
    search.go()
    assert (search.exhausted, search.census.nodes) == (True, 1)
    assert search.lower == pytest.approx(0.25, rel=1e-4)
    assert search.lower <= 0.25
    engine = Engine(query)
    assert (engine.bound(engine.root()).lower < -1).all()


def _apart(engine: type[Engine]) -> int:
    """How often what is said of a sum of rows is not true of a point of the part: its bound, and its line."""
    rng, wrong = np.random.default_rng(7), 0
    for seed in range(16):
        query = _joined(rng)
        (x,), rows = query.inputs, len(query.rows)
        low, high = np.sort(rng.uniform(-1, 1, (2, 4, x.size)), axis=0)
        weights = rng.random((4, 2, rows)).astype(np.float32) * (rng.random((4, 2, rows)) < 0.7)
        asked = rng.random((4, 2)) < 0.8
        hinge = next(n.parents[0] for n in query.nodes if n.parents and n.size == 8 and n.parents[0].size == 8)
        phase = Limit(np.full((4, 8), -np.inf), np.where(np.arange(8) == seed % 8, 0.0, np.inf)[None].repeat(4, 0))
        domains = Domains({x: Limit(low, high), hinge: phase}, np.ones((4, rows + 2), dtype=bool))
        made = engine(query, dtype=("float32", "float64")[seed % 2])
        found = made.bound(domains, sums=lambda _, w=weights, a=asked: (w.astype(float), a), steps=seed % 3)
        points = rng.uniform(low[:, None], high[:, None], (4, 200, x.size))
        for k, at in enumerate(points):
            values = [query.values({x: p}) for p in at]
            met = [v[hinge][seed % 8] <= 0 and query.margin(v) < np.inf for v in values]
            total = np.array([query.rows.value(v) for v in values])[met] @ weights[k].T.astype(float)
            form = at[met] @ found.forms[x][k, rows:].T.astype(float) + found.constant[k, rows:]
            wrong += int((total[:, asked[k]] < found.lower[k, rows:][asked[k]] - 1e-12).any())
            wrong += int((total[:, asked[k]] < form[:, asked[k]] - 1e-12).any())
            assert np.isneginf(found.lower[k, rows:][~asked[k]]).all() or found.empty[k]
    return wrong


def test_what_is_said_of_sums_is_true_of_every_point() -> None:
    assert _apart(Engine) == 0


def _beyond(engine: type[Engine]) -> int:
    """How often a sum of two rows that nearly cancel has a bound above its least value, in rationals."""
    rng, wrong = np.random.default_rng(11), 0
    for k in range(60):
        a = rng.normal(0, 1, (1, 6)) * 10.0 ** rng.integers(-3, 4)
        f, x = nn.sequential([(np.concatenate([a, -a]), 10 * rng.normal(0, 1, 2))]), nn.Variable(6, name="x")
        y = f(x)
        query = nn.exists(x, where=nn.box(x, rng.normal(-9, 1, 6), rng.normal(9, 1, 6)), then=(y[0] <= 0) & (y[1] <= 0))
        rows, (node,) = query.query.rows, query.query.inputs

        def exact(point: Any, query: Any = query.query, rows: Any = rows, node: Input = node) -> Any:
            return rows.value(query.values({node: np.array([Fraction(int(v)) for v in point], dtype=object)}))

        w = rng.uniform(0.3, 0.3001, (1, 1, 2)).astype(np.float32)
        made = engine(query.query, dtype=("float32", "float64")[k % 2])
        domains = Domains({}, np.ones((1, 3), dtype=bool))
        bound = made.bound(domains, sums=lambda _, w=w: (w.astype(float), np.ones((1, 1), bool))).lower[0, 2]
        box = query.query.boxes[node]
        corner = [Fraction(float(v)) for v in box.lower], [Fraction(float(v)) for v in box.upper]
        zero, *unit = (exact(p) for p in np.concatenate([np.zeros((1, 6), int), np.eye(6, dtype=int)]))
        total = sum(Fraction(float(v)) * z for v, z in zip(w[0, 0], zero, strict=True))
        slopes = [sum(Fraction(float(v)) * (u - z) for v, u, z in zip(w[0, 0], one, zero, strict=True)) for one in unit]
        least = total + sum(min(s * lo, s * hi) for s, lo, hi in zip(slopes, *corner, strict=True))
        wrong += Fraction(float(bound)) > least
        assert float(least) - float(bound) < 0.05 * (1 + abs(float(least)))
    return wrong


def test_sums_pay_for_what_cancels() -> None:
    assert _beyond(Engine) == 0


def _joined(rng):  # type: ignore[no-untyped-def]
    """Three rows of a network, together, at times under a precondition on its output."""
    f, x = nn.zoo.random_mlp(int(rng.integers(99)), widths=(3, 8, 4)), nn.Variable(3, name="x")
    y = f(x)
    where = [nn.box(x, -1, 1), *([y[3] <= float(rng.normal())] if rng.random() < 0.5 else [])]
    a, b, c = rng.normal(0, 1, 3)
    then = (y[0] <= float(a)) & (y[1] - y[0] <= float(b)) & (y[2] + y[1] <= float(c))
    return nn.exists(x, where=nn.all(where), then=then).query


def test_what_is_said_of_conjunctions_is_true() -> None:
    """No sampled point has less than the joint bound, whatever part of the box is looked at."""
    rng = np.random.default_rng(0)
    for seed in range(drawn(6, 3)):
        query = _joined(rng)
        engine, parts = Engine(query, dtype="float32"), targets(query)
        (target,) = parts
        (x,) = query.inputs
        for _ in range(5):
            low, high = np.sort(rng.uniform(-1, 1, (2, x.size)), axis=0)
            limits = {x: Limit(low[None], high[None])}
            found = engine.bound(Domains(limits, np.ones((1, len(query.rows)), dtype=bool)))
            bound = joint(found, limits, target.rows, np.isin(target.rows, target.hard))
            points = rng.uniform(low, high, (300, x.size))
            margins = [query.margin(query.values({x: p})) for p in points]
            assert bound[0] <= min(margins), seed


def _lines(x: Input, coefficients: np.ndarray, constant: np.ndarray) -> BatchBounds:
    """A part of which these lines ``(rows, n)``, ``(rows,)`` are known."""
    one, nothing = np.zeros((1, len(constant))), np.zeros((1, len(constant), x.size))
    return BatchBounds(one, {}, np.zeros(1, bool), {x: coefficients[None]}, constant[None], {x: nothing}, {})


def _above(bound: Callable[..., Any]) -> int:
    """How often a bound is more than a point of the box has that meets the hard rows."""
    rng, wrong, x = np.random.default_rng(3), 0, new_input("x", 3)
    for _ in range(60):
        count, hard = 4, np.array([False, False, True, rng.random() < 0.5])
        found = _lines(x, rng.normal(0, 1, (count, 3)), rng.normal(0.3, 1, count))
        low, high = np.sort(rng.uniform(-1, 1, (2, 3)), axis=0)
        value = bound(found, {x: Limit(low[None], high[None])}, np.arange(count), hard)[0]
        points = np.concatenate([rng.uniform(low, high, (60, 3)), low + (high - low) * rng.integers(0, 2, (20, 3))])
        rows = points @ found.forms[x][0].T + found.constant[0]
        met = (rows[:, hard] <= 0).all(1)
        wrong += bool((rows[met][:, ~hard].max(1) < value - 1e-12).any())
    return wrong


def _rounded_up(bound: Callable[..., Any]) -> int:
    """How often several copies of one line have a bound above the line's least value, in rationals."""
    rng, wrong, x = np.random.default_rng(5), 0, new_input("x", 3)
    for k in range(80):
        count, sign = 2 + k % 6, (1.0, -1.0)[k % 2]
        line, constant = np.abs(rng.normal(0, 1, 3)) * [sign, 1.0, sign], float(abs(rng.normal()))
        found = _lines(x, np.repeat(line[None], count, 0), np.full(count, constant))
        low = np.abs(rng.normal(0, 1, 3))
        high = low + (k % 3) * np.abs(rng.normal(0, 1, 3))
        value = bound(found, {x: Limit(low[None], high[None])}, np.arange(count), np.zeros(count, dtype=bool))[0]
        ends = [[Fraction(c) * Fraction(v) for c, v in zip(line, side, strict=True)] for side in (low, high)]
        wrong += Fraction(float(value)) > Fraction(constant) + sum(map(min, *ends))
    return wrong


def _gained(bound: Callable[..., Any]) -> float:
    """What weights of 3 to 1 leave of a conjunction whose rows have slopes of 1 to 3; the best are worth 1/4."""
    x = new_input("x", 1)
    found = _lines(x, np.array([[1.0], [-3.0]]), np.array([0.25, 0.25]))
    box = {x: Limit(np.array([[-1.0]]), np.array([[1.0]]))}
    return float(bound(found, box, np.arange(2), np.zeros(2, dtype=bool))[0])


def test_weights_climb_and_no_rounding_is_forgotten() -> None:
    assert (_above(joint), _rounded_up(joint)) == (0, 0)
    assert _gained(joint) > 0.05


WRONG: dict[str, tuple[str, str, Callable[..., bool]]] = {
    "the minimising end": ("np.where(together > 0, low", "np.where(together < 0, low", lambda b: _above(b) > 0),
    "the constants": ("(weights * constant).sum(1), (", "(-weights * constant).sum(1), (", lambda b: _above(b) > 0),
    "the first weights": ("np.maximum((~hard)", "np.maximum((hard)", lambda b: _above(b) > 0),
    "the sum of weights": ("weights[:, ~hard]", "weights[:, hard]", lambda b: _above(b) > 0),
    "the slack": ("total - slack", "total + slack", lambda b: _rounded_up(b) > 0),
    "the share of weights": ("- slack - 4 *", "- slack + 4 *", lambda b: _rounded_up(b) > 0),
    "the ascent": ("_RATE * slope", "-_RATE * slope", lambda b: _gained(b) < 0.05),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_sign_is_noticed(wrong: str) -> None:
    before, after, noticed = WRONG[wrong]
    assert noticed(mutant(joining, before, after)["joint"])


def test_a_flat_network_is_left_where_its_bound_points() -> None:
    """Random points see no slope, nor does the point that the conjunction's bound rests on: a row's own line does."""
    n = 64
    f = nn.sequential([(np.ones((1, n)), [-40.0]), (np.eye(1), [0.0])], activation="relu")
    x = nn.Variable(n, name="x")
    query = nn.forall(x, where=nn.box(x, 0, 1), then=(f(x)[0] <= 4) | (f(x)[0] >= 12)).query
    search = begun(query, "bab:gap")
    search.go(1)
    assert search.problem.goal.done


def test_weights_short_of_one_say_no_more() -> None:
    """Two rows that are -1024 everywhere: weights a little below 1/2 would make it a little less of a violation."""
    x = nn.Variable(2, name="x")
    y = nn.sequential([(np.full((2, 2), 2.0**-40), [-1024.0, -1024.0])])(x)
    query = nn.exists(x, where=nn.box(x, -1, 1), then=(y[0] <= 0) & (y[1] <= 0)).query
    (target,), opened = targets(query), np.ones((1, 1), dtype=bool)
    engine, worth = Engine(query), Worth((target,), 2)
    domains = Domains({x: Limit(-np.ones((1, 2)), np.ones((1, 2))) for x in query.inputs}, worth.wanted(opened))
    found = engine.bound(domains, sums=Joint(worth, Decide(query), query.inputs, opened))
    assert found.lower[0, 2] == pytest.approx(-1024, rel=1e-4)
    assert found.lower[0, 2] > -1024 >= summed(found.lower)[0, 2]


def test_rows_of_a_conjunction_descend_together() -> None:
    """Around a planted point in a tube: steps of one row at a time end at edges between two of them more often."""
    rng, found = np.random.default_rng(2), {False: 0, True: 0}
    for seed in range(20):
        f, x = nn.zoo.random_mlp(seed, widths=(5, 16, 16, 3)), nn.Variable(5, name="x")
        y, (a, b, c) = f(x), f.evaluate(rng.uniform(-1, 1, (1, 5))).ravel().tolist()
        near = [y[0] <= a + 0.001, y[0] >= a - 0.001, y[1] <= b + 0.001, y[1] >= b - 0.001, y[2] >= c - 0.001]
        query = nn.exists(x, where=nn.box(x, -1, 1), then=nn.all(near)).query
        worth = Worth(targets(query), len(query.rows))
        start = samples(worth.targets, query.inputs, 16, 0)
        for blend in found:
            at = descended(query, worth, start, steps=40, deadline=NEVER, first=0.125, blend=blend)
            found[blend] += bool((at.best < 0).any())
    assert found[True] >= found[False] + 2
