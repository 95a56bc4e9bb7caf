"""The variables of a VNN-LIB file: which tensors are declared, how they hang together, what they are called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias, final

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.convolution import Conv
from nnsym.ir.declaration import Declaration
from nnsym.ir.linear import LinearMap
from nnsym.ir.names import node_names
from nnsym.ir.network import Application, Network
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise
from nnsym.ir.query import Query
from nnsym.ir.walk import topological
from nnsym.write.names import identifier, unique
from nnsym.write.vnnlib_terms import Polynomial, constant, plus, scaled, single_rows

Names: TypeAlias = dict[Node, tuple[str, tuple[int, ...]]]  # name and shape of hidden nodes

_RESERVED = frozenset(("and", "or", "assert", "real", "string", "bool", "initialized"))


@final
@dataclass(frozen=True, eq=False)
class Declared:
    """One ``declare-network``: its relation to an earlier one, its tensors, and the hidden tensors' ONNX names."""

    name: str
    relation: str
    network: Network
    tensors: tuple[Declaration, ...]
    hidden: Mapping[str, str]


@final
@dataclass(frozen=True, eq=False)
class Layout:
    """All declarations; ``base`` numbers the nodes by the tensor that holds them.

    ``ties`` are pairs of a tensor number and the node that its elements equal; ``carriers`` say what elements of the
    query's inputs are in terms of the tensors that hold affine images of them, ``carrying`` which elements those are.
    """

    networks: tuple[Declared, ...]
    base: Mapping[Node, int]
    ties: tuple[tuple[int, Node], ...]
    carriers: Mapping[tuple[Input, int], Polynomial]
    carrying: frozenset[tuple[int, int]]

    @property
    def tensors(self) -> tuple[Declaration, ...]:
        return tuple(t for n in self.networks for t in n.tensors)


def layout(query: Query) -> Layout:
    """Declare every application of a query as a network of its own; raises where there is none."""
    if not query.applications:
        raise UnsupportedError(
            "no network is applied in it, and VNN-LIB's variables are inputs and outputs of networks",
            where=query.name,
            remedy="Export to .smt2",
        )
    hidden = _hidden(query)
    networks = tuple(_declare(query, hidden))
    tensors = [t for n in networks for t in n.tensors]
    base: dict[Node, int] = {}
    inputs = [(k, t) for k, t in enumerate(tensors) if t.kind == "input"]
    ties = []
    for k, t in inputs:
        if isinstance(t.node, Input) and t.node not in base:
            base[t.node] = k
    for k, t in enumerate(tensors):
        if t.kind != "input":
            base.setdefault(t.node, k)
    for k, t in inputs:
        if base.get(t.node) == k:
            continue
        ties.append((k, t.node))
        base.setdefault(t.node, k)
    carriers: dict[tuple[Input, int], Polynomial] = {}
    carrying = set()
    for k, node in ties:
        for row, x, j, factor, offset in single_rows(node) if base[node] == k else ():
            if x not in base and (x, j) not in carriers:
                carried = plus({((k, row),): Fraction(1)}, constant(offset), -1)
                carriers[x, j] = scaled(carried, 1 / factor)
                carrying.add((k, row))
    return Layout(networks, base, tuple(ties), carriers, frozenset(carrying))


def _hidden(query: Query) -> dict[Application, Names]:
    """The tensors inside each application that the rows read, with their names and shapes."""
    outputs = {a.output(name) for a in query.applications for name in a.network.outputs}
    arguments = {argument for a in query.applications for argument in a.arguments}
    stops = outputs | arguments
    named = {a: _named(a) for a in query.applications}
    inside = {node for names in named.values() for node in names}

    def parents(node: Node) -> tuple[Node, ...]:
        return () if node in stops or node in inside else node.parents

    read = topological((*query.rows.parts, *(p for a in arguments if a not in outputs for p in a.parents)), parents)
    found: dict[Application, Names] = {a: {} for a in query.applications}
    for node in read:
        for application, names in named.items():
            if node not in stops and node in names:
                found[application][node] = names[node]
                break
    return found


