"""The graph of a query, prepared once: its nodes in order, the elements that matter, its matrices, who reads whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from functools import cached_property
from typing import final

import numpy as np

from nnsym.bounds.kept.cuts import Cuts
from nnsym.bounds.kept.plan.balls import Round
from nnsym.bounds.kept.plan.cones import cones, read
from nnsym.bounds.kept.plan.cut_rows import CutRows
from nnsym.bounds.kept.plan.maps import Matrix
from nnsym.bounds.kept.rounding import Precision
from nnsym.bounds.kept.types import Limit
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.formula import always
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.summed import sums_of_products
from nnsym.ir.walk import topological
from nnsym.results.clock import NEVER, Deadline


@final
class Plan:
    """What passes over one query share.

    ``keep[node]`` are the elements of a node that anything depends on, in order: an element that is 0 on all of the
    domain is worth nothing to whoever reads it. All arrays inside the engine have these elements only. ``hard`` is the
    layer of the linear preconditions, None if there are none; ``extra[node]`` are slack and weight of a layer of rows
    (:meth:`nnsym.ir.rows.Rows.node`). ``fused[z]`` is the pointwise node that alone reads an affine ``z``: a pass steps
    over the two at once. ``cuts[y]`` are those of a ReLU node. ``count`` is what is added to the lengths of all sums.
    Raises OutOfTime past the ``deadline``, at which it looks between layers.
    """

    def __init__(
        self,
        query: Query,
        by: Precision,
        zero: Mapping[Node, Array] | None = None,
        *,
        cuts: Mapping[Node, Cuts] | None = None,
        deadline: Deadline = NEVER,
    ) -> None:
        self.query, self.by, self.deadline = query, by, deadline
        self.spec = query.spec[0]
        self.balls = {x: tuple(Round.of(ball) for ball in some) for x, some in query.balls.items() if some}
        self.extra = {self.spec: query.spec[1:]}
        self.hard = self._preconditions()
        ends = [self.spec] if self.hard is None else [self.spec, self.hard]
        self.nodes = topological((*query.inputs, *query.nodes, *ends))  # rows may read none of the inputs
        for node in self.nodes:
            if not isinstance(node, (Input, Affine, Pointwise, Max, Product)):
                raise UnsupportedError(f"the kept engine has no lines for {node!r}", remedy="Use the bounds 'crown'")
        self.readers: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for node in self.nodes:
            for parent in node.parents:
                self.readers[parent].append(node)
        self.summed = frozenset[Node](sums_of_products(self.nodes).values())
        self.keep = _needed(self.nodes, ends, self._worthless(zero or {}), deadline)
        self.fused: dict[Node, Node] = {}
        for node in self.nodes:
            if isinstance(node, Affine) and node.maps and node not in ends and len(self.readers[node]) == 1:
                (reader,) = self.readers[node]
                if isinstance(reader, Pointwise):
                    self.fused[node] = reader
        self.arguments = tuple(n for n in self.nodes if any(not isinstance(r, Affine) for r in self.readers[n]))
        self.matrices = {n: self._matrices(n) for n in self.nodes if isinstance(n, Affine)}
        self._given = cuts or {}
        self.cuts = self._cut_rows()
        # constants of float32 rows are added up in float64, which the spare of their own charges covers
        self.count = self.additions if by.dtype is np.float64 else self._meetings()
        self._orders: dict[tuple[Node, ...], tuple[Node, ...]] = {}
        self._cones: dict[Node, Sequence[Plan]] = {}

    def size(self, node: Node) -> int:
        """How many elements of a node matter."""
        return len(self.keep[node])

    def order(self, *ends: Node) -> tuple[Node, ...]:
        """The nodes that the ends depend on, children first."""
        if ends not in self._orders:
            self._orders[ends] = topological(ends)[::-1]
        return self._orders[ends]

    @property
    def widest(self) -> int:
        """The most coefficients of a row."""
        return max((self.size(n) for n in self.nodes), default=1)

    def cones(self, node: Node) -> Sequence[Plan]:
        """The plans of a node's cones (:mod:`nnsym.bounds.kept.plan.cones`), each element in one; none if none pay."""
        if node not in self._cones:
            self._cones[node] = [self.part(keep) for keep in cones(self.keep, node)]
        return self._cones[node]

    def part(self, keep: Mapping[Node, Array]) -> Plan:
        """The plan of some nodes alone, with some of their elements: all that these depend on among them."""
        part, where = copy(self), {n: np.searchsorted(self.keep[n], some) for n, some in keep.items()}
        part.nodes, part.keep, part.hard = tuple(n for n in self.nodes if n in keep), dict(keep), None
        part.matrices = {
            n: tuple(m.part(where[n], where[p]) for m, p in zip(self.matrices[n], n.parents, strict=True))
            for n in part.nodes
            if isinstance(n, Affine)
        }
        part.balls = {x: tuple(ball.part(keep[x]) for ball in some) for x, some in self.balls.items() if x in keep}
        part.cuts, part._cones = part._cut_rows(), {}
        return part

    @cached_property
    def straight(self) -> frozenset[Node]:
        """Affine nodes of boxes alone: intervals of them are exact."""

        def boxed(node: Affine) -> bool:
            return all(isinstance(p, Input) and p not in self.balls for p in node.parents)

        return frozenset(n for n in self.nodes if isinstance(n, Affine) and boxed(n))

    def whole(self, node: Node, lower: Array, upper: Array, other: Limit) -> Limit:
        """Ranges of the elements that matter among all of a node's, where the others have those of ``other``."""
        keep = self.keep[node]
        if len(keep) == node.size:
            return Limit(lower, upper)
        full = [np.repeat(side, len(lower), axis=0) for side in (other.lower, other.upper)]
        full[0][:, keep], full[1][:, keep] = lower, upper
        return Limit(*full)

    def place(self, node: Node, parent: Node) -> Array | None:
        """Where the elements of an elementwise node stand among its parent's; None where they are the same ones.

        Of a maximum too, which reads :meth:`groups` of all its parent's elements.
        """
        if isinstance(node, Max):
            return None
        mine, other = self.keep[node], self.keep[parent]
        return None if len(mine) == len(other) else np.searchsorted(other, mine)

    def groups(self, node: Max) -> Array:
        """Members of the groups of a maximum, as positions among the parent's kept elements; padding repeats one."""
        filled = node.filled[self.keep[node]]
        return np.searchsorted(self.keep[node.parents[0]], filled)

    def bias(self, node: Affine) -> Array:
        """The constant of an affine node, ``(1, n)``."""
        return node.bias[None, self.keep[node]]

    def copies(self, node: Affine) -> bool:
        """True if every element is a copy of one element, so that nothing rounds."""
        if node.bias.any() or not all(m.copies for m in self.matrices[node]):
            return False
        return bool((np.sum([m.touched for m in self.matrices[node]], axis=0) <= 1).all())

    def _worthless(self, zero: Mapping[Node, Array]) -> dict[Node, Array]:
        """Elements that are 0, of nodes that only matrices read: a maximum with 0 is another matter."""
        return {n: z for n, z in zero.items() if all(isinstance(r, Affine) for r in self.readers[n])}

    def _cut_rows(self) -> dict[Node, CutRows]:
        made = {n: CutRows.of(n, cuts, self.keep, self.by) for n, cuts in self._given.items() if n in self.keep}
        return {n: rows for n, rows in made.items() if len(rows)}

    def _matrices(self, node: Affine) -> tuple[Matrix, ...]:
        self.deadline.check()
        pairs = zip(node.maps, node.parents, strict=True)
        return tuple(Matrix.of(m, self.keep[node], self.keep[p], self.by) for m, p in pairs)

    def _preconditions(self) -> Node | None:
        """The rows that are at most 0 wherever the formula holds and that are linear in the inputs, as a layer."""
        held = always(self.query.formula)
        linear = np.ones(len(self.query.rows), dtype=bool)
        for node, part in self.query.rows.parts.items():
            if not isinstance(node, Input):
                linear[part.row] = False
        held = held[linear[held]]
        if not len(held):
            return None
        hard, slack, weight = self.query.rows.take(held).node()
        self.extra[hard] = (slack, weight)
        return hard

    @cached_property
    def additions(self) -> int:
        """Additions of a pass that are not inside a product with a matrix: constants, and coefficients that meet."""
        return 3 * len(self.nodes) + self._meetings() + 8

    def _meetings(self) -> int:
        """Additions that the coefficient of one element may go through, with one for a multiplier of either side, and
        one for the cuts of a node in each that they speak of.
        """
        found: dict[Node, int] = {}
        for node in self.nodes:
            terms = 1
            if isinstance(node, Max):
                terms = int(np.bincount(self.groups(node).ravel()).max(initial=0)) + node.groups.shape[1]
            for parent in node.parents:
                found[parent] = found.get(parent, 0) + terms
            if node in self.cuts:
                for end in (node, *(p for _, p in self.cuts[node].matrices)):
                    found[end] = found.get(end, 0) + 1
        return max(found.values(), default=0) + 2


def _needed(
    nodes: tuple[Node, ...], ends: list[Node], zero: Mapping[Node, Array], deadline: Deadline
) -> dict[Node, Array]:
    """The elements of every node that the ends depend on; ``zero`` marks those that are 0."""
    used = {n: np.full(n.size, n in ends or isinstance(n, Input)) for n in nodes}
    for node in reversed(nodes):
        deadline.check()
        if node in zero and node not in ends:
            used[node] &= ~zero[node]
        read(node, used)
    return {n: np.flatnonzero(mine) for n, mine in used.items()}
