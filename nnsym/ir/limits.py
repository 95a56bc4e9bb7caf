"""What preconditions say about single inputs, by going backwards from the rows that always hold.

A row ``c v + d <= 0`` bounds ``v``; a bounded maximum bounds its members, a bounded ``|v|`` bounds v on both sides, and
of a bounded sum of terms that are never negative every term is bounded: ``max_j |x_j| <= r``, ``sum_j |x_j| <= r``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fractions import Fraction

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv
from nnsym.ir.exact import round_up, to_fractions
from nnsym.ir.formula import always
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge

_Term = tuple[Node, int, Fraction]  # coefficient of an element of a node
_Claim = tuple[Node, int, int, Fraction]  # sign * element <= limit


def input_limits(query: Query, inputs: Collection[Input]) -> dict[Input, tuple[Array, Array]]:
    """Float bounds ``(lower, upper)`` of the given inputs wherever the query's formula holds, rounded outward."""
    found = {x: (np.full(x.size, -np.inf), np.full(x.size, np.inf)) for x in inputs}
    work = [claim for terms, limit in _held(query) for claim in _split(terms, limit)]
    while work:
        node, element, sign, limit = work.pop()
        if isinstance(node, Input) and node in found:
            lower, upper = found[node]
            most = float(round_up(np.array([limit], dtype=object))[0])
            if sign > 0:
                upper[element] = min(upper[element], most)
            else:
                lower[element] = max(lower[element], -most)
        else:
            work.extend(_arguments(node, element, sign, limit))
    return found


def _held(query: Query) -> Iterable[tuple[list[_Term], Fraction]]:
    """The rows ``sum of terms <= limit`` that hold wherever the formula does."""
    rows = query.rows.take(always(query.formula))
    terms: list[list[_Term]] = [[] for _ in range(len(rows))]
    for node, part in rows.parts.items():
        for row, column, c in zip(part.row, part.column, to_fractions(part.coefficient), strict=True):
            terms[row].append((node, int(column), c))
    yield from zip(terms, -to_fractions(rows.constant), strict=True)


def _split(terms: list[_Term], limit: Fraction) -> Iterable[_Claim]:
    """What a bounded sum says about its terms."""
    if len(terms) == 1 or all(c > 0 and _never_negative(node) for node, _, c in terms):
        for node, element, c in terms:
            yield node, element, 1 if c > 0 else -1, limit / abs(c)


def _never_negative(node: Node) -> bool:
    if not (isinstance(node, Pointwise) and isinstance(node.fn, Hinge)):
        return False
    return bool((node.fn.left <= 0).all() and (node.fn.right >= 0).all())


def _arguments(node: Node, element: int, sign: int, limit: Fraction) -> Iterable[_Claim]:
    """What ``sign * element <= limit`` says about the arguments of a node."""
    match node:
        case Max() if sign > 0:
            for member in node.groups[element][node.groups[element] >= 0]:
                yield node.parents[0], int(member), 1, limit
        case Pointwise(fn=Hinge() as fn) if sign > 0 and limit >= 0:
            left, right = (Fraction(float(s[element])) for s in fn.slopes(node.size))
            if right > 0:
                yield node.parents[0], element, 1, limit / right
            if left < 0:
                yield node.parents[0], element, -1, limit / -left
        case Affine() if not any(isinstance(m, Conv) for m in node.maps):
            terms: list[_Term] = []
            for linear, parent in zip(node.maps, node.parents, strict=True):
                data, indices, indptr = linear.csr()
                span = slice(indptr[element], indptr[element + 1])
                pairs = zip(indices[span].tolist(), data[span].tolist(), strict=True)
                terms.extend((parent, j, sign * Fraction(c)) for j, c in pairs if c)
            yield from _split(terms, limit - sign * Fraction(float(node.bias[element])))
