"""Verdicts and bounds against a known truth: of what is established, no more is said than holds."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest

from nnsym.ir.query import Reading
from nnsym.judge.verdict import BOUNDED, Facts, Floor, Sampled, beside, floor, positive, rule
from nnsym.replay import Outcome
from nnsym.results.result import Trust, Verdict
from nnsym.solvers.base import Status
from tests.depth import drawn

INF = float("inf")
MARGINS = (-1.0, -1e-9, 0.0, 1e-9, 1.0, INF)
BOUNDS = (-INF, -2.0, -1.0, -1e-9, 0.0, 1e-10, 0.5, 1.0, 5.0, INF)
SURE = (Trust.EXACT, Trust.CERTIFIED)


class World:
    """A least margin (infinite: no input meets the precondition, or all meet the conclusion), and facts about it."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.margin = rng, rng.choice(MARGINS)
        self.strict, self.settled = rng.random() < 0.5, False
        self.point = self.margin < 0 or (self.margin == 0 and not self.strict)  # that the search looks for
        self.facts = Facts(strict=self.strict, **self._drawn())

    def _below(self, most: float) -> float:
        """A lower bound that is true."""
        return self.rng.choice([b for b in BOUNDS if b <= most])

    def _drawn(self) -> dict[str, Any]:
        rng, some = self.rng, lambda: self.rng.random() < 0.3
        empty = self.margin == INF
        self.settled = empty and some()
        found: dict[str, Any] = {
            "reading": rng.choice(list(Reading)), "assumed": rng.random() < 0.1, "deployed": some(), "closed": some(),
            "slack": rng.choice([Fraction(0), Fraction(1, 8)]), "tau": rng.choice([0.0, 1e-6]),
            "nominal": some(), "resolved": not some(), "exact_solver": some(), "settled": self.settled,
            "attained": rng.choice([v for v in (*MARGINS, 7.0) if v >= self.margin]),
            "granted": self._below(self.margin), "word": rng.choice([Trust.EXACT, Trust.CERTIFIED, Trust.SOLVER]),
            "undefined": "log" if rng.random() < 0.1 else "",
        }  # fmt: skip
        if some():
            found["certified"] = self._below(self.margin)
        if some():
            bound = self._below(min(self.margin, 5.0))
            found["exact_bound"] = None if bound == -INF else Fraction(bound) - rng.choice([0, Fraction(1, 3)])
        found["empty"] = empty and not self.settled and some()
        found["exhausted"] = not self.point and some()
        outcomes = [None, Outcome.BOUNDARY, Outcome.UNDECIDED, Outcome.SPURIOUS, *[Outcome.CONFIRMED] * self.point]
        found["replay"] = rng.choice(outcomes)
        if some():
            high = rng.choice([v for v in (*MARGINS, 7.0) if v >= self.margin])
            found["sampled"] = Sampled(confidence=0.99, lower=self._below(self.margin), upper=high)
        return found | self._solver(found, empty)

    def _solver(self, found: dict[str, Any], empty: bool) -> dict[str, Any]:
        """A status and a bound: true within the tolerance, refuted, or not to be believed."""
        rng, status = self.rng, self.rng.choice(list(Status))
        if status is Status.UNSAT and self.point:
            found["exact_solver"] = False
        if status is Status.INFEASIBLE:
            if not empty or self.settled:
                found["nominal"] = found["nominal"] and not found["resolved"]
            return {"status": status, "conclusive_empty": empty and not self.settled and rng.random() < 0.3}
        if status not in BOUNDED or not found["resolved"]:
            return {"status": status, "bound": rng.choice(BOUNDS)}
        if self.margin < INF and rng.random() < 0.3:  # a point was seen below what the solver says
            return {"status": status, "bound": self.margin + 1e-3 + found["tau"], "attained": self.margin}
        bound = self._below(self.margin)
        return {"status": status, "bound": rng.choice([INF, bound, bound + found["tau"] * 0.9])}

    def grounds(self) -> set[Trust]:
        """What rules every point out, each by itself."""
        f, found = self.facts, set[Trust]()
        if f.empty or f.settled or (f.status is Status.UNSAT and f.exact_solver):
            found.add(Trust.EXACT)
        if f.exact_bound is not None and positive(f.exact_bound, strict=f.strict):
            found.add(Trust.EXACT)
        if f.certified > 0 or (f.strict and f.certified == 0):
            found.add(Trust.CERTIFIED)
        if f.status is Status.INFEASIBLE and f.conclusive_empty:
            found.add(Trust.CERTIFIED)
        if f.exhausted:
            found.add(f.word)
        if f.sampled is not None and positive(f.sampled.lower, strict=f.strict):
            found.add(Trust.STATISTICAL)
        if f.status is Status.INFEASIBLE and f.nominal and f.resolved:
            found.add(Trust.SOLVER)
        if f.status in BOUNDED and f.resolved and f.tau < f.bound < INF and not f.refuted and f.attained > f.tau:
            found.add(Trust.SOLVER)
        return found


