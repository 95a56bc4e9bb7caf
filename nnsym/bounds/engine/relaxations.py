"""Lines that enclose a nonlinear node, valid in exact arithmetic for the given ranges.

Every node ``y`` that is not affine is enclosed by ``lower <= y <= upper`` with

    lower_i = sum_t low_t,i  parent_t[index_t,i] + low_offset_i        (upper likewise),

one :class:`Tap` per operand: a pointwise function has one, a product two, a maximum one per member. Slopes are
free; the offset is rounded so that the line is valid for the slope as stored.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nnsym.bounds.engine.inputs import Range
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.rounding import FLOAT64, TINY, U, magnitude, precision, product
from nnsym.bounds.hinge_lines import bends, hinge_lines
from nnsym.bounds.maximum_lines import maximum_lines, rivals
from nnsym.bounds.pairs.gaps import band, better, live, parallel, slope_range
from nnsym.bounds.planes import planes
from nnsym.bounds.sources import LowerSlope
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.functions.pieces import cells
from nnsym.ir.node import Max, Node, Pointwise, Product, maximum
from nnsym.ir.pairs.difference import Difference
from nnsym.ir.univariate import Hinge, Piecewise

Made = tuple[Array, Array, Array, Array]  # slope and offset below, slope and offset above


@final
@dataclass(frozen=True, eq=False)
class Tap:
    """Slopes ``(batch, n)`` on elements ``index`` of ``parent`` (None: element i itself)."""

    parent: Node
    index: Tensor | None
    low: Tensor
    high: Tensor


@final
@dataclass(frozen=True, eq=False)
class Free:
    """The sides of hinges where any slope in ``[least, most]`` gives a line through the origin, without offset.

    ``below`` marks open convex elements, whose lower slope is free, ``above`` open concave ones.
    """

    below: Tensor
    above: Tensor
    least: Tensor
    most: Tensor


@final
@dataclass(frozen=True, eq=False)
class Lines:
    """A line below and a line above every element; offsets may be infinite, slopes are not."""

    taps: tuple[Tap, ...]
    low: Tensor
    high: Tensor
    free: Free | None = None


def relax(
    node: Node,
    parents: tuple[Range, ...],
    out: Range,
    maps: Maps,
    lower: LowerSlope = "adaptive",
    *,
    summed: bool = False,
) -> Lines:
    """The lines of a node over its parents' ranges; ``out`` is the node's own range.

    ``lower`` is the slope of an open hinge on the side where every slope between those of its two lines is valid (below
    a convex one): ``zero`` the flattest, ``parallel`` that of the chord (Weng et al., Towards Fast Computation of
    Certified Robustness for ReLU Networks, 2018), ``adaptive`` that of the line which leaves the smaller area.
    ``interval`` keeps the node's range alone, whatever it is. ``summed`` says of a product that its elements are only
    added up, so that a factor which is nowhere negative is one of weights.
    """
    if lower == "interval":
        return Lines((), out.lower, out.upper)
    match node:
        case Pointwise(fn=Hinge()):
            return _hinge(node, parents[0], out, maps, lower)
        case Pointwise(fn=fn):
            return _made(node, fn.lines, parents[0], maps)
        case Max():
            return _maximum(node, parents[0], out, maps)
        case Product():
            return _product(node, parents[0], parents[1], out, summed=summed)
        case Difference():
            return _difference(node, parents, maps)
    raise UnsupportedError(f"no linear bounds for {node!r}")


def undecided(node: Node, parent: Node, x: Range, maps: Maps) -> Tensor:
    """Elements of a parent with range ``x`` whose bounds shape the lines of ``node``: bool ``(batch, size)``."""
    match node:
        case Difference() if parent is not node.gap:
            return torch.zeros_like(x.lower, dtype=torch.bool)
        case Difference() if isinstance(node.left, Pointwise):
            return (x.lower < 0) & (x.upper > 0)
        case Pointwise(fn=Hinge()):
            found: Tensor = bends((x.lower, x.upper), maps.slopes(node).bent)
            return found
        case Pointwise(fn=Piecewise() as fn):
            lo, hi = (side.to(torch.float64).cpu().numpy() for side in (x.lower, x.upper))
            return torch.tensor(cells(fn, lo, hi).count > 1, device=maps.device)
        case Max():
            groups, members = _members(node, x, maps)
            chosen = rivals(torch, members)
            counts = torch.zeros_like(x.lower).index_add_(1, groups.ravel(), chosen.to(x.lower.dtype).flatten(1))
            return counts > 0
    return x.lower < x.upper


def _hinge(node: Pointwise, x: Range, out: Range, maps: Maps, lower: LowerSlope) -> Lines:
    slopes, ends = maps.slopes(node), (x.lower, x.upper)
    made = hinge_lines(torch, slopes, ends, (out.lower, out.upper), maps.precision, lower)
    free = Free(made.below, made.above, slopes.least, slopes.most)
    return Lines((Tap(node.parents[0], None, made.low, made.high),), made.low_offset, made.high_offset, free)


def _made(node: Pointwise, lines: Callable[[Array, Array], Made], x: Range, maps: Maps) -> Lines:
    """Lines made in float64; where a shorter format moves a slope, the offset pays for it at the wider end."""
    low, low_offset, high, high_offset = maps.computed(lines, x.lower, x.upper)
    slopes = [low.to(maps.dtype), high.to(maps.dtype)]
    if maps.precision is not FLOAT64:
        reach = magnitude(x.lower, x.upper).to(torch.float64)
        paid = [product(_moved(kept, slope), reach) for kept, slope in zip(slopes, (low, high), strict=True)]
        low_offset = low_offset - (paid[0] + 4 * U * low_offset.abs() + TINY)
        high_offset = high_offset + (paid[1] + 4 * U * high_offset.abs() + TINY)
    offsets = (maps.outward(low_offset, -torch.inf), maps.outward(high_offset, torch.inf))
    return Lines((Tap(node.parents[0], None, *slopes),), *offsets)


def _moved(kept: Tensor, slope: Tensor) -> Tensor:
    """By how much rounding moved a slope, from above."""
    return (kept.to(torch.float64) - slope).abs() * (1 + 8 * U)


def _maximum(node: Max, x: Range, out: Range, maps: Maps) -> Lines:
    groups, members = _members(node, x, maps)
    made = maximum_lines(torch, members, out.upper, maps.precision)
    taps = (Tap(node.parents[0], groups[:, k], made.low[..., k], made.high[..., k]) for k in range(groups.shape[1]))
    return Lines(tuple(taps), torch.zeros_like(made.offset), made.offset)


def _members(node: Max, x: Range, maps: Maps) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Where the members of all groups are, and their ranges; -inf where a group is padded."""
    groups, real = maps.members(node), torch.tensor(node.groups >= 0, device=maps.device)
    lower, upper = (torch.where(real, side[:, groups], -torch.inf) for side in (x.lower, x.upper))
    return groups, (lower, upper)


