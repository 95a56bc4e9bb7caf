"""Whether every function of a query is defined on the whole domain, by bounds of its arguments.

A logarithm of what may be 0 has no value there, and no bound of what follows speaks of it: nothing is proved of such a
query. Bounds alone decide it: intervals of every box of the domain, which need no torch, then ``crown``.
"""

from __future__ import annotations

import numpy as np

from nnsym.bounds.domains import domain_bounds, domain_boxes
from nnsym.ir.array import Array
from nnsym.ir.intervals import Sides, interval_run
from nnsym.ir.names import node_names
from nnsym.ir.node import Node, Pointwise
from nnsym.ir.query import Query


def undefined(query: Query) -> str:
    """The first function that bounds leave undefined somewhere, its arguments, and the remedy; empty if there is none.

    Costs nothing where all functions are defined everywhere.
    """
    partial = [node for node in query.nodes if isinstance(node, Pointwise) and node.fn.demand()]
    if not partial:
        return ""
    runs = [interval_run(query.nodes, dict[Node, Sides](box.items())) for box in domain_boxes(query)]
    if not any(_missed(node, *run[node.parents[0]]) is not None for run in runs for node in partial):
        return ""
    bounds = domain_bounds(query, "crown")
    for node in partial:
        if bounds is None:
            return ""
        argument = bounds[node.parents[0]]
        at = _missed(node, argument.lower, argument.upper)
        if at is not None:
            return (
                f"{node_names(query.nodes)[node]}: {node.fn.name} needs {node.fn.demand()}, and the argument of "
                f"element {at[-1]} lies in [{argument.lower[at]:g}, {argument.upper[at]:g}]: bound it away from 0 in "
                "the property"
            )
    return ""


def _missed(node: Pointwise, lower: Array, upper: Array) -> tuple[int, ...] | None:
    """The first element whose argument may leave the function's domain."""
    bad = np.argwhere(~np.asarray(node.fn.defined(lower, upper)))
    return tuple(bad[0]) if len(bad) else None
