"""How far the rows of a query can be from their values at a centre, by multipliers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnsym.bounds.lipschitz.constants import certificate
from nnsym.bounds.lipschitz.distance import Distance
from nnsym.bounds.lipschitz.multipliers import Multipliers
from nnsym.bounds.lipschitz.norms import length, row_norms
from nnsym.bounds.lipschitz.sectors import Sectors, sectors
from nnsym.ir.array import Array
from nnsym.ir.intervals import Sides, interval_run
from nnsym.ir.node import Affine, Node
from nnsym.ir.query import Query
from nnsym.ir.walk import inputs_of, topological
from nnsym.results.clock import NEVER, Deadline, OutOfTime


def row_distances(
    query: Query, moved: Mapping[Node, Distance], ranges: Mapping[Node, Sides], *, together: bool, deadline: Deadline
) -> Array:
    """How far every row can be from its value at the centre, by constants of all of R^n; infinite where none is known.

    With ``together`` the constant is that of the rows' arguments at once, times the norm of a row's coefficients.
    """
    spec, far = query.spec[0], np.full(len(query.rows), np.inf)
    starts = inputs_of((spec,))
    radius = length(np.array([moved[x].two for x in starts]), 2)
    merged = spec.maps if isinstance(spec, Affine) else ()
    if not np.isfinite(radius) or not starts or (together and len(merged) != 1):
        return far
    try:
        system = everywhere(spec.parents[0] if together else spec, starts, ranges, deadline=deadline)
    except OutOfTime:
        return far
    if system is None:
        return far
    if together:
        constant = certificate(system, deadline=deadline).constant
        return np.asarray(row_norms(merged[0], 2) * constant * radius * (1 + 2.0**-50))
    start: Multipliers | None = None
    for i in range(len(far)):
        if deadline.passed:
            break
        one = certificate(system.row(i), start=start, deadline=deadline)
        far[i], start = one.constant * radius * (1 + 2.0**-50), one.multipliers or start
    return far


def everywhere(
    root: Node, starts: tuple[Node, ...], ranges: Mapping[Node, Sides], *, deadline: Deadline = NEVER
) -> Sectors | None:
    """The system over all of the inputs' space, or over the ranges where slopes are not bounded there.

    Raises :class:`nnsym.results.clock.OutOfTime` at the deadline.
    """
    nodes = tuple(n for n in topological((root,)) if n not in starts)
    whole: dict[Node, Sides] = {x: (np.full(x.size, -np.inf), np.full(x.size, np.inf)) for x in starts}
    open_ = interval_run(nodes, whole, late=lambda: deadline.passed)
    found = sectors(root, starts, open_, nodes, deadline=deadline)
    return sectors(root, starts, ranges, nodes, deadline=deadline) if found is None else found
