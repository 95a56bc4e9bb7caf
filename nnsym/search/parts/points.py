"""Points of a domain and their margins, in float64: candidates, of which nothing is said before they are replayed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.kept.types import Limit
from nnsym.ir.array import Array
from nnsym.ir.evaluate import evaluate
from nnsym.ir.formula import Atoms, InBox, reduce_formula
from nnsym.ir.linear import LinearMap
from nnsym.ir.node import Affine, Input, Max, Node, Points, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.univariate import direction
from nnsym.results.clock import Deadline
from nnsym.search.parts.targets import Target, Worth

_MISSED = 1e300  # the merit of a point that a box does not hold
_PRODUCTS = 5e7  # coefficients times points of a first look


@final
@dataclass(frozen=True, eq=False)
class Tried:
    """Points ``(count, n)`` of every input, moved into the domain, their rows, and the targets' margins there.

    ``values`` are those of all nodes.
    """

    points: Points
    rows: Array
    margins: Array
    values: Mapping[Node, Array]

    @property
    def best(self) -> Array:
        """The margin of each point."""
        return np.asarray(self.margins.min(1, initial=np.inf))

    def point(self, index: int) -> dict[Input, Array]:
        """One of them."""
        return {x: v[index] for x, v in self.points.items()}


def tried(query: Query, worth: Worth, points: Points) -> Tried:
    """The points moved into the domain and evaluated. A value that is no number counts as not reached."""
    with np.errstate(over="ignore", invalid="ignore"):
        inside = query.move_inside(points)
        spec = query.spec[0]
        given: dict[Node, Array] = dict(inside.items())
        values = evaluate((spec, *query.inputs), given)
        rows = np.nan_to_num(values[spec], nan=np.inf, posinf=np.inf, neginf=-np.inf)
        margins, _ = worth.lower(rows, {x: Limit(v, v) for x, v in inside.items()})
    return Tried(inside, rows, margins, values)


def samples(targets: Sequence[Target], inputs: Sequence[Input], count: int, seed: int) -> Points:
    """The centre of each target's box, and random points of it, half of them on a grid of quarters, corners included.

    On many boxes the least margin lies where most inputs are at an end of theirs: where ``count`` has room for all of
    the grid, it is taken.
    """
    rng, ends = np.random.default_rng(seed), np.cumsum([x.size for x in inputs])[:-1]
    boxes = {tuple(side.tobytes() for x in inputs for side in t.boxes[x].outer): t.boxes for t in targets}
    each, found = max(1, count // max(len(boxes), 1)), list[Array]()
    for box in boxes.values():
        sides = [np.concatenate([np.clip(box[x].outer[k], -1e6, 1e6) for x in inputs]) for k in (0, 1)]
        u = _unit(rng, sides[0] < sides[1], each)
        found.append(sides[0] + u * (sides[1] - sides[0]))
    every = np.concatenate([np.zeros((0, sum(x.size for x in inputs))), *found])
    return dict(zip(inputs, np.split(every, ends, axis=1), strict=True))


def _unit(rng: np.random.Generator, free: Array, count: int) -> Array:
    """Points of the unit cube; elements that are not ``free`` do not matter."""
    size, moving = len(free), int(free.sum())
    if moving and 5**moving <= count:
        u = np.zeros((5**moving, size))
        u[:, free] = np.stack(np.unravel_index(np.arange(5**moving), (5,) * moving), 1) / 4
        return u
    u = rng.random((count, size))
    u = np.where(rng.random((count, 1)) < 0.5, np.round(4 * u) / 4, u)
    u[0] = 0.5
    return u


def descended(
    query: Query,
    worth: Worth,
    start: Points,
    *,
    steps: int,
    deadline: Deadline,
    first: float = 0.25,
    blend: bool = False,
) -> Tried:
    """Signed gradient steps on the row that decides each point's margin, kept where they help, else half as long.

    Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, 2018, section 2, with backtracking.
    The first step is a share of the box. Off the precondition it is the hard row that is missed most which descends.
    With ``blend`` the rows of a conjunction descend together, those that are missed most first, and elements move as
    much as it brings: where two rows are missed alike, what is good for one alone is bad for the other.
    """
    best = tried(query, worth, start)
    width = {x: _widths(query, x) for x in query.inputs}
    step = np.full((len(best.rows), 1), first)
    for _ in range(steps):
        if deadline.passed or (best.best < 0).any():
            break
        weights = np.zeros_like(best.rows)
        weights[np.arange(len(weights)), _soft(query, worth, best)[1]] = 1.0
        slopes = _slopes(query, best.values, _blended(worth, best, weights) if blend else weights)
        with np.errstate(over="ignore", invalid="ignore"):
            ways = _gains(slopes, width) if blend else {x: np.sign(slope) for x, slope in slopes.items()}
            moved = {x: best.points[x] - step * width[x] * ways[x] for x in query.inputs}
        new = tried(query, worth, moved)
        better = _soft(query, worth, new)[0] < _soft(query, worth, best)[0]
        step = np.where(better[:, None], step, step / 2)
        keep = better[:, None]
        best = Tried(
            {x: np.where(keep, new.points[x], best.points[x]) for x in query.inputs},
            np.where(keep, new.rows, best.rows),
            np.where(keep, new.margins, best.margins),
            {n: np.where(keep, v, best.values[n]) if v.ndim > 1 else v for n, v in new.values.items()},
        )
    return best


def scouted(query: Query, worth: Worth, *, most: int, kept: int, steps: int, seed: int, deadline: Deadline) -> Tried:
    """Up to ``most`` random points move two steps, then the best ``kept`` of them descend. Large networks have fewer.

    Where the least margin is lies seldom behind the points that are best before they have moved.
    """
    count = int(np.clip(_PRODUCTS // max(query.entries, 1), kept, most))
    start = samples(worth.targets, query.inputs, count, seed)
    first = descended(query, worth, start, steps=2 if count > kept else 0, deadline=deadline, first=0.125)
    best = np.argsort(_soft(query, worth, first)[0], kind="stable")[:kept]
    start = {x: v[best] for x, v in first.points.items()}
    return descended(query, worth, start, steps=steps, deadline=deadline, first=0.125)


def _widths(query: Query, x: Input) -> Array:
    low, high = query.boxes[x].outer
    width = np.where(np.isfinite(high - low), high - low, 1.0)
    return np.where(x.integer, np.maximum(width, 4.0), width)  # so that a step passes from one whole number to the next


def _soft(query: Query, worth: Worth, at: Tried) -> tuple[Array, Array]:
    """The margin where the precondition holds, else how far it is missed, beyond all margins; and the row that it is.

    Both ``(count,)``.
    """
    if 0 < len(worth.boxed.which) == len(worth.targets):
        return worth.boxed.least(at.rows, {x: Limit(v, v) for x, v in at.points.items()}, missed=_MISSED)
    rows, points = at.rows, at.points
    count = len(rows)

    def leaf(node: Atoms | InBox) -> tuple[Array, Array]:
        if isinstance(node, InBox):
            inside = Limit(points[node.input], points[node.input])
            missed = ((inside.lower < _low(node)) | (inside.upper > _high(node))).any(-1)
            return np.where(missed, _MISSED, -np.inf), np.zeros(count, dtype=np.int64)
        if not len(node.rows):
            return np.full(count, -np.inf if node.every else np.inf), np.zeros(count, dtype=np.int64)
        chosen = rows[:, node.rows]
        pick = chosen.argmax(1) if node.every else chosen.argmin(1)
        value = chosen[np.arange(count), pick]
        if not node.soft:
            value = np.where(value >= 0 if node.strict else value > 0, 1e200 * (1 + np.minimum(value, 1e90)), -np.inf)
        return value, node.rows[pick]

    def reduced(parts: list[tuple[Array, Array]], sign: int) -> tuple[Array, Array]:
        if not parts:
            return np.full(count, -sign * np.inf), np.zeros(count, dtype=np.int64)
        values, picks = np.stack([p[0] for p in parts]), np.stack([p[1] for p in parts])
        at = values.argmax(0) if sign > 0 else values.argmin(0)
        return values[at, np.arange(count)], picks[at, np.arange(count)]

    return reduce_formula(query.formula, leaf, lambda p: reduced(p, +1), lambda p: reduced(p, -1))


def _low(node: InBox) -> Array:
    return np.asarray(node.lower, dtype=np.float64)


def _high(node: InBox) -> Array:
    return np.asarray(node.upper, dtype=np.float64)


def _blended(worth: Worth, at: Tried, alone: Array) -> Array:
    """Weights ``(count, rows)`` of the rows of each point's target, less by e for each multiple of the worst that they
    are better by; ``alone`` for targets that are no conjunction.
    """
    k = at.margins.argmin(1)
    rows = np.where(worth.uses[k, : at.rows.shape[1]], at.rows, -np.inf)
    worst = rows.max(1, keepdims=True)
    with np.errstate(over="ignore", invalid="ignore"):
        weights = np.exp((rows - worst) / np.maximum(np.abs(worst), 1e-300))
    fit = np.isin(k, worth.joined)[:, None] & np.isfinite(weights).all(1, keepdims=True)
    return np.where(fit, weights, alone)


def _gains(slopes: Mapping[Node, Array], width: Mapping[Input, Array]) -> dict[Node, Array]:
    """What each element's width would bring, as a share of the most that one brings."""
    gains = {x: slopes[x] * width[x] for x in width}
    most = np.max([np.abs(gain).max(1, initial=0.0) for gain in gains.values()], axis=0)[:, None]
    return {x: gain / np.where(most > 0, most, 1.0) for x, gain in gains.items()}


