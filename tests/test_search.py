"""Branch and bound: sound on whatever it splits, complete where the oracle can follow."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.kept.types import Domains, Limit
from nnsym.errors import InputError, MissingBoundsError
from nnsym.ir.formula import Atoms, InBox, conjunction, disjunction, margin_lower
from nnsym.ir.node import Input, new_input
from nnsym.ir.query import Query, Reading
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.judge.method import Settings
from nnsym.judge.registry import resolve
from nnsym.results.clock import Clock
from nnsym.search.branching import RULES
from nnsym.search.frontier import BestFirst, DepthFirst
from nnsym.search.goal import Decide
from nnsym.search.parts.batch import Branches, Parts, split
from nnsym.search.parts.places import Place, places
from nnsym.search.parts.targets import Worth, targets
from nnsym.search.steps.clipping import clipped
from nnsym.search.steps.joint import Joint
from nnsym.search.steps.leaf import restricted
from nnsym.search.strategy import Strategy
from nnsym.testing.check_method import check_method
from nnsym.testing.random_nets import KINDS, PIECE_KINDS, random_network, random_query
from tests.interval_engine import IntervalEngine
from tests.searching import inside, ran

TEXTS = ("bab:smear", "bab:gap", "bab:mixed:clip", "bab:finish:float64:best", "bab:random:clip", "bab:early:steps=4")


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=pytest.mark.slow) if k == "conv" else k for k in (*KINDS, *PIECE_KINDS)]
)
def test_what_is_said_is_true(kind: str) -> None:
    """Every rule on random networks, half of the margins within 2^-12 of zero; most are decided."""
    decided = 0
    for seed, tight in ((0, False), (1, True), (2, False)):
        query = random_query(random_network(kind, seed), seed, tight=tight)
        found = ran(query, TEXTS[(2 * seed + tight) % len(TEXTS)], seconds=2.0, nodes=300)
        found.check((kind, seed, tight))
        decided += found.decided
    assert decided >= 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, *PIECE_KINDS])
def test_what_is_said_is_true_of_hundreds(kind: str) -> None:
    decided, asked = 0, 0
    for seed in range(3, 10):
        for tight in (False, True):
            query = random_query(random_network(kind, seed), seed, tight=tight)
            for text in TEXTS[seed % 2 :: 2]:
                found = ran(query, text, seconds=3.0, nodes=3000)
                found.check((kind, seed, tight, text))
                asked, decided = asked + 1, decided + found.decided
    assert decided >= 0.7 * asked


@pytest.mark.parametrize("text", ["bab:longest", "bab:random:best", "bab:gap:clip"])
def test_the_loop_is_sound_on_intervals(text: str) -> None:
    """Weak bounds make large trees: what closes, what is cut and what is inherited is the loop's own work."""
    for kind, seed in (("dense", 1), ("leaky", 2), ("sign", 0), ("maxpool", 3)):
        query = random_query(random_network(kind, seed), seed)
        found = ran(query, text, engine=IntervalEngine(query), seconds=60.0, nodes=800)
        found.check((kind, seed))


def test_targets_have_the_margins_of_their_formula() -> None:
    """The least of the targets is the margin form of the whole, for bounds as for points."""
    rng = np.random.default_rng(0)
    for kind, seed in (("dense", k) for k in range(12)):
        query = random_query(random_network(kind, seed), seed)
        parts = targets(query)
        rows = rng.normal(0, 1, (20, len(query.rows)))
        low = {x: np.sort(rng.uniform(*box.outer, (2, 20, x.size)), axis=0) for x, box in query.boxes.items()}
        inputs = {x: Limit(*v) for x, v in low.items()}
        values, picks = Worth(parts, len(query.rows)).lower(rows, inputs)
        for k in range(20):
            box = {x: (limit.lower[k], limit.upper[k]) for x, limit in inputs.items()}
            assert values[k].min(initial=np.inf) == margin_lower(query.formula, partial(_atom, rows[k], box))
            finite = np.isfinite(values[k])
            assert (rows[k, picks[k, finite]] == values[k, finite]).all()


def _atom(rows: np.ndarray, box: dict, leaf: Atoms | InBox) -> np.ndarray:
    """What bounds say of one leaf."""
    if isinstance(leaf, InBox):
        low, high = box[leaf.input]
        return np.array([np.inf if ((leaf.lower > high) | (leaf.upper < low)).any() else -np.inf])
    chosen = rows[leaf.rows]
    refuted = chosen >= 0 if leaf.strict else chosen > 0
    return chosen if leaf.soft else np.where(refuted, np.inf, -np.inf)


