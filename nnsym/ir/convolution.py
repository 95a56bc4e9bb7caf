"""Convolutions as linear maps, and which element each tap of a window reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.linear import LinearMap, digest, freeze, row_pointers

_LARGE = 2**20  # entries from which a product of blocks is faster than that of a sparse matrix


@final
@dataclass(frozen=True, eq=False)
class Conv(LinearMap):
    """Cross-correlation over any number of spatial axes, as ONNX ``Conv`` defines it (without bias).

    ``weight`` has shape ``(out, in / groups, *kernel)``; ``in_shape`` is ``(in, *spatial)``; ``pads`` is
    ``(begin..., end...)``. Input and output are flat in C order.
    """

    weight: Array
    in_shape: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", freeze(self.weight))

    @property
    def n_in(self) -> int:  # type: ignore[override]
        return int(np.prod(self.in_shape))

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        rank = len(self.in_shape) - 1
        reach = [d * (k - 1) + 1 for d, k in zip(self.dilations, self.weight.shape[2:], strict=True)]
        padded = [self.in_shape[1 + a] + self.pads[a] + self.pads[rank + a] for a in range(rank)]
        spatial = ((n - r) // s + 1 for n, r, s in zip(padded, reach, self.strides, strict=True))
        return (self.weight.shape[0], *spatial)

    @property
    def n_out(self) -> int:  # type: ignore[override]
        return int(np.prod(self.out_shape))

    @cached_property
    def key(self) -> str:
        return digest(("conv", self.weight, self.in_shape, self.strides, self.pads, self.dilations, self.groups))

    @cached_property
    def _reads(self) -> tuple[Array, Array]:
        """Which element of a channel each tap of each window reads, and whether it does."""
        return window_sources(self.in_shape[1:], self.weight.shape[2:], self.strides, self.pads, self.dilations)

    @cached_property
    def _csr(self) -> tuple[Array, Array, Array]:
        source, inside = self._reads
        outputs, per_group = self.weight.shape[0], self.weight.shape[1]
        positions, taps = source.shape
        spatial = int(np.prod(self.in_shape[1:]))
        # What one output channel reads, position by position; the others read the same of their own group.
        kept = np.flatnonzero(np.broadcast_to(inside[:, None, :], (positions, per_group, taps)))
        places = (np.arange(per_group)[None, :, None] * spatial + source[:, None, :]).ravel()[kept].astype(np.int32)
        first = np.arange(outputs, dtype=np.int32) // (outputs // self.groups) * np.int32(per_group * spatial)
        data = self.weight.reshape(outputs, per_group * taps)[:, kept % (per_group * taps)]
        counts = np.tile(inside.sum(axis=1) * per_group, outputs)
        indptr = row_pointers(counts).astype(np.int32)
        return data.ravel(), (first[:, None] + places).ravel(), indptr

    def csr(self) -> tuple[Array, Array, Array]:
        return self._csr

    @cached_property
    def nnz(self) -> int:
        """Those of :meth:`csr`, counted without it."""
        return int(self._reads[1].sum()) * int(self.weight.shape[0]) * int(self.weight.shape[1])

    @property
    def coefficients(self) -> Array:
        return self.weight

    @cached_property
    def longest(self) -> int:
        return int(self._reads[1].sum(axis=1).max(initial=0)) * int(self.weight.shape[1])

    @cached_property
    def widest(self) -> int:
        """The most entries of a column."""
        source, inside = self._reads
        read = np.bincount(source[inside], minlength=1)
        return int(read.max()) * (int(self.weight.shape[0]) // self.groups)

    @cached_property
    def large(self) -> bool:
        """True if products are taken in blocks, without a sparse matrix."""
        return self.nnz > _LARGE

    @cached_property
    def _kernels(self) -> Array:
        """``(groups, out / groups, in / groups * taps)``."""
        return self.weight.reshape(self.groups, self.weight.shape[0] // self.groups, -1)

    def apply(self, x: Array) -> Array:
        """``A x``; of a large map by one product of the kernels with the windows of each image."""
        if x.dtype == object or not self.large:
            return super().apply(x)
        (source, inside), kernels = self._reads, self._kernels
        out = np.empty((x.size // self.n_in, self.n_out))
        for image, row in zip(x.reshape(len(out), self.groups, self.weight.shape[1], -1), out, strict=True):
            windows = np.where(inside, image[..., source], 0.0)  # (groups, in / groups, positions, taps)
            row[:] = (kernels @ windows.swapaxes(2, 3).reshape(self.groups, kernels.shape[2], -1)).ravel()
        return out.reshape(*x.shape[:-1], self.n_out)

    def adjoint(self, y: Array) -> Array:
        """``A^T y``; of a large map tap by tap."""
        if y.dtype == object or not self.large:
            return super().adjoint(y)
        (source, inside), kernels = self._reads, self._kernels
        out = np.zeros((y.size // self.n_out, self.groups, self.weight.shape[1], int(np.prod(self.in_shape[1:]))))
        for image, row in zip(y.reshape(len(out), *kernels.shape[:2], -1), out, strict=True):
            taps = (kernels.swapaxes(1, 2) @ image).reshape(self.groups, self.weight.shape[1], source.shape[1], -1)
            for tap in range(source.shape[1]):  # whose windows read one element each, no two the same
                reads = inside[:, tap]
                row[..., source[reads, tap]] += taps[:, :, tap, reads]
        return out.reshape(*y.shape[:-1], self.n_in)

    def abs(self) -> Conv:
        return replace(self, weight=np.abs(self.weight))

    def squared(self) -> Conv:
        """The map with the square of every coefficient in its place."""
        return replace(self, weight=self.weight**2)


def window_sources(
    spatial: tuple[int, ...],
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    ceil: bool = False,
) -> tuple[Array, Array]:
    """Which flat spatial element each tap of each window reads.

    Returns ``(source, inside)`` of shape ``(positions, taps)``: ``source`` is 0 where ``inside`` is false
    (padding). Shared by convolution and pooling; ``ceil`` is the pooling attribute ``ceil_mode``.
    """
    rank = len(spatial)
    per_axis: list[Array] = []
    for a in range(rank):
        span = spatial[a] + pads[a] + pads[rank + a] - dilations[a] * (kernel[a] - 1) - 1
        count = (-(-span // strides[a]) if ceil else span // strides[a]) + 1
        if ceil and (count - 1) * strides[a] >= spatial[a] + pads[a]:
            count -= 1  # a window must start inside the image or its leading padding
        starts = np.arange(count) * strides[a] - pads[a]
        per_axis.append(starts[:, None] + np.arange(kernel[a]) * dilations[a])
    source: Array = np.zeros((1, 1), dtype=np.int64)
    inside: Array = np.ones((1, 1), dtype=bool)
    for a, reads in enumerate(per_axis):
        valid = (reads >= 0) & (reads < spatial[a])
        source = source[:, None, :, None] * spatial[a] + np.where(valid, reads, 0)[None, :, None, :]
        inside = inside[:, None, :, None] & valid[None, :, None, :]
        shape = (source.shape[0] * source.shape[1], source.shape[2] * source.shape[3])
        source, inside = source.reshape(shape), inside.reshape(shape)
    return np.where(inside, source, 0), inside
