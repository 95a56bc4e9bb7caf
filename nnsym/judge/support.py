"""The least value of each row of a query under an encoding, one program a row: what pictures of regions show."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.bounds.methods import compute
from nnsym.encoding import Encoding, Form
from nnsym.errors import UnsupportedError
from nnsym.ir.formula import Atoms
from nnsym.ir.query import Query
from nnsym.judge.build import build
from nnsym.program import Feature
from nnsym.relaxation.sources import find_source
from nnsym.solvers.base import Goal, Limits, Status
from nnsym.solvers.outer import taking
from nnsym.solvers.registry import find

Array = NDArray[Any]


def support_by_programs(asked: Query, encoding: Encoding, lane_name: str, source: str) -> Array:
    """A lower bound of each row, ``(rows,)``.

    +inf where the program has no solution at all, which no right encoding of a domain that is not empty has; -inf where
    the solver gave up.
    """
    if encoding.form is not Form.MARGIN:
        raise UnsupportedError(
            "has no objective, so it has no region to draw",
            where=f"encoding '{encoding.name}'",
            remedy="Draw a linear encoding, such as triangle or bigm",
        )
    bounds = compute(asked, find_source(source))
    lane, least = taking(find(lane_name), frozenset({Feature.QUADRATIC})), np.full(len(asked.rows), -np.inf)
    for k in range(len(least)):
        one = replace(asked, rows=asked.rows.take(np.array([k])), formula=Atoms(np.arange(1), strict=False, soft=True))
        row = replace(bounds.rows, lower=bounds.rows.lower[[k]], upper=bounds.rows.upper[[k]])
        program = build(one, replace(bounds, rows=row), encoding)
        answer = lane.solve(program, Limits(seconds=60), Goal(decide=False))
        if answer.status is Status.INFEASIBLE:
            return np.full(len(asked.rows), np.inf)
        least[k] = max(answer.certified, answer.bound)
    return least
