"""Products that are only added up, as a matrix product of two computed tensors makes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnsym.ir.node import Affine, Node, Product


def sums_of_products(nodes: Sequence[Node]) -> dict[Affine, Product]:
    """The affine nodes that add up all elements of a product which nobody else reads, each element once.

    ``nodes`` hold all readers of their members.
    """
    readers: dict[Node, int] = {}
    for node in nodes:
        for parent in node.parents:
            readers[parent] = readers.get(parent, 0) + 1
    found: dict[Affine, Product] = {}
    for node in nodes:
        product = node.parents[0] if isinstance(node, Affine) and len(node.maps) == 1 else None
        if isinstance(node, Affine) and isinstance(product, Product) and readers[product] == 1:
            data, indices, _ = node.maps[0].csr()
            if len(indices) == product.size == len(np.unique(indices)) and (data == 1).all():
                found[node] = product
    return found
