"""From scores to branchings: of every subproblem the open elements with the largest scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.kept.types import Limit
from nnsym.ir.node import Input, Node
from nnsym.search.nodes import Branches
from nnsym.search.places import Place

Array = NDArray[Any]


def choose(
    places: Sequence[Place], ranges: Mapping[Node, Limit], scores: Mapping[Node, Array], count: int
) -> tuple[list[Branches], Array]:
    """Up to ``count`` branchings of every subproblem, the best first, and which subproblems have any at all.

    Where the scores name nothing that is open, the element is taken whose range is widest, inputs before others: what
    is not closed has to be split somewhere. Only points that lie strictly inside of their range are split.
    """
    nodes = [place.node for place in places]
    used = [place for place in places if place.node in ranges]
    points = np.concatenate([place.points(ranges[place.node]) for place in used], axis=1)
    batch = len(points)
    scored = np.concatenate(
        [scores.get(p.node, np.zeros((1, 1))) + np.zeros((batch, p.node.size)) for p in used], axis=1
    )
    opened = ~np.isnan(points)
    ranked = np.where(opened & (scored > 0), scored, -np.inf)
    lost = np.asarray(np.isneginf(ranked).all(1))
    if lost.any():
        ranked[lost] = np.where(opened[lost], _fallback(used, ranges, lost), -np.inf)
    sizes = [place.node.size for place in used]
    owner, start = np.repeat(np.arange(len(used)), sizes), np.cumsum([0, *sizes])
    number = np.array([places.index(place) for place in used])
    found = []
    for _ in range(count):
        best = ranked.argmax(1)
        here = np.take_along_axis(points, best[:, None], 1)[:, 0]
        here = np.where(np.isneginf(np.take_along_axis(ranked, best[:, None], 1)[:, 0]), np.nan, here)
        found.append(Branches(nodes, number[owner[best]], best - start[owner[best]], here))
        np.put_along_axis(ranked, best[:, None], -np.inf, 1)
    return found, opened.any(1)


def _fallback(used: Sequence[Place], ranges: Mapping[Node, Limit], lost: Array) -> Array:
    """Widths, with inputs ahead of everything."""
    with np.errstate(over="ignore", invalid="ignore"):
        wide = [np.minimum(ranges[p.node].upper[lost] - ranges[p.node].lower[lost], 1e300) for p in used]
    scaled = [w / (1.0 + w) + (1.0 if isinstance(p.node, Input) else 0.0) for w, p in zip(wide, used, strict=True)]
    return np.concatenate(scaled, axis=1)
