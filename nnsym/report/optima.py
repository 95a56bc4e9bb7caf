"""Tables of intervals: for a terminal and for a notebook."""

from __future__ import annotations

from html import escape
from typing import Any

from nnsym.report.table import plain_table, render


def _cell(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def records_text(title: str, records: list[dict[str, Any]]) -> str:
    """Flat records as a plain table under a title."""
    table = plain_table(list(records[0]), [[_cell(v) for v in record.values()] for record in records])
    return f"{title}\n{render(table)}"


def records_html(title: str, records: list[dict[str, Any]]) -> str:
    """Flat records as an HTML table."""
    head = "".join(f"<th>{escape(name)}</th>" for name in records[0])
    body = "".join(f"<tr>{''.join(f'<td>{escape(_cell(v))}</td>' for v in record.values())}</tr>" for record in records)
    return f"<b>{escape(title)}</b><table><tr>{head}</tr>{body}</table>"
