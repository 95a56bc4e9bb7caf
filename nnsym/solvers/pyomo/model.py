"""A Program as a Pyomo model, at nearly the cost of its arrays.

All linear rows live in one component of ctype ``Constraint``, :class:`MatrixRows`, as CSR arrays. The solvers
registered by :mod:`nnsym.solvers.pyomo_solvers` read the arrays. Everything else in Pyomo (writers, other solvers,
``pprint``) iterates constraints, and then gets real rows, made at that moment, or an exception: a component that
stock code silently skipped would leave the network unconstrained.

Source of the idea of matrix rows in Pyomo: ``MatrixConstraint`` (Pyomo pull request 1242), which no writer of
Pyomo 6.10 can read.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, final

import numpy as np
import pyomo.environ as pyo
from pyomo.core.base.constraint import ConstraintData, IndexedConstraint
from pyomo.core.expr.numeric_expr import LinearExpression

from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.program import Feature, Kind, Program, Role, SosBlock
from nnsym.solvers.arrays import LinearModel
from nnsym.write.linear import linear_blocks
from nnsym.write.names import symbols

_DOMAINS = {Kind.REAL: pyo.Reals, Kind.INTEGER: pyo.Integers, Kind.BINARY: pyo.Binary}
#: Roles of inputs, outputs and the margin.
_EXPOSED = frozenset({Role.VALUE, Role.MARGIN})


def to_pyomo(program: Program, *, columns: Literal["io", "all"] = "io") -> Any:
    """A ``ConcreteModel`` with variables ``x[symbol]``, the rows ``rows`` and, in margin form, the objective.

    ``columns="io"`` makes variables of inputs, outputs and the margin only; hidden columns stay in arrays, and only
    the registered solvers ``nnsym_highs`` and ``nnsym_gurobi`` can solve the model. ``columns="all"`` makes one of
    every column and any Pyomo solver will do. Symbols are those of the SMT-LIB file: ``x["relu_1[17].pre"]``.
    Constraints of your own over the variables may be added, bounds tightened, variables fixed within them.

    The rows hold for the bounds and the whole numbers that the variables come with, and for no others. Whoever goes
    through the rows, a solver or a writer, gets an :class:`InputError` where a bound was widened, a variable fixed
    outside of it or a whole number made continuous (:meth:`MatrixRows.check`). A persistent solver that is told about
    single variables does not go through them: call ``model.rows.check()`` first. Deactivating ``rows`` takes the
    network out of the model.

    Rows are called as in an LP file: ``rows["network_3_17"]``. Special ordered sets are components ``sos1`` and
    ``sos2`` beside them, which the registered solvers refuse and Pyomo's interfaces to Gurobi, CPLEX and SCIP take.

    Raises:
        UnsupportedError: the program has implications, products or definitions by cases.
    """
    model = pyo.ConcreteModel(name="nnsym")
    fill(model, program, columns=columns)
    if program.objective is not None:
        model.objective = pyo.Objective(expr=model.rows.variables[program.objective])
    return model


def fill(block: Any, program: Program, *, columns: Literal["io", "all"]) -> None:
    """Give a block the variables ``x[symbol]`` and the rows ``rows``; see :func:`to_pyomo`."""
    missing = program.features & {Feature.IMPLICATIONS, Feature.PRODUCTS, Feature.CASES}
    if columns != "all":
        missing |= program.features & {Feature.SOS1, Feature.SOS2}
    if missing:
        what = ", ".join(sorted(f.value for f in missing))
        remedy = "Use linear rows and sets: bigm, partition4, sos1, sos2"
        raise UnsupportedError(f"a Pyomo model of {what} is not available", remedy=remedy)
    roles = None if columns == "all" else _EXPOSED
    shown = [int(b.start) + k for b in program.blocks if roles is None or b.role in roles for k in range(len(b.index))]
    names = symbols(program, roles)
    kinds, lower, upper = (numbers[shown].tolist() for numbers in (program.kind, program.lower, program.upper))
    block.x = pyo.Var(
        names,
        domain=dict(zip(names, (_DOMAINS[kind] for kind in kinds), strict=True)),
        bounds=dict(zip(names, zip(map(_finite, lower), map(_finite, upper), strict=True), strict=True)),
    )
    variables = dict(zip(shown, block.x.values(), strict=True))
    block.rows = MatrixRows(program, variables)
    for most in (1, 2):
        sets = (some for found in program.sets if found.most == most for some in _split(found))
        members = {k: [names[j] for j in some] for k, some in enumerate(sets)}
        if members:
            component = pyo.SOSConstraint(list(members), var=block.x, index=members, sos=most)
            block.add_component(f"sos{most}", component)


def _split(block: SosBlock) -> list[Array]:
    """The columns of each set."""
    return np.split(block.indices, block.indptr[1:-1])


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


#: What is relaxed by linear rows, or refused before.
_ELSE = frozenset(Feature)


#: A value that a variable is fixed at may be beyond a bound by a solver's tolerance, as a share of the bound beyond 1.
_TOLERANCE = 1e-6


def _strayed(variable: Any, low: float, high: float, whole: bool) -> str | None:
    """How a variable left the range that it was made with; None if it did not."""
    if variable.fixed:
        slack = _TOLERANCE * max(1.0, abs(variable.value))
        away = abs(variable.value - round(variable.value)) if whole else 0.0
        inside = low - slack <= variable.value <= high + slack and away <= slack
        return None if inside else f"it is fixed at {variable.value:g}"
    lower = -np.inf if variable.lb is None else variable.lb
    upper = np.inf if variable.ub is None else variable.ub
    if lower < low or upper > high:
        return f"its bounds are [{lower:g}, {upper:g}]"
    return "its domain is continuous" if whole and variable.is_continuous() else None


@final
class MatrixRows(IndexedConstraint):  # type: ignore[misc]
    """Linear rows as CSR arrays that become Pyomo constraints only when Pyomo asks for them.

    Every access of Pyomo's to constraints goes through ``_data``, so that is where the rows are made, and every access
    to their names through ``_index_set``: a set of names alone takes longer than handing over the arrays.
    """

    def __init__(self, program: Program, variables: dict[int, Any]) -> None:
        self.arrays, self.variables, self._program = LinearModel.of(program), variables, program
        self.arrays = replace(self.arrays, sets=())  # components of their own
        self.values_of_columns: Array | None = None
        super().__init__(pyo.Any)
        self._made: dict[str, Any] | None = None
        self._named: Any = None

    _constructed: bool

    @property
    def column_names(self) -> list[str]:
        """Symbols of all columns, hidden ones included, in the order of the arrays."""
        return symbols(self._program)

    def check(self) -> None:
        """Raise :class:`InputError` where a variable may take values that the rows were not made for."""
        made, shown = self.arrays, list(self.variables)
        limits = (sides[shown].tolist() for sides in (made.lower, made.upper, made.integer))
        for variable, low, high, whole in zip(self.variables.values(), *limits, strict=True):
            if (reason := _strayed(variable, low, high, whole)) is not None:
                raise InputError(
                    f"{reason}; the rows hold for {'whole numbers' if whole else 'values'} in [{low:g}, {high:g}] only",
                    where=f"Pyomo variable '{variable.name}'",
                    remedy="Bounds may be tightened; else encode a larger domain, or take 'triangle' for a relaxation",
                )

    def check_whole(self) -> None:
        """Raise :class:`UnsupportedError` where a single row was deactivated: the arrays know of no such thing."""
        if any(not row.active for row in (self._made or {}).values()):
            raise UnsupportedError(
                "a single row is deactivated, and the rows are solved as arrays",
                where=f"Pyomo component '{self.name}'",
                remedy="Deactivate the component, or use a solver that is not nnsym's",
            )

    def values(self, *options: Any, **named: Any) -> Any:
        """As for every component, of rows that were checked."""
        self.check()
        return super().values(*options, **named)

    def items(self, *options: Any, **named: Any) -> Any:
        """As for every component, of rows that were checked."""
        self.check()
        return super().items(*options, **named)

    def construct(self, data: object = None) -> None:
        """Nothing is built here."""
        self._constructed = True

    @property
    def _data(self) -> dict[str, Any]:
        if self._made is None:
            if len(self.variables) < len(self.arrays.lower):
                raise UnsupportedError(
                    "hidden columns of this model are arrays, not Pyomo variables",
                    where=f"Pyomo component '{self.name}'",
                    remedy="Solve with SolverFactory('nnsym_highs') or build with to_pyomo(..., columns='all')",
                )
            self._made = self._rows()
        return self._made

    @_data.setter
    def _data(self, value: dict[str, Any]) -> None:
        self._made = value

    @property
    def _index_set(self) -> Any:
        if self._named is None:
            blocks = linear_blocks(self._program, ".lp", besides=_ELSE)
            self._named = pyo.Set(initialize=[f"{name}_{k}" for name, rows in blocks for k in range(len(rows))])
            self._named._parent = self._parent
            self._named.construct()
        return self._named

    @_index_set.setter
    def _index_set(self, value: Any) -> None:
        self._named = value

    def _rows(self) -> dict[str, Any]:
        """All rows as ordinary constraints with real expressions."""
        a, x = self.arrays, self.variables
        data, columns, ends = a.data.tolist(), a.indices.tolist(), a.indptr.tolist()
        made: dict[str, Any] = {}
        sides = zip(self._index_set, a.row_lower.tolist(), a.row_upper.tolist(), strict=True)
        for k, (name, low, high) in enumerate(sides):
            start, stop = ends[k], ends[k + 1]
            body = LinearExpression(linear_coefs=data[start:stop], linear_vars=[x[j] for j in columns[start:stop]])
            both = (body == low) if low == high else (_finite(low), body, _finite(high))
            made[name] = ConstraintData(both, component=self)
            made[name]._index = name
        return made

    def _create_objects_for_deepcopy(self, memo: dict[int, Any], component_list: list[Any]) -> Any:
        """``clone`` copies the arrays, not rows that were never made."""
        if self._made is not None:
            return super()._create_objects_for_deepcopy(memo, component_list)
        new = self.__class__.__new__(self.__class__)
        answer = memo.setdefault(id(self), new)
        if answer is new:
            component_list.append((self, new))
        return answer
