"""Counts of classes under noise, drawn so that nothing but the seed, the point and the number of samples matters.

Sample ``i`` of a purpose is a function of (seed, point, purpose, i): blocks of samples come from counter-based streams
(Philox; Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011), a block's number being the counter, so how
many are drawn at once changes no count, and samples that select a class are never those that judge it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import final

import numpy as np

from nnsym.evidence.noise import Noise
from nnsym.ir.array import Array

#: The class of every row of points ``(count, size)``.
Classify = Callable[[Array], Array]

#: Numbers of a block, and its most samples. A block is run at once where nobody says otherwise.
_BLOCK, _MOST = 2**17, 4096


class Purpose(IntEnum):
    """What samples are for: no two purposes share any."""

    SELECT = 0
    JUDGE = 1
    SECOND = 2


def block_of(size: int) -> int:
    """Samples in a block, for an input of so many elements."""
    return max(1, min(_MOST, _BLOCK // size))


def digest_of(point: Array) -> str:
    """A name of a point's content: its elements as float64."""
    return hashlib.blake2b(np.ascontiguousarray(point, dtype="<f8").tobytes(), digest_size=8).hexdigest()


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Draws:
    """The samples of one noise round one float64 ``point``."""

    noise: Noise
    point: Array
    seed: int
    purpose: Purpose

    @property
    def block(self) -> int:
        """Samples in a block, whatever the number of them that is run at once."""
        return block_of(self.point.size)

    def batches(self, start: int, stop: int, batch: int = 0) -> Iterator[Array]:
        """Noise of the samples ``start`` to ``stop``, at most ``batch`` rows at a time."""
        at_once = batch or self.block
        held: dict[int, Array] = {}
        while start < stop:
            end = min(stop, start + at_once)
            first, last = start // self.block, (end - 1) // self.block
            held = {k: held[k] if k in held else self._drawn(k) for k in range(first, last + 1)}
            rows = np.concatenate(list(held.values())) if len(held) > 1 else held[first]
            yield rows[start - first * self.block : end - first * self.block]
            start = end

    def _drawn(self, number: int) -> Array:
        key = [self.seed, int(digest_of(self.point), 16)]
        source = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, number, int(self.purpose)]))
        return self.noise.draw(source, self.block, self.point.size)

    def classes(self, classify: Classify, start: int, stop: int, batch: int = 0) -> Iterator[tuple[Array, Array]]:
        """Noise and the classes of the noisy points, in turn."""
        for noise in self.batches(start, stop, batch):
            yield noise, classify(self.noise.added(self.point, noise))
