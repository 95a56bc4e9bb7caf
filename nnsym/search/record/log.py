"""The append-only record of a search: its progress, what it goes on from after a kill, and the tree for a picture.

One JSON object a line. The first says what was searched: the query by its hash, for what (a decision, a minimum), and
by which version, since that is what numbers of places and closed parts mean. Then ``split`` lists ``[number, place,
element, point, opened, least]``, the children take the next two numbers; ``close`` lists ``[number, least]``. Beside it
``word`` says on whose trust parts are closed with the margin ``granted``, where ``least`` is what is certified of them.
``opened`` is the set of open targets as bits, ``least`` the certified bound (null for +inf). A line that a kill tore is
dropped; a record of anything else is refused. The open leaves of the record are the frontier.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.results.lines import LineFile
from nnsym.results.result import Trust, weakest
from nnsym.search.parts.batch import Branches, Parts

FORMAT = "nnsym search 2"

_UNDAMAGED = "Give an undamaged file"


@final
@dataclass(frozen=True)
class Leaf:
    """An open leaf of a record: its number, root, depth, splits ``(place, element, point, side)``, and bounds."""

    number: int
    root: int
    depth: int
    path: tuple[tuple[int, int, float, int], ...]
    opened: int
    least: float


@final
@dataclass
class Story:
    """What a record says: open leaves, the least bounds of all that was closed, counts for the census."""

    leaves: dict[int, Leaf] = field(default_factory=dict)
    closed_least: float = np.inf
    granted: float = np.inf
    word: Trust = Trust.CERTIFIED
    closed: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    splits: list[tuple[int, int]] = field(default_factory=list)
    next: int = 0


class Log:
    """Where a search writes. This one keeps nothing."""

    keeps = False

    def split(self, parts: Parts, branches: Branches) -> None:
        """Parts that were split."""
        if not self.keeps:
            return
        columns = (
            parts.number.tolist(),
            branches.place.tolist(),
            branches.element.tolist(),
            branches.point.tolist(),
            [_bits(row) for row in parts.opened],
            [_finite(v) for v in parts.least.tolist()],
        )
        self.write({"split": list(zip(*columns, strict=True))})

    def close(self, number: Array, least: Array) -> None:
        """Parts that are done, and the least certified bound of each."""
        if self.keeps and len(number):
            pairs = zip(number.tolist(), map(_finite, least.tolist()), strict=True)
            self.write({"close": list(pairs)})

    def grant(self, number: Array, least: Array, granted: float, word: Trust) -> None:
        """Parts that are done on a solver's word, whose margin is at least ``granted``; what is certified."""
        if self.keeps:
            pairs = zip(number.tolist(), map(_finite, least.tolist()), strict=True)
            self.write({"close": list(pairs), "granted": _finite(granted), "word": word.value})

    def cut(self, least: float) -> None:
        """The margin, at least, of all that was cut off parts without a split."""
        if self.keeps:
            self.write({"cut": _finite(least)})

    def write(self, line: dict[str, Any]) -> None:
        """One line of the record."""

    def become(self, other: Log) -> None:
        """The lines of another search in place of those that are held back."""

    def release(self) -> None:
        """Hold nothing back any more."""

    def end(self) -> None:
        """Nothing comes after."""


class Kept(Log):
    """Lines that are held in memory."""

    keeps = True

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def write(self, line: dict[str, Any]) -> None:
        self.lines.append(line)


@final
class FileLog(Kept):
    """A file of JSON lines. What is there already is the beginning.

    A new one holds its lines back until it is told to ``release`` them: another tree may take the place of the first.
    """

    def __init__(self, path: Path, asked: Mapping[str, str], roots: int) -> None:
        super().__init__()
        self.path, self.story = path, None
        head = {"search": FORMAT, **asked, "roots": roots}
        self._file = LineFile(path)
        try:
            if self._file.whole:
                self.story = read(self._file.whole.decode(errors="replace"), head, str(path))
            elif not _line(head).encode().startswith(self._file.torn):  # not even the torn first line of this record
                raise _foreign(str(path))
            else:
                self._file.append(_line(head))
        except BaseException:
            self._file.close()
            raise
        self._holds = not self._file.whole

    story: Story | None

    def write(self, line: dict[str, Any]) -> None:
        if self._holds:
            super().write(line)
            return
        self._file.append(_line(line))

    def become(self, other: Log) -> None:
        if self._holds and isinstance(other, Kept):
            self.lines = other.lines

    def release(self) -> None:
        self._holds, lines, self.lines = False, self.lines, []
        for line in lines:
            self.write(line)

    def end(self) -> None:
        self.release()
        self._file.close()


def read(text: str, head: Mapping[str, Any], where: str) -> Story:
    """The story of a record that begins with ``head``; raises :class:`InputError` for any other, and for damage."""
    lines = _lines(text, where)
    found = next(lines, {})
    if found.get("search") != FORMAT:
        raise _foreign(where)
    different = [key for key, value in head.items() if found.get(key) != value]
    if different:
        raise InputError(
            f"the record of another query, or of another version (differs in: {', '.join(different)})",
            where=where,
            remedy="Give another file, or a new one",
        )
    try:
        return _story(lines, head["roots"])
    except (TypeError, ValueError, LookupError, OverflowError, AttributeError):
        raise InputError("a line of the record does not fit the others", where=where, remedy=_UNDAMAGED) from None


def _foreign(where: str) -> InputError:
    return InputError("no record of a search", where=where, remedy=f"Give a file that begins with '{FORMAT}'")


def _line(found: Mapping[str, Any]) -> str:
    return json.dumps(found, separators=(",", ":"), allow_nan=False) + "\n"


def _story(lines: Iterator[dict[str, Any]], roots: int) -> Story:
    story = Story(next=roots)
    every = -1
    story.leaves = {k: Leaf(k, k, 0, (), every, -np.inf) for k in range(roots)}
    for line in lines:
        for number, place, element, point, opened, least in line.get("split", ()):
            leaf = story.leaves.pop(number)
            story.seen.append(leaf.depth)
            story.splits.append((place, element))
            for side in (0, 1):
                path = (*leaf.path, (place, element, point, side))
                child = Leaf(story.next, leaf.root, leaf.depth + 1, path, opened, bound_in(least))
                story.leaves[story.next] = child
                story.next += 1
        for number, least in line.get("close", ()):
            leaf = story.leaves.pop(number)
            story.seen.append(leaf.depth)
            story.closed.append(leaf.depth)
            story.closed_least = min(story.closed_least, bound_in(least))
            story.granted = min(story.granted, bound_in(line.get("granted", least)))
        if "word" in line:
            story.word = weakest(story.word, Trust(line["word"]))
        if "cut" in line:
            story.closed_least = min(story.closed_least, bound_in(line["cut"]))
            story.granted = min(story.granted, bound_in(line["cut"]))
    return story


def _lines(text: str, where: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.splitlines(), 1):
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise InputError("not a line of a record", where=f"{where}:{number}", remedy=_UNDAMAGED)
        yield found


def _bits(row: Array) -> int:
    return sum(1 << k for k in np.flatnonzero(row).tolist())


def _finite(value: float) -> float | str | None:
    return None if value == np.inf else "-inf" if value == -np.inf else value


def bound_in(value: float | str | None) -> float:
    """The bound that stands in a line; None is infinite."""
    return np.inf if value is None else float(value)
