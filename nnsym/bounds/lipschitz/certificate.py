"""Whether multipliers prove a Lipschitz constant: the full matrix is positive semidefinite, floats included.

If the Cholesky factorisation of ``A - c I`` runs to its end in floats and

    c >= gamma / (1 - gamma) tr(A) + max_i sum_j E_ij,       |A_ij - true A_ij| <= E_ij,

the true matrix is positive semidefinite (Rump, Verification of Positive Definiteness, BIT 46, 2006, theorem 2.3; the
sum is more than the spectral norm of what A is off by). Powers of two bring the diagonal near 1 first, a congruence
without rounding. Small matrices can be decided in rationals instead (:func:`proved_exactly`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from nnsym.bounds.lipschitz.merged import Weight
from nnsym.bounds.lipschitz.multipliers import Multipliers, spread
from nnsym.bounds.lipschitz.sectors import Sectors
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import row_pointers
from nnsym.ir.outward import gamma
from nnsym.results.clock import NEVER, Deadline

#: Relative amounts by which rho may be raised until the test passes.
RAISES = (1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)


def certified(system: Sectors, multipliers: Multipliers, rho: float, *, deadline: Deadline = NEVER) -> float:
    """A Lipschitz constant 2 -> 2 that the multipliers prove, near ``sqrt rho``; infinite where they prove none.

    No test is begun after the deadline.
    """
    if deadline.passed or not all((np.isfinite(t) & (t >= 0)).all() for t in multipliers):
        return np.inf
    matrix, error = _matrix(system, multipliers)
    inputs = np.arange(system.width), np.arange(system.width)
    plain, off = matrix[inputs], error[inputs]
    for raise_ in RAISES:
        if deadline.passed:
            break
        raised = max(rho, 2.0**-900) * (1 + raise_)
        matrix[inputs] = plain + raised
        error[inputs] = off + gamma(1) * np.abs(matrix[inputs])
        if semidefinite(matrix, error):
            return float(np.nextafter(np.sqrt(raised) * (1 + 2.0**-51), np.inf))
    return np.inf


def semidefinite(matrix: Array, error: Array) -> bool:
    """True only if every symmetric matrix within ``error`` of this one is positive semidefinite."""
    n = len(matrix)
    diagonal = np.diag(matrix)
    if not np.isfinite(matrix).all() or not np.isfinite(error).all() or (diagonal <= 0).any():
        return False
    scale = np.ldexp(1.0, -(np.frexp(diagonal)[1] // 2))
    a, e = matrix * scale[:, None] * scale, error * scale[:, None] * scale
    relative = 4 * gamma(n + 2)  # also of a factorisation that multiplies by reciprocals
    c = relative / (1 - relative) * np.trace(a) + e.sum(axis=1).max() * (1 + gamma(n)) + 2.0**-900
    c = c * (1 + gamma(n + 8)) + 4 * 2.0**-53 * np.diag(a).max()  # the trace and the subtraction round, too
    try:
        np.linalg.cholesky(a - c * np.eye(n))
    except np.linalg.LinAlgError:
        return False
    return True


def _matrix(system: Sectors, multipliers: Multipliers) -> tuple[Array, Array]:
    """``M(0, t)`` as a full symmetric matrix, and what every entry may be off by."""
    total = _Total.of(system.sizes)
    total.subtract(system.root, np.ones(system.outputs), system.root)
    for k, (block, t) in enumerate(zip(system.blocks, multipliers, strict=True), 1):
        u, y = block.argument, {k: Weight(np.eye(block.size))}
        if block.groups is not None:
            total.subtract(u, spread(block, t) * (1 + gamma(block.size)), u)
            total.subtract(y, -t, y)
            continue
        total.subtract(y, -2 * t, y)
        cross = t * (block.low + block.high)
        total.subtract(u, cross, y)
        total.subtract(y, cross, u)
        inner = -2 * t * block.low * block.high
        if inner.any():
            total.subtract(u, inner, u)
    matrix, error = total.matrix, total.error
    error = (error + error.T) / 2 * (1 + gamma(8)) + np.where(error > 0, 2.0**-900, 0.0)
    return (matrix + matrix.T) / 2, error * (1 + gamma(4 * len(multipliers) + 8)) + gamma(1) * np.abs(matrix)


@final
@dataclass(frozen=True, eq=False)
class _Total:
    """A sum of products over blocks, in place, and what every entry may be off by; other blocks stay 0."""

    starts: Array
    matrix: Array
    error: Array

    @staticmethod
    def of(sizes: list[int]) -> _Total:
        n = sum(sizes)
        return _Total(row_pointers(sizes), np.zeros((n, n)), np.zeros((n, n)))

    def subtract(self, left: Mapping[int, Weight], factors: Array, right: Mapping[int, Weight]) -> None:
        """``matrix -= left' diag(factors) right``; products of few terms, each off by its slack."""
        size, terms = np.abs(factors)[:, None], gamma(len(factors) + 4)
        for (i, a), (j, b) in itertools.product(left.items(), right.items()):
            at = slice(*self.starts[i : i + 2]), slice(*self.starts[j : j + 2])
            self.matrix[at] -= a.matrix.T @ (factors[:, None] * b.matrix)
            da, db = (np.zeros_like(w.matrix) if w.slack is None else w.slack for w in (a, b))
            error = terms * ((np.abs(a.matrix) + da).T @ (size * (np.abs(b.matrix) + db)))
            if da.any() or db.any():
                slack = (np.abs(a.matrix) + da).T @ (size * db) + da.T @ (size * np.abs(b.matrix))
                error = error + slack * (1 + terms)
            self.error[at] += error + gamma(2) * np.abs(self.matrix[at])


