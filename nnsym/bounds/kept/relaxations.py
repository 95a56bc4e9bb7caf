"""Lines that enclose a nonlinear node, valid in exact arithmetic for the given ranges, and the ranges of its values.

The formulas are those of :mod:`nnsym.bounds.engine.relaxations`; a ReLU's are written without branches, because they
are made again for every batch of subproblems.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.kept.plan import Plan
from nnsym.bounds.kept.rounding import FLOAT64, product, settle
from nnsym.bounds.planes import planes
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.intervals import Sides
from nnsym.ir.node import Max, Node, Pointwise, Product
from nnsym.ir.pieces import cells
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
            left, right = _slopes(plan, node)
            if is_relu(node):
                return _relu(node, *parents[0])
            return _hinge(node, left, right, parents[0], out)
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
            return _corners(parents[0], parents[1], node.parents[0] is node.parents[1])
    raise UnsupportedError(f"no bounds for {node!r}")


def undecided(plan: Plan, node: Node, lower: Array, upper: Array) -> Array:
    """Elements of an argument with this range whose bounds shape the lines of ``node``: bool ``(batch, n)``."""
    match node:
        case Pointwise(fn=Hinge()):
            left, right = _slopes(plan, node)
            return np.asarray((lower < 0) & (upper > 0) & (left != right))
        case Pointwise(fn=Piecewise()):
            fn = node.fn.take(plan.keep[node])
            assert isinstance(fn, Piecewise)
            return np.asarray(cells(fn, lower, upper).count > 1)
        case Max():
            groups = plan.groups(node)
            low, high = lower[:, groups], upper[:, groups]
            floor = low.max(axis=-1, keepdims=True)
            chosen = (high >= floor) & ((high > floor).sum(axis=-1, keepdims=True) > 1)
            found = np.zeros(lower.shape, dtype=bool)
            row, group, member = np.nonzero(chosen)
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


def _hinge(node: Pointwise, left: Array, right: Array, x: Sides, out: Sides) -> Lines:
    """Leaky ReLU, abs and their kin: the chord on one side, a line through the origin on the other."""
    bounded = np.isfinite(x[1] - x[0])
    lo, hi = np.where(bounded, x[0], -1.0), np.where(bounded, x[1], 1.0)
    crossing = (x[0] < 0) & (x[1] > 0) & (left != right)
    chord = np.where(crossing, (right * hi - left * lo) / np.where(crossing, hi - lo, 1.0), 0.0)
    steep = np.abs(chord)
    at_l, slip_l = (left - chord) * lo, 8 * _U * (np.abs(left) + steep) * np.abs(lo) + _TINY
    at_u, slip_u = (right - chord) * hi, 8 * _U * (np.abs(right) + steep) * np.abs(hi) + _TINY
    above = np.where(bounded, np.maximum(at_l + slip_l, at_u + slip_u), out[1])
    below = np.where(bounded, np.minimum(at_l - slip_l, at_u - slip_u), out[0])
    least, most = np.minimum(left, right), np.maximum(left, right)
    flattest = np.clip(0.0, least, most)
    chord = np.where(bounded, chord, 0.0)
    through = np.where(bounded, np.where(hi >= -lo, right, left), flattest)
    convex = left <= right
    own = np.where(x[0] >= 0, right, left)
    low = np.where(crossing, np.where(convex, through, chord), own)
    high = np.where(crossing, np.where(convex, chord, through), own)
    over, under = np.where(crossing & convex, above, 0.0), np.where(crossing & ~convex, below, 0.0)
    tap = (Tap(node.parents[0], None, low, high),)
    if convex.all() or not convex.any():
        return Lines(tap, under, over, crossing.astype(np.float64), least, most, turned=not convex.all())
    return Lines(tap, under, over)


def _maximum(plan: Plan, node: Max, x: Sides, out: Sides) -> Lines:
    """Below: the member with the largest lower bound. Above: for the best threshold ``th`` at the centre,

        y <= th + sum_k max(U_k - th, 0) / (U_k - L_k) (x_k - L_k),   th in {max L} + {U_k > max L}

    (:func:`nnsym.bounds.engine.relaxations.relax`).
    """
    groups = plan.groups(node)
    real = node.groups[plan.keep[node]] >= 0
    lo, hi = (np.where(real, side[:, groups], -np.inf) for side in x)
    best = lo.argmax(axis=-1)
    floor = lo.max(axis=-1, keepdims=True)
    first = (best[..., None] == np.arange(groups.shape[1])).astype(np.float64)
    live = hi > floor
    bounded = (np.isfinite(lo) & np.isfinite(hi) | ~live).all(axis=-1, keepdims=True) & np.isfinite(floor)
    decided = (~live | (first > 0)).all(axis=-1, keepdims=True)
    lo, hi = (np.where(live & bounded, side, 0.0) for side in (lo, hi))
    start = np.where(bounded, floor, 0.0)
    thresholds = np.concatenate((start, np.where(live & bounded, hi, start)), axis=-1)
    excess = np.where(live[..., None, :], np.maximum(hi[..., None, :] - thresholds[..., None], 0.0), 0.0)
    scores = thresholds + 0.5 * excess.sum(axis=-1)
    near = scores <= scores.min(axis=-1, keepdims=True) + 2.0**-20 * np.abs(scores).max(axis=-1, keepdims=True)
    pick = near.argmax(axis=-1)[..., None]  # of those that only rounding tells apart the first
    th = np.take_along_axis(thresholds, pick, axis=-1)
    over = np.where(live & (hi > th), hi - th, 0.0)
    w = np.where(over > 0, over / np.where(hi > lo, hi - lo, 1.0), 0.0)
    moved = np.where(w > 0, np.abs(hi) + np.abs(th) + w * (np.abs(lo) + np.abs(hi)), 0.0).sum(axis=-1, keepdims=True)
    charge = FLOAT64.gamma(4 * groups.shape[1] + 16) * (moved + np.abs(th)) + _TINY
    offset = th - (w * lo).sum(axis=-1, keepdims=True) + charge
    offset = np.where(decided, 0.0, np.where(bounded, offset, out[1][..., None]))[..., 0]
    high = np.where(decided, first, np.where(bounded, w, 0.0))
    members = range(groups.shape[1])
    taps = tuple(Tap(node.parents[0], groups[:, k], first[..., k], high[..., k]) for k in members)
    return Lines(taps, np.zeros_like(offset), offset)


def _product(node: Product, x: Sides, y: Sides, out: Sides, *, summed: bool) -> Lines:
    left, right = node.parents
    made = planes(np, x, y, out, FLOAT64, square=left is right, summed=summed)
    taps = Tap(left, None, made.a_low, made.a_high), Tap(right, None, made.b_low, made.b_high)
    return Lines(taps, made.low, made.high)


def _corners(x: Sides, y: Sides, square: bool) -> Sides:
    """The range of a product: its least and largest corner, widened by one rounding and what underflow may hide."""
    corners = np.stack([product(a, b) for a in x for b in y])
    zero = np.stack([(a == 0) | (b == 0) for a in x for b in y])
    slip = np.where(zero, 0.0, 4 * _U * np.abs(corners) + _TINY)
    low, high = (corners - slip).min(axis=0), (corners + slip).max(axis=0)
    if square:  # of two equal factors; the corners that mix their ends are no values
        low = np.where((x[0] <= 0) & (x[1] >= 0), 0.0, np.minimum((corners - slip)[0], (corners - slip)[3]))
        low = np.maximum(low, 0.0)
    return settle(low, high, FLOAT64)
