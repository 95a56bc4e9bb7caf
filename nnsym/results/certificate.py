"""A certificate as a result carries it: the very bytes that the checker accepted."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, final

from nnsym.ir.words import count_of
from nnsym.results.files import path_of
from nnsym.results.saved import write_file


class Lack(StrEnum):
    """Why a verdict has no certificate, by kind: a reason is one of these, a colon, and what there is to say of it."""

    NO_VERDICT = "no verdict"
    NO_TIME = "no time"
    NOT_COVERED = "not covered"
    NOT_PROVED = "no proof found"
    NOT_ACCEPTED = "not accepted"
    NOT_ASKED = "not asked for"
    NOT_AT_HAND = "not at hand"
    OTHER_CLAIM = "another claim"
    NOT_READ = "not readable"

    def said(self, detail: str) -> str:
        """The reason."""
        return f"{self}: {detail}"

    @staticmethod
    def of(reason: str) -> str:
        """The kind of a reason."""
        return reason.partition(":")[0]


#: The fields of a certificate that say what it proves; the others prove it.
_STATEMENT = ("claim", "networks", "property", "semantics")


def stated(content: Mapping[str, Any]) -> str:
    """The digest of a certificate's statement, which a saved result keeps with its property."""
    said = {name: content[name] for name in _STATEMENT if name in content}
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@final
@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Certificate:
    """``data`` is a file of the format ``nnsym-cert/1``, as it was accepted (docs/certificates.md).

    ``claim`` is ``unsat`` (no point satisfies the property's assertions: a ``forall`` holds, an ``exists`` does not) or
    ``sat`` (the point in it does). ``semantics`` is ``real``, or the type of floats whose runs it also speaks of.
    ``checked_by`` names the checker and its engine, ``check_seconds`` what it took, ``prove_seconds`` what finding it
    took beside the verdict itself. ``least`` is the least value of its ``leaves``, infinite for a point.
    """

    data: bytes
    claim: str
    semantics: str
    checked_by: str
    leaves: int
    least: float
    check_seconds: float
    prove_seconds: float

    @property
    def sha256(self) -> str:
        """The digest of its bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def stated(self) -> str:
        """The digest of what it states (:func:`stated`)."""
        return stated(json.loads(self.data))

    def summary(self) -> dict[str, Any]:
        """What a record says of it; the bytes are in a file of their own."""
        return {
            "sha256": self.sha256,
            "claim": self.claim,
            "semantics": self.semantics,
            "checked_by": self.checked_by,
            "leaves": self.leaves,
            "least": self.least if math.isfinite(self.least) else None,
            "bytes": len(self.data),
            "check_seconds": round(self.check_seconds, 6),
            "prove_seconds": round(self.prove_seconds, 6),
        }

    def save(self, path: str | Path) -> Path:
        """Write it, gzipped where the name ends in ``.gz``; raises :class:`InputError` where that fails."""
        target = path_of(path)
        packed = gzip.compress(self.data, mtime=0) if target.suffix == ".gz" else self.data
        return write_file(target, packed)

    def __repr__(self) -> str:
        """One line: the claim, its size, who checked it."""
        leaves = f"{count_of(self.leaves, 'leaf', 'leaves')}, " if self.claim == "unsat" else ""
        size = f"{leaves}{len(self.data)} bytes"
        return f"<certificate: {self.claim}, {self.semantics}; {size}; accepted by {self.checked_by}>"
