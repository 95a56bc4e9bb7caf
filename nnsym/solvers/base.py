"""What a solver lane promises: which blocks it accepts, and an Answer whose status is never guessed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np

from nnsym.ir.array import Array
from nnsym.program import Feature, Program


class Status(Enum):
    """What a solver established, after its own words were looked up in its whitelist."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"  # a point was found, optimality was not established
    INFEASIBLE = "infeasible"
    SAT = "sat"
    UNSAT = "unsat"
    TIME_LIMIT = "time limit"
    MEMORY_LIMIT = "memory limit"
    TARGET = "target reached"  # stopped early because the answer was decided
    LICENSE = "licence refused"
    ERROR = "error"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """``seconds`` is the wall time of one solve, hand-over included; ``memory`` in bytes; ``threads`` of the solver.

    With an ``end`` (of ``time.monotonic``) the seconds run already: what a lane does before its job counts too.
    """

    seconds: float = 60.0
    memory: int = 8 * 2**30
    threads: int = 1
    seed: int = 0
    end: float = math.inf

    @property
    def left(self) -> float:
        """The seconds that a job may take from now on."""
        return max(0.0, min(self.seconds, self.end - time.monotonic()))


@dataclass(frozen=True, kw_only=True)
class Goal:
    """``decide``: stop as soon as the sign of the optimum is known. ``optimise``: go on to the optimum.

    When deciding, a lane may stop once its lower bound exceeds ``above`` or an incumbent is below ``below``.
    """

    decide: bool = True
    above: float = 1e-6
    below: float = -1e-6


@dataclass(frozen=True, eq=False, kw_only=True)
class Answer:
    """What a lane says of one program ``min t`` (or of its feasibility, where nothing is minimised).

    Attributes:
        status: what was established, by the lane's table of statuses.
        solver: the lane's name.
        raw: the solver's own status word.
        bound: the solver's own lower bound on the optimum.
        certified: a lower bound that was re-derived from duals with outward rounding (:mod:`nnsym.solvers.certify`).
        certified_exact: that bound in rationals; looked for where ``certified`` is tiny and the program small.
        objective: the value of the best feasible point, +inf without one.
        point: column values ``(n_columns,)`` of that point, None without one.
        exact_point: the same in rationals, where the solver's arithmetic is rational.
        tau: the tolerance on the objective that the lane publishes.
        exact: the solver's arithmetic is rational.
        outside: by how much the point misses a quadratic row, where the lane approximated it from outside.
        conclusive_empty: infeasibility is certified.
        message: what else there is to say, for people.
        seconds: wall seconds of ``handover`` and ``solve``.
        peak_memory: bytes of the worker.
        nodes: of the solver's own tree.
        version: of the solver.
    """

    status: Status
    solver: str
    raw: str = ""
    bound: float = -np.inf
    certified: float = -np.inf
    certified_exact: Fraction | None = None
    objective: float = np.inf
    point: Array | None = None
    exact_point: tuple[Fraction, ...] | None = None
    tau: float = 0.0
    exact: bool = False
    outside: float = 0.0
    conclusive_empty: bool = False
    message: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)
    peak_memory: int = 0
    nodes: int = 0
    version: str = ""


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Whether a lane can run here, and if not how to get it."""

    available: bool
    version: str = ""
    licence: str = ""
    remedy: str = ""


Progress = Callable[[float, float], None]  # (lower bound, best objective) as they improve


@runtime_checkable
class Solver(Protocol):
    """A lane. ``accepts`` is checked before any work; ``exact`` says whether its arithmetic is rational."""

    @property
    def name(self) -> str: ...

    @property
    def accepts(self) -> frozenset[Feature]: ...

    @property
    def exact(self) -> bool: ...

    def availability(self) -> Availability:
        """Looked up without importing native code into this process."""

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """Solve in a killable child; never raises for what the solver does, the status says it."""
