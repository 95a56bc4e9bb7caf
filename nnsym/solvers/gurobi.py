"""Gurobi by arrays: ``addMVar`` and ``addMConstr`` on the CSR, no gaps, bounds streamed from a callback.

A licence is only known to fall short when ``optimize`` says so (errno 10010, pip's licence stops at 2000 columns
or rows, and at 200 columns of a quadratic program; a full one has no limit), so the refusal is read there and answered
as a status.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.ir.array import Array
from nnsym.program import Feature, Program
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Status
from nnsym.solvers.cases import Found, LpEnd, solve_disjuncts
from nnsym.solvers.lane import LINEAR, LinearJob, package, refused, solve_linear, timed
from nnsym.solvers.statuses import GUROBI, look_up
from nnsym.solvers.workers.worker import Report

LICENCE = "pip's licence: at most 2000 columns and 2000 rows, 200 columns with balls or products"
#: errno of a missing or expired licence, of a model beyond its size, and of a licence server's refusal.
_REFUSALS = frozenset({10009, 10010, 10030})


@final
@dataclass(frozen=True, kw_only=True)
class Gurobi:
    """The lane ``gurobi``."""

    name: str = "gurobi"
    accepts: frozenset[Feature] = LINEAR | {
        Feature.IMPLICATIONS,
        Feature.SOS1,
        Feature.SOS2,
        Feature.PRODUCTS,
        Feature.QUADRATIC,
    }
    exact: bool = False

    def availability(self) -> Availability:
        return package("gurobipy", "gurobipy", licence=LICENCE, remedy="pip install 'nnsym[gurobi]'")

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """Minimise the program's objective; one LP a disjunct where only guards are integral, else one MILP."""
        answer = solve_linear(self.name, __name__, program, limits, goal, progress)
        return refused(answer, program) if answer.status is Status.LICENSE else answer


def run(job: LinearJob, report: Report, seconds: dict[str, float] | None = None) -> Found:
    """In the worker: load the arrays and solve. ``seconds`` already spent on the hand-over may be given."""
    import gurobipy
    import scipy.sparse  # noqa: F401 - loaded here so that the hand-over is timed without it

    seconds = {} if seconds is None else seconds
    disjuncts = bool(job.model.disjuncts)

    def solve(env: Any) -> Found:
        with timed(seconds, "handover"):
            loaded = Loaded(env, job.model, as_lp=disjuncts)
        _options(loaded.model, threads=job.threads, seed=job.seed)
        with loaded.model, timed(seconds, "solve"):
            return solve_disjuncts(job.model, loaded, job.goal, report) if disjuncts else _milp(loaded, job, report)

    found = _licensed(solve)
    found.seconds, found.version = seconds, ".".join(str(v) for v in gurobipy.gurobi.version())
    return found


def minimise(model: LinearModel, cost: Array, seconds: float, threads: int) -> Found:
    """Minimise any cost over the arrays, in this process, to a zero gap; for Pyomo's users."""

    def solve(env: Any) -> Found:
        loaded = Loaded(env, model, as_lp=False)
        _options(loaded.model, threads=threads, seed=0)
        with loaded.model:
            loaded.columns.setAttr("Obj", cost)
            loaded.model.Params.TimeLimit = seconds
            loaded.model.optimize()
            return _read(loaded)

    return _licensed(solve)


def _licensed(solve: Callable[[Any], Found]) -> Found:
    """Run in a silent environment; a licence's refusal becomes a status."""
    import gurobipy

    try:
        with gurobipy.Env(params={"OutputFlag": 0}) as env:
            return solve(env)
    except gurobipy.GurobiError as error:
        if error.errno not in _REFUSALS:
            raise
        return Found(status=Status.LICENSE, raw=f"error {error.errno}", message=str(error))


class Loaded:
    """A Gurobi model of the arrays. A row with two different finite sides is two rows there."""

    def __init__(self, env: Any, model: LinearModel, *, as_lp: bool) -> None:
        import gurobipy
        import scipy.sparse as sp

        self._source, self.bilinear = model, bool(model.products)
        count = len(model.lower)
        matrix = sp.csr_matrix((model.data, model.indices, model.indptr), shape=(len(model.row_lower), count))
        equal = model.row_lower == model.row_upper
        self._low = np.flatnonzero(np.isfinite(model.row_lower) & ~equal)
        self._high = np.flatnonzero(np.isfinite(model.row_upper) & ~equal)
        self._equal = np.flatnonzero(equal)
        self.model = gurobipy.Model(env=env)
        kinds = np.full(count, "C") if as_lp else np.where(model.integer, "I", "C")
        self.columns = self.model.addMVar(count, lb=model.lower, ub=model.upper, obj=model.cost, vtype=kinds)
        places, sides = (self._low, self._high, self._equal), (model.row_lower, model.row_upper, model.row_lower)
        self._rows = [
            self.model.addMConstr(matrix if len(k) == matrix.shape[0] else matrix[k], self.columns, sense, side[k])
            for k, sense, side in zip(places, "><=", sides, strict=True)
        ]
        _logic(self.model, self.columns, model)
        _polynomials(self.model, self.columns, model)
        self.model.update()

    def multipliers(self, name: str) -> Array:
        """The attribute ``Pi`` or ``FarkasDual`` per row of the source model."""
        out = np.zeros(len(self._source.row_lower))
        for places, rows in zip((self._low, self._high, self._equal), self._rows, strict=True):
            if len(places):
                np.add.at(out, places, np.asarray(rows.getAttr(name)))
        return out

    def solve(self, lower: Array, upper: Array, seconds: float) -> LpEnd:
        """One LP of the disjuncts, from the last basis."""
        import gurobipy

        self.columns.setAttr("LB", lower)
        self.columns.setAttr("UB", upper)
        self.model.Params.TimeLimit = seconds
        self.model.Params.InfUnbdInfo = 1
        self.model.optimize()
        raw = _word(self.model.Status)
        status = look_up(GUROBI, raw)
        if status is Status.OPTIMAL:
            point, objective = np.array(self.columns.X), float(self.model.ObjVal)
            return LpEnd(status=status, raw=raw, objective=objective, point=point, duals=self.multipliers("Pi"))
        ray = None
        if status is Status.INFEASIBLE:
            try:
                ray = self.multipliers("FarkasDual")
            except (AttributeError, gurobipy.GurobiError):  # presolve found it; there is no ray
                ray = None
        return LpEnd(status=status, raw=raw, ray=ray)


