"""Where encodings come from: the entry points ``nnsym.encodings`` of all installed packages.

An entry point names a module with ``ENCODINGS``, a tuple of :class:`nnsym.encoding.Encoding`. The encodings in
this repository are found the same way, and by name in a checkout that is not installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import MappingProxyType

from nnsym.encoding import Encoding
from nnsym.errors import InputError

GROUP, BUILTIN = "nnsym.encodings", "nnsym_encodings"


@cache
def encodings() -> Mapping[str, Encoding]:
    """Every encoding at hand by name, in order of provider and then of its own list.

    Raises:
        InputError: two providers offer the same name.
    """
    return collect({module: import_module(module).ENCODINGS for module in _modules()})


def collect(providers: Mapping[str, tuple[Encoding, ...]]) -> Mapping[str, Encoding]:
    """One table from the lists of all providers; names are unique."""
    found: dict[str, tuple[Encoding, str]] = {}
    for provider, offered in providers.items():
        for encoding in offered:
            if encoding.name in found:
                raise InputError(
                    f"offered by both '{found[encoding.name][1]}' and '{provider}'",
                    where=f"encoding '{encoding.name}'",
                    remedy="Rename one, or uninstall one of the packages",
                )
            found[encoding.name] = encoding, provider
    return MappingProxyType({name: encoding for name, (encoding, _) in found.items()})


def _modules() -> Iterator[str]:
    seen = dict.fromkeys(point.value for point in sorted(entry_points(group=GROUP), key=lambda p: p.value))
    if BUILTIN not in seen and find_spec(BUILTIN) is not None:
        seen = {BUILTIN: None, **seen}
    yield from sorted(seen, key=lambda module: module != BUILTIN)


def find_encoding(encoding: str | Encoding) -> Encoding:
    """An encoding by name; an :class:`Encoding` is itself."""
    if isinstance(encoding, Encoding):
        return encoding
    known = encodings()
    if encoding not in known:
        listed = ", ".join(known) or "none (pip install -e . in the checkout)"
        raise InputError(f"unknown encoding '{encoding}'", remedy=f"Known encodings: {listed}")
    return known[encoding]
