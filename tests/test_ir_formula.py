"""Formulas: folding, leaves and the margin form."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.ir.domain import Box
from nnsym.ir.formula import (
    FALSE,
    TRUE,
    And,
    Atoms,
    InBox,
    Or,
    RowFormula,
    conjunction,
    disjunction,
    leaves,
    margin_lower,
    reduce_formula,
)
from nnsym.ir.node import new_input

M = 5
atoms = st.builds(
    lambda rows, every: Atoms(np.array(sorted(rows)), strict=False, soft=True, every=every),
    st.sets(st.integers(0, M - 1), min_size=1, max_size=3),
    st.booleans(),
)
formulas: st.SearchStrategy[RowFormula] = st.recursive(
    atoms,
    lambda inner: st.builds(
        lambda kind, parts: kind(tuple(parts)), st.sampled_from([And, Or]), st.lists(inner, max_size=3)
    ),
    max_leaves=8,
)
values = st.lists(st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0]), min_size=M, max_size=M).map(np.array)


def holds(formula: RowFormula, s: np.ndarray, level: float) -> bool:
    if isinstance(formula, Atoms):
        return (all if formula.every else any)(s[k] <= level for k in formula.rows)
    assert isinstance(formula, (And, Or))
    return (all if isinstance(formula, And) else any)([holds(p, s, level) for p in formula.parts])


@settings(max_examples=200, deadline=None)
@given(formulas, values)
def test_margin_is_the_least_level_at_which_the_formula_holds(formula: RowFormula, s: np.ndarray) -> None:
    margin = margin_lower(formula, lambda leaf: s[leaf.rows])  # type: ignore[union-attr]
    levels = [-np.inf, *sorted(set(s)), np.inf]
    found = [t for t in levels if holds(formula, s, t)]
    assert margin == (found[0] if found else np.inf)


@settings(max_examples=50, deadline=None)
@given(st.lists(formulas, max_size=3), values)
def test_flattening_keeps_the_meaning(parts: list[RowFormula], s: np.ndarray) -> None:
    for join, kind in ((conjunction, And), (disjunction, Or)):
        flat, plain = join(*parts), kind(tuple(parts))
        for t in (-1.5, 0.0, 1.5):
            assert holds(flat, s, t) == holds(plain, s, t)
    nested = conjunction(conjunction(*parts, TRUE), conjunction(TRUE, *parts))
    assert holds(nested, s, 0.0) == holds(And(tuple(parts)), s, 0.0)


def test_constants() -> None:
    one = Atoms(np.array([0]), strict=False, soft=True)
    assert conjunction(one, FALSE) is FALSE
    assert conjunction(one, TRUE) is one
    assert disjunction(one, TRUE) is TRUE
    assert disjunction(one, FALSE) is one
    assert margin_lower(TRUE, lambda leaf: np.zeros(0)) == -np.inf
    assert margin_lower(FALSE, lambda leaf: np.zeros(0)) == np.inf
    for every, margin in ((True, -np.inf), (False, np.inf)):
        empty = Atoms(np.zeros(0, dtype=int), strict=False, soft=True, every=every)
        assert margin_lower(empty, lambda leaf: np.zeros(0)) == margin


def test_leaves_come_left_to_right_and_shared_parts_once() -> None:
    a, b, c, d = (Atoms(np.array([k]), strict=False, soft=True) for k in range(4))
    assert leaves(And((a, Or((b, c)), d))) == [a, b, c, d]
    shared = Or((a, b))
    for _ in range(60):  # 2^60 paths
        shared = And((Or((shared, c)), Or((shared, d))))  # type: ignore[assignment]
    assert leaves(shared) == [a, b, c, d]


def test_deep_formulas_do_not_recurse() -> None:
    formula: RowFormula = Atoms(np.array([0]), strict=False, soft=True)
    for k in range(5000):
        formula = (And if k % 2 else Or)((formula,))
    assert reduce_formula(formula, lambda leaf: 1, sum, sum) == 1


def test_boxes_intersect_and_hull_exactly() -> None:
    from fractions import Fraction

    third = np.array([Fraction(1, 3), -np.inf], dtype=object)
    a = Box(third, np.array([1.0, 2.0]))
    b = Box(np.array([0.3333333333333333, 0.0]), np.array([Fraction(2, 3), np.inf], dtype=object))
    meet, hull = a.intersect(b), a.hull(b)
    assert meet.lower.tolist() == [Fraction(1, 3), 0.0]
    assert meet.upper.tolist() == [Fraction(2, 3), 2.0]
    assert hull.lower.tolist() == [0.3333333333333333, -np.inf]
    assert hull.upper.tolist() == [1.0, np.inf]
    assert not meet.empty
    assert Box(np.array([1.0]), np.array([0.0])).empty
    low, high = meet.outer
    assert low[0] < Fraction(1, 3) <= np.nextafter(low[0], 1)
    assert high[0] > Fraction(2, 3)


def test_in_box_is_a_leaf() -> None:
    x = new_input("x", 2)
    box = InBox(x, np.zeros(2), np.ones(2))
    assert leaves(conjunction(box, TRUE)) == [box]