def _slopes(query: Query, values: Mapping[Node, Array], weights: Array) -> dict[Node, Array]:
    """The derivatives by every input of sums of rows, weights ``(count, rows)``, where nodes have these ``values``."""
    above: dict[Node, Array] = {query.spec[0]: weights}
    for node in reversed(list(values)):
        if node not in above or isinstance(node, Input):
            continue
        for parent, part in zip(node.parents, _pulled(node, values, above[node]), strict=True):
            above[parent] = above[parent] + part if parent in above else part
    return {x: above.get(x, np.zeros((len(weights), x.size))) for x in query.inputs}


def _pulled(node: Node, values: Mapping[Node, Array], above: Array) -> list[Array]:
    """What a node hands down to its parents."""
    match node:
        case Affine():
            return [_adjoint(linear, above) for linear in node.maps]
        case Pointwise():
            return [above * direction(node.fn, values[node.parents[0]])]
        case Max():
            x = values[node.parents[0]]
            members = node.filled
            winner = np.take_along_axis(members[None], x[:, members].argmax(-1)[..., None], -1)[..., 0]
            out = np.zeros_like(x)
            np.add.at(out, (np.arange(len(x))[:, None], winner), above)
            return [out]
        case Product():
            left, right = node.parents
            return [above * values[right], above * values[left]]
    return [np.zeros((len(above), p.size)) for p in node.parents]


def _adjoint(linear: LinearMap, above: Array) -> Array:
    return np.asarray(linear.adjoint(above))
