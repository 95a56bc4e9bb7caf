"""Float64 arithmetic rounded to one side, elementwise: what a derived constant of a program is made with.

``sum_up(a, b) >= a + b`` and so on, with equality where the float result is exact. A result that is not
exact moves by one more float, which covers the half unit by which rounding to nearest may be off.

Arrays that bring a method ``__outward__(name, args)`` answer by themselves: symbolic numbers do, on which rules are
proved (:mod:`nnsym.testing.prove`). :func:`floats` leaves them as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from nnsym.ir.array import Array


def _outward(function: Callable[..., Array]) -> Callable[..., Array]:
    """The function, but for arguments that answer by themselves, or hold numbers that do."""

    @wraps(function)
    def answered(*args: Any) -> Array:
        for some in args:
            if hasattr(some, "__outward__"):
                return some.__outward__(function.__name__, args)  # type: ignore[no-any-return]
            if isinstance(some, np.ndarray) and some.dtype.hasobject:
                for number in some.flat:
                    if hasattr(number, "__outward__"):
                        return number.__outward__(function.__name__, args)  # type: ignore[no-any-return]
        return function(*args)

    return answered


@_outward
def floats(values: object) -> Array:
    """An array of float64, or one that stands for it."""
    return np.asarray(values, dtype=np.float64)


@_outward
def sum_up(a: Array | float, b: Array | float) -> Array:
    """The float sum, or the next float above it where it is not exact (Knuth's TwoSum tells)."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    total = np.asarray(a + b)
    with np.errstate(invalid="ignore"):
        head = total - a
        exact = ((a - (total - head)) + (b - head)) == 0
    exact |= np.isinf(a) | np.isinf(b)
    return np.where(exact, total, np.nextafter(total, np.inf))


@_outward
def sum_down(a: Array | float, b: Array | float) -> Array:
    """The float sum, or the next float below it where it is not exact."""
    return -sum_up(-np.asarray(a), -np.asarray(b))


@_outward
def product_up(a: Array | float, b: Array | float) -> Array:
    """The float product, or the next float above it unless a factor is 0, 1 or -1."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    zero = (a == 0) | (b == 0)
    with np.errstate(invalid="ignore"):  # 0 times an infinite bound is 0 here
        result = np.where(zero, 0.0, a * b)
    exact = zero | (np.abs(a) == 1) | (np.abs(b) == 1) | np.isinf(a) | np.isinf(b)
    return np.where(exact, result, np.nextafter(result, np.inf))


@_outward
def product_down(a: Array | float, b: Array | float) -> Array:
    """The float product, or the next float below it unless a factor is 0, 1 or -1."""
    return -product_up(-np.asarray(a), b)


@_outward
def written(data: Array) -> Array:
    """Which coefficients a row has to name: those that are not 0, or not known to be."""
    return np.asarray(data != 0)


def gamma(count: int) -> float:
    """``n u / (1 - n u)`` for a few more than ``count`` operations: enough to evaluate an error term in floats too."""
    return 2.0 * (count + 4) * 2.0**-53


@_outward
def dot_up(a: Array, b: Array) -> Array:
    """A float64 not below ``sum_i a_i b_i`` over the last axis: the float sum plus ``gamma_n sum_i |a_i b_i|``."""
    product = a * b
    some = np.any((a != 0) & (b != 0), axis=-1)
    return _raised(product.sum(axis=-1), np.abs(product).sum(axis=-1), product.shape[-1], some)


@_outward
def group_dot_up(first: Array, a: Array, b: Array) -> Array:
    """The same over runs of entries, none empty: the g-th from ``first[g]`` to the next."""
    if not len(first):
        return np.zeros(0)
    product = a * b
    longest = int(np.diff(first, append=len(a)).max())
    total, size = np.add.reduceat(product, first), np.add.reduceat(np.abs(product), first)
    return _raised(total, size, longest, np.logical_or.reduceat((a != 0) & (b != 0), first))


def _raised(total: Array, size: Array, count: int, some: Array) -> Array:
    """A float sum of ``count`` products, raised by what rounding and underflow may cost where some are not 0."""
    return np.where(some, np.nextafter(total + gamma(count) * size + 2.0**-1000, np.inf), 0.0)


@_outward
def group_sum_up(group: Array, values: Array, start: Array) -> Array:
    """``start[g]`` plus all values of group g, rounded up at every addition; ``group`` is sorted."""
    sizes = np.bincount(group, minlength=len(start))
    left = sizes
    while left.max(initial=0) > 1:  # neighbours first: half as many are left
        rank = np.arange(len(values)) - np.repeat(np.cumsum(left) - left, left)
        second = np.flatnonzero(rank & 1)
        paired = values.copy()
        paired[second - 1] = sum_up(values[second - 1], values[second])
        values, left = paired[(rank & 1) == 0], (left + 1) // 2
    total = start.copy()
    total[sizes > 0] = sum_up(total[sizes > 0], values)
    return total
