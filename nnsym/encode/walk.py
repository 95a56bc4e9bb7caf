"""From a query to a program: one walk over the graph, with the encoding's rule for every node.

Nodes are taken parents first. Each becomes an array of column ids, one for each of its elements, from those of its
parents; -1 stands for the constant 0, and elements that have the same value may share a column. Affine layers, the
domain and the specification are the same for every encoding (:mod:`nnsym.encode.affine`, :mod:`nnsym.encode.balls`,
:mod:`nnsym.encode.statement`); activations, maxima and products are the encoding's. The way back, from a run of the
network to a value of every column, is :mod:`nnsym.encode.point`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from nnsym.bounds.base import Bounds
from nnsym.builder import ProgramBuilder
from nnsym.encode.affine import AffineLayer, encode_affine, gather
from nnsym.encode.balls import encode_balls
from nnsym.encode.differences import encode_differences
from nnsym.encode.needs import needs
from nnsym.encode.registry import encodings
from nnsym.encode.shorten import short_bounds, short_rows
from nnsym.encode.statement import encode_inputs, encode_spec
from nnsym.encoding import Context, Encoding, Exactness, Form
from nnsym.errors import InputError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.formula import Atoms, leaves
from nnsym.ir.names import node_names
from nnsym.ir.node import Affine, Input, Node, Pointwise
from nnsym.ir.query import Query, Reading
from nnsym.ir.text import number
from nnsym.ir.titles import column_titles
from nnsym.program import Feature, Program, Role
from nnsym.results.clock import NEVER, Deadline


@final
@dataclass(frozen=True, eq=False)
class Encoded:
    """A program, the bounds its rules saw, and which columns hold what: ``ids`` the elements of every node, ``rows``
    those of the specification; -1 stands for the constant 0, and for rows that bounds dropped.
    """

    program: Program
    bounds: Bounds
    ids: Mapping[Node, Array]
    rows: Array


def encode(query: Query, bounds: Bounds, encoding: Encoding, *, max_disjuncts: int = 512) -> Program:
    """The program of a query under an encoding; see :func:`encode_columns`."""
    return encode_columns(query, bounds, encoding, max_disjuncts=max_disjuncts).program


@np.errstate(over="ignore", invalid="ignore")  # rows of infinite numbers are refused by lanes
def encode_columns(
    query: Query, bounds: Bounds, encoding: Encoding, *, max_disjuncts: int = 512, deadline: Deadline = NEVER
) -> Encoded:
    """The program of a query under an encoding, and the columns of every node.

    Args:
        query: the violation of a property.
        bounds: intervals of every node of ``query.nodes`` and of the rows of its specification.
        encoding: the rules to use.
        max_disjuncts: list the disjuncts by themselves if there are at most this many.
        deadline: looked at between nodes, and between blocks of columns and rows.

    Raises:
        OutOfTime: the deadline passed before the program was complete.
        UnsupportedError: a node has no rule in this encoding.
        MissingBoundsError: a bound that the encoding needs is infinite.
    """
    walked = walk(query, bounds, encoding, deadline)
    if encoding.bits is None:
        encode_differences(walked.ctx, query)
    deadline.check()
    goal = encode_spec(walked.ctx, query, encoding, walked.ids, max_disjuncts)
    exactness = exactness_of(encoding, query)
    meta = {"encoding": encoding.name, "exactness": exactness.value, "bounds": bounds.method, **goal.meta}
    decides = _decides(encoding, query)
    program = walked.ctx.builder.build(objective=goal.objective, disjuncts=goal.disjuncts, decides=decides, meta=meta)
    program = finished(program, encoding, query, column_titles(query))
    return Encoded(program, walked.ctx.bounds, walked.ids, goal.rows)


@final
@dataclass(frozen=True, eq=False)
class Walked:
    """Domain and nodes of a query as columns and rows, before anything is asked of them."""

    ctx: Context
    ids: dict[Node, Array]


def walk(query: Query, bounds: Bounds, encoding: Encoding, deadline: Deadline = NEVER) -> Walked:
    """Inputs, balls, and every node by its rule. Raises as :func:`encode_columns`."""
    names = node_names(query.nodes)
    ids: dict[Node, Array] = {}
    bits = encoding.bits
    bounds = bounds if bits is None else short_bounds(bounds, bits)
    ctx = Context(ProgramBuilder(deadline), bounds, names, ids)
    activated = {node.parents[0] for node in query.nodes if isinstance(node, Pointwise)}
    ids.update(encode_inputs(ctx, query, encoding))
    encode_balls(ctx, query, encoding.form, ids)
    for node in query.nodes:
        deadline.check()
        if isinstance(node, Affine):
            ids[node] = _affine(ctx, node, Role.PRE if node in activated else Role.VALUE, bits, deadline)
        elif not isinstance(node, Input):
            rule = encoding.rule_for(node)
            if rule is None or rule.exactness is Exactness.UNSUPPORTED:
                raise _unsupported(encoding, node, names[node])
            made = rule.rule(ctx, node, tuple(ids[parent] for parent in node.parents))
            ids[node] = _checked(made, encoding, node, names[node])
    return Walked(ctx, ids)


def finished(
    program: Program, encoding: Encoding, query: Query, titles: Mapping[Node, str | tuple[str, ...]]
) -> Program:
    """The program under the names that people gave, relaxed where the encoding is, of declared blocks only."""
    names = node_names(query.nodes)
    program = _titled(program, {names[node]: found for node, found in titles.items()})
    _check_declared(program, encoding, query)
    return program.relax() if encoding.relaxed else program


def _titled(program: Program, titles: Mapping[str, str | tuple[str, ...]]) -> Program:
    """Columns under the names that people gave; names of elements where a role has one column for each."""
    own = (Role.PRE, Role.POST, Role.VALUE)
    found = ((b, titles.get(b.node, "")) for b in program.blocks)
    blocks = (replace(b, titles=t) if t and (isinstance(t, str) or b.role in own) else b for b, t in found)
    return replace(program, blocks=tuple(blocks))


def exactness_of(encoding: Encoding, query: Query, *, closed: bool = False) -> Exactness:
    """Exact if the rules of all nodes of this query are, outer if some rule is or jumps are closed, else unsupported.

    ``closed`` asks about the query whose jumps are closed.
    """
    found = set()
    for node in query.nodes:
        if not isinstance(node, (Affine, Input)):
            rule = encoding.rule_for(node)
            found.add(Exactness.UNSUPPORTED if rule is None else rule.exactness)
    for worst in (Exactness.UNSUPPORTED, Exactness.OUTER):
        if worst in found:
            return worst
    loose = encoding.relaxed or encoding.bits is not None or (not closed and closes(encoding, query))
    return Exactness.OUTER if loose else Exactness.EXACT


def closes(encoding: Encoding, query: Query) -> bool:
    """True if the query jumps and the encoding, in margin form, takes both limits there for values."""
    functions = (node.fn for node in query.nodes if isinstance(node, Pointwise))
    return encoding.form is Form.MARGIN and any(fn.jumps for fn in functions)


def _affine(ctx: Context, node: Affine, role: Role, bits: int | None, deadline: Deadline) -> Array:
    lower, upper = ctx.interval(node)
    layer = AffineLayer(ctx.names[node], role, ctx.every(node), lower, upper)
    parts = ((linear.csr(), ctx.ids[parent]) for linear, parent in zip(node.maps, node.parents, strict=True))
    terms, bias = gather(parts, node.size), node.bias
    deadline.check()
    if bits is not None:
        low, high = ctx.builder.bounds()
        ends = low[terms.columns], high[terms.columns]
        terms, bias, slack = short_rows(terms, bias, bits, *ends, deadline=deadline)
        layer = replace(layer, slack=slack, origin=f"{layer.name}: |h - A' v - b'| <= e")
    return encode_affine(ctx.builder, layer, terms, bias)


def _checked(made: object, encoding: Encoding, node: Node, name: str) -> Array:
    """What a rule returned, if these are column ids of the node's elements."""
    found = np.asarray(made)
    if found.shape != (node.size,) or found.dtype.kind != "i":
        is_ = type(made).__name__ if found.dtype == object else f"{found.dtype} of shape {found.shape}"
        raise InputError(
            f"the rule of the encoding '{encoding.name}' returned {is_}, expected {node.size} column ids",
            where=name,
            remedy="Return what ctx.columns returns, an id per element; -1 is the constant 0",
        )
    return found


