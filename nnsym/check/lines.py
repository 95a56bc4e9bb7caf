"""Lines of a curve's elements in many cases at once, for the fast engine; those of the ReLU without a loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .functions import SLOPE, Pieces
from .limbs import REACH, Floats, Ints, fits, most
from .rule import Given, chosen


@dataclass(frozen=True)
class Lines:
    """Of a curve, a row for each case: slopes for each parent (whole numbers) and the offset, below and above.

    ``live`` numbers the elements that are not 0 in every case; where these are ``few`` the others are left out.
    """

    live: Ints
    few: bool
    below: tuple[Floats, ...]
    offset_below: Ints
    above: tuple[Floats, ...]
    offset_above: Ints
    rounded: bool = False


def live_lines(below: Sequence[Ints], low: Ints, above: Sequence[Ints], high: Ints, rounded: bool = False) -> Lines:
    """Lines by slopes and offsets of all elements."""
    live = np.any([(a != 0).any(axis=0) for a in (*below, low, *above, high)], axis=0).nonzero()[0]
    few = 2 * len(live) < low.shape[1]
    if few:
        below, low, above, high = [a[:, live] for a in below], low[:, live], [a[:, live] for a in above], high[:, live]
    sides = [tuple(a.astype(np.float64) for a in part) for part in (below, above)]
    return Lines(live, few, sides[0], low, sides[1], high, rounded)


def is_relu(function: Any) -> bool:
    """Whether a function is ``max(z, 0)``."""
    return (
        isinstance(function, Pieces)
        and function.d == 1
        and (function.breaks, function.parts) == ([0], [(0, 0), (1, 0)])
    )


def _scaled(value: Ints, slope: Ints) -> Ints:
    """``floor(value slope / 2^30)`` for values below 2^54 and slopes from 0 to 1."""
    low = (value & ((1 << SLOPE) - 1)) * slope
    return np.asarray((value >> SLOPE) * slope + (low >> SLOPE))


def relu_lines(left: Ints, right: Ints, opened: NDArray[np.bool_], given: Sequence[Given | None]) -> Lines:
    """``s z <= max(z, 0) <= s' z + o`` with ``o = max(-s' left, (1 - s') right)``; s' near the chord's.

    Slopes are multiples of 2^-27.
    """
    fits(max(most(left), most(right)) < 2 * REACH)
    one = 1 << SLOPE
    active = (left >= 0).astype(np.int64) * one
    below = np.where(opened, (right > -left).astype(np.int64) * one, active)
    for b, data in enumerate(given):
        if data is not None:
            places, numbers, top = chosen(data, opened[b].nonzero()[0].tolist())
            below[b, places] = np.array(numbers, dtype=np.int64) * one // top & -8
    gap = np.where(opened, right - left, 1)
    chord = np.clip((np.where(opened, right, 0) / gap * one).astype(np.int64), 0, one) & -8
    above = np.where(opened, chord, active)
    offset = np.maximum(-_scaled(left, above), -_scaled(-right, one - above))
    zero = np.zeros_like(left)
    return live_lines([below], zero, [above], np.where(opened, np.maximum(offset, 0), zero), rounded=True)
