"""Interval bound propagation: one forward pass of boxes, outward rounded at every step.

For an affine node with centre ``c`` and radius ``r`` of its parents, ``A c + b -+ |A| r``; the other nodes by
monotonicity (Gowal et al., On the Effectiveness of Interval Bound Propagation, 2018, section 3).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from nnsym.bounds.base import TIMEOUT, Bounds
from nnsym.bounds.engine.inputs import Balls, Range, device_balls, domain, least, spread
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.rounding import FLOAT64, middle, on_grid, precision, product, settle
from nnsym.bounds.pairs.gaps import extremes, slope_range
from nnsym.bounds.planes import product_range
from nnsym.bounds.sources import FloatBoxes
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.pairs.difference import Difference
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge
from nnsym.ir.walk import topological
from nnsym.results.clock import NEVER, Deadline

_FEW = 8  # additions of one interval step beside those of the matrix product
_ENTRIES = 2**22  # entries of the rows that are taken out of a map at once


@final
@dataclass(frozen=True, eq=False)
class Probe:
    """A vector ``c`` and amounts ``far >= 0`` of a parent, to be sent through an affine node beside its interval."""

    centre: Tensor
    far: Tensor


@final
@dataclass(frozen=True, eq=False)
class Image:
    """What an affine node makes of probes: ``sum A c + b``, ``sum |A||c| + |b|``, and ``|A| far`` of every map."""

    centre: Tensor
    size: Tensor
    far: tuple[Tensor, ...]


@final
class Forward:
    """One interval step per node of a graph; ``balls`` cut the boxes of inputs.

    ``count`` is what is added to the lengths of the sums. Nodes that are not reached by the ``deadline`` get no bounds,
    and ``late`` is true from then on.
    """

    def __init__(
        self, maps: Maps, balls: Balls | None = None, *, count: int = _FEW, deadline: Deadline = NEVER
    ) -> None:
        self.maps, self.balls, self.count, self.deadline, self.late = maps, balls or {}, count, deadline, False

    def run(self, nodes: tuple[Node, ...], inputs: Mapping[Node, Range]) -> dict[Node, Range]:
        """The ranges of all nodes, given those of the inputs."""
        ranges = dict(inputs)
        for node in nodes:
            if node not in ranges:
                parents = tuple(ranges[p] for p in node.parents)
                ranges[node] = self.unknown(node, parents) if self.over() else self.step(node, parents)
        return ranges

    def over(self) -> bool:
        """True, and remembered, once there is no time for another step."""
        self.late = self.late or self.deadline.passed
        return self.late

    def unknown(self, node: Node, parents: tuple[Range, ...]) -> Range:
        """The range of a node of which nothing is known."""
        batch = max((len(p.lower) for p in parents), default=1)
        return unbounded(batch, node.size, self.maps)

    def step(self, node: Node, parents: tuple[Range, ...]) -> Range:
        """The range of a node from its parents' ranges."""
        match node:
            case Affine():
                return self._affine(node, parents)
            case Pointwise(fn=Hinge()):
                return self._hinge(node, parents[0])
            case Pointwise(fn=fn):
                low, high = self.maps.computed(fn.span, parents[0].lower, parents[0].upper)
                return Range(self.maps.outward(low, -torch.inf), self.maps.outward(high, torch.inf))
            case Max():
                members = self.maps.members(node)
                return Range(*(v[:, members].amax(-1) for v in (parents[0].lower, parents[0].upper)))
            case Product():
                return _product(parents[0], parents[1], square=node.parents[0] is node.parents[1])
            case Difference():
                return self._difference(node, parents)
        raise UnsupportedError(f"no bounds for {node!r}")

    def affine(self, node: Affine, parents: tuple[Range, ...], probes: tuple[Probe, ...]) -> tuple[Range, Image]:
        """The step of an affine node, and the image of one probe per parent; every weight is read once for both."""
        if not node.maps or self._copies(node):
            kinds = [self.maps[m] for m in node.maps]
            points = [kind.apply(p.centre) for kind, p in zip(kinds, probes, strict=True)]
            sizes = [kind.stretch(p.centre.abs()) for kind, p in zip(kinds, probes, strict=True)]
            far = tuple(kind.stretch_any(p.far) for kind, p in zip(kinds, probes, strict=True))
            bias = self.maps.bias(node)[None]
            return self._affine(node, parents), Image(sum(points, bias), sum(sizes, bias.abs()), far)
        return self._mapped(node, parents, probes)

    def _copies(self, node: Affine) -> bool:
        return all(self.maps[m].copies for m in node.maps) and not node.bias.any() and _disjoint(node)

    def _affine(self, node: Affine, parents: tuple[Range, ...]) -> Range:
        if not node.maps:
            return Range(*(self.maps.outward(node.bias, side)[None] for side in (-torch.inf, torch.inf)))
        if self._copies(node):
            pairs = [
                (self.maps[m].apply(p.lower), self.maps[m].apply(p.upper))
                for m, p in zip(node.maps, parents, strict=True)
            ]
            return Range(torch.stack([p[0] for p in pairs]).sum(0), torch.stack([p[1] for p in pairs]).sum(0))
        return self._mapped(node, parents, ())[0]

    def _mapped(self, node: Affine, parents: tuple[Range, ...], probes: tuple[Probe, ...]) -> tuple[Range, Image]:
        exact, by, count = self._exact(node, parents), self.maps.precision, self.count + 2 * len(node.maps)
        bias = self.maps.bias(node)[None]
        centre, radius, slip = bias, torch.zeros_like(bias), bias.abs() * by.gamma(node.size + count)
        image, size, far = bias, bias.abs(), []
        for k, (linear, parent) in enumerate(zip(node.maps, parents, strict=True)):
            kind = self.maps[linear]
            c, r = middle(parent.lower, parent.upper)
            points, amounts = [c], [0.5 * (parent.upper - parent.lower) if exact else r, parent.magnitude]
            if probes:
                points, amounts = [*points, probes[k].centre], [*amounts, probes[k].far, probes[k].centre.abs()]
            mapped, reach = kind.apply(torch.cat(points)), kind.stretch_any(torch.cat(amounts))
            centre, radius = centre + mapped[: len(c)], radius + reach[: len(r)]
            slip = slip + by.gamma(kind.terms + count) * (reach[len(r) : 2 * len(r)] + by.pad * kind.touched)
            if probes:
                end = len(reach) - len(probes[k].centre)
                image, size = image + mapped[len(c) :], size + reach[end:]
                far.append(reach[2 * len(r) : end])
        radius = radius if exact else radius + slip
        low, high = centre - radius, centre + radius
        if not bool(torch.isfinite(radius).all()):
            low, high = self._open(node, parents, low, high)
        if all(m.nonnegative for m in node.maps):
            rising = torch.stack([(p.lower >= 0).all(-1, keepdim=True) for p in parents]).all(0)
            if bool(rising.any()):
                floor = torch.maximum(low.nan_to_num(nan=-torch.inf), self._rising(node, parents))
                low = torch.where(rising, floor, low)
        found = Range(*settle(low, high))
        if any(p in self.balls for p in node.parents):
            found = found.intersect(self._round(node, parents))
        return found, Image(image, size, tuple(far))

    def _rising(self, node: Affine, parents: tuple[Range, ...]) -> Tensor:
        """A lower bound where nothing but biases is negative: a sum of lower ends, which rounds relative to itself."""
        by, bias = self.maps.precision, self.maps.outward(node.bias, -torch.inf)[None]
        total, count = bias.clamp(min=0), len(node.maps) + 2
        for linear, parent in zip(node.maps, parents, strict=True):
            kind = self.maps[linear]
            total, count = total + kind.stretch_any(parent.lower.nan_to_num(posinf=0.0)), count + kind.terms
        return torch.where(bias < 0, bias, torch.maximum(total * (1.0 - by.gamma(count)) - by.tiny, bias))

    def _exact(self, node: Affine, parents: tuple[Range, ...]) -> bool:
        """True if no operation of this step can round (see :func:`on_grid`)."""
        by = self.maps.precision
        if not all(self.maps[m].fine for m in node.maps) or not on_grid(torch.tensor(node.bias), by):
            return False
        if not all(on_grid(p.lower, by) and on_grid(p.upper, by) for p in parents):
            return False
        sizes = [self.maps[m].stretch(p.magnitude) for m, p in zip(node.maps, parents, strict=True)]
        return bool((torch.stack(sizes).sum(0) + self.maps.bias(node).abs() <= 2.0 ** by.grid[2]).all())

    def _round(self, node: Affine, parents: tuple[Range, ...]) -> Range:
        """The range over balls: every row of the maps by itself (:func:`nnsym.bounds.engine.inputs.least`)."""
        by, count, found = self.maps.precision, 2 * len(node.maps) + self.count, []
        pieces = torch.split(torch.arange(node.size, device=self.maps.device), max(1, _ENTRIES // _widest(node)))
        for index in pieces:
            bias = self.maps.bias(node)[index]
            sides = []
            for sign in (1.0, -1.0):
                total = sign * bias - by.gamma(count + 1) * bias.abs() - by.tiny
                for linear, parent, inside in zip(node.maps, node.parents, parents, strict=True):
                    rows = sign * self.maps[linear].rows(index)[None]
                    extra = count + (not self.maps[linear].exact)
                    total = total + least(rows, *spread(inside, extra), self.balls.get(parent, ()), extra)
                sides.append(total)
            found.append(torch.stack((sides[0], -sides[1])))
        return Range(*settle(*torch.cat(found, -1)))

    def _open(self, node: Affine, parents: tuple[Range, ...], low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
        """Intervals with unbounded parents: each side by itself, by the signs of the coefficients."""
        lower = upper = node.bias[None]
        error = FLOAT64.gamma(node.size + self.count) * np.abs(lower)
        for linear, parent in zip(node.maps, parents, strict=True):
            lo, hi = _array(parent.lower), _array(parent.upper)
            matrix = linear.matrix()
            plus, minus = matrix.maximum(0), matrix.minimum(0)
            lower, upper = lower + _side(plus, lo, minus, hi), upper + _side(plus, hi, minus, lo)
            size = np.maximum(_finite(np.abs(lo)), _finite(np.abs(hi))) + FLOAT64.pad
            error = error + FLOAT64.gamma(linear.n_in + 2 * len(node.maps) + self.count) * (abs(matrix) @ size.T).T
        return (
            torch.maximum(torch.nan_to_num(low, nan=-torch.inf), self.maps.outward(lower - error, -torch.inf)),
            torch.minimum(torch.nan_to_num(high, nan=torch.inf), self.maps.outward(upper + error, torch.inf)),
        )

    def _hinge(self, node: Pointwise, x: Range) -> Range:
        slopes = self.maps.slopes(node)
        if slopes.relu:
            return Range(x.lower.clamp(min=0), x.upper.clamp(min=0))
        ends = [_times(torch.where(v > 0, slopes.right, slopes.left), v) for v in (x.lower, x.upper)]
        low, high = torch.minimum(*ends), torch.maximum(*ends)
        crossing = (x.lower <= 0) & (x.upper >= 0)
        low, high = torch.where(crossing, low.clamp(max=0), low), torch.where(crossing, high.clamp(min=0), high)
        return Range(low, high) if slopes.exact else Range(*settle(*_widen(low, high)))

    def _difference(self, node: Difference, parents: tuple[Range, ...]) -> Range:
        """The two values apart, and the band around the gap (:mod:`nnsym.bounds.pairs.gaps`)."""
        left, right, a, b, gap = parents
        plain = Range(*settle(*_widen(_minus(left.lower, right.upper), _minus(left.upper, right.lower))))
        if isinstance(node.left, Max):
            return plain.intersect(Range(*extremes(node.left, a, b, gap, self.maps)))
        slopes = slope_range(node, a, b, self.maps)
        corners = torch.stack([_times(s, d) for s in slopes for d in (gap.lower, gap.upper)])
        low, high = corners.amin(0), corners.amax(0)
        whole = all(bool(((s.abs() == 1) | (s == 0)).all()) for s in slopes)
        return plain.intersect(Range(*settle(*((low, high) if whole else _widen(low, high)))))


def unbounded(batch: int, size: int, maps: Maps) -> Range:
    """No bounds at all."""
    upper = torch.full((batch, size), torch.inf, dtype=maps.dtype, device=maps.device)
    return Range(-upper, upper)


def _minus(a: Tensor, b: Tensor) -> Tensor:
    """A difference that is zero for equal numbers only, so that :func:`_widen` may take zero for exact."""
    out = a - b
    speck = torch.where(a > b, precision(out).speck, -precision(out).speck)
    return torch.where((out == 0) & (a != b), speck.to(out.dtype), out)


def _times(a: Tensor, b: Tensor) -> Tensor:
    """A product in which zero is exact: one that underflows is a small number, which :func:`_widen` covers."""
    out = product(a, b)
    lost = (out == 0) & (a != 0) & (b != 0)
    speck = torch.full_like(out, precision(out).speck)
    return torch.where(lost, torch.copysign(speck, torch.sign(a) * torch.sign(b)), out)


def _widen(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """One rounding of a product and one of a factor, outward; zeros are exact."""
    by = precision(low)
    return (
        low - torch.where(low == 0, 0.0, 4 * by.u * low.abs() + by.tiny),
        high + torch.where(high == 0, 0.0, 4 * by.u * high.abs() + by.tiny),
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


def _product(x: Range, y: Range, *, square: bool) -> Range:
    ends = (x.lower, x.upper), (y.lower, y.upper)
    return Range(*settle(*product_range(torch, *ends, precision(x.lower), square=square)))


def additions(nodes: tuple[Node, ...]) -> int:
    """Additions of a graph that are not inside a product with a matrix.

    They collect a row's constant from all nodes, and the coefficients of a node from its consumers: one term from each,
    or one per group of a maximum that the element is in.
    """
    return 2 * len(nodes) + meetings(nodes) + _FEW


def meetings(nodes: tuple[Node, ...]) -> int:
    """Additions that the coefficient of one element may go through, with one for a multiplier."""
    found: dict[Node, int] = {}
    for node in nodes:
        kind = node.left if isinstance(node, Difference) else node
        shared = int(np.bincount(kind.groups[kind.groups >= 0]).max()) if isinstance(kind, Max) else 0
        terms = shared + kind.groups.shape[1] if isinstance(kind, Max) else 1
        for parent in node.parents:
            found[parent] = found.get(parent, 0) + terms
    return max(found.values(), default=0) + 1


def _disjoint(node: Affine) -> bool:
    """Every element is a copy of one element at most."""
    counts = sum((m.index >= 0).astype(np.int64) for m in node.maps)  # type: ignore[attr-defined]
    return bool(np.max(counts, initial=0) <= 1)


def _array(values: Tensor) -> Array:
    return values.to(torch.float64).cpu().numpy()


def _widest(node: Affine) -> int:
    return max(m.n_in for m in node.maps)


def widen_rows(rows: Range, query: Query, ranges: Mapping[Node, Range], maps: Maps) -> Range:
    """Add what rounding the exact rows to float64 may have moved (:meth:`nnsym.ir.rows.Rows.node`)."""
    spec, slack, weight = query.spec
    if not slack.any() and not weight.any():
        return rows
    extra = row_slack(spec, slack, weight, ranges, maps)
    return Range(*settle(*_widen(rows.lower - extra, rows.upper + extra)))


def row_slack(spec: Node, slack: Array, weight: Array, ranges: Mapping[Node, Range], maps: Maps) -> Tensor:
    """``slack + weight max |v|`` over the parents of a layer of rows, ``(batch, rows)``, rounded up."""
    sizes = [ranges[p].magnitude.amax(-1, keepdim=True) for p in spec.parents]
    most = torch.stack(sizes).amax(0) if sizes else maps.tensor([[0.0]])
    own, relative = maps.outward(slack, torch.inf), maps.outward(weight, torch.inf)
    return (own + product(relative, most)) * (1 + 8 * maps.precision.u)


def ibp(
    query: Query, boxes: FloatBoxes | None = None, *, maps: Maps | None = None, deadline: Deadline = NEVER
) -> Bounds:
    """Bounds of every node and row by intervals.

    ``boxes`` gives each input a batch of float boxes, arrays ``(batch, size)``; all results then have that batch
    axis. Without it the query's own boxes are used, rounded outward. ``maps`` say device and format. Nodes that are not
    reached by the ``deadline`` stay unbounded.
    """
    start = time.perf_counter()
    with torch.inference_mode():
        maps = maps if maps is not None else Maps()
        inputs, batched = domain(query, boxes, maps)
        spec = query.spec[0]
        nodes = topological((*query.nodes, spec))
        forward = Forward(maps, device_balls(query, maps), count=additions(nodes), deadline=deadline)
        ranges = forward.run(nodes, inputs)
        rows = widen_rows(ranges[spec], query, ranges, maps)
        sources = dict.fromkeys(query.nodes, "ibp")
        found = finish("ibp", query, ranges, rows, sources=sources, batched=batched, start=start, device=maps.device)
        return replace(found, ended=TIMEOUT) if forward.late else found


def finish(
    method: str,
    query: Query,
    ranges: Mapping[Node, Range],
    rows: Range,
    *,
    sources: Mapping[Node, str],
    batched: bool,
    start: float,
    device: str,
) -> Bounds:
    """The ranges of a query's nodes and rows as :class:`Bounds` of ``method``, with the seconds since ``start``.

    ``sources`` name who found the range of each node. Ranges of one domain are repeated where others have a batch;
    arrays lose the axis of the batch where there is no ``batched`` question.
    """
    count = max((len(ranges[x].lower) for x in query.inputs), default=1)

    def wide(r: Range) -> Range:
        return Range(r.lower.expand(count, -1), r.upper.expand(count, -1))

    nodes = {
        n: wide(ranges[n]).interval("domain" if isinstance(n, Input) else sources[n], batched) for n in query.nodes
    }
    spent = time.perf_counter() - start
    return Bounds(method, nodes, wide(rows).interval(method, batched), spent, device)
