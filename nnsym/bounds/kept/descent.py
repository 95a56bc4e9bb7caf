"""One backward pass over ragged rows: any number of rows of each subproblem, in one matrix.

A row knows the number of its subproblem; what a step needs of that is gathered. The pass maintains the claim
``row >= constant + sum_n C_n (v_n - c_n)`` with the prices of :mod:`nnsym.bounds.kept.state` paid by the constant at
every step. Coefficients are in the format of rows, constants float64.

What a pass may choose (:class:`Choice`): slopes of hinges on their free side (Xu et al., Fast and Complete, 2021), and
multipliers of limits (Wang et al., Beta-CROWN, 2021): for ``m >= 0``, ``row >= row - m (v - lower)`` and ``row >= row +
m (v - upper)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.kept.rounding import FLOAT64
from nnsym.bounds.kept.state import State, Steered, Step
from nnsym.ir.node import Affine, Input, Node

Array = NDArray[Any]


@final
@dataclass(frozen=True, eq=False)
class Choice:
    """Choices for the rows of a pass, ``(rows, n)``; any within their limits are sound.

    ``slopes[y]`` of a hinge, within those of :class:`nnsym.bounds.kept.state.Steered`. ``multipliers[v]``: positive of
    the lower limit, negative of the upper one, 0 where there is none. ``limits[v]`` are these limits, ``(1 or batch,
    n)``.
    """

    slopes: Mapping[Node, Array] = field(default_factory=dict)
    multipliers: Mapping[Node, Array] = field(default_factory=dict)
    limits: Mapping[Node, tuple[Array, Array]] = field(default_factory=dict)

    def take(self, index: Array) -> Choice:
        """The choices of some of the rows."""
        slopes, multipliers = ({n: v[index] for n, v in p.items()} for p in (self.slopes, self.multipliers))
        return Choice(slopes, multipliers, self.limits)


@final
@dataclass(frozen=True, eq=False)
class Seed:
    """Rows ``sign start[index]`` of subproblems ``domain``, three arrays of one length; sorted by domain is best."""

    start: Node
    domain: Array
    index: Array
    sign: Array

    def __len__(self) -> int:
        return len(self.domain)

    def take(self, rows: Array | slice) -> Seed:
        """Some of the rows."""
        return Seed(self.start, self.domain[rows], self.index[rows], self.sign[rows])


@final
@dataclass(eq=False)
class Descent:
    """What a pass leaves behind.

    ``forms`` are the coefficients over the inputs and ``constant`` what the claim has beside them (float64, before the
    inputs are replaced). ``kept[y]`` are the coefficients of a nonlinear node before its step, where they were asked
    for.
    """

    constant: Array
    forms: dict[Node, Array]
    kept: dict[Node, Array]


def descend(state: State, seed: Seed, choice: Choice, *, keep: bool = False) -> Descent:
    """The rows of a seed over the inputs."""
    run = _Pass(state, seed, choice, keep)
    for node in state.plan.order(seed.start, *choice.multipliers):
        run.visit(node)
    return Descent(run.constant, run.coefficients, run.kept)


def gather(values: Array, domain: Array) -> Array:
    """Values ``(1 or batch, n)`` of the rows' subproblems; one row where all agree."""
    return values if len(values) == 1 else values.take(domain, axis=0)


def weigh(coefficients: Array, values: Array) -> Array:
    """``sum_i c_i v_i`` of every row, values as :func:`gather` has them."""
    if len(values) == 1:
        return np.asarray(coefficients @ values[0])
    return np.asarray(np.einsum("ij,ij->i", coefficients, values))


