"""Families: functions from an item, and a radius where there is one, to a property."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, final

from nnsym.errors import InputError, NnsymError
from nnsym.ir.query import Query
from nnsym.ir.words import kind_of
from nnsym.lang.algebra.terms import Term
from nnsym.lang.files import load_family
from nnsym.lang.property import Property
from nnsym.lang.question import query_of
from nnsym.sweep.content import Held
from nnsym.sweep.data import Arguments, Data

Family = Callable[..., Any]


@final
@dataclass(frozen=True, eq=False)
class FileFamily:
    """The family ``NAME`` of a Python file, given as ``FILE.py:NAME``; each process runs the file for itself."""

    spec: str

    def __reduce__(self) -> tuple[Any, ...]:
        return FileFamily, (self.spec,)

    @cached_property
    def function(self) -> Family:
        return load_family(self.spec)

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self.function(*args, **named)

    @property
    def __signature__(self) -> inspect.Signature:
        return inspect.signature(self.function)


def families_of(given: Family | Mapping[str, Family]) -> dict[str, Family]:
    """The families by name; a single one has the name of its function."""
    if isinstance(given, Mapping):
        if not given:
            raise InputError("no families", where="family", remedy="Name one at least: {'plain': family}")
        found = {str(name): family for name, family in given.items()}
    else:
        found = {_name(given): given}
    for name, family in found.items():
        if not callable(family) or isinstance(family, (Term, Property)):
            raise InputError(
                f"'{name}' is {kind_of(family)}, no function",
                where="family",
                remedy="Give a function from an item to a property: lambda x, label, eps: nn.props.robust(...)",
            )
    return found


def _name(family: Family) -> str:
    if isinstance(family, partial):
        return _name(family.func)
    if isinstance(family, FileFamily):
        return family.spec.rpartition(":")[2]
    name = getattr(family, "__name__", type(family).__name__)
    return "family" if name == "<lambda>" else str(name)


def query_at(family: Family, arguments: Arguments, eps: Any, *, index: int) -> Query:
    """The query of an item; ``eps`` None is not handed over. Errors name the item."""
    args, named = arguments
    extra = {} if eps is None else {"eps": eps}
    try:
        return query_of(family(*args, **named, **extra))
    except NnsymError as error:
        at = "" if eps is None else f" at eps {float(eps):g}"
        where = f"item {index}{at}" + (f", {error.where}" if error.where else "")
        raise InputError(error.reason, where=where, remedy=error.remedy) from error


def check_call(family: Family, arguments: Arguments, *, radius: bool) -> None:
    """Raise where a family does not take what it will be called with."""
    try:
        signature = inspect.signature(family)
    except (TypeError, ValueError):  # a callable that has none
        return
    args, named = arguments
    try:
        signature.bind(*args, **named, **({"eps": 0.0} if radius else {}))
    except TypeError as error:
        given = [*(f"{kind_of(a)}" for a in args), *named, *(["eps"] if radius else [])]
        raise InputError(
            f"it takes ({', '.join(signature.parameters)}) and is given ({', '.join(given)}): {error}",
            where=f"family '{_name(family)}'",
            remedy="Name its parameters as the columns are named, or give columns as a tuple"
            + ("; the radius comes as eps=" if radius else "; give a radius by eps=[...], or --eps"),
        ) from None


def fingerprint(family: Family, data: Data, eps: Sequence[Any]) -> tuple[str, tuple[str, ...]]:
    """A digest of a family, and the networks it speaks of.

    It covers what the family makes of the first, the middle and the last item, and all that it holds beside
    (:class:`nnsym.sweep.content.Held`), which it may use for any other.

    Raises:
        InputError: it makes a property of none of them.
    """
    held, networks = Held(), dict[str, None]()
    held.feed(family.function if isinstance(family, FileFamily) else family)
    refused: list[InputError] = []
    places = [
        (k, e) for k in dict.fromkeys((0, len(data) // 2, len(data) - 1)) for e in dict.fromkeys((eps[0], eps[-1]))
    ]
    for index, radius in places:
        try:
            query = query_at(family, data.arguments(index), radius, index=index)
        except InputError as error:
            refused.append(error)
            held.say(str(error))
            continue
        held.say(query.hash)
        networks.update(dict.fromkeys(a.network.hash for a in query.applications))
    if len(refused) == len(places):
        raise refused[0]
    return held.digest, tuple(networks)
