"""In which order a table is asked: stage by stage, in blocks of items that depend on nothing but earlier stages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, final

from nnsym.judge.method import Method, Settings
from nnsym.sweep.data import Data
from nnsym.sweep.entry import CLEAN, Entry, Way
from nnsym.sweep.family import Family
from nnsym.sweep.pool import Workers, answers
from nnsym.sweep.record import Header, Record
from nnsym.sweep.task import Item, Task, radius_of

_BATCH, _FEW = 500, 16  # items of a task whose method takes batches, and of one that is quick

#: Hears the stage, how many of its items are done, and of how many.
Heard = Callable[[str, int, int], None]


@final
@dataclass(eq=False)
class Schedule:
    """A table while it is asked: stage by stage, blocks of items that depend on nothing but earlier stages.

    So a run that was interrupted asks the rest in the same batches, and ends with the same entries.
    """

    header: Header
    families: Mapping[str, Family]
    items: Data
    radii: tuple[Any, ...]
    methods: Mapping[str, Method]
    timeouts: tuple[float, ...]
    settings: Settings
    record: Record
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._keys: set[Any] = set()
        self._wrong: set[tuple[str, int]] = set()
        self._decided: dict[tuple[str, int], dict[str, dict[int, Entry]]] = {}
        self._asked: dict[tuple[str, int, str], set[int]] = {}
        self._place = {radius_of(v): k for k, v in enumerate(self.radii)}
        for entry in self.record.entries:
            self._note(entry)

    def finish(self, executor: Executor | Workers | None, hear: Heard) -> None:
        """Ask what is left."""
        stages: list[tuple[str, Method | None]] = [(CLEAN, None)] if self.header.clean else []
        for label, method in [*stages, *self.methods.items()]:
            tasks = [task for name in self.families for task in self._tasks(name, label, method)]
            left = [task for task in tasks if self._unfinished(task)]
            total = sum(len(task.items) for task in tasks)
            begun = total - sum(len(task.items) for task in left)
            hear(label, begun, total)
            met: set[tuple[str, int]] = set()
            for task, found in answers(left, executor):
                fresh = [entry for entry in found if entry.key not in self._keys]
                self.record.append(fresh)
                for entry in fresh:
                    self._note(entry)
                met.update((task.name, entry.index) for entry in found)
                hear(label, begun + len(met), total)

    def _note(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._keys.add(entry.key)
        item = (entry.family, entry.index)
        if entry.method == CLEAN:
            self._wrong |= {item} if entry.way is Way.WRONG else set()
            return
        place = self._place[entry.eps]
        self._asked.setdefault((*item, entry.method), set()).add(place)
        if entry.decided:
            self._decided.setdefault(item, {}).setdefault(entry.method, {})[place] = entry

    def _tasks(self, name: str, label: str, method: Method | None) -> Iterator[Task]:
        """The blocks of a stage: items that earlier stages left open."""
        several = method is None or batches(method)
        size = _BATCH if several else _FEW if method is not None and method.quick else 1
        left = [item for index in range(len(self.items)) if (item := self._item(name, index, label, several))]
        for start in range(0, len(left), size):
            yield Task(
                name=name,
                family=self.families[name],
                items=tuple(left[start : start + size]),
                eps=self.radii,
                label=label,
                method=method,
                settings=self.settings,
            )

    def _item(self, name: str, index: int, label: str, several: bool) -> Item | None:
        """The item of a task, None where earlier stages left nothing of it open.

        What this stage has answered counts only where nothing depends on who shares a batch.
        """
        if (name, index) in self._wrong:
            return None
        decided: dict[int, Entry] = {}
        known = self._decided.get((name, index), {})
        for earlier in self._before(label):
            decided |= known.get(earlier, {})
        if len(decided) == len(self.radii):
            return None
        if not several:
            decided |= known.get(label, {})
        asked = frozenset() if several else frozenset(self._asked.get((name, index, label), ()))
        return Item(
            index=index,
            arguments=self.items.arguments(index),
            timeout=self.timeouts[index],
            decided=decided,
            asked=asked,
        )

    def _before(self, label: str) -> tuple[str, ...]:
        """The methods whose answers a method need not give again."""
        order = tuple(self.methods)
        return order[: order.index(label)] if self.header.staged and label != CLEAN else ()

    def _unfinished(self, task: Task) -> bool:
        """True if some question of a task has no entry."""
        if task.method is None:
            return any((task.name, item.index, None, CLEAN) not in self._keys for item in task.items)
        return any(
            (task.name, item.index, radius_of(radius), task.label) not in self._keys
            for item in task.items
            for place, radius in enumerate(self.radii)
            if place not in item.decided
        )


def batches(method: Method) -> bool:
    """True if a method answers for many boxes at once."""
    return type(method).establish_each is not Method.establish_each
