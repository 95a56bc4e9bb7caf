"""How far two values of one function are apart, given how far its arguments are.

By the mean value theorem ``phi(a) - phi(b) = s (a - b)`` with s between the least and the largest slope of phi between
a and b. With ``d = a - b`` in [l, u] and s in [k, K] the difference lies between the lines

    l >= 0:      k d <= phi(a) - phi(b) <= K d             u <= 0:   K d <= phi(a) - phi(b) <= k d
    l < 0 < u:   the chords of min(k d, K d) and of max(k d, K d) over [l, u].

and for any slope s, here that of the chord of phi over one argument's range,

    phi(a) - phi(b) <= s (a - b) + max_a (phi(a) - s a) - min_b (phi(b) - s b),     and a and b swapped below.

For a ReLU k = 0 and K = 1, and k = K where both neurons are stable in one phase (intervals of differences: Paulsen,
Wang, Wang, ReluDiff, ICSE 2020; linear bounds of them: Paulsen, Wang, Wang, Wang, NeuroDiff, ASE 2020). Of maxima over
equal groups ``min_k d_k <= max_k a_k - max_k b_k <= max_k d_k``; only members that can win on the left count above, and
on the right below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nnsym.bounds.engine.inputs import Range
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.rounding import middle, precision
from nnsym.bounds.hinge_lines import chord
from nnsym.errors import UnsupportedError
from nnsym.ir.node import Max, Pointwise
from nnsym.ir.pairs.difference import Difference
from nnsym.ir.univariate import Hinge


def slope_range(node: Difference, a: Range, b: Range, maps: Maps) -> tuple[Tensor, Tensor]:
    """The least and the largest slope ``(k, K)`` of a pointwise function between arguments in two ranges."""
    match node.left:
        case Pointwise(fn=Hinge()):
            own = maps.slopes(node.left)
            rising, falling = (a.lower >= 0) & (b.lower >= 0), (a.upper <= 0) & (b.upper <= 0)
            return (
                torch.where(rising, own.right, torch.where(falling, own.left, own.least)),
                torch.where(rising, own.right, torch.where(falling, own.left, own.most)),
            )
        case Pointwise(fn=fn):
            low, high = torch.minimum(a.lower, b.lower), torch.maximum(a.upper, b.upper)
            least, most = maps.computed(fn.steepness, low, high)
            return maps.outward(least, -torch.inf), maps.outward(most, torch.inf)
    raise UnsupportedError(f"no slopes of {node.left!r}")


def live(node: Max, x: Range, maps: Maps) -> Tensor:
    """Which members of a maximum over elements of x can attain it, ``(batch, groups, members)``."""
    groups, real = maps.members(node), torch.tensor(node.groups >= 0, device=maps.device)
    return real & (x.upper[:, groups] >= x.lower[:, groups].amax(-1, keepdim=True))


def extremes(node: Max, a: Range, b: Range, gap: Range, maps: Maps) -> tuple[Tensor, Tensor]:
    """The range of ``max_k a_k - max_k b_k`` from that of the gaps."""
    groups = maps.members(node)
    low = torch.where(live(node, b, maps), gap.lower[:, groups], torch.inf).amin(-1)
    high = torch.where(live(node, a, maps), gap.upper[:, groups], -torch.inf).amax(-1)
    return low, high


@final
@dataclass(frozen=True, eq=False)
class Band:
    """Slopes and offsets of a line below and a line above, over the gap."""

    low: Tensor
    low_offset: Tensor
    high: Tensor
    high_offset: Tensor


def band(least: Tensor, most: Tensor, gap: Range) -> Band:
    """The lines of the module's formula. Offsets are rounded so that they hold for the slopes as stored."""
    high, _, above = _chord(least, most, gap)
    low, below, _ = _chord(most, least, gap)
    return Band(low, below, high, above)


def _chord(left: Tensor, right: Tensor, gap: Range) -> tuple[Tensor, Tensor, Tensor]:
    """The slope of a line below and above ``left d`` for d <= 0, ``right d`` for d >= 0, and its offsets there."""
    crossing = (gap.lower < 0) & (gap.upper > 0) & (left != right)
    bounded = torch.isfinite(gap.lower) & torch.isfinite(gap.upper)
    ends = torch.where(bounded, gap.lower, -1.0), torch.where(bounded, gap.upper, 1.0)
    slope, below, above = chord(torch, (left, right), ends, crossing, precision(gap.lower))
    own = torch.where(gap.lower >= 0, right, left)
    return (
        torch.where(crossing, torch.where(bounded, slope, 0.0), own),
        torch.where(crossing, torch.where(bounded, below, -torch.inf), 0.0),
        torch.where(crossing, torch.where(bounded, above, torch.inf), 0.0),
    )


def parallel(node: Difference, a: Range, b: Range, maps: Maps) -> Band:
    """For a hinge: parallels to the chord of one side, with what both sides miss of them as offsets."""
    high, above = _parallel(node, a, b, maps)
    low, below = _parallel(node, b, a, maps)  # phi(b) - phi(a) <= low (b - a) + below
    return Band(low, -below, high, above)


def _parallel(node: Difference, x: Range, y: Range, maps: Maps) -> tuple[Tensor, Tensor]:
    """``s`` and ``o`` with ``phi(x) - phi(y) <= s (x - y) + o``, s the slope of the chord of phi over x."""
    assert isinstance(node.left, Pointwise)
    own, by = maps.slopes(node.left), maps.precision
    crossing = (x.lower < 0) & (x.upper > 0) & torch.isfinite(x.lower) & torch.isfinite(x.upper)
    l, u = torch.where(crossing, x.lower, -1.0), torch.where(crossing, x.upper, 1.0)  # noqa: E741
    stable = torch.where(x.lower >= 0, own.right, own.left)
    slope = torch.where(crossing, (own.right * u - own.left * l) / (u - l), stable)

    def most(z: Range, sign: float) -> Tensor:
        """The largest ``sign (phi(z) - s z)`` over a range: at its ends, or at 0."""
        found = torch.where((z.lower <= 0) & (z.upper >= 0), slope.new_zeros(()), -torch.inf)
        for end in (z.lower, z.upper):
            phi = torch.where(end > 0, own.right, own.left)
            slip = 8 * by.u * (phi.abs() + slope.abs()) * end.abs() + by.tiny
            value = sign * (phi - slope) * end + slip
            found = torch.maximum(found, torch.nan_to_num(value, nan=torch.inf, posinf=torch.inf))
        return found

    one, two = most(x, 1.0), most(y, -1.0)
    return slope, one + two + 2 * by.u * (one.abs() + two.abs()) + by.tiny


def better(one: Band, two: Band, gap: Range) -> Band:
    """Of two bands the line with the smaller area on each side: the better one at the middle of the gap."""
    centre = middle(gap.lower, gap.upper)[0]
    below = two.low * centre + two.low_offset > one.low * centre + one.low_offset
    above = two.high * centre + two.high_offset < one.high * centre + one.high_offset
    return Band(
        torch.where(below, two.low, one.low),
        torch.where(below, two.low_offset, one.low_offset),
        torch.where(above, two.high, one.high),
        torch.where(above, two.high_offset, one.high_offset),
    )
