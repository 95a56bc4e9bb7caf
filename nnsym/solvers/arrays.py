"""A Program as the arrays that LP and MILP solvers take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.linear import entry_rows
from nnsym.ir.outward import group_sum_up, product_up, sum_down, sum_up
from nnsym.program import ImplicationBlock, Kind, ProductBlock, Program, QuadraticBlock, Role, SosBlock
from nnsym.write.linear import clause_rows


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class LinearModel:
    """Minimise ``x[objective]`` over ``row_lower <= A x <= row_upper``, ``lower <= x <= upper``, A in CSR.

    ``integer`` marks integral columns; ``objective`` is -1 where any feasible point will do. ``disjuncts`` lists
    assignments of guard columns that together cover the model and leave no integral column: then each is an LP.
    ``implications``, ``sets``, ``products`` and ``quadratics`` are there for lanes that take them; no other lane gets a
    program that has some.
    """

    lower: Array
    upper: Array
    integer: Array
    data: Array
    indices: Array
    indptr: Array
    row_lower: Array
    row_upper: Array
    objective: int = -1
    disjuncts: tuple[tuple[Array, Array], ...] = ()
    implications: tuple[ImplicationBlock, ...] = ()
    sets: tuple[SosBlock, ...] = ()
    products: tuple[ProductBlock, ...] = ()
    quadratics: tuple[QuadraticBlock, ...] = ()

    @staticmethod
    def of(program: Program) -> LinearModel:
        """The linear rows of a program, then its clauses as rows; float64, outward of the exact ones."""
        if program.clauses:
            rows = (*program.rows, *(clause_rows(block) for block in program.clauses))
            data, indices, indptr, low, high = replace(program, rows=rows, clauses=()).matrix
        else:
            data, indices, indptr, low, high = program.matrix
        model = LinearModel(
            lower=program.lower,
            upper=program.upper,
            integer=program.kind != Kind.REAL,
            data=data,
            indices=indices,
            indptr=indptr,
            row_lower=low,
            row_upper=high,
            objective=-1 if program.objective is None else program.objective,
            disjuncts=_linear_disjuncts(program),
            implications=program.implications,
            sets=program.sets,
            products=program.products,
            quadratics=program.quadratics,
        )
        return without_tiny(model)

    @property
    def cost(self) -> Array:
        """The objective's coefficients: a unit vector, or zero."""
        cost = np.zeros(len(self.lower))
        if self.objective >= 0:
            cost[self.objective] = 1.0
        return cost

    def bounds(self, disjunct: tuple[Array, Array]) -> tuple[Array, Array]:
        """Bounds of the columns with a disjunct's guards fixed."""
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[disjunct[0]] = upper[disjunct[0]] = disjunct[1]
        return lower, upper


#: Coefficients below this are dropped by some solvers on their own: HiGHS drops 1e-9, from the relaxations of programs
#: with integral columns whatever ``small_matrix_value`` says (1.15.1, 1.16.0).
SMALLEST = 2e-9


def without_tiny(model: LinearModel) -> LinearModel:
    """Drop zeros and tiny coefficients; a row is widened by all that its tiny terms can be, so no point is lost."""
    kept = np.abs(model.data) >= SMALLEST
    if kept.all():
        return model
    row = entry_rows(model.indptr)
    tiny = ~kept & (model.data != 0)
    a, j, none = model.data[tiny], model.indices[tiny], np.zeros(len(model.row_lower))
    raised = (np.maximum(product_up(w, model.lower[j]), product_up(w, model.upper[j])) for w in (a, -a))
    over, under = (group_sum_up(row[tiny], terms, none) for terms in raised)  # -under <= tiny terms <= over
    return replace(
        model,
        data=model.data[kept],
        indices=model.indices[kept],
        indptr=np.concatenate([[0], np.cumsum(np.bincount(row[kept], minlength=len(none)))]).astype(np.int32),
        row_lower=sum_down(model.row_lower, -over),
        row_upper=sum_up(model.row_upper, under),
    )


def _linear_disjuncts(program: Program) -> tuple[tuple[Array, Array], ...]:
    """The disjuncts, if without its guards the program is an LP; one that fixes nothing if it is one already."""
    if program.implications or program.sets or program.products or program.quadratics:
        return ()
    integral = np.flatnonzero(program.kind != Kind.REAL)
    if len(integral) == 0:
        return ((np.zeros(0, np.int32), np.zeros(0)),)
    guards = [np.arange(b.start, b.start + len(b.index)) for b in program.blocks if b.role == Role.GUARD]
    if program.disjuncts and guards and np.isin(integral, np.concatenate(guards)).all():
        return program.disjuncts
    return ()