def test_too_many_parts_stay_one() -> None:
    """A conjunction of eight choices among three has 6561 parts."""
    x = nn.Variable(3, name="x")
    some = [(x[0] >= k / 8) | (x[1] >= k / 8) | (x[2] >= k / 8) for k in range(1, 9)]
    query = nn.exists(x, where=nn.box(x, 0, 1), then=_all(some)).query
    parts = targets(query)
    assert len(parts) <= 64
    point = {v: np.array([[0.95, 0.1, 0.2]]) for v in query.inputs}
    rows = query.rows.value(dict(point))
    values, _ = Worth(parts, len(query.rows)).lower(rows, {v: Limit(a, a) for v, a in point.items()})
    assert values.min() == query.margin({v: a[0] for v, a in point.items()})


def _all(parts: list) -> object:
    whole = parts[0]
    for part in parts[1:]:
        whole = whole & part
    return whole


def _root(query: Query) -> Parts:
    limits = {x: Limit(*(side[None] for side in box.outer)) for x, box in query.boxes.items()}
    domains = Domains(limits, np.ones((1, len(query.rows)), dtype=bool))
    count = len(targets(query))
    every = np.ones((1, count), dtype=bool)
    return Parts(domains, np.full((1, count), -np.inf), every, np.zeros(1, dtype=int), np.zeros(1, dtype=int))


def test_children_cover_their_parent() -> None:
    """Every sampled point of a domain lies in a child, with all its hidden values; numbers and depths go on."""
    rng = np.random.default_rng(3)
    for kind in ("dense", "maxpool", "clip"):
        query = random_query(random_network(kind, 5), 5)
        parts, found = _root(query), places(query)
        engine = IntervalEngine(query)
        for _ in range(6):
            ranges = engine.bound(parts.domains).ranges
            points = [place.points(ranges[place.node]) for place in found]
            place = rng.integers(len(found), size=len(parts))
            element = np.array([rng.integers(found[p].node.size) for p in place])
            point = np.array([points[p][k, e] for k, (p, e) in enumerate(zip(place, element, strict=True))])
            real = np.flatnonzero(~np.isnan(point))
            branches = Branches([p.node for p in found], place[real], element[real], point[real])
            children = split(parts.take(real), branches, 100)
            assert (children.number == 100 + np.arange(2 * len(real))).all()
            rest = np.setdiff1d(np.arange(len(parts)), real)
            parts = Parts.concatenate([children, parts.take(rest)]) if len(rest) else children
        x = query.inputs[0]
        for value in rng.uniform(*query.boxes[x].outer, (200, x.size)):
            assert inside(parts.domains.limits, query.values({x: value})).any()


def test_whole_numbers_are_split_between_them() -> None:
    x = new_input("n", 1, integer=True)
    domains = Domains({x: Limit(np.array([[-2.0]]), np.array([[3.0]]))}, np.ones((1, 1), dtype=bool))
    node = Parts(domains, np.zeros((1, 1)), np.ones((1, 1), dtype=bool), np.zeros(1, int), np.zeros(1, int))
    place = Place(x, np.full((1, 1), np.nan), np.ones(1, dtype=bool), 0)
    at = place.points(domains.limits[x])
    assert at[0, 0] == 0.0
    left, right = (split(node, Branches([x], np.zeros(1, int), np.zeros(1, int), at[0]), 1).take([k]) for k in (0, 1))
    assert (left.domains.limits[x].upper, right.domains.limits[x].lower) == (0.0, 1.0)
    assert np.isnan(place.points(Limit(np.array([[2.0]]), np.array([[2.0]])))).all()


def test_clipping_keeps_every_violation() -> None:
    """No point that the cut removes violates its target, and what a row of the conclusion removes has the margin."""
    from nnsym.bounds.kept.engine import Engine

    rng, cut = np.random.default_rng(1), 0
    for seed in range(15):
        query = random_query(random_network("dense", seed), seed)
        engine, parts = Engine(query, dtype="float32"), targets(query)
        root = _root(query)
        worth = Worth(parts, len(query.rows))
        sums = Joint(worth, Decide(query), query.inputs, root.opened) if worth.joined else None
        domains = replace(root.domains, ranges=engine.root().ranges, wanted=worth.wanted(root.opened))
        found = engine.bound(domains, sums=sums)
        smaller, margin, gone = clipped(query, worth, domains, found, root.opened, soft=True)
        x = query.inputs[0]
        for value in rng.uniform(*query.boxes[x].outer, (150, x.size)):
            values = query.values({x: value})
            held = bool(inside({x: smaller.limits[x]}, values)[0])
            for k, target in enumerate(parts):
                here, _ = Worth((target,), len(query.rows)).lower(
                    query.rows.value(values)[None], {x: Limit(value[None], value[None])}
                )
                if not held or gone[0, k]:
                    cut += 1
                    assert here[0, 0] >= margin[0] * (1 - 1e-9)
                    assert here[0, 0] > 0
    assert cut > 100


