"""Names for people: every node of a query gets a stable one (``x``, ``affine_1``, ``relu_1``, ``max_2``).

The number counts nodes of a kind in topological order, so the same network has the same names in tables,
exported files and error messages.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product


def node_names(nodes: Iterable[Node]) -> dict[Node, str]:
    """A unique name for each node, in the given (topological) order."""
    counts: Counter[str] = Counter()
    names: dict[Node, str] = {}
    for node in nodes:
        kind = _kind(node)
        counts[kind] += 1
        if isinstance(node, Input):
            names[node] = kind if counts[kind] == 1 else f"{kind}_{counts[kind]}"
        else:
            names[node] = f"{kind}_{counts[kind]}"
    return names


def _kind(node: Node) -> str:
    match node:
        case Input():
            return node.name
        case Affine():
            return "affine" if node.maps else "constant"
        case Pointwise():
            return node.fn.name
        case Max():
            return "max"
        case Product():
            return "product"
    return type(node).__name__.lower()
