"""A denial is excluded by the facts that it takes, on every path that has them; else numbers are found."""

from __future__ import annotations

from typing import Any

import z3

from nnsym.testing.prove.tries import find_model
from nnsym.testing.prove.world import Memory, World

X, Y, Z = z3.Reals("x y z")


def world(memory: Memory, *facts: Any) -> World:
    made = World(memory=memory)
    made.assume(*facts)
    return made


def test_what_a_denial_was_excluded_by_excludes_it_on_other_paths() -> None:
    memory = Memory()
    assert find_model(world(memory, X >= Z, Z >= 1, Y >= 5), X < 0, 5) is False
    assert world(memory, Z >= 1, X >= Z).excludes(X < 0)  # y played no part
    other = world(memory, X >= Z, Y >= 5)
    assert not other.excludes(X < 0)
    assert z3.is_true(find_model(other, X < 0, 5).eval(X < 0))


def test_products_are_multiplied_where_it_takes_that() -> None:
    known = world(Memory(), X >= 1, Y >= 1)
    assert find_model(known, X * Y < 1, 5) is False
    model = find_model(known, X * Y < 2, 5)
    assert z3.is_true(model.eval(z3.And(X * Y < 2, X >= 1, Y >= 1), model_completion=True))


def test_without_time_nothing_is_said() -> None:
    assert find_model(world(Memory(), X >= 1), X < 0, 0) is None
