"""Tjandraatmadja: cuts that with the triangle's lines describe one neuron over the box of all that feeds it.

For ``y = max(0, w x + b)``, ``x`` in a box, let ``lo_i`` and ``hi_i`` be the ends of x_i that make ``w_i x_i`` small
and large, and ``ell(I) = b + sum_{i in I} w_i lo_i + sum_{i not in I} w_i hi_i``. For every I and h with ``ell(I) >=
0`` and ``ell(I + h) < 0``:

    y <= sum_{i in I} w_i (x_i - lo_i) + ell(I) / (hi_h - lo_h) (x_h - lo_h)

With ``y >= 0`` and ``y >= w x + b`` these rows are the convex hull of the graph over the box. At a point the row that
is violated most takes the i in the order of ``(x_i - lo_i) / (hi_i - lo_i)`` until ell would turn negative: one sort
and one running sum for a whole layer, O(n log n) a neuron. In deeper layers x are the activations of the layer
before, in the box of their bounds. Any hinge ``max(a h, b h)`` is ``a h`` plus ``(b - a)`` times a ReLU.

Numbers: coefficients are floats near those of the formula, the right-hand side is made for them and rounded up
(``nnsym.separation.box``), so every row holds in exact arithmetic.

Emits: dense rows of up to n + 1 terms, at most one a neuron and round. Complements the cuts of several neurons, which
do not see the box of the layer before.

Source: Tjandraatmadja, Anderson, Huchette, Ma, Patel, Vielma, The Convex Relaxation Barrier, Revisited: Tightened
Single-Neuron Relaxations for Neural Network Verification, NeurIPS 2020, theorem 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.separation.box import BoxFamily, BoxNeurons


@final
@dataclass(frozen=True, kw_only=True)
class Tjandraatmadja(BoxFamily):
    """The family; see the module."""

    name: str = "tj"
    summary: str = "the hull of one neuron over the box of its layer's inputs"
    source: str = "Tjandraatmadja et al., NeurIPS 2020, theorem 1"
    says: str = "y <= sum_I w (x - lo) + ell(I) / (hi - lo) (x_h - lo_h)"

    def picked(self, neurons: BoxNeurons) -> BoxNeurons:
        """Those that the box itself leaves open; the others have no row."""
        top = (neurons.W * neurons.most).sum(axis=1) + neurons.b
        bottom = (neurons.W * neurons.least).sum(axis=1) + neurons.b
        return neurons.take(np.flatnonzero((top > 0) & (bottom < 0)))

    def coefficients(self, neurons: BoxNeurons, x: Array, z: Array) -> Array:
        return most_violated(neurons, x)


def most_violated(neurons: BoxNeurons, x: Array) -> Array:
    """The coefficients of x in the row of each neuron that is smallest at ``x``, shape ``(m, n)``."""
    live, width = neurons.live, neurons.most - neurons.least
    share = np.where(live, (x - neurons.least) / np.where(live, width, 1.0), np.inf)
    order = np.argsort(share, axis=1)
    drop = np.take_along_axis(np.where(live, neurons.W * width, 0.0), order, axis=1)
    top = (neurons.W * neurons.most).sum(axis=1) + neurons.b
    after = top[:, None] - np.cumsum(drop, axis=1)
    last = np.argmax(after < 0, axis=1)  # the first i with which ell would be negative
    last = np.where((after < 0).any(axis=1), last, live.sum(axis=1) - 1)
    before = np.where(last > 0, np.take_along_axis(after, np.maximum(last - 1, 0)[:, None], axis=1)[:, 0], top)
    rank = np.arange(x.shape[0])[None]
    inside = np.zeros(neurons.W.shape, dtype=bool)
    np.put_along_axis(inside, order, rank < last[:, None], axis=1)
    c = np.where(inside & live, neurons.W, 0.0)
    h = np.take_along_axis(order, last[:, None], axis=1)
    at_h = np.take_along_axis(width, h, axis=1)
    np.put_along_axis(c, h, np.maximum(before, 0.0)[:, None] / np.where(at_h == 0, 1.0, at_h), axis=1)
    return neurons.rise[:, None] * c


TJANDRAATMADJA = Tjandraatmadja()
