"""What one worker is given, and what it answers: some items of a family, one method, every radius that is open.

Radii are asked from the middle outward, and what follows from an answer is not asked: the domains of a family that only
grow with the radius are compared exactly (:func:`nnsym.sweep.batch.within`), nobody has to promise it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, final

from nnsym.ask.verify import verify
from nnsym.errors import InputError, NnsymError
from nnsym.ir.exact import nearest
from nnsym.ir.order import before_softmax
from nnsym.ir.query import Query, Reading
from nnsym.judge.method import Method, Settings
from nnsym.replay import Outcome, confirm
from nnsym.results.clock import Clock
from nnsym.results.plain import witness_json
from nnsym.results.result import Result, Trust, Verdict
from nnsym.sweep.batch import alike, known_of, margins_of, within
from nnsym.sweep.data import Arguments
from nnsym.sweep.entry import CLEAN, Entry, Way, judged
from nnsym.sweep.family import Family, query_at


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Item:
    """An item of a task: its number, the family's arguments, seconds for each question, and what is known of it.

    ``decided`` are the entries that decide a radius, ``asked`` the radii that are not to be asked, by place.
    """

    index: int
    arguments: Arguments
    timeout: float
    decided: Mapping[int, Entry] = field(default_factory=dict)
    asked: frozenset[int] = frozenset()


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """``items`` of the family ``name``, asked of ``method`` (None: the items themselves) under ``label``.

    ``eps`` are all radii in increasing order, ``(None,)`` where the family has none.
    """

    name: str
    family: Family
    items: tuple[Item, ...]
    eps: tuple[Any, ...]
    label: str
    method: Method | None
    settings: Settings

    def entries(self) -> Iterator[Entry]:
        """The answers, as they come."""
        if self.method is None:
            yield from _clean(self)
            return
        standings = [_Standing(self, item, self.method) for item in self.items]
        while some := [standing for standing in standings if standing.open]:
            for standing in some:
                try:
                    yield from standing.follow()
                    standing.prepare()
                except InputError as error:
                    yield standing.refuse(error)
            yield from _round(self, self.method, [standing for standing in some if standing.open])


def pack_family(task: Task) -> bytes:
    """The family of a task for another process; many tasks share it."""
    import cloudpickle

    packed: bytes = cloudpickle.dumps(task.family)
    return packed


def pack(task: Task) -> bytes:
    """The rest of a task for another process."""
    import cloudpickle

    packed: bytes = cloudpickle.dumps(replace(task, family=_nobody))
    return packed


def run_packed(family: bytes, rest: bytes) -> list[Entry]:
    """The answers of a task that came from another process."""
    import cloudpickle

    return list(replace(cloudpickle.loads(rest), family=_unpacked(family)).entries())


def _nobody(*_: Any) -> Any:
    raise AssertionError("the family travels apart")


@lru_cache(maxsize=4)
def _unpacked(family: bytes) -> Family:
    import cloudpickle

    found: Family = cloudpickle.loads(family)
    return found


@final
class _Standing:
    """Where an item stands: what is decided of it, and which radii are still to be asked."""

    def __init__(self, task: Task, item: Item, method: Method) -> None:
        self.task, self.item, self.method = task, item, method
        self.decided = dict(item.decided)
        self.left = [k for k in range(len(task.eps)) if k not in self.decided and k not in item.asked]
        self.spent: dict[int, float] = {}
        self._queries: dict[int, Query] = {}

    @property
    def open(self) -> bool:
        return bool(self.left)

    @property
    def middle(self) -> int:
        """The radius that is asked next."""
        return self.left[len(self.left) // 2]

    def query(self, place: int) -> Query:
        if place not in self._queries:
            clock, eps = Clock(math.inf), self.task.eps[place]
            self._queries[place] = query_at(self.task.family, self.item.arguments, eps, index=self.item.index)
            self.spent[place] = clock.elapsed
        return self._queries[place]

    def prepare(self) -> None:
        """Make the query that is asked next."""
        if self.open:
            self.query(self.middle)

    def refuse(self, error: InputError) -> Entry:
        """The entry of a radius of which the family makes no property."""
        return self.settle(self.middle, _refused(self.task, self.item, self.task.eps[self.middle], error))

    def follow(self) -> Iterator[Entry]:
        """What follows of open radii from those that are decided; the nearest one counts."""
        for place in list(self.left):
            above = [k for k in self.decided if k > place and self._excludes(k)]
            below = [k for k in self.decided if k < place and not self._excludes(k)]
            for k in (*sorted(above)[:1], *sorted(below)[-1:]):
                if within(self.query(min(k, place)), self.query(max(k, place))):
                    yield self.settle(place, self._implied(place, k))
                    break

    def _excludes(self, place: int) -> bool:
        """True if a decided radius rules out every point of its domain, and so of a smaller one."""
        exists = self.query(place).reading is Reading.EXISTS
        return self.decided[place].way is (Way.FALSIFIED if exists else Way.VERIFIED)

    def _implied(self, place: int, by: int) -> Entry:
        """The entry of a radius that another one's decides; the side of the margin that carries over is kept."""
        found = self.decided[by]
        least = self._excludes(by) is (self.query(by).reading is not Reading.EXISTS)
        return Entry(
            family=found.family,
            index=found.index,
            eps=radius_of(self.task.eps[place]),
            method=self.task.label,
            way=found.way,
            reason=f"follows from eps {found.eps if found.implied is None else found.implied:g}",
            trust=found.trust,
            lower=found.lower if least else -math.inf,
            upper=math.inf if least else found.upper,
            implied=found.eps if found.implied is None else found.implied,
            vacuous=found.vacuous,
        )

    def settle(self, place: int, entry: Entry) -> Entry:
        """Note an answer."""
        self.left.remove(place)
        if entry.decided:
            self.decided[place] = entry
        return entry


