"""One program per disjunct: the same answer as the guarded program, with less work and no false bound."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from nnsym.ask.export import build_program
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.program import Program
from nnsym.solvers.base import Answer, Goal, Limits, Progress, Status
from nnsym.solvers.highs import Highs
from nnsym.solvers.split import solve_split, worth_splitting
from nnsym.testing.random_nets import random_network, random_query
from tests.depth import drawn

CASES = drawn(6, 3)


@cache
def programs(count: int = CASES) -> list[tuple[Program, float]]:
    """Big-M programs of random disjunctive properties that are worth splitting, with their exact optimum."""
    found = []
    for seed in range(200):
        query = random_query(random_network("dense", seed, inputs=3, width=6, outputs=3), seed)
        _, program, _ = build_program(query, "bigm", bounds="ibp")
        if worth_splitting(program, Highs()):
            found.append((program, float(minimum_margin(query).margin)))
        if len(found) == count:
            return found
    raise AssertionError("too few disjunctive properties")


@pytest.mark.parametrize("case", range(CASES))
def test_optimum_is_the_guarded_programs(case: int) -> None:
    program, exact = programs()[case]
    split = solve_split(Highs(), program, Limits(seconds=30), Goal(decide=False))
    assert split.status is Status.OPTIMAL
    assert split.bound == pytest.approx(exact, abs=1e-6)
    assert split.objective == pytest.approx(exact, abs=1e-6)
    assert split.bound <= exact + 1e-6


@pytest.mark.parametrize("case", range(CASES))
def test_deciding_never_claims_more_than_the_optimum(case: int) -> None:
    program, exact = programs()[case]
    split = solve_split(Highs(), program, Limits(seconds=30), Goal())
    assert split.bound <= exact + 1e-6
    assert split.objective >= exact - 1e-6
    assert (split.bound > 0) == (exact > 1e-6) or abs(exact) < 1e-5


def test_the_most_promising_case_comes_first() -> None:
    """Cases are sorted by the lower bound of their margin, which a fixed guard gives to t."""
    for program, _ in programs():
        limits, goal = Limits(seconds=30), Goal(decide=False)
        optima = [
            Highs().solve(program.relax().with_bounds(guards, values), limits, goal).bound
            for guards, values in program.disjuncts
        ]
        assert optima[0] <= max(optima) + 1e-9


class Stubborn:
    """HiGHS, but the second case runs out of time."""

    name, accepts, exact = "stubborn", Highs().accepts, False

    def __init__(self) -> None:
        self.calls = 0

    def availability(self) -> object:
        return Highs().availability()

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        self.calls += 1
        if self.calls == 2:
            return Answer(status=Status.TIME_LIMIT, solver=self.name, bound=-np.inf)
        return Highs().solve(program, limits, goal, progress)


def test_an_unsolved_case_leaves_only_the_floor() -> None:
    program, _ = programs()[0]
    lane = Stubborn()
    answer = solve_split(lane, program, Limits(seconds=30), Goal(decide=False))  # type: ignore[arg-type]
    assert answer.status is Status.TIME_LIMIT
    assert answer.bound <= program.lower[program.objective or 0]
    assert answer.certified == -np.inf
    assert lane.calls == 2
