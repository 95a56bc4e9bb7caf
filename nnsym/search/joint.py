"""Rows of a conjunction together: no point may meet all of them although each alone can be met.

A violation meets every row of a target, ``s_k(x) <= t`` for rows of the conclusion and ``h_k(x) <= 0`` for hard ones.
For weights ``w >= 0``, those of the conclusion's rows with the sum 1, and lines ``row_k(x) >= C_k x + c_k`` on a box

    t  >=  min over the box of  sum_k w_k (C_k x + c_k)

bounds the target. The right side is concave in w; weights climb along its supergradient, the rows' lines at the
minimiser, by multiplicative updates (Arora, Hazan, Kale, 2012), and any weights are sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.kept.types import Found, Limit
from nnsym.ir.node import Input

Array = NDArray[Any]

_STEPS, _RATE = 8, 1.0
_UNIT = 2.0**-52


def joint(found: Found, ranges: Mapping[Input, Limit], rows: Array, hard: Array) -> Array:
    """Lower bounds ``(batch,)`` of the target with these ``rows``, of which ``hard`` are hard; rounded down.

    -inf where a row has no line. At least one row has to be of the conclusion.
    """
    forms = {x: C[:, rows].astype(np.float64) for x, C in found.forms.items()}
    constant = found.constant[:, rows].astype(np.float64)
    usable = np.asarray(np.isfinite(constant).all(1))
    constant = np.where(usable[:, None], constant, 0.0)
    boxes = {x: (ranges[x].lower, ranges[x].upper) for x in forms}
    weights = np.ones(constant.shape) / np.maximum((~hard).sum(), 1)
    best = np.full(len(constant), -np.inf)
    with np.errstate(invalid="ignore", over="ignore"):
        for _ in range(_STEPS):
            bound, slope = _least(forms, constant, boxes, weights)
            best = np.fmax(best, bound)
            size = np.abs(slope).max(1, keepdims=True, initial=1e-300)
            weights = weights * np.exp(_RATE * slope / size)
            weights = weights / weights[:, ~hard].sum(1, keepdims=True)
        best = np.fmax(best, _least(forms, constant, boxes, weights)[0])
    return np.where(usable & ~np.isnan(best), best, -np.inf)


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
