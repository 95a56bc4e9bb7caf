"""exists: the same search read the other way, against brute force; nesting, alternation, slack."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnsym as nn
from nnsym.errors import InputError, LanguageError
from nnsym.ir.query import Reading
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.judge.verdict import Facts, rule
from nnsym.replay import Outcome
from nnsym.report.table import result_lines
from nnsym.results.plain import result_json
from nnsym.results.result import Trust, Verdict
from nnsym.solvers.base import Status

INF = float("inf")


@pytest.mark.parametrize(
    ("facts", "verdict", "trust"),
    [
        ({"replay": Outcome.CONFIRMED}, Verdict.VERIFIED, Trust.EXACT),
        ({"status": Status.UNSAT, "exact_solver": True}, Verdict.FALSIFIED, Trust.EXACT),
        ({"certified": 1e-9}, Verdict.FALSIFIED, Trust.CERTIFIED),
        ({"exact_bound": Fraction(1, 9)}, Verdict.FALSIFIED, Trust.EXACT),
        ({"status": Status.OPTIMAL, "bound": 0.1, "tau": 1e-6}, Verdict.FALSIFIED, Trust.SOLVER),
        ({"empty": True}, Verdict.FALSIFIED, Trust.EXACT),
        ({"status": Status.SAT, "exact_solver": True, "replay": Outcome.SPURIOUS}, Verdict.UNKNOWN, None),
        ({"certified": 0.0}, Verdict.UNKNOWN, None),
    ],
)
def test_the_same_facts_read_the_other_way(facts: dict[str, object], verdict: Verdict, trust: Trust | None) -> None:
    ruling = rule(Facts(strict=False, reading=Reading.EXISTS, **facts))  # type: ignore[arg-type]
    assert (ruling.verdict, ruling.trust) == (verdict, trust)
    assert ruling.excluded is (verdict is Verdict.FALSIFIED)
    assert ruling.vacuous is ("empty" in facts)
    assert "counterexample" not in ruling.reason
    assert "violation" not in ruling.reason


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**16), data=st.data())
def test_exists_is_decided_as_the_oracle_does(seed: int, data: st.DataObject) -> None:
    """``exists x. f0 >= f1 + c`` with c next to the true maximum of f0 - f1; its negation is the forall."""
    f = nn.zoo.random_mlp(seed, widths=(2, 4, 2))
    x = nn.Variable(2)
    y = f(x)
    where = nn.box(x, -1, 1) & (x[0] + x[1] <= Fraction(3, 2))
    most = -Fraction(minimum_margin(nn.exists(x, where=where, then=y[0] >= y[1]).query, max_unstable=20).margin)
    offset = data.draw(st.sampled_from([Fraction(-1, 100), Fraction(0), Fraction(1, 100)]))
    p = nn.exists(x, where=where, then=y[0] - y[1] >= most + offset)
    other = nn.forall(x, where=where, then=y[0] - y[1] < most + offset)
    method = data.draw(st.sampled_from([None, "bigm", "smt", "triangle"]))
    found, opposite = nn.verify(p, method), nn.verify(other, method)
    expected = Verdict.VERIFIED if offset <= 0 else Verdict.FALSIFIED
    opposed = {Verdict.VERIFIED: Verdict.FALSIFIED, Verdict.FALSIFIED: Verdict.VERIFIED}
    if method in (None, "bigm", "smt"):
        assert found.status is expected
    assert found.status in (expected, Verdict.UNKNOWN)
    assert opposite.status is opposed.get(found.status, found.status)
    assert (found.lower, found.upper) == (-opposite.upper, -opposite.lower)
    assert found.lower <= -offset <= found.upper + 1e-6  # the tolerance of trust solver
    assert found.counterexample is None
    if found.witness is not None:
        assert p(found.witness.inputs["x"])
        assert found.lower == found.witness.margin == pytest.approx(p.margin(found.witness.inputs["x"]), abs=1e-15)
        assert found.lower >= 0


@pytest.mark.parametrize("method", [None, "crown", "bigm", "smt"])
def test_exists_over_nothing_is_false_and_says_so(method: str | None) -> None:
    x = nn.Variable(2)
    p = nn.exists(x, where=nn.box(x, 0, 1) & (x[0] + x[1] >= 3), then=nn.relu(x)[0] >= -1)
    result = nn.verify(p, method)
    assert result.status is Verdict.FALSIFIED
    assert p.margin([0, 0]) == -INF
    if method != "smt":  # unsat does not say of what
        assert result.vacuous
        assert result.upper == -INF
        assert "VACUOUS" in result_lines(result)[0][0]
    empty = nn.exists(x, where=(x[0] >= 1) & (x[0] <= 0), then=x[1] >= 0)
    assert nn.verify(empty, method).vacuous


def test_a_witness_is_called_a_witness_everywhere(tmp_path: Path) -> None:
    x = nn.Variable(2)
    p = nn.exists(x, where=nn.box(x, 0, 1), then=nn.zoo.xor()(x)[0] >= 1, name="one")
    result = nn.verify(p, "bigm")
    data = result_json(result)
    assert (data["status"], data["reading"], data["counterexample"]) == ("verified", "exists", None)
    assert json.loads(json.dumps(data))["witness"]["inputs"]["x"]["data"] in ([1.0, 0.0], [0.0, 1.0])
    assert any("witness: margin 0" in text for text, _ in result_lines(result))
    smt = nn.export(p, tmp_path / "p.smt2").read_text()
    assert "unsat: the property is false. sat: the property holds and the point is its witness" in smt
    lp = nn.export(p, tmp_path / "p.lp").read_text()
    assert "minus the margin of the property" in lp
    assert "the property is false if the minimum is > 0" in lp
    other = nn.forall(x, where=nn.box(x, 0, 1), then=nn.zoo.xor()(x)[0] < 1)
    assert p.query.hash != other.query.hash


def test_a_comparison_of_exists_ranks_upper_bounds() -> None:
    x = nn.Variable(2)
    y = nn.zoo.random_mlp(3, widths=(2, 8, 8, 3))(x)
    p = nn.exists(x, where=nn.box(x, 0, 1), then=y[1] >= y[0])
    table = nn.compare(p, ["ibp", "crown", "bigm", "smt"])
    uppers = [row.result.upper for row in table.rows if row.result is not None]
    assert table.best == min(uppers)
    assert table.to_records()[0]["gap"] == pytest.approx(uppers[0] - min(uppers))
    assert table.rows[2].result is not None
    assert table.rows[2].result.status is Verdict.FALSIFIED


def test_one_perturbation_for_every_point_of_a_set_is_one_query() -> None:
    """exists d, |d| <= eps: for all five x_i, argmax f(x_i + d) != c_i."""
    f = nn.zoo.random_mlp(4, widths=(2, 5, 3))
    data = np.random.default_rng(1).integers(-4, 5, (5, 2)) / 8
    labels = f.evaluate(data).argmax(axis=1)
    d = nn.Variable(2, name="d")

    def universal(eps: float) -> nn.Property:
        fooled = (nn.argmax(f(x + d)) != int(c) for x, c in zip(data, labels, strict=True))
        return nn.exists(d, where=nn.ball(d, 0, eps), then=nn.all(fooled), name="universal")

    assert len(universal(1).query.applications) == 5
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 41)] * 2), axis=-1).reshape(-1, 1, 2)
    for eps in (0.0625, 2.0):
        fools = (f.evaluate(data + eps * grid).argmax(axis=-1) != labels).all(axis=1).any()
        for method in (None, "smt"):
            result = nn.verify(universal(eps), method)
            if fools:
                assert result.status is Verdict.VERIFIED
                assert result.witness is not None
                shift = result.witness.inputs["d"].astype(float)
                assert (f.evaluate(data + shift).argmax(axis=1) != labels).all()
            assert result.status is (Verdict.VERIFIED if fools else Verdict.FALSIFIED)


def test_quantifiers_of_one_kind_merge() -> None:
    f = nn.zoo.lecture()
    x, y = nn.Variable(2), nn.Variable(2, name="y")
    inner = nn.forall(
        x,
        where=nn.box(x, 0, 1),
        then=nn.forall(y, where=nn.box(y, 2, 3), then=f(x)[0] <= f(y)[0] + 9),
    )
    flat = nn.forall([x, y], where=nn.box(x, 0, 1) & nn.box(y, 2, 3), then=f(x)[0] <= f(y)[0] + 9)
    assert inner.query.hash == flat.query.hash
    assert inner.variables == (x, y)
    some = nn.exists(x, where=nn.box(x, 0, 1), then=nn.exists(y, where=nn.box(y, 0, 1), then=f(x)[0] > f(y)[0]))
    assert str(some).startswith("exists x[2], y[2]\n  where box(x, 0, 1) & box(y, 0, 1)\n")
    assert nn.verify(some).status is Verdict.VERIFIED
    premise = nn.forall(x, where=nn.exists(y, where=nn.box(y, 0, 1), then=nn.all(x == 2 * y)), then=x[0] <= 2)
    assert nn.verify(premise, "smt").status is Verdict.VERIFIED


def test_alternation_is_refused_with_the_line_and_a_way_out() -> None:
    x, y = nn.Variable(2), nn.Variable(2, name="y")
    with pytest.raises(
        LanguageError, match=r"test_quantifiers\.py:\d+: .*'forall y' has 'exists x' inside.*finite set"
    ):
        nn.forall(y, where=nn.box(y, 0, 1), then=nn.exists(x, where=nn.box(x, 0, 1), then=x[0] >= y[0]))
    with pytest.raises(LanguageError, match=r"'exists x' has 'forall y' inside.*nn\.all"):
        nn.exists(x, then=nn.forall(y, then=x[0] >= y[0]))
    with pytest.raises(LanguageError, match="'forall x' has 'forall y' inside as its premise"):
        nn.forall(x, where=nn.forall(y, then=y[0] >= x[0]), then=x[0] >= 0)
    with pytest.raises(LanguageError, match="inner forall ranges over"):
        nn.forall(x, where=y[0] >= 0, then=nn.forall(y, then=y[0] >= x[0]))
    closed = nn.forall(y, where=nn.box(y, 0, 1), then=y[0] <= 1)
    with pytest.raises(LanguageError, match=r"'forall y' is a property, not a formula"):
        nn.forall(x, then=(x[0] >= 0) & closed)


def test_an_open_property_is_refused_where_nothing_closes_it() -> None:
    x, y = nn.Variable(2), nn.Variable(2, name="y")
    with pytest.raises(LanguageError, match=r"test_quantifiers\.py.*about 'y', which exists does not range over"):
        nn.verify(nn.exists(x, then=x[0] >= y[0]))


@pytest.mark.parametrize("method", ["crown", "bigm", "smt"])
def test_slack_is_never_silent(method: str) -> None:
    """relu(x) >= x - 1/1000 has margin 1/1000 too little for the threshold 1/500; a slack of 1/1000 closes it."""
    x = nn.Variable(1)
    p = nn.forall(x, where=nn.box(x, 1, 2), then=nn.relu(x)[0] >= x[0] + Fraction(1, 1000))
    assert nn.verify(p, method).status is not Verdict.VERIFIED
    result = nn.verify(p, method, slack="0.001")
    assert (result.status, result.slack) == (Verdict.VERIFIED, 0.001)
    assert "relaxed by a slack of 0.001" in result.reason
    assert "slack 0.001" in repr(result)
    assert result_json(result)["slack"] == 0.001
    assert any("0.001: the conclusion is relaxed" in text for text, _ in result_lines(result))
    assert nn.verify(p.relaxed("0.0009"), "smt").status is Verdict.FALSIFIED
    assert str(p.relaxed("0.001")) == p.relaxed("0.001").query.text == f"{p}\n  slack 0.001"
    table = nn.compare(p.relaxed("0.001"), [method])
    assert table.to_records()[0]["slack"] == 0.001
    assert "slack" in str(table)


def test_slack_helps_exists_too_and_leaves_preconditions_alone() -> None:
    x = nn.Variable(1)
    p = nn.exists(x, where=nn.box(x, 0, 1), then=x[0] >= Fraction(1001, 1000))
    assert nn.verify(p, "smt").status is Verdict.FALSIFIED
    assert nn.verify(p, "smt", slack=Fraction(1, 1000)).status is Verdict.VERIFIED
    both = nn.forall(x, where=nn.box(x, 0, 1) & (nn.relu(x)[0] >= 1), then=x[0] >= Fraction(1001, 1000))
    assert nn.verify(both, "smt", slack="0.001").status is Verdict.VERIFIED
    assert nn.verify(both, "smt", slack="0.0005").status is Verdict.FALSIFIED
    for wrong in (-1, float("nan"), "much"):
        with pytest.raises(InputError, match="slack"):
            nn.verify(p, slack=wrong)


def test_a_name_for_the_inner_property_changes_nothing() -> None:
    """In one call, assigned first, returned by a function, two levels deep: one content hash; alone it is an error."""
    f = nn.zoo.random_mlp(5, widths=(2, 6, 2))
    x, z, t = nn.Variable(2, name="x"), nn.Variable(2, name="z"), nn.Variable(1, name="t")

    def near(start: nn.Variable) -> nn.Property:
        return nn.forall(z, where=nn.all(nn.abs(z - start) <= 0.1), then=f(z)[0] <= f(start)[0] + 9)

    inner = near(x)
    direct = nn.forall(
        x, where=nn.box(x, 0, 1), then=nn.forall(z, where=nn.all(nn.abs(z - x) <= 0.1), then=f(z)[0] <= f(x)[0] + 9)
    )
    named = nn.forall(x, where=nn.box(x, 0, 1), then=inner)
    called = nn.forall(x, where=nn.box(x, 0, 1), then=near(x))
    assert direct.hash == named.hash == called.hash
    assert nn.verify(named, timeout=20).status is nn.verify(direct, timeout=20).status is Verdict.VERIFIED
    assert "free 'x'" in repr(inner)
    assert "free" not in repr(named)
    lowest = nn.forall(t, where=nn.box(t, 0, 1), then=f(z)[0] <= f(x)[0] + t[0] + 20)
    middle = nn.forall(z, where=nn.box(z, 0, 1), then=lowest)
    whole = nn.forall(x, where=nn.box(x, 0, 1), then=middle)
    assert [v.name for v in whole.variables] == ["x", "z", "t"]
    assert whole([0, 0], [0, 0], [0])
    line = inner.line
    for use in (
        lambda: inner.query,
        lambda: inner([0, 0]),
        lambda: inner.margin([0, 0]),
        lambda: inner.hash,
        lambda: nn.verify(inner),
        lambda: nn.verify(middle, "crown"),
        lambda: nn.compare(inner, ["ibp"]),
    ):
        with pytest.raises(LanguageError, match="about 'x', which forall does not range over") as caught:
            use()
        assert caught.value.where in (line, middle.line)
        assert "then=..." in caught.value.remedy


def test_an_inner_premise_may_be_assigned_first() -> None:
    f = nn.zoo.random_mlp(3, widths=(2, 4, 1))
    x, z = nn.Variable(2, name="x"), nn.Variable(2, name="z")
    inner = nn.exists(z, where=nn.box(z, 0, 1), then=f(z)[0] <= f(x)[0])
    p = nn.forall(x, where=inner, then=f(x)[0] <= 1000)
    assert not p.free
    with pytest.raises(LanguageError, match="about 'x', which exists does not range over"):
        nn.verify(inner)
