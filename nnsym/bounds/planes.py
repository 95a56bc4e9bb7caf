"""A product over a box of its factors: planes that enclose it, and its range.

For PyTorch's tensors and NumPy's arrays alike.

For any slope a within the range of y and b within that of x,

    x y >= a x + b y - a b - max((b - l_x)(u_y - a), (u_x - b)(a - l_y)),
    x y <= a x + b y - a b + max((u_x - b)(u_y - a), (b - l_x)(a - l_y)),

as ``(x - b)(y - a)`` is least and greatest in corners. Those of McCormick (1976) have a and b at ends; a square gets
its tangent below. ``xp`` is the library of the arrays, torch or numpy: what is used of it has the same names in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from nnsym.bounds.formats import FloatFormat

Ends = tuple[Any, Any]


@final
@dataclass(frozen=True, eq=False)
class Planes:
    """``a_low x + b_low y + low <= x y <= a_high x + b_high y + high``; offsets may be infinite."""

    a_low: Any
    b_low: Any
    low: Any
    a_high: Any
    b_high: Any
    high: Any


def planes(xp: Any, x: Ends, y: Ends, out: Ends, by: FloatFormat, *, square: bool, summed: bool) -> Planes:
    """The planes of ``x y``; ``out`` is a range of the product, for where a factor has none.

    ``by`` is the format that they are computed in: offsets pay for what it rounds. ``square`` says that both factors
    are one element. ``summed`` says that the products are only added up, so that a factor which is nowhere negative is
    one of weights.
    """
    bounded = xp.isfinite(x[0]) & xp.isfinite(x[1]) & xp.isfinite(y[0]) & xp.isfinite(y[1])
    lx, ux, ly, uy = (xp.where(bounded, v, 0.0) for v in (*x, *y))
    if square:
        a_low = b_low = 0.5 * lx + 0.5 * ux
        a_high, b_high = uy, lx
    else:
        below, above = shares(xp, (lx, ux), (ly, uy), summed=summed)
        a_low, b_low = between(xp, ly, uy, below), between(xp, lx, ux, below)
        a_high, b_high = between(xp, ly, uy, above), between(xp, lx, ux, 1.0 - above)
    under = xp.maximum((b_low - lx) * (uy - a_low), (ux - b_low) * (a_low - ly))
    over = xp.maximum((ux - b_high) * (uy - a_high), (b_high - lx) * (a_high - ly))

    def constant(a: Any, b: Any, far: Any, sign: float) -> Any:
        return -a * b + sign * (far + (8 * by.u * (abs(a * b) + far) + by.tiny))

    low = xp.where(bounded, constant(a_low, b_low, xp.zeros_like(under) if square else under, -1.0), out[0])
    high = xp.where(bounded, constant(a_high, b_high, over, 1.0), out[1])
    return Planes(a_low, b_low, low, a_high, b_high, high)


def product_range(xp: Any, x: Ends, y: Ends, by: FloatFormat, *, square: bool) -> Ends:
    """The range of ``x y``: its least and largest corner, outward by one rounding and what underflow may hide.

    0 times anything is 0, exactly. A ``square`` has no corners that mix the ends of its factor.
    """
    corners = [_corner(xp, a, b, by) for a in x for b in y]
    if square:
        corners = [corners[0], corners[3]]
    low = xp.amin(xp.stack([under for under, _ in corners]), 0)
    high = xp.amax(xp.stack([over for _, over in corners]), 0)
    if square:
        low = xp.where((x[0] <= 0) & (x[1] >= 0), 0.0, low)
    return low, high


def _corner(xp: Any, a: Any, b: Any, by: FloatFormat) -> Ends:
    """``a b`` from below and from above, on its side of 0."""
    zero, same = (a == 0) | (b == 0), (a > 0) == (b > 0)
    value = xp.where(zero, 0.0, a) * xp.where(zero, 0.0, b)
    slip = xp.where(zero | ~xp.isfinite(value), 0.0, 4 * by.u * abs(value) + by.tiny)
    low, high = value - slip, value + slip
    return xp.where(same, xp.clip(low, 0.0, None), low), xp.where(same, high, xp.clip(high, None, 0.0))


def shares(xp: Any, x: Ends, y: Ends, *, summed: bool) -> Ends:
    """How far slopes of a product's planes are from one plane of McCormick to the other, below and above.

    Over the box itself all shares are equally good, and the best, between that at which the slope on x vanishes and
    that at which the slope on y does. Nearest to the middle, the slopes are nearest to the product's gradient. A sum of
    products is an average of one factor where the other has weights: its slopes are the weights' least values.
    """
    zero_x, zero_y = _zero(xp, *x), _zero(xp, *y)
    below, above = _nearest_half(xp, zero_x, zero_y), _nearest_half(xp, 1.0 - zero_x, zero_y)
    if summed:
        weights_x, weights_y = x[0] >= 0, y[0] >= 0
        below = xp.where(weights_x | weights_y, 0.0, below)
        above = xp.where(weights_x, 1.0, xp.where(weights_y, 0.0, above))
    return below, above


def _nearest_half(xp: Any, one: Any, other: Any) -> Any:
    return xp.minimum(xp.maximum(xp.full_like(one, 0.5), xp.minimum(one, other)), xp.maximum(one, other))


def _zero(xp: Any, low: Any, high: Any) -> Any:
    """Where 0 lies between two ends, as a share of the way; beyond the ends at the nearer one."""
    width = high - low
    some = width > 0  # of a single number any share will do, and a gradient through it would be none
    return xp.where(some, xp.minimum(xp.clip(-low, 0.0, None), width) / xp.where(some, width, 1.0), 0.0)


def between(xp: Any, low: Any, high: Any, share: Any) -> Any:
    """A float at about a share of the way from one end to the other, within the ends and exact at them."""
    if hasattr(low, "__outward__"):
        return low.__outward__("between", (low, high, share))
    there = xp.where(share <= 0.5, low + share * (high - low), high - (1.0 - share) * (high - low))
    return xp.minimum(xp.maximum(there, low), high)
