"""Spectral norms from above by Gram iteration, with what float arithmetic may have moved.

For every ``t``: ``|W|_2 <= |G_t|^(2^-t)``, ``G_0 = W``, ``G_{t+1} = G_t' G_t``, in any norm not below the spectral one;
the excess vanishes quadratically (Delattre et al., Efficient Bound of Lipschitz Constant for Convolutional Layers by
Gram Iteration, 2023, theorem 1). Before each step a block is scaled by a power of two, which is exact. A computed Gram
matrix is off by at most ``E = gamma_n |G|_F^2`` in the Frobenius norm, n the inner length, so from the last step back

    b_t = sqrt(2^k b_{t+1} + E_t),        b_T = min(|G_T|_F, |G_T|_inf).
"""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.outward import gamma

#: Most steps. Of k nearly equal largest singular values ``log k / 2^(steps + 1)`` is left of the relative excess.
STEPS = 20
_CLOSE = 1e-10  # relative excess at which it ends earlier
_TINY = 2.0**-900  # more than every underflow of one step


def spectral_norm(blocks: Array, *, steps: int = STEPS) -> float:
    """An upper bound of the largest spectral norm among real matrices ``(count, m, n)``, or of one ``(m, n)``.

    Blocks that cannot hold the largest norm are dropped between the steps; what was known of them by then counts.
    """
    blocks = np.asarray(blocks, dtype=np.float64)
    blocks = blocks[None] if blocks.ndim == 2 else blocks
    if not blocks.size or not blocks.any():
        return 0.0
    if not np.isfinite(blocks).all():
        return np.inf
    if blocks.shape[1] < blocks.shape[2]:  # the smaller of the two Gram matrices
        blocks = np.swapaxes(blocks, 1, 2)
    return _iterate(blocks, steps)


def _iterate(blocks: Array, steps: int) -> float:
    count, _, n = blocks.shape
    history: list[tuple[Array, Array]] = []  # the power of two and the error of every step
    dropped, exponent = 0.0, np.zeros(count)
    for step in range(steps):
        blocks, shift = _normalised(blocks)
        exponent = exponent * 2 + shift if step else shift
        size = _frobenius(blocks)
        error = gamma(blocks.shape[1]) * size**2 * (1 + gamma(4)) + _TINY
        history.append((shift, error))
        blocks = np.matmul(np.swapaxes(blocks, 1, 2), blocks)
        with np.errstate(divide="ignore"):  # (sum w)^2 / sum w^2 counts the singular values that still matter
            left = 2 * np.log(size) - np.log(_frobenius(blocks))
        keep = _hopeful(blocks, exponent, step + 1, n)
        if not keep.all():
            dropped = max(dropped, float(_unwound(blocks[~keep], [(s[~keep], e[~keep]) for s, e in history]).max()))
            blocks, exponent, left = blocks[keep], exponent[keep], left[keep]
            history = [(s[keep], e[keep]) for s, e in history]
        if np.nanmax(left) < _CLOSE * 2.0 ** (step + 1):
            break
    return max(dropped, float(_unwound(blocks, history).max()))


def _normalised(blocks: Array) -> tuple[Array, Array]:
    """Every block over the power of two next to its largest entry, and the exponents."""
    largest = np.abs(blocks).max(axis=(1, 2))
    shift = np.where(largest > 0, np.frexp(largest)[1], 0).astype(np.float64)
    return np.ldexp(blocks, -shift[:, None, None].astype(np.int64)), shift


def _frobenius(blocks: Array) -> Array:
    """Frobenius norms of blocks of entries near 1, rounded up."""
    terms = blocks.shape[1] * blocks.shape[2]
    return np.asarray(np.sqrt((blocks * blocks).sum(axis=(1, 2)) + _TINY) * (1 + gamma(terms)))


def _hopeful(blocks: Array, exponent: Array, step: int, rank: int) -> Array:
    """Which blocks may have the largest norm: a Gram matrix of rank r has ``|G|_2 >= |G|_F / sqrt r``."""
    with np.errstate(divide="ignore"):
        log = (np.log2(_frobenius(blocks)) + 2 * exponent) / 2.0**step
    return np.asarray(log >= log.max() - 0.5 * np.log2(rank) / 2.0**step - 1e-9)


def _unwound(blocks: Array, history: list[tuple[Array, Array]]) -> Array:
    """Bounds of the norms of the blocks that the history began with."""
    rows = np.abs(blocks).sum(axis=2).max(axis=1) * (1 + gamma(blocks.shape[2])) + _TINY
    bound = np.minimum(_frobenius(blocks), rows)
    for shift, error in reversed(history):
        bound = np.ldexp(np.sqrt(bound + error) * (1 + gamma(4)), shift.astype(np.int64))
    return np.asarray(bound)
