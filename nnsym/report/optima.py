"""Flat records as tables: for a terminal and for a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from html import escape
from typing import Any

from nnsym.report.grid import Column, Grid, render
from nnsym.results.html import html_table


def _cell(name: str, value: object) -> str:
    digits = 3 if name == "seconds" else 6
    return f"{value:.{digits}g}" if isinstance(value, float) else "" if value is None else str(value)


#: Fields that are left out first where the room is small; numbers and what they are of stay.
_LESSER = ("trust", "method", "seconds")


def records_grid(title: str, records: list[dict[str, Any]]) -> Grid:
    """Flat records under a title; the first field names the row, and breaks at words where it is long."""
    columns = tuple(
        Column(
            name,
            rank=k + len(records[0]) * (name in _LESSER),
            right=isinstance(records[0][name], float),
            wraps=k == 0 and not isinstance(records[0][name], float),
        )
        for k, name in enumerate(records[0])
    )
    rows = tuple(tuple(_cell(*field) for field in record.items()) for record in records)
    return Grid(columns, rows, title=title, more="to_records() has all")


def records_text(title: str, records: list[dict[str, Any]]) -> str:
    """Flat records as plain text."""
    return render(records_grid(title, records)) if records else f"{title}: nothing"


def records_html(title: str, records: list[dict[str, Any]]) -> str:
    """Flat records as an HTML table."""
    if not records:
        return f"<b>{escape(title)}</b>: nothing"
    rows = ([_cell(*field) for field in record.items()] for record in records)
    return f"<b>{escape(title)}</b>{html_table(tuple(records[0]), rows)}"


class Listed(ABC):
    """Base of answers that print as the table of their records."""

    __slots__ = ()

    @property
    @abstractmethod
    def _title(self) -> str:
        """What stands above the table."""

    @abstractmethod
    def to_records(self) -> list[dict[str, Any]]:
        """One flat dictionary for each line."""

    def __str__(self) -> str:
        return records_text(self._title, self.to_records())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return records_html(self._title, self.to_records())
