"""VNN-LIB files of either version: the conjunction of the assertions is the violation of a property.

1.0 is read by :mod:`nnsym.read.vnnlib.version1`, 2.0 by :mod:`nnsym.read.vnnlib.version2.comparisons`. See https://www.vnnlib.org.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.network import Network
from nnsym.ir.query import Query
from nnsym.ir.stated import with_source
from nnsym.read.meter import MEMORY, SECONDS, Meter
from nnsym.read.onnx import load
from nnsym.read.pause import no_collection
from nnsym.read.streams import decompress, read_bytes
from nnsym.read.vnnlib.bulk import LONG
from nnsym.read.vnnlib.bulk import read as read_bulk
from nnsym.read.vnnlib.query import to_query
from nnsym.read.vnnlib.sexpr import Tokens
from nnsym.read.vnnlib.tree import VnnSpec
from nnsym.read.vnnlib.version1 import Parser
from nnsym.results.files import path_of

_VERSION = re.compile(r"\s*\(\s*vnnlib-version\s*<\s*([0-9]+)\.([0-9]+)\s*>")
#: Characters of the longest text that a query keeps.
_KEPT = 2**24

_COMMENTS = re.compile(r"\A(?:\s*;[^\n]*\n)+")


def load_vnnlib(
    source: str | Path | bytes,
    network: Network | str | Path | None = None,
    *,
    networks: Mapping[str, Network | str | Path] | None = None,
    timeout: float = SECONDS,
    memory: int = MEMORY,
    meter: Meter | None = None,
) -> Query:
    """The query of a ``.vnnlib`` or ``.vnnlib.gz`` file (or of its bytes), version 1.0 or 2.0, about its networks.

    ``network``, loaded or a path, is the only one of the file; ``networks`` gives one for each name that a 2.0 file
    declares. The version is what the file's header says. Raises :class:`InputError` with file, line and token for
    anything that cannot be read or does not fit the networks. An empty input region is no error.

    Reading, networks included, may take ``timeout`` seconds and ``memory`` bytes: :class:`OutOfTimeError` and
    :class:`InputError` where that is not enough. ``meter`` is a budget that is running already and stands for both.
    """
    meter = meter or Meter(seconds=timeout, memory=memory)
    text, name = _read(source, meter)
    given = dict(networks or {})
    version = _VERSION.match(_COMMENTS.sub("", text))
    if version is not None:
        if version[1] != "2":
            line = text.count("\n", 0, text.index("vnnlib-version")) + 1
            raise UnsupportedError(
                f"is VNN-LIB {version[1]}.{version[2]}", where=f"{name}, line {line}", remedy="Read are 1.0 and 2.0"
            )
        from nnsym.read.vnnlib.version2.query import read_query  # start: competitions still hold files of 1.0

        return _sourced(read_query(text, name, network, given, meter), text)
    with no_collection() if len(text) >= LONG else contextlib.nullcontext():
        return _sourced(_version1(text, name, network, given, meter), text)


def _sourced(query: Query, text: str) -> Query:
    """The query with its text, which a certificate carries."""
    return with_source(query, text) if len(text) < _KEPT else query


def _version1(
    text: str,
    name: str,
    network: Network | str | Path | None,
    given: Mapping[str, Network | str | Path],
    meter: Meter,
) -> Query:
    bulk = read_bulk(text, name, meter) if len(text) >= LONG else None
    spec = bulk or parse(text, name=name, meter=meter)
    if network is None and len(given) == 1:
        (network,) = given.values()
    if network is None:
        remedy = "Give the network too" if not given else "Give one network"
        raise InputError("a VNN-LIB 1.0 property does not name its network", where=name, remedy=remedy)
    if isinstance(network, (str, Path)):
        network = load(network, meter=meter)
    query = to_query(spec, network, meter) or to_query(parse(text, name=name, meter=meter), network, meter)
    assert query is not None
    return query


def _read(source: str | Path | bytes, meter: Meter) -> tuple[str, str]:
    if isinstance(source, bytes):
        name, data = "VNN-LIB text", decompress(source, "VNN-LIB text", meter.text_bytes, meter)
    else:
        path = path_of(source)
        name, data = path.name, read_bytes(path, meter.text_bytes, meter)
    try:
        return data.decode("utf-8").removeprefix("\ufeff"), name
    except UnicodeDecodeError:
        raise InputError("is not text", where=name, remedy="Give a VNN-LIB file") from None


def parse(text: str, *, name: str = "VNN-LIB text", meter: Meter | None = None) -> VnnSpec:
    """Read the text of a VNN-LIB 1.0 file."""
    meter = meter or Meter()
    return Parser(Tokens.of(text, name, meter), meter).run()
