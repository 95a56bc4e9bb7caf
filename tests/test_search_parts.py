"""The parts of a search: rules that are tried, records that are held back, and several processes on one search."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from threading import Event

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import refined
from nnsym.errors import InputError
from nnsym.judge.method import Settings
from nnsym.judge.registry import resolve
from nnsym.results.clock import Clock, Deadline
from nnsym.search.crew import Crew, Turn
from nnsym.search.frontier import FRONTIERS
from nnsym.search.goal import Decide
from nnsym.search.parcel import Parcel, known_nodes
from nnsym.search.parts.places import places
from nnsym.search.session import Conditions, begin
from nnsym.search.share import Done, run
from nnsym.search.steps.choose import choose
from nnsym.search.steps.reduce import REDUCTIONS
from nnsym.search.steps.trial import PARTS, left
from nnsym.search.strategy import Strategy
from nnsym.search.whole import Improving
from nnsym.solvers.workers.runner import Returned
from nnsym.solvers.workers.worker import Report
from tests.kept import relu_query


def begun(query, text, log=None, **more):  # type: ignore[no-untyped-def]
    strategy, goal = Strategy.of(text).settled(query), Decide(query)
    given = Conditions(deadline=Deadline.after(60.0), log=log)
    return begin(query, Engine(query, dtype=strategy.dtype), goal, strategy, given)


def wide():  # type: ignore[no-untyped-def]
    """A query with more inputs than are split: some 900 parts by ``early``, 113 by ``gap``."""
    f = nn.zoo.random_mlp(0, widths=(64, 16, 16, 2))
    x = nn.Variable(64, name="x")
    y = f(x)
    return nn.forall(x, where=nn.box(x, -0.6, 0.6), then=y[0] - y[1] <= 42).query


def test_words_name_values() -> None:
    assert set(FRONTIERS) == {"depth", "best"}
    assert set(REDUCTIONS) == {"clip"}
    assert all(kind.summary for kind in (*FRONTIERS.values(), *REDUCTIONS.values()))
    assert Strategy.of("bab:gap:best:workers=2").text == "bab:gap:best:workers=2"


def test_more_parts_are_bounded_together_once_a_tree_is_large() -> None:
    """Of small networks with few inputs; a number that was named is kept to."""
    small = relu_query(0, (3, 4, 2))
    chosen, named, hidden = (Strategy.of(text).settled(small) for text in ("bab", "bab:batch=32", "bab:gap"))
    assert [chosen.at_once(n) for n in (0, 511, 512)] == [128, 128, 384]
    assert [named.at_once(n) for n in (0, 512)] == [32, 32]
    assert hidden.at_once(0) == hidden.at_once(512)


@pytest.mark.parametrize("together", [False, True])
def test_smaller_boxes_start_from_plain_slopes_but_for_sums_of_rows(together: bool) -> None:
    f, x = nn.zoo.random_mlp(3, widths=(3, 12, 12, 2)), nn.Variable(3, name="x")
    y = f(x)
    low = nn.minimize(y[0], "bab:smear:batch=16", where=nn.box(x, -1, 1)).lower
    holds = (y[0] >= low) | (y[1] >= 1e3) if together else y[0] >= low
    search = begun(nn.forall(x, where=nn.box(x, -1, 1), then=holds).query, "bab:smear:steps=2:batch=4")
    search.go(9)
    assert len(search.frontier) > 0
    assert all((block.domains.dual is not None) == together for block in search.frontier.blocks)


def test_two_rules_are_tried_where_none_is_named() -> None:
    """Up to PARTS parts by the first; the one that leaves less goes on, and its tree alone is in the record."""
    query = wide()
    strategy = Strategy.of("bab").settled(query)
    assert [rule.text for rule in (strategy.branching, *strategy.rivals)] == ["early", "gap"]
    assert Strategy.of("bab:gap").settled(query).rivals == ()
    search = begun(query, "bab:refine=0")
    trees = {}
    for name in ("early", "gap"):
        alone = begun(query, f"bab:{name}:refine=0")
        alone.go(PARTS)
        trees[name] = left(alone.ledger, alone.problem)
    search.go(PARTS)
    assert trees["gap"] < trees["early"]
    assert search.rule.text == "gap"
    assert left(search.ledger, search.problem) == trees["gap"]
    search.go()
    assert search.exhausted
    assert search.census.nodes < 300


def test_rules_are_tried_anew_on_better_ranges() -> None:
    """The record of the first tree, which is held back until then, gives way to that of the second."""
    query = wide()
    strategy = Strategy.of("bab:cuts=0").settled(query)
    given = Conditions(deadline=Deadline.after(600.0), better=lambda r, n, end: refined(query, ranges=r, rounds=2))
    search = begin(query, Engine(query, dtype=strategy.dtype), Decide(query), strategy, given)
    first = search.examiner.engines.engine
    search.go(PARTS + 1)
    assert search.examiner.engines.engine is not first
    trees = {}
    for rule in (strategy.branching, *strategy.rivals):
        alone = replace(strategy, branching=rule, rivals=())
        bare = Conditions(deadline=Deadline.after(600.0))
        tree = begin(query, search.examiner.engines.engine, Decide(query), alone, bare)
        tree.go(PARTS)
        trees[rule.text] = left(tree.ledger, tree.problem)
    assert search.rule.text == min(trees, key=trees.__getitem__)
    assert left(search.ledger, search.problem) <= min(trees.values())


@pytest.mark.parametrize("text", ["gap", "early", "smear", "mixed"])
def test_where_neurons_are_split_none_is_left_before_an_input_is(text: str) -> None:
    """Where no score tells, as where a relaxation is attained, a rule goes on with what it splits."""
    query = wide()
    search = begun(query, f"bab:{text}:refine=0")
    found = search.examiner.engines.engine.bound(search.frontier.take(1).domains)
    (x,), zero = query.inputs, {n: np.zeros((1, n.size)) for n in found.ranges}
    hidden = {n: zero[n] for n in found.gaps}
    scores = {"smear": {x: zero[x]}, "mixed": {**hidden, x: zero[x]}}.get(text, hidden)
    (branches,), able = choose(places(query), found.ranges, scores, 1)
    assert able.all()
    assert (branches.places[branches.place[0]] is x) == (text in ("smear", "mixed"))


def test_what_is_left_counts_parts_by_their_share() -> None:
    query = wide()
    search = begun(query, "bab:gap:refine=0")
    search.go(PARTS)
    far, mass = left(search.ledger, search.problem)
    assert mass == pytest.approx(1 - float(search.census.mass))
    deepest = sum(0.5 ** int(d) * -b for n in search.frontier.blocks for d, b in zip(n.depth, n.least, strict=True))
    assert far == pytest.approx(deepest)


@pytest.mark.parametrize("text", ["bab:refine=0", "bab:gap:refine=0"])
def test_the_record_of_a_tried_search_is_gone_on_from(tmp_path: Path, text: str) -> None:
    query, path = wide(), tmp_path / "search.jsonl"
    first = begun(query, text, path)
    first.go(10)
    held = len(path.read_text().splitlines())
    first.go(PARTS + 20)
    assert not first.decided
    first.ledger.log.end()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert held == 1  # the head alone, until a rule is chosen
    assert sum(len(line.get("split", ())) for line in lines) == sum(first.census.splits.values())
    again = begun(query, text, path)
    assert (again.census.mass, len(again.frontier)) == (first.census.mass, len(first.frontier))
    assert again.rule == first.rule
    again.go()
    assert again.decided


def test_parcels_hold_what_they_are_given() -> None:
    query = relu_query(2, widths=(8, 8, 6), inputs=3, radius=1.0)
    search = begun(query, "bab:gap:refine=0:steps=4:batch=4")
    search.go(9)
    nodes = search.frontier.take(len(search.frontier))
    again = Parcel.of(nodes, known_nodes(query), 2.0**31).nodes(known_nodes(query))
    for some in (nodes.domains, again.domains):
        assert some.ranges is not None
        assert some.dual is not None
    for name in ("lower", "opened", "depth", "number"):
        assert (getattr(again, name) == getattr(nodes, name)).all()
    for one, two in ((again.domains.limits, nodes.domains.limits), (again.domains.ranges, nodes.domains.ranges)):
        assert set(one) == set(two)
        assert all((one[n].lower == two[n].lower).all() and (one[n].upper == two[n].upper).all() for n in one)
    assert set(again.domains.dual.slopes) == set(nodes.domains.dual.slopes)
    assert Parcel.of(nodes, known_nodes(query), 15.0 * nodes.nbytes).ranges is None


def _long(most: float):  # type: ignore[no-untyped-def]
    """Some hundred parts by the widest input; the difference is at most 2.58487."""
    f = nn.zoo.random_mlp(1, widths=(4, 16, 16, 2))
    x = nn.Variable(4, name="x")
    y = f(x)
    return nn.forall(x, where=nn.box(x, -1, 1), then=y[0] - y[1] <= most).query


TWO = "bab:longest:batch=16:workers=2"


@pytest.mark.parametrize("workers", [2, 3])
def test_several_workers_say_what_one_does(workers: int, tmp_path: Path) -> None:
    """Verdict and closed mass; one record, from which one process goes on."""
    query, path = _long(2.605), tmp_path / "search.jsonl"
    search = begun(query, f"bab:longest:batch=16:workers={workers}", path)
    search.go(PARTS)
    assert not search.decided
    Crew(search, dtype="float32", memory=2**31, seed=0).go()
    search.ledger.log.end()
    assert search.exhausted
    assert search.census.mass == 1
    assert search.census.nodes > 300
    assert 0 < search.lower == search.ledger.believed <= 2.605 - 2.5848
    text = path.read_bytes()
    for share in (0.5, 0.9, 1.0):
        path.write_bytes(text[: int(share * len(text))])
        again = begun(query, "bab:longest", path)
        assert share < 1.0 or again.census.mass == 1
        again.go()
        assert again.exhausted
        assert again.census.mass == 1


def test_what_is_away_is_open() -> None:
    """It counts for the bound of the whole; what a helper says of parts that were settled meanwhile is not taken."""
    search = begun(_long(2.605), TWO)
    search.go(PARTS)
    crew, ledger = Crew(search, dtype="float32", memory=2**31, seed=0), search.ledger
    lower, opened = search.lower, search.snapshot().opened
    ledger.away.append(lent := search.frontier.take(len(search.frontier)))
    assert (search.lower, search.snapshot().opened) == (lower, opened)
    assert not search.exhausted
    ledger.settle()
    crew._back(lent)
    crew._take(lent, Returned(error="killed"))
    crew._take(lent, crew._run(crew._share(lent), Event()))
    assert search.exhausted
    assert search.census.mass == 1


def test_what_a_helper_closed_counts_for_every_bound() -> None:
    """For the one that rests on nobody's word, and for the one that would rest on a solver's."""
    search = begun(_long(2.605), TWO)
    search.go(PARTS)
    search.ledger.away.append(lent := search.frontier.take(len(search.frontier)))
    done = Done(lines=(), opened=None, stuck=(), seen={}, closed={}, splits={}, least=1e-9, point=None)
    Crew(search, dtype="float32", memory=2**31, seed=0)._take(lent, Returned(value=done))
    assert search.lower == search.ledger.believed == 1e-9


def test_turns_cut_no_bounds_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a turn comes between two batches: where neurons are split helpers bound as many parts as one process.

    Bounds that were cut off in the middle cost splits.
    """
    monkeypatch.setattr("nnsym.search.crew._TURN", 0.02)
    query = wide()
    one, two = (begun(query, f"bab:early:refine=0:batch=16:workers={workers}") for workers in (1, 2))
    one.go()
    two.go(PARTS)
    Crew(two, dtype="float32", memory=2**31, seed=0).go()
    assert one.exhausted
    assert two.exhausted
    assert two.census.nodes == one.census.nodes > 300


