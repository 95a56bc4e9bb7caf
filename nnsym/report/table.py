"""Comparisons as tables, for a terminal and for a notebook; a result as lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any, final

from nnsym.ir.words import how_replayed
from nnsym.report.compared import Compared
from nnsym.report.grid import Column, Grid
from nnsym.report.records import comparison_records
from nnsym.results.html import VERDICTS, html_table
from nnsym.results.result import Agreement, Deployed, Result, Semantics, Verdict


@final
@dataclass(frozen=True)
class Shown:
    """A column of a comparison: heading, key of the record, format, rank (as in :mod:`nnsym.report.grid`), meaning."""

    heading: str
    key: str
    form: str
    rank: int
    meaning: str

    @property
    def right(self) -> bool:
        return self.form != "{}" or self.key in ("continuous", "binary", "rows", "nonzeros", "unstable")


#: In the order in which they stand; a column without a value in any row is left out.
COLUMNS = (
    Shown("method", "method", "{}", 0, "bounds, a search, or an encoding"),
    Shown("solver", "solver", "{}", 4, "the lane that solved the encoding's program"),
    Shown("bounds", "bounds", "{}", 5, "what fed the encoding"),
    Shown("verdict", "verdict", "{}", 1, "verified, falsified, or unknown with its reason"),
    Shown(
        "trust",
        "trust",
        "{}",
        6,
        "what the verdict rests on: exact (rationals, or a replayed point), certified (bounds "
        "rounded outward), solver (its own bound, beyond its tolerance), statistical (samples of a smoothed "
        "classifier, at the method's confidence), assumed",
    ),
    Shown("margin ≥", "lower", "{:.5g}", 3, "lower bound of the margin; positive: the property holds"),
    Shown("margin ≤", "upper", "{:.5g}", 7, "margin at the worst point that was evaluated"),
    Shown("bound by", "bound_trust", "{}", 9, "what the proved side of the margin rests on, if not the trust"),
    Shown("slack", "slack", "{:g}", 2, "what the conclusion was relaxed by"),
    Shown("root LP", "root_lp", "{:.5g}", 10, "optimum of the program without integrality"),
    Shown("gap", "gap", "{:.3g}", 8, "distance of the row's certified margin from the best one of this table"),
    Shown("real", "continuous", "{}", 14, "continuous columns of the program"),
    Shown("bin", "binary", "{}", 11, "binary columns of the program"),
    Shown("rows", "rows", "{}", 12, "rows of the program"),
    Shown("nonz", "nonzeros", "{}", 15, "nonzero coefficients of the program"),
    Shown("open", "unstable", "{}", 13, "neurons that the bounds leave open"),
    Shown("bound s", "seconds_bounds", "{:.3f}", 16, "seconds for the bounds"),
    Shown("enc s", "seconds_encode", "{:.3f}", 17, "seconds for building the program"),
    Shown("hand s", "seconds_handover", "{:.3f}", 18, "seconds for handing it over to the solver"),
    Shown("solve s", "seconds_solve", "{:.3f}", 9, "seconds of the solver, or of the search"),
    Shown("MB", "peak_memory", "{:.0f}", 19, "most memory of the solver's process"),
    Shown("goal", "goal", "{}", 20, "decide: only the margin's sign was asked for; optimise: the margin itself"),
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
    return [c.form.format(shown[c.key]) if shown[c.key] not in (None, "") else "" for c in COLUMNS]


def comparison_table(table: Compared, *, wide: bool = False) -> Any:
    """The comparison for rich: the columns that fit, or all, with the reasons of unsupported rows below.

    Of several properties there is one table, with a column for the property.
    """
    from rich.console import Group
    from rich.text import Text

    named, records = bool(table.parts), comparison_records(table)
    verdict = [c.key for c in COLUMNS].index("verdict") + named
    columns = tuple(Column(c.heading, rank=c.rank + named, right=c.right) for c in COLUMNS)
    rows = [((record["property"],) if named else ()) + tuple(cells(record)) for record in records]
    grid = Grid(
        columns=((Column("property"),) if named else ()) + columns,
        rows=tuple(rows),
        title=table.name,
        styles={(k, verdict): COLOURS[record["verdict"]] for k, record in enumerate(records)},
        wide=wide,
        more="--wide, or table.to_text(wide=True)",
    )
    said = dict.fromkeys(
        f"{r['method']} {r['solver']}: {r['reason']}"
        for r in records
        if r["verdict"] in ("unsupported", "error") or "differ" in r["reason"]
    )
    clashes = [part.disagreement for part in table.parts or (table,) if part.disagreement is not None]
    notes = [Text(line, style="dim") for line in said]
    notes += [
        Text(
            f"DISAGREEMENT: {one.method} {one.solver} verified what {other.method} {other.solver} "
            "falsified. One of them is wrong; please report it with the exported files.",
            style="bold red",
        )
        for one, other in clashes
    ]
    return Group(grid, *notes)


def comparison_html(table: Compared) -> str:
    """An HTML table with the reasons of unsupported rows below it; of several properties they have one table."""
    named, records = bool(table.parts), comparison_records(table)
    filled = [cells(record) for record in records]
    used = [i for i in range(len(COLUMNS)) if any(row[i] for row in filled)]
    verdict = [COLUMNS[i].key for i in used].index("verdict") + named
    rows = ([record["property"]] * named + [row[i] for i in used] for record, row in zip(records, filled, strict=True))

    def look(row: int, column: int) -> str:
        return f";color:{VERDICTS[records[row]['verdict']]}" if column == verdict else ""

    grid = html_table(
        ["property"] * named + [COLUMNS[i].heading for i in used],
        rows,
        meanings=[""] * named + [COLUMNS[i].meaning for i in used],
        look=look,
    )
    loud = "<div style='color:#cf222e'><b>DISAGREEMENT</b>: exact methods contradict each other</div>"
    notes = (loud if table.disagreement is not None else "") + "".join(
        f"<div style='color:#6e7781'>{escape(r['method'])} {escape(r['solver'])}: {escape(r['reason'])}</div>"
        for r in records
        if r["verdict"] in ("unsupported", "error")
    )
    return f"<b>{escape(table.name)}</b>{grid}{notes}"


def result_lines(result: Result) -> list[tuple[str, str]]:
    """What ``nnsym verify`` prints: (text, style) lines."""
    head = result.status.value.upper() + (" (VACUOUS: no input satisfies the precondition)" if result.vacuous else "")
    if result.trust is not None and result.trust.value == "assumed":
        head += " (ASSUMED: it rests on bounds that the user asserted)"
    lines = [(head, f"bold {COLOURS[result.status.value]}"), (f"  reason   {result.reason}", "")]
    if result.trust:
        lines.append((f"  trust    {result.trust.value}: {result.rests_on}", ""))
    own = result.method.removeprefix("portfolio: ")
    on = f" on {result.bounds} bounds" if result.bounds and result.bounds != own else ""
    lines.append((f"  method   {result.method}{on}", ""))
    if abs(result.lower) < float("inf") or abs(result.upper) < float("inf"):
        lines.append((f"  margin   in [{result.lower:.6g}, {result.upper:.6g}]{result.bound_rests_on}", ""))
    lines.extend((f"  {text}", "") for text in _meant(result))
    if result.certificate is not None:
        made = result.certificate
        lines.append((f"  certified {made.claim}: {len(made.data)} bytes, accepted by {made.checked_by}", ""))
    elif result.uncertified:
        lines.append((f"  certified no: {result.uncertified}", "bold"))
    if result.slack:
        lines.append((f"  slack    {result.slack:g}: the conclusion is relaxed by this much", "bold"))
    for word, found in (("counterexample", result.counterexample), ("witness", result.witness)):
        if found is not None:
            differs = "; the stored model's run differs" if found.engine is Agreement.DIFFERS else ""
            lines.append((f"  {word}: margin {found.margin:.6g}, {how_replayed(found.replayed_by)}{differs}", ""))
            if found.note:
                lines.append((f"    {found.note}", ""))
            lines.extend((f"    {line}", "") for line in found.lines())
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
