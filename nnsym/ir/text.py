"""The text form of graphs and queries: one line a node, for people, for tests and for content hashes.

Nodes are numbered in topological order, constants of up to eight numbers are written out, larger ones are
given by a content digest. In arrays a decimal is the float64 that it denotes, 1/10 is the rational. Names are not
content: without ``names`` the text is the same in every process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from nnsym.ir import digits
from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv
from nnsym.ir.exact import simplify, to_fractions
from nnsym.ir.formula import Atoms, InBox, RowFormula, reduce_formula
from nnsym.ir.functions.smoothed import Smoothed
from nnsym.ir.linear import Dense, LinearMap, Scale, Select, digest
from nnsym.ir.names import node_names
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge, Piecewise
from nnsym.ir.walk import topological

if TYPE_CHECKING:
    from nnsym.ir.network import Network
    from nnsym.ir.query import Query

_INLINE = 8  # constants of up to this many numbers are written out
_ROWS_INLINE = 64  # so are the rows of a query with up to this many coefficients


def dump(roots: Iterable[Node], *, names: Mapping[Node, str] | None = None, width: int = 32) -> str:
    """The graph under ``roots``, one line per node: ``name : size = operation``, then ``return`` with the roots.

    ``width`` is the number of hexadecimal digits of a digest that are shown; with all 32 and without
    ``names``, equal texts mean equal graphs.
    """
    roots = tuple(roots)
    nodes = topological(roots)
    names = names if names is not None else _numbers(nodes)
    lines = [_line(node, names, width) for node in nodes]
    return "\n".join([*lines, f"return {', '.join(names[root] for root in roots)}", ""])


def dump_network(network: Network) -> str:
    """A network for people: its inputs and outputs with shape and dtype, then the graph with names."""
    heads = [
        f"; {word} {name} {list(tensor.shape)} {network.dtype}"
        for word, tensors in (("input", network.inputs), ("output", network.outputs))
        for name, tensor in tensors.items()
    ]
    graph = dump([t.node for t in network.outputs.values()], names=node_names(network.nodes), width=8)
    return "\n".join([*heads, graph])


def dump_query(query: Query, *, width: int = 32) -> str:
    """A query's content: networks, graph, boxes, rows and formula; its name, text and labels are left out."""
    outputs = [[a.output(o) for o in a.network.outputs] for a in query.applications]
    used = [node for a, some in zip(query.applications, outputs, strict=True) for node in (*a.arguments, *some)]
    nodes = topological((*query.inputs, *query.rows.parts, *used))
    names = _numbers(nodes)
    lines = [_line(node, names, width) for node in nodes]
    for application, results in zip(query.applications, outputs, strict=True):
        arguments = ", ".join(names[node] for node in application.arguments)
        lines.append(f"{', '.join(names[n] for n in results)} = network {application.network.hash}({arguments})")
    for node, box in query.boxes.items():
        lines.append(f"{_array(box.lower, width)} <= {names[node]} <= {_array(box.upper, width)}")
    for known, box in query.assumed.items():
        lines.append(f"assumed {_array(box.lower, width)} <= {names[known]} <= {_array(box.upper, width)}")
    for node, balls in query.balls.items():
        lines += [f"|{names[node]} - {_array(b.centre, width)}|_{b.p} <= {number(b.radius)}" for b in balls]
    lines += _rows(query.rows, names, width)
    return "\n".join([*lines, f"{query.reading.sought} {_formula(query.formula, names, width)}", ""])


