"""Convolutions on tensors, and their rows."""

from __future__ import annotations

from functools import cached_property
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nnsym.bounds.torch_maps import TorchMap
from nnsym.ir.linear import Conv


@final
class ConvMap(TorchMap):
    """Cross-correlation over one, two or three spatial axes; the adjoint is the transposed convolution."""

    def __init__(self, conv: Conv, weight: Tensor, exact: bool) -> None:
        self._hold(weight, exact)
        self.n_in, self.n_out, self.groups, self.weight = conv.n_in, conv.n_out, conv.groups, weight
        self.in_shape, self.out_shape = conv.in_shape, conv.out_shape
        self.strides, self.dilations = conv.strides, conv.dilations
        taps = int(np.prod(conv.weight.shape[2:]))
        self.terms = taps * max(conv.weight.shape[1], conv.weight.shape[0] // conv.groups) + (not exact)
        rank = self.rank = len(conv.strides)
        begin = self.begin = conv.pads[:rank]
        reach = [
            (self.out_shape[1 + a] - 1) * self.strides[a] + self.dilations[a] * (conv.weight.shape[2 + a] - 1) + 1
            for a in range(rank)
        ]
        # torch pads from the last axis backwards; what no window reads is cut off, or padded by zeros on the way back
        self.pad = [p for a in reversed(range(rank)) for p in (begin[a], reach[a] - begin[a] - self.in_shape[1 + a])]
        self.unpad = [-p for p in self.pad]
        self._conv = conv

    @cached_property
    def _windows(self) -> tuple[Tensor, Tensor]:
        """Which elements each output reads, and with which coefficients; short windows repeat an element with 0."""
        data, indices, indptr = self._conv.csr()
        place = indptr[:-1, None] + np.arange(np.diff(indptr).max(initial=0))
        real = place < indptr[1:, None]
        place = np.where(real, place, 0)
        coefficients = torch.tensor(np.where(real, data[place], 0.0), dtype=self.dtype, device=self.device)
        return torch.tensor(indices[place].astype(np.int64), device=self.device), coefficients

    @cached_property
    def _abs(self) -> Tensor:
        return self.weight.abs()

    @cached_property
    def fine(self) -> bool:
        return self._fine(self.weight)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[self.rank - 1]
        image = functional.pad(x.reshape(-1, *self.in_shape), self.pad)
        out = convolve(image, weight, stride=self.strides, dilation=self.dilations, groups=self.groups)
        return out.reshape(*x.shape[:-1], self.n_out)

    def apply(self, x: Tensor) -> Tensor:
        return self._convolve(x, self.weight)

    def transposed(self, image: Tensor) -> Tensor:
        """The transposed convolution of an image of any size, without cutting off what was padding."""
        by_rank = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
        out: Tensor = by_rank[self.rank - 1](
            image, self.weight, stride=self.strides, dilation=self.dilations, groups=self.groups
        )
        return out

    def stretch(self, x: Tensor) -> Tensor:
        return self._convolve(x, self._abs)

    def rows(self, index: Tensor) -> Tensor:
        source, coefficients = self._windows
        out = torch.zeros(len(index), self.n_in, dtype=self.dtype, device=self.device)
        return out.scatter_add_(1, source[index], coefficients[index])

    def adjoint(self, y: Tensor) -> Tensor:
        out = self.transposed(y.reshape(-1, *self.out_shape))
        return functional.pad(out, self.unpad).reshape(*y.shape[:-1], self.n_in)
