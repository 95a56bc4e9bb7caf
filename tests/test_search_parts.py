"""The parts of a search: words, rules that are tried, records that are held back, splits that have no unit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import refined
from nnsym.errors import InputError
from nnsym.results.clock import Deadline
from nnsym.search.frontier import FRONTIERS
from nnsym.search.goal import Decide
from nnsym.search.parts.places import places
from nnsym.search.session import Conditions, begin
from nnsym.search.steps.choose import choose
from nnsym.search.steps.reduce import REDUCTIONS
from nnsym.search.steps.trial import PARTS, left
from nnsym.search.strategy import Strategy
from tests.kept import relu_query
from tests.searching import begun, wide


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
