"""What the one rule works on: a graph of flat vectors with three kinds of nodes, inputs, affine maps and curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import prod
from typing import Any

from .errors import need
from .functions import Function
from .model import Const, Number

LOOSE = 72  # binary places of weights that are no dyadic numbers
_LARGEST = 1 << 26  # nonzeros of one map


@dataclass(frozen=True, eq=False)
class Map:
    """A matrix of ``len(rows)`` by ``width``: for each row its columns (None: all of them) and weights."""

    width: int
    rows: Sequence[tuple[Sequence[int] | None, Sequence[Number]]]
    inexact: bool = False  # the weights are known to one unit of 2^-LOOSE only

    @cached_property
    def integers(self) -> tuple[int, list[list[int]], bool]:
        """``E``, the weights as integers times 2^-E, and whether that is wrong by up to two units."""
        shift, loose = 0, self.inexact
        for weight in {w for _, weights in self.rows for w in weights}:
            below = weight.as_integer_ratio()[1]
            if below & (below - 1):
                loose = True
            else:
                shift = max(shift, below.bit_length() - 1)
        shift = max(shift, LOOSE) if loose else shift
        scale = 1 << shift
        scaled = []
        for _, weights in self.rows:
            ratios = [w.as_integer_ratio() for w in weights]
            scaled.append([above * scale // below for above, below in ratios])
        return shift, scaled, loose


@dataclass(eq=False)
class Node:
    """A vector of ``size`` elements."""

    size: int


@dataclass(eq=False)
class Input(Node):
    """Elements ``first`` to ``first + size - 1`` of the box."""

    first: int


@dataclass(eq=False)
class Affine(Node):
    """``sum_k parts[k][1] parts[k][0] + bias``; ``rounds`` says whether a float run rounds it."""

    parts: tuple[tuple[Node, Map], ...]
    bias: Sequence[Number] | None = None
    rounds: bool = True


@dataclass(eq=False)
class Curve(Node):
    """One function of each element of its parent, or of elements of its parents."""

    parents: tuple[Node, ...]
    function: Function


@dataclass(frozen=True)
class Value:
    """A tensor that depends on inputs: a node, read in row-major order in some shape."""

    node: Node
    shape: tuple[int, ...]


@dataclass
class Graph:
    """Nodes in order, and tensors by (network, name)."""

    nodes: list[Any] = field(default_factory=list)
    tensors: dict[tuple[int, str], Value] = field(default_factory=dict)
    width: int = 0
    rounded: bool = False  # whether constants are computed that a float run may round
    stop: Callable[[], bool] = lambda: False  # asked while it is made: where it says so, it is given up

    def look(self) -> None:
        """Refuse as "stopped" where :attr:`stop` says so."""
        need(not self.stop(), "stopped")

    def add(self, node: Node) -> Node:
        need(node.size < _LARGEST, "a tensor of too many elements")
        bias = getattr(node, "bias", None)
        need(bias is None or len(bias) == node.size, "a bias of another size")
        self.nodes.append(node)
        return node

    def input(self, shape: tuple[int, ...]) -> Value:
        size = prod(shape)
        value = Value(self.add(Input(size, self.width)), shape)
        self.width += size
        return value

    def affine(
        self,
        shape: Sequence[int],
        parts: Sequence[tuple[Node, Map]],
        bias: Sequence[Number] | None = None,
        rounds: bool = True,
    ) -> Value:
        nonzeros = sum(len(w) for _, m in parts for _, w in m.rows)
        need(nonzeros < _LARGEST, "a linear map of too many coefficients")
        return Value(self.add(Affine(prod(shape), tuple(parts), bias, rounds)), tuple(shape))

    def copy(self, value: Value, index: Const) -> Value:
        """The elements of a tensor that ``index`` names, in its shape."""
        if list(index.values) == list(range(value.node.size)):
            return Value(value.node, index.shape)
        rows = [((i,), (1,)) for i in index.values]
        return self.affine(index.shape, [(value.node, Map(value.node.size, rows))], rounds=False)

    def curve(self, function: Function, *values: Value) -> Value:
        nodes = tuple(v.node for v in values)
        return Value(self.add(Curve(nodes[0].size, nodes, function)), values[0].shape)

    def shift(self, value: Value, bias: Sequence[Number]) -> Value:
        """Constants added to a tensor; a map without bias takes them as its own."""
        node = value.node
        if isinstance(node, Affine) and node.bias is None and node.rounds:
            return Value(self.add(Affine(node.size, node.parts, bias)), value.shape)
        return self.scale(value, [1] * node.size, bias)

    def scale(self, value: Value, factors: Sequence[Number], bias: Any = None, inexact: bool = False) -> Value:
        """``factors * value + bias``, elementwise; factors of 1 and -1 alone round nothing."""
        rows = [((i,), (f,)) for i, f in enumerate(factors)]
        rounds = bias is not None or not set(factors) <= {1, -1}
        return self.affine(value.shape, [(value.node, Map(value.node.size, rows, inexact))], bias, rounds)

    def reachable(self, roots: Sequence[Node]) -> None:
        """Drop what the property does not read."""
        wanted = {id(n) for n in roots}
        for node in reversed(self.nodes):
            if id(node) in wanted:
                wanted |= {id(p) for p in parents(node)}
        self.nodes = [n for n in self.nodes if id(n) in wanted or isinstance(n, Input)]


def parents(node: Node) -> tuple[Node, ...]:
    """What a node is computed from."""
    if isinstance(node, Affine):
        return tuple(p for p, _ in node.parts)
    return node.parents if isinstance(node, Curve) else ()


def exact(value: Number) -> Fraction:
    """A stored number as a fraction."""
    return Fraction(*value.as_integer_ratio())
