"""The least value of each soft row of a query under an encoding, one program a row: what pictures of regions show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnsym.bounds.methods import compute
from nnsym.encoding import Encoding, Form
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.formula import about, soft_rows
from nnsym.ir.query import Query
from nnsym.judge.method import DIRECTION
from nnsym.judge.programs.build import build
from nnsym.program import Feature
from nnsym.relaxation.sources import find_source
from nnsym.results.clock import Deadline
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.outer import taking
from nnsym.solvers.registry import find


def support_by_programs(
    asked: Query, encoding: Encoding, lane_name: str, source: str, deadline: Deadline
) -> tuple[Array, bool]:
    """A lower bound of each soft row where the hard ones hold, ``(rows,)``, and whether every program was solved.

    +inf where the program has no solution at all, which no right encoding of a domain that is not empty has. Where the
    solver ends without any bound, that of the source stands.
    """
    if encoding.form is not Form.MARGIN:
        raise UnsupportedError(
            "has no objective, so it has no region to draw",
            where=f"encoding '{encoding.name}'",
            remedy="Draw a linear encoding, such as triangle or bigm",
        )
    bounds, rows = compute(asked, find_source(source)), soft_rows(asked.formula)
    lane = taking(find(lane_name), frozenset({Feature.QUADRATIC}))
    least, done = np.empty(len(rows)), True
    for k, row in enumerate(rows.tolist()):
        program = build(replace(asked, formula=about(asked.formula, row)), bounds, encoding)
        answer = lane.solve(program, Limits(seconds=deadline.part(DIRECTION)), Goal(decide=False))
        if answer.status is Status.INFEASIBLE:
            return np.full(len(rows), np.inf), True
        found = max(answer.certified, answer.bound)
        least[k] = found if np.isfinite(found) else bounds.rows.lower[row]
        done = done and answer.status is Status.OPTIMAL
    return least, done
