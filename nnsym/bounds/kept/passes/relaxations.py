"""Lines that enclose a nonlinear node, valid in exact arithmetic for the given ranges, and the ranges of its values.

The formulas are shared with :mod:`nnsym.bounds.engine.relaxations`; only a ReLU's are written by themselves, without
branches, because they are made again for every batch of subproblems.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.hinge_lines import Slopes, bends, hinge_lines
from nnsym.bounds.kept.plan.plan import Plan
from nnsym.bounds.kept.rounding import FLOAT64, settle
from nnsym.bounds.maximum_lines import maximum_lines, rivals
from nnsym.bounds.planes import planes, product_range
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.functions.pieces import cells
from nnsym.ir.intervals import Sides
from nnsym.ir.node import Max, Node, Pointwise, Product
from nnsym.ir.univariate import Hinge, Piecewise

_U, _TINY = FLOAT64.u, FLOAT64.tiny


@final
@dataclass(frozen=True, eq=False)
class Tap:
    """Slopes ``(1 or batch, n)`` on elements ``index`` of ``parent`` (None: element i itself)."""

    parent: Node
    index: Array | None
    low: Array
    high: Array


@final
@dataclass(frozen=True, eq=False)
class Lines:
    """A line below and a line above every element: ``sum_t slope_t parent_t[index_t] + offset``.

    ``free`` is 1 where any slope in ``[least, most]`` gives a valid line through the origin on one side, which is above
    if ``turned``, else below; None where nothing is free.
    """

    taps: tuple[Tap, ...]
    low: Array
    high: Array
    free: Array | None = None
    least: Array | None = None
    most: Array | None = None
    turned: bool = False


def lines(plan: Plan, node: Node, parents: tuple[Sides, ...], out: Sides) -> Lines:
    """The lines of a node over its parents' ranges; ``out`` is the node's own range."""
    match node:
        case Pointwise(fn=Hinge()):
            if is_relu(node):
                return _relu(node, *parents[0])
            return _hinge(node, Slopes.of(np, *_slopes(plan, node)), parents[0], out)
        case Pointwise():
            fn = node.fn.take(plan.keep[node])
            low, low_offset, high, high_offset = fn.lines(*parents[0])
            return Lines((Tap(node.parents[0], None, low, high),), low_offset, high_offset)
        case Max():
            return _maximum(plan, node, parents[0], out)
        case Product():
            return _product(node, parents[0], parents[1], out, summed=node in plan.summed)
    raise UnsupportedError(f"no linear bounds for {node!r}")


def image(plan: Plan, node: Node, parents: tuple[Sides, ...]) -> Sides:
    """The range of a nonlinear node from its parents' ranges, rounded outward."""
    lower, upper = parents[0]
    match node:
        case Pointwise(fn=Hinge()) if is_relu(node):
            return np.maximum(lower, 0.0), np.maximum(upper, 0.0)
        case Pointwise():
            return node.fn.take(plan.keep[node]).span(lower, upper)
        case Max():
            groups = plan.groups(node)
            return lower[:, groups].max(axis=-1), upper[:, groups].max(axis=-1)
        case Product():
            square = node.parents[0] is node.parents[1]
            return settle(*product_range(np, parents[0], parents[1], FLOAT64, square=square), FLOAT64)
    raise UnsupportedError(f"no bounds for {node!r}")


def undecided(plan: Plan, node: Node, lower: Array, upper: Array) -> Array:
    """Elements of an argument with this range whose bounds shape the lines of ``node``: bool ``(batch, n)``."""
    match node:
        case Pointwise(fn=Hinge()):
            left, right = _slopes(plan, node)
            return np.asarray(bends((lower, upper), left != right))
        case Pointwise(fn=Piecewise()):
            fn = node.fn.take(plan.keep[node])
            assert isinstance(fn, Piecewise)
            return np.asarray(cells(fn, lower, upper).count > 1)
        case Max():
            groups, members = _members(plan, node, (lower, upper))
            found = np.zeros(lower.shape, dtype=bool)
            row, group, member = np.nonzero(rivals(np, members))
            found[row, groups[group, member]] = True
            return found
    return np.asarray(lower < upper)


