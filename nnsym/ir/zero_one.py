"""Which elements of a node are 0 or 1, which are integers, and in what range, for every input: as the graph tells.

Steps are, and what is made of them. A product with such a factor is linear in two cases (:mod:`nnsym.encode.gates`), a
comparison of integers may lie between them, a cast of small integers keeps them. Bounds of a domain are not asked, so
that the answer is one of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.functions.stairs import Stairs
from nnsym.ir.intervals import Sides, interval_step, unbounded
from nnsym.ir.linear import entry_rows
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.ir.walk import postorder

_Memo: TypeAlias = WeakKeyDictionary[Node, Array]

_zero_one: _Memo = WeakKeyDictionary()
_integral: _Memo = WeakKeyDictionary()
_ends: _Memo = WeakKeyDictionary()


def zero_one(node: Node) -> Array:
    """Elements that are 0 or 1, whatever the inputs are: bool ``(n,)``."""
    return _asked(node, _zero_one, _is_zero_one)


def integral(node: Node) -> Array:
    """Elements that are integers, whatever the inputs are: bool ``(n,)``."""
    return _asked(node, _integral, _is_integral)


def ends(node: Node) -> Sides:
    """The range of every element, whatever the inputs are; infinite where nothing in the graph limits it."""
    low, high = _asked(node, _ends, _range)
    whole = integral(node)  # an integer is not where rounding outward has put the end
    return np.where(whole, np.ceil(low), low), np.where(whole, np.floor(high), high)


def gates(node: Node) -> bool:
    """True for a product of whose factors one is 0 or 1, element by element."""
    return isinstance(node, Product) and bool((zero_one(node.parents[0]) | zero_one(node.parents[1])).all())


def _asked(node: Node, known: _Memo, rule: Callable[[Node, _Memo], Array]) -> Array:
    """What a rule says of a node, given what it says of the nodes below."""
    if node not in known:
        for one in postorder([node], lambda some: [p for p in _below(some) if p not in known]):
            known[one] = rule(one, known)
    return known[node]


def _below(node: Node) -> Iterator[Node]:
    """The parents that an answer may rest on: a step, and a smooth function, ask for none."""
    if not isinstance(node, Pointwise) or (isinstance(node.fn, (Hinge, Piecewise)) and not _flat(node).all()):
        yield from node.parents


def _flat(node: Pointwise) -> Array:
    """Elements with nothing but constant pieces."""
    slopes = node.fn.slopes if isinstance(node.fn, Piecewise) else np.ones((1, 1))
    return np.broadcast_to((slopes == 0).all(axis=1), (node.size,))


def _hopeless(node: Node, known: _Memo) -> bool:
    """True for a layer over nothing of the kind, whose coefficients need not be looked at."""
    return isinstance(node, Affine) and bool(node.maps) and not any(known[p].any() for p in node.parents)


def _is_zero_one(node: Node, known: _Memo) -> Array:
    if _hopeless(node, known):
        return np.zeros(node.size, dtype=bool)
    match node:
        case Pointwise(fn=Piecewise() as fn):
            values = (np.isin(part, (0.0, 1.0)).all(axis=1) for part in (fn.offsets, fn.at))
            return np.asarray(_flat(node) & next(values) & next(values))
        case Affine():
            return _copies(node, known)
        case Max():
            return np.asarray((known[node.parents[0]][node.groups] | (node.groups < 0)).all(axis=1))
        case Product():
            return np.asarray(known[node.parents[0]] & known[node.parents[1]])
    return np.zeros(node.size, dtype=bool)


def _copies(node: Affine, known: _Memo) -> Array:
    """Copies of such elements, ``1 - x`` of them, and the constants 0 and 1: at most one term a row."""
    terms = np.zeros(node.size, dtype=np.int64)
    copied, turned = np.zeros(node.size, dtype=bool), np.zeros(node.size, dtype=bool)
    for row, data, good in _terms(node, known):
        np.add.at(terms, row, 1)
        copied[row[good & (data == 1)]] = True
        turned[row[good & (data == -1)]] = True
    constant = (terms == 0) & np.isin(node.bias, (0.0, 1.0))
    return np.asarray(constant | ((terms == 1) & ((copied & (node.bias == 0)) | (turned & (node.bias == 1)))))


def _terms(node: Affine, known: _Memo) -> Iterator[tuple[Array, Array, Array]]:
    """Row, coefficient, and what is known of the element, for all terms of each map."""
    for linear, parent in zip(node.maps, node.parents, strict=True):
        data, indices, indptr = linear.csr()
        yield entry_rows(indptr), data, known[parent][indices]


def _is_integral(node: Node, known: _Memo) -> Array:
    if _hopeless(node, known):
        return np.zeros(node.size, dtype=bool)
    match node:
        case Input():
            return node.integer
        case Pointwise(fn=Stairs()):
            return np.ones(node.size, dtype=bool)
        case Pointwise(fn=Piecewise() as fn):
            whole = _whole(fn.slopes).all(axis=1) & _whole(fn.offsets).all(axis=1) & _whole(fn.at).all(axis=1)
            return np.asarray(whole & (_flat(node) if _flat(node).all() else _flat(node) | known[node.parents[0]]))
        case Pointwise(fn=Hinge() as fn):
            return np.asarray(_whole(fn.left) & _whole(fn.right) & known[node.parents[0]])
        case Affine():
            found = _whole(node.bias)
            for row, data, good in _terms(node, known):
                found[row[~(good & _whole(data))]] = False
            return found
        case Max():
            return np.asarray((known[node.parents[0]][node.groups] | (node.groups < 0)).all(axis=1))
        case Product():
            return np.asarray(known[node.parents[0]] & known[node.parents[1]])
    return np.zeros(node.size, dtype=bool)


def _whole(values: Array) -> Array:
    return np.asarray(values == np.floor(values))


def _range(node: Node, known: _Memo) -> Array:
    """Both ends, ``(2, n)``; nothing limits an input, or a layer over what nothing limits."""
    parents = tuple((known[p][0], known[p][1]) if p in known else unbounded(p) for p in node.parents)
    layer = isinstance(node, Affine) and bool(node.maps)
    if isinstance(node, Input) or (layer and all(np.isinf(side).all() for sides in parents for side in sides)):
        return np.stack(unbounded(node))
    return np.stack(interval_step(node, parents))
