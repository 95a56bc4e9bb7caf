"""Portfolios: methods in turn, as one method; what is passed over, what ends them, what is kept of each member."""

from __future__ import annotations

import re
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

import nnsym as nn
from nnsym.errors import InputError, UnsupportedError
from nnsym.judge.method import Method
from nnsym.judge.portfolio import _WIDE, Usual, room
from nnsym.results.clock import Clock
from nnsym.results.result import Result, Verdict
from tests.guest_methods import Halves


def small(least: float) -> nn.Property:
    """A network of two inputs whose difference of outputs is at least about -2.28 over the box."""
    x = nn.Variable(2, name="x")
    y = nn.zoo.random_mlp(5, widths=(2, 6, 6, 2))(x)
    return nn.forall(x, where=nn.box(x, -1, 1), then=y[0] - y[1] >= least, name="small")


def steps(result: Result) -> list[str]:
    return [step.name for step in result.trail]


def exact_least() -> float:
    p = small(0.0)
    return nn.verify(p, "bigm", optimise=True).lower


def test_members_are_asked_in_turn_until_one_decides() -> None:
    least = exact_least()
    mine = nn.portfolio(["attack", "ibp", Halves(boxes=20), "bigm"])
    bounded = nn.verify(small(least - 100), mine)
    assert (bounded.status, bounded.method) == (Verdict.VERIFIED, "portfolio: ibp")
    assert "encode" not in steps(bounded)
    falsified = nn.verify(small(least + 0.5), mine)
    assert (falsified.status, falsified.method) == (Verdict.FALSIFIED, "portfolio: attack")
    assert "bounds" not in steps(falsified)
    tight = nn.verify(small(least - 1e-3), mine)
    assert (tight.status, tight.method) == (Verdict.VERIFIED, "portfolio: bigm+highs")
    assert steps(tight).count("bounds") > 1


def test_a_portfolio_is_a_member_and_a_method_like_others() -> None:
    least = exact_least()
    inner = nn.portfolio(["ibp", "bigm"])
    outer = nn.portfolio(["attack", inner])
    assert isinstance(outer, Method)
    assert outer.exact
    assert not nn.portfolio(["attack"]).proves
    result = nn.verify(small(least - 1e-3), outer)
    assert result.status is Verdict.VERIFIED
    assert result.method == "portfolio: portfolio: bigm+highs"
    (row,) = nn.compare(small(least - 1e-3), [outer]).rows
    assert (row.method, row.exact, row.error) == ("portfolio", True, "")


def test_what_cannot_take_the_question_is_passed_over() -> None:
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=x[0] >= 0, then=nn.relu(x)[0] >= x[0])
    result = nn.verify(p, nn.portfolio(["crown", "bigm", "smt"]))
    assert (result.status, result.method) == (Verdict.VERIFIED, "portfolio: smt+z3")
    assert steps(result).count("passed over") == 2
    with pytest.raises(nn.MissingBoundsError):
        nn.verify(p, nn.portfolio(["crown", "bigm"]))
    searched = nn.verify(p, nn.portfolio(["attack", "bigm"]))
    assert (searched.status, searched.method) == (Verdict.UNKNOWN, "portfolio")


def test_an_optimum_is_narrowed_by_each() -> None:
    x = nn.Variable(2, name="x")
    y = nn.zoo.random_mlp(5, widths=(2, 6, 6, 2))(x)
    unit = nn.box(x, -1, 1)
    right = nn.minimize(y[0] - y[1], "bigm", where=unit)
    mine = nn.minimize(y[0] - y[1], nn.portfolio(["attack", "ibp", "bigm"]), where=unit)
    assert mine.method == "portfolio: bigm+highs"
    assert mine.lower == pytest.approx(right.lower, abs=1e-5)
    assert mine.upper == pytest.approx(right.upper, abs=1e-5)
    loose = nn.minimize(y[0] - y[1], nn.portfolio(["attack", "ibp"]), where=unit)
    assert loose.method == "portfolio: ibp"
    assert loose.lower < mine.lower <= mine.upper <= loose.upper + 1e-9
    linear = nn.minimize(x[0] + x[1], where=unit)
    assert (linear.method, linear.lower, linear.upper) == ("portfolio: crown", -2, -2)


def test_members_are_methods_and_there_is_one() -> None:
    with pytest.raises(InputError, match="without members"):
        nn.portfolio([])
    with pytest.raises(InputError, match=r"unknown method 'nothing'. Known methods: ibp, .*portfolio"):
        nn.portfolio(["ibp", "nothing"])
    with pytest.raises(InputError, match=r"unknown method 'crwn'. Did you mean crown[?] nnsym methods lists all$"):
        nn.portfolio(["ibp", "crwn"])
    with pytest.raises(InputError, match=r"one method is asked at a time, not a list. Ask them in turn, nn.portfolio"):
        nn.verify(nn.forall(nn.Variable(1, name="x"), then=True), ["ibp", "crown"])
    for part, said in (("krelu2", "triangle+krelu2"), ("z3", "ask smt with it"), ("prima", "Did you mean krelu3")):
        with pytest.raises(InputError, match=re.escape(said)):
            nn.portfolio([part])
    with pytest.raises(UnsupportedError, match="does not take"):
        nn.portfolio([nn.milp("smt", solver="highs")])


def test_the_usual_one_is_a_value_like_any() -> None:
    names = [member.name for member in Usual().turns.members]
    assert names == ["attack", "bigm+highs", "triangle+highs", "smt+z3"]
    assert Usual(bounds="ibp").bounds == "ibp"
    assert np.isfinite(nn.verify(small(-100), Usual(bounds="ibp")).lower)


@pytest.mark.parametrize(("width", "first"), [(_WIDE + 1, "attack"), (8, "search")])
def test_a_counter_search_comes_before_the_bounds_of_many_neurons(width: int, first: str) -> None:
    rng, x = np.random.default_rng(0), nn.Variable(3, name="x")
    layers = [(rng.normal(size=(width, 3)), np.zeros(width)), (np.ones((1, width)) / width, np.zeros(1))]
    y = nn.sequential(layers, activation="relu")(x)
    asked = {bound: nn.verify(nn.forall(x, where=nn.box(x, -1, 1), then=y <= bound)) for bound in (0.5, 100.0)}
    assert [result.status.value for result in asked.values()] == ["falsified", "verified"]
    steps = [[step.name for step in result.trail if step.name in ("attack", "search")] for result in asked.values()]
    assert steps == ([["attack"], ["attack", "search"]] if first == "attack" else [["search"]] * 2)


def test_torch_is_not_loaded_where_it_would_not_be_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """An import cannot be interrupted: late in the budget, or on a busy machine, the search's answer is the answer."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(time, "process_time", lambda: 1.0)
    quiet, late, busy = (SimpleNamespace(elapsed=e, left=k) for e, k in ((1.0, 60.0), (1.0, 1.0), (50.0, 60.0)))
    assert (room(quiet), room(late), room(busy)) == (True, False, False)
    assert (room(quiet, 0.1), room(quiet, 0.01)) == (True, False)
    monkeypatch.setitem(sys.modules, "torch", object())
    assert room(late)
    assert not room(SimpleNamespace(elapsed=10.0, left=0.0))


def test_nobody_is_asked_after_one_that_proves_once_time_is_over() -> None:
    over = Clock(1.0, began=time.perf_counter() - 2.0)
    result = nn.verify(small(-1e-3), nn.portfolio(["ibp", "crown", "bigm"]), clock=over)
    assert result.status is Verdict.UNKNOWN
    assert steps(result).count("bounds") == 1
