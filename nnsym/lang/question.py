"""What a question is asked about: a property, a query, or something else that is said to be none."""

from __future__ import annotations

from typing import Protocol

from nnsym.errors import InputError
from nnsym.ir.functions.smoothed import refuse_smoothed
from nnsym.ir.network import Network
from nnsym.ir.query import Query


class HasQuery(Protocol):
    """A property: anything that knows its query."""

    @property
    def query(self) -> Query: ...


def query_of(prop: HasQuery | Query, asked: str = "") -> Query:
    """The query of a property, or the query itself.

    Raises :class:`InputError` for what is neither, with what to do where that is clear, and :class:`UnsupportedError`
    for a smoothed classifier where ``asked``, the name of the question, treats functions only.
    """
    found = prop if isinstance(prop, Query) else getattr(prop, "query", None)
    if isinstance(found, Query):
        if asked:
            refuse_smoothed(found, asked)
        return found
    remedy = "Pass nn.forall(...), nn.exists(...) or what nn.load_vnnlib gives"
    if isinstance(prop, Network):
        remedy = f"State one of it: nn.forall(x, where=..., then=... {prop.name}(x) ...)"
        raise InputError(f"the network '{prop.name}' is not a property", remedy=remedy)
    if isinstance(prop, (list, tuple)):
        remedy = "Ask for each: [nn.verify(p) for p in properties]; nn.all joins formulas into one property"
        raise InputError(f"{len(prop)} properties where one is asked about", remedy=remedy)
    if callable(prop):
        remedy = "Call it with its parameters first"
    raise InputError(f"{type(prop).__name__} is not a property", remedy=remedy)
