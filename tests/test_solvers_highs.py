"""What HiGHS is not asked: versions and presolve rules that lose optima, and numbers that it would drop."""

from __future__ import annotations

import numpy as np
import pytest

from nnsym.builder import ProgramBuilder
from nnsym.encode.registry import find_encoding
from nnsym.errors import SolverUnavailableError
from nnsym.solvers import lane
from nnsym.solvers.arrays import LinearModel, without_tiny
from nnsym.solvers.base import Goal, Limits
from nnsym.solvers.registry import check_fits, find
from nnsym.testing.problem import columns, row
from nnsym.testing.programs_of_networks import network_problems


@pytest.mark.parametrize("name", ["highs", "pyomo:highs"])
def test_optima_that_versions_before_lose(name: str) -> None:
    """1.15.1 has -1.3418 for -1.5156 with one of these, and 1.9678 for 1.7517 with another, both as its bound too."""
    for problem in network_problems():
        answer = find(name).solve(problem.program, Limits(seconds=60), Goal(decide=False))
        assert problem.optimum is not None
        assert answer.objective == pytest.approx(float(problem.optimum), abs=1e-6)
        assert answer.bound <= float(problem.optimum) + answer.tau


@pytest.mark.parametrize(("here", "available"), [("1.15.1", False), ("1.16.0", True), ("1.16", True), ("2.0", True)])
def test_versions_before_are_not_asked(here: str, available: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "version", lambda _: here)
    for name in ("highs", "pyomo:highs"):
        assert find(name).availability().available is available
    if not available:
        with pytest.raises(SolverUnavailableError, match=r"version 1\.15\.1 is too old.*highspy>=1\.16"):
            check_fits(find_encoding("bigm"), "highs")


def test_an_infinite_side_stays_infinite_where_tiny_coefficients_go() -> None:
    """The largest float in its place is a number, with which presolves compute."""
    b = ProgramBuilder()
    x, t = columns(b, "x", "value", 0, 2.0**21, 1), columns(b, "spec", "margin", -64, 64, 1)
    both = np.concatenate([t, x])
    row(b, both, [1, 2.0**-31], low=1.0)
    row(b, both, [1, 2.0**-31], high=1.0)
    found = without_tiny(LinearModel.of(b.build(objective=int(t[0]))))
    assert (found.row_upper[0], found.row_lower[1]) == (np.inf, -np.inf)
    assert (found.row_lower[0], found.row_upper[1]) == pytest.approx((1 - 2.0**-10, 1.0))
