"""Domain and specification of a query, the same for every encoding.

Every used row of the specification gets a column ``s_i`` (an affine layer, so its coefficients stand once).
In margin form the program minimises t over ``s_i <= t`` for the conclusion and ``s_i <= 0`` for preconditions;
a guard g relaxes its rows by ``M = upper(s_i) - lower(t)``:

    s_i - t + M g <= M        s_i + upper(s_i) g <= upper(s_i)        sum of the guards of a clause >= 1

In Boolean form every atom is ``s_i <= 0`` (or ``< 0``), under a guard an implication, and clauses are clauses.
A box inside a disjunct becomes guarded rows on the inputs, where it is tighter than the hull of the domain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.builder import ProgramBuilder, row_block
from nnsym.encode.affine import AffineLayer, encode_affine, gather
from nnsym.encode.formula import Clause, Flat, disjuncts, flat_formula
from nnsym.encode.shorten import round_out
from nnsym.encoding import Context, Encoding, Form
from nnsym.errors import MissingBoundsError
from nnsym.ir.array import Array
from nnsym.ir.domain import require_limits
from nnsym.ir.exact import round_down, round_up
from nnsym.ir.formula import InBox
from nnsym.ir.linear import row_pointers
from nnsym.ir.node import Node
from nnsym.ir.outward import sum_down, sum_up
from nnsym.ir.query import Query
from nnsym.program import ClauseBlock, ImplicationBlock, Kind, Role, RowBlock, Tag

#: Name of the specification layer in column names and origins, and of the columns t and g.
SPEC, QUERY = "spec", "query"


@final
@dataclass(frozen=True, eq=False)
class Stated:
    """What the specification adds to a program besides rows; ``rows`` are the columns of its rows (-1: dropped)."""

    objective: int | None
    rows: Array
    disjuncts: tuple[tuple[Array, Array], ...]
    meta: Mapping[str, str]


def encode_inputs(ctx: Context, query: Query, encoding: Encoding) -> dict[Node, Array]:
    """One column per input element, with the bounds of the domain's hull."""
    ids: dict[Node, Array] = {}
    for x, box in query.boxes.items():
        lower, upper = box.outer
        if encoding.needs_bounds:
            require_limits(box, ctx.names[x], f" and the encoding '{encoding.name}' needs finite ones")
        exact = (box.lower, box.upper) if object in (box.lower.dtype, box.upper.dtype) else None
        if encoding.bits is not None:
            exact, lower, upper = None, round_out(lower, encoding.bits, -1), round_out(upper, encoding.bits, +1)
        whole = np.where((lower >= 0) & (upper <= 1), Kind.BINARY, Kind.INTEGER)  # {0, 1} is a Bool in SMT-LIB
        kind = np.where(x.integer, whole, Kind.REAL)
        ids[x] = ctx.builder.columns(ctx.names[x], Role.VALUE, np.arange(x.size), lower, upper, kind=kind, exact=exact)
    return ids


def encode_spec(
    ctx: Context, query: Query, encoding: Encoding, ids: Mapping[Node, Array], max_disjuncts: int
) -> Stated:
    """Add the specification layer and the formula over it."""
    lower, upper = ctx.bounds.rows.lower, ctx.bounds.rows.upper
    flat = flat_formula(query.formula, lower, upper, query.boxes, encoding.form)
    s = np.full(len(query.rows), -1)
    s[flat.rows] = _spec_layer(ctx, query, flat.rows, ids)
    one = np.ones(flat.n_guards)
    guards = (
        ctx.builder.columns(QUERY, Role.GUARD, np.arange(len(one)), 0 * one, one, kind=Kind.BINARY) if len(one) else one
    )
    guard = np.concatenate((guards, [-1])).astype(np.int64)  # guard -1 has no column
    if any(not len(clause.guards) for clause in flat.clauses):
        _contradiction(ctx.builder)
        flat = replace(flat, clauses=())
    writer = _Writer(ctx.builder, query, flat, s, guard, lower, upper, ids)
    objective = None
    if encoding.form is Form.MARGIN:
        objective = writer.margin()
    else:
        writer.boolean()
    paths = sorted(disjuncts(flat, max_disjuncts), key=lambda path: _disjunct_lower(flat, path, lower))
    meta = {"rows dropped by bounds": str(flat.pruned), "guards": str(flat.n_guards)}
    return Stated(objective, s, tuple((guards, path) for path in paths), meta)


