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
from torch.nn import functional

from nnsym.bounds.engine.inputs import Range
from nnsym.bounds.engine.maps import Maps
from nnsym.bounds.engine.rounding import FLOAT64, TINY, U, magnitude, precision, product
from nnsym.bounds.pairs.gaps import band, better, live, parallel, slope_range
from nnsym.bounds.planes import planes
from nnsym.bounds.sources import LowerSlope
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.difference import Difference
from nnsym.ir.node import Max, Node, Pointwise, Product, maximum
from nnsym.ir.pieces import cells
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
            return (x.lower < 0) & (x.upper > 0) & maps.slopes(node).bent
        case Pointwise(fn=Piecewise() as fn):
            lo, hi = (side.to(torch.float64).cpu().numpy() for side in (x.lower, x.upper))
            return torch.tensor(cells(fn, lo, hi).count > 1, device=maps.device)
        case Max():
            groups = maps.members(node)
            low, high = x.lower[:, groups], x.upper[:, groups]
            floor = low.amax(-1, keepdim=True)
            member = high >= floor
            chosen = member & ((high > floor).sum(-1, keepdim=True) > 1)
            counts = torch.zeros_like(x.lower).index_add_(1, groups.ravel(), chosen.to(x.lower.dtype).flatten(1))
            return counts > 0
    return x.lower < x.upper


def _hinge(node: Pointwise, x: Range, out: Range, maps: Maps, lower: LowerSlope) -> Lines:
    """ReLU and its kin: the chord on one side, a line through the origin on the other.

    The line of least area is ``right`` where ``u >= |l|`` and ``left`` otherwise (Zhang et al., Efficient Neural
    Network Robustness Certification with General Activation Functions, 2018).
    """
    by, slopes = maps.precision, maps.slopes(node)
    left, right, convex = slopes.left, slopes.right, slopes.convex
    lo, hi = x.lower, x.upper
    bounded = torch.isfinite(hi - lo)
    everywhere = bool(bounded.all())
    if not everywhere:
        lo, hi = torch.where(bounded, lo, -1.0), torch.where(bounded, hi, 1.0)
    chord = (right * hi - left * lo) / (hi - lo)
    steep = chord.abs()  # below: what the stored chord misses at either end
    at_l, slip_l = (left - chord) * lo, 8 * by.u * (left.abs() + steep) * lo.abs() + by.tiny
    at_u, slip_u = (right - chord) * hi, 8 * by.u * (right.abs() + steep) * hi.abs() + by.tiny
    above, below = torch.maximum(at_l + slip_l, at_u + slip_u), torch.minimum(at_l - slip_l, at_u - slip_u)
    through = slopes.flattest
    if lower != "zero":
        through = chord.clamp(slopes.least, slopes.most) if lower == "parallel" else torch.where(hi >= -lo, right, left)
    if not everywhere:
        above, below = torch.where(bounded, above, out.upper), torch.where(bounded, below, out.lower)
        chord, through = torch.where(bounded, chord, 0.0), torch.where(bounded, through, slopes.flattest)
    crossing = (x.lower < 0) & (x.upper > 0) & slopes.bent
    over, under = crossing & convex, crossing & ~convex  # the chord is above, or below
    own = torch.where(x.lower >= 0, right, left)
    low = torch.where(crossing, torch.where(convex, through, chord), own)
    high = torch.where(crossing, torch.where(convex, chord, through), own)
    return Lines(
        (Tap(node.parents[0], None, low, high),),
        torch.where(under, below, 0.0),
        torch.where(over, above, 0.0),
        Free(over, under, slopes.least, slopes.most),
    )


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
    """Below: the member with the largest lower bound. Above: for the best threshold ``th`` at the centre,

        y <= th + sum_k max(U_k - th, 0) / (U_k - L_k) (x_k - L_k),   th in {max L} + {U_k > max L},

    which holds because ``max_k x_k <= th + sum_k max(x_k - th, 0)`` and each term is convex in ``x_k``. These
    rows are the concave envelope over the box (a fractional knapsack's dual).
    """
    by, groups = maps.precision, maps.members(node)
    real = torch.tensor(node.groups >= 0, device=maps.device)
    lo = torch.where(real, x.lower[:, groups], -torch.inf)
    hi = torch.where(real, x.upper[:, groups], -torch.inf)
    floor, best = lo.max(-1, keepdim=True)
    first = functional.one_hot(best[..., 0], groups.shape[1]).to(lo.dtype)
    live = hi > floor
    bounded = (torch.isfinite(lo) & torch.isfinite(hi) | ~live).all(-1, keepdim=True) & torch.isfinite(floor)
    decided = (~live | (first > 0)).all(-1, keepdim=True)
    lo, hi = torch.where(live & bounded, lo, 0.0), torch.where(live & bounded, hi, 0.0)
    start = torch.where(bounded, floor, 0.0)
    thresholds = torch.cat((start, torch.where(live & bounded, hi, start)), -1)
    excess = torch.where(live[..., None, :], (hi[..., None, :] - thresholds[..., None]).clamp(min=0), 0.0)
    th = thresholds.gather(-1, _first_least(thresholds + 0.5 * excess.sum(-1)))
    over = torch.where(live & (hi > th), hi - th, 0.0)
    w = torch.where(over > 0, over / torch.where(hi > lo, hi - lo, 1.0), 0.0)
    moved = torch.where(w > 0, hi.abs() + th.abs() + w * (lo.abs() + hi.abs()), 0.0).sum(-1, keepdim=True) + th.abs()
    offset = th - (w * lo).sum(-1, keepdim=True) + by.gamma(4 * groups.shape[1] + 16) * moved + by.tiny
    offset = torch.where(decided, 0.0, torch.where(bounded, offset, out.upper[..., None]))[..., 0]
    high = torch.where(decided, first, torch.where(bounded, w, 0.0))
    taps = tuple(Tap(node.parents[0], groups[:, k], first[..., k], high[..., k]) for k in range(groups.shape[1]))
    return Lines(taps, torch.zeros_like(offset), offset)


def _first_least(scores: Tensor) -> Tensor:
    """Where the least of each row is, ``(..., 1)``: of those that only rounding tells apart the first.

    Between two live members all thresholds are as good as each other.
    """
    near = scores <= scores.amin(-1, keepdim=True) + 2.0**-20 * scores.abs().amax(-1, keepdim=True)
    return torch.where(near, torch.arange(scores.shape[-1], device=scores.device), scores.shape[-1]).amin(-1, True)


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
