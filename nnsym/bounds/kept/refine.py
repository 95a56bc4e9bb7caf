"""Hidden bounds by search: the rows of one hidden layer, split on the layers below it.

For a layer, both sides of every open element are a row to be bounded from below, and each row has a tree of its own. A
round splits the worst leaf of every row that is not decided, all rows in one batch, at the open hinge whose gap is
largest at the leaf's minimiser, and some of the worst where rows are few: a batch costs the same up to a size. Children
start from their parent's choices and are optimised for a few steps. All
layers weigh alike: hidden ranges stay as they are in a tree, so that a split of an early layer gives no more than its
gap. A row's bound is the least over its leaves, which cover the domain. Rows that exceed 0 are done: their element has
one phase. Layers are taken parents first, so that every layer rests on what the ones below it gained.

This takes the place of solvers' bound tightening in branch and bound (MILP in alpha-beta-CROWN, Wang et al. 2021;
rolling horizons in Zhao et al., Bound Tightening Using Rolling-Horizon Decomposition, 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Protocol, final

import numpy as np

from nnsym.bounds.kept.engine import Engine, Target
from nnsym.bounds.kept.types import BatchBounds, Domains, Dual, Limit
from nnsym.ir.array import Array
from nnsym.ir.node import Node, Pointwise
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge
from nnsym.results.clock import NEVER, Deadline, OutOfTime

_FIRST, _STEPS = 20, 8  # steps of ascent for a row without splits, and for a leaf
_FULL, _MOST = 128, 4  # splits in a round while there are rows for them, and the most of one row
_BYTES = 32  # of a leaf for each element below: a phase, a slope, a multiplier, and what bounding it takes


class Aside(Protocol):
    """Takes a share of a layer's elements for others to search for, on the ranges of the layers ``below``."""

    def __call__(
        self, below: Mapping[Node, Limit], layer: Node, elements: Array, rounds: int, deadline: Deadline
    ) -> tuple[Array, Callable[[], Sequence[Limit]]]:
        """What stays here, and what waits for the bounds of the rest, or of as many as there are any of."""


def alone(
    below: Mapping[Node, Limit], layer: Node, elements: Array, rounds: int, deadline: Deadline
) -> tuple[Array, Callable[[], Sequence[Limit]]]:
    """All elements stay here: there is nobody else to search for them."""
    return elements, tuple


def refined(
    query: Query,
    *,
    dtype: str = "float32",
    rounds: int = 40,
    ranges: Mapping[Node, Limit] | None = None,
    memory: float = 2.0**30,
    aside: Aside = alone,
    deadline: Deadline = NEVER,
) -> Engine:
    """An engine of the query whose hidden bounds were searched for, ``rounds`` splits for every row of a layer.

    Its ranges hold on the query's boxes and balls; ``ranges`` are some that are known to, and none of its own is worse.
    Past the ``deadline`` layers keep what they have, and so do those whose trees would take more than ``memory`` bytes:
    before that there are fewer rounds. Others take part where something is put ``aside`` for them. Raises OutOfTime
    where there is no engine by then.
    """
    given = ranges or {}
    engine = Engine(query, dtype=dtype, deadline=deadline)
    known: dict[Node, Limit] = {}
    for layer in engine.plan.arguments:
        first = engine.ranges[layer]
        known[layer] = first.meet(given[layer]) if layer in given else first
        if layer not in engine.plan.straight and not deadline.passed:
            below = {n: known[n] for n in known if n is not layer}
            elements, others = aside(below, layer, undecided(engine, layer, known[layer]), rounds, deadline)
            own = searched(engine, layer, elements, rounds, memory=memory, deadline=deadline)
            for better in (*own, *others()):
                known[layer] = known[layer].meet(better)
        if known[layer] is not first:
            try:
                engine = Engine(query, dtype=dtype, ranges=known, deadline=deadline)
            except OutOfTime:  # what layers gained by now is worth the time of one more engine
                return Engine(query, dtype=dtype, ranges={**given, **known}, deadline=deadline.grace)
    return engine


def undecided(engine: Engine, layer: Node, known: Limit) -> Array:
    """The elements of a layer that matter and are open, as far as is ``known``, ``(1, size)``."""
    opened = np.flatnonzero((known.lower[0] < 0) & (known.upper[0] > 0))
    return np.intersect1d(opened, engine.plan.keep[layer])


