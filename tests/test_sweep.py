"""Tables over data sets: four ways that add up, batches that say what single questions say, radii that follow."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym import demo
from nnsym.sweep.answered import Table
from nnsym.sweep.batch import alike, within
from nnsym.sweep.data import Data
from nnsym.sweep.entry import CLEAN, Entry, Way
from nnsym.sweep.tally import interval

EPS = (0.02, 0.05, 0.08)


@pytest.fixture(scope="module")
def f() -> nn.Network:
    return demo.network()


@pytest.fixture(scope="module")
def digits() -> tuple[Any, Any]:
    found = [demo.digit(k) for k in range(20)]
    return np.stack([image for image, _ in found]), np.array([label for _, label in found])


@pytest.fixture(scope="module")
def family(f: nn.Network) -> Any:
    return partial(nn.props.robust, f, within=(0, 1))


def asked(table: Table, method: str) -> set[tuple[int, float | None]]:
    return {(e.index, e.eps) for e in table.entries if e.method == method and e.implied is None}


@pytest.mark.parametrize("method", ["ibp", "crown", pytest.param("alpha:5", marks=pytest.mark.slow)])
def test_a_batch_says_what_single_questions_say(family: Any, digits: tuple[Any, Any], method: str) -> None:
    table = nn.table(family, digits, method, eps=EPS[1])
    assert {e.way for e in table.finals()} >= ({Way.UNKNOWN} if method == "ibp" else {Way.UNKNOWN, Way.VERIFIED})
    for entry in table.finals():
        single = nn.verify(family(digits[0][entry.index], int(digits[1][entry.index]), eps=EPS[1]), method)
        trust = None if single.trust is None else single.trust.value
        assert (entry.way.value, entry.reason, entry.trust) == (single.status.value, single.reason, trust)
        assert entry.lower == pytest.approx(single.lower, abs=1e-9)


def test_the_four_ways_add_up_at_every_stage(family: Any, digits: tuple[Any, Any]) -> None:
    images, labels = digits
    wrong = np.where(np.arange(20) % 7 == 3, (labels + 1) % 10, labels)  # three labels that the network contradicts
    table = nn.table(family, (images, wrong), ["ibp", "crown", "attack"], eps=EPS)
    assert len(table.tallies) == 9
    for tally in table.tallies:
        assert tally.wrong + tally.held + tally.falsified + tally.open == tally.total == 20
        assert tally.wrong == 3
    assert table.complete
    assert not table.disagreements
    assert {e.index for e in table.entries if e.method != CLEAN}.isdisjoint({3, 10, 17})
    assert all(e.way is Way.WRONG and e.trust == "certified" for e in table.finals() if e.index in (3, 10, 17))
    last = table.rows[-1]
    assert last.certified <= last.empirical <= 1 - last.wrong / 20
    low, high = last.population()
    assert low < last.certified
    assert high > last.empirical


def test_later_methods_are_asked_what_is_open_and_what_follows_is_not_asked(family: Any, digits: Any) -> None:
    table = nn.table(family, digits, ["crown", "bigm"], eps=EPS, timeout=20)
    open_after = {(e.index, e.eps) for e in table.finals("crown") if not e.decided}
    assert asked(table, "bigm+highs on crown") <= open_after
    followed = [e for e in table.entries if e.implied is not None]
    assert {e.way for e in followed} == {Way.VERIFIED, Way.FALSIFIED}
    for entry in followed:
        assert entry.implied is not None
        assert entry.eps is not None
        assert entry.implied > entry.eps if entry.way is Way.VERIFIED else entry.implied < entry.eps
        said = nn.verify(family(digits[0][entry.index], int(digits[1][entry.index]), eps=entry.eps), "bigm", timeout=20)
        assert said.status.value == entry.way.value
        assert entry.lower <= said.lower + 1e-9
        assert entry.upper >= said.lower - 1e-9
    falsified = [e for e in table.entries if e.way is Way.FALSIFIED and e.implied is None]
    assert falsified
    assert all(e.point is not None for e in falsified)
    for entry in falsified:  # the point is one of the property
        p = family(digits[0][entry.index], int(digits[1][entry.index]), eps=entry.eps)
        assert entry.point is not None
        point = np.array(next(iter(entry.point["inputs"].values()))["data"], dtype=np.float32)
        assert not p(point)


def test_each_method_by_itself(family: Any, digits: tuple[Any, Any]) -> None:
    table = nn.table(family, digits, ["ibp", "crown"], eps=EPS, staged=False)
    assert [(t.method, t.eps) for t in table.rows] == [(m, e) for m in ("ibp", "crown") for e in EPS]
    staged = nn.table(family, digits, ["ibp", "crown"], eps=EPS)
    assert [t.held for t in table.rows[3:]] == [t.held for t in staged.rows]
    assert all(a.held <= b.held for a, b in zip(table.rows[:3], table.rows[3:], strict=True))


def test_nothing_follows_where_domains_are_not_nested(f: nn.Network) -> None:
    image, label = demo.digit(4)

    def moved(x: Any, eps: float) -> nn.Property:
        return nn.props.robust(f, np.clip(x + np.float32(eps), 0, 1), label, 1 / 64)

    table = nn.table(moved, [image], "crown", eps=EPS, clean=False)
    assert all(e.implied is None for e in table.entries)
    assert len(table.entries) == 3


def test_balls_follow_from_balls(f: nn.Network) -> None:
    image, label = demo.digit(4)
    family = partial(nn.props.robust, f, p=2)
    table = nn.table(family, [(image, label)], "crown", eps=[0.05, 0.1])
    assert [e.implied for e in table.finals()] == [0.1, None] or [e.implied for e in table.finals()] == [None, None]
    small, large = (family(image, label, eps=e).query for e in (0.05, 0.1))
    assert within(small, large)
    assert not within(large, small)
    assert not within(family(image, (label + 1) % 10, eps=0.05).query, large)
    assert not within(small, family(np.zeros(64), label, eps=0.1).query)


def test_queries_of_one_batch_differ_only_in_boxes(f: nn.Network) -> None:
    image, label = demo.digit(4)
    x = nn.Variable(64, name="x")
    strict = nn.forall(x, where=nn.ball(x, image, 0.1), then=nn.wins(f(x)[0], label))
    first = nn.forall(x, where=nn.ball(x, image, 0.1), then=nn.argmax(f(x)) == label)
    other = nn.zoo.random_mlp(0, widths=(64, 8, 10))
    some = [
        nn.props.robust(f, image, label, 0.1),
        nn.props.robust(f, image, label, 0.2),
        nn.props.robust(f, image, label - 1, 0.1),
        nn.props.robust(other, image, label, 0.1),
        strict,
        first,
        nn.forall(x, where=[nn.ball(x, image, 0.1), x[0] <= x[1]], then=nn.argmax(f(x)) == label),
        nn.props.robust(f, image, label, 0.1, p=2),
    ]
    assert sorted(alike([p.query for p in some])) == [[0, 1, 5], [2], [3], [4], [6], [7]]


def test_families_that_have_no_radius_and_exist(f: nn.Network) -> None:
    g = nn.zoo.random_mlp(3, widths=(2, 8, 8, 3))

    def reaches(limit: float) -> nn.Property:
        x = nn.Variable(2, name="x")
        return nn.exists(x, where=nn.box(x, 0, 1), then=g(x)[0] - g(x)[1] <= limit)

    limits = [-50.0, 0.0, 1.5, 2.0, 50.0]
    table = nn.table(reaches, limits, ["crown", "bigm"])
    singles = [nn.verify(reaches(v), "bigm").status.value for v in limits]
    assert [e.way.value for e in table.finals()] == singles
    assert {"verified", "falsified"} == set(singles)
    assert table.finals()[-1].point is not None  # the witness
    assert table.rows[0].wrong == 0


def test_exists_over_growing_balls() -> None:
    g = nn.zoo.random_mlp(3, widths=(2, 8, 8, 3))

    def near(x0: Any, eps: float) -> nn.Property:
        x = nn.Variable(2, name="x")
        return nn.exists(x, where=nn.ball(x, x0, eps), then=g(x)[0] - g(x)[1] <= 1.9)

    eps = [0.01, 0.02, 0.3, 0.4, 0.5]
    table = nn.table(near, [np.array([0.5, 0.5])], "bigm", eps=eps)
    ways = [e.way for e in table.finals()]
    assert ways == [Way(nn.verify(near(np.array([0.5, 0.5]), e), "bigm").status.value) for e in eps]
    assert ways == sorted(ways)  # falsified, then verified
    for entry in table.finals():
        if entry.implied is not None and entry.eps is not None:
            assert (entry.implied > entry.eps) is (entry.way is Way.FALSIFIED)


def test_an_item_without_a_property_stays_open_and_the_first_ones_are_refused_at_once(f: nn.Network) -> None:
    image, _ = demo.digit(0)
    labels = [3, 99, 4, 5, 6]
    table = nn.table(partial(nn.props.robust, f), ([image] * 5, labels), "ibp", eps=0.01)
    found = table.finals()[1]
    assert found.way is Way.UNKNOWN
    assert found.reason.startswith("refused: item 1 at eps 0.01")
    assert sum(1 for e in table.finals() if e.reason.startswith("refused")) == 1
    with pytest.raises(nn.InputError, match="item 0"):
        nn.table(partial(nn.props.robust, f), ([image] * 2, [99, 98]), "ibp", eps=0.01)


@pytest.mark.parametrize(
    ("data", "eps", "message"),
    [
        (([1, 2], [1]), None, r"columns of \[1, 2\] items.*Give columns"),
        ([], None, "no items"),
        (3, None, "a column that is an int"),
        ({"image": [1]}, None, r"takes \(x\) and is given \(image\).*Name its parameters"),
        ([1], 0.1, r"given \(an int, eps\)"),
        ([1], [], "eps is"),
        ([1], [-1], "eps is"),
        ([object()], None, "no content"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(data: Any, eps: Any, message: str) -> None:
    def family(x: Any) -> nn.Property:
        v = nn.Variable(1, name="v")
        return nn.forall(v, where=nn.box(v, 0, 1), then=v[0] <= 2)

    with pytest.raises(nn.InputError, match=message):
        nn.table(family, data, "ibp", eps=eps)


def test_methods_are_named_once(family: Any, digits: tuple[Any, Any]) -> None:
    with pytest.raises(nn.InputError, match="two methods are called 'crown'"):
        nn.table(family, digits, ["crown", nn.crown()], eps=0.1)


def test_a_number_is_no_executor(family: Any, digits: tuple[Any, Any]) -> None:
    with pytest.raises(nn.InputError, match="executor=2 runs nothing"):
        nn.table(family, digits, "ibp", eps=0.1, executor=2)  # type: ignore[arg-type]


def test_digests_tell_data_apart() -> None:
    some: list[Any] = [
        [1, 2], [2, 1], [1.0, 2.0], ["1", "2"], [(1, 2)], ([1, 2],), {"a": [1, 2]}, {"b": [1, 2]},
        np.array([1, 2]), np.array([1, 2], dtype=np.int32), np.array([[1, 2]]), [np.array([1, 2])],
        [[1], [2]], [[1, 2]],
    ]  # fmt: skip
    digests = [Data.of(v).digest for v in some]
    same = {(0, 5)}  # one column of the same numbers
    for i in range(len(some)):
        for j in range(i):
            assert (digests[i] == digests[j]) is ((j, i) in same), (some[i], some[j])


@pytest.mark.parametrize(("least", "most", "count"), [(0, 0, 1), (0, 5, 5), (3, 4, 20), (8168, 9591, 10000), (7, 7, 7)])
def test_intervals_are_those_of_clopper_and_pearson(least: int, most: int, count: int) -> None:
    from scipy.stats import binomtest

    low, high = interval(least, most, count)
    assert low == pytest.approx(binomtest(least, count).proportion_ci(0.95, "exact").low, abs=1e-9)
    assert high == pytest.approx(binomtest(most, count).proportion_ci(0.95, "exact").high, abs=1e-9)
    wider = interval(least, most, count, level=0.99)
    assert wider[0] <= low <= least / count <= most / count <= high <= wider[1]


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    for share in (0.02, 0.5, 0.9):
        drawn = rng.binomial(40, share, size=2000)
        ends = {k: interval(k, k, 40) for k in set(drawn.tolist())}
        held = np.mean([ends[k][0] <= share <= ends[k][1] for k in drawn.tolist()])
        assert held >= 0.94  # 0.95 in the limit, less the noise of 2000 draws


def test_what_people_look_at(family: Any, digits: tuple[Any, Any], tmp_path: Any) -> None:
    images, labels = digits
    table = nn.table({"one": family, "two": family}, (images, labels), ["ibp", "crown"], eps=EPS)
    text = str(table)
    assert max(map(len, text.splitlines())) <= 80
    assert "certified" in text
    assert "20 items by ibp then crown" in text
    assert f"{table.rows[0].certified:.2%}" in text
    assert "decided by" in table.to_text(wide=True)
    html = table._repr_html_()
    assert html.count("<tr>") == 7
    assert "Clopper-Pearson" in html
    frame = table.to_frame()
    assert len(frame) == 2 * 3 * 20
    assert set(frame["way"]) <= {"wrong", "verified", "falsified", "unknown"}
    assert len(table.to_frame(every=True)) == len(table.entries)
    table.plot(tmp_path / "table.svg")
    assert (
        "certified accuracy" in (tmp_path / "table.svg").read_text() or (tmp_path / "table.svg").stat().st_size > 9000
    )
    nn.table(family, digits, "ibp", eps=0.02).plot(tmp_path / "bars.png")
    with pytest.raises(nn.LanguageError, match="neither true nor false"):
        bool(table)


def test_entries_survive_their_lines() -> None:
    import json

    entry = Entry(
        family="f", index=3, eps=0.1, method="crown", way=Way.VERIFIED, reason="r", trust="certified",
        lower=0.25, seconds=1.5, implied=0.2, details={"binary": 3.0}, point={"margin": 1.0},
    )  # fmt: skip
    vacuous = Entry(
        family="f", index=0, eps=None, method="smt", way=Way.VERIFIED, trust="exact", lower=np.inf, vacuous=True
    )
    for one in (entry, vacuous):
        found = Entry.of(json.loads(one.line()))
        assert {n: getattr(found, n) for n in Entry.__dataclass_fields__} == {
            n: getattr(one, n) for n in Entry.__dataclass_fields__
        }
