"""Comparisons as functions of one variable: 1 where they hold and 0 where they do not, the breakpoint included.

Each is a :class:`~nnsym.ir.univariate.Piecewise` with a jump. A threshold is a float64 number that is copied, one for
all elements or one for each.
"""

from __future__ import annotations

import numpy as np

from nnsym.ir.univariate import Piecewise


def greater(threshold: object = 0.0) -> Piecewise:
    """1 where ``x > t``."""
    return _step(threshold, (0.0, 0.0, 1.0), "greater")


def greater_equal(threshold: object = 0.0) -> Piecewise:
    """1 where ``x >= t``."""
    return _step(threshold, (0.0, 1.0, 1.0), "greater_equal")


def less(threshold: object = 0.0) -> Piecewise:
    """1 where ``x < t``."""
    return _step(threshold, (1.0, 0.0, 0.0), "less")


def less_equal(threshold: object = 0.0) -> Piecewise:
    """1 where ``x <= t``."""
    return _step(threshold, (1.0, 1.0, 0.0), "less_equal")


def equal(threshold: object = 0.0) -> Piecewise:
    """1 where ``x == t``."""
    return _step(threshold, (0.0, 1.0, 0.0), "equal")


def unequal(threshold: object = 0.0) -> Piecewise:
    """1 where ``x != t``."""
    return _step(threshold, (1.0, 0.0, 1.0), "unequal")


def _step(threshold: object, values: tuple[float, float, float], name: str) -> Piecewise:
    """``values`` left of the threshold, at it, and right of it."""
    t = np.ravel(np.asarray(threshold, dtype=np.float64))
    t = t[:1] if (t == t[0]).all() else t
    left, at, right = (np.full((len(t), 1), v) for v in values)
    return Piecewise(t[:, None], np.zeros((len(t), 2)), np.hstack((left, right)), at, name)
