"""Balls of the norms 1 and 2 that cut the box of an input, in float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.kept.rounding import FLOAT64
from nnsym.ir.array import Array
from nnsym.ir.domain import Ball
from nnsym.ir.exact import nearest, round_up, to_fractions


@final
@dataclass(frozen=True, eq=False)
class Round:
    """A ball with a float64 centre, off by at most ``away``, and its radius rounded up."""

    centre: Array
    away: Array
    radius: float
    p: int

    @staticmethod
    def of(ball: Ball) -> Round:
        """The ball, rounded outward."""
        centre = nearest(ball.centre)
        away = round_up(np.abs(to_fractions(ball.centre) - to_fractions(centre)))
        return Round(centre, away, ball.outer_radius, ball.p)

    def part(self, index: Array) -> Round:
        """The shadow of the ball on some elements: a ball of the same radius."""
        return Round(self.centre[index], self.away[index], self.radius, self.p)

    def least(self, c: Array, origin: Array, count: int) -> Array:
        """A lower bound of ``c (x - origin)`` over the ball, in float64 and charged, with ``count`` more additions."""
        seen = self.centre - origin
        away = self.away + 2 * FLOAT64.u * np.abs(seen)
        slack, size = FLOAT64.gamma(c.shape[-1] + count + 16), np.abs(c)
        far = size.max(axis=-1)
        norm = far
        if self.p == 2:  # scaled, so that no square underflows that matters
            scale = np.where(far > 0, far, 1.0)
            norm = scale * np.sqrt(((c / scale[..., None]) ** 2).sum(axis=-1))
        error = (size * (away + slack * np.abs(seen))).sum(axis=-1) * (1.0 + slack)
        return np.asarray((c * seen).sum(axis=-1) - self.radius * norm * (1.0 + slack) - error)
