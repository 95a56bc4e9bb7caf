"""LP and MPS: every kind of column and row, names, ranges, refusals."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readers import READERS
from scipy.optimize import Bounds, LinearConstraint, milp

from nnsym.bounds.methods import compute
from nnsym.builder import ProgramBuilder, row_block
from nnsym.encode.registry import find_encoding
from nnsym.encode.walk import encode
from nnsym.errors import UnsupportedError
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.program import CaseBlock, CaseForm, ClauseBlock, ImplicationBlock, Kind, Program, RowBlock, SosBlock, Tag
from nnsym.testing.random_nets import random_network, random_query
from nnsym.write.lp import to_lp
from nnsym.write.mps import _range, to_mps
from nnsym.write.names import LONGEST, identifier, identifiers, unique

INF = np.inf
WRITERS = {".lp": to_lp, ".mps": to_mps}
LINES = (np.array([[0.0], [1.0]]), np.zeros((2, 1)), np.zeros((1, 1)), np.zeros((1, 1), dtype=bool))
CASE = CaseBlock(np.array([1]), np.array([2]), *LINES, CaseForm.ITE, "relu_1: y")
ONE_ROW = row_block([(1.0, np.array([1]))], upper=0.0, origin="relu_1: z => y <= 0")


def everything(variant: int = 0) -> Program:
    """Free, half-open, fixed, integer and binary columns; range, equality, free and empty rows; signed clauses."""
    b = ProgramBuilder()
    t = b.columns("t", "margin", np.arange(1), [-INF], [INF])
    x = b.columns("max|x\\", "value", np.arange(3), [-INF, -2.5, 0.0], [2.0, INF, 1e-7])
    n = b.columns("e7", "aux", np.arange(2), [-3, 0], [7, INF], kind=Kind.INTEGER)
    p = b.columns("relu_1", "phase", np.arange(3), np.zeros(3), np.ones(3), kind=Kind.BINARY)
    fixed = b.columns("relu_2", "phase", np.arange(2), [1, 0], [1, 0], kind=Kind.BINARY)
    b.columns("unused", "aux", np.arange(1), [-1.0], [1.0])
    cost = [(1.0, t), (-1.0, x[:1]), (-2.0, n[:1]), (3.0, p[:1]), (-1.5, p[1:2]), (0.3, fixed[:1]), (9.0, fixed[1:])]
    b.rows(row_block(cost, lower=-0.25, origin="t >= x + 2 n - 3 p + ..."))
    b.rows(row_block([(1.0, x[:1]), (1.0, n[:1])], lower=-4.1, upper=1.3, origin="a range"))
    b.rows(row_block([(1.0, x[:2]), (-0.1, x[1:])], lower=-INF, upper=INF, origin="free rows"))
    b.rows(row_block([(1.0, t), (1.0, x[1:2]), (-1.0, n[1:])], lower=0.5, upper=0.5, origin="an equality"))
    b.rows(row_block([(1.0, t), (-2.5, p[2:])], lower=-11.0 - variant, origin="t >= 2.5 r - 11"))
    b.rows(RowBlock(np.zeros(0), np.zeros(0, int), np.zeros(2, int), -np.ones(1), np.ones(1), Tag.CUT, "an empty row"))
    signs = np.array([False, True, True, False])
    b.clauses(ClauseBlock(p[[0, 1, 2, 1]], np.array([0, 2, 4]), Tag.CONCLUSION, "p => q; q => r", signs))
    return b.build(objective=int(t[0]))


def optimum(program: Program) -> float:
    """By SciPy, from the arrays, the clauses written out by hand."""
    data, indices, indptr, lower, upper = program.matrix
    dense = np.zeros((len(lower), program.n_columns))
    for k in range(len(lower)):
        dense[k, indices[indptr[k] : indptr[k + 1]]] = data[indptr[k] : indptr[k + 1]]
    clauses = np.zeros((2, program.n_columns))
    clauses[0, 6], clauses[0, 7], clauses[1, 8], clauses[1, 7] = -1, 1, 1, -1
    found = milp(
        np.eye(program.n_columns)[program.objective],
        integrality=(program.kind != Kind.REAL).astype(int),
        bounds=Bounds(program.lower, program.upper),
        constraints=[LinearConstraint(dense, lower, upper), LinearConstraint(clauses, 0, INF)],
    )
    assert found.success
    return float(found.fun)


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.__name__)
@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize(("variant", "objective", "expected"), [(0, 0, -8.5), (1, 0, -9.15), (0, 1, -11.1)])
def test_every_block_survives(
    suffix: str, reader, variant: int, objective: int, expected: float, tmp_path: Path
) -> None:
    program = replace(everything(variant), objective=objective)
    assert optimum(program) == pytest.approx(expected)
    path = tmp_path / f"model{suffix}"
    path.write_text(WRITERS[suffix](program))
    assert reader(path) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("reader", READERS, ids=lambda r: r.__name__)
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_feasibility_program_is_legal(suffix: str, reader, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_text(WRITERS[suffix](replace(everything(), objective=None)))
    assert reader(path) == 0


def test_binaries_section_is_one_that_cbc_reads() -> None:
    sections = [line for line in to_lp(everything()).splitlines() if line[:1] not in (" ", "\\")]
    assert sections == ["Minimize", "Subject To", "Bounds", "Binaries", "Generals", "End"]


def test_lines_are_short_and_comments_name_the_origin() -> None:
    program = everything()
    text = to_lp(program, header=["property p", "two\nlines"])
    assert max(map(len, text.splitlines())) <= 560
    assert text.startswith("\\ property p\n\\ two\n\\ lines\n")
    assert "\\ cut: an empty row (1 row)" in text
    assert "\\ column relu_1_0_phase is relu_1[0].phase ... relu_1[2].phase" in text
    assert "* cut: an empty row (1 row)" in to_mps(program)


def test_numbers_read_back_as_the_same_floats(tmp_path: Path) -> None:
    import highspy

    rng = np.random.default_rng(0)
    data = rng.normal(size=40) * 10.0 ** rng.integers(-8, 8, 40)
    b = ProgramBuilder()
    x = b.columns("x", "value", np.arange(40), -np.abs(data), np.abs(data))
    b.rows(RowBlock(data, x, np.array([0, 40]), data[:1], np.array([INF]), Tag.NETWORK, "a long row"))
    program = b.build(objective=0)
    for suffix, write in WRITERS.items():
        path = tmp_path / f"model{suffix}"
        path.write_text(write(program))
        model = highspy.Highs()
        model.silent()
        model.readModel(str(path))
        found = model.getLp()
        matrix = dict(zip(found.col_names_, found.a_matrix_.value_, strict=True))
        assert [matrix[f"x_{k}_value"] for k in range(40)] == data.tolist()
        assert list(found.col_upper_) == [program.upper[int(n.split("_")[1])] for n in found.col_names_]
        assert found.row_lower_[0] == data[0]


@given(st.floats(-1e9, 1e9), st.floats(0, 1e9, exclude_min=True))
@settings(deadline=None, max_examples=200)
def test_a_range_never_cuts_its_row(low: float, width: float) -> None:
    high = low + width
    if low < high:
        found = Fraction(_range(low, high))
        assert Fraction(high) <= Fraction(low) + found
        assert found <= (Fraction(high) - Fraction(low)) * (1 + Fraction(1, 2**51))


@pytest.mark.parametrize(
    ("suffix", "what", "blocks"),
    [
        (".mps", "implications", {"implications": (ImplicationBlock(np.array([6]), np.array([1]), ONE_ROW),)}),
        (".mps", "special ordered sets", {"sets": (SosBlock(np.array([1, 2]), np.array([0, 2]), "relu_1: sets"),)}),
        *((s, "definitions by cases", {"functions": (CASE,)}) for s in WRITERS),
    ],
)
def test_blocks_that_a_format_does_not_hold_are_refused(suffix: str, what: str, blocks: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match=rf"relu_1: .*a \{suffix} file cannot hold {what}"):
        WRITERS[suffix](replace(everything(), **blocks))


@pytest.mark.parametrize("encoding", ["indicator", "sos1"])
def test_a_second_tool_reads_logic_from_lp_files(encoding: str, tmp_path: Path) -> None:
    gurobipy = pytest.importorskip("gurobipy", reason="Gurobi is not here")
    query = random_query(random_network("leaky", 5), 5)
    bounds = compute(query, "crown")
    path = tmp_path / "logic.lp"
    path.write_text(to_lp(encode(query, bounds, find_encoding(encoding))))
    with gurobipy.Env(params={"OutputFlag": 0}) as env, gurobipy.read(str(path), env) as model:
        model.optimize()
        assert model.NumSOS + model.NumGenConstrs > 0
        assert model.ObjVal == pytest.approx(float(minimum_margin(query).margin), abs=1e-6)


@given(st.lists(st.text("aB_9e.[]| \\é", max_size=LONGEST + 9), max_size=6))
@settings(deadline=None, max_examples=50)
def test_names_are_legal_and_unique(texts: list[str]) -> None:
    names = unique(identifier(text) for text in texts)
    assert len(set(names)) == len(texts)
    for name in names:
        assert name.replace("_", "a").isalnum()
        assert name.isascii()
        assert name[0].isalpha() or name[0] == "_"
        assert name[0] not in "eE"
        assert len(name) <= 100


def test_names_follow_the_symbolic_keys() -> None:
    names = identifiers(everything())
    assert names[:3] == ["t_0_margin", "max_x_0_value", "max_x_1_value"]
    assert names[4] == "v_e7_0_aux"
