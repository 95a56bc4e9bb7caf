"""Lower bounds of rows over a batch of boxes, as functions of the parameters: intervals forward, lines backward.

The steps and lines are those of the bounds engine (:mod:`nnsym.bounds.engine.forward.interval`,
:mod:`nnsym.bounds.engine.relaxations`); what is left out is the price of rounding, since a loss proves nothing:

    affine node      A c + b -+ |A| r                                   of boxes with centre c and radius r,
    row c over y     c y >= c+ (below) + c- (above)                     with the lines of y, or with its interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nnsym.bounds.engine.forward.interval import Forward
from nnsym.bounds.engine.inputs import Balls, Range
from nnsym.bounds.engine.relaxations import Tap, relax, undecided
from nnsym.bounds.sources import LowerSlope
from nnsym.ir.node import Affine, Input, Node, Pointwise
from nnsym.ir.univariate import Hinge
from nnsym.ir.walk import topological
from nnsym.train.live import Live

_BEYOND = 1e30  # stands for an infinite offset, which would make 0 times infinity


@final
@dataclass(frozen=True, kw_only=True)
class NodeBounding:
    """How nodes are bounded: ``lower`` is adaptive, parallel or interval, as in
    :func:`nnsym.bounds.engine.relaxations.relax`.

    With ``hidden`` hidden layers are bounded backwards too, not only the rows.
    """

    lower: LowerSlope
    hidden: bool = False


#: Intervals of the nodes, the rows merged with the affine layers before them.
INTERVALS = NodeBounding(lower="interval")


@final
@dataclass(frozen=True, eq=False)
class Start:
    """Rows of one or several cases: coefficients ``(cases, rows, n)`` over nodes and constants ``(cases, rows)``."""

    coefficients: Mapping[Node, Tensor]
    constant: Tensor


@final
class Passes:
    """Bounds of the nodes of one graph over a batch of boxes."""

    def __init__(self, live: Live, nodes: tuple[Node, ...], balls: Balls, lines: NodeBounding) -> None:
        self.live, self.nodes, self.balls, self.lines = live, nodes, balls, lines
        self._forward = Forward(live)
        #: What lines and inputs depend on; affine nodes above all of these are only ever substituted.
        self.bounded = topological([node for node in nodes if not isinstance(node, Affine)])
        self.readers: dict[Node, list[Node]] = {}
        for node in nodes:
            if not isinstance(node, Affine):
                for parent in node.parents:
                    self.readers.setdefault(parent, []).append(node)

    def ranges(self, inputs: Mapping[Node, Range]) -> dict[Node, Range]:
        """The ranges of all nodes that a backward pass asks for."""
        found = dict(inputs)
        for node in self.bounded:
            if isinstance(node, Input):
                continue
            parents = tuple(found[p] for p in node.parents)
            found[node] = self._affine(node, parents) if isinstance(node, Affine) else self._forward.step(node, parents)
            if self.lines.hidden and node in self.readers and not all(isinstance(p, Input) for p in node.parents):
                found[node] = self._tightened(node, found)
        return found

    def _affine(self, node: Affine, parents: tuple[Range, ...]) -> Range:
        low = high = self.live.bias(node)[None]
        for linear, box, parent in zip(node.maps, parents, node.parents, strict=True):
            kind = self.live[linear]
            if kind.copies:
                low, high = low + kind.apply(box.lower), high + kind.apply(box.upper)
                continue
            centre = kind.apply(0.5 * (box.lower + box.upper))
            radius = kind.stretch(0.5 * (box.upper - box.lower))
            below, above = centre - radius, centre + radius
            for ball in self.balls.get(parent, ()):
                rows = kind.rows(torch.arange(node.size, device=low.device))[None]
                below = torch.maximum(below, ball.least(rows, 0))
                above = torch.minimum(above, -ball.least(-rows, 0))
            low, high = low + below, high + above
        return Range(low, high)

    def _tightened(self, node: Node, ranges: Mapping[Node, Range]) -> Range:
        """The range met with a backward pass, for the elements that some line depends on."""
        old = ranges[node]
        seen = Range(old.lower.detach(), old.upper.detach())
        needed = torch.stack([undecided(r, node, seen, self.live).any(0) for r in self.readers[node]]).any(0)
        index = torch.nonzero(needed).ravel()
        if not len(index):
            return old
        rows = torch.eye(node.size, dtype=old.lower.dtype, device=old.lower.device)[index]
        zero = rows.new_zeros(1, 2 * len(index))
        both = self.least(Start({node: torch.cat((rows, -rows))[None]}, zero), ranges, None)
        low, high = both[:, : len(index)], -both[:, len(index) :]
        return Range(
            old.lower.index_copy(1, index, torch.maximum(old.lower[:, index], low)),
            old.upper.index_copy(1, index, torch.minimum(old.upper[:, index], high)),
        )

    def least(self, start: Start, ranges: Mapping[Node, Range], case: Tensor | None) -> Tensor:
        """Lower bounds of the rows of the case of every box, ``(batch, rows)``.

        Rows stay one per case through affine nodes, and become one per box where they first meet what differs by box.
        """
        run = _Descent(self, start, ranges, case)
        for node in reversed(self.nodes):
            run.visit(node)
        return run.total()


@final
class _Descent:
    """The claim ``row >= sum_n C_n v_n + constant`` on its way to the inputs."""

    def __init__(self, passes: Passes, start: Start, ranges: Mapping[Node, Range], case: Tensor | None) -> None:
        self.passes, self.ranges, self.case = passes, ranges, case
        self.shared, self.own = dict(start.coefficients), dict[Node, Tensor]()  # one per case, one per box
        self.constant = start.constant
        self.offset = next(iter(ranges.values())).lower.new_zeros(1, 1)

    def total(self) -> Tensor:
        return self._by_box(self.constant) + self.offset

    def _by_box(self, values: Tensor) -> Tensor:
        return values if self.case is None else values[self.case]

    def visit(self, node: Node) -> None:
        """Replace one node."""
        shared, own = self.shared.pop(node, None), self.own.pop(node, None)
        if shared is None and own is None:
            return
        if isinstance(node, Affine):
            if shared is not None:
                self.constant = self.constant + shared @ self.passes.live.bias(node)
                self._pull(node, shared, self.shared)
            if own is not None:
                self.offset = self.offset + own @ self.passes.live.bias(node)
                self._pull(node, own, self.own)
            return
        parts = [part for part in (None if shared is None else self._by_box(shared), own) if part is not None]
        c = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        if isinstance(node, Input):
            self._input(node, c)
        else:
            self._nonlinear(node, c)

    def _pull(self, node: Affine, c: Tensor, into: dict[Node, Tensor]) -> None:
        for linear, parent in zip(node.maps, node.parents, strict=True):
            term = self.passes.live[linear].adjoint(c)
            into[parent] = into[parent] + term if parent in into else term

    def _input(self, node: Node, c: Tensor) -> None:
        value = _over(self.ranges[node], c)
        for ball in self.passes.balls.get(node, ()):
            value = torch.maximum(value, ball.least(c, 0))
        self.offset = self.offset + value

    def _nonlinear(self, node: Node, c: Tensor) -> None:
        out, lines = self.ranges[node], self.passes.lines
        if lines.lower == "interval":
            self.offset = self.offset + _over(out, c)
            return
        if isinstance(node, Pointwise) and isinstance(node.fn, Hinge):
            self._hinge(node, c)
            return
        found = relax(node, tuple(self.ranges[p] for p in node.parents), out, self.passes.live, lines.lower)
        below, above = c.clamp(min=0), c.clamp(max=0)
        for tap in found.taps:
            self._tap(tap, below * tap.low[:, None] + above * tap.high[:, None])
        low, high = (side.clamp(-_BEYOND, _BEYOND) for side in (found.low, found.high))
        self.offset = self.offset + _weighed(below, low) + _weighed(above, high)

    def _hinge(self, node: Pointwise, c: Tensor) -> None:
        """The chord of a hinge on its curved side, a line through its bend on the other.

        At the bend the chord has the height h, and whatever the signs of c and h, the offsets add ``min(c h, 0)``.
        """
        slopes, x = self.passes.live.slopes(node), self.ranges[node.parents[0]]
        left, right = slopes.left, slopes.right
        open_ = (x.lower < 0) & (x.upper > 0) & slopes.bent
        own = torch.where(x.lower >= 0, right, left)
        chord = (right * x.upper - left * x.lower) / torch.where(open_, x.upper - x.lower, 1.0)
        height = torch.where(open_, (left - chord) * x.lower, 0.0)
        chord = torch.where(open_, chord, own)
        term = c * chord[:, None]
        if self.passes.lines.lower == "adaptive":
            flat = torch.where(open_, torch.where(x.upper >= -x.lower, right, left), own)
            under = torch.where(slopes.convex, c.clamp(min=0), c.clamp(max=0))
            term = term + under * (flat - chord)[:, None]
        self.offset = self.offset + (c * height[:, None]).clamp(max=0).sum(-1)
        self._put(node.parents[0], term)

    def _tap(self, tap: Tap, term: Tensor) -> None:
        if tap.index is not None:
            spread = term.new_zeros(*term.shape[:-1], tap.parent.size)
            term = spread.index_add(-1, tap.index, term)
        self._put(tap.parent, term)

    def _put(self, node: Node, term: Tensor) -> None:
        self.own[node] = self.own[node] + term if node in self.own else term


def _over(box: Range, c: Tensor) -> Tensor:
    """The least value of rows ``(1 or batch, rows, n)`` over boxes ``(batch, n)``."""
    centre, radius = 0.5 * (box.lower + box.upper), 0.5 * (box.upper - box.lower)
    return _weighed(c, centre) - _weighed(c.abs(), radius)


def _weighed(c: Tensor, values: Tensor) -> Tensor:
    """``sum_i c_i v_i`` of rows ``(1 or batch, rows, n)`` and values ``(batch, n)``.

    Rows of single boxes are multiplied and added up, which has the cheaper gradient: small matrices are no batch for a
    library of matrix products.
    """
    return values @ c[0].mT if len(c) == 1 else (c * values[:, None]).sum(-1)
