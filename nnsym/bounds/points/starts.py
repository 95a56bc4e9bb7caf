"""Points of a domain: where a search starts, and how a point that left the domain comes back.

Float64 in NumPy. What is computed here is a candidate and never a claim; replay decides in exact arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.domain import INSIDE, Box, pull_inside
from nnsym.ir.node import Input, Points
from nnsym.ir.query import Query


def spread(low: Array, high: Array, *, count: int, seed: int = 0) -> Array:
    """``(count, n)`` points of a box: its centre, then random points and random corners in turn.

    An infinite side is replaced by 0, or by the other side where that is beyond 0.
    """
    rng = np.random.default_rng(seed)
    low = np.where(np.isfinite(low), low, np.minimum(0.0, high))
    high = np.where(np.isfinite(high), high, np.maximum(0.0, low))
    weight = rng.random((count, len(low)))
    weight[0], weight[2::2] = 0.5, np.round(weight[2::2])
    with np.errstate(over="ignore", invalid="ignore"):  # the width of a box may be beyond floats
        near = np.where(np.isfinite(high - low), low + weight * (high - low), (1 - weight) * low + weight * high)
    return np.asarray(np.clip(near, low, high))


def starts(query: Query, boxes: Sequence[Mapping[Input, Box]], *, count: int, seed: int = 0) -> dict[Input, Array]:
    """``count`` points in each of the boxes, one box after the other: ``(len(boxes) * count, n)`` of every input.

    In a ball the points of its box are pulled towards the centre, to radii that fill it evenly.
    """
    found: dict[Input, list[Array]] = {x: [] for x in query.inputs}
    for place, case in enumerate(boxes):
        for k, x in enumerate(query.inputs):
            near = spread(*case[x].inner, count=count, seed=seed + 7919 * place + k)
            for ball in query.balls.get(x, ()):
                near = ball.pull(near, INSIDE * np.linspace(0.0, 1.0, count)[:, None] ** (1.0 / x.size))
            found[x].append(near)
    return {x: np.concatenate(parts) for x, parts in found.items()}


def project(query: Query, points: Points, boxes: Mapping[Input, tuple[Array, ...]]) -> dict[Input, Array]:
    """Points moved into their own boxes ``(count, n)``, into the query's boxes and balls, integers to whole numbers."""
    inside = query.move_inside({x: np.clip(points[x], *boxes[x]) for x in query.inputs})
    for x, balls in query.balls.items():
        inside[x] = pull_inside(inside[x], boxes[x], balls, x.integer, INSIDE)
    return inside
