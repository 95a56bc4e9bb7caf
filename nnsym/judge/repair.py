"""Candidates beside a solver's point that satisfy the rows of a query exactly.

A solver's point satisfies a row within its tolerance; exactly, it often lies beyond it, and equations hardly ever hold.
Here whole numbers are fixed, every activation keeps the piece that it has at the point, and the point is moved onto the
rows that it misses in rationals (:mod:`nnsym.ir.rational.nearby`). What comes out is a candidate; replay decides.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.domain import Box, pull_inside
from nnsym.ir.exact import nearest, to_fractions
from nnsym.ir.formula import Atoms, InBox, reduce_formula
from nnsym.ir.node import Input, Point
from nnsym.ir.query import Query
from nnsym.ir.rational.nearby import ExactRow, Number, nearby
from nnsym.ir.tangent import tangent

#: How far inside of inequalities the point is to lie, in turn, as shares of the size of a row's terms: on them, and
#: farther inside than rounding in float64 and in float32 moves it.
_INSIDE = (Fraction(0), Fraction(1, 2**40), Fraction(1, 2**21), Fraction(1, 2**16))
_NEAR = 1e-4  # a row over the network is looked at if it is this near to its limit, as a share of its terms' size
_LEAST = 0.5  # seconds that a point is worth where time has run out
_WORK = 150_000  # products of Fractions in one pass through a network
_PASSES = 3  # through a network whose activations change their pieces on the way


def repaired(
    query: Query, candidate: Point, *, conclusion: bool, seconds: float = np.inf
) -> Iterator[dict[Input, Array]]:
    """Points near a candidate that satisfy the precondition, and the ``conclusion`` too if asked for, in rationals.

    The first lies on rows that the candidate misses, later ones inside of those that leave room, so that a model that
    runs in float32 finds numbers there. Nothing is yielded where no such point is near, and nothing is begun after
    ``seconds`` or :data:`_LEAST` of them.
    """
    end = time.monotonic() + max(seconds, _LEAST)
    for share in _INSIDE:
        if time.monotonic() > end:
            return
        start = _start(query, candidate, float(share))
        for grid in (None, 18) if share == 0 else (None,):
            try:
                point = _moved(query, start if grid is None else _coarse(query, start, grid), share, conclusion)
            except (InputError, UnsupportedError):  # no tangent, or a program without a vertex
                return
            if point is not None:
                yield point


def _start(query: Query, candidate: Point, share: float) -> dict[Input, Array]:
    """The candidate in its box, in its balls, whole numbers whole; rationals."""
    moved: dict[Input, Array] = {}
    for x, values in candidate.items():
        near = values
        balls = query.balls.get(x, ())
        if balls:
            near = pull_inside(nearest(values), query.boxes[x].inner, balls, x.integer, 1.0 - max(share, 2.0**-40))
        moved[x] = _boxed(np.where(x.integer, x.chosen(np.round(nearest(near))), near), query.boxes[x])
    return moved


def _boxed(values: Array, box: Box) -> Array:
    """Rationals, each moved to the side of the box that it is beyond."""
    exact = to_fractions(values)
    low = np.where(np.asarray(exact < box.lower, dtype=bool), box.lower, exact)
    return np.asarray(to_fractions(np.where(np.asarray(low > box.upper, dtype=bool), box.upper, low)))


def _coarse(query: Query, point: Point, bits: int) -> dict[Input, Array]:
    """Multiples of ``2^-bits`` times each input's size: sums of few of them are numbers of float32 too."""
    rounded = {}
    for x, values in point.items():
        size = max(float(np.abs(nearest(values)).max(initial=0.0)), 2.0**-100)
        step = Fraction(2) ** (int(np.ceil(np.log2(size))) - bits)
        near = np.array([round(v / step) * step for v in values], dtype=object)
        rounded[x] = _boxed(np.where(x.integer, values, near), query.boxes[x])
    return rounded


@final
@dataclass(frozen=True, eq=False)
class _Chosen:
    """What has to hold: rows ``(number, strict)``, boxes of inputs; ``missed`` is by how much they fail, in floats."""

    missed: float
    rows: tuple[tuple[int, bool], ...] = ()
    boxes: tuple[InBox, ...] = ()


def _moved(query: Query, start: Point, share: Fraction, conclusion: bool) -> dict[Input, Array] | None:
    """The start moved onto what the formula asks for near it."""
    point = dict(start)
    for _ in range(_PASSES):
        chosen = _choose(query, point, conclusion)
        rows, through = _rows_of(query, point, chosen, share)
        flat = _flat(query, point, chosen)
        found = nearby(rows, *flat)
        if found is None:
            return None
        ends = np.cumsum([x.size for x in query.inputs])
        point = dict(zip(query.inputs, np.split(np.array(found, dtype=object), ends[:-1]), strict=True))
        if not through:
            break
    return point


