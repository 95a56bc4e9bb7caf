"""A neuron's explanation, and how it is shown: as text, as a terminal's tables and as HTML."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from textwrap import wrap
from typing import Any, final

from nnsym.encode.walk import Encoded
from nnsym.encoding import Encoding
from nnsym.ir.query import Query
from nnsym.ir.text import number
from nnsym.ir.words import count_of
from nnsym.program import Kind
from nnsym.results.html import html_table
from nnsym.results.result import NoTruthValue
from nnsym.write.notation import Line

_WIDTH = 80
_SETS = {Kind.REAL: "", Kind.INTEGER: "integer ", Kind.BINARY: "binary "}


@final
@dataclass(frozen=True, eq=False)
class ExplainedColumn:
    """A column: its letter, its name in files, its number in the program, bounds and kind."""

    letter: str
    name: str
    number: int
    lower: float
    upper: float
    kind: Kind


@final
@dataclass(frozen=True, eq=False)
class Explanation(NoTruthValue):
    """One neuron under one encoding; prints as text, in a terminal as a table, in a notebook as HTML.

    ``rows`` are the neuron's own, ``definitions`` those that give its arguments their values, ``used_by`` counts the
    rows of other nodes that read it. ``encoded`` is the program they were read off.
    """

    spoken = ("an explanation", "Ask for its rows or its facts")

    neuron: str
    query: Query
    encoding: Encoding
    facts: tuple[tuple[str, str], ...]
    columns: tuple[ExplainedColumn, ...]
    rows: tuple[Line, ...]
    definitions: tuple[Line, ...]
    used_by: tuple[tuple[str, int], ...]
    encoded: Encoded

    def __str__(self) -> str:
        return explanation_text(self)

    __repr__ = __str__

    def __rich__(self) -> Any:
        return explanation_rich(self)

    def _repr_html_(self) -> str:
        return explanation_html(self)


def _sections(found: Explanation) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Headings and their lines, the same for every output."""
    query = "; ".join(line.strip() for line in found.query.text.splitlines()).replace("where; ", "where ")
    about = [("property", f"{found.query.name}: {query}" if query else found.query.name)]
    about += [("encoding", f"{found.encoding.name}: {found.encoding.summary}"), ("source", found.encoding.source)]
    used: list[tuple[str, ...]] = [(w, count_of(n, "row")) for w, n in found.used_by]
    return [
        (found.neuron, [*about, *found.facts]),
        ("columns", [_column(column) for column in found.columns]),
        ("rows", [_line(line) for line in found.rows] or [("none: it needs no rows of its own",)]),
        ("defined by", [_line(line) for line in found.definitions]),
        ("read by", used),
    ]


def _column(column: ExplainedColumn) -> tuple[str, ...]:
    low, high = number(column.lower), number(column.upper)
    return column.letter, column.name, f"{_SETS[column.kind]}[{low}, {high}]"


def _line(line: Line) -> tuple[str, ...]:
    return line.name, line.text, line.origin


def explanation_text(found: Explanation) -> str:
    """Plain text, aligned; what does not fit 80 columns has its cells below each other."""
    out: list[str] = []
    for heading, rows in _sections(found):
        if not rows:
            continue
        widths = [max(len(row[k]) for row in rows if k < len(row)) for k in range(max(map(len, rows)))]
        out += [heading] if not out else ["", heading]
        for row in rows:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            line = f"  {'  '.join(cells)}".rstrip()
            out += [line] if len(line) <= _WIDTH else _folded(row, f"  {cells[0]}  ")
    return "\n".join(out)


def _folded(row: tuple[str, ...], head: str) -> list[str]:
    """A row whose cells after the first have lines of their own."""
    indent = " " * len(head)
    told = [line for cell in row[1:] for line in wrap(cell, max(20, _WIDTH - len(head)), break_long_words=False)]
    return [(indent if k else head) + line for k, line in enumerate(told)]


def explanation_rich(found: Explanation) -> Any:
    """One table a section."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    parts: list[Any] = []
    for heading, rows in _sections(found):
        if not rows:
            continue
        table = Table.grid(padding=(0, 2))
        for row in rows:
            styles = ("cyan", "", "dim")
            table.add_row(*(Text(cell, style=style) for cell, style in zip(row, styles, strict=False)))
        parts += [Text(heading, style="bold"), table]
    return Group(*parts)


def explanation_html(found: Explanation) -> str:
    """One HTML table a section."""
    out = []
    for heading, rows in _sections(found):
        if rows:
            out.append(f"<b>{escape(heading)}</b>{html_table((), rows)}")
    return "".join(out)
