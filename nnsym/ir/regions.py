"""The activation regions of a graph over a box, exactly: on each, every node is affine in the inputs.

A vector of ``m`` affine forms over ``n`` variables is an array of Fractions of shape ``(n + 1, m)``: the
coefficients of each variable, then the constants.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import MissingBoundsError, UnsupportedError
from nnsym.ir.exact import to_fractions
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise
from nnsym.ir.query import Query
from nnsym.ir.simplex import Number, Optimum, minimise
from nnsym.ir.univariate import Hinge

Array = NDArray[Any]
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
                low, high = low + min(factor * a, factor * b), high + max(factor * a, factor * b)
        return low, high

    def split(self, point: Vector) -> dict[Input, Array]:
        """The point by input."""
        flat = np.array(point, dtype=object)
        return {x: flat[a : a + x.size] for x, a in self.starts.items()}


@final
@dataclass(frozen=True, eq=False)
class Region:
    """A polytope of inputs on which ``forms`` holds: ``row . (x, 1) <= 0`` for every row; ``inside`` lies in it."""

    forms: Mapping[Node, Array]
    rows: tuple[Array, ...]
    inside: Vector

    def meet(self, rows: list[Array], domain: Domain) -> Region | None:
        """The part of the region where ``rows`` hold too, or None if there is none."""
        if not rows:
            return self
        both = (*self.rows, *rows)
        if all(_at(row, self.inside) <= 0 for row in rows):
            return Region(self.forms, both, self.inside)
        found = solve([_ZERO] * domain.size, list(both), domain.lower, domain.upper)
        return None if found is None else Region(self.forms, both, found.point)


def regions(nodes: tuple[Node, ...], domain: Domain, region: Region) -> Iterator[Region]:
    """All activation patterns that occur, depth first; a pattern is given up where its polytope is empty."""
    forms = dict(region.forms)
    for position, node in enumerate(nodes):
        if isinstance(node, Affine):
            forms[node] = _affine_form(node, forms, domain.size)
            continue
        ahead = Region(forms, region.rows, region.inside)
        for form, part in _pieces(_choices(node, forms[node.parents[0]]), domain, ahead):
            yield from regions(nodes[position + 1 :], domain, Region({**forms, node: form}, part.rows, part.inside))
        return
    yield Region(forms, region.rows, region.inside)


# One way a neuron can be: its affine form there, and the rows that say "there".
Choice: TypeAlias = tuple[Array, list[Array]]


def _choices(node: Node, x: Array) -> list[list[Choice]]:
    """For every element of a node all its linear pieces, given the forms ``x`` of its parent."""
    if isinstance(node, Pointwise) and isinstance(node.fn, Hinge):
        left, right = (to_fractions(s) for s in node.fn.slopes(node.size))
        sides = [[(a * f, [f]), (b * f, [-f])] for f, a, b in zip(x.T, left, right, strict=True)]
        return [[(pair[0][0], [])] if a == b else pair for pair, a, b in zip(sides, left, right, strict=True)]
    if isinstance(node, Max):
        members = [[k for k in dict.fromkeys(group.tolist()) if k >= 0] for group in node.groups]
        return [[(x[:, k], [x[:, j] - x[:, k] for j in some if j != k]) for k in some] for some in members]
    kind = node.fn.name if isinstance(node, Pointwise) else type(node).__name__.lower()
    raise UnsupportedError(f"the exact oracle cannot enumerate '{kind}'", remedy="It knows hinges and maxima")


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
    for form, rows in choices:
        ranges = [domain.range(row) for row in rows]
        needed = [row for row, (_, high) in zip(rows, ranges, strict=True) if high > 0]
        if not needed:  # holds on the whole box: the other pieces agree with it wherever they hold
            yield form, region
            return
        if all(low <= 0 for low, _ in ranges):
            open_choices.append((form, needed))
    for form, needed in open_choices:
        part = region.meet(needed, domain)
        if part is not None:
            yield form, part


def count_unstable(nodes: tuple[Node, ...], domain: Domain) -> int:
    """Hinges and maxima with more than one piece, by interval arithmetic in Fractions."""
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
        elif isinstance(node, Pointwise) and isinstance(node.fn, Hinge):
            left, right = node.fn.slopes(node.size)
            crossing = (low < 0) & (high > 0)
            count += int((crossing & (left != right)).sum())
            ends_of = np.stack(
                [node.fn.value(low), node.fn.value(high), node.fn.value(np.where(crossing, 0 * low, low))]
            )
            ranges[node] = ends_of.min(axis=0), ends_of.max(axis=0)
        else:
            _choices(node, low[None])  # says what it cannot enumerate
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
) -> Optimum | None:
    """Minimise ``cost`` over the box where every affine form in ``rows`` is at most 0; None if that is empty."""
    return minimise(cost, [row[:-1].tolist() for row in rows], [-row[-1] for row in rows], lower, upper)


def _at(row: Array, point: Vector) -> Fraction:
    total: Fraction = row[-1]
    return sum((a * v for a, v in zip(row[:-1], point, strict=True) if a), start=total)