def _choose(query: Query, point: Point, conclusion: bool) -> _Chosen:
    """Of every disjunction the part that is missed least, of every conjunction all of it."""
    floats = {x: nearest(v) for x, v in point.items()}
    s = query.rows.value(query.values(floats))

    def leaf(node: Atoms | InBox) -> _Chosen:
        if isinstance(node, InBox):
            x = floats[node.input]
            away = np.maximum(nearest(node.lower) - x, x - nearest(node.upper))
            return _Chosen(float(max(away.max(initial=0.0), 0.0)), boxes=(node,))
        if node.soft and not conclusion:
            return _Chosen(0.0)
        values = s[node.rows]
        picked = node.rows if node.every else node.rows[[int(values.argmin())]]
        missed = float(np.maximum(s[picked], 0.0).max(initial=0.0))
        return _Chosen(missed, rows=tuple((int(k), node.strict) for k in picked))

    def every(parts: list[_Chosen]) -> _Chosen:
        rows = tuple(row for part in parts for row in part.rows)
        boxes = tuple(box for part in parts for box in part.boxes)
        return _Chosen(max((part.missed for part in parts), default=0.0), rows, boxes)

    def some(parts: list[_Chosen]) -> _Chosen:
        return min(parts, key=lambda part: part.missed, default=_Chosen(np.inf))

    return reduce_formula(query.formula, leaf, every, some)


def _rows_of(query: Query, point: Point, chosen: _Chosen, share: Fraction) -> tuple[list[ExactRow], bool]:
    """The chosen rows over all inputs, as tangents where they read a network (then the second value is true)."""
    numbers = dict.fromkeys(chosen.rows)
    strict = np.array([s for _, s in numbers], dtype=bool)
    picked = query.rows.take(np.array([k for k, _ in numbers], dtype=np.int64))
    reads = np.zeros(len(picked), dtype=bool)
    for node, part in picked.parts.items():
        if not isinstance(node, Input):
            reads[part.row] = True
    values = query.values({x: nearest(v) for x, v in point.items()})
    if reads.any():
        s = picked.value(values)
        kept = ~reads | (s > -_NEAR * np.maximum(1.0, _sizes(picked, values)))
        if (kept & reads).sum() * query.entries > _WORK:
            raise UnsupportedError("the network is too large for rationals")
        picked, strict = picked.take(np.flatnonzero(kept)), strict[kept]
    parts, constant = tangent(picked, values)
    starts = dict(zip(query.inputs, np.cumsum([0, *(x.size for x in query.inputs)]), strict=False))
    lines: list[dict[int, Fraction]] = [{} for _ in range(len(picked))]
    for x, dense in parts.items():
        for k, j in zip(*np.nonzero(dense), strict=True):
            lines[k][int(starts[x] + j)] = dense[k, j]
    flat = np.concatenate([point[x] for x in query.inputs])
    return _with_equations(lines, constant.tolist(), strict.tolist(), flat.tolist(), share), bool(reads.any())


def _sizes(rows: Any, values: Mapping[Any, Array]) -> Array:
    """The sum of the magnitudes of every row's terms."""
    total = np.abs(nearest(rows.constant))
    for node, part in rows.parts.items():
        np.add.at(total, part.row, np.abs(nearest(part.coefficient) * values[node][part.column]))
    return np.asarray(total)


def _with_equations(
    lines: list[dict[int, Fraction]],
    constants: list[Fraction],
    strict: list[bool],
    point: list[Fraction],
    share: Fraction,
) -> list[ExactRow]:
    """Rows; two that are each other's negative are one equation, and the others keep ``share`` of their size inside."""
    known = {(tuple(sorted(line.items())), c): k for k, (line, c) in enumerate(zip(lines, constants, strict=True))}
    rows: list[ExactRow] = []
    for k, (line, c) in enumerate(zip(lines, constants, strict=True)):
        mirror = known.get((tuple(sorted((j, -a) for j, a in line.items())), -c))
        if mirror is not None:
            if k <= mirror:
                rows.append(ExactRow(line, c, equation=True))
            continue
        size = abs(c) + sum((abs(a * point[j]) for j, a in line.items()), start=Fraction(0))
        inside = max(share, _INSIDE[1]) if strict[k] else share
        rows.append(ExactRow(line, c, slack=_short(inside * max(size, Fraction(1, 2**60)))))
    return rows


def _short(value: Fraction) -> Fraction:
    """A power of two not below a positive number: slacks need few bits."""
    return value and Fraction(2) ** int(np.ceil(np.log2(float(value))))


def _flat(query: Query, point: Point, chosen: _Chosen) -> tuple[list[Fraction], list[Number], list[Number]]:
    """Start and limits of all columns; whole numbers stay where they are."""
    boxes = dict(query.boxes)
    for part in chosen.boxes:
        boxes[part.input] = boxes[part.input].intersect(Box(part.lower, part.upper))
    values, lower, upper = [], [], []
    for x in query.inputs:
        low, high = boxes[x].lower, boxes[x].upper
        at = _boxed(point[x], boxes[x])
        low, high = np.where(x.integer, at, _numbers(low)), np.where(x.integer, at, _numbers(high))
        values += at.tolist()
        lower += low.tolist()
        upper += high.tolist()
    return values, lower, upper


def _numbers(limit: Array) -> Array:
    """Fractions, infinities as floats."""
    finite = np.isfinite(nearest(limit))
    out = limit.astype(object)
    out[finite] = to_fractions(limit[finite])
    return out
