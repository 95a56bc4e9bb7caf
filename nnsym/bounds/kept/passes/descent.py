"""One backward pass over ragged rows: any number of rows of each subproblem, in one array ``(sets, rows, n)``.

The rows of a set each know the number of their subproblem, all sets the same numbers: what a step needs of subproblems
is gathered once. An element and its negative are two sets, and all rows of all subproblems are as many sets as one has
rows. The pass maintains the claim
``row >= constant + sum_n C_n (v_n - c_n)`` with the prices of :mod:`nnsym.bounds.kept.passes.state` paid by the
constant at every step. Coefficients are in the format of rows, constants float64.

What a pass may choose (:class:`Choice`): slopes of hinges on their free side (Xu et al., Fast and Complete, 2021),
multipliers of limits (Wang et al., Beta-CROWN, 2021): for ``m >= 0``, ``row >= row - m (v - lower)`` and ``row >= row +
m (v - upper)``, and likewise of cuts ``y <= M p + offset``: ``row >= row + m (y - M p - offset)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

import numpy as np

from nnsym.bounds.kept.passes.state import State, Steered, Step
from nnsym.bounds.kept.rounding import FLOAT64
from nnsym.ir.array import Array
from nnsym.ir.node import Affine, Input, Node


@final
@dataclass(frozen=True, eq=False)
class Choice:
    """Choices for the rows of a pass, ``(sets, rows, n)``; any within their limits are sound.

    ``slopes[y]`` of a hinge, within those of :class:`nnsym.bounds.kept.passes.state.Steered`. ``multipliers[v]`` of a
    node with limits: positive of the lower limit, negative of the upper one, 0 where there is none. ``cuts[y]``, of a
    node with cuts, are multipliers >= 0 of those that are usable, ``(sets, rows, cuts)``.
    """

    slopes: Mapping[Node, Array] = field(default_factory=dict)
    multipliers: Mapping[Node, Array] = field(default_factory=dict)
    cuts: Mapping[Node, Array] = field(default_factory=dict)


@final
@dataclass(frozen=True, eq=False)
class Seed:
    """Rows ``sign start[index]``: index and sign ``(sets, rows)``, of subproblems ``domain`` ``(rows,)``.

    Without ``domain`` there is one row of a set for every subproblem, in order. With ``weights`` ``(sets, rows, n) >=
    0``, in the format of rows, they are the sums ``weights start`` instead, and ``index`` numbers them. What is
    gathered is kept: an ascent asks for the same arrays of a state in every pass.
    """

    start: Node
    domain: Array | None
    index: Array
    sign: Array
    weights: Array | None = None
    _gathered: dict[int, tuple[Array, Array]] = field(default_factory=dict, init=False, repr=False)

    @property
    def where(self) -> Array:
        """The numbers of the subproblems."""
        return np.arange(self.index.shape[1]) if self.domain is None else self.domain

    def rows(self, part: slice) -> Seed:
        """Some rows of every set."""
        whole = self.domain is None and part == slice(0, self.index.shape[1])
        domain = None if whole else self.where[part]
        weights = None if self.weights is None else self.weights[:, part]
        return Seed(self.start, domain, self.index[:, part], self.sign[:, part], weights)

    def flat(self, part: Array) -> Seed:
        """Rows of one set alone: those of all sets, one set after the other, that a mask or numbers choose."""
        domain, weights = np.tile(self.where, len(self.index))[part], self.weights
        weights = None if weights is None else weights.reshape(1, -1, weights.shape[-1])[:, part]
        return Seed(self.start, domain, self.index.reshape(1, -1)[:, part], self.sign.reshape(1, -1)[:, part], weights)

    def gather(self, values: Array) -> Array:
        """Values ``(1 or batch, ...)`` that a state keeps, of the rows' subproblems, ``(1 or rows, ...)``."""
        if len(values) == 1 or self.domain is None:
            return values
        if id(values) not in self._gathered:
            self._gathered[id(values)] = values, values.take(self.domain, axis=0)  # the first keeps its id taken
        return self._gathered[id(values)][1]

    def weigh(self, coefficients: Array, values: Array) -> Array:
        """``sum_i c_i v_i`` of every row, values ``(1 or batch, n)``: ``(sets, rows)``."""
        return weigh(coefficients, self.gather(values))

    def pick(self, values: Array) -> Array:
        """The entries of values ``(1 or batch, n)`` of the start node that are the rows': ``(sets, rows)``."""
        return np.asarray(values[0 if len(values) == 1 else self.where, self.index])


@final
@dataclass(eq=False)
class Descent:
    """What a pass leaves behind.

    ``forms`` are the coefficients over the inputs and ``constant`` what the claim has beside them (float64, before the
    inputs are replaced). Where they were asked for, ``kept[y]`` are the coefficients of a nonlinear node before its
    step, and ``tables[y]`` that step's table, gathered.
    """

    constant: Array
    forms: dict[Node, Array]
    kept: dict[Node, Array]
    tables: dict[Node, Array]


def descend(state: State, seed: Seed, choice: Choice, *, keep: bool = False) -> Descent:
    """One backward pass: the rows of a seed, rewritten node by node into linear forms of the inputs below them.

    With ``keep`` the coefficients that nonlinear nodes had are kept: minimisers and gradients are made from them.
    """
    run = _Pass(state, seed, choice, keep)
    for node in state.plan.order(seed.start, *choice.multipliers):
        run.visit(node)
    return Descent(run.constant, run.coefficients, run.kept, run.tables)


def weigh(coefficients: Array, values: Array) -> Array:
    """``sum_i c_i v_i`` of every row, values ``(1 or rows, n)``: ``(sets, rows)``."""
    if len(values) == 1:
        return np.asarray(coefficients @ values[0])
    return np.asarray(np.einsum("kij,ij->ki", coefficients, values))


