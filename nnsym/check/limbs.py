"""Integers in float64, so small that nothing is rounded: limbs of weights, rows of coefficients with exponents.

Every number here is an integer below 2^53 in magnitude, or one times a power of two, and so is every partial sum of a
product: no order of summation, library or fused operation rounds it. Rows are floored to ``bits`` binary digits with an
exponent of their own each; how many units that loses is told. What leaves the range is refused, never wrapped.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import fits
from .functions import SLOPE
from .graph import Map

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

COARSE, FINE = 25, 30  # digits of rows: of those that bound nodes, and of leaves
REACH = 1 << 53  # what values stay below
_SUM = 1 << 61  # what sums of values stay below
_ROOM = 52  # digits of a product's sums
_NOWHERE = 800  # exponent of rows of zeros
_MANY = 48, 128  # rows and columns from which it pays to look for columns of zeros
_BLOCK = 16  # rows that a sparse map takes at once, so that they stay near
_DENSE = 1 << 20  # elements up to which a sparse map is written out
_HALF = SLOPE // 2


@dataclass(frozen=True, eq=False)
class Rows:
    """``c[r] 2^-e[r]``: integers of so many digits, and an exponent for each row."""

    c: Floats
    e: Ints
    bits: int


def most(values: Any) -> int:
    """The greatest magnitude."""
    return max(int(values.max()), -int(values.min())) if values.size else 0


def plus(a: Any, b: Any) -> Any:
    """A sum that stays below 2^61 in magnitude, as both terms do: nothing wraps, whatever is added up."""
    total = a + b
    fits(most(total) < _SUM)
    return total


def limbs(values: Ints, width: int) -> list[Floats]:
    """Integers below 2^62 in magnitude as digits of so many bits, lowest first, the last one signed."""
    fits(width >= 4 and most(values) < 1 << 62, "a product")
    parts = [(values >> width * k) & ((1 << width) - 1) for k in range(most(values).bit_length() // width)]
    return [p.astype(np.float64) for p in (*parts, values >> width * len(parts))]


def room(bits: int, terms: int) -> int:
    """How wide limbs may be that are multiplied by numbers of so many bits, in sums of so many terms."""
    return _ROOM - bits - max(terms - 1, 1).bit_length()


def floored(sums: Sequence[Floats], shift: int, width: int) -> Ints:
    """``floor(sum_k sums[k] 2^(width k) / 2^shift)``."""
    whole, rest = divmod(shift, width)
    carry: Any = np.zeros(sums[0].shape, dtype=np.int64)
    for k in range(min(whole, len(sums))):
        carry = carry + sums[k].astype(np.int64) >> width
    if whole >= len(sums):
        return np.asarray(carry >> min(width * (whole - len(sums)) + rest, 62))
    total = carry + sums[whole].astype(np.int64) >> rest
    for k in range(whole + 1, len(sums)):
        places = width * (k - whole) - rest
        fits(most(sums[k]) < 1 << max(0, 59 - places))
        total = total + (sums[k].astype(np.int64) << min(places, 62))
    fits(most(total) < REACH)
    return np.asarray(total)


def settled(sums: Sequence[Floats], width: int, e: Ints, bits: int, told: bool) -> tuple[Rows, Floats]:
    """Rows ``sum_k sums[k] 2^(width k) 2^-e`` floored to so many digits, and how many units each loses at most.

    Where it need not be ``told`` which rows lose something, all of them may.
    """
    fits(width * len(sums) < 950, "a weight")
    size: Any = 0.0
    for k in reversed(range(len(sums))):
        size = size + np.maximum(sums[k].max(axis=1, initial=0.0), -sums[k].min(axis=1, initial=0.0)) * 2.0 ** (
            width * k
        )
        if k and size.min() > 2.0 ** (width * (k - 1) + 53 + 8):
            break  # what is left does not change the exponent by more than there is room for
    shift = np.frexp(size)[1].astype(np.int64) - bits
    c: Any = 0.0
    lost = np.zeros(len(e)) if told else np.full(len(e), float(len(sums)))
    for k, s in enumerate(sums):
        scaled = s * np.ldexp(1.0, width * k - shift)[:, None]
        whole = np.floor(scaled)
        if told:
            lost += (scaled != whole).any(axis=1)
        c = c + whole
    exponents = np.where(size > 0, e - shift, _NOWHERE)
    fits(most(exponents) <= _NOWHERE, "a coefficient")
    return Rows(c, exponents, bits), lost


def written(added: Mapping[tuple[int, int], Fraction], count: int, size: int, bits: int) -> tuple[Rows, Floats]:
    """Rows of numbers ``(row, column): value``, floored to so many digits, and how many units each loses at most."""
    greatest: dict[int, Fraction] = {}
    for (r, _), value in added.items():
        greatest[r] = max(greatest.get(r, Fraction(0)), abs(value))
    e = np.full(count, _NOWHERE)
    for r, value in greatest.items():
        e[r] = bits - value.numerator.bit_length() + value.denominator.bit_length() - 1 if value else _NOWHERE
    fits(most(e) <= _NOWHERE, "a multiplier")
    c, lost = np.zeros((count, size)), np.zeros(count)
    for (r, i), value in added.items():
        scaled = value * Fraction(2) ** int(e[r])
        c[r, i] = scaled.__floor__()
        lost[r] = max(lost[r], scaled.denominator > 1)
    return Rows(c, e, bits), lost


def joined(a: Rows, b: Rows) -> tuple[Rows, Floats]:
    """The sum of rows, and how many units each loses at most."""
    e = np.minimum(a.e, b.e) - 1
    c = sum(np.floor(r.c * np.ldexp(1.0, np.maximum(e - r.e, -900))[:, None]) for r in (a, b))
    return Rows(np.asarray(c), e, a.bits), np.full(len(e), 2.0)


def times_slope(row: Rows, slope: Floats, rounded: bool) -> tuple[Rows, Floats]:
    """``floor(c slope / 2^30)`` for whole slopes below 2^35, and how many units each row loses at most.

    ``rounded`` slopes are multiples of 8, and 2^30 at most: products of coarse rows then have no more than 53 digits.
    """
    extra = 0
    if row.bits <= COARSE and rounded:
        made = row.c * slope * 2.0**-SLOPE
    else:
        steepest = most(slope)
        fits(steepest < 1 << 35, "a slope")
        extra = max(0, (steepest - 1).bit_length() - SLOPE)
        high = np.floor(slope * 2.0**-_HALF)
        low = row.c * (slope - high * 2.0**_HALF) * 2.0**-_HALF
        made = (row.c * high + np.floor(low)) * 2.0 ** -(_HALF + extra)
        made = np.where(low != np.floor(low), np.floor(made) + 2.0**-1, made)  # what was lost shows below the point
    whole = np.floor(made)
    return Rows(whole, row.e - extra, row.bits), (made != whole).any(axis=1).astype(np.float64)


def dot(row: Rows, low: Ints, high: Ints, owner: Ints, places: int = 0) -> Ints:
    """``floor(sum_i c_i v_i 2^-e-places)`` of each row, v the owner's low end where c > 0, else its high end."""
    width = room(row.bits, row.c.shape[1])
    total = np.zeros(len(row.c), dtype=np.int64)
    scale = np.ldexp(1.0, np.maximum(-row.e - places, -900))
    sides = [(row.c, low)] if low is high else [(np.maximum(row.c, 0.0), low), (np.minimum(row.c, 0.0), high)]
    for c, v in sides:
        for k, part in enumerate(limbs(v, width) if v.any() else ()):
            made = c @ part[0] if len(part) == 1 else np.einsum("ri,ri->r", c, part[owner])
            added = np.floor(made * scale * 2.0 ** (width * k))
            fits(most(added) < REACH)
            total += added.astype(np.int64)
    return total


