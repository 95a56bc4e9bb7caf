"""Probing: runs of the network at a few points of the domain. They refute what a solver says, and prove nothing.

A tolerance solver's "infeasible" or lower bound is its word alone (GLPK 5.0 called a feasible LP of 26 rows infeasible
whose columns were small). One input that meets the precondition contradicts the first, and one with a smaller margin
the second; what is contradicted is not believed.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnsym.bounds.points.starts import spread, starts
from nnsym.encode.point import complete, residual
from nnsym.ir.array import Array
from nnsym.ir.node import Input
from nnsym.ir.query import Query
from nnsym.program import Program, Tag
from nnsym.results.clock import NEVER, Deadline

#: A row counts as satisfied by a float run of the network within this.
NOISE = 1e-6


def nominal_violation(query: Query, program: Program) -> tuple[float, str]:
    """By how much an encoded run of the network at the domain's centre violates a network or cut row, and which one.

    More than :data:`NOISE` says that the encoding is wrong, and then "infeasible" proves nothing.
    """
    point = {x: spread(*query.boxes[x].outer, count=1)[0] for x in query.inputs}
    return residual(program, complete(program, query, point), tags=frozenset({Tag.NETWORK, Tag.CUT}))


def least_margin(query: Query, *, count: int = 32, deadline: Deadline = NEVER) -> float:
    """The least margin at the domain's centre, some corners and some random points; +inf where no input counts.

    Past the ``deadline`` only at the centre, which comes first.
    """
    points = starts(query, [query.boxes], count=count)
    least = np.inf
    for start, end in ((0, 1), (1, 4), (4, count)):
        if start < count and not (start and deadline.passed):
            some = {x: v[start:end] for x, v in points.items()}
            least = min(least, float(margins(query, some).min(initial=np.inf)))
    return least


def margins(query: Query, points: Mapping[Input, Array]) -> Array:
    """The margins at points ``(count, n)`` of every input, moved into the box; float64, of the graph as it stands."""
    inside = query.move_inside(points)
    values = query.values(inside)
    needed = {node: values[node] for node in (*query.inputs, *query.rows.parts)}
    count = len(next(iter(inside.values())))
    return np.array([query.margin({node: v[k] for node, v in needed.items()}) for k in range(count)])
