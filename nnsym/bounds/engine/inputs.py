"""Where the inputs lie: boxes and balls on a device, and the least value of an affine form over them.

Over the intersection of a box and balls ``|x - x0|_p <= r`` the form ``c x`` is at least the best of

    sum_i min(c_i l_i, c_i u_i)     and     c x0 - r |c|_q,   1/p + 1/q = 1     (Hoelder's inequality).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from nnsym.bounds.base import Interval
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.rounding import FLOAT64, Amounts, contract, magnitude, middle, precision, rounded, settle
from nnsym.bounds.sources import FloatBoxes
from nnsym.errors import InputError
from nnsym.ir.domain import Ball
from nnsym.ir.exact import nearest, round_up, to_fractions
from nnsym.ir.node import Node
from nnsym.ir.query import Query


@final
@dataclass(frozen=True, eq=False)
class Range:
    """An interval per element on a device: tensors of shape ``(batch, size)``."""

    lower: Tensor
    upper: Tensor

    def intersect(self, other: Range) -> Range:
        return Range(torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper))

    @property
    def magnitude(self) -> Tensor:
        return magnitude(self.lower, self.upper)

    def interval(self, source: str, batched: bool) -> Interval:
        """The same as float64 arrays; without the batch axis if the domain was a single one."""
        lower, upper = (side.to(torch.float64).cpu().numpy() for side in (self.lower, self.upper))
        return Interval(lower, upper, source) if batched else Interval(lower[0], upper[0], source)


@final
@dataclass(frozen=True, eq=False)
class DeviceBall:
    """A ball whose centre was rounded: the true one is off by at most ``away``; the radius was rounded up."""

    centre: Tensor
    away: Tensor
    radius: Tensor
    p: int

    @staticmethod
    def of(ball: Ball, maps: Maps) -> DeviceBall:
        centre = maps.tensor(nearest(ball.centre))
        stored = to_fractions(centre.to(torch.float64).cpu().numpy())
        away = round_up(np.abs(to_fractions(ball.centre) - stored))
        radius = np.array([ball.outer_radius])
        return DeviceBall(centre, maps.outward(away, torch.inf), maps.outward(radius, torch.inf), ball.p)

    def seen(self, origin: Tensor, maps: Maps) -> DeviceBall:
        """The ball of ``x - origin`` for ``origin`` of shape ``(1 or batch, n)``, in the format of ``maps``."""
        centre = self.centre - origin
        away = self.away + 2 * maps.precision.u * centre.abs()
        narrow = maps.precision is not FLOAT64
        away, radius = (rounded(v, maps.dtype, torch.inf) if narrow else v for v in (away, self.radius))
        return DeviceBall(centre.to(maps.dtype), away, radius, self.p)

    def least(self, c: Tensor, count: int) -> Tensor:
        """A lower bound of ``c x`` over the ball, as :func:`least`."""
        slack = precision(c).gamma(c.shape[-1] + count)
        size = c.abs()
        far = size.amax(-1)
        if self.p == 1:
            norm = far
        else:  # scaled, so that no square underflows that matters
            scale = torch.where(far > 0, far, 1.0)
            norm = scale * torch.linalg.vector_norm(c / scale[..., None], dim=-1)
        error = contract(size, self.away + slack * self.centre.abs())
        return contract(c, self.centre) - self.radius * norm * (1.0 + slack) - error


Balls = Mapping[Node, tuple[DeviceBall, ...]]


def spread(box: Range, count: int) -> tuple[Tensor, Amounts]:
    """Centre of a box, and its radius with what a sum ``c x`` of ``count`` more additions may be off per ``|c|``."""
    centre, radius = middle(box.lower, box.upper)
    return centre, Amounts.of(radius + precision(radius).gamma(radius.shape[-1] + count) * box.magnitude)


def least(c: Tensor, centre: Tensor, amount: Amounts, balls: tuple[DeviceBall, ...], count: int) -> Tensor:
    """A lower bound of ``c x`` over a box (see :func:`spread`) and balls, ``(batch, rows)``; rounding is charged.

    ``c`` has shape ``(1 or batch, rows, n)``.
    """
    value = contract(c, centre) - amount.weighed(c)
    for ball in balls:
        value = torch.maximum(value, ball.least(c, count))
    return value


def device_balls(query: Query, maps: Maps) -> Balls:
    """The balls of a query's inputs on a device."""
    return {x: tuple(DeviceBall.of(ball, maps) for ball in some) for x, some in query.balls.items() if some}


def domain(query: Query, boxes: FloatBoxes | None, maps: Maps) -> tuple[dict[Node, Range], bool]:
    """The input ranges with a batch axis, and whether the caller gave one."""
    ranges: dict[Node, Range] = {}
    batched = boxes is not None
    for x, box in query.boxes.items():
        lower, upper = box.outer if boxes is None or x not in boxes else boxes[x]
        low, high = maps.outward(np.atleast_2d(lower), -torch.inf), maps.outward(np.atleast_2d(upper), torch.inf)
        if low.shape[1] != x.size or low.shape != high.shape:
            raise InputError(
                f"boxes of shapes {np.shape(lower)}, {np.shape(upper)} for {x.size} elements",
                where=x.name,
                remedy="Give arrays of shape (batch, size)",
            )
        ranges[x] = Range(*settle(low, high))
    count = max((len(r.lower) for r in ranges.values()), default=1)
    wide = {x: Range(r.lower.expand(count, -1), r.upper.expand(count, -1)) for x, r in ranges.items()}
    return wide, batched