@final
class _Pass:
    def __init__(self, state: State, seed: Seed, choice: Choice, keep: bool) -> None:
        self.state, self.plan, self.domain, self.choice, self.keep = state, state.plan, seed.domain, choice, keep
        self.coefficients: dict[Node, Array] = {}
        self.kept: dict[Node, Array] = {}
        self.constant = self._begin(seed)
        for node, values in choice.multipliers.items():
            self._multiply(node, values)

    def _begin(self, seed: Seed) -> Array:
        """Rows over a node; an affine one is replaced by its parents at once, by rows of its matrices."""
        node, by = seed.start, self.plan.by
        sign: Array = seed.sign.astype(by.dtype)[:, None]
        if isinstance(node, Affine):
            for matrix, parent in zip(self.plan.matrices[node], node.parents, strict=True):
                self._add(parent, sign * matrix.rows(seed.index))
            value, price = self.state.image[node], self.state.copied(node)
        else:
            rows: Array = np.zeros((len(seed), self.plan.size(node)), dtype=by.dtype)
            rows[np.arange(len(seed)), seed.index] = seed.sign
            self._add(node, rows)
            value = self.state.centre[node]
            price = FLOAT64.gamma(8) * np.abs(value)
        at = np.zeros_like(seed.domain) if len(value) == 1 else seed.domain
        return seed.sign * value[at, seed.index] - price[at if len(price) > 1 else 0 * at, seed.index]

    def _multiply(self, node: Node, multipliers: Array) -> None:
        """Add what is at most 0 where the limits of a node hold: ``m (limit - v)``, m the signed multiplier."""
        by, (lower, upper) = self.plan.by, self.choice.limits[node]
        reference, price = self.state.reference(node)
        terms = self.plan.size(node) + self.plan.count + 6
        total = np.zeros(len(multipliers))
        for part, limit in ((np.maximum(multipliers, 0), lower), (np.minimum(multipliers, 0), upper)):
            there = np.isfinite(limit)
            away = np.where(there, reference - np.where(there, limit, 0.0), 0.0)
            paid = price + by.gamma(terms) * (np.abs(reference) + np.where(there, np.abs(limit), 0.0)) + by.pad
            part = part * gather(there.astype(by.dtype), self.domain)
            total = total - weigh(part, gather(by.near(away), self.domain))
            paid = by.up(paid * (1.0 + 2.0 * by.gamma(terms)))
            total = total - weigh(np.abs(part), gather(paid, self.domain))
            self._add(node, -part)
        self.constant = self.constant + total

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
                self._pay(c, self.state.step(node))
            for matrix, parent in zip(self.plan.matrices[node], node.parents, strict=True):
                self._add(parent, matrix.adjoint(c))
            return
        if self.keep:
            self.kept[node] = c
        slopes = self.choice.slopes.get(node)
        steered = None if slopes is None else self.state.steered(node)
        if slopes is None or steered is None:
            self._step(c, self.state.step(node))
        else:
            self._steer(c, steered, slopes)

    def _pay(self, c: Array, step: Step) -> tuple[Array, Array]:
        """The offsets and prices of a step; the positive and the negative part of the coefficients."""
        above = np.maximum(c, 0)
        below = c - above
        self.constant += weigh(above, gather(step.below, self.domain))
        self.constant += weigh(below, gather(step.above, self.domain))
        if step.blocked is not None:
            touched = ((c != 0) & gather(step.blocked, self.domain)).any(axis=1)
            self.constant[touched] = -np.inf
        return above, below

    def _step(self, c: Array, step: Step) -> None:
        positive, negative = self._pay(c, step)
        for parent, index, low, high in step.taps:
            term = positive * gather(low, self.domain)
            term += negative * gather(high, self.domain)
            self._add(parent, term if index is None else self._spread(term, index, parent))

    def _steer(self, c: Array, steered: Steered, slopes: Array) -> None:
        positive, negative = self._pay(c, steered.step)
        ((parent, index, low, high),) = steered.step.taps
        if steered.turned:
            free, other = negative * slopes, positive * gather(low, self.domain)
        else:
            free, other = positive * slopes, negative * gather(high, self.domain)
        self.constant += weigh(free, gather(steered.at, self.domain))
        free += other
        self._add(parent, free if index is None else self._spread(free, index, parent))

    def _spread(self, term: Array, index: Array, parent: Node) -> Array:
        """Coefficients of elements ``index`` of a parent, added up where an element occurs more than once."""
        out = np.zeros((len(term), self.plan.size(parent)), dtype=term.dtype)
        if len(np.unique(index)) == len(index):
            out[:, index] = term
        else:
            np.add.at(out.T, index, term.T)
        return out