def proved_exactly(system: Sectors, multipliers: Multipliers, constant: float) -> bool:
    """True if the multipliers prove the constant in rationals: ``M(constant^2, t)`` has an L D L' with D >= 0.

    Only for systems whose matrices are the stored ones (no slack). It takes the cube of inputs and neurons together, in
    numbers that get long: seconds for 60 of them.
    """
    weights = [*system.root.values(), *(w for b in system.blocks for w in b.argument.values())]
    if not np.isfinite(constant) or any(w.slack is not None and w.slack.any() for w in weights):
        return False
    return _definite(_exact_matrix(system, multipliers, constant))


def _exact_matrix(system: Sectors, multipliers: Multipliers, constant: float) -> Array:
    starts = row_pointers(system.sizes)
    n = int(starts[-1])
    matrix = to_fractions(np.zeros((n, n)))
    matrix[np.arange(system.width), np.arange(system.width)] = Fraction(constant) ** 2

    def add(left: Any, factors: Array, right: Any) -> None:
        for i, a in left.items():
            for j, b in right.items():
                block = to_fractions(a).T @ (factors[:, None] * to_fractions(b))
                matrix[starts[i] : starts[i + 1], starts[j] : starts[j + 1]] += block

    root = {k: w.matrix for k, w in system.root.items()}
    add(root, to_fractions(-np.ones(system.outputs)), root)
    for k, (block, given) in enumerate(zip(system.blocks, multipliers, strict=True), 1):
        u, y, t = {j: w.matrix for j, w in block.argument.items()}, {k: np.eye(block.size)}, to_fractions(given)
        if block.groups is not None:
            size = len(next(iter(u.values())))
            inside = block.groups >= 0
            sums = to_fractions(np.zeros(size))
            np.add.at(sums, block.groups[inside], np.broadcast_to(t[:, None], inside.shape)[inside])
            add(u, -sums, u)
            add(y, t, y)
            continue
        low, high = to_fractions(block.low), to_fractions(block.high)
        add(y, 2 * t, y)
        add(u, -t * (low + high), y)
        add(y, -t * (low + high), u)
        add(u, 2 * t * low * high, u)
    return np.asarray(matrix)


def _definite(matrix: Array) -> bool:
    """Symmetric elimination: no negative pivot, and nothing beside one that is 0."""
    a = matrix.copy()
    for k in range(len(a)):
        pivot, rest = a[k, k], a[k + 1 :, k]
        if pivot < 0 or (pivot == 0 and any(v != 0 for v in rest)):
            return False
        if pivot:
            a[k + 1 :, k + 1 :] -= np.outer(rest, rest / pivot)
    return True
