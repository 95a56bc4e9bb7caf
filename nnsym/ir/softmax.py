"""Softmax over groups of elements as a graph, and what a graph of this form says about order.

Over a group x of k elements, with ``d_ij = x_j - x_i``,

    softmax_i = 1 / (1 + sum_{j != i} exp(d_ij)),      log softmax_i = -log(1 + sum_{j != i} exp(d_ij)),

so that what all elements share cancels before anything is bounded, and no exponential needs a scale; of two elements it
is ``sigmoid(x_0 - x_1)`` and 1 minus that, whose sum is 1 in every bound. The ``k^2`` differences of a long group are
too many: there

    log softmax_i = (x_i - m) - log sum_j exp(x_j - m),  m = max x,    softmax_i = exp(log softmax_i).

What is known there of every value, ``x_j - m <= 0``, ``sum >= 1``, ``log softmax_i <= 0``, is said by hinges that
change nothing: bounds that lost sight of m stay finite.
"""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.functions.exponentials import Exp, Log
from nnsym.ir.functions.powers import Reciprocal
from nnsym.ir.linear import Scale, Select, Sparse, identity
from nnsym.ir.node import Affine, Node, Pointwise, affine, constant, maximum, pointwise
from nnsym.ir.smooth_functions import Sigmoid
from nnsym.ir.univariate import Hinge, relu
from nnsym.ir.walk import substitute

_LONG = 16  # elements of a group beyond which its differences are not taken in pairs


def softmax(x: Node, groups: Array) -> Node:
    """The softmax of every row of ``groups``, element numbers ``(count, k)``; the results in the order of the rows."""
    count, k = groups.shape
    if k == 1:
        return constant(np.ones(count))
    if k == 2:
        first = pointwise(Sigmoid(), _apart(x, groups[:, 0], groups[:, 1]))
        both = Sparse(np.tile([1.0, -1.0], count), np.repeat(np.arange(count), 2), np.arange(2 * count + 1), count)
        return affine(((both, first),), np.tile([0.0, 1.0], count))
    if k <= _LONG:
        return pointwise(Reciprocal(), _relative(x, groups))
    return pointwise(Exp(), pointwise(_at_most_0(), log_softmax(x, groups)))


def log_softmax(x: Node, groups: Array) -> Node:
    """Its logarithm."""
    count, k = groups.shape
    if k == 1:
        return constant(np.zeros(count))
    if k <= _LONG:
        return _minus(pointwise(Log(), _relative(x, groups)))
    largest, rest = _scaled(x, groups)
    each = np.repeat(np.arange(count), k)
    return affine(((_take(groups, x), x), (_times(each, count), largest), (_times(each, count), rest)))


def log_sum_exp(x: Node, groups: Array) -> Node:
    """``log sum_j exp(x_j)`` of every row, as ``m + log sum_j exp(x_j - m)`` with the largest element m."""
    largest, rest = _scaled(x, groups)
    every = np.arange(len(groups))
    return affine(((Select(every, len(groups)), largest), (Select(every, len(groups)), rest)))


def unordered(y: Node) -> tuple[Node, Array] | None:
    """``(x, groups)`` where y is ``softmax(x, groups)`` or its logarithm, else None.

    Told by building it again: equal graphs are one object.
    """
    for x, groups in _candidates(y):
        for made in (softmax(x, groups), log_softmax(x, groups)):
            if substitute([made], {x: x}, y.model)[made] is y:  # of the same run
                return x, groups
    return None


def _scaled(x: Node, groups: Array) -> tuple[Node, Node]:
    """The largest element m of every row, and ``log sum_j exp(x_j - m)``, which lies in [0, log k]."""
    count, k = groups.shape
    largest = maximum(x, groups)
    below = affine(((_take(groups, x), x), (_times(np.repeat(np.arange(count), k), count), largest)))
    beyond = _sums(pointwise(Exp(), pointwise(_at_most_0(), below)), count, k, -1.0)  # of which one is 1
    return largest, pointwise(Log(), affine(((identity(count), pointwise(relu(), beyond)),), 1.0))


def _at_most_0() -> Hinge:
    """``min(x, 0)``."""
    return Hinge(np.ones(1), np.zeros(1), "at_most_0")


def _relative(x: Node, groups: Array) -> Node:
    """``1 + sum_{j != i} exp(x_j - x_i)`` for every element i of every row."""
    count, k = groups.shape
    others = np.array([[j for j in range(k) if j != i] for i in range(k)])  # (k, k - 1)
    own = np.repeat(groups[:, :, None], k - 1, axis=2)
    powers = pointwise(Exp(), _apart(x, groups[:, others].ravel(), own.ravel()))
    return _sums(powers, count * k, k - 1, 1.0)


def _apart(x: Node, left: Array, right: Array) -> Node:
    """``x[left] - x[right]``."""
    pairs = np.stack((left, right), axis=1)
    return affine(((Sparse(np.tile([1.0, -1.0], len(left)), pairs.ravel(), 2 * np.arange(len(left) + 1), x.size), x),))


def _sums(x: Node, count: int, k: int, bias: float = 0.0) -> Node:
    """The sums of ``k`` neighbours each."""
    return affine(((Sparse(np.ones(count * k), np.arange(count * k), k * np.arange(count + 1), x.size), x),), bias)


def _take(groups: Array, x: Node) -> Select:
    return Select(groups.ravel(), x.size)


def _times(index: Array, size: int, factor: float = -1.0) -> Sparse:
    return Sparse(np.full(len(index), factor), index, np.arange(len(index) + 1), size)


def _minus(x: Node) -> Node:
    return affine(((Scale(np.full(x.size, -1.0)), x),))


def _candidates(y: Node) -> list[tuple[Node, Array]]:
    """What the graph below y may be the softmax of: the first maps below it that take differences."""
    found: list[tuple[Node, Array]] = []
    node = y
    while node.parents:
        if isinstance(node, Affine) and len(node.parents) in (1, 3):
            found += _read(node, y.size)
        if not isinstance(node, (Affine, Pointwise)):
            break
        node = node.parents[0]
    return found


def _read(node: Affine, size: int) -> list[tuple[Node, Array]]:
    """The groups whose differences an affine node takes, if it does: elements in the order of the results."""
    first = node.maps[0]
    if len(node.maps) == 3 and isinstance(first, Select):  # x_i - m - log sum
        rows = node.maps[1].csr()[1]
        k = int((rows == rows[:1]).sum())
        fits = k > 0 and len(first.index) == len(rows) and (first.index >= 0).all() and len(rows) % k == 0
        return [(node.parents[0], first.index.reshape(-1, k))] if fits else []
    if isinstance(first, Sparse) and len(node.maps) == 1 and len(first.indices) == 2 * node.size:
        sides = [first.indices[first.data == sign] for sign in (1.0, -1.0)]
        each, rest = divmod(node.size, size)
        if 2 * node.size == size and len(sides[0]) == len(sides[1]):  # a sigmoid for the first of each pair
            return [(node.parents[0], np.stack(sides, axis=1))]
        if rest == 0 and each and size % (each + 1) == 0 and len(sides[1]) == node.size:
            return [(node.parents[0], sides[1][::each].reshape(-1, each + 1))]
    return []
