"""Bounds of the rows of a property's cases over batches of boxes, two runs bounded together where there are two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from nnsym.bounds.engine.inputs import Range, device_balls
from nnsym.ir.node import Affine, Node
from nnsym.ir.pairs.paired import Paired, pair
from nnsym.ir.query import Query
from nnsym.ir.walk import topological
from nnsym.train.live import Live
from nnsym.train.passes import NodeBounding, Passes, Start

Inputs = Mapping[Node, Range]


@final
class Rows:
    """The rows of several queries over the same inputs and nodes; case k are those of query k, padded with zeros."""

    def __init__(self, queries: tuple[Query, ...], live: Live, lines: NodeBounding) -> None:
        self.queries, self.live = queries, live
        nodes = topological([node for query in queries for node in query.nodes])
        self.passes = Passes(live, nodes, device_balls(queries[0], live), lines)
        self.start = _start(queries, live)
        pairs = [pair(query) for query in queries]
        self.pairs = [
            None if p is None else _Pair(p, live, lines, len(q.rows)) for p, q in zip(pairs, queries, strict=True)
        ]

    def least(self, inputs: Inputs, case: Tensor | None) -> Tensor:
        """Lower bounds of the rows of every box's case, ``(batch, rows)``; ``case`` None is case 0 for all.

        Two runs of one network are bounded by themselves and by their differences, and the better bound counts.
        """
        ranges = self.passes.ranges(inputs)
        batch = len(next(iter(inputs.values())).lower)
        rows = self.passes.least(self.start, ranges, case).expand(batch, -1)
        for k, paired in enumerate(self.pairs):
            if paired is None:
                continue
            chosen = torch.arange(batch) if case is None else torch.nonzero(case == k).ravel()
            if len(chosen):
                part = {x: Range(box.lower[chosen], box.upper[chosen]) for x, box in inputs.items()}
                found = paired.least(part)
                better = torch.maximum(rows[chosen, : found.shape[1]], found)
                wide = torch.cat((better, rows[chosen, found.shape[1] :]), 1)
                rows = rows.index_copy(0, chosen, wide)
        return rows


@final
class _Pair:
    """One query over the differences of its two runs (:mod:`nnsym.ir.pairs.paired`)."""

    def __init__(self, paired: Paired, live: Live, lines: NodeBounding, count: int) -> None:
        query = paired.query
        self.paired, self.live, self.count = paired, live, count
        self.passes = Passes(live, query.nodes, device_balls(query, live), lines)
        whole = _start((query,), live)
        self.start = Start({n: c[:, :count] for n, c in whole.coefficients.items()}, whole.constant[:, :count])

    def least(self, inputs: Inputs) -> Tensor:
        given = {x: (box.lower.double().cpu().numpy(), box.upper.double().cpu().numpy()) for x, box in inputs.items()}
        boxes = self.paired.boxes(given)  # type: ignore[arg-type]
        found: dict[Node, Range] = {x: Range(*map(self.live.tensor, sides)) for x, sides in boxes.items()}
        return self.passes.least(self.start, self.passes.ranges(found | dict(inputs)), None)


def _start(queries: tuple[Query, ...], live: Live) -> Start:
    """The rows of all cases, ``(cases, rows, n)`` over every node that some row reads."""
    count = max(len(query.rows) for query in queries)
    constant = torch.zeros(len(queries), count, dtype=live.dtype, device=live.device)
    coefficients: dict[Node, Tensor] = {}
    for k, query in enumerate(queries):
        spec = query.spec[0]
        assert isinstance(spec, Affine)
        constant[k, : spec.size] = live.tensor(spec.bias)
        for linear, node in zip(spec.maps, spec.parents, strict=True):
            if node not in coefficients:
                coefficients[node] = constant.new_zeros(len(queries), count, node.size)
            coefficients[node][k, : spec.size] = live.tensor(linear.matrix().toarray())
    return Start(coefficients, constant)
