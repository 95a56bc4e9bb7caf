"""Spectral norms of convolutions from above, by the frequencies of a circular one that contains them.

With a stride s the inputs are split into their s phases per axis (polyphase), which makes them channels and the stride
1. A convolution of stride 1 with kernel length k, whose padded input holds n elements, is rows and columns of the
circular one on ``M >= n + k - 1`` places: no window then wraps into elements of another. A circular convolution is
block diagonal in the Fourier basis, so its norm is the largest of the blocks

    B(m)[o, c] = sum_j w[o, c, j] e^(-2 pi i m j / M)        (Sedghi, Gupta, Long, The Singular Values of
                                                               Convolutional Layers, 2019, theorem 6).

The sums are evaluated as they stand; what their roundings move is added as a Frobenius norm.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from nnsym.bounds.lipschitz.gram import spectral_norm
from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv
from nnsym.ir.outward import gamma

_ANGLE = 32.0 * 2.0**-53  # more than a computed cosine or sine of a reduced angle is off by
_MOST = 2**26  # numbers of all blocks of a group up to which they are made


def convolution_norm(conv: Conv) -> float:
    """An upper bound of the spectral norm; infinite where its blocks would be too many."""
    kernel, places = _polyphase(conv)
    outputs, channels = kernel.shape[0] // conv.groups, kernel.shape[1]
    half = (places[0] // 2 + 1, *places[1:])  # the block of -m is the conjugate of that of m
    if 4 * int(np.prod(half)) * outputs * channels > _MOST:
        return np.inf
    largest = 0.0
    for group in range(conv.groups):
        taps = kernel[group * outputs : (group + 1) * outputs].reshape(outputs, channels, -1)
        norm = spectral_norm(_blocks(taps, kernel.shape[2:], places, half))
        largest = max(largest, (norm + _slip(taps)) * (1 + gamma(2)))
    return largest


def _polyphase(conv: Conv) -> tuple[Array, tuple[int, ...]]:
    """The kernel ``(out, in / groups * phases, *reach)`` of stride 1, and the places of the circular convolution."""
    rank = len(conv.in_shape) - 1
    length, strides, steps = conv.weight.shape[2:], conv.strides, conv.dilations
    reach = [(k - 1) * d // s + 1 for k, d, s in zip(length, steps, strides, strict=True)]
    out = np.zeros((*conv.weight.shape[:2], *strides, *reach))
    for tap in itertools.product(*map(range, length)):
        at = [t * d for t, d in zip(tap, steps, strict=True)]
        phase = [a % s for a, s in zip(at, strides, strict=True)]
        place = [a // s for a, s in zip(at, strides, strict=True)]
        to: tuple[Any, ...] = (..., *phase, *place)
        source: tuple[Any, ...] = (..., *tap)
        out[to] = conv.weight[source]
    kernel = out.reshape(conv.weight.shape[0], -1, *reach)
    places = []
    for a in range(rank):
        first, last = conv.pads[a] // strides[a], (conv.pads[a] + conv.in_shape[1 + a] - 1) // strides[a]
        places.append(min(conv.out_shape[1 + a], last - first + 1) + reach[a] - 1)
    return kernel, tuple(places)


def _blocks(taps: Array, reach: tuple[int, ...], places: tuple[int, ...], half: tuple[int, ...]) -> Array:
    """Every block ``X + iY`` as the real matrix ``[[X, -Y], [Y, X]]``, which has the same norm."""
    waves = np.ones((1, 1), dtype=complex)
    for length, m, kept in zip(reach, places, half, strict=True):
        turns = np.outer(np.arange(kept), np.arange(length)) % m * (2.0 * np.pi / m)
        waves = (waves[:, None, :, None] * np.exp(-1j * turns)[None, :, None, :]).reshape(
            waves.shape[0] * kept, waves.shape[1] * length
        )
    real, imaginary = (np.einsum("ocj,mj->moc", taps, part) for part in (waves.real, waves.imag))
    return np.concatenate(
        (np.concatenate((real, -imaginary), axis=2), np.concatenate((imaginary, real), axis=2)), axis=1
    )


def _slip(taps: Array) -> float:
    """By how much the real matrix of a block may be off, in the Frobenius norm (each part stands twice)."""
    sums = np.abs(taps).sum(axis=2)
    axes = 8  # products of waves, one an axis: more than any convolution has
    relative = gamma(taps.shape[2] + 8) + axes * _ANGLE
    return float(2.0 * relative * np.sqrt((sums * sums).sum()) * (1 + gamma(taps.size)))
