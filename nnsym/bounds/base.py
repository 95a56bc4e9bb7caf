"""Bounds of every node of a query, with what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.node import Node

#: Why a source stopped early.
TIMEOUT, MEMORY = "timeout", "memory"


_WRITTEN = 8


@final
@dataclass(frozen=True, eq=False, repr=False)
class Interval:
    """``lower <= value <= upper`` elementwise, float64, sound in exact arithmetic.

    Arrays have shape ``(size,)``, or ``(batch, size)`` for a batch of domains. ``source`` names the method
    whose bound was tightest (``ibp``, ``crown``, ``assumed`` ...).
    """

    lower: Array
    upper: Array
    source: str

    def __repr__(self) -> str:
        """The elements of a short one, the size and the widest of a long one."""
        low, high = self.lower.ravel(), self.upper.ravel()
        if len(low) <= _WRITTEN:
            shown = " ".join(f"[{a:.6g}, {b:.6g}]" for a, b in zip(low, high, strict=True))
            return f"<interval by {self.source}: {shown}>"
        return f"<interval by {self.source}: {len(low)} elements, widths up to {float((high - low).max()):.6g}>"

    def intersect(self, other: Interval) -> Interval:
        """Both at once; the source is this one's if it is nowhere looser, else both names."""
        lower, upper = np.maximum(self.lower, other.lower), np.minimum(self.upper, other.upper)
        kept = bool((lower == self.lower).all() and (upper == self.upper).all())
        return Interval(lower, upper, self.source if kept else other.source)


@final
@dataclass(frozen=True, eq=False)
class Bounds:
    """An interval for every node of a query, and one for its specification rows.

    ``trace`` is the margin's lower bound after each step of an optimisation of the rows, the start first.
    ``differences`` bound ``a - b`` for pairs of nodes ``(a, b)`` of two runs that the query compares.
    ``ended`` says why a source stopped early, ``timeout`` or ``memory``: what it did not get to has the intervals that
    were known by then, infinite ones where there were none.
    """

    method: str
    nodes: Mapping[Node, Interval]
    rows: Interval
    seconds: float = 0.0
    device: str = "cpu"
    trace: tuple[float, ...] = ()
    differences: Mapping[tuple[Node, Node], Interval] = field(default_factory=dict)
    ended: str = ""

    def __getitem__(self, node: Node) -> Interval:
        return self.nodes[node]

    def meet(self, other: Bounds) -> Bounds:
        """What both say of every node and row; the seconds add up."""
        return replace(
            self,
            nodes={n: i.intersect(other[n]) for n, i in self.nodes.items()},
            rows=self.rows.intersect(other.rows),
            seconds=self.seconds + other.seconds,
            ended=self.ended or other.ended,
        )

    def box(self, index: int) -> Bounds:
        """The bounds of one domain of a batch."""

        def pick(interval: Interval) -> Interval:
            return Interval(interval.lower[index], interval.upper[index], interval.source)

        return Bounds(
            self.method,
            {n: pick(i) for n, i in self.nodes.items()},
            pick(self.rows),
            self.seconds,
            self.device,
            differences={pair: pick(i) for pair, i in self.differences.items()},
            ended=self.ended,
        )
