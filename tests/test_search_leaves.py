"""Parts that go to a solver: which ones, what their answers close, on whose word, and what a wrong sign would do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds import intervals
from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.types import Domains, Limit
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.formula import Atoms
from nnsym.ir.node import Input, Pointwise
from nnsym.ir.query import Query, Reading
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.judge.bab import SearchMethod
from nnsym.judge.method import Settings
from nnsym.judge.programs import leaves as asking
from nnsym.judge.registry import resolve
from nnsym.results.clock import Clock, Deadline
from nnsym.results.result import Trust
from nnsym.search.goal import Decide, Minimise
from nnsym.search.leaves import LEAVES
from nnsym.search.loop import Search
from nnsym.search.parts.batch import Parts
from nnsym.search.parts.places import places
from nnsym.search.parts.targets import Worth, targets
from nnsym.search.session import Conditions, begin
from nnsym.search.steps import finish, leaf
from nnsym.search.steps.leaf import Told
from nnsym.search.strategy import Strategy
from nnsym.testing.random_nets import random_network, random_query
from tests.fuzz.searches import LEAFY, faults
from tests.interval_engine import IntervalEngine
from tests.mutants import mutant
from tests.searching import inside


def _difference(most: float) -> Query:
    """Some hundred parts by the widest input, ever more by neurons; the difference is at most 2.58487."""
    f, x = nn.zoo.random_mlp(1, widths=(4, 16, 16, 2)), nn.Variable(4, name="x")
    y = f(x)
    return nn.forall(x, where=nn.box(x, -1, 1), then=y[0] - y[1] <= most).query


def _search(query: Query, text: str, ask: Any, *, goal: Any = None, **more: Any) -> Search:
    """A search on intervals, which leave much to be asked."""
    engine, strategy = IntervalEngine(query), Strategy.of(text).settled(query)
    return begin(
        query, engine, goal or Decide(query), strategy, Conditions(deadline=Deadline.after(60.0), ask=ask, **more)
    )


def test_names_and_texts() -> None:
    assert set(LEAVES) == {"lp", "milp", "smt"}
    assert all(found.summary and found.paper for found in LEAVES.values())
    for text in ("bab:leaf=lp", "bab:gap:leaf=milp:few=40", "bab:leaf=lp+tj+krelu3"):
        assert Strategy.of(text).text == text
        assert resolve(text).name == text
    assert nn.bab("gap", leaf="milp", few=9).name == "bab:gap:leaf=milp:few=9"
    assert Strategy.of("bab:leaf=lp+tj").leaf.encoding == "triangle+tj"
    for text in ("bab:leaf=cvc", "bab:leaf=", "bab:few=3", "bab:leaf=lp:workers=2", "bab:leaf=lp+nothing"):
        with pytest.raises(InputError):
            Strategy.of(text)
    with pytest.raises(UnsupportedError, match="a margin to bound"):
        Strategy.of("bab:leaf=smt+tj")


MORE = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("leaky", "clip", "maxpool", "sign", "abs")]


@pytest.mark.parametrize("kind", ["dense", *MORE])
def test_what_is_said_is_true(kind: str) -> None:
    """Each leaf on random networks, half of the margins within 2^-12 of zero."""
    decided = 0
    for seed, text in enumerate(LEAFY):
        query = random_query(random_network(kind, seed), seed, tight=seed % 2 == 1)
        result = resolve(text).judge(query, Clock(10.0), Settings())
        assert not faults(result, query, minimum_margin(query)), (text, seed)
        decided += result.status != "unknown"
    assert decided >= 3


@pytest.mark.slow
def test_a_mixed_integer_leaf_closes_what_bounds_do_not_and_says_so() -> None:
    """A solver's word is the trust of the whole; what is certified of the margin stays what bounds say of it."""
    method = resolve("bab:gap:refine=0:leaf=milp")
    result = method.judge(_difference(2.605), Clock(60.0), Settings())
    assert (result.status, result.trust, result.lower, result.lower_trust) == ("verified", "solver", 0.0, "solver")
    assert "some on a solver's word" in result.reason
    assert result.sizes.nodes < 40
    assert "closed by them" in next(step.note for step in result.trail if step.name == "search")
    wrong = method.judge(_difference(2.58), Clock(60.0), Settings())
    assert (wrong.status, wrong.trust) == ("falsified", "exact")


