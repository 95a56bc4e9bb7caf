"""A small exact linear program solver: two phases, Bland's rule, rational numbers throughout.

It is the judge of the float solvers, so it is written to be read: a dictionary (Chvatal, Linear Programming,
1983, chapters 2, 3 and 8) and nothing else. Meant for a few variables and dozens of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import final

from nnsym.errors import InputError

Number = Fraction | float  # float only for the infinities

_ZERO, _ONE = Fraction(0), Fraction(1)
_AUXILIARY = -1  # the number of the variable of phase one: the smallest, so that Bland's rule lets it leave first


@final
@dataclass(frozen=True, eq=False)
class Vertex:
    """The least ``value`` and a ``point`` that attains it."""

    value: Fraction
    point: tuple[Fraction, ...]


def minimise(
    cost: Sequence[Fraction],
    rows: Sequence[Sequence[Fraction]],
    limits: Sequence[Fraction],
    lower: Sequence[Number],
    upper: Sequence[Number],
) -> Vertex | None:
    """``min cost . x`` subject to ``rows @ x <= limits`` and ``lower <= x <= upper``; None if infeasible.

    Bounds may be infinite. Raises :class:`InputError` if the minimum is unbounded.
    """
    if any(low > high for low, high in zip(lower, upper, strict=True)):
        return None
    columns, offset = _columns(lower, upper)
    width = len(columns)
    *start, unit = _integers([*offset, _ONE])  # offset_k = start_k / unit
    body = []
    for row, limit in zip(rows, limits, strict=True):  # a slack may be scaled: only its sign matters
        *whole, right = _integers([*row, limit])
        right = right * unit - sum(a * b for a, b in zip(whole, start, strict=True))
        body.append([*(sign * unit * whole[k] for k, sign in columns), right])
    for j, (k, _) in enumerate(columns):  # the far end of a box is one more row
        if lower[k] > -float("inf") and upper[k] < float("inf"):
            body.append(_integers([*(_ONE if i == j else _ZERO for i in range(width)), Fraction(upper[k]) - offset[k]]))
    table = _Dictionary(body, width)
    if not table.make_feasible():
        return None
    table.optimise([sign * cost[k] for k, sign in columns])
    point = list(offset)
    for (k, sign), value in zip(columns, table.values(width), strict=True):
        point[k] += sign * value
    return Vertex(_dot(cost, point), tuple(point))


def _columns(lower: Sequence[Number], upper: Sequence[Number]) -> tuple[list[tuple[int, int]], list[Fraction]]:
    """Non-negative variables ``(k, sign)`` and offsets with ``x_k = offset_k + sum of sign * variable``."""
    columns: list[tuple[int, int]] = []
    offset: list[Fraction] = []
    for k, (low, high) in enumerate(zip(lower, upper, strict=True)):
        if low > -float("inf"):
            columns.append((k, 1))
            offset.append(Fraction(low))
        elif high < float("inf"):
            columns.append((k, -1))
            offset.append(Fraction(high))
        else:
            columns += [(k, 1), (k, -1)]
            offset.append(_ZERO)
    return columns, offset


def _dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    return sum((x * y for x, y in zip(a, b, strict=True) if x and y), start=_ZERO)


class _Dictionary:
    """``basic_i = (right_i - sum_j body_ij free_j) / scale``, all variables non-negative, all numbers integers.

    The variables of the problem are numbered from 0, the slacks of its rows after them. One common ``scale``
    keeps every entry an integer (a minor of the first dictionary; Bareiss, 1968), which is far cheaper than
    reducing a Fraction at each step.
    """

    def __init__(self, rows: list[list[int]], width: int) -> None:
        self.body, self.right = [row[:-1] for row in rows], [row[-1] for row in rows]
        self.free, self.basic = list(range(width)), list(range(width, width + len(rows)))
        self.cost, self.scale = [0] * width, 1

    def make_feasible(self) -> bool:
        """Phase one: make every right-hand side non-negative, or find that there is no feasible point."""
        if all(r >= 0 for r in self.right):
            return True
        self.free.append(_AUXILIARY)
        for row in self.body:
            row.append(-1)
        self.cost = [*(0 for _ in self.free[:-1]), 1]
        self._pivot(min(range(len(self.right)), key=self.right.__getitem__), len(self.free) - 1)
        self._descend()
        if _AUXILIARY in self.basic:
            place = self.basic.index(_AUXILIARY)
            if self.right[place] > 0:
                return False
            # A row of zeros cannot be: it would say that the auxiliary variable is 0 everywhere.
            self._pivot(place, next(j for j, a in enumerate(self.body[place]) if a))
        gone = self.free.index(_AUXILIARY)
        del self.free[gone]
        for row in self.body:
            del row[gone]
        return True

    def optimise(self, cost: list[Fraction]) -> None:
        """Phase two: minimise ``cost`` over the problem's variables from a feasible dictionary."""
        whole, width = _integers(cost), len(cost)
        self.cost = [whole[v] * self.scale if v < width else 0 for v in self.free]
        for variable, row in zip(self.basic, self.body, strict=True):
            if variable < width and whole[variable]:
                self.cost = [c - whole[variable] * a for c, a in zip(self.cost, row, strict=True)]
        self._descend()

    def values(self, width: int) -> list[Fraction]:
        """The problem's variables at the current vertex."""
        at = dict(zip(self.basic, self.right, strict=True))
        return [Fraction(at.get(v, 0), self.scale) for v in range(width)]

    def _descend(self) -> None:
        """Pivot by Bland's rule (smallest numbers first, which cannot cycle) until no cost is negative."""
        while True:
            improving = [j for j, c in enumerate(self.cost) if c < 0]
            if not improving:
                return
            enter = min(improving, key=self.free.__getitem__)
            limiting = [i for i, row in enumerate(self.body) if row[enter] > 0]
            if not limiting:
                raise InputError("the linear program is unbounded", remedy="Bound its variables")
            leave = limiting[0]
            for i in limiting[1:]:  # the least right / body, which is compared without a division
                more = self.right[i] * self.body[leave][enter] - self.right[leave] * self.body[i][enter]
                if more < 0 or (more == 0 and self.basic[i] < self.basic[leave]):
                    leave = i
            self._pivot(leave, enter)

    def _pivot(self, leave: int, enter: int) -> None:
        """Exchange the basic variable of row ``leave`` and the free variable of column ``enter``."""
        sign = 1 if self.body[leave][enter] > 0 else -1
        row, limit, scale = [sign * a for a in self.body[leave]], sign * self.right[leave], self.scale
        pivot = row[enter]

        def eliminated(other: list[int]) -> list[int]:
            factor = other[enter]
            new = [(a * pivot - factor * r) // scale for a, r in zip(other, row, strict=True)]  # divides exactly
            new[enter] = -sign * factor
            return new

        for i, other in enumerate(self.body):
            if i != leave:
                self.right[i] = (self.right[i] * pivot - other[enter] * limit) // scale
                self.body[i] = eliminated(other)
        self.cost = eliminated(self.cost)
        row[enter] = sign * scale
        self.body[leave], self.right[leave], self.scale = row, limit, pivot
        self.basic[leave], self.free[enter] = self.free[enter], self.basic[leave]


def _integers(row: Sequence[Fraction]) -> list[int]:
    """A positive multiple of the row with integer entries."""
    multiple = lcm(*(value.denominator for value in row))
    return [value.numerator * (multiple // value.denominator) for value in row]
