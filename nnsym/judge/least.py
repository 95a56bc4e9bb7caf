"""The least value of a term so far, and the points at which it is evaluated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import nearest, to_fractions
from nnsym.ir.node import Input
from nnsym.ir.query import Query
from nnsym.judge.repair import repaired
from nnsym.judge.verdict import Floor
from nnsym.replay import attained, inputs_of
from nnsym.results.clock import Clock, Deadline
from nnsym.results.result import Agreement, Sizes, Witness

#: So many of the best candidates of a counter-search are run.
_RUN = 3

#: A value may be so much larger, times the value beyond 1, at a point of the stored models' own numbers.
_CLOSE = 1e-6

#: How far a point that misses the condition is moved towards one that does not, in turn.
_TOWARDS = tuple(Fraction(1, 2**k) for k in (40, 34, 28, 22, 16))


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Least:
    """The interval so far: a proved floor, the best point that was run, and the method that went last."""

    floor: Floor = field(default_factory=Floor)
    point: Witness | None = None
    sizes: Sizes = field(default_factory=Sizes)
    by: str = ""

    @property
    def value(self) -> float:
        return np.inf if self.point is None else self.point.margin

    def better(self, other: Least) -> Least:
        """The stronger side of each."""
        strong = max(self.floor, other.floor, key=lambda f: f.bound)
        sizes = other.sizes if other.sizes.columns else self.sizes
        return Least(
            floor=strong, point=min(self, other, key=lambda f: f.value).point, sizes=sizes, by=other.by or self.by
        )

    def closed(self, precision: float) -> bool:
        """True where nothing is left to find: no point at all, or a finite interval of the width that was asked."""
        if self.floor.empty:
            return True
        width = self.value - self.floor.bound
        return bool(np.isfinite(width)) and width <= precision * max(1.0, abs(self.value))


def attacked(query: Query, clock: Clock, *, restarts: int, steps: int, seed: int, device: str, share: float) -> Least:
    """The least value that a counter-search reaches; it takes no more than ``share`` of the time that is left."""
    from nnsym.bounds.points.attack import search  # heavy: torch

    with clock.step("attack") as notes:
        size = {"restarts": restarts, "steps": steps}
        found = search(query, **size, seed=seed, seconds=share * clock.left, device=device)
        runs = list[Witness]()
        for k in range(min(len(found), _RUN)):
            if found.margin[k] == np.inf or (runs and clock.left <= 0):
                break
            run = attained(query, found[k], deadline=clock.deadline())
            runs += [] if run is None else [run]
        best = min(runs, key=lambda run: run.margin, default=None)
        notes.append("no point of the domain" if best is None else f"least value {best.margin:.9g}")
    return Least(point=best)


def run_beside(query: Query, candidate: Mapping[Input, Array], anchor: Witness | None, clock: Clock) -> Witness | None:
    """The best run of a candidate, of points just beside it, and of where descent leads from it.

    A solver's point may miss a row of the condition by its tolerance. Then it is moved onto the row in rationals
    (:mod:`nnsym.judge.repair`), and where that finds nothing, towards ``anchor``, which satisfies the condition.
    """
    from nnsym.bounds.points.attack import descend  # heavy: torch

    end = clock.deadline()
    first = attained(query, candidate, deadline=end)
    runs = [first]
    if first is None or not end.passed:
        start = {x: nearest(v)[None] for x, v in candidate.items()}
        runs.append(attained(query, descend(query, start, steps=40, deadline=end)[0], deadline=end))
    if first is None or first.engine is Agreement.NOT_RUN:
        runs.append(_first(query, repaired(query, candidate, conclusion=False, seconds=clock.left), end))
    if first is None and runs[-1] is None and anchor is not None:
        aim = {x: to_fractions(v) for x, v in inputs_of(query, anchor).items()}
        start = {x: to_fractions(v) for x, v in candidate.items()}
        beside = ({x: v + share * (aim[x] - v) for x, v in start.items()} for share in _TOWARDS)
        runs.append(_first(query, beside, end))
    found = [run for run in runs if run is not None]
    least = min((run.margin for run in found), default=np.inf)
    close = [run for run in found if run.margin <= least + _CLOSE * max(1.0, abs(least))]
    return min(close, key=lambda run: (run.engine is Agreement.NOT_RUN, run.margin), default=None)


def _first(query: Query, points: Iterable[Mapping[Input, Array]], deadline: Deadline) -> Witness | None:
    """The first of the points that satisfies the condition; one on which the stored models ran, if there is any."""
    found: Witness | None = None
    for point in points:
        run = attained(query, point, deadline=deadline)
        if run is not None and run.engine is not Agreement.NOT_RUN:
            return run
        found = run if found is None else found
    return found
