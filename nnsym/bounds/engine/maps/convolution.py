"""Convolutions on tensors, their rows, and their transposes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from itertools import product
from math import gcd, prod
from typing import Any, cast, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nnsym.bounds.engine.maps.torch_maps import TorchMap, kept
from nnsym.ir.convolution import Conv

_PHASES = 2**18  # products of a transposed convolution that stay in a processor's caches
_MORE = 1.6  # so many times the products that are needed take as long by phases as those that are needed by torch


def _sums_of_products(x: Tensor) -> AbstractContextManager[object]:
    """A context without the short cuts (TF32, Winograd, FFT) that cuDNN may take in float32."""
    return torch.backends.cudnn.flags(enabled=False) if x.is_cuda and x.dtype is torch.float32 else nullcontext()


def _fitted(image: Tensor, pad: list[int]) -> Tensor:
    """The image padded by zeros, and cut where ``pad`` is negative. torch cuts first, and an image that no window
    reads has fewer elements than are cut off it with its padding.
    """
    if min(pad) < 0 < max(pad):
        image, pad = functional.pad(image, [max(p, 0) for p in pad]), [min(p, 0) for p in pad]
    return functional.pad(image, pad)


@final
class ConvMap(TorchMap):
    """Cross-correlation over one, two or three spatial axes; the adjoint is the transposed convolution.

    ``stored`` says that ``weight`` are the numbers of ``conv``; others, and their gradients, take the plain ways.
    """

    def __init__(self, conv: Conv, weight: Tensor, exact: bool, *, stored: bool = True) -> None:
        self._hold(weight, exact)
        self.stored = stored
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
        image = _fitted(x.reshape(-1, *self.in_shape), self.pad)
        with _sums_of_products(x):
            convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[self.rank - 1]
            out = convolve(image, weight, stride=self.strides, dilation=self.dilations, groups=self.groups)
        return out.reshape(*x.shape[:-1], self.n_out)

    def apply(self, x: Tensor) -> Tensor:
        return self._convolve(x, self.weight)

    def transposed(self, image: Tensor, cut: tuple[int, ...] | None = None) -> Tensor:
        """The transposed convolution of an image of any size; ``cut`` is taken off at both ends of every axis."""
        cut = (0,) * self.rank if cut is None else cut
        interleaved = self.rank == 2 and self.groups == 1 and self.dilations == (1, 1) and self._fits(image)
        if interleaved and self.stored:  # its gradient is that of the image alone
            return cast(Tensor, _Interleaved.apply(image, self, cut))  # type: ignore[no-untyped-call]
        by_rank = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
        with _sums_of_products(image):
            return by_rank[self.rank - 1](
                image, self.weight, stride=self.strides, padding=cut, dilation=self.dilations, groups=self.groups
            )

    def _fits(self, image: Tensor) -> bool:
        """False for kernels that are large beside the image: phases multiply what lies outside of it too. A layer that
        flattens is written so, with a kernel as large as its input and an image of one element.
        """
        taps = [-(-k // s) for k, s in zip(self.weight.shape[2:], self.strides, strict=True)]
        return prod(n + k - 1 for n, k in zip(image.shape[2:], taps, strict=True)) <= _MORE * prod(image.shape[2:])

    def interleaved(self, image: Tensor, cut: tuple[int, ...]) -> Tensor:
        """The same by one ordinary convolution for each phase of the stride, interleaved: on CPU faster than torch's.

        Output ``s i + p`` reads the taps p, p + s, ... alone (Shi et al., Is the deconvolution layer the same as a
        convolutional layer?, 2016).
        """
        (s, t), (tall, wide), into = self.strides, self.phases.shape[2:], self.in_shape[0]
        kernel = self.weight.shape[2:]
        size = [(n - 1) * r + k - 2 * c for n, r, k, c in zip(image.shape[2:], (s, t), kernel, cut, strict=True)]
        out = image.new_empty(len(image), into, *size)
        step = max(1, _PHASES // (self.phases[0, 0].numel() * len(self.phases) * image[0, 0].numel()))
        for start in range(0, len(image), step):
            found = functional.conv2d(image[start : start + step], self.phases, padding=(tall - 1, wide - 1))
            found = found.reshape(-1, into, s, t, *found.shape[2:])
            for p, q in product(range(s), range(t)):
                place = out[start : start + step, :, (p - cut[0]) % s :: s, (q - cut[1]) % t :: t]
                i, j = max(0, -((p - cut[0]) // s)), max(0, -((q - cut[1]) // t))
                place.copy_(found[:, :, p, q, i : i + place.shape[2], j : j + place.shape[3]])
        return out

    @kept
    def phases(self) -> Tensor:
        """Kernels ``(in_channels strides, out_channels, ...)`` with every stride-th tap each, reversed."""
        (s, t), (out, into, *kernel) = self.strides, self.weight.shape
        tall, wide = -(-kernel[0] // s), -(-kernel[1] // t)
        full = functional.pad(self.weight, (0, wide * t - kernel[1], 0, tall * s - kernel[0]))
        split = full.reshape(out, into, tall, s, wide, t).flip(2, 4)
        return split.permute(1, 3, 5, 0, 2, 4).reshape(into * s * t, out, tall, wide).contiguous()

    def stretch(self, x: Tensor) -> Tensor:
        return self._convolve(x, self._abs)

    def rows(self, index: Tensor) -> Tensor:
        if not self.stored:
            return super().rows(index)
        source, coefficients = self._windows
        out = torch.zeros(len(index), self.n_in, dtype=self.dtype, device=self.device)
        return out.scatter_add_(1, source[index], coefficients[index])

    def adjoint(self, y: Tensor) -> Tensor:
        image = y.reshape(-1, *self.out_shape)
        if self.even:
            out = self.transposed(image, self.begin)
        else:
            out = _fitted(self.transposed(image), self.unpad)
        return out.reshape(*y.shape[:-1], self.n_in)


@final
class TransposedMap(TorchMap):
    """The transpose of a convolution: applied as its adjoint."""

    def __init__(self, conv: Conv, weight: Tensor, exact: bool) -> None:
        self._hold(weight, exact)
        self._forward, self._conv = ConvMap(conv, weight, exact), conv
        self.n_in, self.n_out = conv.n_out, conv.n_in
        self.terms, self.back = self._forward.back, self._forward.terms

    @kept
    def _abs(self) -> ConvMap:
        return ConvMap(self._conv.abs(), self._forward.weight.abs(), self.exact)

    @kept
    def fine(self) -> bool:
        return self._forward.fine

    def apply(self, x: Tensor) -> Tensor:
        return self._forward.adjoint(x)

    def adjoint(self, y: Tensor) -> Tensor:
        return self._forward.apply(y)

    def stretch(self, x: Tensor) -> Tensor:
        return self._abs.adjoint(x)


@final
class _Interleaved(torch.autograd.Function):
    """A transposed convolution whose gradient is the convolution itself."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, kind: ConvMap, cut: tuple[int, ...]) -> Tensor:
        ctx.kind, ctx.cut = kind, cut
        with _sums_of_products(image):
            return kind.interleaved(image, cut)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        kind: ConvMap = ctx.kind
        found = functional.conv2d(gradient, kind.weight, stride=kind.strides, padding=ctx.cut)
        return found, None, None
