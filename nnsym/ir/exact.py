"""Exact numbers: what a float64 denotes, and how a rational is rounded outward.

Arrays of numbers that a user wrote are either ``float64`` (every entry is exactly the number meant) or
``object`` arrays of ``fractions.Fraction``. Sums and products stay float64 while they are error-free and
become Fractions where they are not (error-free transformations of Knuth and Dekker). Infinite bounds stay
floats inside an object array.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from nnsym.ir.array import Array

_SPLIT = 134217729.0  # 2^27 + 1, Dekker's splitting constant for 53 bits
_SHORT = 24  # bits of a denominator up to which the slope of a line is kept exact
_SAFE = 2.0**500  # beyond these magnitudes the splitting could overflow or underflow


def to_fractions(values: object) -> Any:
    """The rationals that floats, integers, Decimals or Fractions denote, as Fraction or object array."""
    array = np.asarray(values)
    if array.ndim == 0:
        return Fraction(array.item())
    if array.dtype == object and all(type(v) is Fraction for v in array.flat):
        return array
    out = np.empty(array.shape, dtype=object)
    out.ravel()[:] = [Fraction(v) for v in array.ravel().tolist()]
    return out


def short_slope(value: Fraction) -> Fraction:
    """A slope near the given one that keeps numbers short; the offset of its line has to pay for it."""
    return value if value.denominator.bit_length() <= _SHORT else Fraction(float(value))


def from_numbers(values: object) -> Array:
    """``values`` without rounding: float64 where that is exact, else an object array of Fractions.

    Decimal and Fraction scalars, strings of decimal text, and arrays or nested lists of them are taken.
    """
    array = np.asarray(values)
    if array.dtype.kind == "f" and array.dtype.itemsize <= 8:
        return array.astype(np.float64)
    if array.dtype.kind in "iub" and all(abs(v) <= 2**53 for v in array.ravel().tolist()):
        return array.astype(np.float64)
    exact = np.empty(array.shape, dtype=object)
    exact.ravel()[:] = [v if isinstance(v, Fraction) else Fraction(_plain(v)) for v in array.ravel().tolist()]
    return simplify(exact)


def _plain(value: object) -> str | int | float | Decimal:
    if isinstance(value, (str, int, float, Decimal)):
        return value
    raise TypeError(f"{value!r} is not a number")


def simplify(exact: Array) -> Array:
    """float64 if every Fraction of the array is one, else the array itself."""
    if exact.dtype != object:
        return exact
    rounded = nearest(exact)
    return rounded if all(map(_same, rounded.flat, exact.flat)) else exact


def _same(rounded: float, exact: Fraction | float) -> bool:
    return rounded == exact if isinstance(exact, float) else bool(np.isfinite(rounded)) and Fraction(rounded) == exact


def nearest(values: Array) -> Array:
    """Round to the nearest float64."""
    return values if values.dtype != object else np.array([nearest_float(v) for v in values.flat]).reshape(values.shape)


def nearest_float(value: Fraction | float) -> float:
    """The nearest float64, an infinity for what is beyond them all."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def infinite(value: Fraction | float) -> bool:
    """True for an infinity; a rational is none, however large."""
    return isinstance(value, float) and math.isinf(value)


def round_down(values: Array) -> Array:
    """The largest float64 not above each value (-inf stays)."""
    return _directed(values, -1)


def round_up(values: Array) -> Array:
    """The smallest float64 not below each value (+inf stays)."""
    return _directed(values, +1)


def _directed(values: Array, sign: int) -> Array:
    if values.dtype != object:
        return values.astype(np.float64)
    out = nearest(values).astype(np.float64).copy()
    flat = out.reshape(-1)
    for i, exact in enumerate(values.flat):
        if isinstance(exact, float):  # only infinities are kept as floats in an exact array
            continue
        if np.isinf(flat[i]) or sign * (Fraction(float(flat[i])) - exact) < 0:
            with np.errstate(over="ignore", under="ignore"):
                flat[i] = np.nextafter(flat[i], sign * np.inf)
    return out


def joined(arrays: list[Array]) -> Array:
    """Arrays of numbers end to end, in rationals where one of them is."""
    if any(a.dtype == object for a in arrays):
        arrays = [to_fractions(a) for a in arrays]
    return np.concatenate(arrays)


def add(a: Array, b: Array) -> Array:
    """``a + b`` without rounding (TwoSum: the float result is kept when its error term is zero)."""
    if a.dtype != object and b.dtype != object:
        with np.errstate(over="ignore", invalid="ignore"):
            total = a + b
            head = total - a
            error = (a - (total - head)) + (b - head)
        if np.isfinite(total).all() and not error.any():
            return total
    return simplify(np.asarray(to_fractions(a) + to_fractions(b), dtype=object))


def multiply(a: Array, b: Array) -> Array:
    """``a * b`` without rounding (Dekker's TwoProduct decides whether the float product is exact)."""
    if a.dtype != object and b.dtype != object:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            product = a * b
        size = np.abs(product)
        tame = (size == 0) & ((a == 0) | (b == 0)) | (size > 1 / _SAFE) & (size < _SAFE)
        if tame.all() and (np.abs(a) < _SAFE).all() and (np.abs(b) < _SAFE).all():
            a1, b1 = _SPLIT * a, _SPLIT * b
            a_hi, b_hi = a1 - (a1 - a), b1 - (b1 - b)
            a_lo, b_lo = a - a_hi, b - b_hi
            error = ((a_hi * b_hi - product) + a_hi * b_lo + a_lo * b_hi) + a_lo * b_lo
            if not error.any():
                return product
    return simplify(np.asarray(to_fractions(a) * to_fractions(b), dtype=object))
