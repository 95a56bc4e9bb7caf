"""Networks of distances: every neuron is ``|z - w|_inf + b``, which is 1-Lipschitz for the maximum norm whatever w, b.

So is every composition, and a margin of more than ``2 eps`` between two scores stands within ``eps`` of the input
(Zhang et al., Towards Certifying l-infinity Robustness using Neural Networks with l-inf-dist Neurons, 2021). Training
takes the p-norm with a growing p, whose gradient is not that of one coordinate alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch
from torch import Tensor

from nnsym.errors import InputError

_FIRST, _LAST = 8.0, 1000.0  # the exponents of a training


def sharpness(done: float) -> float:
    """The exponent once a part of the training is done: from 8 to 1000, exponentially, then the maximum."""
    part = min(1.0, max(0.0, done) / 0.9)
    return float("inf") if done >= 1.0 else _FIRST * (_LAST / _FIRST) ** part


@final
class DistanceNet(torch.nn.Module):
    """Layers of distances of the given widths; scores are the negatives of the last layer's.

    ``p`` is the norm's exponent, infinite in evaluation whatever it is in training. A loss asks for margins of
    ``threshold`` times the radius; 2 would be enough.
    """

    threshold = 8.0 / 3.0

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        if len(widths) < 2 or any(n < 1 for n in widths):
            raise InputError(f"widths {list(widths)!r}", remedy="Give the inputs, the hidden layers and the classes")
        pairs = list(pairwise(widths))
        self.weights = torch.nn.ParameterList(torch.nn.Parameter(torch.rand(n, m)) for m, n in pairs)
        self.biases = torch.nn.ParameterList(torch.nn.Parameter(torch.zeros(n)) for _, n in pairs)
        self.p = _FIRST

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, n)`` to scores ``(batch, classes)``."""
        for weight, bias in zip(self.weights, self.biases, strict=True):
            x = self._norm((x[:, None, :] - weight[None]).abs()) + bias
        return -x

    def _norm(self, size: Tensor) -> Tensor:
        largest = size.amax(-1)
        if not self.training or self.p == float("inf"):
            return largest
        scale = largest.detach().clamp(min=1e-12)
        return scale * ((size / scale[..., None]).pow(self.p).sum(-1)).pow(1.0 / self.p)
