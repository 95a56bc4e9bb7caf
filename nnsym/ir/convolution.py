"""Convolutions as linear maps, and which element each tap of a window reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.ir.linear import LinearMap, digest, freeze

Array = NDArray[Any]


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
    def _csr(self) -> tuple[Array, Array, Array]:
        source, inside = window_sources(
            self.in_shape[1:], self.weight.shape[2:], self.strides, self.pads, self.dilations
        )
        outputs, per_group = self.weight.shape[0], self.weight.shape[1]
        positions, taps = source.shape
        spatial = int(np.prod(self.in_shape[1:]))
        # What one output channel reads, position by position; the others read the same of their own group.
        kept = np.flatnonzero(np.broadcast_to(inside[:, None, :], (positions, per_group, taps)))
        places = (np.arange(per_group)[None, :, None] * spatial + source[:, None, :]).ravel()[kept].astype(np.int32)
        first = np.arange(outputs, dtype=np.int32) // (outputs // self.groups) * np.int32(per_group * spatial)
        data = self.weight.reshape(outputs, per_group * taps)[:, kept % (per_group * taps)]
        counts = np.tile(inside.sum(axis=1) * per_group, outputs)
        indptr = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        return data.ravel(), (first[:, None] + places).ravel(), indptr

    def csr(self) -> tuple[Array, Array, Array]:
        return self._csr

    @cached_property
    def nnz(self) -> int:
        """Those of :meth:`csr`, counted without it."""
        window = self.weight.shape[2:]
        _, inside = window_sources(self.in_shape[1:], window, self.strides, self.pads, self.dilations)
        return int(inside.sum()) * int(self.weight.shape[0]) * int(self.weight.shape[1])

    @cached_property
    def nonnegative(self) -> bool:
        return bool((self.weight >= 0).all())

    def abs(self) -> Conv:
        return Conv(np.abs(self.weight), self.in_shape, self.strides, self.pads, self.dilations, self.groups)


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
