"""Folders in the form of the verification competition (VNN-COMP): a network, a property and seconds on each line.

Its rules give 10 points for an answer that is right and take 150 for one that is wrong; timeouts and errors give none
(Brix, Bak, Johnson, Wu: The fifth international verification of neural networks competition, 2024).
"""

from __future__ import annotations

import ast
import csv
import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, final

from nnsym.errors import InputError
from nnsym.ir.query import Query
from nnsym.read.onnx import load
from nnsym.read.vnnlib.load import load_vnnlib
from nnsym.report.grid import Column, Grid
from nnsym.results import ranges
from nnsym.results.files import read_text
from nnsym.sweep.answered import Table
from nnsym.sweep.data import Data
from nnsym.sweep.entry import Way

RIGHT, WRONG = 10, -150

#: A network's file, several by name, or the text of a cell that names none.
Model = Path | tuple[tuple[str, Path], ...] | str

#: What the competition and others call a known answer, and the way that it is; nothing is known of the rest.
_WORDS = {
    **dict.fromkeys(("sat", "violated", "falsified"), Way.FALSIFIED),
    **dict.fromkeys(("unsat", "holds", "verified"), Way.VERIFIED),
    **dict.fromkeys(("", "unknown", "timeout", "?", "-"), None),
}


@final
@dataclass(frozen=True, eq=False)
class Instance:
    """A row: what it is called, the network or several by name, the property, the known answer."""

    name: str
    network: Model
    prop: Path
    timeout: float
    expected: Way | None


@final
@dataclass(frozen=True, eq=False)
class Instances:
    """The rows of a file."""

    path: Path
    rows: tuple[Instance, ...]

    @property
    def data(self) -> Data:
        """What :func:`instance` is called with."""
        return Data((tuple(row.network for row in self.rows), tuple(row.prop for row in self.rows)))

    @property
    def timeouts(self) -> tuple[float, ...]:
        return tuple(row.timeout for row in self.rows)

    def head(self, count: int) -> Instances:
        """The first rows."""
        return Instances(self.path, self.rows[:count])


def read_instances(path: Path, *, most: float | None = None) -> Instances:
    """The rows of an ``instances.csv``, with a heading or without; files are sought beside it, also as ``.gz``.

    ``most`` cuts the seconds of each row.

    Raises:
        InputError: the file cannot be read, or a row names no network, property and number of seconds.
    """
    try:
        cells = csv.reader(io.StringIO(read_text(path), newline=""))
        lines = [row for row in cells if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"cannot read: {error}", where=str(path)) from error
    if lines and lines[0][0].strip().lower() == "onnx":
        del lines[0]
    rows = tuple(_row(path, number, row, most) for number, row in enumerate(lines, 1))
    if not rows:
        raise InputError("no instances", where=str(path), remedy="Write a line: NET.onnx,PROP.vnnlib,SECONDS")
    return Instances(path, rows)


def _row(path: Path, number: int, row: list[str], most: float | None) -> Instance:
    cells = [cell.strip() for cell in row]
    where = f"{path}, row {number}"
    if len(cells) < 3:
        raise InputError(f"{len(cells)} cells", where=where, remedy="Write NET.onnx,PROP.vnnlib,SECONDS")
    try:
        seconds = ranges.seconds(float(cells[2]))
    except ValueError:
        raise InputError(f"'{cells[2]}' is no number of seconds", where=where) from None
    return Instance(
        name=f"{_stem(cells[0])} {_stem(cells[1])}",
        network=_several(path.parent, cells[0]) if cells[0].startswith("[") else _file(path.parent, cells[0], where),
        prop=_file(path.parent, cells[1], where),
        timeout=seconds if most is None else min(seconds, most),
        expected=_known(cells[3], where) if len(cells) > 3 else None,
    )


def _known(cell: str, where: str) -> Way | None:
    """The way of a known answer: one that is misread would let a wrong verdict pass."""
    if cell.lower() not in _WORDS:
        raise InputError(f"'{cell:.60}' is no known answer", where=where, remedy="Write sat, unsat, or nothing")
    return _WORDS[cell.lower()]


def _file(folder: Path, name: str, where: str) -> Path:
    for found in (folder / name, folder / f"{name}.gz", folder / name.removesuffix(".gz")):
        if found.is_file():
            return found
    raise InputError(f"there is no file '{name}'", where=where)


def _stem(name: str) -> str:
    return Path(name).name.removesuffix(".gz").removesuffix(".onnx").removesuffix(".vnnlib")


def _several(folder: Path, cell: str) -> Model:
    """The files of ``[('f', 'a.onnx'), ...]``, so that a record knows them by their content; else the text."""
    try:
        return tuple((str(name), folder / str(path)) for name, path in ast.literal_eval(cell))
    except (ValueError, SyntaxError, TypeError, RecursionError):
        return cell


def instance(network: Model, prop: Path) -> Query:
    """The query of a row: a family without a radius."""
    if isinstance(network, Path):
        return load_vnnlib(prop, _network(str(network)))
    if isinstance(network, str):
        raise InputError("not a list of networks", where=network, remedy="Write [('f', 'f.onnx'), ...]")
    return load_vnnlib(prop, networks={name: _network(str(path)) for name, path in network})


@lru_cache(maxsize=8)
def _network(path: str) -> Any:
    return load(path)


@final
@dataclass(frozen=True, kw_only=True)
class Score:
    """Points by the competition's rules; ``contradicted`` are rows whose verdict is not the known answer."""

    points: int
    verified: int
    falsified: int
    unknown: int
    contradicted: tuple[int, ...]

    @property
    def text(self) -> str:
        """One line."""
        total = self.verified + self.falsified + self.unknown
        wrong = f", {len(self.contradicted)} WRONG" if self.contradicted else ""
        said = f"{self.verified} verified, {self.falsified} falsified, {self.unknown} unknown{wrong}"
        return f"{self.points} of {RIGHT * total} points: {said}"


def score(table: Table, rows: Instances) -> Score:
    """The points of a table of instances; where an answer is known, a verdict against it counts as wrong."""
    ways = [entry.way for entry in table.finals()]
    wrong = tuple(
        k
        for k, (way, row) in enumerate(zip(ways, rows.rows, strict=True))
        if way is not Way.UNKNOWN and row.expected not in (None, way)
    )
    solved = sum(way is not Way.UNKNOWN for way in ways)
    return Score(
        points=RIGHT * (solved - len(wrong)) + WRONG * len(wrong),
        verified=ways.count(Way.VERIFIED),
        falsified=ways.count(Way.FALSIFIED),
        unknown=ways.count(Way.UNKNOWN),
        contradicted=wrong,
    )


def instances_grid(rows: Instances, table: Table) -> Any:
    """A line for each instance, and the points."""
    from rich.console import Group
    from rich.text import Text

    found = score(table, rows)
    seconds = [0.0] * len(rows.rows)
    for entry in table.entries:
        seconds[entry.index] += entry.seconds
    lines = tuple(
        (
            row.name,
            ("WRONG: " if k in found.contradicted else "") + entry.way.value,
            "" if row.expected is None else row.expected.value,
            f"{seconds[k]:.2f}",
            entry.method,
            entry.reason,
        )
        for k, (row, entry) in enumerate(zip(rows.rows, table.finals(), strict=True))
    )
    columns = (
        Column("instance", rank=0),
        Column("answer", rank=1),
        Column("known", rank=3),
        Column("seconds", rank=2, right=True),
        Column("method", rank=4),
        Column("reason", rank=5, wraps=True),
    )
    return Group(Grid(columns, lines, title=str(rows.path)), Text(found.text, style="bold"))