@final
class _Pass:
    def __init__(self, state: State, seed: Seed, choice: Choice, keep: bool) -> None:
        self.state, self.plan, self.seed, self.choice, self.keep = state, state.plan, seed, choice, keep
        self.coefficients: dict[Node, Array] = {}
        self.kept: dict[Node, Array] = {}
        self.tables: dict[Node, Array] = {}
        self.constant = self._begin(seed)
        for node, values in choice.multipliers.items():
            self._multiply(node, values)
        for node, values in choice.cuts.items():
            self._cut(node, values)

    def _begin(self, seed: Seed) -> Array:
        """Rows over a node; an affine one is replaced by its parents at once, by rows of its matrices."""
        node = seed.start
        if seed.weights is not None:
            return self._sum(node, seed.weights)
        sign: Array = seed.sign.astype(self.plan.by.dtype)[..., None]
        if isinstance(node, Affine):
            for matrix, parent in zip(self.plan.matrices[node], node.parents, strict=True):
                rows = matrix.rows(seed.index)
                rows *= sign
                self._add(parent, rows)
            value, price = self.state.image[node], self.state.copied(node)
        else:
            self._add(node, sign * (seed.index[..., None] == np.arange(self.plan.size(node))))
            value = self.state.centre[node]
            price = FLOAT64.gamma(8) * np.abs(value)
        return seed.sign * seed.pick(value) - seed.pick(price)

    def _sum(self, node: Node, weights: Array) -> Array:
        """Weighted sums of a node's elements: its step comes with the others, and pays for its own replacement."""
        self._add(node, weights)
        centre = self.seed.gather(self.state.centre[node])
        wide = weights.astype(np.float64)
        return weigh(wide, centre) - FLOAT64.gamma(wide.shape[-1] + 8) * weigh(np.abs(wide), np.abs(centre))

    def _multiply(self, node: Node, multipliers: Array) -> None:
        """Add what is at most 0 where the limits of a node hold: ``m (limit - v)``, m the signed multiplier."""
        table = self.seed.gather(self.state.held(node))
        self.constant += weigh(np.maximum(multipliers, 0), table[:, 0])
        self.constant += weigh(np.minimum(multipliers, 0), table[:, 1])
        self._add(node, -multipliers)

    def _cut(self, node: Node, multipliers: Array) -> None:
        """Add what is at most 0 by the cuts of a node: ``m (y - M p - offset)``, m >= 0."""
        cuts = self.plan.cuts[node]
        self.constant += weigh(multipliers.astype(np.float64), self.seed.gather(self.state.cut(node).brought))
        self._add(node, self._spread(multipliers, cuts.index, node))
        for matrix, parent in cuts.matrices:
            self._add(parent, -matrix.adjoint(multipliers))

    def _add(self, node: Node, values: Array) -> None:
        old = self.coefficients.get(node)
        self.coefficients[node] = values if old is None else old + values

    def visit(self, node: Node) -> None:
        """Replace one node."""
        if isinstance(node, Input):
            return
        c = self.coefficients.pop(node, None)
        if c is None:
            return
        if isinstance(node, Affine):
            if node not in self.plan.fused:
                step = self.state.step(node)
                self._pay(c.copy(), step, self.seed.gather(step.table))
            for matrix, parent in zip(self.plan.matrices[node], node.parents, strict=True):
                self._add(parent, matrix.adjoint(c))
            return
        slopes = self.choice.slopes.get(node)
        steered = None if slopes is None else self.state.steered(node)
        step = self.state.step(node) if steered is None else steered.step
        table = self.seed.gather(step.table)
        if self.keep:
            self.kept[node], self.tables[node] = c, table
        if slopes is None or steered is None:
            self._step(c, step, table)
        else:
            self._steer(c, steered, table, slopes)

    def _pay(self, c: Array, step: Step, table: Array) -> tuple[Array, Array]:
        """The offsets and prices of a step; the positive and the negative part of the coefficients, in their place."""
        if step.blocked is not None:
            self.constant[((c != 0) & self.seed.gather(step.blocked)).any(axis=-1)] = -np.inf
        positive = np.maximum(c, 0)
        negative = c - positive if self.keep else np.subtract(c, positive, out=c)
        self.constant += weigh(positive, table[:, 0])
        self.constant += weigh(negative, table[:, 1])
        return positive, negative

    def _step(self, c: Array, step: Step, table: Array) -> None:
        positive, negative = self._pay(c, step, table)
        for k, (parent, index) in enumerate(step.taps):
            last = k == len(step.taps) - 1
            term = np.multiply(positive, table[:, 2 + 2 * k], out=positive if last else None)
            term += np.multiply(negative, table[:, 3 + 2 * k], out=negative if last else None)
            self._add(parent, term if index is None else self._spread(term, index, parent))

    def _steer(self, c: Array, steered: Steered, table: Array, slopes: Array) -> None:
        positive, negative = self._pay(c, steered.step, table)
        ((parent, index),) = steered.step.taps
        free, other = (negative, positive) if steered.turned else (positive, negative)
        free *= slopes
        self.constant += weigh(free, self.seed.gather(steered.at))
        free += np.multiply(other, table[:, 2 if steered.turned else 3], out=other)
        self._add(parent, free if index is None else self._spread(free, index, parent))

    def _spread(self, term: Array, index: Array, parent: Node) -> Array:
        """Coefficients of elements ``index`` of a parent, added up where an element occurs more than once."""
        out = np.zeros((*term.shape[:-1], self.plan.size(parent)), dtype=term.dtype)
        if len(np.unique(index)) == len(index):
            out[..., index] = term
        else:
            np.add.at(np.moveaxis(out, -1, 0), index, np.moveaxis(term, -1, 0))
        return out