def _product(node: Product, x: Range, y: Range, out: Range, *, summed: bool) -> Lines:
    left, right = node.parents
    sides = ((x.lower, x.upper), (y.lower, y.upper), (out.lower, out.upper))
    made = planes(torch, *sides, precision(x.lower), square=left is right, summed=summed)
    taps = Tap(left, None, made.a_low, made.a_high), Tap(right, None, made.b_low, made.b_high)
    return Lines(taps, made.low, made.high)


def _difference(node: Difference, parents: tuple[Range, ...], maps: Maps) -> Lines:
    """Between lines over the gap, or ``left - right`` as it stands where its range is clearly smaller.

    Far arguments in different phases are better apart, near ones are better by their gap.
    """
    left, right, a, b, gap = parents
    near = _near(node, a, b, gap, maps)
    near_low, near_high = _ends(near, gap)
    much = 0.125 * ((left.upper - left.lower) + (right.upper - right.lower))
    apart_low = (left.lower - right.upper) - near_low > much
    apart_high = near_high - (left.upper - right.lower) > much
    ones = torch.ones_like(left.lower)
    low, high = torch.where(apart_low, ones, 0.0), torch.where(apart_high, ones, 0.0)
    kept = (
        Tap(t.parent, t.index, torch.where(apart_low, 0.0, t.low), torch.where(apart_high, 0.0, t.high))
        for t in near.taps
    )
    return Lines(
        (*kept, Tap(node.left, None, low, high), Tap(node.right, None, -low, -high)),
        torch.where(apart_low, 0.0, near.low),
        torch.where(apart_high, 0.0, near.high),
    )


def _near(node: Difference, a: Range, b: Range, gap: Range, maps: Maps) -> Lines:
    """The lines over the gap (:mod:`nnsym.bounds.pairs.gaps`)."""
    if isinstance(node.left, Pointwise):
        lines = band(*slope_range(node, a, b, maps), gap)
        if isinstance(node.left.fn, Hinge):
            lines = better(lines, parallel(node, a, b, maps), gap)
        return Lines((Tap(node.gap, None, lines.low, lines.high),), lines.low_offset, lines.high_offset)
    groups = maps.members(node.left)
    apart = maximum(node.gap, node.left.groups)
    assert isinstance(apart, Max)
    unbounded = torch.full_like(gap.lower[:, groups[:, 0]], torch.inf)
    above = _maximum(apart, gap, Range(-unbounded, unbounded), maps)
    below = _maximum(apart, Range(-gap.upper, -gap.lower), Range(-unbounded, unbounded), maps)
    winner, loser = (_only(live(node.left, x, maps)) for x in (a, b))
    taps = []
    for k, (up, down) in enumerate(zip(above.taps, below.taps, strict=True)):
        high = torch.where(winner >= 0, (winner == k).to(up.high.dtype), up.high)
        low = torch.where(loser >= 0, (loser == k).to(up.high.dtype), down.high)
        taps.append(Tap(node.gap, groups[:, k], low, high))
    low_offset, high_offset = torch.where(loser >= 0, 0.0, -below.high), torch.where(winner >= 0, 0.0, above.high)
    return Lines(tuple(taps), low_offset, high_offset)


def _only(alive: Tensor) -> Tensor:
    """The position of the one member of each group that can be the largest, -1 where several can."""
    return torch.where(alive.sum(-1) == 1, alive.to(torch.int8).argmax(-1), -1)


def _ends(lines: Lines, x: Range) -> tuple[Tensor, Tensor]:
    """The least value of the lower line and the largest of the upper one, over the range of their one parent."""
    low, high = lines.low, lines.high
    for tap in lines.taps:
        lower, upper = (side if tap.index is None else side[:, tap.index] for side in (x.lower, x.upper))
        low = low + torch.minimum(product(tap.low, lower), product(tap.low, upper))
        high = high + torch.maximum(product(tap.high, lower), product(tap.high, upper))
    return low, high
