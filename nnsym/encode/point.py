"""A run of the network as a point of a program, and the row that a point violates most.

The role of a column says what it stands for, so no encoding has to write this a second time:

    pre, post, value   the node's value (rows of the specification under the name ``spec``)
    phase              1 where the pre-activation is > 0; of a piecewise-linear function in a cell and beyond it
    choice             1 for the first of the kept members that attains the maximum of its group; of a
                       piecewise-linear function for the cell that the argument is in
    copy               the column it copies
    part               what the equality that it closes gives it
    offset             of a ball: ``u = (x - c) / r``; ``size`` is |u| and ``square`` is u^2
    margin             the property's margin there, within the bounds of t
    guard              1 where every row that it guards holds

A column with factors is their product, whatever its role, and one with a value has what that says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nnsym.encode.balls import named_balls, offsets
from nnsym.encode.pieces import begun_cells, chosen_cells
from nnsym.encode.statement import QUERY, SPEC
from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.domain import Ball
from nnsym.ir.exact import to_fractions
from nnsym.ir.formula import Atoms, InBox, reduce_formula
from nnsym.ir.linear import entry_rows
from nnsym.ir.names import node_names
from nnsym.ir.node import Input, Max, Node, Pointwise
from nnsym.ir.query import Query
from nnsym.ir.univariate import Piecewise
from nnsym.program import CaseBlock, ClauseBlock, ColumnBlock, Program, Role, RowBlock, Tag

#: Rows that every run of the network satisfies, whatever the property says about it.
NOMINAL = frozenset({Tag.NETWORK, Tag.DOMAIN, Tag.CUT})
_SLACK = 1e-9  # a row of the property counts as satisfied within this when guards are set


def complete(program: Program, query: Query, point: Mapping[Input, Array], *, exact: bool = False) -> Array:
    """A value for every column from a value for every input; exact rationals throughout with ``exact``.

    The point need not satisfy the property's precondition; then only the rows of the conclusion and of
    preconditions can be violated by the result.
    """
    values = query.values(point, exact=exact)
    labels = node_names(query.nodes)
    names = {name: node for node, name in labels.items()}
    balls = {name: (x, ball) for name, x, ball in named_balls(query, labels)}
    out = to_fractions(np.zeros(program.n_columns)) if exact else np.zeros(program.n_columns)
    for block in program.blocks:
        if not len(block.index):
            continue
        if block.factors is not None:
            filled = out[block.factors[0]] * out[block.factors[1]]
        elif block.value is not None:
            filled = np.asarray(block.value(values))
        elif block.role == Role.PART:
            filled = _closing(program, block, out)
        elif block.role == Role.COPY:
            filled = out[block.index]
        elif block.node in balls:
            x, ball = balls[block.node]
            filled = _of_ball(ball, values[x], block)
        elif block.node == QUERY:
            filled = _of_query(program, query, values, block)
        elif block.node == SPEC:
            filled = query.rows.take(block.index).value(values)
        else:
            filled = _of_node(names[block.node], values, block)
        out[block.start : block.start + len(block.index)] = to_fractions(filled) if exact else filled
    return _take_guards(program, out)


def _closing(program: Program, block: ColumnBlock, point: Array) -> Array:
    """The values that make the rows ``A v - part = c`` hold which the columns of a block close, in their order."""
    for rows in program.rows:
        if rows.indices[rows.indptr[1:] - 1].tolist() == list(range(block.start, block.start + len(block.index))):
            below, above = _excess(rows, point)
            return above - below
    raise InputError(f"no rows define the columns {block.name(0)}, ...", where=block.node)


def _of_node(node: Node, values: Mapping[Node, Array], block: ColumnBlock) -> Array:
    match block.role:
        case Role.PHASE if isinstance(node, Pointwise) and isinstance(node.fn, Piecewise):
            return begun_cells(node.fn, values[node.parents[0]], block.index).astype(np.float64)
        case Role.PHASE:
            return np.asarray(values[node.parents[0]][block.index] > 0, dtype=np.float64)
        case Role.CHOICE if isinstance(node, Max):
            return _first_largest(node, values[node.parents[0]], block.index)
        case Role.CHOICE if isinstance(node, Pointwise) and isinstance(node.fn, Piecewise):
            return chosen_cells(node.fn, values[node.parents[0]], block.index)
        case Role.PRE | Role.POST | Role.VALUE:
            return values[node][block.index]
    raise InputError(
        f"columns of the role '{block.role}' without their value in a run of the network",
        where=block.node,
        remedy="Give value= or factors= where they are made",
    )


def _of_ball(ball: Ball, x: Array, block: ColumnBlock) -> Array:
    u = offsets(ball, x)[block.index]
    return np.abs(u) if block.role == Role.SIZE else u * u if block.role == Role.SQUARE else u


def _first_largest(node: Max, parent: Array, index: Array) -> Array:
    """1 for the first of the listed members ``(group, position)`` of each group that attains the maximum of these."""
    group, member = index // node.groups.shape[1], parent[node.groups.ravel()[index]]
    chosen = np.zeros(len(index))
    for g in np.unique(group):
        where = np.flatnonzero(group == g)
        chosen[where[int(np.argmax(member[where]))]] = 1.0
    return chosen


def _of_query(program: Program, query: Query, values: Mapping[Node, Array], block: ColumnBlock) -> Array:
    if block.role != Role.MARGIN:
        return np.ones(len(block.index)) if block.role == Role.GUARD else np.zeros(len(block.index))
    low, high = program.lower[block.start], program.upper[block.start]
    return np.array([min(max(exact_margin(query, values), low), high)], dtype=object)


def exact_margin(query: Query, values: Mapping[Node, Array]) -> Any:
    """The margin of the query at node values, in their own arithmetic; +-inf where a precondition decides."""
    s = query.rows.value(values)

    def leaf(node: Atoms | InBox) -> Any:
        if isinstance(node, InBox):
            x = values[node.input]
            return -np.inf if bool(((node.lower <= x) & (x <= node.upper)).all()) else np.inf
        chosen = s[node.rows].tolist() if node.soft else np.where(s[node.rows] <= 0, -np.inf, np.inf).tolist()
        return max(chosen, default=-np.inf) if node.every else min(chosen, default=np.inf)

    def largest(parts: list[Any]) -> Any:
        return max(parts, default=-np.inf)

    def smallest(parts: list[Any]) -> Any:
        return min(parts, default=np.inf)

    return reduce_formula(query.formula, leaf, largest, smallest)


def residual(program: Program, point: Array, tags: frozenset[Tag] = NOMINAL) -> tuple[float, str]:
    """The largest amount by which a point violates a row with one of the tags or a bound of a column, and where.

    Zero (exactly, for a point of Fractions) with the origin ``""`` if nothing is violated.
    """
    worst, origin = 0.0, ""
    for amount, where in _violations(program, point, tags):
        if amount > worst:
            worst, origin = amount, where
    return worst, origin


def worst_row(program: Program, point: Array) -> Array:
    """The columns of the network's row that a point violates most; empty if it violates none."""
    worst, columns = 0.0, np.zeros(0, int)
    for block in program.rows:
        if block.tag in NOMINAL and len(block):
            amount = np.maximum(*_excess(block, point))
            row = int(np.argmax(amount))
            if amount[row] > worst:
                worst, columns = float(amount[row]), block.indices[block.indptr[row] : block.indptr[row + 1]]
    return columns


