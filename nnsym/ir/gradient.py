"""The gradient of a property's margin: which input directions bring a point closer to a violation.

Used to polish candidates and to search for counterexamples; never for a bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.ir.formula import Atoms, InBox, reduce_formula
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge, Sigmoidal

Array = NDArray[Any]


def active_row(query: Query, values: Mapping[Node, Array]) -> int:
    """The soft row that decides the margin at a point (float64 values), or -1 where none does."""
    s = query.rows.value(values)

    def leaf(node: Atoms | InBox) -> tuple[float, int]:
        if isinstance(node, InBox) or not node.soft or not len(node.rows):
            return -np.inf, -1
        chosen = s[node.rows]
        k = int(chosen.argmax() if node.every else chosen.argmin())
        return float(chosen[k]), int(node.rows[k])

    def largest(parts: list[tuple[float, int]]) -> tuple[float, int]:
        return max(parts, default=(-np.inf, -1))

    def smallest(parts: list[tuple[float, int]]) -> tuple[float, int]:
        return min(parts, default=(-np.inf, -1))

    return reduce_formula(query.formula, leaf, largest, smallest)[1]


def gradient(query: Query, values: Mapping[Node, Array], row: int) -> dict[Input, Array]:
    """``d s_row / d x`` at float64 node values, by reverse accumulation; a subgradient at kinks."""
    pending: dict[Node, Array] = {}
    for node, part in query.rows.parts.items():
        mine = part.row == row
        seed = np.zeros(node.size)
        seed[part.column[mine]] = part.coefficient[mine].astype(np.float64)
        pending[node] = seed
    for node in reversed(query.nodes):
        above = pending.get(node)
        if above is None or isinstance(node, Input):
            continue
        for parent, contribution in zip(node.parents, _pull_back(node, values, above), strict=True):
            pending[parent] = pending.get(parent, np.zeros(parent.size)) + contribution
    return {x: pending.get(x, np.zeros(x.size)) for x in query.inputs}


def _pull_back(node: Node, values: Mapping[Node, Array], above: Array) -> tuple[Array, ...]:
    match node:
        case Affine():
            return tuple(linear.adjoint(above) for linear in node.maps)
        case Pointwise():
            x = values[node.parents[0]]
            match node.fn:
                case Hinge() as hinge:
                    return (above * np.where(x > 0, *hinge.slopes(node.size)[::-1]),)
                case Sigmoidal() as smooth:
                    return (above * smooth.derivative(x),)
        case Max():
            x = values[node.parents[0]]
            members = np.where(node.groups >= 0, x[node.groups], -np.inf)
            winner = node.groups[np.arange(node.size), members.argmax(axis=1)]
            return (np.bincount(winner, weights=above, minlength=len(x)),)
        case Product():
            left, right = node.parents
            return above * values[right], above * values[left]
    raise TypeError(f"no derivative for {node!r}")