def _logic(model: Any, columns: Any, source: LinearModel) -> None:
    """Indicator constraints and special ordered sets; a row with two finite sides is two indicator constraints."""
    import gurobipy

    variables = columns.tolist() if source.implications or source.sets else []
    for block in source.implications:
        columns[np.unique(block.guard)].setAttr("VType", "B")
        rows, ends = block.rows, block.rows.indptr.tolist()
        for k, (start, stop) in enumerate(itertools.pairwise(ends)):
            members = [variables[j] for j in rows.indices[start:stop].tolist()]
            row = gurobipy.LinExpr(rows.data[start:stop].tolist(), members)
            for sense, side in ((">", float(rows.lower[k])), ("<", float(rows.upper[k]))):
                if np.isfinite(side):
                    guard = variables[int(block.guard[k])]
                    model.addGenConstrIndicator(guard, bool(block.value[k]), row, sense, side)
    for sets in source.sets:
        for start, stop in itertools.pairwise(sets.indptr.tolist()):
            members = [variables[j] for j in sets.indices[start:stop].tolist()]
            model.addSOS(gurobipy.GRB.SOS_TYPE2 if sets.most == 2 else gurobipy.GRB.SOS_TYPE1, members)


def _polynomials(model: Any, columns: Any, source: LinearModel) -> None:
    """Unit balls as convex quadratic rows; products as bilinear equations, which Gurobi branches on."""
    import scipy.sparse as sp

    for ball in source.quadratics:
        inside = columns[ball.columns]
        model.addMQConstr(sp.identity(len(ball.columns), format="csr"), None, "<", 1.0, inside, inside)
    for block in source.products:
        model.addConstr(columns[block.out] == columns[block.left] * columns[block.right])


def _word(status: int) -> str:
    from gurobipy import GRB

    return next((k for k in dir(GRB.Status) if not k.startswith("_") and getattr(GRB.Status, k) == status), str(status))


def _options(model: Any, *, threads: int, seed: int) -> None:
    values = {
        "Threads": threads,
        "Seed": seed % 2_000_000_000,
        "MIPGap": 0.0,
        "MIPGapAbs": 0.0,
        "FeasibilityTol": 1e-9,
        "OptimalityTol": 1e-9,
        "IntFeasTol": 1e-9,
        "BarQCPConvTol": 1e-9,
        "DualReductions": 0,  # so that "infeasible or unbounded" is told apart
    }
    for name, value in values.items():
        model.setParam(name, value)


def _milp(loaded: Loaded, job: LinearJob, report: Report) -> Found:
    """One MILP with bounds and incumbents streamed; stopped early where the goal is to decide."""
    from gurobipy import GRB

    model, decide = loaded.model, job.goal.decide and job.model.objective >= 0
    model.Params.TimeLimit = report.remaining()
    if decide:
        model.Params.BestObjStop = job.goal.below

    def watch(gurobi: Any, where: int) -> None:
        if where == GRB.Callback.MIP:
            bound = _bound(gurobi.cbGet(GRB.Callback.MIP_OBJBND))
            report.bounds(bound, gurobi.cbGet(GRB.Callback.MIP_OBJBST))
            if decide and bound > job.goal.above:
                gurobi.terminate()
        elif where == GRB.Callback.MIPSOL:
            report.point(np.array(gurobi.cbGetSolution(loaded.columns)), gurobi.cbGet(GRB.Callback.MIPSOL_OBJ))

    model.optimize(watch)
    found = _read(loaded)
    if job.model.objective < 0:
        found.without_objective()
    return found


def _read(loaded: Loaded) -> Found:
    """Status, bound and point of the last run."""
    model = loaded.model
    raw = _word(model.Status)
    found = Found(status=look_up(GUROBI, raw), raw=raw)
    if model.SolCount:
        found.point, found.objective = np.array(loaded.columns.X), float(model.ObjVal)
    if found.status is Status.INFEASIBLE:
        found.bound = np.inf
    elif model.IsMIP or loaded.bilinear:
        found.bound, found.nodes = _bound(model.ObjBound), int(model.NodeCount)
    elif found.status is Status.OPTIMAL:
        found.bound = found.objective
    return found


def _bound(value: float) -> float:
    """A dual bound; an infinite one (Gurobi writes 1e100, or inf where it is unbounded) is none."""
    return -np.inf if abs(value) >= 1e100 else float(value)
