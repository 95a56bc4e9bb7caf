"""Forward linear bounds: every node between two affine functions of the inputs, carried forward.

A node is enclosed by ``M x - D x - s <= v <= M x + D x + s``, where the last coefficient of the rows of M and D is
their constant (x is followed by a 1). Through ``v = A u + b`` the functions become ``A+ L + A- U`` and ``A+ U + A- L``:

    M' = A M + b,   D' = |A| D,   s' = |A| s,

and a nonlinear node replaces its operands by its lines (symbolic intervals: Wang et al., Formal Security Analysis of
Neural Networks using Symbolic Intervals, 2018; Efficient Formal Safety Analysis of Neural Networks, 2018). The slack
``s`` takes what rounding may have moved (docs/rounding.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nnsym.bounds.base import Bounds
from nnsym.bounds.engine.forward.carried import Room, carry
from nnsym.bounds.engine.inputs import Balls, Range, least, spread
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.relaxations import Lines, relax
from nnsym.bounds.engine.rounding import magnitude, product, settle, weigh
from nnsym.bounds.sources import Dtype, FloatBoxes
from nnsym.ir.node import Affine, Input, Node
from nnsym.ir.query import Query
from nnsym.results.clock import NEVER, Deadline

_FEW = 8  # operations on an element beside its sum


def forward_linear(
    query: Query,
    boxes: FloatBoxes | None = None,
    *,
    device: str = "cpu",
    dtype: Dtype = "float64",
    deadline: Deadline = NEVER,
    memory: int = 8 * 2**30,
) -> Bounds:
    """Linear functions of the inputs around every node and row, intersected with intervals; ``boxes`` as in ibp.

    Past the ``deadline``, and where the functions would take more than ``memory`` bytes, intervals go on alone.
    """
    with torch.inference_mode():
        maps = Maps(device, dtype)
        return carry("forward", query, boxes, _Engine, maps, deadline=deadline, memory=memory)


@final
@dataclass(frozen=True, eq=False)
class _Form:
    """``middle`` and ``spread`` (M and D) of shape ``(batch, inputs + 1, size)``, ``slack`` ``(batch, size)``."""

    middle: Tensor
    spread: Tensor
    slack: Tensor

    def take(self, index: Tensor | None) -> _Form:
        """The form of some elements."""
        if index is None:
            return self
        return _Form(self.middle[..., index], self.spread[..., index], self.slack[..., index])


@final
class _Engine:
    """The forms of all nodes that are still read, over all inputs in their order."""

    def __init__(self, maps: Maps, inputs: Mapping[Node, Range], balls: Balls, room: Room) -> None:
        self.maps, self.inputs, self.balls, self.room = maps, inputs, balls, room
        self.ranges: dict[Node, Range] = dict(inputs)
        self.forms: dict[Node, _Form] = {}
        self.starts: dict[Node, int] = {}
        self.width = 0
        for x in inputs:
            self.starts[x] = self.width
            self.width += x.size
        sizes = [r.magnitude for r in inputs.values()]
        self.batch = max((len(s) for s in sizes), default=1)
        one = torch.ones(self.batch, 1, dtype=maps.dtype, device=maps.device)
        self.magnitudes = torch.cat((*sizes, one), 1)  # of (x, 1)

    def enclose(self, node: Node, parents: tuple[Range, ...], known: Range) -> Range:
        """Make the form of a node whose parents are done; its interval."""
        self.room.ask(self.maps, 2, self.batch, self.width + 1, node.size)
        if isinstance(node, Input):
            form = self._input(node)
        elif isinstance(node, Affine):
            form = self._affine(node)
        else:
            form = self._nonlinear(relax(node, parents, known, self.maps))
        self.forms[node] = form
        self.room.deadline.check()
        low = self._least(form.middle - form.spread, form)
        self.room.deadline.check()
        high = -self._least(-form.middle - form.spread, form)
        return Range(*settle(low, high))

    def _least(self, rows: Tensor, form: _Form) -> Tensor:
        """A lower bound of one of the two functions over the inputs, less the slack."""
        by, count = self.maps.precision, len(self.inputs) + _FEW
        c = rows.transpose(1, 2)
        total = c[..., -1] - form.slack * (1.0 + by.gamma(_FEW)) - by.gamma(count) * self._reach(form) - by.tiny
        for x, start in self.starts.items():
            centre, amount = spread(self.inputs[x], count)
            total = total + least(c[..., start : start + x.size], centre, amount, self.balls.get(x, ()), count)
        return total

    def _reach(self, form: _Form) -> Tensor:
        """The largest magnitude that the coefficients can make: what rounding errors are relative to."""
        return weigh((form.middle.abs() + form.spread.abs()).transpose(1, 2), self.magnitudes)

    def _input(self, node: Input) -> _Form:
        shape = (self.batch, self.width + 1, node.size)
        middle = torch.zeros(shape, dtype=self.maps.dtype, device=self.maps.device)
        index = torch.arange(node.size, device=self.maps.device)
        middle[:, self.starts[node] + index, index] = 1.0
        return _Form(middle, torch.zeros_like(middle), torch.zeros_like(middle[:, 0]))

    def _affine(self, node: Affine) -> _Form:
        by, extra = self.maps.precision, 2 * len(node.maps) + self.width + _FEW
        shape = (self.batch, self.width + 1, node.size)
        middle = torch.zeros(shape, dtype=self.maps.dtype, device=self.maps.device)
        middle[:, -1] = self.maps.bias(node)
        spread_out, charge = torch.zeros_like(middle), by.gamma(extra) * middle[:, -1].abs()
        slack = torch.zeros_like(charge)
        for linear, parent in zip(node.maps, node.parents, strict=True):
            kind, form = self.maps[linear], self.forms[parent]
            middle = middle + self.room.mapped(kind, kind.apply, form.middle)
            spread_out = spread_out + self.room.mapped(kind, kind.stretch, form.spread)
            slack = slack + kind.stretch_any(form.slack)
            self.room.deadline.check()
            reach = kind.stretch_any(self._reach(form)) + by.pad * kind.touched
            charge = charge + by.gamma(kind.terms + extra) * (reach + kind.stretch_any(form.slack))
        return _Form(middle, spread_out, (slack + charge) * (1.0 + by.gamma(extra)))

    def _nonlinear(self, lines: Lines) -> _Form:
        by = self.maps.precision
        finite = torch.isfinite(lines.low) & torch.isfinite(lines.high)
        offsets = [torch.where(finite, side, 0.0) for side in (lines.low, lines.high)]
        shape = (self.batch, self.width + 1, offsets[0].shape[-1])
        low, high = (torch.zeros(shape, dtype=by.dtype, device=self.maps.device) for _ in range(2))
        low[:, -1], high[:, -1] = offsets
        slack, moved = torch.zeros_like(offsets[0]), magnitude(*offsets)
        for tap in lines.taps:
            self.room.deadline.check()
            form = self.forms[tap.parent].take(tap.index)
            low = low + tap.low[:, None] * form.middle - tap.low.abs()[:, None] * form.spread
            high = high + tap.high[:, None] * form.middle + tap.high.abs()[:, None] * form.spread
            steep = magnitude(tap.low, tap.high)
            slack = slack + product(steep, form.slack)
            moved = moved + product(steep, self._reach(form)) + by.pad * (steep > 0)
        error = by.gamma(4 * len(lines.taps) + self.width + _FEW)
        slack = torch.where(finite, slack * (1.0 + error) + error * moved, torch.inf)
        return _Form(0.5 * low + 0.5 * high, 0.5 * high - 0.5 * low, slack)
