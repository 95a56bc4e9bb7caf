"""What methods that carry a form of every node forward have in common: the walk, the clock, and the memory.

A form is much larger than an interval, one row per input or noise symbol. So the walk drops a form after its last
reader, takes maps of forms in chunks of rows between which it looks at the clock, and goes on by intervals alone where
time or memory is over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, final

import torch
from torch import Tensor

from nnsym.bounds.base import MEMORY, TIMEOUT, Bounds
from nnsym.bounds.engine.forward.interval import Forward, finish, widen_rows
from nnsym.bounds.engine.inputs import Balls, Range, device_balls, domain
from nnsym.bounds.engine.maps.maps import Maps
from nnsym.bounds.engine.maps.torch_maps import TorchMap
from nnsym.bounds.sources import FloatBoxes
from nnsym.ir.node import Input, Node
from nnsym.ir.query import Query
from nnsym.ir.walk import topological
from nnsym.results.clock import Deadline, OutOfMemory, OutOfTime

_STEP = 2**30  # products between two looks at the clock, a part of a second of a processor
_COPIES = 6  # arrays of the size of a form that making one keeps alive for a moment


@final
@dataclass(frozen=True, eq=False)
class Room:
    """What making forms may take: time, and bytes beside the ``held`` ones of forms that are still read."""

    deadline: Deadline
    memory: int
    held: dict[Node, int] = field(default_factory=dict)

    def ask(self, maps: Maps, *shape: int) -> None:
        """Raise :class:`OutOfMemory` if a form of this shape does not fit, OutOfTime past the deadline."""
        self.deadline.check()
        size = maps.precision.dtype.itemsize
        for length in shape:
            size *= length
        if _COPIES * size + sum(self.held.values()) > self.memory:
            raise OutOfMemory

    def mapped(self, kind: TorchMap, apply: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """``apply``, a product with a map, of ``(batch, rows, n)``."""
        self.deadline.check()
        rows = max(1, _STEP // max(1, kind.work * len(x)))
        if kind.copies or x.shape[1] <= rows:
            return apply(x)
        parts = []
        for piece in torch.split(x, rows, 1):
            self.deadline.check()
            parts.append(apply(piece))
        return torch.cat(parts, 1)


class Engine(Protocol):
    """A method that carries a form of every node: two affine functions of the inputs, or a zonotope."""

    @property
    def forms(self) -> dict[Node, Any]: ...

    @property
    def ranges(self) -> dict[Node, Range]: ...

    def enclose(self, node: Node, parents: tuple[Range, ...], known: Range) -> Range:
        """Make the form of a node whose parents are done; its interval."""


Make = Callable[[Maps, Mapping[Node, Range], Balls, Room], Engine]


def carry(
    name: str,
    query: Query,
    boxes: FloatBoxes | None,
    make: Make,
    maps: Maps,
    *,
    deadline: Deadline,
    memory: int,
) -> Bounds:
    """The intervals of a method's forms of every node and of the rows, intersected with interval steps."""
    start = time.perf_counter()
    inputs, batched = domain(query, boxes, maps)
    spec = query.spec[0]
    nodes = topological((*query.nodes, spec))
    balls, room = device_balls(query, maps), Room(deadline, memory)
    forward = Forward(maps, balls, deadline=deadline.grace)
    plain = forward.run(nodes, inputs)
    engine, sources, ended = make(maps, inputs, balls, room), dict.fromkeys(nodes, "ibp"), ""
    last = {parent: node for node in nodes for parent in node.parents}
    for node in nodes:
        parents = tuple(engine.ranges[p] for p in node.parents)
        known = plain[node]
        if not isinstance(node, Input) and not forward.over():
            known = forward.step(node, parents).intersect(known)
        found = known if ended else _enclosed(engine, node, parents, known, room)
        if found is None:
            found, ended = known, TIMEOUT if deadline.passed else MEMORY
        elif bool((found.lower > known.lower).any() or (found.upper < known.upper).any()):
            sources[node] = name
        engine.ranges[node] = found
        for parent in node.parents:
            if last[parent] is node:
                engine.forms.pop(parent, None)
                room.held.pop(parent, None)
    rows = widen_rows(engine.ranges[spec], query, engine.ranges, maps)
    ranges, device = engine.ranges, maps.device
    bounds = finish(name, query, ranges, rows, sources=sources, batched=batched, start=start, device=device)
    return replace(bounds, ended=TIMEOUT if forward.late else ended)


def _enclosed(engine: Engine, node: Node, parents: tuple[Range, ...], known: Range, room: Room) -> Range | None:
    """The interval of a node by its form, met with the known one; None if there was no time or memory for it."""
    try:
        found = known.intersect(engine.enclose(node, parents, known))
    except (OutOfTime, OutOfMemory):
        return None
    form = engine.forms[node]
    room.held[node] = sum(v.numel() * v.element_size() for v in vars(form).values())
    return found
