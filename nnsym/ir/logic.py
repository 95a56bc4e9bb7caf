"""Truth values as the numbers 0 and 1: choices, and the connectives.

A condition is a node whose elements are 0 or 1 (:mod:`nnsym.ir.zero_one`). With ``c`` such a node

    where(c, a, b)  =  b + c (a - b)            c and d  =  c d            c or d  =  1 - (1 - c)(1 - d)

and what are piecewise-linear functions of one node become one of it (:mod:`nnsym.ir.functions.lines_of`). Nothing
rounds: coefficients are copied.
"""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.functions.lines_of import constant_lines, joined, selected
from nnsym.ir.linear import Scale, identity
from nnsym.ir.node import Affine, Node, affine, concatenate, constant, maximum, product
from nnsym.ir.zero_one import zero_one


def where(condition: Node, one: Node, zero: Node) -> Node:
    """``one`` where the condition is 1, ``zero`` where it is 0, element by element."""
    found = _together(condition, one, zero)
    if found is not None:
        return found
    if zero_one(one).all() and zero_one(zero).all():
        return either(both(condition, one), both(negation(condition), zero))
    first, second = _numbers(one), _numbers(zero)
    if first is not None and second is not None:
        return _sum((first, condition), (second, negation(condition)))
    if first is not None and not first.any():
        return product(negation(condition), zero)
    if second is not None and not second.any():
        return product(condition, one)
    apart = affine(((identity(one.size), one), (Scale(np.full(one.size, -1.0)), zero)))
    chosen = product(condition, apart)
    return affine(((identity(one.size), zero), (identity(one.size), chosen)))


def negation(condition: Node) -> Node:
    """``1 - c``."""
    numbers = _numbers(condition)
    if numbers is not None:
        return constant(1.0 - numbers)
    found = _together(condition, constant(np.zeros(condition.size)), constant(np.ones(condition.size)))
    if found is not None and not isinstance(found, Affine):
        return found
    return affine(((Scale(np.full(condition.size, -1.0)), condition),), 1.0)


def times(left: Node, right: Node) -> Node:
    """The product; of a condition and another value a choice, so that a mask of its own argument is one function."""
    zero = constant(np.zeros(left.size))
    if zero_one(left).all():
        return where(left, right, zero)
    return where(right, left, zero) if zero_one(right).all() else product(left, right)


def both(left: Node, right: Node) -> Node:
    """1 where both are."""
    found = _together(left, right, constant(np.zeros(left.size)))
    return product(left, right) if found is None else found


def either(left: Node, right: Node) -> Node:
    """1 where one is, or both."""
    found = _together(left, constant(np.ones(left.size)), right)
    return negation(product(negation(left), negation(right))) if found is None else found


def exclusive(left: Node, right: Node) -> Node:
    """1 where one is and not the other: the larger of ``a (1 - b)`` and ``b (1 - a)``."""
    found = _together(left, negation(right), right)
    if found is not None:
        return found
    ways = concatenate((both(left, negation(right)), both(right, negation(left))))
    return maximum(ways, np.stack((np.arange(left.size), left.size + np.arange(left.size)), axis=1))


def _together(condition: Node, one: Node, zero: Node) -> Node | None:
    """The choice as one piecewise-linear function of one node, if all three are functions of it."""
    branches = [None if (v := _numbers(n)) is None else constant_lines(v) for n in (one, zero)]
    symbolic = [n for n, lines in zip((one, zero), branches, strict=True) if lines is None]
    if _numbers(condition) is not None:
        return None
    found = joined([condition, *symbolic])
    if found is None:
        return None
    base, (first, *rest) = found
    others = iter(rest)
    lines = [next(others) if mine is None else mine for mine in branches]
    return selected(base, first, *lines)


def _numbers(node: Node) -> Array | None:
    """The values of a node without parents."""
    return node.bias if isinstance(node, Affine) and not node.maps else None


def _sum(*terms: tuple[Array, Node]) -> Node:
    """``sum_k factor_k node_k``; numbers of 0 are no terms."""
    kept = [(Scale(factor), node) for factor, node in terms if factor.any()]
    return affine(tuple(kept)) if kept else constant(np.zeros(len(terms[0][0])))
