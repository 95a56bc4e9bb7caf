"""What a certificate claims: networks, the property's text, and the files that a checker reads them from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias, final

import numpy as np

from nnsym.certify.statement import written
from nnsym.check.vnnlib import read_property
from nnsym.ir.array import Array
from nnsym.ir.evaluate import evaluate
from nnsym.ir.exact import to_fractions
from nnsym.ir.network import Network
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.ir.stated import source_of

Point: TypeAlias = Callable[[Mapping[str, Array]], dict[str, list[Fraction]]]


@final
@dataclass(frozen=True, eq=False)
class Theorem:
    """The head of a certificate and the contents of its files by their hashes.

    ``point`` makes of a point, by the names of the query's inputs, one by the names that the property's text declares.
    """

    head: Mapping[str, Any]
    files: Mapping[str, bytes]
    point: Point

    def certificate(self, **parts: Any) -> dict[str, Any]:
        """The head with a claim, names, a tree or a point."""
        return {**self.head, **parts}


def theorem(query: Query) -> Theorem:
    """What is to be proved, or refuted, of a query.

    A query that was read from a VNN-LIB file is claimed in that file's words, about its networks' files. Any other is
    written as one graph, in which the networks' files are applied, and a text about its outputs
    (:mod:`nnsym.certify.statement`).

    Raises :class:`UnsupportedError` for what the format cannot say.
    """
    text = source_of(query)
    applied = [a.network for a in query.applications]
    if text is not None and applied and all(f.model is not None for f in applied):
        stated = read_property(text)
        own = [(n.name or f.name, f) for n, f in zip(stated.networks, applied, strict=True) if not n.equal]
        return _theorem(text, [_file(*pair) for pair in own], applied, _Own(query, stated.flat))
    graph, text, applied, called = written(query)
    entries = [{"name": "query", "graph": graph}, *(_file(f.name, f) for f in applied)]
    return _theorem(text, entries, applied, _Renamed(called))


def _theorem(text: str, entries: Sequence[Any], networks: Sequence[Network], point: Point) -> Theorem:
    stated = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "vnnlib": text}
    head = {"format": "nnsym-cert/1", "networks": list(entries), "property": stated}
    return Theorem(head, {f.hash: bytes(f.model) for f in networks if f.model is not None}, point)


@final
@dataclass(frozen=True, eq=False)
class _Renamed:
    """A point of a text that was written here."""

    called: Mapping[str, str]

    def __call__(self, point: Mapping[str, Array]) -> dict[str, list[Fraction]]:
        return {self.called[name]: exactly(values) for name, values in point.items()}


@final
@dataclass(frozen=True, eq=False)
class _Own:
    """A point of the user's text: of version 1.0 all inputs are ``X``, of 2.0 they are what it declares."""

    query: Query
    flat: bool

    def __call__(self, point: Mapping[str, Array]) -> dict[str, list[Fraction]]:
        if self.flat:
            return {"X": [v for x in self.query.inputs for v in exactly(point[x.name])]}
        given: dict[Node, Array] = {x: to_fractions(np.array(exactly(point[x.name]))) for x in self.query.inputs}
        declared = [d for d in self.query.declared if d.kind == "input"]
        values = evaluate([d.node for d in declared], given)
        return {d.name: list(values[d.node]) for d in declared}


def exactly(values: Array) -> list[Fraction]:
    """The numbers of an array as they are."""
    return [Fraction(v) for v in np.asarray(values).ravel().tolist()]


def _file(name: str, network: Network) -> dict[str, str]:
    """The entry of a network that the property, or a graph, calls by a name."""
    return {"name": name, "sha256": network.hash, "file": f"{network.name}.onnx"}
