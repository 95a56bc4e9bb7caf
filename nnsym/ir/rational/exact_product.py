"""Products of a sparse matrix of floats and vectors of Fractions, exactly, in integers where those stay short."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions

_DIGITS = 4096  # bits of a common denominator from which sums of Fractions are the shorter way


def exact_product(csr: tuple[Array, Array, Array], x: Array, n_out: int) -> Array:
    """The product on Fractions: each vector over its common denominator, so that rows are sums of integers."""
    data, indices, indptr = csr
    flat = x.reshape(-1, x.shape[-1])
    common = [_over_common(vector) for vector in flat]
    if not all(common):
        return _sum_of_fractions(csr, x, n_out)
    weights, exponent = _integers(data)
    out = np.empty((len(flat), n_out), dtype=object)
    above, below = 1 << max(exponent, 0), 1 << max(-exponent, 0)
    for batch, found in enumerate(common):
        whole, denominator = found  # type: ignore[misc]
        for row in range(n_out):
            span = slice(indptr[row], indptr[row + 1])
            total = int(np.dot(weights[span], whole[indices[span]]))
            out[batch, row] = Fraction(total * above, denominator * below)
    return out.reshape(*x.shape[:-1], n_out)


def _over_common(vector: Array) -> tuple[Array, int] | None:
    """Integers and their common denominator; None of other numbers than Fractions, or where it would be too long."""
    if not all(type(v) is Fraction for v in vector):
        return None
    denominator = 1
    for d in {v.denominator for v in vector}:
        denominator = math.lcm(denominator, d)
        if denominator.bit_length() > _DIGITS:
            return None
    whole = np.array([0, *(v.numerator * (denominator // v.denominator) for v in vector)], dtype=object)
    return whole[1:], denominator


def _integers(data: Array) -> tuple[Array, int]:
    """Python integers and one exponent: ``data = integers 2^exponent`` exactly."""
    mantissa, exponent = np.frexp(data)
    whole = (mantissa * 2.0**53).astype(np.int64)
    least = int(exponent[whole != 0].min(initial=0)) - 53
    shifts = np.where(whole != 0, exponent - 53 - least, 0)
    scaled = [w << s for w, s in zip(whole.tolist(), shifts.tolist(), strict=True)]
    return np.array([0, *scaled], dtype=object)[1:], least


def _sum_of_fractions(csr: tuple[Array, Array, Array], x: Array, n_out: int) -> Array:
    data, indices, indptr = csr
    weights = to_fractions(data)
    flat = x.reshape(-1, x.shape[-1])
    out = np.empty((len(flat), n_out), dtype=object)
    for row in range(n_out):
        span = slice(indptr[row], indptr[row + 1])
        columns, coefficients = indices[span], weights[span]
        for batch, vector in enumerate(flat):
            out[batch, row] = sum(coefficients * vector[columns], start=to_fractions(0.0))
    return out.reshape(*x.shape[:-1], n_out)
