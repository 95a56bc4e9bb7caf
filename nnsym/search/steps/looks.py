"""Where a search looks for violations: the points at which bounds are attained, centres, and short counter-searches."""

from __future__ import annotations

from typing import final

import numpy as np

from nnsym.bounds.kept.types import BatchBounds
from nnsym.ir.array import Array
from nnsym.results.clock import Deadline
from nnsym.search.parts.batch import Parts
from nnsym.search.parts.points import Tried, descended, samples, scouted, tried
from nnsym.search.problem import SearchProblem

#: Points that descend in a counter-search, and their steps.
POINTS, _STEPS = 64, 40

#: Points from which the rows of conjunctions descend together.
_TOGETHER = 512

#: In every so-manieth batch so many of the best points descend a little.
_EVERY, _POLISHED = 8, 16


@final
class Looks:
    """Tries points, and tells the goal of them. Where boxes get smaller their centres are tried too."""

    def __init__(self, problem: SearchProblem, seed: int) -> None:
        self.query, self.worth, self.goal, self.seed = problem.query, problem.worth, problem.goal, seed
        self.flat, self._hard, self._turn = problem.strategy.flat, problem.hard, 0
        self._attacked: set[int] = set()

    def attack(self, most: int, deadline: Deadline) -> None:
        """A short counter-search from random points, the same ones for a number of them: once."""
        if most in self._attacked:
            return
        self._attacked.add(most)
        size = {"most": most, "kept": POINTS, "steps": _STEPS}
        at = scouted(self.query, self.worth, **size, seed=self.seed, deadline=deadline.share(0.1))
        self.goal.look(at, deadline)
        if self.worth.joined and not self.goal.done:
            start = samples(self.worth.targets, self.query.inputs, min(most, _TOGETHER), self.seed + 1)
            end = deadline.share(0.1)
            at = descended(self.query, self.worth, start, steps=_STEPS, deadline=end, first=0.125, blend=True)
            self.goal.look(at, deadline)

    def around(self, found: BatchBounds, deadline: Deadline) -> None:
        """A counter-search from the points at which each row alone is least, where its bound shows the way.

        Where a network is flat no gradient leads out, and the row that a conjunction's bound rests on is the one that
        is missed least.
        """
        count = min(self.worth.count, max(1, POINTS // max(len(found), 1)))
        start = {x: p[:, :count].reshape(-1, x.size).astype(np.float64) for x, p in found.point.items()}
        near = descended(self.query, self.worth, start, steps=_STEPS, deadline=deadline.share(0.1), first=0.125)
        self.goal.look(near, deadline)

    def minimisers(self, parts: Parts, found: BatchBounds, picks: Array, deadline: Deadline) -> Array:
        """Try the minimisers; the row ``(batch,)`` that each part is split by.

        It is the one that the bound of its worst target rests on; where the conclusion is violated at the minimiser but
        a hard row is missed, that hard row: there is nothing to gain for the first.
        """
        every, worst, row = np.arange(len(parts)), _worst(parts), _rows(parts, picks)
        points = {x: p[every, row].astype(np.float64) for x, p in found.point.items()}
        if self.flat:
            with np.errstate(over="ignore", invalid="ignore"):
                boxes = {x: found.ranges[x] for x in self.query.inputs}
                centre = {x: np.nan_to_num(b.lower + (b.upper - b.lower) / 2) for x, b in boxes.items()}
            points = {x: np.concatenate([p, centre[x]]) for x, p in points.items()}
        at = tried(self.query, self.worth, points)
        self.goal.look(at, deadline)
        self._polish(at, deadline)
        if not self._hard:
            return row
        missed = np.where(self.worth.hard[worst][:, : self.worth.count], at.rows[: len(parts)], -np.inf)
        hard = missed.argmax(1)
        turned = (at.margins[every, worst] == np.inf) & (missed[every, hard] > 0)
        return np.asarray(np.where(turned, hard, row))

    def _polish(self, at: Tried, deadline: Deadline) -> None:
        """Now and then the best points of a batch descend a little."""
        self._turn += 1
        if self._turn % _EVERY or self.goal.done:
            return
        best = np.argsort(at.best, kind="stable")[:_POLISHED]
        start = {x: v[best] for x, v in at.points.items()}
        end = deadline.share(0.1)
        near = descended(self.query, self.worth, start, steps=_STEPS // 2, deadline=end, first=2.0**-7)
        self.goal.look(near, deadline)


def _worst(parts: Parts) -> Array:
    """The open target with the least bound of each."""
    return np.asarray(np.where(parts.opened, parts.lower, np.inf).argmin(1))


def _rows(parts: Parts, picks: Array) -> Array:
    """The row that this bound rests on."""
    return np.asarray(np.maximum(picks[np.arange(len(parts)), _worst(parts)], 0))
