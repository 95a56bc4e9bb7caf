"""The record of a table: a file of JSON lines that is only ever appended to, by one process at a time.

The first line, the header, says what was asked: families by what they hold and make of some items, the data by its
digest, the networks, methods, radii, the version. Every further line is an :class:`nnsym.sweep.entry.Entry`. A line
that a kill tore is dropped; a record of anything else is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from nnsym.errors import InputError
from nnsym.results.fields import count, each, finite, flag, named, text
from nnsym.results.files import read_file
from nnsym.results.lines import LineFile
from nnsym.sweep.entry import CLEAN, Entry

FORMAT = "nnsym table 1"

_UNDAMAGED = "Give an undamaged file"


@final
@dataclass(frozen=True, kw_only=True)
class Header:
    """What a table asks.

    ``families`` are digests by name, ``data`` is the digest of ``count`` items, ``networks`` are hashes, ``methods``
    the labels in order; with ``staged`` each is asked what those before it left open. ``clean`` says that items were
    looked at themselves first. ``timeouts`` are the least and the largest number of seconds for a question.
    """

    families: Mapping[str, str]
    data: str
    count: int
    networks: tuple[str, ...]
    methods: tuple[str, ...]
    eps: tuple[float, ...]
    staged: bool
    clean: bool
    timeouts: tuple[float, float]
    seed: int
    version: str

    def line(self) -> str:
        return json.dumps({"table": FORMAT, **asdict(self)}, separators=(",", ":"), allow_nan=False)

    @staticmethod
    def of(found: Mapping[str, Any]) -> Header:
        """The header of a line; raises KeyError, TypeError or ValueError for one that is none."""
        least, most = each(finite, found["timeouts"])
        header = Header(
            families=named(text, found["families"]),
            data=text(found["data"]),
            count=count(found["count"]),
            networks=tuple(each(text, found["networks"])),
            methods=tuple(each(text, found["methods"])),
            eps=tuple(each(finite, found["eps"])),
            staged=flag(found["staged"]),
            clean=flag(found["clean"]),
            timeouts=(least, most),
            seed=count(found["seed"]),
            version=text(found["version"]),
        )
        several = len(set(header.methods)) == len(header.methods) > 0 and CLEAN not in header.methods
        if not (header.families and header.count and several and list(header.eps) == sorted(set(header.eps))):
            raise ValueError("a header of nothing, or of one thing twice")
        return header

    def check(self, entry: Entry) -> Entry:
        """The entry, if it answers one of the questions; raises ValueError for any other."""
        radii = (None,) if entry.method == CLEAN else self.eps or (None,)
        asked = entry.family in self.families and entry.index < self.count and entry.eps in radii
        if not asked or entry.method not in (CLEAN, *self.methods):
            raise ValueError(f"{entry!r} answers nothing that was asked")
        return entry


def read(path: Path) -> tuple[Header, list[Entry]]:
    """The header and the entries of a record.

    Raises:
        InputError: the file cannot be read, is no record of a table, or is damaged before its last line.
    """
    found = _parsed(read_file(path), path)
    if found is None:
        raise _foreign(path)
    return found


def is_record(line: str) -> bool:
    """True for the first line of a record."""
    return line.startswith(f'{{"table":"{FORMAT}"')


@final
class Record:
    """A record that is appended to; without a path nothing is kept.

    ``entries`` are those that the file has already.
    """

    def __init__(self, path: Path | None, header: Header) -> None:
        self.path, self.entries = path, list[Entry]()
        self._file = None if path is None else LineFile(path)
        if path is None or self._file is None:
            return
        try:
            found = _parsed(self._file.whole, path)
            if found is not None:
                _same(found[0], header, path)
                self.entries = found[1]
            elif not header.line().encode().startswith(self._file.torn):  # not even the torn first line of this record
                raise _foreign(path)
            else:
                self._write([header.line()])
        except BaseException:
            self.close()
            raise

    def append(self, entries: Iterable[Entry]) -> None:
        """Add entries; they are on their way to the disk when this returns."""
        self._write([entry.line() for entry in entries])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, lines: list[str]) -> None:
        if self._file is not None and lines:
            self._file.append("".join(f"{line}\n" for line in lines))


def _parsed(data: bytes, path: Path) -> tuple[Header, list[Entry]] | None:
    """Header and entries of the whole lines; None where there is not one."""
    lines = data[: data.rfind(b"\n") + 1].decode(errors="replace").splitlines()
    if not lines:
        return None
    if not is_record(lines[0]):
        raise _foreign(path)
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        try:
            found = json.loads(line)
            if number == 1:
                header = Header.of(found)
            else:
                entries.append(header.check(Entry.of(found)))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
            raise InputError("not a line of a record", where=f"{path}:{number}", remedy=_UNDAMAGED) from None
    return header, entries


def _same(found: Header, header: Header, path: Path) -> None:
    different = [
        name for name in Header.__dataclass_fields__ if _plain(getattr(found, name)) != _plain(getattr(header, name))
    ]
    if different:
        raise InputError(
            f"the record of another table (differs in: {', '.join(different)})",
            where=str(path),
            remedy="Give another file, or ask what the file's header asks",
        )


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _foreign(path: Path) -> InputError:
    return InputError("no record of a table", where=str(path), remedy=f"Give a file that begins with '{FORMAT}'")
