"""Where encodings come from: the entry points ``nnsym.encodings`` of all installed packages.

An entry point names a module with ``ENCODINGS``, a tuple of :class:`nnsym.encoding.Encoding`, or ``CUTS``, one of
:class:`nnsym.encoding.Cut`, or both. Those in this repository are found the same way, and by name in a checkout that is
not installed. A package that cannot be used is left out, and said to be wherever something is not found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from types import MappingProxyType, ModuleType
from typing import Any, Protocol, TypeVar, final

from nnsym.bounds.methods import SOURCES
from nnsym.encoding import Cut, Encoding
from nnsym.errors import InputError, did_you_mean
from nnsym.ir.words import kind_of

GROUP, BUILTIN = "nnsym.encodings", "nnsym_encodings"

#: What a name may be made of: ``+``, ``:`` and ``,`` separate names.
_NAME = re.compile(r"[\w.-]+")

#: What a method's name means before it can be an encoding's.
METHODS = ("attack", "bab", "sampling", "portfolio", "lp", *SOURCES)


class Named(Protocol):
    """What packages offer: encodings, cuts and others, found by their names."""

    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)
Kinds = Mapping[str, type[Any]]


@final
@dataclass(frozen=True, kw_only=True)
class Provider:
    """A module that an entry point names: ``name`` has its distribution too, ``items`` what it offers, by attribute.

    ``error`` says why nothing of it is used.
    """

    name: str
    items: Mapping[str, tuple[Any, ...]]
    error: str = ""


@cache
def encodings() -> Mapping[str, Encoding]:
    """Every encoding at hand by name, in order of provider and then of its own list.

    Raises:
        InputError: two providers offer the same name.
    """
    return collect({p.name: p.items["ENCODINGS"] for p in encoding_providers()})


@cache
def cuts() -> Mapping[str, Cut]:
    """Every family of cuts at hand by name; errors as for :func:`encodings`."""
    return collect({p.name: p.items["CUTS"] for p in encoding_providers()}, what="cut")


@cache
def encoding_providers() -> tuple[Provider, ...]:
    """Who offers encodings and cuts, our own first; those that cannot be used have an ``error``."""
    return providers(GROUP, {"ENCODINGS": Encoding, "CUTS": Cut}, builtin=BUILTIN)


def collect(offers: Mapping[str, tuple[Item, ...]], *, what: str = "encoding") -> Mapping[str, Item]:
    """One table from the lists of all providers; names are unique."""
    found: dict[str, tuple[Item, str]] = {}
    for provider, offered in offers.items():
        for item in offered:
            if item.name in found:
                other = found[item.name][1]
                raise InputError(
                    f"offered twice by '{other}'"
                    if other == provider
                    else f"offered by both '{other}' and '{provider}'",
                    where=f"{what} '{item.name}'",
                    remedy="Rename one, or uninstall one of the packages",
                )
            found[item.name] = item, provider
    return MappingProxyType({name: item for name, (item, _) in found.items()})


def apart(names: Iterable[str], others: Mapping[str, Iterable[str]], *, what: str) -> None:
    """Raise where something of one kind has a name that something of another kind has: both are named as a method."""
    for kind, taken in others.items():
        for name in sorted(set(names) & set(taken)):
            raise InputError(
                f"also the name of {kind}",
                where=f"{what} '{name}'",
                remedy="Rename one, or uninstall one of the packages",
            )


def providers(group: str, kinds: Kinds, *, builtin: str = "") -> tuple[Provider, ...]:
    """Every module that the entry points of a group name, once; ``kinds`` are the tuples it may have and of what."""
    points = {point.value: point for point in sorted(entry_points(group=group), key=lambda p: p.value)}
    if builtin and builtin not in points and find_spec(builtin) is not None:
        points[builtin] = EntryPoint(name="builtin", value=builtin, group=group)
    return tuple(_provider(points[m], kinds) for m in sorted(points, key=lambda module: module != builtin))


def _provider(point: EntryPoint, kinds: Kinds) -> Provider:
    """What one module offers. Whatever fails while it is imported must not take the rest down."""
    name = f"{point.value} ({point.dist.name} {point.dist.version})" if point.dist is not None else point.value
    try:
        items = dict(_items(point.load(), kinds))
    except InputError as error:
        return Provider(name=name, items=dict.fromkeys(kinds, ()), error=str(error))
    except (Exception, SystemExit) as error:
        return Provider(name=name, items=dict.fromkeys(kinds, ()), error=f"{type(error).__name__}: {error}")
    return Provider(name=name, items=items)


def _items(module: object, kinds: Kinds) -> Iterator[tuple[str, tuple[Any, ...]]]:
    wanted = " or ".join(kinds)
    if not isinstance(module, ModuleType):
        raise InputError("the entry point names no module", remedy=f"Name the module that has {wanted}")
    if not any(hasattr(module, attribute) for attribute in kinds):
        raise InputError(f"the module has no {wanted}")
    for attribute, kind in kinds.items():
        offered = getattr(module, attribute, ())
        if not isinstance(offered, (tuple, list)):
            raise InputError(f"{attribute} is {kind_of(offered)}, expected a tuple of {kind.__name__}")
        for item in offered:
            if isinstance(item, type) or not isinstance(item, kind):
                raise InputError(f"{attribute} has {kind_of(item)}, expected a tuple of {kind.__name__}")
            if not _NAME.fullmatch(item.name) or item.name in METHODS:
                raise InputError(
                    f"{attribute} has the name '{item.name}'",
                    remedy="Take letters, digits, _ . -, and no method's name",
                )
        yield attribute, tuple(offered)


def listed(known: Iterable[str], parties: tuple[Provider, ...]) -> str:
    """The names that are known, and which packages could not be asked."""
    left_out = "".join(f". Left out: {p.name}: {p.error}" for p in parties if p.error)
    return f"{', '.join(known) or 'none (pip install -e . in the checkout)'}{left_out}"


def find_encoding(encoding: str | Encoding) -> Encoding:
    """An encoding by name, with cuts after plus signs (``triangle+tj+krelu3``); an :class:`Encoding` is itself."""
    if isinstance(encoding, Encoding):
        return encoding
    if not isinstance(encoding, str):
        remedy = "Give a name, an nnsym.encoding.Encoding, or a method such as nn.milp(...)"
        if isinstance(encoding, Cut):
            remedy = f"Add it to an encoding: find_encoding('triangle') + {type(encoding).__name__}(...)"
        raise InputError(f"no encoding but {kind_of(encoding)}", where=repr(encoding), remedy=remedy)
    known = encodings()
    name, *families = encoding.split("+")
    if name not in known:
        known_names = listed(known, encoding_providers())
        remedy = f"{did_you_mean(name, encodings())}Known encodings: {known_names}"
        raise InputError(f"unknown encoding '{name}'", remedy=remedy)
    found = known[name]
    for family in families:
        found = found + find_cut(family)
    return found


def find_cut(text: str) -> Cut:
    """A family of cuts by its text, such as ``krelu3`` or ``krelu3:crown``."""
    name, colon, parameters = text.partition(":")
    if name not in cuts():
        remedy = f"{did_you_mean(name, cuts())}Known cuts: {listed(cuts(), encoding_providers())}"
        raise InputError(f"unknown cut '{name}'", remedy=remedy)
    return cuts()[name].parse(parameters) if colon else cuts()[name]
