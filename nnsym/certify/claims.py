"""Ranges of hidden neurons as a certificate proves them: claims, each of which closes one side of a split by a tree.

A claim ``z_i >= c`` is the token ``["g", [[z, i, 1]], c]``: the child with ``z_i <= c`` is closed by a tree over phases
of the layers below, whose leaves are bounds of the row ``z_i - c``; the other child goes on and knows what was claimed.
The trees are those by which a search refines its ranges (:mod:`nnsym.bounds.kept.refine`), layer by layer; after each
layer bounds are computed anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, final

import numpy as np

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import Trees, grown, undecided
from nnsym.bounds.kept.types import Dual, Limit
from nnsym.certify.choices import LEVELS, Choices, Path
from nnsym.certify.grounds import Ground
from nnsym.certify.tree import Token, TreePlace
from nnsym.check.tree import Tree
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.results.clock import Deadline

#: What a claim may cost of its bound, and the least that it has to gain, as shares of the range that was known.
_ROOM, _GAIN = 1e-4, 0.01

#: The share of the time that goes into trees of hidden rows.
_SHARE = 0.25


@final
@dataclass(frozen=True, eq=False)
class Base:
    """Where a tree of phases begins: an open place below a ground, its case, and an engine that knows as much.

    ``claims`` facts were claimed between the ground's facts and what comes after.
    """

    ground: Ground
    place: TreePlace
    case: Any
    engine: Engine
    claims: int = 0
    ranges: Mapping[Node, Limit] = field(default_factory=dict)

    @staticmethod
    def of(ground: Ground, engine: Engine, choices: Choices) -> Base:
        """The ground itself, with bounds that are computed once."""
        (case,) = choices.checker.engine.refresh([ground.case])
        (place,) = ground.place.split(["b"], count=1)
        return Base(ground, place, case, engine)


def claimed(base: Base, choices: Choices, rounds: int, deadline: Deadline) -> Base:
    """The base with better ranges of its hidden neurons, of so many ``rounds`` of splits for each row of a layer.

    Past a share of the time layers keep what they have. Raises OutOfTime where there is no engine by the deadline.
    """
    end = deadline.share(_SHARE)
    query, known = choices.mirror.query, dict[Node, Limit]()
    engine = Engine(query, dtype="float32", deadline=deadline)
    for number, layer in enumerate(choices.arguments):
        if layer in engine.plan.straight or layer not in engine.plan.arguments:
            continue
        known[layer] = engine.ranges[layer].meet(base.ranges.get(layer, engine.ranges[layer]))
        elements = undecided(engine, layer, known[layer])
        trees = None if end.passed else grown(engine, layer, elements, rounds, deadline=end)
        if trees is not None:
            base, better = _proved(base, choices, number, trees, known[layer])
            known[layer] = known[layer].meet(better)
        engine = Engine(query, dtype="float32", ranges=known, deadline=deadline)
    return replace(
        base, engine=Engine(query, inherit=False, intervals=False, ranges=known, deadline=deadline), ranges=known
    )


def _proved(base: Base, choices: Choices, number: int, trees: Trees, known: Limit) -> tuple[Base, Limit]:
    """The base behind the claims of a layer that are worth it, and what they say."""
    curve = choices.curves[number]
    name = choices.names.number(curve.parents[0])
    lower, upper = (np.full((1, trees.layer.size), side) for side in (-np.inf, np.inf))
    written = _Written(trees, choices, base.case, curve.parents[0])
    case, place, claims = base.case, base.place, base.claims
    for row, bound in enumerate(written.bounds.tolist()):
        i, up = int(trees.index[row]), bool(trees.sign[row] > 0)
        width = float(known.upper[0, i] - known.lower[0, i])
        room = _ROOM * (width + abs(bound))
        at = float(f"{bound - room:.5g}") if bound <= room else 0.0
        if not at - float(known.lower[0, i] if up else -known.upper[0, i]) > _GAIN * width:
            continue
        at = at if up else -at + 0.0
        closed, opened = place.split(["g", [[name, i, 1]], at])[:: 1 if up else -1]
        closed.tokens = list(written.tree(row, len(base.ground.case.facts) + claims))
        case = written.walk.halves([(curve.parents[0], i, Fraction(1))], Fraction(at), case)[up]
        (lower if up else upper)[0, i] = at
        place, claims = opened, claims + 1
    if claims > base.claims:
        (place,) = place.split(["b"], count=1)
        (case,) = choices.checker.engine.refresh([case])
    return replace(base, place=place, case=case, claims=claims), Limit(lower, upper)


@final
@dataclass(frozen=True, eq=False)
class _Leaf:
    """What a leaf writes: multipliers of its path's facts, counted from the claim's, and slopes of curves."""

    multipliers: list[list[Any]]
    slopes: dict[Any, bytes]


@final
class _Written:
    """The trees of a layer as a certificate writes them, with the ``bounds`` that the checker finds of their rows."""

    def __init__(self, trees: Trees, choices: Choices, case: Any, node: Any) -> None:
        self.trees, self.choices, self.case, self.node = trees, choices, case, node
        self.walk = Tree(choices.checker.problem, choices.checker.engine, [])
        self.opened = choices.opened(case)
        self.row = trees.row[: trees.count]
        self.place = {argument: c for c, argument in enumerate(choices.arguments)}
        every = np.arange(trees.count)
        parts = ({n: v[every][:, None] for n, v in p.items()} for p in (trees.slopes, trees.multipliers))
        self.dual = choices.rounded(Dual(*parts), LEVELS[0])
        self.tokens: list[list[Token | _Leaf]] = [[] for _ in trees.index]
        self.bounds = np.full(len(trees.index), np.inf)
        jobs = [job for row in range(len(trees.index)) for job in self._jobs(row)]
        for first in range(0, len(jobs), choices.checker.engine.batch):
            batch = jobs[first : first + choices.checker.engine.batch]
            values = choices.checker.engine.values([job for _, job in batch])
            np.minimum.at(self.bounds, [row for row, _ in batch], [float(v) for v in values])

    def _jobs(self, row: int) -> Iterator[tuple[int, Any]]:
        """The leaves of a row as the checker bounds them, where the claim is that it is 0 at least."""
        up, fact = bool(self.trees.sign[row] > 0), len(self.case.facts)
        form = [(self.node, int(self.trees.index[row]), Fraction(1))]
        claimed = replace(self.case, facts=self.walk.halves(form, Fraction(0), self.case)[not up].facts)
        for token, leaf, path in self._prefix(np.flatnonzero(self.row == row), ()):
            if token:
                self.tokens[row].append(token)
                continue
            case = claimed
            for c, i, side in path:
                case = self.walk.halves([(self.choices.curves[c].parents[0], i, Fraction(1))], Fraction(0), case)[side]
            own = [{n: v[leaf, 0] for n, v in part.items()} for part in (self.dual.slopes, self.dual.multipliers)]
            slopes = self.choices.slopes(own[0], self.opened, path, LEVELS[0])
            made = _Leaf(self.choices.multipliers(own[1], path, 1), slopes)
            self.tokens[row].append(made)
            facts = [(fact, Fraction(1)), *((fact + k, Fraction(str(m))) for k, m in made.multipliers)]
            yield row, (case, facts, {curve: (data, None) for curve, data in slopes.items()})

    def tree(self, row: int, fact: int) -> Iterator[Token]:
        """The tokens that close the case in which the claim of a row, the fact of that number, does not hold."""
        for token in self.tokens[row]:
            if not isinstance(token, _Leaf):
                yield token
                continue
            facts = [[fact, 1], *([fact + k, m] for k, m in token.multipliers)]
            yield ["l", facts, self.choices.named(token.slopes)] if token.slopes else ["l", facts]

    def _prefix(self, leaves: Array, path: Path) -> Iterator[tuple[Token, int, Path]]:
        """Splits (a token) and leaves (none, its number) in prefix order, with their paths."""
        if len(leaves) == 1:
            yield [], int(leaves[0]), path
            return
        c, i, sides = self._split(leaves)
        yield ["r", self.choices.names.number(self.choices.curves[c].parents[0]), i], -1, path
        for side, part in enumerate(sides):
            yield from self._prefix(part, (*path, (c, i, side)))

    def _split(self, leaves: Array) -> tuple[int, int, tuple[Array, Array]]:
        """A curve and an element that all leaves have a phase of, not the same one; the leaves on both sides.

        Splitting on it keeps every leaf.
        """
        for node, phases in self.trees.phases.items():
            own = phases[leaves]
            found = np.flatnonzero((own != 0).all(axis=0) & (own > 0).any(axis=0) & (own < 0).any(axis=0))
            if len(found):
                i = int(found[0])
                return self.place[node], i, (leaves[own[:, i] < 0], leaves[own[:, i] > 0])
        raise AssertionError("leaves that no split made")