def _named(application: Application) -> Names:
    """The nodes inside an application that have a name in the network; those of no model go by nnsym's names."""
    network = application.network
    names = {t.node: (name, t.shape) for name, t in network.tensors.items()}
    if network.model is None:
        names = {n: (name, (n.size,)) for n, name in node_names(network.nodes).items()} | names
    own = dict(zip((t.node for t in network.inputs.values()), application.arguments, strict=True))
    image = application.here(names)
    ends = {*own, *(t.node for t in network.outputs.values())}
    return {image[node]: named for node, named in names.items() if node not in ends and not isinstance(node, Input)}


def _declare(
    query: Query, hidden: Mapping[Application, Mapping[Node, tuple[str, tuple[int, ...]]]]
) -> Iterator[Declared]:
    """One declaration for each application, in their order; names are unique in the file."""
    wanted = []
    for a in query.applications:
        named = zip(a.arguments, a.network.inputs, strict=True)
        ends = [x.name if isinstance(x, Input) else f"{a.network.name}_{name}" for x, name in named]
        wanted += [a.network.name, *ends, *(name for name, _ in hidden[a].values()), *a.network.outputs]
    words = [identifier(w) for w in wanted]
    names = iter(unique(f"{w}_" if w in _RESERVED or _is_type(w) else w for w in words))
    first: list[tuple[str, Network]] = []
    for a in query.applications:
        name = next(names)
        network = a.network
        equal = next((n for n, other in first if other.hash == network.hash), None)
        like = next((n for n, other in first if isomorphic(other, network)), None)
        relation = f"equal-to {equal}" if equal else f"isomorphic-to {like}" if like else ""
        if not relation:
            first.append((name, network))
        starts = [(node, t.shape) for node, t in zip(a.arguments, network.inputs.values(), strict=True)]
        inside = [(node, shape) for node, (_, shape) in hidden[a].items()]
        last = [(a.output(o), t.shape) for o, t in network.outputs.items()]
        kinds = ["input"] * len(starts) + ["hidden"] * len(inside) + ["output"] * len(last)
        tensors = tuple(
            Declaration(kind, next(names), "real", shape, node)
            for kind, (node, shape) in zip(kinds, [*starts, *inside, *last], strict=True)
        )
        onnx = {t.name: hidden[a][t.node][0] for t in tensors if t.kind == "hidden"}
        yield Declared(name, relation, network, tensors, onnx)


def _is_type(word: str) -> bool:
    return word.rstrip("0123456789") in ("float", "bfloat", "int", "uint", "complex")


def isomorphic(a: Network, b: Network) -> bool:
    """The same graph and shapes with other weights."""
    sides = [[t.shape for t in (*n.inputs.values(), *n.outputs.values())] for n in (a, b)]
    if sides[0] != sides[1] or len(a.nodes) != len(b.nodes):
        return False
    numbers = [{node: k for k, node in enumerate(n.nodes)} for n in (a, b)]
    return all(
        _form(x) == _form(y) and [numbers[0][p] for p in x.parents] == [numbers[1][p] for p in y.parents]
        for x, y in zip(a.nodes, b.nodes, strict=True)
    )


def _form(node: Node) -> tuple[object, ...]:
    """What a node is, apart from its weights."""
    match node:
        case Affine():
            return "affine", node.size, tuple(map(_shape, node.maps))
        case Pointwise():
            return "pointwise", node.size, node.fn.key
        case Max():
            return "max", node.groups.shape, node.groups.tobytes()
    return type(node).__name__, node.size


def _shape(linear: LinearMap) -> tuple[object, ...]:
    if isinstance(linear, Conv):
        return "conv", linear.weight.shape, linear.in_shape, linear.strides, linear.pads, linear.dilations
    return type(linear).__name__, linear.n_out, linear.n_in


def element_name(tensor: Declaration, k: int) -> str:
    """``x[0,1]``; a scalar has no index."""
    index = np.unravel_index(k, tensor.shape) if tensor.shape else ()
    return f"{tensor.name}[{','.join(map(str, index))}]" if index else tensor.name
