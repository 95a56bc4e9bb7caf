"""Several processes on one search: what is lent, what comes back, what is lost."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from threading import Event

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.kept.refine import refined
from nnsym.judge.method import Settings
from nnsym.judge.registry import resolve
from nnsym.results.clock import Clock
from nnsym.search.crew import Crew, Turn
from nnsym.search.frontier import FRONTIERS
from nnsym.search.loop import Search
from nnsym.search.parcel import Parcel, known_nodes
from nnsym.search.parts.batch import Parts
from nnsym.search.share import Done, run
from nnsym.search.steps.trial import PARTS
from nnsym.search.whole import Improving
from nnsym.solvers.workers.runner import Returned
from nnsym.solvers.workers.worker import Report
from tests.kept import relu_query
from tests.searching import begun, wide
from tests.test_kept_cuts import random_cuts


def test_parcels_hold_what_they_are_given() -> None:
    query = relu_query(2, widths=(8, 8, 6), inputs=3, radius=1.0)
    search = begun(query, "bab:gap:refine=0:steps=4:batch=4")
    search.go(9)
    parts = search.frontier.take(len(search.frontier))
    again = Parcel.of(parts, known_nodes(query), 2.0**31).unpack(known_nodes(query))
    for some in (parts.domains, again.domains):
        assert some.ranges is not None
        assert some.dual is not None
    for name in ("lower", "opened", "depth", "number"):
        assert (getattr(again, name) == getattr(parts, name)).all()
    for one, two in ((again.domains.limits, parts.domains.limits), (again.domains.ranges, parts.domains.ranges)):
        assert set(one) == set(two)
        assert all((one[n].lower == two[n].lower).all() and (one[n].upper == two[n].upper).all() for n in one)
    assert set(again.domains.dual.slopes) == set(parts.domains.dual.slopes)
    assert Parcel.of(parts, known_nodes(query), 15.0 * parts.nbytes).ranges is None


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


def away(search: Search, parts: Parts) -> Turn:
    """Parts that are lent."""
    search.ledger.away.append(parts)
    return Turn(parts, search.examiner.engines.engine)


def test_what_is_away_is_open() -> None:
    """It counts for the bound of the whole; what a helper says of parts that were settled meanwhile is not taken."""
    search = begun(_long(2.605), TWO)
    search.go(PARTS)
    crew, ledger = Crew(search, dtype="float32", memory=2**31, seed=0), search.ledger
    lower, opened = search.lower, search.snapshot().opened
    lent = away(search, search.frontier.take(len(search.frontier)))
    assert (search.lower, search.snapshot().opened) == (lower, opened)
    assert not search.exhausted
    ledger.settle()
    crew._back(lent)
    crew._take(lent, Returned(error="killed"))
    crew._take(lent, crew._run(crew._share(lent.parts), Event()))
    assert search.exhausted
    assert search.census.mass == 1


def test_what_a_helper_closed_counts_for_every_bound() -> None:
    """For the one that rests on nobody's word, and for the one that would rest on a solver's."""
    search = begun(_long(2.605), TWO)
    search.go(PARTS)
    lent = away(search, search.frontier.take(len(search.frontier)))
    done = Done(lines=(), opened=None, stuck=(), seen={}, closed={}, splits={}, least=1e-9, point=None)
    Crew(search, dtype="float32", memory=2**31, seed=0)._take(lent, Returned(value=done))
    assert search.lower == search.ledger.believed == 1e-9


def test_turns_cut_no_bounds_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a turn comes between two batches: where neurons are split helpers bound as many parts as one process.

    Bounds that were cut off cost splits, thousands here. How sums round depends on a batch, which moves a split or two.
    """
    monkeypatch.setattr("nnsym.search.crew._TURN", 0.02)
    query = wide()
    one, two = (begun(query, f"bab:early:refine=0:batch=16:workers={workers}") for workers in (1, 2))
    one.go()
    two.go(PARTS)
    Crew(two, dtype="float32", memory=2**31, seed=0).go()
    assert one.exhausted
    assert two.exhausted
    assert one.census.nodes > 300
    assert abs(two.census.nodes - one.census.nodes) <= 8


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
    crew._share = lambda parts: shares.append(lend(parts)) or shares[-1]  # type: ignore[method-assign]
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
    at_work, waiting = (away(search, search.frontier.share(3)) for _ in range(2))
    crew._turns = {(running := Future()): at_work, Future(): waiting}
    running.set_running_or_notify_cancel()
    assert crew._recall() == 1
    assert len(search.frontier) == opened - len(at_work.parts)
    assert not at_work.hurry.is_set()
    assert crew._recall() == 0
    assert at_work.hurry.is_set()


def test_a_hurried_share_comes_back_as_it_was() -> None:
    """Told before its first batch; how a worker is told, another test says."""
    search = begun(_long(2.605), TWO)
    search.go(PARTS)
    crew, opened, seen = Crew(search, dtype="float32", memory=2**31, seed=0), len(search.frontier), search.census.nodes
    turn = away(search, search.frontier.share(2))
    turn.hurry.set()
    report = Report(-1, turn.hurry)
    report.deadline += 60
    crew._take(turn, Returned(value=run(crew._share(turn.parts), report)))
    assert len(search.frontier) == opened
    assert search.census.nodes == seen


@pytest.mark.parametrize("lost", [False, True])
def test_what_comes_home_after_cuts_were_found_knows_none_of_the_old_ones(lost: bool) -> None:
    """Multipliers of one engine's cuts are none of another's, which has as many cuts as it has."""
    query, rng = wide(), np.random.default_rng(0)
    search, cuts = begun(query, "bab:gap:refine=0:batch=16:workers=2"), random_cuts(query, rng)
    crew, engines = Crew(search, dtype="float32", memory=2**31, seed=0), search.examiner.engines
    engines.become(engines.engine.with_cuts(cuts))
    search.go(PARTS)
    lent = away(search, search.frontier.share(2))
    share = crew._share(lent.parts)
    more = random_cuts(query, rng)
    engines.become(engines.engine.with_cuts({node: own.with_more(more[node]) for node, own in cuts.items()}))
    crew._take(lent, Returned(error="killed") if lost else Returned(value=run(share, Report(-1, Event()))))
    assert search.frontier.blocks[-1].domains.dual is None
    search.go()
    assert search.exhausted


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
        lower, lent = search.lower, away(search, search.frontier.share(2))
        assert len(search.frontier) == opened - len(lent.parts) > 0
        assert search.lower <= lower
        crew._take(lent, Returned(error="killed"))
        assert (len(search.frontier), search.ledger.away) == (opened, [])
    crew.go()
    assert search.exhausted
    assert search.census.mass == 1
