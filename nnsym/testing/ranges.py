"""The exact range of every node of a query with two inputs, and points that reach its ends.

On an activation region every node is affine in the inputs, so its extremes lie at the corners of the regions: where two
neurons turn, or one turns on the edge of the box (:mod:`nnsym.ir.rational.regions`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.node import Input
from nnsym.ir.query import Query
from nnsym.ir.rational.regions import Domain, Region, Vector, regions


def corners(query: Query) -> Iterator[dict[Input, Array]]:
    """Every corner of every activation region: the least and the greatest value of each node are among them.

    Raises:
        UnsupportedError: smooth activations, products, integer inputs, or not one or two inputs.
    """
    domain = Domain.of(query)
    if domain.size > 2:
        raise UnsupportedError(f"{domain.size} inputs: corners are enumerated in the plane", where=query.name)
    nodes = tuple(node for node in query.nodes if not isinstance(node, Input))
    seen = set[Vector]()
    for region in regions(nodes, domain, Region(domain.forms, (), domain.centre), closed=True):
        for point in _corners(region, domain):
            if point not in seen:
                seen.add(point)
                yield domain.split(point)


def _corners(region: Region, domain: Domain) -> Iterator[Vector]:
    sides = [tuple(row.tolist()) for row in region.rows]
    for k in range(domain.size):  # x_k <= upper, lower <= x_k
        unit = [Fraction(int(j == k)) for j in range(domain.size)]
        sides += [(*unit, -domain.upper[k]), (*(-v for v in unit), domain.lower[k])]
    for pair in itertools.combinations(dict.fromkeys(sides), domain.size):
        point = _meeting(pair)
        if point is not None and all(_at(side, point) <= 0 for side in sides):
            yield point


def _meeting(sides: tuple[tuple[Fraction, ...], ...]) -> Vector | None:
    if len(sides) == 1:
        (a, c), = sides  # fmt: skip
        return (-c / a,) if a else None
    (a, b, c), (d, e, f) = sides
    determinant = a * e - b * d
    return ((b * f - c * e) / determinant, (c * d - a * f) / determinant) if determinant else None


def _at(side: tuple[Fraction, ...], point: Vector) -> Fraction:
    return sum((a * x for a, x in zip(side, point, strict=False)), side[-1])
