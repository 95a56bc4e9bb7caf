"""A Program: columns and typed blocks of rows, in arrays; what every solver reads and every file is written from.

Columns have bounds, a kind and a symbolic key ``(node name, index, role)``. Blocks are linear rows,
implications (``bool column = value  =>  row``), clauses over Boolean columns, products, unit balls, functions by
cases and sets with one nonzero member. Each block carries a tag
and the text of its origin. float64 numbers are exact unless a block or the columns carry ``exact`` numbers:
then the float64 ones are rounded outward (the float program contains the exact one) and exact solvers
read the exact ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, IntEnum, StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.linear import entry_rows, row_pointers

if TYPE_CHECKING:
    from nnsym.ir.node import Node


class Kind(IntEnum):
    """What values a column takes."""

    REAL = 0
    INTEGER = 1
    BINARY = 2


class Tag(Enum):
    """Where a row comes from; decides what an infeasible program means."""

    NETWORK = "network"
    DOMAIN = "domain"
    PRECONDITION = "precondition"
    CONCLUSION = "conclusion"
    CUT = "cut"


class Role(StrEnum):
    """What a column stands for, which tells its value in a run of the network (``nnsym.encode.point.complete``).

    Columns of the roles :data:`OWN` say it themselves: by ``factors``, or by the ``value`` that a rule brings.
    """

    PRE = "pre"  # a pre-activation
    POST = "post"  # the value after an activation
    VALUE = "value"  # that of any other node, of inputs too
    PHASE = "phase"  # binary of an activation
    CHOICE = "choice"  # binary of a maximum, or of a cell of a piecewise-linear function
    COPY = "copy"  # a second name of the column ``index``
    PART = "part"  # defined by the equality that it closes, with coefficient -1
    ACTIVE = "active"  # a part of a pre-activation where the neuron is active, else 0
    ACTIVE_INPUT = "active_input"  # an input of a neuron where it is active, else 0
    WEIGHT = "weight"  # of a point in a convex combination
    BIT = "bit"  # binary of a code
    AUX = "aux"  # anything else
    GUARD = "guard"  # binary of a disjunct of the property
    MARGIN = "margin"  # the objective t
    OFFSET = "offset"  # of a ball: ``u = (x - c) / r``
    SIZE = "size"  # ``|u|``
    SQUARE = "square"  # ``u^2``


#: Roles whose columns nothing is known of but what a rule says.
OWN = frozenset({Role.ACTIVE, Role.ACTIVE_INPUT, Role.WEIGHT, Role.BIT, Role.AUX})

#: Gives a run's values of columns, from the values of all nodes: exact numbers where those are.
Valued = Callable[[Mapping["Node", Array]], Array]


def role_of(text: str) -> Role:
    """The role of that name, or an error that lists them."""
    try:
        return Role(text)
    except ValueError:
        remedy = f"With value= take aux or bit; all roles: {', '.join(Role)}"
        raise InputError(f"no role of columns is called '{text}'", remedy=remedy) from None


class Feature(Enum):
    """A kind of block, or of problem; encodings emit them, solvers accept them."""

    ROWS = "linear rows"
    BINARIES = "binary columns"
    INTEGERS = "integer columns"
    IMPLICATIONS = "implications"
    CLAUSES = "clauses"
    PRODUCTS = "products"
    QUADRATIC = "quadratic rows"
    CASES = "definitions by cases"
    SOS1 = "special ordered sets"
    SOS2 = "special ordered sets of two neighbours"
    TRUTH = "Boolean problems without a margin"


@final
@dataclass(frozen=True, eq=False)
class ColumnBlock:
    """Columns ``start .. start + len(index)``: elements ``index`` of a node in one role.

    A column with ``factors`` is the product of two earlier columns; ``value`` gives a run's values of the columns. It
    does not go to other processes, which solve and cut and need none. ``titles`` is what people call the node, or each
    of its elements.
    """

    node: str
    role: Role
    index: Array
    start: int
    factors: tuple[Array, Array] | None = None
    value: Valued | None = None
    titles: str | tuple[str, ...] = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return ColumnBlock, (self.node, self.role, self.index, self.start, self.factors, None, self.titles)

    def name(self, position: int) -> str:
        """``relu_1[17].pre``: the symbolic key of one column; ``x.speed.value`` where elements have names."""
        index, called = self.index[position], self.titles or self.node
        return f"{called}[{index}].{self.role}" if isinstance(called, str) else f"{called[index]}.{self.role}"


@final
@dataclass(frozen=True, eq=False)
class RowBlock:
    """``lower <= data @ columns <= upper``, CSR over program columns; no column twice in a row.

    ``exact`` holds the same numbers as Fractions where float64 cannot: ``(data, lower, upper)``, of which the
    float64 ones are an outward rounding over the columns' bounds. ``origin`` says which node and rule.
    ``strict`` excludes equality; exact solvers keep it, float ones close it.
    """

    data: Array
    indices: Array
    indptr: Array
    lower: Array
    upper: Array
    tag: Tag
    origin: str
    exact: tuple[Array, Array, Array] | None = None
    strict: bool = False

    def __len__(self) -> int:
        return len(self.lower)

    def value(self, point: Array) -> Array:
        """The sum of every row at a point, in float64."""
        return np.bincount(entry_rows(self.indptr), weights=self.data * point[self.indices], minlength=len(self))

    def take(self, rows: Array) -> RowBlock:
        """Some of the rows: those that a mask marks, or those of these numbers."""
        counts = np.diff(self.indptr)[rows]
        ends = row_pointers(counts)
        entries = np.repeat(self.indptr[:-1][rows] - ends[:-1], counts) + np.arange(ends[-1])
        exact = None if self.exact is None else (self.exact[0][entries], self.exact[1][rows], self.exact[2][rows])
        return replace(
            self,
            data=self.data[entries],
            indices=self.indices[entries],
            indptr=ends,
            lower=self.lower[rows],
            upper=self.upper[rows],
            exact=exact,
        )


@final
@dataclass(frozen=True, eq=False)
class ImplicationBlock:
    """Row ``k`` of ``rows`` holds whenever column ``guard[k]`` equals ``value[k]`` (0 or 1)."""

    guard: Array
    value: Array
    rows: RowBlock


@final
@dataclass(frozen=True, eq=False)
class ClauseBlock:
    """Each clause: at least one of its literals holds. CSR without data over Boolean columns.

    A literal is its column, or the negation of its column where ``positive`` is false (None: all positive).
    """

    indices: Array
    indptr: Array
    tag: Tag
    origin: str
    positive: Array | None = None


@final
@dataclass(frozen=True, eq=False)
class ProductBlock:
    """``out_k = left_k * right_k`` over columns."""

    out: Array
    left: Array
    right: Array
    origin: str


@final
@dataclass(frozen=True, eq=False)
class QuadraticBlock:
    """One convex quadratic row: the squares of the columns sum up to at most 1.

    ``squares`` are columns not above the squares of ``columns`` under the program's linear rows, which relax this row;
    None where there are no such rows.
    """

    columns: Array
    squares: Array | None
    tag: Tag
    origin: str


class CaseForm(Enum):
    """How SMT-LIB text states a definition by cases, for two lines that meet in the origin."""

    OR = "(h <= 0 and y = a h) or (h > 0 and y = b h)"
    ITE = "y = ite(h >= 0, b h, a h)"
    IMPLIES = "(h >= 0 => y = b h) and (h < 0 => y = a h)"


@final
@dataclass(frozen=True, eq=False)
class CaseBlock:
    """``out = slopes_c arg + offsets_c`` in case c, without Boolean columns; tables ``(cases, n)``.

    Case c + 1 begins where ``arg >= starts_c``, or ``arg > starts_c`` where ``strict_c``; both ``(cases - 1, n)``.
    """

    out: Array
    arg: Array
    slopes: Array
    offsets: Array
    starts: Array
    strict: Array
    form: CaseForm
    origin: str


@final
@dataclass(frozen=True, eq=False)
class SosBlock:
    """Of each set at most ``most`` columns are not zero: one (SOS1), or two neighbours (SOS2). CSR without data."""

    indices: Array
    indptr: Array
    origin: str
    most: int = 1


@final
@dataclass(frozen=True, eq=False)
class Program:
    """Minimise ``objective`` (a column, the margin t) or, without one, find a feasible point.

    Attributes:
        lower: the least value of every column, ``(n_columns,)``.
        upper: the greatest.
        kind: what values a column takes, a :class:`Kind`.
        blocks: what the columns stand for, in order.
        rows: linear rows ``lower <= A x <= upper``.
        implications: rows that hold where a Boolean column has a value.
        clauses: of Boolean columns at least one is true (or false).
        products: columns that are products of two others.
        quadratics: convex quadratic rows, unit balls.
        functions: columns that are functions of one other, by cases.
        sets: of which one column, or two neighbours, are not zero.
        objective: the column that is minimised, None where any feasible point will do.
        exact_bounds: ``(lower, upper)`` as exact numbers, where float64 cannot hold them; the float ones are outward.
        disjuncts: the disjuncts of the violation, as assignments of guard columns ``(columns, values)``: fixing one
            makes its sub-program free of guards, and together they cover the program. Empty where there are no guards,
            or too many of them.
        decides: what the answer means for the property, in words.
        meta: what files say of it at their top: encoding, exactness, bounds.
    """

    lower: Array
    upper: Array
    kind: Array
    blocks: tuple[ColumnBlock, ...]
    rows: tuple[RowBlock, ...]
    implications: tuple[ImplicationBlock, ...] = ()
    clauses: tuple[ClauseBlock, ...] = ()
    products: tuple[ProductBlock, ...] = ()
    quadratics: tuple[QuadraticBlock, ...] = ()
    functions: tuple[CaseBlock, ...] = ()
    sets: tuple[SosBlock, ...] = ()
    objective: int | None = None
    exact_bounds: tuple[Array, Array] | None = None
    disjuncts: tuple[tuple[Array, Array], ...] = ()
    decides: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_columns(self) -> int:
        return len(self.lower)

    @cached_property
    def n_rows(self) -> int:
        linear = sum(len(b) for b in self.rows) + sum(len(b.rows) for b in self.implications)
        defined = sum(len(b.out) for b in self.products) + sum(len(b.out) for b in self.functions)
        return linear + self.n_clauses + defined + len(self.quadratics)

    @cached_property
    def n_clauses(self) -> int:
        return sum(len(b.indptr) - 1 for b in self.clauses)

    @cached_property
    def nnz(self) -> int:
        linear = sum(len(b.data) for b in self.rows) + sum(len(b.rows.data) for b in self.implications)
        return linear + sum(len(b.indices) for b in self.clauses)

    @cached_property
    def n_binary(self) -> int:
        return int((self.kind != Kind.REAL).sum())

    @cached_property
    def features(self) -> frozenset[Feature]:
        """The kinds of block that occur; a solver must accept all of them."""
        found = {Feature.ROWS}
        if (self.kind == Kind.BINARY).any():
            found.add(Feature.BINARIES)
        if (self.kind == Kind.INTEGER).any():
            found.add(Feature.INTEGERS)
        if self.implications:
            found.add(Feature.IMPLICATIONS)
        if self.clauses:
            found.add(Feature.CLAUSES)
        if self.products:
            found.add(Feature.PRODUCTS)
        if self.quadratics:
            found.add(Feature.QUADRATIC)
        if self.functions:
            found.add(Feature.CASES)
        found |= {Feature.SOS2 if block.most == 2 else Feature.SOS1 for block in self.sets}
        return frozenset(found)

    def with_rows(self, rows: Iterable[RowBlock]) -> Program:
        """The program with further rows at its end."""
        return replace(self, rows=(*self.rows, *rows))

    @cached_property
    def matrix(self) -> tuple[Array, Array, Array, Array, Array]:
        """All linear rows as one CSR: ``(data, indices, indptr, lower, upper)``, in the order of the blocks."""
        if not self.rows:
            empty = np.zeros(0)
            return empty, np.zeros(0, np.int32), np.zeros(1, np.int32), empty, empty
        data = np.concatenate([b.data for b in self.rows])
        indices = np.concatenate([b.indices for b in self.rows], dtype=np.int32, casting="same_kind")
        sizes = np.cumsum([0, *(len(b.data) for b in self.rows)])
        pieces = [b.indptr[:-1] + s for b, s in zip(self.rows, sizes, strict=False)]
        indptr = np.concatenate([*pieces, sizes[-1:]]).astype(np.int32)
        lower = np.concatenate([b.lower for b in self.rows])
        return data, indices, indptr, lower, np.concatenate([b.upper for b in self.rows])

    def column_names(self) -> list[str]:
        """Symbolic names of all columns, in order."""
        return [b.name(k) for b in self.blocks for k in range(len(b.index))]

    def with_bounds(self, columns: Array, values: Array) -> Program:
        """The program with some columns fixed (used to solve one disjunct)."""
        lower, upper = self.lower.copy(), self.upper.copy()
        lower[columns] = upper[columns] = values
        return replace(self, lower=lower, upper=upper, exact_bounds=_fix(self.exact_bounds, columns, values))

    def relax(self) -> Program:
        """Drop the integrality of all columns but the property's: its guards, and inputs that are integer.

        Logic over those columns, sets and definitions by cases go with it: a fractional guard binds nothing.
        """
        kind = self.kind.copy()
        for block in self.blocks:
            if block.role not in (Role.GUARD, Role.VALUE):
                kind[block.start : block.start + len(block.index)] = Kind.REAL
        kept = tuple(b for b in self.implications if (kind[b.guard] != Kind.REAL).all())
        return replace(self, kind=kind, implications=kept, functions=(), sets=())


def _fix(exact: tuple[Array, Array] | None, columns: Array, values: Array) -> tuple[Array, Array] | None:
    if exact is None:
        return None
    lower, upper = exact[0].copy(), exact[1].copy()
    lower[columns] = upper[columns] = values
    return lower, upper
