"""Where encodings come from: the entry points ``nnsym.encodings`` of all installed packages.

An entry point names a module with ``ENCODINGS``, a tuple of :class:`nnsym.encoding.Encoding`, and at wish ``CUTS``, one
of :class:`nnsym.encoding.Cut`. Those in this repository are found the same way, and by name in a checkout that is not
installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import MappingProxyType
from typing import Protocol, TypeVar

from nnsym.encoding import Cut, Encoding
from nnsym.errors import InputError

GROUP, BUILTIN = "nnsym.encodings", "nnsym_encodings"


@cache
def encodings() -> Mapping[str, Encoding]:
    """Every encoding at hand by name, in order of provider and then of its own list.

    Raises:
        InputError: two providers offer the same name.
    """
    return collect({module: import_module(module).ENCODINGS for module in _modules()})


@cache
def cuts() -> Mapping[str, Cut]:
    """Every family of cuts at hand by name; errors as for :func:`encodings`."""
    return collect({module: getattr(import_module(module), "CUTS", ()) for module in _modules()}, what="cut")


class Named(Protocol):
    """What a table is made of."""

    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)


def collect(providers: Mapping[str, tuple[Item, ...]], *, what: str = "encoding") -> Mapping[str, Item]:
    """One table from the lists of all providers; names are unique."""
    found: dict[str, tuple[Item, str]] = {}
    for provider, offered in providers.items():
        for item in offered:
            if item.name in found:
                raise InputError(
                    f"offered by both '{found[item.name][1]}' and '{provider}'",
                    where=f"{what} '{item.name}'",
                    remedy="Rename one, or uninstall one of the packages",
                )
            found[item.name] = item, provider
    return MappingProxyType({name: item for name, (item, _) in found.items()})


def _modules() -> Iterator[str]:
    seen = dict.fromkeys(point.value for point in sorted(entry_points(group=GROUP), key=lambda p: p.value))
    if BUILTIN not in seen and find_spec(BUILTIN) is not None:
        seen = {BUILTIN: None, **seen}
    yield from sorted(seen, key=lambda module: module != BUILTIN)


def find_encoding(encoding: str | Encoding) -> Encoding:
    """An encoding by name, with cuts after plus signs (``triangle+tj+krelu3``); an :class:`Encoding` is itself."""
    if isinstance(encoding, Encoding):
        return encoding
    known = encodings()
    name, *families = encoding.split("+")
    if name not in known:
        listed = ", ".join(known) or "none (pip install -e . in the checkout)"
        raise InputError(f"unknown encoding '{name}'", remedy=f"Known encodings: {listed}")
    found = known[name]
    for family in families:
        found = found + find_cut(family)
    return found


def find_cut(text: str) -> Cut:
    """A family of cuts by its text, such as ``krelu3`` or ``krelu3:crown``."""
    name, colon, parameters = text.partition(":")
    if name not in cuts():
        raise InputError(f"unknown cut '{name}'", remedy=f"Known cuts: {', '.join(cuts())}")
    return cuts()[name].parse(parameters) if colon else cuts()[name]
