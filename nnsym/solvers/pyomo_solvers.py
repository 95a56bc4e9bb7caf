"""Solvers registered with Pyomo that read :class:`~nnsym.solvers.pyomo_model.MatrixRows` as arrays.

Importing this module registers ``nnsym_highs`` and ``nnsym_gurobi``. A model may hold ordinary Pyomo constraints over
the same variables as well: those go through Pyomo's ``LinearStandardFormCompiler`` and are stacked below the arrays.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, final

import numpy as np
import pyomo.environ as pyo
from pyomo.contrib.solver.common.base import Availability, SolverBase
from pyomo.contrib.solver.common.config import BranchAndBoundConfig
from pyomo.contrib.solver.common.factory import SolverFactory
from pyomo.contrib.solver.common.results import Results, SolutionStatus, TerminationCondition
from pyomo.contrib.solver.common.solution_loader import SolutionLoader
from pyomo.core.base.component import ActiveComponent
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.linear import row_pointers
from nnsym.solvers import gurobi, highs
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Solver, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.pyomo_model import MatrixRows


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Compiled:
    """A Pyomo model as arrays: minimise ``sign * (cost x + offset)``; ``variables`` maps columns to Pyomo variables.

    ``rows`` are the components of matrix rows in the model, each with the number of its first column.
    """

    arrays: LinearModel
    cost: Array
    offset: float
    sign: float
    variables: Mapping[int, Any]
    rows: tuple[tuple[MatrixRows, int], ...]


def compile_model(model: Any) -> Compiled:
    """The matrix rows as they are, bounds and domains as the variables have them now, other rows below.

    Raises :class:`InputError` where these are not within what the rows were made for.
    """
    blocks = [c for c in model.component_objects(pyo.Constraint, active=True) if isinstance(c, MatrixRows)]
    for block in blocks:
        block.check()
        block.check_whole()
    if len(list(model.component_data_objects(pyo.Objective, active=True))) > 1:
        raise UnsupportedError("more than one active objective", remedy="Deactivate all but one")
    if any(True for _ in model.component_data_objects(pyo.SOSConstraint, active=True)):
        remedy = "Use Pyomo's own interface to a solver that knows them: gurobi_direct, cplex_direct, scip"
        raise UnsupportedError("special ordered sets are no rows", where=f"Pyomo model '{model.name}'", remedy=remedy)
    with _hidden(blocks):
        rest = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
    starts = row_pointers([len(b.arrays.lower) for b in blocks]).astype(int).tolist()
    placed = tuple(zip(blocks, starts, strict=False))
    base = _side_by_side([b.arrays for b in blocks], starts)
    variables: dict[int, Any] = {start + k: v for block, start in placed for k, v in block.variables.items()}
    place = {id(v): k for k, v in variables.items()}
    for variable in rest.columns:
        if id(variable) not in place:
            place[id(variable)] = starts[-1] + len(place) - sum(len(block.variables) for block, _ in placed)
            variables[place[id(variable)]] = variable
    arrays = _stack(_with_variables(base, variables), rest, place)
    cost, offset, sign = np.zeros(len(arrays.lower)), 0.0, 1.0
    if len(rest.objectives):
        sign, offset = float(rest.objectives[0].sense), float(rest.c_offset[0])
        dense = np.asarray(rest.c.todense()).ravel()
        cost[[place[id(v)] for v in rest.columns]] = sign * dense
    unit = np.flatnonzero(cost)
    objective = int(unit[0]) if len(unit) == 1 and cost[unit[0]] == 1.0 and offset == 0.0 else -1
    return Compiled(
        arrays=replace(arrays, objective=objective),
        cost=cost,
        offset=sign * offset,
        sign=sign,
        variables=variables,
        rows=placed,
    )


def _side_by_side(models: Sequence[LinearModel], starts: Sequence[int]) -> LinearModel:
    """Models of different columns as one; a model's disjuncts speak of all columns only where it is alone."""
    if len(models) == 1:
        return models[0]
    ends = np.cumsum([0, *(m.indptr[-1] for m in models)])
    moved = [m.indices + start for m, start in zip(models, starts, strict=False)]
    pointers = [m.indptr[1:] + end for m, end in zip(models, ends, strict=False)]

    def join(part: Callable[[LinearModel], Array]) -> Array:
        return np.concatenate([part(m) for m in (_EMPTY, *models)])

    return LinearModel(
        lower=join(lambda m: m.lower),
        upper=join(lambda m: m.upper),
        integer=join(lambda m: m.integer),
        data=join(lambda m: m.data),
        indices=np.concatenate([_EMPTY.indices, *moved]).astype(np.int32),
        indptr=np.concatenate([_EMPTY.indptr, *pointers]).astype(np.int32),
        row_lower=join(lambda m: m.row_lower),
        row_upper=join(lambda m: m.row_upper),
    )


_EMPTY = LinearModel(
    lower=np.zeros(0),
    upper=np.zeros(0),
    integer=np.zeros(0, bool),
    data=np.zeros(0),
    indices=np.zeros(0, np.int32),
    indptr=np.zeros(1, np.int32),
    row_lower=np.zeros(0),
    row_upper=np.zeros(0),
)


@contextmanager
def _hidden(blocks: list[MatrixRows]) -> Iterator[None]:
    """Inactive for Pyomo's compiler, without touching (and so making) the rows."""
    for block in blocks:
        ActiveComponent.deactivate(block)
    try:
        yield
    finally:
        for block in blocks:
            ActiveComponent.activate(block)


def _with_variables(base: LinearModel, variables: Mapping[int, Any]) -> LinearModel:
    """Bounds, domains and fixed values as the Pyomo variables have them now."""
    extra = len(variables) and max(max(variables) + 1 - len(base.lower), 0)
    lower = np.concatenate([base.lower, np.full(extra, -np.inf)])
    upper = np.concatenate([base.upper, np.full(extra, np.inf)])
    integer = np.concatenate([base.integer, np.zeros(extra, bool)])
    for k, variable in variables.items():
        low, high = (variable.value,) * 2 if variable.fixed else variable.bounds
        lower[k], upper[k] = -np.inf if low is None else low, np.inf if high is None else high
        integer[k] = not variable.is_continuous()
    return replace(base, lower=lower, upper=upper, integer=integer, disjuncts=())


def _stack(base: LinearModel, rest: Any, place: Mapping[int, int]) -> LinearModel:
    """The compiled ordinary rows below the matrix rows. Senses: 0 is =, 1 is <=, -1 is >=."""
    if not len(rest.rows):
        return base
    below = rest.A.tocsr()
    columns = np.array([place[id(v)] for v in rest.columns], np.int32)
    sense, right = np.array([row[1] for row in rest.rows]), np.asarray(rest.rhs, float)
    return replace(
        base,
        data=np.concatenate([base.data, below.data]),
        indices=np.concatenate([base.indices, columns[below.indices]]).astype(np.int32),
        indptr=np.concatenate([base.indptr, base.indptr[-1] + below.indptr[1:]]).astype(np.int32),
        row_lower=np.concatenate([base.row_lower, np.where(sense == 1, -np.inf, right)]),
        row_upper=np.concatenate([base.row_upper, np.where(sense == -1, np.inf, right)]),
    )


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
