from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from neurons import HINGES, accepts, grid, program_of

from nnsym.bounds.methods import compute
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense, Select
from nnsym.ir.node import affine, maximum, new_input, pointwise
from nnsym.ir.node import product as times
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import relu
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.registry import find
from nnsym.testing.check_encoding import check_encoding
from nnsym.testing.random_nets import KINDS

FAST = tuple(k for k in KINDS if k != "conv")


@pytest.mark.parametrize("fn", HINGES, ids=lambda fn: f"{fn.left[0]}|{fn.right[0]}")
@pytest.mark.parametrize("name", ["smt", "indicator"])
def test_the_facts_of_an_open_hinge_describe_its_graph_and_nothing_else(fn, name):
    program = program_of(lambda x: pointwise(fn, x), [-1.0], [2.0], name)
    assert any("(u-l)" in b.origin for b in program.rows) == (name == "indicator")
    for h, y, p in product(grid(-1, 2, 0.5), grid(-4, 4, 0.5), (0, 1)):
        on_graph = y == fn.value(np.array([h]))[0]
        side = h >= 0 if p else h <= 0
        assert accepts(program, x=h, post=y, phase=p) == (on_graph and side), (h, y, p)


@pytest.mark.parametrize("name", ["smt", "indicator"])
@pytest.mark.parametrize(("lower", "upper"), [(-np.inf, np.inf), (-2.0, np.inf), (-np.inf, 2.0)])
def test_no_bounds_are_needed(lower, upper, name):
    program = program_of(lambda x: pointwise(relu(), x), [lower], [upper], name)
    assert not any("(u-l)" in b.origin for b in program.rows)
    for h, y, p in product(grid(-2, 2, 0.5), grid(-2, 2, 0.5), (0, 1)):
        assert accepts(program, x=h, post=y, phase=p) == (y == max(h, 0) and (h >= 0 if p else h <= 0))


def test_the_facts_of_a_maximum_describe_its_graph_and_nothing_else():
    lower, upper = [-1.0, 0.0, -2.0], [1.0, 2.0, 0.5]
    program = program_of(lambda x: maximum(x, np.array([[0, 1, 2]])), lower, upper, "smt")
    spans = [grid(lo, hi, 0.5) for lo, hi in zip(lower, upper, strict=True)]
    for *x, choice in product(*spans, list(product((0, 1), repeat=3))):
        for y in grid(0, 2, 0.5):
            right = any(choice) and y == max(x) and all(v == y for v, c in zip(x, choice, strict=True) if c)
            assert accepts(program, x=x, value=y, choice=choice) == right, (x, y, choice)


def test_a_product_is_a_product_and_zero_has_no_column():
    def squares(x):
        left, right = (affine(((Select(np.array(k), 2), x),)) for k in ([0, 1, -1], [1, 1, 0]))
        return times(left, right)

    program = program_of(squares, [-1.0, -2.0], [2.0, 1.0], "smt")
    (block,) = program.products
    assert (block.left.tolist(), block.right.tolist()) == ([0, 1], [1, 1])  # x0 x1, x1 x1; 0 x0 is the constant 0
    for a, b, y in product(grid(-1, 2, 0.5), grid(-2, 1, 0.5), grid(-4, 4, 0.5)):
        assert accepts(program, x=[a, b], value=[y, b * b]) == (y == a * b)


@pytest.mark.parametrize(
    ("limit", "strict", "status"),
    [
        (Fraction(1, 3), False, Status.SAT),
        (Fraction(1, 3), True, Status.UNSAT),
        (Fraction(1, 3) - Fraction(1, 10**30), False, Status.UNSAT),
        (Fraction(1, 3) + Fraction(1, 10**30), True, Status.SAT),
    ],
)
def test_atoms_at_the_threshold_are_decided_exactly(limit, strict, status):
    """y = relu(3 x) + relu(-x) over [1/9, 1] is least, 1/3, at x = 1/9; is y <= limit (or <) possible?"""
    x = new_input("x", 1)
    h = affine(((Dense(np.array([[3.0], [-1.0]])), x),))
    y = affine(((Dense(np.ones((1, 2))), pointwise(relu(), h)),))
    rows = Rows.of(y) - Rows.constants([limit])
    box = Box(np.array([Fraction(1, 9)], dtype=object), np.array([1.0]))
    query = Query("third", {x: box}, rows, Atoms(np.array([0]), strict=strict, soft=True))
    bounds = compute(query, "ibp")
    program = encode(query, bounds, find_encoding("smt"))
    assert find("z3").solve(program, Limits(seconds=20), Goal()).status is status


@pytest.mark.slow
def test_conformance():
    done = check_encoding("smt", kinds=FAST, seeds=range(3), runs=3, bounds=("crown",))
    assert (done.queries, done.solved) == (15, 15)
    check_encoding("smt", kinds=["conv"], seeds=[2], runs=2, bounds=("ibp",))
