"""Values and slopes of a property at many points at once, on a device: what a counter-search is guided by.

A batch of points runs through the graph as one matrix product per linear map, and the slopes of one row per point run
back the same way; convolutions stay convolutions. Float64 without any claim: nothing here is a bound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np
import torch
from torch import Tensor

from nnsym.bounds.engine.maps.maps import Maps
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.formula import Atoms, InBox, reduce_formula
from nnsym.ir.node import Affine, Input, Max, Node, Points, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge, direction
from nnsym.ir.walk import topological
from nnsym.results.clock import NEVER, Deadline

_STEP = 2**31  # products of one run of a batch of points: about half a second of a processor
_HAIR = 2.0**-1000  # by how much a strict row that is 0 is missed


@final
@dataclass(frozen=True, eq=False)
class Standing:
    """Where points stand, arrays ``(count,)``: by how much the precondition is missed, the margin, and who decides.

    ``missed`` is 0 inside the precondition. ``row`` is the row whose slope changes the margin, or, outside the
    precondition, brings the point nearer to it; -1 where no row does.
    """

    missed: Array
    margin: Array
    row: Array

    @property
    def score(self) -> Array:
        """The property's margin, +inf outside the precondition."""
        return np.where(self.missed > 0, np.inf, self.margin)

    def beats(self, other: Standing) -> Array:
        """Which points are nearer to the precondition, or inside it with a smaller margin."""
        nearer = self.missed < other.missed
        return np.asarray(nearer | (self.missed == other.missed) & (self.margin < other.margin))

    def choose(self, other: Standing, mine: Array) -> Standing:
        """Its own points where ``mine``, else the other's."""
        pairs = ((self.missed, other.missed), (self.margin, other.margin), (self.row, other.row))
        return Standing(*(np.where(mine, a, b) for a, b in pairs))


def standing(query: Query, rows: Array, points: Points) -> Standing:
    """Fold the formula over rows ``(count, m)``: a conjunction is decided by its largest part, a disjunction by its
    smallest, and whatever misses a hard leaf by that leaf first.
    """
    count = len(rows)
    nowhere = np.full(count, -1)

    def leaf(node: Atoms | InBox) -> Standing:
        if isinstance(node, InBox):
            x = points[node.input]
            away = np.maximum(node.lower - x, x - node.upper).astype(np.float64).max(axis=-1, initial=0.0)
            return Standing(away, np.full(count, -np.inf), nowhere)
        if not len(node.rows):
            none = np.full(count, -np.inf if node.every else np.inf)
            return Standing(np.maximum(none, 0.0), none, nowhere)
        s = rows[:, node.rows]
        if not node.soft:
            s = np.maximum(s, 0.0) + np.where(node.strict & (s == 0), _HAIR, 0.0)
        place = s.argmax(axis=1) if node.every else s.argmin(axis=1)
        worst = s[np.arange(count), place]
        if node.soft:
            return Standing(np.zeros(count), worst, node.rows[place])
        return Standing(worst, np.full(count, -np.inf), node.rows[place])

    def every(parts: list[Standing]) -> Standing:
        found = Standing(np.zeros(count), np.full(count, -np.inf), nowhere)
        for part in parts:
            missed, margin = part.missed > found.missed, part.margin > found.margin
            outside = np.maximum(found.missed, part.missed) > 0
            row = np.where(np.where(outside, missed, margin), part.row, found.row)
            found = Standing(np.maximum(found.missed, part.missed), np.maximum(found.margin, part.margin), row)
        return found

    def some(parts: list[Standing]) -> Standing:
        found = Standing(np.full(count, np.inf), np.full(count, np.inf), nowhere)
        for part in parts:
            found = part.choose(found, part.beats(found))
        return found

    return reduce_formula(query.formula, leaf, every, some)


