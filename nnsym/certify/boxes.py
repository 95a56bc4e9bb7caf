"""Trees over boxes of the inputs: every leaf is bounded as the checker will bound it.

The search of a verdict inherits bounds and cuts boxes down; a certificate's leaf has its box, and the bounds of the box
above it that the tree last computed some for (``["b"]``, every few levels: what they decide costs no leaf a row).
So the tree is grown anew, in batches, by the bounds that a leaf gets so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

import numpy as np

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.types import BatchBounds, Domains, Limit
from nnsym.certify.choices import Choices
from nnsym.certify.grounds import Ground, Grounds
from nnsym.certify.premises import Premises
from nnsym.certify.steered import Steered
from nnsym.certify.sums import DECIMALS, best_sums
from nnsym.certify.tree import Token, TreePlace
from nnsym.check.problem import Fact
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.results.clock import Deadline
from nnsym.search.branching import Seen, Smear
from nnsym.search.sensitivity import sensitivities

_BATCH = 256

#: Bounds are computed at every so many levels: more often costs more than it saves.
_LEVELS = 4

#: After so many boxes that were bounded, slopes are chosen for sums that default ones leave open.
_EASY = 4096

#: What a bound should be above zero, as a share of how far below it is on the whole domain: the checker rounds more.
_ROOM = 2.0**-23


@final
@dataclass(frozen=True, eq=False)
class OpenBox:
    """An open box: where it stands in the tree, what it is a part of, and ranges ``(1, size)`` of a box around it."""

    place: TreePlace
    ground: Ground
    lower: Array
    upper: Array
    depth: int = 0
    known: Mapping[Node, Limit] = field(default_factory=dict)


@final
@dataclass(frozen=True)
class Sum:
    """Rows whose sum closes a box by their weights, with the slopes of its leaf as they are written."""

    weights: Mapping[int, float]
    slopes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @staticmethod
    def of(weights: Array, slopes: Mapping[str, Mapping[str, int]] | None = None) -> Sum:
        """The rows of weights above 0, of which the greatest is 1."""
        shares = np.round(weights / weights.max(), DECIMALS)
        return Sum({int(row): float(f"{shares[row]:g}") for row in np.flatnonzero(shares)}, slopes or {})


@final
class Boxes:
    """Grows the trees of some grounds until every box is closed, or time is over."""

    def __init__(self, grounds: Grounds, choices: Choices, engine: Engine, deadline: Deadline) -> None:
        self.grounds, self.mirror, self.engine, self.deadline = grounds, choices.mirror, engine, deadline
        self.choices, self.bounded = choices, 0
        self.parts: dict[TreePlace, OpenBox] = {}
        self.room = np.zeros(len(self.mirror.facts))
        self._counts = sensitivities(self.mirror.query)[self.mirror.input]
        self._measured = False
        self._targets: dict[int, list[Array]] = {}
        self._premises: dict[int, Premises] = {}
        self.weights: dict[tuple[TreePlace, int], Token] = {}
        self.sums: dict[TreePlace, list[Sum]] = {}

    def start(self, grounds: Iterable[Ground]) -> list[OpenBox]:
        """The boxes of some grounds; an empty one is closed at once."""
        found = []
        for ground in grounds:
            if ground.case.empty:
                ground.place.tokens = [["l", []]]
                continue
            lower, upper = (np.array([float(v) for v in side]) for side in (ground.case.lower, ground.case.upper))  # type: ignore[arg-type]
            found.append(OpenBox(ground.place, ground, lower, upper))
        return found

    def grow(self, opened: Sequence[OpenBox]) -> bool:
        """Split until all is closed; False where the deadline came first."""
        stacks: dict[int, list[OpenBox]] = {}
        for part in opened:
            stacks.setdefault(id(part.ground), []).append(part)
        for stack in stacks.values():
            while stack:
                if self.deadline.passed:
                    return False
                batch, stack[-_BATCH:] = stack[-_BATCH:], []
                stack += self._step(batch)
        return True

    def again(self, places: Iterable[TreePlace]) -> bool:
        """Split places that the checker did not accept as leaves."""
        opened = []
        for place in places:
            part = self.parts[place]
            counted = self._counts * (part.upper - part.lower)
            opened += self._halves(part, int(counted.argmax()))
        return self.grow(opened)

    def _step(self, batch: list[OpenBox]) -> list[OpenBox]:
        """Bound a batch of one ground, close what can be closed and split the others."""
        ground, x = batch[0].ground, self.mirror.input
        limit = Limit(np.stack([p.lower for p in batch]), np.stack([p.upper for p in batch]))
        targets = self._rows(ground)
        wanted = np.zeros((len(batch), len(self.mirror.facts)), dtype=bool)
        wanted[:, np.unique(np.concatenate(targets))] = True
        domains = Domains({x: limit}, wanted, self._known(batch))
        found = self.engine.bound(domains, gaps=False, deadline=self.deadline)
        lower = found.lower.copy()
        if not self._measured:
            finite = np.where(np.isfinite(lower[0]), lower[0], 0.0)
            self.room, self._measured = _ROOM * np.maximum(-finite, 0.0), True
        for number, part in enumerate(batch):
            self._weigh(part, found, lower, number, targets)
        above = lower > self.room
        left = np.stack([~above[:, rows].any(1) for rows in targets], axis=1)
        coefficients, weights = self._sum(batch, found, limit, lower, targets, left)
        self.bounded += len(batch)
        if self.bounded > _EASY and left.any():
            self._steer(batch, domains, weights, left)
        for k in np.flatnonzero(~left.any(1)):
            self._close(batch[k], lower[k])
        rest = np.flatnonzero(left.any(1))
        if not len(rest):
            return []
        chosen = self._scores(limit.take(rest), coefficients[rest]).argmax(1)
        return [
            part for k, j in zip(rest, chosen, strict=True) for part in self._split(batch[k], int(j), found, int(k))
        ]

    def _known(self, batch: list[OpenBox]) -> dict[Node, Limit]:
        """What is known of each part before it is bounded."""
        ranges = {}
        for node in self.engine.plan.arguments:
            none = np.full((1, node.size), np.inf)
            limits = [part.known.get(node, Limit(-none, none)) for part in batch]
            ranges[node] = Limit(*(np.concatenate([getattr(n, side) for n in limits]) for side in ("lower", "upper")))
        return ranges

    def _split(self, part: OpenBox, j: int, found: BatchBounds, k: int) -> list[OpenBox]:
        """The halves of a part that was bounded, which inherit its bounds at some levels."""
        if part.depth % _LEVELS or not part.depth:
            return self._halves(part, j)
        own = {n: found.ranges[n].take(np.array([k])) for n in self.engine.plan.arguments}
        return self._halves(replace(part, known=own), j, ["b"])

    def _weigh(self, part: OpenBox, found: BatchBounds, lower: Array, k: int, targets: list[Array]) -> None:
        """Raise the bounds of a part's rows by multiples of what the property says of its inputs."""
        premises = self._premises_of(part.ground)
        if not premises.places:
            return
        excluding = premises.excluding(part.lower, part.upper)
        if excluding is not None:
            first = int(excluding.argmax())
            self._raise(part, premises, lower[k], first, np.inf, excluding / excluding[first])
            return
        for rows in targets:
            row = int(rows[lower[k, rows].argmax()])
            if (lower[k, rows] > self.room[rows]).any() or not np.isfinite(found.constant[k, row]):
                continue
            form = found.forms[self.mirror.input][k, row].astype(np.float64)
            value, weights = premises.best(form, float(found.constant[k, row]), part.lower, part.upper)
            if value > lower[k, row]:
                lower[k, row] = value
                self.weights[part.place, row] = premises.pairs(weights)

    def _raise(self, part: OpenBox, premises: Premises, lower: Array, first: int, value: float, weights: Array) -> None:
        """Let a premise of weight 1, with the others, close a part."""
        row = self.mirror.row(part.ground.case.facts[premises.places[first]])
        lower[row] = value
        others = np.where(np.arange(len(weights)) == first, 0.0, weights)
        self.weights[part.place, row] = premises.pairs(others)

    def _premises_of(self, ground: Ground) -> Premises:
        if id(ground) not in self._premises:
            self._premises[id(ground)] = Premises.of(ground.case.facts, self.mirror.input.size)
        return self._premises[id(ground)]

    def _rows(self, ground: Ground) -> list[Array]:
        if id(ground) not in self._targets:
            self._targets[id(ground)] = self.grounds.targets(ground, self.mirror.row)
        return self._targets[id(ground)]

    def _sum(
        self, batch: list[OpenBox], found: BatchBounds, limit: Limit, lower: Array, targets: list[Array], left: Array
    ) -> tuple[Array, Array]:
        """Close what sums of rows close; the sizes of coefficients ``(batch, n)`` of what is left, added up, and the
        weights ``(batch, targets, rows)``.
        """
        x = self.mirror.input
        total = np.zeros((len(batch), x.size))
        every = np.zeros((*left.shape, len(self.mirror.facts)))
        for t, rows in enumerate(targets):
            opened = np.flatnonzero(left[:, t])
            forms, constants = found.forms[x][opened][:, rows].astype(np.float64), found.constant[opened][:, rows]
            if len(rows) == 1 or not np.isfinite(constants).all():
                best = lower[opened][:, rows].argmax(1)
                total[opened] += np.abs(forms[np.arange(len(opened)), best])
                every[opened, t, rows[best]] = 1.0
                continue
            values, weights = best_sums(forms, constants, limit.lower[opened], limit.upper[opened])
            total[opened] += np.einsum("br,brn->bn", weights, np.abs(forms))
            every[opened[:, None], t, rows] = weights
            for k in np.flatnonzero(values > weights @ self.room[rows]):
                left[opened[k], t] = False
                self.sums.setdefault(batch[opened[k]].place, []).append(Sum.of(every[opened[k], t]))
        return total, every

    def _steer(self, batch: list[OpenBox], domains: Domains, weights: Array, left: Array) -> None:
        """Close what sums of rows close by slopes of their own."""
        found = Steered(self.choices, self.engine, domains, weights, left.copy(), self.room, self.deadline)
        left &= ~found.closed
        for k, t in zip(*found.closed.nonzero(), strict=True):
            if not left[k].any():
                self.sums.setdefault(batch[k].place, []).append(Sum.of(weights[k, t], found.slopes(k, t)))

    def _scores(self, limit: Limit, coefficients: Array) -> Array:
        """How much each input counts: its coefficients in the rows nearest to closing what is left."""
        x = self.mirror.input
        every = np.arange(len(coefficients))
        seen = Seen(
            inputs={x: limit}, counts={x: self._counts}, forms={x: coefficients}, gaps={}, height={}, number=every
        )
        return np.where(limit.lower < limit.upper, Smear().score(seen)[x], -1.0)

    def _summed(self, part: OpenBox, rows: list[int]) -> Token | None:
        """The leaf of a sum of rows that closes a part, if all of its rows are facts there."""
        for own in self.sums.get(part.place, ()):
            if all(row in rows for row in own.weights):
                facts = [[rows.index(row), int(w) if w == 1 else w] for row, w in own.weights.items()]
                return ["l", facts, own.slopes] if own.slopes else ["l", facts]
        return None

    def _halves(self, part: OpenBox, j: int, *before: Token) -> list[OpenBox]:
        low, high = part.lower[j], part.upper[j]
        self.parts.pop(part.place, None)
        if self.mirror.input.integer[j]:
            below = np.floor((low + high) / 2)
            token, ends = ["i", j, int(below)], (below, below + 1)
        else:
            middle = low + (high - low) / 2
            token, ends = ["x", j], (middle, middle)
        upper, lower = part.upper.copy(), part.lower.copy()
        upper[j], lower[j] = ends
        left, right = part.place.split(*before, token)
        deeper = replace(part, depth=part.depth + 1)
        return [replace(deeper, place=left, upper=upper), replace(deeper, place=right, lower=lower)]

    def _close(self, part: OpenBox, lower: Array) -> None:
        def leaf(facts: Sequence[Fact]) -> Token | None:
            rows = [self.mirror.row(f) for f in facts]
            token = one_fact(facts, [lower[row] - self.room[row] for row in rows])
            if token is None:
                return self._summed(part, rows)
            if part.place not in weighed:
                return token
            best = token[1][0][0] if len(token) > 1 else max(k for k, f in enumerate(facts) if f.own)
            more = self.weights.get((part.place, rows[best]), [])
            return ["l", [[best, 1], *more]] if more else token

        weighed = {place for place, _ in self.weights}

        tokens = self.grounds.closed(part.ground, leaf)
        assert tokens is not None
        part.place.tokens = tokens if tokens[0][0] == "l" else [["b"], *tokens]
        self.parts[part.place] = part


def one_fact(facts: Sequence[Fact], values: Sequence[float]) -> Token | None:
    """The leaf of the fact with the largest value, if that is positive."""
    if not facts:
        return None
    best = max(range(len(facts)), key=values.__getitem__)
    if not values[best] > 0:
        return None
    last = max((k for k, f in enumerate(facts) if f.own), default=-1)
    return ["l"] if best == last else ["l", [[best, 1]]]
