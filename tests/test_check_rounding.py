"""Rounding goes the right way: limbs as integers, affine rows as fractions, weights that are no dyadic numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from certificates import box, certificate, plain, stated

from nnsym.check.checker import Checker
from nnsym.check.graph import Map
from nnsym.check.limbs import LIMB, Matrix, dot, floored, times_slope
from nnsym.check.tree import Tree


def _whole(rng: np.random.Generator, bits: int, shape: tuple[int, ...]) -> Any:
    return rng.integers(-(1 << bits), 1 << bits, shape)


@pytest.mark.parametrize("seed", range(20))
def test_limbs_multiply_and_floor_as_integers_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    c = _whole(rng, int(rng.integers(1, 44)), (5, 7))
    dense, sparse = rng.standard_normal((7, 6)).astype(np.float32), [(0, 3), (), (2,), (1, 4, 5), (5,), (0,), (3, 2)]
    if seed % 2:
        m = Map(6, [(None, [float(v) for v in row]) for row in dense])
    else:
        m = Map(6, [(list(js), [float(dense[i, j]) for j in js]) for i, js in enumerate(sparse)])
    matrix = Matrix(m)
    if not seed % 2 and seed % 4:
        matrix.dense = False
        matrix.back = matrix._listed(matrix._limbs([w for r in m.integers[1] for w in r]), *matrix.places)
    shift, weights, _ = m.integers
    full = [[dict(zip(range(6) if js is None else js, ws, strict=True)).get(j, 0) for j in range(6)]
            for (js, _), ws in zip(m.rows, weights, strict=True)]  # fmt: skip
    made, lost = floored(matrix.times(c, matrix.back), shift)
    for r in range(5):
        for j in range(6):
            true = sum(int(c[r, i]) * full[i][j] for i in range(7))
            assert made[r, j] == true >> shift
            assert bool(lost[r, j]) == bool(true & ((1 << shift) - 1))


@pytest.mark.parametrize("seed", range(20))
def test_slopes_and_dots_floor_as_integers_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    c, slope = _whole(rng, int(rng.integers(2, 53)), (4, 9)), _whole(rng, 31, (4, 9))
    made, lost = times_slope(c, slope)
    for a, s, found, less in zip(c.ravel().tolist(), slope.ravel().tolist(), made.ravel(), lost.ravel(), strict=True):
        assert found == a * s >> 30
        assert less == bool(a * s & ((1 << 30) - 1))
    values = _whole(rng, 40, (4, 9))
    c = _whole(rng, int(rng.integers(2, 40)), (4, 9))
    for row, v, found in zip(c.tolist(), values.tolist(), dot(c, values, 32), strict=True):
        assert found == sum(a * b for a, b in zip(row, v, strict=True)) >> 32


def test_carries_go_through_limbs_of_ones() -> None:
    ones, top = (1 << LIMB) - 1, 1 << 45
    for low in (-1, 0, 1, ones, ones + 1, -ones - 1, -top):
        for high in (-1, 0, ones, -ones - 1):
            for shift in (0, 1, LIMB - 1, LIMB, LIMB + 1, 2 * LIMB - 1, 2 * LIMB, 64):
                made, lost = floored([np.array([low]), np.array([high]), np.array([3])], shift)
                true = low + (high << LIMB) + (3 << 2 * LIMB)
                assert made[0] == true >> shift
                assert lost[0] == bool(true & ((1 << shift) - 1))


@pytest.mark.parametrize("engine", ["reference", "fast"])
@pytest.mark.parametrize("far", [0, 3000])
def test_an_affine_row_is_never_above_the_exact_one(engine: str, far: int) -> None:
    """No function is between, so the exact least value is known: rounding may lose, by little, and never gain.

    Far from 0 what counts is what floored coefficients lose, near it constants; the box itself is exact.
    """
    rng = np.random.default_rng(17)
    for _ in range(60):
        w1, w2 = (rng.standard_normal((3, 3)).astype(np.float32).astype(float) * k for k in (1, 1 if far else 50))
        b1 = rng.standard_normal(3).astype(np.float32).astype(float)
        nodes = [["MatMul", ["x", "w1"], ["m"]], ["Add", ["m", "b1"], ["z"]], ["MatMul", ["z", "w2"], ["y"]]]
        graph = plain({"x": [3]}, nodes, ["y"], w1=w1, w2=w2, b1=b1)
        point = [Fraction(int(p), 64) - far for p in rng.integers(-999, 1000, 3)]
        factor = Fraction(int(rng.integers(1, 999)), 997)
        limits = box("x", point, [p + Fraction(1, 64) for p in point])
        text = stated(graph, limits + f"(assert (<= (+ y[0] (* {factor} y[1])) 0.0))", {"y": [3]})
        made = certificate(text, [["l"]], {"name": "f", "graph": graph}, precision=16)
        found = Checker(made, {}, engine).run(failures=True).least
        outer = [Fraction(a) + factor * Fraction(b) for a, b, _ in w2.tolist()]
        row = [sum((Fraction(v) * c for v, c in zip(line, outer, strict=True)), Fraction(0)) for line in w1.tolist()]
        constant = sum((Fraction(b) * c for b, c in zip(b1.tolist(), outer, strict=True)), Fraction(0))
        true = constant + sum(c * (p + (Fraction(1, 64) if c < 0 else 0)) for c, p in zip(row, point, strict=True))
        assert found is not None
        assert found <= true < found + (20 if far else 1)


def test_weights_that_are_no_dyadic_numbers_are_enclosed() -> None:
    """Thirds and square roots, with more places than they are known to."""
    nodes = [["Div", ["x", "three"], ["y"]]]
    graph = plain({"x": [1, 2]}, nodes, ["y"], three=[3, 7])
    limits = "".join(f"(assert (== x[0,{k}] {v}))" for k, v in enumerate((-5, 11)))
    text = stated(graph, limits, {"y": [1, 2]})
    made = certificate(text, [["l"]], {"name": "f", "graph": graph}, precision=200, names=[[0, "y"]])
    checker = Checker(made, {}, "reference")
    bounds = checker.root([["b"]]).known[checker.problem.names[0].node]
    for low, high, true in zip(bounds.lower, bounds.upper, (Fraction(-5, 3), Fraction(11, 7)), strict=True):
        assert Fraction(low, 1 << 200) < true < Fraction(high, 1 << 200) < Fraction(low, 1 << 200) + Fraction(1, 2**60)


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_splits_narrow_known_bounds_outward(engine: str) -> None:
    graph = plain({"x": [1]}, [["Relu", ["x"], ["y"]]], ["y"])
    text = stated(graph, box("x", [-1], [1]) + "(assert (<= y[0] -1.0))", {"y": [1]})
    made = certificate(text, [["l"]], {"name": "f", "graph": graph}, precision=16, names=[[0, "y"]])
    checker = Checker(made, {}, engine)
    for factor, sides in ((1, ("upper", "lower")), (-1, ("lower", "upper"))):
        token = ["g", [[0, 0, factor]], f"{factor}/3"]
        for case, side in zip(
            Tree(checker.problem, checker.engine, []).children(0, token, checker.root([["b"]])), sides, strict=True
        ):
            bounds = case.known[checker.problem.names[0].node]
            found = Fraction(int(getattr(bounds, side)[0]), 1 << checker.engine.bits)
            assert 0 < (found - Fraction(1, 3)) * (1 if side == "upper" else -1) < Fraction(1, 2**15)