def searched(
    engine: Engine,
    layer: Node,
    elements: Array,
    rounds: int,
    *,
    memory: float,
    deadline: Deadline = NEVER,
    hurry: Event | None = None,
) -> Sequence[Limit]:
    """Bounds of some elements of a layer, ``(1, size)``, infinite of others; none where none are searched for."""
    trees = grown(engine, layer, elements, rounds, memory=memory, deadline=deadline, hurry=hurry)
    if trees is None:
        return ()
    lower, upper = (np.full((1, layer.size), side) for side in (-np.inf, np.inf))
    up, bounds = trees.sign > 0, trees.bounds()
    lower[0, trees.index[up]], upper[0, trees.index[~up]] = bounds[up], -bounds[~up]
    return (Limit(lower, upper),)


def grown(
    engine: Engine,
    layer: Node,
    elements: Array,
    rounds: int,
    *,
    memory: float = 2.0**30,
    deadline: Deadline = NEVER,
    hurry: Event | None = None,
    own: bool = False,
) -> Trees | None:
    """The trees of a layer's rows, so many ``rounds`` of splits grown of each, or fewer where ``hurry`` is set; None
    where there are no ``elements``, or no room for trees.

    What is known of the layer itself the engine must not know: bounds of all leaves would be that, none the worst.
    """
    below = sum(n.size for n in engine.plan.order(layer)[1:])
    rounds = min(rounds, int(memory / (2 * max(len(elements), 1) * max(below, 1) * _BYTES)) - 1)
    if not len(elements) or rounds < 0:
        return None
    trees = Trees(engine, layer, np.tile(elements, 2), np.repeat([1.0, -1.0], len(elements)), rounds, deadline, own=own)
    while not (deadline.passed or (hurry is not None and hurry.is_set())) and trees.split():
        pass
    return trees


