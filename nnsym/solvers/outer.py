"""Unit balls for lanes of linear rows: tangents to the squares, added in rounds until the point lies in the ball.

A program in margin form has squares ``s`` of every offset u of a ball, ``sum s <= 1`` and a few tangents
``s >= 2 a u - a^2`` (:mod:`nnsym.encode.balls`). Without its quadratic rows it is an outer approximation, so that every
bound of it is a bound of the program. A round solves it and adds the tangents at ``a = u / |u|`` for the point found;
together they say ``a u <= 1``, which the point violates and every point of the ball satisfies. The relaxation of a
mixed-integer program has its rounds first, which cost little, until its bound decides or hardly moves. Tangents belong
to the ball, not to a disjunct: those that one case of a program ended with are where the next one begins.

Source: outer approximation, Duran and Grossmann, An outer-approximation algorithm for a class of mixed-integer
nonlinear programs, Mathematical Programming 36 (1986).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from nnsym.encode.balls import tangents
from nnsym.ir.array import Array
from nnsym.program import Feature, Program, QuadraticBlock, RowBlock
from nnsym.solvers.base import Answer, Availability, Goal, Limits, Progress, Solver, Status

#: A point whose squares sum up to at most this much more than 1 counts as inside: the radius is off by half of it.
GAP = 1e-8
#: Rounds of one program.
MOST_ROUNDS = 60
_STILL = 3  # rounds of a relaxation in which its bound has to move by _MOVES, relative beyond 1
_MOVES = 2e-3
_TIGHT = 1e-4  # a tangent that a relaxation's last point misses by at most this is handed on to the next case
_SEEN = 1e-10  # a tangent that cuts less than this from the point is none

_ON = (Status.OPTIMAL, Status.FEASIBLE, Status.TARGET)


@final
@dataclass(frozen=True, kw_only=True)
class Outer:
    """A lane that takes no quadratic rows, as one that does; it keeps the tangents of the program it solved last."""

    lane: Solver
    kept: Kept = field(default_factory=lambda: Kept(), compare=False, repr=False)

    @property
    def name(self) -> str:
        return self.lane.name

    @property
    def exact(self) -> bool:
        return self.lane.exact

    @property
    def accepts(self) -> frozenset[Feature]:
        return self.lane.accepts | {Feature.QUADRATIC}

    def availability(self) -> Availability:
        return self.lane.availability()

    def solve(self, program: Program, limits: Limits, goal: Goal, progress: Progress | None = None) -> Answer:
        """As the lane; the answer's point may lie outside a ball by the gap that its message states."""
        if not program.quadratics:
            return self.lane.solve(program, limits, goal, progress)
        rounds = _Rounds(self.lane, program.quadratics, limits, time.monotonic() + limits.left)
        linear = replace(program, quadratics=(), rows=(*program.rows, *self.kept.of(program.quadratics)))
        relaxed = linear.relax()
        if (relaxed.kind != linear.kind).any():
            linear = rounds.relax(linear, relaxed, goal)
            self.kept.take(program.quadratics, rounds.tight(linear.rows[len(program.rows) :]))
        rounds.refine(linear, linear, goal, None if progress is None else lambda lower, _: progress(lower, np.inf))
        return rounds.answer()


def taking(lane: Solver, features: frozenset[Feature]) -> Solver:
    """The lane, or its outer approximation where the features hold quadratic rows that it does not take."""
    return Outer(lane=lane) if Feature.QUADRATIC in features - lane.accepts else lane


@final
class Kept:
    """The tangents of one program's balls, from case to case."""

    def __init__(self) -> None:
        self._balls: tuple[QuadraticBlock, ...] = ()
        self._rows: tuple[RowBlock, ...] = ()

    def of(self, balls: tuple[QuadraticBlock, ...]) -> tuple[RowBlock, ...]:
        """Those of these very balls; none of others."""
        known = len(balls) == len(self._balls) and all(a is b for a, b in zip(balls, self._balls, strict=True))
        return self._rows if known else ()

    def take(self, balls: tuple[QuadraticBlock, ...], rows: tuple[RowBlock, ...]) -> None:
        self._balls, self._rows = balls, rows