#: What every lane takes, and properties need as well.
_COMMON = frozenset({Feature.ROWS, Feature.BINARIES, Feature.CLAUSES})


def _check_declared(program: Program, encoding: Encoding, query: Query) -> None:
    """An encoding's ``emits`` is what solvers are chosen by, so nothing else may be in its programs."""
    undeclared = program.features - encoding.emits - needs(query, encoding).keys() - _COMMON
    if undeclared:
        what = ", ".join(sorted(feature.value for feature in undeclared))
        raise InputError(
            f"its rules emit {what}, which it does not declare",
            where=f"encoding '{encoding.name}'",
            remedy="Name every kind of block in emits=, of the encoding or of the rule",
        )


def _unsupported(encoding: Encoding, node: Node, name: str) -> UnsupportedError:
    known = {e.name: e.rule_for(node) for e in encodings().values()}
    fitting = [n for n, rule in known.items() if rule is not None and rule.exactness is not Exactness.UNSUPPORTED]
    return UnsupportedError(
        f"the encoding '{encoding.name}' has no rule for {type(node).__name__.lower()} '{name.rsplit('_', 1)[0]}'",
        where=name,
        remedy=f"Encodings with one: {', '.join(fitting) or 'none'}; bounds (ibp, crown) also handle it",
    )


