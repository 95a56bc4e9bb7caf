"""The activation regions of a graph over a box, exactly: on each, every node is affine in the inputs.

A vector of ``m`` affine forms over ``n`` variables is an array of Fractions of shape ``(n + 1, m)``: the
coefficients of each variable, then the constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TypeAlias, final

import numpy as np

from nnsym.errors import MissingBoundsError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.functions.pieces import cells, profile
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise
from nnsym.ir.query import Query
from nnsym.ir.rational.simplex import Number, Vertex, minimise
from nnsym.ir.univariate import Hinge, Piecewise

Vector: TypeAlias = tuple[Fraction, ...]

_ZERO = Fraction(0)


@final
@dataclass(frozen=True, eq=False)
class Domain:
    """The box of all inputs, one after the other, and the inputs as affine forms of themselves."""

    starts: dict[Input, int]
    lower: Vector
    upper: Vector
    forms: dict[Node, Array]

    @staticmethod
    def of(query: Query) -> Domain:
        starts: dict[Input, int] = {}
        size = 0
        for x, box in query.boxes.items():
            if x.integer.any():
                raise UnsupportedError("the exact oracle takes no integer inputs", where=x.name)
            if any(abs(v) == float("inf") for v in (*box.lower, *box.upper)):
                raise MissingBoundsError(
                    "the exact oracle needs a bounded box", where=x.name, remedy="Bound every input"
                )
            starts[x], size = size, size + x.size
        unit = to_fractions(np.eye(size + 1, size))
        forms: dict[Node, Array] = {x: unit[:, a : a + x.size] for x, a in starts.items()}
        boxes = query.boxes.values()
        lower = tuple(v for box in boxes for v in to_fractions(box.lower))
        return Domain(starts, lower, tuple(v for box in boxes for v in to_fractions(box.upper)), forms)

    @property
    def size(self) -> int:
        return len(self.lower)

    @property
    def empty(self) -> bool:
        return any(low > high for low, high in zip(self.lower, self.upper, strict=True))

    @property
    def centre(self) -> Vector:
        return tuple((low + high) / 2 for low, high in zip(self.lower, self.upper, strict=True))

    def range(self, form: Array) -> tuple[Fraction, Fraction]:
        """The least and the greatest value of one affine form on the box."""
        low = high = form[-1]
        for factor, a, b in zip(form[:-1], self.lower, self.upper, strict=True):
            if factor:
                least, most = (a, b) if factor > 0 else (b, a)
                low, high = low + factor * least, high + factor * most
        return low, high

    def split(self, point: Vector) -> dict[Input, Array]:
        """The point by input."""
        flat = np.array(point, dtype=object)
        return {x: flat[a : a + x.size] for x, a in self.starts.items()}


@final
@dataclass(frozen=True, eq=False)
class Region:
    """A polytope of inputs on which ``forms`` holds: ``row . (x, 1) <= 0`` for every row; ``inside`` lies in it.

    The rows in ``strict``, also among ``rows``, hold without equality.
    """

    forms: Mapping[Node, Array]
    rows: tuple[Array, ...]
    inside: Vector
    strict: tuple[Array, ...] = ()

    def meet(self, sides: list[Side], domain: Domain) -> Region | None:
        """The part of the region where the sides hold too, or None if there is none."""
        if not sides:
            return self
        rows = (*self.rows, *(s.row for s in sides))
        strict = (*self.strict, *(s.row for s in sides if s.strict))
        if all(s.holds(_at(s.row, self.inside)) for s in sides):
            return Region(self.forms, rows, self.inside, strict)
        if not strict:
            found = solve([_ZERO] * domain.size, list(rows), domain.lower, domain.upper)
            return None if found is None else Region(self.forms, rows, found.point)
        one = Fraction(1)  # the most by which all strict rows hold at once
        widened = [with_variable(row, _ZERO) for row in rows] + [with_variable(row, one) for row in strict]
        found = solve([*([_ZERO] * domain.size), -one], widened, (*domain.lower, _ZERO), (*domain.upper, one))
        return Region(self.forms, rows, found.point[:-1], strict) if found is not None and found.value < 0 else None


@final
@dataclass(frozen=True, eq=False)
class Side:
    """``row . (x, 1) <= 0``, or ``< 0``. ``jump`` is true where neighbours disagree about what is at equality."""

    row: Array
    strict: bool = False
    jump: bool = False

    def holds(self, value: Fraction) -> bool:
        return value < 0 or (value == 0 and not self.strict)


def regions(nodes: tuple[Node, ...], domain: Domain, region: Region, *, closed: bool = False) -> Iterator[Region]:
    """All activation patterns that occur, depth first; a pattern is given up where its polytope is empty.

    ``closed`` takes both limits at a jump for values.
    """
    forms = dict(region.forms)
    for position, node in enumerate(nodes):
        if isinstance(node, Affine):
            forms[node] = _affine_form(node, forms, domain.size)
            continue
        ahead = replace(region, forms=forms)
        for form, part in _pieces(_choices(node, forms[node.parents[0]], closed), domain, ahead):
            there = replace(part, forms={**forms, node: form})
            yield from regions(nodes[position + 1 :], domain, there, closed=closed)
        return
    yield replace(region, forms=forms)


# One way a neuron can be: its affine form there, and the sides that say "there".
Choice: TypeAlias = tuple[Array, list[Side]]


def _choices(node: Node, x: Array, closed: bool) -> list[list[Choice]]:
    """For every element of a node all its linear pieces, given the forms ``x`` of its parent."""
    if isinstance(node, Pointwise) and isinstance(node.fn, Piecewise):
        return list(_lines(node.fn, x, closed))
    if isinstance(node, Pointwise) and isinstance(node.fn, Hinge):
        left, right = (to_fractions(s) for s in node.fn.slopes(node.size))
        sides = [[(a * f, [Side(f)]), (b * f, [Side(-f)])] for f, a, b in zip(x.T, left, right, strict=True)]
        return [[(pair[0][0], [])] if a == b else pair for pair, a, b in zip(sides, left, right, strict=True)]
    if isinstance(node, Max):
        members = [[k for k in dict.fromkeys(group.tolist()) if k >= 0] for group in node.groups]
        return [[(x[:, k], [Side(x[:, j] - x[:, k]) for j in some if j != k]) for k in some] for some in members]
    kind = node.fn.name if isinstance(node, Pointwise) else type(node).__name__.lower()
    raise UnsupportedError(f"the exact oracle cannot enumerate '{kind}'", remedy="It knows hinges, pieces and maxima")


def _lines(fn: Piecewise, x: Array, closed: bool) -> Iterator[list[Choice]]:
    """The lines of every element, and what stands alone at a jump."""
    tables = [to_fractions(v) for v in (fn.breaks, fn.slopes, fn.offsets, fn.at)]
    for k, form in enumerate(x.T):
        row = min(k, len(fn.breaks) - 1)
        breaks, slopes, offsets, at = (table[row] for table in tables)
        left, right = (side[row] for side in fn.apart)
        unit = constant_form(len(form))
        ends = [form - t * unit for t in breaks]  # <= 0 on the left
        jump = [bool(v) for v in left | right]
        before = [[Side(-end, bool(apart) and not closed, j)] for end, apart, j in zip(ends, right, jump, strict=True)]
        after = [[Side(end, bool(apart) and not closed, j)] for end, apart, j in zip(ends, left, jump, strict=True)]
        lines = zip(slopes, offsets, [[], *before], [*after, []], strict=True)
        found = [(a * form + b * unit, [*start, *stop]) for a, b, start, stop in lines]
        for end, value in ((ends[j], at[j]) for j in np.flatnonzero(left & right)):
            found.append((value * unit, [Side(end, jump=True), Side(-end, jump=True)]))
        yield found


def _pieces(elements: list[list[Choice]], domain: Domain, region: Region) -> Iterator[tuple[Array, Region]]:
    """All ways to choose one piece per element that some input of the region takes."""
    if not elements:
        raise UnsupportedError("a node without elements")
    for form, part in _element_pieces(elements[0], domain, region):
        if len(elements) == 1:
            yield form[:, None], part
            continue
        for others, rest in _pieces(elements[1:], domain, part):
            yield np.concatenate((form[:, None], others), axis=1), rest


def _element_pieces(choices: list[Choice], domain: Domain, region: Region) -> Iterator[tuple[Array, Region]]:
    open_choices = []
    for form, sides in choices:
        ranges = [domain.range(side.row) for side in sides]
        needed = [s for s, (_, high) in zip(sides, ranges, strict=True) if high > 0 or (high == 0 and s.jump)]
        if not needed:  # holds on the whole box: the other pieces agree with it wherever they hold
            yield form, region
            return
        if all(side.holds(low) for side, (low, _) in zip(sides, ranges, strict=True)):
            open_choices.append((form, needed))
    for form, needed in open_choices:
        part = region.meet(needed, domain)
        if part is not None:
            yield form, part


def count_unstable(nodes: tuple[Node, ...], domain: Domain) -> int:
    """Hinges, pieces and maxima with more than one case, by interval arithmetic in Fractions."""
    ranges: dict[Node, tuple[Array, Array]] = {}
    lower, upper = (np.array(side, dtype=object) for side in (domain.lower, domain.upper))
    for x, start in domain.starts.items():
        ranges[x] = lower[start : start + x.size], upper[start : start + x.size]
    count = 0
    for node in nodes:
        if isinstance(node, Affine):
            ranges[node] = _affine_range(node, ranges)
            continue
        low, high = ranges[node.parents[0]]
        if isinstance(node, Max):
            ends = [(low[group[group >= 0]], high[group[group >= 0]]) for group in node.groups]
            ranges[node] = np.array([a.max() for a, _ in ends]), np.array([b.max() for _, b in ends])
            count += sum(int((b > a.max()).sum() > 1) for a, b in ends)
        elif isinstance(node, Pointwise) and isinstance(node.fn, Piecewise):
            count += int((cells(node.fn, low, high).count > 1).sum())
            ranges[node] = profile(node.fn, low, high).span
        elif isinstance(node, Pointwise) and isinstance(node.fn, Hinge):
            left, right = node.fn.slopes(node.size)
            crossing = (low < 0) & (high > 0)
            count += int((crossing & (left != right)).sum())
            ends_of = np.stack(
                [node.fn.value(low), node.fn.value(high), node.fn.value(np.where(crossing, 0 * low, low))]
            )
            ranges[node] = ends_of.min(axis=0), ends_of.max(axis=0)
        else:
            _choices(node, low[None], closed=False)  # says what it cannot enumerate
    return count


def _affine_range(node: Affine, ranges: Mapping[Node, tuple[Array, Array]]) -> tuple[Array, Array]:
    low = high = to_fractions(node.bias)
    for linear, parent in zip(node.maps, node.parents, strict=True):
        a, b = ranges[parent]
        centre, radius = linear.apply((a + b) / 2), linear.abs().apply((b - a) / 2)
        low, high = low + centre - radius, high + centre + radius
    return low, high


def _affine_form(node: Affine, forms: Mapping[Node, Array], size: int) -> Array:
    total = to_fractions(np.zeros((size + 1, node.size)))
    total[-1] = to_fractions(node.bias)
    for linear, parent in zip(node.maps, node.parents, strict=True):
        total = total + linear.apply(forms[parent])
    return np.asarray(total)


def solve(
    cost: Sequence[Fraction], rows: Sequence[Array], lower: Sequence[Number], upper: Sequence[Number]
) -> Vertex | None:
    """Minimise ``cost`` over the box where every affine form in ``rows`` is at most 0; None if that is empty."""
    return minimise(cost, [row[:-1].tolist() for row in rows], [-row[-1] for row in rows], lower, upper)


def constant_form(size: int) -> Array:
    """The form that is 1 everywhere."""
    return np.array([*([_ZERO] * (size - 1)), Fraction(1)], dtype=object)


def with_variable(row: Array, factor: Fraction) -> Array:
    """The form with one more variable in front of the constant."""
    return np.concatenate((row[:-1], np.array([factor, row[-1]], dtype=object)))


def _at(row: Array, point: Vector) -> Fraction:
    total: Fraction = row[-1]
    return sum((a * v for a, v in zip(row[:-1], point, strict=True) if a), start=total)
