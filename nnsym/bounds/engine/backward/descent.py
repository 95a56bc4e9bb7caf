"""One backward pass: a row over a node, rewritten step by step into a row over the inputs.

The pass maintains, for each row, the claim ``row >= row(c) + sum_n C_n (v_n - c_n) + constant - error`` with the
centres c of :mod:`nnsym.bounds.engine.backward.state` (docs/rounding.md). Coefficients live on a *support*, the
elements of a node whose lines are not zero: dead neurons cost nothing, and dense matrices are cut down to the rows and
columns that matter. They are in the format of the maps; constants and errors are added up in float64.

What a pass may choose is a :class:`Dual`: slopes on the free side of hinges (Xu et al., Fast and Complete, 2021),
and multipliers of constraints that hold on the domain, among them fixed phases (Wang et al., Beta-CROWN, 2021).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from nnsym.bounds.engine.backward.state import State, Support
from nnsym.bounds.engine.backward.sums import SumLines, sum_lines
from nnsym.bounds.engine.maps.convolution import ConvMap
from nnsym.bounds.engine.maps.torch_maps import DenseMap, SelectMap
from nnsym.bounds.engine.maps.windows import Windows
from nnsym.bounds.engine.rounding import FLOAT64, Amounts, contract, weigh
from nnsym.ir.node import Affine, Input, Node, Pointwise
from nnsym.results.clock import NEVER, Deadline


@final
@dataclass(frozen=True, eq=False)
class Dual:
    """Choices of a pass over ``rows``; every one gives a valid bound.

    ``slopes[node]`` are slopes of the elements :attr:`State.free` of a hinge node, ``(1 or batch, 1 or rows, free)``;
    they have to lie between the slopes of its two lines. ``multipliers[node]`` are coefficients ``(1 or batch, 1 or
    rows, size)`` with ``sum_j m_j v_j <= 0`` on the domain: what they add to a row makes it smaller.
    """

    slopes: Mapping[Node, Tensor] = field(default_factory=dict)
    multipliers: Mapping[Node, Tensor] = field(default_factory=dict)

    def rows(self, index: Tensor, dtype: torch.dtype) -> Dual:
        """The choices of some of the rows, in the format of a pass."""

        def some(values: Tensor) -> Tensor:
            return (values if values.shape[1] == 1 else values[:, index]).to(dtype)

        return Dual({n: some(v) for n, v in self.slopes.items()}, {n: some(v) for n, v in self.multipliers.items()})

    def admitted(self, state: State) -> Dual:
        """Slopes within the limits of their lines, whatever format they were found in."""

        def within(node: Node, slopes: Tensor) -> Tensor:
            sides, free = state.relaxed[node].free, state.free[node]
            assert sides is not None
            return slopes.clamp(sides.least[free], sides.most[free])

        return Dual({n: within(n, v) for n, v in self.slopes.items()}, self.multipliers)


@final
@dataclass(frozen=True, eq=False)
class Seed:
    """Rows to start from: coefficients over nodes with their supports, the rows' values at the centres, and an error.

    The last two are float64, ``(1 or batch, rows)``.
    """

    start: Node
    coefficients: Mapping[Node, tuple[Support, Tensor]]
    centre: Tensor
    error: Tensor

    @staticmethod
    def of(state: State, start: Node, index: Tensor, sign: Tensor) -> Seed:
        """``sign`` times the elements ``index`` of a node; an affine node is replaced by its parents at once."""
        sign = sign.to(state.maps.dtype)
        centre = sign * state.known[start].centre[:, index]
        if not isinstance(start, Affine):
            rows = sign[:, None] * functional.one_hot(index, start.size).to(sign.dtype)
            error = FLOAT64.gamma(8) * centre.abs()
            return Seed(start, {start: (None, rows[None])}, centre, error)
        error = state.copied(start, index)
        only = state.maps[start.maps[0]] if len(start.maps) == 1 else None
        if isinstance(only, ConvMap) and only.groups == 1:
            windows, rows = Windows.of(only, index)
            if windows.small:
                return Seed(start, {start.parents[0]: (windows, sign[None, :, None] * rows)}, centre, error)
        found: dict[Node, tuple[Support, Tensor]] = {}
        for linear, parent in zip(start.maps, start.parents, strict=True):
            support = state.supports.get(parent)
            rows = state.maps[linear].rows(index)
            rows = sign[:, None] * (rows if support is None else rows[:, support])
            old = found.get(parent)
            found[parent] = (support, rows[None] if old is None else old[1] + rows[None])
        return Seed(start, found, centre, error)


def descend(state: State, seed: Seed, dual: Dual, *, charge: bool = True, deadline: Deadline = NEVER) -> Tensor:
    """Lower bounds of the rows of a seed, float64 ``(batch, rows)``; without ``charge`` rounding is left out.

    Raises :class:`nnsym.results.clock.OutOfTime` where the ``deadline`` passes between two nodes: half a pass bounds
    nothing.
    """
    run = _Pass(state, seed, dual, charge)
    for node in state.order(seed.start, *dual.multipliers):
        deadline.check()
        run.visit(node)
    total = seed.centre + run.constant
    return total - run.error - state.maps.precision.tiny if charge else total


def forms(state: State, seed: Seed) -> tuple[dict[Node, Tensor], Tensor]:
    """The rows of a seed as affine functions of the inputs that stay below them, ``sum_x C_x x + constant``.

    Coefficients ``(1 or batch, rows, n)`` of every input that matters; all rounding is paid by the constant.
    """
    run = _Pass(state, seed, Dual(), True)
    for node in state.order(seed.start):
        if not isinstance(node, Input):
            run.visit(node)
    left = {node: _full(node, support, values) for node, (support, values) in run.coefficients.items()}
    constant = seed.centre + run.constant - run.error - state.maps.precision.tiny
    for node, values in left.items():
        centre = state.known[node].centre
        slack = FLOAT64.gamma(node.size + state.count) * weigh(values.double(), centre.abs())
        constant = constant - contract(values.double(), centre) - slack
    return left, constant


@final
class _Pass:
    """The claim of a pass that is under way."""

    def __init__(self, state: State, seed: Seed, dual: Dual, charge: bool) -> None:
        self.state, self.dual, self.charge = state, dual, charge
        self.constant, self.error = torch.zeros_like(seed.centre), seed.error
        self.coefficients: dict[Node, tuple[Support, Tensor]] = {}
        for node, (support, values) in seed.coefficients.items():
            self.add(node, support, values)
        for node, values in dual.multipliers.items():
            self.add(node, None, values)
            centre, price = state.held(node)
            self.constant = self.constant + contract(values, centre)
            if charge:
                self.error = self.error + weigh(values, price)

    def add(self, node: Node, support: Support, values: Tensor) -> None:
        old = self.coefficients.get(node)
        if old is not None:
            if old[0] is not support:
                old, values, support = (None, _full(node, *old)), _full(node, support, values), None
            values = old[1] + values
        self.coefficients[node] = (support, values)

    def visit(self, node: Node) -> None:
        """Replace one node."""
        support, c = self.coefficients.pop(node, (None, None))
        if c is None:
            return
        if isinstance(support, Windows) and not self._local(node, support):
            support, c = None, _full(node, support, c)
        if isinstance(node, Input):
            self._input(node, support, c)
            return
        if self.charge:
            self.error = self.error + self.state.charge(node, support).weighed(c)
        if isinstance(node, Affine):
            self._affine(node, support, c)
        else:
            self._nonlinear(node, support, c)

    def _input(self, node: Input, support: Support, c: Tensor) -> None:
        """The least value of ``c (x - centre)`` over a box and balls."""
        value = -self.state.charge(node, support).summed(c)
        for ball in self.state.around(node):
            value = torch.maximum(value, ball.least(c, self.state.count))
        self.constant = self.constant + value

    def _local(self, node: Node, support: Windows) -> bool:
        """True if windows over a node can be taken further as windows."""
        if isinstance(node, Affine):
            return support.suits(self.state.maps[node.maps[0]] if len(node.maps) == 1 else None)
        if isinstance(node, Input):
            return node not in self.state.balls
        plain = isinstance(node, Pointwise) and node not in self.dual.slopes
        return plain and all(tap.index is None for tap in self.state.relaxed[node].taps)

    def _affine(self, node: Affine, support: Support, c: Tensor) -> None:
        lines = None if isinstance(support, Windows) else sum_lines(self.state, node)
        if lines is not None:
            self._sum(lines, _full(node, support, c))
            return
        for linear, parent in zip(node.maps, node.parents, strict=True):
            kind, target = self.state.maps[linear], self.state.supports.get(parent)
            if isinstance(support, Windows) and isinstance(kind, SelectMap):
                self.add(parent, support.through(kind), c)
                continue
            if isinstance(support, Windows) and isinstance(kind, ConvMap):
                below, term = support.adjoint(kind, c)
                self.add(parent, *((below, term) if below.small else (None, below.spread(term))))
                continue
            if isinstance(kind, DenseMap) and not isinstance(support, Windows):
                term = c @ self.state.part(kind, support, target)
            else:
                term = kind.adjoint(_full(node, support, c))
                term = term if target is None else term[..., target]
            self.add(parent, target, term)

    def _sum(self, lines: SumLines, c: Tensor) -> None:
        """Step over the products that a node adds up, to their operands."""
        above = c.clamp(max=0)
        both = torch.cat((c.clamp(min=0), above), -1)
        for side in lines.sides:
            target, term = self.state.supports.get(side.source), side.below(both)
            self.add(side.source, target, term if target is None else term[..., target])
        self.constant = self.constant + contract(above, lines.high)
        if self.charge:
            self.error = self.error + lines.price.weighed(c)

    def _nonlinear(self, node: Node, support: Support, c: Tensor) -> None:
        lines, slopes = self.state.lines(node, support), self.dual.slopes.get(node)
        below, above = c.clamp(min=0), c.clamp(max=0)  # one of the two is 0, so their products add up exactly
        spread: dict[Node, Tensor] = {}  # terms of single elements, added up by the node that they are of
        for tap, low, high in zip(self.state.relaxed[node].taps, lines.low, lines.high, strict=True):
            term = torch.addcmul(below * low, above, high)
            if slopes is not None:
                term = self._steer(node, support, c, term, slopes)
            if tap.index is None:
                self.add(tap.parent, support, term)
                continue
            index, whole = tap.index[support] if isinstance(support, Tensor) else tap.index, spread.get(tap.parent)
            if whole is None:
                whole = torch.zeros(*term.shape[:-1], tap.parent.size, dtype=term.dtype, device=term.device)
            spread[tap.parent] = whole.index_add_(-1, index, term)
        for parent, term in spread.items():
            self.add(parent, None, term)
        if lines.low_offset is not None:
            self.constant = self.constant + _offset(below, lines.low_offset)
        if lines.high_offset is not None:
            self.constant = self.constant + _offset(above, lines.high_offset)

    def _steer(self, node: Node, support: Support, c: Tensor, term: Tensor, slopes: Tensor) -> Tensor:
        """Put the chosen slopes in place of the stored ones, on the free side of each element.

        A line through the origin of another slope s passes ``s c`` at the centre.
        """
        lines = self.state.lines(node, support)
        own, old = c[..., lines.place], term[..., lines.place]
        chosen = torch.where(torch.where(own > 0, lines.below, lines.above), own * slopes[..., lines.kept], old)
        self.constant = self.constant + contract(chosen - old, lines.centre)
        if self.charge:
            self.error = self.error + self.state.steer(node, support).weighed(c)
        return term.expand(*chosen.shape[:-1], -1).index_copy(-1, lines.place, chosen)


def _full(node: Node, support: Support, values: Tensor) -> Tensor:
    if support is None:
        return values
    if isinstance(support, Windows):
        return support.spread(values)
    out = torch.zeros(*values.shape[:-1], node.size, dtype=values.dtype, device=values.device)
    return out.index_copy(-1, support, values)


def _offset(c: Tensor, offset: Amounts) -> Tensor:
    """``c offset``, where an infinite offset (of the bad sign for its side) makes the bound -infinite."""
    if offset.finite:
        return contract(c, offset.values)
    finite = torch.isfinite(offset.values)
    total = contract(c, torch.where(finite, offset.values, 0.0))
    return torch.where(contract(c.abs(), (~finite).to(c.dtype)) > 0, -torch.inf, total)
