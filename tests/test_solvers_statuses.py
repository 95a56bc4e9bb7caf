"""The whitelists, line by line."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from nnsym.solvers import statuses
from nnsym.solvers.base import Status

S = Status

LINES = [
    (statuses.HIGHS, "kOptimal", S.OPTIMAL),
    (statuses.HIGHS, "kInfeasible", S.INFEASIBLE),
    (statuses.HIGHS, "kUnboundedOrInfeasible", S.UNKNOWN),
    (statuses.HIGHS, "kUnbounded", S.UNKNOWN),
    (statuses.HIGHS, "kObjectiveBound", S.UNKNOWN),
    (statuses.HIGHS, "kObjectiveTarget", S.TARGET),
    (statuses.HIGHS, "kInterrupt", S.TARGET),
    (statuses.HIGHS, "kTimeLimit", S.TIME_LIMIT),
    (statuses.HIGHS, "kMemoryLimit", S.MEMORY_LIMIT),
    (statuses.HIGHS, "kIterationLimit", S.UNKNOWN),
    (statuses.HIGHS, "kSolutionLimit", S.UNKNOWN),
    (statuses.HIGHS, "kUnknown", S.UNKNOWN),
    (statuses.HIGHS, "kModelEmpty", S.UNKNOWN),
    (statuses.HIGHS, "kNotset", S.UNKNOWN),
    (statuses.HIGHS, "kSolveError", S.ERROR),
    (statuses.HIGHS, "kModelError", S.ERROR),
    (statuses.HIGHS, "kLoadError", S.ERROR),
    (statuses.HIGHS, "kPresolveError", S.ERROR),
    (statuses.HIGHS, "kPostsolveError", S.ERROR),
    (statuses.GUROBI, "OPTIMAL", S.OPTIMAL),
    (statuses.GUROBI, "INFEASIBLE", S.INFEASIBLE),
    (statuses.GUROBI, "INF_OR_UNBD", S.UNKNOWN),
    (statuses.GUROBI, "UNBOUNDED", S.UNKNOWN),
    (statuses.GUROBI, "CUTOFF", S.UNKNOWN),
    (statuses.GUROBI, "SUBOPTIMAL", S.UNKNOWN),
    (statuses.GUROBI, "NUMERIC", S.UNKNOWN),
    (statuses.GUROBI, "INTERRUPTED", S.TARGET),
    (statuses.GUROBI, "USER_OBJ_LIMIT", S.TARGET),
    (statuses.GUROBI, "TIME_LIMIT", S.TIME_LIMIT),
    (statuses.GUROBI, "MEM_LIMIT", S.MEMORY_LIMIT),
    (statuses.GUROBI, "SOLUTION_LIMIT", S.UNKNOWN),
    (statuses.SMTLIB, "sat", S.SAT),
    (statuses.SMTLIB, "unsat", S.UNSAT),
    (statuses.SMTLIB, "unknown", S.UNKNOWN),
    (statuses.SMTLIB, "", S.UNKNOWN),
    (statuses.Z3_REASONS, "timeout", S.TIME_LIMIT),
    (statuses.Z3_REASONS, "canceled", S.TIME_LIMIT),
    (statuses.Z3_REASONS, "max. memory exceeded", S.MEMORY_LIMIT),
    (statuses.Z3_REASONS, "(incomplete (theory arithmetic))", S.UNKNOWN),
    (statuses.CVC5_REASONS, "TIMEOUT", S.TIME_LIMIT),
    (statuses.CVC5_REASONS, "RESOURCEOUT", S.TIME_LIMIT),
    (statuses.CVC5_REASONS, "MEMOUT", S.MEMORY_LIMIT),
    (statuses.CVC5_REASONS, "INCOMPLETE", S.UNKNOWN),
    (statuses.CVC5_REASONS, "UNKNOWN_REASON", S.UNKNOWN),
    (statuses.GLPK_LP, "ff", S.OPTIMAL),
    (statuses.GLPK_LP, "fn", S.UNKNOWN),
    (statuses.GLPK_LP, "fi", S.UNKNOWN),
    (statuses.GLPK_LP, "nf", S.INFEASIBLE),
    (statuses.GLPK_LP, "nn", S.INFEASIBLE),
    (statuses.GLPK_LP, "nu", S.INFEASIBLE),
    (statuses.GLPK_LP, "uu", S.UNKNOWN),
    (statuses.GLPK_LP, "if", S.UNKNOWN),
    (statuses.GLPK_MIP, "o", S.OPTIMAL),
    (statuses.GLPK_MIP, "n", S.INFEASIBLE),
    (statuses.GLPK_MIP, "f", S.FEASIBLE),
    (statuses.GLPK_MIP, "u", S.UNKNOWN),
    (statuses.GLPK_LOG, "PROBLEM HAS NO PRIMAL FEASIBLE SOLUTION", S.INFEASIBLE),
    (statuses.GLPK_LOG, "PROBLEM HAS NO INTEGER FEASIBLE SOLUTION", S.INFEASIBLE),
    (statuses.GLPK_LOG, "LP HAS NO PRIMAL FEASIBLE SOLUTION", S.INFEASIBLE),
    (statuses.GLPK_LOG, "PROBLEM HAS NO DUAL FEASIBLE SOLUTION", S.UNKNOWN),
    (statuses.GLPK_LOG, "TIME LIMIT EXCEEDED", S.TIME_LIMIT),
    (statuses.PYOMO, "optimal", S.OPTIMAL),
    (statuses.PYOMO, "infeasible", S.INFEASIBLE),
    (statuses.PYOMO, "infeasibleOrUnbounded", S.UNKNOWN),
    (statuses.PYOMO, "unbounded", S.UNKNOWN),
    (statuses.PYOMO, "feasible", S.UNKNOWN),
    (statuses.PYOMO, "maxTimeLimit", S.TIME_LIMIT),
    (statuses.PYOMO, "licensingProblems", S.LICENSE),
    (statuses.PYOMO, "error", S.ERROR),
    (statuses.PYOMO, "other", S.UNKNOWN),
]


@pytest.mark.parametrize(("table", "word", "means"), LINES, ids=[f"{w or 'empty'}" for _, w, _ in LINES])
def test_line(table: Mapping[str, Status], word: str, means: Status) -> None:
    assert statuses.look_up(table, word) is means


TABLES = {name: table for name, table in vars(statuses).items() if name.isupper() and isinstance(table, dict)}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_line_of_a_table_is_stated_above(name: str) -> None:
    stated = {word for table, word, _ in LINES if table is TABLES[name]}
    assert set(TABLES[name]) <= stated


def test_words_are_spelled_as_the_solvers_spell_them() -> None:
    highspy = pytest.importorskip("highspy")
    assert set(statuses.HIGHS) <= set(highspy.HighsModelStatus.__members__)
    from pyomo.opt import TerminationCondition

    assert set(statuses.PYOMO) <= {str(condition) for condition in TerminationCondition}


def test_gurobi_spells_its_words_so() -> None:
    gurobipy = pytest.importorskip("gurobipy")
    assert set(statuses.GUROBI) <= set(dir(gurobipy.GRB.Status))
