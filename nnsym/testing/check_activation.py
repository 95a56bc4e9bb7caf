"""The conformance kit for activations: what a function of one variable says of an interval holds at its points.

Asked are the range, slopes, lines and parallel lines over intervals of every width, round the listed points, far out
and open to one side, at many points each (:mod:`nnsym.testing.function_intervals`). A function that is ``exact`` is
judged in rationals, without a tolerance; any other in float64, within the ulps it declares, and these by the same
formula in more digits (:mod:`nnsym.testing.function_values`). Where it is not defined on all of an interval, its range
there has to be open. Then it stands in a network, between bounds. What engines round is not asked (``slips``). Use it
from a test: ``check_activation(SILU)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.bounds.methods import compute
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import TRUE
from nnsym.ir.functions.activations import find_activation
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.smooth_functions import Smooth
from nnsym.ir.univariate import Univariate
from nnsym.testing.conformance import Conformance
from nnsym.testing.conformance import ConformanceError as ConformanceError
from nnsym.testing.function_intervals import defined, intervals, points
from nnsym.testing.function_values import (
    TINY,
    U,
    answer,
    check_elements,
    check_key,
    check_precision,
    check_values,
    elements,
)


@final
@dataclass(frozen=True, kw_only=True)
class ActivationConformance(Conformance):
    """What was checked: ``answers`` over intervals, ``points`` compared with them, and what was ``skipped`` and why."""

    answers: int = 0
    points: int = 0


def check_activation(activation: str | Univariate, *, seeds: Iterable[int] = range(3)) -> ActivationConformance:
    """Check a function of one variable.

    Args:
        activation: its name or itself; of a function with parameters per element, the first eight elements' are.
        seeds: one batch of intervals per seed.

    Raises:
        ConformanceError: an answer is refuted, missing, or no number.
    """
    whole, done = find_activation(activation), ActivationConformance()
    check_elements(whole)
    check_key(whole)
    seeds = tuple(seeds)
    for k, fn in enumerate(elements(whole)):
        check_values(fn)
        if isinstance(fn, Smooth):
            unasked = check_precision(fn)
            done = done.skip("ulps", unasked) if unasked else done
        for seed in seeds[: None if k == 0 else 1]:
            done = _check_seed(fn, seed, done)
    done.say(f"check_activation({whole.name})")
    return done


def _check_seed(fn: Univariate, seed: int, done: ActivationConformance) -> ActivationConformance:
    """A batch of intervals, and a network."""
    lower, upper = intervals(fn, np.random.default_rng(seed))
    done = _check_answers(fn, lower, upper, done)
    if fn.exact:
        some = np.flatnonzero(defined(fn, lower, upper) & np.isfinite(upper - lower))
        some = np.concatenate((some[:100], some[-60:]))
        _check_rationals(fn, lower[some], upper[some])
    _check_network(fn, seed)
    return done


def _check_batches(fn: Univariate, lower: Array, upper: Array) -> None:
    """Intervals of a batch get the answers that each gets alone."""
    place = np.clip(0.0, lower, upper)
    for name in ("span", "steepness", "lines", "band", "lines at points"):
        asked = (lower, upper, place) if "at" in name else (lower, upper)
        both = [np.stack((side, side[::-1])) for side in asked]
        ask = name.removesuffix(" at points")
        try:
            alone, together = answer(fn, ask, *asked), answer(fn, ask, *both)
        except UnsupportedError:
            continue
        for one, two in zip(alone, together, strict=True):
            expected = np.stack((np.broadcast_to(one, lower.shape), np.broadcast_to(one, lower.shape)[::-1]))
            if np.shape(two) != expected.shape or not np.array_equal(two, expected, equal_nan=True):
                raise ConformanceError(f"{fn.name}: {name} of a batch of intervals is not what each gets alone")


def _check_answers(fn: Univariate, lower: Array, upper: Array, done: ActivationConformance) -> ActivationConformance:
    known = defined(fn, lower, upper)
    with np.errstate(all="ignore"):
        below, above = _numbers(fn, "span", fn.span(lower[~known], upper[~known]), 2)
    if not (np.isneginf(below) & np.isposinf(above)).all():
        raise ConformanceError(f"{fn.name}: span is not open where the function is not defined everywhere")
    lower, upper = lower[known], upper[known]
    x = points(fn, lower, upper)
    with np.errstate(all="ignore"):
        y = np.asarray(fn.value(x))
    if np.isnan(y).any():
        at = float(x[tuple(np.argwhere(np.isnan(y))[0])])
        raise ConformanceError(f"{fn.name}: value at x = {at!r}, where the function is defined, is no number")
    _check_batches(fn, lower, upper)
    for name, ask in _QUESTIONS.items():
        try:
            with np.errstate(all="ignore"):
                sides = ask(fn, lower, upper, x, y)
        except UnsupportedError as error:
            if name in ("span", "lines"):
                raise ConformanceError(f"{error}") from error
            if all(name != skipped for skipped, _ in done.skipped):
                done = done.skip(name, error.reason)
            continue
        for over, (amount, room) in zip(("above", "below"), sides, strict=True):
            _refute(fn, f"{name}: {over}", lower, upper, x, amount, room)
        done = replace(done, answers=done.answers + len(lower), points=done.points + x.size)
    return done


Side = tuple[Array, Array]  # by how much points lie beyond an answer, and the rounding of that difference
Question = Callable[[Univariate, Array, Array, Array, Array], tuple[Side, Side]]


def _noise(fn: Univariate, *sizes: Array) -> Array:
    """What evaluating the function may be off by, and a few sums of numbers of the given sizes."""
    own = fn.ulps * np.maximum(np.abs(sizes[0]), fn.unit) if isinstance(fn, Smooth) else 4 * np.abs(sizes[0])
    return np.asarray(U * (own + 8 * sum(np.abs(s) for s in sizes)) + TINY)


def _between(fn: Univariate, y: Array, low: Array, high: Array) -> tuple[Side, Side]:
    return (y - high, _noise(fn, y, y)), (low - y, _noise(fn, y, y))


def _span(fn: Univariate, lower: Array, upper: Array, x: Array, y: Array) -> tuple[Side, Side]:
    return _between(fn, y, *_numbers(fn, "span", fn.span(lower, upper), 2))


def _lines(fn: Univariate, lower: Array, upper: Array, x: Array, y: Array) -> tuple[Side, Side]:
    places = (None, 0.25 * np.clip(lower, -1e9, 1e9) + 0.75 * np.clip(upper, -1e9, 1e9), np.clip(0.0, lower, upper))
    worst: list[Side] = []
    for at in places:
        a, b, c, d = _numbers(fn, "lines", fn.lines(lower, upper, at), 4)
        above = y - _line(c, x, d), _noise(fn, y, y, c * x, d)
        below = _line(a, x, b) - y, _noise(fn, y, y, a * x, b)
        worst = [_worse(o, n) for o, n in zip(worst, (above, below), strict=True)] if worst else [above, below]
    return worst[0], worst[1]


def _worse(one: Side, two: Side) -> Side:
    first = one[0] - one[1] >= two[0] - two[1]
    return np.where(first, one[0], two[0]), np.where(first, one[1], two[1])


def _band(fn: Univariate, lower: Array, upper: Array, x: Array, y: Array) -> tuple[Side, Side]:
    slope, low, high = _numbers(fn, "band", fn.band(lower, upper), 3)
    noise = _noise(fn, y, y, slope * x)
    return (y - _line(slope, x, high), noise + U * np.abs(high)), (_line(slope, x, low) - y, noise + U * np.abs(low))


def _line(slope: Array, x: Array, offset: Array) -> Array:
    return np.where(slope == 0, offset, slope * x + offset)


def _steepness(fn: Univariate, lower: Array, upper: Array, x: Array, y: Array) -> tuple[Side, Side]:
    """Slopes between neighbouring points, and the derivative at points, are slopes of the interval."""
    low, high = _numbers(fn, "steepness", fn.steepness(lower, upper), 2)
    order = np.argsort(x, axis=0)
    x, y = np.take_along_axis(x, order, 0), np.take_along_axis(y, order, 0)
    apart = np.diff(x, axis=0)
    rise = np.concatenate((np.zeros_like(x[:1]), np.diff(y, axis=0) / np.where(apart > 0, apart, 1.0)))
    size = np.concatenate((np.zeros_like(x[:1]), np.maximum(np.abs(y[1:]), np.abs(y[:-1]))))
    off = 2 * _noise(fn, size, size) / np.concatenate((np.ones_like(x[:1]), np.where(apart > 0, apart, np.inf)))
    known = np.concatenate((np.zeros_like(x[:1]), apart)) > 0
    noise = off + 16 * U * np.abs(rise)
    sides = (np.where(known, rise - high, -np.inf), noise), (np.where(known, low - rise, -np.inf), noise)
    back = np.argsort(order, axis=0)
    rising = [(np.take_along_axis(a, back, 0), np.take_along_axis(b, back, 0)) for a, b in sides]
    if not isinstance(fn, Smooth):  # whose derivative is a direction, about
        return rising[0], rising[1]
    x = np.take_along_axis(x, back, 0)
    slope = np.asarray(fn.derivative(x))
    known = (lower < upper) & np.isfinite(slope) & ~np.isin(x, fn.kinks)
    noise = _noise(fn, slope, slope)
    above, below = np.where(known, slope - high, -np.inf), np.where(known, low - slope, -np.inf)
    return _worse(rising[0], (above, noise)), _worse(rising[1], (below, noise))


def _derivative(fn: Univariate, lower: Array, upper: Array, x: Array, y: Array) -> tuple[Side, Side]:
    """The derivative at a point lies between the slopes of a short interval round it, and widens it by little."""
    if getattr(fn, "jumps", False):
        raise UnsupportedError("the function jumps")
    slope = np.asarray(fn.derivative(x))
    step = 1e-4 * np.maximum(1.0, np.abs(x))
    left, right = np.asarray(fn.value(x - step)), np.asarray(fn.value(x + step))
    ends = np.stack([(y - left) / step, (right - y) / step, fn.derivative(x - step), fn.derivative(x + step)])
    room = _noise(fn, np.maximum(np.abs(left), np.abs(right)), y) * 4 / step + 1e-6 * np.maximum(1.0, np.abs(slope))
    calm = (np.abs(x) < 1e6) & np.isfinite(ends).all(axis=0) & fn.defined(x - 2 * step, x + 2 * step)
    calm &= 1e4 * step < getattr(fn, "longest", np.inf)
    listed = [*getattr(fn, "kinks", ()), *getattr(fn, "inflections", ())]
    bent = np.any([np.abs(x - t) <= 2 * step for t in listed] or [np.zeros_like(x, dtype=bool)], axis=0)
    room = room + np.where(bent, np.abs(slope - ends[2]) + np.abs(slope - ends[3]), 0.0)
    low, high = np.minimum(ends[0], ends[1]), np.maximum(ends[0], ends[1])
    return (np.where(calm, slope - high, -np.inf), room), (np.where(calm, low - slope, -np.inf), room)


_QUESTIONS: dict[str, Question] = {
    "span": _span,
    "lines": _lines,
    "band": _band,
    "steepness": _steepness,
    "derivative": _derivative,
}


def _numbers(fn: Univariate, name: str, answer: tuple[Array, ...], count: int) -> tuple[Array, ...]:
    """Arrays without NaN, slopes that are finite."""
    if len(answer) != count or any(np.isnan(np.asarray(part, dtype=float)).any() for part in answer):
        raise ConformanceError(f"{fn.name}: {name} does not give {count} arrays of numbers")
    slopes = {"lines": (0, 2), "band": (0,)}.get(name, ())
    if not all(np.isfinite(answer[k]).all() for k in slopes):
        raise ConformanceError(f"{fn.name}: {name} gives slopes that are not finite")
    return answer


def _refute(fn: Univariate, what: str, lower: Array, upper: Array, x: Array, amount: Array, room: Array) -> None:
    bad = np.argwhere(amount > room)
    if not len(bad):
        return
    i, k = bad[np.argmax((amount - room)[tuple(bad.T)])]
    listed = " (are all extremes and inflections listed, and the derivative right?)" if isinstance(fn, Smooth) else ""
    raise ConformanceError(
        f"{fn.name}: {what} over [{float(lower[k])!r}, {float(upper[k])!r}] is missed at x = {float(x[i, k])!r} "
        f"by {float(amount[i, k]):.3g}{listed}"
    )


def _check_rationals(fn: Univariate, lower: Array, upper: Array) -> None:
    """What an exact function says, at Fractions, without a tolerance."""
    start, end, zero = to_fractions(lower), to_fractions(upper), np.zeros_like(lower)
    x = [start + share * (end - start) for share in map(Fraction, ("0", "1/3", "1/2", "7/9", "1"))]
    y = [fn.value(one) for one in x]
    with np.errstate(all="ignore"):
        low, high = fn.span(lower, upper)
        slope, least, most = fn.band(lower, upper)
        lines = [fn.lines(lower, upper), fn.lines(lower, upper, lower), fn.lines(lower, upper, upper)]
    claims = [("span", zero, low, zero, high), ("band", slope, least, slope, most)]
    for name, a, b, c, d in [*claims, *(("lines", *four) for four in lines)]:
        for one, two in zip(x, y, strict=True):
            _held(fn, name, one, (_plus(a, one, b) <= two) & (two <= _plus(c, one, d)))
    try:
        flat, steep = fn.steepness(lower, upper)
    except UnsupportedError:
        return
    for k, one in enumerate(x[1:]):
        run, rise = one - x[k], y[k + 1] - y[k]
        _held(fn, "steepness", one, (_plus(flat, run, zero) <= rise) & (rise <= _plus(steep, run, zero)))


def _plus(slope: Array, x: Array, offset: Array) -> Array:
    """``slope x + offset`` in rationals; infinite where one of the two is, and x is not 0."""
    finite = np.isfinite(slope) & np.isfinite(offset)
    exact = to_fractions(np.where(finite, slope, 0.0)) * x + to_fractions(np.where(finite, offset, 0.0))
    infinite = np.where(np.isfinite(slope), offset, np.where(x == 0, 0.0, slope))
    return np.where(finite, exact, infinite)


def _held(fn: Univariate, name: str, x: Array, held: Array) -> None:
    if not held.all():
        k = int(np.argmin(held.astype(bool)))
        raise ConformanceError(f"{fn.name}: its {name} is missed at x = {x[k]}, in rationals")


def _check_network(fn: Univariate, seed: int) -> None:
    """Bounds of a small network hold at runs of it."""
    rng = np.random.default_rng(seed)
    x = new_input("x", 2)
    first, bias, second = rng.normal(size=(5, 2)) * 2, rng.normal(size=5), rng.normal(size=(4, 5))
    shift = rng.normal(size=4)
    if not fn.defined(np.array([-50.0]), np.array([50.0])).all():  # arguments in [1, 3], then not below 1/2
        first, bias = first / np.abs(first).sum(axis=1, keepdims=True), np.full(5, 2.0)
        second, shift = np.abs(second), np.full(4, 0.5)
    hidden = pointwise(fn, affine(((Dense(first), x),), bias))
    last = pointwise(fn, affine(((Dense(second), hidden),), shift))
    query = Query(fn.name, {x: Box(np.full(2, -1.0), np.full(2, 1.0))}, Rows.of(last), TRUE)
    runs = query.values({x: rng.uniform(-1, 1, (200, 2))})
    for source in ("ibp", "crown", "zonotope"):
        for dtype in ("float64", "float32"):
            bounds = compute(query, source, dtype=dtype)
            for node, values in runs.items():
                interval = bounds.nodes.get(node)
                room = 1e-12 * np.maximum(1.0, np.abs(values))
                if interval is None:
                    continue
                if not ((interval.lower - room <= values) & (values <= interval.upper + room)).all():
                    raise ConformanceError(f"{fn.name}: a run of a network leaves its bounds by {source} in {dtype}")
