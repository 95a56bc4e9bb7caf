"""A graph as blocks of increments with quadratic inequalities between them: what LipSDP multiplies.

The blocks are the inputs together, block 0, and every nonlinear node's open elements. With ``u = sum_j A_j z_j`` the
increment of a node's argument, two runs of the graph satisfy

    activation of slopes [a, b]     (y_i - a_i u_i)(b_i u_i - y_i) >= 0       (Fazlyab et al., Efficient and Accurate
                                    Estimation of Lipschitz Constants for Deep Neural Networks, 2019, lemma 1)
    maximum of a group g            sum_{i in g} u_i^2 - y_g^2 >= 0
    maximum of two                  (u_1 + u_2 + |u_1 - u_2|) / 2, whose absolute value has the slopes [-1, 1]

for every element by itself, which is what diagonal multipliers may use; full ones are not valid (Pauli et al., Training
Robust Neural Networks Using Lipschitz Bounds, 2021, remark 1). Elements of one slope are merged into what reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from nnsym.bounds.lipschitz.merged import Weight
from nnsym.bounds.lipschitz.sorting import opposite
from nnsym.ir.array import Array
from nnsym.ir.intervals import Sides
from nnsym.ir.linear import Dense, digest
from nnsym.ir.node import Affine, Max, Node, Pointwise
from nnsym.results.clock import NEVER, Deadline

#: Inputs and neurons together up to which the matrix is made.
MOST = 3000


@final
@dataclass(frozen=True, eq=False)
class Block:
    """One node's inequalities: ``argument`` holds the matrices of its argument over blocks.

    For an activation ``low`` and ``high`` are the slopes; for a maximum ``groups`` of ``(n, k)``, padded with -1.
    """

    argument: Mapping[int, Weight]
    size: int
    low: Array
    high: Array
    groups: Array | None = None


@final
@dataclass(frozen=True, eq=False)
class Sectors:
    """The blocks of a graph; ``width`` is the number of inputs, ``root`` the outputs over the blocks."""

    width: int
    blocks: tuple[Block, ...]
    root: Mapping[int, Weight]

    @property
    def sizes(self) -> list[int]:
        return [self.width, *(b.size for b in self.blocks)]

    def row(self, i: int) -> Sectors:
        """The i-th output alone."""
        root = {
            k: Weight(w.matrix[i : i + 1], None if w.slack is None else w.slack[i : i + 1])
            for k, w in self.root.items()
        }
        return Sectors(self.width, self.blocks, root)

    @property
    def outputs(self) -> int:
        return next((len(w.matrix) for w in self.root.values()), 0)

    @cached_property
    def key(self) -> str:
        """Content digest."""
        parts: list[object] = [self.width]
        for block in self.blocks:
            parts += [block.size, block.low, block.high, block.groups if block.groups is not None else 0]
            parts += _content(block.argument)
        return digest([*parts, *_content(self.root)])


def _content(weights: Mapping[int, Weight]) -> list[object]:
    parts: list[object] = []
    for k, weight in sorted(weights.items()):
        parts += [k, weight.matrix, 0 if weight.slack is None else weight.slack]
    return parts


def sectors(
    root: Node,
    starts: tuple[Node, ...],
    ranges: Mapping[Node, Sides],
    nodes: tuple[Node, ...],
    *,
    deadline: Deadline = NEVER,
) -> Sectors | None:
    """The blocks of the graph from ``starts`` to ``root``; None if it is too large, or has other nodes or slopes.

    ``starts`` are inputs, or nodes taken for them; ``nodes`` are all nodes in between, parents first. Raises
    :class:`nnsym.results.clock.OutOfTime` where the deadline passes between two of them.
    """
    builder = _Builder(starts, ranges)
    for node in nodes:
        deadline.check()
        if node not in builder.weights and not builder.add(node):
            return None
    found = builder.weights[root]
    return Sectors(builder.width, tuple(builder.blocks), found)


class _Builder:
    """Every node's increment over the blocks so far."""

    def __init__(self, starts: tuple[Node, ...], ranges: Mapping[Node, Sides]) -> None:
        self.ranges, self.blocks = ranges, list[Block]()
        self.width = sum(x.size for x in starts)
        self.total = self.width
        self.weights: dict[Node, dict[int, Weight]] = {}
        self.halves: dict[Max, int] = {}
        begin = 0
        for x in starts:
            unit = np.zeros((x.size, self.width))
            unit[np.arange(x.size), begin + np.arange(x.size)] = 1.0
            self.weights[x] = {0: Weight(unit)}
            begin += x.size

    def add(self, node: Node) -> bool:
        """False where the node is none that has inequalities, or too large."""
        match node:
            case Affine():
                return self._affine(node)
            case Pointwise():
                return self._pointwise(node)
            case Max():
                return self._maximum(node)
        return False

    def _affine(self, node: Affine) -> bool:
        found: dict[int, Weight] = {}
        for linear, parent in zip(node.maps, node.parents, strict=True):
            if parent.size > MOST or linear.n_out > MOST:
                return False
            for k, weight in self.weights[parent].items():
                new = weight.after(linear)
                found[k] = found[k].plus(new) if k in found else new
        self.weights[node] = found
        return True

    def _pointwise(self, node: Pointwise) -> bool:
        low, high = (np.broadcast_to(s, (node.size,)) for s in node.fn.steepness(*self.ranges[node.parents[0]]))
        if not (np.isfinite(low) & np.isfinite(high)).all():
            return False
        argument, fixed = self.weights[node.parents[0]], low == high
        found = {k: _rows_scaled(w, np.where(fixed, low, 0.0)) for k, w in argument.items()} if fixed.any() else {}
        open_ = np.flatnonzero(~fixed)
        if len(open_):
            own = {k: _rows(w, open_) for k, w in argument.items()}
            new = self._block(Block(own, len(open_), low[open_], high[open_]))
            for k, weight in new.items():
                wide = np.zeros((node.size, len(open_)))
                wide[open_] = weight.matrix
                found[k] = Weight(wide)
        self.weights[node] = found
        return self.total <= MOST

    def _maximum(self, node: Max) -> bool:
        argument, zero = self.weights[node.parents[0]], np.zeros(node.size)
        if node.groups.shape[1] != 2 or (node.groups < 0).any():
            self.weights[node] = self._block(Block(argument, node.size, zero, zero, node.groups))
            return self.total <= MOST
        first, second = (np.zeros((node.size, node.parents[0].size)) for _ in range(2))
        rows = np.arange(node.size)
        first[rows, node.groups[:, 0]] = 1.0
        second[rows, node.groups[:, 1]] = 1.0
        apart = {k: w.after(Dense(first - second)) for k, w in argument.items()}
        found = {k: w.after(Dense((first + second) / 2)) for k, w in argument.items()}
        k = self._absolute(node, apart)
        half = Weight(np.eye(node.size) / 2)
        found[k] = found[k].plus(half) if k in found else half
        self.weights[node] = found
        return self.total <= MOST

    def _absolute(self, node: Max, argument: dict[int, Weight]) -> int:
        """The block of ``|argument|``; both halves of a sort have one."""
        for other, k in self.halves.items():
            same = other.parents[0] is node.parents[0] or opposite(other.parents[0], node.parents[0])
            if same and other.groups.shape == node.groups.shape and (other.groups == node.groups).all():
                return k
        one = np.ones(node.size)
        self._block(Block(argument, node.size, -one, one))
        self.halves[node] = len(self.blocks)
        return len(self.blocks)

    def _block(self, block: Block) -> dict[int, Weight]:
        self.blocks.append(block)
        self.total += block.size
        return {len(self.blocks): Weight(np.eye(block.size))}


def _rows(weight: Weight, index: Array) -> Weight:
    return Weight(weight.matrix[index], None if weight.slack is None else weight.slack[index])


def _rows_scaled(weight: Weight, factors: Array) -> Weight:
    turned = Weight(weight.matrix.T, None if weight.slack is None else weight.slack.T).scaled(factors)
    return Weight(turned.matrix.T, None if turned.slack is None else turned.slack.T)
