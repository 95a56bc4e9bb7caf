"""Convolution and pooling: everything that slides a window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv, window_sources
from nnsym.ir.functions.powers import Sqrt
from nnsym.ir.linear import LinearMap, Sparse, row_pointers
from nnsym.ir.network import Tensor
from nnsym.ir.node import affine, concatenate, maximum, pointwise, product
from nnsym.ir.transposed import ConvTranspose
from nnsym.ir.univariate import absolute
from nnsym.read.ops.base import Call
from nnsym.read.sizes import LARGEST_CONSTANT, require_size
from nnsym.read.tensors import Value, contraction, float64, mapped, numbers, rearrange

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
    return [_by_sample(linear, x, bias, linear.out_shape)]


def conv_transpose(call: Call) -> list[Value]:
    """The adjoint of a convolution, with bias."""
    x, weight = call.tensor(0), float64(call.constant(1))
    groups, channels = call.integer("group", 1), weight.shape[1] * call.integer("group", 1)
    window, spatial = _spread(call, weight.shape[2:], x.shape[2:])
    require_size((x.shape[0], channels, *spatial))
    forward = Conv(weight, (channels, *spatial), window.strides, window.pads, window.dilations, groups)
    if forward.out_shape != x.shape[1:]:
        raise ValueError(f"a kernel of shape {weight.shape} does not fit {x.shape}")
    linear = ConvTranspose(forward)
    given = call.optional_constant(2)
    bias = np.zeros(channels) if given is None else float64(given)
    return [_by_sample(linear, x, np.repeat(bias, linear.n_out // channels), (channels, *spatial))]


def _spread(call: Call, kernel: tuple[int, ...], given: tuple[int, ...]) -> tuple[Window, tuple[int, ...]]:
    """The window of the convolution whose adjoint is taken, and the spatial axes of the result.

    A wanted shape is reached by pads, of which the begin gets the smaller half for SAME_UPPER, else the larger one.
    """
    rank, mode = len(given), call.text("auto_pad", "NOTSET")
    strides, dilations = call.ints("strides", (1,) * rank), call.ints("dilations", (1,) * rank)
    extra = call.ints("output_padding", (0,) * rank)
    whole = [
        s * (n - 1) + e + (k - 1) * d + 1
        for n, k, s, d, e in zip(given, kernel, strides, dilations, extra, strict=True)
    ]
    wanted = call.ints("output_shape", ())[-rank:]
    if not wanted and mode in ("SAME_UPPER", "SAME_LOWER"):
        wanted = tuple(n * s for n, s in zip(given, strides, strict=True))
    if not wanted:
        pads = call.ints("pads", (0,) * (2 * rank)) if mode in ("NOTSET", "") else (0,) * (2 * rank)
        wanted = tuple(n - b - e for n, b, e in zip(whole, pads[:rank], pads[rank:], strict=True))
    else:
        cut = [max(n - w, 0) for n, w in zip(whole, wanted, strict=True)]
        small, large = [c // 2 for c in cut], [c - c // 2 for c in cut]
        pads = (*small, *large) if mode == "SAME_UPPER" else (*large, *small)
    if min(*strides, *dilations) < 1 or min(pads) < 0 or min(wanted) < 1:
        raise ValueError(f"strides {strides}, dilations {dilations}, pads {pads}, result {wanted}")
    return Window(kernel=kernel, strides=strides, pads=pads, dilations=dilations), tuple(wanted)


def _by_sample(linear: LinearMap, x: Tensor, bias: Array, shape: tuple[int, ...]) -> Tensor:
    """A map of one sample on every sample of a batch."""
    samples = numbers(x).reshape(x.shape[0], -1)
    parts = [affine(((linear, rearrange([x], sample).node),), bias) for sample in samples]
    return Tensor(concatenate(tuple(parts)), (x.shape[0], *shape))


def _pooled(call: Call) -> tuple[Array, Array, Window, tuple[int, ...]]:
    """Element numbers and validity of every window, ``(outputs, taps)``, and the shape of the result."""
    x = call.tensor(0)
    planes, spatial = x.shape[0] * x.shape[1], x.shape[2:]
    if x.node.size < 1:
        raise ValueError(f"an input of shape {x.shape} has no elements")
    window = _window(call, call.ints("kernel_shape", spatial), spatial)
    if call.text("auto_pad", "NOTSET").startswith("SAME") and max(window.dilations, default=1) > 1:
        raise call.refuse(
            "auto_pad with dilations: the ONNX standard and ONNX Runtime pad it by different amounts",
            "Export the model with explicit pads",
        )
    ceil = call.flag("ceil_mode", 0)
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
    """Maximum over windows; padding never takes part. Where the maxima stand, a second result, is not read."""
    index, inside, _, shape = _pooled(call)
    return [Tensor(maximum(call.tensor(0).node, np.where(inside, index, -1)), shape)]


def average_pool(call: Call) -> list[Value]:
    """Mean over windows; ``1 / n`` is derived once, padding counts if ``count_include_pad`` says so."""
    x = call.tensor(0)
    index, inside, window, shape = _pooled(call)
    counts = inside.sum(axis=1)
    if call.flag("count_include_pad", 0):
        counts = np.tile(_padded_counts(window, x.shape[2:], shape[2:]), shape[0] * shape[1])
    data = np.broadcast_to((1.0 / counts)[:, None], inside.shape)[inside]
    indptr = row_pointers(inside.sum(axis=1))
    return [mapped(Sparse(data, index[inside], indptr, x.node.size), x, shape)]


def lp_pool(call: Call) -> list[Value]:
    """``(sum |x|^p)^(1/p)`` over windows, for p = 1 and 2."""
    index, inside, _, shape = _pooled(call)
    return [_norm(call, index, inside, shape)]


def global_lp_pool(call: Call) -> list[Value]:
    """The norm of every channel."""
    index, shape = _planes(call)
    return [_norm(call, index, np.ones_like(index, dtype=bool), shape)]


def _norm(call: Call, index: Array, inside: Array, shape: tuple[int, ...]) -> Tensor:
    x, p = call.tensor(0), call.integer("p", 2)
    if p not in (1, 2):
        raise call.refuse(f"the norm of order {p}", "Orders 1 and 2 are read")
    powers = pointwise(absolute(), x.node) if p == 1 else product(x.node, x.node)
    indptr = row_pointers(inside.sum(axis=1))
    linear = Sparse(np.ones(int(inside.sum())), index[inside], indptr, x.node.size)
    sums = mapped(linear, Tensor(powers, x.shape), shape)
    return sums if p == 1 else Tensor(pointwise(Sqrt(), sums.node), shape)


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
