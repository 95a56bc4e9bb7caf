"""The exact oracle and its simplex: hand-computed margins, grids, and SciPy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nnsym.errors import InputError, MissingBoundsError, UnsupportedError
from nnsym.ir.domain import Box
from nnsym.ir.formula import And, Atoms, InBox, Or, RowFormula
from nnsym.ir.linear import Dense
from nnsym.ir.node import Node, affine, maximum, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.ir.rational.simplex import minimise
from nnsym.ir.rows import Rows, stack
from nnsym.ir.univariate import absolute, relu
from nnsym.testing.random_nets import KINDS, random_network, random_query

INF = float("inf")


def soft(*rows: int, every: bool = True) -> Atoms:
    return Atoms(np.array(rows), strict=False, soft=True, every=every)


def hard(*rows: int) -> Atoms:
    return Atoms(np.array(rows), strict=False, soft=False)


def query(x: Node, box: Box, rows: Rows, formula: RowFormula) -> Query:
    return Query("q", {x: box}, rows, formula)  # type: ignore[dict-item]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6))
@example(18549)
def test_simplex_against_scipy(seed: int) -> None:
    from scipy.optimize import linprog

    rng = np.random.default_rng(seed)
    n, m = rng.integers(1, 5), rng.integers(0, 9)
    rows, limits, cost = rng.integers(-4, 5, (m, n)), rng.integers(-5, 9, m), rng.integers(-3, 4, n)
    lower = [-INF if rng.random() < 0.2 else float(rng.integers(-4, 1)) for _ in range(n)]
    upper = [INF if rng.random() < 0.2 else float(rng.integers(0, 5)) for _ in range(n)]
    bounds = list(zip(lower, upper, strict=True))
    matrix = {"A_ub": rows, "b_ub": limits} if m else {}
    theirs = linprog(cost, bounds=bounds, **matrix)
    exact = [[Fraction(int(v)) for v in row] for row in rows]
    try:
        ours = minimise([Fraction(int(c)) for c in cost], exact, [Fraction(int(b)) for b in limits], lower, upper)
    except InputError:
        if theirs.status == 2:  # HiGHS's presolve calls some unbounded problems infeasible (seed 18549)
            theirs = linprog(cost, bounds=bounds, options={"presolve": False}, **matrix)
        assert theirs.status in (3, 4)  # unbounded (or "infeasible or unbounded")
        return
    if ours is None:
        assert theirs.status in (2, 4)
        return
    assert theirs.status == 0
    assert abs(theirs.fun - float(ours.value)) < 1e-7
    left = [sum(a * v for a, v in zip(row, ours.point, strict=True)) for row in exact]
    assert all(value <= int(limit) for value, limit in zip(left, limits, strict=True))
    assert all(low <= v <= high for low, v, high in zip(lower, ours.point, upper, strict=True))


def test_simplex_does_not_cycle() -> None:
    # Beale's example, on which the largest-coefficient rule cycles.
    rows = [["1/4", "-60", "-1/25", "9"], ["1/2", "-90", "-1/50", "3"], ["0", "0", "1", "0"]]
    cost = [Fraction(v) for v in ("-3/4", "150", "-1/50", "6")]
    limits = [Fraction(0), Fraction(0), Fraction(1)]
    found = minimise(cost, [[Fraction(v) for v in row] for row in rows], limits, [0.0] * 4, [INF] * 4)
    assert found is not None
    assert found.value == Fraction(-1, 20)


def test_the_lecture_example_has_margin_exactly_zero() -> None:
    # x + y >= x - y on x in [1, 2], y in [0, 1]: violated where (x + y) - (x - y) < 0.
    x = new_input("x", 2)
    sums = affine(((Dense([[1.0, 1.0], [1.0, -1.0]]), x),))
    row = Rows.of(sums).combine(np.array([[1.0, -1.0]]))
    answer = minimum_margin(query(x, Box(np.array([1.0, 0.0]), np.array([2.0, 1.0])), row, soft(0)))
    assert answer.margin == 0
    assert answer.point is not None
    assert answer.point[x][1] == 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("formula", "margin"),
    [
        (soft(0), Fraction(-1)),  # relu(x) - 1 at x <= 0
        (soft(1), Fraction(-1)),  # 1 - relu(x) at x = 2
        (soft(0, 1), Fraction(0)),  # the larger of both, at relu(x) = 1
        (soft(0, 1, every=False), Fraction(-1)),
        (And((hard(2), soft(1))), Fraction(1, 2)),  # x <= 1/2
        (And((hard(2), soft(0))), Fraction(-1)),
        (Or((And((hard(2), soft(1))), And((hard(3), soft(0))))), Fraction(-2, 3)),  # x <= 1/2, or x >= 1/3
        (And((hard(2), hard(4), soft(0))), INF),  # x <= 1/2 and x >= 1
        (hard(2), -INF),
    ],
)
def test_margins_by_hand(formula: RowFormula, margin: Fraction | float) -> None:
    x = new_input("x", 1)
    y = Rows.of(pointwise(relu(), x))
    value = Rows.of(x)
    third = Rows.constants([Fraction(1, 3)])
    one, half = Rows.constants([1.0]), Rows.constants([0.5])
    rows = stack((y - one, one - y, value - half, third - value, one - value))
    answer = minimum_margin(query(x, Box(np.array([-1.0]), np.array([2.0])), rows, formula))
    assert answer.margin == margin
    assert (answer.point is None) == (margin == INF)


def test_boxes_inside_or_and_exact_boxes() -> None:
    x = new_input("x", 1)
    box = Box(np.array([Fraction(-1, 3)], dtype=object), np.array([Fraction(2, 3)], dtype=object))
    left = InBox(x, np.array([-INF]), np.array([Fraction(-1, 7)], dtype=object))
    right = InBox(x, np.array([0.5]), np.array([INF]))
    rows = Rows.of(pointwise(absolute(), x))
    assert minimum_margin(query(x, box, rows, And((Or((left, right)), soft(0))))).margin == Fraction(1, 7)
    assert minimum_margin(query(x, box, rows.scale(-1.0), And((left, soft(0))))).margin == Fraction(-1, 3)


def test_maximum() -> None:
    x = new_input("x", 2)
    lines = affine(((Dense([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]), x),), [0.0, 0.0, -0.25])
    y = maximum(lines, [[0, 1, 2], [2, -1, -1]])  # max(|x0|, x1 - 1/4), x1 - 1/4
    gap = Rows.of(y).combine(np.array([[1.0, -1.0]]))
    box = Box(np.array([-1.0, -1.0]), np.array([1.0, 0.75]))
    assert minimum_margin(query(x, box, gap, soft(0))).margin == 0
    assert minimum_margin(query(x, box, gap.scale(-1.0), soft(0))).margin == Fraction(-9, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_no_sample_is_below_the_oracle_and_its_point_attains_it(kind: str) -> None:
    for seed in range(3):
        q = random_query(random_network(kind, seed, width=3), seed)
        answer = minimum_margin(q)
        rng = np.random.default_rng(seed)
        steps = {x: b.lower + (b.upper - b.lower) * rng.integers(0, 9, (200, x.size)) / 8 for x, b in q.boxes.items()}
        values = q.values(steps)
        margins = [q.margin({node: v[k] for node, v in values.items()}) for k in range(200)]
        assert min(margins) >= float(answer.margin) - 1e-9
        if answer.point is not None:
            assert q.margin(q.values(answer.point, exact=True)) == float(answer.margin)


def test_a_grid_comes_close_to_the_oracle() -> None:
    q = random_query(random_network("dense", 4), 4)
    (x,) = q.inputs
    axes = [np.linspace(low, high, 81) for low, high in zip(q.boxes[x].lower, q.boxes[x].upper, strict=True)]
    grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    values = q.values({x: grid})
    best = min(q.margin({node: v[k] for node, v in values.items()}) for k in range(len(grid)))
    exact = float(minimum_margin(q).margin)
    assert exact <= best + 1e-9 <= exact + 0.5


def test_what_the_oracle_refuses() -> None:
    x = new_input("x", 1)
    unit = Box(np.array([-1.0]), np.array([1.0]))
    squared = query(x, unit, Rows.of(product(x, x)), soft(0))
    smooth = random_query(random_network("tanh", 0), 0)
    for q, word in ((squared, "product"), (smooth, "tanh")):
        with pytest.raises(UnsupportedError, match=word):
            minimum_margin(q)
    with pytest.raises(MissingBoundsError, match="bounded"):
        minimum_margin(query(x, Box(np.array([-INF]), np.array([1.0])), Rows.of(x), soft(0)))
    whole = new_input("k", 1, integer=True)
    with pytest.raises(UnsupportedError, match="integer"):
        minimum_margin(query(whole, unit, Rows.of(whole), soft(0)))
    with pytest.raises(UnsupportedError, match="too many"):
        minimum_margin(random_query(random_network("dense", 1), 1), max_unstable=0)


def test_an_empty_box_is_infinitely_safe() -> None:
    x = new_input("x", 1)
    assert minimum_margin(query(x, Box(np.array([1.0]), np.array([0.0])), Rows.of(x), soft(0))).margin == INF
