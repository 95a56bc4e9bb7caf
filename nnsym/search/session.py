"""A search made ready: targets, the first parts, or the open leaves of a record that it goes on from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, final

import numpy as np

from nnsym.bounds.kept.types import Domains, Limit
from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query, Reading
from nnsym.results.clock import Deadline
from nnsym.results.versions import package_version
from nnsym.search.branching import Branching
from nnsym.search.frontier import FRONTIERS, OPEN
from nnsym.search.goal import Goal
from nnsym.search.loop import Search
from nnsym.search.parts.batch import Parts
from nnsym.search.parts.places import places
from nnsym.search.parts.targets import Target, Worth, targets
from nnsym.search.problem import SearchProblem
from nnsym.search.record import log as logs
from nnsym.search.record.ledger import Ledger
from nnsym.search.record.progress import Snapshot
from nnsym.search.steps.bounding import Better, Bounding, Cutting, Engines, Fine
from nnsym.search.steps.examine import Examiner
from nnsym.search.steps.finish import Finisher
from nnsym.search.steps.leaf import Ask
from nnsym.search.steps.looks import Looks
from nnsym.search.steps.reduce import Clip, Reducing
from nnsym.search.steps.trial import trial
from nnsym.search.strategy import Strategy
from nnsym.search.whole import Improving


class Rooted(Bounding, Protocol):
    """An engine: it knows the whole query as one part."""

    def root(self) -> Domains: ...


@final
@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What a search is given: limits, a file for its record, other engines, who asks solvers about parts, who is told.

    ``brief`` is the share of the time that it may take where at most :data:`nnsym.search.loop.FEW` neurons are open.
    """

    deadline: Deadline
    brief: float = 1.0
    memory: float = np.inf
    seed: int = 0
    log: Path | None = None
    fine: Fine | None = None
    better: Better | None = None
    cutting: Cutting | None = None
    ask: Ask | None = None
    watch: Callable[[Snapshot], None] | None = None


def begin(query: Query, engine: Rooted, goal: Goal, strategy: Strategy, given: Conditions) -> Search:
    """The search of a query, with a frontier; where the record of ``given.log`` has a beginning it goes on from there.

    Raises:
        InputError: the record is of another query, goal or version, or damaged.
    """
    wanted = targets(query)
    roots = _roots(query, engine.root(), wanted)
    strategy = replace(strategy, soft=strategy.soft and query.reading is not Reading.MINIMUM)
    asked = {"query": query.hash, "goal": type(goal).__name__.lower(), "version": package_version("nnsym")}
    log = None if given.log is None else logs.FileLog(given.log, asked, len(roots))
    make = _Maker(SearchProblem(query, wanted, goal, strategy), engine, given, roots)
    assert strategy.branching is not None
    story = None if log is None else log.story
    if story is not None and strategy.rivals:
        tried = (make.search(rule) for rule in strategy.rivals)
        rule = trial(make.search(strategy.branching), tried).rule
    else:
        rule = strategy.branching
    return make.search(rule, log or logs.Log(), story)


@final
@dataclass(frozen=True, eq=False)
class _Maker:
    """Makes searches of one query that share its engines."""

    problem: SearchProblem
    engine: Bounding
    given: Conditions
    roots: Parts

    @cached_property
    def engines(self) -> Engines:
        return Engines(self.engine, self.given.fine)

    @cached_property
    def looks(self) -> Looks:
        return Looks(self.problem, self.given.seed)

    def search(self, rule: Branching, log: logs.Log | None = None, story: logs.Story | None = None) -> Search:
        """A search by a rule; that of a record ``log`` is the real one, others are only tried."""
        problem, given = self.problem, self.given
        strategy, real = problem.strategy, log is not None
        ledger = Ledger(FRONTIERS[strategy.frontier](OPEN * given.memory), log if log is not None else logs.Kept())
        ledger.start(self.roots if story is None else _again(problem.query, self.roots, story), len(self.roots))
        if story is not None:
            ledger.next, ledger.closed = story.next, story.closed_least
            ledger.granted, ledger.word = story.granted, story.word
            splits = [(problem.places[place].node, element) for place, element in story.splits]
            ledger.census.merge(story.seen, story.closed, splits)
        return Search(
            problem=problem,
            rule=rule,
            ledger=ledger,
            examiner=Examiner(problem, self.engines, self.looks),
            finisher=Finisher(problem, given.ask),
            reductions=_reductions(problem),
            deadline=given.deadline,
            improving=Improving(
                better=given.better if strategy.refine and real else None,
                cutting=given.cutting if strategy.cuts != 0 and real else None,
                wanted=strategy.cuts is not None,
            ),
            brief=given.brief if real else 1.0,
            watch=given.watch if real else None,
            rivals=strategy.rivals if real and story is None else (),
            rival=self.search if real and story is None else None,
        )


