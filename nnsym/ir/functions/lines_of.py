"""Nodes as functions of one variable: element by element, lines between breakpoints over a common node.

``x``, ``2 x + 1``, ``relu(x)`` and ``1 - step(x)`` are all piecewise-linear functions of x, so that a choice between
some of them by a comparison of x is one too (a threshold, a shrinkage): one activation, tight in every encoding and
bound, in place of a product. Nothing is rounded: what float64 numbers do not hold is not put together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.ir import exact
from nnsym.ir.array import Array
from nnsym.ir.linear import Scale, Select
from nnsym.ir.node import Affine, Node, affine, pointwise
from nnsym.ir.node import Pointwise as Applied
from nnsym.ir.univariate import Hinge, Piecewise


@final
@dataclass(frozen=True, eq=False)
class PiecewiseFields:
    """The fields of a :class:`~nnsym.ir.univariate.Piecewise`, one row for all elements or one for each.

    There may be no breakpoint at all.
    """

    breaks: Array
    slopes: Array
    offsets: Array
    at: Array

    def line(self, left_of: Array) -> tuple[Array, Array]:
        """Slope and offset of the line that ends at, or contains, what lies just left of ``left_of`` ``(rows, 1)``."""
        return self._pick((self.breaks < left_of).sum(axis=1))

    def last(self) -> tuple[Array, Array]:
        """The line right of all breakpoints."""
        return self.slopes[:, -1], self.offsets[:, -1]

    def _pick(self, number: Array) -> tuple[Array, Array]:
        rows = np.arange(max(len(number), len(self.slopes)))
        slopes, offsets = (np.broadcast_to(v, (len(rows), v.shape[1])) for v in (self.slopes, self.offsets))
        return slopes[rows, number], offsets[rows, number]

    def value(self, x: Array) -> Array | None:
        """The values at ``x`` ``(rows, 1)``, or None where float64 does not hold one of them."""
        slope, offset = self._pick((self.breaks < x).sum(axis=1))
        found = exact.add(exact.multiply(slope, x[:, 0]), offset)
        there = self.breaks == x
        found = np.where(there.any(axis=1), np.where(there, self.at, 0.0).sum(axis=1), found)
        return None if found.dtype == object else found

    def after(self, scale: Array, shift: Array) -> PiecewiseFields | None:
        """``scale f + shift`` for rows ``(rows, 1)``, or None where that rounds."""
        parts = [exact.multiply(v, scale) for v in (self.slopes, self.offsets, self.at)]
        parts[1:] = [exact.add(v, shift) for v in parts[1:]]
        if any(v.dtype == object for v in parts):
            return None
        return PiecewiseFields(np.broadcast_to(self.breaks, parts[2].shape), *parts)


_IDENTITY = PiecewiseFields(np.zeros((1, 0)), np.ones((1, 1)), np.zeros((1, 1)), np.zeros((1, 0)))


def constant_lines(values: Array) -> PiecewiseFields:
    """A constant, as a function of anything."""
    flat = values[:1] if len(values) and (values == values[0]).all() else values
    return PiecewiseFields(np.zeros((len(flat), 0)), np.zeros((len(flat), 1)), flat[:, None], np.zeros((len(flat), 0)))


def readings(node: Node) -> Iterator[tuple[Node, PiecewiseFields]]:
    """The node as a function of itself, and of what stands below it."""
    yield node, _IDENTITY
    if isinstance(node, Applied) and (lines := _of_function(node)) is not None:
        yield node.parents[0], lines
    found = _diagonal(node)
    if found is not None:
        scale, shift = found
        below = node.parents[0]
        outer = _IDENTITY.after(scale, shift)
        if outer is not None:
            yield below, outer
        if isinstance(below, Applied) and (inner := _of_function(below)) is not None:
            lines = inner.after(scale, shift)
            if lines is not None:
                yield below.parents[0], lines


def _of_function(node: Applied) -> PiecewiseFields | None:
    match node.fn:
        case Piecewise() as fn:
            return PiecewiseFields(fn.breaks, fn.slopes, fn.offsets, fn.at)
        case Hinge() as fn:
            slopes = np.stack(np.broadcast_arrays(fn.left, fn.right), axis=-1)
            zero = np.zeros((len(slopes), 1))
            return PiecewiseFields(zero, slopes, np.zeros_like(slopes), zero)
    return None


def _diagonal(node: Node) -> tuple[Array, Array] | None:
    """``(scale, shift)`` ``(rows, 1)`` of a node that is one, element by element, of its only parent."""
    if not isinstance(node, Affine) or len(node.maps) != 1:
        return None
    linear = node.maps[0]
    if isinstance(linear, Scale):
        factor = linear.factor
    elif isinstance(linear, Select) and linear.is_identity:
        factor = np.ones(1)
    else:
        return None
    parts = (factor, node.bias)
    if all((v == v[0]).all() for v in parts):
        parts = (factor[:1], node.bias[:1])
    scale, shift = np.broadcast_arrays(*parts)
    return scale[:, None], shift[:, None]


def joined(nodes: Sequence[Node]) -> tuple[Node, tuple[PiecewiseFields, ...]] | None:
    """A node below the first that all are functions of, and these; the one fewest steps below them.

    The first is a condition: where it is a line of another condition, ``1 - c``, that is no node to be a function of.
    """
    found = [list(readings(node)) for node in nodes]
    found[0] = [(base, lines) for base, lines in found[0][1:] if not lines.slopes.any()]
    best: tuple[int, Node, tuple[PiecewiseFields, ...]] | None = None
    for base, _ in found[0]:
        places = [[k for k, (b, _) in enumerate(mine) if b is base] for mine in found]
        if all(places):
            cost = sum(p[0] for p in places)
            if best is None or cost < best[0]:
                best = cost, base, tuple(mine[p[0]][1] for mine, p in zip(found, places, strict=True))
    return None if best is None else (best[1], best[2])


def selected(base: Node, condition: PiecewiseFields, one: PiecewiseFields, zero: PiecewiseFields) -> Node | None:
    """``one`` where the condition is 1 and ``zero`` where it is 0, as one function of ``base``.

    None where that needs a number that float64 does not hold, or where elements have different numbers of breakpoints.
    """
    parts = (condition, one, zero)
    rows = max(len(p.slopes) for p in parts)
    breaks = _merged([np.broadcast_to(p.breaks, (rows, p.breaks.shape[1])) for p in parts])
    if breaks is None:
        return None
    slopes: list[Array] = []
    offsets: list[Array] = []
    at: list[Array] = []
    for j in range(breaks.shape[1]):
        t = breaks[:, j : j + 1]
        chosen = condition.line(t)[1] == 1
        _append(slopes, offsets, chosen, one.line(t), zero.line(t), rows)
        values = _taken(parts, t)
        if values is None:
            return None
        at.append(np.broadcast_to(values, (rows,)))
    _append(slopes, offsets, condition.last()[1] == 1, one.last(), zero.last(), rows)
    return _made(base, breaks, np.stack(slopes, axis=1), np.stack(offsets, axis=1), at)


def _append(
    slopes: list[Array],
    offsets: list[Array],
    chosen: Array,
    one: tuple[Array, Array],
    zero: tuple[Array, Array],
    rows: int,
) -> None:
    slopes.append(np.broadcast_to(np.where(chosen, one[0], zero[0]), (rows,)))
    offsets.append(np.broadcast_to(np.where(chosen, one[1], zero[1]), (rows,)))


def _taken(parts: tuple[PiecewiseFields, PiecewiseFields, PiecewiseFields], t: Array) -> Array | None:
    """The values of the choice at a breakpoint, or None; a branch that no element takes may have any there."""
    chosen, one, zero = (p.value(t) for p in parts)
    if chosen is None or (one is None and (chosen == 1).any()) or (zero is None and (chosen != 1).any()):
        return None
    return np.where(chosen == 1, chosen if one is None else one, chosen if zero is None else zero)


def _merged(groups: list[Array]) -> Array | None:
    """The breakpoints of all, in order, each once; None where rows differ in their number."""
    every = np.sort(np.concatenate(groups, axis=1), axis=1)
    if not every.shape[1]:
        return every
    new = np.hstack((np.ones((len(every), 1), dtype=bool), np.diff(every, axis=1) > 0))
    counts = new.sum(axis=1)
    return every[new].reshape(len(every), -1) if (counts == counts[0]).all() else None


def _made(base: Node, breaks: Array, slopes: Array, offsets: Array, at: list[Array]) -> Node:
    """The node, without breakpoints at which nothing happens in any element."""
    values = np.stack(at, axis=1) if at else np.zeros((len(slopes), 0))
    kept = [j for j in range(breaks.shape[1]) if not _idle(breaks, slopes, offsets, values, j)]
    ends = [*kept, breaks.shape[1]]
    slopes, offsets = slopes[:, ends], offsets[:, ends]
    if not kept:
        factor, bias = (np.broadcast_to(v[:, 0], (base.size,)) for v in (slopes, offsets))
        linear = Select(np.arange(base.size), base.size) if (factor == 1).all() else Scale(factor)
        return affine(((linear, base),), bias) if factor.any() else affine((), bias)
    return pointwise(Piecewise(breaks[:, kept], slopes, offsets, values[:, kept], "piecewise"), base)


def _idle(breaks: Array, slopes: Array, offsets: Array, at: Array, j: int) -> bool:
    same = (slopes[:, j] == slopes[:, j + 1]) & (offsets[:, j] == offsets[:, j + 1])
    if not same.all():
        return False
    value = exact.add(exact.multiply(slopes[:, j], breaks[:, j]), offsets[:, j])
    return bool((value == at[:, j]).all())
