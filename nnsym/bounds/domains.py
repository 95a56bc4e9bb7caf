"""Domains that are unions of boxes: which boxes, and a margin that is bounded box by box.

Real properties put boxes inside ``or``. Bounds of the hull come first; where they do not decide, the boxes are
bounded as one batch.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.bounds.methods import compute, find_source, margin
from nnsym.bounds.sources import Dtype, Source
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms, InBox, reduce_formula
from nnsym.ir.node import Input
from nnsym.ir.query import Query

Boxes = dict[Input, Box]


def exact_boxes(query: Query, limit: int = 64) -> list[Boxes]:
    """Exact boxes whose union contains every input that the formula's box leaves admit.

    This is the disjunctive normal form of the box leaves alone, without repetitions and empty boxes; where it
    would have more than ``limit`` boxes, the hull of a part stands for the part.
    """

    def leaf(node: Atoms | InBox) -> list[Boxes]:
        return [{node.input: Box(node.lower, node.upper)}] if isinstance(node, InBox) else [{}]

    def every(parts: list[list[Boxes]]) -> list[Boxes]:
        found: list[Boxes] = [{}]
        for part in parts:
            if len(found) * len(part) > limit:
                found, part = _hull(found), _hull(part)
            found = _distinct([_meet(a, b) for a in found for b in part])
        return found

    def some(parts: list[list[Boxes]]) -> list[Boxes]:
        found = _distinct([b for part in parts for b in part])
        return _hull(found) if len(found) > limit else found

    whole = dict(query.boxes)
    return _distinct([_meet(whole, b) for b in reduce_formula(query.formula, leaf, every, some)])


def domain_boxes(query: Query) -> list[dict[Input, tuple[Array, Array]]]:
    """The boxes of :func:`exact_boxes` as float64 arrays, rounded outward."""
    return [{x: box.outer for x, box in case.items()} for case in exact_boxes(query)]


def domain_bounds(
    query: Query, source: str | Source, *, device: str = "cpu", dtype: Dtype = "float64"
) -> Bounds | None:
    """Bounds of all boxes of the domain as one batch; None if no input is left."""
    boxes = domain_boxes(query)
    if not boxes:
        return None
    batch = {x: (np.stack([b[x][0] for b in boxes]), np.stack([b[x][1] for b in boxes])) for x in query.inputs}
    return compute(query, source, boxes=batch, device=device, dtype=dtype)


def domain_margin(
    query: Query, source: str | Source, *, device: str = "cpu", dtype: Dtype = "float64"
) -> tuple[float, Bounds]:
    """A sound lower bound of the margin over the whole domain, and the bounds of its hull.

    The hull decides if it can; else each box of the domain is bounded by itself and the worst one counts. Where there
    are several, the hull may take half of the source's time.
    """
    source = find_source(source)
    single = len(exact_boxes(query)) == 1
    first = source if single else source.until(source.deadline.share(0.5))
    hull = compute(query, first, device=device, dtype=dtype)
    lower = margin(query, hull)
    if lower > 0 or single or source.deadline.passed:
        return lower, hull
    batch = domain_bounds(query, source, device=device, dtype=dtype)
    if batch is None:
        return np.inf, hull
    worst = min(margin(query, batch.box(i)) for i in range(len(batch.rows.lower)))
    return max(lower, worst), replace(hull, ended=hull.ended or batch.ended)


def _meet(a: Boxes, b: Boxes) -> Boxes:
    return {**a, **{x: box.intersect(a[x]) if x in a else box for x, box in b.items()}}


def _hull(boxes: list[Boxes]) -> list[Boxes]:
    """One box that contains all; inputs that some box leaves free stay free."""
    if not boxes:
        return []
    hull = boxes[0]
    for other in boxes[1:]:
        hull = {x: box.hull(other[x]) for x, box in hull.items() if x in other}
    return [hull]


def _distinct(boxes: list[Boxes]) -> list[Boxes]:
    """Without empty boxes and repetitions; a case without restriction covers all others."""
    if any(not case for case in boxes):
        return [{}]
    kept: dict[tuple[object, ...], Boxes] = {}
    for case in boxes:
        if not any(box.empty for box in case.values()):
            kept.setdefault(tuple((id(x), _content(b.lower), _content(b.upper)) for x, b in case.items()), case)
    return list(kept.values())


def _content(values: Array) -> object:
    return tuple(values) if values.dtype == object else values.tobytes()
