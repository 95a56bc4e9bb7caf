"""Lines that enclose a maximum, for PyTorch's tensors and NumPy's arrays alike.

Below: the member with the largest lower bound. Above: for the best threshold ``th`` at the centre,

    y <= th + sum_k max(U_k - th, 0) / (U_k - L_k) (x_k - L_k),   th in {max L} + {U_k > max L},

which holds because ``max_k x_k <= th + sum_k max(x_k - th, 0)`` and each term is convex in ``x_k``. These rows are the
concave envelope over the box (a fractional knapsack's dual). ``xp`` is the library of the arrays, as in
:mod:`nnsym.bounds.planes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from nnsym.bounds.formats import FloatFormat
from nnsym.bounds.planes import Ends


@final
@dataclass(frozen=True, eq=False)
class MaximumLines:
    """``sum_k low_k x_k <= max_k x_k <= sum_k high_k x_k + offset``, slopes with a last axis of members."""

    low: Any
    high: Any
    offset: Any


def maximum_lines(xp: Any, x: Ends, most: Any, by: FloatFormat) -> MaximumLines:
    """The lines over ranges ``(batch, groups, members)``, where -inf pads groups; no maximum is above ``most``.

    They hold for the slopes as stored, whatever those are; for what the format ``by`` rounds the offset pays.
    """
    lo, hi = x
    first = _first(lo >= xp.amax(lo, -1, keepdims=True))
    floor = _at(xp, first, lo)
    live = hi > floor
    bounded = (xp.isfinite(lo) & xp.isfinite(hi) | ~live).all(-1, keepdims=True) & xp.isfinite(floor)
    decided = (~live | first).all(-1, keepdims=True)
    lo, hi = xp.where(live & bounded, lo, 0.0), xp.where(live & bounded, hi, 0.0)
    th = _threshold(xp, xp.where(bounded, floor, 0.0), hi, live & bounded)
    over = xp.where(live & (hi > th), hi - th, 0.0)
    w = over / xp.where(over > 0, hi - lo, 1.0)
    rest = missed(xp, w, over, (lo, hi), by)
    size = abs(th) + abs(rest).sum(-1, keepdims=True)
    offset = th + rest.sum(-1, keepdims=True) + by.gamma(lo.shape[-1] + 8) * size + by.tiny
    offset = xp.where(decided, 0.0, xp.where(bounded, offset, most[..., None]))[..., 0]
    low = xp.where(first, xp.ones_like(w), 0.0)
    return MaximumLines(low, xp.where(decided, low, xp.where(bounded, w, 0.0)), offset)


def rivals(xp: Any, x: Ends) -> Any:
    """The members whose ranges shape the lines: those that may be the largest, in groups where several may."""
    lo, hi = x
    floor = xp.amax(lo, -1, keepdims=True)
    return (hi >= floor) & ((hi > floor).sum(-1, keepdims=True) > 1)


def missed(xp: Any, w: Any, over: Any, x: Ends, by: FloatFormat) -> Any:
    """What ``w x_k`` misses of ``max(x_k - th, 0)`` for any ``w >= 0``: at an end, as that is convex in ``x_k``.

    ``over`` is what it is at the upper end.
    """
    lo, hi = x
    return xp.maximum(-w * lo, over - w * hi) + 8 * by.u * (over + w * (abs(lo) + abs(hi)))


def _threshold(xp: Any, floor: Any, hi: Any, live: Any) -> Any:
    """Of the floor and the upper bounds of live members the threshold whose line is lowest at the centre.

    The lines hold for any number from the floor on. Between two live members all thresholds are as good as each other:
    of those that only rounding tells apart, the first.
    """
    if hasattr(floor, "__outward__"):
        return floor.__outward__("from", (floor,))
    thresholds = xp.concatenate((floor, xp.where(live, hi, floor)), -1)
    excess = xp.where(live[..., None, :], xp.clip(hi[..., None, :] - thresholds[..., None], 0.0, None), 0.0)
    scores = thresholds + 0.5 * excess.sum(-1)
    reach = xp.amin(scores, -1, keepdims=True) + 2.0**-20 * xp.amax(abs(scores), -1, keepdims=True)
    return _at(xp, _first(scores <= reach), thresholds)


def _first(some: Any) -> Any:
    """The first true element of each row alone."""
    return some & (some.cumsum(-1) == 1)


def _at(xp: Any, place: Any, values: Any) -> Any:
    """The values at one place of each row, ``(..., 1)``."""
    return xp.where(place, values, 0.0).sum(-1, keepdims=True)
