"""Trees over the phases of neurons: bounds of the whole box once, then one row a leaf, with slopes and multipliers.

A leaf's row is carried back through lines whose slopes an ascent has chosen, plus multiples of what the path says of
its neurons (Wang et al., Beta-CROWN, 2021). LP duals are such choices too; one byte a slope costs the bound about 1e-5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, final

import numpy as np

from nnsym.bounds.kept.types import BatchBounds, Domains, Dual, Limit
from nnsym.certify.boxes import one_fact
from nnsym.certify.choices import LEVELS, Choices
from nnsym.certify.claims import Base
from nnsym.certify.grounds import Ground, Grounds, Operand
from nnsym.certify.premises import Premises
from nnsym.certify.tree import Token, TreePlace
from nnsym.check.problem import Fact
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.results.clock import Deadline

#: Parts that are bounded at once, steps of ascent on each, and what the slopes of a leaf may cost of its bound.
_BATCH, _STEPS, _ROOM = 32, 24, 2.0**-16


@final
@dataclass(frozen=True, eq=False)
class OpenCase:
    """An open case: its facts, the rows that may close it, and what its path says of neurons ``(curve, i, side)``."""

    place: TreePlace
    facts: tuple[Fact, ...]
    path: tuple[tuple[int, int, int], ...]
    row: int
    dual: Dual | None


@final
class Phases:
    """Grows the tree of one base: disjunctions, phases.

    ``bounded`` counts the parts that were; ``missed`` is how far below 0 a bound of the whole box was.
    """

    def __init__(self, grounds: Grounds, choices: Choices, base: Base, deadline: Deadline) -> None:
        self.grounds, self.choices, self.base, self.deadline = grounds, choices, base, deadline
        self.mirror, self.engine, self.curves = choices.mirror, base.engine, choices.curves
        self.parts: dict[TreePlace, OpenCase] = {}
        #: What lines closed that are the engine's defaults, not always the checker's.
        self.plain: dict[TreePlace, OpenCase] = {}
        self.left: list[OpenCase] = []
        self.steps, self.bounded, self.missed = _STEPS, 0, 0.0
        self._premises = Premises.of(base.ground.case.facts, self.mirror.input.size)

    @cached_property
    def opened(self) -> list[Array]:
        """Which elements of every curve the checker finds open at the base: those that it reads slopes of."""
        return self.choices.opened(self.base.case)

    @cached_property
    def usual(self) -> list[Array]:
        """The numbers of their default slopes."""
        return self.choices.usual(self.base.case)

    @cached_property
    def room(self) -> float:
        """What a leaf's bound is to exceed, if it can, so that the checker accepts it at once."""
        return self.choices.charged(self.base.case)

    def start(self) -> list[OpenCase]:
        """Expand what is left of the ground's disjunctions, close what needs no slopes."""
        ranges = self.engine.root().ranges or {}
        wanted = np.ones((1, len(self.mirror.facts)), dtype=bool)
        found = self.engine.bound(Domains({}, wanted, ranges), refresh=False, gaps=False, deadline=self.deadline)
        lower = np.where(found.empty, np.inf, found.lower[0])
        return list(self._expand(self.base.ground, self.base.place, lower))

    def _expand(self, ground: Ground, place: TreePlace, lower: Array) -> Iterator[OpenCase]:
        """One part for every combination of operands that no single fact closes."""
        rooms = _ROOM * np.abs(lower)

        def visit(facts: list[Fact], left: list[tuple[int, Any]], count: int, place: TreePlace) -> Iterator[OpenCase]:
            rows = [self.mirror.row(f) for f in facts]
            leaf = one_fact(facts, [lower[r] - rooms[r] for r in rows])
            if leaf is not None:
                place.tokens = [["l", *([[self._number(k), m] for k, m in pairs] for pairs in leaf[1:])]]
                best = max(rows, key=lambda r: lower[r] - rooms[r])
                self.plain[place] = OpenCase(place, tuple(facts), (), best, None)
            elif not left:
                best = max(rows, key=lower.__getitem__, default=-1)
                yield OpenCase(place, tuple(facts), (), best, None)
            else:
                (d, disjunction), *rest = left
                operands: Sequence[Operand] = self.grounds.operands(disjunction)
                for child, operand in zip(place.split(["o", d], count=len(operands)), operands, strict=True):
                    more = [(count + n, j) for n, j in enumerate(operand.disjunctions)]
                    yield from visit([*facts, *operand.facts], [*rest, *more], count + len(more), child)

        left = [(d, ground.case.disjunctions[d]) for d in ground.pending]
        yield from visit(list(ground.case.facts), left, len(ground.case.disjunctions), place)

    def grow(self, parts: Iterable[OpenCase], most: float = np.inf) -> bool:
        """Split until all is closed, also what is left of before; False where the deadline came first, nothing is left
        to split, or where more parts than that would have to be bounded: the others are left.
        """
        stack = self.left
        stack += parts
        while stack:
            if self.deadline.passed or self.bounded >= most:
                return False
            batch, stack[-_BATCH:] = stack[-_BATCH:], []
            self.bounded += len(batch)
            following = self._step(batch)
            if following is None:
                return False
            stack += following
        return True

    def again(self, places: Iterable[TreePlace]) -> bool:
        """Split places that the checker did not accept as leaves, or give them slopes; False where that cannot be."""
        places = list(places)
        plain = [self.plain.pop(place) for place in places if place in self.plain]
        parts = [self.parts.pop(place) for place in places if place in self.parts]
        if len(plain) + len(parts) < len(places):
            return False
        self.steps = 2 * self.steps if parts else self.steps
        halves = [self._halves(part, choice) for part, choice in zip(parts, self._gaps(parts), strict=True) if choice]
        return len(halves) == len(parts) and self.grow([*plain, *(half for pair in halves for half in pair)])

    def _step(self, batch: list[OpenCase]) -> list[OpenCase] | None:
        domains = self._domains(batch)
        found = self.engine.bound(
            domains, steps=self.steps, goal=self.room, refresh=False, gaps=True, deadline=self.deadline
        )
        assert found.dual is not None
        whole = [float(found.lower[k, part.row]) for k, part in enumerate(batch) if not part.path]
        self.missed = max(self.missed, -min(whole, default=0.0))
        values = np.full(len(batch), -np.inf)
        for levels in LEVELS:
            left = np.flatnonzero(~(values > self.room))
            if (
                levels != LEVELS[0]
                and not (found.lower[left] > np.where(values[left] > 0, self.room, 0.0)[:, None]).any()
            ):
                break
            written = self.choices.rounded(found.dual, levels)
            again = self.engine.bound(replace(domains, dual=written), refresh=False, gaps=False, deadline=self.deadline)
            for k in left.tolist():
                value, more = self._weighed(again, k, batch[k].row)
                if value > max(values[k], 0.0):
                    values[k] = value
                    batch[k].place.tokens = [self._leaf(k, batch[k], written, levels, more)]
                    self.parts[batch[k].place] = batch[k]
        following: list[OpenCase] = []
        chosen = self._chosen(batch, found)
        for k in np.flatnonzero(~(values > 0)).tolist():
            choice = chosen[k] or self._widest(batch[k])
            if choice is None:
                return None
            following += self._halves(replace(batch[k], dual=found.dual.take(np.array([k]))), choice)
        return following

    def _domains(self, batch: Sequence[OpenCase]) -> Domains:
        """The parts for the engine: limits of split neurons, one row each, and the choices of the parent."""
        count, rows = len(batch), len(self.mirror.facts)
        limits: dict[Node, Limit] = {}
        for k, part in enumerate(batch):
            for curve, i, side in part.path:
                node = self.mirror.nodes[self.curves[curve].parents[0]]
                if node not in limits:
                    none = np.full((count, node.size), np.inf)
                    limits[node] = Limit(-none, none.copy())
                (limits[node].lower if side else limits[node].upper)[k, i] = 0.0
        wanted = np.zeros((count, rows), dtype=bool)
        wanted[np.arange(count), [p.row for p in batch]] = True
        root = self.engine.root().ranges or {}
        ranges = {n: r.take(np.zeros(count, dtype=np.int64)) for n, r in root.items()}
        duals = [p.dual for p in batch if p.dual is not None]
        dual = Dual.concatenate(duals, [1] * count) if len(duals) == count else None
        return Domains(limits, wanted, ranges, dual)

    def _weighed(self, found: BatchBounds, k: int, row: int) -> tuple[float, list[list[Any]]]:
        """The bound of a part's row, with multiples of what the property says of its inputs."""
        value = float(found.lower[k, row])
        if value > 0 or not self._premises.places or not np.isfinite(found.constant[k, row]):
            return value, []
        box = self.mirror.query.boxes[self.mirror.input].outer
        form = found.forms[self.mirror.input][k, row].astype(np.float64)
        better, weights = self._premises.best(form, float(found.constant[k, row]), *box)
        return (better, self._premises.pairs(weights)) if better > value else (value, [])

    def _leaf(self, k: int, part: OpenCase, dual: Dual, levels: int, more: list[list[Any]]) -> Token:
        own = {n: m[k, part.row] for n, m in dual.multipliers.items()}
        along = self.choices.multipliers(own, part.path, self.base.claims + len(part.facts))
        best = next(k for k, f in enumerate(part.facts) if self.mirror.row(f) == part.row)
        facts = [[self._number(best), 1], *more, *along]
        steered = {n: v[k, part.row] for n, v in dual.slopes.items()}
        slopes = self.choices.named(self.choices.slopes(steered, self.opened, self.usual, part.path, levels))
        return ["l", facts, slopes] if slopes else ["l", facts]

    def _number(self, k: int) -> int:
        """The number of a part's fact: those of claims stand between the ground's and its operands'."""
        return k if k < len(self.base.ground.case.facts) else k + self.base.claims

    def _chosen(self, batch: Sequence[OpenCase], found: BatchBounds) -> list[tuple[int, int] | None]:
        """The open neuron of each part whose relaxation costs most at the row's minimiser."""
        best: list[tuple[float, tuple[int, int] | None]] = [(0.0, None)] * len(batch)
        for c, curve in enumerate(self.curves):
            node = self.mirror.nodes[curve.parents[0]]
            if node not in found.gaps or not self._splits(curve):
                continue
            for k, part in enumerate(batch):
                gap = found.gaps[node][k, part.row] * self.opened[c]
                gap[[i for own, i, _ in part.path if own == c]] = 0.0
                i = int(gap.argmax())
                if gap[i] > best[k][0]:
                    best[k] = float(gap[i]), (c, i)
        return [choice for _, choice in best]

    def _widest(self, part: OpenCase) -> tuple[int, int] | None:
        """The open neuron of the widest range, where no relaxation costs anything at the minimiser."""
        best: tuple[float, tuple[int, int] | None] = (0.0, None)
        for c, curve in enumerate(self.curves):
            known = self.engine.ranges[self.mirror.nodes[curve.parents[0]]]
            width = (known.upper - known.lower)[0] * self.opened[c]
            width[[i for own, i, _ in part.path if own == c]] = 0.0
            if self._splits(curve) and width.max(initial=0.0) > best[0]:
                best = float(width.max()), (c, int(width.argmax()))
        return best[1]

    def _gaps(self, parts: Sequence[OpenCase]) -> list[tuple[int, int] | None]:
        if not parts:
            return []
        found = self.engine.bound(self._domains(parts), steps=self.steps, refresh=False, deadline=self.deadline)
        return self._chosen(parts, found)

    @staticmethod
    def _splits(curve: Any) -> bool:
        return bool(curve.function.breaks == [0])

    def _halves(self, part: OpenCase, choice: tuple[int, int]) -> list[OpenCase]:
        c, i = choice
        name = self.choices.names.number(self.curves[c].parents[0])
        places = part.place.split(["r", name, i])
        return [replace(part, place=p, path=(*part.path, (c, i, side))) for side, p in enumerate(places)]
