"""Points of a domain: where a search starts, and how a point that left the domain comes back.

Float64 in NumPy. What is computed here is a candidate and never a claim; replay decides in exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.ir.exact import nearest
from nnsym.ir.node import Input
from nnsym.ir.query import Ball, Box, Query

Array = NDArray[Any]
Points = Mapping[Input, Array]

_INSIDE = 1.0 - 2.0**-40  # the share of a ball's radius that a point is pulled to
_ROUNDS = 8  # alternations between a box and the balls that cut it


def spread(low: Array, high: Array, *, count: int, seed: int = 0) -> Array:
    """``(count, n)`` points of a box: its centre, then random points and random corners in turn.

    An infinite side is replaced by 0, or by the other side where that is beyond 0.
    """
    rng = np.random.default_rng(seed)
    low = np.where(np.isfinite(low), low, np.minimum(0.0, high))
    high = np.where(np.isfinite(high), high, np.maximum(0.0, low))
    weight = rng.random((count, len(low)))
    weight[0], weight[2::2] = 0.5, np.round(weight[2::2])
    return np.asarray(np.clip(low + weight * (high - low), low, high))


def starts(query: Query, boxes: Sequence[Mapping[Input, Box]], *, count: int, seed: int = 0) -> dict[Input, Array]:
    """``count`` points in each of the boxes, one box after the other: ``(len(boxes) * count, n)`` of every input.

    In a ball the points of its box are pulled towards the centre, to radii that fill it evenly.
    """
    found: dict[Input, list[Array]] = {x: [] for x in query.inputs}
    for place, case in enumerate(boxes):
        for k, x in enumerate(query.inputs):
            near = spread(*case[x].inner, count=count, seed=seed + 7919 * place + k)
            for ball in query.balls.get(x, ()):
                near = _pull(near, ball, np.linspace(0.0, 1.0, count)[:, None] ** (1.0 / x.size))
            found[x].append(near)
    return {x: np.concatenate(parts) for x, parts in found.items()}


def project(query: Query, points: Points, boxes: Mapping[Input, tuple[Array, ...]]) -> dict[Input, Array]:
    """Points moved into their own boxes ``(count, n)``, into the query's boxes and balls, integers to whole numbers."""
    inside = query.move_inside({x: np.clip(points[x], *boxes[x]) for x in query.inputs})
    for x, balls in query.balls.items():
        near = inside[x]
        for _ in range(_ROUNDS):
            for ball in balls:
                near = _pull(near, ball, 1.0)
                near = np.where(x.integer, _towards(near, nearest(ball.centre)), near)
            near = np.clip(near, *boxes[x])
        inside[x] = near
    return inside


def _towards(values: Array, centre: Array) -> Array:
    """The next whole numbers on the side of the centre: rounded so, a point does not leave a ball."""
    return np.where(values > centre, np.floor(values), np.ceil(values))


def _pull(points: Array, ball: Ball, share: Array | float) -> Array:
    """The nearest points of the ball whose radius is multiplied by ``share``.

    For p = 1 by a threshold on the sorted magnitudes (Duchi et al., Efficient Projections onto the l1-Ball for
    Learning in High Dimensions, 2008, figure 1).
    """
    centre, radius = nearest(ball.centre), float(ball.radius) * _INSIDE * share
    away = points - centre
    if ball.p == 2:
        length = np.linalg.norm(away, axis=-1, keepdims=True)
        return np.where(length > radius, centre + away * (radius / np.maximum(length, 2.0**-1000)), points)
    size = np.abs(away)
    ordered = -np.sort(-size, axis=-1)
    excess = (np.cumsum(ordered, axis=-1) - radius) / np.arange(1, size.shape[-1] + 1)
    last = (ordered > excess).sum(axis=-1, keepdims=True) - 1
    cut = np.maximum(np.take_along_axis(excess, np.maximum(last, 0), axis=-1), 0.0)
    outside = size.sum(axis=-1, keepdims=True) > radius
    return np.where(outside, centre + np.sign(away) * np.maximum(size - cut, 0.0), points)
