"""A query in which differences of two runs are nodes: what bounds of two applications or two networks work on.

The pass finds what a query subtracts from each other, in its rows (``f(x') - f(x)``) and in affine layers
(``abs(f(x) - g(x))``), makes difference nodes of these pairs (:mod:`nnsym.ir.pairs.pairs`), and writes the rows and
layers over them:

    c a_i - c b_i  =  c (a - b)_i              c a_i - e b_i  =  e (a - b)_i + (c - e) a_i,   0 < e < c.

Every node has the value that it had, exactly; only differences of inputs become inputs of their own, with a box that
holds what the domain and the preconditions say of them (``x_j = x'_j``, ``|x_j - x'_j| <= d``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.limits import input_limits
from nnsym.ir.linear import LinearMap
from nnsym.ir.node import Affine, Input, Node, affine
from nnsym.ir.outward import sum_down, sum_up
from nnsym.ir.pairs.difference import Difference
from nnsym.ir.pairs.pairs import Gaps, Pair, opposite, related
from nnsym.ir.query import Query
from nnsym.ir.rows import Coefficients, Rows, stack
from nnsym.ir.walk import substitute


@final
@dataclass(frozen=True, eq=False)
class Paired:
    """``query`` says what the original said, over difference nodes.

    Its first rows are the original's, the others are the elements of the differences in ``roots``. ``nodes`` maps every
    original node to the one of equal value, ``gaps`` a pair of original nodes to their difference, ``inputs`` the new
    inputs to the inputs that they are the difference of.
    """

    query: Query
    nodes: Mapping[Node, Node]
    gaps: Mapping[Pair, Node]
    inputs: Mapping[Input, tuple[Input, Input]]

    def boxes(self, boxes: Mapping[Input, tuple[Array, Array]]) -> dict[Input, tuple[Array, Array]]:
        """Boxes of the new inputs beside float boxes ``(batch, size)`` of the original's, rounded outward."""
        found = dict(boxes)
        for gap, (left, right) in self.inputs.items():
            low, high = _apart(*(boxes.get(x, self.query.boxes[x].outer) for x in (left, right)))
            own = self.query.boxes[gap].outer
            found[gap] = np.maximum(low, own[0]), np.minimum(high, own[1])
        return found


def pair(query: Query) -> Paired | None:
    """The query over differences; None if it compares no two nodes of one operation."""
    gaps = Gaps()
    found: dict[Node, Node] = {n: _over_gaps(n, gaps) for n in query.nodes if isinstance(n, Affine)}
    replaced = {node: new for node, new in found.items() if new is not node}
    rows = query.rows
    for left, right in combinations(query.rows.parts, 2):
        rows = _shift(rows, left, right, gaps)
    roots = [gaps.of(*outputs) for outputs in _outputs(query)]
    if not any(isinstance(gap, Difference) for gap in gaps.known.values()):
        return None
    moved = substitute((*query.nodes, *rows.parts, *gaps.known.values()), replaced)
    rows = Rows({moved[node]: part for node, part in rows.parts.items()}, rows.constant)
    rows = stack((rows, *(Rows.of(moved[gap]) for gap in roots)))
    inputs = gaps.inputs()
    boxes = {gap: Box(*_apart(*(query.boxes[x].outer for x in pair))) for gap, pair in inputs.items()}
    paired = replace(query, rows=rows, boxes={**query.boxes, **boxes}, labels=(), assumed={})
    limits = {gap: Box(*sides).intersect(boxes[gap]) for gap, sides in input_limits(paired, inputs).items()}
    return Paired(
        query=replace(paired, boxes={**paired.boxes, **limits}),
        nodes={node: moved[node] for node in query.nodes},
        gaps={pair: moved[gap] for pair, gap in gaps.known.items()},
        inputs=inputs,
    )


def _apart(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
    """The range of ``a - b`` for float boxes, rounded outward."""
    return sum_down(left[0], -right[1]), sum_up(left[1], -right[0])


def _over_gaps(node: Affine, gaps: Gaps) -> Node:
    """An affine node with every ``M a - M b`` written as ``M (a - b)``; the node itself if there is none."""
    terms = list(zip(node.maps, node.parents, strict=True))
    while (found := _opposite(terms)) is not None:
        (linear, a), (_, b) = found
        terms = [(linear, gaps.of(a, b)), *(t for t in terms if t[1] is not a and t[1] is not b)]
    return node if len(terms) == len(node.maps) else affine(tuple(terms), node.bias)


def _opposite(terms: list[tuple[LinearMap, Node]]) -> tuple[tuple[LinearMap, Node], tuple[LinearMap, Node]] | None:
    found = ((a, b) for a, b in combinations(terms, 2) if related(a[1], b[1]) and opposite(a[0], b[0]))
    return next(found, None)


def _shift(rows: Rows, left: Node, right: Node, gaps: Gaps) -> Rows:
    """Rows with as much as possible of ``a left_i + b right_i``, a and b of opposite signs, written over the gap."""
    a, b = rows.parts.get(left), rows.parts.get(right)
    if a is None or b is None or not related(left, right):
        return rows
    _, here, there = np.intersect1d(_places(a, left.size), _places(b, right.size), return_indices=True)
    mine, other = a.coefficient[here], b.coefficient[there]
    apart = np.asarray((mine > 0) != (other > 0), dtype=bool)
    if not apart.any():
        return rows
    row, column, mine, other = a.row[here][apart], a.column[here][apart], mine[apart], other[apart]
    amount = np.where(np.asarray(abs(mine) <= abs(other), dtype=bool), mine, -other)
    moves = [(gaps.of(left, right), amount), (left, -amount), (right, amount)]
    return rows + Rows.collect(((node, row, column, c) for node, c in moves), np.zeros(len(rows)))


def _places(part: Coefficients, size: int) -> Array:
    return part.row.astype(np.int64) * size + part.column


def _outputs(query: Query) -> Iterator[Pair]:
    """Outputs of one size of applications that follow each other."""
    known = set(query.nodes)
    outputs = (a.output(name) for a in query.applications for name in a.network.outputs)
    for left, right in pairwise(dict.fromkeys(node for node in outputs if node in known)):
        if related(left, right):
            yield left, right
