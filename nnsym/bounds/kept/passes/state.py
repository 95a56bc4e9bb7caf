"""What passes know of a batch of subproblems: ranges, centres, and for every step the price of rounding, folded in.

Rows speak of deviations ``v - c`` from the *centre* c of every node, the middle of its range, and ``rho`` is the radius
around it (docs/rounding.md, "Linear bounds, backwards"). A step over a node adds ``C below`` where its coefficient is
positive and ``C above`` where it is negative: ``below`` is what its lower line has at the centres, less all that
rounding may move there, ``above`` likewise. So a charged pass costs no more than an uncharged one.

Steps over a pointwise node ``y`` and the affine ``z = A v + b`` that it alone reads are one. Let ``i = fl(A c_v + b)``,
its *image*, ``|z(c_v) - i| <= d``; then for a line ``y >= s z + o`` and the float ``C' ~ C s``

    C (y - c_y)  >=  C' (A (v - c_v) + d)  +  C (o + s i - c_y)  -  |C s - C'| (rho_z + |i - c_z|),

where the first part goes on to v, whose step of the matrix costs ``|C'|`` times the price of z. The other summands are
``below``.

Arrays of nodes are float64 ``(1 or batch, n)``: 1 where all subproblems agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.kept.passes.relaxations import Lines, lines
from nnsym.bounds.kept.plan.plan import Plan
from nnsym.bounds.kept.rounding import FLOAT64, blend, product, settle
from nnsym.ir.array import Array
from nnsym.ir.intervals import Sides
from nnsym.ir.node import Affine, Input, Node

_LARGE = 2.0**100  # amounts beyond it count as infinite
_FAR = 2.0**90  # a limit that nothing reaches
_MORE = 1.0 + 2.0**-8  # |C'| against |C s|


@final
@dataclass(frozen=True, eq=False)
class Step:
    """What replaces one node in rows, in their format.

    ``table`` ``(1 or batch, 2 + 2 taps, n)`` has the offsets where a coefficient is positive (the lower line's) and
    where it is negative, then the slopes likewise, tap by tap; a tap is a parent, and which of its elements (None:
    element i). ``blocked`` marks elements that a row must not touch: nothing bounds them.
    """

    taps: tuple[tuple[Node, Array | None], ...]
    table: Array
    blocked: Array | None


@final
@dataclass(frozen=True, eq=False)
class Steered:
    """The step of a hinge whose free side has slopes of the rows' own, in ``[least, most]``: one number if not free.

    ``at`` is what a free slope is multiplied by. The free side is above if ``turned``, else below; the line of the
    other side has the offset ``other``.
    """

    step: Step
    at: Array
    free: Array
    least: Array
    most: Array
    turned: bool
    other: Array


@final
@dataclass(frozen=True, eq=False)
class CutOffsets:
    """Of a node's cuts, float64 ``(1 or batch, cuts)``: offsets, what a unit of a multiplier adds to a row's constant,
    and which may have one at all.
    """

    offset: Array
    brought: Array
    usable: Array


@final
class State:
    """All nodes of a plan for a batch; filled parents first. ``limits`` are what the subproblems assume of nodes.

    Of an affine node ``drift`` is how far its ``image`` may be off, and ``amounts`` are ``|A| rho`` of each parent.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.lower: dict[Node, Array] = {}
        self.upper: dict[Node, Array] = {}
        self.centre: dict[Node, Array] = {}
        self.radius: dict[Node, Array] = {}
        self.image: dict[Node, Array] = {}
        self.drift: dict[Node, Array] = {}
        self.amounts: dict[Node, list[Array]] = {}
        self.limits: dict[Node, Sides] = {}
        self._held: dict[Node, Array] = {}
        self._cuts: dict[Node, CutOffsets] = {}
        self._lines: dict[Node, Lines] = {}
        self._steps: dict[Node, Step] = {}
        self._copied: dict[Node, Array] = {}
        self._prices: dict[Node, Array] = {}
        self._steered: dict[Node, Steered | None] = {}
        self._inputs: dict[Node, Array] = {}
        self._blocks: dict[Node, Array] = {}
        self._near: dict[tuple[int, Node], Array] = {}

    def sides(self, node: Node) -> Sides:
        """The range of a node."""
        return self.lower[node], self.upper[node]

    def put(self, node: Node, lower: Array, upper: Array) -> None:
        """The range of a node; what is between crossed ends is bounded as what is between them uncrossed.

        A node may get a smaller one before any of its readers does.
        """
        self._lines.pop(node, None)
        self._steps.pop(node, None)
        low, high = settle(np.minimum(lower, upper), np.maximum(lower, upper), self.plan.by)
        self.lower[node], self.upper[node] = low, high
        centre = 0.5 * low + 0.5 * high
        radius = np.maximum(high - centre, centre - low) * (1.0 + 4.0 * FLOAT64.u)
        if not np.isfinite(radius).all():
            bounded = np.isfinite(radius)
            centre, radius = np.where(bounded, centre, 0.0), np.where(bounded, radius, np.inf)
        self.centre[node], self.radius[node] = centre, radius

    def affine(self, node: Affine) -> Sides:
        """Image and drift of an affine node whose parents are final, and its interval from theirs."""
        image = self.plan.bias(node)
        size, reach, amounts, most = np.abs(image), np.zeros_like(image), [], 0
        for matrix, parent in zip(self.plan.matrices[node], node.parents, strict=True):
            centre = self.centre[parent]
            image, size = image + matrix.apply(centre), size + matrix.stretch(np.abs(centre))
            amounts.append(matrix.stretch(self.radius[parent]))
            reach, most = reach + amounts[-1], max(most, matrix.terms)
        exact = bool(node.maps) and self.plan.copies(node)
        slip = 0.0 if exact or not node.maps else FLOAT64.gamma(most + len(node.maps) + 6)
        drift = slip * size + (FLOAT64.tiny * self._meets(node, size + reach) if slip else 0.0)
        self.image[node], self.drift[node], self.amounts[node] = image, drift, amounts
        if exact and np.isfinite(reach).all():
            pairs = list(zip(self.plan.matrices[node], node.parents, strict=True))
            low, high = (sum(m.apply(s[p]) for m, p in pairs) for s in (self.lower, self.upper))
            return np.asarray(low), np.asarray(high)
        far = reach * (1.0 + slip) + drift
        return image - far, image + far

    def _meets(self, node: Affine, size: Array) -> Array:
        """Where rows meet numbers that are not 0; ``size``, what these come to, may have underflowed."""
        there = size > 0
        if not there.all():
            for matrix, parent in zip(self.plan.matrices[node], node.parents, strict=True):
                moves = (self.centre[parent] != 0) | (self.radius[parent] > 0)
                there = there | (matrix.stretch(moves.astype(np.float64)) > 0)
        return there

    def near(self, part: Mapping[Node, Array], node: Node) -> Array:
        """The array of a node in a part of the state, rounded to the format of rows."""
        key = id(part), node
        if key not in self._near:
            self._near[key] = self.plan.by.near(part[node])
        return self._near[key]

    def lines(self, node: Node) -> Lines:
        """The lines of a nonlinear node."""
        if node not in self._lines:
            parents = tuple(self._seen(node, p, self.sides(p)) for p in node.parents)
            self._lines[node] = lines(self.plan, node, parents, self.sides(node))
        return self._lines[node]

    def _seen(self, node: Node, parent: Node, sides: Sides) -> Sides:
        """The elements of a parent that an elementwise node looks at; all of them for a maximum."""
        place = self.plan.place(node, parent)
        return sides if place is None else (sides[0][:, place], sides[1][:, place])

    def price(self, node: Affine) -> Array:
        """What replacing an affine node by its parents may cost per unit of coefficient."""
        if node not in self._prices:
            self._prices[node] = self._price(node)
        return self._prices[node]

    def _price(self, node: Affine) -> Array:
        by, total, most = self.plan.by, self.drift[node], self.plan.size(node)
        if node in self.plan.fused:
            most = _live(self.lines(self.plan.fused[node])) + self._limited(node)
        for matrix, amount in zip(self.plan.matrices[node], self.amounts[node], strict=True):
            terms = min(matrix.back, most) + matrix.rounded + self.plan.count
            total = total + by.gamma(terms) * (amount + by.pad * matrix.touched)
        return total

    def copied(self, node: Affine) -> Array:
        """The price of single rows of the maps, as they stand or added to what else meets in a parent."""
        if node not in self._copied:
            self._copied[node] = self._copy(node)
        return self._copied[node]

    def _copy(self, node: Affine) -> Array:
        total = self.drift[node] + FLOAT64.gamma(8) * np.abs(self.image[node])
        for matrix, amount in zip(self.plan.matrices[node], self.amounts[node], strict=True):
            terms = len(node.maps) - 1 + matrix.rounded + self.plan.count
            total = total + self.plan.by.gamma(terms) * (amount + self.plan.by.pad * matrix.touched)
        return total

    def around(self, node: Node) -> Array:
        """The radius of an input in the format of rows, with what adding up coefficients and constants may be off."""
        if node not in self._inputs:
            slack = self.plan.by.gamma(self.plan.count + 4)
            self._inputs[node] = self.plan.by.up(self.radius[node] * (1.0 + slack))
        return self._inputs[node]

    def blocks(self, node: Node, length: int) -> Array:
        """The radii of an input on which all subproblems agree, ``(n, blocks)``: a column for so many elements."""
        if node not in self._blocks:
            (radius,) = self.around(node)
            column = np.arange(len(radius)) // length
            self._blocks[node] = radius[:, None] * (column[:, None] == np.arange(column[-1] + 1))
        return self._blocks[node]

    def step(self, node: Node) -> Step:
        """The step over a nonlinear node, with the affine one that it alone reads, or over an affine one by itself."""
        if node not in self._steps:
            self._steps[node] = self._alone(node) if isinstance(node, Affine) else self._stepped(node)
        return self._steps[node]

    def held(self, node: Node) -> Array:
        """What multipliers of a node's limits bring, in the format of rows, ``(1 or batch, 4, n)``.

        Per unit of a positive multiplier, and of a negative one: ``limit - reference`` less its price. The reference is
        the image where the node is stepped over with its reader, whose price knows nothing of multipliers; else the
        centre. Then the limits, far away where there is none. Multipliers have to be 0 there.
        """
        if node not in self._held:
            self._held[node] = self._hold(node)
        return self._held[node]

    def _hold(self, node: Node) -> Array:
        by, reference, spread = self.plan.by, self.centre[node], self.radius[node]
        price = by.gamma(self.plan.count) * spread
        if isinstance(node, Affine) and node in self.plan.fused:
            price = by.gamma(self.plan.count) * (spread + np.abs(self.image[node] - reference)) + self.price(node)
            reference = self.image[node]
        terms = by.gamma(self.plan.size(node) + self.plan.count + 6)
        found: list[Array] = []
        far: list[Array] = []
        for limit, sign in zip(self.limits[node], (-1.0, 1.0), strict=True):
            there = np.isfinite(limit)
            near = np.where(there, limit, 0.0)
            paid = (price + terms * (np.abs(reference) + np.abs(near)) + by.pad) * (1.0 + 2.0 * terms)
            brought = np.where(there, near - reference + sign * paid, 0.0)
            found.append(by.down(brought) if sign < 0 else by.up(brought))
            far.append(np.where(there, limit, sign * _FAR).astype(by.dtype))
        return np.stack(np.broadcast_arrays(*found, *far), axis=1)

    def cut(self, node: Node) -> CutOffsets:
        """The offsets of a node's cuts for the ranges that are known here, and what multipliers of them bring."""
        if node not in self._cuts:
            self._cuts[node] = self._cut(node)
        return self._cuts[node]

    def _cut(self, node: Node) -> CutOffsets:
        """``y - M p - offset`` at the centres, less what rounding may move: of the sum of an element's multipliers, of
        products with M, and of the additions to what else meets in y and in p.
        """
        by, cuts, offset = self.plan.by, self.plan.cuts[node], self._offset(node)
        centre, spread = self.centre[node][:, cuts.index], self.radius[node][:, cuts.index]
        total, size, terms = centre - offset, np.abs(centre) + np.abs(offset), 2 * len(cuts.matrices)
        price = by.gamma(cuts.most + self.plan.count) * (spread + by.pad)
        for matrix, parent in cuts.matrices:
            middle, reach = self.centre[parent], matrix.stretch(self.radius[parent])
            total, size = total - matrix.apply(middle), size + matrix.stretch(np.abs(middle))
            price = price + by.gamma(matrix.back + 1 + self.plan.count) * (reach + by.pad * matrix.touched)
            terms += matrix.terms
        terms += len(cuts) + self.plan.additions + 8
        price = price + FLOAT64.gamma(terms) * (size + price) + FLOAT64.tiny
        usable = np.abs(total) + price <= _LARGE
        return CutOffsets(offset, np.where(usable, total - price, 0.0), usable)

    def _offset(self, node: Node) -> Array:
        """Offsets with which ``y <= M p + offset`` holds (:mod:`nnsym.bounds.kept.cuts`), rounded up."""
        cuts, (z,) = self.plan.cuts[node], node.parents
        place = self.plan.place(node, z)
        low, high = (side[:, cuts.index if place is None else place[cuts.index]] for side in self.sides(z))
        passive = cuts.line * (cuts.b - low)
        active = (1.0 - cuts.top) * cuts.b + cuts.top * high
        size, terms = (1.0 + cuts.line + cuts.top) * (np.abs(cuts.b) + np.abs(low) + np.abs(high)), 0
        for below, above, (_, parent) in zip(cuts.passive, cuts.active, cuts.matrices, strict=True):
            centre, radius = self.centre[parent], self.radius[parent]
            passive = passive + (below.apply(centre) + below.stretch(radius))
            active = active + (above.apply(centre) + above.stretch(radius))
            size = size + cuts.size * (np.abs(centre) + radius).max(axis=1, keepdims=True, initial=0.0)
            terms += below.terms + above.terms + 4
        return np.asarray(np.maximum(passive, active) + FLOAT64.gamma(terms + 16) * size + FLOAT64.tiny)

    def _limited(self, node: Node) -> int:
        """The most elements of a subproblem that have limits: multipliers give them coefficients."""
        sides = self.limits.get(node)
        return 0 if sides is None else int(np.isfinite(sides).any(axis=0).sum(axis=1).max(initial=0))

    def _alone(self, node: Affine) -> Step:
        away = self.image[node] - self.centre[node]
        price = self.price(node) + FLOAT64.gamma(4) * (np.abs(self.image[node]) + np.abs(self.centre[node]))
        return _step((), *self._priced(away, away, price))

    def _stepped(self, node: Node) -> Step:
        found, by = self.lines(node), self.plan.by
        low = np.where(np.isfinite(found.low), found.low, 0.0)
        high = np.where(np.isfinite(found.high), found.high, 0.0)
        size = np.maximum(np.abs(low), np.abs(high)) + np.abs(self.centre[node])
        low, high, price = found.low - self.centre[node], found.high - self.centre[node], np.zeros_like(size)
        taps = []
        for tap in found.taps:
            at, spread, below = self._argument(node, tap.parent, tap.index)
            steep = np.maximum(np.abs(tap.low), np.abs(tap.high))
            low, high, size = low + tap.low * at, high + tap.high * at, size + 2.0 * steep * np.abs(at)
            price = price + product(steep, by.gamma(2 + self.plan.count) * spread + below * _MORE)
            price = price + by.pad * (steep > 0)
            index = self.plan.place(node, tap.parent) if tap.index is None else tap.index
            taps.append((tap.parent, index))
        price = price + FLOAT64.gamma(2 * len(taps) + 4) * size
        slopes = [by.near(side) for tap in found.taps for side in (tap.low, tap.high)]
        return _step(tuple(taps), *self._priced(low, high, price), *slopes)

    def _argument(self, node: Node, parent: Node, index: Array | None) -> tuple[Array, Array, Array | float]:
        """Where a parent is taken, how far it may be from its centre and from there, and the price of its own step."""
        if isinstance(parent, Affine) and parent in self.plan.fused:
            image = self.image[parent]
            return image, self.radius[parent] + np.abs(image - self.centre[parent]), self.price(parent)
        place = self.plan.place(node, parent) if index is None else index
        centre, radius = self.centre[parent], self.radius[parent]
        return (centre, radius, 0.0) if place is None else (centre[:, place], radius[:, place], 0.0)

    def _priced(self, low: Array, high: Array, price: Array) -> tuple[Array | None, Array, Array]:
        """What is blocked, and offsets with their price and with what their sum over a node's elements may be off."""
        offset = np.maximum(np.abs(low), np.abs(high))
        by, n = self.plan.by, int(((offset > 0) | (price > 0)).sum(axis=1).max(initial=0))
        total = price + by.gamma(n + 6 + self.plan.count) * offset + by.pad * (offset > 0)
        total = total * (1.0 + 2.0 * by.gamma(n + 6))
        below, above = low - total, high + total
        blocked = ~(np.maximum(np.abs(below), np.abs(above)) <= _LARGE)
        if blocked.any():
            below, above = np.where(blocked, 0.0, below), np.where(blocked, 0.0, above)
        return blocked if blocked.any() else None, by.down(below), by.up(above)

    def steered(self, node: Node) -> Steered | None:
        """The step of a hinge with slopes of the rows' own on the free side; None for other nodes.

        The line through the origin of slope s is ``s i - c_y`` at the image: the second part stays in the step, the
        first is a sum of its own, which is charged for the steepest slope there may be.
        """
        if node not in self._steered:
            self._steered[node] = self._steer(node) if not isinstance(node, (Affine, Input)) else None
        return self._steered[node]

    def _steer(self, node: Node) -> Steered | None:
        found, by, plain = self.lines(node), self.plan.by, self.step(node)
        if found.free is None or found.least is None or found.most is None or not found.free.any():
            return None
        ((parent, _index),) = plain.taps
        at, spread, below = self._argument(node, parent, None)
        place = self.plan.place(node, parent)
        middle = self.centre[parent] if place is None else self.centre[parent][:, place]
        steep = np.maximum(np.maximum(np.abs(found.least), np.abs(found.most)), np.abs(found.taps[0].low))
        steep = np.maximum(steep, np.abs(found.taps[0].high))
        terms, centre = at.shape[1] + 6 + self.plan.count, self.centre[node]
        price = product(steep, by.gamma(2 + self.plan.count) * (spread + np.abs(middle)) + below * _MORE)
        price = price + by.gamma(terms) * (steep * np.abs(at) + np.abs(centre)) + by.pad
        least, most = by.inside(found.least, found.most)
        free = (np.broadcast_to(found.free, price.shape) > 0) & (least <= most)  # or no slope of the format fits
        blocked, *own = self._priced(-centre, -centre, price)
        fixed = by.near(found.taps[0].high if found.turned else found.taps[0].low)
        least, most = blend(free, least, fixed), blend(free, most, fixed)
        sides = [plain.table[:, 0], plain.table[:, 1]]
        sides[found.turned] = blend(free, own[found.turned], sides[found.turned])
        both = [b for b in (plain.blocked, blocked) if b is not None]
        step = _step(
            plain.taps, np.logical_or.reduce(both) if both else None, *sides, plain.table[:, 2], plain.table[:, 3]
        )
        other = by.near(found.low if found.turned else found.high)
        at = by.near(blend(free, at, np.zeros_like(at)))
        return Steered(step, at, free.astype(by.dtype), least, most, found.turned, other)


def _step(taps: tuple[tuple[Node, Array | None], ...], blocked: Array | None, *rows: Array) -> Step:
    """The step of offsets and slopes, each ``(1 or batch, n)``."""
    return Step(taps, np.stack(np.broadcast_arrays(*rows), axis=1), blocked)


def _live(found: Lines) -> int:
    """The most elements of a subproblem whose lines have a slope: those that a step leaves coefficients of."""
    steep = [(t.low != 0) | (t.high != 0) for t in found.taps]
    return int(np.logical_or.reduce(steep).sum(axis=1).max(initial=0))