def test_open_parts_of_a_helper_leave_room_in_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of one process do: bounding them takes memory too."""
    search, given = begun(_long(2.605), TWO), []
    search.go(PARTS)
    crew = Crew(search, dtype="float32", memory=2**31, seed=0)
    kind = FRONTIERS["depth"]
    monkeypatch.setattr("nnsym.search.share.FRONTIERS", {"depth": lambda most: given.append(most) or kind(most)})
    (hurry := Event()).set()
    run(crew._share(search.frontier.share(2)), Report(-1, hurry))
    assert given == [2**29]


def test_better_ranges_find_all_that_is_open_at_home() -> None:
    """Helpers work before they are looked for, hand back what they have, and know them afterwards."""
    query, seen = wide(), []

    def better(ranges, rounds, deadline):  # type: ignore[no-untyped-def]
        seen.append((len(crew.search.ledger.away), len(crew._turns)))
        return refined(query, rounds=1, ranges=ranges, deadline=deadline)

    search = begun(query, "bab:early:refine=1:cuts=0:batch=16:workers=2")
    search.go(PARTS)
    crew, shares = Crew(search, dtype="float32", memory=2**31, seed=0), []
    lend = crew._share
    crew._share = lambda nodes: shares.append(lend(nodes)) or shares[-1]  # type: ignore[method-assign]
    search.improving = Improving(better=better, refined=100)
    crew.go()
    assert search.exhausted
    assert search.census.mass == 1
    assert seen[0] == (0, 0)
    assert shares[0].whole != shares[-1].whole == crew._common()


def test_shares_that_nobody_has_begun_come_back_before_anybody_hurries() -> None:
    search = begun(_long(2.605), TWO)
    search.go(PARTS)
    crew, opened = Crew(search, dtype="float32", memory=2**31, seed=0), len(search.frontier)
    at_work, waiting = (Turn(search.frontier.share(3)) for _ in range(2))
    search.ledger.away += [at_work.nodes, waiting.nodes]
    crew._turns = {(running := Future()): at_work, Future(): waiting}
    running.set_running_or_notify_cancel()
    assert crew._recall() == 1
    assert len(search.frontier) == opened - len(at_work.nodes)
    assert not at_work.hurry.is_set()
    assert crew._recall() == 0
    assert at_work.hurry.is_set()


def test_a_hurried_share_comes_back_as_it_was() -> None:
    """Told before its first batch; how a worker is told, another test says."""
    search = begun(_long(2.605), TWO)
    search.go(PARTS)
    crew, opened, seen = Crew(search, dtype="float32", memory=2**31, seed=0), len(search.frontier), search.census.nodes
    turn = Turn(search.frontier.share(2))
    search.ledger.away.append(turn.nodes)
    turn.hurry.set()
    report = Report(-1, turn.hurry)
    report.deadline += 60
    crew._take(turn.nodes, Returned(value=run(crew._share(turn.nodes), report)))
    assert len(search.frontier) == opened
    assert search.census.nodes == seen


def test_a_worker_finds_a_counterexample() -> None:
    result = resolve(TWO).judge(_long(2.5847), Clock(60.0), Settings())
    assert result.status == "falsified"
    assert ":workers=2" in next(step.note for step in result.trail if step.name == "search")


def test_a_least_value_is_found_alone() -> None:
    """A best value would have to be shared: the search of an optimum is one process, whatever its text says."""
    f, x = nn.zoo.random_mlp(2, widths=(3, 8, 2)), nn.Variable(3, name="x")
    term = 20 + f(x)[0]
    one, two = (nn.minimize(term, text, where=nn.box(x, -1, 1)) for text in ("bab:smear", "bab:smear:workers=2"))
    assert (two.lower, two.upper) == (one.lower, one.upper)
    assert two.gap <= 1e-3


def test_a_lost_worker_has_done_nothing() -> None:
    """Its share is open again; after some losses the search goes on alone."""
    search = begun(_long(2.605), TWO)
    search.go(PARTS)
    crew = Crew(search, dtype="float32", memory=2**31, seed=0)
    opened = len(search.frontier)
    for _ in range(3):
        lent, lower = search.frontier.share(2), search.lower
        search.ledger.away.append(lent)
        assert len(search.frontier) == opened - len(lent) > 0
        assert search.lower <= lower
        crew._take(lent, Returned(error="killed"))
        assert (len(search.frontier), search.ledger.away) == (opened, [])
    crew.go()
    assert search.exhausted
    assert search.census.mass == 1


def test_a_record_is_shown(tmp_path: Path) -> None:
    """By depth, with the first splits; the counts are those of the search, and a picture has both panels."""
    from nnsym.report.search import Tree, draw_search, story

    query, path = wide(), tmp_path / "search.jsonl"
    search = begun(query, "bab:gap:refine=0:batch=8", path)
    search.go(60)
    assert not search.decided
    search.ledger.log.end()
    tree = Tree.read(path)
    counts = np.array(tree.counts())
    assert counts[:, 0].sum() == sum(search.census.splits.values())
    assert counts[:, 1].sum() == sum(search.census.closed.values())
    assert counts[:, 2].sum() == len(search.frontier)
    assert tree.masses[-1][1] == pytest.approx(float(search.census.mass))
    assert all(tree.parts[k].least >= tree.parts[p.parent].least for k, p in tree.parts.items() if p.closed)
    text = story(path)
    assert "split at place" in text
    assert "<= margin" in text
    assert len(draw_search(path, tmp_path / "search.svg").axes) == 2
    assert (tmp_path / "search.svg").stat().st_size > 1000
    (tmp_path / "other").write_text('{"something": 1}\n')
    with pytest.raises(InputError, match="no record of a search"):
        story(tmp_path / "other")


@pytest.mark.parametrize("rule", ["smear", "longest", "mixed", "finish"])
def test_units_of_inputs_change_no_split(rule: str) -> None:
    f = nn.zoo.random_mlp(1, widths=(3, 16, 16, 2))
    x = nn.Variable(3, name="x")

    def stated(units: np.ndarray) -> nn.Property:
        y = f(x / units)
        return nn.forall(x, where=nn.box(x, -units, units), then=y[0] - y[1] <= 7)

    text = f"bab:{rule}:float64:batch=8:refine=0"
    plain, feet = (nn.verify(stated(np.array(units)), text) for units in ([1.0, 1, 1], [2.0**20, 1, 2.0**-12]))
    assert plain.verified
    assert feet.verified
    assert plain.sizes.nodes == feet.sizes.nodes > 9


def test_units_of_inputs_change_no_certificate() -> None:
    f = nn.zoo.random_mlp(1, widths=(3, 16, 16, 2))
    x = nn.Variable(3, name="x")
    leaves = []
    for units in (np.ones(3), np.array([2.0**20, 1, 2.0**-12])):
        y = f(x / units)
        p = nn.forall(x, where=nn.box(x, -units, units), then=y[0] - y[1] <= 8)
        made = nn.verify(p, certificate=True).certificate
        assert made is not None
        leaves.append(made.leaves)
    assert leaves[0] == leaves[1] > 1
