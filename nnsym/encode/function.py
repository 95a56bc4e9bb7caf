"""A network as a relation between inputs and outputs: the program of a query without objective, margin and guards.

The points of the program, seen at inputs and outputs, are ``{(x, f(x)) : x in the domain}`` under an exact encoding and
contain it under an outer one. Whoever takes it in adds an objective and rows of their own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.builder import row_block
from nnsym.encode.affine import AffineLayer, encode_affine, gather
from nnsym.encode.statement import SPEC
from nnsym.encode.walk import Encoded, Walked, exactness_of, finished, walk
from nnsym.encoding import Encoding, Exactness
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.formula import And, Atoms, RowFormula
from nnsym.ir.linear import row_pointers
from nnsym.ir.node import Node
from nnsym.ir.query import Query
from nnsym.ir.titles import column_titles
from nnsym.program import Role, Tag
from nnsym.results.clock import NEVER, Deadline


def encode_function(
    query: Query, bounds: Bounds, encoding: Encoding, outputs: Mapping[str, Array], *, deadline: Deadline = NEVER
) -> Encoded:
    """The program of the rows of ``query`` that ``outputs`` lists by name, over the query's domain.

    The formula holds the domain's conditions beside its boxes: linear ones, all of which hold. ``rows`` of the answer
    are the columns of all rows; each output's element has one.

    Raises:
        UnsupportedError: the domain is no conjunction, has balls, or a node has no rule.
        MissingBoundsError: a bound that the encoding needs is infinite.
        OutOfTime: the deadline passed before all was encoded.
    """
    conditions = _conditions(query)
    walked = walk(query, bounds, encoding, deadline=deadline)
    s = np.full(len(query.rows), -1)
    hard = np.unique(np.concatenate([np.zeros(0, np.int64), *(a.rows for a in conditions)]))
    s[hard] = _layer(walked, query, SPEC, hard)
    for atoms in conditions:
        origin = f"domain: {'; '.join(query.labels[r] for r in atoms.rows[:9])}"
        walked.ctx.builder.rows(row_block([(1.0, s[atoms.rows])], upper=0.0, tag=Tag.PRECONDITION, origin=origin))
    for name, rows in outputs.items():
        s[rows] = _present(walked, name, rows, _layer(walked, query, name, rows))
    exact = exactness_of(encoding, query)
    decides = "its points are the function's" if exact is Exactness.EXACT else "its points contain the function's"
    meta = {"encoding": encoding.name, "exactness": exact.value, "bounds": bounds.method}
    program = walked.ctx.builder.build(objective=None, decides=decides, meta=meta)
    titles = {**_output_titles(query, outputs), **column_titles(query)}
    return Encoded(finished(program, encoding, query, titles), walked.ctx.bounds, walked.ids, s)


def _conditions(query: Query) -> tuple[Atoms, ...]:
    """The conditions of a domain, all of which hold."""
    parts: tuple[RowFormula, ...] = query.formula.parts if isinstance(query.formula, And) else (query.formula,)
    found = tuple(part for part in parts if isinstance(part, Atoms) and (part.every or len(part.rows) == 1))
    if len(found) < len(parts):
        remedy = "Take its box for the domain, and state the choice in your own model"
        raise UnsupportedError("the domain holds alternatives (or)", where=query.name, remedy=remedy)
    if any(query.balls.values()):
        remedy = "Take nn.box for the domain, and state the ball in your own model as a quadratic constraint"
        raise UnsupportedError("the domain holds a ball of norm 1 or 2", where=query.name, remedy=remedy)
    return found


def _layer(walked: Walked, query: Query, name: str, used: Array) -> Array:
    """The rows ``used`` as one affine layer ``s = C v + d``."""
    rows, interval = query.rows.take(used), walked.ctx.bounds.rows
    parts = []
    for node, part in rows.parts.items():
        indptr = row_pointers(np.bincount(part.row, minlength=len(rows)))
        parts.append(((part.coefficient, part.column, indptr), walked.ids[node]))
    places = np.arange(len(used))
    layer = AffineLayer(
        name, Role.VALUE, places, interval.lower[used], interval.upper[used], origin=f"{name}: s = C v + d"
    )
    return encode_affine(walked.ctx.builder, layer, gather(parts, len(rows)), rows.constant)


def _present(walked: Walked, name: str, rows: Array, ids: Array) -> Array:
    """The same, with a column at 0 for every element that is constantly 0."""
    zero = np.flatnonzero(ids < 0)
    if len(zero):
        none = np.zeros(len(zero))
        ids[zero] = walked.ctx.builder.columns(name, Role.VALUE, zero, none, none)
    return ids


def _output_titles(query: Query, outputs: Mapping[str, Array]) -> dict[Node, str]:
    """Names of outputs that are a node as it is."""
    found: dict[Node, str] = {}
    for name, index in outputs.items():
        rows = query.rows.take(index)
        (node, part), *others = rows.parts.items() if rows.parts else [(None, None)]
        if node is None or part is None or others or node.size != len(index) or node in query.boxes:
            continue
        copied = len(part.row) == node.size and (part.column == np.arange(node.size)).all()
        if copied and (part.coefficient == 1).all() and not rows.constant.any():
            found.setdefault(node, name)
    return found
