"""What the tries find is a model of all facts, and what they exclude no numbers satisfy; steps decide, not time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import z3

from nnsym.testing.prove.number import above
from nnsym.testing.prove.tries import find_model
from nnsym.testing.prove.world import World

X, Y, Z = z3.Reals("x y z")


def world(*facts: Any) -> World:
    made = World()
    made.assume(*facts)
    return made


@pytest.mark.parametrize("seed", range(10))
def test_what_numbers_satisfy_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    point = [(name, z3.Q(*map(int, (rng.integers(-6, 7), rng.integers(1, 4))))) for name in (X, Y, Z)]
    terms = [X, Y * Z, X * X, z3.If(X >= Y, X * Z, Y), 2 * X - 3 * Y * Z, z3.RealVal(1)]
    pairs = [(terms[k], terms[m]) for k, m in rng.integers(len(terms), size=(6, 2))]
    true = [a <= b if z3.is_true(z3.simplify(z3.substitute(a <= b, *point))) else a > b for a, b in pairs]
    made = world(*true[1:])
    made.margins += [X - Y, Z]
    found = find_model(made, true[0], 20.0)
    assert all(z3.is_true(found.eval(said, model_completion=True)) for said in true)


def test_a_model_of_a_part_of_the_facts_denies_nothing() -> None:
    assert find_model(world(Y * Y < -1), X > 0, 20.0) is False


def test_facts_about_what_a_number_was_made_of_count() -> None:
    made = world(X >= 1)
    r = made.result(above, made.term(lambda a: a * a, X))
    assert find_model(made, r < 1, 20.0) is False


def test_integers_are_no_reals() -> None:
    made = World()
    k = made.integer(lambda r, value: (r <= value, value < r + 1), X)
    assert find_model(made, z3.And(k == X, 2 * X == 1), 20.0) is False
    assert find_model(made, z3.And(k == X, X > 2), 20.0) not in (None, False)


def test_no_time_is_no_answer() -> None:
    assert find_model(world(X >= 1), X < 1, 0.0) is None
