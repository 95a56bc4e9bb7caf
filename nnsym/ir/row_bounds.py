"""Bounds of inputs that only linear rows bound: ``1 <= x0 <= 2`` and ``-x0 <= x1 <= x0`` say that ``-2 <= x1 <= 2``.

Only open ends are looked for; what is known stays as it is. A row ``sum_i c_i x_i + d <= 0`` bounds ``c_j x_j`` by
``-d`` less the least value of its other terms (interval propagation, repeated while it finds something); what that
leaves open is asked of the exact simplex where the rows are few. Everything is computed in rationals, the ends are
rounded outward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import And, Atoms, InBox, Or, RowFormula
from nnsym.ir.node import Input
from nnsym.ir.rational.simplex import minimise
from nnsym.ir.rows import Rows

Limit: TypeAlias = "Fraction | float"  # a float only where it is infinite
Place: TypeAlias = tuple[Input, int]
Row: TypeAlias = tuple[dict[Place, Fraction], Fraction]  # coefficients and constant, <= 0

_INFINITY = float("inf")
_ENTRIES = 200_000  # coefficients of rows that are looked at
_WORK = 1_000_000  # terms of rows that are looked at while ends close
_BRANCHES = 256  # alternatives of an "or" whose hull is taken
_DEPTH = 8
_VARIABLES, _ROWS = 12, 60  # what the exact simplex is asked


@final
@dataclass(eq=False)
class _Region:
    """Limits of places; a place that is missing is open on both sides."""

    lower: dict[Place, Limit]
    upper: dict[Place, Limit]

    def copy(self) -> _Region:
        return _Region(dict(self.lower), dict(self.upper))

    def low(self, place: Place) -> Limit:
        return self.lower.get(place, -_INFINITY)

    def high(self, place: Place) -> Limit:
        return self.upper.get(place, _INFINITY)


def bounded(
    boxes: Mapping[Input, tuple[Array, Array]], rows: Rows, formula: RowFormula
) -> dict[Input, tuple[Array, Array]]:
    """The boxes ``(lower, upper)`` with open ends closed where hard rows of the formula close them.

    Inputs whose boxes stay as they are, are left out.
    """
    missing = {x: (np.equal(low, -_INFINITY), np.equal(high, _INFINITY)) for x, (low, high) in boxes.items()}
    if not any(side.any() for pair in missing.values() for side in pair):
        return {}
    hard = _hard_rows(rows, formula)
    if not hard:
        return {}
    region = _Region({}, {})
    for x, (low, high) in boxes.items():
        region.lower.update({(x, int(k)): Fraction(low[k]) for k in np.flatnonzero(~missing[x][0])})
        region.upper.update({(x, int(k)): Fraction(high[k]) for k in np.flatnonzero(~missing[x][1])})
    found = _closed(formula, hard, region, [], 0)
    closed: dict[Input, tuple[Array, Array]] = {}
    for x, (low, high) in boxes.items():
        lower = _filled(x, low, missing[x][0], found.lower, -1)
        upper = _filled(x, high, missing[x][1], found.upper, +1)
        if lower is not low or upper is not high:
            closed[x] = lower, upper
    return closed


def _filled(x: Input, limits: Array, missing: Array, found: Mapping[Place, Limit], sign: int) -> Array:
    """The limits with those that were found, rounded outward to float64."""
    new = {int(k): _outward(found[x, int(k)], sign) for k in np.flatnonzero(missing) if (x, int(k)) in found}
    new = {k: v for k, v in new.items() if abs(v) < _INFINITY}
    if not new:
        return limits
    filled = limits.copy()
    for k, value in new.items():
        filled[k] = Fraction(value) if filled.dtype == object else value
    return filled


def _outward(value: Limit, sign: int) -> float:
    try:
        rounded = float(value)
    except OverflowError:
        return sign * _INFINITY
    return rounded if sign * (Fraction(rounded) - value) >= 0 else float(np.nextafter(rounded, sign * _INFINITY))


def _hard_rows(rows: Rows, formula: RowFormula) -> dict[int, Row]:
    """The rows of hard atoms that read inputs alone, by number; none where they are too many to look at."""
    numbers: set[int] = set()
    stack: list[RowFormula] = [formula]
    while stack:
        part = stack.pop()
        if isinstance(part, Atoms) and not part.soft:
            numbers.update(part.rows.tolist())
        elif isinstance(part, (And, Or)):
            stack.extend(part.parts)
    chosen = np.array(sorted(numbers), dtype=np.int64)
    taken = rows.take(chosen) if len(chosen) else Rows({}, np.zeros(0))
    if sum(len(part.row) for part in taken.parts.values()) > _ENTRIES:
        return {}
    terms: list[dict[Place, Fraction]] = [{} for _ in chosen]
    computed: set[int] = set()
    for node, entries in taken.parts.items():
        if not isinstance(node, Input):
            computed.update(entries.row.tolist())
            continue
        for row, column, factor in zip(
            entries.row.tolist(), entries.column.tolist(), to_fractions(entries.coefficient), strict=True
        ):
            terms[row][node, column] = factor
    constants = to_fractions(taken.constant)
    return {int(number): (terms[k], constants[k]) for k, number in enumerate(chosen) if k not in computed and terms[k]}


def _closed(formula: RowFormula, hard: Mapping[int, Row], region: _Region, rows: list[Row], depth: int) -> _Region:
    """The region cut down by what the formula says: rows of a conjunction together, the hull over alternatives."""
    parts = formula.parts if isinstance(formula, And) else (formula,)
    found, mine, choices = region.copy(), list(rows), list[tuple[RowFormula, ...]]()
    for part in parts:
        match part:
            case Atoms(every=every) if not part.soft and (every or len(part.rows) == 1):
                mine += [hard[k] for k in part.rows.tolist() if k in hard]
            case Atoms() if not part.soft:
                choices.append(tuple(Atoms(part.rows[k : k + 1], part.strict, False) for k in range(len(part.rows))))
            case InBox():
                _cut(found, part)
            case Or():
                choices.append(part.parts)
    for terms, constant in mine:
        if len(terms) == 1:
            _tighten(found, *next(iter(terms.items())), constant)
    _propagate(found, mine)
    for some in choices if depth < _DEPTH else ():
        if 0 < len(some) <= _BRANCHES:
            _hull(found, [_closed(one, hard, found, mine, depth + 1) for one in some])
    if choices:
        _propagate(found, mine)
    _by_simplex(found, mine)
    return found


def _cut(region: _Region, box: InBox) -> None:
    for k, (low, high) in enumerate(zip(box.lower.tolist(), box.upper.tolist(), strict=True)):
        place = (box.input, k)
        if low > region.low(place):
            region.lower[place] = Fraction(low)
        if high < region.high(place):
            region.upper[place] = Fraction(high)


def _tighten(region: _Region, place: Place, factor: Fraction, constant: Fraction) -> None:
    """The bound that ``factor x + constant <= 0`` is."""
    limit = -constant / factor
    if factor > 0 and limit < region.high(place):
        region.upper[place] = limit
    elif factor < 0 and limit > region.low(place):
        region.lower[place] = limit


def _hull(region: _Region, parts: list[_Region]) -> None:
    """Open ends of the region that every part closes; parts that hold no point do not count."""
    parts = [p for p in parts if not any(low > p.high(place) for place, low in p.lower.items())]
    for place in {place for p in parts for place in (*p.lower, *p.upper)}:
        low, high = min(p.low(place) for p in parts), max(p.high(place) for p in parts)
        if low > region.low(place):
            region.lower[place] = low
        if high < region.high(place):
            region.upper[place] = high


def _propagate(region: _Region, rows: list[Row]) -> None:
    """Close open ends by the rows, one after the other, until a pass finds nothing."""
    for _ in range(max(_WORK // max(sum(len(terms) for terms, _ in rows), 1), 2)):
        if not sum(_propagate_row(region, *row) for row in rows):
            return


def _propagate_row(region: _Region, terms: Mapping[Place, Fraction], constant: Fraction) -> int:
    """How many open ends the row closed."""
    least = {v: c * (region.low(v) if c > 0 else region.high(v)) for v, c in terms.items()}
    open_terms = [v for v, value in least.items() if isinstance(value, float)]
    if len(open_terms) > 1:
        return 0
    total = constant + sum((value for value in least.values() if isinstance(value, Fraction)), start=Fraction(0))
    count = 0
    for v in open_terms or terms:
        c, own = terms[v], least[v]
        limit = -(total - own if isinstance(own, Fraction) else total) / c
        if c > 0 and region.high(v) == _INFINITY:
            region.upper[v], count = limit, count + 1
        elif c < 0 and region.low(v) == -_INFINITY:
            region.lower[v], count = limit, count + 1
    return count


def _by_simplex(region: _Region, rows: list[Row]) -> None:
    """The ends that are still open and that the rows close together, where they are few."""
    places = list(dict.fromkeys(v for terms, _ in rows for v in terms))
    if not 0 < len(places) <= _VARIABLES or len(rows) > _ROWS:
        return
    matrix = [[terms.get(v, Fraction(0)) for v in places] for terms, _ in rows]
    limits = [-constant for _, constant in rows]
    lower, upper = [region.low(v) for v in places], [region.high(v) for v in places]
    for k, v in enumerate(places):
        for sign, limit in ((1, lower[k]), (-1, upper[k])):
            if isinstance(limit, Fraction):
                continue
            cost = [Fraction(sign if j == k else 0) for j in range(len(places))]
            try:
                best = minimise(cost, matrix, limits, lower, upper)
            except InputError:  # unbounded
                continue
            if best is None:
                return  # no point at all: what finds that out says it better
            (region.lower if sign > 0 else region.upper)[v] = sign * best.value
