"""Rows that see a part of an image: coefficients of convolutions on the windows that they read.

A neuron of a convolution depends on a block of the image below, that block on a larger one below it. A backward pass
from many neurons keeps to these blocks while they are small, with the transposed convolution of a block in place of
that of the image (the patches of Zhang et al., General Cutting Planes for Bound-Propagation, 2022, appendix).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import final

import torch
from torch import Tensor

from nnsym.bounds.engine.maps.convolution import ConvMap
from nnsym.bounds.engine.maps.torch_maps import SelectMap, TorchMap


@final
@dataclass(frozen=True, eq=False)
class Windows:
    """Blocks of ``size`` of an image ``shape`` (channels first), one per row: ``start[block]`` is a row's corner.

    Rows of all channels at one place share a block, so ``start`` has shape ``(blocks, rank)`` and ``block`` numbers
    them for the rows. A block may reach over the edge: there its coefficients are zero. Element j of the image is
    element ``order[j]`` of the node, or element j where that is None.
    """

    shape: tuple[int, ...]
    size: tuple[int, ...]
    start: Tensor
    block: Tensor
    order: Tensor | None = None

    @property
    def small(self) -> bool:
        return 2 * self.elements <= prod(self.shape)  # larger ones are not worth their gathers

    @property
    def elements(self) -> int:
        """Elements of a block."""
        return self.shape[0] * prod(self.size)

    @cached_property
    def places(self) -> tuple[Tensor, Tensor]:
        """The number of each element of each block, and whether it lies in the image: ``(blocks, elements)``."""
        device, blocks = self.start.device, len(self.start)
        index = torch.arange(self.shape[0], device=device).reshape(1, -1).expand(blocks, -1)
        inside = torch.ones_like(index, dtype=torch.bool)
        for axis, (part, whole) in enumerate(zip(self.size, self.shape[1:], strict=True)):
            reads = self.start[:, axis, None] + torch.arange(part, device=device)
            valid = (reads >= 0) & (reads < whole)
            index = (index[:, :, None] * whole + reads.clamp(0, whole - 1)[:, None]).reshape(blocks, -1)
            inside = (inside[:, :, None] & valid[:, None]).reshape(blocks, -1)
        return index, inside

    def pick(self, values: Tensor) -> Tensor:
        """Values ``(batch, n)`` of the image on the block of every row, ``(batch, rows, elements)``."""
        return values[:, self._read].index_select(1, self.block)

    @property
    def _read(self) -> Tensor:
        """The element of the node behind each element of each block."""
        return self.places[0] if self.order is None else self.order[self.places[0]]

    def clear(self, values: Tensor) -> Tensor:
        """Coefficients ``(batch, rows, elements)`` without what lies over the edge."""
        inside = self.places[1]
        return values if bool(inside.all()) else values * inside.to(values.dtype).index_select(0, self.block)

    def spread(self, values: Tensor) -> Tensor:
        """Rows over all elements of the image, ``(batch, rows, n)``."""
        index = self._read.index_select(0, self.block)
        out = torch.zeros(*values.shape[:-1], prod(self.shape), dtype=values.dtype, device=values.device)
        return out.scatter_add(-1, index.expand_as(values), self.clear(values))

    @staticmethod
    def of(kind: ConvMap, index: Tensor) -> tuple[Windows, Tensor]:
        """The rows ``index`` of a convolution without groups."""
        places = prod(kind.out_shape[1:])
        place, block = torch.unique(index % places, return_inverse=True)
        start = []
        for whole in reversed(kind.out_shape[1:]):
            start.append(place % whole)
            place = place // whole
        found = Windows(kind.out_shape, (1,) * kind.rank, torch.stack(start[::-1], 1), block)
        below = found.below(kind)
        return below, below.clear(kind.weight[index // places].flatten(1))

    def suits(self, kind: TorchMap | None) -> bool:
        """True if these rows over the output of a map are windows over its input too."""
        if isinstance(kind, ConvMap):
            return kind.groups == 1 and self.order is None and self.shape == kind.out_shape
        return isinstance(kind, SelectMap) and kind.permutes

    def through(self, kind: SelectMap) -> Windows:
        """The same coefficients as those of the input of a permutation; two that undo each other leave no order."""
        if kind.identity:
            return self
        order = kind.source if self.order is None else kind.source[self.order]
        plain = bool((order == torch.arange(len(order), device=order.device)).all())
        return replace(self, order=None if plain else order)

    def below(self, kind: ConvMap) -> Windows:
        """What the blocks of the output of a convolution read of its input."""
        kernel = kind.weight.shape[2:]
        size = tuple(
            (part - 1) * stride + dilation * (taps - 1) + 1
            for part, stride, dilation, taps in zip(self.size, kind.strides, kind.dilations, kernel, strict=True)
        )
        moved = self.start * torch.tensor(kind.strides, device=self.start.device)
        return Windows(kind.in_shape, size, moved - torch.tensor(kind.begin, device=self.start.device), self.block)

    def adjoint(self, kind: ConvMap, values: Tensor) -> tuple[Windows, Tensor]:
        """Coefficients of the output of a convolution as coefficients of its input."""
        below = self.below(kind)
        image = values.reshape(-1, self.shape[0], *self.size)
        return below, below.clear(kind.transposed(image).reshape(*values.shape[:-1], -1))
