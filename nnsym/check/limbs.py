"""Integers as limbs of 22 bits, multiplied exactly in float64.

Every sum of products of limbs is an integer below 2^53, so that no order of summation, library or fused operation
rounds it. Sums are put together, floored and checked in int64; what leaves the range is refused, never wrapped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import fits
from .functions import SLOPE
from .graph import Map

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

LIMB = 22
_MASK = (1 << LIMB) - 1
REACH = 1 << 53  # what coefficients and values stay below
_INNER = 1 << 53 - 2 * LIMB  # products of limbs that one sum may hold
_MANY = 48  # rows from which it pays to look for columns of zeros
_BLOCK = 16  # rows that a sparse map takes at once, so that they stay near
_DENSE = 1 << 20  # elements up to which a sparse map is written out
_SPLIT = 26
_SUM = 1 << 61


def limbs(values: Ints) -> list[Floats]:
    """Integers below 2^53 in magnitude as limbs, the last one signed."""
    largest = most(values)
    fits(largest < REACH)
    count = largest.bit_length() // LIMB + 1
    parts = [(values >> LIMB * k) & _MASK for k in range(count - 1)]
    return [p.astype(np.float64) for p in (*parts, values >> LIMB * (count - 1))]


def most(values: Ints) -> int:
    """The greatest magnitude."""
    return max(int(values.max()), -int(values.min())) if values.size else 0


def plus(a: Any, b: Any) -> Any:
    """A sum that stays below 2^61 in magnitude, as both terms do: nothing wraps, whatever is added up."""
    total = a + b
    fits(most(total) < _SUM)
    return total


def floored(sums: Sequence[Any], shift: int, width: int = LIMB) -> tuple[Ints, NDArray[np.bool_]]:
    """``floor(sum_k sums[k] 2^(width k) / 2^shift)``, and where it loses something."""
    whole, rest = divmod(shift, width)
    carry: Any = np.zeros_like(sums[0])
    lost: Any = np.zeros(sums[0].shape, dtype=bool)
    for k in range(whole):
        carry = carry + sums[k] if k < len(sums) else carry
        lost |= (carry & ((1 << width) - 1)) != 0
        carry = carry >> width
    carry = carry + sums[whole] if whole < len(sums) else carry
    lost |= (carry & ((1 << rest) - 1)) != 0
    total = carry >> rest
    for k in range(whole + 1, len(sums)):
        places = width * (k - whole) - rest
        fits(most(sums[k]) < 1 << max(0, 59 - places))
        total = total + (sums[k] << places)
    fits(most(total) < REACH)
    return total, lost


def times_slope(c: Ints, slope: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """``floor(c slope / 2^30)`` for |c| < 2^53 and |slope| < 2^35, and where it loses something."""
    low = (c & ((1 << _SPLIT) - 1)) * slope
    high = (c >> _SPLIT) * slope + (low >> _SPLIT)
    return high >> SLOPE - _SPLIT, ((low & ((1 << _SPLIT) - 1)) | (high & ((1 << SLOPE - _SPLIT) - 1))) != 0


def dot(c: Ints, v: Ints, bits: int) -> Ints:
    """``floor(sum_i c_i v_i / 2^bits)`` of each row; c is cut into limbs as wide as v leaves room for."""
    width = min(LIMB, 61 - most(v).bit_length() - c.shape[1].bit_length())
    fits(width >= 8)
    count = most(c).bit_length() // width + 1
    parts = [(c >> width * k) & ((1 << width) - 1) for k in range(count - 1)]
    return floored([np.einsum("ri,ri->r", part, v) for part in (*parts, c >> width * (count - 1))], bits, width)[0]


class Matrix:
    """A linear map for rows from the right, and for values from the left, with and without signs."""

    def __init__(self, m: Map) -> None:
        self.shift, rows, self.loose = m.integers
        self.shape = len(m.rows), m.width
        self.dense = self.shape[0] * self.shape[1] <= _DENSE or all(c is None for c, _ in m.rows)
        i = np.repeat(np.arange(len(rows)), [len(r) for r in rows])
        j = np.concatenate([np.asarray(range(m.width) if c is None else c, dtype=np.int64) for c, _ in m.rows] or [i])
        flat = [w for row in rows for w in row]
        self.terms = np.array([len(r) for r in rows], dtype=np.int64)
        signed, plain = self._limbs(flat), self._limbs([abs(w) for w in flat])
        self.places = i, j
        self.back, self.forth, self.size = (
            [self._written(part, *pair) for part in parts] if self.dense else self._listed(parts, *pair)
            for parts, pair in ((signed, (i, j)), (signed, (j, i)), (plain, (j, i)))
        )

    @staticmethod
    def _limbs(values: Sequence[int]) -> list[Floats]:
        size = max(map(abs, values), default=0).bit_length()
        count = size // LIMB + 1
        if size < 62:
            whole = np.array(values, dtype=np.int64)
            parts = [(whole >> LIMB * k) & _MASK for k in range(count - 1)]
            return [p.astype(np.float64) for p in (*parts, whole >> LIMB * (count - 1))]
        rows = [[(w >> LIMB * k) & _MASK for w in values] for k in range(count - 1)]
        return [np.array(r, dtype=np.float64) for r in (*rows, [w >> LIMB * (count - 1) for w in values])]

    def _written(self, values: Floats, i: Ints, j: Ints) -> Floats:
        matrix = np.zeros(self.shape if i is self.places[0] else self.shape[::-1])
        np.add.at(matrix, (i, j), values)
        return matrix

    def _listed(self, parts: Sequence[Floats], i: Ints, j: Ints) -> Any:
        """For each output j the inputs i and the weights that make it, as lists of one length, padded by zeros."""
        outputs = self.shape[1] if i is self.places[0] else self.shape[0]
        order = np.argsort(j, kind="stable")
        starts = np.searchsorted(j[order], np.arange(outputs))
        rank = np.arange(len(j)) - starts[j[order]]
        depth = int(rank.max()) + 1 if len(j) else 1
        index = np.zeros((depth, outputs), dtype=np.int64)
        index[rank, j[order]] = i[order]
        weights = []
        for part in parts:
            w = np.zeros((depth, outputs))
            w[rank, j[order]] = part[order]
            weights.append(w)
        return index, weights

    def times(self, c: Ints, which: Any, *, sparing: bool = False) -> list[Ints]:
        """The limbs' sums of ``c M``; ``sparing`` leaves out columns of zeros, where rows are many."""
        if not self.dense:
            return self._gathered(limbs(c), *which)
        if sparing and len(c) >= _MANY:
            used = np.flatnonzero(c.any(axis=0))
            c, which = (c[:, used], [m[used] for m in which]) if 0 < len(used) < c.shape[1] else (c, which)
        left = limbs(c)
        sums: list[Any] = [np.zeros((len(c), which[0].shape[1]), dtype=np.int64)] * (len(left) + len(which) - 1)
        step = _INNER // min(len(left), len(which))  # so that products of one place are summed as floats too
        for first in range(0, c.shape[1], step):
            part = slice(first, first + step)
            made: list[Any] = [0.0] * len(sums)
            for a, x in enumerate(left):
                for b, m in enumerate(which):
                    made[a + b] = made[a + b] + x[:, part] @ m[part]
            sums = [plus(s, f.astype(np.int64)) for s, f in zip(sums, made, strict=True)]
        return sums

    @staticmethod
    def _gathered(left: Sequence[Floats], index: Ints, weights: Sequence[Floats]) -> list[Ints]:
        made = np.zeros((len(left) + len(weights) - 1, len(left[0]), index.shape[1]), dtype=np.int64)
        for first in range(0, len(left[0]), _BLOCK):
            block = slice(first, first + _BLOCK)
            for a, x in enumerate(left):
                columns = np.ascontiguousarray(x[block].T)
                for start in range(0, len(index), _INNER):
                    parts: list[Any] = [0.0] * len(weights)
                    for k in range(start, min(start + _INNER, len(index))):
                        chosen = columns[index[k]]
                        for b, w in enumerate(weights):
                            parts[b] = parts[b] + chosen * w[k][:, None]
                    for b, part in enumerate(parts):
                        made[a + b, block] = plus(made[a + b, block], part.T.astype(np.int64))
        return list(made)
