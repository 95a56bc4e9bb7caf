"""The least value of a tiny program, in rationals: every integral assignment, every case, and an exact simplex.

It judges lanes, so it shares nothing with them: no float, no tolerance. A strict row counts when a point is looked for
(:func:`attained`) and is closed when the infimum is (:func:`least`). Products and quadratic rows are not known here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import final

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.rational.simplex import Number, minimise
from nnsym.program import CaseBlock, Kind, Program, RowBlock, SosBlock

_ZERO, _ONE, _INF = Fraction(0), Fraction(1), float("inf")
#: Integral assignments times cases that are gone through at most.
MOST = 20_000


@final
@dataclass(frozen=True, eq=False)
class Halfspace:
    """``coefficients . x <= limit``, or ``<`` where strict; a full vector of Fractions."""

    coefficients: tuple[Fraction, ...]
    limit: Fraction
    strict: bool = False

    def holds(self, point: Sequence[Fraction]) -> bool:
        """Exactly."""
        value = sum((c * x for c, x in zip(self.coefficients, point, strict=True) if c), _ZERO)
        return value < self.limit or (value == self.limit and not self.strict)


def least(program: Program) -> Fraction | None:
    """The infimum of the objective (0 without one), None where no point is feasible; strict rows are closed.

    Raises:
        UnsupportedError: the program has products or quadratic rows, or too many assignments.
        InputError: the objective is unbounded.
    """
    cost = [_ZERO] * program.n_columns
    if program.objective is not None:
        cost[program.objective] = _ONE
    found = (
        minimise(cost, [r.coefficients for r in rows], [r.limit for r in rows], low, high)
        for low, high, rows in _parts(program)
    )
    return min((optimum.value for optimum in found if optimum is not None), default=None)


def attained(program: Program) -> bool:
    """True if a point meets every row, strict ones strictly, and its objective (if there is one) is at most 0."""
    size = program.n_columns
    goal = [Halfspace(_unit(size, program.objective), _ZERO)] if program.objective is not None else []
    for low, high, part in _parts(program):
        rows = [*part, *goal]
        slack = [(*r.coefficients, _ONE if r.strict else _ZERO) for r in rows]  # strict rows hold by up to 1
        limits = [r.limit for r in rows]
        best = minimise([*([_ZERO] * size), -_ONE], slack, limits, [*low, _ZERO], [*high, _ONE])
        if best is not None and (best.value < 0 or not any(r.strict for r in rows)):
            return True
    return False


def _unit(size: int, column: int) -> tuple[Fraction, ...]:
    return tuple(_ONE if k == column else _ZERO for k in range(size))


def _parts(program: Program) -> Iterator[tuple[list[Number], list[Number], list[Halfspace]]]:
    """Linear programs that together are the program: bounds of the columns, and rows."""
    if program.products or program.quadratics:
        raise UnsupportedError("products and quadratic rows have no exact minimum here")
    low, high = (_bounds(side) for side in (program.exact_bounds or (program.lower, program.upper)))
    integral = np.flatnonzero(program.kind != Kind.REAL).tolist()
    ranges = [range(ceil(low[k]), floor(high[k]) + 1) for k in integral]
    choices = [*_cases(program), *_sets(program)]
    if np.prod([float(len(r)) for r in ranges] + [float(len(c)) for c in choices]) > MOST:
        raise UnsupportedError(f"more than {MOST} assignments", remedy="Ask for a smaller program")
    for values in itertools.product(*ranges):
        chosen = dict(zip(integral, map(Fraction, values), strict=True))
        if not _satisfied(program, chosen):
            continue
        below = [chosen.get(k, v) for k, v in enumerate(low)]
        above = [chosen.get(k, v) for k, v in enumerate(high)]
        rows = list(binding(program, chosen))
        for case in itertools.product(*choices):
            yield below, above, [*rows, *(row for part in case for row in part)]


def _bounds(side: Array) -> list[Number]:
    return [v if v in (_INF, -_INF) else Fraction(v) for v in side.tolist()]


def rows_of(block: RowBlock, k: int, size: int) -> list[Halfspace]:
    """Row k of a block, one :class:`Halfspace` a finite side, with its exact numbers where it has them."""
    data, lower, upper = block.exact if block.exact is not None else (block.data, block.lower, block.upper)
    full = [_ZERO] * size
    for j in range(block.indptr[k], block.indptr[k + 1]):
        full[block.indices[j]] += Fraction(data[j])
    sides = []
    if upper[k] != _INF:
        sides.append(Halfspace(tuple(full), Fraction(upper[k]), block.strict))
    if lower[k] != -_INF:
        sides.append(Halfspace(tuple(-v for v in full), -Fraction(lower[k]), block.strict))
    return sides


def binding(program: Program, chosen: Mapping[int, Fraction]) -> Iterator[Halfspace]:
    """The linear rows, and the guarded ones whose guards have their values in ``chosen``."""
    for block in program.rows:
        for k in range(len(block)):
            yield from rows_of(block, k, program.n_columns)
    for guarded in program.implications:
        for k, (guard, value) in enumerate(zip(guarded.guard.tolist(), guarded.value.tolist(), strict=True)):
            if chosen[guard] == value:
                yield from rows_of(guarded.rows, k, program.n_columns)


def _satisfied(program: Program, chosen: Mapping[int, Fraction]) -> bool:
    for block in program.clauses:
        signs = [True] * len(block.indices) if block.positive is None else block.positive.tolist()
        literals = [(chosen[j] != 0) == sign for j, sign in zip(block.indices.tolist(), signs, strict=True)]
        if not all(any(literals[a:b]) for a, b in itertools.pairwise(block.indptr.tolist())):
            return False
    return True


Choice = Sequence[list[Halfspace]]  # alternatives, each a list of rows


def _cases(program: Program) -> Iterator[Choice]:
    """Each element of a function by cases: in case c the argument lies there and the line of c holds."""
    size = program.n_columns
    for block in program.functions:
        for k in range(len(block.out)):
            yield [_case(block, k, c, size) for c in range(len(block.slopes))]


def _case(block: CaseBlock, k: int, case: int, size: int) -> list[Halfspace]:
    slopes, offsets, starts = (to_fractions(table[:, k]) for table in (block.slopes, block.offsets, block.starts))
    out, arg = _unit(size, int(block.out[k])), _unit(size, int(block.arg[k]))
    line = tuple(y - slopes[case] * h for y, h in zip(out, arg, strict=True))
    rows = [Halfspace(line, offsets[case]), Halfspace(tuple(-v for v in line), -offsets[case])]
    if case > 0:
        rows.append(Halfspace(tuple(-v for v in arg), -starts[case - 1], bool(block.strict[case - 1, k])))
    if case < len(starts):
        rows.append(Halfspace(arg, starts[case], not block.strict[case, k]))
    return rows


def _sets(program: Program) -> Iterator[Choice]:
    """Each set: one member is free, the others are 0."""
    for block in program.sets:
        yield from (_set(block, a, b, program.n_columns) for a, b in itertools.pairwise(block.indptr.tolist()))


def _set(block: SosBlock, start: int, stop: int, size: int) -> Choice:
    members = [_unit(size, j) for j in block.indices[start:stop].tolist()]
    zero = [[Halfspace(m, _ZERO), Halfspace(tuple(-v for v in m), _ZERO)] for m in members]
    return [[row for j, rows in enumerate(zero) if j != free for row in rows] for free in range(len(members))]
