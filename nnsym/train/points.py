"""Bad points of labelled images: projected gradient ascent of the classifier's own loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_REACH = 2.5  # the steps of one ascent together, in radii of the box


def ascended(
    module: torch.nn.Module, labels: Tensor, lower: Tensor, upper: Tensor, *, steps: int, chance: torch.Generator
) -> Tensor:
    """One point of every box, from a random start along the sign of the gradient (Madry et al. 2018, section 2)."""
    width = upper - lower
    at = lower + width * torch.rand(width.shape, generator=chance, dtype=width.dtype)
    for _ in range(steps):
        at.requires_grad_(True)
        with torch.enable_grad():
            loss = functional.cross_entropy(module(at), labels, reduction="sum")
            (slope,) = torch.autograd.grad(loss, at)
        moved = at.detach() + _REACH / steps * 0.5 * width * slope.sign()
        at = torch.maximum(torch.minimum(moved, upper), lower)
    return at.detach()
