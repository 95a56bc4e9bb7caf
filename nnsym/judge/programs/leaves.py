"""Parts of a search are handed to encodings and solvers, under the rules that these are under anywhere else.

The ranges that the search has of a part are the bounds that it is encoded on; they hold for every point of the part,
and its limits are rows of the query that is asked, so that no point of it is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.bounds.intervals import interval_bounds
from nnsym.bounds.kept.types import Limit
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.judge.method import PASSED, Settings
from nnsym.judge.programs.encoded import EncodedMethod
from nnsym.judge.run import bound
from nnsym.judge.verdict import rule
from nnsym.results.clock import Clock, Deadline
from nnsym.results.result import Trust
from nnsym.search.leaves import LeafSolver
from nnsym.search.steps.leaf import Told


@final
class Leaves:
    """Asks the solvers of one search, and counts what they said."""

    def __init__(self, settings: Settings) -> None:
        self.settings = replace(settings, progress=None, watch=None, relaxation=False)
        self.asked, self.closed = 0, 0
        self._methods: dict[LeafSolver, EncodedMethod] = {}

    def __call__(self, solver: LeafSolver, part: Query, ranges: Mapping[Node, Limit], deadline: Deadline) -> Told:
        self.asked += 1
        try:
            method = self._method(solver)  # loads what it needs before its clock runs
            told = self._told(method, part, ranges, Clock(min(solver.seconds, deadline.left)))
        except PASSED:
            return Told()
        self.closed += told.excluded is not None
        return told

    def _told(self, method: EncodedMethod, part: Query, ranges: Mapping[Node, Limit], clock: Clock) -> Told:
        from nnsym.judge.programs.interpret import read  # start: most searches ask nobody
        from nnsym.judge.programs.solving import solve  # start: most searches ask nobody

        bounds = on_ranges(part, ranges) if ranges else bound(part, method.bounds, clock, self.settings)[0]
        solved = solve(part, method, bounds, clock, self.settings)
        facts = read(solved, clock)
        ruling = rule(facts)
        if ruling.excluded:
            return Told(excluded=ruling.trust, lower=facts.sure if ruling.trust is not Trust.SOLVER else -np.inf)
        return Told(lower=facts.sure, point=solved.candidate)

    def _method(self, solver: LeafSolver) -> EncodedMethod:
        """Encoding and lane, looked up once."""
        from nnsym.judge.programs.methods import program  # start: most searches ask nobody

        if solver not in self._methods:
            self._methods[solver] = program(solver.encoding, solver=solver.solver)
        return self._methods[solver]


def on_ranges(part: Query, ranges: Mapping[Node, Limit]) -> Bounds:
    """Bounds of every node and row: the ranges that are known, and intervals over them."""
    known = {n: (r.lower[0], r.upper[0]) for n, r in ranges.items()}
    known.update((x, box.outer) for x, box in part.boxes.items())
    return interval_bounds(part, known, name="search")
