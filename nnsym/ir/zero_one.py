"""Which elements of a node are 0 or 1 for every input, as its structure tells: steps, and what is made of them.

What is known of a factor this way makes a product of it linear in two cases (:data:`nnsym.encode.gates`). Bounds are
not asked, so that the answer is one of the graph.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from nnsym.ir.node import Affine, Max, Node, Pointwise, Product
from nnsym.ir.univariate import Piecewise

Array = NDArray[Any]

_known: WeakKeyDictionary[Node, Array] = WeakKeyDictionary()


def zero_one(node: Node) -> Array:
    """Elements that are 0 or 1, whatever the inputs are: bool ``(n,)``."""
    pending = [node]
    while pending:
        top = pending[-1]
        missing = [p for p in _asked(top) if p not in _known]
        if missing:
            pending += missing
        else:
            _known.setdefault(pending.pop(), _from_parents(top))
    return _known[node]


def gates(node: Node) -> bool:
    """True for a product of whose factors one is 0 or 1, element by element."""
    return isinstance(node, Product) and bool((zero_one(node.parents[0]) | zero_one(node.parents[1])).all())


def _asked(node: Node) -> Iterator[Node]:
    """The parents that the answer rests on."""
    if isinstance(node, (Affine, Max, Product)):
        yield from node.parents


def _from_parents(node: Node) -> Array:
    match node:
        case Pointwise(fn=Piecewise() as fn):
            flat = (fn.slopes == 0).all(axis=1)
            whole = np.isin(fn.offsets, (0.0, 1.0)).all(axis=1) & np.isin(fn.at, (0.0, 1.0)).all(axis=1)
            return np.broadcast_to(flat & whole, (node.size,))
        case Affine():
            return _affine(node)
        case Max():
            return np.asarray((_known[node.parents[0]][node.groups] | (node.groups < 0)).all(axis=1))
        case Product():
            return np.asarray(_known[node.parents[0]] & _known[node.parents[1]])
    return np.zeros(node.size, dtype=bool)


def _affine(node: Affine) -> Array:
    """Copies of such elements, ``1 - x`` of them, and the constants 0 and 1: at most one term a row."""
    terms = np.zeros(node.size, dtype=np.int64)
    copied, turned = np.zeros(node.size, dtype=bool), np.zeros(node.size, dtype=bool)
    for linear, parent in zip(node.maps, node.parents, strict=True):
        if not _known[parent].any():
            if linear.nnz:
                terms += np.diff(linear.csr()[2])
            continue
        data, indices, indptr = linear.csr()
        count = np.diff(indptr)
        terms += count
        row = np.repeat(np.arange(node.size), count)
        good = _known[parent][indices]
        copied[row[good & (data == 1)]] = True
        turned[row[good & (data == -1)]] = True
    constant = (terms == 0) & np.isin(node.bias, (0.0, 1.0))
    return np.asarray(constant | ((terms == 1) & ((copied & (node.bias == 0)) | (turned & (node.bias == 1)))))
