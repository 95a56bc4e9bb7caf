"""Elements that have no value: a logarithm of what may be 0, and all that is computed from it.

An interval says nothing of them: ``clip(log(x), -3, 1)`` lies in [-3, 1] by every rule, and is no number where x < 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.intervals import Sides
from nnsym.ir.node import Affine, Max, Node, Pointwise, Product
from nnsym.ir.rows import Rows
from nnsym.ir.walk import fold, topological


def absent(roots: Iterable[Node], ranges: Mapping[Node, Sides]) -> dict[Node, Array]:
    """For every node that the roots depend on, which elements may be without a value over ``ranges``, of bool."""

    def rule(node: Node, parents: tuple[Array, ...]) -> Array:
        match node:
            case Pointwise():
                return np.asarray(parents[0] | ~np.asarray(node.fn.defined(*ranges[node.parents[0]])))
            case Affine():
                reached = np.zeros(node.size, dtype=bool)
                for linear, some in zip(node.maps, parents, strict=True):
                    reached |= linear.abs().apply(some.astype(np.float64)) > 0
                return reached
            case Max():
                return np.asarray(parents[0][node.filled].any(axis=1))
            case Product():
                return np.asarray(parents[0] | parents[1])
        return np.full(node.size, any(bool(some.any()) for some in parents))

    return fold(roots, rule)


def absent_rows(rows: Rows, ranges: Mapping[Node, Sides]) -> Array:
    """Which rows read an element that may be without a value."""
    found = np.zeros(len(rows), dtype=bool)
    for node, lost in absent(rows.parts, ranges).items():
        if node in rows.parts and lost.any():
            part = rows.parts[node]
            found[part.row[lost[part.column]]] = True
    return found


def marked(roots: Iterable[Node], values: Mapping[Node, Array]) -> Mapping[Node, Array]:
    """Float64 values at a point with NaN for elements that have none, as those behind ``1 / 0``."""
    roots = tuple(roots)
    if not partial(topological(roots)):
        return values
    lost = absent(roots, {node: (value, value) for node, value in values.items()})
    return {node: np.where(lost[node], np.nan, value) if node in lost else value for node, value in values.items()}


def partial(nodes: Iterable[Node]) -> bool:
    """True if some function among the nodes is not defined everywhere."""
    return any(isinstance(node, Pointwise) and node.fn.demand() for node in nodes)
