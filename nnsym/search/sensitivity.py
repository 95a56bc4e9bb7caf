"""How much a unit of each input counts in a network, whatever unit that is: the yardstick of split scores.

    s = |W_1|^T ... |W_L|^T |C|^T 1

with all weights and the rows' coefficients C without their signs, and every function taken for one of slope 1. An input
that is measured in units a thousand times smaller counts a thousandth, so that ``s_j width_j`` has no unit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.node import Affine, Input, Max, Node
from nnsym.ir.query import Query
from nnsym.ir.walk import topological


@np.errstate(over="ignore", invalid="ignore")
def sensitivities(query: Query) -> Mapping[Input, Array]:
    """``s`` of every input, ``(n,)``, the largest 1; all 1 where the product leaves the range of floats.

    What rows say of inputs themselves, as preconditions do, counts only where nothing else reads any input: there a
    row may be written in any unit.
    """
    parts = query.rows.parts
    hidden = {n: p for n, p in parts.items() if not isinstance(n, Input)} or parts
    order = topological((*hidden, *query.inputs))
    far = {node: np.zeros(node.size) for node in order}
    for node, part in hidden.items():
        np.add.at(far[node], part.column, np.abs(part.coefficient.astype(np.float64)))
    for node in reversed(order):
        for parent, value in zip(node.parents, _passed(node, far[node]), strict=True):
            far[parent] += value
    most = max((float(far[x].max(initial=0.0)) for x in query.inputs), default=0.0)
    usual = 0.0 < most < np.inf
    return {x: far[x] / most if usual else np.ones(x.size) for x in query.inputs}


def _passed(node: Node, far: Array) -> tuple[Array, ...]:
    """What each parent of a node counts through it."""
    if isinstance(node, Affine):
        return tuple(m.abs().adjoint(far) for m in node.maps)
    if isinstance(node, Max):
        member = node.groups >= 0
        found = np.zeros(node.parents[0].size)
        np.add.at(found, node.groups[member], np.broadcast_to(far[:, None], node.groups.shape)[member])
        return (found,)
    return tuple(far for _ in node.parents)