def _holds(side: Floor, world: World, off: float = 0.0) -> None:
    assert side.bound <= world.margin + off
    assert (side.trust is None) == (side.bound == -INF)


@pytest.mark.parametrize("seed", range(4))
def test_no_more_is_said_than_holds(seed: int) -> None:
    rng, seen = random.Random(seed), dict.fromkeys([*Verdict, *Trust, "vacuous"], 0)
    for _ in range(drawn(12000, 1500)):
        world = World(rng)
        facts, ruling, grounds = world.facts, rule(world.facts), world.grounds()
        exists = facts.reading is Reading.EXISTS
        found, excluded = (Verdict.VERIFIED, Verdict.FALSIFIED) if exists else (Verdict.FALSIFIED, Verdict.VERIFIED)
        confident = facts.sampled is not None and facts.sampled.upper < 0
        assert (ruling.verdict is found) == (facts.replay is Outcome.CONFIRMED or confident)
        assert ruling.excluded == (ruling.verdict is excluded)
        if ruling.verdict is found:
            assert world.point
            assert ruling.trust is (Trust.EXACT if facts.replay is Outcome.CONFIRMED else Trust.STATISTICAL)
        elif ruling.excluded:
            assert not world.point
            assert ruling.vacuous or not facts.undefined
            assert ruling.trust is Trust.ASSUMED if facts.assumed else ruling.trust in grounds
        else:
            assert facts.undefined or not grounds
            assert ruling.trust is None
        assert not ruling.vacuous or (world.margin == INF and ruling.excluded and not world.settled)
        assert ("slack" in ruling.reason) == (bool(facts.slack) and ruling.verdict is not Verdict.UNKNOWN)
        assert "violation" not in ruling.reason or not exists
        assert "witness" not in ruling.reason or exists
        seen[ruling.verdict] += 1
        seen["vacuous"] += ruling.vacuous
        _bounds(world, ruling, seen)
    assert min(v for k, v in seen.items() if k is not Trust.CHECKED) > 5


def _bounds(world: World, ruling: Any, seen: dict[Any, int]) -> None:
    """The bound alone, and beside the verdict."""
    facts = world.facts
    side = floor(facts)
    _holds(side, world)
    assert not side.empty or (side.bound == INF and not world.settled)
    assert not ruling.vacuous or (side.empty and side.trust is ruling.trust)
    if not side.empty:
        assert side.bound == -INF or not facts.undefined
        assert facts.undefined or side.bound >= max(facts.certified, facts.sure, min(facts.granted, facts.attained))
        assert facts.undefined or facts.sampled is None or side.bound >= facts.sampled.lower
    assert side.trust in (None, Trust.ASSUMED) or not facts.assumed
    seen[side.trust or Trust.ASSUMED] += 1
    assert facts.sure <= world.margin
    if facts.exact_bound is not None and not facts.undefined and facts.certified == -INF:
        assert 0 <= facts.exact_bound - Fraction(facts.sure) < Fraction(1, 2**50)
    for asked in (False, True):
        beside_it, again = beside(facts, ruling, asked=asked)
        _holds(beside_it, world, beside_it.tau)
        assert beside_it.tau == 0 or beside_it.trust in (Trust.SOLVER, Trust.ASSUMED)
        assert (again.verdict, again.excluded) == (ruling.verdict, ruling.excluded)
        assert not ruling.excluded or beside_it.bound >= 0
        assert beside_it.empty == ruling.vacuous
        if ruling.trust in SURE and beside_it.trust is not None and not asked:
            assert beside_it.trust in SURE
        if ruling.excluded and ruling.trust in SURE and beside_it.trust is Trust.SOLVER:
            assert again.trust is Trust.SOLVER
        else:
            assert again == ruling
        assert not (ruling.excluded and world.settled) or beside_it.bound == INF
