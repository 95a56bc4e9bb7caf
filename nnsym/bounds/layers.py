"""What bounds say of layers: which elements they leave open, and how wide they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.ir.array import Array
from nnsym.ir.functions.pieces import cells
from nnsym.ir.names import node_names
from nnsym.ir.node import Max, Node, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge, Piecewise


def open_elements(bounds: Bounds, node: Node) -> Array:
    """Which elements of a node the bounds leave open, ``(size,)`` of bool.

    For an activation of two lines those with ``l < 0 < u`` of its argument, for one of several those with more than one
    cell (:mod:`nnsym.ir.functions.pieces`); for a maximum the groups that more than one member may win. Smooth
    functions and products have no cases.
    """
    match node:
        case Pointwise(fn=Hinge() as fn):
            interval = bounds[node.parents[0]]
            left, right = fn.slopes(node.size)
            return np.asarray((interval.lower < 0) & (interval.upper > 0) & (left != right))
        case Pointwise(fn=Piecewise() as fn):
            interval = bounds[node.parents[0]]
            return cells(fn, interval.lower, interval.upper).count > 1
        case Max():
            interval = bounds[node.parents[0]]
            real = node.groups >= 0
            low = np.where(real, interval.lower[..., node.groups], -np.inf)
            high = np.where(real, interval.upper[..., node.groups], -np.inf)
            best = low.argmax(axis=-1)[..., None]
            rivals = high > low.max(axis=-1, keepdims=True)
            np.put_along_axis(rivals, best, False, axis=-1)
            return np.asarray(rivals.any(axis=-1))
    return np.zeros(node.size, dtype=bool)


@final
@dataclass(frozen=True, kw_only=True)
class Layer:
    """One activation layer: its name, elements, open elements, and the mean width of its argument's bounds."""

    name: str
    size: int
    unstable: int
    mean_width: float


@np.errstate(over="ignore", invalid="ignore")  # the width of a layer may be beyond floats
def layers(query: Query, bounds: Bounds) -> tuple[Layer, ...]:
    """The activation layers of a query in topological order (bounds of a single domain)."""
    found = []
    for node, name in node_names(query.nodes).items():
        if isinstance(node, (Pointwise, Max, Product)):
            width = np.mean([np.mean(bounds[p].upper - bounds[p].lower) for p in node.parents])
            count = int(open_elements(bounds, node).sum())
            found.append(Layer(name=name, size=node.size, unstable=count, mean_width=float(width)))
    return tuple(found)
