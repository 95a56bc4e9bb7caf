"""Bounds of affine rows and hinges, whose least and greatest values are known exactly: no engine is better than these.

Of affine rows the box is far from 0, or weights nearly cancel: whatever rounding loses is all there is.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.methods import METHODS, compute
from nnsym.ir.domain import Box
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge
from tests.depth import drawn
from tests.kept import root


def affine_query(rng: np.random.Generator, size: int) -> tuple[Query, Any, Any]:
    """Rows of two layers and a skip of a box of so many inputs; their exact least and greatest values."""
    x, hidden = new_input("x", size), int(rng.integers(1, 6))
    scale = 10.0 ** rng.integers(-2, 3)
    first, second = rng.normal(size=(hidden, size)) * scale, rng.normal(size=(3, hidden))
    skip = -(second @ first) * (rng.random((3, 1)) < 0.5)  # what is left of some rows are roundings alone
    b, c = rng.normal(size=hidden), rng.normal(size=3)
    z = affine(((Dense(first), x),), b)
    y = affine(((Dense(second), z), (Dense(skip), x)), c)
    low = rng.normal(size=size) * 10.0 ** rng.integers(-1, 5)
    box = Box(low, low + rng.random(size) * rng.choice([0.0, 1e-6, 1.0]))
    query = Query("affine", {x: box}, Rows.of(y), Atoms(np.arange(3), True, True))
    w, v, s = to_fractions(first), to_fractions(second), to_fractions(skip)
    total, constant = v @ w + s, v @ to_fractions(b) + to_fractions(c)
    ends = [to_fractions(side) for side in box.outer]
    least = [sum((a * ends[a < 0][k] for k, a in enumerate(row)), q) for row, q in zip(total, constant, strict=True)]
    most = [sum((a * ends[a > 0][k] for k, a in enumerate(row)), q) for row, q in zip(total, constant, strict=True)]
    return query, least, most


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("method", METHODS)
def test_affine_rows_contain_their_exact_values(method: str, dtype: Any) -> None:
    rng = np.random.default_rng(3)
    for size in [1, 2, 3, 5, 40][-drawn(5, 3) :]:
        query, least, most = affine_query(rng, size)
        found = compute(query, method, dtype=dtype).rows
        assert all(Fraction(float(v)) <= true for v, true in zip(found.lower, least, strict=True) if np.isfinite(v))
        assert all(Fraction(float(v)) >= true for v, true in zip(found.upper, most, strict=True) if np.isfinite(v))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_affine_rows_of_the_kept_engine_contain_their_exact_values(dtype: str) -> None:
    """Ranges, bounds, and the lines over the inputs, at the corner where each row is least."""
    rng = np.random.default_rng(4)
    for _ in range(drawn(200, 40)):
        query, least, _ = affine_query(rng, int(rng.integers(1, 5)) if rng.integers(4) else 40)
        engine = Engine(query, dtype=dtype)
        found = engine.bound(root(engine, 1))
        (x,) = query.inputs
        low, high = (to_fractions(side) for side in query.boxes[x].outer)
        for r, true in enumerate(least):
            bound, constant = float(found.lower[0, r]), float(found.constant[0, r])
            assert not np.isfinite(bound) or Fraction(bound) <= true
            if np.isfinite(constant):
                form = [Fraction(float(c)) for c in found.forms[x][0, r]]
                point = [min(c * a, c * b) for c, a, b in zip(form, low, high, strict=True)]
                assert Fraction(constant) + sum(point) <= true


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("left", "right"), [
    ([0, 0, 0, 0], [1, 0, 1, -1]), ([0, -1, 0, 1], [1, 1, 1, 1]), ([-1, -1, -1, 0], [1, 0, 1, -1]),
])  # fmt: skip
def test_slopes_of_one_element_are_not_those_of_another(method: str, left: list[float], right: list[float]) -> None:
    """Elements of a hinge are ReLUs, absolute values and lines in part, for x in [-1, 2]."""
    x = new_input("x", 4)
    y = pointwise(Hinge(np.array(left, float), np.array(right, float)), x)
    rows = Rows.of(y)
    query = Query("hinges", {x: Box(np.full(4, -1.0), np.full(4, 2.0))}, rows, Atoms(np.arange(4), True, True))
    found = compute(query, method).rows
    ends = np.stack([-np.array(left), np.zeros(4), 2 * np.array(right)])
    assert (found.lower <= ends.min(axis=0)).all()
    assert (found.upper >= ends.max(axis=0)).all()
