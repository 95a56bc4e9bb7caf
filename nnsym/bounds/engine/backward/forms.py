"""The two affine functions of the inputs between which a node lies, as the backward pass leaves them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np
import torch

from nnsym.bounds.base import Bounds
from nnsym.bounds.engine.backward.descent import Seed, forms
from nnsym.bounds.engine.backward.linear import Backward
from nnsym.bounds.engine.forward.interval import widen_rows
from nnsym.bounds.engine.inputs import Range, domain
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.ir.text import linear_text

_SHOWN = 8  # elements, and inputs, up to which functions are written out


@final
@dataclass(frozen=True, eq=False)
class LinearBounds:
    """``L x + b_L <= v <= U x + b_U`` for every input x of the domain; unpacks as ``L, b_L, U, b_U``.

    L and U, the fields ``lower`` and ``upper``, have shape ``(size, n)`` over all inputs in their order, b_L and b_U
    ``(size,)``. The inequalities hold in exact arithmetic for the float64 numbers as they stand. ``inputs`` names the
    columns. The text shows six digits, and no number below 1e-9 of the largest.
    """

    name: str
    inputs: tuple[str, ...]
    lower: Array
    lower_offset: Array
    upper: Array
    upper_offset: Array

    def __iter__(self) -> Iterator[Array]:
        return iter((self.lower, self.lower_offset, self.upper, self.upper_offset))

    def __str__(self) -> str:
        size, width = self.lower.shape
        if size > _SHOWN or width > _SHOWN:
            return f"{self.name}: {size} elements between two affine functions of {width} inputs"
        lines = []
        for k in range(size):
            low, high = self._side(self.lower[k], self.lower_offset[k]), self._side(self.upper[k], self.upper_offset[k])
            lines.append(f"{low} <= {self.name}[{k}] <= {high}")
        return "\n".join(lines)

    __repr__ = __str__

    def _side(self, coefficients: Array, constant: float) -> str:
        if not np.isfinite(constant):
            return "-inf" if constant < 0 else "inf"
        noise = 1e-9 * (1 + np.abs(coefficients).max(initial=0.0))
        short = [Fraction(f"{c:.6g}") if abs(c) > noise else Fraction(0) for c in (*coefficients, constant)]
        named = zip(self.inputs, short[:-1], strict=True)
        return linear_text([(name, c) for name, c in named if c], short[-1])


def linear_bounds(query: Query, bounds: Bounds, node: Node, name: str) -> LinearBounds:
    """The functions around a node of the query or its specification layer, by CROWN on the given bounds of nodes."""
    with torch.inference_mode():
        maps = Maps()
        engine = Backward(query, domain(query, None, maps)[0], maps, fixed={})
        engine.run(bounds)
        spec = query.spec[0]
        if node is spec:
            engine.prepare(spec)
        index = torch.arange(node.size).repeat(2)
        sign = torch.ones(2 * node.size, dtype=maps.dtype)
        sign[node.size :] = -1.0
        found, constant = forms(engine.state, Seed.of(engine.state, node, index, sign))
        parts = [_rows(found.get(x), 2 * node.size, x.size) for x in query.inputs]
        offset = constant.expand(1, -1)[0].numpy()
        if node is spec:  # what rounding the exact rows may have moved
            zero = torch.zeros(1, node.size, dtype=maps.dtype)
            offset = offset + np.tile(widen_rows(Range(zero, zero), query, engine.ranges, maps).lower[0].numpy(), 2)
    matrix = np.concatenate([p.numpy() for p in parts], axis=1)
    below, above = slice(None, node.size), slice(node.size, None)
    names = tuple(f"{x.name}[{i}]" for x in query.inputs for i in range(x.size))
    return LinearBounds(name, names, matrix[below], offset[below], -matrix[above], -offset[above])


def _rows(coefficients: torch.Tensor | None, rows: int, width: int) -> torch.Tensor:
    return torch.zeros(rows, width, dtype=torch.float64) if coefficients is None else coefficients[0]