def test_duals_and_rationals_keep_the_trust() -> None:
    small, x = nn.zoo.random_mlp(1, widths=(2, 6, 6, 2)), nn.Variable(2, name="x")
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 60)] * 2), -1).reshape(-1, 2)
    most = float(np.diff(small(grid)[:, ::-1])[:, 0].max()) + 0.0625
    tiny = nn.forall(x, where=nn.box(x, -1, 1), then=small(x)[0] - small(x)[1] <= most).query
    for query, text, room in (
        (_difference(3.2), "bab:longest:leaf=lp:few=20", 3.2 - 2.58486),
        (tiny, "bab:gap:refine=0:steps=0:leaf=smt:few=99", 0.0625),
    ):
        result = resolve(text).judge(query, Clock(60.0), Settings())
        assert (result.status, result.trust) == ("verified", "certified")
        assert 0 <= result.lower <= room
        assert " 0 were closed" not in (note := next(step.note for step in result.trail if step.name == "search"))
        assert "closed by them" in note


class Asked:
    """Somebody who is asked, and what is answered: a function of how often, or a value."""

    def __init__(self, told: Told | Callable[[int], Told]) -> None:
        self.told, self.parts, self.opened = told, [], []

    def __call__(self, solver: Any, part: Query, ranges: Any, deadline: Any) -> Told:
        self.parts.append(part)
        before = [ranges[n.parents[0]] for n in part.nodes if isinstance(n, Pointwise) and n.parents[0] in ranges]
        self.opened.append(sum(int(((r.lower < 0) & (r.upper > 0)).sum()) for r in before))
        return self.told(len(self.parts)) if callable(self.told) else self.told


@pytest.mark.parametrize("few", [0, 8, 12])
def test_parts_with_few_open_neurons_are_asked_about_and_no_others(few: int) -> None:
    asked, every = Asked(Told()), Asked(Told())
    query = _difference(2.605)
    for somebody, most in ((asked, few), (every, 999)):
        search = _search(query, f"bab:longest:leaf=lp:few={most}", somebody)
        search.go(300)
        assert search.census.nodes >= 300
    assert all(opened <= few for opened in asked.opened)
    assert len(asked.parts) == sum(opened <= few for opened in every.opened)
    assert len(every.parts) > 100


@pytest.mark.parametrize(
    ("text", "said", "closed"),
    [
        ("lp", Trust.CERTIFIED, True),
        ("lp", Trust.EXACT, True),
        ("lp", Trust.SOLVER, False),
        ("smt", Trust.CERTIFIED, False),
        ("milp", Trust.SOLVER, True),
        ("milp", Trust.ASSUMED, False),
        ("milp", None, False),
    ],
)
def test_no_weaker_word_closes_a_part(text: str, said: Trust | None, closed: bool) -> None:
    search = _search(_difference(2.605), f"bab:longest:leaf={text}:few=999", Asked(Told(excluded=said)))
    search.go(100)
    assert search.exhausted == closed
    if closed:
        assert (search.census.nodes, search.ledger.word) == (1, said if said is Trust.SOLVER else Trust.CERTIFIED)
        assert (search.lower >= 0) == (said is not Trust.SOLVER)
        assert search.ledger.believed == 0


def test_bounds_of_a_solver_are_taken_even_where_they_do_not_decide() -> None:
    """The bound that is certified of the whole is that of the parts; a target that is closed keeps its own."""
    least = 2.605 - 2.58487
    search = _search(_difference(2.605), "bab:longest:leaf=lp:few=999", Asked(Told(lower=-0.25)))
    search.go(40)
    assert search.lower == -0.25
    asked = asking.Leaves(Settings())
    real, alone = (_search(_difference(2.605), "bab:longest:leaf=lp:few=999", ask) for ask in (asked, None))
    for some in (real, alone):
        some.go(40)
    assert alone.lower < real.lower <= least
    assert asked.asked > 20


