"""Which open parts come next.

A frontier keeps batches as they come; what is taken out of one leaves the others where they are. ``least`` is at every
moment a lower bound of the margin on all that it holds.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from nnsym.ir.array import Array
from nnsym.search.parts.batch import Parts

#: The share of a process's memory that open parts may take.
OPEN = 0.5


class Frontier(ABC):
    """Open parts, held to ``memory`` bytes: beyond them what only saves work is dropped, oldest first."""

    text: ClassVar[str]
    summary: ClassVar[str] = ""

    def __init__(self, memory: float = np.inf) -> None:
        self.memory = memory
        self.blocks: list[Parts] = []
        self.bytes = 0
        self._stripped = 0  # so many of the first blocks are bare already

    def __len__(self) -> int:
        return sum(len(block) for block in self.blocks)

    def push(self, parts: Parts) -> None:
        """Add a batch."""
        if not len(parts):
            return
        self.blocks.append(parts)
        self.bytes += parts.nbytes
        while self.bytes > self.memory and self._stripped < len(self.blocks):
            block = self.blocks[self._stripped]
            self.blocks[self._stripped] = block.bare()
            self.bytes -= block.nbytes - self.blocks[self._stripped].nbytes
            self._stripped += 1

    @property
    def full(self) -> bool:
        """True if not even the bare parts fit."""
        return self.bytes > self.memory

    def least(self) -> float:
        """The least bound of all that is open; +inf where nothing is."""
        return min((float(block.least.min(initial=np.inf)) for block in self.blocks), default=np.inf)

    def share(self, shares: int) -> Parts:
        """One of so many shares of what is open, which are alike: of all depths each has as many."""
        order = np.argsort(np.concatenate([block.depth for block in self.blocks]), kind="stable")
        return self._taken(order[::shares])

    def _least(self, keys: Sequence[Array], count: int) -> Parts:
        """So many parts with the least keys, of the arrays of all blocks."""
        return self._taken(np.argsort(np.concatenate(keys), kind="stable")[:count])

    def _taken(self, chosen: Array) -> Parts:
        """The parts with these numbers among those of all blocks."""
        owner = np.repeat(np.arange(len(self.blocks)), [len(block) for block in self.blocks])
        place = np.concatenate([np.arange(len(block)) for block in self.blocks])
        taken = [self._pull(int(k), np.sort(place[chosen[owner[chosen] == k]])) for k in np.unique(owner[chosen])]
        self._drop_empty()
        return Parts.concatenate(taken)

    @abstractmethod
    def take(self, count: int) -> Parts:
        """So many parts, or all there are."""

    def _pull(self, number: int, index: Array) -> Parts:
        """Some of one batch; the batch keeps the others."""
        block = self.blocks[number]
        rest = np.ones(len(block), dtype=bool)
        rest[index] = False
        self.bytes -= block.nbytes
        kept = block.take(np.flatnonzero(rest))
        self.blocks[number] = kept
        self.bytes += kept.nbytes
        return block.take(index)

    def _drop_empty(self) -> None:
        self._stripped = sum(1 for block in self.blocks[: self._stripped] if len(block))
        self.blocks = [block for block in self.blocks if len(block)]


class DepthFirst(Frontier):
    """The last batch first, and in it what is nearest to being ruled out: few parts are open at a time."""

    text = "depth"
    summary = "the newest first, of these the one that is nearest to being ruled out"

    def push(self, parts: Parts) -> None:
        super().push(parts.take(np.argsort(parts.least, kind="stable")) if len(parts) else parts)

    def take(self, count: int) -> Parts:
        taken: list[Parts] = []
        while self.blocks and count > 0:
            size = len(self.blocks[-1])
            taken.append(self._pull(len(self.blocks) - 1, np.arange(max(0, size - count), size)))
            count -= len(taken[-1])
            self._drop_empty()
        return Parts.concatenate(taken)


class BestFirst(Frontier):
    """The least bounds first: the certified bound of the whole grows fastest, and memory with it."""

    text = "best"
    summary = "the least bound first"

    def take(self, count: int) -> Parts:
        return self._least([block.least for block in self.blocks], count)


#: The frontiers by name.
FRONTIERS: Mapping[str, type[Frontier]] = {kind.text: kind for kind in (DepthFirst, BestFirst)}