def radius_of(eps: Any) -> float | None:
    """A radius as it stands in an entry."""
    return None if eps is None else float(eps)


def _round(task: Task, method: Method, standings: Sequence[_Standing]) -> Iterator[Entry]:
    """Every item's next radius: in batches what differs only in boxes, one by one what batches leave open."""
    places = [standing.middle for standing in standings]
    queries = [standing.query(place) for standing, place in zip(standings, places, strict=True)]
    for group in alike(queries):
        clock = Clock(sum(standings[k].item.timeout for k in group))
        known = known_of([queries[k] for k in group], method, clock, task.settings)
        for k, found in zip(group, known, strict=True):
            standing, place = standings[k], places[k]
            at: dict[str, Any] = {"family": task.name, "index": standing.item.index, "eps": radius_of(task.eps[place])}
            if found is None:
                entry = _alone(queries[k], method, standing.item.timeout, task, at, spent=standing.spent[place])
            else:
                entry = Entry(
                    **at,
                    method=task.label,
                    way=Way(found.status.value),
                    reason=found.reason,
                    trust=None if found.trust is None else found.trust.value,
                    lower=found.lower,
                    upper=found.upper,
                    seconds=found.seconds,
                )
            yield standing.settle(place, entry)


def _alone(query: Query, method: Method, timeout: float, task: Task, at: Mapping[str, Any], *, spent: float) -> Entry:
    """One question by itself; a method that does not take it leaves it open, and the reason says why.

    The seconds that were ``spent`` on reading or stating the property count.
    """
    clock = Clock(timeout - spent)
    settings = task.settings
    try:
        result = verify(
            query,
            method,
            timeout=timeout,
            memory=settings.memory,
            relaxation=settings.relaxation,
            shortcut=settings.shortcut,
            threads=settings.threads,
            seed=settings.seed,
            device=settings.device,
            clock=clock,
        )
    except NnsymError as error:
        result = Result(status=Verdict.UNKNOWN, reason=f"refused: {error}", trust=None, method=method.name)
    return judged(result, **at, method=task.label, seconds=clock.elapsed + spent)


def _clean(task: Task) -> Iterator[Entry]:
    """Which items are wrong: the property with radius 0 fails at the item itself.

    Intervals of the rows at the items settle most of them; those that rounding leaves open are replayed.
    """
    items, queries = list[Item](), list[Query]()
    for item in task.items:
        try:
            queries.append(query_at(task.family, item.arguments, 0.0, index=item.index))
            items.append(item)
        except InputError as error:
            yield _refused(task, item, None, error)
    for group in alike(queries):
        clock = Clock(math.inf)
        margins = margins_of([queries[k] for k in group])
        seconds = clock.elapsed / len(group)
        for k, (low, high) in zip(group, margins, strict=True):
            entry = Entry(
                family=task.name,
                index=items[k].index,
                eps=None,
                method=CLEAN,
                way=Way.UNKNOWN,
                reason="the property holds at the item",
                seconds=seconds,
            )
            if queries[k].reading is Reading.FORALL and high < 0:
                yield replace(entry, way=Way.WRONG, reason=_FAILS, trust=Trust.CERTIFIED.value, upper=high)
            else:
                yield entry if low > 0 else _looked_at(queries[k], entry)


def _refused(task: Task, item: Item, eps: Any, error: NnsymError) -> Entry:
    """The entry of an item of which the family makes no property."""
    return Entry(
        family=task.name,
        index=item.index,
        eps=radius_of(eps),
        method=task.label,
        way=Way.UNKNOWN,
        reason=f"refused: {error}",
    )


_FAILS = "the property fails at the item itself"


def _looked_at(query: Query, entry: Entry) -> Entry:
    """The entry of an item after replay."""
    clock, query = Clock(math.inf), before_softmax(query)
    if query.reading is not Reading.FORALL or query.empty_box:
        return replace(entry, reason="not looked at: it is no statement about all points near the item")
    centre = {x: nearest((box.lower + box.upper) / 2) for x, box in query.boxes.items()}
    found = confirm(query, [query.move_inside(centre)])
    if found.outcome is not Outcome.CONFIRMED:
        return replace(entry, seconds=clock.elapsed)
    return replace(
        entry,
        way=Way.WRONG,
        reason=_FAILS,
        trust=Trust.EXACT.value,
        upper=found.margin,
        seconds=clock.elapsed,
        point=witness_json(found.counterexample),
    )
