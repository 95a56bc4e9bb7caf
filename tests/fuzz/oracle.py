"""The truth about a case, in rationals: complete on regions of up to two free dimensions, else at sampled points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.fuzz.cells import Cell, Incomplete, Point, box_cells, decided
from tests.fuzz.draws import Draw, value
from tests.fuzz.meaning import Scope, margin, truth
from tests.fuzz.terms import Joined, Statement, Sum, Var

#: So many points are looked at for their margins.
_POINTS = 48


@dataclass(frozen=True, eq=False)
class Case:
    """``reading`` variables, where all of ``where``: ``then``; the boxes of the variables are part of ``where``."""

    seed: int
    reading: str
    variables: tuple[Var, ...]
    where: tuple[Statement, ...]
    then: Statement

    @property
    def premise(self) -> Statement:
        return Joined("and", self.where)


@dataclass(frozen=True, eq=False)
class Truth:
    """``holds`` and ``empty`` where they are known; ``points`` of the precondition with the margin there.

    ``decisive`` is a point that shows a violation (of ``exists``: a witness), ``complete`` says that none is none.
    """

    complete: bool
    empty: bool
    decisive: Point | None
    points: tuple[tuple[Point, Fraction | float], ...]

    def holds(self, reading: str) -> bool | None:
        """Is the property true?"""
        if self.decisive is None and not self.complete:
            return None
        return (self.decisive is None) == (reading == "forall")


def scope(variables: Sequence[Var], cell: Cell) -> Scope:
    """The variables' values on a cell, whose coordinates are all their elements in order."""
    coordinates = list(zip(*cell.vertices, strict=True))
    at, start = {}, 0
    for var in variables:
        at[var] = coordinates[start : start + var.size]
        start += var.size
    return Scope(at, len(cell.vertices))


def region(variables: Sequence[Var]) -> list[Cell]:
    """The faces of the product of the variables' boxes."""
    ends = [[value(v) for var in variables for v in side(var)] for side in (lambda v: v.lower, lambda v: v.upper)]
    return box_cells(*ends, [flag for var in variables for flag in var.integer])


def sampled(variables: Sequence[Var], draw: Draw, count: int) -> list[Cell]:
    """Random points of the boxes, at times on their faces."""
    cells = []
    for _ in range(count):
        point = []
        for var in variables:
            for low, high, whole in zip(map(value, var.lower), map(value, var.upper), var.integer, strict=True):
                inside = Fraction(draw.whole(-(-low // 1), high // 1)) if whole else draw.between(low, high)
                point.append(inside)
        cells.append(Cell((tuple(point),)))
    return cells


def holds_at(case: Case, point: Point) -> tuple[bool, bool]:
    """Whether the precondition and the conclusion are true at a point."""
    here = scope(case.variables, Cell((point,)))
    return truth(case.premise, here), truth(case.then, here)


def extremes(variables: Sequence[Var], where: Statement, term: Sum, draw: Draw) -> tuple[Fraction, Fraction] | None:
    """The least and greatest limit of a term over ``where``; of what was sampled where no oracle is complete."""

    def ask(cell: Cell) -> tuple[Fraction, ...] | None:
        here = scope(variables, cell)
        return here.sum(term) if truth(where, here) else None

    try:
        found = [v for _, v in decided(region(variables), ask) if v is not None]
    except Incomplete:
        found = [v for _, v in decided(sampled(variables, draw, 60), ask) if v is not None]
    values = [v for several in found for v in several]
    return (min(values), max(values)) if values else None


def find_truth(case: Case, draw: Draw) -> Truth:
    """Where the precondition holds and the conclusion decides, on all cells; else at samples."""
    wanted = case.reading == "exists"

    def ask(cell: Cell) -> tuple[bool, bool]:
        here = scope(case.variables, cell)
        applies = truth(case.premise, here)
        return applies, applies and truth(case.then, here) == wanted

    complete = True
    try:
        found = list(decided(region(case.variables), ask))
    except Incomplete:
        complete = False
        found = list(decided(sampled(case.variables, draw, 200), ask))
    inside = [cell for cell, (applies, _) in found if applies]
    decisive = next((cell.middle for cell, (_, hit) in found if hit), None)
    seen = {p for cell in inside for p in (cell.middle, *cell.vertices)}
    if complete:
        seen |= {cell.middle for cell in sampled(case.variables, draw, 8)}
    chosen = draw.some(sorted(seen), _POINTS)
    points = []
    for point in [*chosen, *([decisive] if decisive is not None else [])]:
        here = scope(case.variables, Cell((point,)))
        if truth(case.premise, here):
            points.append((point, margin(case.then, here)))
    return Truth(complete, not inside, decisive, tuple(points))
