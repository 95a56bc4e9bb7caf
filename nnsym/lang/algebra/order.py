"""Running maxima and order statistics of rows, from maximum nodes: linear size, logarithmic depth."""

from __future__ import annotations

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.node import maximum
from nnsym.ir.rows import Rows, stack
from nnsym.lang.algebra.linear import materialise


def running_maxima(rows: Rows) -> Rows:
    """``P_c = max(y_0, ..., y_c)`` for every c, with fewer than 2 n maxima of two, in 2 log2(n) layers.

    Neighbours are joined, the maxima of the pairs run, and every second place takes one more element: the parallel
    prefix of Ladner and Fischer, Journal of the ACM 27 (1980), as Brent and Kung arrange it.
    """
    return Rows.of(materialise(_running(rows)))


def _running(rows: Rows) -> Rows:
    n = len(rows)
    if n < 2:
        return rows
    even, odd = np.arange(0, n, 2), np.arange(1, n, 2)
    pairs = _running(_larger(rows.take(even[: len(odd)]), rows.take(odd)))
    rest = even[1:]
    parts = [rows.take(even[:1]), pairs]
    if len(rest):
        parts.append(_larger(pairs.take(np.arange(len(rest))), rows.take(rest)))
    places = np.concatenate((even[:1], odd, rest))
    return stack(parts).take(np.argsort(places))


def _larger(a: Rows, b: Rows) -> Rows:
    return _grouped(stack([a, b]), np.arange(2 * len(a)).reshape(2, -1).T, 1.0)


def _grouped(rows: Rows, groups: Array, sign: float) -> Rows:
    """The largest (sign 1) or smallest (-1) of every group of rows."""
    result = Rows.of(maximum(materialise(rows if sign > 0 else -rows), groups))
    return result if sign > 0 else -result


def order_statistics(rows: Rows, k: int) -> Rows:
    """The ``min(k, n)`` largest of n rows, the largest first; O(k n) members of maxima and minima, 2 log2(n) layers.

    Sorted runs are merged two by two: the m-th largest of two runs a and b is the largest of
    ``min(a_i, b_(m-i))`` over i, where a run's place 0 stands for +inf and places beyond its end for -inf.
    """
    runs = [np.array([i]) for i in range(len(rows))]
    while len(runs) > 1:
        rows, runs = _merged(rows, runs, k)
    return rows.take(runs[0][:k]) if runs else rows


def _merged(rows: Rows, runs: list[Array], k: int) -> tuple[Rows, list[Array]]:
    """One round: neighbouring runs become one, of at most k places."""
    smaller: list[tuple[int, int]] = []  # pairs of rows whose minimum is a candidate
    groups: list[list[int]] = []
    merged: list[Array] = []
    for a, b in zip(runs[::2], runs[1::2], strict=False):
        count = min(k, len(a) + len(b))
        merged.append(len(groups) + np.arange(count))
        for m in range(1, count + 1):
            members = [int(run[m - 1]) for run in (a, b) if m <= len(run)]
            for i in range(max(1, m - len(b)), min(m - 1, len(a)) + 1):
                members.append(len(rows) + len(smaller))
                smaller.append((int(a[i - 1]), int(b[m - i - 1])))
            groups.append(members)
    if len(runs) % 2:
        merged.append(len(groups) + np.arange(min(k, len(runs[-1]))))
        groups += [[int(place)] for place in runs[-1][:k]]
    candidates = rows
    if smaller:
        pairs = np.array(smaller)
        candidates = stack([rows, _grouped(rows.take(pairs.ravel()), np.arange(pairs.size).reshape(-1, 2), -1.0)])
    widest = max(map(len, groups))
    padded = np.array([g + [-1] * (widest - len(g)) for g in groups])
    return _grouped(candidates, padded, 1.0), merged
