"""One backward pass: a row over a node, rewritten step by step into a row over the inputs.

The pass maintains, for each row, the claim ``row >= sum_n C_n v_n + constant - error`` (docs/numerics.md). Coefficients
live on a *support*, the elements of a node whose lines are not zero: dead neurons cost nothing, and dense matrices are
cut down to the rows and columns that matter.

What a pass may choose is a :class:`Dual`: slopes on the free side of hinges (Xu et al., Fast and Complete, 2021),
and multipliers of constraints that hold on the domain, among them fixed phases (Wang et al., Beta-CROWN, 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar, cast, final

import torch
from torch import Tensor
from torch.nn import functional

from nnsym.bounds.convolution import ConvMap
from nnsym.bounds.inputs import Balls, Range, least, spread
from nnsym.bounds.maps import Maps
from nnsym.bounds.relaxations import Relaxation
from nnsym.bounds.rounding import Amounts, contract, weigh
from nnsym.bounds.torch_maps import DenseMap
from nnsym.bounds.windows import Windows
from nnsym.ir.node import Affine, Input, Node, Pointwise
from nnsym.ir.walk import topological

T = TypeVar("T")
Support = Tensor | Windows | None  # element numbers, the same for all rows or a block for each, or all elements
_SPARSE = 0.9  # a support of more elements than this part of a node is not worth a gather


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

    def rows(self, index: Tensor) -> Dual:
        """The choices of some of the rows."""

        def pick(values: Tensor) -> Tensor:
            return values if values.shape[1] == 1 else values[:, index]

        return Dual({n: pick(v) for n, v in self.slopes.items()}, {n: pick(v) for n, v in self.multipliers.items()})


@final
@dataclass(frozen=True, eq=False)
class Lines:
    """The lines of a nonlinear node on a support; offsets are None where they are all zero.

    ``place`` are the positions of the free elements within the support, ``kept`` those of them that are there.
    """

    low: tuple[Tensor, ...]
    high: tuple[Tensor, ...]
    low_offset: Tensor | None
    high_offset: Tensor | None
    place: Tensor
    kept: Tensor
    below: Tensor
    above: Tensor


@final
@dataclass(eq=False)
class State:
    """What is known of every node before a pass starts. ``count`` is what is added to the lengths of all sums."""

    maps: Maps
    balls: Balls
    count: int
    ranges: dict[Node, Range] = field(default_factory=dict)
    relaxed: dict[Node, Relaxation] = field(default_factory=dict)
    slips: dict[Node, Amounts] = field(default_factory=dict)
    supports: dict[Node, Tensor] = field(default_factory=dict)
    free: dict[Node, Tensor] = field(default_factory=dict)
    _kept: dict[object, tuple[object, object]] = field(default_factory=dict)

    def add(self, node: Node, relaxation: Relaxation | None, slip: Tensor) -> None:
        """Store the lines and rounding charges of a node."""
        self.slips[node] = Amounts.of(slip)
        if relaxation is None:
            return
        self.relaxed[node] = relaxation
        if relaxation.free is not None:
            self.free[node] = torch.nonzero((relaxation.free.below | relaxation.free.above).any(0)).ravel()
        used = (relaxation.low != 0) | (relaxation.high != 0)
        for tap in relaxation.taps:
            used = used | (tap.low != 0) | (tap.high != 0)
        support = torch.nonzero(used.any(0)).ravel()
        if len(support) <= _SPARSE * node.size:
            self.supports[node] = support

    def order(self, *ends: Node) -> tuple[Node, ...]:
        """Ancestors of the nodes, children first."""
        return self._once(("order", *ends), None, lambda: topological(ends)[::-1])

    def box(self, node: Node) -> tuple[Tensor, Amounts]:
        """Centre of an input's box, and its radius with the rounding charge of a sum over it."""
        return self._once(("box", node), None, lambda: spread(self.ranges[node], self.count))

    def part(self, linear: DenseMap, rows: Tensor | None, columns: Tensor | None) -> Tensor:
        """Some rows and columns of a dense matrix."""

        def make() -> Tensor:
            weight = linear.weight if rows is None else linear.weight[rows]
            return weight if columns is None else weight[:, columns]

        return self._once((id(linear), id(rows), id(columns)), (linear, rows, columns), make)

    def bias(self, node: Affine, support: Support) -> Tensor | None:
        """The constants of an affine node on a support; None if all are zero."""

        def make() -> Tensor | None:
            bias = self.maps.bias(node)
            return pick(bias[None], support) if bool(bias.any()) else None

        return self._once(("bias", node, id(support)), support, make)

    def slip(self, node: Node, support: Support) -> Amounts:
        """The rounding charges of a node on a support."""
        slip = self.slips[node]
        cut = ("slip", node, id(support))
        return self._once(cut, support, lambda: Amounts(pick(slip.values, support), slip.finite))

    def lines(self, node: Node, support: Support) -> Lines:
        """The lines of a node on a support."""
        cut = ("lines", node, id(support))
        return self._once(cut, support, lambda: _cut(self.relaxed[node], self.free.get(node), support))

    def _once(self, key: object, alive: object, make: Callable[[], T]) -> T:
        """``make()``, kept under a key; ``alive`` are the objects whose identity the key names.

        What belongs to the windows of one pass is not kept.
        """
        if isinstance(alive, Windows):
            return make()
        if key not in self._kept:
            self._kept[key] = (make(), alive)
        return cast(T, self._kept[key][0])


