"""Sums of several rows that are positive on a box where no row is by itself.

Where a case says ``s_k <= 0`` of several rows, ``sum_k w_k s_k`` with weights ``w >= 0`` may exclude it. With the forms
``s_k >= C_k x + c_k`` of the rows on a box, ``min_x sum_k w_k (C_k x + c_k)`` is concave in w; exponentiated gradients
climb it on the simplex (Kivinen and Warmuth, 1997).
"""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array

_STEPS, _RATE = 40, 2.0

#: A weight is written in so many decimals, where the greatest is 1.
DECIMALS = 2


def best_sums(forms: Array, constants: Array, lower: Array, upper: Array) -> tuple[Array, Array]:
    """The best weights ``(parts, rows)`` found, as they are written, which add up to 1, and their values ``(parts,)``.

    ``forms`` are ``(parts, rows, n)``, ``constants`` ``(parts, rows)``, the boxes ``(parts, n)``.
    """
    parts, rows, _ = forms.shape
    middle, radius = (lower + upper) / 2, (upper - lower) / 2
    weights = np.full((parts, rows), 1.0 / rows)
    best, kept = np.full(parts, -np.inf), weights.copy()

    def bounded(weights: Array) -> tuple[Array, Array]:
        form = np.einsum("br,brn->bn", weights, forms)
        return form, np.einsum("br,br->b", weights, constants) + (form * middle - np.abs(form) * radius).sum(1)

    for step in range(_STEPS):
        form, value = bounded(weights)
        better = value > best
        best[better], kept[better] = value[better], weights[better]
        at = middle - radius * np.sign(form)
        slope = np.einsum("brn,bn->br", forms, at) + constants
        size = np.abs(slope).max(1, keepdims=True) + 2.0**-1000
        weights = weights * np.exp(_RATE / np.sqrt(step + 1) * slope / size)
        weights /= weights.sum(1, keepdims=True)
    kept = np.round(kept / kept.max(1, keepdims=True), DECIMALS)
    kept /= kept.sum(1, keepdims=True)
    return bounded(kept)[1], kept
