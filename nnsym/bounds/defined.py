"""Whether every function of a query is defined on the whole domain, by bounds of its arguments.

A logarithm of what may be 0 has no value there, and no bound of what follows speaks of it: nothing is proved of such a
query. Bounds alone decide it, the cheapest first.
"""

from __future__ import annotations

import numpy as np

from nnsym.bounds.domains import domain_bounds
from nnsym.ir.names import node_names
from nnsym.ir.node import Pointwise
from nnsym.ir.query import Query

_SOURCES = ("ibp", "crown")


def undefined(query: Query) -> str:
    """The first function that bounds leave undefined somewhere, its arguments, and the remedy; empty if there is none.

    Costs nothing where all functions are defined everywhere.
    """
    partial = [node for node in query.nodes if isinstance(node, Pointwise) and node.fn.demand()]
    said = ""
    for source in _SOURCES if partial else ():
        bounds = domain_bounds(query, source)
        if bounds is None:
            return ""
        said = ""
        for node in partial:
            low, high = bounds[node.parents[0]].lower, bounds[node.parents[0]].upper
            bad = np.argwhere(~np.asarray(node.fn.defined(low, high)))
            if len(bad):
                at = tuple(bad[0])
                said = (
                    f"{node_names(query.nodes)[node]}: {node.fn.name} needs {node.fn.demand()}, and the argument of "
                    f"element {at[-1]} lies in [{low[at]:g}, {high[at]:g}]: bound it away from 0 in the property"
                )
                break
        if not said:
            return ""
    return said
