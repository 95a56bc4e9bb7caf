"""Certified bounds of linear forms over the layers of a program before them: many LPs, each from the last basis.

For a form ``sum_j sign_j column_j`` only rows count that speak of no later layer and of the network (never of the
property), so the bounds hold for every input of the domain. Every bound is re-derived from row duals with outward
rounding (:mod:`nnsym.solvers.certify`) and meets the sum of the columns' own bounds. Runs in a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import final

import numpy as np

from nnsym.encoding import Separator
from nnsym.ir.array import Array
from nnsym.ir.linear import entry_rows, row_pointers
from nnsym.ir.outward import sum_up
from nnsym.program import Kind, Program, RowBlock, Tag
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Status
from nnsym.solvers.workers.warm import WarmLp

_NETWORK = (Tag.NETWORK, Tag.DOMAIN, Tag.CUT)

#: Rounds of cuts for one form: rows found for one serve the next ones too.
_FORM_ROUNDS = 2


@final
class Forms:
    """Upper bounds of forms (:data:`nnsym.separation.scene.FormBounds`), from one LP a layer that is kept."""

    def __init__(self, program: Program, remaining: Callable[[], float], separators: Sequence[Separator] = ()) -> None:
        self._program, self._remaining, self._separators = program, remaining, separators
        self._starts = np.array([b.start for b in program.blocks if len(b.index)] + [program.n_columns])
        self._models: dict[int, tuple[WarmLp, set[int]]] = {}
        self._known: dict[tuple[float, ...], float] = {}  # groups share their pairs

    def __call__(self, columns: Array, signs: Array) -> Array:
        upper = self.sums(columns, signs)
        if not len(columns):
            return upper
        end = int(self._starts[np.searchsorted(self._starts, columns.max(), "right")])
        lp = self._model(end, set(columns[columns >= 0].tolist()))
        for k in range(len(columns)):
            used = columns[k] >= 0
            key = (*columns[k][used].tolist(), *signs[k][used].tolist())
            if key not in self._known:
                if self._remaining() < 0.1:
                    break
                cost = np.zeros(end)
                np.add.at(cost, columns[k][used], -signs[k][used].astype(float))
                self._known[key] = -self._least(lp, cost)
            upper[k] = min(upper[k], self._known[key])
        return upper

    def sums(self, columns: Array, signs: Array) -> Array:
        """The bounds that the columns' own bounds give."""
        upper = np.zeros(len(columns))
        for j in range(columns.shape[1]):
            ends = np.where(signs[:, j] > 0, self._program.upper[columns[:, j]], -self._program.lower[columns[:, j]])
            upper = sum_up(upper, np.where(columns[:, j] >= 0, ends, 0.0))
        return upper

    def _least(self, lp: WarmLp, cost: Array) -> float:
        lp.aim(cost)
        best = -np.inf
        for turn in range(_FORM_ROUNDS + 1):
            end = lp.solve(lp.model.lower, lp.model.upper, self._remaining())
            best = max(best, lp.certified(end))
            if end.status is not Status.OPTIMAL or end.point is None or turn == _FORM_ROUNDS:
                break
            point = np.concatenate((end.point, np.zeros(self._program.n_columns - len(end.point))))
            found = [r for separate in self._separators for b in separate(point) if (r := _within(b, len(cost)))]
            if not found:
                break
            for rows in found:
                lp.add(rows)
        return best

    def _model(self, end: int, wanted: set[int]) -> WarmLp:
        lp, known = self._models.get(end, (None, set()))
        if lp is None or not wanted <= known:
            wanted |= known
            lp = WarmLp(before(self._program, end, np.array(sorted(wanted))))
            self._models[end] = lp, wanted
        return lp


def before(program: Program, end: int, wanted: Array) -> LinearModel:
    """The network's rows over columns below ``end``, without those that cannot matter for the columns ``wanted``."""
    rows = tuple(r for b in program.rows if b.tag in _NETWORK and (r := _within(b, end)))
    short = replace(
        program,
        lower=program.lower[:end],
        upper=program.upper[:end],
        kind=np.full(end, Kind.REAL, dtype=np.int8),
        rows=tuple(replace(r, exact=None) for r in rows),
        implications=(),
        clauses=(),
        products=(),
        quadratics=(),
        functions=(),
        sets=(),
        objective=None,
        disjuncts=(),
    )
    return without_idle(LinearModel.of(short), wanted)


def _within(block: RowBlock, end: int) -> RowBlock | None:
    """The rows of a block over columns below ``end``; None if there are none."""
    outside = np.add.reduceat(np.append(block.indices >= end, False), block.indptr[:-1]) if len(block) else np.zeros(0)
    kept = (outside == 0) & (np.diff(block.indptr) > 0)
    return block.take(kept) if kept.any() else None


def without_idle(model: LinearModel, wanted: Array) -> LinearModel:
    """Leave out rows with a column that stands nowhere else and is not wanted: neurons that nothing depends on.

    A relaxation: the bounds of that column no longer restrict the others.
    """
    free = np.ones(len(model.lower), dtype=bool)
    free[wanted] = False
    row = entry_rows(model.indptr)
    kept = np.ones(len(model.row_lower), dtype=bool)
    while True:
        count = np.bincount(model.indices[kept[row]], minlength=len(free))
        idle = np.unique(row[kept[row] & (free & (count == 1))[model.indices]])
        if not len(idle):
            break
        kept[idle] = False
    entries = kept[row]
    return replace(
        model,
        data=model.data[entries],
        indices=model.indices[entries],
        indptr=row_pointers(np.diff(model.indptr)[kept]).astype(np.int32),
        row_lower=model.row_lower[kept],
        row_upper=model.row_upper[kept],
    )
