"""A counter-search: points of the domain with a small margin, by sampling and projected gradient descent.

All restarts move at once, one leading axis through the graph. A step goes against the sign of the slope of the row that
decides the margin (other norms have their own steps), is projected back into the domain, and is kept where it improves;
elsewhere the restart's step is halved (Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks,
2018, section 2, with backtracking). Outside the precondition the row that misses it most is descended first. What
comes out is a list of candidates: a point counts only after replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.domains import exact_boxes
from nnsym.bounds.points.starts import project, starts
from nnsym.bounds.points.tape import Standing, Tape
from nnsym.ir.array import Array
from nnsym.ir.exact import nearest
from nnsym.ir.node import Input, Points
from nnsym.ir.query import Query
from nnsym.results.clock import NEVER, Deadline, OutOfTime

Limits = dict[Input, tuple[Array, ...]]

_FIRST, _LEAST = 0.25, 1e-9  # the first step, and the one at which a restart rests, as shares of the domain's width
_NONE = np.zeros(0)
_POOL = 4  # samples for each restart; the search starts from the best of them


@final
@dataclass(frozen=True, eq=False)
class Candidates:
    """Points ``(count, n)`` of every input with their float64 margins ``(count,)``, the least first."""

    points: Points
    margin: Array

    def __len__(self) -> int:
        return len(self.margin)

    def __getitem__(self, k: int) -> dict[Input, Array]:
        return {x: v[k] for x, v in self.points.items()}


def search(
    query: Query,
    *,
    restarts: int = 100,
    steps: int = 50,
    seed: int = 0,
    seconds: float = np.inf,
    device: str = "cpu",
) -> Candidates:
    """Descend from the centre of every box of the domain and from the best of many corners and uniform points.

    ``restarts`` are shared among the boxes of :func:`nnsym.bounds.domains.exact_boxes`, at least one for each box;
    past ``seconds`` no further step is made. On a large network restarts move in groups, one after the other, each with
    its share of the time. No candidates where the domain is empty, or the network is not even loaded in time.
    """
    deadline, nothing = Deadline.after(seconds), Candidates({x: np.zeros((0, x.size)) for x in query.inputs}, _NONE)
    found = exact_boxes(query, limit=max(1, restarts))
    if not found or query.empty_box:
        return nothing
    if not query.inputs:
        return Candidates({}, np.zeros(1))  # the only point there is
    tape = Tape(query, device)
    try:
        tape.load(deadline.grace)
    except OutOfTime:
        return nothing
    each = -(-restarts // len(found))
    pool = starts(query, found, count=_POOL * each, seed=seed)
    limits: Limits = {}
    for x in query.inputs:
        sides = zip(*(case[x].inner for case in found), strict=True)
        limits[x] = tuple(np.repeat(np.stack(side), _POOL * each, axis=0) for side in sides)
    pool = project(query, pool, limits)
    chosen, rng = _best_of(_standing(tape, pool, deadline.share(0.5)), len(found), each), np.random.default_rng(seed)
    groups, ends = np.split(chosen, range(tape.most, len(chosen), tape.most)), list[Candidates]()
    for number, group in enumerate(groups):
        if not ends or not deadline.passed:
            points = _take(pool, group)
            inside: Limits = {x: (low[group], high[group]) for x, (low, high) in limits.items()}
            end = deadline.share(1 / (len(groups) - number))
            ends.append(_descend(tape, points, inside, steps=steps, deadline=end, rng=rng))
    return _merged(ends)


def _standing(tape: Tape, pool: Points, deadline: Deadline) -> Standing:
    """Where samples stand; those that there is no time for count as the worst."""
    count, parts = len(next(iter(pool.values()))), list[Standing]()
    for start in range(0, count, tape.most):
        size = min(tape.most, count - start)
        try:
            part = _take(pool, np.arange(start, start + size))
            parts.append(tape.run(part, deadline=deadline if parts else deadline.grace)[1])
        except OutOfTime:
            parts.append(Standing(np.full(size, np.inf), np.full(size, np.inf), np.full(size, -1)))
    return Standing(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("missed", "margin", "row")))


def _merged(parts: list[Candidates]) -> Candidates:
    """The candidates of several groups, the least margin first."""
    if len(parts) == 1:
        return parts[0]
    margin = np.concatenate([part.margin for part in parts])
    order = np.argsort(margin, kind="stable")
    points = {x: np.concatenate([part.points[x] for part in parts]) for x in parts[0].points}
    return Candidates(_take(points, order), margin[order])


def descend(query: Query, start: Points, *, steps: int, device: str = "cpu", deadline: Deadline = NEVER) -> Candidates:
    """Descend from given points ``(count, n)`` inside the query's own box."""
    count = len(next(iter(start.values())))
    limits = {x: tuple(np.repeat(side[None], count, 0) for side in query.boxes[x].inner) for x in query.inputs}
    points = project(query, start, limits)
    return _descend(Tape(query, device), points, limits, steps=steps, deadline=deadline, rng=np.random.default_rng(0))