def _decides(encoding: Encoding, query: Query) -> str:
    """What the answer means for the property, in words: never more than the program proves."""
    exact = exactness_of(encoding, query) is Exactness.EXACT
    said = _satisfiable(query, exact) if encoding.form is Form.BOOLEAN else _minimum(query, exact)
    if query.slack:
        said += f"; the property is meant with its slack of {number(query.slack)} here, not as it was stated"
    if query.assumed:
        names = node_names(query.nodes)
        listed = ", ".join(sorted(names[node] for node in query.assumed))
        said += f"; what is proved holds only if the assumed bounds do, which nothing here checks: {listed}"
    return said


def _minimum(query: Query, exact: bool) -> str:
    """Rows of a margin program are closed: of a strict condition it has more points, and at a margin of 0 too."""
    atoms = [leaf for leaf in leaves(query.formula) if isinstance(leaf, Atoms)]
    closed = any(leaf.strict for leaf in atoms if not leaf.soft)
    mixed = not query.strict and any(leaf.strict for leaf in atoms if leaf.soft)
    when = ">= 0" if query.strict else "> 0"
    t = "the minimum of t is" if exact and not closed else "the minimum of t is a lower bound of"
    rest = ", and {} otherwise" if not mixed else ", {} if it is < 0, and nothing is decided otherwise"
    if closed or not exact:
        rest = "; otherwise nothing is decided"
    if closed:
        rest += ": strict comparisons of the condition are closed here"
    match query.reading:
        case Reading.FORALL:
            margin, end = "the property's margin", rest.format("is violated")
            return f"{t} {margin}; the property holds if the minimum is {when} or the program is infeasible{end}"
        case Reading.EXISTS:
            margin, end = "minus the property's margin", rest.format("holds")
            return f"{t} {margin}; the property is false if the minimum is {when} or the program is infeasible{end}"
    return f"{t} the minimum of the term; the program is infeasible if no input satisfies the condition"


def _satisfiable(query: Query, exact: bool) -> str:
    unsat, sat = _BOOLEAN[query.reading]
    if exact:
        return f"unsat: {unsat}. sat: {sat}"
    return f"unsat: {unsat}. sat: nothing is decided, the point is a candidate that has to be run through the network"


#: What ``unsat`` and ``sat`` mean.
_BOOLEAN = {
    Reading.FORALL: ("the property holds", "the point violates it"),
    Reading.EXISTS: ("the property is false", "the property holds and the point is its witness"),
    Reading.MINIMUM: ("the term is positive everywhere", "the term is at most 0 at the point"),
}
