"""What a terminal shows: results on stdout, progress on stderr (only where stderr is a terminal)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NoReturn, final

from rich.console import Console, ConsoleOptions, Group
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.text import Text

from nnsym.cli.streams import SENTENCES, shown
from nnsym.report.grid import render

if TYPE_CHECKING:
    from nnsym.ask.compare import Plan
    from nnsym.search.record.progress import Snapshot


class _Terminal(Console):
    """A console that leaves it to the command what happens where the reader of a pipe has gone."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


@final
class _Escaped:
    """Something to print, with what its texts might tell a terminal to do escaped; styles are put on afterwards."""

    def __init__(self, renderable: Any) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for part in console.render(self.renderable, options):
            yield part if part.control else Segment(shown(part.text), part.style)


#: Where output goes to a file or a pipe, columns are chosen as for a terminal.
_COLUMNS = 80


def print_out(renderable: Any, *, chosen: bool = False) -> None:
    """Print to stdout in the terminal's width; ``chosen`` says of a table that some of its columns are enough.

    Lines that are longer, because nothing of them can be left out, are the terminal's to break.
    """
    console = _Terminal(markup=False, emoji=False, highlight=False)
    if console.is_terminal:
        console.print(_Escaped(renderable), crop=False)
        return
    width = console.width if "COLUMNS" in os.environ else _COLUMNS if chosen else SENTENCES
    sys.stdout.write(shown(render(renderable, width)) + "\n")
    sys.stdout.flush()


@final
@dataclass(frozen=True)
class Hanging:
    """A line with a style; where it is longer than the terminal, its further lines stand four columns in."""

    text: str
    style: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        parts = [self.text]
        if len(self.text) > options.max_width:
            inside = " " * (4 + len(self.text) - len(self.text.lstrip()))
            parts = wrap(self.text, options.max_width, subsequent_indent=inside, break_long_words=False) or parts
        yield from (Text(part, style=self.style) for part in parts)


def styled(lines: list[tuple[str, str]]) -> Group:
    """Lines with styles."""
    return Group(*(Hanging(text, style) for text, style in lines))


@contextmanager
def _live() -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield progress


class Spinner:
    """What a solver, or a search, says while it runs."""

    def __init__(self, progress: Progress, label: str) -> None:
        self.progress, self.label, self.task = progress, label, progress.add_task(label)

    def __call__(self, lower: float, best: float) -> None:
        self._say(_margin(lower, best))

    def watch(self, at: Snapshot) -> None:
        """Where a search stands."""
        self._say(f"{_margin(at.lower, at.best)}  {at.mass:.1%} closed, {at.opened} open")

    def _say(self, text: str) -> None:
        self.progress.update(self.task, description=f"{self.label}  {text}")


def _margin(lower: float, best: float) -> str:
    return f"margin ≥ {lower:.4g}" + (f", ≤ {best:.4g}" if best < float("inf") else "")


@contextmanager
def solve_progress(label: str) -> Iterator[Spinner]:
    """A spinner with the bounds as they improve."""
    with _live() as progress:
        yield Spinner(progress, label)


@contextmanager
def row_progress() -> Iterator[Callable[[int, int, Plan], None]]:
    """A spinner that says which row of a comparison is running."""
    with _live() as progress:
        task = progress.add_task("starting")

        def announce(number: int, total: int, plan: Plan) -> None:
            progress.update(task, description=shown(f"row {number + 1} of {total}: {plan.label}", kept=""))

        yield announce