class _Rounds:
    """The rounds of one program: the bounds of all count, the last one's point."""

    def __init__(self, lane: Solver, balls: tuple[QuadraticBlock, ...], limits: Limits, deadline: float) -> None:
        self._lane, self._balls, self._limits, self._deadline = lane, balls, limits, deadline
        self._answers: list[Answer] = []
        self._tangents = 0

    def relax(self, program: Program, relaxed: Program, goal: Goal) -> Program:
        """Rounds of the relaxation, whose bounds are the program's: until they decide or stand still."""
        return self.refine(program, relaxed, Goal(decide=False), None, enough=goal)

    def tight(self, rows: tuple[RowBlock, ...]) -> tuple[RowBlock, ...]:
        """Those of the tangents that the last point nearly lies on."""
        point = self._answers[-1].point if self._answers else None
        if point is None:
            return ()
        kept = []
        for block in rows:
            near = np.flatnonzero(block.value(point) - block.lower <= _TIGHT)
            if len(near):
                kept.append(block.take(near))
        return tuple(kept)

    def refine(
        self,
        program: Program,
        solved: Program,
        goal: Goal,
        progress: Progress | None,
        *,
        enough: Goal | None = None,
    ) -> Program:
        """Solve ``solved`` until its point lies in the balls or the goal is met; ``program`` with the tangents.

        With ``enough`` it is a relaxation: it ends where that goal is decided, too, or its bound hardly moves.
        """
        bounds: list[float] = []
        for _ in range(MOST_ROUNDS):
            left = self._deadline - time.monotonic()
            if left <= 0:
                break
            answer = self._lane.solve(solved, replace(self._limits, seconds=left), goal, progress)
            self._answers.append(answer)
            decided = goal.decide and max(answer.bound, answer.certified) > max(goal.above, answer.tau)
            if answer.point is None or answer.status not in _ON or decided:
                break
            if enough is not None:
                bounds.append(max(answer.bound, answer.certified))
                if (enough.decide and bounds[-1] > max(enough.above, answer.tau)) or _stands(bounds):
                    break
            cuts = self._cuts(answer.point)
            if not cuts:
                break
            program, solved = (replace(p, rows=(*p.rows, *cuts)) for p in (program, solved))
        return program

    def _cuts(self, point: Array) -> list[RowBlock]:
        """Tangents that cut the point off; none where it lies in every ball."""
        cuts: list[RowBlock] = []
        for ball in self._balls:
            assert ball.squares is not None  # margin programs have them, and float lanes get no others
            u, s = point[ball.columns], point[ball.squares]
            length = float(np.linalg.norm(u))
            if length**2 <= 1.0 + GAP:
                continue
            at = u / length
            cut = np.flatnonzero(2 * at * u - at * at - s > _SEEN)
            if len(cut):
                self._tangents += len(cut)
                cuts.append(tangents(ball.columns[cut], ball.squares[cut], at[cut], ball.origin.partition(":")[0]))
        return cuts

    def answer(self) -> Answer:
        """The last answer with the best bounds of all, which are bounds of the program each."""
        if not self._answers:
            return Answer(status=Status.TIME_LIMIT, solver=self._lane.name)
        last = self._answers[-1]
        exact = [a.certified_exact for a in self._answers if a.certified_exact is not None]
        squares = [float((last.point[b.columns] ** 2).sum()) for b in self._balls] if last.point is not None else [1.0]
        outside = max(squares) - 1.0
        told = f"{len(self._answers)} rounds, {self._tangents} tangents, squares up to 1 {outside:+.1e}"
        return replace(
            last,
            bound=max(a.bound for a in self._answers),
            certified=max(a.certified for a in self._answers),
            certified_exact=max(exact, default=None),
            outside=outside,
            message="; ".join(filter(None, (last.message, told))),
            seconds=_total([a.seconds for a in self._answers]),
            peak_memory=max(a.peak_memory for a in self._answers),
            nodes=sum(a.nodes for a in self._answers),
        )


def _stands(bounds: list[float]) -> bool:
    """True where the last rounds hardly moved a bound."""
    if len(bounds) <= _STILL:
        return False
    return bounds[-1] - bounds[-1 - _STILL] <= _MOVES * max(1.0, abs(bounds[-1]))


def _total(seconds: list[Mapping[str, float]]) -> dict[str, float]:
    return {name: sum(s.get(name, 0.0) for s in seconds) for name in dict.fromkeys(n for s in seconds for n in s)}
