"""Any command that reads an SMT-LIB 2 file: the lane ``smtlib:COMMAND``, for example ``smtlib:yices-smt2``.

The command gets the path of the file as its last argument and answers on its standard output: ``sat``, ``unsat`` or
``unknown``, then the values that ``get-value`` asks for. A line that reports an error before the verdict voids it,
because solvers go on after an assertion that they could not read.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import final

from nnsym.errors import InputError
from nnsym.program import Feature, Program
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.lane import timed
from nnsym.solvers.smtlib import TextJob, decide, solve_text
from nnsym.solvers.statuses import SMTLIB, look_up
from nnsym.solvers.workers.worker import Report
from nnsym.write.names import symbols
from nnsym.write.smtlib import to_smtlib

#: What the names of these lanes start with.
PREFIX = "smtlib:"

_TOKEN = re.compile(r"\|[^|]*\||[()]|[^\s()|]+")


@final
@dataclass(frozen=True, kw_only=True)
class Command:
    """The lane of a command line."""

    command: str
    accepts: frozenset[Feature] = frozenset(Feature)
    exact: bool = True

    @property
    def name(self) -> str:
        return PREFIX + self.command

    @property
    def words(self) -> tuple[str, ...]:
        """The command and its arguments."""
        try:
            return tuple(shlex.split(self.command))
        except ValueError as error:  # a quotation that does not end
            raise InputError(f"no command: {error}", where=self.name) from None

    def availability(self) -> Availability:
        found = self.words and shutil.which(self.words[0])
        return Availability(available=bool(found), remedy="put the command on PATH, or give its path")

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """``sat`` with an exact point, ``unsat``, or why not."""
        job = TextJob(program=program, seed=limits.seed, command=self.words)
        return solve_text(self.name, __name__, job, limits, progress)


def run(job: TextJob, report: Report) -> Found:
    """In the worker: write the file, run the command, read its answer."""
    seconds = dict[str, float]()
    with tempfile.TemporaryDirectory(prefix="nnsym-smt-") as folder:
        with timed(seconds, "handover"):
            session = _Session(job, Path(folder) / "program.smt2")
        with timed(seconds, "solve"):
            found = decide(session, job.program.objective, report)
    found.seconds, found.message = seconds, session.complaint
    return found


@final
class _Session:
    """See :class:`nnsym.solvers.smtlib.Session`; every question is a run of the command."""

    def __init__(self, job: TextJob, path: Path) -> None:
        self._job, self._path, self._values = job, path, ""
        self.complaint = ""
        self._write(strictly=False)

    def _write(self, *, strictly: bool) -> None:
        names = " ".join(f"|{name}|" for name in symbols(self._job.program))
        text = to_smtlib(self._job.program, decide_below=0.0, strictly=strictly, named=False)
        self._path.write_text(f"(set-option :produce-models true)\n{text}(get-value ({names}))\n", encoding="utf-8")

    def check(self, seconds: float) -> tuple[Status, str]:
        try:
            ended = subprocess.run(
                [*self._job.command, str(self._path)],
                capture_output=True,
                text=True,
                timeout=seconds,
                stdin=subprocess.DEVNULL,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Status.TIME_LIMIT, "timeout"
        before, verdict, self._values = _answer(ended.stdout)
        if "(error" in before:
            self.complaint = before.strip().splitlines()[0]
            return Status.ERROR, "error"
        if not verdict:
            self.complaint = (ended.stderr or ended.stdout).strip()[-200:] or f"exit code {ended.returncode}"
            return Status.ERROR, "no answer"
        return look_up(SMTLIB, verdict), verdict

    def point(self) -> tuple[Fraction, ...] | None:
        return values(self._values, len(self._job.program.lower))

    def require_negative(self, column: int) -> None:
        self._write(strictly=True)


def _answer(text: str) -> tuple[str, str, str]:
    """What stands before the verdict, the verdict, and what follows."""
    found = re.search(r"^(sat|unsat|unknown)\s*$", text, re.MULTILINE)
    return (text[: found.start()], found[1], text[found.end() :]) if found else (text, "", "")


def values(text: str, count: int) -> tuple[Fraction, ...] | None:
    """The values of ``((|x| 1.5) (|p| true) ...)`` in order; None where one is not a rational number."""
    tokens = iter(_TOKEN.findall(text))
    if next(tokens, "") != "(":
        return None
    found = []
    try:
        for _ in range(count):
            _expect(tokens, "(")
            next(tokens)
            found.append(_value(tokens, next(tokens)))
            _expect(tokens, ")")
    except (StopIteration, ValueError, ZeroDivisionError):
        return None
    return tuple(found)


def _expect(tokens: Iterator[str], wanted: str) -> None:
    if next(tokens) != wanted:
        raise ValueError(wanted)


def _value(tokens: Iterator[str], first: str) -> Fraction:
    """``true``, ``2``, ``0.5``, ``(- v)`` or ``(/ v v)``."""
    if first != "(":
        return Fraction({"true": "1", "false": "0"}.get(first, first))
    operator, value = next(tokens), _value(tokens, next(tokens))
    match operator:
        case "-":
            value = -value
        case "/":
            value = value / _value(tokens, next(tokens))
        case _:
            raise ValueError(operator)
    _expect(tokens, ")")
    return value
