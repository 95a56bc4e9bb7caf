"""What HiGHS is not asked: versions and presolve rules that lose optima, and numbers that it would drop."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from typing import final

import numpy as np
import pytest

from nnsym.builder import ProgramBuilder
from nnsym.encode.registry import find_encoding
from nnsym.errors import SolverUnavailableError
from nnsym.program import Feature, Program
from nnsym.solvers import lane
from nnsym.solvers.arrays import LinearModel, without_tiny
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Solver
from nnsym.solvers.lane import LINEAR
from nnsym.solvers.registry import check_fits, find
from nnsym.testing.check_solver import ConformanceError, SolverConformance, check_solver
from nnsym.testing.problem import columns, row
from nnsym.testing.programs_of_networks import network_problems


def asked(lane: Solver) -> SolverConformance:
    """Its answers to programs of networks alone."""
    return check_solver(lane, names=[problem.name for problem in network_problems()], networks=True)


@final
@dataclass(frozen=True)
class Wrong:
    """HiGHS with a bound that is too high."""

    name: str = "wrong"
    accepts: frozenset[Feature] = LINEAR
    exact: bool = False

    def availability(self) -> Availability:
        return Availability(available=True)

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        answer = find("highs").solve(program, limits, goal, progress)
        return replace(answer, solver=self.name, bound=answer.bound + 0.2)


@pytest.mark.parametrize("name", ["highs", "pyomo:highs", "glpk", "z3"])
def test_optima_that_versions_before_lose(name: str) -> None:
    """1.15.1 has -1.3418 for -1.5156 with one of these, and 1.9678 for 1.7517 with another, both as its bound too."""
    if not find(name).availability().available:
        pytest.skip(f"no {name}")
    assert len(asked(find(name)).problems) == 4


def test_a_bound_above_the_optimum_of_a_network_is_refused() -> None:
    with pytest.raises(ConformanceError, match="network maxpool 38: a lower bound"):
        asked(Wrong())


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


def test_no_banner_in_the_users_own_process() -> None:
    """HiGHS 1.16 says what runs in the first constructor of a process, unless output is off before."""
    code = (
        "import numpy as np\n"
        "from nnsym.solvers import highs\n"
        "from nnsym.solvers.arrays import LinearModel\n"
        "none, ends = np.zeros(0), np.zeros(1, np.int32)\n"
        "sides = dict(lower=np.zeros(1), upper=np.ones(1), integer=np.ones(1, bool))\n"
        "rows = dict(data=none, indices=none.astype(np.int32), indptr=ends, row_lower=none, row_upper=none)\n"
        "assert highs.minimise(LinearModel(**sides, **rows), np.ones(1), 9.0, 1).objective == 0.0\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout + done.stderr == ""
