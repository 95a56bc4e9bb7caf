"""Parallel lines that enclose a nonlinear node: one slope per operand and an interval of offsets.

A zonotope moves along the slope and grows by the interval, so it wants the band of least height, not two best lines:

    y  in  sum_t slope_t parent_t[index_t] + [low, high].

The result is a :class:`nnsym.bounds.engine.relaxations.Lines` whose lines have equal slopes; valid in exact
arithmetic for the slopes as stored.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from nnsym.bounds.engine.inputs import Range
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.relaxations import Lines, Tap, relax
from nnsym.bounds.engine.rounding import magnitude, middle, product
from nnsym.bounds.pairs.gaps import slope_range
from nnsym.errors import UnsupportedError
from nnsym.ir.node import Max, Node, Pointwise, Product
from nnsym.ir.pairs.difference import Difference
from nnsym.ir.univariate import Hinge


def band(node: Node, parents: tuple[Range, ...], out: Range, maps: Maps) -> Lines:
    """The band of a node over its parents' ranges; ``out`` is the node's own range.

    For a hinge the chord and its parallel through the origin, the parallelogram of least area (Singh et al., Fast and
    Effective Robustness Certification, 2018, theorem 3.1).
    """
    match node:
        case Pointwise(fn=Hinge()):
            return relax(node, parents, out, maps, "parallel")
        case Pointwise():
            return _pointwise(node, parents[0], maps)
        case Max():
            return _maximum(node, parents[0], maps)
        case Product():
            return _product(node, parents[0], parents[1], out, maps)
        case Difference():
            return _difference(node, parents, maps)
    raise UnsupportedError(f"no band for {node!r}")


def _pointwise(node: Pointwise, x: Range, maps: Maps) -> Lines:
    """Made in float64; a slope that a shorter format moves has its offsets made for the one it stores."""
    lo, hi = (side.to(torch.float64).cpu().numpy() for side in (x.lower, x.upper))
    slope, low, high = node.fn.band(lo, hi)
    stored = maps.tensor(slope)
    if maps.dtype is not torch.float64:
        kept = stored.to(torch.float64).cpu().numpy() == slope
        stored = torch.where(torch.tensor(kept, device=maps.device), stored, 0.0)
        least, most = node.fn.span(lo, hi)
        low, high = np.where(kept, low, least), np.where(kept, high, most)
    tap = Tap(node.parents[0], None, stored, stored)
    return Lines((tap,), maps.outward(low, -torch.inf), maps.outward(high, torch.inf))


def _maximum(node: Max, x: Range, maps: Maps) -> Lines:
    """``y - x_k = max(0, max_j x_j - x_k)`` is in ``[0, max(0, max_j u_j - l_k)]`` for the k of largest lower bound."""
    members, by = maps.members(node), maps.precision
    real = torch.tensor(node.groups >= 0, device=maps.device)
    lo = torch.where(real, x.lower[:, members], -torch.inf)
    hi = torch.where(real, x.upper[:, members], -torch.inf)
    floor, best = lo.max(-1)
    first = functional.one_hot(best, members.shape[1]).to(lo.dtype)
    rival = torch.where(first > 0, -torch.inf, hi).amax(-1)
    height = (rival - floor).clamp(min=0)
    height = torch.nan_to_num(height, nan=torch.inf, posinf=torch.inf)
    slack = 4 * by.u * (rival.abs() + floor.abs()) + by.tiny
    high = torch.where(height > 0, height + torch.nan_to_num(slack, nan=0.0, posinf=0.0), height)
    taps = tuple(Tap(node.parents[0], members[:, k], first[..., k], first[..., k]) for k in range(members.shape[1]))
    return Lines(taps, torch.zeros_like(high), high)


def _product(node: Product, x: Range, y: Range, out: Range, maps: Maps) -> Lines:
    """``x y = c_y x + c_x y - c_x c_y + (x - c_x)(y - c_y)``, the last at most ``r_x r_y``, in a square >= 0."""
    by = maps.precision
    (cx, rx), (cy, ry) = middle(x.lower, x.upper), middle(y.lower, y.upper)
    bounded = torch.isfinite(rx) & torch.isfinite(ry)
    cx, cy = torch.where(bounded, cx, 0.0), torch.where(bounded, cy, 0.0)
    both = torch.where(bounded, rx * ry, 0.0)
    slack = 8 * by.u * ((cx * cy).abs() + both) + by.tiny
    least = torch.zeros_like(both) if node.parents[0] is node.parents[1] else -both
    low = torch.where(bounded, least - cx * cy - slack, out.lower)
    high = torch.where(bounded, both - cx * cy + slack, out.upper)
    return Lines((Tap(node.parents[0], None, cy, cy), Tap(node.parents[1], None, cx, cx)), low, high)


def _difference(node: Difference, parents: tuple[Range, ...], maps: Maps) -> Lines:
    """``left - right`` as it stands, or ``m gap + [-h, h]`` with ``h = (K - k) / 2 max |gap|`` where that is lower.

    m is the middle of the slopes k and K of :func:`nnsym.bounds.pairs.gaps.slope_range`.
    """
    left, right, a, b, gap = parents
    by, ones = maps.precision, torch.ones_like(left.lower)
    if isinstance(node.left, Max):
        apart = (Tap(node.left, None, ones, ones), Tap(node.right, None, -ones, -ones))
        return Lines(apart, torch.zeros_like(ones), torch.zeros_like(ones))
    least, most = slope_range(node, a, b, maps)
    slope = (0.5 * least + 0.5 * most).expand_as(ones)
    half = product(torch.maximum(most - slope, slope - least), magnitude(gap.lower, gap.upper)) * (1.0 + 8 * by.u)
    half = torch.where(half > 0, half + by.tiny, 0.0)
    one, two = band(node.left, (a,), left, maps), band(node.right, (b,), right, maps)
    near = 2 * half <= (one.high - one.low) + (two.high - two.low)
    slope, half, far = torch.where(near, slope, 0.0), torch.where(near, half, 0.0), torch.where(near, 0.0, ones)
    taps = (Tap(node.gap, None, slope, slope), Tap(node.left, None, far, far), Tap(node.right, None, -far, -far))
    return Lines(taps, -half, half)