def charged(row: Rows, units: Floats, below: Ints, owner: Ints) -> Ints:
    """What floored coefficients of values with these lower bounds lose at most: ``floor(units 2^-e sum min(0, l))``."""
    low = np.minimum(below, 0)
    if not low.any():
        return np.zeros(len(units), dtype=np.int64)
    fits(most(low) < 1 << 59 - low.shape[1].bit_length())
    sums = (low.sum(axis=1) >> 16).astype(np.float64)[owner] * units
    lost = np.floor(sums * np.ldexp(1.0, 16 - row.e))
    fits(most(lost) < REACH)
    return np.asarray(lost, dtype=np.int64)


class Matrix:
    """A linear map for rows from the right, and for values from the left, with and without signs."""

    def __init__(self, m: Map) -> None:
        self.shape = len(m.rows), m.width
        counts = [m.width if columns is None else len(columns) for columns, _ in m.rows]
        self.terms = np.array(counts, dtype=np.int64)
        self.full = all(columns is None for columns, _ in m.rows)
        self.dense = self.full or self.shape[0] * self.shape[1] <= _DENSE
        i = np.repeat(np.arange(len(counts)), counts)
        j = [np.arange(m.width) if c is None else np.asarray(c, dtype=np.int64) for c, _ in m.rows]
        self.places = i, np.concatenate([*j, i[:0]])
        found = _dyadic(m)
        if found is None:
            self.shift, rows, self.loose = m.integers
            self.weights: Any = [w for row in rows for w in row]
        else:
            self.shift, self.weights, self.loose = *found, False
        across = np.bincount(self.places[1], minlength=1) if len(i) else np.zeros(1, dtype=np.int64)
        self.depth = max(1, int(across.max()), max(counts, default=1))
        self.kept: dict[tuple[str, int], Any] = {}

    def width(self, bits: int) -> int:
        """How wide the limbs are that multiply numbers of so many bits."""
        return room(bits, self.depth)

    def written(self, which: str, bits: int) -> Any:
        """Limbs for numbers of so many bits: ``back`` for rows, ``forth`` for values, ``size`` without signs."""
        if (which, bits) not in self.kept:
            parts = self._limbs(which == "size", self.width(bits))
            i, j = self.places if which == "back" else self.places[::-1]
            made = [self._full(p, i, j) for p in parts] if self.dense else self._listed(parts, i, j)
            self.kept[which, bits] = made
        return self.kept[which, bits]

    def _limbs(self, plain: bool, width: int) -> list[Floats]:
        fits(width >= 4, "a product")
        parts: list[Floats] = []
        if isinstance(self.weights, list):
            values = [abs(w) for w in self.weights] if plain else self.weights
            for _ in range(max(map(abs, values), default=0).bit_length() // width):
                parts.append(np.array([w & ((1 << width) - 1) for w in values], dtype=np.float64))
                values = [w >> width for w in values]
            return [*parts, np.array(values, dtype=np.float64)]
        rest = np.abs(self.weights) if plain else self.weights
        while np.abs(rest).max(initial=0.0) >= 2.0**width:
            high = np.floor(rest * 2.0**-width)
            parts.append(rest - high * 2.0**width)
            rest = high
        return [*parts, rest]

    def _full(self, values: Floats, i: Ints, j: Ints) -> Floats:
        back = i is self.places[0]
        if self.full:
            matrix = values.reshape(self.shape)
            return matrix if back else np.ascontiguousarray(matrix.T)
        matrix = np.zeros(self.shape if back else self.shape[::-1])
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

    def times(self, left: Sequence[Floats], which: str, bits: int) -> list[Floats]:
        """The sums of products of limbs, of rows of numbers of so many bits."""
        limbs_of = self.written(which, bits)
        if not self.dense:
            return self._gathered(left, *limbs_of)
        if len(left) == 1 and len(left[0]) >= _MANY[0] and self.shape[1] >= _MANY[1]:
            used = np.flatnonzero(left[0].any(axis=0))
            if 0 < len(used) < left[0].shape[1]:
                left, limbs_of = [left[0][:, used]], [m[used] for m in limbs_of]
        fits(len(left) == 1 or (bits == FINE and len(left) < 256), "a product")
        sums: list[Any] = [0.0] * (len(left) + len(limbs_of) - 1)
        for a, x in enumerate(left):
            for b, m in enumerate(limbs_of):
                sums[a + b] = sums[a + b] + x @ m
        return sums

    @staticmethod
    def _gathered(left: Sequence[Floats], index: Ints, weights: Sequence[Floats]) -> list[Floats]:
        made = np.zeros((len(left) + len(weights) - 1, len(left[0]), index.shape[1]))
        for first in range(0, len(left[0]), _BLOCK):
            block = slice(first, first + _BLOCK)
            for a, x in enumerate(left):
                columns = np.ascontiguousarray(x[block].T)
                parts: list[Any] = [0.0] * len(weights)
                for k in range(len(index)):
                    chosen = columns[index[k]]
                    for b, w in enumerate(weights):
                        parts[b] = parts[b] + chosen * w[k][:, None]
                for b, part in enumerate(parts):
                    made[a + b, block] += part.T
        return list(made)


def _dyadic(m: Map) -> tuple[int, Floats] | None:
    """``E`` and the weights times 2^E, where they are floats, or whole numbers, of a common range."""
    if m.inexact:
        return None
    parts = []
    for _, weights in m.rows:
        if not (isinstance(weights, array) and weights.typecode in "fd") and not all(
            type(w) is float or (type(w) is int and abs(w) < REACH) for w in weights
        ):
            return None
        parts.append(np.asarray(weights, dtype=np.float64))
    flat = np.concatenate(parts) if parts else np.zeros(0)
    fraction, exponent = np.frexp(flat[flat != 0])
    digits = (fraction * 2.0**53).astype(np.int64)
    lowest = np.frexp((digits & -digits).astype(np.float64))[1] + exponent.astype(np.int64) - 54
    shift = max(0, -int(lowest.min(initial=0)))
    if shift + int(exponent.max(initial=0)) > 900 or shift > 900:
        return None
    return shift, np.ldexp(flat, shift)
