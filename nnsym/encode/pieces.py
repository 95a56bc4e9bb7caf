"""What the rules for piecewise-linear functions share: the cells that bounds leave open, their choice, their hull."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np

from nnsym.builder import RowTerms
from nnsym.encoding import Context
from nnsym.ir.array import Array
from nnsym.ir.functions.pieces import Cells, cells, lower_edges, number, profile
from nnsym.ir.node import Node, Pointwise
from nnsym.ir.univariate import Piecewise
from nnsym.program import Kind, Role


@final
@dataclass(frozen=True, eq=False)
class OpenPieces:
    """Elements of a piecewise-linear node with the same two or more cells left (:mod:`nnsym.ir.functions.pieces`).

    ``index`` numbers the elements; ``h`` and ``y`` are column ids; ``l < u`` bound h, unless a jump is at l = u.
    The cells, left to right, are ``y = slope h + offset`` for ``low <= h <= high``, arrays ``(cells, n)``; ``open_low``
    and ``open_high`` say where an end belongs to the closure only. ``place`` is ``element * (2 m + 1) + cell``.
    """

    fn: Piecewise
    index: Array
    h: Array
    y: Array
    l: Array  # noqa: E741
    u: Array
    slope: Array
    offset: Array
    low: Array
    high: Array
    open_low: Array
    open_high: Array
    place: Array

    @property
    def continuous(self) -> bool:
        """True if the cells are lines that meet."""
        return bool((np.diff(self.place, axis=0) == 2).all() and not (self.open_high[:-1] | self.open_low[1:]).any())

    def take(self, some: Array) -> OpenPieces:
        """Part of the elements."""
        parts = (self.index, self.h, self.y, self.l, self.u)
        tables = (self.slope, self.offset, self.low, self.high, self.open_low, self.open_high, self.place)
        return OpenPieces(self.fn.take(some), *(v[some] for v in parts), *(v[:, some] for v in tables))

    @property
    def bounded(self) -> OpenPieces:
        """The elements whose bounds are finite."""
        return self.take(np.isfinite(self.l) & np.isfinite(self.u))


def open_pieces(ctx: Context, node: Pointwise, h: Array) -> tuple[Array, list[OpenPieces]]:
    """Column ids of the whole node, and its open elements by the cells that they have.

    An element with one cell is affine: the identity shares the column of h, 0 has none (-1), a constant has a fixed
    column, any other line a column and the row ``slope h - y = -offset``. Open elements get a column ``y`` whose bounds
    include the range of the function, so that flat sides need no row.
    """
    fn = node.fn
    assert isinstance(fn, Piecewise)  # rules are looked up by the type of fn
    l, u = (np.where(h < 0, 0.0, side) for side in ctx.interval(node.parents[0]))  # noqa: E741
    found, (least, most) = cells(fn, l, u), profile(fn, l, u).span
    lower, upper = ctx.interval(node)
    lower, upper = np.maximum(lower, least), np.minimum(upper, most)
    slope, offset = found.only()
    stable, flat = found.count == 1, (slope == 0) | (h < 0)
    ids = np.where(stable & (slope == 1) & (offset == 0), h, -1)
    fixed = np.flatnonzero(stable & flat & (offset != 0))
    ids[fixed] = ctx.columns(node, Role.POST, fixed, offset[fixed], offset[fixed])
    k = np.flatnonzero(stable & ~flat & ((slope != 1) | (offset != 0)))
    ids[k] = ctx.columns(node, Role.POST, k, lower[k], upper[k])
    ctx.rows(node, [(slope[k], h[k]), (-1.0, ids[k])], lower=-offset[k], upper=-offset[k], says="stable: y = a h + b")
    index = np.flatnonzero(~stable)
    ids[index] = ctx.columns(node, Role.POST, index, lower[index], upper[index])
    return ids, list(_groups(fn, found, index, h, ids, (l, u)))


def _groups(
    fn: Piecewise, found: Cells, index: Array, h: Array, y: Array, bounds: tuple[Array, Array]
) -> Iterator[OpenPieces]:
    """The elements ``index`` by pattern of cells."""
    width = found.alive.shape[-1]
    patterns, which = np.unique(found.alive[index], axis=0, return_inverse=True)
    for k, pattern in enumerate(patterns):
        some, cell = index[which.ravel() == k], np.flatnonzero(pattern)
        tables = (found.slope, found.offset, found.low, found.high, found.open_low, found.open_high)
        cut = [table[some][:, cell].T for table in tables]
        place = some * width + cell[:, None]
        yield OpenPieces(fn.take(some), some, h[some], y[some], *(v[some] for v in bounds), *cut, place)  # type: ignore[call-arg]


def hull(ctx: Context, node: Node, o: OpenPieces) -> None:
    """The convex hull of each graph over finite bounds, but for flat edges, which are bounds of the column."""
    points = profile(o.fn, o.l, o.u)
    for sign, y, says in ((1.0, points.low, "above its lower hull"), (-1.0, -points.high, "below its upper hull")):
        for edge in lower_edges(points.x, y):
            k = np.flatnonzero(edge.there & (edge.slope != 0))
            terms: RowTerms = [(sign, o.y[k]), (-edge.slope[k], o.h[k])]
            ctx.rows(node, terms, lower=edge.offset[k], says=f"y {says}")


def choose(ctx: Context, node: Node, o: OpenPieces) -> Array:
    """A binary w for every cell, ``(cells, n)``, 1 in the one that the point is in and 0 in the others."""
    w = _binaries(ctx, node, Role.CHOICE, o.place)
    ctx.rows(node, [(1.0, column) for column in w], lower=1.0, upper=1.0, says="one cell is chosen")
    return w


def phases(ctx: Context, node: Node, o: OpenPieces) -> Array:
    """A binary z for every cell but the first, ``(cells - 1, n)``, 1 in the cell and beyond."""
    z = _binaries(ctx, node, Role.PHASE, o.place[1:])
    for before, after in pairwise(z):
        ctx.rows(node, [(1.0, before), (-1.0, after)], lower=0.0, says="cells in their order")
    return z


def _binaries(ctx: Context, node: Node, role: Role, place: Array) -> Array:
    """Element by element, as :func:`chosen_cells` wants them."""
    ids = ctx.columns(node, role, place.T.ravel(), 0.0, 1.0, kind=Kind.BINARY)
    return ids.reshape(-1, len(place)).T


def begun_cells(fn: Piecewise, x: Array, place: Array) -> Array:
    """Where the argument ``x`` is in the cell that ``place`` numbers, or beyond it."""
    width = 2 * fn.breaks.shape[1] + 1
    return np.asarray(place % width <= number(fn, x)[place // width], dtype=bool)


def chosen_cells(fn: Piecewise, x: Array, place: Array) -> Array:
    """1 for the cell that ``x`` is in, of those that are listed element by element, and 0 for the others."""
    element = place // (2 * fn.breaks.shape[1] + 1)
    same = element[1:] == element[:-1]
    begun = begun_cells(fn, x, place) | ~np.append(False, same)  # the first holds what lies before the others
    return np.asarray(begun & ~(np.append(same, False) & np.append(begun[1:], False)), dtype=np.float64)