def pick(values: Tensor, support: Support) -> Tensor:
    """Values ``(batch, n)`` on a support: ``(batch, k)``, or ``(batch, rows, k)`` for windows."""
    if isinstance(support, Windows):
        return values[:, support.places[0]]
    return values if support is None else values[:, support]


def _cut(relaxation: Relaxation, free: Tensor | None, support: Support) -> Lines:
    def offset(values: Tensor) -> Tensor | None:
        return pick(values, support) if bool(values.any()) else None

    def slope(values: Tensor) -> Tensor:
        return pick(values, support) if isinstance(support, Windows) else pick(values, support)[:, None]

    every = torch.arange(relaxation.low.shape[1], device=relaxation.low.device)
    inside = support if isinstance(support, Tensor) else every
    position = torch.full_like(every, -1).index_copy(0, inside, every[: len(inside)])
    place = position[every[:0] if free is None else free]
    sides, there = relaxation.free, place >= 0
    elements = inside[place[there]]
    return Lines(
        low=tuple(slope(t.low) for t in relaxation.taps),
        high=tuple(slope(t.high) for t in relaxation.taps),
        low_offset=offset(relaxation.low),
        high_offset=offset(relaxation.high),
        place=place[there],
        kept=there,
        below=sides.below[:, None, elements] if sides is not None else relaxation.low[:, None, elements] > 0,
        above=sides.above[:, None, elements] if sides is not None else relaxation.low[:, None, elements] > 0,
    )


@final
@dataclass(frozen=True, eq=False)
class Seed:
    """Rows to start from: coefficients over nodes with their supports, a constant and an error, ``(batch, rows)``."""

    start: Node
    coefficients: Mapping[Node, tuple[Support, Tensor]]
    constant: Tensor
    error: Tensor

    @staticmethod
    def of(state: State, start: Node, index: Tensor, sign: Tensor) -> Seed:
        """``sign`` times the elements ``index`` of a node; an affine node is replaced by its parents at once."""
        zero = torch.zeros(1, len(index), dtype=state.maps.dtype, device=state.maps.device)
        if not isinstance(start, Affine):
            rows = sign[:, None] * functional.one_hot(index, start.size).to(zero.dtype)
            return Seed(start, {start: (None, rows[None])}, zero, zero)
        constant, error = (sign * state.maps.bias(start)[index])[None], state.slips[start].values[:, index]
        only = state.maps[start.maps[0]] if len(start.maps) == 1 else None
        if isinstance(only, ConvMap) and only.groups == 1:
            windows, rows = Windows.of(only, index)
            if windows.small:
                return Seed(start, {start.parents[0]: (windows, sign[None, :, None] * rows)}, constant, error)
        found: dict[Node, tuple[Support, Tensor]] = {}
        for linear, parent in zip(start.maps, start.parents, strict=True):
            support = state.supports.get(parent)
            rows = state.maps[linear].rows(index)
            rows = sign[:, None] * (rows if support is None else rows[:, support])
            old = found.get(parent)
            found[parent] = (support, rows[None] if old is None else old[1] + rows[None])
        return Seed(start, found, constant, error)


def descend(state: State, seed: Seed, dual: Dual, *, charge: bool = True) -> Tensor:
    """Lower bounds of the rows of a seed, ``(batch, rows)``; without ``charge`` rounding is left out."""
    run = _Pass(state, dual, charge)
    run.constant, run.error = seed.constant, seed.error
    for node, (support, values) in seed.coefficients.items():
        run.add(node, support, values)
    for node, values in dual.multipliers.items():
        run.add(node, None, values)
        if charge:
            run.error = run.error + state.maps.precision.gamma(state.count) * weigh(
                values, state.ranges[node].magnitude
            )
    for node in state.order(seed.start, *dual.multipliers):
        run.visit(node)
    return run.constant - run.error - state.maps.precision.tiny if charge else run.constant


