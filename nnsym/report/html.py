"""Tables for a notebook."""

from __future__ import annotations

from html import escape

from nnsym.report.compared import Compared
from nnsym.report.records import comparison_records
from nnsym.report.table import COLUMNS, cells
from nnsym.results.html import VERDICTS, html_table


def comparison_html(table: Compared) -> str:
    """An HTML table with the reasons of unsupported rows below it; of several properties they have one table."""
    named, records = bool(table.parts), comparison_records(table)
    filled = [cells(record) for record in records]
    used = [i for i in range(len(COLUMNS)) if any(row[i] for row in filled)]
    verdict = [COLUMNS[i].key for i in used].index("verdict") + named
    rows = ([record["property"]] * named + [row[i] for i in used] for record, row in zip(records, filled, strict=True))

    def look(row: int, column: int) -> str:
        return f' style="color:{VERDICTS[records[row]["verdict"]]}"' if column == verdict else ""

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
