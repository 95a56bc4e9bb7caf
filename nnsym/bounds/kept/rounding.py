"""The charges of :mod:`nnsym.bounds.engine.rounding`, for NumPy arrays: what float arithmetic may have moved.

The formats and their constants are those of :mod:`nnsym.bounds.formats`; this module needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.bounds import formats
from nnsym.bounds.formats import DOUBLE, SINGLE, FloatFormat
from nnsym.errors import InputError
from nnsym.ir.array import Array


@final
@dataclass(frozen=True, kw_only=True)
class Precision(FloatFormat):
    """A float format of arrays, and float64 values in it."""

    dtype: type

    def down(self, values: Array) -> Array:
        """float64 values in this format, not above them; 0 stays 0."""
        return values if self is FLOAT64 else (values - _room(values)).astype(self.dtype)

    def up(self, values: Array) -> Array:
        """float64 values in this format, not below them; 0 stays 0."""
        return values if self is FLOAT64 else (values + _room(values)).astype(self.dtype)

    def inside(self, least: Array, most: Array) -> tuple[Array, Array]:
        """The ends of float64 intervals in this format, not outside of them where they are not held exactly."""
        low, high = self.near(least), self.near(most)
        return np.where(low < least, self.up(least), low), np.where(high > most, self.down(most), high)

    def near(self, values: Array) -> Array:
        """float64 values in this format, rounded to nearest."""
        return values.astype(self.dtype)


FLOAT64 = Precision(dtype=np.float64, **vars(DOUBLE))
FLOAT32 = Precision(dtype=np.float32, **vars(SINGLE))
_FORMATS = {"float64": FLOAT64, "float32": FLOAT32}


def precision(dtype: str) -> Precision:
    """The format of a name."""
    if dtype not in _FORMATS:
        raise InputError(f"bounds cannot be computed in '{dtype}'", remedy="Use float64 or float32")
    return _FORMATS[dtype]


def _room(values: Array) -> Array:
    """More than rounding to float32 moves a value: two units, and something that no float32 flushes to 0."""
    size = np.abs(values)
    return size * 2.0**-22 + (size > 0) * 2.0**-100


def settle(lower: Array, upper: Array, by: Precision) -> tuple[Array, Array]:
    """NaN and magnitudes beyond ``huge`` become unbounded; both only widen the interval."""
    return formats.settle(np, lower, upper, by.huge)


def blend(mask: Array, a: Array, b: Array) -> Array:
    """``a`` where the mask is true, else ``b``, both of one format.

    By bits: where a mask is irregular, the branches of ``np.where`` take 15 times as long.
    """
    bits: type[Any] = np.int64 if a.dtype == np.float64 else np.int32
    one, other, chosen = a.view(bits), b.view(bits), mask.astype(bits)
    return np.asarray(((one ^ other) & -chosen) ^ other).view(a.dtype)


def product(a: Array, b: Array) -> Array:
    """``a b`` with 0 times infinity = 0."""
    out = a * b
    if not np.isfinite(out).all():
        out = np.where((a == 0) | (b == 0), 0.0, out)
    return out
