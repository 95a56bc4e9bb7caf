"""Where the variables of a VNN-LIB file live in a query."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from itertools import accumulate
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import simplify
from nnsym.ir.node import Input, Node
from nnsym.read.vnnlib.tree import Inequality

Limit = Fraction | float
Ranges = Mapping[int, tuple[Limit, Limit]]  # by index of an input; what is absent is unbounded

_INFINITY = float("inf")


@final
class Places:
    """Where variables live: their node and element.

    Variables from 0 on are elements of ``inputs``, ``~0`` and so on elements of ``outputs``; ``products`` are negative
    ones beyond those, with their own places, and ``hard`` those among them that read inputs alone.
    """

    def __init__(
        self,
        inputs: tuple[Input, ...],
        outputs: tuple[Node, ...],
        products: Mapping[int, tuple[Node, int]] | None = None,
        hard: Collection[int] = (),
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.products, self.hard = products or {}, hard
        self._starts = {nodes: np.array([0, *accumulate(n.size for n in nodes)]) for nodes in (inputs, outputs)}

    def of(self, variable: int) -> tuple[Node, int]:
        if variable in self.products:
            return self.products[variable]
        nodes, index = (self.inputs, variable) if variable >= 0 else (self.outputs, ~variable)
        starts = self._starts[nodes]
        which = int(np.searchsorted(starts, index, "right")) - 1
        return nodes[which], index - int(starts[which])

    def soft(self, comparison: Inequality) -> bool:
        """True if it reads something that a network computes."""
        return any(v < 0 and v not in self.hard for v in comparison.term.coefficients)

    def vectors(self) -> list[tuple[Node, int, bool]]:
        """Every node with the number of its first variable (``~number`` of outputs), and whether it is an input."""
        sides = ((self.inputs, True), (self.outputs, False))
        return [(n, int(a), side) for nodes, side in sides for n, a in zip(nodes, self._starts[nodes], strict=False)]

    def pieces(self) -> list[tuple[Input, int, int]]:
        """Every input with the numbers of its first variable and of the one behind its last."""
        starts = self._starts[self.inputs].tolist()
        return list(zip(self.inputs, starts, starts[1:], strict=False))

    def boxes(self, ranges: Ranges) -> dict[Input, tuple[Array, Array]]:
        """Lower and upper bounds of every input, infinite where ``ranges`` says nothing."""
        starts = self._starts[self.inputs]
        limits = [np.full(starts[-1], open_end, dtype=object) for open_end in (-_INFINITY, _INFINITY)]
        for variable, pair in ranges.items():
            for array, value in zip(limits, pair, strict=True):
                array[variable] = value
        pieces = zip(self.inputs, starts, starts[1:], strict=False)
        return {x: (simplify(limits[0][a:b]), simplify(limits[1][a:b])) for x, a, b in pieces}
