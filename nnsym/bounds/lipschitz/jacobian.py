"""Intervals of a Jacobian over a domain: products of matrices with slopes that are known to lie in intervals.

Backwards from the outputs, with centre C and radius R of what arrives,

    affine       C A,  R |A|                    pointwise    [C - R, C + R] [a, b],  [a, b] its slopes on the domain
    maximum      an element that may win has a weight in [0, 1], one that surely wins 1, any other 0
    product      u v:  [v] to u and [u] to v

(Weng et al., Towards Fast Computation of Certified Robustness for ReLU Networks, 2018, section 4, and any graph.) The
domain is convex, so a difference of two values is an average of Jacobians times the difference of the points.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnsym.bounds.lipschitz.norms import operator_norm
from nnsym.ir.array import Array
from nnsym.ir.intervals import Sides
from nnsym.ir.linear import Dense, LinearMap
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.outward import gamma, product_down, product_up, sum_down, sum_up
from nnsym.ir.walk import topological
from nnsym.results.clock import NEVER, Deadline

_TINY = 2.0**-1000


def interval_jacobian(
    root: Node, x: Input, ranges: Mapping[Node, Sides], *, deadline: Deadline = NEVER
) -> Sides | None:
    """Lower and upper ends ``(outputs, inputs)``; None where the graph has a node that has no slopes.

    Raises :class:`nnsym.results.clock.OutOfTime` where the deadline passes between two nodes.
    """
    unit = np.eye(root.size)
    arriving: dict[Node, Sides] = {root: (unit, unit)}
    for node in reversed(topological((root,))):
        if node is x or node not in arriving:
            continue
        here = arriving.pop(node)
        if isinstance(node, Input):
            continue
        deadline.check()
        for parent, part in _steps(node, here, ranges):
            if part is None:
                return None
            known = arriving.get(parent)
            arriving[parent] = part if known is None else (sum_down(known[0], part[0]), sum_up(known[1], part[1]))
    zero = np.zeros((root.size, x.size))
    return arriving.get(x, (zero, zero))


def jacobian_norm(ends: Sides, p: object, q: object) -> float:
    """A bound of ``|J|_{p -> q}`` for every J between the ends: by the largest magnitudes, or centre and radius."""
    low, high = ends
    size = np.maximum(np.abs(low), np.abs(high))
    if not np.isfinite(size).all():
        return np.inf
    centre = low / 2 + high / 2
    radius = np.maximum(sum_up(high, -centre), sum_up(centre, -low))
    apart = operator_norm(Dense(centre), p, q) + operator_norm(Dense(radius), p, q)
    return float(min(operator_norm(Dense(size), p, q), apart * (1 + gamma(2))))


def _steps(node: Node, here: Sides, ranges: Mapping[Node, Sides]) -> list[tuple[Node, Sides | None]]:
    """What arrives at every parent; None of a kind that is not known."""
    match node:
        case Affine():
            return [(p, _affine(m, here)) for m, p in zip(node.maps, node.parents, strict=True)]
        case Pointwise():
            slopes = node.fn.steepness(*ranges[node.parents[0]])
            return [(node.parents[0], _times(here, *slopes))]
        case Max():
            return [(node.parents[0], _maximum(node, here, ranges[node.parents[0]]))]
        case Product():
            left, right = node.parents
            return [(left, _times(here, *ranges[right])), (right, _times(here, *ranges[left]))]
    return [(p, None) for p in node.parents]


def _affine(linear: LinearMap, here: Sides) -> Sides:
    low, high = here
    with np.errstate(invalid="ignore"):
        centre = low / 2 + high / 2
        radius = np.maximum(sum_up(high, -centre), sum_up(centre, -low))
        size = np.abs(centre) + radius
        off = gamma(linear.n_out + 4) * linear.abs().adjoint(size)
        some = linear.abs().adjoint((size > 0).astype(np.float64)) > 0  # of what is there all may underflow
        reach = linear.abs().adjoint(radius) + off * 2 + np.where(some, _TINY, 0.0)
        middle = linear.adjoint(centre)
        wild = ~np.isfinite(reach) | ~np.isfinite(middle)
        ends = sum_down(middle, -reach), sum_up(middle, reach)
    return np.where(wild, -np.inf, ends[0]), np.where(wild, np.inf, ends[1])


def _times(here: Sides, low: Array, high: Array) -> Sides:
    corners = [(a, np.broadcast_to(b, a.shape)) for a in here for b in (low, high)]
    with np.errstate(invalid="ignore", over="ignore"):
        least = np.min([product_down(a, b) for a, b in corners], axis=0)
        most = np.max([product_up(a, b) for a, b in corners], axis=0)
    return np.where(np.isnan(least), -np.inf, least), np.where(np.isnan(most), np.inf, most)


def _maximum(node: Max, here: Sides, argument: Sides) -> Sides:
    """Weights of members: those that cannot win have 0, one that all others lose to has 1."""
    shape = (len(here[0]), node.parents[0].size)
    low, high = np.zeros(shape), np.zeros(shape)
    for k, group in enumerate(node.groups):
        members = np.unique(group[group >= 0])
        hopeful = members[argument[1][members] >= argument[0][members].max()]
        zero = 0.0 if len(hopeful) > 1 else np.inf
        for i in hopeful:
            low[:, i] = sum_down(low[:, i], np.minimum(here[0][:, k], zero))
            high[:, i] = sum_up(high[:, i], np.maximum(here[1][:, k], -zero))
    return low, high
