"""What a search did so far: parts and closed ones by depth, the mass that is closed, what was split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.search.parts.batch import Branches, Parts

Depths = Mapping[int, int] | list[int]
Splits = Mapping[tuple[Node, int], int] | list[tuple[Node, int]]


@final
@dataclass
class Census:
    """Counts. ``roots`` parts were there at the beginning and have depth 0.

    The closed *mass* is the sum of ``2^-depth / roots`` over what is closed, exactly: the only figure of progress that
    means the same at every moment.
    """

    roots: int = 1
    seen: Counter[int] = field(default_factory=Counter)
    closed: Counter[int] = field(default_factory=Counter)
    splits: Counter[tuple[Node, int]] = field(default_factory=Counter)

    def bounded(self, parts: Parts) -> None:
        _add(self.seen, parts.depth)

    def close(self, depth: Array) -> None:
        _add(self.closed, depth)

    def split(self, branches: Branches) -> None:
        for place, element in zip(branches.place.tolist(), branches.element.tolist(), strict=True):
            self.splits[branches.places[place], element] += 1

    def merge(self, seen: Depths, closed: Depths, splits: Splits) -> None:
        """What was done elsewhere, or before: counts, or what is to be counted."""
        self.seen.update(seen)
        self.closed.update(closed)
        self.splits.update(splits)

    @property
    def nodes(self) -> int:
        """How many parts were bounded: the nodes of the search's tree."""
        return sum(self.seen.values())

    @property
    def mass(self) -> Fraction:
        """The closed mass."""
        return sum((Fraction(n, 2**d) for d, n in self.closed.items()), start=Fraction(0)) / self.roots


def _add(counter: Counter[int], depth: Array) -> None:
    for d, n in enumerate(np.bincount(depth)) if len(depth) else ():
        if n:
            counter[d] += int(n)
