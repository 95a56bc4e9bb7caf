"""Sums of products of computed tensors, as a matrix product makes them: which blocks of elements meet which.

``y_ij = sum_k a_ik b_kj`` is an affine node over a product node with an element for every ``(i, j, k)``. Seen from one
operand this is a stack of full blocks: row i of ``a`` meets all of row i of ``y`` and nothing else. A backward pass
that works in these blocks never holds coefficients of the products themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.engine.maps.blocks import FullBlocks
from nnsym.ir.array import Array
from nnsym.ir.linear import Select, entry_rows
from nnsym.ir.node import Affine, Node, Product
from nnsym.ir.summed import sums_of_products


@final
@dataclass(frozen=True, eq=False)
class Side:
    """One operand: sums are the rows of ``blocks``, elements of ``source`` its columns, products its entries.

    ``parent`` is the operand of the product node, ``source`` the node whose elements it copies.
    """

    parent: Node
    source: Node
    blocks: FullBlocks

    @staticmethod
    def of(parent: Node, owner: Array, count: int) -> Side | None:
        """None where sums and elements do not meet in full blocks of one size."""
        source, index = _copied(parent)
        blocks = FullBlocks.of(owner, index, count, source.size)
        return None if blocks is None else Side(parent, source, blocks)


@final
@dataclass(frozen=True, eq=False)
class Contraction:
    """The two sides of a sum of products, and the nodes that nobody else reads."""

    product: Product
    sides: tuple[Side, ...]
    hidden: frozenset[Node]


def contractions(nodes: Sequence[Node]) -> dict[Node, Contraction]:
    """The sums of products whose operands meet in full blocks."""
    readers: dict[Node, list[Node]] = {}
    for node in nodes:
        for parent in node.parents:
            readers.setdefault(parent, []).append(node)
    found: dict[Node, Contraction] = {}
    for node, product in sums_of_products(nodes).items():
        _, indices, indptr = node.maps[0].csr()
        owner = np.empty(product.size, dtype=np.int64)
        owner[indices] = entry_rows(indptr)
        sides = [Side.of(parent, owner, node.size) for parent in product.parents]
        if all(side is not None for side in sides):
            copies = (s.parent for s in sides if s is not None and s.source is not s.parent)
            unseen = (p for p in copies if all(reader is product for reader in readers[p]))
            found[node] = Contraction(product, tuple(s for s in sides if s), frozenset((product, *unseen)))
    return found


def _copied(node: Node) -> tuple[Node, Array]:
    """The node that an operand copies, element by element, and the element numbers; or the operand itself."""
    if isinstance(node, Affine) and len(node.maps) == 1 and not node.bias.any():
        linear = node.maps[0]
        if isinstance(linear, Select) and (linear.index >= 0).all():
            return node.parents[0], np.asarray(linear.index)
    return node, np.arange(node.size)
