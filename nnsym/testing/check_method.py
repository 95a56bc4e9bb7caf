"""The conformance kit for methods: no verdict, no bound and no point that an exact oracle refutes, within the clock.

Properties are small and random, half of their margins lie within 2^-12 of zero; what is true of them is known in
rationals (:mod:`nnsym.ir.rational.oracle`). Asked besides: the same as ``exists``, on boxes about a point and on a
batch of boxes, the optimum of a term, monotone networks of all sizes (:mod:`nnsym.testing.monotone`), a clock that is
over, and one that is short for a network that is not small. Use it from a test: ``check_method(MY_METHOD)``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np

from nnsym.bounds.sources import Source
from nnsym.encoding import Encoding
from nnsym.errors import NnsymError
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.query import Query, Reading
from nnsym.ir.rational.oracle import OracleAnswer, minimum_margin
from nnsym.judge.conclude import conclude
from nnsym.judge.method import Method, Settings
from nnsym.judge.registry import resolve
from nnsym.replay import attained, found_at, inputs_of
from nnsym.results.clock import Clock
from nnsym.results.result import Result, Verdict, Witness
from nnsym.testing.conformance import Conformance, reached
from nnsym.testing.conformance import ConformanceError as ConformanceError
from nnsym.testing.monotone import LARGE, SHAPES, Shape, halves, just
from nnsym.testing.random_nets import KINDS, PIECE_KINDS, SMOOTH_KINDS, random_network, random_query
from nnsym.testing.stopwatch import at_most, has_timer

_SECONDS = 20.0  # of each question but the last two
_SHORT = 0.2  # a clock that is short for the network of the last one
_NARROW = 2.0**-20  # half the width of the boxes about a point
_TOLERANCE = 1e-6  # of a solver's own word on a margin
_SMOOTH = 1e-9  # of a margin that is known in float64 only


@final
@dataclass(frozen=True, kw_only=True)
class MethodConformance(Conformance):
    """``questions`` asked, how many were ``decided``, and what was ``skipped``, with the reason."""

    questions: int = 0
    decided: int = 0


def check_method(
    method: str | Method | Encoding | Source,
    *,
    kinds: Iterable[str] = (*KINDS, *PIECE_KINDS),
    seeds: Iterable[int] = range(3),
    sizes: Iterable[str] = tuple(SHAPES),
    grace: float = 5.0,
) -> MethodConformance:
    """Check a method.

    Args:
        method: its name or itself.
        kinds: kinds of random network (:mod:`nnsym.testing.random_nets`); those of smooth functions have no oracle.
        seeds: two properties, two other readings of them and a small box, for each kind and seed.
        sizes: which monotone networks, as in :data:`nnsym.testing.monotone.SHAPES`, two properties each.
        grace: CPU seconds of this process after which a clock of 0.2 s was ignored.

    Raises:
        ConformanceError: a verdict, a bound or a point is refuted, or the clock is ignored.
    """
    found, seeds = resolve(method), tuple(seeds)
    done = MethodConformance()
    for kind in kinds:
        if kind in SMOOTH_KINDS:
            done = done.skip(kind, "no oracle knows its least margin")
            continue
        for seed in seeds:
            try:
                done = _check(found, kind, seed, done)
            except NnsymError as error:
                said = f"{type(error).__name__}: {error.reason}"
                done = done.skip(f"{kind} {seed}", said)
    for name in sizes:
        for shape in SHAPES[name]:
            try:
                done = _check_shape(found, shape, done)
            except NnsymError as error:
                done = done.skip(f"{name} ({shape.name})", f"{type(error).__name__}: {error.reason}")
    done = _check_clock(found, done, grace)
    if not done.questions:
        raise ConformanceError(f"method '{found.name}' takes none of the properties that it was to be checked on")
    done.say(f"check_method({found.name})")
    return done


def _check(method: Method, kind: str, seed: int, done: MethodConformance) -> MethodConformance:
    """Two properties of one network, their other reading, a term, parts of the box at once, and no time at all."""
    network = random_network(kind, seed)
    for tight in (False, True):
        query = random_query(network, seed, tight=tight)
        least = minimum_margin(query)
        for asked in (query, replace(query, reading=Reading.EXISTS)):
            result = method.judge(asked, Clock(_SECONDS), Settings(seed=seed))
            _check_result(method, asked, result, least)
            known = result.status is not Verdict.UNKNOWN
            done = replace(done, questions=done.questions + 1, decided=done.decided + known)
        _check_result(method, query, method.judge(query, Clock(0.0), Settings(seed=seed)), least)
    narrow = _about_a_point(query)
    _check_result(method, narrow, method.judge(narrow, Clock(_SECONDS), Settings(seed=seed)), minimum_margin(narrow))
    _check_optimum(method, _term(query), seed)
    _check_batch(method, query, seed)
    return replace(done, questions=done.questions + 1)


def _check_batch(method: Method, query: Query, seed: int) -> None:
    """What is said of many boxes at once is so of each."""
    parts = [replace(query, boxes=boxes) for boxes in halves(query)]
    outer = {x: [part.boxes[x].outer for part in parts] for x in query.inputs}
    boxes = {
        x: (np.stack([low for low, _ in sides]), np.stack([high for _, high in sides])) for x, sides in outer.items()
    }
    clock = Clock(_SECONDS)
    told = method.establish_each(query, boxes, clock, Settings(seed=seed))
    for k, one in enumerate(told or ()):
        part = replace(parts[k], name=f"box {k} of {len(parts)} of {query.name}")
        _check_result(method, part, conclude(part, method, one, clock), minimum_margin(part))


def _check_shape(method: Method, shape: Shape, done: MethodConformance) -> MethodConformance:
    """A property that is just violated, and one that just holds, of a network whose least margin is known."""
    query = shape.query()
    near = 0.0 if shape.fn.exact else _SMOOTH
    for sign in (-1, 1):
        asked, least = just(query, sign)
        result = method.judge(asked, Clock(_SECONDS), Settings())
        _check_result(method, asked, result, least, near)
        known = result.status is not Verdict.UNKNOWN
        done = replace(done, questions=done.questions + 1, decided=done.decided + known)
    return done


def _about_a_point(query: Query) -> Query:
    """The query on boxes so small that right bounds nearly are the margin: what is said beyond it is seen."""

    def narrow(low: Array, high: Array) -> Box:
        middle = low / 2 + high / 2
        return Box(middle - _NARROW, middle + _NARROW)

    return replace(query, boxes={x: narrow(*box.outer) for x, box in query.boxes.items()})


def _check_result(method: Method, query: Query, result: Result, least: OracleAnswer, near: float = 0.0) -> None:
    """The verdict is true, a point is one, and the margin lies where the result says."""
    exists = query.reading is Reading.EXISTS
    where = f"{method.name} on {query.name} ({query.reading.value}), whose least margin is {_short(least.margin)}"
    found, excluded = (Verdict.VERIFIED, Verdict.FALSIFIED) if exists else (Verdict.FALSIFIED, Verdict.VERIFIED)
    point = result.witness if exists else result.counterexample
    sure = least.margin != 0 or query.strict or reached(query, least)
    violated = least.margin < 0 or (least.margin == 0 and not query.strict)
    if result.status is excluded and sure and violated:
        raise ConformanceError(f"{where}: says {result.status.value} ({result.reason}), a point refutes it")
    if result.status is found and point is None:
        raise ConformanceError(f"{where}: says {result.status.value} ({result.reason}) and shows no point")
    if point is not None and not _is_point(query, point):
        raise ConformanceError(f"{where}: its point does not violate the property, or lies outside of the domain")
    if result.status is found and not violated:
        raise ConformanceError(f"{where}: says {result.status.value} ({result.reason}), no point does that")
    if result.status is not Verdict.UNKNOWN and result.trust is None:
        raise ConformanceError(f"{where}: says {result.status.value} and not what it rests on")
    lower, upper = (-result.upper, -result.lower) if exists else (result.lower, result.upper)
    _check_interval(where, lower, upper, least.margin, max(near, _TOLERANCE if method.lane else 0.0))


def _check_interval(where: str, lower: float, upper: float, least: Any, tolerance: float) -> None:
    """``least`` lies in the interval; the lower end may be off by a solver's tolerance."""
    allowed = least + _exact(tolerance) if np.isfinite(float(least)) else least
    if _exact(lower) > allowed:
        raise ConformanceError(f"{where}: says that no margin is below {lower!r}")
    if _exact(upper) < least:
        raise ConformanceError(f"{where}: says that some margin is {upper!r}")


