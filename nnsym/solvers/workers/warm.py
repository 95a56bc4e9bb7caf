"""An LP in HiGHS whose objective and rows change between solves, each of which starts from the last basis."""

from __future__ import annotations

from dataclasses import replace
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.linear import row_pointers
from nnsym.program import RowBlock
from nnsym.solvers.arrays import LinearModel, without_tiny
from nnsym.solvers.base import Status
from nnsym.solvers.cases import LpEnd
from nnsym.solvers.certify import lower_bound
from nnsym.solvers.highs import Engine, load, set_options


@final
class WarmLp:
    """``model`` without integrality; rows added later can be dropped again, the first ones stay."""

    def __init__(self, model: LinearModel, *, threads: int = 1, seed: int = 0) -> None:
        self.model, self._first = model, len(model.row_lower)
        self._highs = load(model, as_lp=True)
        set_options(self._highs, threads=threads, seed=seed)
        self._engine = Engine(self._highs, len(model.lower))
        self._cost = model.cost

    @property
    def n_added(self) -> int:
        return len(self.model.row_lower) - self._first

    def aim(self, cost: Array) -> None:
        """Minimise ``cost`` from now on."""
        changed = np.flatnonzero(cost != self._cost).astype(np.int32)
        self._highs.changeColsCost(len(changed), changed, cost[changed])
        self._cost = cost

    def add(self, block: RowBlock) -> None:
        """Add rows."""
        added = without_tiny(
            replace(
                self.model,
                data=block.data,
                indices=block.indices.astype(np.int32),
                indptr=block.indptr.astype(np.int32),
                row_lower=block.lower,
                row_upper=block.upper,
            )
        )
        rows = (len(block), added.row_lower, added.row_upper, len(added.data))
        self._highs.addRows(*rows, added.indptr[:-1], added.indices, added.data)
        old = self.model
        self.model = replace(
            old,
            data=np.concatenate((old.data, added.data)),
            indices=np.concatenate((old.indices, added.indices)),
            indptr=np.concatenate((old.indptr, old.indptr[-1] + added.indptr[1:])),
            row_lower=np.concatenate((old.row_lower, added.row_lower)),
            row_upper=np.concatenate((old.row_upper, added.row_upper)),
        )

    def drop(self, gone: Array) -> None:
        """Drop those of the added rows that ``gone`` marks."""
        if not gone.any():
            return
        every = np.concatenate((np.zeros(self._first, dtype=bool), gone))
        self._highs.deleteRows(int(gone.sum()), np.flatnonzero(every).astype(np.int32))
        old = self.model
        kept = np.repeat(~every, np.diff(old.indptr))
        self.model = replace(
            old,
            data=old.data[kept],
            indices=old.indices[kept],
            indptr=row_pointers(np.diff(old.indptr)[~every]).astype(np.int32),
            row_lower=old.row_lower[~every],
            row_upper=old.row_upper[~every],
        )

    def solve(self, lower: Array, upper: Array, seconds: float) -> LpEnd:
        """Solve with these column bounds."""
        return self._engine.solve(lower, upper, seconds)

    def certified(self, end: LpEnd) -> float:
        """A float64 not above the optimum over the model's own column bounds, from the duals of a solve."""
        if end.status is not Status.OPTIMAL or end.duals is None:
            return -np.inf
        return lower_bound(self.model, self.model.lower, self.model.upper, end.duals, self._cost)