@final
class Trees:
    """One tree for each row ``sign node[index]``: of every leaf its row, a bound, phases and choices.

    ``phases[node]`` are -1, 0 (not split) or 1, ``slopes`` and ``multipliers`` those of a :class:`Dual`; the first
    ``count`` entries of each are leaves. A split writes one child over its parent and the other behind all leaves.
    ``least`` ``(rows, rounds + 1)`` are the bounds of a row's leaves, infinite where there is none, ``leaves`` their
    numbers.
    """

    def __init__(
        self,
        engine: Engine,
        layer: Node,
        index: Array,
        sign: Array,
        rounds: int,
        deadline: Deadline,
        *,
        own: bool = False,
    ) -> None:
        """For a proof of each leaf by itself bounds of leaves are their ``own``, not those of the parts that they were
        split from, and what has one phase is neither split nor bounded on its other side.
        """
        self.engine, self.layer, self.index, self.sign, self.deadline = engine, layer, index, sign, deadline
        self.own = own
        below = engine.plan.order(layer)[1:]
        self.places = [n for n in reversed(below) if n in engine.plan.arguments and _bends(engine, n)]
        count = len(index)
        most = count * (rounds + 1)
        self.row = np.zeros(most, dtype=np.int64)
        self.row[:count] = np.arange(count)
        self.slot = np.zeros(most, dtype=np.int64)  # the leaf's place among those of its row
        self.least = np.full((count, rounds + 1), np.inf)
        self.least[:, 0] = -np.inf
        self.leaves = np.zeros((count, rounds + 1), dtype=np.int64)
        self.leaves[:, 0] = np.arange(count)
        self.filled = np.ones(count, dtype=np.int64)
        self.phases = {n: np.zeros((most, n.size), dtype=np.int8) for n in self.places}
        self.place = np.full(most, -1)  # where a leaf is to be split, -1 where nothing is left to split
        self.element = np.zeros(most, dtype=np.int64)
        self.slopes: dict[Node, Array] = {}
        self.multipliers: dict[Node, Array] = {}
        self.count = count
        self._look(np.arange(count), _FIRST)

    def bounds(self) -> Array:
        """The least bound over the leaves of every row."""
        return np.asarray(self.least.min(axis=1))

    def split(self) -> bool:
        """Split the worst leaf of every row that is open and can be split, of few rows some; false where none is."""
        row, chosen = self._worst()
        if not len(chosen):
            return False
        fresh = self.count + np.arange(len(chosen))
        for values in (self.row, self.place, self.element, *self._arrays()):
            values[fresh] = values[chosen]
        own = np.arange(len(row)) - np.searchsorted(row, row)  # rows come in order: a leaf's number among its row's
        self.slot[fresh] = self.filled[row] + own
        at = row, self.slot[fresh]
        self.leaves[at], self.least[at] = fresh, self.least[row, self.slot[chosen]]
        self.filled += np.bincount(row, minlength=len(self.index))
        for k, node in enumerate(self.places):
            here = self.place[chosen] == k
            for leaves, phase in ((chosen[here], -1), (fresh[here], 1)):
                self.phases[node][leaves, self.element[leaves]] = phase
        self.count += len(chosen)
        self._look(np.concatenate((chosen, fresh)), _STEPS)
        return True

    def _worst(self) -> tuple[Array, Array]:
        """Rows, in order, and of each some of its worst leaves that are open; none of rows that no split moves."""
        every, slot = np.arange(len(self.index)), self.least.argmin(axis=1)
        bound, first = self.least[every, slot], self.leaves[every, slot]
        done = bound > 0
        if self.own and _bends(self.engine, self.layer):  # a phase is all that an element's other row is for
            done = np.isin(self.index, self.index[done])
        row = np.flatnonzero(~done & (self.place[first] >= 0) & (self.filled < self.least.shape[1]))
        most = min(_MOST, max(1, _FULL // max(len(row), 1)))
        least = self.least[row, : int(self.filled[row].max(initial=1))]
        slots = np.argsort(least, axis=1, kind="stable")[:, :most]
        leaves = np.take_along_axis(self.leaves[row], slots, axis=1)
        room = self.filled[row, None] + np.arange(slots.shape[1]) < self.least.shape[1]
        able = (np.take_along_axis(least, slots, axis=1) <= 0) & (self.place[leaves] >= 0) & room
        return np.repeat(row, able.sum(axis=1)), leaves[able]

    def _arrays(self) -> list[Array]:
        return [*self.phases.values(), *self.slopes.values(), *self.multipliers.values()]

    def _look(self, leaves: Array, steps: int) -> None:
        """Bound leaves, and choose where each would be split."""
        dual = self._dual(leaves) if self.slopes else None
        domains = Domains(self.limits(leaves), np.ones((len(leaves), 1), dtype=bool), dual=dual)
        row = self.row[leaves]
        target = Target(self.layer, self.index[row][:, None], self.sign[row][:, None])
        found = self.engine.bound(
            domains, target=target, steps=steps, refresh=False, forms=False, deadline=self.deadline
        )
        at = row, self.slot[leaves]
        self.least[at] = found.lower[:, 0] if self.own else np.maximum(self.least[at], found.lower[:, 0])
        self._choose(leaves, found)
        self._keep(leaves, found.dual)

    def limits(self, leaves: Array) -> dict[Node, Limit]:
        """What leaves assume of the layers below."""
        found = {n: _phase_limits(self.phases[n][leaves]) for n in self.places}
        return {n: s for n, s in found.items() if np.isfinite(s.lower).any() or np.isfinite(s.upper).any()}

    def _dual(self, leaves: Array) -> Dual:
        slopes, multipliers = ({n: v[leaves][:, None] for n, v in p.items()} for p in (self.slopes, self.multipliers))
        return Dual(slopes, multipliers)

    def _keep(self, leaves: Array, dual: Dual | None) -> None:
        if dual is None:
            return
        for into, found in ((self.slopes, dual.slopes), (self.multipliers, dual.multipliers)):
            for node, values in found.items():
                if node not in into:
                    into[node] = np.zeros((len(self.row), values.shape[-1]), dtype=np.float32)
                into[node][leaves] = values[:, 0]

    def _choose(self, leaves: Array, found: BatchBounds) -> None:
        """The hinge with the largest gap of every leaf."""
        best = np.zeros(len(leaves))
        self.place[leaves] = -1
        for k, node in enumerate(self.places):
            gap = found.gaps.get(node)
            if gap is None:
                continue
            left = gap[:, 0] * (self.phases[node][leaves] == 0)
            if self.own:  # the line of another is as good on both sides of 0
                left *= (self.engine.ranges[node].lower < 0) & (self.engine.ranges[node].upper > 0)
            top = left.argmax(axis=1)
            most = left[np.arange(len(leaves)), top]
            better = most > best
            self.place[leaves[better]], self.element[leaves[better]] = k, top[better]
            best = np.maximum(best, most)


def _bends(engine: Engine, node: Node) -> bool:
    """True if a split at 0 leaves every reader that is not affine with one line."""
    readers = [r for r in engine.plan.readers[node] if isinstance(r, Pointwise)]
    return bool(readers) and all(isinstance(r.fn, Hinge) for r in readers)


def _phase_limits(phases: Array) -> Limit:
    return Limit(np.where(phases > 0, 0.0, -np.inf), np.where(phases < 0, 0.0, np.inf))
