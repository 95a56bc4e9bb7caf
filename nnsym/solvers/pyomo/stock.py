"""CBC and SCIP as Pyomo's own interfaces run them, on a model with every column a Pyomo variable.

Slow on large networks (Pyomo makes an object per coefficient) and portable. Status and dual bound are read; the
incumbent proves nothing: on a time limit Pyomo loads one without complaint. LP bounds are not certified here.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, final

import numpy as np

from nnsym.program import Feature, Program
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.lane import LINEAR, answer_of, package, submit, timed, tolerance
from nnsym.solvers.statuses import PYOMO, look_up
from nnsym.solvers.workers.worker import Report


@final
@dataclass(frozen=True, kw_only=True)
class Cbc:
    """The lane ``cbc``: the executable on PATH."""

    name: str = "cbc"
    accepts: frozenset[Feature] = LINEAR
    exact: bool = False

    def availability(self) -> Availability:
        remedy = "your system's package coinor-cbc"
        if shutil.which("cbc") is None or find_spec("pyomo") is None:
            return Availability(available=False, licence="EPL-2.0", remedy=remedy)
        return Availability(available=True, version="on PATH", licence="EPL-2.0")

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """One LP or MILP, to a zero gap.

        Without CBC's integer preprocessing: CBC 2.10.8 returned 0.60 with it where the optimum was 1.49
        ("Postprocessing changed objective"), so its bounds prove nothing then. And without the increment of 1e-5 by
        which, unasked, it wants every new incumbent to be better than the last.
        """
        options = {
            "preprocess": "off",
            "increment": 0,
            "ratioGap": 0,
            "allowableGap": 0,
            "primalTolerance": 1e-9,
            "dualTolerance": 1e-9,
            "integerTolerance": 1e-9,
            "threads": limits.threads,
            "randomCbcSeed": limits.seed % 2**31,
        }
        return _solve(self.name, "cbc", program, limits, options, progress)


@final
@dataclass(frozen=True, kw_only=True)
class Scip:
    """The lane ``scip``: PySCIPOpt."""

    name: str = "scip"
    accepts: frozenset[Feature] = LINEAR
    exact: bool = False

    def availability(self) -> Availability:
        return package("pyscipopt", "pyscipopt", licence="Apache-2.0")

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """One LP or MILP, to a zero gap."""
        options = {
            "limits/gap": 0.0,
            "limits/absgap": 0.0,
            "numerics/feastol": 1e-9,
            "numerics/dualfeastol": 1e-9,
            "limits/memory": limits.memory / 2**20,
            "randomization/randomseedshift": limits.seed % 2**31,
        }
        return _solve(self.name, "scip_direct", program, limits, options, progress)


@dataclass(frozen=True, eq=False, kw_only=True)
class StockJob:
    """The program, the name Pyomo knows the solver by, and its options."""

    program: Program
    solver: str
    options: dict[str, Any]


def _solve(
    lane: str, solver: str, program: Program, limits: Limits, options: dict[str, Any], progress: Progress | None
) -> Answer:
    job = StockJob(program=program, solver=solver, options=options)
    outcome = submit(lane, __name__, job, limits, progress)
    return answer_of(lane, program, outcome, tau=tolerance(LinearModel.of(program), 1e-9))


def run(job: StockJob, report: Report) -> Found:
    """In the worker: build the Pyomo model, let Pyomo solve it, read status, dual bound and point."""
    import pyomo.environ as pyo

    from nnsym.solvers.pyomo.model import to_pyomo  # heavy: pyomo

    seconds: dict[str, float] = {}
    with timed(seconds, "handover"):
        model = to_pyomo(job.program, columns="all")
        if job.program.objective is None:
            model.objective = pyo.Objective(expr=0.0)
    with timed(seconds, "solve"):
        limit = max(1.0, report.remaining())
        results = pyo.SolverFactory(job.solver).solve(model, load_solutions=False, timelimit=limit, options=job.options)
    found = read(results, model, job.program)
    found.seconds = seconds
    return found


def read(results: Any, model: Any, program: Program) -> Found:
    """The whitelisted status; the dual bound as a bound; the point only where Pyomo says it is feasible."""
    import pyomo.environ as pyo

    raw = str(results.solver.termination_condition)
    found = Found(status=look_up(PYOMO, raw), raw=raw)
    if found.status is Status.INFEASIBLE:
        found.bound = np.inf
        return found
    lower, upper = results.problem.lower_bound, results.problem.upper_bound
    if len(results.solution) and isinstance(upper, float) and np.isfinite(upper):
        model.solutions.load_from(results, ignore_invalid_labels=False, allow_consistent_values_for_fixed_vars=True)
        found.point = _values(model, program)
        found.objective = np.inf if found.point is None else float(pyo.value(model.objective))
    if program.objective is None:
        found.without_objective()
    elif isinstance(lower, float) and not np.isnan(lower):
        found.bound = lower
    return found


def _values(model: Any, program: Program) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """The variables' values. Pyomo leaves out columns that no row names: any value in their bounds will do."""
    values = np.array([np.nan if v.value is None else v.value for v in model.x.values()])
    named = np.zeros(program.n_columns, bool)
    named[LinearModel.of(program).indices] = True
    idle = np.isnan(values) & ~named
    values[idle] = np.clip(0.0, program.lower, program.upper)[idle]
    return None if np.isnan(values).any() else values
