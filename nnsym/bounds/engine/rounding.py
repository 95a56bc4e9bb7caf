"""What float arithmetic may have moved, bounded before it happens (docs/rounding.md, "Bounds").

The formats and their constants are those of :mod:`nnsym.bounds.formats`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nnsym.bounds import formats
from nnsym.bounds.formats import DOUBLE, SINGLE, FloatFormat


@final
@dataclass(frozen=True, kw_only=True)
class Precision(FloatFormat):
    """A float format of tensors. ``speck`` stands for a product that underflowed.

    ``grid`` = (f, w, s) says that sums of products of multiples of ``2^-f`` of at most ``2^w`` are exact while the
    magnitudes add up to at most ``2^s``.
    """

    dtype: torch.dtype
    speck: float
    grid: tuple[int, int, int]


FLOAT64 = Precision(dtype=torch.float64, speck=2.0**-960, grid=(20, 11, 10), **vars(DOUBLE))
FLOAT32 = Precision(dtype=torch.float32, speck=2.0**-100, grid=(8, 8, 7), **vars(SINGLE))
_PRECISIONS = {p.dtype: p for p in (FLOAT64, FLOAT32)}
U, TINY = FLOAT64.u, FLOAT64.tiny


def precision(values: Tensor) -> Precision:
    """The precision that a tensor is kept in."""
    return _PRECISIONS[values.dtype]


def on_grid(values: Tensor, by: Precision) -> bool:
    """All values are multiples of ``2^-f`` of at most ``2^w`` (:class:`Precision`).

    In float64 f = 20: products are multiples of 2^-41 (a centre is one of 2^-21), sums of at most 2^10 fit in 53 bits,
    in any order. So hand-made examples bring no rounding.
    """
    fraction, whole, _ = by.grid
    scaled = values * 2.0**fraction
    return bool(((scaled == scaled.round()) & (values.abs() <= 2.0**whole)).all())


def settle(lower: Tensor, upper: Tensor, by: Precision | None = None) -> tuple[Tensor, Tensor]:
    """Make NaN and magnitudes beyond ``huge`` unbounded; both only widen the interval.

    ``by`` is the precision that the numbers were computed in, where they are kept in a wider one.
    """
    return formats.settle(torch, lower, upper, (by or precision(lower)).huge)


def middle(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and radius (rounded up) of an interval; 0 and +inf where it is unbounded."""
    centre = 0.5 * lower + 0.5 * upper
    radius = torch.maximum(upper - centre, centre - lower) * (1.0 + 4.0 * precision(lower).u)
    bounded = torch.isfinite(radius)
    return torch.where(bounded, centre, 0.0), torch.where(bounded, radius, torch.inf)


def magnitude(lower: Tensor, upper: Tensor) -> Tensor:
    """The largest absolute value in an interval."""
    return torch.maximum(lower.abs(), upper.abs())


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a * b`` with 0 times infinity = 0."""
    return torch.where((a == 0) | (b == 0), 0.0, a * b)


def weigh(coefficients: Tensor, amounts: Tensor) -> Tensor:
    """``sum_i |c_i| a_i`` over the last axis for amounts >= 0, rounded up, with 0 times infinity = 0.

    ``coefficients`` is ``(b, rows, n)``, ``amounts`` ``(B, n)`` with b in {1, B}; the result ``(B, rows)``.
    """
    size = coefficients.abs()
    finite = torch.isfinite(amounts)
    if bool(finite.all()):
        return contract(size, amounts) * _up(size)
    total = contract(size, torch.where(finite, amounts, 0.0)) * _up(size)
    return torch.where(contract(size, (~finite).to(size.dtype)) > 0, torch.inf, total)


def _up(terms: Tensor) -> float:
    """What a sum over the last axis of terms >= 0, computed in any order, may have lost, as a factor."""
    size = (terms.shape[-1] + 2) * precision(terms).u
    return 1.0 + 2.0 * size if size <= 0.125 else math.inf


def contract(coefficients: Tensor, values: Tensor) -> Tensor:
    """``sum_i c_i v_i``: ``(b, rows, n)`` with ``(B, n)``, ``(n,)`` or ``(B, rows, n)`` to ``(B or b, rows)``."""
    if values.dim() == 1:
        return coefficients @ values
    if values.dim() == 3:  # every row has values of its own
        return (coefficients * values).sum(-1)
    return torch.matmul(coefficients, values.unsqueeze(-1)).squeeze(-1)


@final
@dataclass(frozen=True, eq=False)
class Amounts:
    """Amounts ``(batch, n)`` that coefficients weigh, and whether all are finite."""

    values: Tensor
    finite: bool

    @staticmethod
    def of(values: Tensor) -> Amounts:
        return Amounts(values, bool(torch.isfinite(values).all()))

    def weighed(self, c: Tensor) -> Tensor:
        """``sum_i |c_i| a_i`` for amounts >= 0, rounded up."""
        if not self.finite:
            return weigh(c, self.values)
        size = c.abs()
        return contract(size, self.values) * _up(size)

    def summed(self, c: Tensor) -> Tensor:
        """The same, closer to the exact sum: float32 terms are added up in short blocks, and those in float64."""
        if c.dtype is torch.float64 or not self.finite:
            return self.weighed(c)
        terms = c.abs() * (self.values if self.values.dim() == 3 else self.values[:, None])
        length = terms.shape[-1]
        block = next((k for k in range(min(64, length), 0, -1) if length % k == 0), 1)
        blocks = terms.reshape(*terms.shape[:-1], -1, block).sum(-1)
        return blocks.sum(-1, dtype=torch.float64) * (1.0 + 2.0 * (block + 2) * precision(c).u)


def rounded(values: Tensor, dtype: torch.dtype, direction: float) -> Tensor:
    """float64 values in another format, rounded towards ``direction`` (an infinity)."""
    near = values.to(dtype)
    wrong = near.to(torch.float64) > values if direction < 0 else near.to(torch.float64) < values
    return torch.where(wrong, torch.nextafter(near, torch.full_like(near, direction)), near)
