"""A plane above a share of a softmax, over the differences that it is made of.

``p = 1 / (1 + sum_j exp(d_j))`` (:mod:`nnsym.ir.softmax`) is ``e^t`` for ``t = -log(1 + sum_j exp(d_j))``, which is
concave in d. So for any ``c > 0``, and any ``q >= 0`` with ``q_0 = 1 - sum_j q_j >= 0``,

    p <= A - c sum_j q_j d_j,     A = max(l - c log l, u - c log u) + c (q_0 log q_0 + sum_j q_j log q_j),

where p lies in ``[l, u]``: ``p - c log p`` is convex, and ``t + sum_j q_j d_j`` is at most the sum of ``q log q``, at
``d_j = log(q_j / q_0)``. The slope c of the chord of ``e^t`` and the softmax q in the middle of the box leave the least
(Wei et al., Convex Bounds on the Softmax Function, 2023, the upper bound of section 3 by a logarithm of sums). The
lines of exponential and reciprocal one after the other miss that t is concave.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nnsym.bounds.engine.inputs import Range
from nnsym.bounds.engine.relaxations import Lines, Tap
from nnsym.bounds.engine.rounding import FLOAT64, TINY
from nnsym.ir.functions.exponentials import Exp
from nnsym.ir.functions.powers import Reciprocal
from nnsym.ir.node import Affine, Node, Pointwise


def exponents(node: Node) -> tuple[Node, Tensor] | None:
    """``(d, index)`` where element i of a node is ``1 / (1 + sum_j exp(d[index_ij]))``, else None."""
    z = node.parents[0] if isinstance(node, Pointwise) and isinstance(node.fn, Reciprocal) else None
    e = z.parents[0] if isinstance(z, Affine) and len(z.maps) == 1 else None
    if not (isinstance(z, Affine) and isinstance(e, Pointwise) and isinstance(e.fn, Exp) and (z.bias == 1).all()):
        return None
    data, indices, indptr = z.maps[0].csr()
    counts = np.unique(np.diff(indptr))
    if len(counts) != 1 or counts[0] == 0 or (data != 1).any():
        return None
    return e.parents[0], torch.tensor(np.reshape(indices, (z.size, -1)).astype(np.int64))


def below_shares(node: Node, lines: Lines, ranges: Mapping[Node, Range]) -> Lines:
    """The lines of a node, with the plane above where it is a share and the plane is lower in the middle."""
    found = exponents(node)
    if found is None:
        return lines
    d, index = found
    index = index.to(lines.low.device)
    low, high = (side[:, index] for side in (ranges[d].lower, ranges[d].upper))
    middle = 0.5 * low + 0.5 * high
    known = torch.isfinite(middle).all(-1) & (ranges[node].lower > 0)
    middle = torch.where(known[..., None], middle, 0.0)
    slopes, offset = plane(middle, *(torch.where(known, v, 1.0) for v in (ranges[node].lower, ranges[node].upper)))
    (tap,) = lines.taps
    total = 1.0 + middle.exp().sum(-1)
    better = known & ~(tap.high * total + lines.high <= (slopes * middle).sum(-1) + offset)
    slopes = torch.where(better[..., None], slopes, 0.0)
    taps = [replace(tap, high=torch.where(better, 0.0, tap.high))]
    taps += [Tap(d, index[:, j], torch.zeros_like(offset), slopes[..., j]) for j in range(index.shape[1])]
    return Lines(tuple(taps), lines.low, torch.where(better, offset, lines.high))


def plane(middle: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Slopes ``(..., k)`` and the offset of the plane above a share in ``[low, high]``, tangent at ``middle``.

    ``low`` is above 0. The offset is that of the slopes as they are: what rounding may move is small beside ``(k + 4)
    2^-43``, as an error of x moves ``x log x`` by less than 40 times as much.
    """
    u, count = FLOAT64.u, middle.shape[-1]
    steep = ((high - low) / torch.where(high > low, high.log() - low.log(), 1.0)).clamp(low, high)
    steep = torch.where(high > low, steep, high)
    ends = torch.stack((low - steep * low.log(), high - steep * high.log())).amax(0)
    all_of = torch.cat((torch.zeros_like(middle[..., :1]), middle), -1).softmax(-1)
    shares = all_of[..., 1:] * (1.0 - 4 * (count + 8) * u)  # so that what is left for q_0 is not below 0
    slopes = -steep[..., None] * shares
    rest = (1.0 - shares.sum(-1)).clamp(min=0.0)
    mixed = torch.xlogy(rest, rest) + torch.xlogy(shares, shares).sum(-1)
    slip = u * (1024 * (count + 4) * steep + 16 * (high + steep * low.log().abs())) + TINY
    return slopes, ends + steep * mixed + slip
