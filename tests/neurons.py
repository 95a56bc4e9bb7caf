"""One activation, maximum or product over a box, and whether a point satisfies its network rows exactly."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnsym.bounds.methods import compute
from nnsym.encode.point import residual
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.encoding import Encoding
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.node import Node, new_input
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge, absolute, leaky_relu, relu
from nnsym.program import Program, Tag

NETWORK = frozenset({Tag.NETWORK})
HINGES = [
    relu(),
    leaky_relu(0.25),
    absolute(),
    leaky_relu(2.0),
    Hinge(np.array([1.0]), np.array([-0.5]), "roof"),
    Hinge(np.array([-0.5]), np.array([-2.0]), "falling"),
    Hinge(np.array([1.0]), np.array([0.0]), "cut"),
]


def query_of(y: Node, lower: dict[Any, Any], upper: dict[Any, Any]) -> Query:
    """All elements of ``y`` must be positive; boxes by input."""
    boxes = {x: Box(np.array(lower[x], dtype=float), np.array(upper[x], dtype=float)) for x in lower}
    return Query("one", boxes, Rows.of(y), Atoms(np.arange(y.size), strict=False, soft=True, every=False))


def program_of(make: Any, lower: list[float], upper: list[float], encoding: str | Encoding) -> Program:
    """The program of ``make(x)`` for one input x in the box, on interval bounds."""
    x = new_input("x", len(lower))
    query = query_of(make(x), {x: lower}, {x: upper})
    return encode(query, compute(query, "ibp"), find_encoding(encoding))


def accepts(program: Program, *, exact: bool = False, **columns: Any) -> bool:
    """Do these column values (by role; for several columns a sequence) satisfy all network rows and bounds?

    Without any tolerance: in rationals if ``exact``, else in floats, for dyadic values that floats add exactly.
    """
    point = to_fractions(np.zeros(program.n_columns)) if exact else np.zeros(program.n_columns)
    for block in program.blocks:
        values = columns.get(block.node if block.node == "x" else block.role)
        if block.node == "spec":  # the rows of the property are the elements of y; here only constants get here
            continue
        if values is not None:
            some = np.atleast_1d(np.asarray(values))
            point[block.start : block.start + len(block.index)] = to_fractions(some) if exact else some
    return residual(program, point, NETWORK)[0] == 0


def grid(low: float, high: float, step: float) -> list[float]:
    """``low, low + step, ..., high`` for dyadic numbers."""
    return [low + k * step for k in range(int((high - low) / step) + 1)]
