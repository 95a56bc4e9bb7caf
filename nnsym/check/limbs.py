"""Integers in float64, so small that nothing is rounded: limbs of weights, rows of coefficients with exponents.

Every number here is an integer below 2^53 in magnitude, or one times a power of two, and so is every partial sum of a
product: no order of summation, library or fused operation rounds it. Rows are floored to ``bits`` binary digits with an
exponent of their own each; how many units that loses is told. What leaves the range is refused, never wrapped.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import OutOfRange
from .functions import SLOPE
from .graph import Map

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

COARSE, FINE = 25, 30  # digits of rows: of those that bound nodes, and of leaves
REACH = 1 << 53  # what values stay below
_SUM = 1 << 61  # what sums of values stay below
_ROOM = 52  # digits of a product's sums
_NOWHERE = 800  # exponent of rows of zeros
_MANY = 24, 128  # rows and columns from which it pays to look for columns of zeros
_BLOCK = 16  # rows that a sparse map takes at once, so that they stay near
_DENSE = 1 << 20  # elements up to which a sparse map is written out
_HALF = SLOPE // 2


@dataclass(frozen=True, eq=False)
class Rows:
    """``c[r] 2^-e[r]``: integers of so many digits, and an exponent for each row."""

    c: Floats
    e: Ints
    bits: int


def fits(condition: object, what: str = "a number") -> None:
    """Say that the range is left, unless a condition holds."""
    if not condition:
        raise OutOfRange(f"{what} leaves the range of the fast engine; the reference engine has none")


def most(values: Any) -> int:
    """The greatest magnitude."""
    return max(int(np.maximum.reduce(values, None)), -int(np.minimum.reduce(values, None))) if values.size else 0


def plus(a: Any, b: Any) -> Any:
    """A sum that stays below 2^61 in magnitude, as both terms do: nothing wraps, whatever is added up."""
    total = a + b
    fits(most(total) < _SUM)
    return total


def limbs(values: Ints, width: int) -> list[Floats]:
    """Integers below 2^62 in magnitude as digits of so many bits, lowest first, the last one signed."""
    greatest = most(values)
    fits(width >= 4 and greatest < 1 << 62, "a product")
    parts = [(values >> width * k) & ((1 << width) - 1) for k in range(greatest.bit_length() // width)]
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
    fits(width * len(sums) < 900, "a weight")
    near = sums[-1]  # rounded, but no limb below cancels what is beyond 2^53: enough for an exponent
    for s in reversed(sums[:-1]):
        near = near * 2.0**width + s
    size = np.abs(near).max(axis=1, initial=0.0)
    shift = np.frexp(size)[1].astype(np.int64) - bits
    c: Any = 0.0
    lost = np.zeros(len(e)) if told else np.full(len(e), float(len(sums)))
    for k, s in reversed(list(enumerate(sums))):  # so that what cancels does so before it has more than 53 digits
        scaled = s * np.ldexp(1.0, width * k - shift)[:, None]
        whole = np.floor(scaled, out=None if told else scaled)
        if told:
            lost += (scaled != whole).any(axis=1)
        c = whole + c
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
        places = int(e[r])
        c[r, i], rest = divmod(value.numerator << max(places, 0), value.denominator << max(-places, 0))
        lost[r] = lost[r] or rest > 0
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
    width, scale = room(row.bits, row.c.shape[1]), np.ldexp(1.0, np.maximum(-row.e - places, -900))
    made = [np.zeros(len(row.c))]
    for v, side in [(low, None)] if low is high else [(low, np.maximum), (high, np.minimum)]:
        if v.any():
            c = side(row.c, 0.0) if side else row.c
            for k, part in enumerate(limbs(v, width)):
                sums = c @ part[0] if len(part) == 1 else np.einsum("ri,ri->r", c, part.take(owner, axis=0))
                made.append(np.floor(sums * scale * 2.0 ** (width * k)))
    fits(most(np.array(made)) < REACH)
    return np.asarray(np.array(made).astype(np.int64).sum(axis=0))


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


def distinct(keys: Sequence[Hashable]) -> tuple[list[int], Ints]:
    """Where each key stands first, and which of these each is."""
    first: dict[Hashable, int] = {}
    for k, key in enumerate(keys):
        first.setdefault(key, k)
    number = {key: n for n, key in enumerate(first)}
    return list(first.values()), np.array([number[key] for key in keys], dtype=np.int64)


class Matrix:
    """A linear map for rows from the right, and for values from the left, with and without signs."""

    def __init__(self, m: Map) -> None:
        self.shape = len(m.rows), m.width
        self.full = all(columns is None for columns, _ in m.rows)
        self.dense = self.full or self.shape[0] * self.shape[1] <= _DENSE
        self.terms = np.array([m.width if columns is None else len(columns) for columns, _ in m.rows], dtype=np.int64)
        self.depth = max(1, *self.shape)
        if not self.full:
            i = np.repeat(np.arange(len(self.terms)), self.terms)
            j = [np.arange(m.width) if c is None else np.asarray(c, dtype=np.int64) for c, _ in m.rows]
            self.places = i, np.concatenate([*j, i[:0]])
            self.depth = max(1, most(self.terms), most(np.bincount(self.places[1])))
        found = _dyadic(m)
        if found is None:
            self.shift, rows, self.loose = m.integers
            weights: Any = [w for row in rows for w in row]
        else:
            self.shift, weights, self.loose = *found, False
        #: How wide limbs are: products with rows, and sums of products with so wide limbs, stay below 2^53.
        self.width = min(room(COARSE, self.depth), COARSE - 4)
        fits(self.width >= 6, "a product")
        self.kept: dict[str, Any] = {"": self._limbs(weights)}

    def written(self, which: str) -> Any:
        """Limbs of the weights: ``back`` for rows, ``forth`` for values, ``size`` without signs."""
        if which not in self.kept:
            parts = [np.abs(p) for p in self.kept[""]] if which == "size" else self.kept[""]
            if self.dense:
                made: Any = [self._full(p) if which == "back" else self._full(p).T for p in parts]
            else:
                made = self._listed(parts, *(self.places if which == "back" else self.places[::-1]))
            self.kept[which] = made
        return self.kept[which]

    def _limbs(self, rest: Any) -> list[Floats]:
        """Digits of weights, lowest first, each with its weight's sign."""
        width, parts = self.width, list[Floats]()
        long = isinstance(rest, list)
        greatest = max(map(abs, rest), default=0) if long else most(rest)
        for place in range(0, max(greatest.bit_length(), 1), width):
            if long:
                digits = [(abs(w) >> place & (1 << width) - 1) * (1 if w > 0 else -1) for w in rest]
                parts.append(np.array(digits, dtype=np.float64))
            else:
                high = np.trunc(rest * 2.0**-width)
                parts.append(rest - high * 2.0**width)
                rest = high
        return parts

    def _full(self, values: Floats) -> Floats:
        if self.full:
            return values.reshape(self.shape)
        matrix = np.zeros(self.shape)
        np.add.at(matrix, self.places, values)
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

    def times(self, left: Sequence[Floats], which: str) -> list[Floats]:
        """The sums of products of limbs with rows, or with limbs as wide."""
        limbs_of = self.written(which)
        if not self.dense:
            return self._gathered(left, *limbs_of)
        if len(left) == 1 and len(left[0]) >= _MANY[0] and self.shape[1] >= _MANY[1]:
            used = np.flatnonzero(left[0].any(axis=0))
            if 0 < len(used) < left[0].shape[1]:
                left, limbs_of = [left[0][:, used]], [m[used] for m in limbs_of]
        if len(left) == 1:
            return [left[0] @ m for m in limbs_of]
        stacked, count = np.concatenate(left), len(left[0])
        sums = [np.zeros((count, limbs_of[0].shape[1])) for _ in range(len(left) + len(limbs_of) - 1)]
        for b, m in enumerate(limbs_of):
            product = stacked @ m
            for a in range(len(left)):
                sums[a + b] += product[a * count : (a + 1) * count]
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
    flat = np.concatenate([*parts, np.zeros(1)])[:-1]
    sizes = np.abs(flat)
    ends = sizes.min(initial=np.inf, where=sizes > 0), sizes.max(initial=0.0)
    if not ends[1]:
        return 0, flat
    digits = 24 if (np.clip(flat, -1e38, 1e38).astype(np.float32) == flat).all() else 53
    least, greatest = (int(np.frexp(v)[1]) for v in ends)
    shift = max(0, digits - least)  # every weight is a multiple of 2^-shift
    if max(shift, shift + greatest) > 900:
        return None
    scaled = flat * 2.0**shift
    if shift + greatest >= 63:
        return shift, scaled
    every = int(np.bitwise_or.reduce(scaled.astype(np.int64)))
    finer = min(shift, (every & -every).bit_length() - 1)  # places that no weight needs
    return shift - finer, scaled * 2.0**-finer
