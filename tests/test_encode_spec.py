from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from nnsym.bounds.base import Bounds, Interval
from nnsym.bounds.methods import compute
from nnsym.encode.point import complete, residual
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode, exactness_of
from nnsym.encoding import Exactness
from nnsym.errors import MissingBoundsError
from nnsym.ir.domain import Box
from nnsym.ir.formula import FALSE, TRUE, And, Atoms, InBox, Or
from nnsym.ir.linear import Dense
from nnsym.ir.node import affine, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows, stack
from nnsym.ir.univariate import relu
from nnsym.program import Feature, Kind, Tag
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.registry import find
from tests.depth import drawn

EVERY = frozenset(Tag)
LABELS = ("pre", "a", "b", "c", "d")


def soft(*rows, strict=False, every=True):
    return Atoms(np.array(rows), strict=strict, soft=True, every=every)


def hard(*rows, strict=False):
    return Atoms(np.array(rows), strict=strict, soft=False)


def nested_query(seed):
    """pre and (x in B1 and (a or b)  or  x in B2 and (c or a and d)), with numbers that are no floats."""
    rng = np.random.default_rng(seed)
    x = new_input("x", 2)
    hidden = pointwise(relu(), affine(((Dense(rng.integers(-8, 9, (4, 2)) / 8), x),), rng.integers(-4, 5, 4) / 8))
    y = affine(((Dense(rng.integers(-8, 9, (3, 4)) / 8), hidden),), rng.integers(-2, 3, 3) / 8)
    out = Rows.of(y)
    pre = Rows.of(x).combine(np.array([[Fraction(1, 3), Fraction(-2, 3)]], dtype=object))
    rows = stack([pre, out.take([0, 0, 1]) - out.take([1, 2, 2]), out.take([0]) + Rows.constants([Fraction(1, 10)])])
    first = InBox(x, np.array([Fraction(-1, 3), Fraction(-1)]), np.array([Fraction(1, 10), Fraction(1)]))
    second = InBox(x, np.array([0.0, -1.0]), np.array([1.0, 0.25]))
    inner = Or((soft(3, strict=True), And((soft(1), soft(4)))))
    formula = And((hard(0), Or((And((first, soft(1, 2, every=False))), And((second, inner))))))
    box = Box(-np.ones(2), np.ones(2))
    return x, Query("nested", {x: box}, rows, formula, labels=LABELS)


def solve(program):
    return find("highs").solve(program, Limits(seconds=30), Goal(decide=False))


@pytest.mark.parametrize("seed", range(drawn(5, 3)))
def test_the_margin_form_of_nested_formulas_is_the_margin_at_every_point(seed):
    x, query = nested_query(seed)
    bounds = compute(query, "crown")
    margin, boolean = (encode(query, bounds, find_encoding(name)) for name in ("bigm", "smt"))
    rng = np.random.default_rng(seed)
    inside = 0
    for _ in range(15):
        point = {x: rng.integers(-16, 17, 2) / 16}
        expected = query.margin(query.values(point, exact=True))
        values = complete(margin, query, point, exact=True)
        assert residual(margin, values)[0] == 0
        assert (residual(margin, values, EVERY)[0] == 0) == (expected < np.inf)
        if expected < np.inf:
            inside += 1
            assert float(values[margin.objective]) == expected
            lowered = values.copy()
            lowered[margin.objective] -= Fraction(1, 10**12)
            assert residual(margin, lowered, EVERY)[0] > 0
            fixed = margin.with_bounds(np.arange(2), point[x])
            assert solve(fixed).objective == pytest.approx(expected, abs=1e-7)
        values = complete(boolean, query, point, exact=True)
        assert residual(boolean, values)[0] == 0
        assert (residual(boolean, values, EVERY)[0] == 0) == query.violated(query.values(point, exact=True))
    assert inside


def test_disjuncts_cover_the_program():
    _, query = nested_query(1)
    program = encode(query, compute(query, "ibp"), find_encoding("bigm"))
    assert len(program.disjuncts) == 4
    answers = [solve(program.with_bounds(*one)) for one in program.disjuncts]
    best = min(a.objective for a in answers if a.status is Status.OPTIMAL)
    assert best == pytest.approx(solve(program).objective, abs=1e-7)
    for guards, taken in program.disjuncts:
        assert (program.kind[guards] == Kind.BINARY).all()
        assert set(taken.tolist()) <= {0.0, 1.0}
    assert encode(query, compute(query, "ibp"), find_encoding("bigm"), max_disjuncts=3).disjuncts == ()


def test_rows_carry_their_tags_and_their_labels():
    _, query = nested_query(1)
    program = encode(query, compute(query, "ibp"), find_encoding("bigm"))
    origins = {b.tag: [c.origin for c in program.rows if c.tag is b.tag] for b in program.rows}
    assert any("[pre]" in text for text in origins[Tag.PRECONDITION])
    assert any("[a; b]" in text for text in origins[Tag.CONCLUSION])
    assert any("box of x" in text for text in origins[Tag.PRECONDITION])
    assert all("spec" in text or "affine" in text or "relu" in text for text in origins[Tag.NETWORK])


def one_row(formula, lower=-1.0, upper=1.0, name="x"):
    x = new_input(name, 1)
    return Query("one", {x: Box(np.array([lower]), np.array([upper]))}, Rows.of(x), formula)