def dump_kind(query: Query) -> str | None:
    """The text of all queries that differ in nothing but the boxes and balls of their inputs.

    Networks stand in it by their hashes. None where something else than networks' outputs is computed of the inputs, or
    bounds are assumed: equal texts mean equal queries, and that would take more than this to tell.
    """
    names: dict[Node, str] = {x: f"x{k} {_operation(x, {}, 32)}" for k, x in enumerate(query.inputs)}
    lines = []
    for k, application in enumerate(query.applications):
        if any(node not in names for node in application.arguments):
            return None
        lines.append(f"{k} = network {application.network.hash}({', '.join(names[n] for n in application.arguments)})")
        names |= {application.output(output): f"{k} {output}" for output in application.network.outputs}
    if query.assumed or any(node not in names for node in query.rows.parts):
        return None
    lines += _rows(query.rows, names, 32, inline=0)  # digests are made sooner than readable rows
    return "\n".join([*names.values(), *lines, f"{query.reading.sought} {_formula(query.formula, names, 32)}"])


def number(value: float | Fraction) -> str:
    """Exact text of a number: decimal where that is finite and short, else a fraction."""
    if isinstance(value, float) and not np.isfinite(value):
        return repr(value)
    if isinstance(value, float):
        text = repr(value)
        return text[:-2] if text.endswith(".0") else text
    exact = Fraction(value)
    twos, rest = _multiplicity(exact.denominator, 2)
    fives, rest = _multiplicity(rest, 5)
    places = max(twos, fives)
    if rest != 1 or places > 30:
        return digits.text(exact.numerator) + (f"/{digits.text(exact.denominator)}" if exact.denominator > 1 else "")
    figures = digits.text(abs(exact.numerator) * 10**places // exact.denominator).rjust(places + 1, "0")
    whole, decimals = figures[: len(figures) - places], figures[len(figures) - places :]
    return ("-" if exact < 0 else "") + whole + ("." + decimals if places else "")


def linear_text(terms: Iterable[tuple[str, Fraction | float]], constant: Fraction | float) -> str:
    """``2 a - b + 0.5``; the empty sum is ``0``."""
    pieces = []
    for name, factor in terms:
        size = -factor if factor < 0 else factor
        pieces.append((factor < 0, name if size == 1 else f"{number(size)} {name}"))
    if constant or not pieces:
        pieces.append((constant < 0, number(-constant if constant < 0 else constant)))
    text = " ".join(f"{'-' if negative else '+'} {piece}" for negative, piece in pieces)
    return text[2:] if text.startswith("+ ") else "-" + text[2:]


def _multiplicity(value: int, prime: int) -> tuple[int, int]:
    count = 0
    while value % prime == 0:
        value, count = value // prime, count + 1
    return count, value


def _numbers(nodes: tuple[Node, ...]) -> dict[Node, str]:
    return {node: f"%{k}" for k, node in enumerate(nodes)}


def _line(node: Node, names: Mapping[Node, str], width: int) -> str:
    return f"{names[node]} : {node.size} = {_operation(node, names, width)}"


def _operation(node: Node, names: Mapping[Node, str], width: int) -> str:
    match node:
        case Input():
            integer = f" integer {_array(node.integer.astype(float), width)}" if node.integer.any() else ""
            return f"input{integer}" + (f" one-hot {_array(node.choice, width)}" if node.groups() else "")
        case Affine():
            terms = [_term(m, names[p], width) for m, p in zip(node.maps, node.parents, strict=True)]
            if node.bias.any() or not terms:
                terms.append(_array(node.bias, width))
            return " + ".join(terms)
        case Pointwise():
            return f"{_function(node, width)}({names[node.parents[0]]})"
        case Max():
            return f"max({names[node.parents[0]]}, groups {_shape(node.groups)} {_array(node.groups, width)})"
        case Product():
            return " * ".join(names[p] for p in node.parents)
        case Smoothed():
            return f"smoothed {node.network.hash} {node.noise.text}({names[node.parents[0]]})"
    return type(node).__name__.lower()


def _function(node: Pointwise, width: int) -> str:
    fn = node.fn
    if isinstance(fn, Piecewise):
        parts = (fn.breaks, fn.slopes, fn.offsets, fn.at)
        return f"piecewise[{' '.join(_array(part, width) for part in parts)}]"
    if not isinstance(fn, Hinge):
        return fn.key
    slopes = (fn.left.tolist(), fn.right.tolist())
    if slopes == ([0.0], [1.0]):
        return "relu"
    if slopes == ([-1.0], [1.0]):
        return "abs"
    return f"hinge[{_array(fn.left, width)} {_array(fn.right, width)}]"


def _term(linear: LinearMap, parent: str, width: int) -> str:
    shape = f"{linear.n_out}x{linear.n_in}"
    key = f"#{linear.key[:width]}"
    match linear:
        case Select() if linear.is_identity:
            return parent
        case Select():
            return f"select[{shape} {_array(linear.index, width)}]({parent})"
        case Dense():
            return f"dense[{shape} {_array(linear.weight, width)}]({parent})"
        case Scale():
            return f"scale[{_array(linear.factor, width)}]({parent})"
        case Conv():
            kernel = _shape(linear.weight)
            return f"conv[{shape} kernel {kernel} strides {linear.strides} pads {linear.pads} {key}]({parent})"
    return f"{type(linear).__name__.lower()}[{shape} {key}]({parent})"


def _shape(values: Array) -> str:
    return "x".join(map(str, values.shape))


def _array(values: Array, width: int) -> str:
    """The numbers themselves, or the digest of their exact content (the same for float64 and Fraction arrays)."""
    values = simplify(values)
    if values.size <= _INLINE:
        return _nested(values.tolist())
    content: object = values
    if values.dtype == object:
        content = tuple(str(v) for v in values.ravel())
    elif values.dtype.kind in "iu":
        content = values.astype(np.int64)
    return f"#{digest((values.shape, content))[:width]}"


def _nested(values: object) -> str:
    if isinstance(values, list):
        return f"[{', '.join(_nested(v) for v in values)}]"
    return number(values) if isinstance(values, float) else str(values)  # 0.1 is the float, 1/10 the rational


def _rows(rows: Rows, names: Mapping[Node, str], width: int, inline: int = _ROWS_INLINE) -> list[str]:
    if sum(len(part.row) for part in rows.parts.values()) > inline:
        lines = [f"s : {len(rows)} = {_array(rows.constant, width)}"]
        for node, part in rows.parts.items():
            places = f"{_array(part.row, width)} {_array(part.column, width)} {_array(part.coefficient, width)}"
            lines.append(f"s += sparse[{places}]({names[node]})")
        return lines
    return [f"s[{k}] = {text}" for k, text in enumerate(row_texts(rows, names))]


def row_texts(rows: Rows, names: Mapping[Node, str]) -> list[str]:
    """Every row as readable text, exact: ``y[0] - y[1] + 0.5``."""
    terms: list[list[tuple[str, Fraction]]] = [[] for _ in range(len(rows))]
    for node, part in rows.parts.items():
        for row, column, factor in zip(part.row, part.column, to_fractions(part.coefficient), strict=True):
            terms[row].append((f"{names[node]}[{column}]", factor))
    return [linear_text(some, c) for some, c in zip(terms, to_fractions(rows.constant), strict=True)]


def _formula(formula: RowFormula, names: Mapping[Node, str], width: int) -> str:
    def leaf(node: Atoms | InBox) -> str:
        if isinstance(node, InBox):
            return f"{_array(node.lower, width)} <= {names[node.input]} <= {_array(node.upper, width)}"
        relation = "<" if node.strict else "<="
        quantifier = "all" if node.every else "any"
        return f"{quantifier} {'soft' if node.soft else 'hard'} s{_index(node.rows, width)} {relation} 0"

    def joined(word: str, empty: str) -> Callable[[list[str]], str]:
        return lambda parts: f"{word}({', '.join(parts)})" if parts else empty

    return reduce_formula(formula, leaf, joined("and", "true"), joined("or", "false"))


def _index(rows: Array, width: int) -> str:
    if len(rows) > 2 and (np.diff(rows) == 1).all():
        return f"[{rows[0]}..{rows[-1]}]"
    return _array(np.asarray(rows), width)
