"""The lanes ``pyomo:highs`` and ``pyomo:gurobi``: a Pyomo model of the program, solved by the registered solvers' code.

The model is built with :func:`nnsym.solvers.pyomo.model.to_pyomo` and compiled as for
``SolverFactory("nnsym_highs")``, so hand-over costs what Pyomo costs; limits, bounds and certificates are those of the
array lanes.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import final

import numpy as np

from nnsym.program import Feature, Program
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.lane import LINEAR, LinearJob, answer_of, beyond, package, refused, submit, timed, tolerance
from nnsym.solvers.workers.worker import Report


@final
@dataclass(frozen=True, kw_only=True)
class PyomoLane:
    """``pyomo:SOLVER`` for a solver that has an array lane."""

    solver: str
    distribution: str
    extra: str
    licence: str
    since: tuple[int, ...] = ()
    accepts: frozenset[Feature] = LINEAR
    exact: bool = False

    @property
    def name(self) -> str:
        return f"pyomo:{self.solver}"

    def availability(self) -> Availability:
        if find_spec("pyomo") is None:
            return Availability(available=False, licence=self.licence, remedy="pip install pyomo")
        return package(self.distribution, self.distribution, licence=self.licence, remedy=self.extra, since=self.since)

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """As the array lane, through a Pyomo model."""
        tau = tolerance(LinearModel.of(program), 1e-9)
        job = PyomoJob(
            solver=self.solver, program=program, goal=beyond(goal, tau), threads=limits.threads, seed=limits.seed
        )
        answer = answer_of(self.name, program, submit(self.name, __name__, job, limits, progress), tau=tau)
        return refused(answer, program) if answer.status is Status.LICENSE else answer


@dataclass(frozen=True, eq=False, kw_only=True)
class PyomoJob:
    """The program itself: the Pyomo model is built in the worker."""

    solver: str
    program: Program
    goal: Goal
    threads: int
    seed: int


_SMALL = Program(lower=np.zeros(1), upper=np.ones(1), kind=np.zeros(1, np.int8), blocks=(), rows=())


def run(job: PyomoJob, report: Report) -> Found:
    """In the worker: program, Pyomo model, arrays, solver."""
    lane = importlib.import_module(f"nnsym.solvers.{job.solver}")
    from nnsym.solvers.pyomo.compiled import compile_model  # heavy: pyomo
    from nnsym.solvers.pyomo.model import to_pyomo  # heavy: pyomo

    compile_model(to_pyomo(_SMALL))  # Pyomo imports much of itself at first use
    seconds: dict[str, float] = {}
    with timed(seconds, "handover"):
        compiled = compile_model(to_pyomo(job.program))
    ((rows, _),) = compiled.rows
    arrays = replace(compiled.arrays, disjuncts=rows.arrays.disjuncts)
    inner = LinearJob(model=arrays, goal=job.goal, threads=job.threads, seed=job.seed, memory=0)
    found: Found = lane.run(inner, report, seconds)
    return found