def test_who_closes_nothing_is_asked_ever_more_rarely() -> None:
    somebody = Asked(Told())
    search = _search(_difference(2.605), "bab:longest:leaf=lp:batch=4", somebody)
    search.go(200)
    assert 8 < len(somebody.parts) < 24
    lucky = Asked(lambda k: Told(excluded=Trust.CERTIFIED) if k % 4 == 0 else Told())
    _search(_difference(2.605), "bab:longest:leaf=lp:batch=4", lucky).go(200)
    assert len(lucky.parts) > 3 * len(somebody.parts)


def test_points_of_a_solver_falsify_only_after_replay() -> None:
    query = _difference(2.58)
    x = query.inputs[0]
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 4)).reshape(4, -1).T
    good = min(corners, key=lambda p: query.margin(query.values({x: p})))
    violated = query.margin(query.values({x: good})) < 0
    for point, found in ((good, violated), (np.zeros(4), False), (np.full(4, 9.0), False)):
        search = _search(query, "bab:longest:leaf=milp:few=999", lambda *_, p=point: Told(point={x: p}))
        search.examiner.looks.goal, search.examiner.looks.query = Decide(query), query  # nobody else finds anything
        search._step(search.frontier.take(1))
        assert search.problem.goal.done == found


def test_a_record_keeps_the_word_that_parts_were_closed_on(tmp_path: Path) -> None:
    query, path = _difference(2.605), tmp_path / "search.jsonl"
    one = {1: Told(excluded=Trust.SOLVER)}
    text = "bab:longest:leaf=milp:few=12:batch=4"
    first = _search(query, text, Asked(lambda k: one.get(k, Told())), log=path)
    first.go(300)
    first.ledger.log.end()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert sum("word" in line for line in lines) == 1
    again = _search(query, "bab:longest", None, log=path)
    assert (again.ledger.word, first.ledger.word) == (Trust.SOLVER, Trust.SOLVER)
    assert (again.lower, again.ledger.believed) == (first.lower, first.ledger.believed)
    assert (again.census.mass, len(again.frontier)) == (first.census.mass, len(first.frontier))
    assert again.ledger.closed < 0 <= again.ledger.granted
    again.ledger.log.end()
    done = SearchMethod(strategy=Strategy.of("bab:longest"), log=path).judge(query, Clock(60.0), Settings())
    assert (done.status, done.trust) == ("verified", "solver")
    path.write_text(path.read_text().replace('"solver"', '"somebody"'))
    with pytest.raises(InputError, match="does not fit the others"):
        _search(query, "bab:longest", None, log=path)


def test_what_is_asked_of_an_optimum_is_whether_it_gets_lower() -> None:
    """Before any point is known the threshold is no number: what is excluded then are values below 0, and no more."""
    query = _difference(2.605)
    term = replace(
        query,
        rows=query.rows.take(np.array([0])),
        formula=Atoms(np.array([0]), strict=False, soft=True),
        labels=(),
        reading=Reading.MINIMUM,
    )
    for best, shift in ((np.inf, 0.0), (7.5, 7.5)):
        goal = Minimise(term, 0.0)
        goal.best = best
        somebody = Asked(Told(excluded=Trust.EXACT, lower=0.5))
        search = _search(term, "bab:longest:best:leaf=smt:few=999", somebody, goal=goal)
        one = search.frontier.take(1)
        search.finisher.finish(one, search.ledger, search.deadline)
        assert search.lower == pytest.approx(shift + 0.5)
        point = {term.inputs[0]: np.zeros(4)}
        there = somebody.parts[0].margin(somebody.parts[0].values(point))
        assert there == pytest.approx(term.margin(term.values(point)) - shift)


def _parts() -> Iterator[tuple[Query, Worth, Parts, Any]]:
    """Parts with limits of two hidden neurons, some hundred runs of the network, and which of them each holds."""
    query = _difference(2.605)
    engine, worth = Engine(query), Worth(targets(query), len(query.rows))
    first = next(p.node for p in places(query) if not isinstance(p.node, Input))
    (x,) = query.inputs
    values = query.values({x: np.random.default_rng(0).uniform(-1, 1, (120, 4))})
    none = np.full((1, first.size), np.inf)
    for k in range(3):
        lower, upper = -none.copy(), none.copy()
        lower[0, k], upper[0, k + 1] = (float(np.quantile(values[first][:, e], q)) for e, q in ((k, 0.3), (k + 1, 0.7)))
        limits = {x: Limit(*(side[None] for side in query.boxes[x].outer)), first: Limit(lower, upper)}
        domains = Domains(limits, np.ones((1, len(query.rows)), dtype=bool))
        domains = replace(domains, ranges=engine.bound(domains).ranges)
        opened, zero = np.ones((1, len(worth.targets)), dtype=bool), np.zeros(1, dtype=np.int64)
        yield query, worth, Parts(domains, np.full(opened.shape, -np.inf), opened, zero, zero), values


