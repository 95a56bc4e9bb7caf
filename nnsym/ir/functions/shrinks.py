"""Piecewise-linear units that cut something out: shrinking, hard shrinking, a threshold."""

from __future__ import annotations

import numpy as np

from nnsym.ir.univariate import Piecewise


def shrink(limit: float = 0.5, bias: float = 0.0) -> Piecewise:
    """``x + bias`` left of ``-limit``, ``x - bias`` right of ``limit``, 0 between them and at both.

    Soft shrinking has ``bias = limit``, hard shrinking 0, which jumps.
    """
    name = "soft_shrink" if bias == limit else "hard_shrink" if bias == 0 else "shrink"
    if limit == 0:
        return Piecewise(np.zeros(1), np.ones(2), np.array([bias, -bias]), np.zeros(1), name)
    ends = np.array([-limit, limit])
    return Piecewise(ends, np.array([1.0, 0.0, 1.0]), np.array([bias, 0.0, -bias]), np.zeros(2), name)


def threshold(at: float, value: float) -> Piecewise:
    """``x`` right of ``at``, else ``value``."""
    ends = np.array([at]), np.array([value])
    return Piecewise(ends[0], np.array([0.0, 1.0]), np.array([value, 0.0]), ends[1], "threshold")
