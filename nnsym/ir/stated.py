"""The text that a query was read from, as long as the query still says the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from nnsym.ir.query import Query


@final
@dataclass(frozen=True, eq=False, repr=False)
class Source:
    """A VNN-LIB text and the query that was made of it.

    ``parts`` are that query's rows, formula and boxes. Whatever makes another query of it makes other ones, so that a
    text never stands beside a query that says something else.
    """

    text: str
    parts: tuple[object, ...]

    def __repr__(self) -> str:
        return f"<VNN-LIB text of {len(self.text)} characters>"


def with_source(query: Query, text: str) -> Query:
    """The query with the text that it was read from."""
    from dataclasses import replace

    return replace(query, source=Source(text, _parts(query)))


def source_of(query: Query) -> str | None:
    """The text that says what the query says, if it was read from one."""
    if query.source is None or query.reading.value != "forall":
        return None
    same = zip(query.source.parts, _parts(query), strict=False)
    return query.source.text if all(one is other for one, other in same) else None


def _parts(query: Query) -> tuple[object, ...]:
    return (query.rows, query.formula, *query.boxes.values())
