"""HiGHS by arrays: ``passModel`` on the CSR itself, one thread, no gaps, bounds streamed from callbacks.

Never ``objective_bound``: as a cutoff it makes HiGHS call a feasible MILP infeasible. A decided answer stops
the MILP through ``objective_target`` (incumbent) or the interrupt callback (dual bound).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.ir.array import Array
from nnsym.program import Feature, Program
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Status
from nnsym.solvers.cases import Found, LpEnd, solve_disjuncts
from nnsym.solvers.lane import LINEAR, LinearJob, package, solve_linear, timed
from nnsym.solvers.statuses import HIGHS, look_up
from nnsym.solvers.workers.worker import Report

#: The first version that is asked. Those before call values optimal that are not, and their bounds say so too: 1.15.1
#: for one in some 500 big-M programs of small networks, 1.16.0 for none in 8,000.
SINCE = (1, 16)

REMEDY = "pip install 'highspy>=1.16'"

#: Presolve rules that are not used, a bit for each. Column stuffing: by it 1.16.0 calls a feasible program of 3 rows
#: infeasible.
_RULES_OFF = 1 << 19


@final
@dataclass(frozen=True, kw_only=True)
class Highs:
    """The lane ``highs``."""

    name: str = "highs"
    accepts: frozenset[Feature] = LINEAR
    exact: bool = False

    def availability(self) -> Availability:
        return package("highspy", "highspy", licence="MIT", remedy=REMEDY, since=SINCE)

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """Minimise the program's objective; one LP a disjunct where only guards are integral, else one MILP."""
        return solve_linear(self.name, __name__, program, limits, goal, progress)


def run(job: LinearJob, report: Report, seconds: dict[str, float] | None = None) -> Found:
    """In the worker: load the arrays and solve. ``seconds`` already spent on the hand-over may be given."""
    seconds = {} if seconds is None else seconds
    _silent()  # importing is no part of the hand-over
    with timed(seconds, "handover"):
        highs = load(job.model, as_lp=bool(job.model.disjuncts))
    set_options(highs, threads=job.threads, seed=job.seed)
    with timed(seconds, "solve"):
        engine = Engine(highs, len(job.model.lower))
        found = (
            solve_disjuncts(job.model, engine, job.goal, report) if job.model.disjuncts else _milp(highs, job, report)
        )
    found.seconds, found.version = seconds, highs.version()
    return found


def minimise(model: LinearModel, cost: Array, seconds: float, threads: int) -> Found:
    """Minimise any cost over the arrays, in this process, to a zero gap; for Pyomo's users."""
    highs = load(model)
    highs.changeColsCost(len(cost), np.arange(len(cost), dtype=np.int32), cost)
    set_options(highs, threads=threads, seed=0)
    highs.setOptionValue("time_limit", seconds)
    highs.run()
    return _read(highs, mip=bool(model.integer.any()))


def load(model: LinearModel, *, as_lp: bool = False) -> Any:
    """A Highs object that holds the model; coefficients that HiGHS would drop are an error."""
    import highspy

    highs = _silent()()
    highs.setOptionValue("small_matrix_value", 1e-12)
    integer = np.zeros(len(model.lower), np.int32) if as_lp else model.integer.astype(np.int32)
    sizes = (len(model.lower), len(model.row_lower), len(model.data))
    columns = (model.cost, np.ascontiguousarray(model.lower, float), np.ascontiguousarray(model.upper, float))
    rows = (model.row_lower, model.row_upper, model.indptr, model.indices, model.data)
    kinds = (int(highspy.MatrixFormat.kRowwise), int(highspy.ObjSense.kMinimize))
    status = highs.passModel(*sizes, *kinds, 0.0, *columns, *rows, integer)
    if status != highspy.HighsStatus.kOk:
        raise ValueError(f"HiGHS refused or changed the model ({status.name}): coefficients outside [1e-12, 1e15]?")
    return highs


