"""Ranges of the whole domain that a search improves: when, how far, and that nothing true is lost."""

from __future__ import annotations

from fractions import Fraction
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import Trees, grown, refined, undecided
from nnsym.bounds.kept.tighter import tighter
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.results.clock import Deadline
from nnsym.search.strategy import Strategy
from nnsym.search.whole import LATER, Improving
from tests.kept import inside, relu_query
from tests.searching import ran


class Ticks:
    """A clock that a look at it moves on by one, and a level of better ranges by ``each`` for every round."""

    def __init__(self, each: int) -> None:
        self.each, self.now = each, 0

    def perf_counter(self) -> float:
        self.now += 1
        return float(self.now)


class Watched:
    """Makes better engines, and keeps what was asked for, when, and what came of it."""

    def __init__(self, query: Query, clock: Ticks | None = None) -> None:
        self.query, self.rounds, self.engines = query, list[int](), list[Engine]()
        self.clock, self.began, self.ended = clock or Ticks(0), list[int](), list[int]()

    def __call__(self, ranges, rounds: int, deadline: Deadline) -> Engine:  # type: ignore[no-untyped-def]
        self.rounds.append(rounds)
        self.began.append(self.clock.now)
        self.clock.now += self.clock.each * rounds
        self.ended.append(self.clock.now)
        self.engines.append(refined(self.query, ranges=ranges, rounds=rounds, deadline=deadline))
        return self.engines[-1]


def thin(gap: float, seed: int = 2) -> Query:
    """A network whose least margin is the ``gap``, which plain bounds miss by 0.3 or more."""
    query = relu_query(seed, widths=(8, 8, 6), inputs=3, radius=1.0)
    return query.shifted(Fraction(gap) - Fraction(minimum_margin(query).margin))


def whole(engine: Engine) -> float:
    return float(engine.bound(engine.root(), steps=20, goal=np.inf).lower.min())


