"""What float64 arithmetic may have moved, bounded before it happens (docs/numerics.md, "Bounds").

A sum of ``k`` products, added in any order, with or without fused operations, differs from the exact one by at
most ``gamma_k sum |a_i||x_i|``, ``gamma_k = k u / (1 - k u)``, ``u = 2^-53`` (Higham, Accuracy and Stability of
Numerical Algorithms, 2nd ed., section 3.1), apart from underflow. Values beyond ``HUGE`` count as unbounded, so
that underflow is covered by an absolute ``TINY`` whatever the hardware does with subnormal numbers.
"""

from __future__ import annotations

import torch
from torch import Tensor

U = 2.0**-53
HUGE = 2.0**100
PAD = 2.0**-700  # added to magnitudes, so that a relative error of them covers underflow in what they bound
TINY = 2.0**-800


def gamma(additions: int) -> float:
    """Twice ``additions * U``: at least gamma_k, and enough to evaluate the error term itself in floats."""
    return 2.0 * additions * U


def on_grid(values: Tensor) -> bool:
    """All values are multiples of 2^-20 of at most 2^11.

    Sums of products of such numbers are exact in any order while the magnitudes add up to at most 2^10: all terms
    are multiples of 2^-41 (a centre is one of 2^-21) and fit in 53 bits. So hand-made examples bring no rounding.
    """
    scaled = values * 2.0**20
    return bool(((scaled == scaled.round()) & (values.abs() <= 2.0**11)).all())


def settle(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Make NaN and magnitudes beyond ``HUGE`` unbounded; both only widen the interval."""
    lower = torch.nan_to_num(lower, nan=-torch.inf, posinf=HUGE, neginf=-torch.inf).clamp(max=HUGE)
    upper = torch.nan_to_num(upper, nan=torch.inf, posinf=torch.inf, neginf=-HUGE).clamp(min=-HUGE)
    return torch.where(lower < -HUGE, -torch.inf, lower), torch.where(upper > HUGE, torch.inf, upper)


def middle(lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and radius (rounded up) of an interval; 0 and +inf where it is unbounded."""
    centre = 0.5 * lower + 0.5 * upper
    radius = torch.maximum(upper - centre, centre - lower) * (1.0 + 4.0 * U)
    bounded = torch.isfinite(lower) & torch.isfinite(upper)
    return torch.where(bounded, centre, 0.0), torch.where(bounded, radius, torch.inf)


def magnitude(lower: Tensor, upper: Tensor) -> Tensor:
    """The largest absolute value in an interval."""
    return torch.maximum(lower.abs(), upper.abs())


def product(a: Tensor, b: Tensor) -> Tensor:
    """``a * b`` with 0 times infinity = 0."""
    return torch.where((a == 0) | (b == 0), 0.0, a * b)


def weigh(coefficients: Tensor, amounts: Tensor) -> Tensor:
    """``sum_i |c_i| a_i`` over the last axis for amounts >= 0, with 0 times infinity = 0.

    ``coefficients`` is ``(b, rows, n)``, ``amounts`` ``(B, n)`` with b in {1, B}; the result ``(B, rows)``.
    """
    size = coefficients.abs()
    finite = torch.isfinite(amounts)
    if bool(finite.all()):
        return contract(size, amounts)
    total = contract(size, torch.where(finite, amounts, 0.0))
    return torch.where(contract(size, (~finite).to(size.dtype)) > 0, torch.inf, total)


def contract(coefficients: Tensor, values: Tensor) -> Tensor:
    """``sum_i c_i v_i``: ``(b, rows, n)`` with ``(B, n)`` or ``(n,)`` to ``(B or b, rows)``."""
    if values.dim() == 1:
        return coefficients @ values
    return torch.matmul(coefficients, values.unsqueeze(-1)).squeeze(-1)
