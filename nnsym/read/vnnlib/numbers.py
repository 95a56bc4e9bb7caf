"""The decimal numbers of a long file, exactly: floats near them where those decide, and rationals."""

from __future__ import annotations

from fractions import Fraction
from typing import final

import numpy as np

from nnsym.ir.array import Array

#: How far a float near a number may be from it, relatively.
ULPS = 8 * 2.0**-52
_FIVES = np.array([5**k for k in range(28)], dtype=np.int64)
_SHORT = 18  # decimals of which the power of ten is an int64
_TENS = np.array([10**k for k in range(_SHORT + 1)], dtype=np.int64)


def _coprime(numerators: list[int], denominators: list[int]) -> list[Fraction]:
    """Fractions of integers without common divisors: NumPy has found the divisors of all, and Fraction need not.

    Its own ways past that search cost three times as much, a million times over.
    """
    if Fraction.__slots__ != ("_numerator", "_denominator"):
        return list(map(Fraction, numerators, denominators))
    found = []
    for numerator, denominator in zip(numerators, denominators, strict=True):
        number = object.__new__(Fraction)
        number._numerator, number._denominator = numerator, denominator  # type: ignore[attr-defined]
        found.append(number)
    return found


@final
class Numbers:
    """``value / 10 ** decimals``: floats near them, which of those are exact, and the rationals."""

    def __init__(self, value: Array, decimals: Array) -> None:
        self.value, self.decimals = value, decimals.astype(np.int64)
        fives = np.where(self.decimals < 28, _FIVES[np.minimum(self.decimals, 27)], 1)
        whole = value // fives
        self.exact = (value % fives == 0) & (np.abs(whole) < 2**53) & ((self.decimals < 28) | (value == 0))
        with np.errstate(over="ignore"):
            near = value / 10.0 ** np.minimum(self.decimals, 300)
        self.near = np.where(self.exact, np.ldexp(whole.astype(np.float64), -self.decimals), near)

    def fractions(self, index: Array, sign: Array | int = 1) -> list[Fraction]:
        """``sign`` times the numbers at ``index``."""
        values, places = self.value[index] * sign, self.decimals[index]
        if places.max(initial=0) > _SHORT:
            return [Fraction(v, 10**d) for v, d in zip(values.tolist(), places.tolist(), strict=True)]
        below = _TENS[places]
        common = np.gcd(values, below)
        return _coprime((values // common).tolist(), (below // common).tolist())

    def array(self, index: Array, sign: Array) -> Array:
        """``sign`` times the numbers at ``index``: float64 where all of them are, else Fractions."""
        if self.exact[index].all():
            return np.asarray(self.near[index] * sign) + 0.0
        found = np.empty(len(index), dtype=object)
        found[:] = self.fractions(index, sign)
        return found

    def extreme(self, index: Array, sign: int) -> Fraction:
        """The largest (sign +1) or smallest (-1) number at ``index``."""
        near = sign * self.near[index]
        top = near.max()
        close = index[near >= top - abs(top) * ULPS]
        if len(close) > 1:
            contents = zip(self.value[close].tolist(), self.decimals[close].tolist(), strict=True)
            close = np.array(list(dict(zip(contents, close.tolist(), strict=True)).values()))
        return sign * max(self.fractions(close, sign))
