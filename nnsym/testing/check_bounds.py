"""The conformance kit for sources of bounds: what a source claims of every node and row holds at every run.

Runs are made in rationals and compared without a tolerance, at points where bounds are tight: corners of the activation
regions (:mod:`nnsym.testing.ranges`), corners of the box, boxes that are single points. Networks have numbers that no
float64 adds exactly, sums that cancel, and boxes whose ends are no floats. Asked besides: batches of boxes, float32,
integer and open inputs, and that nothing of an earlier query, assumed intervals least of all, is left. Use it from a
test: ``check_bounds(MY_SOURCE)``.
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
from nnsym.ir.exact import to_fractions
from nnsym.ir.names import node_names
from nnsym.ir.node import Input, Point
from nnsym.ir.query import Box, Query
from nnsym.testing.bound_queries import infinite_queries, integer_queries, pair_queries, product_queries, real_queries
from nnsym.testing.conformance import Conformance
from nnsym.testing.conformance import ConformanceError as ConformanceError
from nnsym.testing.random_nets import KINDS, PIECE_KINDS, SMOOTH_KINDS, random_network, random_query
from nnsym.testing.ranges import corners

#: Of float64 runs of smooth networks, relative: the ulps of their functions and of the sums above them.
_SMOOTH = 1e-12
_FORMATS: tuple[Dtype, ...] = ("float64", "float32")


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
) -> BoundsConformance:
    """Check a source of bounds.

    Args:
        source: its name or itself.
        kinds: kinds of random network (:mod:`nnsym.testing.random_nets`).
        seeds: one query per kind and seed.
        dtypes: the formats that it is asked for.

    Raises:
        ConformanceError: a claim is refuted, missing, or no interval.
    """
    found, formats, seeds = find_source(source), tuple(dtypes), tuple(seeds)
    done = BoundsConformance()
    for kind in kinds:
        for seed in seeds:
            query = random_query(random_network(kind, seed), seed)
            smooth = kind in SMOOTH_KINDS
            points = list(_grid(query, 8)) if smooth else [*_grid(query, 8), *_plane(query)]
            for dtype in formats:
                done = _check(found, query, points, done, dtype=dtype, smooth=smooth)
            if not smooth:
                done = _check_batch(found, query, done)
    for name, queries in _SPECIAL.items():
        for query in queries():
            for dtype in formats:
                done = _check(found, query, list(_grid(query, 8)), done, dtype=dtype, refusal=name)
    done = _check_memory(found, done)
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
    "products": product_queries,
}


def _check(
    source: Source,
    query: Query,
    points: list[Point],
    done: BoundsConformance,
    *,
    dtype: Dtype = "float64",
    smooth: bool = False,
    refusal: str = "",
) -> BoundsConformance:
    """One query in one format."""
    where = f"{source.text} on {query.name} in {dtype}"
    try:
        bounds = source.compute(query, dtype=dtype)
    except NnsymError as error:
        if not refusal:
            raise
        return done.skip(refusal, f"{type(error).__name__}: {error.reason}")
    check_shape(bounds, query, where)
    return check_runs(bounds, query, points, where, done, smooth=smooth)


def _check_batch(source: Source, query: Query, done: BoundsConformance) -> BoundsConformance:
    """Halves and a corner of the box at once, and one half alone: the bounds of each hold on it."""
    every = list(_parts(query))
    for parts in (every, every[1:2]):
        batch: FloatBoxes = {
            x: (np.stack([p[x].outer[0] for p in parts]), np.stack([p[x].outer[1] for p in parts]))
            for x in query.inputs
        }
        bounds = source.compute(query, boxes=batch)
        for k, part in enumerate(parts):
            where, alone = f"{source.text} on box {k} of {len(parts)} of {query.name}", replace(query, boxes=part)
            one = bounds.box(k)
            check_shape(one, alone, where)
            done = check_runs(one, alone, [*_grid(alone, 4), *_plane(alone)], where, done)
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
    return _check(source, again, [*_grid(query, 4), *_plane(query)], done)


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
    names = node_names(query.nodes)
    for point in points:
        given = {x: v.astype(float) for x, v in point.items()} if smooth else point
        values = query.values(given, exact=not smooth)
        if exact_margin(query, values) == np.inf:
            continue  # bounds may use a precondition, which this point does not meet
        for node, name in names.items():
            _inside(bounds.nodes[node], values[node], f"{where}: {name}", smooth=smooth)
        _inside(bounds.rows, query.rows.value(values), f"{where}: row", smooth=smooth)
        for (a, b), interval in bounds.differences.items():
            if a in values and b in values:
                _inside(interval, values[a] - values[b], f"{where}: {names[a]} - {names[b]}", smooth=smooth)
        done = replace(done, runs=done.runs + 1)
    return replace(done, bounds=done.bounds + 1)


def _inside(interval: Interval, values: Array, where: str, *, smooth: bool) -> None:
    for k, value in enumerate(values.tolist()):
        low, high = float(interval.lower[k]), float(interval.upper[k])
        room = _SMOOTH * max(1.0, abs(value)) if smooth else 0
        if low - room <= value <= high + room:
            continue
        limit = low if value < low else high
        off = float(abs(Fraction(value) - Fraction(limit))) if np.isfinite(limit) else np.inf
        raise ConformanceError(f"{where}[{k}] is {float(value)!r}, outside of [{low!r}, {high!r}] by {off:.3g}")


def _plane(query: Query) -> Iterator[Point]:
    """The corners of the activation regions, where there are one or two inputs."""
    if sum(x.size for x in query.inputs) <= 2:
        yield from corners(query)


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


def _parts(query: Query) -> Iterator[Mapping[Input, Box]]:
    """The box itself, two halves of its first element, and the corner where everything is least."""
    x = query.inputs[0]
    box = query.boxes[x]
    middle = (box.lower[0] + box.upper[0]) / 2
    yield query.boxes
    for side in (0, 1):
        lower, upper = box.lower.copy(), box.upper.copy()
        (upper if side == 0 else lower)[0] = middle
        yield {**query.boxes, x: Box(lower, upper)}
    yield {**query.boxes, x: Box(box.lower, box.lower)}
