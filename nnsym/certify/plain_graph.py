"""The graph of a query in the plain form of certificates: its terms as operators, its stored networks applied by name.

Constants are written as the float64 numbers that they are, so that nothing is rounded on the way.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, final

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.functions.powers import WholePower
from nnsym.ir.linear import LinearMap, Scale, Select
from nnsym.ir.network import Application, Network
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.query import Query
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Hinge, Piecewise, Univariate
from nnsym.ir.walk import topological

#: Numbers of one matrix at most.
_LARGEST = 2**22


@final
class PlainGraph:
    """Writes the nodes that a query's rows read.

    ``called`` are the names of nodes that are tensors of the graph itself, ``hidden`` those of nodes inside applied
    networks as the checker names them; ``networks`` are the stored networks, each once, in order.
    """

    def __init__(self, query: Query) -> None:
        self.query = query
        self.called: dict[Node, str] = {}
        self.hidden: dict[Node, str] = {}
        self.networks: dict[str, Network] = {}
        self.constants: dict[str, Any] = {}
        self.nodes: list[list[Any]] = []
        self._applied: list[tuple[Application, str]] = []
        self._inside: dict[Node, Application] = {}
        for x in query.inputs:
            self.called[x] = self._fresh(x.name if x.name.isidentifier() and x.name.isascii() else "x")
        for a in query.applications:
            if a.network.model is not None:
                self._inside.update((node, a) for node in a.image.values() if node not in a.arguments)
        for node in topological((*query.inputs, *query.rows.parts), self._parents):
            self._write(node)

    def json(self, outputs: Sequence[str]) -> dict[str, Any]:
        """The graph with some of its tensors as outputs."""
        return {
            "inputs": [[self.called[x], [x.size]] for x in self.query.inputs],
            "constants": self.constants,
            "nodes": self.nodes,
            "outputs": list(outputs),
        }

    def constant(self, values: object, kind: str = "f8") -> str:
        """The name of a constant."""
        array = np.ascontiguousarray(values, dtype="<" + kind)
        name = f"c{len(self.constants)}"
        data = base64.b64encode(array.tobytes()).decode()
        self.constants[name] = {"type": kind, "shape": list(array.shape), "data": data}
        return name

    def rational(self, values: Sequence[Fraction]) -> str:
        """The name of a constant of rational numbers."""
        name = f"c{len(self.constants)}"
        self.constants[name] = {"shape": [len(values)], "values": [str(v) for v in values]}
        return name

    def add(self, kind: str, arguments: Sequence[str], **attributes: Any) -> str:
        """The name of the one result of an operator."""
        name = self._fresh("t")
        self.nodes.append([kind, list(arguments), [name], *([attributes] if attributes else [])])
        return name

    def _fresh(self, stem: str) -> str:
        taken = {*self.called.values(), *(name for node in self.nodes for name in node[2])}
        if stem not in taken and stem != "t":
            return stem
        return next(name for k in range(len(taken), 2 * len(taken) + 2) if (name := f"{stem}{k}") not in taken)

    def _parents(self, node: Node) -> tuple[Node, ...]:
        return self._inside[node].arguments if node in self._inside else node.parents

    def _write(self, node: Node) -> None:
        if node in self.called or node in self.hidden:
            return None
        if node in self._inside:
            return self._apply(self._inside[node])
        if node.model:
            raise UnsupportedError("a value inside a network that has no name in its file", where=self.query.name)
        match node:
            case Affine():
                self.called[node] = self._affine(node)
            case Pointwise():
                self.called[node] = self._function(node.fn, self.called_of(node.parents[0]), node)
            case Max():
                self.called[node] = self._maximum(node)
            case Product():
                self.called[node] = self.add("Mul", [self.called_of(p) for p in node.parents])
            case _:
                raise UnsupportedError(f"{node!r} has no operator in a certificate", where=self.query.name)
        return None

    def called_of(self, node: Node) -> str:
        """The name of a node that others are computed from."""
        if node not in self.called:
            raise UnsupportedError("a term of hidden neurons is not certified", where=self.query.name)
        return self.called[node]

    def _apply(self, application: Application) -> None:
        network = application.network
        entry = self._entry(network)
        arguments = []
        for argument, tensor in zip(application.arguments, network.inputs.values(), strict=True):
            shape = self.constant(np.array(tensor.shape), "i8")
            arguments.append(self.add("Reshape", [self.called_of(argument), shape]))
        number = sum(node[0] == "Network" for node in self.nodes)
        outs = [f"{entry}.{number}.{k}" for k in range(len(network.outputs))]
        self.nodes.append(["Network", arguments, outs, {"name": entry}])
        for out, name in zip(outs, network.outputs, strict=True):
            self.called.setdefault(application.output(name), self._flat(out, application.output(name).size))
        for name, tensor in network.tensors.items():
            here = application.image[tensor.node]
            if here not in self.called:  # the names of operators come first, then those of results
                self.hidden[here] = f"{outs[0]}/{name}"

    def _flat(self, name: str, size: int) -> str:
        return self.add("Reshape", [name, self.constant(np.array([size]), "i8")])

    def _entry(self, network: Network) -> str:
        for name, known in self.networks.items():
            if known.hash == network.hash:
                return name
        taken = {"query", *self.networks}
        others = (f"{network.name}-{k}" for k in range(1, len(taken) + 1))
        name = next(n for n in (network.name, *others) if n not in taken)
        self.networks[name] = network
        return name

    def _affine(self, node: Affine) -> str:
        if not node.maps:
            raise UnsupportedError("a term of constants alone is not certified", where=self.query.name)
        copied = self._copies(node)
        terms = copied or [self._linear(m, self.called_of(p)) for m, p in zip(node.maps, node.parents, strict=True)]
        total = terms[0]
        for term in terms[1:]:
            total = self.add("Add", [total, term])
        return self.add("Add", [total, self.constant(node.bias)]) if node.bias.any() else total

    def _copies(self, node: Affine) -> list[str]:
        """One selection from all parents, where every element is a copy of at most one element."""
        index = np.full(node.size, -1)
        start = 0
        for linear in node.maps:
            if not isinstance(linear, Select) or ((index >= 0) & (linear.index >= 0)).any():
                return []
            index = np.where(linear.index >= 0, linear.index + start, index)
            start += linear.n_in
        parts = [self.called_of(p) for p in node.parents]
        if (index < 0).any():
            parts.append(self.constant(np.zeros(1)))
        whole = parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=0)
        index = np.where(index < 0, start, index)
        if len(index) == start and (index == np.arange(start)).all():
            return [whole]
        return [self.add("Gather", [whole, self.constant(index, "i8")], axis=0)]

    def _linear(self, linear: LinearMap, name: str) -> str:
        if isinstance(linear, Scale):
            return self.add("Mul", [name, self.constant(linear.factor)])
        if linear.n_out * linear.n_in > _LARGEST:
            raise UnsupportedError("a linear map of the property is too large for a certificate", where=self.query.name)
        return self.add("MatMul", [self.constant(linear.matrix().toarray()), name])

    def _function(self, fn: Univariate, name: str, node: Node) -> str:
        if isinstance(fn, Sigmoid):
            return self.add("Sigmoid", [name])
        if isinstance(fn, Tanh):
            return self.add("Tanh", [name])
        if isinstance(fn, WholePower) and fn.key == WholePower(2).key:
            return self.add("Mul", [name, name])
        if isinstance(fn, Hinge):
            return self._hinge(fn, name, node.size)
        if isinstance(fn, Piecewise):
            return self._pieces(fn, name)
        raise UnsupportedError(f"the function '{fn.name}' is not certified", where=self.query.name)

    def _hinge(self, fn: Hinge, name: str, size: int) -> str:
        left, right = fn.slopes(size)
        if (left == 0).all() and (right == 1).all():
            return self.add("Relu", [name])
        if (left == -1).all() and (right == 1).all():
            return self.add("Abs", [name])
        above = self.add("Mul", [self.add("Relu", [name]), self.constant(right)])
        below = self.add("Mul", [self.add("Relu", [self.add("Neg", [name])]), self.constant(left)])
        return self.add("Sub", [above, below])

    def _pieces(self, fn: Piecewise, name: str) -> str:
        """``s_0 x + o_0 + sum_k (s_k - s_k-1) relu(x - b_k)``, where the lines meet and no difference is rounded."""
        breaks, slopes, offsets = fn.breaks, fn.slopes, fn.offsets
        if slopes.shape[1] == 2 and not slopes.any() and not breaks.any() and (np.abs(offsets) == 1).all():
            return self.add("Sign", [name])
        steps = np.diff(slopes, axis=1)
        if fn.jumps or (slopes[:, :-1] + steps != slopes[:, 1:]).any():
            raise UnsupportedError(f"the function '{fn.name}' is not certified", where=self.query.name)
        total = self.add("Add", [self.add("Mul", [name, self.constant(slopes[:, 0])]), self.constant(offsets[:, 0])])
        for k in range(breaks.shape[1]):
            bent = self.add("Relu", [self.add("Sub", [name, self.constant(breaks[:, k])])])
            total = self.add("Add", [total, self.add("Mul", [bent, self.constant(steps[:, k])])])
        return total

    def _maximum(self, node: Max) -> str:
        name = self.called_of(node.parents[0])
        groups = node.filled
        columns = (self.constant(column, "i8") for column in groups.T)
        members = [self.add("Gather", [name, column], axis=0) for column in columns]
        return members[0] if len(members) == 1 else self.add("Max", members)


def outputs_of(parts: Mapping[Node, Any], graph: PlainGraph) -> list[Node]:
    """The nodes that rows read and that are tensors of the graph itself, inputs aside."""
    return [node for node in parts if node in graph.called and not isinstance(node, Input)]
