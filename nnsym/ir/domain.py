"""Boxes and balls: where the inputs of a query lie, in exact numbers, and how a float64 point is moved inside.

A box is ``l <= x <= u`` elementwise, a ball ``|x - c|_p <= r`` for p = 1 or 2. Limits are exact
(:mod:`nnsym.ir.exact`). A float64 box that encloses the exact one is its ``outer``, which bounds rest on; one inside it
is its ``inner``, from which points are taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, final

import numpy as np

from nnsym.errors import MissingBoundsError
from nnsym.ir.array import Array
from nnsym.ir.exact import add, nearest, nearest_float, round_down, round_up, to_fractions


@dataclass(frozen=True, eq=False)
class Box:
    """``lower <= x <= upper`` elementwise; exact numbers, infinite where open.

    :class:`nnsym.ir.max_ball.MaxBall` makes its exact numbers late.
    """

    lower: Array
    upper: Array

    @cached_property
    def outer(self) -> tuple[Array, Array]:
        """The smallest float64 box that contains it."""
        return round_down(self.lower), round_up(self.upper)

    @cached_property
    def inner(self) -> tuple[Array, Array]:
        """The largest float64 box inside it: what a float64 point is clipped to. It may be empty."""
        return round_up(self.lower), round_down(self.upper)

    def contains(self, x: Array) -> bool:
        """Exactly: a float64 is above the lower limit iff it is above the next float64 inside."""
        lower, upper = (self.lower, self.upper) if x.dtype == object else self.inner
        return bool(((lower <= x) & (x <= upper)).all())

    @property
    def empty(self) -> bool:
        return bool((self.lower > self.upper).any())

    @property
    def bounded(self) -> bool:
        """True if it is certain that no element is open."""
        return False

    def intersect(self, other: Box) -> Box:
        return Box(_pick(self.lower, other.lower, +1), _pick(self.upper, other.upper, -1))

    def hull(self, other: Box) -> Box:
        return Box(_pick(self.lower, other.lower, -1), _pick(self.upper, other.upper, +1))

    def whole(self, integer: Array) -> Box:
        """The box with the elements marked in ``integer`` cut down to the whole numbers inside it."""
        return Box(_whole(self.lower, integer, math.ceil), _whole(self.upper, integer, math.floor))


def require_limits(box: Box, name: str, why: str) -> None:
    """Raise :class:`MissingBoundsError` for the first element of the input ``name`` that its box leaves open.

    ``why`` goes on from "element 3 has bounds [0, inf]" and says who needs both limits.
    """
    lower, upper = box.outer
    for k in np.flatnonzero(np.isinf(lower) | np.isinf(upper)):
        raise MissingBoundsError(
            f"element {k} has bounds [{lower[k]:g}, {upper[k]:g}]{why}",
            where=f"input '{name}'",
            remedy="Bound it in the property (nn.box), or use an encoding that needs no bounds (smt)",
        )


@final
@dataclass(frozen=True, eq=False)
class Ball:
    """``norm(x - centre, p) <= radius`` for p = 1 or 2, exact numbers; balls of the maximum norm are boxes."""

    centre: Array
    radius: Fraction
    p: int

    def contains(self, x: Array) -> bool:
        """Exactly, in rationals; for p = 2 both sides are squared."""
        away = to_fractions(x) - to_fractions(self.centre)
        total = np.abs(away).sum() if self.p == 1 else (away * away).sum()
        return bool(total <= self.radius**self.p)

    @property
    def outer_radius(self) -> float:
        """The radius as float64, rounded up."""
        return float(round_up(np.array([self.radius], dtype=object))[0])

    @property
    def box(self) -> Box:
        """The smallest box that contains it, exactly."""
        radius = np.full(len(self.centre), self.radius, dtype=object)
        return Box(add(self.centre, -radius), add(self.centre, radius))

    @np.errstate(over="ignore", invalid="ignore")  # a length beyond floats is infinite, and pulled to the centre
    def pull(self, points: Array, share: Array | float = 1.0) -> Array:
        """The points ``(..., n)`` of the ball, its radius multiplied by ``share``, that are nearest to given ones.

        For p = 1 by a threshold on the sorted magnitudes (Duchi et al., Efficient Projections onto the l1-Ball for
        Learning in High Dimensions, 2008, figure 1).
        """
        centre, radius = nearest(self.centre), nearest_float(self.radius) * share
        away = points - centre
        if self.p == 2:
            length = np.linalg.norm(away, axis=-1, keepdims=True)
            return np.where(length > radius, centre + away * (radius / np.maximum(length, 2.0**-1000)), points)
        size = np.abs(away)
        ordered = -np.sort(-size, axis=-1)
        excess = (np.cumsum(ordered, axis=-1) - radius) / np.arange(1, size.shape[-1] + 1)
        last = (ordered > excess).sum(axis=-1, keepdims=True) - 1
        cut = np.maximum(np.take_along_axis(excess, np.maximum(last, 0), axis=-1), 0.0)
        outside = size.sum(axis=-1, keepdims=True) > radius
        return np.where(outside, centre + np.sign(away) * np.maximum(size - cut, 0.0), points)


#: The share of a ball's radius that a float64 point is pulled to, so that rounding leaves it inside.
INSIDE = 1.0 - 2.0**-40
_ROUNDS = 8  # alternations between a box and the balls that cut it


def pull_inside(points: Array, box: tuple[Array, ...], balls: tuple[Ball, ...], integer: Array, share: float) -> Array:
    """Points ``(..., n)`` moved by alternating projections into the balls, radii times ``share``, and a float64 box.

    Whole numbers stay whole: rounded towards the centre, a point does not leave a ball.
    """
    near = np.clip(points, *box)
    for _ in range(_ROUNDS if balls else 0):
        for ball in balls:
            near = ball.pull(near, share)
            towards = np.where(near > nearest(ball.centre), np.floor(near), np.ceil(near))
            near = np.where(integer, towards, near)
        near = np.clip(near, *box)
    return near


def _pick(a: Array, b: Array, sign: int) -> Array:
    """Elementwise larger (sign +1) or smaller (-1) number; mixed float and Fraction arrays are compared exactly."""
    return np.asarray(np.where((a > b) == (sign > 0), a, b))


def _whole(limit: Array, integer: Array, rounding: Callable[[Any], int]) -> Array:
    cut = limit.copy()
    for k in np.flatnonzero(integer):
        if abs(limit[k]) != np.inf:
            cut[k] = Fraction(rounding(limit[k])) if limit.dtype == object else rounding(limit[k])
    return cut
