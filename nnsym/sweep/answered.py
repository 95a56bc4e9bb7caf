"""The table of a data set as people look at it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from nnsym.report.frame import frame
from nnsym.report.grid import render
from nnsym.results.extras import require
from nnsym.results.files import path_of
from nnsym.sweep.answers import Answers
from nnsym.sweep.entry import Entry
from nnsym.sweep.grid import table_grid, table_html, tally_record
from nnsym.sweep.plot import plot_table
from nnsym.sweep.record import read

if TYPE_CHECKING:
    import pandas


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Table(Answers):
    """It prints as a table with a row for each family and radius, and each method where they are not staged."""

    spoken = ("the table of a data set", "Ask a row: table.tallies[-1].certified")

    def to_records(self, *, every: bool = False) -> list[dict[str, Any]]:
        """One flat dictionary for each family, radius and item, or with ``every`` for each answer."""
        chosen = self.entries if every else self.finals()
        return [_record(entry) for entry in chosen]

    def to_json(self) -> dict[str, Any]:
        """What was asked, and the printed rows, as plain data."""
        return {"header": asdict(self.header), "rows": [tally_record(tally) for tally in self.rows]}

    def to_frame(self, *, every: bool = False) -> pandas.DataFrame:
        """:meth:`to_records` as a pandas DataFrame (extra ``report``)."""
        return frame(self.to_records(every=every))

    def to_parquet(self, path: str | Path, *, every: bool = True) -> Path:
        """Write :meth:`to_frame` as Parquet; needs pyarrow."""
        require("pyarrow")
        self.to_frame(every=every).to_parquet(path)
        return Path(path)

    def plot(self, path: str | Path | None = None) -> Any:
        """Accuracy against the radius, a line for each method (extra ``report``)."""
        return plot_table(self, path)

    def __rich__(self) -> Any:
        return table_grid(self)

    def to_text(self, *, wide: bool = False, width: int = 80) -> str:
        """The table as text: the columns that fit ``width``, or with ``wide`` all of them. Nothing is ever cut."""
        return render(table_grid(self, wide=wide), width)

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return table_html(self)


def load_table(path: str | Path) -> Table:
    """The table of a record (``nn.table(..., file=)``), finished or not.

    Raises:
        InputError: the file is no record of a table, or is damaged.
    """
    header, entries = read(path_of(path))
    return Table(header=header, entries=tuple(entries))


def _record(entry: Entry) -> dict[str, Any]:
    """An entry as one flat row: numbers of its run after the others, its point left out."""
    flat = {name: getattr(entry, name) for name in Entry.__dataclass_fields__ if name not in ("point", "details")}
    return {**flat, "way": entry.way.value, "point": entry.point is not None, **entry.details}
