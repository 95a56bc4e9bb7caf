"""Boxes of inputs that a loss is taken over: those that the caller gives, or cells of the property's domain."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from nnsym.bounds.domains import domain_boxes
from nnsym.bounds.engine.inputs import Range
from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.lang.algebra.variables import Variable
from nnsym.train.given import require_boxes, tensor
from nnsym.train.live import Live

Sides: TypeAlias = tuple[Any, Any]
#: The lower and the upper ends ``(batch, ...)`` of one variable, or of every variable.
Boxes: TypeAlias = Sides | Mapping[Variable, Sides]


def cells(query: Query, count: int) -> dict[Node, tuple[Array, Array]]:
    """``count`` boxes or more that cover the query's domain: its own, the widest halved until there are so many.

    Width is measured in that of the domain, so that a variable in thousands and one in thousandths count alike.
    """
    boxes = [[(x, *box[x]) for x in query.inputs] for box in domain_boxes(query)]
    if not boxes:
        raise InputError("no input satisfies the precondition", where=query.name, remedy="Check where=")
    low = np.stack([np.concatenate([lower for _, lower, _ in box]) for box in boxes])
    high = np.stack([np.concatenate([upper for _, _, upper in box]) for box in boxes])
    whole = np.maximum(high.max(axis=0) - low.min(axis=0), 2.0**-1000)
    order = itertools.count()
    heap = [(-float(((u - l) / whole).max()), next(order), l, u) for l, u in zip(low, high, strict=True)]  # noqa: E741
    heapq.heapify(heap)
    while len(heap) < count and heap[0][0] < 0:
        _, _, lower, upper = heapq.heappop(heap)
        k = int(((upper - lower) / whole).argmax())
        for side in (0, 1):
            part = lower.copy(), upper.copy()
            part[1 - side][k] = 0.5 * (lower[k] + upper[k])
            heapq.heappush(heap, (-float(((part[1] - part[0]) / whole).max()), next(order), *part))
    found = sorted(heap, key=lambda cell: cell[1])
    ends = np.stack([cell[2] for cell in found]), np.stack([cell[3] for cell in found])
    cuts = np.cumsum([0, *(x.size for x in query.inputs)])
    spans = zip(query.inputs, cuts, cuts[1:], strict=False)
    return {x: (ends[0][:, a:b], ends[1][:, a:b]) for x, a, b in spans}


def read_boxes(given: Boxes, inputs: tuple[Input, ...], live: Live) -> dict[Node, Range]:
    """The caller's boxes as tensors ``(batch, n)``, one for every input."""
    if isinstance(given, Mapping):
        sides = {getattr(variable, "input", variable): ends for variable, ends in given.items()}
    else:
        sides = dict(zip(inputs, (given,), strict=False))
    if set(sides) != set(inputs):
        names = ", ".join(x.name for x in inputs)
        raise InputError(
            f"boxes for {len(sides)} variables", where=names, remedy="Give {x: (lower, upper), ...} for all"
        )
    found: dict[Node, Range] = {}
    for x in inputs:
        ends = [tensor(side, "boxes").to(live.device, live.dtype) for side in sides[x]]
        if (
            len(ends) != 2
            or any(side.dim() < 1 or side.shape[1:].numel() != x.size for side in ends)
            or ends[0].shape != ends[1].shape
        ):
            shapes = " and ".join(str(tuple(side.shape)) for side in ends)
            raise InputError(
                f"boxes of shapes {shapes} for {x.size} elements",
                where=x.name,
                remedy="Give arrays whose first axis numbers the boxes",
            )
        require_boxes(ends[0], ends[1], x.name)
        found[x] = Range(*(side.reshape(len(side), -1) for side in ends))
    if len({len(box.lower) for box in found.values()}) != 1:
        raise InputError(
            "different numbers of boxes", where=", ".join(x.name for x in inputs), remedy="Give as many each"
        )
    return found
