"""Quadratic rows of a program for LP and MPS files: a linear part, as a block of rows, and the quadratic entries.

``out - left right = 0`` of a product, and ``sum u^2 <= 1`` of a unit ball.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.program import Program, RowBlock, Tag

Entries = list[tuple[float, int, int]]  # coefficient, column, column


@final
@dataclass(frozen=True, eq=False)
class QuadraticRows:
    """Rows ``lower <= linear + sum c x_i x_j <= upper``; ``entries`` has a list for every row of ``linear``."""

    name: str
    linear: RowBlock
    entries: list[Entries]


def quadratic_rows(program: Program) -> list[QuadraticRows]:
    """The products, then the unit balls; names as in SMT-LIB files."""
    found = []
    for number, block in enumerate(program.products):
        count = len(block.out)
        sides = np.zeros(count)
        linear = RowBlock(
            np.ones(count), block.out, np.arange(count + 1), sides, sides, Tag.NETWORK, f"{block.origin} (bilinear)"
        )
        pairs = zip(block.left.tolist(), block.right.tolist(), strict=True)
        found.append(QuadraticRows(f"network_product_{number}", linear, [[(-1.0, a, b)] for a, b in pairs]))
    for number, ball in enumerate(program.quadratics):
        none, low, high = np.zeros(0), np.full(1, -np.inf), np.ones(1)
        linear = RowBlock(none, none.astype(np.int64), np.zeros(2, np.int64), low, high, ball.tag, ball.origin)
        squares = [(1.0, j, j) for j in ball.columns.tolist()]
        found.append(QuadraticRows(f"{ball.tag.value}_ball_{number}", linear, [squares]))
    return found
