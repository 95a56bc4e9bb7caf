"""A table as text and HTML: a row for each family and radius, the four ways, accuracies with their interval."""

from __future__ import annotations

from html import escape
from typing import Any

from nnsym.ir.words import count_of
from nnsym.report.grid import Column, Grid
from nnsym.results.html import VERDICTS, html_table
from nnsym.sweep.answers import Answers
from nnsym.sweep.tally import LEVEL, Tally

#: Heading, rank (the lower the sooner shown), on the right, meaning.
COLUMNS = (
    ("family", 2, False, "which function made the properties"),
    ("eps", 0, True, "the radius"),
    ("method", 1, False, "who was asked"),
    ("items", 8, True, "how many items there are"),
    ("wrong", 3, True, "the property fails at the item itself"),
    ("verified", 3, True, "it was shown to hold"),
    ("falsified", 3, True, "a counterexample was replayed"),
    ("unknown", 3, True, "neither"),
    ("certified", 1, True, "certified accuracy: verified / items"),
    ("empirical", 4, True, "empirical accuracy: (verified + unknown) / items"),
    (
        f"{LEVEL:.0%} interval",
        5,
        True,
        "where the accuracy of the population lies, with this confidence (Clopper-Pearson)",
    ),
    ("decided by", 7, False, "what each method decided"),
    ("trust", 9, False, "what the verified ones rest on"),
    ("why unknown", 10, False, "reasons of the unknown ones"),
    ("seconds", 6, True, "seconds of all answers together"),
)

_LONG = 60  # letters of a reason


def cells(tally: Tally, *, named: bool, staged: bool) -> tuple[str, ...]:
    """The cells of a row."""
    low, high = tally.population()
    return (
        tally.family if named else "",
        "" if tally.eps is None else f"{tally.eps:.6g}",
        "" if staged else tally.method,
        str(tally.total),
        str(tally.wrong),
        str(tally.held),
        str(tally.falsified),
        str(tally.open),
        f"{tally.certified:.2%}",
        f"{tally.empirical:.2%}",
        f"{100 * low:.1f}-{high:.1%}",
        ", ".join(f"{name} {count}" for name, count in tally.by.items()) if staged else "",
        ", ".join(f"{name} {count}" for name, count in tally.verified.items()),
        ", ".join(f"{reason[:_LONG]} {count}" for reason, count in tally.unknown.items()),
        f"{tally.seconds:.1f}",
    )


def tally_record(tally: Tally) -> dict[str, Any]:
    """A row as plain data."""
    return {
        "family": tally.family,
        "eps": tally.eps,
        "method": tally.method,
        "items": tally.total,
        "wrong": tally.wrong,
        "verified": tally.held,
        "falsified": tally.falsified,
        "unknown": tally.open,
        "certified": tally.certified,
        "empirical": tally.empirical,
        "population": list(tally.population()),
        "trust": dict(tally.verified),
        "reasons": dict(tally.unknown),
        "by": dict(tally.by),
        "seconds": tally.seconds,
    }


def _rows(table: Answers) -> list[tuple[str, ...]]:
    named = len(table.header.families) > 1
    return [cells(tally, named=named, staged=table.header.staged) for tally in table.rows]


def title(table: Answers) -> str:
    """What the table is of."""
    header = table.header
    how = " then ".join(header.methods) if header.staged else count_of(len(header.methods), "method")
    unfinished = "" if table.complete else " (not finished)"
    return f"{', '.join(header.families)}: {count_of(header.count, 'item')} by {how}{unfinished}"


def table_grid(table: Answers, *, wide: bool = False) -> Any:
    """The table for rich; disagreements stand below it, loudly."""
    from rich.console import Group
    from rich.text import Text

    grid = Grid(
        columns=tuple(Column(name, rank=rank, right=right) for name, rank, right, _ in COLUMNS),
        rows=tuple(_rows(table)),
        title=title(table),
        wide=wide,
        more="--wide, or table.to_text(wide=True)",
    )
    return Group(grid, *(Text(line, style="bold red") for line in clashes(table)))


def clashes(table: Answers) -> list[str]:
    """A line for each pair of methods that contradict each other."""
    pairs = {(a.method, b.method): (a, b) for a, b in table.disagreements}
    return [
        f"DISAGREEMENT: {one} verified what {other} falsified (item {a.index}, eps {a.eps}). One of them is wrong."
        for (one, other), (a, _) in pairs.items()
    ]


def table_html(table: Answers) -> str:
    """An HTML table whose headings say what they mean."""
    rows = _rows(table)
    used = [k for k in range(len(COLUMNS)) if any(row[k] for row in rows)]
    headings, meanings = [COLUMNS[k][0] for k in used], [COLUMNS[k][3] for k in used]
    shown = html_table(headings, ([row[k] for k in used] for row in rows), meanings=meanings)
    loud = "".join(f"<div style='color:{VERDICTS['falsified']}'>{escape(line)}</div>" for line in clashes(table))
    return f"<b>{escape(title(table))}</b>{shown}{loud}"
