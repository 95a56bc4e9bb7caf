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
from numpy.typing import NDArray

from nnsym.bounds.kept.engine import Engine, Target
from nnsym.bounds.kept.refine import Trees, grown
from nnsym.bounds.kept.types import Domains, Dual, Limit
from nnsym.certify.choices import LEVELS, Choices, Path
from nnsym.certify.grounds import Ground
from nnsym.certify.tree import Place, Token
from nnsym.check.tree import Tree
from nnsym.ir.node import Node
from nnsym.results.clock import Deadline

Array = NDArray[Any]

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
    place: Place
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
        trees = None if end.passed else grown(engine, layer, known[layer], rounds, deadline=end)
        if trees is not None:
            base, better = _proved(base, choices, number, trees, known[layer], deadline)
            known[layer] = known[layer].meet(better)
        engine = Engine(query, dtype="float32", ranges=known, deadline=deadline)
    return replace(base, engine=Engine(query, inherit=False, ranges=known, deadline=deadline), ranges=known)


def _proved(
    base: Base, choices: Choices, number: int, trees: Trees, known: Limit, deadline: Deadline
) -> tuple[Base, Limit]:
    """The base behind the claims of a layer that are worth it, and what they say."""
    layer, curve = trees.layer, choices.curves[number]
    name = choices.names.number(curve.parents[0])
    lower, upper = (np.full((1, layer.size), side) for side in (-np.inf, np.inf))
    written = _Written(trees, choices, choices.opened(base.case), deadline)
    walk, case, place, claims = (
        Tree(choices.checker.problem, choices.checker.engine, []),
        base.case,
        base.place,
        base.claims,
    )
    for row, bound in enumerate(written.bounds()):
        i, up = int(trees.index[row]), trees.sign[row] > 0
        width = float(known.upper[0, i] - known.lower[0, i])
        before = float(known.lower[0, i] if up else -known.upper[0, i])
        room = _ROOM * (width + abs(bound))
        at = float(f"{bound - room:.5g}") if bound <= room else 0.0
        if not at - before > _GAIN * width:
            continue
        at = at if up else -at + 0.0
        token = ["g", [[name, i, 1]], at]
        closed, opened = place.split(token)[:: 1 if up else -1]
        closed.tokens = list(written.tree(row, len(base.ground.case.facts) + claims))
        case = walk.halves([(curve.parents[0], i, Fraction(1))], Fraction(at), case)[1 if up else 0]
        (lower if up else upper)[0, i] = at
        place, claims = opened, claims + 1
    if claims > base.claims:
        (place,) = place.split(["b"], count=1)
        (case,) = choices.checker.engine.refresh([case])
    return replace(base, place=place, case=case, claims=claims), Limit(lower, upper)


@final
class _Written:
    """The trees of a layer with slopes and multipliers as a certificate writes them."""

    def __init__(self, trees: Trees, choices: Choices, opened: list[Array], deadline: Deadline) -> None:
        self.trees, self.choices, self.opened = trees, choices, opened
        leaves = np.arange(trees.count)
        full = Dual(*({n: v[leaves][:, None] for n, v in p.items()} for p in (trees.slopes, trees.multipliers)))
        self.dual = choices.rounded(full, LEVELS[0])
        self.row = trees.row[leaves]
        target = Target(trees.layer, trees.index[self.row][:, None], trees.sign[self.row][:, None])
        domains = Domains(trees.limits(leaves), np.ones((trees.count, 1), dtype=bool), dual=self.dual)
        found = trees.engine.bound(domains, target=target, refresh=False, gaps=False, deadline=deadline)
        self.bound = found.lower[:, 0]
        self.place = {node: c for c, node in enumerate(choices.arguments)}

    def bounds(self) -> list[float]:
        """The least bound over the leaves of every row."""
        found = np.full(len(self.trees.index), np.inf)
        np.minimum.at(found, self.row, self.bound)
        return [float(v) for v in found]

    def tree(self, row: int, fact: int) -> Iterator[Token]:
        """The tokens that close the case in which the claim of a row, the fact of that number, does not hold."""
        return self._tokens(np.flatnonzero(self.row == row), (), fact)

    def _tokens(self, leaves: Array, path: Path, fact: int) -> Iterator[Token]:
        if len(leaves) == 1:
            yield self._leaf(int(leaves[0]), path, fact)
            return
        node, i = self._split(leaves)
        c, phase = self.place[node], self.trees.phases[node][leaves, i]
        yield ["r", self.choices.names.number(self.choices.curves[c].parents[0]), i]
        for side, part in enumerate((leaves[phase < 0], leaves[phase > 0])):
            yield from self._tokens(part, (*path, (c, i, side)), fact)

    def _split(self, leaves: Array) -> tuple[Node, int]:
        """An element that all leaves have a phase of, not the same one: splitting on it keeps every leaf."""
        for node, phases in self.trees.phases.items():
            own = phases[leaves]
            found = np.flatnonzero((own != 0).all(axis=0) & (own > 0).any(axis=0) & (own < 0).any(axis=0))
            if len(found):
                return node, int(found[0])
        raise AssertionError("leaves that no split made")

    def _leaf(self, leaf: int, path: Path, fact: int) -> Token:
        own = [{n: v[leaf, 0] for n, v in part.items()} for part in (self.dual.slopes, self.dual.multipliers)]
        facts = [[fact, 1], *self.choices.multipliers(own[1], path, fact + 1)]
        slopes = self.choices.slopes(own[0], self.opened, path, LEVELS[0])
        return ["l", facts, slopes] if slopes else ["l", facts]