def is_relu(node: Node) -> bool:
    """True for ``max(x, 0)``, whatever its name."""
    fn = node.fn if isinstance(node, Pointwise) else None
    return isinstance(fn, Hinge) and bool((fn.left == 0).all() and (fn.right == 1).all())


def _slopes(plan: Plan, node: Pointwise) -> Sides:
    assert isinstance(node.fn, Hinge)
    left, right = node.fn.slopes(node.size)
    return left[plan.keep[node]], right[plan.keep[node]]


def _relu(node: Pointwise, lo: Array, hi: Array) -> Lines:
    """The chord above, and below the line through the origin of the smaller area (Zhang et al., 2018).

    With ``l' = min(l, 0)`` and ``u' = max(u, 0)`` one formula is the chord of an open element, 1 of an active and 0 of
    a dead one, whose offsets are 0: ``u' / (u' - l')``. The stored chord may miss the function at either end, which the
    offset pays: ``max(-s l', (1 - s) u')`` and what rounding may have moved there. An open element without a finite
    range has the line 0 below and an infinite one above.
    """
    neg, pos = np.minimum(lo, 0.0), np.maximum(hi, 0.0)
    width = pos - neg
    bounded = np.isfinite(width)
    if not bounded.all():  # the ends of what is not open stay as they are: they have no chord
        neg, pos = (np.where(np.isfinite(v), v, np.sign(v)) for v in (neg, pos))
        width = pos - neg
    chord = pos / np.where(width > 0.0, width, 1.0)
    opened = ((lo < 0) & (hi > 0)).astype(np.float64)
    misses = np.maximum(-chord * neg, (1.0 - chord) * pos) + 8.0 * _U * (1.0 + chord) * width + _TINY
    low = ((pos >= -neg) & (pos > 0)).astype(np.float64)
    offset = np.zeros_like(chord)
    over = misses * opened
    if not bounded.all():
        lost = (opened > 0) & ~bounded
        chord, low, over = np.where(lost, 0.0, chord), np.where(lost, 0.0, low), np.where(lost, hi, over)
    ends = np.zeros(chord.shape[1]), np.ones(chord.shape[1])
    return Lines((Tap(node.parents[0], None, low, chord),), offset, over, opened, *ends)


def _hinge(node: Pointwise, slopes: Slopes, x: Sides, out: Sides) -> Lines:
    made = hinge_lines(np, slopes, x, out, FLOAT64)
    tap = (Tap(node.parents[0], None, made.low, made.high),)
    if slopes.convex.all() or not slopes.convex.any():
        free = (made.below | made.above).astype(np.float64)
        turned = not slopes.convex.all()
        return Lines(tap, made.low_offset, made.high_offset, free, slopes.least, slopes.most, turned=turned)
    return Lines(tap, made.low_offset, made.high_offset)


def _maximum(plan: Plan, node: Max, x: Sides, out: Sides) -> Lines:
    groups, members = _members(plan, node, x)
    made = maximum_lines(np, members, out[1], FLOAT64)
    taps = (Tap(node.parents[0], groups[:, k], made.low[..., k], made.high[..., k]) for k in range(groups.shape[1]))
    return Lines(tuple(taps), np.zeros_like(made.offset), made.offset)


def _members(plan: Plan, node: Max, x: Sides) -> tuple[Array, Sides]:
    """Where the members of all groups are, and their ranges; -inf where a group is padded."""
    groups, real = plan.groups(node), node.groups[plan.keep[node]] >= 0
    lower, upper = (np.where(real, side[:, groups], -np.inf) for side in x)
    return groups, (lower, upper)


def _product(node: Product, x: Sides, y: Sides, out: Sides, *, summed: bool) -> Lines:
    left, right = node.parents
    made = planes(np, x, y, out, FLOAT64, square=left is right, summed=summed)
    taps = Tap(left, None, made.a_low, made.a_high), Tap(right, None, made.b_low, made.b_high)
    return Lines(taps, made.low, made.high)
