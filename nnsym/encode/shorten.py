"""Short numbers for exact arithmetic: coefficients and bounds of few bits, with what that may have moved as a slack.

The time of exact rational arithmetic is a matter of the length of its numbers before anything else. An affine
layer ``h = A v + b`` is replaced by

    | h - A' v - b' | <= e,      e >= |A - A'| max|v| + |b - b'|,

where the entries of A', b' and e are multiples of ``2^-bits`` times the power of two above the row's largest number.
Bounds, of inputs too, are rounded outward to multiples of ``2^-bits``. Every run of the network stays a point of the
program, so "no violation" carries over; a violation has to be replayed.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from nnsym.bounds.base import Bounds, Interval
from nnsym.encode.affine import Terms
from nnsym.ir.array import Array
from nnsym.ir.linear import row_pointers
from nnsym.ir.outward import group_sum_up, product_up, sum_up
from nnsym.results.clock import NEVER, Deadline

_BLOCK = 2**20  # terms that are shortened at once


def short_bounds(bounds: Bounds, bits: int) -> Bounds:
    """Intervals of all nodes and rows, rounded outward to multiples of ``2^-bits``."""

    def wider(interval: Interval) -> Interval:
        return Interval(round_out(interval.lower, bits, -1), round_out(interval.upper, bits, +1), interval.source)

    return replace(bounds, nodes={n: wider(i) for n, i in bounds.nodes.items()}, rows=wider(bounds.rows))


def round_out(values: Array, bits: int, sign: int) -> Array:
    """The nearest multiple of ``2^-bits`` that is not below (sign +1) or not above (-1) the value; exact in float64.

    Numbers that are too large to be rounded there, and infinite ones, are multiples already.
    """
    scale = 2.0**bits
    whole = np.abs(values) >= 2.0**52 / scale
    scaled = np.where(whole, 0.0, values) * scale
    return np.where(whole, values, sign * np.ceil(sign * scaled) / scale)


def short_rows(
    terms: Terms, bias: Array, bits: int, lower: Array, upper: Array, *, deadline: Deadline = NEVER
) -> tuple[Terms, Array, Array]:
    """``(A', b', e)`` of the rows ``A v + b``; ``lower`` and ``upper`` bound the column of every term.

    A row with an infinite bound under a coefficient that would change is left as it is. The ``deadline`` is looked at
    between blocks of rows; past it OutOfTime is raised.
    """
    ends = np.searchsorted(terms.indptr, np.arange(_BLOCK, terms.indptr[-1], _BLOCK))
    cuts = np.unique(np.concatenate(([0], ends, [len(terms)])))
    found: list[tuple[Terms, Array, Array]] = []
    for first, last in pairwise(cuts.tolist() if len(terms) else [0, 0]):
        deadline.check()
        here = slice(terms.indptr[first], terms.indptr[last])
        part = Terms(terms.data[here], terms.columns[here], terms.indptr[first : last + 1] - here.start, terms.distinct)
        found.append(_short_block(part, bias[first:last], bits, lower[here], upper[here]))
    if len(found) == 1:
        return found[0]
    parts, offsets, slacks = zip(*found, strict=True)
    pointers = row_pointers(np.concatenate([part.counts for part in parts])).astype(np.int32)
    data, columns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("data", "columns"))
    return Terms(data, columns, pointers, terms.distinct), np.concatenate(offsets), np.concatenate(slacks)


def _short_block(terms: Terms, bias: Array, bits: int, lower: Array, upper: Array) -> tuple[Terms, Array, Array]:
    count, counts = len(terms), terms.counts
    row = np.repeat(np.arange(count), counts)
    largest = np.abs(bias).astype(np.float64)
    np.maximum.at(largest, row, np.abs(terms.data))
    step = np.exp2(np.ceil(np.log2(np.where(largest > 0, largest, 1.0))) - bits)
    step = np.maximum(step, 2.0**-1000)  # of the smallest numbers it would be 0
    data, offset = _nearest(terms.data, step[row]), _nearest(bias, step)
    moved = product_up(_distance(terms.data, data), np.maximum(np.abs(lower), np.abs(upper)))
    error = group_sum_up(row, moved, _distance(bias, offset))
    kept = np.isinf(error)
    data, offset = np.where(kept[row], terms.data, data), np.where(kept, bias, offset)
    slack = np.where(kept, 0.0, step * np.ceil(np.where(kept, 0.0, error) / step))
    some = data != 0
    pointers = row_pointers(some)[terms.indptr].astype(np.int32)
    return Terms(data[some], terms.columns[some], pointers, terms.distinct), offset, slack


def _distance(a: Array, b: Array) -> Array:
    """``|a - b|``, rounded up."""
    return np.maximum(sum_up(a, -b), sum_up(b, -a))


def _nearest(values: Array, step: Array) -> Array:
    """Multiples of the power of two ``step``: the division and the product are exact."""
    return np.asarray(np.round(values / step) * step)
