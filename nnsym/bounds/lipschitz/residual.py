"""Residual blocks: the sub-graph between a node where branches meet and the last node that all of them pass.

The triangle inequality gives ``1 + L`` for ``x + g(x)``. The block is a small network of its own, so the multipliers of
:mod:`multipliers` bound it as a whole: ``x - 2 W T^-1 relu(W' x + b)`` has the constant 1 where ``T - W'W`` is positive
semidefinite (Meunier et al., A Dynamical System Perspective for Lipschitz Neural Networks, 2022, theorem 3; Araujo et
al., A Unified Algebraic Perspective on Lipschitz Neural Networks, 2023, theorem 3), and the same certificate shows it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.lipschitz.constants import certificate
from nnsym.bounds.lipschitz.sectors import sectors
from nnsym.ir.intervals import Sides
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise
from nnsym.results.clock import NEVER, Deadline

#: Inputs and neurons of a block, and nodes, up to which it is looked at, and steps of its search.
MOST, LONGEST, STEPS = 700, 60, 120


@final
@dataclass(frozen=True, eq=False)
class Joint:
    """All that reaches ``node`` comes through ``start``; ``inner`` lies between, parents first, the node included."""

    start: Node
    node: Node
    inner: tuple[Node, ...]


def joint(node: Node, below: Iterable[Node]) -> Joint | None:
    """The block that ends in a node; None where branches do not meet, or nothing nonlinear lies between.

    ``below`` holds the nodes that it depends on, parents first.
    """
    if not isinstance(node, Affine) or not _meets(node):
        return None
    order = {n: k for k, n in enumerate(below)}
    order[node] = len(order)
    frontier = [(-order[p], p) for p in dict.fromkeys(node.parents)]
    seen = {p for _, p in frontier}
    inner: list[Node] = [node]
    heap = [(k, i) for i, (k, _) in enumerate(frontier)]
    members = [p for _, p in frontier]
    heapq.heapify(heap)
    while len(heap) > 1:
        _, place = heapq.heappop(heap)
        top = members[place]
        if isinstance(top, Input) or len(inner) > LONGEST:
            return None
        inner.append(top)
        for parent in top.parents:
            if parent not in seen:
                seen.add(parent)
                members.append(parent)
                heapq.heappush(heap, (-order[parent], len(members) - 1))
    start = members[heap[0][1]]
    between = tuple(sorted(inner, key=order.__getitem__))
    curved = any(isinstance(n, (Pointwise, Max)) for n in between)
    return Joint(start, node, between) if curved else None


def _meets(node: Affine) -> bool:
    """True if several branches come in, through affine nodes too."""
    below: Node = node
    while isinstance(below, Affine) and len(below.parents) == 1:
        below = below.parents[0]
    return isinstance(below, Affine) and len(below.parents) > 1


def block_constant(found: Joint, ranges: Mapping[Node, Sides], *, deadline: Deadline = NEVER) -> float:
    """A constant 2 -> 2 of the block; infinite where it is too large, or its nodes have no inequalities.

    Raises :class:`nnsym.results.clock.OutOfTime` where the deadline passes before there is a block to search.
    """
    width = found.start.size + sum(n.size for n in found.inner if isinstance(n, (Pointwise, Max)))
    if width > MOST:
        return np.inf
    system = sectors(found.node, (found.start,), ranges, found.inner, deadline=deadline)
    return np.inf if system is None else certificate(system, steps=STEPS, deadline=deadline).constant
