"""Floating-point formats of stored models, and what one operation of theirs may be off.

The standard model (Higham, Accuracy and Stability of Numerical Algorithms, 2002, sections 2.2 and 3.1): an operation
returns ``(a op b)(1 + d)`` with ``|d| <= u``, and a sum of n products in any order, with or without fused multiply-add,

    | computed - sum_i w_i x_i |  <=  gamma_n sum_i |w_i| |x_i|,       gamma_n = n u / (1 - n u),

as long as nothing overflows. Below the smallest normal number an engine may flush to zero, which costs each operand and
each result at most that number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.errors import UnsupportedError


@final
@dataclass(frozen=True, kw_only=True)
class Format:
    """``u`` is half the distance from 1 to the next number, ``tiny`` the least normal one, ``largest`` the greatest."""

    name: str
    u: float
    tiny: float
    largest: float

    @staticmethod
    def of(dtype: str) -> Format:
        """The format of a network's dtype; raises :class:`UnsupportedError` for one that is not IEEE 754 binary."""
        if dtype not in ("float16", "float32", "float64"):
            raise UnsupportedError(f"no rounding errors of '{dtype}' are known", remedy="Ask for the real function")
        found = np.finfo(dtype)
        return Format(name=dtype, u=float(found.eps) / 2, tiny=float(found.tiny), largest=float(found.max))

    def gamma(self, count: np.ndarray | float) -> np.ndarray:
        """``gamma_n`` rounded up; infinite where the sum is too long for any bound."""
        share = np.asarray(count, dtype=np.float64) * self.u
        with np.errstate(divide="ignore"):
            return np.where(share < 1, UP * share / (1 - np.minimum(share, 1.0)), np.inf)


#: Covers the roundings of a handful of float64 operations with which an error bound is computed.
UP = 1.0 + 2.0**-40
