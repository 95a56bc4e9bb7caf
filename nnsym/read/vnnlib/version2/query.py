"""From a VNN-LIB 2.0 file to a query: declared networks are bound to models, tied inputs share their variable."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from math import prod
from typing import Any, final

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.declaration import Declaration
from nnsym.ir.exact import from_numbers
from nnsym.ir.formula import Atoms, InBox, conjunction, leaves
from nnsym.ir.linear import Select
from nnsym.ir.network import Application, Network
from nnsym.ir.node import Input, Node, affine, new_input, product
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows, stack
from nnsym.read.meter import Meter
from nnsym.read.pause import no_collection
from nnsym.read.vnnlib.bulk import LONG, Bulk
from nnsym.read.vnnlib.bulk_query import BulkQuery
from nnsym.read.vnnlib.places import Places
from nnsym.read.vnnlib.query import build_query, bulk_query
from nnsym.read.vnnlib.tree import Term, VnnSpec
from nnsym.read.vnnlib.version2.bulk import read as read_bulk
from nnsym.read.vnnlib.version2.comparisons import Parsed, parse_file, read_assertions
from nnsym.read.vnnlib.version2.models import Source, bind, check, element_type, hidden
from nnsym.read.vnnlib.version2.variables import Variables

_ZERO, _ONE = Fraction(0), Fraction(1)


def read_query(text: str, where: str, network: Source | None, networks: Mapping[str, Source], meter: Meter) -> Query:
    """The query of a 2.0 file; ``networks`` gives a model for each declared name, ``network`` one for all.

    Comparisons that no network's value enters are preconditions (hard), the others the conclusion (soft).
    """
    with no_collection() if len(text) >= LONG else contextlib.nullcontext():
        long = read_bulk(text, where, meter) if len(text) >= LONG else None
        tree = long[0] if long else parse_file(text, where, meter)
        bound = bind(tree.networks, where, network, networks, meter)
        check(tree.networks, bound, text, where)
        query = _long_query(*long, bound, meter) if long else None
    return query or _query(tree if long is None else parse_file(text, where, meter), bound, where, meter)


def _long_query(tree: Parsed, bulk: Bulk, bound: Mapping[str, Network], meter: Meter) -> Query | None:
    """The query of a long file's arrays; None where it says nothing of outputs, or bounds an input twice in a case."""
    variables = Variables.of(tree.networks, meter)
    made = Made(tree.networks, bound, variables)
    found = BulkQuery(bulk, Places(made.inputs, made.computed), meter, name=_names(variables, made.declared))
    query = bulk_query(found, made.applications, declared=made.declared)
    return query if query and any(_soft(leaf) for leaf in leaves(query.formula)) else None


def _query(tree: Parsed, bound: Mapping[str, Network], where: str, meter: Meter) -> Query:
    variables = Variables.of(tree.networks, meter)
    lower, upper, condition = read_assertions(tree, variables)
    made = Made(tree.networks, bound, variables)
    declared = made.declared
    places = _places(variables, made.inputs, made.computed)
    spec = VnnSpec(where, int(variables.free.sum()), variables.others, lower, upper, condition)
    query = build_query(spec, places, made.applications, name=_names(variables, declared), declared=declared)
    return query if any(_soft(leaf) for leaf in leaves(query.formula)) else _with_conclusion(query)


def _soft(leaf: Atoms | InBox) -> bool:
    return isinstance(leaf, Atoms) and leaf.soft


def _with_conclusion(query: Query) -> Query:
    """A file about inputs alone is violated wherever they satisfy it: its conclusion is the row ``-1 <= 0``."""
    rows = stack([query.rows, Rows.constants([-1.0])])
    always = Atoms(np.array([len(query.rows)]), strict=False, soft=True)
    formula = conjunction(query.formula, always)
    return replace(query, rows=rows, formula=formula, labels=(*query.labels, "-1 <= 0"))