def test_frontiers_keep_all_and_the_least() -> None:
    query = random_query(random_network("dense", 0), 0)
    parts = _root(query).take(np.zeros(9, dtype=int))
    bounds = np.array([3.0, -1, 2, -5, 4, 0, 1, -2, -3])
    parts = replace(parts, lower=np.repeat(bounds[:, None], parts.lower.shape[1], 1), number=np.arange(9))
    depth, best = DepthFirst(), BestFirst()
    for frontier in (depth, best):
        frontier.push(parts.take(np.arange(5)))
        frontier.push(parts.take(np.arange(5, 9)))
        assert (len(frontier), frontier.least()) == (9, -5.0)
    assert sorted(depth.take(2).number) == [5, 6]  # of the last batch the nearest to done
    assert sorted(best.take(3).number) == [3, 7, 8]
    assert best.least() == -1.0
    rest = [*depth.take(5).number, *depth.take(5).number]
    assert sorted(rest) == [0, 1, 2, 3, 4, 7, 8]
    assert depth.least() == np.inf
    limited = DepthFirst(memory=10)
    ranged = replace(parts, domains=replace(parts.domains, ranges=dict(parts.domains.limits)))
    limited.push(ranged)
    assert limited.full
    assert limited.take(1).domains.ranges is None


def test_a_leaf_is_the_query_on_its_limits() -> None:
    """Exactly the points of the subproblem violate the restricted query, hidden limits included."""
    rng = np.random.default_rng(2)
    query = random_query(random_network("dense", 1), 1)
    parts, hidden = targets(query), next(p.node for p in places(query) if not isinstance(p.node, Input))
    node = _root(query)
    none = np.full((1, hidden.size), np.inf)
    x = query.inputs[0]
    samples = rng.uniform(*query.boxes[x].outer, (200, x.size))
    middle = float(np.median(query.values({x: samples})[hidden][:, 1]))
    limits = {**node.domains.limits, hidden: Limit(np.where(np.arange(hidden.size) == 1, middle, -none), none)}
    leaf = restricted(query, replace(node, domains=replace(node.domains, limits=limits)), Worth(parts, len(query.rows)))
    seen = set()
    for value in samples:
        values = leaf.values({x: value})
        expected = query.margin(query.values({x: value})) if values[hidden][1] >= middle else np.inf
        assert leaf.margin(values) == expected
        seen.add(expected == np.inf)
    assert seen == {True, False}
    shifted = restricted(query, node, Worth(parts, len(query.rows)), 0.5)
    at = {x: query.boxes[x].outer[0]}
    assert shifted.margin(shifted.values(at)) == pytest.approx(query.margin(query.values(at)) - 0.5)


@pytest.mark.parametrize(
    "text", ["bab", "bab:smear:float64", "bab:early:steps=4:batch=16", "bab:gap:refine=0", "bab:best:clip"]
)
def test_texts_name_strategies(text: str) -> None:
    assert Strategy.of(Strategy.of(text).text) == Strategy.of(text)
    assert resolve(text).name == Strategy.of(text).text


def test_texts_that_name_none_are_refused() -> None:
    for text in ("bab:fast", "bab:batch=0", "bab:steps=-1", "bab:refine=x", "bab:float16"):
        with pytest.raises(InputError, match="no parameter of a search"):
            resolve(text)
    with pytest.raises(InputError, match="takes no solver"):
        resolve("bab", solver="highs")
    assert set(RULES) == {"smear", "longest", "gap", "early", "mixed", "finish", "random"}


@pytest.mark.slow
def test_the_kit_passes_the_search() -> None:
    done = check_method(nn.bab(), kinds=("leaky", "clip"), seeds=range(1))
    assert (done.questions, done.decided) == (91, 87)


def test_a_margin_of_zero_is_decided_in_rationals() -> None:
    f = nn.sequential([([[1.0], [-1.0], [1.0]], [0.0, 0.0, 1.0]), ([[1.0, -1.0, -1.0]], [1.0])])
    x = nn.Variable(1, name="x")
    zero = nn.verify(nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] >= 0), "bab")
    assert (zero.status, zero.lower) == ("verified", 0.0)
    above = nn.verify(nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] > 0), "bab")
    assert above.status == "falsified"
    tiny = Fraction(1, 10**12)
    assert nn.verify(nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] >= tiny), "bab").status == "falsified"
    assert nn.verify(nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] >= -tiny), "bab").status == "verified"


