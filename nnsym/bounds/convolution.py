"""Convolutions on tensors, and their rows."""

from __future__ import annotations

from math import gcd, prod
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nnsym.bounds.torch_maps import TorchMap, kept
from nnsym.ir.linear import Conv

_WINDOWS = 2**20  # bytes of windows that are summed up at a time


@final
class ConvMap(TorchMap):
    """Cross-correlation over one, two or three spatial axes; the adjoint is the transposed convolution."""

    def __init__(self, conv: Conv, weight: Tensor, exact: bool) -> None:
        self._hold(weight, exact)
        self.n_in, self.n_out, self.groups, self.weight = conv.n_in, conv.n_out, conv.groups, weight
        self.in_shape, self.out_shape = conv.in_shape, conv.out_shape
        self.strides, self.dilations = conv.strides, conv.dilations
        kernel = conv.weight.shape[2:]
        hits = [-(-k // (s // gcd(s, d))) for k, s, d in zip(kernel, conv.strides, conv.dilations, strict=True)]
        self.terms = prod(kernel) * conv.weight.shape[1] + (not exact)
        self.back = prod(hits) * (conv.weight.shape[0] // conv.groups) + (not exact)  # windows that meet in an element
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

    @kept
    def _windows(self) -> tuple[Tensor, Tensor]:
        """Which elements each output reads, and with which coefficients; short windows repeat an element with 0."""
        data, indices, indptr = self._conv.csr()
        place = indptr[:-1, None] + np.arange(np.diff(indptr).max(initial=0))
        real = place < indptr[1:, None]
        place = np.where(real, place, 0)
        coefficients = torch.tensor(np.where(real, data[place], 0.0), dtype=self.dtype, device=self.device)
        return torch.tensor(indices[place].astype(np.int64), device=self.device), coefficients

    @kept
    def _abs(self) -> Tensor:
        return self.weight.abs()

    @kept
    def fine(self) -> bool:
        return self._fine(self.weight)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[self.rank - 1]
        image = functional.pad(x.reshape(-1, *self.in_shape), self.pad)
        out = convolve(image, weight, stride=self.strides, dilation=self.dilations, groups=self.groups)
        return out.reshape(*x.shape[:-1], self.n_out)

    def apply(self, x: Tensor) -> Tensor:
        return self._convolve(x, self.weight)

    def transposed(self, image: Tensor, pads: tuple[int, ...] | None = None) -> Tensor:
        """The transposed convolution of an image of any size; ``pads`` (before and after alike) are cut off."""
        cut = (0,) * self.rank if pads is None else pads
        if self.rank == 2 and self.groups == 1:
            return self._folded(image, cut)
        by_rank = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
        out: Tensor = by_rank[self.rank - 1](
            image, self.weight, stride=self.strides, padding=cut, dilation=self.dilations, groups=self.groups
        )
        return out

    def _folded(self, image: Tensor, cut: tuple[int, ...]) -> Tensor:
        """The same as one product for all images and positions, and a sum of the windows where they overlap.

        On CPU that is faster than torch's own, which works image by image.
        """
        kernel, (count, channels) = self.weight.shape[2:], image.shape[:2]
        size = tuple(
            (image.shape[2 + a] - 1) * self.strides[a] + self.dilations[a] * (kernel[a] - 1) + 1 - 2 * cut[a]
            for a in (0, 1)
        )
        out = image.new_empty(count, self.in_shape[0], *size)
        step = max(1, _WINDOWS // (len(self._flat) * image[0, 0].numel() * image.itemsize))
        for start in range(0, count, step):  # windows of a few images at a time stay in a processor's caches
            windows = self._flat @ image[start : start + step].reshape(-1, channels, image[0, 0].numel())
            out[start : start + step] = functional.fold(windows, size, kernel, self.dilations, cut, self.strides)
        return out

    @kept
    def _flat(self) -> Tensor:
        """The weights as a matrix ``(in_channels taps, out_channels)``."""
        return self.weight.flatten(1).T.contiguous()

    def stretch(self, x: Tensor) -> Tensor:
        return self._convolve(x, self._abs)

    def rows(self, index: Tensor) -> Tensor:
        source, coefficients = self._windows
        out = torch.zeros(len(index), self.n_in, dtype=self.dtype, device=self.device)
        return out.scatter_add_(1, source[index], coefficients[index])

    def adjoint(self, y: Tensor) -> Tensor:
        out = self.transposed(y.reshape(-1, *self.out_shape))
        return functional.pad(out, self.unpad).reshape(*y.shape[:-1], self.n_in)