def test_a_single_conclusion_needs_no_guard_and_no_column_of_its_own():
    query = one_row(soft(0))
    program = encode(query, compute(query, "ibp"), find_encoding("bigm"))
    assert program.n_columns == 2  # x and t
    assert program.disjuncts == ()
    assert (program.lower[1], program.upper[1]) == (-1.0, 1.0)


def test_strict_atoms_are_strict_in_boolean_form_and_closed_in_margin_form():
    query = one_row(And((soft(0, strict=True), hard(0))))
    boolean = encode(query, compute(query, "ibp"), find_encoding("smt"))
    assert sorted(b.strict for b in boolean.rows) == [False, True]
    margin = encode(query, compute(query, "ibp"), find_encoding("bigm"))
    assert not any(b.strict for b in margin.rows)
    assert ">= 0" in margin.decides
    closed = one_row(soft(0))
    assert "minimum is > 0" in encode(closed, compute(closed, "ibp"), find_encoding("bigm")).decides


@pytest.mark.parametrize(
    "formula", [FALSE, Or((hard(0, strict=True), soft(0, strict=True), FALSE))], ids=["false", "refuted"]
)
def test_a_violation_that_bounds_refute_is_infeasible(formula):
    query = one_row(formula, lower=1.0, upper=2.0)
    boolean = encode(query, compute(query, "ibp"), find_encoding("smt"))
    assert find("z3").solve(boolean, Limits(seconds=20), Goal()).status is Status.UNSAT
    margin = encode(one_row(FALSE), compute(one_row(FALSE), "ibp"), find_encoding("bigm"))
    assert solve(margin).status is Status.INFEASIBLE


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize(("sign", "margin"), [(1.0, 0.25), (-1.0, -0.75)])
def test_a_box_in_the_formula_bounds_the_inputs(guarded, sign, margin):
    query = one_row(soft(0))
    (x,) = query.inputs
    inside = And((InBox(x, np.array([0.25]), np.array([0.75])), soft(0)))
    far = And((InBox(x, np.array([-1.0]), np.array([-0.5])), soft(1)))
    rows = stack([Rows.of(x).scale(sign), Rows.of(x).scale(-4.0)])
    query = Query("box", query.boxes, rows, Or((inside, far)) if guarded else inside)
    program = encode(query, compute(query, "ibp"), find_encoding("bigm"))
    assert bool(program.disjuncts) == guarded
    assert solve(program).objective == pytest.approx(margin, abs=1e-7)


def test_a_violation_without_a_conclusion_has_a_negative_optimum():
    for formula in (TRUE, hard(0), Or((hard(0), soft(0)))):
        query = one_row(formula)
        answer = solve(encode(query, compute(query, "ibp"), find_encoding("bigm")))
        assert answer.status is Status.OPTIMAL
        assert answer.objective <= -1


def test_integer_and_exact_inputs_keep_their_kind_and_their_numbers():
    x = new_input("x", 2, integer=np.array([False, True]))
    box = Box(np.array([Fraction(1, 10), Fraction(1, 2)]), np.array([3.0, 4.0]))
    query = Query("kinds", {x: box}, Rows.of(x), soft(0, 1))
    program = encode(query, compute(query, "ibp"), find_encoding("smt"))
    assert program.kind[:2].tolist() == [Kind.REAL, Kind.INTEGER]
    assert program.exact_bounds[0][0] == Fraction(1, 10)
    assert Fraction(program.lower[0]) <= Fraction(1, 10)
    assert program.exact_bounds[0][1] == program.lower[1] == 1  # cut to whole numbers
    assert Feature.INTEGERS in program.features


def test_a_row_without_a_bound_under_a_guard_is_an_error_with_its_label():
    query = one_row(soft(0))
    x = query.inputs[0]
    rows = stack([Rows.of(x), -Rows.of(x)])
    query = Query("open", query.boxes, rows, soft(0, 1, every=False), labels=("left", "right"))
    interval = Interval(np.array([-1.0]), np.array([1.0]), "ibp")
    open_rows = Interval(np.array([-np.inf, -np.inf]), np.array([1.0, np.inf]), "ibp")
    with pytest.raises(MissingBoundsError, match=r"spec\[0\] left: .*inside a disjunction"):
        encode(query, Bounds("ibp", {x: interval}, open_rows), find_encoding("bigm"))


def test_exactness_is_said_of_the_query_at_hand():
    query = one_row(soft(0))
    assert exactness_of(find_encoding("triangle"), query) is Exactness.EXACT  # nothing to relax
    _, query = nested_query(0)
    assert exactness_of(find_encoding("triangle"), query) is Exactness.OUTER
    assert exactness_of(find_encoding("bigm").relax(), query) is Exactness.OUTER
    program = encode(query, compute(query, "ibp"), find_encoding("bigm"))
    assert program.meta["exactness"] == "exact"


def test_a_wrong_row_is_found_by_the_nominal_run_and_named():
    x, query = nested_query(2)
    program = encode(query, compute(query, "ibp"), find_encoding("bigm"))
    point = complete(program, query, {x: np.array([0.25, -0.5])})
    assert residual(program, point)[0] < 1e-12
    affine_row = next(b for b in program.rows if b.origin.startswith("affine_1"))
    affine_row.upper.setflags(write=True)
    affine_row.upper[0] = affine_row.lower[0] = affine_row.lower[0] + 0.5
    worst, origin = residual(program, point)
    assert worst == pytest.approx(0.5)
    assert origin == "affine_1: h = A v + b"
