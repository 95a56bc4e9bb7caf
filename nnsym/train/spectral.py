"""The product of a chain's spectral norms, differentiable, by power iteration.

A power iteration stays below the norm: it guides training and certifies nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from nnsym.errors import UnsupportedError

_SHORT = (torch.nn.ReLU, torch.nn.LeakyReLU, torch.nn.Tanh, torch.nn.Sigmoid, torch.nn.Flatten, torch.nn.Unflatten)
_ROUNDS = 1  # iterations a step: the vector is kept between steps
_FIRST = 20


@final
class Spectral:
    """The layers of a ``torch.nn.Sequential``, each linear one with a vector near its largest singular direction."""

    def __init__(self, module: torch.nn.Module, shape: tuple[int, ...], chance: torch.Generator) -> None:
        if not isinstance(module, torch.nn.Sequential):
            raise _refused(module)
        self.maps: list[Callable[[Tensor], Tensor]] = []
        self.vectors: list[Tensor] = []
        first = next(module.parameters())
        at = torch.zeros(shape, dtype=first.dtype)
        for layer in module:
            if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d)):
                self.maps.append(_linear(layer))
                self.vectors.append(torch.randn(at.shape, generator=chance, dtype=at.dtype))
            elif not isinstance(layer, _SHORT):
                raise _refused(layer)
            with torch.no_grad():
                at = layer(at)
        self._settle(_FIRST)

    def product(self) -> Tensor:
        """``prod |W v|`` with the kept vectors ``v`` of length 1, after an iteration of each."""
        self._settle(_ROUNDS)
        found = [torch.linalg.vector_norm(a(v)) for a, v in zip(self.maps, self.vectors, strict=True)]
        return torch.stack(found).prod()

    def _settle(self, rounds: int) -> None:
        for k, apply in enumerate(self.maps):
            for _ in range(rounds):
                v = self.vectors[k].detach().requires_grad_(True)
                with torch.enable_grad():
                    image = apply(v)
                    (back,) = torch.autograd.grad(0.5 * (image * image).sum(), v)
                self.vectors[k] = (back / torch.linalg.vector_norm(back).clamp(min=1e-30)).detach()


def _linear(layer: torch.nn.Linear | torch.nn.Conv2d) -> Callable[[Tensor], Tensor]:
    """The layer without its bias."""
    if isinstance(layer, torch.nn.Linear):
        return lambda v: functional.linear(v, layer.weight)
    return lambda v: layer._conv_forward(v, layer.weight, None)


def _refused(layer: torch.nn.Module) -> UnsupportedError:
    return UnsupportedError(
        f"no product of norms of {type(layer).__name__}",
        where="lmt",
        remedy="Train a torch.nn.Sequential of Linear, Conv2d, and activations of slope at most 1",
    )
