"""Tables as lines of text that fit the width there is: columns are left out by rank, names and numbers are never cut.

One column may hold sentences: it takes the room that is left and breaks at words. Everything else stands on one line.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from nnsym.ir.words import count_of

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions

_APART = 2  # blanks between columns
_NO_BREAK = "\N{NO-BREAK SPACE}"
_SENTENCE = 24  # a column of sentences is not made narrower than this

#: What text, logs and files get; terminals get their own width.
WIDTH = 80


@final
@dataclass(frozen=True)
class Column:
    """A heading, on which side its cells stand, and its rank: columns of a higher rank are left out first."""

    heading: str
    rank: int = 0
    right: bool = False
    wraps: bool = False


@final
@dataclass(frozen=True)
class Grid:
    """Columns and rows of cells for rich; ``styles`` holds the style of a row's cell by (row, column).

    With ``wide`` every column is shown, however long the lines become. ``more`` ends the line that counts what was left
    out, and says how to see it.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    styles: dict[tuple[int, int], str] | None = None
    wide: bool = False
    more: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Any]:
        from rich.text import Text

        kept, widths = self._fitted(options.max_width)
        if self.title:
            yield Text(self.title, style="italic")
        yield self._line([self.columns[k].heading for k in kept], kept, widths, ["bold"] * len(kept))
        styles = self.styles or {}
        for number, row in enumerate(self.rows):
            looks = [styles.get((number, k), "") for k in kept]
            for cells in _broken([row[k] for k in kept], [self.columns[k].wraps for k in kept], widths):
                yield self._line(cells, kept, widths, looks)
        left_out = sum(any(row[k] for row in self.rows) for k in range(len(self.columns)) if k not in kept)
        if left_out:
            said = count_of(left_out, "more column")
            yield Text(f"{said}: {self.more}" if self.more else said, style="dim")

    def _fitted(self, room: int) -> tuple[list[int], list[int]]:
        """The columns that fit, and their widths: the most important ones first, empty ones never."""
        filled = [k for k in range(len(self.columns)) if not self.rows or any(row[k] for row in self.rows)]
        natural = {k: max(map(_cells, (self.columns[k].heading, *(row[k] for row in self.rows)))) for k in filled}
        least = {k: min(natural[k], _SENTENCE) if self.columns[k].wraps else natural[k] for k in filled}
        kept: list[int] = []
        used = -_APART
        for k in sorted(filled, key=lambda k: self.columns[k].rank):
            if not self.wide and kept and used + _APART + least[k] > room:
                break
            kept.append(k)
            used += _APART + least[k]
        kept.sort()
        spare = room - used
        widths = []
        for k in kept:
            more = natural[k] - least[k] if self.wide else max(0, min(spare, natural[k] - least[k]))
            spare -= more
            widths.append(least[k] + more)
        return kept, widths

    def _line(self, cells: Sequence[str], kept: Sequence[int], widths: Sequence[int], styles: Sequence[str]) -> Any:
        """One line, without blanks at its end."""
        from rich.text import Text

        line = Text(no_wrap=True, overflow="ignore")
        for place, (cell, k, width, style) in enumerate(zip(cells, kept, widths, styles, strict=True)):
            blanks = " " * max(0, width - _cells(cell))
            line.append(" " * _APART if place else "")
            line.append(blanks if self.columns[k].right else "")
            line.append(cell, style=style)
            line.append("" if self.columns[k].right else blanks)
        line.rstrip()
        return line


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _broken(cells: list[str], wraps: list[bool], widths: list[int]) -> Iterator[list[str]]:
    """The lines of one row."""
    parts = [_words(cell, width) if wrap else [cell] for cell, wrap, width in zip(cells, wraps, widths, strict=True)]
    for k in range(max(map(len, parts))):
        yield [part[k] if k < len(part) else "" for part in parts]


def _words(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` cells, broken at blanks; a longer word keeps a line of its own.

    A no-break space keeps what belongs together on one line, and is printed as a blank.
    """
    if _cells(text) <= width:
        return [text.replace(_NO_BREAK, " ")]
    lines = [""]
    for word in filter(None, text.split(" ")):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if not lines[-1] or _cells(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return [line.replace(_NO_BREAK, " ") for line in lines]


def plain_grid(headings: Sequence[str], rows: Sequence[Sequence[str]], *, wraps: Sequence[str] = ()) -> Grid:
    """A table whose columns are left out from the right; those named in ``wraps`` hold sentences."""
    columns = tuple(Column(name, rank=k, wraps=name in wraps) for k, name in enumerate(headings))
    return Grid(columns, tuple(map(tuple, rows)), more="a wider terminal shows them")


def render(renderable: Any, width: int = WIDTH) -> str:
    """A rich renderable as plain text, the same in a terminal, a notebook, a log and a file."""
    from rich.console import Console

    buffer = io.StringIO()
    console = Console(
        file=buffer, width=width, color_system=None, markup=False, emoji=False, highlight=False, force_jupyter=False
    )
    console.print(renderable, crop=False)
    return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())
