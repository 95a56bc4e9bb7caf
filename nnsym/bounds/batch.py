"""Batches of boxes for sources that bound one domain at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from nnsym.bounds.base import Bounds, Interval
from nnsym.bounds.sources import FloatBoxes
from nnsym.ir.domain import Box
from nnsym.ir.node import Node
from nnsym.ir.query import Query


def alone(query: Query, boxes: FloatBoxes) -> Iterator[Query]:
    """The query on each box of a batch; an input with a single one has that in all of them."""
    wide = {x: tuple(np.atleast_2d(side) for side in sides) for x, sides in boxes.items()}
    for k in range(max(len(sides[0]) for sides in wide.values())):
        here = {x: Box(*(side[min(k, len(side) - 1)] for side in sides)) for x, sides in wide.items()}
        yield replace(query, boxes={**query.boxes, **here})


def in_turn(single: Callable[[Query], Bounds], query: Query, boxes: FloatBoxes | None) -> Bounds:
    """What ``single`` says of the query, or of it on each box of a batch, and the seconds of it all."""
    start = time.perf_counter()
    found = single(query) if boxes is None else stacked([single(one) for one in alone(query, boxes)])
    return replace(found, seconds=time.perf_counter() - start)


def stacked(parts: list[Bounds]) -> Bounds:
    """Bounds of several domains as a batch."""

    def stack(intervals: Iterator[Interval]) -> Interval:
        every = list(intervals)
        return Interval(np.stack([i.lower for i in every]), np.stack([i.upper for i in every]), every[0].source)

    nodes: Mapping[Node, Interval] = {n: stack(c[n] for c in parts) for n in parts[0].nodes}
    return replace(parts[0], nodes=nodes, rows=stack(c.rows for c in parts), seconds=sum(c.seconds for c in parts))
