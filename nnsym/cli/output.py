"""What commands print: lines, tables, progress, errors as one line."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

from nnsym.cli.streams import bare, complain, fits, shown, writing
from nnsym.errors import NnsymError
from nnsym.results.saved import check_writable

_LONGEST = 2000  # characters of an error


def print_error(error: NnsymError) -> None:
    """An error as one line on stderr; control characters and line breaks of names are escaped, long texts cut."""
    said = str(error) if len(str(error)) <= _LONGEST else f"{str(error)[: _LONGEST - 300]} ... {str(error)[-300:]}"
    complain(shown(said, kept=""))


def check_files(*paths: Path | None, remedy: str = "Name a file elsewhere") -> None:
    """Refuse files that cannot be written, before any work; None stands for one that was not asked for."""
    for path in paths:
        if path is not None:
            check_writable(path, remedy=remedy)


def check_pictures(*paths: Path | None) -> None:
    """The same, of pictures: matplotlib has to be here too, and to know the format."""
    from nnsym.report.pictures.style import check_format  # start: commands that draw nothing

    check_files(*paths)
    for path in paths:
        if path is not None:
            check_format(path)


def split(text: str) -> list[str]:
    """Comma-separated names."""
    return [part.strip() for part in text.split(",") if part.strip()]


def print_line(text: str) -> None:
    """A plain line on stdout."""
    with writing():
        sys.stdout.write(shown(text) + "\n")
        sys.stdout.flush()


def print_rich(renderable: Any, *, chosen: bool = False) -> None:
    """A table or text on stdout; ``chosen`` says of a table that some of its columns are enough."""
    from nnsym.cli.console import print_out  # heavy: rich

    with writing():
        print_out(renderable, chosen=chosen)


def print_styled(lines: list[tuple[str, str]]) -> None:
    """Styled lines on stdout; a name's line break makes no line of its own, and none ends in blanks."""
    lines = [(shown(text, kept="").rstrip(), style) for text, style in lines]
    if bare(sys.stdout) and all(fits(text) for text, _ in lines):
        print_line("\n".join(text for text, _ in lines))
        return
    from nnsym.cli.console import styled  # heavy: rich

    print_rich(styled(lines))


def spinner(show: bool, label: str) -> Any:
    """A solver's progress on stderr."""
    if not show or bare(sys.stderr):
        return contextlib.nullcontext()
    from nnsym.cli.console import solve_progress  # heavy: rich

    return solve_progress(shown(label, kept=""))


def row_progress() -> Any:
    """A comparison's progress on stderr."""
    from nnsym.cli.console import row_progress as progress  # heavy: rich

    return progress()
