"""One whitelist per solver: what each of its status words establishes. Whatever is not listed is UNKNOWN.

Keys are the words as the solver spells them. "Infeasible or unbounded", "undefined" and the like are left out on
purpose: they establish nothing. A limit is listed as the limit, never as what had been found by then.
"""

from __future__ import annotations

from collections.abc import Mapping

from nnsym.solvers.base import Status

#: ``HighsModelStatus`` names (HiGHS 1.15). ``kInterrupt`` is ours: the callback saw the answer decided.
HIGHS: Mapping[str, Status] = {
    "kOptimal": Status.OPTIMAL,
    "kInfeasible": Status.INFEASIBLE,
    "kObjectiveTarget": Status.TARGET,
    "kInterrupt": Status.TARGET,
    "kTimeLimit": Status.TIME_LIMIT,
    "kMemoryLimit": Status.MEMORY_LIMIT,
    "kSolveError": Status.ERROR,
    "kModelError": Status.ERROR,
    "kLoadError": Status.ERROR,
    "kPresolveError": Status.ERROR,
    "kPostsolveError": Status.ERROR,
}

#: ``GRB.Status`` names (Gurobi 13). ``INTERRUPTED`` is ours; ``INF_OR_UNBD``, ``SUBOPTIMAL``, ``NUMERIC`` say nothing.
GUROBI: Mapping[str, Status] = {
    "OPTIMAL": Status.OPTIMAL,
    "INFEASIBLE": Status.INFEASIBLE,
    "INTERRUPTED": Status.TARGET,
    "USER_OBJ_LIMIT": Status.TARGET,
    "TIME_LIMIT": Status.TIME_LIMIT,
    "MEM_LIMIT": Status.MEMORY_LIMIT,
}

#: Answers of ``check-sat`` (SMT-LIB 2.6, section 4.2.5).
SMTLIB: Mapping[str, Status] = {"sat": Status.SAT, "unsat": Status.UNSAT}

#: Reasons Z3 gives for ``unknown`` that are limits.
Z3_REASONS: Mapping[str, Status] = {
    "timeout": Status.TIME_LIMIT,
    "canceled": Status.TIME_LIMIT,
    "max. memory exceeded": Status.MEMORY_LIMIT,
}

#: ``UnknownExplanation`` names of cvc5 that are limits.
CVC5_REASONS: Mapping[str, Status] = {
    "TIMEOUT": Status.TIME_LIMIT,
    "RESOURCEOUT": Status.TIME_LIMIT,
    "MEMOUT": Status.MEMORY_LIMIT,
}

#: Status letters in glpsol's solution file for an LP: (primal, dual). ``u`` is undefined (GLPK 5.0, glp_write_sol).
GLPK_LP: Mapping[str, Status] = {
    "ff": Status.OPTIMAL,
    "nf": Status.INFEASIBLE,
    "nn": Status.INFEASIBLE,
    "nu": Status.INFEASIBLE,
}

#: Status letters in glpsol's solution file for a MILP (glp_write_mip): o optimal, f feasible, n empty, u undefined.
GLPK_MIP: Mapping[str, Status] = {"o": Status.OPTIMAL, "n": Status.INFEASIBLE, "f": Status.FEASIBLE}

#: First words of a line of glpsol's log. The LP presolver and the tree search say here what the file leaves undefined.
GLPK_LOG: Mapping[str, Status] = {
    "PROBLEM HAS NO PRIMAL FEASIBLE SOLUTION": Status.INFEASIBLE,
    "PROBLEM HAS NO INTEGER FEASIBLE SOLUTION": Status.INFEASIBLE,
    "LP HAS NO PRIMAL FEASIBLE SOLUTION": Status.INFEASIBLE,
    "TIME LIMIT EXCEEDED": Status.TIME_LIMIT,
}

#: ``TerminationCondition`` of Pyomo's interfaces. ``unbounded``, ``infeasibleOrUnbounded``, ``other`` say nothing.
PYOMO: Mapping[str, Status] = {
    "optimal": Status.OPTIMAL,
    "infeasible": Status.INFEASIBLE,
    "maxTimeLimit": Status.TIME_LIMIT,
    "licensingProblems": Status.LICENSE,
    "error": Status.ERROR,
}


def look_up(table: Mapping[str, Status], word: str) -> Status:
    """What a status word establishes; UNKNOWN unless it is listed."""
    return table.get(word, Status.UNKNOWN)
