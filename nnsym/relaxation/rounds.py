"""Cut rounds: solve the relaxation, add what its optimum violates, drop what is slack, until it no longer gains.

Families are taken in order, each on top of those before it, so one more family never lowers the bound. The disjuncts of
a property are LPs of their own over the same network: rows found for one serve the next, and one whose optimum is above
the least needs none. Only rows are kept that are tight where a family ends; without the others the optimum is the same.
Runs in a worker.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.encoding import Cut, Rounds, Separator
from nnsym.ir.array import Array
from nnsym.ir.linear import entry_rows
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.program import Program, RowBlock, Tag
from nnsym.relaxation.forms import Forms, without_idle
from nnsym.separation.scene import Scene
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.base import Goal, Status
from nnsym.solvers.cases import LpEnd
from nnsym.solvers.workers.warm import WarmLp
from nnsym.solvers.workers.worker import Report

#: A row this close to its limit at an optimum, relative to the limit, is tight.
_TIGHT = 1e-7


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class CutJob:
    """The payload: cuts for ``program``, which is of ``query`` on ``bounds`` with columns ``ids``.

    Without an objective the program is cut where the columns ``aims`` are least and largest, one after the other.
    """

    query: Query
    bounds: Bounds
    program: Program
    ids: Mapping[Node, Array]
    cuts: tuple[Cut, ...]
    rounds: Rounds
    goal: Goal
    threads: int
    seed: int
    aims: tuple[int, ...] = ()


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Cuts:
    """What a worker sends back: rows, and the least optimum of the relaxation without any and after each family.

    There is no optimum where several columns were aimed at.
    """

    rows: tuple[RowBlock, ...]
    bounds: tuple[float, ...]


def run(job: CutJob, report: Report) -> Cuts:
    """In the worker: cut the disjunct with the smallest optimum, then the next, as long as it could be the least."""
    program = replace(job.program.relax(), quadratics=(), sets=())
    model = LinearModel.of(program)
    kept = np.array(job.aims or [model.objective])
    lp = WarmLp(without_idle(model, kept), threads=job.threads, seed=job.seed)
    scene = Scene(
        query=job.query,
        bounds=job.bounds,
        program=program,
        ids=job.ids,
        forms=Forms(program, report.remaining),
        tolerance=job.rounds.violation,
        remaining=report.remaining,
    )
    loop = _Loop(lp, job.rounds, report, job.goal)
    separators = [cut.separator(scene) for cut in job.cuts]
    boxes = [model.bounds(one) for one in model.disjuncts or (_WHOLE,)]
    if job.aims:
        for column, sign in itertools.product(job.aims, (1.0, -1.0)):
            lp.aim(np.where(np.arange(len(model.lower)) == column, sign, 0.0))
            loop.disjunct(separators, *boxes[0])
        return Cuts(rows=tuple(loop.kept), bounds=())
    plain = [_value(lp.solve(*box, report.remaining())) for box in boxes]
    traces = {k: [value] * (len(separators) + 1) for k, value in enumerate(plain)}
    for k in np.argsort(plain, kind="stable"):
        if report.remaining() < 0.1 or plain[k] > min(trace[-1] for trace in traces.values()):
            break
        traces[k] = loop.disjunct(separators, *boxes[k])
    return Cuts(rows=tuple(loop.kept), bounds=tuple(np.min(list(traces.values()), axis=0).tolist()))


_WHOLE = (np.zeros(0, np.int32), np.zeros(0))  # of a program without disjuncts: nothing is fixed


@final
class _Loop:
    """Added rows of one LP: ``origin`` says where each is from, ``idle`` for how many rounds it has been slack.

    ``kept`` collects, family by family, the rows that are tight when it ends.
    """

    def __init__(self, lp: WarmLp, rounds: Rounds, report: Report, goal: Goal) -> None:
        self.lp, self.limits, self.report, self.goal = lp, rounds, report, goal
        self.origin, self.idle = np.zeros(0, dtype=object), np.zeros(0, dtype=int)
        self.kept: list[RowBlock] = []
        self._pools: dict[int, list[RowBlock]] = {}

    def disjunct(self, separators: list[Separator], lower: Array, upper: Array) -> list[float]:
        """Cut one disjunct; the optimum before, and after each family."""
        self._drop(np.ones(len(self.idle), dtype=bool))
        end = self.lp.solve(lower, upper, self.report.remaining())
        values = [_value(end)]
        for number, separate in enumerate(separators):
            pool = self._pools.setdefault(number, [])
            end = self._family(partial(_violated, pool, self.limits.violation), end, lower, upper)
            end = self._family(separate, end, lower, upper)
            values.append(max(values[-1], _value(end)))
            if end.status is Status.OPTIMAL and end.point is not None:
                tight = self._tight(end.point)
                pool += tight
                self.kept += tight
        return values

    def _family(self, separate: Separator, end: LpEnd, lower: Array, upper: Array) -> LpEnd:
        history = [_value(end)]
        while len(history) <= self.limits.most and self._worthwhile(history):
            if end.status is not Status.OPTIMAL or end.point is None or self.report.remaining() < 0.1:
                break
            if self.goal.decide and history[-1] > self.goal.above:
                break
            found = [block for block in separate(end.point) if len(block)]
            if not found:
                break
            self._drop(self._stale(end.point))
            for block in found:
                self._add(block)
            end = self.lp.solve(lower, upper, self.report.remaining())
            history.append(_value(end))
        return end

    def _worthwhile(self, history: list[float]) -> bool:
        if len(history) <= self.limits.tail:
            return True
        now, then = history[-1], history[-1 - self.limits.tail]
        return now - then >= self.limits.gain * max(1.0, abs(now))

    def _add(self, block: RowBlock) -> None:
        self.lp.add(block)
        count = len(block)
        self.origin = np.append(self.origin, np.full(count, block.origin, dtype=object))
        self.idle = np.append(self.idle, np.zeros(count, dtype=int))

    def _stale(self, point: Array) -> Array:
        self.idle = np.where(self._slack(point) > _TIGHT, self.idle + 1, 0)
        return np.asarray(self.idle >= self.limits.patience)

    def _drop(self, gone: Array) -> None:
        self.lp.drop(gone)
        self.origin, self.idle = self.origin[~gone], self.idle[~gone]

    def _slack(self, point: Array) -> Array:
        """How far each added row is from its limit, relative to the limit; all are of the form ``a x <= q``."""
        block = self._block()
        value = block.value(point)
        gap = np.minimum(block.upper - value, value - block.lower)
        limit = np.where(np.isfinite(block.upper), np.abs(block.upper), np.abs(block.lower))
        return np.asarray(gap / np.maximum(1.0, limit))

    def _block(self) -> RowBlock:
        model, first = self.lp.model, len(self.lp.model.row_lower) - self.lp.n_added
        start = model.indptr[first]
        indptr = model.indptr[first:] - start
        limits = model.row_lower[first:], model.row_upper[first:]
        return RowBlock(model.data[start:], model.indices[start:], indptr, *limits, Tag.CUT, "")

    def _tight(self, point: Array) -> list[RowBlock]:
        """The rows that are tight at a point and not kept yet, one block an origin; they count as kept from now on."""
        block, tight = self._block(), self._slack(point) <= _TIGHT
        tight &= self.origin != _POOLED
        found = []
        for origin in dict.fromkeys(self.origin[tight]):
            part = block.take(tight & (self.origin == origin))
            found.append(replace(part, tag=Tag.CUT, origin=origin))
        self.origin[tight] = _POOLED
        return found


_POOLED = ""  # stands for the origin of a row that is kept already


def _violated(pool: list[RowBlock], tolerance: float, point: Array) -> Iterator[RowBlock]:
    """The rows of earlier disjuncts that a point violates."""
    for block in pool:
        value = block.value(point)
        norm = np.sqrt(np.bincount(entry_rows(block.indptr), weights=block.data**2, minlength=len(block)))
        bad = np.maximum(value - block.upper, block.lower - value) > tolerance * norm
        if bad.any():
            yield replace(block.take(bad), origin=_POOLED)


def _value(end: LpEnd) -> float:
    """The optimum; +inf of an empty disjunct, which needs no cuts, -inf where nothing was found."""
    if end.status is Status.INFEASIBLE:
        return np.inf
    return end.objective if end.status is Status.OPTIMAL else -np.inf
