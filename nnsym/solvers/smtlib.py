"""What lanes share that read SMT-LIB text: one question, or two where the margin of the first point is exactly 0.

A program in margin form is decided, never optimised: is there a point with t <= 0? Where that point has t = 0, t < 0 is
asked as well: ``unsat`` there shows that the minimum is 0, which is then ``certified_exact``.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, final

import numpy as np

from nnsym.ir.exact import nearest_float
from nnsym.program import Program
from nnsym.solvers.base import Answer, Limits, Progress, Status
from nnsym.solvers.cases import Found
from nnsym.solvers.lane import answer_of, submit
from nnsym.solvers.workers.worker import Report


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class TextJob:
    """The program itself: its text is written, and parsed, in the worker, under the limits of time and memory.

    ``command`` is the program to run on it, for the lane that runs one.
    """

    program: Program
    seed: int
    command: tuple[str, ...] = ()


class Session(Protocol):
    """A solver that was given the text of a program."""

    def check(self, seconds: float) -> tuple[Status, str]:
        """What it establishes within the time, and in its own words."""

    def point(self) -> tuple[Fraction, ...] | None:
        """After ``sat``: a value for every column, None where one is not rational."""

    def require_negative(self, column: int) -> None:
        """One more assertion, ``column < 0``."""


def solve_text(lane: str, module: str, job: TextJob, limits: Limits, progress: Progress | None) -> Answer:
    """Run ``module.run`` on the job in a worker; the answer is exact."""
    return answer_of(lane, job.program, submit(lane, module, job, limits, progress), tau=0.0, exact=True)


def decide(session: Session, objective: int | None, report: Report) -> Found:
    """``sat`` with an exact point, ``unsat``, or why not."""
    found = _question(session, report)
    if found.exact_point is None or objective is None:
        return found
    if found.exact_point[objective] == 0:
        session.require_negative(objective)
        deeper = _question(session, report)
        if deeper.status is Status.SAT and deeper.exact_point is not None:
            found = deeper
        elif deeper.status is Status.UNSAT:
            found.certified_exact = Fraction(0)
    assert found.point is not None
    found.objective = float(found.point[objective])
    return found


def _question(session: Session, report: Report) -> Found:
    status, raw = session.check(report.remaining())
    found = Found(status=status, raw=raw)
    if status is Status.SAT:
        found.exact_point = session.point()
        if found.exact_point is not None:
            found.point = np.array([nearest_float(v) for v in found.exact_point])
    return found
