"""Solvers registered with Pyomo that read :class:`~nnsym.solvers.pyomo.model.MatrixRows` as arrays.

Importing this module registers ``nnsym_highs`` and ``nnsym_gurobi``; it is the public door of the room
:mod:`nnsym.solvers.pyomo`. A model may hold ordinary Pyomo constraints over the same variables as well: those go
through Pyomo's ``LinearStandardFormCompiler`` and are stacked below the arrays.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.solver.common.base import Availability, SolverBase
from pyomo.contrib.solver.common.config import BranchAndBoundConfig
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import Results, SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.solution_loader import SolutionLoader

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.solvers import gurobi, highs
from nnsym.solvers.base import Solver, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.pyomo.compiled import Compiled, compile_model


class _Loader(SolutionLoader):  # type: ignore[misc]
    """Values of the Pyomo variables in the best point."""

    def __init__(self, model: Any, compiled: Compiled, point: Array | None) -> None:
        super().__init__()
        self._pyomo_model = model  # read by Pyomo's loader of suffixes
        self._compiled, self._point = compiled, point

    def get_number_of_solutions(self) -> int:
        return 0 if self._point is None else 1

    def get_solution_ids(self) -> list[Any]:
        return [] if self._point is None else [None]

    def get_vars(self, vars_to_load: Sequence[Any] | None = None) -> Any:
        if self._point is None:
            raise RuntimeError("there is no solution to load")
        wanted = None if vars_to_load is None else {id(v) for v in vars_to_load}
        items = ((v, float(self._point[k])) for k, v in self._compiled.variables.items())
        return pyo.ComponentMap((v, value) for v, value in items if wanted is None or id(v) in wanted)


_TERMINATION = {
    Status.OPTIMAL: TerminationCondition.convergenceCriteriaSatisfied,
    Status.INFEASIBLE: TerminationCondition.provenInfeasible,
    Status.TIME_LIMIT: TerminationCondition.maxTimeLimit,
    Status.LICENSE: TerminationCondition.licensingProblems,
    Status.ERROR: TerminationCondition.error,
}


class _ArraySolver(SolverBase):  # type: ignore[misc]
    """A Pyomo solver that hands arrays to a solver in this process, as Pyomo's direct interfaces do."""

    CONFIG = BranchAndBoundConfig()
    lane: Solver

    @abstractmethod
    def minimise(self, compiled: Compiled, seconds: float, threads: int) -> Found:
        """Hand over the arrays and the cost."""

    def _found(self, compiled: Compiled, seconds: float, threads: int) -> Found:
        """The answer; bounds that cross, which a user may tighten them to, are infeasible and no fault of the model."""
        if (compiled.arrays.lower > compiled.arrays.upper).any():
            return Found(status=Status.INFEASIBLE, raw="bounds cross", bound=np.inf)
        try:
            return self.minimise(compiled, seconds, threads)
        except ValueError as error:
            raise UnsupportedError(str(error), remedy="Rescale the model, or take another solver") from error

    def available(self) -> Availability:
        found = self.lane.availability().available
        return Availability.FullLicense if found else Availability.NotFound

    def version(self) -> tuple[int, ...]:
        numbers = self.lane.availability().version.split(".")[:3]
        return tuple(int(v) for v in numbers if v.isdigit())

    def solve(self, model: Any, **options: Any) -> Results:
        """Compile, solve to a zero gap, load the values of the variables."""
        started, config = time.perf_counter(), self.config(value=options, preserve_implicit=True)
        stamp = datetime.now(UTC)
        compiled = compile_model(model)
        limit = 1e20 if config.time_limit is None else config.time_limit
        found = self._found(compiled, limit, config.threads or 1)
        results = Results()
        results.solution_loader = _Loader(model, compiled, found.point)
        results.solver_name, results.solver_version = f"nnsym_{self.lane.name}", self.version()
        results.termination_condition = _TERMINATION.get(found.status, TerminationCondition.unknown)
        results.solution_status = SolutionStatus.noSolution
        if found.point is not None:
            proved = found.status is Status.OPTIMAL
            results.solution_status = SolutionStatus.optimal if proved else SolutionStatus.feasible
            results.incumbent_objective = compiled.sign * (found.objective + compiled.offset)
        if np.isfinite(found.bound):
            results.objective_bound = compiled.sign * (found.bound + compiled.offset)
        results.timing_info.start_timestamp = stamp
        results.timing_info.wall_time = time.perf_counter() - started
        _raise_if_asked(results, config)
        if config.load_solutions and found.point is not None:
            for variable, value in results.solution_loader.get_vars().items():
                variable.set_value(value, skip_validation=True)
            for rows, start in compiled.rows:
                rows.values_of_columns = found.point[start : start + len(rows.arrays.lower)]
        return results


def _raise_if_asked(results: Results, config: Any) -> None:
    from pyomo.contrib.solver.common.util import NoFeasibleSolutionError, NoOptimalSolutionError

    optimal = results.solution_status == SolutionStatus.optimal
    if config.raise_exception_on_nonoptimal_result and not optimal:
        raise NoOptimalSolutionError
    if config.load_solutions and results.solution_status == SolutionStatus.noSolution:
        raise NoFeasibleSolutionError


@SolverFactory.register("nnsym_highs", doc="HiGHS by arrays")
class NnsymHighs(_ArraySolver):
    """``SolverFactory("nnsym_highs")``."""

    lane = highs.Highs()

    def minimise(self, compiled: Compiled, seconds: float, threads: int) -> Found:
        return highs.minimise(compiled.arrays, compiled.cost, seconds, threads)


@SolverFactory.register("nnsym_gurobi", doc="Gurobi by arrays")
class NnsymGurobi(_ArraySolver):
    """``SolverFactory("nnsym_gurobi")``."""

    lane = gurobi.Gurobi()

    def minimise(self, compiled: Compiled, seconds: float, threads: int) -> Found:
        return gurobi.minimise(compiled.arrays, compiled.cost, seconds, threads)
