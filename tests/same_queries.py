"""Two queries that say the same, each read its own way."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np

from nnsym.ir.check import check_query
from nnsym.ir.query import Query


def assert_same(one: Query, other: Query, r: random.Random) -> None:
    """The same boxes and labels, and the same at ten points, exactly."""
    check_query(other)
    assert one.declared == other.declared or [d.name for d in one.declared] == [d.name for d in other.declared]
    for a, b in zip(one.boxes.values(), other.boxes.values(), strict=True):
        assert all((a.lower == b.lower) & (a.upper == b.upper))
    assert sorted(one.labels) == sorted(other.labels)
    for _ in range(10):
        point = [Fraction(r.randint(-20, 20), 8) for _ in range(sum(x.size for x in one.inputs))]
        mine, theirs = (q.values(_split(q, point), exact=True) for q in (one, other))
        assert one.violated(mine) == other.violated(theirs)
        assert one.margin(mine) == other.margin(theirs)


def _split(query: Query, point: list[Fraction]) -> dict[object, np.ndarray]:
    starts = np.cumsum([0, *(x.size for x in query.inputs)])
    return {x: np.array(point[s : s + x.size], dtype=object) for x, s in zip(query.inputs, starts, strict=False)}
