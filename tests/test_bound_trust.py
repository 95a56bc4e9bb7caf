"""The number and the trust beside it speak of the same thing, whatever the verdict, the reading and the goal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import nnsym as nn
from nnsym.ir.query import Query, Reading
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.judge.verdict import Facts, beside, rule
from nnsym.program import Program
from nnsym.replay import Outcome
from nnsym.results.plain import result_json
from nnsym.results.result import Result, Trust, Verdict
from nnsym.solvers.base import Answer, Goal, Limits, Progress, Status
from nnsym.solvers.registry import find
from nnsym.testing.random_nets import random_network, random_query

SURE = (Trust.EXACT, Trust.CERTIFIED)


@dataclass(frozen=True, kw_only=True)
class Optimist:
    """HiGHS, whose own bound is off by half of what it publishes as its tolerance: within the rules of a lane."""

    name: str = "optimist"
    accepts: frozenset[Any] = find("highs").accepts
    exact: bool = False

    def availability(self) -> Any:
        return find("highs").availability()

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        said = find("highs").solve(program, limits, goal, progress)
        return replace(said, solver=self.name, bound=said.bound + said.tau / 2) if np.isfinite(said.bound) else said


def questions(seed: int) -> list[tuple[Query, Any]]:
    """A random query in both readings, whose margin is far from 0, near it, or 0; with the least margin."""
    network = random_network(("dense", "abs", "leaky")[seed % 3], seed, width=4)
    query = random_query(network, seed, tight=seed % 2 == 1)
    least = minimum_margin(query).margin
    return [(query, least), (replace(query, reading=Reading.EXISTS), least)]


def claims(result: Result) -> tuple[float, Trust | None]:
    """The proved side as a lower bound of the least margin."""
    exists = result.reading is Reading.EXISTS
    return (-result.upper, result.upper_trust) if exists else (result.lower, result.lower_trust)


def check(result: Result, least: Any) -> None:
    bound, trust = claims(result)
    assert (trust is None) is (bound == -np.inf), result
    assert result.bound_trust is trust
    by_exclusion = result.counterexample is None and result.witness is None
    one_word = result.trust in SURE and (result.goal == "decide" or by_exclusion)
    assert not one_word or trust is None or trust in SURE, result
    if bound > -np.inf and trust in SURE:
        assert bound == np.inf or least == np.inf or Fraction(bound) <= Fraction(least), (result, float(least))
    assert result_json(result)["lower_trust"] == (result.lower_trust.value if result.lower_trust else None)


@pytest.mark.parametrize("optimise", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_what_is_sure_holds_exactly(seed: int, optimise: bool) -> None:
    method = nn.lp if seed == 1 else nn.milp
    for query, least in questions(seed):
        check(nn.verify(query, method(solver=Optimist(), optimise=optimise), shortcut=False), least)


@pytest.mark.parametrize("optimise", [False, True])
def test_a_certified_verdict_has_a_certified_number(optimise: bool) -> None:
    f = nn.sequential([([[1, 1], [1, -1]], [0, 0]), ([[1, 1]], [0.25])])
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=f(x)[0] <= 3.5)  # the relaxation's greatest value is 3.25
    found = nn.verify(p, nn.lp(solver=Optimist(), bounds="ibp", optimise=optimise))
    assert found.status is Verdict.VERIFIED
    assert found.trust is found.bound_trust is (Trust.SOLVER if optimise else Trust.CERTIFIED)
    assert (found.lower <= 0.25) is not optimise
    assert found.lower == pytest.approx(0.25, abs=1e-6)


@pytest.mark.parametrize(
    ("facts", "asked", "expected"),
    [
        ({"replay": Outcome.CONFIRMED}, False, (-3.0, Trust.CERTIFIED)),
        ({"replay": Outcome.CONFIRMED}, True, (-0.5, Trust.SOLVER)),
        ({"replay": Outcome.CONFIRMED, "assumed": True}, False, (-np.inf, None)),
        ({"replay": Outcome.CONFIRMED, "assumed": True}, True, (-np.inf, None)),
        ({}, False, (-0.5, Trust.SOLVER)),  # undecided: no trust that it could contradict
        ({"assumed": True}, False, (-0.5, Trust.ASSUMED)),
        ({"exact_bound": Fraction(-1, 3)}, False, (float(np.nextafter(-1 / 3, -1)), Trust.EXACT)),
        ({"status": Status.UNSAT, "exact_solver": True}, False, (0.0, Trust.EXACT)),
        ({"certified": 0.25, "bound": 0.5}, False, (0.25, Trust.CERTIFIED)),
        ({"certified": 0.25, "bound": 0.5}, True, (0.5, Trust.SOLVER)),
        ({"bound": 0.5}, False, (0.5, Trust.SOLVER)),
        ({"certified": np.inf}, True, (np.inf, Trust.CERTIFIED)),
    ],
)
def test_what_stands_beside_a_ruling(facts: dict[str, Any], asked: bool, expected: tuple[float, Trust | None]) -> None:
    known = {"strict": False, "status": Status.OPTIMAL, "certified": -3.0, "bound": -0.5, "tau": 1e-6} | facts
    told = Facts(**known)
    side, ruling = beside(told, rule(told), asked=asked)
    assert (side.bound, side.trust) == expected
    assert ruling.verdict is rule(told).verdict
    if ruling.excluded:
        assert ruling.trust is side.trust


@pytest.mark.slow
@pytest.mark.parametrize("optimise", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_what_is_sure_holds_exactly_by_every_method(seed: int, optimise: bool) -> None:
    methods: list[Any] = [nn.milp(solver=Optimist(), optimise=optimise)]
    methods += [nn.lp(solver=lane, optimise=optimise) for lane in ("highs", "glpk", Optimist())]
    methods += [nn.milp(solver=lane, optimise=optimise) for lane in ("highs", "glpk")]
    for query, least in questions(seed):
        for method in (*methods, *(() if optimise else (None, "crown", "smt"))):
            for shortcut in (True, False):
                check(nn.verify(query, method, shortcut=shortcut), least)


def test_a_margin_that_was_asked_for_names_its_solver() -> None:
    f = nn.sequential([([[1, 1], [1, -1]], [0, 0]), ([[1, 1]], [0.25])])
    x = nn.Variable(2, name="x")
    for limit, holds in ((2.5, True), (2, False)):  # the greatest value is 2.25
        where, then = nn.box(x, -1, 1), f(x)[0] <= limit
        trust = Trust.SOLVER if holds else Trust.EXACT
        for p, said in (
            (nn.forall(x, where=where, then=then), holds),
            (nn.exists(x, where=where, then=~then), not holds),
        ):
            asked = nn.verify(p, "bigm", optimise=True, shortcut=False)
            assert asked.status is (Verdict.VERIFIED if said else Verdict.FALSIFIED)
            assert (asked.trust, asked.bound_trust) == (trust, Trust.SOLVER)
            assert claims(asked)[0] == pytest.approx(limit - 2.25, abs=1e-6)
            assert (" solver)" in repr(asked)) is (not holds)  # the verdict's own trust is exact
            decided = nn.verify(p, "bigm", shortcut=False)
            assert decided.status is asked.status
            assert decided.bound_trust in (None, decided.trust, Trust.CERTIFIED)
