"""What a family of cuts looks at: one program, and the neurons in it that bounds leave open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.encode.hinges import OpenHinges, bounded, of_columns
from nnsym.ir.array import Array
from nnsym.ir.names import node_names
from nnsym.ir.node import Node, Pointwise
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge
from nnsym.program import Program, Role, Tag

#: Upper bounds, certified, of the forms ``sum_j sign[k, j] column[k, j]``; a column of -1 is left out.
FormBounds = Callable[[Array, Array], Array]


@final
@dataclass(frozen=True, eq=False)
class OpenLayer:
    """The open hinges of one node; ``name`` is the node's, and stands before what a row says."""

    name: str
    node: Node
    hinges: OpenHinges


@final
@dataclass(frozen=True, eq=False)
class Scene:
    """A program of ``query`` on ``bounds``; ``ids`` are the columns of every node (:class:`nnsym.encode.walk.Encoded`).

    ``forms`` bounds linear forms over the program's relaxation (:data:`FormBounds`). A row counts as violated beyond
    ``tolerance`` times its norm. ``remaining`` gives the seconds that are left to prepare a family.
    """

    query: Query
    bounds: Bounds
    program: Program
    ids: Mapping[Node, Array]
    forms: FormBounds
    tolerance: float = 1e-6
    remaining: Callable[[], float] = field(default=lambda: np.inf)

    @cached_property
    def layers(self) -> tuple[OpenLayer, ...]:
        """The nodes with open hinges, in topological order."""
        return tuple(self._layers())

    def _layers(self) -> Iterator[OpenLayer]:
        for node, name in node_names(self.query.nodes).items():
            if isinstance(node, Pointwise) and isinstance(node.fn, Hinge):
                open_ = bounded(of_columns(self.ids, self.bounds, node))
                if len(open_.index):
                    yield OpenLayer(name, node, open_)

    def phases(self, layer: OpenLayer) -> Array:
        """The column of each open hinge's binary, 1 on its active side; -1 where it has none."""
        columns = np.full(layer.node.size, -1)
        for block in self.program.blocks:
            if block.node == layer.name and block.role == Role.PHASE:
                columns[block.index] = np.arange(block.start, block.start + len(block.index))
        return columns[layer.hinges.index]

    @cached_property
    def definitions(self) -> Array:
        """For each column the row of ``program.matrix`` that defines it as ``w v + b``, or -1.

        That is an equality ``w v - h = -b`` of the network, in float64 as it stands, whose last column is the newest.
        """
        program = self.program
        data, indices, indptr, lower, upper = program.matrix
        found = np.full(program.n_columns, -1)
        if not len(lower):
            return found
        plain = np.concatenate([np.full(len(b), b.tag is Tag.NETWORK and b.exact is None) for b in program.rows])
        filled = np.flatnonzero(plain & (lower == upper) & (np.diff(indptr) > 1))
        last = indptr[1:][filled] - 1
        newest = np.maximum.reduceat(indices, indptr[:-1][np.diff(indptr) > 0]) if len(indices) else indices
        place = np.cumsum(np.diff(indptr) > 0) - 1
        closed = (data[last] == -1) & (indices[last] == newest[place[filled]])
        found[indices[last[closed]]] = filled[closed]
        return found

    def feeders(self, h: Array) -> Array:
        """The columns that define the columns ``h``, in increasing order."""
        _, indices, indptr, _, _ = self.program.matrix
        rows = self.definitions[h]
        spans = zip(indptr[rows], indptr[rows + 1] - 1, strict=True)
        return np.unique(np.concatenate([np.zeros(0, int), *(indices[a:b] for a, b in spans)]))

    def weights(self, h: Array) -> tuple[Array, Array, Array]:
        """``(columns, W, b)`` with ``h = W x + b`` over program columns ``x``, for columns that have a definition.

        ``columns`` has shape (n,), ``W`` (m, n); n counts the columns that occur.
        """
        data, indices, indptr, lower, _ = self.program.matrix
        rows = self.definitions[h]
        columns = self.feeders(h)
        weights = np.zeros((len(h), len(columns)))
        for k, row in enumerate(rows):
            span = slice(indptr[row], indptr[row + 1] - 1)
            weights[k, np.searchsorted(columns, indices[span])] = data[span]
        return columns, weights, -lower[rows]
