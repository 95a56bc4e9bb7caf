"""What passes over pieces of rows found, put together as arrays of subproblems and rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.kept.descent import Choice, Descent, Seed
from nnsym.bounds.kept.inputs import constants, minimiser
from nnsym.bounds.kept.minimum import gaps
from nnsym.bounds.kept.state import State
from nnsym.bounds.kept.types import Dual, Found, Limit
from nnsym.ir.node import Node
from nnsym.ir.query import Query

Array = NDArray[Any]


@final
class Collector:
    """Arrays ``(batch, rows, ...)`` that pieces of ragged rows are written to."""

    def __init__(self, query: Query, wanted: Array, state: State, *, explain: bool) -> None:
        self.state, self.plan, self.shape, self.explain = state, state.plan, wanted.shape, explain
        self.lower = np.full(wanted.shape, -np.inf)
        self.constant = np.full(wanted.shape, -np.inf)
        self.forms = {x: np.zeros((*wanted.shape, x.size), dtype=self.plan.by.dtype) for x in query.inputs}
        self.point = {x: np.zeros((*wanted.shape, x.size)) for x in query.inputs}
        self.gaps: dict[Node, Array] = {}

    def add(self, seed: Seed, row: Array, done: Descent, choice: Choice, lower: Array) -> None:
        """One piece: rows ``row``, ``(sets, rows)``, of the seed's subproblems."""
        at = (seed.where, row)
        self.lower[at] = lower
        self.constant[at] = constants(self.state, seed, done)
        for x, c in done.forms.items():
            self.forms[x][at] = c  # type: ignore[index]
        for x in self.point:
            form = done.forms.get(x, np.zeros((*row.shape, x.size), dtype=self.plan.by.dtype))
            self.point[x][at] = minimiser(self.state, seed, x, form)
        if self.explain:
            _points, apart = gaps(self.state, seed, done, choice)
            for node, values in apart.items():
                if node not in self.gaps:
                    self.gaps[node] = np.zeros((*self.shape, node.size), dtype=values.dtype)
                keep = self.plan.keep[node]
                spread = self.gaps[node]
                if len(keep) == node.size:
                    spread[at] = values
                else:
                    spread[seed.where[:, None], row[..., None], keep] = values

    def found(self, ranges: Mapping[Node, Limit], empty: Array, dual: Dual | None) -> Found:
        """Everything; rows of empty subproblems are bounded by anything."""
        lower = np.where(empty[:, None], np.inf, self.lower)
        return Found(lower, ranges, empty, self.forms, self.constant, self.point, self.gaps, dual)
