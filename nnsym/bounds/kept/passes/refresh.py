"""The ranges of a batch of subproblems: inherited ones first, then passes only from what a limit changed.

A node is *changed* in a subproblem where a limit cuts off some of its inherited range, or one of its ancestors is. All
others keep what they had. Of a changed one, intervals come first, then a backward pass up and down for every element
that some reader cannot decide on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, final

import numpy as np

from nnsym.bounds.kept.passes.descent import Choice, Seed, descend
from nnsym.bounds.kept.passes.inputs import least
from nnsym.bounds.kept.passes.local import local
from nnsym.bounds.kept.passes.relaxations import image, undecided
from nnsym.bounds.kept.passes.state import State
from nnsym.bounds.kept.plan.plan import Plan
from nnsym.bounds.kept.rounding import settle
from nnsym.bounds.kept.types import Limit
from nnsym.ir.array import Array
from nnsym.ir.intervals import Sides
from nnsym.ir.node import Affine, Input, Node
from nnsym.results.clock import Deadline, OutOfTime

#: Lower bounds of the rows of a seed.
Climb = Callable[[State, Seed], Array]

_ENTRIES, _ROWS = 2**16, 256  # coefficients that a processor's caches hold, and rows that are worth a product


@final
class Refresh:
    """Fills a state: ``base`` are ranges of the query itself, ``(1, n)``, ``given`` inherited ones."""

    def __init__(
        self,
        plan: Plan,
        batch: int,
        base: Mapping[Any, Limit],
        given: Mapping[Node, Limit],
        limits: Mapping[Node, Limit],
        deadline: Deadline,
        *,
        whole: bool = False,
        intervals: bool = True,
    ) -> None:
        """Without ``intervals`` a node whose range is known has no other where no pass is made."""
        self.plan, self.batch, self.base, self.given, self.limits = plan, batch, base, given, limits
        self.deadline, self.whole, self.intervals = deadline, whole, intervals
        self.state = State(plan)
        self.changed: dict[Node, Array] = {}
        self.empty = np.zeros(batch, dtype=bool)
        self.late = False

    def run(self, climb: Climb | None, *ends: Node) -> State:
        """The nodes that the ends depend on; without ``climb`` no pass is made."""
        for node in reversed(self.plan.order(*ends, *self.plan.query.inputs)):  # ends may read none of these
            lower, upper = self._known(node)
            changed = np.full(1, self.whole)
            for parent in node.parents:
                changed = changed | self.changed[parent]
            if not isinstance(node, Input):
                passed = self._step(node)  # which the state is told of as well
                if climb is not None or self.intervals or not (node in self.base or node in self.given):
                    lower, upper = _meet((lower, upper), passed)
                if climb is not None and changed.any():
                    lower, upper = self._tighten(node, (lower, upper), changed, climb)
            if node in self.limits:
                limit = self.limits[node]
                tighter = ((limit.lower > lower) | (limit.upper < upper)).any(axis=1)
                changed = changed | tighter
                lower, upper = _meet((lower, upper), (limit.lower, limit.upper))
                self.state.limits[node] = limit.lower, limit.upper
            crossed = (lower > upper).any(axis=1)
            self.empty = self.empty | crossed
            self.changed[node] = changed
            self.state.put(node, lower, upper)
        return self.state

    def _known(self, node: Node) -> Sides:
        """What is known of a node before anything is computed."""
        found = np.full((1, self.plan.size(node)), -np.inf), np.full((1, self.plan.size(node)), np.inf)
        for known in (self.base, self.given):
            if node in known:
                found = _meet(found, (known[node].lower, known[node].upper))
        return found

    def _step(self, node: Node) -> Sides:
        """The interval of a node from its parents' ranges."""
        if isinstance(node, Affine):
            lower, upper = self.state.affine(node)
            return settle(lower, upper, self.plan.by)
        places = [self.plan.place(node, p) for p in node.parents]
        sides = [self.state.sides(p) for p in node.parents]
        seen = tuple(
            s if place is None else (s[0][:, place], s[1][:, place]) for s, place in zip(sides, places, strict=True)
        )
        return settle(*image(self.plan, node, seen), self.plan.by)

    def _tighten(self, node: Node, sides: Sides, changed: Array, climb: Climb) -> Sides:
        """Passes for the open elements of an argument, in the subproblems where something changed.

        An ascent may use what is assumed of neurons outside of an element's cone.
        """
        if node not in self.plan.arguments or node in self.plan.straight or self.late:
            return sides
        if not isinstance(node, Affine):  # rows start at the node itself, as it is known so far
            self.state.put(node, *sides)
        batch = max(len(changed), len(sides[0]))
        lower, upper = (np.array(np.broadcast_to(side, (batch, side.shape[1]))) for side in sides)
        asked = changed & ~self.empty if batch == self.batch else changed
        wanted = self._open(node, lower, upper) & asked[:, None]
        domain, index = np.nonzero(wanted)
        alone = climb is plain or all(isinstance(n, Input) for n in self.state.limits)
        for part in local(self.state, node, domain, index, alone=alone):
            for rows in pieces(len(part.rows), 2, part.state.plan):
                try:
                    self.deadline.check()
                except OutOfTime:
                    self.late = True
                    return lower, upper
                i = np.broadcast_to(part.index[rows], (2, len(part.index[rows])))
                signs = np.broadcast_to(np.array([[1.0], [-1.0]]), i.shape)
                below, above = climb(part.state, Seed(node, part.domain[rows], i, signs))
                at = domain[part.rows[rows]], index[part.rows[rows]]
                lower[at] = np.maximum(lower[at], below)
                upper[at] = np.minimum(upper[at], -above)
        return lower, upper

    def _open(self, node: Node, lower: Array, upper: Array) -> Array:
        """Elements whose range some reader cannot decide on."""
        found = np.zeros(lower.shape, dtype=bool)
        for reader in self.plan.readers[node]:
            if isinstance(reader, Affine):
                continue
            place = self.plan.place(reader, node)
            if place is None:
                found |= undecided(self.plan, reader, lower, upper)
            else:
                found[:, place] |= undecided(self.plan, reader, lower[:, place], upper[:, place])
        return found


def pieces(rows: int, sets: int, plan: Plan) -> list[slice]:
    """Slices of rows, about equal, whose coefficients fit the caches."""
    if not rows or not sets:
        return []
    most = max(_ROWS, _ENTRIES // plan.widest) / sets
    size = math.ceil(rows / max(1, round(rows / most)))
    return [slice(k, min(k + size, rows)) for k in range(0, rows, size)]


def plain(state: State, seed: Seed) -> Array:
    """Lower bounds ``(sets, rows)`` of the rows of a seed, by one pass with the default slopes and no multipliers."""
    return least(state, seed, descend(state, seed, Choice()))


def _meet(one: Sides, two: Sides) -> Sides:
    return np.maximum(one[0], two[0]), np.minimum(one[1], two[1])
