"""Where a piecewise affine statement is true, exactly: a region is cut into cells until every sign is known on each.

A cell is the relative interior of the convex hull of its vertices: a point, a segment, or a polygon whose vertices are
in cyclic order. What is affine on a cell is written as its values at the vertices, so one evaluator serves points and
cells; a sign that is not the same all over a cell raises :class:`Undecided`, and the cell is cut there. Nothing of
nnsym is used.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

#: The values of an affine function at the vertices of a cell.
Values = tuple[Fraction, ...]
Point = tuple[Fraction, ...]
T = TypeVar("T")


class Undecided(Exception):  # noqa: N818
    """These values change their sign on the cell."""

    def __init__(self, values: Values) -> None:
        super().__init__("a sign that is not the same all over a cell")
        self.values = values


class Incomplete(Exception):  # noqa: N818
    """The statement is not affine on any small cell, or there are too many cells: no complete answer."""


@dataclass(frozen=True)
class Cell:
    """The relative interior of the convex hull of ``vertices``."""

    vertices: tuple[Point, ...]

    @property
    def middle(self) -> Point:
        """A point of the cell."""
        return tuple(sum(c, Fraction(0)) / len(self.vertices) for c in zip(*self.vertices, strict=True))

    def cut(self, values: Values) -> list[Cell]:
        """The parts where the affine function of these values is positive, zero and negative."""
        positive, negative, zero = [], [], []
        pairs = list(zip(self.vertices, values, strict=True))
        around = pairs[1:] + pairs[:1] if len(pairs) > 2 else pairs[1:]
        for k, (p, f) in enumerate(pairs):
            (positive if f > 0 else negative if f < 0 else zero).append(p)
            if f == 0:
                positive.append(p)
                negative.append(p)
            if k < len(around) and f * around[k][1] < 0:
                q, g = around[k]
                between = tuple(a + (b - a) * f / (f - g) for a, b in zip(p, q, strict=True))
                for part in (positive, negative, zero):
                    part.append(between)
        return [Cell(tuple(part)) for part in (zero, positive, negative)]


def sign(values: Values) -> int:
    """-1, 0 or 1 all over the cell; raises :class:`Undecided`."""
    low, high = min(values), max(values)
    if low < 0 < high:
        raise Undecided(values)
    return 1 if high > 0 else -1 if low < 0 else 0


def box_cells(lower: Sequence[Fraction], upper: Sequence[Fraction], integer: Sequence[bool]) -> list[Cell]:
    """The faces of a box of all dimensions, for every value of the integers; at most two elements may be free reals.

    Raises :class:`Incomplete` for more, or for more than 64 values of the integers.
    """
    sides: list[list[tuple[Fraction, ...]]] = []
    for low, high, whole in zip(lower, upper, integer, strict=True):
        if low > high:
            return []
        if whole:
            sides.append([(Fraction(v),) for v in range(-(-low.numerator // low.denominator), high // 1 + 1)])
        else:
            sides.append([(low,)] if low == high else [(low,), (high,), (low, high)])
    free = sum(len(choice[-1]) == 2 for choice in sides if choice)
    count = 1
    for choice, whole in zip(sides, integer, strict=True):
        count *= len(choice) if whole else 1
    if free > 2 or count > 64:
        raise Incomplete("more than two free real inputs, or too many integers")
    return [_face(face) for face in itertools.product(*sides)]


def _face(face: Sequence[tuple[Fraction, ...]]) -> Cell:
    corners = list(itertools.product(*face))
    if len(corners) == 4:
        corners[2], corners[3] = corners[3], corners[2]  # in cyclic order
    return Cell(tuple(corners))


def decided(cells: list[Cell], ask: Callable[[Cell], T], *, most: int = 600) -> Iterator[tuple[Cell, T]]:
    """Every cell with what ``ask`` says there, cut where a sign is undecided.

    Raises :class:`Incomplete` after ``most`` cells.
    """
    waiting, seen = list(reversed(cells)), 0
    while waiting:
        cell = waiting.pop()
        seen += 1
        if seen > most:
            raise Incomplete("too many cells")
        try:
            answer = ask(cell)
        except Undecided as error:
            waiting += cell.cut(error.values)
            continue
        yield cell, answer
