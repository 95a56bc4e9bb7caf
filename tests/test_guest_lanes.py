"""``check_solver`` refuses every lane that breaks one rule of docs/extending.md, and passes those that break none."""

from __future__ import annotations

import pytest
from guest_lanes import MODELS, OPTIONS, PROGRAMS, READINGS, SAYINGS, WORDS, ExactGuest, Guest

from nnsym.errors import InputError
from nnsym.program import Feature
from nnsym.testing.check_solver import LIMITS, ConformanceError, check_solver, hard_problems, problems

pytestmark = pytest.mark.slow

NAMES = [p.name for p in (*problems(), *hard_problems())]
TINY = [p.name for p in problems() if "knapsack" not in p.name]
LIMIT = ["lp", "time limit"]

#: What shows each fault: a program or two, so that the test is quick. All else is shown by the linear programs.
SHOWN = {
    "clauses dropped": ["clauses"],
    "clauses turned": ["clauses"],
    "another column minimised": ["bounds of columns"],
    "integrality dropped": ["binaries"],
    "integers as binaries": ["integers"],
    "columns are not negative": ["bounds of columns", "bounds of columns, turned"],
    "lower bounds of columns dropped": ["bounds of columns", "bounds of columns, turned"],
    "upper bounds of columns dropped": ["bounds of columns", "bounds of columns, turned"],
    "lower sides of rows dropped": ["two-sided rows", "two-sided rows, turned"],
    "upper sides of rows dropped": ["two-sided rows", "two-sided rows, turned"],
    "coefficients rounded": ["decimals", "knapsack 0"],
    "relative gap": ["knapsack 0", "knapsack 1"],
    "relative gap, bound by the incumbent": ["knapsack 0", "knapsack 1"],
    "small relative gap, bound by the incumbent": ["knapsack of fine numbers 0", "knapsack of fine numbers 1"],
    "absolute gap": ["knapsack 0", "knapsack 1"],
    "absolute gap, bound by the incumbent": ["knapsack 0", "knapsack 1"],
    "first point": ["knapsack 0"],
    "loose feasibility": NAMES,
    "bound by the incumbent": LIMIT,
    "a limit is optimal": LIMIT,
    "a limit is infeasible": LIMIT,
    "a limit is a certificate": LIMIT,
    "a limit is unknown": LIMIT,
    "unsat on time-out": LIMIT,
    "sat on time-out": LIMIT,
    "unknown on time-out": LIMIT,
    "later than its limit": LIMIT,
    "unbounded is optimal": ["unbounded"],
    "unbounded is infeasible": ["unbounded"],
    "unbounded has a bound": ["unbounded"],
    "infeasible is optimal": ["empty"],
    "infeasible is unknown": ["empty"],
    "a point is optimal": ["feasible"],
    "stale point": ["binaries", "positive", "fraction 1/3", "fraction 2/3"],
    "certified is the float optimum": ["fraction 1/3", "fraction 2/3"],
    "target without reaching it": ["lp"],
    "exact without being it": TINY,
}


@pytest.mark.parametrize("fault", [*READINGS, *MODELS, *OPTIONS, *(s for s in SAYINGS if s not in OPTIONS)])
def test_a_lane_of_programs_with_a_fault_is_refused(fault: str) -> None:
    guest = Guest(fault=fault, exact=fault == "exact without being it")
    with pytest.raises(ConformanceError, match="guest"):
        check_solver(guest, names=SHOWN.get(fault, ["lp", "zero", "decimals", "fraction 1/3"]))


@pytest.mark.parametrize("fault", [*PROGRAMS, *WORDS])
def test_an_exact_lane_with_a_fault_is_refused(fault: str) -> None:
    with pytest.raises(ConformanceError, match="z3"):
        check_solver(ExactGuest(fault=fault), names=SHOWN.get(fault, NAMES))


def test_the_same_lanes_without_a_fault_pass(capsys: pytest.CaptureFixture[str]) -> None:
    done = check_solver(Guest())
    assert done.solved >= 70
    skipped = dict(done.skipped)
    assert skipped["products"] == "it does not take products"
    said = capsys.readouterr().err
    assert "products, lifted: it does not take products" in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= 80
    check_solver(ExactGuest(), names=[*TINY, "time limit"])


def test_a_lane_of_linear_programs_is_asked_for_those_only() -> None:
    lane = Guest(accepts=frozenset({Feature.ROWS}))
    done = check_solver(lane)
    assert {"lp", "bounds of columns"} <= set(done.problems)
    assert {"binaries", "knapsack 0", *LIMITS[::2]} <= {name for name, _ in done.skipped}
    with pytest.raises(ConformanceError, match="certified"):
        check_solver(Guest(accepts=frozenset({Feature.ROWS}), fault="certified from duals of the wrong sign"))


def test_a_lane_that_takes_nothing_of_the_kit_is_refused() -> None:
    with pytest.raises(ConformanceError, match="none of the programs fits what it accepts: products"):
        check_solver(Guest(accepts=frozenset({Feature.PRODUCTS})))


def test_a_lane_is_checked_by_its_name() -> None:
    assert check_solver("highs", names=["lp"]).solved > 0
    with pytest.raises(InputError, match=r"unknown solver 'highss'. Did you mean highs"):
        check_solver("highss")
