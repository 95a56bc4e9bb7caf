"""One interval step per node, in NumPy, rounded outward: the range of a node from its parents' ranges.

An affine node with centres ``c`` and radii ``r`` of its parents lies in ``A c + b -+ (|A| r + slip)``, where ``slip``
pays what rounding may have moved: ``gamma_n (|A| |c| + |b|)`` for n additions in any order (Higham, Accuracy and
Stability of Numerical Algorithms, 2002, section 3.1). The other nodes are monotone, or say their own span.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.linear import LinearMap, Select
from nnsym.ir.node import Affine, Max, Node, Pointwise, Product
from nnsym.ir.outward import gamma, product_down, product_up, sum_down, sum_up

#: Both ends of every element, ``(size,)`` each.
Sides = tuple[Array, Array]

_TINY = 2.0**-1000  # more than all underflows of one sum


def interval_step(node: Node, parents: tuple[Sides, ...]) -> Sides:
    """The range of a node; of a kind that is not known here, everything."""
    with np.errstate(invalid="ignore", over="ignore"):
        match node:
            case Affine():
                return _affine(node, parents)
            case Pointwise():
                low, high = node.fn.span(*parents[0])
                return np.asarray(low), np.asarray(high)
            case Max():
                real = node.groups >= 0
                low, high = (np.where(real, side[node.groups], -np.inf).max(axis=1) for side in parents[0])
                return low, high
            case Product():
                return _product(parents[0], parents[1], node.parents[0] is node.parents[1])
    return np.full(node.size, -np.inf), np.full(node.size, np.inf)


def magnitude(sides: Sides) -> Array:
    """The largest absolute value of every element."""
    return np.maximum(-sides[0], sides[1])


def stretch(linear: LinearMap, size: Array) -> Array:
    """``|A| size`` for sizes not below 0, rounded up; infinite ones stay where their coefficients are not 0."""
    if isinstance(linear, Select):
        return np.asarray(linear.apply(size))
    absolute = linear.abs()
    wild = np.isinf(size)
    found = np.asarray(absolute.apply(np.where(wild, 0.0, size)))
    there = found > 0
    if not there.all():  # nothing is in such a sum, or all of it underflowed
        there = np.asarray(absolute.apply((size > 0).astype(np.float64))) > 0
    found = np.where(there, found * (1 + gamma(linear.longest)) + _TINY, 0.0)
    if not wild.any():
        return np.asarray(found)
    return np.where(absolute.apply(wild.astype(np.float64)) > 0, np.inf, found)


def copies(node: Affine) -> bool:
    """True if every element is a copy of one element, or 0: nothing is computed."""
    if node.bias.any() or not all(isinstance(m, Select) for m in node.maps):
        return False
    counts = sum((m.index >= 0).astype(np.int64) for m in node.maps if isinstance(m, Select))
    return bool(np.max(counts, initial=0) <= 1)


def _affine(node: Affine, parents: tuple[Sides, ...]) -> Sides:
    if copies(node):
        low, high = np.zeros(node.size), np.zeros(node.size)
        for linear, (lo, hi) in zip(node.maps, parents, strict=True):
            low, high = low + linear.apply(lo), high + linear.apply(hi)
        return low, high
    centre, size, radius, most = node.bias, np.abs(node.bias), np.zeros(node.size), 0
    for linear, (lo, hi) in zip(node.maps, parents, strict=True):
        c = np.where(np.isfinite(lo) & np.isfinite(hi), lo / 2 + hi / 2, 0.0)
        r = np.maximum(sum_up(hi, -c), sum_up(c, -lo))
        centre, size = centre + linear.apply(c), size + stretch(linear, np.abs(c))
        radius, most = sum_up(radius, stretch(linear, r)), max(most, linear.longest)
    slip = gamma(most + 2 * len(node.maps) + 4) * size + np.where(size > 0, _TINY, 0.0)
    reach = sum_up(radius, slip)
    open_ends = ~np.isfinite(reach) | ~np.isfinite(centre)
    low, high = sum_down(centre, -reach), sum_up(centre, reach)
    if not open_ends.any():
        return low, high
    free = _one_sided(node, parents)
    return np.where(open_ends, free[0], low), np.where(open_ends, free[1], high)


def _one_sided(node: Affine, parents: tuple[Sides, ...]) -> Sides:
    """Each side by itself, by the signs of the coefficients: one may be finite where the other is not."""
    low, high, size, most = node.bias, node.bias, np.abs(node.bias), 0
    for linear, (lo, hi) in zip(node.maps, parents, strict=True):
        matrix = linear.matrix()
        plus, minus = matrix.maximum(0), matrix.minimum(0)
        low, high = low + _signed(plus, lo, minus, hi), high + _signed(plus, hi, minus, lo)
        finite = np.maximum(*(np.where(np.isfinite(side), np.abs(side), 0.0) for side in (lo, hi)))
        size, most = size + stretch(linear, finite), max(most, linear.longest)
    slip = gamma(most + 2 * len(node.maps) + 4) * size + _TINY
    low, high = low - slip, high + slip  # NaN where a sum overflowed: slip did with it
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def _signed(plus: Any, a: Array, minus: Any, b: Array) -> Array:
    """``plus a + minus b``, of which an infinite term makes the sum infinite."""
    total = np.zeros(plus.shape[0])
    for matrix, side in ((plus, a), (minus, b)):
        wild = np.where(np.isinf(side), np.sign(side), 0.0)
        towards = matrix @ wild
        found = matrix @ np.where(wild == 0, side, 0.0)
        total = total + np.where(towards == 0, found, np.copysign(np.inf, towards))
    return total


def _product(x: Sides, y: Sides, square: bool) -> Sides:
    low = np.min([product_down(a, b) for a in x for b in y], axis=0)
    high = np.max([product_up(a, b) for a in x for b in y], axis=0)
    if square:
        crossing = (x[0] <= 0) & (x[1] >= 0)
        ends = np.minimum(product_down(x[0], x[0]), product_down(x[1], x[1]))
        low = np.where(crossing, 0.0, ends)
    return low, high


def interval_run(
    nodes: tuple[Node, ...], ranges: Mapping[Node, Sides], *, late: Callable[[], bool] = lambda: False
) -> dict[Node, Sides]:
    """The ranges of all nodes, parents first, given those of the inputs; infinite ones once ``late`` says so."""
    found = dict(ranges)
    for node in nodes:
        if node not in found:
            found[node] = unbounded(node) if late() else interval_step(node, tuple(found[p] for p in node.parents))
    return found


def unbounded(node: Node) -> Sides:
    """The range of a node of which nothing is known."""
    return np.full(node.size, -np.inf), np.full(node.size, np.inf)