def _violations(program: Program, point: Array, tags: frozenset[Tag]) -> Iterator[tuple[float, str]]:
    for block in program.rows:
        if block.tag in tags:
            below, above = _excess(block, point)
            yield _largest(np.maximum(below, above)), block.origin
    for implication in program.implications:
        if implication.rows.tag in tags:
            below, above = _excess(implication.rows, point)
            binds = point[implication.guard] == implication.value
            yield _largest(np.maximum(below, above)[binds]), implication.rows.origin
    for clauses in program.clauses:
        if clauses.tag in tags:
            yield float(not _satisfied(clauses, point).all()), clauses.origin
    for ball in program.quadratics:
        if ball.tag in tags:
            yield max(float((point[ball.columns] ** 2).sum() - 1), 0.0), ball.origin
    if Tag.NETWORK in tags:
        for products in program.products:
            yield _largest(np.abs(point[products.out] - point[products.left] * point[products.right])), products.origin
        for function in program.functions:
            yield _largest(np.abs(point[function.out] - _by_cases(function, point[function.arg]))), function.origin
        for sets in program.sets:
            group = entry_rows(sets.indptr)
            place = np.arange(len(group)) - np.asarray(sets.indptr)[group]
            used = np.asarray(point[sets.indices] != 0, dtype=bool)
            for g in range(len(sets.indptr) - 1):
                own = place[used & (group == g)]
                yield float(len(own) and own[-1] - own[0] >= sets.most), sets.origin
        lower, upper = (program.lower, program.upper) if program.exact_bounds is None else program.exact_bounds
        for column in program.blocks:
            span = slice(column.start, column.start + len(column.index))
            if len(column.index) and column.node != QUERY:
                over = np.maximum(_beyond(point[span], upper[span]), _beyond(-point[span], -lower[span]))
                yield _largest(over), f"bounds of {column.name(int(np.argmax(over)))}"


