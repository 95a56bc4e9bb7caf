"""Tables for a terminal (rich)."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nnsym.report.records import row_record
from nnsym.results.result import Agreement, Deployed, Semantics, Verdict

if TYPE_CHECKING:
    from rich.table import Table

    from nnsym.ask.compare import Comparison
    from nnsym.results.result import Result

#: (heading, key of the record, format); a column without a value in any row is left out.
COLUMNS = (
    ("method", "method", "{}"),
    ("solver", "solver", "{}"),
    ("bounds", "bounds", "{}"),
    ("verdict", "verdict", "{}"),
    ("trust", "trust", "{}"),
    ("margin ≥", "lower", "{:.5g}"),
    ("margin ≤", "upper", "{:.5g}"),
    ("bound by", "bound_trust", "{}"),
    ("slack", "slack", "{:g}"),
    ("root LP", "root_lp", "{:.5g}"),
    ("gap", "gap", "{:.3g}"),
    ("real", "continuous", "{}"),
    ("bin", "binary", "{}"),
    ("rows", "rows", "{}"),
    ("nonz", "nonzeros", "{}"),
    ("unst", "unstable", "{}"),
    ("bound s", "seconds_bounds", "{:.3f}"),
    ("enc s", "seconds_encode", "{:.3f}"),
    ("hand s", "seconds_handover", "{:.3f}"),
    ("solve s", "seconds_solve", "{:.3f}"),
    ("MB", "peak_memory", "{:.0f}"),
    ("goal", "goal", "{}"),
)

COLOURS = {"verified": "green", "falsified": "red", "unknown": "yellow", "unsupported": "dim", "error": "magenta"}


def cells(record: dict[str, Any]) -> list[str]:
    """The formatted cells of one record; empty where there is nothing to say."""
    shown = dict(record)
    shown["peak_memory"] = record["peak_memory"] / 2**20 if record["peak_memory"] else None
    if record["verdict"] == "unknown":
        shown["verdict"] = f"unknown ({record['reason']})"
    elif record["vacuous"]:
        shown["verdict"] = f"{record['verdict']} (vacuous)"
    if record["bound_trust"] == record["trust"]:
        shown["bound_trust"] = None
    return [fmt.format(shown[key]) if shown[key] not in (None, "") else "" for _, key, fmt in COLUMNS]


def comparison_table(table: Comparison) -> Any:
    """The comparison as a rich table, with the reasons of unsupported rows below it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    records = [row_record(row, table.best) for row in table.rows]
    filled = [cells(record) for record in records]
    used = [i for i in range(len(COLUMNS)) if any(row[i] for row in filled)]
    title = Text(table.name, style="table.title") if table.name else None  # a string would be read as markup
    out = Table(title=title, title_justify="left", header_style="bold", pad_edge=False, box=None)
    for i in used:
        textual = COLUMNS[i][1] in ("method", "solver", "bounds", "verdict", "trust", "bound_trust", "goal")
        out.add_column(COLUMNS[i][0], justify="left" if textual else "right", no_wrap=True)
    for record, row in zip(records, filled, strict=True):
        colour = COLOURS[record["verdict"]]
        out.add_row(*(Text(row[i], style=colour if COLUMNS[i][1] == "verdict" else "") for i in used))
    said = dict.fromkeys(
        f"{r['method']} {r['solver']}: {r['reason']}"
        for r in records
        if r["verdict"] in ("unsupported", "error") or "differ" in r["reason"]
    )
    notes = [Text(line, style="dim") for line in said]
    clash = table.disagreement
    if clash is not None:
        notes.append(
            Text(
                f"DISAGREEMENT: {clash[0].method} {clash[0].solver} verified what {clash[1].method} {clash[1].solver} "
                "falsified. One of them is wrong; please report it with the exported files.",
                style="bold red",
            )
        )
    return Group(out, *notes)


def result_lines(result: Result) -> list[tuple[str, str]]:
    """What ``nnsym verify`` prints: (text, style) lines."""
    head = result.status.value.upper() + (" (VACUOUS: no input satisfies the precondition)" if result.vacuous else "")
    if result.trust is not None and result.trust.value == "assumed":
        head += " (ASSUMED: it rests on bounds that the user asserted)"
    lines = [(head, f"bold {COLOURS[result.status.value]}"), (f"  reason   {result.reason}", "")]
    if result.trust:
        lines.append((f"  trust    {result.trust.value}", ""))
    lines.append((f"  method   {result.method}" + (f" on {result.bounds} bounds" if result.bounds else ""), ""))
    if abs(result.lower) < float("inf") or abs(result.upper) < float("inf"):
        lines.append((f"  margin   in [{result.lower:.6g}, {result.upper:.6g}]{result.bound_rests_on}", ""))
    lines.extend((f"  {text}", "") for text in _meant(result))
    if result.slack:
        lines.append((f"  slack    {result.slack:g}: the conclusion is relaxed by this much", "bold"))
    for word, found in (("counterexample", result.counterexample), ("witness", result.witness)):
        if found is not None:
            differs = "; the stored model's run differs" if found.engine is Agreement.DIFFERS else ""
            lines.append((f"  {word}: margin {found.margin:.6g}, replayed by {found.replayed_by}{differs}", ""))
            if found.note:
                lines.append((f"    {found.note}", ""))
            both = (*found.inputs.items(), *found.outputs.items())
            lines.extend((f"    {name} = {_show(a)}", "") for name, a in both)
    lines.extend((f"  {s.name:<13} {s.seconds:8.3f} s  {s.note}", "dim") for s in result.trail)
    return lines


def _meant(result: Result) -> Iterator[str]:
    """Which function the verdict speaks of, and what is known of the other one."""
    if result.semantics is Semantics.DEPLOYED:
        yield "function deployed: every run in the model's own numbers, in any order of summation"
    elif result.deployed is not Deployed.OPEN and result.status is not Verdict.UNKNOWN:
        moved = "" if result.float_error is None else f"; rounding moves rows by at most {result.float_error:.3g}"
        yield f"function real; deployed: {result.deployed.value}{moved}"
    elif result.deployed is not Deployed.OPEN:
        yield f"function real; deployed: {result.deployed.value}"
    elif result.float_error is not None:
        yield f"function real; deployed: open, rounding may move rows by {result.float_error:.3g}"


def _show(array: Any, limit: int = 12) -> str:
    flat = [f"{float(v):.9g}" for v in array.ravel()[:limit]]
    return "[" + ", ".join(flat) + (f", ... {array.size} in all]" if array.size > limit else "]")


def render(renderable: Any, width: int = 200) -> str:
    """A rich renderable as plain text."""
    from rich.console import Console

    buffer = io.StringIO()
    Console(file=buffer, width=width, color_system=None, markup=False, emoji=False).print(renderable)
    return buffer.getvalue()


def plain_table(headings: list[str], rows: list[list[str]]) -> Table:
    """A small table without decoration."""
    from rich.table import Table
    from rich.text import Text

    out = Table(header_style="bold", pad_edge=False, box=None)
    for heading in headings:
        out.add_column(heading)
    for row in rows:
        out.add_row(*map(Text, row))
    return out
