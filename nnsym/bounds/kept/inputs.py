"""The least value of rows over the inputs: boxes, and balls of the norms 1 and 2.

Over a box with centre c and radius rho a form is at least ``C c - |C| rho``; over ``|x - x0|_p <= r`` at least ``C x0 -
r |C|_q``, ``1/p + 1/q = 1`` (Hoelder). The better of the two counts, each with its own charges.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.kept.descent import Descent, gather, weigh
from nnsym.bounds.kept.rounding import FLOAT64
from nnsym.bounds.kept.state import State
from nnsym.ir.node import Input

Array = NDArray[Any]

_BLOCK = 32  # terms of one float32 sum; blocks are added up in float64


def least(state: State, found: Descent, domain: Array) -> Array:
    """Lower bounds of the rows of a pass, float64 ``(rows,)``, without what NaN or overflow left of them."""
    total, by = found.constant - state.plan.by.tiny, state.plan.by
    for node, c in found.forms.items():
        assert isinstance(node, Input)
        value = -_reach(state, node, c, domain)
        for ball in state.plan.balls.get(node, ()):
            away = ball.least(c.astype(np.float64), gather(state.centre[node], domain), state.plan.count)
            value = np.maximum(value, np.where(np.isnan(away), -np.inf, away))
        total = total + value
    total = np.where(np.isnan(total), -np.inf, total)
    return np.where(total < -by.huge, -np.inf, np.minimum(total, by.huge))


def _reach(state: State, node: Input, c: Array, domain: Array) -> Array:
    """``|C| rho``, rounded up; float32 terms are added up in short blocks, and those in float64."""
    size, radius, by = np.abs(c), state.around(node), state.plan.by
    if not np.isfinite(radius).all():
        radius = gather(radius, domain)
        touched = ((size > 0) & ~np.isfinite(radius)).any(axis=1)
        return np.where(touched, np.inf, weigh(size, np.where(np.isfinite(radius), radius, 0.0)) * (1.0 + _up(c, by.u)))
    if by is FLOAT64 or c.shape[1] <= _BLOCK:
        return weigh(size, gather(radius, domain)) * (1.0 + _up(c, by.u))
    size *= gather(radius, domain)
    whole = c.shape[1] // _BLOCK * _BLOCK
    blocks = size[:, :whole].reshape(len(c), -1, _BLOCK).sum(axis=-1).sum(axis=-1, dtype=np.float64)
    return np.asarray(blocks + size[:, whole:].sum(axis=-1)) * (1.0 + 2.0 * (_BLOCK + 4) * by.u)


def _up(c: Array, u: float) -> float:
    """What a sum over the last axis of terms >= 0, in any order, may have lost, as a factor."""
    return 2.0 * float(c.shape[1] + 4) * u


def constants(state: State, found: Descent, domain: Array) -> Array:
    """The constants of the rows as functions of the inputs themselves, ``row >= C x + constant``, rounding paid."""
    total = found.constant - state.plan.by.tiny
    for node, c in found.forms.items():
        centre, wide = gather(state.centre[node], domain), c.astype(np.float64)
        slack = FLOAT64.gamma(c.shape[1] + state.plan.count + 4)
        total = total - weigh(wide, centre) - 2.0 * slack * weigh(np.abs(wide), np.abs(centre)) - FLOAT64.tiny
    return np.where(np.isfinite(total), total, -np.inf)


def minimiser(state: State, node: Input, c: Array, domain: Array) -> Array:
    """Points of an input at which the form C is least over its box, and over its only ball where that is better."""
    centre, radius = gather(state.centre[node], domain), gather(state.radius[node], domain)
    point = np.clip(centre - radius * np.sign(c), *(gather(side, domain) for side in state.sides(node)))
    for ball in state.plan.balls.get(node, ()):
        box = weigh(c, point)
        if ball.p == 2:
            norm = np.sqrt((c * c).sum(axis=1, keepdims=True))
            other = ball.centre - ball.radius * c / np.where(norm > 0, norm, 1.0)
        else:
            steepest = np.abs(c).argmax(axis=1)[:, None] == np.arange(c.shape[1])
            other = ball.centre - ball.radius * np.sign(c) * steepest
        point = np.where((weigh(c, other) > box)[:, None], other, point)
    return point
