"""Branch and bound: what is open is bounded in batches, closed, cut down, split, until nothing is left.

Sound at every moment: the least bound of what is open and of all that was closed is a lower bound of the margin on the
whole domain, because children cover their parent and take the larger of its bound and their own. What closes a target
is a bound with every rounding paid; points only ever falsify, after they were replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.kept.types import Domains, Found, Limit
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.results.clock import Deadline, OutOfTime
from nnsym.search.bounding import Better, Bounding, Fine
from nnsym.search.branching import Seen
from nnsym.search.choose import choose
from nnsym.search.frontier import BestFirst, DepthFirst, Frontier
from nnsym.search.goal import Goal
from nnsym.search.leaf import Leaf, restricted
from nnsym.search.log import Log
from nnsym.search.looks import POINTS, Looks
from nnsym.search.nodes import Branches, Nodes, split
from nnsym.search.places import places
from nnsym.search.reduce import clipped
from nnsym.search.strategy import Strategy
from nnsym.search.tally import Tally
from nnsym.search.targets import Target, Worth

Array = NDArray[Any]

#: From this depth on bounds are computed by the finer engine, and from the second one nothing is split any more: a part
#: of 2^-90 of the domain that is still open lies at a margin of 0.
_DEEP, _DEEPEST = 36, 90

#: So many open neurons are few: a program may end the search at once.
FEW = 30

#: So many parts are given up; more say that the margin is 0 along a face, which splitting does not end.
_GIVEN_UP = 64

#: After which batches there is a counter-search, and from how many points.
_ATTACKS = {2: POINTS, 12: 4096}

#: So many parts are bounded before the ranges of the whole domain are searched for; the share of the time for this;
#: what is left of the gap, as a share of what was, where more rounds pay.
_PARTS, _REFINING, _PAYS = 31, 0.25, 0.8


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Snapshot:
    """Where a search stands: certified ``lower``, the ``best`` replayed margin, closed ``mass``, ``opened`` and
    ``nodes``.
    """

    lower: float
    best: float
    mass: float
    opened: int
    nodes: int


@final
class Search:
    """One search: ``go`` runs it until it is decided, or until the deadline or the memory's end."""

    def __init__(
        self,
        query: Query,
        engine: Bounding,
        parts: Sequence[Target],
        goal: Goal,
        *,
        fine: Fine | None = None,
        better: Better | None = None,
        strategy: Strategy,
        deadline: Deadline,
        brief: float = 1.0,
        memory: float = np.inf,
        log: Log | None = None,
        leaf: Leaf | None = None,
        watch: Callable[[Snapshot], None] | None = None,
        seed: int = 0,
    ) -> None:
        self.query, self.engine, self.goal, self.deadline = query, engine, goal, deadline
        self.strategy, self.log, self.leaf = strategy, log or Log(), leaf
        self._better = better if strategy.refine else None
        self._fine, self._finest = fine, engine if fine is None else None
        self.worth = Worth(parts, len(query.rows))
        self.looks = Looks(query, self.worth, goal, flat=strategy.flat, seed=seed)
        self.places = places(query)
        self.height = {place.node: place.height for place in self.places}
        self.frontier: Frontier = (BestFirst if strategy.best else DepthFirst)(memory)
        self.tally, self.watch = Tally(), watch
        self.closed, self.stuck = (
            np.inf,
            np.inf,
        )  # the least bounds of what is done, and of what nothing was found to do
        self.next, self.ended, self.unstable = 0, "", 0
        assert strategy.branching is not None
        self.rule = strategy.branching
        self.flat = strategy.flat
        self._brief = brief
        self._hard, self._lost = bool(self.worth.hard.any()), 0

    @property
    def lower(self) -> float:
        """The certified lower bound of the margin."""
        return min(self.closed, self.stuck, self.frontier.least())

    @property
    def exhausted(self) -> bool:
        """True if every part of the domain was ruled out."""
        return not len(self.frontier) and self.stuck == np.inf and not self.goal.done and not self.ended

    def start(self, nodes: Nodes, roots: int) -> None:
        """The first subproblems."""
        self.frontier.push(nodes)
        self.tally.roots = max(roots, 1)
        self.next = max(self.next, roots)

    def go(self) -> None:
        """Until nothing is open, the goal is reached, or time or memory end."""
        first, batches = True, 0
        while len(self.frontier) and not self.goal.done:
            self.ended = self._limit()
            if self.ended or not len(self.frontier):
                return
            nodes = self.frontier.take(self.strategy.batch)
            try:
                self._step(nodes, first)
            except OutOfTime:
                self.frontier.push(nodes)
                self.ended = "timeout"
                return
            first, batches = False, batches + 1
            if batches in _ATTACKS and len(self.frontier) and not self.goal.done:
                self.looks.attack(_ATTACKS[batches], self.deadline)
            if self._better and self.tally.nodes >= _PARTS and len(self.frontier) and not self.goal.done:
                self._refine(self._better)
            if self.watch is not None:
                self.watch(self.snapshot())

    def _limit(self) -> str:
        if self.deadline.passed:
            return "timeout"
        if self.goal.tight and self._lost <= _GIVEN_UP:  # no bound in floats gets above what a point has
            self._settle()
        return "memory" if self.frontier.full else "within_rounding" if self._lost > _GIVEN_UP else ""

    def snapshot(self) -> Snapshot:
        """Where it stands."""
        opened = len(self.frontier)
        return Snapshot(
            lower=self.lower, best=self.goal.best, mass=float(self.tally.mass), opened=opened, nodes=self.tally.nodes
        )

    def _step(self, nodes: Nodes, first: bool) -> None:
        steps = self.strategy.root if first else self.strategy.then(self.tally.nodes)
        nodes, found, picks = self._bound(nodes, steps)
        if first and len(nodes):
            self._count(found)
        if not len(nodes) or self.goal.done:
            return self.frontier.push(nodes)
        row = self.looks.minimisers(nodes, found, picks, self.deadline)
        nodes = replace(nodes, domains=replace(nodes.domains, ranges=found.ranges, dual=found.dual))
        if first and self.strategy.hidden and not self.goal.done:
            self.looks.attack(POINTS, self.deadline)
        if len(nodes) and (self._hard or self.strategy.soft):
            nodes, found, picks, row = self._clip(nodes, found, picks, row)
        if self.goal.done or not len(nodes):
            return self.frontier.push(nodes)
        return self._branch(nodes, found, picks, row)

    def _bound(self, nodes: Nodes, steps: int) -> tuple[Nodes, Found, Array]:
        """Bound a batch and book what it closes; what is left, what was found of it, the rows that bounds rest on."""
        nodes = replace(nodes, domains=replace(nodes.domains, wanted=self.worth.wanted(nodes.opened)))
        engine = self._deep() if int(nodes.depth.min()) >= _DEEP else self.engine
        found = engine.bound(
            nodes.domains, steps=steps, goal=self._threshold, gaps=self.rule.gaps, deadline=self.deadline
        )
        found = found if len(self.query.rows) else _pointed(found)
        nodes = nodes.bare()
        inputs: dict[Node, Limit] = {x: found.ranges[x] for x in self.query.inputs}
        lower, picks = self.worth.lower(found.lower, inputs)
        lower = np.maximum(nodes.lower, np.where(found.empty[:, None], np.inf, lower))
        self.tally.bounded(nodes)
        nodes, kept = self._close(replace(nodes, lower=lower), nodes.opened & ~self.goal.closes(lower))
        return (nodes, found, picks) if len(kept) == len(found) else (nodes, found.take(kept), picks[kept])

    @property
    def _threshold(self) -> float:
        """What an ascent aims at."""
        return self.goal.threshold if np.isfinite(self.goal.threshold) else 0.0

    def _deep(self) -> Bounding:
        """The finer engine, made when it is needed."""
        if self._finest is None:
            assert self._fine is not None
            self._finest = self._fine(self.engine.ranges)
        return self._finest

    def _refine(self, better: Better) -> None:
        """Search for ranges of the whole domain, with four times the rounds as long as they close some of the gap.

        What this says of the whole domain holds on every part of it.
        """
        self._better, end, rounds = None, self.deadline.share(_REFINING), self.strategy.refine or 0
        gap, lower = self._whole(self.engine)
        while gap > 0 and not end.passed:
            self.engine, before = better(self.engine.ranges, rounds, end), gap
            gap, found = self._whole(self.engine)
            lower, rounds = np.maximum(lower, found), 4 * rounds
            if gap > _PAYS * before:
                break
        nodes = self.frontier.take(len(self.frontier))
        nodes = replace(nodes, lower=np.maximum(nodes.lower, lower))
        self.frontier.push(self._close(nodes, nodes.opened & ~self.goal.closes(nodes.lower))[0])

    def _whole(self, engine: Bounding) -> tuple[float, Array]:
        """The targets' lower bounds on the whole domain, and how far the least is from closing it."""
        boxes = {x: box.outer for x, box in self.query.boxes.items()}
        limits: dict[Node, Limit] = {x: Limit(lower[None], upper[None]) for x, (lower, upper) in boxes.items()}
        domains = Domains(limits, np.ones((1, len(self.query.rows)), dtype=bool))
        found = engine.bound(
            domains, steps=self.strategy.root, goal=self._threshold, gaps=False, deadline=self.deadline
        )
        lower, _ = self.worth.lower(found.lower, limits)
        lower = np.where(found.empty[:, None], np.inf, lower)
        opened = lower[~self.goal.closes(lower)]
        return float(np.max(self._threshold - opened, initial=0.0)), lower

    def _count(self, found: Found) -> None:
        """How many neurons are open; where they are few the time is shorter."""
        hidden = [p for p in self.places if p.node in found.ranges and not isinstance(p.node, Input)]
        opened = (~np.isnan(place.points(found.ranges[place.node])) for place in hidden)
        self.unstable = sum(int(np.count_nonzero(some.any(0))) for some in opened)
        if self.unstable <= FEW:
            self.deadline = self.deadline.share(self._brief)

    def _close(self, nodes: Nodes, opened: Array) -> tuple[Nodes, Array]:
        """Book what is done; the subproblems with something left, and which they are."""
        done = nodes.opened & ~opened
        least = np.where(done, nodes.lower, np.inf).min(1, initial=np.inf)
        self.closed = min(self.closed, float(least.min(initial=np.inf)))
        over = ~opened.any(1)
        self.log.close(nodes.number[over], least[over])
        self.tally.close(nodes.depth[over])
        rest = least[~over].min(initial=np.inf)
        if rest < np.inf:
            self.log.cut(float(rest))
        kept = np.flatnonzero(~over)
        nodes = replace(nodes, opened=opened)
        return nodes if len(kept) == len(nodes) else nodes.take(kept), kept

    def _clip(self, nodes: Nodes, found: Found, picks: Array, row: Array) -> tuple[Nodes, Found, Array, Array]:
        domains, margin, gone = clipped(
            self.query, self.worth, nodes.domains, found, nodes.opened, soft=self.strategy.soft
        )
        least = float(margin.min(initial=np.inf))
        if least < np.inf:
            self.closed = min(self.closed, least)
            self.log.cut(least)
        lower = np.where(gone, np.maximum(nodes.lower, margin[:, None]), nodes.lower)
        smaller, kept = self._close(replace(nodes, domains=domains, lower=lower), nodes.opened & ~gone)
        cut: dict[Node, Limit] = {x: smaller.domains.limits[x] for x in self.query.inputs}
        ranges = {**(smaller.domains.ranges or {}), **cut}
        smaller = replace(smaller, domains=replace(smaller.domains, ranges=ranges))
        return smaller, found.take(kept), picks[kept], row[kept]

    def _branch(self, nodes: Nodes, found: Found, picks: Array, row: Array) -> None:
        ranges = nodes.domains.ranges or {}
        every = np.arange(len(nodes))
        gaps = {n: _summed(g, nodes.opened, np.maximum(picks, 0)) for n, g in found.gaps.items() if n in self.height}
        seen = Seen(
            inputs={x: ranges[x] for x in self.query.inputs},
            forms={x: C[every, row] for x, C in found.forms.items()},
            gaps=gaps,
            height=self.height,
            number=nodes.number,
        )
        room = self.strategy.batch // max(2 * (len(nodes) + len(self.frontier)), 1)
        levels = min(3, 1 + max(room, 1).bit_length() - 1) if self.flat else 1
        chosen, able = choose(self.places, ranges, self.rule.score(seen), levels)
        able &= nodes.depth < _DEEPEST
        owner = np.arange(len(nodes))
        if not able.all():
            self._give_up(nodes.take(np.flatnonzero(~able)))
            owner = np.flatnonzero(able)
            nodes = nodes.take(owner)
        for branches in chosen:
            here, none = branches.take(owner), np.isnan(branches.point[owner])
            if none.any():
                real = np.flatnonzero(~none)
                self.frontier.push(nodes.take(np.flatnonzero(none)))
                nodes, here, owner = nodes.take(real), here.take(real), owner[real]
            nodes, owner = self._split(nodes, here), np.repeat(owner, 2)
        self.frontier.push(nodes)

    def _split(self, nodes: Nodes, branches: Branches) -> Nodes:
        self.log.split(nodes, branches)
        self.tally.split(branches)
        children = split(nodes, branches, self.next)
        self.next += len(children)
        return children

    def _settle(self) -> None:
        """A margin of 0 up to rounding: all of the query goes to the leaves' method, and nothing is split any more."""
        told = None if self.leaf is None else self.leaf(self.query, self.deadline)
        self._lost = _GIVEN_UP + 1
        if told is not None and told.point is not None:
            self.goal.replay(told.point, self.deadline)
        elif told is not None and told.excluded:
            self._lost, self.closed = 0, min(self.closed, 0.0)
            for block in self.frontier.blocks:
                self.tally.close(block.depth)
                self.log.close(block.number, np.zeros(len(block)))
            self.frontier = DepthFirst()

    def _give_up(self, nodes: Nodes) -> None:
        """What has nothing left to split goes to the leaves' method, one by one."""
        for k in range(len(nodes)):
            one, told = nodes.take(np.array([k])), None
            least = float(one.least[0])
            if self.leaf is not None and not self.deadline.passed:
                told = self.leaf(restricted(self.query, one, self.worth, self.goal.threshold), self.deadline)
            if told is not None and told.point is not None:
                self.goal.replay(told.point, self.deadline)
            if told is None or not told.excluded:
                self.stuck, self._lost = min(self.stuck, least), self._lost + 1
                continue
            self.closed = min(self.closed, max(least, self.goal.threshold))
            self.log.close(one.number, np.maximum(one.least, self.goal.threshold))
            self.tally.close(one.depth)


def _pointed(found: Found) -> Found:
    """Where there are no rows at all, one without slope, whose points are the centres."""
    inputs = {x: found.ranges[x] for x in found.point}
    centre = {x: (limit.lower + (limit.upper - limit.lower) / 2)[:, None] for x, limit in inputs.items()}
    forms = {x: np.zeros(c.shape) for x, c in centre.items()}
    gaps = {n: np.zeros((len(found), 1, n.size)) for n in found.gaps}
    return replace(found, forms=forms, constant=np.zeros((len(found), 1)), point=centre, gaps=gaps)


def _summed(gap: Array, opened: Array, picks: Array) -> Array:
    """Gaps ``(batch, rows, size)`` of the rows that the open targets rest on, added up."""
    total = np.zeros((len(gap), gap.shape[-1]), dtype=gap.dtype)
    every = np.arange(len(gap))
    for k in range(opened.shape[1]):
        total += gap[every, picks[:, k]] * opened[:, [k]]
    return total
