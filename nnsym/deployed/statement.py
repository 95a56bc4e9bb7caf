"""The second statement beside a verdict about the real function: does it also hold of every float run?

Every row of the property is within E of its real value on the domain (:mod:`nnsym.deployed.secants`), and the margin,
made of rows by minima and maxima, moves by no more. So a certified margin above E decides both functions at once,
provided that no precondition reads a row that moves: then the two speak of the same inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.deployed.enclose import enclose
from nnsym.deployed.secants import row_errors
from nnsym.errors import UnsupportedError
from nnsym.ir.formula import Atoms, leaves
from nnsym.ir.query import Query
from nnsym.results.clock import NEVER, Deadline, OutOfTime


@final
@dataclass(frozen=True, kw_only=True)
class FloatError:
    """``soft`` bounds the error of every row of the conclusion, ``hard`` that of every row of a precondition."""

    soft: float
    hard: float

    def covers(self, margin: float) -> bool:
        """True if a margin of this size, certified for the real function, has the same sign in every float run."""
        return self.hard == 0 and margin > self.soft


def is_stored(query: Query) -> bool:
    """True if some network is stored as a model: without one there are no float runs."""
    return any(a.network.model is not None for a in query.applications)


def float_error(query: Query, bounds: Bounds | None, *, deadline: Deadline = NEVER) -> FloatError | None:
    """By how much the stored models' runs may miss the real rows on the domain.

    None where that is not known: the query is too large, time is over, or a model's format has no known rounding
    errors. Infinite where something may overflow.
    """
    if not is_stored(query):
        return FloatError(soft=0.0, hard=0.0)
    try:
        enclosed = enclose(query, bounds, deadline=deadline)
        if enclosed.overflow:
            return FloatError(soft=np.inf, hard=np.inf)
        errors = row_errors(enclosed.query, enclosed.errors, enclosed.ranges, deadline=deadline)
    except (UnsupportedError, OutOfTime):
        return None
    if errors is None:
        return None
    found = {True: 0.0, False: 0.0}
    for leaf in leaves(query.formula):
        if isinstance(leaf, Atoms) and len(leaf.rows):
            found[leaf.soft] = max(
                found[leaf.soft], float(np.nan_to_num(errors[leaf.rows], nan=np.inf, posinf=np.inf).max())
            )
    return FloatError(soft=found[True], hard=found[False])
