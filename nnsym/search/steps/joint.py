"""Rows of a conjunction together: no point may meet all of them although each alone can be met.

A violation meets every row of a target, ``s_k(x) <= t`` for rows of the conclusion and ``h_k(x) <= 0`` for hard ones.
For weights ``w >= 0``, those of the conclusion's rows with the sum 1, and lines ``row_k(x) >= C_k x + c_k`` on a box

    t  >=  min over the box of  sum_k w_k (C_k x + c_k)

bounds the target. The right side is concave in w; weights climb along its supergradient, the rows' lines at the
minimiser, by multiplicative updates (Arora, Hazan, Kale, 2012), and any weights are sound. The sum itself, as a row of
the network, has a better bound than the sum of lines: its coefficients cancel where those of the rows do not agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from nnsym.bounds.kept.types import BatchBounds, Limit
from nnsym.ir.array import Array
from nnsym.ir.node import Input
from nnsym.search.goal import Goal
from nnsym.search.parts.targets import Worth

_STEPS, _RATE = 8, 1.0
_UNIT = 2.0**-52

#: What sums are short of weights of 1, so that no format of rows rounds them beyond; and more than that, as a factor.
_SHORT, _WHOLE = 1.0 - 2.0**-16, 1.0 + 2.0**-15


@final
@dataclass(frozen=True, eq=False)
class Joint:
    """Weights for the conjunctions among targets ``opened``, ``(batch, targets)``, that no row closes by itself."""

    worth: Worth
    goal: Goal
    inputs: tuple[Input, ...]
    opened: Array

    def __call__(self, found: BatchBounds) -> tuple[Array, Array]:
        """Weights ``(batch, targets, rows)`` whose sum over the conclusion's rows is a little below 1; who has some."""
        weights, asked = np.zeros((*self.opened.shape, found.lower.shape[1])), np.zeros(self.opened.shape, dtype=bool)
        inputs: dict[Any, Limit] = {x: found.ranges[x] for x in self.inputs}
        opened = self.opened & ~self.goal.closes(self.worth.lower(found.lower, inputs)[0])
        for k in self.worth.joined:
            here, rows = np.flatnonzero(opened[:, k]), self.worth.targets[k].rows
            if len(here):
                own = {x: found.ranges[x].take(here) for x in self.inputs}
                bound, w = weighed(found.take(here), own, rows, self.worth.hard[k, rows])
                weights[here[:, None], k, rows] = _SHORT * w
                asked[here, k] = np.isfinite(bound) & np.isfinite(w).all(1)
        return weights, asked


def summed(lower: Array) -> Array:
    """Bounds of targets from those of sums whose weights are a little short of 1."""
    return np.where(lower < 0, _WHOLE * lower, lower)


def joint(found: BatchBounds, ranges: Mapping[Input, Limit], rows: Array, hard: Array) -> Array:
    """Lower bounds ``(batch,)`` of the target with these ``rows``, of which ``hard`` are hard; rounded down.

    -inf where a row has no line. At least one row has to be of the conclusion.
    """
    return weighed(found, ranges, rows, hard)[0]


def weighed(found: BatchBounds, ranges: Mapping[Input, Limit], rows: Array, hard: Array) -> tuple[Array, Array]:
    """The same with the weights ``(batch, rows)`` that it rests on."""
    forms = {x: C[:, rows].astype(np.float64) for x, C in found.forms.items()}
    constant = found.constant[:, rows].astype(np.float64)
    usable = np.asarray(np.isfinite(constant).all(1))
    constant = np.where(usable[:, None], constant, 0.0)
    boxes = {x: (ranges[x].lower, ranges[x].upper) for x in forms}
    weights = np.ones(constant.shape) / np.maximum((~hard).sum(), 1)
    best, chosen = np.full(len(constant), -np.inf), weights
    with np.errstate(invalid="ignore", over="ignore"):
        for step in range(_STEPS + 1):
            bound, slope = _least(forms, constant, boxes, weights)
            chosen = np.where((bound > best)[:, None], weights, chosen)
            best = np.fmax(best, bound)
            if step == _STEPS:
                break
            size = np.abs(slope).max(1, keepdims=True, initial=1e-300)
            weights = weights * np.exp(_RATE * slope / size)
            weights = weights / weights[:, ~hard].sum(1, keepdims=True)
    return np.where(usable & ~np.isnan(best), best, -np.inf), chosen


def _least(
    forms: Mapping[Input, Array], constant: Array, boxes: Mapping[Input, tuple[Array, Array]], weights: Array
) -> tuple[Array, Array]:
    """The least value of the weighted lines, rounded down, and the value of every line where it is attained."""
    total, size = (weights * constant).sum(1), (weights * np.abs(constant)).sum(1)
    values, terms = constant.copy(), constant.shape[1]
    for x, C in forms.items():
        low, high = boxes[x]
        together = np.einsum("bk,bkj->bj", weights, C)
        point = np.where(together > 0, low, high)
        point = np.where(together == 0, np.clip(0.0, low, high), point)
        reach = np.maximum(np.abs(low), np.abs(high))
        total += (together * point).sum(1)
        size += (np.einsum("bk,bkj->bj", weights, np.abs(C)) * reach).sum(1)
        values += np.einsum("bkj,bj->bk", C, point)
        terms += x.size * (constant.shape[1] + 1)
    # the weights of the conclusion have a sum of 1 up to (rows + 2) units, which moves t by that share of itself
    slack = 4 * (terms + 8) * _UNIT * size
    return total - slack - 4 * (terms + 8) * _UNIT * np.abs(total), values
