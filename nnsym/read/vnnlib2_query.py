"""From a VNN-LIB 2.0 file to a query: declared networks are bound to models, tied inputs share their variable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.ir.declaration import Declaration
from nnsym.ir.formula import Atoms, InBox, conjunction, leaves
from nnsym.ir.linear import Select
from nnsym.ir.network import Application, Network
from nnsym.ir.node import Input, Node, affine, new_input, product
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows, stack
from nnsym.ir.walk import substitute
from nnsym.read.meter import Meter
from nnsym.read.vnnlib2 import Variables, parse_file, read_assertions
from nnsym.read.vnnlib2_models import Source, bind, check, element_type, hidden
from nnsym.read.vnnlib_query import Places, build_query
from nnsym.read.vnnlib_tree import VnnSpec

Array = NDArray[Any]


def read_query(text: str, where: str, network: Source | None, networks: Mapping[str, Source], meter: Meter) -> Query:
    """The query of a 2.0 file; ``networks`` gives a model for each declared name, ``network`` one for all.

    Comparisons that no network's value enters are preconditions (hard), the others the conclusion (soft).
    """
    tree = parse_file(text, where, meter)
    bound = bind(tree.networks, where, network, networks, meter)
    check(tree.networks, bound, text, where)
    variables = Variables.of(tree.networks, meter)
    lower, upper, condition = read_assertions(tree, variables)
    inputs, arguments = _arguments([t for n in tree.networks for t in n.inputs], variables)
    applications, declared = _apply(tree.networks, bound, arguments)
    computed = tuple(d.node for d in declared if d.kind != "input")
    places = _places(variables, inputs, computed)
    spec = VnnSpec(where, int(variables.free.sum()), variables.others, lower, upper, condition)
    query = build_query(spec, places, applications, name=_names(variables, declared), declared=declared)
    return query if any(_soft(leaf) for leaf in leaves(query.formula)) else _with_conclusion(query)


def _soft(leaf: Atoms | InBox) -> bool:
    return isinstance(leaf, Atoms) and leaf.soft


def _with_conclusion(query: Query) -> Query:
    """A file about inputs alone is violated wherever they satisfy it: its conclusion is the row ``-1 <= 0``."""
    rows = stack([query.rows, Rows.constants([-1.0])])
    always = Atoms(np.array([len(query.rows)]), strict=False, soft=True)
    formula = conjunction(query.formula, always)
    return replace(query, rows=rows, formula=formula, labels=(*query.labels, "-1 <= 0"))


def _arguments(tensors: Sequence[Any], variables: Variables) -> tuple[tuple[Input, ...], list[Node]]:
    """The free inputs, and the node that stands for each declared input: itself, or elements of earlier ones."""
    starts = [0, *accumulate(int(np.prod(t.shape)) for t in tensors)]
    free = variables.free
    inputs: list[Input] = []
    owner: Array = np.zeros(int(free.sum()), dtype=np.int64)  # of every variable: its input, and the place in there
    place = np.zeros_like(owner)
    arguments: list[Node] = []
    for tensor, start, end in zip(tensors, starts, starts[1:], strict=False):
        numbers = variables.tied[start:end]
        own = numbers[free[start:end]]
        if len(own):
            owner[own], place[own] = len(inputs), np.arange(len(own))
            inputs.append(new_input(tensor.name, len(own)))
        used = sorted(set(owner[numbers].tolist()))
        terms = [(Select(np.where(owner[numbers] == k, place[numbers], -1), inputs[k].size), inputs[k]) for k in used]
        arguments.append(affine(tuple(terms)))
    return tuple(inputs), arguments


def _apply(
    networks: Sequence[Any], bound: Mapping[str, Network], arguments: Sequence[Node]
) -> tuple[tuple[Application, ...], tuple[Declaration, ...]]:
    """Every declared network on its arguments, and all declared variables in the file's order."""
    applications, declared, start = [], [], 0
    for d in networks:
        network, count = bound[d.name], len(d.inputs)
        mine = tuple(arguments[start : start + count])
        start += count
        application = network.apply(mine)
        applications.append(application)
        inside = [_image(application, hidden(network, h).node) for h in d.hidden]
        outputs = [application.output(name) for name in network.outputs]
        kinds = ["input"] * len(mine) + ["hidden"] * len(inside) + ["output"] * len(outputs)
        tensors = (*d.inputs, *d.hidden, *d.outputs)
        for kind, tensor, node in zip(kinds, tensors, (*mine, *inside, *outputs), strict=True):
            declared.append(Declaration(kind, tensor.name, element_type(tensor), tuple(tensor.shape), node))
    return tuple(applications), tuple(declared)


def _image(application: Application, node: Node) -> Node:
    """A node of the network in the application, whether or not it has a name there."""
    own = (t.node for t in application.network.inputs.values())
    replacement: dict[Node, Node] = dict(zip(own, application.arguments, strict=True))
    return application.image.get(node) or substitute([node], replacement)[node]


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

    def name(variable: int) -> str:
        factors = variables.factors(variable) if variable < 0 else (variable,)
        if len(factors) > 1:
            return " ".join(map(name, factors))
        side, index = (0, int(first[variable])) if variable >= 0 else (1, ~variable)
        which = int(np.searchsorted(starts[side], index, "right")) - 1
        declaration = sides[side][which]
        place = np.unravel_index(index - int(starts[side][which]), declaration.shape) if declaration.shape else ()
        return declaration.name + (f"[{','.join(map(str, place))}]" if place else "")

    return name
