"""The nearest point, nearly, that satisfies linear rows exactly: a solver's vertex, put right in rationals.

A point that misses some rows by rounding is moved onto them: these rows as equations, by Gaussian elimination, each
solved for the column that has most room; all other columns stay. Rows and limits that the move breaks join in. Where
that fails, an exact linear program moves few columns as little as possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import final

from nnsym.ir.rational import simplex

Number = Fraction | float  # float only for the infinities

_ROUNDS = 12  # of rows that join in
_COLUMNS = 24  # that the linear program may move
_ROWS = 60


@final
@dataclass(frozen=True, eq=False)
class ExactRow:
    """``sum_k coefficients[k] x_k + constant <= -slack``, or ``== 0`` where ``equation``."""

    coefficients: dict[int, Fraction]
    constant: Fraction
    equation: bool = False
    slack: Fraction = Fraction(0)

    def at(self, x: Sequence[Fraction]) -> Fraction:
        """The left side."""
        return sum((a * x[k] for k, a in self.coefficients.items()), start=self.constant)

    def missed(self, x: Sequence[Fraction]) -> Fraction:
        """By how much the point misses the row, 0 where it is satisfied."""
        value = self.at(x)
        return abs(value) if self.equation else max(value + self.slack, Fraction(0))


def nearby(
    rows: Sequence[ExactRow], start: Sequence[Fraction], lower: Sequence[Number], upper: Sequence[Number]
) -> list[Fraction] | None:
    """A point of all rows with ``lower <= x <= upper``, near ``start``; None if none was found.

    ``start`` satisfies the limits; a column whose limits are equal does not move.
    """
    active = [row for row in rows if row.missed(start)]
    pinned: dict[int, Fraction] = {}
    for _ in range(_ROUNDS):
        point = _on(active, start, lower, upper, pinned)
        if point is None:
            break
        broken = [row for row in rows if row not in active and row.missed(point)]
        outside = {k: min(max(v, lower[k]), upper[k]) for k, v in enumerate(point) if not lower[k] <= v <= upper[k]}
        if not broken and not outside:
            return point
        active += broken
        pinned.update({k: Fraction(v) for k, v in outside.items()})
    return _by_program(rows, start, lower, upper)


def _on(
    active: Sequence[ExactRow],
    start: Sequence[Fraction],
    lower: Sequence[Number],
    upper: Sequence[Number],
    pinned: dict[int, Fraction],
) -> list[Fraction] | None:
    """The point with the active rows as equations, ``pinned`` columns at their values and few others moved."""
    point = [pinned.get(k, v) for k, v in enumerate(start)]
    solved: list[tuple[int, ExactRow]] = []  # each row is free of the columns that were solved for before it

    def room(k: int) -> float:
        return min(1.0, float(upper[k] - point[k]), float(point[k] - lower[k])) + 2.0**-30

    for row in sorted(active, key=lambda r: not r.equation):
        left = ExactRow(
            dict(row.coefficients), row.constant if row.equation else row.constant + row.slack, equation=True
        )
        for k, other in solved:
            left = _without(left, k, other)
        free = [k for k in left.coefficients if k not in pinned and lower[k] < upper[k]]
        if not free:
            if left.at(point) if row.equation else left.at(point) > 0:
                return None
            continue
        solved.append((max(free, key=lambda k: abs(float(left.coefficients[k])) * room(k)), left))
    for k, row in reversed(solved):
        rest = row.at(point) - row.coefficients[k] * point[k]
        point[k] = -rest / row.coefficients[k]
    return point


def _without(row: ExactRow, k: int, other: ExactRow) -> ExactRow:
    """The row minus the multiple of another that removes column ``k``."""
    if k not in row.coefficients:
        return row
    factor = row.coefficients[k] / other.coefficients[k]
    keys = row.coefficients.keys() | other.coefficients.keys()
    zero = Fraction(0)
    values = {j: row.coefficients.get(j, zero) - factor * other.coefficients.get(j, zero) for j in keys}
    return ExactRow(
        {j: v for j, v in sorted(values.items()) if v}, row.constant - factor * other.constant, equation=True
    )


def _by_program(
    rows: Sequence[ExactRow], start: Sequence[Fraction], lower: Sequence[Number], upper: Sequence[Number]
) -> list[Fraction] | None:
    """The least sum of moves of the columns that missed rows name, as an exact linear program; None if it is large."""
    weight: dict[int, float] = {}
    for row in rows:
        if row.missed(start):
            for k, a in row.coefficients.items():
                if lower[k] < upper[k]:
                    weight[k] = max(weight.get(k, 0.0), abs(float(a)))
    moved = sorted(weight, key=lambda k: -weight[k])[:_COLUMNS]
    touched = [row for row in rows if any(k in row.coefficients for k in moved)]
    if not moved or len(touched) > _ROWS:
        return None
    body: list[list[Fraction]] = []
    limits: list[Fraction] = []
    for row in touched:
        line = [row.coefficients.get(k, Fraction(0)) for k in moved]
        value = row.at(start)
        for sign in (1, -1) if row.equation else (1,):
            body.append([sign * a for a in line] + [-sign * a for a in line])
            limits.append(-sign * value if row.equation else -value - row.slack)
    cost = [Fraction(1)] * (2 * len(moved))
    reach: list[Number] = [*(upper[k] - start[k] for k in moved), *(start[k] - lower[k] for k in moved)]
    found = simplex.minimise(cost, body, limits, [Fraction(0)] * len(reach), reach)
    if found is None:
        return None
    point = list(start)
    for place, k in enumerate(moved):
        point[k] += found.point[place] - found.point[len(moved) + place]
    return point
