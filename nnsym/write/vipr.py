"""VIPR 1.0 files of certificates about small ReLU networks, for ``viprchk``.

Each leaf derives ``0 >= 1`` from the rows of ``combinations``, each split of a phase is a case distinction.
Format: Cheung, Gleixner, Steffy, *Verifying Integer Programming Results*, IPCO 2017, and the specification in its
repository.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from nnsym.write.combinations import Combinations, Leaf, Proof, Row, assumption, combinations


def to_vipr(certificate: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
    """The file of a certificate; what it can say, and what it raises, is as in ``combinations``."""
    return "\n".join(_sections(combinations(certificate, files))) + "\n"


class _Derivations:
    """Numbers rows and derivations, in the order in which they are written."""

    def __init__(self, found: Combinations) -> None:
        self.numbers = {key: k for k, key in enumerate(found.names)}
        self.at = {tag: k for k, tag in enumerate(found.rows)}
        self.first, self.lines = len(found.rows), list[str]()
        self.derive(found.proof)

    def said(self, name: str, row: Row) -> str:
        """A row in the constraint format."""
        terms = "".join(f" {self.numbers[key]} {a}" for key, a in row.terms.items())
        return f"{name} {row.sense} {row.limit} {len(row.terms)}{terms}"

    def write(self, row: Row, reason: str) -> int:
        self.lines.append(f"{self.said(f'D{len(self.lines)}', row)} {{ {reason} }} -1")
        return self.first + len(self.lines) - 1

    def derive(self, proof: Proof) -> int:
        """The number of ``0 >= 1`` of a part of the proof."""
        absurd = Row("G", Fraction(1), {})
        if isinstance(proof, Leaf):
            numbered = sorted((self.at[tag], m / proof.limit) for tag, m in proof.factors.items())
            return self.write(absurd, f"lin {len(numbered)} {' '.join(f'{k} {m}' for k, m in numbered)}")
        found = []
        for side, part in enumerate((proof.off, proof.on)):
            assumed = self.write(assumption(proof.binary, side), "asm")
            self.at["assumed", proof.binary[1]] = assumed
            found += [self.derive(part), assumed]
        return self.write(absurd, "uns {} {} {} {}".format(*found))


def _sections(found: Combinations) -> Iterator[str]:
    derived = _Derivations(found)
    whole = [str(k) for k, key in enumerate(found.names) if key[0] == "d"]
    yield "VER 1.0"
    yield f"VAR {len(found.names)}"
    yield " ".join(found.names.values())
    yield f"INT {len(whole)}"
    yield " ".join(whole)
    yield "OBJ min"
    yield "0"
    yield f"CON {len(found.rows)} {found.limits}"
    yield from (derived.said(f"C{k}", row) for k, row in enumerate(found.rows.values()))
    yield "RTP infeas"
    yield "SOL 0"
    yield f"DER {len(derived.lines)}"
    yield from derived.lines
