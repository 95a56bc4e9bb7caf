"""What lanes share: a job for the worker pool out, an Answer from its outcome back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import numpy as np

from nnsym.program import Feature, Program
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.certify import certify_exact
from nnsym.solvers.workers.runner import End, Job, Returned, default_pool

#: What every solver of mixed-integer linear programs takes; clauses become rows ``sum >= 1``.
LINEAR = frozenset({Feature.ROWS, Feature.BINARIES, Feature.INTEGERS, Feature.CLAUSES})

#: The least tolerance on an objective that a float solver is believed to keep.
TAU = 1e-6

_ENDS = {End.TIME: Status.TIME_LIMIT, End.MEMORY: Status.MEMORY_LIMIT, End.FAILED: Status.ERROR}


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearJob:
    """The payload of LP and MILP lanes; ``options`` are the lane's own (a path, a licence remark)."""

    model: LinearModel
    goal: Goal
    threads: int
    seed: int
    memory: int


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the wall time of a step, and the CPU time of this process as ``name_cpu``."""
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - wall
        seconds[f"{name}_cpu"] = seconds.get(f"{name}_cpu", 0.0) + time.process_time() - cpu


def package(
    distribution: str, module: str, *, licence: str = "", remedy: str = "", since: tuple[int, ...] = ()
) -> Availability:
    """Availability of a lane that is a Python package, without importing it; versions before ``since`` do not count."""
    remedy = remedy or f"pip install {distribution}"
    if find_spec(module) is None:
        return Availability(available=False, licence=licence, remedy=remedy)
    try:
        here = version(distribution)
    except PackageNotFoundError:
        return Availability(available=True, licence=licence)
    available = tuple(map(int, re.findall(r"\d+", here)))[: len(since)] >= since
    return Availability(available=available, version=here, licence=licence, remedy="" if available else remedy)


def submit(lane: str, module: str, payload: Any, limits: Limits, progress: Progress | None) -> Returned:
    """Run a lane's job in a worker of the default pool."""
    job = Job(module=module, payload=payload, seconds=limits.left, memory=limits.memory)
    return default_pool().run(lane, job, progress)


def tolerance(model: LinearModel, integrality: float) -> float:
    """The published tolerance tau: rows are met within 1e-9, and a column off an integer by ``integrality`` moves a row
    by at most its largest coefficient times that. Never below 1e-6.
    """
    on_integers = np.abs(model.data[model.integer[model.indices]])
    if model.disjuncts or len(on_integers) == 0:
        return TAU
    return max(TAU, integrality * float(on_integers.max()))


#: Rows are met within this by every float lane that can be asked to.
FEASIBILITY = 1e-9


def resolved(program: Program) -> bool:
    """True if float64 can tell whether the rows are met: no term is so large that its last place exceeds the tolerance.

    Terms of 7e9 are rounded to 1e-6 each time they are added; what a solver then calls its bound is no bound within any
    tau (GLPK 5.0 was off by 4.5e8 on 40 rows of such numbers and called its point optimal).
    """
    data, indices, _, _, _ = program.matrix
    reach = np.maximum(np.abs(program.lower), np.abs(program.upper))[indices]
    terms = np.abs(data)[np.isfinite(reach)] * reach[np.isfinite(reach)]
    return bool(terms.max(initial=0.0) * 2.0**-53 <= FEASIBILITY)


def beyond(goal: Goal, tau: float) -> Goal:
    """The goal with a threshold that the tolerance cannot blur: a bound within tau of zero decides nothing."""
    return replace(goal, above=max(goal.above, tau))


def solve_linear(
    lane: str,
    module: str,
    program: Program,
    limits: Limits,
    goal: Goal,
    progress: Progress | None,
    *,
    integrality: float = 1e-9,
) -> Answer:
    """Hand a program's arrays to ``module.run`` in a worker and read the answer."""
    model = LinearModel.of(program)
    tau = tolerance(model, integrality)
    job = LinearJob(model=model, goal=beyond(goal, tau), threads=limits.threads, seed=limits.seed, memory=limits.memory)
    return answer_of(lane, program, submit(lane, module, job, limits, progress), tau=tau)


def answer_of(lane: str, program: Program, outcome: Returned, *, tau: float, exact: bool = False) -> Answer:
    """The Answer of an outcome; of a killed worker, what it had streamed."""
    if outcome.end is not End.DONE:
        return _interrupted(lane, outcome, tau, exact)
    found: Found = outcome.value
    return Answer(
        status=found.status,
        solver=lane,
        raw=found.raw,
        bound=found.bound,
        certified=found.certified,
        certified_exact=found.certified_exact if exact else _exact(program, found),
        objective=found.objective,
        point=found.point,
        exact_point=found.exact_point,
        exact=exact,
        tau=tau,
        conclusive_empty=found.conclusive_empty and found.status is Status.INFEASIBLE,
        message=found.message,
        seconds=found.seconds | {"worker": outcome.seconds},
        peak_memory=outcome.peak_memory,
        nodes=found.nodes,
        version=found.version,
    )


def _interrupted(lane: str, outcome: Returned, tau: float, exact: bool) -> Answer:
    killed = {End.TIME: "killed at the time limit", End.MEMORY: "killed at the memory limit"}
    return Answer(
        status=_ENDS[outcome.end],
        solver=lane,
        raw=outcome.end.value,
        bound=outcome.lower,
        objective=outcome.point_objective,
        point=outcome.point,
        exact=exact,
        tau=tau,
        message=outcome.error or killed.get(outcome.end, ""),
        seconds={"solve": outcome.seconds, "worker": outcome.seconds},
        peak_memory=outcome.peak_memory,
    )


def _exact(program: Program, found: Found) -> Fraction | None:
    """The least over the disjuncts of the bound in rationals; None where one of them has none."""
    if not found.duals:
        return None
    disjuncts = program.disjuncts or ((np.zeros(0, np.int64), np.zeros(0)),)
    if len(disjuncts) != len(found.duals):
        return None
    values = [
        certify_exact(program.with_bounds(*one), duals) for one, duals in zip(disjuncts, found.duals, strict=True)
    ]
    known = [v for v in values if v is not None]
    return min(known) if len(known) == len(values) else None


def refused(answer: Answer, program: Program) -> Answer:
    """A licence's refusal, with the size that was refused."""
    kind = "quadratic, " if {Feature.QUADRATIC, Feature.PRODUCTS} & program.features else ""
    return replace(answer, message=f"{answer.message} ({kind}{program.n_columns} columns, {program.n_rows} rows)")
