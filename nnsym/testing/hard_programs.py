"""Programs that are not solved at the root, with known optima: what gaps, incumbents and time limits show up on.

A lane that stops early, or reports an incumbent as a bound, answers every tiny program rightly: they end before the
search begins. These do not: knapsacks whose optimum is found by dynamic programming, a market split with a planted
solution, and a dense linear program with a planted primal and dual optimum. All numbers are dyadic and at most about 1.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nnsym.builder import ProgramBuilder
from nnsym.ir.array import Array
from nnsym.program import Kind, Program, RowBlock, Tag
from nnsym.testing.problem import Problem, columns, row


def knapsack(name: str, *, items: int, bits: int, seed: int = 0, at: Fraction | None = None) -> Problem:
    """Strongly correlated: values are weights plus a tenth of the largest; half of all weights fit.

    ``bits`` are those of the weights, which are scaled to at most 1. ``at`` shifts the objective so that this is the
    optimum. Source of the class: Pisinger, Where are the hard knapsack problems?, Computers & Operations Research 32,
    2005.
    """
    rng = np.random.default_rng([seed, bits])
    weights = rng.integers(1, 2**bits, items)
    values, room = weights + 2**bits // 10, int(weights.sum()) // 2
    unit = Fraction(1, 2**bits)
    best = -best_value(weights, values, room) * unit
    shift = Fraction(0) if at is None else at - best
    b = ProgramBuilder()
    t, x = columns(b, "spec", "margin", -64, 64, 1), columns(b, "x", "value", 0, 1, items, Kind.BINARY)
    row(b, x, weights * float(unit), high=room * float(unit), origin="room")
    row(b, np.concatenate([x, t]), [*(values * float(unit)), 1.0], low=float(shift), origin="value")
    optimum = best + shift
    return Problem(name=name, program=b.build(objective=int(t[0])), optimum=optimum, satisfiable=optimum <= 0)


def best_value(weights: Array, values: Array, room: int) -> int:
    """The most that fits, by dynamic programming over the room (Bellman): one vector operation an item."""
    best = np.zeros(room + 1, dtype=np.int64)
    for weight, value in zip(weights.tolist(), values.tolist(), strict=True):
        if weight <= room:
            np.maximum(best[weight:], best[: room + 1 - weight] + value, out=best[weight:])
    return int(best[-1])


def market_split(size: int = 60, rows: int = 20, seed: int = 0) -> Program:
    """Cornuejols and Dawande's market split with slacks and a planted solution.

    The optimum is 0, the LP bound too, and nobody finds the point in the time that a test has.
    """
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 1024, (rows, size)) / 1024
    planted = rng.integers(0, 2, size).astype(float)
    half = weights @ planted
    b = ProgramBuilder()
    x = columns(b, "x", "value", 0, 1, size, Kind.BINARY)
    slack, t = columns(b, "slack", "aux", 0, 128, 2 * rows), columns(b, "spec", "margin", -1024, 8192, 1)
    for i in range(rows):
        ids = np.concatenate([x, slack[[i, rows + i]]])
        data, ends = np.concatenate([weights[i], [1.0, -1.0]]), np.array([0, size + 2])
        b.rows(RowBlock(data, ids, ends, half[i : i + 1], half[i : i + 1], Tag.NETWORK, f"market {i}"))
    row(b, np.concatenate([t, slack]), np.concatenate([[1.0], -np.ones(2 * rows)]), low=0.0, origin="total")
    return b.build(objective=int(t[0]))


def market_problem() -> Problem:
    """The market split with its answer."""
    return Problem(name="market split", program=market_split(), optimum=Fraction(0), satisfiable=True)


def planted_lp(size: int = 250, seed: int = 0) -> Problem:
    """A dense linear program whose primal and dual optimum are planted.

    ``min c x`` over ``A x >= A x*``, ``0 <= x <= 4`` with ``c = A^T y``, ``y >= 0``: by weak duality x* is optimal.
    Numbers are small integers over powers of two, so that every product above is exact.
    """
    rng = np.random.default_rng(seed)
    matrix = rng.integers(-64, 65, (size, size)) / 64
    point, duals = rng.integers(1, 16, size) / 4, rng.integers(1, 16, size) / 1024
    cost, floor = matrix.T @ duals, matrix @ point
    b = ProgramBuilder()
    t, x = columns(b, "spec", "margin", -8192, 8192, 1), columns(b, "x", "value", 0, 4, size)
    ends = np.arange(size + 1) * size
    b.rows(RowBlock(matrix.ravel(), np.tile(x, size), ends, floor, np.full(size, np.inf), Tag.NETWORK, "dense"))
    row(b, np.concatenate([x, t]), [*(-cost), 1.0], low=0.0, origin="cost")
    optimum = sum((Fraction(c) * Fraction(v) for c, v in zip(cost, point, strict=True)), Fraction(0))
    return Problem(name="planted", program=b.build(objective=int(t[0])), optimum=optimum, satisfiable=optimum <= 0)
