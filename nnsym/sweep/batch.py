"""Queries that differ only in boxes: one stands for all, and their boxes are bounded as a batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.methods import compute
from nnsym.errors import NnsymError
from nnsym.ir.array import Array
from nnsym.ir.domain import Ball, Box
from nnsym.ir.formula import Atoms, leaves, margin_lower
from nnsym.ir.node import Input
from nnsym.ir.order import before_softmax
from nnsym.ir.query import Query, Reading
from nnsym.ir.text import dump_kind
from nnsym.judge.conclude import Established
from nnsym.judge.method import Method, Settings
from nnsym.judge.verdict import beside, tight
from nnsym.results.clock import Clock
from nnsym.results.result import Trust, Verdict

_MOST = 100  # boxes of one batch
_ENTRIES = 2**23  # numbers of the largest coefficients that a batch keeps


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class BoxVerdict:
    """What a batch says of one box: a verdict that needs no second look, with the margin's proved bound."""

    status: Verdict
    reason: str
    trust: Trust | None
    lower: float
    upper: float
    seconds: float


def batchable(query: Query) -> bool:
    """True if nothing but the boxes of its inputs limits where a query looks, so that a batch says what it says alone.

    Preconditions in rows and boxes inside disjunctions are looked at one by one, as are empty boxes.
    """
    inside = any(not (isinstance(leaf, Atoms) and leaf.soft) for leaf in leaves(query.formula))
    plain = not (inside or query.balls or query.runs is not None)
    return plain and query.reading is not Reading.MINIMUM and not query.empty_box


def alike(queries: Sequence[Query]) -> Iterator[list[int]]:
    """The numbers of queries that differ only in boxes, in groups that a batch may hold; others stand alone."""
    groups: dict[str, list[int]] = {}
    for k, query in enumerate(queries):
        kind = dump_kind(query) if batchable(query) else None
        groups.setdefault(f"alone {k}" if kind is None else kind, []).append(k)
    for members in groups.values():
        size = _size(queries[members[0]])
        for start in range(0, len(members), size):
            yield members[start : start + size]


def _size(query: Query) -> int:
    """So many boxes at once that the coefficients of the widest layer fit."""
    widest = sorted((node.size for node in query.nodes), reverse=True)
    return max(1, min(_MOST, _ENTRIES // math.prod(widest[:2])))


def known_of(queries: Sequence[Query], method: Method, clock: Clock, settings: Settings) -> list[BoxVerdict | None]:
    """What a method establishes on queries that differ only in boxes; None where it has to look at one alone.

    That is where it takes no batches, has a point, where a bound ties with the threshold, is infinite, or time ran out.
    """
    alone: list[BoxVerdict | None] = [None] * len(queries)
    if not batchable(queries[0]):
        return alone
    first = before_softmax(queries[0])
    before = clock.elapsed
    try:
        told = method.establish_each(first, _boxes(first, queries), clock, settings)
    except NnsymError:  # it is said of each
        return alone
    if told is None:
        return alone
    each = (clock.elapsed - before) / len(queries)
    return [_known(one, each) for one in told]


def margins_of(queries: Sequence[Query]) -> list[tuple[float, float]]:
    """Certified bounds of the margins at points: of queries that differ only in boxes, and whose boxes are points."""
    if not batchable(queries[0]):
        return [(-math.inf, math.inf)] * len(queries)
    first = before_softmax(queries[0])
    rows = compute(first, "ibp", boxes=_boxes(first, queries)).rows

    def at(values: Array) -> float:
        return margin_lower(first.formula, lambda leaf: values[leaf.rows])  # type: ignore[union-attr]

    return [(at(low), at(high)) for low, high in zip(rows.lower, rows.upper, strict=True)]


def _boxes(first: Query, queries: Sequence[Query]) -> dict[Input, tuple[Array, Array]]:
    """The boxes of all queries by the first one's inputs, ``(batch, size)``, rounded outward."""
    found = {}
    for place, x in enumerate(first.inputs):
        lower, upper = zip(*(query.boxes[query.inputs[place]].outer for query in queries), strict=True)
        found[x] = np.stack(lower), np.stack(upper)
    return found


def _known(told: Established, seconds: float) -> BoxVerdict | None:
    """The verdict of facts that stand by themselves."""
    ruling = told.ruling
    open_ = ruling.verdict is Verdict.UNKNOWN
    if (
        told.replayed is not None
        or ruling.vacuous
        or not math.isfinite(told.facts.certified)
        or (open_ and (told.ended or tight(told.facts)))
    ):
        return None
    proved, ruling = beside(told.facts, ruling, asked=False)
    exists = told.facts.reading is Reading.EXISTS
    return BoxVerdict(
        status=ruling.verdict,
        reason=ruling.reason,
        trust=ruling.trust,
        lower=-math.inf if exists else proved.bound,
        upper=0.0 - proved.bound if exists else math.inf,
        seconds=seconds,
    )


def within(small: Query, large: Query) -> bool:
    """True if the two differ only in their domains, and each input's boxes and balls of the one lie in the other's.

    What is verified of the larger domain is then verified of the smaller one; a violation in the smaller one is one in
    the larger. Anything else that differs, and it is False.
    """
    if len(small.inputs) != len(large.inputs):
        return False
    for x, y in zip(small.inputs, large.inputs, strict=True):
        ours, others = small.balls.get(x, ()), large.balls.get(y, ())
        if not _box_within(small.boxes[x], large.boxes[y]) or len(ours) != len(others):
            return False
        if not all(_ball_within(a, b) for a, b in zip(ours, others, strict=True)):
            return False
    kind = dump_kind(small)
    return kind is not None and kind == dump_kind(large)


def _box_within(small: Box, large: Box) -> bool:
    return bool((small.lower >= large.lower).all() and (small.upper <= large.upper).all())


def _ball_within(small: Ball, large: Ball) -> bool:
    same = small.p == large.p and bool((small.centre == large.centre).all())
    return same and small.radius <= large.radius
