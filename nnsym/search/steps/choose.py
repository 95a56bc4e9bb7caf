"""From scores to branchings: of every part the open elements with the largest scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nnsym.bounds.kept.types import Limit
from nnsym.ir.array import Array
from nnsym.ir.node import Input, Node
from nnsym.search.parts.batch import Branches
from nnsym.search.parts.places import Place


def choose(
    places: Sequence[Place], ranges: Mapping[Node, Limit], scores: Mapping[Node, Array], count: int
) -> tuple[list[Branches], Array]:
    """Up to ``count`` branchings of every part, the best first, and which parts have any at all.

    Where the scores name nothing that is open, the element is taken whose range is widest: what is not closed has to be
    split somewhere. Inputs come before others, unless only others are scored: where neurons are split, halves of one of
    many inputs change nothing. Only points that lie strictly inside of their range are split.
    """
    every = {place.node: ranges[place.node] for place in places if place.node in ranges}
    inputs = not scores or any(isinstance(n, Input) for n in scores)
    scores = {n: s for n, s in scores.items() if n in every} or _widths(every, inputs)
    found, able = _ranked(places, ranges, scores, count)
    lost = np.flatnonzero(~able)
    if not len(lost):
        return found, able
    every = {n: limit.take(lost) for n, limit in every.items()}
    other, some = _ranked(places, every, _widths(every, inputs), count)
    able = able.copy()
    able[lost] = some
    for one, rest in zip(found, other, strict=True):
        one.place[lost], one.element[lost], one.point[lost] = rest.place, rest.element, rest.point
    return found, able


def _ranked(
    places: Sequence[Place], ranges: Mapping[Node, Limit], scores: Mapping[Node, Array], count: int
) -> tuple[list[Branches], Array]:
    """Of every part the best elements that are open and have a score; which parts have one."""
    used = [place for place in places if place.node in ranges and place.node in scores]
    points = np.concatenate([place.points(ranges[place.node]) for place in used], axis=1)
    scored = np.concatenate([scores[place.node] for place in used], axis=1)
    ranked = np.where(~np.isnan(points) & (scored > 0), scored, -np.inf)
    able = np.asarray(~np.isneginf(ranked).all(1))
    sizes = [place.node.size for place in used]
    owner, start = np.repeat(np.arange(len(used)), sizes), np.cumsum([0, *sizes])
    number, nodes = np.array([places.index(place) for place in used]), [place.node for place in places]
    every, found = np.arange(len(points)), []
    for _ in range(count):
        best = ranked.argmax(1)
        here = np.where(np.isneginf(ranked[every, best]), np.nan, points[every, best])
        found.append(Branches(nodes, number[owner[best]], best - start[owner[best]], here))
        ranked[every, best] = -np.inf
    return found, able


def _widths(ranges: Mapping[Node, Limit], inputs: bool) -> dict[Node, Array]:
    """Widths as shares of themselves plus one, with inputs ahead of everything, or behind it."""
    with np.errstate(over="ignore", invalid="ignore"):
        wide = {n: np.minimum(limit.upper - limit.lower, 1e300) for n, limit in ranges.items()}
    return {n: w / (1.0 + w) + (1.0 if isinstance(n, Input) is inputs else 0.0) * (w > 0) for n, w in wide.items()}
