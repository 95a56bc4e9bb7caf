"""Open neurons over the box of what feeds them: ``h = W x + b``, ``x`` in ``[L, U]``, and rows that hold there.

A row is written for stored float coefficients c, whatever formula they came from:

    sign y - a h - c x - p z <= q

with ``sign y - a h = max(0, rise h)``, ``rise = b - a``. On the passive side the left-hand side is ``-c x - p z``, on
the active one ``(rise W - c) x + rise b - p z``: linear over a box, so its largest value is a sum. Both are rounded
up, and q (and p) are made of them: the row holds in exact arithmetic, and is tight where the formula is
(docs/numerics.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.ir.outward import dot_up, gamma, sum_up
from nnsym.program import RowBlock, Tag
from nnsym.separation.scene import Layer, Scene

Array = NDArray[Any]

#: Entries of one dense block of weights: 32 MB.
_ENTRIES = 2**22


@final
@dataclass(frozen=True, eq=False)
class BoxNeurons:
    """Some open hinges of a layer (numbers ``k`` into ``layer.hinges``) over columns ``x``.

    ``W`` is ``(m, n)``; ``least`` and ``most`` are the ends of each x that make ``W x`` small and large; ``live`` marks
    weights that matter. ``rise`` is ``b - a`` of the hinge, rounded to nearest.
    """

    layer: Layer
    k: Array
    x: Array
    W: Array
    b: Array
    lower: Array
    upper: Array

    @property
    def live(self) -> Array:
        return np.asarray((self.W != 0) & (self.upper > self.lower))

    @property
    def least(self) -> Array:
        return np.where(self.W >= 0, self.lower, self.upper)

    @property
    def most(self) -> Array:
        return np.where(self.W >= 0, self.upper, self.lower)

    @property
    def rise(self) -> Array:
        return np.asarray((self.layer.hinges.b - self.layer.hinges.a)[self.k])

    def take(self, some: Array) -> BoxNeurons:
        """The neurons ``some``."""
        return BoxNeurons(self.layer, self.k[some], self.x, self.W[some], self.b[some], self.lower, self.upper)

    def passive(self, c: Array) -> Array:
        """A float64 not below ``max over the box of -c x``."""
        return dot_up(-c, np.where(c < 0, self.upper, self.lower))

    def active(self, c: Array) -> Array:
        """A float64 not below ``max over the box of (rise W - c) x + rise b``.

        ``rise W`` and the difference each round once, and so does rise: ``slip`` is what that may move per unit of x.
        """
        scaled = self.rise[:, None] * self.W
        d = scaled - c
        slip = gamma(4) * (np.abs(scaled) + np.abs(c))
        size = np.maximum(np.abs(self.lower), np.abs(self.upper))
        offset = self.rise * self.b
        offset = offset + gamma(4) * np.abs(offset)
        peak = dot_up(d, np.where(d > 0, self.upper, self.lower))
        return sum_up(sum_up(peak, dot_up(slip, size)), np.nextafter(offset, np.inf))

    def activation(self, point: Array) -> Array:
        """``sign y - a h`` at a point of the program."""
        o = self.layer.hinges
        return np.asarray(o.sign[self.k] * point[o.y[self.k]] - o.a[self.k] * point[o.h[self.k]])

    def rows(self, c: Array, q: Array, says: str, *, z: Array | None = None, p: Array | float = 0.0) -> RowBlock:
        """``sign y - a h - c x - p z <= q``."""
        o, m = self.layer.hinges, len(self.k)
        data = [o.sign[self.k, None], -o.a[self.k, None], -c]
        columns = [o.y[self.k, None], o.h[self.k, None], np.broadcast_to(self.x, (m, len(self.x)))]
        if z is not None:
            data.append(-np.broadcast_to(p, (m,))[:, None])
            columns.append(z[:, None])
        entries, ids = np.concatenate(data, axis=1), np.concatenate(columns, axis=1)
        kept = entries != 0
        pointers = np.concatenate(([0], np.cumsum(kept.sum(axis=1))))
        lower, origin = np.full(m, -np.inf), f"{self.layer.name}: {says}"
        return RowBlock(entries[kept], ids[kept], pointers, lower, q, Tag.CUT, origin)


def box_neurons(scene: Scene) -> Iterator[BoxNeurons]:
    """The open hinges with a definition over bounded columns, in blocks of limited size."""
    for layer in scene.layers:
        known = np.flatnonzero(scene.definitions[layer.hinges.h] >= 0)
        entries = len(known) * len(scene.feeders(layer.hinges.h[known]))
        for some in np.array_split(known, 1 + entries // _ENTRIES):
            if not len(some):
                continue
            x, W, b = scene.weights(layer.hinges.h[some])
            lower, upper = scene.program.lower[x], scene.program.upper[x]
            open_ended = ~(np.isfinite(lower) & np.isfinite(upper))
            kept = ~(W[:, open_ended] != 0).any(axis=1)
            found = BoxNeurons(layer, some, x, W, b, np.where(open_ended, 0.0, lower), np.where(open_ended, 0.0, upper))
            yield found.take(np.flatnonzero(kept))


def violated(excess: Array, c: Array, tolerance: float) -> Array:
    """Which rows with coefficients ``c`` (and 1 for y) a point violates by more than ``tolerance`` times their norm."""
    return np.flatnonzero(excess > tolerance * np.sqrt(1.0 + (c * c).sum(axis=1)))