def forms(state: State, seed: Seed) -> tuple[dict[Node, Tensor], Tensor]:
    """The rows of a seed as affine functions of the inputs that stay below them, ``sum_x C_x x + constant``.

    Coefficients ``(1 or batch, rows, n)`` of every input that matters; all rounding is paid by the constant.
    """
    run = _Pass(state, Dual(), charge=True)
    run.constant, run.error = seed.constant, seed.error
    for node, (support, values) in seed.coefficients.items():
        run.add(node, support, values)
    for node in state.order(seed.start):
        if not isinstance(node, Input):
            run.visit(node)
    left = {node: _full(node, support, values) for node, (support, values) in run.coefficients.items()}
    return left, run.constant - run.error - state.maps.precision.tiny


@final
class _Pass:
    """The claim of a pass that is under way."""

    constant: Tensor
    error: Tensor

    def __init__(self, state: State, dual: Dual, charge: bool) -> None:
        self.state, self.dual, self.charge = state, dual, charge
        self.coefficients: dict[Node, tuple[Support, Tensor]] = {}

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
        balls = self.state.balls.get(node, ())
        if isinstance(support, Windows) and (balls or not self._local(node)):
            support, c = None, _full(node, support, c)
        if isinstance(node, Input):
            centre, amount = self.state.box(node)
            amount = amount if support is None else Amounts(pick(amount.values, support), amount.finite)
            self.constant = self.constant + least(c, pick(centre, support), amount, balls, self.state.count)
            return
        if self.charge:
            self.error = self.error + self.state.slip(node, support).weighed(c)
        if isinstance(node, Affine):
            self._affine(node, support, c)
        else:
            self._nonlinear(node, support, c)

    def _local(self, node: Node) -> bool:
        """True if windows over a node can be taken further as windows."""
        if isinstance(node, Affine):
            kind = self.state.maps[node.maps[0]] if len(node.maps) == 1 else None
            return isinstance(kind, ConvMap) and kind.groups == 1
        return isinstance(node, Input) or (isinstance(node, Pointwise) and node not in self.dual.slopes)

    def _affine(self, node: Affine, support: Support, c: Tensor) -> None:
        bias = self.state.bias(node, support)
        if bias is not None:
            self.constant = self.constant + contract(c, bias)
        for linear, parent in zip(node.maps, node.parents, strict=True):
            kind, target = self.state.maps[linear], self.state.supports.get(parent)
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

    def _nonlinear(self, node: Node, support: Support, c: Tensor) -> None:
        lines, slopes = self.state.lines(node, support), self.dual.slopes.get(node)
        positive = c > 0
        for tap, low, high in zip(self.state.relaxed[node].taps, lines.low, lines.high, strict=True):
            term = c * torch.where(positive, low, high)
            if slopes is not None:
                term = _steer(term, c, lines, slopes)
            if tap.index is not None:
                spread_out = torch.zeros(*term.shape[:-1], tap.parent.size, dtype=term.dtype, device=term.device)
                term = spread_out.index_add_(-1, tap.index, term)
            self.add(tap.parent, support if tap.index is None else None, term)
        if lines.low_offset is not None:
            self.constant = self.constant + _offset(c.clamp(min=0), lines.low_offset)
        if lines.high_offset is not None:
            self.constant = self.constant + _offset(c.clamp(max=0), lines.high_offset)


def _steer(term: Tensor, c: Tensor, lines: Lines, slopes: Tensor) -> Tensor:
    """Put the chosen slopes in place of the stored ones, on the free side of each element."""
    own, old = c[..., lines.place], term[..., lines.place]
    chosen = torch.where(torch.where(own > 0, lines.below, lines.above), own * slopes[..., lines.kept], old)
    return term.expand(*chosen.shape[:-1], -1).index_copy(-1, lines.place, chosen)


def _full(node: Node, support: Support, values: Tensor) -> Tensor:
    if support is None:
        return values
    if isinstance(support, Windows):
        return support.spread(values)
    out = torch.zeros(*values.shape[:-1], node.size, dtype=values.dtype, device=values.device)
    return out.index_copy(-1, support, values)


def _offset(c: Tensor, offset: Tensor) -> Tensor:
    """``c offset``, where an infinite offset (of the bad sign for its side) makes the bound -infinite."""
    finite = torch.isfinite(offset)
    if bool(finite.all()):
        return contract(c, offset)
    total = contract(c, torch.where(finite, offset, 0.0))
    return torch.where(contract(c.abs(), (~finite).to(c.dtype)) > 0, -torch.inf, total)