@final
class Tape:
    """Runs batches of points of one query and remembers their values for the way back; ``maps`` may be the caller's."""

    def __init__(self, query: Query, device: str = "cpu", *, maps: Maps | None = None) -> None:
        self.query, self.maps = query, maps or Maps(device)
        self.spec = query.spec[0]
        self.nodes = topological((*query.nodes, self.spec))

    def load(self, deadline: Deadline) -> None:
        """Bring every map to the device; :class:`nnsym.results.clock.OutOfTime` is raised between two of them."""
        for node in self.nodes:
            for linear in node.maps if isinstance(node, Affine) else ():
                deadline.check()
                _ = self.maps[linear]

    @cached_property
    def most(self) -> int:
        """So many points at once take about a second, and keep to the memory limit of the maps."""
        work = sum(self.maps[m].work for node in self.nodes if isinstance(node, Affine) for m in node.maps)
        kept = 3 * self.maps.dtype.itemsize * sum(node.size for node in self.nodes)
        return max(1, min(_STEP // max(1, work), self.maps.memory // max(1, 2 * kept)))

    def run(self, points: Points, *, deadline: Deadline = NEVER) -> tuple[dict[Node, Tensor], Standing]:
        """The values of all nodes at points ``(count, n)`` of every input, and where the points stand.

        Raises :class:`nnsym.results.clock.OutOfTime` where the deadline passes between two nodes.
        """
        count = len(next(iter(points.values())))
        values: dict[Node, Tensor] = {}
        for node in self.nodes:
            deadline.check()
            if isinstance(node, Input):
                values[node] = self.maps.tensor(points[node])
            else:
                values[node] = self._step(node, tuple(values[p] for p in node.parents), count)
        return values, standing(self.query, values[self.spec].cpu().numpy(), points)

    def slopes(self, values: Mapping[Node, Tensor], row: Array, *, deadline: Deadline = NEVER) -> dict[Input, Array]:
        """``d s_row / d x`` for one row per point, by reverse accumulation; a subgradient at kinks, 0 for row -1.

        Raises :class:`nnsym.results.clock.OutOfTime` where the deadline passes between two nodes.
        """
        seed = torch.zeros_like(values[self.spec])
        chosen = np.flatnonzero(row >= 0)
        seed[torch.tensor(chosen, device=seed.device), torch.tensor(row[chosen], device=seed.device)] = 1.0
        pending: dict[Node, Tensor] = {self.spec: seed}
        for node in reversed(self.nodes):
            above = pending.pop(node, None) if not isinstance(node, Input) else None
            if above is None:
                continue
            deadline.check()
            for parent, part in zip(node.parents, self._pull_back(node, values, above), strict=True):
                pending[parent] = pending[parent] + part if parent in pending else part
        return {
            x: pending[x].cpu().numpy() if x in pending else np.zeros((len(row), x.size)) for x in self.query.inputs
        }

    def choose(self, mine: Mapping[Node, Tensor], other: Mapping[Node, Tensor], pick: Array) -> dict[Node, Tensor]:
        """The first values at the points of ``pick``, else the second."""
        where = torch.tensor(pick, device=self.maps.device)[:, None]
        return {node: torch.where(where, value, other[node]) for node, value in mine.items()}

    def _step(self, node: Node, args: tuple[Tensor, ...], count: int) -> Tensor:
        match node:
            case Affine():
                total = self.maps.bias(node).expand(count, -1)
                for linear, value in zip(node.maps, args, strict=True):
                    total = total + self.maps[linear].apply(value)
                return total
            case Pointwise(fn=Hinge()):
                slopes = self.maps.slopes(node)
                return args[0] * torch.where(args[0] > 0, slopes.right, slopes.left)
            case Pointwise():
                return self.maps.tensor(node.fn.value(args[0].cpu().numpy()))
            case Max():
                return args[0][:, self.maps.members(node)].amax(-1)
            case Product():
                return args[0] * args[1]
        raise UnsupportedError(f"no values of {node!r}")

    def _pull_back(self, node: Node, values: Mapping[Node, Tensor], above: Tensor) -> tuple[Tensor, ...]:
        match node:
            case Affine():
                return tuple(self.maps[linear].adjoint(above) for linear in node.maps)
            case Pointwise(fn=Hinge()):
                slopes = self.maps.slopes(node)
                return (above * torch.where(values[node.parents[0]] > 0, slopes.right, slopes.left),)
            case Pointwise(fn=fn):
                return (above * self.maps.tensor(direction(fn, values[node.parents[0]].cpu().numpy())),)
            case Max():
                x = values[node.parents[0]]
                members = self.maps.members(node)
                winner = members.expand(len(x), -1, -1).gather(-1, x[:, members].argmax(-1, keepdim=True))
                return (torch.zeros_like(x).scatter_add_(1, winner[..., 0], above),)
            case Product():
                left_node, right_node = node.parents
                return above * values[right_node], above * values[left_node]
        raise UnsupportedError(f"no derivative of {node!r}")
