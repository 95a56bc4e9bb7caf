"""Where a query can be split, and at which points: inputs, and the arguments of its nonlinear nodes.

A hinge is split where its lines meet, a piecewise function at a breakpoint, anything else (sigmoids, products, members
of maxima, inputs) in the middle of its range. An element at which nothing is left to split is not *open*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.kept.types import Limit
from nnsym.ir.array import Array
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge, Piecewise


@final
@dataclass(frozen=True, eq=False)
class Place:
    """A node whose elements can be split.

    ``breaks`` ``(size, count)`` are the points at which something bends, NaN where an element has fewer; ``curved``
    ``(size,)`` is true where it is worth splitting between them too. ``height`` counts the places behind it.
    """

    node: Node
    breaks: Array
    curved: Array
    height: int

    @property
    def integer(self) -> Array:
        return self.node.integer if isinstance(self.node, Input) else np.zeros(self.node.size, dtype=bool)

    def points(self, limit: Limit) -> Array:
        """Where each element would be split, ``(batch, size)``; NaN where it is not open."""
        low, high = limit.lower, limit.upper
        with np.errstate(invalid="ignore"):
            middle = np.where(np.isinf(low) | np.isinf(high), np.clip(0.0, low, high), low + (high - low) / 2)
        chosen = np.where(self.curved & (low < middle) & (middle < high), middle, np.nan)
        if self.integer.any():  # the children are v <= floor and v >= floor + 1
            chosen = np.where(self.integer, np.where(np.floor(high) > np.ceil(low), np.floor(middle), np.nan), chosen)
        away = np.full(middle.shape, np.inf)
        for k in range(self.breaks.shape[1]):
            at = self.breaks[:, k]
            better = (low < at) & (at < high) & (np.abs(at - middle) < away)
            away, chosen = np.where(better, np.abs(at - middle), away), np.where(better, at, chosen)
        return np.asarray(chosen)


def places(query: Query) -> tuple[Place, ...]:
    """All places of a query, inputs first, then in the order of the graph."""
    found: dict[Node, list[Node]] = {}
    for node in query.nodes:
        if isinstance(node, (Pointwise, Max, Product)):
            for parent in node.parents:
                if not isinstance(parent, Input) and not (isinstance(parent, Affine) and not parent.maps):
                    found.setdefault(parent, []).append(node)
    for x in query.inputs:
        found[x] = [node for node in query.nodes if isinstance(node, Pointwise) and node.parents[0] is x]
    order = [*query.inputs, *(node for node in query.nodes if node in found and not isinstance(node, Input))]
    return tuple(_place(node, found[node], len(order) - 1 - k) for k, node in enumerate(order))


def _place(node: Node, users: list[Node], height: int) -> Place:
    breaks, curved = [np.full((node.size, 1), np.nan)], np.full(node.size, isinstance(node, Input))
    for user in users:
        match user:
            case Pointwise(fn=Hinge() as fn):
                left, right = fn.slopes(node.size)
                breaks.append(np.where(left != right, 0.0, np.nan)[:, None])
            case Pointwise(fn=Piecewise() as fn):
                breaks.append(np.broadcast_to(fn.breaks, (node.size, fn.breaks.shape[1])))
            case Max():
                curved[np.unique(user.groups[user.groups >= 0])] = True
            case _:
                curved[:] = True
    return Place(node, np.concatenate(breaks, axis=1), curved, height)


def count_open(found: Sequence[Place], ranges: Mapping[Node, Limit]) -> Array:
    """How many hidden elements are open in each part, ``(batch,)``."""
    hidden = [place for place in found if place.node in ranges and not isinstance(place.node, Input)]
    counts = [np.count_nonzero(~np.isnan(place.points(ranges[place.node])), axis=1) for place in hidden]
    return np.asarray(np.sum(counts or np.zeros((1, 1), dtype=np.int64), axis=0))
