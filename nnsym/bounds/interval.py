"""Interval bound propagation: one forward pass of boxes, outward rounded at every step.

For an affine node with centre ``c`` and radius ``r`` of its parents, ``A c + b -+ |A| r``; the other nodes by
monotonicity (Gowal et al., On the Effectiveness of Interval Bound Propagation, 2018, section 3).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nnsym.bounds import smooth
from nnsym.bounds.base import Bounds, Interval
from nnsym.bounds.maps import Maps
from nnsym.bounds.rounding import PAD, TINY, U, gamma, magnitude, middle, on_grid, product, settle
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge, Sigmoidal
from nnsym.ir.walk import topological

Array = NDArray[Any]
_FEW = 8  # additions of one interval step beside those of the matrix product

FloatBoxes = Mapping[Input, tuple[Array, Array]]


@final
@dataclass(frozen=True, eq=False)
class Range:
    """An interval per element on a device: tensors of shape ``(batch, size)``."""

    lower: Tensor
    upper: Tensor

    def intersect(self, other: Range) -> Range:
        return Range(torch.maximum(self.lower, other.lower), torch.minimum(self.upper, other.upper))

    @property
    def magnitude(self) -> Tensor:
        return magnitude(self.lower, self.upper)

    def interval(self, source: str, batched: bool) -> Interval:
        """The same as float64 arrays; without the batch axis if the domain was a single one."""
        lower, upper = self.lower.cpu().numpy(), self.upper.cpu().numpy()
        return Interval(lower, upper, source) if batched else Interval(lower[0], upper[0], source)


def domain(query: Query, boxes: FloatBoxes | None, device: str) -> tuple[dict[Node, Range], bool]:
    """The input ranges with a batch axis, and whether the caller gave one."""
    ranges: dict[Node, Range] = {}
    batched = boxes is not None
    for x, box in query.boxes.items():
        lower, upper = box.outer if boxes is None or x not in boxes else boxes[x]
        pair = [torch.tensor(np.atleast_2d(v), dtype=torch.float64, device=device) for v in (lower, upper)]
        if pair[0].shape[1] != x.size or pair[0].shape != pair[1].shape:
            raise InputError(
                f"boxes of shapes {np.shape(lower)}, {np.shape(upper)} for {x.size} elements",
                where=x.name,
                remedy="Give arrays of shape (batch, size)",
            )
        ranges[x] = Range(*settle(*pair))
    count = max((len(r.lower) for r in ranges.values()), default=1)
    wide = {x: Range(r.lower.expand(count, -1), r.upper.expand(count, -1)) for x, r in ranges.items()}
    return wide, batched


@final
class Forward:
    """One interval step per node of a graph."""

    def __init__(self, maps: Maps) -> None:
        self.maps = maps

    def run(self, nodes: tuple[Node, ...], inputs: Mapping[Node, Range]) -> dict[Node, Range]:
        """The ranges of all nodes, given those of the inputs."""
        ranges = dict(inputs)
        for node in nodes:
            if node not in ranges:
                ranges[node] = self.step(node, tuple(ranges[p] for p in node.parents))
        return ranges

    def step(self, node: Node, parents: tuple[Range, ...]) -> Range:
        """The range of a node from its parents' ranges."""
        match node:
            case Affine():
                return self._affine(node, parents)
            case Pointwise(fn=Hinge()):
                return self._hinge(node, parents[0])
            case Pointwise(fn=Sigmoidal() as fn):
                low, high = smooth.span(fn, parents[0].lower.cpu().numpy(), parents[0].upper.cpu().numpy())
                return Range(self.maps.tensor(low), self.maps.tensor(high))
            case Max():
                members = torch.tensor(filled(node.groups), device=self.maps.device)
                return Range(*(v[:, members].amax(-1) for v in (parents[0].lower, parents[0].upper)))
            case Product():
                return _product(parents[0], parents[1], node.parents[0] is node.parents[1])
        raise UnsupportedError(f"no bounds for {node!r}")

    def slip(self, node: Affine, parents: tuple[Range, ...], count: int) -> Tensor:
        """A bound of every rounding error in ``A x + b``, or in ``w (A x + b)`` per unit of ``|w|``.

        ``count`` is what is added to the lengths of the sums.
        """
        count += 2 * len(node.maps)
        size = self.maps.tensor(node.bias).abs() * gamma(node.size + count)
        total = size.expand(len(parents[0].lower) if parents else 1, -1)
        for linear, parent in zip(node.maps, parents, strict=True):
            kind = self.maps[linear]
            reach = kind.stretch_any(parent.magnitude) + PAD * kind.touched
            total = total + gamma(kind.terms + count) * reach
        return total

    def _affine(self, node: Affine, parents: tuple[Range, ...]) -> Range:
        bias = self.maps.tensor(node.bias)
        if not node.maps:
            return Range(bias[None], bias[None])
        if all(self.maps[m].copies for m in node.maps) and not node.bias.any() and _disjoint(node):
            pairs = [
                (self.maps[m].apply(p.lower), self.maps[m].apply(p.upper))
                for m, p in zip(node.maps, parents, strict=True)
            ]
            return Range(sum(p[0] for p in pairs), sum(p[1] for p in pairs))  # type: ignore[arg-type]
        exact = self._exact(node, parents, bias)
        centre, radius = bias[None], torch.zeros_like(bias[None]) if exact else self.slip(node, parents, _FEW)
        for linear, parent in zip(node.maps, parents, strict=True):
            kind = self.maps[linear]
            c, r = middle(parent.lower, parent.upper)
            r = 0.5 * (parent.upper - parent.lower) if exact else r
            centre = centre + kind.apply(c)
            radius = radius + kind.stretch_any(r)
        low, high = centre - radius, centre + radius
        if not bool(torch.isfinite(radius).all()):
            low, high = self._open(node, parents, low, high)
        return Range(*settle(low, high))

    def _exact(self, node: Affine, parents: tuple[Range, ...], bias: Tensor) -> bool:
        """True if no operation of this step can round (see :func:`on_grid`)."""
        if not all(self.maps[m].fine for m in node.maps) or not on_grid(bias):
            return False
        if not all(on_grid(p.lower) and on_grid(p.upper) for p in parents):
            return False
        sizes = [self.maps[m].stretch(p.magnitude) for m, p in zip(node.maps, parents, strict=True)]
        return bool((torch.stack(sizes).sum(0) + bias.abs() <= 2.0**10).all())

    def _open(self, node: Affine, parents: tuple[Range, ...], low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Intervals with unbounded parents: each side by itself, by the signs of the coefficients."""
        lower = upper = node.bias[None]
        error = gamma(node.size + _FEW) * np.abs(lower)
        for linear, parent in zip(node.maps, parents, strict=True):
            lo, hi = parent.lower.cpu().numpy(), parent.upper.cpu().numpy()
            matrix = linear.matrix()
            plus, minus = matrix.maximum(0), matrix.minimum(0)
            lower, upper = lower + _side(plus, lo, minus, hi), upper + _side(plus, hi, minus, lo)
            size = np.maximum(_finite(np.abs(lo)), _finite(np.abs(hi))) + PAD
            error = error + gamma(linear.n_in + 2 * len(node.maps) + _FEW) * (abs(matrix) @ size.T).T
        return (
            torch.maximum(torch.nan_to_num(low, nan=-torch.inf), self.maps.tensor(lower - error)),
            torch.minimum(torch.nan_to_num(high, nan=torch.inf), self.maps.tensor(upper + error)),
        )

    def _hinge(self, node: Pointwise, x: Range) -> Range:
        left, right = (self.maps.tensor(s) for s in node.fn.slopes(node.size))  # type: ignore[attr-defined]
        exact = bool(((left.abs() == 1) | (left == 0)).all() and ((right.abs() == 1) | (right == 0)).all())
        ends = [_times(torch.where(v > 0, right, left), v) for v in (x.lower, x.upper)]
        low, high = torch.minimum(*ends), torch.maximum(*ends)
        crossing = (x.lower <= 0) & (x.upper >= 0)
        low, high = torch.where(crossing, low.clamp(max=0), low), torch.where(crossing, high.clamp(min=0), high)
        return Range(low, high) if exact else Range(*settle(*_widen(low, high)))


def _times(a: Tensor, b: Tensor) -> Tensor:
    """A product in which zero is exact: one that underflows is a small number, which :func:`_widen` covers."""
    out = product(a, b)
    lost = (out == 0) & (a != 0) & (b != 0)
    return torch.where(lost, torch.copysign(torch.full_like(out, 2.0**-960), torch.sign(a) * torch.sign(b)), out)


def _widen(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """One rounding of a product, outward; zeros are exact."""
    return (
        low - torch.where(low == 0, 0.0, 2 * U * low.abs() + TINY),
        high + torch.where(high == 0, 0.0, 2 * U * high.abs() + TINY),
    )


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, 0.0)


def _side(plus: Any, a: Array, minus: Any, b: Array) -> Array:
    """``plus a + minus b`` for one side of an interval; an infinite term makes the sum infinite, towards its sign."""
    total = (plus @ _finite(a).T + minus @ _finite(b).T).T
    towards = (plus @ _infinite(a).T + minus @ _infinite(b).T).T
    return np.asarray(np.where(towards == 0, total, np.copysign(np.inf, towards)))


def _infinite(values: Array) -> Array:
    return np.where(np.isinf(values), np.sign(values), 0.0)


def _product(x: Range, y: Range, square: bool) -> Range:
    corners = torch.stack([_times(a, b) for a in (x.lower, x.upper) for b in (y.lower, y.upper)])
    low, high = _widen(corners.amin(0), corners.amax(0))
    if square:
        ends = corners[[0, 3]]
        crossing = (x.lower <= 0) & (x.upper >= 0)
        low = torch.where(crossing, 0.0, _widen(ends.amin(0), ends.amin(0))[0])
    return Range(*settle(low, high))


def _disjoint(node: Affine) -> bool:
    """Every element is a copy of one element at most."""
    counts = sum((m.index >= 0).astype(np.int64) for m in node.maps)  # type: ignore[attr-defined]
    return bool(np.max(counts, initial=0) <= 1)


def filled(groups: Array) -> Array:
    """Padding of a group repeats one of its members."""
    return np.where(groups < 0, groups.max(axis=1, keepdims=True), groups)


def widen_rows(rows: Range, query: Query, ranges: Mapping[Node, Range], maps: Maps) -> Range:
    """Add what rounding the exact rows to float64 may have moved (:meth:`nnsym.ir.rows.Rows.node`)."""
    spec, slack, weight = query.spec
    if not slack.any() and not weight.any():
        return rows
    sizes = [ranges[p].magnitude.amax(-1, keepdim=True) for p in spec.parents]
    most = torch.stack(sizes).amax(0) if sizes else torch.zeros(1, 1, dtype=torch.float64, device=maps.device)
    extra = (maps.tensor(slack) + product(maps.tensor(weight), most)) * (1 + 8 * U)
    return Range(*settle(*_widen(rows.lower - extra, rows.upper + extra)))


def ibp(query: Query, boxes: FloatBoxes | None = None, *, device: str = "cpu") -> Bounds:
    """Bounds of every node and row by intervals.

    ``boxes`` gives each input a batch of float boxes, arrays ``(batch, size)``; all results then have that batch
    axis. Without it the query's own boxes are used, rounded outward.
    """
    start = time.perf_counter()
    with torch.inference_mode():
        maps = Maps(device)
        inputs, batched = domain(query, boxes, device)
        spec = query.spec[0]
        nodes = topological((*query.nodes, spec))
        ranges = Forward(maps).run(nodes, inputs)
        rows = widen_rows(ranges[spec], query, ranges, maps)
        return finish("ibp", query, ranges, rows, dict.fromkeys(query.nodes, "ibp"), batched, start, device)


def finish(
    method: str,
    query: Query,
    ranges: Mapping[Node, Range],
    rows: Range,
    sources: Mapping[Node, str],
    batched: bool,
    start: float,
    device: str,
) -> Bounds:
    """Bounds as arrays."""
    count = max((len(ranges[x].lower) for x in query.inputs), default=1)

    def wide(r: Range) -> Range:
        return Range(r.lower.expand(count, -1), r.upper.expand(count, -1))

    nodes = {
        n: wide(ranges[n]).interval("domain" if isinstance(n, Input) else sources[n], batched) for n in query.nodes
    }
    spent = time.perf_counter() - start
    return Bounds(method, nodes, wide(rows).interval(method, batched), spent, device)