def _outside(on_ranges: Any) -> int:
    """How many runs in parts are outside of what these are encoded on."""
    outside, seen = 0, 0
    for query, worth, one, values in _parts():
        part = leaf.restricted(query, one, worth)
        bounds, held = on_ranges(part, one.domains.ranges), inside(one.domains.limits, values)
        for interval, v in ((bounds.rows, part.rows.value(values)), *((bounds[n], values[n]) for n in part.nodes)):
            out = ((interval.lower > v + 1e-9) | (interval.upper < v - 1e-9)).any(1)
            outside += int((held & out).sum())
        seen += int(held.sum())
    assert seen > 100
    return outside


def test_parts_are_encoded_on_bounds_that_hold_there() -> None:
    assert _outside(asking.on_ranges) == 0


def test_bounds_with_a_wrong_sign_do_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _outside(mutant(asking, "(r.lower[0], r.upper[0])", "(-r.upper[0], r.upper[0])")["on_ranges"]) > 0
    for side in ("sum_down(low, -moved)", "sum_up(high, moved)"):
        wrong = mutant(intervals, side, side.replace("(", "(-"))["interval_bounds"]
        monkeypatch.setattr(asking, "interval_bounds", wrong)
        assert _outside(asking.on_ranges) > 0


def _differs(restricted: Any) -> int:
    """How many runs have a margin on the query of a part that is not theirs, or one although they are not in it."""
    wrong = 0
    for query, worth, one, values in _parts():
        part, (x,) = restricted(query, one, worth, 0.5), query.inputs
        for k, held in enumerate(inside(one.domains.limits, values)):
            here = {n: v[k] for n, v in values.items()}
            expected = query.margin(here) - 0.5 if held else np.inf
            found = part.margin(part.values({x: here[x]}))
            wrong += not (found == expected or abs(found - expected) < 1e-9)
    return wrong


PARTS = {
    "the sign of an upper limit": ("(limit.upper[0], 1.0)", "(limit.upper[0], -1.0)"),
    "the sign of a lower limit": ("(limit.lower[0], -1.0)", "(limit.lower[0], 1.0)"),
    "the side of a limit": ("side[index] * -sign", "side[index] * sign"),
    "the threshold": ("Fraction(-threshold)", "Fraction(threshold)"),
}


def test_a_part_is_its_points_and_no_others() -> None:
    assert _differs(leaf.restricted) == 0


@pytest.mark.parametrize("wrong", PARTS)
def test_a_part_with_a_wrong_sign_is_another(wrong: str) -> None:
    assert _differs(mutant(leaf, *PARTS[wrong])["restricted"]) > 0


BOOKED = {
    "how many are few": ("opened <= (leaf.few", "-opened <= (leaf.few"),
    "what is enough": ("is leaf.trust\n", "is not leaf.trust\n"),
    "the shift of a bound": ("told.lower + shift", "told.lower - shift"),
    "the larger bound": ("np.maximum(lower[k], told.lower)", "np.minimum(lower[k], told.lower)"),
}


@pytest.mark.parametrize("wrong", BOOKED)
def test_books_with_a_wrong_sign_are_noticed(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import nnsym.search.session as session

    monkeypatch.setattr(session, "Finisher", mutant(finish, *BOOKED[wrong])["Finisher"])
    tests: dict[str, Callable[[], None]] = {
        "how many are few": lambda: test_parts_with_few_open_neurons_are_asked_about_and_no_others(8),
        "what is enough": lambda: test_no_weaker_word_closes_a_part("lp", Trust.SOLVER, False),
        "the shift of a bound": test_what_is_asked_of_an_optimum_is_whether_it_gets_lower,
        "the larger bound": test_bounds_of_a_solver_are_taken_even_where_they_do_not_decide,
    }
    with pytest.raises(AssertionError):
        tests[wrong]()
