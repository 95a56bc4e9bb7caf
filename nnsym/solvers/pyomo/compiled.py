"""A Pyomo model as arrays: matrix rows as they are, ordinary rows compiled and stacked below them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.component import ActiveComponent
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.linear import row_pointers
from nnsym.solvers.arrays import LinearModel
from nnsym.solvers.pyomo.model import MatrixRows


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Compiled:
    """A Pyomo model as arrays: minimise ``sign * (cost x + offset)``; ``variables`` maps columns to Pyomo variables.

    ``rows`` are the components of matrix rows in the model, each with the number of its first column.
    """

    arrays: LinearModel
    cost: Array
    offset: float
    sign: float
    variables: Mapping[int, Any]
    rows: tuple[tuple[MatrixRows, int], ...]


def compile_model(model: Any) -> Compiled:
    """The matrix rows as they are, bounds and domains as the variables have them now, other rows below.

    Raises :class:`InputError` where these are not within what the rows were made for.
    """
    blocks = [c for c in model.component_objects(pyo.Constraint, active=True) if isinstance(c, MatrixRows)]
    for block in blocks:
        block.check()
        block.check_whole()
    if len(list(model.component_data_objects(pyo.Objective, active=True))) > 1:
        raise UnsupportedError("more than one active objective", remedy="Deactivate all but one")
    if any(True for _ in model.component_data_objects(pyo.SOSConstraint, active=True)):
        remedy = "Use Pyomo's own interface to a solver that knows them: gurobi_direct, cplex_direct, scip"
        raise UnsupportedError("special ordered sets are no rows", where=f"Pyomo model '{model.name}'", remedy=remedy)
    with _hidden(blocks):
        rest = LinearStandardFormCompiler().write(model, mixed_form=True, set_sense=None)
    starts = row_pointers([len(b.arrays.lower) for b in blocks]).astype(int).tolist()
    placed = tuple(zip(blocks, starts, strict=False))
    base = _side_by_side([b.arrays for b in blocks], starts)
    variables: dict[int, Any] = {start + k: v for block, start in placed for k, v in block.variables.items()}
    place = {id(v): k for k, v in variables.items()}
    for variable in rest.columns:
        if id(variable) not in place:
            place[id(variable)] = starts[-1] + len(place) - sum(len(block.variables) for block, _ in placed)
            variables[place[id(variable)]] = variable
    arrays = _stack(_with_variables(base, variables), rest, place)
    cost, offset, sign = np.zeros(len(arrays.lower)), 0.0, 1.0
    if len(rest.objectives):
        sign, offset = float(rest.objectives[0].sense), float(rest.c_offset[0])
        dense = np.asarray(rest.c.todense()).ravel()
        cost[[place[id(v)] for v in rest.columns]] = sign * dense
    unit = np.flatnonzero(cost)
    objective = int(unit[0]) if len(unit) == 1 and cost[unit[0]] == 1.0 and offset == 0.0 else -1
    return Compiled(
        arrays=replace(arrays, objective=objective),
        cost=cost,
        offset=sign * offset,
        sign=sign,
        variables=variables,
        rows=placed,
    )


def _side_by_side(models: Sequence[LinearModel], starts: Sequence[int]) -> LinearModel:
    """Models of different columns as one; a model's disjuncts speak of all columns only where it is alone."""
    if len(models) == 1:
        return models[0]
    ends = np.cumsum([0, *(m.indptr[-1] for m in models)])
    moved = [m.indices + start for m, start in zip(models, starts, strict=False)]
    pointers = [m.indptr[1:] + end for m, end in zip(models, ends, strict=False)]

    def join(part: Callable[[LinearModel], Array]) -> Array:
        return np.concatenate([part(m) for m in (_EMPTY, *models)])

    return LinearModel(
        lower=join(lambda m: m.lower),
        upper=join(lambda m: m.upper),
        integer=join(lambda m: m.integer),
        data=join(lambda m: m.data),
        indices=np.concatenate([_EMPTY.indices, *moved]).astype(np.int32),
        indptr=np.concatenate([_EMPTY.indptr, *pointers]).astype(np.int32),
        row_lower=join(lambda m: m.row_lower),
        row_upper=join(lambda m: m.row_upper),
    )


_EMPTY = LinearModel(
    lower=np.zeros(0),
    upper=np.zeros(0),
    integer=np.zeros(0, bool),
    data=np.zeros(0),
    indices=np.zeros(0, np.int32),
    indptr=np.zeros(1, np.int32),
    row_lower=np.zeros(0),
    row_upper=np.zeros(0),
)


@contextmanager
def _hidden(blocks: list[MatrixRows]) -> Iterator[None]:
    """Inactive for Pyomo's compiler, without touching (and so making) the rows."""
    for block in blocks:
        ActiveComponent.deactivate(block)
    try:
        yield
    finally:
        for block in blocks:
            ActiveComponent.activate(block)


def _with_variables(base: LinearModel, variables: Mapping[int, Any]) -> LinearModel:
    """Bounds, domains and fixed values as the Pyomo variables have them now."""
    extra = len(variables) and max(max(variables) + 1 - len(base.lower), 0)
    lower = np.concatenate([base.lower, np.full(extra, -np.inf)])
    upper = np.concatenate([base.upper, np.full(extra, np.inf)])
    integer = np.concatenate([base.integer, np.zeros(extra, bool)])
    for k, variable in variables.items():
        low, high = (variable.value,) * 2 if variable.fixed else variable.bounds
        lower[k], upper[k] = -np.inf if low is None else low, np.inf if high is None else high
        integer[k] = not variable.is_continuous()
    return replace(base, lower=lower, upper=upper, integer=integer, disjuncts=())


def _stack(base: LinearModel, rest: Any, place: Mapping[int, int]) -> LinearModel:
    """The compiled ordinary rows below the matrix rows. Senses: 0 is =, 1 is <=, -1 is >=."""
    if not len(rest.rows):
        return base
    below = rest.A.tocsr()
    columns = np.array([place[id(v)] for v in rest.columns], np.int32)
    sense, right = np.array([row[1] for row in rest.rows]), np.asarray(rest.rhs, float)
    return replace(
        base,
        data=np.concatenate([base.data, below.data]),
        indices=np.concatenate([base.indices, columns[below.indices]]).astype(np.int32),
        indptr=np.concatenate([base.indptr, base.indptr[-1] + below.indptr[1:]]).astype(np.int32),
        row_lower=np.concatenate([base.row_lower, np.where(sense == 1, -np.inf, right)]),
        row_upper=np.concatenate([base.row_upper, np.where(sense == -1, np.inf, right)]),
    )
