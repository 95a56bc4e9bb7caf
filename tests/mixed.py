"""Seeded mixed-integer problems with small ReLU networks from arrays, each feasible by construction."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np

import nnsym as nn


def mixed_problem(seed: int) -> tuple[Any, Any]:
    """A term and its condition: a box, one to three rows (equations among them), at times a row of the network's."""
    rng = np.random.default_rng(seed)
    n, width, depth = int(rng.integers(2, 6)), int(rng.integers(3, 7)), int(rng.integers(0, 3))
    sizes = [n, *([width] * depth), 2]
    layers = [(rng.normal(size=(b, a)), rng.normal(size=b)) for a, b in itertools.pairwise(sizes)]
    f = nn.sequential(layers, activation="relu", name="f")
    integer = rng.permutation(np.arange(n) < rng.integers(1, n))
    x = nn.Variable(n, name="x", integer=integer)
    low, high = -rng.integers(1, 9, n), rng.integers(1, 9, n)
    drawn = np.where(integer, rng.integers(low, high + 1), np.round(rng.uniform(low, high), 2))
    inside = [Fraction(str(v)) for v in drawn.tolist()]
    where = nn.box(x, low, high)
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(3))
        numbers = rng.integers(-100, 101, n) if kind < 2 else np.round(rng.normal(size=n), 3)
        coefficients = [Fraction(str(v)) for v in numbers.tolist()]
        here = sum(a * b for a, b in zip(coefficients, inside, strict=True))
        total = sum(a * x[k] for k, a in enumerate(coefficients))
        where = where & (total == here if kind == 0 else total <= here + int(rng.integers(0, 40)))
    y = f(x)
    if depth and rng.random() < 0.3:
        value = float(f.evaluate(np.array([float(v) for v in inside]))[1])
        where = where & (y[1] <= Fraction(str(round(value + 0.5, 2))))
    cost = rng.integers(-20, 21, n).tolist()
    return y[0] + sum(a * x[k] for k, a in enumerate(cost)) if rng.random() < 0.7 else y[0], where