@functools.cache
def _silent() -> Any:
    """The class ``Highs`` without a word: its constructor sets callbacks, which says what runs unless output is off."""
    import highspy

    class Silent(highspy.Highs):  # type: ignore[misc]
        def enableCallbacks(self) -> None:  # noqa: N802  (HiGHS's name)
            self.setOptionValue("output_flag", False)
            super().enableCallbacks()

    return Silent


def set_options(highs: Any, *, threads: int, seed: int) -> None:
    """Threads, seed, no gaps, tolerances of 1e-9."""
    highs.resetGlobalScheduler(True)  # a warm worker may have run with another number of threads
    values = {
        "threads": threads,
        "random_seed": seed,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": 0.0,
        "primal_feasibility_tolerance": 1e-9,
        "dual_feasibility_tolerance": 1e-9,
        "mip_feasibility_tolerance": 1e-9,
        "presolve_rule_off": _RULES_OFF,
        "mip_heuristic_run_rins": False,  # without: 4 network MILPs took 0.5 to 1 times the CPU, none more
    }
    for name, value in values.items():
        highs.setOptionValue(name, value)


class Engine:
    """LPs over one loaded model, each starting from the last basis."""

    def __init__(self, highs: Any, count: int) -> None:
        self._highs, self._columns = highs, np.arange(count, dtype=np.int32)
        self._spent = 0.0

    def solve(self, lower: Array, upper: Array, seconds: float) -> LpEnd:
        import highspy

        highs = self._highs
        highs.changeColsBounds(len(self._columns), self._columns, lower, upper)
        highs.setOptionValue("time_limit", highs.getRunTime() + seconds)  # HiGHS counts over all runs of an object
        highs.run()
        raw = highs.getModelStatus().name
        status, solution = look_up(HIGHS, raw), highs.getSolution()
        ray = highs.getDualRay()[2] if status is Status.INFEASIBLE else None
        duals = np.array(solution.row_dual) if solution.dual_valid else None
        point = np.array(solution.col_value) if solution.value_valid else None
        objective = highs.getInfo().objective_function_value if status is Status.OPTIMAL else np.inf
        if highs.getInfo().primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
            point = None
        return LpEnd(status=status, raw=raw, objective=objective, point=point, duals=duals, ray=ray)


def _milp(highs: Any, job: LinearJob, report: Report) -> Found:
    """One MILP with bounds and incumbents streamed; stopped early where the goal is to decide."""
    decide = job.goal.decide and job.model.objective >= 0
    if decide:
        highs.setOptionValue("objective_target", job.goal.below)
    highs.setOptionValue("time_limit", report.remaining())

    def watch(event: Any) -> None:
        data = event.data_out
        report.bounds(data.mip_dual_bound, data.mip_primal_bound)
        if decide and job.goal.above < data.mip_dual_bound < np.inf:  # infinite: no part is left, and HiGHS says so
            event.interrupt()

    def improved(event: Any) -> None:
        report.point(np.array(event.data_out.mip_solution), event.data_out.objective_function_value)

    highs.cbMipInterrupt += watch
    highs.cbMipImprovingSolution += improved
    highs.run()
    found = _read(highs, mip=True)
    if job.model.objective < 0:
        found.without_objective()
    return found


def _read(highs: Any, *, mip: bool) -> Found:
    """Status, bound and point of the last run."""
    import highspy

    raw, info = highs.getModelStatus().name, highs.getInfo()
    found = Found(status=look_up(HIGHS, raw), raw=raw)
    if info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible:
        found.point, found.objective = np.array(highs.getSolution().col_value), info.objective_function_value
    if found.status is Status.INFEASIBLE:
        found.bound = np.inf
    elif mip:
        found.bound, found.nodes = info.mip_dual_bound, int(info.mip_node_count)
    elif found.status is Status.OPTIMAL:
        found.bound = found.objective
    return found