def _check_optimum(method: Method, query: Query, seed: int) -> None:
    """The floor is below the least value, and the point has the value that is told of it."""
    least = minimum_margin(query).margin
    where = f"{method.name} on the first row of {query.name}, whose least value is {_short(least)}"
    found = method.optimum(query, Clock(_SECONDS), Settings(seed=seed), 1e-6)
    _check_interval(where, found.floor.bound, found.value, least, _TOLERANCE if method.lane else 0.0)
    if found.point is not None:
        run = attained(query, inputs_of(query, found.point))
        if run is None or run.margin > found.point.margin:
            raise ConformanceError(f"{where}: its point does not have the value {found.point.margin!r}")


def _term(query: Query) -> Query:
    """The first row of a query as a term to minimise."""
    first = np.array([0])
    formula = Atoms(first, strict=False, soft=True)
    return replace(query, rows=query.rows.take(first), formula=formula, labels=(), reading=Reading.MINIMUM)


def _check_clock(method: Method, done: MethodConformance, grace: float) -> MethodConformance:
    """A short clock is kept, for a network that is not small, and what is said by then is so."""
    if not has_timer():
        return done.skip("the clock", "there is no timer here that could stop a method")
    query, least = just(LARGE.query(), -1)
    try:
        with at_most(_SHORT + grace, f"{method.name} had a clock of {_SHORT} s and goes on after {grace} CPU s more"):
            result = method.judge(query, Clock(_SHORT), Settings())
    except NnsymError as error:
        return done.skip("the clock", f"{type(error).__name__}: {error.reason}")
    _check_result(method, query, result, least)
    return replace(done, questions=done.questions + 1)


def _is_point(query: Query, point: Witness) -> bool:
    try:
        return found_at(query, {x: np.asarray(point.inputs[x.name]).ravel() for x in query.inputs}) is not None
    except (KeyError, ValueError):
        return False


def _exact(value: float) -> Any:
    return to_fractions(np.array([value]))[0] if np.isfinite(value) else value


def _short(margin: Any) -> str:
    return f"{float(margin):.6g}"
