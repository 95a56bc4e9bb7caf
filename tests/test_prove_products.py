"""Signs of products lose no numbers that satisfy formulas, and exclude what only a product of two of them excludes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import z3

from nnsym.testing.prove.products import linearised

X, Y, Z, W = z3.Reals("x y z w")


def answer(formulas: list[Any], multipliers: tuple[Any, ...] = ()) -> Any:
    solver = z3.Solver()
    solver.add(*linearised(formulas, multipliers))
    return solver.check()


@pytest.mark.parametrize("seed", range(20))
def test_what_numbers_satisfy_is_not_excluded(seed: int) -> None:
    rng = np.random.default_rng(seed)
    point = {name: z3.Q(*map(int, (rng.integers(-6, 7), rng.integers(1, 4)))) for name in (X, Y, Z)}
    terms = [X, Y, Z, X * Y, Y * Z, X * X, X + Y, z3.If(X >= Y, X * Z, Y), 2 * X - 3 * Y * Z, z3.RealVal(1)]
    formulas = []
    for _ in range(8):
        a, b = (terms[k] for k in rng.integers(len(terms), size=2))
        true = z3.is_true(z3.simplify(z3.substitute(a <= b, *point.items())))
        formulas.append(a <= b if true else z3.Or(a > b, a == b + 1))
    assert answer(formulas, (X - Y,)) == z3.sat


def test_a_product_of_two_inequalities_excludes() -> None:
    assert answer([X >= 0, Y <= Z, X * Y > X * Z]) == z3.unsat
    assert answer([X <= 0, Y <= Z, X * Y < X * Z]) == z3.unsat
    assert answer([Y <= Z, X * Y > X * Z]) == z3.sat


def test_a_distance_from_a_bound_is_multiplied_where_it_is_named() -> None:
    formulas = [Y >= W, Z >= X, (Y - W) * X > (Y - W) * Z]  # each factor of the products may be negative
    assert answer(formulas, (Y - W,)) == z3.unsat


def test_cases_are_told_apart() -> None:
    assert answer([z3.If(X * Y >= 0, X * Y, -(X * Y)) < X * Y]) == z3.unsat