def _disjunct_lower(flat: Flat, path: Array, lower: Array) -> float:
    """The lower bound of a disjunct's margin: the most promising disjunct, for a counterexample, has the smallest."""
    taken = np.concatenate((path, [1.0])) > 0  # guard -1 is always taken
    found = [lower[a.rows[taken[a.guard]]] for a in flat.atoms if a.soft]
    return float(np.concatenate([np.full(1, -np.inf), *found]).max())


def _spec_layer(ctx: Context, query: Query, used: Array, ids: Mapping[Node, Array]) -> Array:
    rows = query.rows.take(used)
    parts = []
    for node, part in rows.parts.items():
        indptr = row_pointers(np.bincount(part.row, minlength=len(rows)))
        parts.append(((part.coefficient, part.column, indptr), ids[node]))
    interval = ctx.bounds.rows
    layer = AffineLayer(
        SPEC, Role.VALUE, used, interval.lower[used], interval.upper[used], origin=f"{SPEC}: s = C v + d"
    )
    return encode_affine(ctx.builder, layer, gather(parts, len(rows)), rows.constant)


def _contradiction(builder: ProgramBuilder) -> None:
    """No disjunct is left: a row that no point satisfies."""
    column = builder.columns(QUERY, Role.AUX, np.zeros(1, int), np.zeros(1), np.zeros(1))
    origin = f"{QUERY}: bounds refute every disjunct"
    builder.rows(row_block([(1.0, column)], upper=-1.0, tag=Tag.CONCLUSION, origin=origin))


