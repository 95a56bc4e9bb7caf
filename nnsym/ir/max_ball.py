"""Balls of the maximum norm, ``[c - r, c + r]`` cut to ``[l, u]``, whose exact limits are made when they are asked for.

An image's box has thousands of limits that are no floats. What most questions need of it, the next floats on both
sides of each limit, follows from error-free sums (Knuth's TwoSum): with ``h = fl(c + r)`` and the exact error ``t`` of
the sum, ``c + r`` lies between ``h`` and its neighbour on the side of ``t``'s sign.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cached_property
from typing import Any, final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.exact import round_down, round_up, simplify

_HUGE = 2.0**1000


def neighbours(values: Array, shift: Fraction) -> tuple[Array, Array]:
    """The largest floats not above ``values + shift``, and the smallest not below; float64 ``values`` of tame size."""
    if not shift:
        return values, values
    part = float(shift)
    rest = shift - Fraction(part)
    slight = float(rest)
    head = values + part
    second = head - values
    error = (values - (head - second)) + (part - second) + slight
    below, above = np.nextafter(head, -np.inf), np.nextafter(head, np.inf)
    down, up = np.where(error < 0, below, head), np.where(error > 0, above, head)
    unsure = np.abs(error) >= 0.75 * np.minimum(head - below, above - head)
    if rest:
        unsure |= np.abs(error) <= 2.0**-40 * abs(slight)
    for k in np.flatnonzero(unsure):
        exact = np.array([Fraction(float(values[k])) + shift], dtype=object)
        down[k], up[k] = round_down(exact)[0], round_up(exact)[0]
    return down, up


@final
class MaxBall(Box):
    """The box of all points within ``radius`` of ``centre`` in every element, and between float64 ``limits``."""

    def __init__(self, centre: Array, radius: Fraction, limits: tuple[Array, Array]) -> None:
        for name, value in (("centre", centre), ("radius", radius), ("limits", limits)):
            object.__setattr__(self, name, value)

    centre: Array
    radius: Fraction
    limits: tuple[Array, Array]

    @staticmethod
    def fits(centre: Array, radius: Fraction) -> bool:
        """True for float64 centres and a radius of sizes whose sums do not overflow."""
        return radius < _HUGE and centre.dtype != object and bool((np.abs(centre) < _HUGE).all())

    @cached_property
    def _floats(self) -> tuple[Array, Array, Array, Array]:
        """The next floats below and above the lower limits, and below and above the upper ones."""
        least, most = self.limits
        low = (np.maximum(side, least) for side in neighbours(self.centre, -self.radius))
        high = (np.minimum(side, most) for side in neighbours(self.centre, self.radius))
        return (*low, *high)  # type: ignore[return-value]

    @cached_property
    def lower(self) -> Array:
        return _sums(self.centre, -self.radius, self.limits[0], max)

    @cached_property
    def upper(self) -> Array:
        return _sums(self.centre, self.radius, self.limits[1], min)

    @cached_property
    def outer(self) -> tuple[Array, Array]:
        low, _, _, high = self._floats
        return low, high

    @cached_property
    def inner(self) -> tuple[Array, Array]:
        _, low, high, _ = self._floats
        return low, high

    @property
    def empty(self) -> bool:
        least, most = self.limits
        if self.radius >= 0 and bool(((least <= self.centre) & (self.centre <= most)).all()):
            return False
        low, high = self.inner
        return bool((low > high).any()) and bool((self.lower > self.upper).any())

    @property
    def bounded(self) -> bool:
        return True


def _sums(values: Array, shift: Fraction, limits: Array, pick: Callable[[Any, Any], Any]) -> Array:
    """``values + shift`` exactly, cut to limits that are finite."""
    if not shift:
        return np.array([pick(v, m) for v, m in zip(values.tolist(), limits.tolist(), strict=True)])
    pairs = zip(values.tolist(), limits.tolist(), strict=True)
    sums = [pick(Fraction(v) + shift, Fraction(m)) if abs(m) < np.inf else Fraction(v) + shift for v, m in pairs]
    return simplify(np.array(sums, dtype=object))
