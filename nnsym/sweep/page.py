"""The parts of an HTML report that are about a table of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from html import escape

from nnsym.errors import UnsupportedError
from nnsym.ir.words import count_of
from nnsym.results.html import facts_html, html_table
from nnsym.sweep.answered import Table
from nnsym.sweep.entry import Entry, Way
from nnsym.sweep.grid import table_html
from nnsym.sweep.tally import LEVEL, Tally

_LISTED = 100  # counterexamples that are listed one by one


def table_parts(table: Table) -> Iterator[tuple[str, str]]:
    """Headings and what stands below them."""
    yield "What was found", f"{table_html(table)}<p>{escape(_explained(table))}</p>"
    yield "Picture", _picture(table)
    yield "What was asked", facts_html(_asked(table))
    yield "What the verified ones rest on", _counted(table.rows, "trust", lambda tally: tally.verified.items())
    yield "Why the unknown ones are unknown", _counted(table.rows, "reason", lambda tally: tally.unknown.items())
    yield "Counterexamples", _points(table)


def _explained(table: Table) -> str:
    clean = "wrong: the property fails at the item itself; " if table.header.clean else ""
    return (
        f"Every item goes one of the ways: {clean}verified; falsified, by a counterexample that was replayed; unknown. "
        "Certified accuracy is the share that was verified, empirical accuracy the share of which nothing speaks "
        f"against the property. The {LEVEL:.0%} interval is where the accuracy of the population lies that the items "
        "were drawn from, independently (Clopper and Pearson)."
    )


def _picture(table: Table) -> str:
    try:
        svg: str = table.plot().svg()
    except UnsupportedError as error:
        return f"<p>{escape(str(error))}</p>"
    return svg


def _asked(table: Table) -> list[tuple[str, str]]:
    header = table.header
    least, most = header.timeouts
    return [
        *((f"family {name}", f"sha256 {digest}") for name, digest in header.families.items()),
        ("data", f"{count_of(header.count, 'item')}, sha256 {header.data}"),
        ("networks", ", ".join(f"sha256 {network}" for network in header.networks)),
        ("methods", (" then " if header.staged else ", ").join(header.methods)),
        ("radii", ", ".join(f"{eps:.6g}" for eps in header.eps) or "none"),
        ("seconds a question", f"{least:g}" if least == most else f"{least:g} to {most:g}"),
        ("seed", str(header.seed)),
        ("version", f"nnsym {header.version}"),
        ("finished", "yes" if table.complete else "no"),
    ]


def _counted(rows: Iterable[Tally], heading: str, counts: Callable[[Tally], Iterable[tuple[str, int]]]) -> str:
    lines = []
    for tally in rows:
        for word, count in counts(tally):
            cells = (tally.family, "" if tally.eps is None else f"{tally.eps:.6g}", tally.method, word, str(count))
            lines.append(cells)
    return html_table(("family", "eps", "method", heading, "items"), lines) if lines else "<p>There are none.</p>"


def _points(table: Table) -> str:
    """The entries that a replayed point decides; its numbers stand in the record."""
    found = [entry for entry in table.finals() if entry.way is Way.FALSIFIED]
    lines = [_line(entry) for entry in found[:_LISTED]]
    more = f"<p>{len(found) - _LISTED} more stand in the record.</p>" if len(found) > _LISTED else ""
    if not lines:
        return "<p>There are none.</p>"
    return html_table(("family", "item", "eps", "method", "margin there", "replayed by"), lines) + more


def _line(entry: Entry) -> tuple[str, ...]:
    by = str(entry.point["replayed_by"]) if entry.point else "" if entry.implied is None else entry.reason
    eps = "" if entry.eps is None else f"{entry.eps:.6g}"
    return entry.family, str(entry.index), eps, entry.method, f"{entry.upper:.6g}", by
