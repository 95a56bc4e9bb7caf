from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from neurons import accepts, program_of, query_of
from scenes import inequalities
from scipy.optimize import linprog

from nnsym.bounds.methods import compute
from nnsym.encode.point import complete, residual
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.ir.exact import to_fractions
from nnsym.ir.linear import Select
from nnsym.ir.node import affine, maximum, new_input, pointwise
from nnsym.ir.node import product as product_node
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Hinge, absolute, leaky_relu, relu
from nnsym.program import Tag
from nnsym.testing.check_encoding import check_encoding
from nnsym.testing.random_nets import KINDS, SMOOTH_KINDS
from tests.depth import drawn

FAST = (*(k for k in KINDS if k != "conv"), *SMOOTH_KINDS)
HINGES = [
    relu(),
    leaky_relu(0.1),
    absolute(),
    leaky_relu(3.3),
    Hinge(np.array([0.7]), np.array([-0.3]), "roof"),
    Hinge(np.array([-0.1]), np.array([-0.7]), "falling"),
]


def at(program, x, column, sign):
    """The least (sign 1) or largest (-1) value of a column where the first columns are ``x``."""
    rows = [b for b in program.rows if b.tag.value == "network" and "spec" not in b.origin]
    bounds = list(zip(program.lower, program.upper, strict=True))
    for j, value in enumerate(x):
        bounds[j] = (float(value), float(value))
    return _linear(program, rows, bounds, column, sign)


def _linear(program, rows, bounds, column, sign):
    cost = np.zeros(program.n_columns)
    cost[column] = sign
    answer = linprog(cost, *inequalities(program, rows), bounds=bounds)
    assert answer.status == 0
    return sign * answer.fun


@pytest.mark.parametrize("fn", HINGES, ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}")
@pytest.mark.parametrize(("lo", "hi"), [(-1.0, 2.0), (-0.3, 0.1)])
def test_an_open_hinge_is_replaced_by_its_hull(fn, lo, hi):
    program = program_of(lambda x: pointwise(fn, x), [lo], [hi], "triangle")
    f = lambda h: float(fn.value(np.array([h]))[0])  # noqa: E731
    for share in (0.0, 0.2, 0.5, 0.9, 1.0):
        h = lo + share * (hi - lo)
        chord = f(lo) + (f(hi) - f(lo)) * (h - lo) / (hi - lo)
        low, high = sorted((f(h), chord))
        assert at(program, [h], 1, 1) == pytest.approx(low, abs=1e-7)
        assert at(program, [h], 1, -1) == pytest.approx(high, abs=1e-7)


@pytest.mark.parametrize("fn", HINGES, ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}")
def test_every_point_of_the_graph_satisfies_the_rows_exactly_whatever_the_bounds(fn):
    rng = np.random.default_rng(0)
    for _ in range(drawn(60, 20)):
        lo, hi = -rng.uniform(0, 1) * 10.0 ** rng.integers(-8, 8), rng.uniform(0, 1) * 10.0 ** rng.integers(-8, 8)
        program = program_of(lambda x: pointwise(fn, x), [lo], [hi], "triangle")
        for h in (lo, hi, 0.0, lo / 3, hi / 7):
            assert accepts(program, exact=True, x=Fraction(h), post=fn.value(to_fractions([h])))


def test_relu_row_is_the_one_of_the_paper():
    program = program_of(lambda x: pointwise(relu(), x), [-1.0], [2.0], "triangle")
    (row,) = (b for b in program.rows if "(u-l) y" in b.origin)
    assert (row.data.tolist(), row.upper.tolist()) == ([3.0, -2.0], [2.0])
    assert program.n_binary == 0


def test_rows_of_a_maximum_are_the_hull_over_independent_members():
    rng = np.random.default_rng(1)
    for size in (2, 3, 4):
        lower = rng.uniform(-1, 0, size)
        upper = lower + rng.uniform(1, 2, size)
        program = program_of(lambda x, n=size: maximum(x, np.arange(n)[None]), lower, upper, "triangle")
        for _ in range(4):
            x = lower + rng.random(size) * (upper - lower)
            assert at(program, x, size, 1) == pytest.approx(x.max(), abs=1e-7)
            assert at(program, x, size, -1) == pytest.approx(_envelope(x, lower, upper), abs=1e-7)


