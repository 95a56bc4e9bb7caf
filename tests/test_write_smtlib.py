"""SMT-LIB: exact numbers, strictness, signs of literals, names."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import z3
from hypothesis import example, given, settings
from hypothesis import strategies as st
from readers import z3_minimum
from test_write_linear import everything, optimum

from nnsym.builder import ProgramBuilder, row_block
from nnsym.program import ClauseBlock, ImplicationBlock, Kind, ProductBlock, Program, RowBlock, Tag
from nnsym.write.names import symbols
from nnsym.write.smtlib import _Numerals, logic, to_smtlib

INF = np.inf


def check(text: str) -> z3.CheckSatResult:
    solver = z3.Solver()
    solver.from_string(text)
    return solver.check()


def one(lower: float, upper: float, **changes: object) -> Program:
    """``x`` in [0, 1] with the row ``lower <= x <= upper``."""
    b = ProgramBuilder()
    x = b.columns("x", "value", np.arange(1), [0.0], [1.0])
    b.rows(replace(row_block([(1.0, x)], lower=lower, upper=upper, origin="x"), **changes))
    return b.build(objective=None)


def switches(count: int) -> tuple[ProgramBuilder, np.ndarray]:
    b = ProgramBuilder()
    return b, b.columns("p", "guard", np.arange(count), np.zeros(count), np.ones(count), kind=Kind.BINARY)


def test_every_block_survives() -> None:
    program = everything()
    for named in (True, False):
        text = to_smtlib(program, named=named)
        assert float(z3_minimum(text, symbols(program)[0])) == pytest.approx(optimum(program), abs=1e-9)
    assert logic(program) == "QF_LIRA"


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None, max_examples=200)
def test_a_numeral_is_the_rational_that_the_float_denotes(value: float) -> None:
    text = _Numerals()[value]
    found = re.fullmatch(r"(\(- )?(?:\(/ (\d+)\.0 (\d+)\.0\)|(\d+)\.0)\)?", text)
    assert found is not None
    size = Fraction(int(found[2]), int(found[3])) if found[2] else Fraction(int(found[4]))
    assert (-size if found[1] else size) == Fraction(value)
    assert text.count("(") == text.count(")")


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53).map(float)))
@example([0.0, -0.0, 1.0, 5e-324, -1.5, 2.0**1023, 1e23, 0.1])
def test_the_numerals_of_an_array_are_those_of_its_numbers(values: list[float]) -> None:
    numeral = _Numerals()
    for array in (np.array(values), np.array([Fraction(v) / 3 for v in values], dtype=object)):
        assert numeral.of(array) == [numeral[v] for v in array.tolist()]


def test_no_rounding_of_a_tenth() -> None:
    """0.1 + 0.2 > 0.3 for the floats; in decimals it is not."""
    tenth = to_smtlib(one(0.1 + 0.2, 0.3))
    assert check(tenth) == z3.unsat
    exact = (np.array([Fraction(1)]), np.array([Fraction(3, 10)]), np.array([Fraction(3, 10)]))
    assert check(to_smtlib(one(0.1 + 0.2, 0.3, exact=exact))) == z3.sat


def test_exact_bounds_are_written() -> None:
    program = replace(one(-INF, 1 / 3), exact_bounds=(np.array([Fraction(1, 3)], object), np.array([INF], object)))
    assert check(to_smtlib(program)) == z3.unsat  # the float 1/3 is below the rational
    assert check(to_smtlib(replace(program, exact_bounds=None))) == z3.sat


@pytest.mark.parametrize(("strict", "expected"), [(False, z3.sat), (True, z3.unsat)])
@pytest.mark.parametrize("sides", [(1.0, INF), (-INF, 0.0), (1.0, 2.0)])
def test_strict_rows(sides: tuple[float, float], strict: bool, expected: z3.CheckSatResult) -> None:
    assert check(to_smtlib(one(*sides, strict=strict))) == expected


@pytest.mark.parametrize(
    ("below", "strictly", "expected"), [(0, False, z3.sat), (0, True, z3.unsat), (-0.5, False, z3.unsat)]
)
def test_margin_programs_are_decided_when_asked(below: float, strictly: bool, expected: z3.CheckSatResult) -> None:
    program = replace(one(-INF, INF), objective=0)
    assert check(to_smtlib(program, decide_below=below, strictly=strictly)) == expected
    assert check(to_smtlib(program)) == z3.sat


@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("switch", [0, 1])
def test_an_implication_holds_where_its_guard_has_the_value(value: int, switch: int) -> None:
    b, p = switches(1)
    x = b.columns("x", "value", np.arange(1), [0.0], [1.0])
    b.rows(row_block([(1.0, x)], lower=1.0, origin="x >= 1"))
    row = row_block([(1.0, x)], upper=0.0, origin="x <= 0")
    b.implications(ImplicationBlock(p, np.array([value]), row))
    program = b.build(objective=None).with_bounds(p, np.array([switch]))
    assert check(to_smtlib(program)) == (z3.unsat if switch == value else z3.sat)


@pytest.mark.parametrize("relaxed", [False, True])
def test_signed_clauses(relaxed: bool) -> None:
    """``p0 or not p1`` with p0 = 0 forces p1 = 0, also as a row over a column that is no longer binary."""
    b, p = switches(2)
    b.clauses(ClauseBlock(p, np.array([0, 2]), Tag.CONCLUSION, "c", np.array([True, False])))
    program = b.build(objective=None)
    if relaxed:
        program = replace(program, kind=np.array([Kind.REAL, Kind.BINARY]))
    outcomes = {s: check(to_smtlib(program.with_bounds(p, np.array(s)))) for s in ((0, 0), (0, 1), (1, 0), (1, 1))}
    assert [s for s, found in outcomes.items() if found == z3.unsat] == [(0, 1)]


def test_an_empty_clause_is_false_and_an_empty_row_is_zero() -> None:
    b, _ = switches(1)
    b.clauses(ClauseBlock(np.zeros(0, int), np.zeros(2, int), Tag.CONCLUSION, "no disjunct"))
    assert check(to_smtlib(b.build(objective=None))) == z3.unsat
    for low, expected in ((0.0, z3.sat), (1.0, z3.unsat)):
        b, _ = switches(1)
        empty = np.zeros(0)
        b.rows(RowBlock(empty, empty.astype(int), np.zeros(2, int), np.array([low]), np.array([INF]), Tag.CUT, "e"))
        assert check(to_smtlib(b.build(objective=None))) == expected


def test_products() -> None:
    b = ProgramBuilder()
    x = b.columns("x", "value", np.arange(3), [-3.0, 2.0, -1.0], [3.0, 2.0, -1.0])
    b.products(ProductBlock(x[:1], x[1:2], x[2:], "out = left right"))
    b.rows(row_block([(1.0, x[:1])], upper=-2.0, origin="out <= -2"))
    program = b.build(objective=None)
    assert logic(program) == "QF_NRA"
    assert check(to_smtlib(program)) == z3.sat
    assert check(to_smtlib(program.with_bounds(x[1:2], np.array([1.5])))) == z3.unsat


def test_every_assertion_is_named_once_and_cores_point_at_origins() -> None:
    text = to_smtlib(everything(), header=["about | bars", "and\nlines"])
    assertions = [line for line in text.splitlines() if line.startswith("(assert")]
    names = [re.fullmatch(r"\(assert \(! .* :named \|([^|]+)\|\)\)", line)[1] for line in assertions]
    assert len(names) == len(set(names))
    assert {"bound t[0].margin", "network.0[0]", "cut.5[0]", "conclusion.or.0[1]"} - set(names) == {"bound t[0].margin"}
    assert "; network: a range" in text
    asked = "(set-option :produce-unsat-cores true)\n" + to_smtlib(one(2.0, INF)) + "(get-unsat-core)\n"
    context = z3.Context()
    answer = z3.Z3_eval_smtlib2_string(context.ref(), asked)
    assert answer.split("\n", 1)[0] == "unsat"
    assert set(re.findall(r"\|([^|]+)\|", answer)) == {"bound x[0].value", "network.0[0]"}


def test_symbols_are_quotable_and_unique() -> None:
    b = ProgramBuilder()
    for node in ("a|b\\c", "a|b\\c", "a!b/c"):
        b.columns(node, "value", np.arange(1), [0.0], [1.0])
    names = symbols(b.build(objective=None))
    assert len(set(names)) == 3
    assert not re.search(r"[|\\]", "".join(names))