TEXT = "bab:gap:steps=0:batch=1:refine=2"


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Levels take no time: each is due at the batch after the one before."""
    monkeypatch.setattr("nnsym.search.whole.time", SimpleNamespace(perf_counter=lambda: 0.0))


@pytest.mark.usefixtures("instant")
def test_a_domain_that_better_ranges_decide_is_split_no_further() -> None:
    """After 31 parts, with four times the rounds each time; what holds of the whole closes what is open."""
    query = thin(0.1, seed=0)
    watched = Watched(query)
    found = ran(query, TEXT, better=watched, seconds=120.0)
    found.check("decided by ranges")
    first, second = watched.engines
    assert watched.rounds == [2, 8]
    assert whole(Engine(query, dtype="float32")) < -0.1 < whole(first) < 0 < whole(second)
    assert found.search.examiner.engines.engine is second
    assert found.search.exhausted
    assert (found.search.census.nodes, found.search.census.mass) == (32, 1)


@pytest.mark.parametrize("each", [0, 3, 10])
def test_the_search_has_as_long_as_a_level_took_before_the_next(monkeypatch: pytest.MonkeyPatch, each: int) -> None:
    """By a clock that every batch, which looks once, moves on by one."""
    query, clock = thin(0.05), Ticks(each)
    monkeypatch.setattr("nnsym.search.whole.time", clock)
    watched = Watched(query, clock)
    found = ran(query, TEXT, better=watched, nodes=200, seconds=120.0)
    found.check("turns")
    assert watched.rounds == [2 * 4**k for k in range(len(watched.rounds))]
    assert len(watched.rounds) >= 2
    for ended, rounds, began in zip(watched.ended, watched.rounds, watched.began[1:], strict=False):
        assert each * rounds <= began - ended <= each * rounds + 4


@pytest.mark.usefixtures("instant")
def test_a_search_goes_on_with_better_ranges() -> None:
    """More rounds end where they do not pay. The bound is at once that of the whole."""
    query = thin(0.05)
    watched, plain = Watched(query), ran(query, TEXT.replace("=2", "=0"), nodes=31)
    found = ran(query, TEXT, better=watched, nodes=32, seconds=120.0)
    found.check("stopped")
    assert watched.rounds == [2, 8]
    assert whole(watched.engines[1]) < 0.8 * whole(watched.engines[0]) < 0
    assert plain.search.lower < -0.1 < found.search.lower


@pytest.mark.slow
def test_fewer_parts_are_bounded_on_better_ranges() -> None:
    query, text = thin(0.1), TEXT.replace("batch=1", "batch=16")
    less, more = (ran(query, text, better=better, nodes=10**5, seconds=30) for better in (Watched(query), None))
    less.check("refined")
    assert less.search.exhausted
    assert less.search.census.nodes < more.search.census.nodes


def test_nothing_is_refined_where_it_is_not_asked_for_or_few_parts_decide() -> None:
    query = thin(0.12)
    for text, nodes in ((TEXT.replace("refine=2", "refine=0"), 60), (TEXT, 20), ("bab:smear", 60)):
        watched = Watched(query)
        ran(query, text, better=watched, nodes=nodes)
        assert watched.rounds == [], text
    assert Strategy.of("bab").settled(query).refine == 0  # few inputs: those are split
    assert Strategy.of("bab:early").settled(query).refine == 5
    assert nn.bab("early", refine=7).strategy == Strategy.of("bab:early:refine=7")


@pytest.mark.slow
def test_a_record_is_gone_on_from_with_better_ranges(tmp_path: Path) -> None:
    query, path = thin(0.1), tmp_path / "search.jsonl"
    first = ran(query, TEXT, better=Watched(query), log=path, nodes=40)
    assert not first.search.exhausted
    again = ran(query, TEXT, better=(watched := Watched(query)), log=path, nodes=10**5, seconds=30)
    assert watched.rounds
    again.check("gone on")
    assert again.search.exhausted
    assert again.search.census.mass == 1


class Cut:
    """Makes engines with cuts, and keeps what was asked for and what came of it."""

    def __init__(self, *, pays: bool = True) -> None:
        self.pays, self.asked, self.engines = pays, list[Engine](), list[Engine]()

    def __call__(self, known, rows: int, goal: float, deadline: Deadline) -> Engine:  # type: ignore[no-untyped-def]
        self.asked.append(known)
        self.engines.append(tighter(known, rows=rows, goal=goal, deadline=deadline) if self.pays else known)
        return self.engines[-1]


def test_a_search_goes_on_with_cuts() -> None:
    """Parts and their halves take multipliers along, those from before the cuts have none."""
    query, text, cutting = thin(0.03), "bab:gap:steps=2:batch=2:refine=0", Cut()
    found = ran(query, text, cutting=cutting, nodes=10**5, seconds=60)
    found.check("cut")
    (engine,) = cutting.engines
    assert whole(engine) > whole(cutting.asked[0]) + 0.01
    assert found.search.examiner.engines.engine is engine
    assert found.search.exhausted
    assert found.search.census.nodes > 31
    assert found.search.census.mass == 1


@pytest.mark.slow
def test_ranges_wait_where_cuts_pay_and_splits_do_not_aim_at_them() -> None:
    query, text = thin(0.05), "bab:{}:steps=0:batch=1:refine=2"

    def order(rule: str, nodes: int, *, pays: bool) -> tuple[int, int]:
        watched, cutting = Watched(query), Cut(pays=pays)
        ran(query, text.format(rule), better=watched, cutting=cutting, nodes=nodes, seconds=120.0).check(rule)
        assert all(e in [*watched.engines, *cutting.asked] for e in cutting.asked)
        return len(cutting.asked), len(watched.engines)

    assert order("gap", 40, pays=True) == (1, 0)
    cuts, levels = order("gap", 40, pays=False)
    assert cuts == 1 + levels > 1  # and anew for ranges, which came at once
    assert order("early", 40, pays=True)[0] == 0
    cuts, levels = order("early:cuts=2", 40, pays=True)
    assert cuts == levels > 0


def test_how_many_rows_have_cuts_is_a_word() -> None:
    query = thin(0.05)
    assert nn.bab("gap", cuts=3).strategy == Strategy.of("bab:gap:cuts=3")
    assert Strategy.of("bab:gap:cuts=3").text == "bab:gap:cuts=3"
    assert Strategy.of("bab").settled(query).cuts == 0  # few inputs: those are split
    assert Strategy.of("bab:early").settled(query).cuts is None
    cutting = Cut()
    ran(query, "bab:gap:refine=0:cuts=0", cutting=cutting, nodes=60)
    ran(query, "bab:gap:refine=0", cutting=cutting, nodes=20)
    assert cutting.asked == []
    assert LATER > 100


@pytest.mark.usefixtures("instant")
def test_nothing_is_due_that_the_rule_does_not_ask_for() -> None:
    """Others would wait for it: see :meth:`nnsym.search.crew.Crew.go`."""
    query = thin(0.05)
    watched = Watched(query)
    found = ran(query, TEXT.replace("gap", "early"), better=watched, cutting=Cut(), nodes=40, seconds=120.0)
    assert watched.rounds
    assert not found.search.improving.due(10**6)
    waits = Improving(better=watched, cutting=Cut(), refined=100)
    assert (waits.due(99), waits.due(100)) == (False, True)
    assert Improving(cutting=Cut()).due(0)


@pytest.mark.parametrize("count", [2, 40])
def test_of_few_rows_several_leaves_are_split_at_once(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Fewer calls, as many leaves, which cover the domain; the bounds are sound, and about as good."""
    query = relu_query(2, widths=(48, 48), inputs=6, radius=2.0)
    engine = Engine(query, dtype="float32")
    layer = next(n for n in engine.plan.arguments if n not in engine.plan.straight)
    elements, looks = undecided(engine, layer, engine.ranges[layer])[:count], list[int]()
    look = Trees._look
    monkeypatch.setattr(
        Trees, "_look", lambda trees, leaves, steps: (looks.append(len(leaves)), look(trees, leaves, steps))
    )
    many = grown(engine, layer, elements, 15)
    several = len(looks)
    monkeypatch.setattr(import_module("nnsym.bounds.kept.refine"), "_MOST", 1)
    single = grown(engine, layer, elements, 15)
    assert many is not None
    assert single is not None
    assert len(looks) - several == 16
    assert several <= 7 if count == 2 else several == 16
    shares = 0.5 ** sum((phases[: many.count] != 0).sum(axis=1) for phases in many.phases.values())
    assert np.bincount(many.row[: many.count], shares) == pytest.approx(np.ones(len(many.index)), abs=0)
    assert (many.filled == single.filled).all()
    values = query.values(inside(query, np.random.default_rng(0), 200), exact=True)[layer]
    assert (many.sign * values[:, many.index] >= many.bounds()).all()
    plain = np.where(
        many.sign > 0, engine.ranges[layer].lower[0, many.index], -engine.ranges[layer].upper[0, many.index]
    )
    assert (many.bounds() - plain).sum() > 0.9 * (single.bounds() - plain).sum() > 0


def test_ranges_that_a_deadline_cut_off_are_no_worse_than_those_that_were_known() -> None:
    query = thin(0.05)
    good = refined(query, rounds=10).ranges
    late = refined(query, ranges=good, rounds=10, deadline=Deadline.after(0.02))
    for node in late.plan.arguments:
        assert (late.ranges[node].lower >= good[node].lower - 1e-6).all()
        assert (late.ranges[node].upper <= good[node].upper + 1e-6).all()