def test_everything_the_language_says_is_searched() -> None:
    """Exists, integers, preconditions over outputs, disjunctive boxes, balls, two networks, hidden neurons."""
    f, g = (nn.zoo.random_mlp(k, widths=(2, 8, 8, 2)) for k in (1, 2))
    x = nn.Variable(2, name="x")
    y, z = f(x), g(x)
    cases = [
        nn.exists(x, where=nn.box(x, -1, 1), then=(y[0] >= y[1]) & (z[1] >= z[0])),
        nn.forall(x, where=nn.box(x, -1, 1) & (y[0] >= 0.1), then=y[0] + y[1] >= -4),
        nn.forall(x, where=nn.box(x, -1, -0.5) | nn.box(x, 0.5, 1), then=y[0] - z[0] <= 3),
        nn.forall(x, where=nn.ball(x, [0.25, 0], 0.5, p=2), then=(y[0] <= 2) | (z[0] <= 2)),
    ]
    for number, p in enumerate(cases):
        found, other = nn.verify(p, "bab", timeout=20), nn.verify(p, "bigm", timeout=20)
        assert found.status != "unknown", number
        assert other.status in (found.status, "unknown"), number
        assert found.lower <= other.upper + 1e-9, number
        assert other.lower <= found.upper + 1e-6, number


def test_integers_are_searched() -> None:
    f = nn.zoo.random_mlp(3, widths=(2, 8, 2))
    n = nn.Variable(2, name="n", integer=True)
    least = nn.minimize(f(n)[0], "bab", where=nn.box(n, 0, 3))
    assert least.point is not None
    assert (least.point.inputs["n"] % 1 == 0).all()
    other = nn.minimize(f(n)[0], "bigm", where=nn.box(n, 0, 3))
    assert least.lower <= other.upper + 1e-6
    assert other.lower - 1e-6 <= least.upper
    assert least.gap <= 1e-3


def test_the_least_value_of_a_term_closes() -> None:
    """Best bound first, the incumbent as the threshold: the interval is as narrow as was asked, round the truth."""
    for seed in range(3):
        query = random_query(random_network("dense", seed), seed)
        first = np.array([0])
        formula = Atoms(first, strict=False, soft=True)
        term = replace(query, rows=query.rows.take(first), formula=formula, labels=(), reading=Reading.MINIMUM)
        least = minimum_margin(term).margin
        found = nn.bab().optimum(term, Clock(10.0), Settings(), 1e-3)
        assert found.floor.bound <= least <= found.value
        assert found.value - found.floor.bound <= 1.5e-3 * max(1.0, abs(found.value))


def test_an_open_box_is_refused_and_the_portfolio_goes_on() -> None:
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=x[0] >= 0, then=nn.relu(x)[0] >= 0)
    with pytest.raises(MissingBoundsError, match="element 0 has bounds"):
        nn.verify(p, "bab")
    assert nn.verify(p).status == "verified"


def test_parts_of_a_disjunction_are_closed_one_by_one() -> None:
    """One tree for all targets: a domain carries those that are open, and their rows alone are asked for."""
    f = nn.zoo.random_mlp(1, widths=(2, 6, 3))
    x = nn.Variable(2, name="x")
    y = f(x)
    query = nn.forall(x, where=nn.box(x, -1, 1), then=(y[0] <= 5) & (y[1] <= 6) & (y[0] >= -9)).query
    asked: list[np.ndarray] = []

    class Watched(IntervalEngine):
        def bound(self, domains, **more):  # type: ignore[no-untyped-def]
            asked.append(domains.wanted)
            return super().bound(domains, **more)

    found = ran(query, "bab:longest", engine=Watched(query), nodes=3000)
    found.check("targets")
    assert len(targets(query)) == 3
    assert asked[0].all()
    assert any(not wanted.all() for wanted in asked[1:]) or len(asked) == 1


def test_formulas_are_joined() -> None:
    """Alternatives of conjunctions: every part has its rows and its box."""
    x = nn.Variable(2, name="x")
    query = nn.forall(x, where=nn.box(x, 0, 1), then=(x[0] <= 2) & (x[1] <= 3)).query
    part = targets(query)
    rows = [t.rows.tolist() for t in part]
    assert sorted(rows) == [[0], [1]]
    box = InBox(query.inputs[0], np.zeros(2), np.full(2, 0.5))
    both = replace(query, formula=conjunction(query.formula, disjunction(box)))
    assert all((t.boxes[query.inputs[0]].upper == 0.5).all() for t in targets(both))


def test_what_is_given_up_is_not_done() -> None:
    """A point, a bound a little below what is true of it, and nothing to split: that is no proof."""
    x = nn.Variable(1, name="x")
    query = nn.forall(x, where=nn.box(x, 0.3, 0.3), then=3 * x[0] >= Fraction(3 * 0.3)).query
    found = ran(query, "bab:longest", engine=IntervalEngine(query))
    assert not found.decided
    assert found.search.lower < 0
