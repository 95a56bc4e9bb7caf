"""An empty precondition is said by every method that verifies, and the reader of an optimum is told that it is one of
nothing."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.results.result import Trust, Verdict

f = nn.zoo.random_mlp(2, widths=(2, 5, 2))
METHODS = ("crown", "triangle", "bigm", "bab:gap", "smt", None)


def empty(x: nn.Variable) -> dict[str, Any]:
    """Regions without a point, none of which is seen from its box."""
    y = f(x)
    return {
        "rows": nn.box(x, -3, 3) & (x[0] - x[1] >= 1) & (x[0] <= x[1]),
        "network": nn.box(x, -1, 1) & (y[0] >= 3) & (y[0] <= 2),
        "ball": nn.ball(x, [0, 0], 1, p=2) & (x[0] + x[1] >= 2),
        "strict": nn.box(x, 0, 1) & (x[0] + x[1] < Fraction(1, 3)) & (x[0] + x[1] > Fraction(1, 3)),
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("region", ["rows", "network", "strict"])
def test_what_is_verified_of_nothing_says_so(region: str, method: str | None) -> None:
    x = nn.Variable(2)
    where = empty(x)[region]
    found = nn.verify(nn.forall(x, where=where, then=f(x)[1] >= -1000), method)
    assert (found.status, found.vacuous) == (Verdict.VERIFIED, True)
    assert found.lower == found.upper == np.inf
    assert found.reason.startswith("the precondition is empty")
    none = nn.verify(nn.exists(x, where=where, then=f(x)[1] >= 1000), method)
    assert (none.status, none.vacuous) == (Verdict.FALSIFIED, True)
    assert none.lower == none.upper == -np.inf


@pytest.mark.parametrize("method", METHODS)
def test_what_is_verified_of_something_does_not(method: str | None) -> None:
    """Among them regions that no sample meets: an equation, a thin strip, an output of the network."""
    x = nn.Variable(2)
    for where in (
        nn.box(x, -1, 1),
        nn.box(x, -1, 1) & (x[0] + 3 * x[1] == Fraction(1, 7)),
        nn.box(x, -1, 1) & (x[0] > Fraction(1, 3)) & (x[0] < Fraction(1, 3) + Fraction(1, 10**9)),
        nn.box(x, -1, 1) & (f(x)[0] <= 3) & (f(x)[0] >= -10),
    ):
        found = nn.verify(nn.forall(x, where=where, then=f(x)[1] >= -1000), method)
        assert (found.status, found.vacuous) == (Verdict.VERIFIED, False)


def test_the_solver_that_was_named_is_asked_and_what_it_says_is_exact() -> None:
    x = nn.Variable(2)
    found = nn.verify(nn.forall(x, where=empty(x)["rows"], then=f(x)[0] > f(x)[1]), "smt")
    assert found.trust is Trust.EXACT
    assert any(step.name == "precondition" and "smt+z3" in step.note for step in found.trail)
    assert nn.vacuous(nn.forall(x, where=empty(x)["rows"], then=f(x)[0] >= 0), "smt").result.vacuous


@pytest.mark.parametrize("method", ["bigm", "smt", None])
@pytest.mark.parametrize("region", ["rows", "network", "ball"])
def test_an_optimum_of_nothing_is_called_one(region: str, method: str | None) -> None:
    if (region, method) == ("ball", "smt"):
        pytest.skip("a ball in rationals is the business of the lanes")
    x = nn.Variable(2)
    where = empty(x)[region]
    least = nn.minimize(f(x)[0], method, where=where)
    assert least.empty
    assert "minimum of nothing" in repr(least)
    assert "no input satisfies the condition" in str(nn.reach(f(x), method, where=where))


def test_tables_say_vacuous() -> None:
    x = nn.Variable(2)
    table = nn.compare(nn.forall(x, where=empty(x)["rows"], then=f(x)[0] >= f(x)[1]), ["crown", "bigm", "smt"])
    assert str(table).count("verified (vacuous)") == 2
    assert [record["vacuous"] for record in table.to_records()] == [False, True, True]