@final
@dataclass(frozen=True, eq=False)
class _Writer:
    """Writes a flat formula as rows over ``s`` (row -> column) and ``guard`` (guard -> column)."""

    builder: ProgramBuilder
    query: Query
    flat: Flat
    s: Array
    guard: Array
    lower: Array
    upper: Array
    ids: Mapping[Node, Array]

    def margin(self) -> int:
        """The margin form; returns the column t."""
        soft = np.concatenate([np.zeros(0, int), *(a.rows for a in self.flat.atoms if a.soft)])
        low, high = self._span(soft)
        t = self.builder.columns(QUERY, Role.MARGIN, np.zeros(1, int), np.array([low]), np.array([high]))
        for atoms in self.flat.atoms:
            rows, guard = atoms.rows, atoms.guard
            terms: list[tuple[Array | float, Array]] = [(1.0, self.s[rows])]
            slack = self.upper[rows]
            if atoms.soft:
                terms.append((-1.0, np.repeat(t, len(rows))))
                slack = np.maximum(sum_up(slack, -low), 0.0)
            big_m = np.where(guard >= 0, slack, 0.0)
            self._finite(rows, big_m)
            terms.append((big_m, self.guard[guard]))
            self.builder.rows(
                row_block(terms, upper=big_m, tag=_tag(atoms.soft), origin=self._says(rows, atoms.soft, "t"))
            )
        for box, taken in self.flat.boxes:
            self._box_rows(box, taken)
        for clause in self.flat.clauses:
            self._clause_row(clause)
        return int(t[0])

    def _span(self, soft: Array) -> tuple[float, float]:
        """Bounds of t. Where a disjunct has no conclusion (margin -inf), t stops below every other margin."""
        low = self.flat.lower
        high = max(low, float(self.upper[soft].max(initial=-np.inf)))
        if low == np.inf:
            return 0.0, 0.0
        if low == -np.inf and np.isfinite(self.lower[soft]).all():
            low = min(-1.0, float(self.lower[soft].min(initial=0.0)))
        return low, max(low, high)

    def _finite(self, rows: Array, big_m: Array) -> None:
        for row in rows[~np.isfinite(big_m)][:1]:
            raise MissingBoundsError(
                f"the row has bounds [{self.lower[row]}, {self.upper[row]}] and stands inside a disjunction",
                where=f"{SPEC}[{row}] {self._label(row)}".strip(),
                remedy="Bound the inputs it depends on, or use an encoding in Boolean form (smt)",
            )

    def _box_rows(self, box: InBox, guard: int) -> None:
        lower, upper = self.query.boxes[box.input].outer
        low, high, x = round_down(box.lower), round_up(box.upper), self.ids[box.input]
        origin = self._box_origin(box, guard)
        for sign, here, hull in ((1.0, low, lower), (-1.0, -high, -upper)):
            inner = np.flatnonzero(here > hull)  # sign * x >= here, and hull holds anyway
            if not len(inner):
                continue
            if guard < 0:
                rows = row_block([(sign, x[inner])], lower=here[inner], tag=Tag.PRECONDITION, origin=origin)
            else:
                big_m = sum_down(here[inner], -hull[inner])
                if not np.isfinite(big_m).all():
                    raise MissingBoundsError("a box in a disjunction over an unbounded input", where=origin)
                column = np.repeat(self.guard[guard], len(inner))
                terms: list[tuple[Array | float, Array]] = [(sign, x[inner]), (-big_m, column)]
                rows = row_block(terms, lower=hull[inner], tag=Tag.PRECONDITION, origin=origin)
            self.builder.rows(rows)

    def _clause_row(self, clause: Clause) -> None:
        indices, positive = self._literals(clause)
        data = np.where(positive, 1.0, -1.0)
        low = np.array([1.0 if positive.all() else 0.0])
        self.builder.rows(
            RowBlock(
                data, indices, np.array([0, len(data)]), low, np.array([np.inf]), Tag.CONCLUSION, self._clause_origin()
            )
        )

    def _literals(self, clause: Clause) -> tuple[Array, Array]:
        """The columns of a clause's guards, and which of them are positive: a head, where there is one, is not."""
        guards = clause.guards if clause.head < 0 else np.append(clause.guards, clause.head)
        return self.guard[guards], np.arange(len(guards)) < len(clause.guards)

    def boolean(self) -> None:
        """The Boolean form: is there a point at which the formula is true?"""
        for atoms in self.flat.atoms:
            rows, tag = atoms.rows, _tag(atoms.soft)
            free = atoms.guard < 0
            for some in (free, ~free):
                origin = self._says(rows[some], False, "<" if atoms.strict else "<=")
                block = row_block([(1.0, self.s[rows[some]])], upper=0.0, tag=tag, origin=origin)
                self._emit(replace(block, strict=atoms.strict), self.guard[atoms.guard[some]])
        for box, guard in self.flat.boxes:
            self._box_facts(box, guard)
        for clause in self.flat.clauses:
            indices, positive = self._literals(clause)
            pointers, signs = np.array([0, len(indices)]), None if positive.all() else positive
            self.builder.clauses(ClauseBlock(indices, pointers, Tag.CONCLUSION, self._clause_origin(), signs))

    def _emit(self, block: RowBlock, guard: Array) -> None:
        if len(block) and guard[0] >= 0:
            self.builder.implications(ImplicationBlock(guard, np.ones(len(block), dtype=np.int8), block))
        else:
            self.builder.rows(block)

    def _box_facts(self, box: InBox, guard: int) -> None:
        hull = self.query.boxes[box.input]
        inner = np.flatnonzero((box.lower > hull.lower) | (box.upper < hull.upper))
        low, high = box.lower[inner], box.upper[inner]
        columns, origin = self.ids[box.input][inner], self._box_origin(box, guard)
        block = row_block(
            [(1.0, columns)], lower=round_down(low), upper=round_up(high), tag=Tag.PRECONDITION, origin=origin
        )
        if object in (low.dtype, high.dtype):
            ones = np.ones(len(inner)).astype(object)
            block = replace(block, exact=(ones, low.astype(object), high.astype(object)))
        self._emit(block, np.repeat(self.guard[guard], len(inner)))

    def _label(self, row: int) -> str:
        return self.query.labels[row] if row < len(self.query.labels) else ""

    def _says(self, rows: Array, soft: bool, what: str) -> str:
        texts = list(dict.fromkeys(filter(None, (self._label(r) for r in rows[:9]))))
        more = " ..." if len(rows) > 9 else ""
        head = f"{SPEC}: s <= t" if soft else f"{SPEC}: s {'<=' if what == 't' else what} 0"
        return f"{head}  [{'; '.join(texts)}{more}]" if texts else head

    def _box_origin(self, box: InBox, guard: int) -> str:
        where = "" if guard < 0 else f", where {QUERY}[{guard}].guard"
        return f"box of {box.input.name}{where}"

    def _clause_origin(self) -> str:
        return f"{QUERY}: some disjunct is taken"


def _tag(soft: bool) -> Tag:
    return Tag.CONCLUSION if soft else Tag.PRECONDITION
