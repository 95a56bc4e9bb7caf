"""Norms of a Jacobian over a domain, from its entries as terms: by linear bounds, by a program, region by region."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from nnsym.ask.extremes import maximize
from nnsym.ask.lipschitz.space import Space
from nnsym.bounds.layers import open_elements
from nnsym.bounds.lipschitz.jacobian import jacobian_norm
from nnsym.bounds.lipschitz.norms import Norm, length, operator_norm
from nnsym.bounds.methods import compute
from nnsym.errors import InputError, MissingBoundsError, UnsupportedError
from nnsym.ir.exact import nearest
from nnsym.ir.formula import Atoms
from nnsym.ir.gradient import gradients
from nnsym.ir.linear import Dense, Select
from nnsym.ir.node import Node, affine, maximum, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rational.regions import Domain, Region, count_unstable, regions
from nnsym.ir.rows import Rows, stack
from nnsym.ir.univariate import absolute
from nnsym.relaxation.sources import find_source
from nnsym.results.clock import NEVER, Deadline
from nnsym.results.result import Trust, weakest

_MOST_OPEN = 16  # open neurons up to which regions are enumerated


def entries(space: Space, deadline: Deadline = NEVER) -> list[Node]:
    """For every output its gradient by the inputs that can change.

    Raises :class:`nnsym.results.clock.OutOfTime` where the deadline passes between two outputs.
    """
    axes, found = Select(space.open_axes, space.x.size), list[Node]()
    for row in gradients(space.root, np.eye(space.root.size), space.x):
        found.append(affine(((axes, row),)))
        deadline.check()
    return found


def _domain(space: Space) -> Query:
    if space.query is None:
        raise InputError("the Jacobian is bounded on a domain", where="where", remedy="Give where=(lower, upper)")
    return space.query


def by_bounds(space: Space, source: Any, p: Norm, q: Norm, deadline: Deadline) -> tuple[float, Trust]:
    """From intervals of the entries, and from bounds of the norms of rows where these are sums: the least.

    With ``r_i`` bounds of the rows' dual norms the norm p -> q is at most ``|r|_q``.
    """
    query = _domain(space)
    if not len(space.open_axes):
        return 0.0, Trust.CERTIFIED
    rows = entries(space, deadline)
    sums = [_row_norm(row, p) for row in rows] if p != 2 else []
    blocks = [Rows.of(node) for node in (*rows, *sums)]
    every = stack(blocks)
    asked = replace(query, rows=every, formula=Atoms(np.arange(len(every)), False, True))
    found = compute(asked, find_source(source).until(deadline)).rows
    count = len(rows) * len(space.open_axes)
    low, high = (side[:count].reshape(len(rows), -1) for side in (found.lower, found.upper))
    best = jacobian_norm((low, high), p, q)
    if sums and np.isfinite(found.upper[count:]).all():
        best = min(best, length(np.maximum(found.upper[count:], 0.0), q))
    return best, Trust.CERTIFIED


def by_program(space: Space, method: Any, p: Norm, q: Norm, deadline: Deadline) -> tuple[float, Trust]:
    """The largest norm of the Jacobian, by an exact encoding with its solver: norms that are sums and maxima only.

    On a box it is infinite where numbers are beyond floats.
    Raises :class:`UnsupportedError` for others, :class:`nnsym.results.clock.OutOfTime` at the deadline.
    """
    query = _domain(space)
    if not len(space.open_axes):
        return 0.0, Trust.EXACT
    rows = entries(space, deadline)
    goals = _goals(rows, p, q)
    bound, trust = 0.0, Trust.EXACT
    for k, goal in enumerate(goals):
        deadline.check()
        seconds = max(deadline.left / (len(goals) - k), 0.1)
        try:
            found = maximize(space.term(goal)[0], method, where=space.where, timeout=min(seconds, 1e6))
        except MissingBoundsError:
            if not np.isfinite(query.boxes[space.x].outer).all():
                raise
            return np.inf, Trust.CERTIFIED
        bound = max(bound, found.upper)
        trust = weakest(trust, found.upper_trust or Trust.CERTIFIED)
    return bound, trust


def _goals(rows: list[Node], p: Norm, q: Norm) -> list[Node]:
    """Terms whose largest values are the norm, the largest of them counts."""
    if q == "inf" or len(rows) == 1:
        if p != 2:
            return [_row_norm(row, p) for row in rows]
    elif (p, q) == (1, 1):  # the largest column sum
        size = rows[0].size
        total = affine(tuple((Select(np.arange(size), size), pointwise(absolute(), row)) for row in rows))
        return [maximum(total, np.arange(size)[None])]
    raise UnsupportedError(
        f"the norm {p} -> {q} is no maximum of sums",
        remedy="Use p = 1 or inf with q = inf (or one output), p = q = 1, or method 'exact' on a small network",
    )


def _row_norm(row: Node, p: Norm) -> Node:
    """The dual norm of a row, one element: the sum of magnitudes for p = inf, the largest for p = 1."""
    size = pointwise(absolute(), row)
    if p == 1:
        return maximum(size, np.arange(row.size)[None])
    return affine(((Dense(np.ones((1, row.size))), size),))


def by_regions(space: Space, p: Norm, q: Norm, deadline: Deadline = NEVER) -> tuple[float, Trust]:
    """The largest norm among the Jacobians of all regions of a small network of pieces, in rationals up to the norm.

    Raises :class:`UnsupportedError` where neurons are too many, or there are balls, and
    :class:`nnsym.results.clock.OutOfTime` where the deadline passes between two regions.
    """
    query = _domain(space)
    if any(query.balls.values()):
        raise UnsupportedError("regions are enumerated on a box", remedy="Leave the ball out")
    inner = tuple(n for n in space.nodes if n is not space.x)
    ranges = compute(query, "ibp")
    count = sum(int(open_elements(ranges, n).sum()) for n in inner)
    if count <= 2 * _MOST_OPEN:  # outward rounding may open a few that are not
        domain = Domain.of(query)
        count = count_unstable(inner, domain)
    if count > _MOST_OPEN:
        raise UnsupportedError(
            f"{count} open neurons have too many regions", remedy=f"Up to {_MOST_OPEN}: take a smaller box, or crown"
        )
    start = Region(domain.forms, (), domain.centre)
    largest = 0.0
    for found in regions(inner, domain, start):
        deadline.check()
        form = found.forms[space.root][:-1].T[:, space.open_axes]
        near = nearest(form)
        if not np.isfinite(near).all():
            return np.inf, Trust.CERTIFIED
        off = float(length(np.abs(near).ravel(), 2)) * 2.0**-52
        wide = off * float(np.sqrt(near.size))  # any of the norms of what rounding moved
        largest = max(largest, (operator_norm(Dense(near), p, q) + wide) * (1 + 2.0**-50))
    return largest, Trust.CERTIFIED