def _by_cases(block: CaseBlock, h: Array) -> Array:
    parts = (block.slopes, block.offsets, block.starts)
    slopes, offsets, starts = map(to_fractions, parts) if h.dtype == object else parts
    begun = np.where(block.strict, h > starts, h >= starts).astype(bool)
    case = begun.sum(axis=0)[None]
    slope, offset = (np.take_along_axis(table, case, axis=0)[0] for table in (slopes, offsets))
    return np.asarray(slope * h + offset)


def _largest(amounts: Array) -> float:
    return float(amounts.max()) if len(amounts) else 0.0


def _beyond(values: Array, limit: Array) -> Array:
    """``max(values - limit, 0)``; 0 where the limit is infinite."""
    bounded = np.array(limit != np.inf, dtype=bool)
    over = values - values
    if values.dtype == object:
        limit = limit.copy().astype(object)
        limit[bounded] = to_fractions(limit[bounded])
    over[bounded] = values[bounded] - limit[bounded]
    return np.asarray(np.maximum(over, over - over))


def _excess(block: RowBlock, point: Array) -> tuple[Array, Array]:
    """By how much each row falls short of its lower side and exceeds its upper one."""
    if point.dtype != object:
        lower, upper, total = block.lower, block.upper, block.value(point)
    else:
        data, lower, upper = block.exact or (to_fractions(block.data), block.lower, block.upper)
        total = to_fractions(np.zeros(len(block)))
        np.add.at(total, entry_rows(block.indptr), data * point[block.indices])
    return _beyond(-total, -lower), _beyond(total, upper)


def _satisfied(clauses: ClauseBlock, point: Array) -> Array:
    literal = point[clauses.indices] != 0
    if clauses.positive is not None:
        literal = literal == clauses.positive
    clause = entry_rows(clauses.indptr)
    return np.bincount(clause, weights=literal, minlength=len(clauses.indptr) - 1) > 0


def _take_guards(program: Program, point: Array) -> Array:
    """Put down every guard some row of which fails, until nothing changes: the guards left are the taken disjuncts."""
    is_guard = np.zeros(program.n_columns, dtype=bool)
    for block in program.blocks:
        if block.role == Role.GUARD:
            is_guard[block.start : block.start + len(block.index)] = True
    while is_guard.any():
        down = np.concatenate([np.zeros(0, int), *_to_put_down(program, point)])
        down = down[is_guard[down] & np.asarray(point[down] != 0, dtype=bool)]
        if not len(down):
            break
        point[down] = point[down] * 0
    return point


def _to_put_down(program: Program, point: Array) -> Iterator[Array]:
    """Columns that loosen a violated row when they become smaller."""
    for block in program.rows:
        if block.tag not in NOMINAL:
            below, above = _excess(block, point)
            row = entry_rows(block.indptr)
            looser = (above > _SLACK)[row] & (block.data > 0) | (below > _SLACK)[row] & (block.data < 0)
            yield block.indices[np.asarray(looser, dtype=bool)]
    for implication in program.implications:
        below, above = _excess(implication.rows, point)
        yield implication.guard[np.asarray(np.maximum(below, above) > _SLACK, dtype=bool) & (implication.value == 1)]
    for clauses in program.clauses:
        if clauses.positive is not None:
            clause = entry_rows(clauses.indptr)
            yield clauses.indices[~_satisfied(clauses, point)[clause] & ~clauses.positive]
