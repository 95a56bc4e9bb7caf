"""What a certificate claims: networks, the property's text, and the files that a checker reads them from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from nnsym.certify.statement import written
from nnsym.ir.network import Network
from nnsym.ir.query import Query
from nnsym.ir.stated import source_of


@final
@dataclass(frozen=True, eq=False)
class Theorem:
    """The head of a certificate and the contents of its files by their hashes.

    ``own`` says that the property's text is the file that the user gave, not one that was written here.
    """

    head: Mapping[str, Any]
    files: Mapping[str, bytes]
    own: bool

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
        entries, files = [_file(f) for f in applied], {f.hash: bytes(f.model) for f in applied if f.model is not None}
    else:
        graph, text, applied = written(query)
        entries = [{"name": "query", "graph": graph}, *(_file(f) for f in applied)]
        files = {f.hash: bytes(f.model) for f in applied if f.model is not None}
    stated = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "vnnlib": text}
    head = {"format": "nnsym-cert/1", "networks": entries, "property": stated}
    return Theorem(head, files, text is not None and "graph" not in entries[0])


def _file(network: Network) -> dict[str, str]:
    return {"name": network.name, "sha256": network.hash, "file": f"{network.name}.onnx"}
