from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nnsym.encode.formula import Flat, disjuncts, flat_formula, simplify
from nnsym.encoding import Form
from nnsym.ir.domain import Box
from nnsym.ir.formula import And, Atoms, InBox, Or, RowFormula, margin_lower
from nnsym.ir.node import new_input

N_ROWS = 5
X = new_input("x", 1)
HULL = {X: Box(np.array([0.0]), np.array([4.0]))}


def atoms() -> st.SearchStrategy[RowFormula]:
    rows = st.lists(st.integers(0, N_ROWS - 1), min_size=1, max_size=3, unique=True)
    return st.builds(lambda r, strict, soft, every: Atoms(np.array(r), strict, soft, every), rows, *[st.booleans()] * 3)


def boxes() -> st.SearchStrategy[RowFormula]:
    ends = st.tuples(st.integers(-1, 5), st.integers(-1, 5))
    return st.builds(lambda e: InBox(X, np.array([float(min(e))]), np.array([float(max(e))])), ends)


FORMULAS = st.recursive(
    st.one_of(atoms(), atoms(), boxes()),
    lambda parts: st.one_of(
        st.lists(parts, max_size=3).map(lambda p: And(tuple(p))),
        st.lists(parts, max_size=3).map(lambda p: Or(tuple(p))),
    ),
    max_leaves=8,
)


def value(formula: RowFormula, s, x: float, form: Form) -> float:
    """The formula's margin form at row values s and input x, as the program of that form means it."""

    def leaf(node):
        if isinstance(node, InBox):
            return np.array([-np.inf if node.lower[0] <= x <= node.upper[0] else np.inf])
        chosen = s[node.rows]
        if form is Form.MARGIN and node.soft:
            return chosen
        holds = chosen < 0 if node.strict and form is Form.BOOLEAN else chosen <= 0
        return np.where(holds, -np.inf, np.inf)

    return margin_lower(formula, leaf)


def taken(flat: Flat, s, x: float, form: Form, guards) -> float:
    """The value of the flat formula when exactly the given guards are taken; +inf where a clause fails."""
    worst = -np.inf
    for clause in flat.clauses:
        if (clause.head < 0 or guards[clause.head]) and not any(guards[g] for g in clause.guards):
            return np.inf
    for group in flat.atoms:
        for row, guard in zip(group.rows, group.guard, strict=True):
            if guard < 0 or guards[guard]:
                worst = max(worst, value(Atoms(np.array([row]), group.strict, group.soft), s, x, form))
    for box, guard in flat.boxes:
        if guard < 0 or guards[guard]:
            worst = max(worst, value(box, s, x, form))
    return worst


@settings(max_examples=300, deadline=None)
@given(FORMULAS, st.integers(0, 2**20), st.sampled_from(Form))
def test_simplification_and_flattening_keep_the_value_at_every_point_of_the_bounds(formula, seed, form):
    rng = np.random.default_rng(seed)
    lower = rng.integers(-3, 3, N_ROWS).astype(float)
    upper = lower + rng.integers(0, 4, N_ROWS)
    small, low, high = simplify(formula, lower, upper, HULL, form)
    flat = flat_formula(formula, lower, upper, HULL, form)
    paths = disjuncts(flat, 10**6) or [np.zeros(flat.n_guards)]
    for _ in range(4):
        s, x = rng.integers(lower, upper + 1).astype(float), float(rng.integers(0, 5))
        expected = value(formula, s, x, form)
        assert value(small, s, x, form) == expected
        assert low <= expected <= high
        best = min(taken(flat, s, x, form, path) for path in paths)
        assert best == expected


def test_decided_disjuncts_leave_and_keep_the_minimum():
    formula = Atoms(np.arange(3), strict=False, soft=True, every=False)
    flat = flat_formula(formula, np.array([1.0, -1.0, 5.0]), np.array([2.0, 3.0, 9.0]), {}, Form.MARGIN)
    assert flat.rows.tolist() == [0, 1]  # row 2 is never the smallest
    assert (flat.lower, flat.pruned) == (-1.0, 1)
    flat = flat_formula(formula, np.array([1.0, -1.0, 5.0]), np.array([2.0, 3.0, 9.0]), {}, Form.BOOLEAN)
    assert flat.rows.tolist() == [1]
    assert flat.n_guards == 0


def test_a_thousand_disjuncts_are_one_block_and_deep_nests_are_linear():
    many = Atoms(np.arange(1000), strict=False, soft=True, every=False)
    flat = flat_formula(many, -np.ones(1000), np.ones(1000), {}, Form.MARGIN)
    assert (len(flat.atoms), len(flat.clauses), flat.n_guards) == (1, 1, 1000)
    for depth in (30, 3000):
        deep: RowFormula = Atoms(np.array([0]), strict=False, soft=True)
        for _ in range(depth):
            deep = Or((And((deep, Atoms(np.array([1]), False, True))), Atoms(np.array([2]), False, True)))
        flat = flat_formula(deep, -np.ones(3), np.ones(3), {}, Form.MARGIN)
        assert flat.n_guards == 2 * depth
        assert len(disjuncts(flat, 512)) == (depth + 1 if depth < 512 else 0)


def test_too_many_disjuncts_are_not_listed():
    pair = Or(tuple(Atoms(np.array([k]), False, True) for k in (0, 1)))
    formula = And(tuple(Or((pair, Atoms(np.array([2]), False, True))) for _ in range(6)))
    flat = flat_formula(formula, -np.ones(3), np.ones(3), {}, Form.MARGIN)
    assert len(disjuncts(flat, 3**6)) == 3**6
    assert disjuncts(flat, 3**6 - 1) == []


def test_a_precondition_is_never_dropped_by_bounds_that_may_rest_on_it():
    low, high = np.full(3, -1.0), np.array([0.0, 0.0, 1.0])
    premise, other, goal = (Atoms(np.array([k]), False, soft) for k, soft in ((0, False), (1, False), (2, True)))
    for form in Form:
        flat = flat_formula(And((premise, Or((other, goal)), goal)), low, high, {}, form)
        assert 0 in flat.rows.tolist()  # row 0 holds by its bounds, which may say so because of row 0
        assert 1 not in flat.rows.tolist()  # this one only matters where the formula chooses it