def _envelope(x, lower, upper):
    """The concave envelope of max over a box at x: the best convex combination of corners."""
    corners = np.array(list(product(*zip(lower, upper, strict=True))))
    answer = linprog(
        -corners.max(axis=1),
        A_eq=np.vstack((corners.T, np.ones(len(corners)))),
        b_eq=np.append(x, 1.0),
        bounds=(0, None),
    )
    return -answer.fun


def test_rows_of_a_maximum_hold_exactly():
    rng = np.random.default_rng(2)
    for trial in range(120):
        size = 2 + trial % 3
        lower = rng.normal(size=size) * 10.0 ** rng.integers(-3, 3)
        upper = lower + rng.random(size) * rng.choice([0.0, 1e-7, 1.0, 1e3] if trial % 4 == 0 else [1.0, 10.0], size)
        program = program_of(lambda x, n=size: maximum(x, np.arange(n)[None]), lower, upper, "triangle")
        if not any(b.role == "value" and b.node != "x" for b in program.blocks):
            continue
        for corner in product(*zip(lower, upper, strict=True)):
            x = [Fraction(v) for v in corner]
            assert accepts(program, exact=True, x=x, value=max(x))


def test_rows_of_a_square_hold_exactly_and_zero_has_no_column():
    rng = np.random.default_rng(4)
    for _ in range(60):
        lower = rng.normal(size=1)
        upper = lower + rng.random(1)
        x = new_input("x", 1)
        both = affine(((Select(np.array([0, -1]), 1), x),))
        query = query_of(product_node(both, both), {x: lower}, {x: upper})
        program = encode(query, compute(query, "ibp"), find_encoding("triangle"))
        assert [len(b.index) for b in program.blocks if b.node == "product_1"] == [1]
        for end in (lower, upper):
            assert residual(program, complete(program, query, {x: end}, exact=True), frozenset(Tag))[0] == 0


def test_products_lie_in_their_envelope_and_squares_above_their_tangents():
    rng = np.random.default_rng(3)
    for _ in range(20):
        lower = rng.normal(size=2)
        upper = lower + rng.random(2) * rng.choice([1e-9, 1.0], 2)
        x = new_input("x", 2)
        left, right = (_element(x, k) for k in (0, 1))
        for y in (product_node(left, right), product_node(left, left)):
            query = query_of(y, {x: lower}, {x: upper})
            program = encode(query, compute(query, "ibp"), find_encoding("triangle"))
            for point in product(*zip(lower, upper, strict=True)):
                assert residual(program, complete(program, query, {x: np.array(point)}, exact=True))[0] == 0
            middle = (lower + upper) / 2
            ends = np.array([lower[0], upper[0]])
            for sign in (1, -1):
                if y is product_node(left, right):
                    expected = _mccormick(middle, lower, upper, sign)
                else:
                    expected = (ends**2).mean() if sign < 0 else ends.prod()  # tangents at the ends meet in the middle
                expected = max(expected, program.lower[2]) if sign > 0 else min(expected, program.upper[2])
                assert at(program, middle, 2, sign) == pytest.approx(expected, abs=1e-7)


def _mccormick(x, lower, upper, sign):
    """The convex (1) or concave (-1) envelope of the product over a box."""
    corners = np.array(list(product(*zip(lower, upper, strict=True))))
    values = corners.prod(axis=1)
    equal = np.vstack((corners.T, np.ones(4)))
    answer = linprog(sign * values, A_eq=equal, b_eq=np.append(x, 1.0), bounds=(0, None))
    return sign * answer.fun


def _element(x, k):
    return affine(((Select(np.array([k]), x.size), x),))


@pytest.mark.parametrize("fn", [Sigmoid(), Tanh()], ids=lambda fn: fn.name)
def test_smooth_activations_lie_between_their_lines(fn):
    for lo, hi in ((-3.0, 2.0), (-1.0, -0.5), (0.5, 4.0), (0.25, 0.25)):
        program = program_of(lambda x: pointwise(fn, x), [lo], [hi], "triangle")
        for h in np.linspace(lo, hi, 9):
            value = float(fn.value(np.array([h]))[0])
            low, high = at(program, [h], 1, 1), at(program, [h], 1, -1)
            assert low - 1e-9 <= value <= high + 1e-9
            assert lo == hi or high - low < np.ptp(fn.value(np.array([lo, hi])))


def test_conformance():
    done = check_encoding("triangle", kinds=FAST, seeds=range(3), runs=3, bounds=("crown",))
    assert (done.queries, done.solved) == (21, 15)
    check_encoding("triangle", kinds=["conv"], seeds=[2], runs=2, bounds=("ibp",))
