"""The conformance kit for sources of bounds: what a source claims of every node and row holds at every run.

Runs are made in rationals and compared without a tolerance, at points where bounds are tight: corners of the activation
regions (:mod:`nnsym.testing.ranges`), corners of the box, boxes that are single points. Networks have numbers that no
float64 adds exactly, sums that cancel, and boxes whose ends are no floats. Monotone ones are of many sizes, their
boxes and numbers too (:mod:`nnsym.testing.monotone`). Asked besides: batches of boxes, few and many, float32, integer
and open inputs, differences of two runs, deadlines, and that nothing of an earlier query, assumed intervals least of
all, is left. Use it from a test: ``check_bounds(MY_SOURCE)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds, Interval
from nnsym.bounds.methods import find_source
from nnsym.bounds.sources import Dtype, FloatBoxes, Source
from nnsym.encode.point import exact_margin
from nnsym.errors import NnsymError
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.names import node_names
from nnsym.ir.node import Input, Node, Point
from nnsym.ir.query import Query
from nnsym.testing.bound_queries import (
    infinite_queries,
    integer_queries,
    pair_queries,
    product_queries,
    real_queries,
    run_queries,
)
from nnsym.testing.conformance import Conformance
from nnsym.testing.conformance import ConformanceError as ConformanceError
from nnsym.testing.monotone import LARGE, SHAPES, ends, halves
from nnsym.testing.random_nets import KINDS, PIECE_KINDS, SMOOTH_KINDS, random_network, random_query
from nnsym.testing.ranges import corners
from nnsym.testing.stopwatch import at_most, has_timer

Values = Mapping[Node, Array]

#: Of float64 runs of smooth networks, relative: the ulps of their functions and of the sums above them.
_SMOOTH = 1e-12
_FORMATS: tuple[Dtype, ...] = ("float64", "float32")
#: Sizes of the batches that are asked by turns, beside those of the parts of a box and of one of them.
_SIZES = (16, 2, 33, 3, 64, 5)
_SHORT = 0.2  # seconds that are short for the network that is asked under a deadline


@final
@dataclass(frozen=True, kw_only=True)
class BoundsConformance(Conformance):
    """What was checked: ``bounds`` computed, ``runs`` compared with them, and what was ``skipped``, with the reason."""

    bounds: int = 0
    runs: int = 0


def check_bounds(
    source: str | Source,
    *,
    kinds: Iterable[str] = (*KINDS, *PIECE_KINDS, *SMOOTH_KINDS),
    seeds: Iterable[int] = range(2),
    dtypes: Iterable[Dtype] = _FORMATS,
    sizes: Iterable[str] = tuple(SHAPES),
    grace: float = 5.0,
) -> BoundsConformance:
    """Check a source of bounds.

    Args:
        source: its name or itself.
        kinds: kinds of random network (:mod:`nnsym.testing.random_nets`).
        seeds: one query per kind and seed.
        dtypes: the formats that it is asked for.
        sizes: which monotone networks, as in :data:`nnsym.testing.monotone.SHAPES`.
        grace: CPU seconds of this process after which a deadline of 0.2 s was ignored.

    Raises:
        ConformanceError: a claim is refuted, missing, or no interval.
    """
    found, formats, seeds = find_source(source), tuple(dtypes), tuple(seeds)
    done = BoundsConformance()
    for kind in kinds:
        for seed in seeds:
            query, smooth = random_query(random_network(kind, seed), seed), kind in SMOOTH_KINDS
            done = _check_all(_Asked(found, query, formats, smooth=smooth), [*_grid(query, 8)], done)
    for name, queries in _SPECIAL.items():
        for query in queries():
            done = _check_all(_Asked(found, query, formats, refusal=name), list(_grid(query, 8)), done)
    for name in sizes:
        for shape in SHAPES[name]:
            query, smooth = shape.query(), not shape.fn.exact
            points = [*ends(query), *_grid(query, 2)]
            done = _check_all(_Asked(found, query, formats, smooth=smooth, refusal=name), points, done)
    done = _check_memory(found, done)
    done = _check_deadlines(found, done, grace)
    done.say(f"check_bounds({found.text})")
    if not done.bounds:
        raise ConformanceError(f"bounds '{found.text}' take none of the networks that they were to be checked on")
    return done


#: Queries beside the random ones, by what a source may refuse.
_SPECIAL: Mapping[str, Callable[[], Iterable[Query]]] = {
    "numbers that are no short binary fractions": real_queries,
    "integer inputs": integer_queries,
    "open inputs": infinite_queries,
    "several inputs": pair_queries,
    "two runs": run_queries,
    "products": product_queries,
}


@final
@dataclass(frozen=True)
class _Asked:
    """A source, a query, and in which formats; ``refusal`` is what it may refuse, if anything."""

    source: Source
    query: Query
    formats: tuple[Dtype, ...]
    smooth: bool = False
    refusal: str = ""

    @property
    def where(self) -> str:
        return f"{self.source.text} on {self.query.name}"


def _check_all(asked: _Asked, points: list[Point], done: BoundsConformance) -> BoundsConformance:
    """One query by itself, then its box in parts, in every format."""
    query = asked.query
    runs = _runs(query, [*points, *_plane(asked)], smooth=asked.smooth)
    closed = all(np.isfinite(side).all() for box in query.boxes.values() for side in box.outer)
    parts = [replace(query, boxes=boxes) for boxes in halves(query)] if closed else []
    of_parts = [
        _runs(q, [*ends(q), *_grid(q, 4), *_plane(replace(asked, query=q))], smooth=asked.smooth) for q in parts
    ]
    for dtype in asked.formats:
        try:
            bounds = asked.source.compute(query, dtype=dtype)
            check_shape(bounds, query, f"{asked.where} in {dtype}")
            done = _check_values(bounds, query, runs, f"{asked.where} in {dtype}", done, smooth=asked.smooth)
            if parts:
                done = _check_batches(asked, parts, of_parts, dtype, done)
        except NnsymError as error:
            if not asked.refusal:
                raise
            return done.skip(asked.refusal, f"{type(error).__name__}: {error.reason}")
    return done


def _check_batches(
    asked: _Asked, parts: list[Query], runs: list[list[dict[Node, Array]]], dtype: Dtype, done: BoundsConformance
) -> BoundsConformance:
    """Halves and a corner of the box at once, one half alone, and many: the bounds of each hold on it."""
    every = list(range(len(parts)))
    many = np.resize(every, _SIZES[done.bounds % len(_SIZES)]).tolist()
    for chosen in (every, every[1:2], many):
        boxes: FloatBoxes = {
            x: (
                np.stack([parts[k].boxes[x].outer[0] for k in chosen]),
                np.stack([parts[k].boxes[x].outer[1] for k in chosen]),
            )
            for x in asked.query.inputs
        }
        before = {x: (low.copy(), high.copy()) for x, (low, high) in boxes.items()}
        bounds = asked.source.compute(asked.query, boxes=boxes, dtype=dtype)
        if not all(np.array_equal(before[x], boxes[x]) for x in boxes):
            raise ConformanceError(f"{asked.where}: it writes into the boxes that it is given")
        for place, k in enumerate(chosen):
            where = f"{asked.source.text} on box {place} of {len(chosen)} of {asked.query.name} in {dtype}"
            one = bounds.box(place)
            check_shape(one, parts[k], where)
            done = _check_values(one, parts[k], runs[k], where, done, smooth=asked.smooth)
    return done


def _check_memory(source: Source, done: BoundsConformance) -> BoundsConformance:
    """Assumed intervals are met with bounds by :func:`nnsym.bounds.methods.compute`; a later query knows none."""
    query = random_query(random_network("dense", 0), 0)
    narrow = {
        node: Box(np.zeros(node.size), np.zeros(node.size)) for node in query.nodes if not isinstance(node, Input)
    }
    small = {x: Box(box.lower, box.lower) for x, box in query.boxes.items()}
    source.compute(replace(query, boxes=small))
    source.compute(replace(query, assumed=narrow))
    again = replace(query, name=f"{query.name}, after it was asked with assumed intervals and in a corner")
    return _check_all(_Asked(source, again, ("float64",)), list(_grid(query, 4)), done)


def _check_deadlines(source: Source, done: BoundsConformance, grace: float) -> BoundsConformance:
    """What is claimed under a deadline that is far, over, or short holds, and a short one is kept."""
    query = random_query(random_network("dense", 0), 0)
    for seconds in (60.0, 0.0):
        named = replace(query, name=f"{query.name}, with {seconds:g} s")
        done = _check_all(_Asked(source.within(seconds), named, ("float64",)), [*_grid(query, 8)], done)
    if not has_timer():
        return done.skip("a short deadline", "there is no timer here that could stop a source")
    large = LARGE.query()
    with at_most(_SHORT + grace, f"{source.text} had {_SHORT} s and goes on after {grace} CPU s more"):
        bounds = source.within(_SHORT).compute(large)
    check_shape(bounds, large, f"{source.text} under a deadline")
    return check_runs(bounds, large, list(ends(large)), f"{source.text} under a deadline", done)


def check_shape(bounds: Bounds, query: Query, where: str) -> None:
    """An interval for every node and for the rows, of the right shape, without NaN, in float64."""
    names = node_names(query.nodes)
    for node in query.nodes:
        if node not in bounds.nodes:
            raise ConformanceError(f"{where}: no bounds of {names[node]}")
    claims = {names[node]: (bounds.nodes[node], node.size) for node in query.nodes} | {
        "the rows": (bounds.rows, len(query.rows))
    }
    for name, (interval, size) in claims.items():
        for side in (interval.lower, interval.upper):
            numbers = np.asarray(side)
            if numbers.shape != (size,) or numbers.dtype != np.float64:
                raise ConformanceError(f"{where}: {name} has {numbers.dtype} of shape {numbers.shape}, not ({size},)")
            if np.isnan(numbers).any():
                raise ConformanceError(f"{where}: NaN among the bounds of {name}")


def check_runs(
    bounds: Bounds, query: Query, points: list[Point], where: str, done: BoundsConformance, *, smooth: bool = False
) -> BoundsConformance:
    """Whether the values at the points that meet the preconditions are inside: of nodes, rows and differences."""
    return _check_values(bounds, query, _runs(query, points, smooth=smooth), where, done, smooth=smooth)


def _runs(query: Query, points: list[Point], *, smooth: bool) -> list[dict[Node, Array]]:
    """The values of all nodes at the points that meet the preconditions: bounds may use these."""
    given = [{x: v.astype(float) for x, v in point.items()} for point in points] if smooth else points
    every = (query.values(point, exact=not smooth) for point in given)
    return [values for values in every if exact_margin(query, values) < np.inf]


def _check_values(
    bounds: Bounds, query: Query, runs: list[dict[Node, Array]], where: str, done: BoundsConformance, *, smooth: bool
) -> BoundsConformance:
    names = node_names(query.nodes)
    for values in runs:
        for node, name in names.items():
            _inside(bounds.nodes[node], values[node], f"{where}: {name}", smooth=smooth)
        _inside(bounds.rows, query.rows.value(values), f"{where}: row", smooth=smooth)
        for (a, b), interval in bounds.differences.items():
            if a in values and b in values:
                _inside(interval, values[a] - values[b], f"{where}: {names[a]} - {names[b]}", smooth=smooth)
    return replace(done, bounds=done.bounds + 1, runs=done.runs + len(runs))


def _inside(interval: Interval, values: Array, where: str, *, smooth: bool) -> None:
    for k, value in enumerate(values.tolist()):
        low, high = float(interval.lower[k]), float(interval.upper[k])
        room = _SMOOTH * max(1.0, abs(value)) if smooth else 0
        if low - room <= value <= high + room:
            continue
        limit = low if value < low else high
        off = float(abs(Fraction(value) - Fraction(limit))) if np.isfinite(limit) else np.inf
        raise ConformanceError(f"{where}[{k}] is {float(value)!r}, outside of [{low!r}, {high!r}] by {off:.3g}")


def _plane(asked: _Asked) -> Iterator[Point]:
    """The corners of the activation regions, where there are one or two real inputs and functions have lines."""
    inputs = asked.query.inputs
    if sum(x.size for x in inputs) <= 2 and not asked.smooth and not asked.refusal:
        yield from corners(asked.query)


def _grid(query: Query, count: int) -> Iterator[Point]:
    """Corners of the box and points inside, rational where its ends are; far out where it is open."""
    rng = np.random.default_rng(3)
    for k in range(count):
        yield {x: _pick(x, box, rng, corner=k % 2 == 0, far=10.0 ** (3 * k)) for x, box in query.boxes.items()}


def _pick(x: Input, box: Box, rng: np.random.Generator, *, corner: bool, far: float) -> Array:
    found = []
    for low, high, whole in zip(box.lower.tolist(), box.upper.tolist(), x.integer.tolist(), strict=True):
        a = (
            Fraction(low)
            if low != -np.inf
            else min(Fraction(0), Fraction(high) if high != np.inf else 0) - Fraction(far)
        )
        b = Fraction(high) if high != np.inf else max(Fraction(0), a) + Fraction(far)
        weight = Fraction(int(rng.integers(2))) if corner else Fraction(int(rng.integers(1, 97)), 97)
        value = a + weight * (b - a)
        found.append(Fraction(round(value)) if whole else value)
    point: Array = to_fractions(np.array(found, dtype=object))
    return point
