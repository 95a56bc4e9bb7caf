"""The least value of rows over the inputs: boxes, and balls of the norms 1 and 2.

Over a box with centre c and radius rho a form is at least ``C c - |C| rho``; over ``|x - x0|_p <= r`` at least ``C x0 -
r |C|_q``, ``1/p + 1/q = 1`` (Hoelder). The better of the two counts, each with its own charges.
"""

from __future__ import annotations

import numpy as np

from nnsym.bounds.kept.passes.descent import Descent, Seed
from nnsym.bounds.kept.passes.state import State
from nnsym.bounds.kept.rounding import FLOAT64
from nnsym.ir.array import Array
from nnsym.ir.node import Input

_BLOCK = 32  # terms of one float32 sum; blocks are added up in float64


def least(state: State, seed: Seed, found: Descent) -> Array:
    """Lower bounds of the rows of a pass, float64 ``(sets, rows)``, without what NaN or overflow left of them."""
    total, by = found.constant - state.plan.by.tiny, state.plan.by
    for node, c in found.forms.items():
        assert isinstance(node, Input)
        value = -_reach(state, seed, node, c)
        for ball in state.plan.balls.get(node, ()):
            away = ball.least(c.astype(np.float64), seed.gather(state.centre[node]), state.plan.count)
            value = np.maximum(value, np.where(np.isnan(away), -np.inf, away))
        total = total + value
    total = np.where(np.isnan(total), -np.inf, total)
    return np.where(total < -by.huge, -np.inf, np.minimum(total, by.huge))


def _reach(state: State, seed: Seed, node: Input, c: Array) -> Array:
    """``|C| rho``, rounded up; float32 terms are added up in short blocks, and those in float64."""
    size, radius, by = np.abs(c), state.around(node), state.plan.by
    if not np.isfinite(radius).all():
        touched = ((size > 0) & ~np.isfinite(seed.gather(radius))).any(axis=-1)
        known = seed.weigh(size, np.where(np.isfinite(radius), radius, 0.0)) * (1.0 + _up(c, by.u))
        return np.where(touched, np.inf, known)
    if by is FLOAT64 or c.shape[-1] <= _BLOCK:
        return seed.weigh(size, radius) * (1.0 + _up(c, by.u))
    if len(radius) == 1:  # a matrix of blocks: every sum has the terms of one, the others are 0
        blocks = size @ state.blocks(node, _BLOCK)
    else:
        size *= seed.gather(radius)
        starts = np.arange(0, c.shape[-1], _BLOCK)
        blocks = np.add.reduceat(size, starts, axis=-1)
    return np.asarray(blocks.sum(axis=-1, dtype=np.float64) * (1.0 + 2.0 * (_BLOCK + 4) * by.u))


def _up(c: Array, u: float) -> float:
    """What a sum over the last axis of terms >= 0, in any order, may have lost, as a factor."""
    return 2.0 * float(c.shape[-1] + 4) * u


def constants(state: State, seed: Seed, found: Descent) -> Array:
    """The constants of the rows as functions of the inputs themselves, ``row >= C x + constant``, rounding paid."""
    total = found.constant - state.plan.by.tiny
    for node, c in found.forms.items():
        centre, wide = state.centre[node], c.astype(np.float64)
        slack = 2.0 * FLOAT64.gamma(c.shape[-1] + state.plan.count + 4)
        total = total - seed.weigh(wide, centre) - slack * seed.weigh(np.abs(wide), np.abs(centre)) - FLOAT64.tiny
    return np.where(np.isfinite(total), total, -np.inf)


def minimiser(state: State, seed: Seed, node: Input, c: Array) -> Array:
    """Points of an input at which the form C is least over its box, and over its only ball where that is better."""
    centre, radius = seed.gather(state.centre[node]), seed.gather(state.radius[node])
    point = np.clip(centre - radius * np.sign(c), *(seed.gather(side) for side in state.sides(node)))
    for ball in state.plan.balls.get(node, ()):
        box = (c * point).sum(axis=-1)
        if ball.p == 2:
            norm = np.sqrt((c * c).sum(axis=-1, keepdims=True))
            other = ball.centre - ball.radius * c / np.where(norm > 0, norm, 1.0)
        else:
            steepest = np.abs(c).argmax(axis=-1)[..., None] == np.arange(c.shape[-1])
            other = ball.centre - ball.radius * np.sign(c) * steepest
        point = np.where(((c * other).sum(axis=-1) > box)[..., None], other, point)
    return point
