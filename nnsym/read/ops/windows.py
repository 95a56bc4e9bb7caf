"""Convolution and pooling: everything that slides a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from nnsym.ir.linear import Conv, Sparse, window_sources
from nnsym.ir.network import Tensor
from nnsym.ir.node import affine, concatenate, maximum
from nnsym.read.ops.base import Call
from nnsym.read.sizes import LARGEST_CONSTANT, require_size
from nnsym.read.tensors import Value, contraction, float64, mapped, numbers, rearrange

Array = NDArray[Any]

_LARGEST_WINDOWS = 2**31 - 1  # coefficients of a convolution's matrix, whose indices are 32-bit


@final
@dataclass(frozen=True, kw_only=True)
class Window:
    """Kernel, strides, pads ``(begin..., end...)`` and dilations of a sliding window."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]


def _window(call: Call, kernel: tuple[int, ...], spatial: tuple[int, ...]) -> Window:
    rank = len(spatial)
    strides = call.ints("strides", (1,) * rank)
    dilations = call.ints("dilations", (1,) * rank)
    mode = call.text("auto_pad", "NOTSET")
    pads = call.ints("pads", (0,) * (2 * rank)) if mode in ("NOTSET", "") else (0,) * (2 * rank)
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        begin, end = [], []
        for size, k, s, d in zip(spatial, kernel, strides, dilations, strict=True):
            whole = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
            small, large = whole // 2, whole - whole // 2
            begin.append(small if mode == "SAME_UPPER" else large)
            end.append(large if mode == "SAME_UPPER" else small)
        pads = (*begin, *end)
    if not len(kernel) == len(strides) == len(dilations) == rank or len(pads) != 2 * rank:
        raise ValueError(f"kernel {kernel}, strides {strides}, pads {pads} do not fit {rank} spatial axes")
    if rank < 1 or min(*kernel, *strides, *dilations) < 1 or min(pads) < 0:
        raise ValueError(
            f"kernel {kernel}, strides {strides}, dilations {dilations} and pads {pads}: "
            "at least one spatial axis, 1 each, and no negative pad are needed"
        )
    return Window(kernel=kernel, strides=strides, pads=pads, dilations=dilations)


