"""Anderson: cuts that make big-M ideal for one neuron over the box of all that feeds it.

For ``y = max(0, w x + b)``, x in a box, with the binary z of big-M, let ``lo_i`` and ``hi_i`` be the ends of x_i that
make ``w_i x_i`` small and large. For every subset I of the inputs

    y <= sum_{i in I} w_i (x_i - lo_i (1 - z)) + (b + sum_{i not in I} w_i hi_i) z

With ``y >= 0`` and ``y >= w x + b`` the vertices of these rows over the box have z in {0, 1}. The empty set and the
full one give big-M with interval bounds, so big-M's own rows, with bounds that may be tighter, stay. At a point the
row that is violated most has ``I = { i : w_i x_i <= w_i (lo_i (1 - z) + hi_i z) }``, O(n) a neuron. Any hinge ``max(a
h, b h)`` is ``a h`` plus ``(b - a)`` times a ReLU. Without z they are Tjandraatmadja's rows.

When: on hard programs. They are dense rows, and branch and bound pays for them at every node: on mnist_fc 256x2 they
took the nodes of a program of 42 binaries from 402 to 53, and those of one of 27 from 13 to 15. Programs with fewer
than ``Rounds.least_binaries`` binaries get none, and only rows that are tight at the end of the root rounds are kept.

Numbers: coefficients are floats near those of the formula; the constant and the coefficient of z are made for them,
one for each side of the neuron, and rounded up (``nnsym.separation.box``), so every row holds in exact arithmetic.

Source: Anderson, Huchette, Ma, Tjandraatmadja, Vielma, Strong Mixed-Integer Programming Formulations for Trained Neural
Networks, Mathematical Programming 183, 2020, section 3 (ReLU).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.separation.box import BoxFamily, BoxNeurons


@final
@dataclass(frozen=True, kw_only=True)
class Anderson(BoxFamily):
    """The family; see the module."""

    name: str = "anderson"
    summary: str = "big-M made ideal for one neuron over the box of its layer's inputs"
    source: str = "Anderson et al., Math. Program. 183, 2020, section 3"
    needs_phases: bool = True
    says: str = "y <= sum_I w (x - lo (1 - z)) + (b + sum_not_I w hi) z"

    def coefficients(self, neurons: BoxNeurons, x: Array, z: Array) -> Array:
        return most_violated(neurons, x, z)


def most_violated(neurons: BoxNeurons, x: Array, z: Array) -> Array:
    """The coefficients of x in the row of each neuron that is smallest at ``x, z``, shape ``(m, n)``."""
    z = np.clip(z, 0.0, 1.0)[:, None]
    inside = neurons.W * x <= neurons.W * (neurons.least * (1 - z) + neurons.most * z)
    return neurons.rise[:, None] * np.where(inside & neurons.live, neurons.W, 0.0)


ANDERSON = Anderson()