def _reductions(problem: SearchProblem) -> tuple[Reducing, ...]:
    """What the query gives anything to do."""
    return (Clip(problem.strategy.soft),) if problem.hard or problem.strategy.soft else ()


def _roots(query: Query, root: Domains, wanted: Sequence[Target]) -> Parts:
    """One part for every box of targets, with the targets of that box."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for k, target in enumerate(wanted):
        boxes = (target.boxes[x].outer for x in query.inputs)
        groups.setdefault(tuple(side.tobytes() for box in boxes for side in box), []).append(k)
    found, worth = root.take(np.zeros(len(groups), dtype=np.int64)), Worth(wanted, len(query.rows))
    opened = np.zeros((len(groups), len(wanted)), dtype=bool)
    limits = dict(found.limits)
    for row, own in enumerate(groups.values()):
        opened[row, own] = True
    for x in query.inputs:
        own_boxes = [wanted[own[0]].boxes[x].outer for own in groups.values()]
        limits[x] = Limit(_stacked([b[0] for b in own_boxes], x), _stacked([b[1] for b in own_boxes], x))
    count = len(groups)
    none = np.full((count, len(wanted)), -np.inf)
    found = replace(found, limits=limits, wanted=worth.wanted(opened))
    return Parts(found, none, opened, np.zeros(count, dtype=np.int64), np.arange(count))


def _stacked(sides: list[Array], x: Input) -> Array:
    return np.stack(sides) if sides else np.zeros((0, x.size))


def _again(query: Query, roots: Parts, story: logs.Story) -> Parts:
    """The open leaves of a record: each root with the limits of its splits."""
    found = list(story.leaves.values())
    parts = roots.take(np.array([leaf.root for leaf in found], dtype=np.int64))
    limits: dict[Node, Limit] = dict(parts.domains.limits)
    known = [place.node for place in places(query)]
    steps = {(place, element) for leaf in found for place, element, *_ in leaf.path}
    if not all(0 <= place < len(known) and 0 <= element < known[place].size for place, element in steps):
        raise InputError("the record splits what the query has not", remedy="Give an undamaged file")
    ends: dict[int, tuple[Array, Array]] = {}
    for row, leaf in enumerate(found):
        for place, element, point, side in leaf.path:
            node = known[place]
            if place not in ends:
                none = np.full((len(found), node.size), np.inf)
                limit = limits.get(node, Limit(-none, none))
                ends[place] = limit.lower.copy(), limit.upper.copy()
            lower, upper = ends[place]
            at = np.floor(point) + side if isinstance(node, Input) and node.integer[element] else point
            if side == 0:
                upper[row, element] = min(upper[row, element], at)
            else:
                lower[row, element] = max(lower[row, element], at)
    limits.update((known[place], Limit(*ends[place])) for place in sorted(ends))
    bits = np.array([[leaf.opened >> k & 1 for k in range(parts.opened.shape[1])] for leaf in found], dtype=bool)
    least = np.array([leaf.least for leaf in found])[:, None] + np.zeros(parts.lower.shape)
    return Parts(
        replace(parts.domains, limits=limits),
        least,
        parts.opened & bits.reshape(parts.opened.shape),
        np.array([leaf.depth for leaf in found], dtype=np.int64),
        np.array([leaf.number for leaf in found], dtype=np.int64),
    )
