"""Intervals over which a function of one variable is asked, and the points of each: what its answers are held against.

Their sizes are those that float64 has. Most lie round the points that the function lists, where its answers change.
"""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.univariate import Univariate
from nnsym.testing.conformance import ConformanceError

_MANY = 400  # intervals round the listed points
_POINTS = 65  # spread evenly over an interval, its ends with them
_FARTHEST = 1e300  # as far as an open side is seen


def marks(fn: Univariate) -> Array:
    """Zero, and every point that the function lists."""
    listed = [np.ravel(getattr(fn, name, ())) for name in ("extremes", "inflections", "kinks", "breaks")]
    return np.concatenate([[0.0], *listed]).astype(float)


def defined(fn: Univariate, lower: Array, upper: Array) -> Array:
    """Where the function is defined on all of an interval, by its own word."""
    known = np.asarray(fn.defined(lower, upper))
    if known.shape != lower.shape or known.dtype != bool:
        raise ConformanceError(f"{fn.name}: defined does not give one bool for every interval")
    return known


def intervals(fn: Univariate, rng: np.random.Generator) -> tuple[Array, Array]:
    """Around 0 and every listed point, of all widths; far out, open, of ends of all sizes; some that are points."""
    centre = rng.choice(marks(fn), _MANY)
    centre = centre + rng.normal(size=_MANY) * rng.choice([0.0, 0.0, 1e-13, 1e-3, 1.0, 8.0, 1e3], _MANY)
    width = 10.0 ** np.where(rng.random(_MANY) < 0.1, rng.uniform(-30, -9, _MANY), rng.uniform(-9, 1.7, _MANY))
    width = width * rng.choice([0.0, 1.0, 1.0, 1.0, 1.0, 1.0], _MANY)
    share = rng.choice([0.0, 1.0, 0.5, 0.3, 0.9], _MANY)
    low = [centre - share * width, np.array([-1e300, -1e12, -700.0, 40.0, 1e5])]
    high = [centre + (1 - share) * width, np.array([40.0, -1e11, -600.0, 1e3, 1e300])]
    some, infinite = rng.normal(size=3) * 5, np.full(3, np.inf)
    ends = np.sort(_of_all_sizes(rng, (2, 80)), axis=0)
    tiny = np.array([0.0, 5e-324])
    low += [-infinite, some, -infinite[:1], ends[0], -tiny[::-1], -np.abs(ends[0, :20]), 0 * ends[0, :10]]
    high += [some, infinite, infinite[:1], ends[1], tiny, np.abs(ends[1, :20]), np.abs(ends[1, :10])]
    return _where_defined(fn, np.concatenate(low), np.concatenate(high))


def _of_all_sizes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Numbers of either sign whose decimal exponents are spread over those of float64, half of them within 10."""
    exponent = np.where(rng.random(shape) < 0.5, rng.uniform(-10, 10, shape), rng.uniform(-320, 300, shape))
    return np.asarray(rng.choice([-1.0, 1.0], shape) * 10.0**exponent)


def _where_defined(fn: Univariate, low: Array, high: Array) -> tuple[Array, Array]:
    """Three quarters of the intervals on which the function is not defined are moved to its side of 0."""
    within = defined(fn, low, high)
    start, end = np.minimum(np.abs(low), np.abs(high)), np.maximum(np.abs(low), np.abs(high))
    moved = ~within & (np.arange(len(low)) % 4 > 0) & np.isfinite(start)
    return np.where(moved, start, low), np.where(moved, end, high)


def points(fn: Univariate, lower: Array, upper: Array) -> Array:
    """Points of every interval, ``(count, n)``: spread evenly, gathered at its ends and at 0, and the listed ones."""
    low, high = np.maximum(lower, -_FARTHEST), np.minimum(upper, _FARTHEST)
    share = np.linspace(0, 1, _POINTS)[:, None]
    ends, near = 10.0 ** np.arange(-8.0, 0)[:, None], 10.0 ** np.arange(-3.0, 4)[:, None]
    far = 10.0 ** np.array([[12.0], [100.0]])
    listed = marks(fn)[:, None]
    with np.errstate(over="ignore"):
        wide = np.minimum(high - low, np.finfo(float).max)
    found = [low + share * wide, low + ends * wide, high - ends * wide]
    found += [side + 0 * low for side in (listed, near, -near, far, -far)]
    return np.asarray(np.clip(np.concatenate(found), low, high))
