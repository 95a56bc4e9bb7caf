"""Bounds of two runs at once: by any source, on the query as it stands and over its differences, intersected.

What a query says of two applications of one network, or of two related networks, is about a difference that is small
where both values are large. :func:`nnsym.ir.pairs.paired.pair` makes the differences nodes; whatever bounds nodes then
bounds them, by the lines of :mod:`nnsym.bounds.pairs.gaps`.
"""

from __future__ import annotations

from dataclasses import replace

from nnsym.bounds.base import Bounds, Interval
from nnsym.bounds.sources import Dtype, FloatBoxes, Source
from nnsym.ir.pairs.paired import Paired, pair
from nnsym.ir.query import Query

#: Source of an interval that is tighter over differences than without them.
DIFFERENTIAL = "differential"


def both(
    query: Query, source: Source, boxes: FloatBoxes | None = None, *, device: str = "cpu", dtype: Dtype = "float64"
) -> Bounds:
    """The source's bounds of a query, nowhere looser than without differences.

    Each of the two passes may take half of the source's time; what the first leaves over, the second has.
    """
    paired = pair(query)
    if paired is None:
        return source.compute(query, boxes, device=device, dtype=dtype)
    plain = source.until(source.deadline.share(0.5)).compute(query, boxes, device=device, dtype=dtype)
    given = None if boxes is None else paired.boxes(boxes)
    return _met(plain, paired, source.compute(paired.query, given, device=device, dtype=dtype))


def _met(plain: Bounds, paired: Paired, found: Bounds) -> Bounds:
    """Both bounds of every node and row, and the bounds of the differences."""
    count = plain.rows.lower.shape[-1]
    rows = Interval(found.rows.lower[..., :count], found.rows.upper[..., :count], DIFFERENTIAL)
    nodes = {node: _meet(known, found.nodes.get(paired.nodes[node])) for node, known in plain.nodes.items()}
    return replace(
        plain,
        nodes=nodes,
        rows=plain.rows.intersect(rows),
        seconds=plain.seconds + found.seconds,
        ended=plain.ended or found.ended,
        differences={key: found.nodes[gap] for key, gap in paired.gaps.items() if gap in found.nodes},
    )


def _meet(plain: Interval, found: Interval | None) -> Interval:
    return plain if found is None else plain.intersect(replace(found, source=DIFFERENTIAL))