@final
class Made:
    """The nodes of a file: every declared network on its arguments, those that others need first.

    ``computed`` are the nodes of hidden and output elements in the file's order, and of inputs that are terms.
    """

    def __init__(self, networks: Sequence[Any], bound: Mapping[str, Network], variables: Variables) -> None:
        self._variables, self._nodes = variables, dict[int, tuple[Node, int]]()
        self.inputs = self._inputs([t for n in networks for t in n.inputs])
        applied: dict[int, tuple[Application, list[Declaration]]] = {}
        while len(applied) < len(networks):  # the solver left no network that needs itself
            for k, d in enumerate(networks):
                if k not in applied and self._ready(k):
                    applied[k] = self._apply(k, d, bound[d.name])
        self.applications = tuple(applied[k][0] for k in range(len(networks)))
        self.declared = tuple(d for k in range(len(networks)) for d in applied[k][1])
        terms = [_gather([self._nodes[v] for v in sorted(variables.terms, reverse=True)])] if variables.terms else []
        self.computed = (*(d.node for d in self.declared if d.kind != "input"), *terms)

    def _inputs(self, tensors: Sequence[Any]) -> tuple[Input, ...]:
        """The free inputs, one for each declared input that has elements of its own."""
        found: list[Input] = []
        start = 0
        for tensor in tensors:
            end = start + prod(tensor.shape)
            own = self._variables.tied[start:end][self._variables.free[start:end]]
            if len(own):
                found.append(new_input(tensor.name, len(own)))
                self._nodes.update({int(v): (found[-1], k) for k, v in enumerate(own)})
            start = end
        return tuple(found)

    def _ready(self, network: int) -> bool:
        """Is everything known that the network's inputs are?"""
        elements = self._variables.networks[network]
        numbers = self._variables.tied[elements.start : elements.stop].tolist()
        terms = [self._variables.terms[v] for v in numbers if v in self._variables.terms]
        return all(w in self._nodes for term in terms for w in term.coefficients)

    def _argument(self, numbers: Array) -> Node:
        """The node of one declared input: free elements, and terms."""
        terms = [self._variables.terms.get(v) or Term({v: _ONE}, _ZERO) for v in numbers.tolist()]
        entries: dict[Node, list[tuple[int, int, Fraction]]] = defaultdict(list)
        for row, term in enumerate(terms):
            for variable, factor in term.coefficients.items():
                node, element = self._nodes[variable]
                entries[node].append((row, element, factor))
        if not all(not t.constant and list(t.coefficients.values()) == [_ONE] for t in terms):
            blocks = [(node, *_columns(some)) for node, some in entries.items()]
            constants = np.array([t.constant for t in terms], dtype=object)
            return Rows.collect(blocks, from_numbers(constants)).node()[0]
        copies = []
        for node, some in entries.items():
            index = np.full(len(numbers), -1)
            index[[row for row, *_ in some]] = [element for _, element, _ in some]
            copies.append((Select(index, node.size), node))
        return affine(tuple(copies))

    def _apply(self, number: int, d: Any, network: Network) -> tuple[Application, list[Declaration]]:
        start = self._variables.networks[number].start
        mine: list[Node] = []
        for tensor in d.inputs:
            numbers = self._variables.tied[start : start + prod(tensor.shape)]
            mine.append(self._argument(numbers))
            self._nodes.update({v: (mine[-1], k) for k, v in enumerate(numbers.tolist()) if v < 0})
            start += prod(tensor.shape)
        application = network.apply(tuple(mine))
        wanted = [hidden(network, h).node for h in d.hidden]
        here = application.here(wanted)
        inside = [here[node] for node in wanted]
        outputs = [application.output(name) for name in network.outputs]
        element = self._variables.outputs[number].start
        for node in (*inside, *outputs):
            self._nodes.update({~(element + k): (node, k) for k in range(node.size)})
            element += node.size
        kinds = ["input"] * len(mine) + ["hidden"] * len(inside) + ["output"] * len(outputs)
        tensors = (*d.inputs, *d.hidden, *d.outputs)
        named = (*network.inputs, *(h.onnx_name.strip('"') for h in d.hidden), *network.outputs)
        return application, [
            Declaration(kind, tensor.name, element_type(tensor), tuple(tensor.shape), node, network.type_of(name))
            for kind, tensor, node, name in zip(kinds, tensors, (*mine, *inside, *outputs), named, strict=True)
        ]


def _columns(entries: Sequence[tuple[int, int, Fraction]]) -> tuple[Array, Array, Array]:
    place = np.array([(row, column) for row, column, _ in entries])
    return place[:, 0], place[:, 1], from_numbers(np.array([factor for *_, factor in entries], dtype=object))


def _places(variables: Variables, inputs: tuple[Input, ...], computed: tuple[Node, ...]) -> Places:
    """Where variables live; the products of one degree are one node, made from those of the degree below."""
    places = Places(inputs, computed)
    found: dict[int, tuple[Node, int]] = {}
    hard = {v for factors, v in variables.known.items() if all(f >= 0 for f in factors)}
    for degree in range(2, 1 + max(map(len, variables.monomials), default=0)):
        group = [m for m in variables.monomials if len(m) == degree]
        left = _gather([places.of(variables.monomial(m[:-1])) for m in group])
        node = product(left, _gather([places.of(m[-1]) for m in group]))
        found.update({variables.known[m]: (node, k) for k, m in enumerate(group)})
        places = Places(inputs, computed, found, hard)
    return places


def _gather(elements: Sequence[tuple[Node, int]]) -> Node:
    """Elements of nodes as one vector."""
    index = np.array([k for _, k in elements], dtype=np.int64)
    terms = []
    for node in dict.fromkeys(node for node, _ in elements):
        mine = np.array([n is node for n, _ in elements])
        terms.append((Select(np.where(mine, index, -1), node.size), node))
    return affine(tuple(terms))


def _names(variables: Variables, declared: Sequence[Declaration]) -> Callable[[int], str]:
    """What a variable is called in the file: ``x[0,1]``, ``x[0] * x[0]``."""
    sides = [[d for d in declared if (d.kind == "input") == inputs] for inputs in (True, False)]
    starts = [np.array([0, *accumulate(int(np.prod(d.shape)) for d in side)]) for side in sides]
    first = np.flatnonzero(variables.free)
    ends = {v: int(np.flatnonzero(variables.tied == v)[0]) for v in variables.terms}  # the element that is a term

    def name(variable: int) -> str:
        factors = variables.factors(variable) if variable < 0 else (variable,)
        if len(factors) > 1:
            return " ".join(map(name, factors))
        inside = ends.get(variable, -1) if variable < 0 else int(first[variable])
        side, index = (0, inside) if inside >= 0 else (1, ~variable)
        which = int(np.searchsorted(starts[side], index, "right")) - 1
        declaration = sides[side][which]
        place = np.unravel_index(index - int(starts[side][which]), declaration.shape) if declaration.shape else ()
        return declaration.name + (f"[{','.join(map(str, place))}]" if place else "")

    return name
