"""What a search asks of the engines that bound its parts, and how a better one comes in the place of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol, final

import numpy as np

from nnsym.bounds.kept.cuts import Cuts
from nnsym.bounds.kept.types import BatchBounds, Domains, Limit, Sums
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.results.clock import Deadline, OutOfTime
from nnsym.search.parts.batch import Parts
from nnsym.search.problem import SearchProblem
from nnsym.search.steps.joint import Joint, summed

#: From this depth on bounds are computed by the finer engine.
DEEP = 36


class Bounding(Protocol):
    """What bounds parts: :class:`nnsym.bounds.kept.engine.Engine`. ``ranges`` and ``cuts`` hold on the whole."""

    @property
    def ranges(self) -> Mapping[Node, Limit]: ...

    @property
    def cuts(self) -> Mapping[Node, Cuts]: ...

    def bound(
        self,
        domains: Domains,
        *,
        steps: int = 0,
        goal: float = 0.0,
        gaps: bool = True,
        sums: Sums | None = None,
        deadline: Deadline = ...,
    ) -> BatchBounds: ...


#: An engine in double precision that knows what another one does.
Fine = Callable[[Bounding], Bounding]

#: An engine whose ranges were searched for, from those that are known, by so many rounds and up to a deadline.
Better = Callable[[Mapping[Node, Limit], int, Deadline], Bounding]

#: An engine with cuts for so many of the lowest rows that do not exceed a goal, up to a deadline; the same without any.
Cutting = Callable[[Bounding, int, float, Deadline], Bounding]


@final
class Engines:
    """The engine of a search, and a finer one, made when it is needed, for parts that are deep in the tree."""

    def __init__(self, engine: Bounding, fine: Fine | None = None) -> None:
        self.engine, self._fine = engine, fine
        self._finest = engine if fine is None else None

    def become(self, engine: Bounding) -> None:
        """A better engine; the finer one that is made from now on knows what it does."""
        self.engine = engine
        self._finest = engine if self._fine is None else None

    def bound(
        self, parts: Parts, problem: SearchProblem, *, steps: int, gaps: bool, deadline: Deadline
    ) -> tuple[BatchBounds, Array, Array]:
        """What is found of a batch, the targets' lower bounds ``(batch, targets)``, and the rows that these rest on."""
        engine = self._deep() if int(parts.depth.min()) >= DEEP else self.engine
        worth, count = problem.worth, len(problem.query.rows)
        sums = Joint(worth, problem.goal, problem.query.inputs, parts.opened) if worth.joined else None
        found = engine.bound(
            parts.domains, steps=steps, goal=problem.threshold, gaps=gaps, sums=sums, deadline=deadline
        )
        found = found if count else _pointed(found)
        inputs: dict[Node, Limit] = {x: found.ranges[x] for x in problem.query.inputs}
        lower, picks = worth.lower(found.lower[:, :count], inputs)
        if sums is not None:
            better = summed(found.lower[:, count:])
            if problem.strategy.hidden:  # inputs are split by rows, whose lines no ascent has bent towards one point
                picks = np.where(better > lower, count + np.arange(len(worth.targets)), picks)
            lower = np.maximum(lower, better)
        return found, np.where(found.empty[:, None], np.inf, lower), picks

    def _deep(self) -> Bounding:
        if self._finest is None:
            assert self._fine is not None
            try:
                self._finest = self._fine(self.engine)
            except OutOfTime:
                return self.engine
        return self._finest


def _pointed(found: BatchBounds) -> BatchBounds:
    """Where there are no rows at all, one without slope, whose points are the centres."""
    inputs = {x: found.ranges[x] for x in found.point}
    centre = {x: (limit.lower + (limit.upper - limit.lower) / 2)[:, None] for x, limit in inputs.items()}
    forms = {x: np.zeros(c.shape) for x, c in centre.items()}
    gaps = {n: np.zeros((len(found), 1, n.size)) for n in found.gaps}
    return replace(found, forms=forms, constant=np.zeros((len(found), 1)), point=centre, gaps=gaps)
