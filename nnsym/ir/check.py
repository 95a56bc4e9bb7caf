"""Executable well-formedness: what every graph and query of the IR promises, checked node by node.

Run it after a pass, in tests, or on what a plug-in built. Nodes cannot form cycles: they are immutable and
name their parents when they are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.formula import Atoms, InBox, RowFormula, leaves
from nnsym.ir.linear import Dense, LinearMap, entry_rows
from nnsym.ir.names import node_names
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product, is_interned
from nnsym.ir.pairs.difference import Difference, alike
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.ir.walk import topological


def check(roots: Iterable[Node]) -> None:
    """Raise :class:`InputError`, naming the node, if a node under ``roots`` is not well formed."""
    nodes = topological(roots)
    names = node_names(nodes)
    for node in nodes:
        for problem in _problems(node):
            raise InputError(problem, where=names[node], remedy="Build nodes with the functions of nnsym.ir.node")


def check_query(query: Query) -> None:
    """Raise :class:`InputError` if the graph, boxes, rows or formula of a query are not well formed."""
    outputs = [node for a in query.applications for node in (*a.arguments, *a.image.values())]
    check((*query.nodes, *outputs))
    names = node_names(query.nodes)
    for node in query.nodes:
        if isinstance(node, Input) and node not in query.boxes:
            raise InputError("is an input without a box", where=names[node])
    for x, box in query.boxes.items():
        _check_box(box.lower, box.upper, x, names[x])
    _check_rows(query.rows, names)
    _check_formula(query.formula, query)
    if query.labels and len(query.labels) != len(query.rows):
        raise InputError(f"{len(query.labels)} labels for {len(query.rows)} rows", where=query.name)


def _problems(node: Node) -> Iterable[str]:
    """What is wrong with one node, worst first."""
    if node.size < 1:
        yield "has no elements"
    if not is_interned(node):
        yield "is not the interned node of its content"
    match node:
        case Input():
            if node.integer.shape != (node.size,):
                yield f"has integer flags of shape {node.integer.shape} for {node.size} elements"
            if node.choice.shape != (node.size,):
                yield f"has one-hot groups of shape {node.choice.shape} for {node.size} elements"
        case Affine():
            yield from _affine_problems(node)
        case Pointwise():
            if node.parents[0].size != node.size:
                yield f"has {node.size} elements, its parent {node.parents[0].size}"
            if isinstance(node.fn, Hinge) and not {len(node.fn.left), len(node.fn.right)} <= {1, node.size}:
                yield f"has slopes for {len(node.fn.left)} and {len(node.fn.right)} of {node.size} elements"
            if isinstance(node.fn, Piecewise) and len(node.fn.breaks) not in (1, node.size):
                yield f"has breakpoints for {len(node.fn.breaks)} of {node.size} elements"
        case Max():
            groups = node.groups
            if groups.shape[0] != node.size or groups.min() < -1 or groups.max() >= node.parents[0].size:
                yield "has groups out of range"
            if (groups.max(axis=1) < 0).any():
                yield "has an empty group"
        case Product():
            if {parent.size for parent in node.parents} != {node.size}:
                yield "multiplies vectors of different sizes"
        case Difference():
            if not alike(node.left, node.right) or node.gap.size != node.left.parents[0].size:
                yield "subtracts two different operations"
        case _:
            yield f"is of unknown kind {type(node).__name__}"


def _affine_problems(node: Affine) -> Iterable[str]:
    if node.bias.shape != (node.size,) or not np.isfinite(node.bias).all():
        yield "has a bias of the wrong shape, or with NaN or infinity"
    if len({id(parent) for parent in node.parents}) < len(node.parents):
        yield "has the same parent twice"
    if len(node.maps) != len(node.parents):
        yield f"has {len(node.maps)} maps for {len(node.parents)} parents"
    for linear, parent in zip(node.maps, node.parents, strict=False):
        if (linear.n_out, linear.n_in) != (node.size, parent.size):
            yield f"has a map of shape ({linear.n_out}, {linear.n_in}) for {parent.size} -> {node.size} elements"
        elif not isinstance(linear, Dense):
            yield from _map_problems(linear)
        elif not np.isfinite(linear.weight).all():
            yield "has a weight with NaN or infinity"


def _map_problems(linear: LinearMap) -> Iterable[str]:
    data, indices, indptr = linear.csr()
    if len(indptr) != linear.n_out + 1 or indptr[0] != 0 or indptr[-1] != len(data) or (np.diff(indptr) < 0).any():
        yield "has a map with inconsistent row pointers"
        return
    if len(indices) != len(data) or (len(indices) and not (indices.min() >= 0 and indices.max() < linear.n_in)):
        yield "has a map that reads outside its parent"
        return
    if not np.isfinite(data).all():
        yield "has a map with NaN or infinity"
    rows = entry_rows(indptr)
    if len(np.unique(rows * linear.n_in + indices)) < len(indices):
        yield "has a map with a column twice in a row"


def _check_box(lower: Array, upper: Array, x: Input, name: str) -> None:
    if lower.shape != (x.size,) or upper.shape != (x.size,):
        raise InputError(f"has bounds of shapes {lower.shape} and {upper.shape} for {x.size} elements", where=name)
    if any(bool((side != side).any()) for side in (lower, upper)):
        raise InputError("has a bound that is NaN", where=name)


def _check_rows(rows: Rows, names: Mapping[Node, str]) -> None:
    if rows.constant.ndim != 1 or not _finite(rows.constant):
        raise InputError("the rows' constants are not a vector of finite numbers")
    for node, part in rows.parts.items():
        place = part.row.astype(np.int64) * node.size + part.column
        if not len(part.row) == len(part.column) == len(part.coefficient):
            problem = "arrays of different lengths"
        elif not len(place) or part.row.min() < 0 or part.row.max() >= len(rows):
            problem = "entries outside the rows"
        elif part.column.min() < 0 or part.column.max() >= node.size:
            problem = "entries outside the node"
        elif (np.diff(place) <= 0).any():
            problem = "unsorted or repeated entries"
        elif not _finite(part.coefficient) or (part.coefficient == 0).any():
            problem = "zero, infinite or NaN coefficients"
        else:
            continue
        raise InputError(f"the rows have {problem} here", where=names[node])


def _finite(values: Array) -> bool:
    return all(np.isfinite(v) for v in values if isinstance(v, float))


def _check_formula(formula: RowFormula, query: Query) -> None:
    for leaf in leaves(formula):
        if isinstance(leaf, InBox):
            if leaf.input not in query.boxes:
                raise InputError("the formula bounds an input that is not the query's", where=leaf.input.name)
            _check_box(leaf.lower, leaf.upper, leaf.input, leaf.input.name)
        elif isinstance(leaf, Atoms) and len(leaf.rows):
            low, high = leaf.rows.min(), leaf.rows.max()
            if leaf.rows.dtype.kind not in "iu" or low < 0 or high >= len(query.rows):
                raise InputError(f"the formula reads row {high} of {len(query.rows)}", where=query.name)
