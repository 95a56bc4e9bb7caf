"""Open neurons over the box of what feeds them: ``h = W x + b``, ``x`` in ``[L, U]``, and rows that hold there.

A row is written for stored float coefficients c, whatever formula they came from:

    sign y - a h - c x - p z <= q

with ``sign y - a h = max(0, rise h)``, ``rise = b - a``. On the passive side the left-hand side is ``-c x - p z``, on
the active one ``(rise W - c) x + rise b - p z``: linear over a box, so its largest value is a sum. Both are rounded
up, and q (and p) are made of them: the row holds in exact arithmetic, and is tight where the formula is
(docs/rounding.md).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.encoding import Cut, Separator
from nnsym.ir.array import Array
from nnsym.ir.linear import row_pointers
from nnsym.ir.outward import dot_up, gamma, sum_up
from nnsym.program import RowBlock, Tag
from nnsym.separation.scene import OpenLayer, Scene

#: Entries of one dense block of weights: 32 MB.
_ENTRIES = 2**22


@final
@dataclass(frozen=True, eq=False)
class BoxNeurons:
    """Some open hinges of a layer (numbers ``k`` into ``layer.hinges``) over columns ``x``.

    ``W`` is ``(m, n)``; ``least`` and ``most`` are the ends of each x that make ``W x`` small and large; ``live`` marks
    weights that matter. ``rise`` is ``b - a`` of the hinge, rounded to nearest.
    """

    layer: OpenLayer
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
        pointers = row_pointers(kept.sum(axis=1))
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


@dataclass(frozen=True, kw_only=True)
class BoxFamily(Cut):
    """A family that picks coefficients of x, for neurons that it picks: its rows hold whatever it picks.

    Without phases ``q`` is the larger one of both sides' maxima; with them ``q`` is the passive side's and ``p`` what
    the active one's has beyond it. ``says`` is the formula that the coefficients come from.
    """

    says: str

    def picked(self, neurons: BoxNeurons) -> BoxNeurons:
        """Those that the family has rows for."""
        return neurons

    @abstractmethod
    def coefficients(self, neurons: BoxNeurons, x: Array, z: Array) -> Array:
        """Coefficients ``(m, n)`` for a point of the program; z has shape ``(m,)``, 0 of a family without phases."""

    def separator(self, scene: Scene) -> Separator:
        neurons = [some for found in box_neurons(scene) for some in self._with_phases(scene, found) if len(some[0].k)]

        def separate(point: Array) -> Iterator[RowBlock]:
            for some, z in neurons:
                at = np.zeros(len(some.k)) if z is None else point[z]
                c, p = self.coefficients(some, point[some.x], at), 0.0 * at
                q = some.passive(c)
                if z is None:
                    q = np.maximum(q, some.active(c))
                else:
                    p = sum_up(some.active(c), -q)
                bad = violated(some.activation(point) - c @ point[some.x] - p * at - q, c, scene.tolerance)
                if len(bad):
                    phases = None if z is None else z[bad]
                    yield some.take(bad).rows(c[bad], q[bad], self.says, z=phases, p=p[bad])

        return separate

    def _with_phases(self, scene: Scene, found: BoxNeurons) -> Iterator[tuple[BoxNeurons, Array | None]]:
        some = self.picked(found)
        if not self.needs_phases:
            yield some, None
            return
        z = scene.phases(some.layer)[some.k]
        yield some.take(np.flatnonzero(z >= 0)), z[z >= 0]


def violated(excess: Array, c: Array, tolerance: float) -> Array:
    """Which rows with coefficients ``c`` (and 1 for y) a point violates by more than ``tolerance`` times their norm."""
    return np.flatnonzero(excess > tolerance * np.sqrt(1.0 + (c * c).sum(axis=1)))
