"""Lines that enclose a hinge, for PyTorch's tensors and NumPy's arrays alike: its chord on one side, one through 0 on
the other.

The stored chord may miss the function at either end of the range, and its offset pays for that. ``xp`` is the library
of the arrays, as in :mod:`nnsym.bounds.planes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, final

from nnsym.bounds.formats import FloatFormat
from nnsym.bounds.planes import Ends
from nnsym.bounds.sources import LowerSlope


@dataclass(frozen=True, eq=False, kw_only=True)
class Slopes:
    """Slopes of a hinge left and right of 0.

    ``flattest`` is the slope nearest to 0 between ``least`` and ``most``; ``bent`` says where the two lines differ.
    """

    left: Any
    right: Any
    least: Any
    most: Any
    flattest: Any
    convex: Any
    bent: Any

    @classmethod
    def of(cls, xp: Any, left: Any, right: Any, **more: bool) -> Self:
        least, most = xp.minimum(left, right), xp.maximum(left, right)
        flattest = xp.clip(xp.zeros_like(left), least, most)
        sides = {"least": least, "most": most, "flattest": flattest}
        return cls(left=left, right=right, **sides, convex=left <= right, bent=left != right, **more)


@final
@dataclass(frozen=True, eq=False)
class HingeLines:
    """``low x + low_offset <= f(x) <= high x + high_offset``; offsets may be infinite.

    ``below`` marks open convex elements, where any slope between the least and the most will do below, without offset;
    ``above`` open concave ones.
    """

    low: Any
    low_offset: Any
    high: Any
    high_offset: Any
    below: Any
    above: Any


def hinge_lines(
    xp: Any, slopes: Slopes, x: Ends, out: Ends, by: FloatFormat, lower: LowerSlope = "adaptive"
) -> HingeLines:
    """The lines over the range ``x``; ``out`` is a range of the values, for where that is not bounded.

    ``lower`` is the slope on the free side (:func:`nnsym.bounds.engine.relaxations.relax`). The line of least area is
    ``right`` where ``u >= |l|`` and ``left`` otherwise (Zhang et al., Efficient Neural Network Robustness Certification
    with General Activation Functions, 2018).
    """
    left, right, convex = slopes.left, slopes.right, slopes.convex
    bounded = xp.isfinite(x[1] - x[0])
    everywhere = bool(bounded.all())
    lo, hi = x if everywhere else (xp.where(bounded, x[0], -1.0), xp.where(bounded, x[1], 1.0))
    opened = bends(x, slopes.bent)
    slope, under, over = chord(xp, (left, right), (lo, hi), opened, by)
    through = slopes.flattest
    if lower != "zero":
        steep = xp.clip(slope, slopes.least, slopes.most) if lower == "parallel" else xp.where(hi >= -lo, right, left)
        through = steep if everywhere else xp.where(bounded, steep, through)
    if not everywhere:
        slope = xp.where(bounded, slope, 0.0)
        under, over = xp.where(bounded, under, out[0]), xp.where(bounded, over, out[1])
    own = xp.where(x[0] >= 0, right, left)
    below, above = opened & convex, opened & ~convex
    return HingeLines(
        xp.where(opened, xp.where(convex, through, slope), own),
        xp.where(above, under, 0.0),
        xp.where(opened, xp.where(convex, slope, through), own),
        xp.where(below, over, 0.0),
        below,
        above,
    )


def bends(x: Ends, bent: Any) -> Any:
    """Where both ends of a range shape the lines: the function bends inside."""
    return (x[0] < 0) & (x[1] > 0) & bent


def chord(xp: Any, slopes: Ends, x: Ends, opened: Any, by: FloatFormat) -> tuple[Any, Any, Any]:
    """The chord of a hinge with slopes left and right of 0: its slope, and offsets below and above both of its ends.

    Where a range is not ``opened`` they say nothing.
    """
    (left, right), (lo, hi) = slopes, x
    slope = (right * hi - left * lo) / xp.where(opened, hi - lo, 1.0)
    steep = abs(slope)
    at_l, slip_l = (left - slope) * lo, 8 * by.u * (abs(left) + steep) * abs(lo) + by.tiny
    at_u, slip_u = (right - slope) * hi, 8 * by.u * (abs(right) + steep) * abs(hi) + by.tiny
    return slope, xp.minimum(at_l - slip_l, at_u - slip_u), xp.maximum(at_l + slip_l, at_u + slip_u)
