"""A comparison as people look at it: text, a page of a notebook, a picture, plain data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from nnsym.report.compared import Compared
from nnsym.report.frame import frame
from nnsym.report.grid import render
from nnsym.report.pictures.comparison import plot_comparison
from nnsym.report.records import comparison_json, comparison_records
from nnsym.report.table import comparison_html, comparison_table

if TYPE_CHECKING:
    import pandas


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Comparison(Compared):
    """All rows; prints as a table in a terminal and in a notebook.

    Where several properties were compared ``parts`` are their comparisons, and the table has a column for the property.
    """

    parts: tuple[Comparison, ...] = ()

    def to_records(self) -> list[dict[str, Any]]:
        """One flat dictionary per row."""
        return comparison_records(self)

    def to_json(self) -> dict[str, Any]:
        """The whole comparison as plain data."""
        return comparison_json(self)

    def to_frame(self) -> pandas.DataFrame:
        """A pandas DataFrame (extra ``report``)."""
        return frame(self.to_records())

    def plot(self, path: str | Path | None = None) -> Any:
        """Bars of certified margin and of seconds per method, of one property (extra ``report``)."""
        return plot_comparison(self, path)

    def __rich__(self) -> Any:
        return comparison_table(self)

    def to_text(self, *, wide: bool = False, width: int = 80) -> str:
        """The table as text: the columns that fit ``width``, or with ``wide`` all of them. Nothing is ever cut."""
        return render(comparison_table(self, wide=wide), width)

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return comparison_html(self)
