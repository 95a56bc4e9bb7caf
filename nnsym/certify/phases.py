"""Trees over the phases of neurons: bounds of the whole box once, then one row a leaf, with slopes and multipliers.

A leaf's row is carried back through lines whose slopes an ascent has chosen, plus multiples of what the path says of
its neurons (Wang et al., Beta-CROWN, 2021). LP duals are such choices too; one byte a slope costs the bound about 1e-5.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.types import Domains, Dual, Found, Limit
from nnsym.certify.boxes import one_fact
from nnsym.certify.grounds import Ground, Grounds, Operand
from nnsym.certify.mirror import Mirror
from nnsym.certify.names import Names
from nnsym.certify.premises import Premises
from nnsym.certify.tree import Place, Token
from nnsym.check.checker import Checker
from nnsym.check.functions import Pieces
from nnsym.check.graph import Curve
from nnsym.check.problem import Fact
from nnsym.ir.node import Node
from nnsym.results.clock import Deadline

Array = NDArray[Any]

#: Parts that are bounded at once, steps of ascent on each, and what the slopes of a leaf may cost of its bound.
_BATCH, _STEPS, _ROOM = 32, 24, 2.0**-16

#: How many steps a slope has, as it is written: of two digits, and of four where these are too coarse.
_LEVELS = (255, 65535)

#: A multiplier is written to so many digits.
_DIGITS = 4


@final
@dataclass(frozen=True, eq=False)
class Part:
    """An open case: its facts, the rows that may close it, and what its path says of neurons ``(curve, i, side)``."""

    place: Place
    facts: tuple[Fact, ...]
    path: tuple[tuple[int, int, int], ...]
    row: int
    dual: Dual | None


@final
class Phases:
    """Grows the tree of one ground: bounds at its root, disjunctions, phases."""

    def __init__(
        self, grounds: Grounds, mirrored: Mirror, engine: Engine, checker: Checker, names: Names, deadline: Deadline
    ) -> None:
        self.grounds, self.mirror, self.engine, self.deadline = grounds, mirrored, engine, deadline
        self.checker, self.names = checker, names
        self.curves = [n for n in checker.problem.nodes if isinstance(n, Curve) and isinstance(n.function, Pieces)]
        self.parts: dict[Place, Part] = {}
        self.steps = _STEPS
        self._ground: Ground | None = None
        self._premises = Premises.of((), mirrored.input.size)
        self._opened: list[Array] = []

    @property
    def opened(self) -> list[Array]:
        """Which elements of every curve the checker finds open at the ground: those that it reads slopes of."""
        if not self._opened:
            assert self._ground is not None
            engine = self.checker.engine
            (case,) = engine.refresh([self._ground.case])
            self._opened = [np.array(engine.open_elements(curve, case.known), dtype=bool) for curve in self.curves]
        return self._opened

    def start(self, ground: Ground) -> list[Part]:
        """Bound the ground's box, expand what is left of its disjunctions, close what needs no slopes."""
        self._ground, self._premises = ground, Premises.of(ground.case.facts, self.mirror.input.size)
        ranges = self.engine.root().ranges or {}
        wanted = np.ones((1, len(self.mirror.facts)), dtype=bool)
        found = self.engine.bound(Domains({}, wanted, ranges), refresh=False, gaps=False, deadline=self.deadline)
        lower = np.where(found.empty, np.inf, found.lower[0])
        (below,) = ground.place.split(["b"], count=1)
        return list(self._expand(ground, below, lower))

    def _expand(self, ground: Ground, place: Place, lower: Array) -> Iterator[Part]:
        """One part for every combination of operands that no single fact closes."""
        rooms = _ROOM * np.abs(lower)

        def visit(facts: list[Fact], left: list[tuple[int, Any]], count: int, place: Place) -> Iterator[Part]:
            rows = [self.mirror.row(f) for f in facts]
            leaf = one_fact(facts, [lower[r] - rooms[r] for r in rows])
            if leaf is not None:
                place.tokens = [leaf]
            elif not left:
                best = max(rows, key=lower.__getitem__, default=-1)
                yield Part(place, tuple(facts), (), best, None)
            else:
                (d, disjunction), *rest = left
                operands: Sequence[Operand] = self.grounds.operands(disjunction)
                for child, operand in zip(place.split(["o", d], count=len(operands)), operands, strict=True):
                    more = [(count + n, j) for n, j in enumerate(operand.disjunctions)]
                    yield from visit([*facts, *operand.facts], [*rest, *more], count + len(more), child)

        left = [(d, ground.case.disjunctions[d]) for d in ground.pending]
        yield from visit(list(ground.case.facts), left, len(ground.case.disjunctions), place)

    def grow(self, parts: Iterable[Part]) -> bool:
        """Split until all is closed; False where the deadline came first, or nothing is left to split."""
        stack = list(parts)
        while stack:
            if self.deadline.passed:
                return False
            batch, stack[-_BATCH:] = stack[-_BATCH:], []
            following = self._step(batch)
            if following is None:
                return False
            stack += following
        return True

    def again(self, places: Iterable[Place]) -> bool:
        """Split places that the checker did not accept as leaves."""
        parts = [self.parts.pop(place) for place in places if place in self.parts]
        self.steps = 2 * self.steps
        halves = [self._halves(part, choice) for part, choice in zip(parts, self._gaps(parts), strict=True) if choice]
        return len(halves) == len(parts) and self.grow([half for pair in halves for half in pair])

    def _step(self, batch: list[Part]) -> list[Part] | None:
        domains = self._domains(batch)
        goal = 0.0
        found = self.engine.bound(
            domains, steps=self.steps, goal=goal, refresh=False, gaps=True, deadline=self.deadline
        )
        assert found.dual is not None
        values = np.full(len(batch), -np.inf)
        for levels in _LEVELS:
            left = np.flatnonzero(~(values > 0))
            if not len(left) or (levels != _LEVELS[0] and not (found.lower[left] > 0).any()):
                break
            written = self._written(found.dual, levels)
            again = self.engine.bound(replace(domains, dual=written), refresh=False, gaps=False, deadline=self.deadline)
            for k in left.tolist():
                values[k], more = self._weighed(again, k, batch[k].row)
                if values[k] > 0:
                    batch[k].place.tokens = [self._leaf(k, batch[k], written, levels, more)]
                    self.parts[batch[k].place] = batch[k]
        following: list[Part] = []
        chosen = self._chosen(batch, found)
        for k in np.flatnonzero(~(values > 0)).tolist():
            choice = chosen[k] or self._widest(batch[k])
            if choice is None:
                return None
            following += self._halves(replace(batch[k], dual=found.dual.take(np.array([k]))), choice)
        return following

    def _domains(self, batch: Sequence[Part]) -> Domains:
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
        dual = _side_by_side(duals) if len(duals) == count else None
        return Domains(limits, wanted, ranges, dual)

    def _written(self, dual: Dual, levels: int) -> Dual:
        """The choices as a certificate writes them: slopes of so many steps, multipliers of a few digits."""
        slopes = {}
        for curve in self.curves:
            node = self.mirror.nodes[curve]
            if node in dual.slopes:
                least, width = _ends(curve)
                slopes[node] = least + width * np.round((dual.slopes[node] - least) / width * levels) / levels
        multipliers = {n: _rounded(m) for n, m in dual.multipliers.items()}
        return Dual(slopes, multipliers)

    def _weighed(self, found: Found, k: int, row: int) -> tuple[float, list[list[Any]]]:
        """The bound of a part's row, with multiples of what the property says of its inputs."""
        value = float(found.lower[k, row])
        if value > 0 or not self._premises.places or not np.isfinite(found.constant[k, row]):
            return value, []
        box = self.mirror.query.boxes[self.mirror.input].outer
        form = found.forms[self.mirror.input][k, row].astype(np.float64)
        better, weights = self._premises.best(form, float(found.constant[k, row]), *box)
        return (better, self._premises.pairs(weights)) if better > value else (value, [])

    def _leaf(self, k: int, part: Part, dual: Dual, levels: int, more: list[list[Any]]) -> Token:
        facts: list[list[Any]] = [[self._number(part), 1], *more]
        base = len(part.facts)
        for number, (curve, i, side) in enumerate(part.path):
            node = self.mirror.nodes[self.curves[curve].parents[0]]
            signed = float(dual.multipliers[node][k, part.row, i]) if node in dual.multipliers else 0.0
            m = max(signed if side else -signed, 0.0)
            if m:
                facts.append([base + number, _decimal(m)])
        slopes: dict[str, str] = {}
        gone = {(curve, i) for curve, i, _ in part.path}
        for c, steered in enumerate(self.curves):
            node, mask = self.mirror.nodes[steered], self.opened[c].copy()
            mask[[i for own, i in gone if own == c]] = False
            if mask.any() and node in dual.slopes:
                least, width = _ends(steered)
                share = np.round((dual.slopes[node][k, part.row][mask] - least) / width * levels)
                digits = np.clip(share, 0, levels).astype(">u2" if levels > 255 else np.uint8).tobytes().hex()
                slopes[str(self.names.number(steered))] = digits
        return ["l", facts, slopes] if slopes else ["l", facts]

    def _number(self, part: Part) -> int:
        return next(k for k, f in enumerate(part.facts) if self.mirror.row(f) == part.row)

    def _chosen(self, batch: Sequence[Part], found: Found) -> list[tuple[int, int] | None]:
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

    def _widest(self, part: Part) -> tuple[int, int] | None:
        """The open neuron of the widest range, where no relaxation costs anything at the minimiser."""
        best: tuple[float, tuple[int, int] | None] = (0.0, None)
        for c, curve in enumerate(self.curves):
            known = self.engine.ranges[self.mirror.nodes[curve.parents[0]]]
            width = (known.upper - known.lower)[0] * self.opened[c]
            width[[i for own, i, _ in part.path if own == c]] = 0.0
            if self._splits(curve) and width.max(initial=0.0) > best[0]:
                best = float(width.max()), (c, int(width.argmax()))
        return best[1]

    def _gaps(self, parts: Sequence[Part]) -> list[tuple[int, int] | None]:
        if not parts:
            return []
        found = self.engine.bound(self._domains(parts), steps=self.steps, refresh=False, deadline=self.deadline)
        return self._chosen(parts, found)

    @staticmethod
    def _splits(curve: Any) -> bool:
        return bool(curve.function.breaks == [0])

    def _halves(self, part: Part, choice: tuple[int, int]) -> list[Part]:
        c, i = choice
        name = self.names.number(self.curves[c].parents[0])
        places = part.place.split(["r", name, i])
        return [replace(part, place=p, path=(*part.path, (c, i, side))) for side, p in enumerate(places)]


def _ends(curve: Any) -> tuple[float, float]:
    """The least slope of a function, and how far it is to the greatest."""
    least, greatest = float(curve.function.least), float(curve.function.greatest)
    return least, max(greatest - least, 2.0**-100)


def _rounded(values: Array) -> Array:
    size = np.abs(values).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** (np.floor(np.log10(size)) - (_DIGITS - 1))
        found = np.where(size > 1e-9, np.round(values / scale) * scale, 0.0)
    return np.asarray(found)


def _decimal(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _side_by_side(duals: Sequence[Dual]) -> Dual:
    nodes = dict.fromkeys(n for d in duals for n in d.multipliers)
    shape = {n: next(d.multipliers[n].shape[1:] for d in duals if n in d.multipliers) for n in nodes}
    return Dual(
        {n: np.concatenate([d.slopes[n] for d in duals]) for n in duals[0].slopes},
        {n: np.concatenate([d.multipliers.get(n, np.zeros((1, *shape[n]))) for d in duals]) for n in nodes},
    )
