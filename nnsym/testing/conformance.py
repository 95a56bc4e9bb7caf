"""What all kits have in common: what they raise, whatever they judge, and how they say what they did not ask.

A test that passes because it was skipped is worth nothing unnoticed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from textwrap import fill
from typing import Self

import numpy as np

from nnsym.encode.point import exact_margin
from nnsym.ir.array import Array
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import OracleAnswer

_NO_COLUMNS = np.zeros(0, dtype=int)


class ConformanceError(AssertionError):
    """A guest breaks a rule of its door; the message says where, with the numbers that show it.

    ``columns`` are those of the row that a run of the network violates, empty where it is something else.
    """

    def __init__(self, message: str, columns: Array = _NO_COLUMNS) -> None:
        super().__init__(message)
        self.columns = columns


@dataclass(frozen=True, kw_only=True)
class Conformance:
    """What a kit did: its counts, and what was ``skipped``, each with the reason."""

    skipped: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        counts = [f"{value} {name}" for name, value in vars(self).items() if isinstance(value, int)]
        return ", ".join([*counts, f"{len(self.skipped)} skipped"])

    def skip(self, name: str, reason: str) -> Self:
        """The same with one thing more that was skipped; what was skipped already is not listed again."""
        return self if (name, reason) in self.skipped else replace(self, skipped=(*self.skipped, (name, reason)))

    def say(self, kit: str) -> None:
        """Print what was skipped on stderr, a paragraph a reason."""
        by_reason: dict[str, list[str]] = {}
        for name, reason in self.skipped:
            by_reason.setdefault(reason, []).append(name)
        for reason, names in by_reason.items():
            said = f"{kit} skipped {', '.join(names)}: {reason}"
            sys.stderr.write(fill(said, width=80, subsequent_indent="    ", break_on_hyphens=False) + "\n")


def reached(query: Query, least: OracleAnswer) -> bool:
    """True if the least margin is that of the oracle's point, and not just a limit at a jump."""
    return least.point is not None and exact_margin(query, query.values(least.point, exact=True)) == least.margin
