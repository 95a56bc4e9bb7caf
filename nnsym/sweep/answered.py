"""The table of a data set: the header, all entries, and what people look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from nnsym.errors import InputError, UnsupportedError
from nnsym.report.frame import frame
from nnsym.report.grid import render
from nnsym.results.result import NoTruthValue
from nnsym.sweep.entry import CLEAN, Entry, Way
from nnsym.sweep.grid import table_grid, table_html, tally_record
from nnsym.sweep.plot import plot_table
from nnsym.sweep.record import Header, read
from nnsym.sweep.tally import NOT_ASKED, Tally, final_entries, tallies

if TYPE_CHECKING:
    import pandas


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Table(NoTruthValue):
    """``header`` says what was asked, ``entries`` are all answers in the order in which they came.

    It prints as a table with a row for each family and radius, and each method where they are not staged.
    """

    spoken = ("the table of a data set", "Ask a row: table.tallies[-1].certified")

    header: Header
    entries: tuple[Entry, ...]

    @cached_property
    def tallies(self) -> tuple[Tally, ...]:
        """What the entries add up to, for each stage, family and radius."""
        return tuple(tallies(self.header, self.entries))

    @property
    def rows(self) -> tuple[Tally, ...]:
        """The tallies that the printed table shows: those of all methods together where they are staged."""
        last = self.header.methods[-1]
        return tuple(t for t in self.tallies if not self.header.staged or t.method == last)

    @property
    def complete(self) -> bool:
        """True if every question has its answer."""
        return not any(NOT_ASKED in tally.unknown for tally in self.tallies)

    @property
    def disagreements(self) -> tuple[tuple[Entry, Entry], ...]:
        """Pairs of entries of one question, one verified and one falsified: a bug in one of the methods."""
        held: dict[Any, Entry] = {}
        broken: dict[Any, Entry] = {}
        for entry in self.entries:
            if entry.method != CLEAN:
                place = (entry.family, entry.index, entry.eps)
                if entry.way is Way.VERIFIED:
                    held[place] = entry
                elif entry.way is Way.FALSIFIED:
                    broken[place] = entry
        return tuple((held[place], broken[place]) for place in held if place in broken)

    def finals(self, method: str | None = None) -> list[Entry]:
        """One entry for each family, radius and item; of one method alone, or of all."""
        methods = self.header.methods if method is None else (method,)
        if not set(methods) <= set(self.header.methods):
            raise InputError(f"no method '{method}'", remedy=f"The table has: {', '.join(self.header.methods)}")
        return list(final_entries(self.header, self.entries, methods))

    def to_records(self, *, every: bool = False) -> list[dict[str, Any]]:
        """One flat dictionary for each family, radius and item, or with ``every`` for each answer."""
        chosen = self.entries if every else self.finals()
        return [_record(entry) for entry in chosen]

    def to_json(self) -> dict[str, Any]:
        """What was asked, and the printed rows, as plain data."""
        return {"header": _header(self.header), "rows": [tally_record(tally) for tally in self.rows]}

    def to_frame(self, *, every: bool = False) -> pandas.DataFrame:
        """:meth:`to_records` as a pandas DataFrame (extra ``report``)."""
        return frame(self.to_records(every=every))

    def to_parquet(self, path: str | Path, *, every: bool = True) -> Path:
        """Write :meth:`to_frame` as Parquet; needs pyarrow."""
        try:
            self.to_frame(every=every).to_parquet(path)
        except ImportError as error:
            raise UnsupportedError("pyarrow is not installed", remedy="pip install pyarrow") from error
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
    header, entries = read(Path(path))
    return Table(header=header, entries=tuple(entries))


def _header(header: Header) -> Mapping[str, Any]:
    from dataclasses import asdict

    return asdict(header)


def _record(entry: Entry) -> dict[str, Any]:
    """An entry as one flat row: numbers of its run after the others, its point left out."""
    flat = {name: getattr(entry, name) for name in Entry.__dataclass_fields__ if name not in ("point", "details")}
    return {**flat, "way": entry.way.value, "point": entry.point is not None, **entry.details}
