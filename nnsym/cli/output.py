"""What commands print: lines, tables, progress, errors as one line."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnsym.cli.streams import bare, complain, fits, shown, writing
from nnsym.errors import NnsymError

if TYPE_CHECKING:
    from nnsym.results.clock import Clock


_LONGEST = 2000  # characters of an error


def report_late(error: NnsymError, *, clock: Clock, method: str, witness: Path | None, as_json: bool) -> None:
    """``unknown (timeout)`` of a question that was not read in time, in all the forms of an answer."""
    from nnsym.report.table import result_lines
    from nnsym.results.plain import result_json
    from nnsym.results.result import Result, Verdict

    clock.note("load", str(error))
    result = Result(
        status=Verdict.UNKNOWN,
        reason="timeout",
        trust=None,
        method=method,
        seconds=dict(clock.seconds),
        trail=tuple(clock.trail),
    )
    if witness is not None:
        witness.write_text("timeout\n", encoding="utf-8")
    if as_json:
        print_line(json.dumps(result_json(result)))
    else:
        print_styled(result_lines(result))
        print_error(error)


def print_error(error: NnsymError) -> None:
    """An error as one line on stderr; control characters and line breaks of names are escaped, long texts cut."""
    said = str(error) if len(str(error)) <= _LONGEST else f"{str(error)[: _LONGEST - 300]} ... {str(error)[-300:]}"
    complain(shown(said, kept=""))


def check_files(*paths: Path | None) -> None:
    """Refuse files that cannot be written, before any work; None stands for one that was not asked for."""
    wanted = [path for path in paths if path is not None]
    if wanted:
        from nnsym.ask.export import check_writable

        for path in wanted:
            check_writable(path)


def split(text: str) -> list[str]:
    """Comma-separated names."""
    return [part.strip() for part in text.split(",") if part.strip()]


def print_line(text: str) -> None:
    """A plain line on stdout."""
    with writing():
        sys.stdout.write(shown(text) + "\n")
        sys.stdout.flush()


def print_rich(renderable: Any) -> None:
    """A table or text on stdout."""
    from nnsym.cli.console import print_out

    with writing():
        print_out(renderable)


def print_table(table: Any, *, wide: bool = False) -> None:
    """A comparison on stdout, in the columns that fit."""
    from nnsym.cli.console import print_out
    from nnsym.report.table import comparison_table

    with writing():
        print_out(comparison_table(table, wide=wide), chosen=True)


def print_styled(lines: list[tuple[str, str]]) -> None:
    """Styled lines on stdout; a name's line break makes no line of its own."""
    lines = [(shown(text, kept=""), style) for text, style in lines]
    if bare(sys.stdout) and all(fits(text) for text, _ in lines):
        print_line("\n".join(text for text, _ in lines))
        return
    from nnsym.cli.console import styled

    print_rich(styled(lines))


def spinner(show: bool, label: str) -> Any:
    """A solver's progress on stderr."""
    if not show or bare(sys.stderr):
        return contextlib.nullcontext()
    from nnsym.cli.console import solve_progress

    return solve_progress(shown(label, kept=""))


def row_progress() -> Any:
    """A comparison's progress on stderr."""
    from nnsym.cli.console import row_progress as progress

    return progress()
