"""How far the rows of a query move when the errors of rounding do, certified.

Two runs of one graph on the same inputs, one with errors ``e`` and one without, differ at every node by

    phi(a) - phi(a')  =  s (a - a'),      s between the least and the largest slope of phi over the node's range,

(for a maximum: a convex combination of its members' differences; for a product: the range of one factor times the
difference of the other). Going back from the rows, each coefficient of an ``e`` lies in an interval, and

    |s(x, e) - s(x, 0)|  <=  sum over all e of max |coefficient| times the bound of |e|.

Signs are kept wherever slopes are known, so this is far below a product of norms.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnsym.deployed.formats import UP
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.exact import nearest
from nnsym.ir.intervals import stretch
from nnsym.ir.linear import LinearMap
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.univariate import Hinge
from nnsym.results.clock import NEVER, Deadline

Ranges = Mapping[Node, tuple[Array, Array]]

#: Rows times elements of the largest layer beyond which no bound is computed.
_ENTRIES = 2**26


def row_errors(
    query: Query, errors: Mapping[Input, Array], ranges: Ranges, *, deadline: Deadline = NEVER
) -> Array | None:
    """``sup |s_i(x, e) - s_i(x, 0)|`` of every row, rounded up; None for a query that is too large.

    ``ranges`` hold for both runs: they were computed with errors whose boxes contain 0. Raises OutOfTime.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # infinite slopes, at a jump: NaN counts as infinite
        return _row_errors(query, errors, ranges, deadline)


def _row_errors(query: Query, errors: Mapping[Input, Array], ranges: Ranges, deadline: Deadline) -> Array | None:
    rows = len(query.rows)
    if rows * max((n.size for n in query.nodes), default=0) > _ENTRIES:
        return None
    centre: dict[Node, Array] = {}
    radius: dict[Node, Array] = {}

    def send(node: Node, c: Array, r: Array) -> None:
        centre[node] = centre[node] + c if node in centre else c
        radius[node] = radius[node] + r if node in radius else r

    for node, part in query.rows.parts.items():
        matrix = np.zeros((rows, node.size))
        np.add.at(matrix, (part.row, part.column), nearest(part.coefficient))
        send(node, matrix, 2.0**-52 * np.abs(matrix))
    total = np.zeros(rows)
    for node in reversed(query.nodes):
        deadline.check()
        if node not in centre:
            continue
        c, r = centre.pop(node), radius.pop(node)
        r = r + 2.0**-50 * np.abs(c)  # the additions that made c
        if isinstance(node, Input):
            if node in errors:
                weight = np.nan_to_num(UP * (np.abs(c) + r), nan=np.inf, posinf=np.inf)
                total = total + UP * np.where(weight > 0, weight * errors[node], 0.0).sum(axis=1)
            continue
        for parent, low, high in _back(node, c, r, ranges):
            send(parent, (low + high) / 2, UP * np.maximum(high - (low + high) / 2, (low + high) / 2 - low))
    return UP * total


def _back(node: Node, c: Array, r: Array, ranges: Ranges) -> list[tuple[Node, Array, Array]]:
    """Coefficients of the parents, as intervals."""
    match node:
        case Affine():
            return [(p, *_adjoint(m, c, r)) for m, p in zip(node.maps, node.parents, strict=True)]
        case Pointwise():
            return [(node.parents[0], *_times(c, r, *slopes(node, *ranges[node.parents[0]])))]
        case Max():
            return [(node.parents[0], *_members(node, c, r, *ranges[node.parents[0]]))]
        case Product():
            first, second = node.parents
            return [(first, *_times(c, r, *ranges[second])), (second, *_times(c, r, *ranges[first]))]
    raise UnsupportedError(f"no differences of {node!r} are known", remedy="Ask for the real function")


def _adjoint(linear: LinearMap, c: Array, r: Array) -> tuple[Array, Array]:
    middle, spread = linear.adjoint(c), linear.abs().adjoint(r + 2.0**-52 * (linear.n_out + 4) * np.abs(c))
    return middle - UP * spread, middle + UP * spread


def _times(c: Array, r: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """The interval ``(c -+ r) [low, high]``; 0 times an infinity is 0 only where the coefficient is exactly 0."""
    ends = (c - UP * r, c + UP * r)
    with np.errstate(invalid="ignore"):  # NaN, which stands for an infinity, stays NaN
        corners = np.stack([np.where((a == 0) | (s == 0), 0.0, a * s) for a in ends for s in (low, high)])
    least, most = corners.min(axis=0), corners.max(axis=0)
    return least - 2.0**-52 * np.abs(least), most + 2.0**-52 * np.abs(most)


def slopes(node: Pointwise, low: Array, high: Array) -> tuple[Array, Array]:
    """The least and the largest slope of a function between two arguments in a range, rounded outward."""
    match node.fn:
        case Hinge() as fn:
            left, right = fn.slopes(node.size)
            least = np.where(low >= 0, right, np.where(high <= 0, left, np.minimum(left, right)))
            return least, np.where(low >= 0, right, np.where(high <= 0, left, np.maximum(left, right)))
    return node.fn.steepness(low, high)


def _members(node: Max, c: Array, r: Array, low: Array, high: Array) -> tuple[Array, Array]:
    """A share between 0 and 1 of every member that may win, all of it where only one may."""
    real = node.groups >= 0
    best = np.where(real, low[node.groups], -np.inf).max(axis=1, keepdims=True)
    alive = real & (high[node.groups] >= best)
    alone = alive & (alive.sum(axis=1, keepdims=True) == 1)
    least, most = np.zeros((len(c), len(low))), np.zeros((len(c), len(low)))
    lower, upper = c - UP * r, c + UP * r
    for k in range(node.groups.shape[1]):
        (groups,) = np.nonzero(alive[:, k])
        member = node.groups[groups, k]
        one = alone[groups, k]
        low_k = np.where(one, lower[:, groups], np.minimum(lower[:, groups], 0.0))
        high_k = np.where(one, upper[:, groups], np.maximum(upper[:, groups], 0.0))
        np.add.at(least.T, member, low_k.T)
        np.add.at(most.T, member, high_k.T)
    return least - 2.0**-50 * np.abs(least), most + 2.0**-50 * np.abs(most)


def carried(node: Node, sizes: tuple[Array, ...], away: tuple[Array, ...]) -> Array:
    """How far errors of the arguments may move a node's value, by absolute values alone, rounded up.

    ``sizes`` bound the arguments' absolute values, ``away`` their errors.
    """
    match node:
        case Affine():
            moved = np.zeros(node.size)
            for linear, far in zip(node.maps, away, strict=True):
                moved = moved + stretch(linear, far)
            return UP * moved
        case Pointwise():
            least, most = slopes(node, -sizes[0], sizes[0])
            steep = np.maximum(np.abs(least), np.abs(most))
            with np.errstate(invalid="ignore"):
                return np.where(away[0] == 0, 0.0, UP * steep * away[0])
        case Max():
            return np.asarray(np.where(node.groups >= 0, away[0][node.groups], 0.0).max(axis=1))
        case Product():
            with np.errstate(invalid="ignore"):
                moved = sizes[0] * away[1] + sizes[1] * away[0] + away[0] * away[1]
            return np.where(np.isnan(moved), np.inf, UP * moved)
    return np.full(node.size, np.inf)
