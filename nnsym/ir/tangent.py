"""Rows as affine functions of the inputs near a point: exact where every activation keeps the piece it has there.

Backward through the graph in rationals: a row ``c . v + d`` over a node ``v = fn(u)`` becomes one over ``u``, by the
line of ``fn`` that the point is on. For maps, hinges, pieces and maxima the result equals the row on the whole region
round the point where no piece changes; for products and smooth functions it is the tangent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.exact import nearest, to_fractions
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge, Piecewise, Univariate
from nnsym.ir.walk import topological


def tangent(rows: Rows, values: Mapping[Node, Array]) -> tuple[dict[Input, Array], Array]:
    """``s = sum_x A_x x + c``: Fractions, ``A_x`` of shape ``(m, n)`` for every input that the rows depend on.

    ``values`` are float64 values of every node at the point. Raises :class:`UnsupportedError` for other kinds of node.
    """
    count, constant = len(rows), to_fractions(rows.constant).copy()
    waiting: dict[Node, Array] = {}

    def add(node: Node, coefficients: Array) -> None:
        waiting[node] = waiting[node] + coefficients if node in waiting else coefficients

    for node, part in rows.parts.items():
        dense = _zeros(count, node.size)
        dense[part.row, part.column] = to_fractions(part.coefficient)
        add(node, dense)
    found: dict[Input, Array] = {}
    for node in reversed(topological(rows.parts)):
        if node not in waiting:
            continue
        coefficients = waiting.pop(node)
        if isinstance(node, Input):
            found[node] = coefficients
            continue
        offset, parts = _step(node, coefficients, values)
        constant = constant + offset
        for parent, back in zip(node.parents, parts, strict=True):
            add(parent, back)
    return found, constant


def _step(node: Node, c: Array, values: Mapping[Node, Array]) -> tuple[Any, tuple[Array, ...]]:
    """What ``c . node`` is in terms of the node's parents: an offset, and coefficients of each parent."""
    at = [nearest(values[parent]) for parent in node.parents]
    if not all(np.isfinite(v).all() for v in at):
        raise UnsupportedError(f"{node!r} has no tangent: its arguments are no numbers")
    match node:
        case Affine():
            return c @ to_fractions(node.bias), tuple(linear.adjoint(c) for linear in node.maps)
        case Pointwise():
            line = _line(node.fn, at[0])
            if not all(np.isfinite(v).all() for v in line):
                raise UnsupportedError(f"{node!r} has no tangent there")
            slope, offset = map(to_fractions, line)
            return c @ offset, (c * slope,)
        case Max():
            filled = node.filled
            chosen = filled[np.arange(node.size), at[0][filled].argmax(axis=1)]
            back = _zeros(node.parents[0].size, len(c))
            np.add.at(back, chosen, c.T)
            return 0, (back.T,)
        case Product():
            left, right = map(to_fractions, at)
            return -(c @ (left * right)), (c * right, c * left)
    raise UnsupportedError(f"{node!r} has no tangent")


@np.errstate(all="ignore")  # who asked looks whether they are numbers
def _line(fn: Univariate, x: Array) -> tuple[Array, Array]:
    """Slope and offset of the line that each element is on."""
    if isinstance(fn, Hinge):
        left, right = fn.slopes(len(x))
        return np.where(x > 0, right, left), np.zeros(len(x))
    if isinstance(fn, Piecewise):
        begun = (x[:, None] > fn.breaks).sum(axis=1)
        tables = (np.broadcast_to(t, (len(x), t.shape[1])) for t in (fn.slopes, fn.offsets))
        slope, offset = (t[np.arange(len(x)), begun] for t in tables)
        return slope, offset
    slope = fn.derivative(x)
    return slope, fn.value(x) - slope * x


def _zeros(rows: int, columns: int) -> Array:
    return np.asarray(to_fractions(np.zeros((rows, columns))))
