"""Tables for a notebook."""

from __future__ import annotations

from html import escape

from nnsym.report.compared import Compared
from nnsym.report.records import comparison_records
from nnsym.report.table import COLUMNS, cells
from nnsym.results.html import VERDICTS


def comparison_html(table: Compared) -> str:
    """An HTML table with the reasons of unsupported rows below it; of several properties they have one table."""
    named, records = bool(table.parts), comparison_records(table)
    filled = [cells(record) for record in records]
    used = [i for i in range(len(COLUMNS)) if any(row[i] for row in filled)]
    head = "<th>property</th>" * named + "".join(
        f'<th title="{escape(COLUMNS[i].meaning)}">{escape(COLUMNS[i].heading)}</th>' for i in used
    )
    body = []
    for record, row in zip(records, filled, strict=True):
        ink = VERDICTS[record["verdict"]]
        tds = (
            f'<td style="color:{ink}">{escape(row[i])}</td>'
            if COLUMNS[i].key == "verdict"
            else f"<td>{escape(row[i])}</td>"
            for i in used
        )
        about = f"<td>{escape(record['property'])}</td>" * named
        body.append(f"<tr>{about}{''.join(tds)}</tr>")
    loud = "<div style='color:#cf222e'><b>DISAGREEMENT</b>: exact methods contradict each other</div>"
    notes = (loud if table.disagreement is not None else "") + "".join(
        f"<div style='color:#6e7781'>{escape(r['method'])} {escape(r['solver'])}: {escape(r['reason'])}</div>"
        for r in records
        if r["verdict"] in ("unsupported", "error")
    )
    return f"<b>{escape(table.name)}</b><table><tr>{head}</tr>{''.join(body)}</table>{notes}"