def _descend(
    tape: Tape, points: Points, limits: Limits, *, steps: int, deadline: Deadline, rng: np.random.Generator
) -> Candidates:
    found = lowest(tape, points, limits, steps=steps, deadline=deadline, rng=rng)
    order = np.argsort(found.margin, kind="stable")
    return Candidates(_take(found.points, order), found.margin[order])


def lowest(
    tape: Tape, points: Points, limits: Limits, *, steps: int, rng: np.random.Generator, deadline: Deadline = NEVER
) -> Candidates:
    """Where descents from given points end, each inside its own float64 box of ``limits``, in the order of the points.

    ``limits`` are the lower and the upper ends of the boxes, ``(count, n)`` for every input. Where the deadline passes
    the points are those so far; the margins of points that no run was made of are infinite.
    """
    query = tape.query
    try:
        values, here = tape.run(points, deadline=deadline.grace)
    except OutOfTime:
        return Candidates(points, np.full(len(next(iter(points.values()))), np.inf))
    share = np.full(len(here.margin), _FIRST)
    for _ in range(steps):
        if deadline.passed or not ((share > _LEAST) & (here.row >= 0)).any():
            break
        try:
            slopes = tape.slopes(values, here.row, deadline=deadline)
        except OutOfTime:
            break
        with np.errstate(over="ignore", invalid="ignore"):  # a width beyond floats counts as an open one
            moved = {x: points[x] - _step(query, x, points[x], slopes[x], share, limits[x]) for x in query.inputs}
        for x in query.inputs:  # integers move by chance, as far as the step in the mean
            moved[x] = np.where(x.integer, np.floor(moved[x] + rng.random(moved[x].shape)), moved[x])
        moved = project(query, moved, limits)
        try:
            found, there = tape.run(moved, deadline=deadline)
        except OutOfTime:
            break
        better = there.beats(here)
        here = there.choose(here, better)
        points = {x: np.where(better[:, None], moved[x], points[x]) for x in query.inputs}
        values = tape.choose(found, values, better)
        share = np.where(better, share, 0.5 * share)
    return Candidates(points, here.score)


def _step(query: Query, x: Input, at: Array, slope: Array, share: Array, limits: tuple[Array, ...]) -> Array:
    """What a point moves by: a share of the box's width against the sign of the slope.

    In a Euclidean ball a share of its diameter along the slope; in one of the norm 1 a part of the way to its best
    vertex (Frank and Wolfe, An Algorithm for Quadratic Programming, 1956).
    """
    low, high = limits
    if x not in query.balls:
        width = np.where(np.isfinite(high - low), high - low, 1.0)
        return np.asarray(share[:, None] * width * np.sign(slope))
    ball = min(query.balls[x], key=lambda b: b.radius)
    radius = float(ball.radius)
    if ball.p == 2:
        length = np.linalg.norm(slope, axis=1, keepdims=True)
        return np.asarray(share[:, None] * 2.0 * radius * slope / np.where(length > 0, length, 1.0))
    best = np.arange(x.size) == np.abs(slope).argmax(axis=1)[:, None]
    vertex = nearest(ball.centre) - radius * np.sign(slope) * best
    return np.asarray(share[:, None] / _FIRST * (at - vertex))


def _best_of(pool: Standing, boxes: int, each: int) -> Array:
    """In every box its centre, which comes first, and the best of the other samples, ``each`` in all."""
    order = np.lexsort((pool.margin, pool.missed))
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    rank = place.reshape((boxes, -1))
    rank[:, 0] = -1
    kept = np.argsort(rank, axis=1, kind="stable")[:, :each]
    return np.asarray((kept + np.arange(boxes)[:, None] * rank.shape[1]).ravel())


def _take(points: Points, index: Array) -> dict[Input, Array]:
    return {x: v[index] for x, v in points.items()}
