"""From a query about the real function to one about every float run of its stored networks.

Every layer that rounds gets a perturbation: a further input ``e`` in the box of the layer's own error bound on the
domain. Each run in the stored dtype is then one point of the perturbed graph, whatever the order of its sums, so what
holds of the graph holds of all runs, and every bound, encoding and solver can say so. Errors are weighed by the rows'
own coefficients on their way to the property, never by products of norms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.deployed.formats import UP, Format
from nnsym.deployed.secants import carried
from nnsym.deployed.terms import local_error, reach, steepest, terms
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.intervals import Sides, copies, interval_run, magnitude
from nnsym.ir.linear import identity
from nnsym.ir.network import Application
from nnsym.ir.node import Affine, Input, Node, affine, new_input
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.walk import fold, topological
from nnsym.replay.engine import stored_nodes
from nnsym.replay.points import gaps_in, stored_dtype
from nnsym.results.clock import NEVER, Deadline

#: Coefficients beyond which a network's layers are not walked here.
_LARGEST = 2**27


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Enclosed:
    """``query`` over the original inputs and ``errors``, each with its bound; ``ranges`` of all its nodes.

    ``overflow`` names the layer whose sums may leave the format's range, so that no bound of its error exists.
    """

    query: Query
    errors: Mapping[Input, Array]
    ranges: Mapping[Node, tuple[Array, Array]]
    overflow: str = ""


def enclose(query: Query, bounds: Bounds | None = None, *, deadline: Deadline = NEVER) -> Enclosed:
    """The query of all float runs; ``bounds`` of the real query make its error boxes smaller.

    Raises :class:`UnsupportedError` where a network is stored in a format without known rounding errors, and
    :class:`nnsym.results.clock.OutOfTime` where the deadline passes.
    """
    return _Encloser(query, bounds, deadline).result()


@final
@dataclass(eq=False)
class _Encloser:
    """One walk over the query's graph, parents first; stored networks are walked when their arguments are known."""

    query: Query
    bounds: Bounds | None
    deadline: Deadline
    image: dict[Node, Node] = field(default_factory=dict)
    errors: dict[Input, Array] = field(default_factory=dict)
    away: dict[Node, Array] = field(default_factory=dict)
    sizes: dict[Node, float] = field(default_factory=dict)  # of layers: the greatest of weights, biases and arguments
    before: float = 0.0
    overflow: str = ""

    def __post_init__(self) -> None:
        affine_maps = (m for node in self.query.nodes if isinstance(node, Affine) for m in node.maps)
        if sum(terms(m).sum() for m in affine_maps) > _LARGEST:
            raise UnsupportedError(
                f"the float errors of more than {_LARGEST} coefficients are not computed",
                where=self.query.name,
                remedy="Ask for the real function",
            )
        self.ranges: dict[Node, Sides] = {x: box.outer for x, box in self.query.boxes.items()}
        self.owners = stored_nodes(self.query)
        dtype = stored_dtype(self.query)
        self.gaps = {x: gaps_in(box, dtype) if dtype != "exact" else None for x, box in self.query.boxes.items()}

    def result(self) -> Enclosed:
        owners = self.owners
        targets = (*self.query.inputs, *self.query.rows.parts, *self.query.assumed)
        for node in topological(targets, lambda n: owners[n].arguments if n in owners else n.parents):
            if node in self.image:
                continue
            if node in owners:
                self._network(owners[node])
            else:
                self._own(node)
        query = self._query()
        return Enclosed(query=query, errors=self.errors, ranges=self.ranges, overflow=self.overflow)

    def _own(self, node: Node) -> None:
        """A node of the property: exact on whatever reaches it."""
        if isinstance(node, Input):
            self.image[node], self.away[node] = node, np.zeros(node.size)
            return
        if node.model:
            raise UnsupportedError(
                "the property reads a value inside of an operator, which the stored model does not name",
                remedy="No float run gives it: ask with semantics real, or read a value that the model names",
            )
        made = node.with_parents(tuple(self.image[p] for p in node.parents))
        self.image[node] = made
        self._bound(made)
        self.away.setdefault(made, np.full(node.size, np.inf) if made is not node else np.zeros(node.size))

    def _network(self, application: Application) -> None:
        network, form = application.network, Format.of(application.network.dtype)
        if network.coarse:
            raise UnsupportedError(
                f"no rounding errors of layers in {network.coarse} are known where the model is {network.dtype}",
                where=network.name,
                remedy="Ask for the real function",
            )
        local: dict[Node, Node] = {}
        real: dict[Node, Node] = {}
        for tensor, argument in zip(network.inputs.values(), application.arguments, strict=True):
            real[tensor.node] = argument
            local[tensor.node] = self._fed(argument, form)
        wanted = [t.node for t in (*network.outputs.values(), *network.tensors.values())]
        other = network.either
        order = topological(wanted, lambda n: (*n.parents, other[n]) if n in other else n.parents)
        for number, node in enumerate(order):
            if node in local:
                continue
            if isinstance(node, Input):  # an initial value that nothing overrides
                continue
            real[node] = node.with_parents(tuple(real[p] for p in node.parents), network.run if node.parents else None)
            parents, beside = tuple(local[p] for p in node.parents), other.get(node)
            if beside in node.parents:  # a limit that changes nothing on reals, and no engine evaluates
                local[node] = local[beside]
                continue
            near, apart = local[beside] if beside else None, _constants_apart(node, beside)
            local[node] = self._layer(node, parents, real[node], form, number, near, apart)
        for node in wanted:
            self.image.setdefault(application.image[node], local[node])

    def _fed(self, argument: Node, form: Format) -> Node:
        """What the network reads: numbers of its dtype, rounded unless they are known to be some already."""
        made, gap = self.image[argument], self._unstored(argument, form)
        if not gap.any():
            return made
        self._bound(made)
        size = magnitude(self.ranges[made])
        error = np.where(gap, UP * (form.u * size + form.tiny), 0.0)
        if (size * (1 + form.u) > form.largest).any():
            self.overflow = self.overflow or f"what '{form.name}' reads"
            error = np.where(gap, np.inf, 0.0)
        fed = self._perturbed(made, error, None)
        self.away[fed] = self.away.get(made, np.full(made.size, np.inf)) + error
        return fed

    def _unstored(self, node: Node, form: Format) -> Array:
        """Which elements need not be numbers of the format."""
        if isinstance(node, Input):
            gap = self.gaps.get(node)
            return np.zeros(node.size, dtype=bool) if gap is None else gap
        if node in self.owners:
            return np.full(node.size, Format.of(self.owners[node].network.dtype).u < form.u)
        if isinstance(node, Affine) and copies(node):
            found = np.zeros(node.size, dtype=bool)
            for linear, parent in zip(node.maps, node.parents, strict=True):
                found |= np.asarray(linear.apply(self._unstored(parent, form).astype(np.float64)) > 0)
            return found
        return np.ones(node.size, dtype=bool)

    def _layer(
        self,
        node: Node,
        parents: tuple[Node, ...],
        real: Node,
        form: Format,
        number: int,
        other: Node | None,
        apart: Array | float,
    ) -> Node:
        """The node on perturbed arguments, perturbed itself; a run may give the value of ``other`` in its place.

        On reals they are ``apart``.
        """
        self.deadline.check()
        made = node.with_parents(parents)
        for parent in parents:
            self._bound(parent)
        ranges = tuple(self.ranges[p] for p in parents)
        error, wild = local_error(node, ranges, form, self.before)
        if isinstance(node, Affine) and not copies(node):
            wild = wild or self._folds(node, reach(ranges), form)
        far = tuple(self.away.get(p, np.full(p.size, np.inf)) for p in parents)
        away = carried(node, tuple(magnitude(r) for r in ranges), far)
        if other is not None:
            error = np.maximum(error, self._apart(made, other) + apart)
        if wild:
            self.overflow = self.overflow or f"layer {number} ({type(node).__name__.lower()})"
            error = np.full(node.size, np.inf)
        made = self._perturbed(made, error, self._near(real, away + error))
        self.away[made] = away + error
        return made

    def _folds(self, node: Affine, reached: float, form: Format) -> bool:
        """Whether factors of two layers, or of one and the arguments of the other, may leave the range if they meet."""
        steep = steepest(node)
        self.sizes[node] = max(steep, reached, float(np.abs(node.bias).max(initial=0.0)))
        self.before = max(self.before, reached)
        return max((self.sizes.get(p, 0.0) for p in node.parents), default=0.0) * steep > form.largest

    def _apart(self, one: Node, other: Node) -> Array:
        """How far two values may be from each other that would be equal without the errors on their way."""
        shared = set(topological((one,))) & set(topological((other,)))

        def rule(node: Node, far: tuple[Array, ...]) -> Array:
            if node in shared:
                return np.zeros(node.size)
            if isinstance(node, Input):
                return self.errors[node]
            for parent in node.parents:
                self._bound(parent)
            return carried(node, tuple(magnitude(self.ranges[p]) for p in node.parents), far)

        found = fold((one, other), rule)
        return UP * (found[one] + found[other])

    def _near(self, real: Node, away: Array) -> Sides | None:
        """The real node's bounds, widened by how far a run can be from them."""
        if self.bounds is None or real not in self.bounds.nodes or not np.isfinite(away).any():
            return None
        known = self.bounds[real]
        low, high = known.lower - UP * away, known.upper + UP * away
        low, high = low - 2.0**-50 * np.abs(low), high + 2.0**-50 * np.abs(high)
        return low, high

    def _perturbed(self, node: Node, error: Array, near: Sides | None) -> Node:
        """The node plus an input in the box of its error; an affine node takes it as one more term."""
        made = node
        if error.any():
            e = new_input(f"rounding_{len(self.errors) + 1}", node.size)
            self.errors[e] = error
            self.ranges[e] = (-error, error)
            terms = ((identity(node.size), e),)
            if isinstance(node, Affine):
                made = affine((*zip(node.maps, node.parents, strict=True), *terms), node.bias)
            else:
                made = affine(((identity(node.size), node), *terms))
        self._bound(made)
        if near is not None:
            low, high = self.ranges[made]
            self.ranges[made] = np.maximum(low, near[0]), np.minimum(high, near[1])
        return made

    def _bound(self, node: Node) -> None:
        """Interval steps up to the node; what is simplified away while it is built may leave ancestors without one."""
        if node not in self.ranges:
            self.ranges = interval_run(topological((node,)), self.ranges)

    def _query(self) -> Query:
        parts = ((self.image[n], p.row, p.column, p.coefficient) for n, p in self.query.rows.parts.items())
        boxes = {e: Box(-error, error) for e, error in self.errors.items()}
        return replace(
            self.query,
            boxes={**self.query.boxes, **boxes},
            rows=Rows.collect(parts, self.query.rows.constant),
            applications=(),
            assumed={self.image[n]: box for n, box in self.query.assumed.items()},
            declared=(),
            runs=self.query,
        )


def _constants_apart(node: Node, beside: Node | None) -> Array | float:
    """What the constants of two affine nodes of the same parents differ by."""
    if isinstance(node, Affine) and isinstance(beside, Affine) and node.parents == beside.parents:
        return np.asarray(UP * np.abs(node.bias - beside.bias))
    return 0.0
