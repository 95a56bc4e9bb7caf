"""Targets that are one row of the conclusion in a box of their own: there may be thousands, so all are bounded at once.

Tables of ranges are stated like that (learned indexes of nn4sys: a range of keys, and the positions that it may have).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, final

import numpy as np

from nnsym.bounds.kept.types import Limit
from nnsym.ir.array import Array
from nnsym.ir.exact import round_down, round_up
from nnsym.ir.formula import And, Atoms, InBox, RowFormula
from nnsym.ir.node import Input, Node

_AT_ONCE = 2**22  # numbers


def in_a_box(formula: RowFormula) -> bool:
    """True for a box, or several, with one row of the conclusion at most."""
    parts = formula.parts if isinstance(formula, And) else (formula,)
    boxes, rows = sum(isinstance(p, InBox) for p in parts), [p for p in parts if isinstance(p, Atoms)]
    return 0 < boxes == len(parts) - len(rows) and all(p.soft and len(p.rows) == 1 for p in rows) and len(rows) < 2


@final
@dataclass(frozen=True, eq=False)
class Boxed:
    """The targets ``which`` ``(count,)`` with their ``rows``, and the boxes, rounded outward, that each lies in."""

    which: Array
    rows: Array
    boxes: Mapping[Input, Limit]

    @classmethod
    def of(cls, formulas: Sequence[RowFormula]) -> Self:
        """Those among the formulas of all targets that are a box and a row."""
        which, rows, sides = list[int](), list[int](), dict[Input, list[tuple[int, InBox]]]()
        for k, formula in enumerate(formulas):
            if not (isinstance(formula, And) and in_a_box(formula)):
                continue
            row = [int(p.rows[0]) for p in formula.parts if isinstance(p, Atoms)]
            if not row:
                continue
            for part in formula.parts:
                if isinstance(part, InBox):
                    sides.setdefault(part.input, []).append((len(which), part))
            which.append(k)
            rows += row
        return cls(
            np.array(which, dtype=np.int64),
            np.array(rows, dtype=np.int64),
            {x: _met(x, some, len(which)) for x, some in sides.items()},
        )

    def lower(self, rows: Array, inputs: Mapping[Node, Limit]) -> Array:
        """Lower bounds ``(batch, count)`` from those of all rows: +inf where no point of the limits is in the box."""
        found = rows[:, self.rows].astype(np.float64)
        for x, box in self.boxes.items():
            limit = inputs[x]
            for part in _pieces(len(self.rows), len(rows) * x.size):
                above = (limit.lower[:, None] > box.upper[part]).any(-1)
                below = (limit.upper[:, None] < box.lower[part]).any(-1)
                found[:, part][above | below] = np.inf
        return found

    def least(self, rows: Array, inputs: Mapping[Node, Limit], *, missed: float) -> tuple[Array, Array]:
        """The least of all ``(batch,)``, ``missed`` where no box is met, and the row that it is."""
        found = self.lower(rows, inputs)
        at = found.argmin(1)
        return np.minimum(found[np.arange(len(rows)), at], missed), self.rows[at]


def _met(x: Input, some: Sequence[tuple[int, InBox]], count: int) -> Limit:
    """The boxes of one input, several of one target met; open where a target has none."""
    low, high = np.full((count, x.size), -np.inf), np.full((count, x.size), np.inf)
    for k, box in some:
        low[k], high[k] = np.maximum(low[k], round_down(box.lower)), np.minimum(high[k], round_up(box.upper))
    return Limit(low, high)


def _pieces(count: int, size: int) -> Iterator[slice]:
    step = max(1, _AT_ONCE // max(size, 1))
    return (slice(k, k + step) for k in range(0, count, step))
