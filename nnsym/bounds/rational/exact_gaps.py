"""The lines of :mod:`nnsym.bounds.pairs.gaps` in rational arithmetic, for hinges and pieces."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import short_slope, to_fractions
from nnsym.ir.functions.pieces import steepness
from nnsym.ir.pairs.difference import Difference
from nnsym.ir.univariate import Hinge, Piecewise

Range = tuple[Array, Array]
Lines = tuple[Array, Array, Array, Array]  # slopes below and above, offsets below and above

_ZERO = Fraction(0)


def slope_range(node: Difference, a: Range, b: Range) -> Range:
    """The least and the largest slope between arguments in two ranges."""
    fn = node.left.fn  # type: ignore[union-attr]
    if isinstance(fn, Piecewise):
        return steepness(fn, np.minimum(a[0], b[0]), np.maximum(a[1], b[1]))
    assert isinstance(fn, Hinge)
    left, right = (to_fractions(s) for s in fn.slopes(node.size))
    rising = np.asarray((a[0] >= 0) & (b[0] >= 0), dtype=bool)
    falling = np.asarray((a[1] <= 0) & (b[1] <= 0), dtype=bool)
    least, most = np.minimum(left, right), np.maximum(left, right)
    least = np.where(rising, right, np.where(falling, left, least))
    return least, np.where(rising, right, np.where(falling, left, most))


def reach(slopes: Range, gap: Range) -> Range:
    """The range of slope times gap."""
    corners = [s * d for s in slopes for d in gap]
    return np.minimum.reduce(corners), np.maximum.reduce(corners)


def band(slopes: Range, gap: Range) -> Lines:
    """Lines through the origin where the gap has one sign, chords elsewhere."""
    size = len(gap[0])
    out = [np.full(size, _ZERO, dtype=object) for _ in range(4)]
    for i, (k, m, low, high) in enumerate(zip(*slopes, *gap, strict=True)):
        if low >= 0 or k == m:
            out[0][i], out[1][i] = k, m
        elif high <= 0:
            out[0][i], out[1][i] = m, k
        else:
            below, above = (short_slope((s * high - t * low) / (high - low)) for s, t in ((k, m), (m, k)))
            out[0][i], out[2][i] = below, min((m - below) * low, (k - below) * high)
            out[1][i], out[3][i] = above, max((k - above) * low, (m - above) * high)
    return out[0], out[1], out[2], out[3]


def apart(near: Lines, left: Range, right: Range, gap: Range) -> Range:
    """Where ``left - right`` as it stands is clearly the better bound below, and above."""
    low = np.minimum(*(near[0] * end for end in gap)) + near[2]
    high = np.maximum(*(near[1] * end for end in gap)) + near[3]
    much = ((left[1] - left[0]) + (right[1] - right[0])) / 8
    below, above = (left[0] - right[1]) - low > much, high - (left[1] - right[0]) > much
    return np.asarray(below, dtype=bool), np.asarray(above, dtype=bool)