def conv(call: Call) -> list[Value]:
    """Cross-correlation with groups, strides, pads and dilations, over any number of spatial axes."""
    x, weight = call.tensor(0), float64(call.constant(1))
    groups = call.integer("group", 1)
    channels, spatial = x.shape[1], x.shape[2:]
    if weight.shape[1] * groups != channels or weight.shape[0] % groups:
        raise ValueError(f"a kernel of shape {weight.shape} with {groups} groups does not fit {channels} channels")
    window = _window(call, call.ints("kernel_shape", weight.shape[2:]), spatial)
    linear = Conv(weight, (channels, *spatial), window.strides, window.pads, window.dilations, groups)
    require_size((x.shape[0], *linear.out_shape))
    require_size((*linear.out_shape, *weight.shape[1:]), "the windows", largest=_LARGEST_WINDOWS)
    given = call.optional_constant(2)
    bias = np.zeros(weight.shape[0]) if given is None else float64(given)
    bias = np.repeat(bias, linear.n_out // weight.shape[0])
    samples = numbers(x).reshape(x.shape[0], -1)
    parts = [affine(((linear, rearrange([x], sample).node),), bias) for sample in samples]
    return [Tensor(concatenate(tuple(parts)), (x.shape[0], *linear.out_shape))]


def conv_transpose(call: Call) -> list[Value]:
    """The adjoint of a convolution, with bias."""
    x, weight = call.tensor(0), float64(call.constant(1))
    groups, rank = call.integer("group", 1), len(x.shape) - 2
    if x.shape[0] != 1 or call.text("auto_pad", "NOTSET") != "NOTSET" or "output_shape" in call.attributes:
        raise call.refuse(
            "ConvTranspose with a batch, auto_pad or output_shape", "Export one sample with explicit pads"
        )
    window = _window(call, weight.shape[2:], x.shape[2:])
    extra = call.ints("output_padding", (0,) * rank)
    spatial = tuple(
        window.strides[a] * (x.shape[2 + a] - 1) + extra[a] + (window.kernel[a] - 1) * window.dilations[a] + 1
        - window.pads[a] - window.pads[rank + a]
        for a in range(rank)
    )  # fmt: skip
    channels = weight.shape[1] * groups
    require_size((channels, *spatial))
    forward = Conv(weight, (channels, *spatial), window.strides, window.pads, window.dilations, groups)
    if forward.out_shape != x.shape[1:]:
        raise ValueError(f"a kernel of shape {weight.shape} does not fit {x.shape}")
    transposed = forward.matrix().T.tocsr()
    linear = Sparse(transposed.data, transposed.indices, transposed.indptr, x.node.size)
    given = call.optional_constant(2)
    bias = np.zeros(channels) if given is None else float64(given)
    return [mapped(linear, x, (1, channels, *spatial), np.repeat(bias, linear.n_out // channels))]


def _pooled(call: Call) -> tuple[Array, Array, Window, tuple[int, ...]]:
    """Element numbers and validity of every window, ``(outputs, taps)``, and the shape of the result."""
    x = call.tensor(0)
    planes, spatial = x.shape[0] * x.shape[1], x.shape[2:]
    if x.node.size < 1:
        raise ValueError(f"an input of shape {x.shape} has no elements")
    window = _window(call, call.ints("kernel_shape", spatial), spatial)
    ceil = bool(call.integer("ceil_mode", 0))
    reach = [n + window.pads[a] + window.pads[a + len(spatial)] for a, n in enumerate(spatial)]
    positions = [max(n // s + 1, 1) for n, s in zip(reach, window.strides, strict=True)]
    require_size((planes, *positions), "the result, about")
    require_size((planes, *positions, *window.kernel), "the windows, about", largest=LARGEST_CONSTANT)
    source, inside = window_sources(spatial, window.kernel, window.strides, window.pads, window.dilations, ceil)
    size = int(np.prod(spatial))
    index = (np.arange(planes)[:, None, None] * size + source).reshape(-1, source.shape[1])
    counts = [
        window_sources((s,), (k,), (t,), (b, e), (d,), ceil)[0].shape[0]
        for s, k, t, b, e, d in zip(
            spatial, window.kernel, window.strides, window.pads[: len(spatial)], window.pads[len(spatial) :],
            window.dilations, strict=True,
        )
    ]  # fmt: skip
    return index, np.tile(inside, (planes, 1)), window, (*x.shape[:2], *counts)


def max_pool(call: Call) -> list[Value]:
    """Maximum over windows; padding never takes part."""
    if call.outputs > 1:
        raise call.refuse("the indices of a MaxPool are not piecewise linear", "Remove the second output")
    index, inside, _, shape = _pooled(call)
    return [Tensor(maximum(call.tensor(0).node, np.where(inside, index, -1)), shape)]


def average_pool(call: Call) -> list[Value]:
    """Mean over windows; ``1 / n`` is derived once, padding counts if ``count_include_pad`` says so."""
    x = call.tensor(0)
    index, inside, window, shape = _pooled(call)
    counts = inside.sum(axis=1)
    if call.integer("count_include_pad", 0):
        counts = np.tile(_padded_counts(window, x.shape[2:], shape[2:]), shape[0] * shape[1])
    data = np.broadcast_to((1.0 / counts)[:, None], inside.shape)[inside]
    indptr = np.concatenate(([0], np.cumsum(inside.sum(axis=1))))
    return [mapped(Sparse(data, index[inside], indptr, x.node.size), x, shape)]


def _padded_counts(window: Window, spatial: tuple[int, ...], counts: tuple[int, ...]) -> Array:
    """How many taps of every window lie in the image or its padding, not beyond (``ceil_mode``)."""
    total = np.ones(1, dtype=np.int64)
    for a, count in enumerate(counts):
        end = spatial[a] + window.pads[a] + window.pads[len(spatial) + a]
        reads = (np.arange(count) * window.strides[a])[:, None] + np.arange(window.kernel[a]) * window.dilations[a]
        total = np.multiply.outer(total, (reads < end).sum(axis=1)).ravel()
    return total


def _planes(call: Call) -> tuple[Array, tuple[int, ...]]:
    x = call.tensor(0)
    shape = (*x.shape[:2], *(1,) * (len(x.shape) - 2))
    return numbers(x).reshape(x.shape[0] * x.shape[1], -1), shape


def global_average_pool(call: Call) -> list[Value]:
    """Mean of every channel."""
    x = call.tensor(0)
    index, shape = _planes(call)
    return [mapped(contraction(np.full(1, 1.0 / index.shape[1]), index, x.node.size), x, shape)]


def global_max_pool(call: Call) -> list[Value]:
    """Maximum of every channel."""
    index, shape = _planes(call)
    return [Tensor(maximum(call.tensor(0).node, index), shape)]
