"""Ranges of hidden neurons as a certificate proves them: claims, each of which closes one side of a split by a tree.

A claim ``z_i >= c`` is the token ``["g", [[z, i, 1]], c]``: the child with ``z_i <= c`` is closed by a tree over phases
of the layers below, whose leaves are bounds of the row ``z_i - c``; the other child goes on and knows what was claimed.
The trees are those by which a search refines its ranges (:mod:`nnsym.bounds.kept.refine`), layer by layer; after each
layer bounds are computed anew.

What a range costs whoever bounds the rows above is how far the two lines of its function are apart, ``-l u / (u - l)``
times what its slope changes by. So of an element that has one phase one side is claimed, the other is worth nothing,
and a claim that leaves the lines about as far apart as they are without it is not made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, final

import numpy as np

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.refine import Trees, grown, undecided
from nnsym.bounds.kept.types import Limit
from nnsym.certify.choices import Choices, bent
from nnsym.certify.claim_trees import Written
from nnsym.certify.grounds import Ground
from nnsym.certify.tree import TreePlace, leaves
from nnsym.ir.array import Array
from nnsym.ir.node import Node
from nnsym.results.clock import Deadline

#: The least that a claim has to gain, as a share of the most that a range of its layer costs.
_GAIN = 0.003

#: The share of the time that goes into trees of hidden rows.
_SHARE = 0.25


@final
@dataclass(frozen=True, eq=False)
class Base:
    """Where a tree of phases begins: an open place below a ground, its case, and an engine that knows as much.

    ``claims`` facts were claimed between the ground's facts and what comes after, in the tree below ``root``; they took
    ``leaves``.
    """

    ground: Ground
    root: TreePlace
    place: TreePlace
    case: Any
    engine: Engine
    claims: int = 0
    leaves: int = 0

    @staticmethod
    def of(ground: Ground, engine: Engine, choices: Choices) -> Base:
        """The ground itself, with bounds that are computed once."""
        (case,) = choices.checker.engine.refresh([ground.case])
        (place,) = ground.place.split(["b"], count=1)
        return Base(ground, place, place, case, engine)

    def stand(self) -> None:
        """Let the ground's tree be this one, whatever was tried since."""
        self.ground.place.children = [self.root]


def claimed(start: Base, choices: Choices, rounds: int, deadline: Deadline) -> Base:
    """A base behind claims of hidden ranges, of so many ``rounds`` of splits for each row of a layer, from the start.

    The ground's tree is then that of these claims. Past a share of the time layers keep what they have. Raises
    OutOfTime where there is no engine by the deadline.
    """
    end = deadline.share(_SHARE)
    query, known = choices.mirror.query, dict[Node, Limit]()
    engine, root = Engine(query, dtype="float32", intervals=False, deadline=deadline), TreePlace()
    base = replace(start, root=root, place=root)
    for number, layer in enumerate(choices.arguments):
        if layer in engine.plan.straight or layer not in engine.plan.arguments:
            continue
        known[layer] = engine.ranges[layer]
        elements = undecided(engine, layer, known[layer])
        trees = None if end.passed else grown(engine, layer, elements, rounds, deadline=end, own=True)
        if trees is not None:
            base, better = _proved(base, choices, number, trees, known[layer])
            known[layer] = known[layer].meet(better)
        engine = Engine(query, dtype="float32", intervals=False, ranges=known, deadline=deadline)
    engine = Engine(query, inherit=False, intervals=False, ranges=known, deadline=deadline)
    base = replace(base, engine=engine)
    base.stand()
    return base


def _proved(base: Base, choices: Choices, number: int, trees: Trees, known: Limit) -> tuple[Base, Limit]:
    """The base behind the claims of a layer that are worth it, and what they say."""
    curve = choices.curves[number]
    node, name = curve.parents[0], choices.names.number(curve.parents[0])
    lower, upper = (np.full((1, trees.layer.size), side) for side in (-np.inf, np.inf))
    rows = worth(trees, known, hinge=bent(curve))
    written = Written(trees, rows, choices, base.case, node, known)
    case, place, claims, count = base.case, base.place, base.claims, base.leaves
    for row in rows.tolist():
        i, up = int(trees.index[row]), bool(trees.sign[row] > 0)
        at = written.claim(row)
        if not at > (known.lower[0, i] if up else -known.upper[0, i]):
            continue
        at = at if up else -at + 0.0
        closed, opened = place.split(["g", [[name, i, 1]], at])[:: 1 if up else -1]
        closed.tokens = list(written.tree(row, len(base.ground.case.facts) + claims))
        case = written.walk.halves([(node, i, Fraction(1))], Fraction(at), case)[up]
        (lower if up else upper)[0, i] = at
        place, claims, count = opened, claims + 1, count + leaves(closed.tokens)
    if claims > base.claims:
        (place,) = place.split(["b"], count=1)
        (case,) = choices.checker.engine.refresh([case])
    return replace(base, place=place, case=case, claims=claims, leaves=count), Limit(lower, upper)


def worth(trees: Trees, known: Limit, *, hinge: bool) -> Array:
    """The rows of a layer whose claims gain enough: of hinges, else of the width of their own range.

    The lower side of an element is weighed beside what is found of the upper one, this beside what is claimed below.
    """
    bounds, up, at = trees.bounds(), trees.sign > 0, trees.index
    low, high = known.lower[0].copy(), known.upper[0].copy()
    low[at[up]] = np.maximum(low[at[up]], np.minimum(bounds[up], 0.0))
    high[at[~up]] = np.minimum(high[at[~up]], np.maximum(-bounds[~up], 0.0))
    if not hinge:
        gained = np.where(up, low[at] - known.lower[0, at], known.upper[0, at] - high[at])
        return np.flatnonzero(gained > _GAIN * (known.upper[0, at] - known.lower[0, at]))
    enough = _GAIN * _cost(known.lower[0], known.upper[0]).max(initial=0.0)
    below = _cost(known.lower[0], high) - _cost(low, high) > enough
    low = np.where(below, low, known.lower[0])
    above = _cost(low, known.upper[0]) - _cost(low, high) > enough
    return np.flatnonzero(np.where(up, below[at], above[at]))


def _cost(lower: Array, upper: Array) -> Array:
    """How far the lines of a hinge are apart, for a change of its slope by 1; of what nobody bounds, as it does not
    matter, nothing.
    """
    opened = (lower < 0) & (upper > 0) & np.isfinite(lower) & np.isfinite(upper)
    low, high = np.where(opened, lower, 0.0), np.where(opened, upper, 1.0)
    return np.asarray(-low * high / (high - low))
