"""Rows that see a part of an image: coefficients of convolutions on the windows that they read.

A neuron of a convolution depends on a block of the image below, that block on a larger one below it. A backward pass
from many neurons keeps to these blocks while they are small, with the transposed convolution of a block in place of
that of the image (the patches of Zhang et al., General Cutting Planes for Bound-Propagation, 2022, appendix).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from nnsym.bounds.convolution import ConvMap

_SMALL = 0.5  # windows of more than this part of the image are not worth their gathers


@final
@dataclass(frozen=True, eq=False)
class Windows:
    """A block of ``size`` per row of an image ``shape`` (channels first); ``start`` is its corner, ``(rows, rank)``.

    A block may reach over the edge: there its coefficients are zero.
    """

    shape: tuple[int, ...]
    size: tuple[int, ...]
    start: Tensor

    @property
    def small(self) -> bool:
        block, image = 1, 1
        for part, whole in zip(self.size, self.shape[1:], strict=True):
            block, image = block * part, image * whole
        return block <= _SMALL * image

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """The number of each element of each block, and whether it lies in the image: ``(rows, elements)``."""
        device, rows = self.start.device, len(self.start)
        index = torch.arange(self.shape[0], device=device).reshape(1, -1).expand(rows, -1)
        inside = torch.ones_like(index, dtype=torch.bool)
        for axis, (part, whole) in enumerate(zip(self.size, self.shape[1:], strict=True)):
            reads = self.start[:, axis, None] + torch.arange(part, device=device)
            valid = (reads >= 0) & (reads < whole)
            index = (index[:, :, None] * whole + reads.clamp(0, whole - 1)[:, None]).reshape(rows, -1)
            inside = (inside[:, :, None] & valid[:, None]).reshape(rows, -1)
        return index, inside

    def spread(self, values: Tensor) -> Tensor:
        """Rows over all elements of the image, ``(batch, rows, n)``."""
        index, inside = self.places
        count = self.shape[0]
        for whole in self.shape[1:]:
            count *= whole
        out = torch.zeros(*values.shape[:-1], count, dtype=values.dtype, device=values.device)
        return out.scatter_add(-1, index.expand_as(values), torch.where(inside, values, 0.0))

    @staticmethod
    def of(kind: ConvMap, index: Tensor) -> tuple[Windows, Tensor]:
        """The rows ``index`` of a convolution without groups."""
        channel, start = index, []
        for whole in reversed(kind.out_shape[1:]):
            start.append(channel % whole)
            channel = channel // whole
        found = Windows(kind.out_shape, (1,) * kind.rank, torch.stack(start[::-1], 1))
        below = found.below(kind)
        return below, torch.where(below.places[1], kind.weight[channel].flatten(1), 0.0)

    def below(self, kind: ConvMap) -> Windows:
        """What the blocks of the output of a convolution read of its input."""
        kernel = kind.weight.shape[2:]
        size = tuple(
            (part - 1) * stride + dilation * (taps - 1) + 1
            for part, stride, dilation, taps in zip(self.size, kind.strides, kind.dilations, kernel, strict=True)
        )
        moved = self.start * torch.tensor(kind.strides, device=self.start.device)
        return Windows(kind.in_shape, size, moved - torch.tensor(kind.begin, device=self.start.device))

    def adjoint(self, kind: ConvMap, values: Tensor) -> tuple[Windows, Tensor]:
        """Coefficients of the output of a convolution as coefficients of its input."""
        below = self.below(kind)
        image = values.reshape(-1, self.shape[0], *self.size)
        out = kind.transposed(image).reshape(*values.shape[:-1], -1)
        return below, torch.where(below.places[1], out, 0.0)
