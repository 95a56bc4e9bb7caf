"""What all steps of one search share, and a batch of parts with what was found of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from nnsym.bounds.kept.types import BatchBounds
from nnsym.ir.array import Array
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.search.goal import Goal
from nnsym.search.parts.batch import Parts
from nnsym.search.parts.places import Place, places
from nnsym.search.parts.targets import Target, Worth
from nnsym.search.sensitivity import sensitivities
from nnsym.search.strategy import Strategy


@final
@dataclass(frozen=True, eq=False)
class SearchProblem:
    """One query, its targets, what the search is for and how it goes about it. Nothing here changes."""

    query: Query
    targets: Sequence[Target]
    goal: Goal
    strategy: Strategy

    @cached_property
    def worth(self) -> Worth:
        """Targets' bounds from those of rows."""
        return Worth(self.targets, len(self.query.rows))

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Where something can be split."""
        return places(self.query)

    @cached_property
    def counts(self) -> Mapping[Input, Array]:
        """How much a unit of each input counts."""
        return sensitivities(self.query)

    @cached_property
    def height(self) -> Mapping[Node, int]:
        """How many places come after a node."""
        return {place.node: place.height for place in self.places}

    @cached_property
    def hard(self) -> bool:
        """True if some target has a precondition."""
        return bool(self.worth.hard.any())

    @property
    def threshold(self) -> float:
        """What an ascent aims at."""
        return self.goal.threshold if np.isfinite(self.goal.threshold) else 0.0


@final
@dataclass(frozen=True, eq=False)
class Bounded:
    """A batch that is still open: what was found of it, the rows ``picks`` ``(batch, targets)`` that the bounds rest
    on, and the ``row`` ``(batch,)`` that each part is split by.
    """

    parts: Parts
    found: BatchBounds
    picks: Array
    row: Array

    def __len__(self) -> int:
        return len(self.parts)

    def left(self, parts: Parts, kept: Array) -> Bounded:
        """What is left of the batch: ``parts``, which were those at ``kept``."""
        if len(kept) == len(self):
            return Bounded(parts, self.found, self.picks, self.row)
        return Bounded(parts, self.found.take(kept), self.picks[kept], self.row[kept])
