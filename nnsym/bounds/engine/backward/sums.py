"""Lines of sums of products, in blocks (:mod:`nnsym.bounds.engine.maps.contraction`).

Every product belongs to one sum, so its coefficient has the sign of that of the sum, and its line is chosen by it: the
lines of a sum are the sums of the lines of its products. The bounds are those of the same pass node by node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from nnsym.bounds.engine.backward.state import State
from nnsym.bounds.engine.maps.blocks import Blockwise
from nnsym.bounds.engine.maps.contraction import Contraction, Side
from nnsym.bounds.engine.rounding import FLOAT64, Amounts
from nnsym.ir.node import Affine, Node


@final
@dataclass(frozen=True, eq=False)
class Blocks:
    """Slopes on the elements of one operand, ``(batch, blocks, 2 sums, elements)``: lower lines', then upper lines'."""

    source: Node
    step: Blockwise
    slopes: Tensor

    def below(self, both: Tensor) -> Tensor:
        """Coefficients over the operand of those ``(batch, rows, 2 sums)`` of lower lines, then of upper ones."""
        return self.step(both, self.slopes)


@final
@dataclass(frozen=True, eq=False)
class SumLines:
    """The lines of a node that adds up products: slopes by operand, the upper lines' offset, the price of rounding."""

    sides: tuple[Blocks, ...]
    high: Tensor
    price: Amounts


def sum_lines(state: State, node: Affine) -> SumLines | None:
    """The lines of a sum of products; None where it is none, or some line is unbounded."""
    found = state.contractions.get(node)
    return None if found is None else state.once(("sum", node), None, lambda: _made(state, node, found))


def _made(state: State, node: Affine, found: Contraction) -> SumLines | None:
    known, taps = state.known[found.product], state.relaxed[found.product].taps
    assert known.low is not None
    assert known.high is not None
    if len(taps) != 2 or bool((known.low != 0).any()) or not bool(torch.isfinite(known.high).all()):
        return None
    by, total, most = state.maps.precision, known.drift, 0
    for charge in known.charges:
        total = total + by.gamma(charge.terms + state.count) * charge.amount
    for side in found.sides:
        own, copied = _centres(state, side)
        if bool((own != copied).any()):
            return None
        most = max(most, side.blocks.rows.shape[1])
    # every element of an operand gets a sum of rounded products, one of each sum that it is in
    total = total + by.gamma(most + 2 + state.count) * known.charges[0].amount
    kind = state.maps.wide[node.maps[0]]
    slack = FLOAT64.gamma(kind.terms + len(known.charges) + 4)
    price = Amounts.of(state.up(kind.stretch_any(total) * (1.0 + slack)))
    # a centre may lie outside the range, so that an upper line passes below it
    high = kind.stretch(known.high) + (slack * kind.stretch(known.high.abs()) + FLOAT64.tiny)
    sides = tuple(_blocks(state, side, tap.low, tap.high) for side, tap in zip(found.sides, taps, strict=True))
    return SumLines(sides, state.up(high), price)


def _centres(state: State, side: Side) -> tuple[Tensor, Tensor]:
    """The centres of an operand's products, and those of what they copy, as the blocks stand."""
    blocks, device = side.blocks, state.maps.device
    place = torch.tensor(blocks.place, device=device)
    read = torch.tensor(blocks.columns, device=device)[:, None].expand_as(place)
    return state.known[side.parent].centre[:, place], state.known[side.source].centre[:, read]


def _blocks(state: State, side: Side, low: Tensor, high: Tensor) -> Blocks:
    blocks, device = side.blocks, state.maps.device
    sums, elements, place = (torch.tensor(v, device=device) for v in (blocks.rows, blocks.columns, blocks.place))
    slopes = torch.cat((low[:, place], high[:, place]), 2).to(state.maps.dtype)
    read = torch.cat((sums, sums + sums.numel()), 1).ravel()
    return Blocks(side.source, Blockwise(read, elements.ravel(), side.source.size), slopes)
