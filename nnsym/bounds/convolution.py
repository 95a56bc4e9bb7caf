"""Convolutions on tensors, and their rows."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from math import gcd, prod
from typing import final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nnsym.bounds.torch_maps import TorchMap, kept
from nnsym.ir.linear import Conv

_PHASES = 2**18  # products of a transposed convolution that stay in a processor's caches


def _sums_of_products(x: Tensor) -> AbstractContextManager[object]:
    """A context without the short cuts (TF32, Winograd, FFT) that cuDNN may take in float32."""
    return torch.backends.cudnn.flags(enabled=False) if x.is_cuda and x.dtype is torch.float32 else nullcontext()


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
        self.even = min(self.pad, default=0) >= 0 and self.pad[::2] == self.pad[1::2]
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
        image = functional.pad(x.reshape(-1, *self.in_shape), self.pad)
        with _sums_of_products(x):
            convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[self.rank - 1]
            out = convolve(image, weight, stride=self.strides, dilation=self.dilations, groups=self.groups)
        return out.reshape(*x.shape[:-1], self.n_out)

    def apply(self, x: Tensor) -> Tensor:
        return self._convolve(x, self.weight)

    def transposed(self, image: Tensor, cut: tuple[int, ...] | None = None) -> Tensor:
        """The transposed convolution of an image of any size; ``cut`` is taken off at both ends of every axis."""
        cut = (0,) * self.rank if cut is None else cut
        with _sums_of_products(image):
            if self.rank == 2 and self.groups == 1 and self.dilations == (1, 1) and len(set(self.strides)) == 1:
                step = max(1, _PHASES // (self._phases[0, 0].numel() * len(self._phases) * image[0, 0].numel()))
                parts = [self._shuffled(part, cut) for part in torch.split(image, step)]
                return parts[0] if len(parts) == 1 else torch.cat(parts)
            by_rank = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
            return by_rank[self.rank - 1](
                image, self.weight, stride=self.strides, padding=cut, dilation=self.dilations, groups=self.groups
            )

    def _shuffled(self, image: Tensor, cut: tuple[int, ...]) -> Tensor:
        """By one ordinary convolution for each phase of the stride, interleaved: on CPU faster than torch's own.

        Output ``s i + p`` reads the taps p, p + s, ... alone (Shi et al., Is the deconvolution layer the same as a
        convolutional layer?, 2016).
        """
        (stride, _), kernel, taps = self.strides, self.weight.shape[2:], self._phases.shape[2:]
        ends = [(n - 1) * stride + k - c for n, k, c in zip(image.shape[2:], kernel, cut, strict=True)]
        phases = functional.conv2d(image, self._phases, padding=(taps[0] - 1, taps[1] - 1))
        return functional.pixel_shuffle(phases, stride)[:, :, cut[0] : ends[0], cut[1] : ends[1]]

    @kept
    def _phases(self) -> Tensor:
        """Kernels ``(in_channels stride^2, out_channels, ...)`` with every stride-th tap each, reversed."""
        (s, _), (out, into, *kernel) = self.strides, self.weight.shape
        tall, wide = (-(-k // s) for k in kernel)
        full = functional.pad(self.weight, (0, wide * s - kernel[1], 0, tall * s - kernel[0]))
        split = full.reshape(out, into, tall, s, wide, s).flip(2, 4)
        return split.permute(1, 3, 5, 0, 2, 4).reshape(into * s * s, out, tall, wide).contiguous()

    def stretch(self, x: Tensor) -> Tensor:
        return self._convolve(x, self._abs)

    def rows(self, index: Tensor) -> Tensor:
        source, coefficients = self._windows
        out = torch.zeros(len(index), self.n_in, dtype=self.dtype, device=self.device)
        return out.scatter_add_(1, source[index], coefficients[index])

    def adjoint(self, y: Tensor) -> Tensor:
        image = y.reshape(-1, *self.out_shape)
        if self.even:
            out = self.transposed(image, self.begin)
        else:
            out = functional.pad(self.transposed(image), self.unpad)
        return out.reshape(*y.shape[:-1], self.n_in)
