"""The smallest engine that a search can run on: intervals, rounded outward by far more than they lose.

It stands beside the kept engine so that tests of the loop do not rest on what they are to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnsym.bounds.kept.types import BatchBounds, Domains, Limit, Sums
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.walk import topological
from nnsym.results.clock import NEVER, Deadline

Array = Any


@dataclass(eq=False)
class IntervalEngine:
    """Intervals of every node, lines without slope, centres for points, widths for gaps."""

    query: Query
    calls: int = 0

    def root(self) -> Domains:
        limits = {x: Limit(*(side[None] for side in box.outer)) for x, box in self.query.boxes.items()}
        return Domains(limits, np.ones((1, len(self.query.rows)), dtype=bool))

    def bound(
        self,
        domains: Domains,
        *,
        steps: int = 0,
        goal: float = 0.0,
        hidden: int = 0,
        gaps: bool = True,
        sums: Sums | None = None,
        deadline: Deadline = NEVER,
    ) -> BatchBounds:
        deadline.check()
        self.calls += 1
        spec, slack, weight = self.query.spec
        found: dict[Node, Limit] = {}
        count = len(domains)
        for node in topological((*self.query.inputs, spec)):
            limit = self._interval(node, found, count)
            for told in (domains.limits, domains.ranges or {}):
                if node in told:
                    limit = limit.meet(told[node])
            found[node] = limit
        rows = found[spec]
        most = max((np.abs(np.stack([v.lower, v.upper])).max() for n, v in found.items() if n is not spec), default=0.0)
        lower = rows.lower - 2 * (slack + weight * (most if weight.any() else 0.0))
        empty = np.any([(v.lower > v.upper).any(1) for n, v in found.items() if n is not spec], axis=0)
        centre = {x: (found[x].lower + found[x].upper) / 2 for x in self.query.inputs}
        m = len(self.query.rows)
        wanted = domains.wanted[:, :m]
        if sums is not None:  # of which intervals know nothing
            none = np.full((count, domains.wanted.shape[1] - m), -np.inf)
            lower, m = np.concatenate([lower, none], axis=1), m + none.shape[1]
            wanted = np.concatenate([wanted, none == 0], axis=1)
        kept = {n: v for n, v in found.items() if n is not spec}
        return BatchBounds(
            np.where(wanted, lower, -np.inf),
            kept,
            empty,
            {x: np.zeros((count, m, x.size)) for x in self.query.inputs},
            lower,
            {x: np.repeat(v[:, None], m, 1) for x, v in centre.items()},
            {n: np.repeat((v.upper - v.lower)[:, None], m, 1) for n, v in kept.items()},
        )

    def _interval(self, node: Node, found: Mapping[Node, Limit], count: int) -> Limit:
        args = [found[p] for p in node.parents]
        match node:
            case Input():
                sides = (np.broadcast_to(side, (count, node.size)) for side in self.query.boxes[node].outer)
                return Limit(*sides)
            case Affine():
                low = high = np.broadcast_to(node.bias, (count, node.size))
                size = np.abs(low)
                for linear, arg in zip(node.maps, args, strict=True):
                    matrix = linear.matrix().toarray()
                    up, down = np.maximum(matrix, 0), np.minimum(matrix, 0)
                    low = low + arg.lower @ up.T + arg.upper @ down.T
                    high = high + arg.upper @ up.T + arg.lower @ down.T
                    size = size + np.maximum(np.abs(arg.lower), np.abs(arg.upper)) @ np.abs(matrix).T
                return Limit(low - 1e-13 * size, high + 1e-13 * size)
            case Pointwise():
                return Limit(*node.fn.span(args[0].lower, args[0].upper))
            case Max():
                real = node.groups >= 0
                low = np.where(real, args[0].lower[:, node.groups], -np.inf).max(-1)
                return Limit(low, np.where(real, args[0].upper[:, node.groups], -np.inf).max(-1))
            case Product():
                a, b = args
                ends = np.stack([x * y for x in (a.lower, a.upper) for y in (b.lower, b.upper)])
                wide = 1e-13 * np.abs(ends).max(0)
                return Limit(ends.min(0) - wide, ends.max(0) + wide)
        raise AssertionError(node)
