"""What the stored models themselves compute at a point, and what the property makes of it.

Models run in ONNX Runtime. Everything else (terms, preconditions, networks from arrays) is exact arithmetic on the
numbers that the models read and gave, so that no rounding but the models' own decides anything. Smooth functions
outside of models have no exact value; what rests on one is rough, and nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.evaluate import apply_node
from nnsym.ir.exact import nearest
from nnsym.ir.formula import Atoms, InBox, margin_lower
from nnsym.ir.network import Application, Network
from nnsym.ir.node import Input, Node, Point
from nnsym.ir.query import Query, Reading
from nnsym.ir.rational.scaled import Scaled, apply_scaled
from nnsym.ir.titles import output_title
from nnsym.ir.walk import topological
from nnsym.read.runtime import run
from nnsym.replay.values import results, results_of

#: Runs one network: (network, feeds by input name, names of hidden tensors to return) -> values by name.
Runner = Callable[[Network, Mapping[str, Array], tuple[str, ...]], Mapping[str, Array]]


def onnxruntime(network: Network, feeds: Mapping[str, Array], hidden: tuple[str, ...]) -> Mapping[str, Array]:
    """The runner of stored models."""
    return run(network, feeds, hidden=hidden)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class EngineRun:
    """Values at one point: ``computed`` of the inputs and of every node the property reads, ``outputs`` by name.

    Arrays of Fractions are exact, floats are rough or not finite. ``by`` says who executed the networks.
    """

    computed: Mapping[Node, Array]
    outputs: Mapping[str, Array]
    by: str

    def violates(self, query: Query) -> bool | None:
        """True if these numbers make the query's formula true; None where that rests on a rough one.

        Comparisons with an infinity are those of the extended reals. NaN meets no comparison of a property, so it
        violates a conclusion and misses a precondition.
        """
        parts = {node: self.computed[node] for node in (*query.inputs, *query.rows.parts)}
        if all(v.dtype == object for v in parts.values()):
            return query.violated(parts)
        if all(np.isfinite(nearest(v)).all() for v in parts.values()):
            return None
        return self.margin(query) < 0 or (self.margin(query) == 0 and not query.strict)

    def margin(self, query: Query) -> float:
        """The property's margin on these numbers, rounded up where they are exact."""
        parts = {node: self.computed[node] for node in (*query.inputs, *query.rows.parts)}
        if all(v.dtype == object for v in parts.values()):
            return query.margin(parts, up=True)
        floats = {node: nearest(v) for node, v in parts.items()}
        if not query.inside({x: floats[x] for x in query.inputs}):
            return np.inf
        with np.errstate(invalid="ignore", over="ignore"):
            s = query.rows.value(floats)
        missing = np.inf if query.reading is Reading.EXISTS else -np.inf

        def atom(node: Atoms | InBox) -> Array:
            if isinstance(node, InBox):
                inside = ((node.lower <= floats[node.input]) & (floats[node.input] <= node.upper)).all()
                return np.array([-np.inf if inside else np.inf])
            chosen = s[node.rows]
            if node.soft:
                return np.where(np.isnan(chosen), missing, chosen)
            return np.where(chosen < 0 if node.strict else chosen <= 0, -np.inf, np.inf)

        return margin_lower(query.formula, atom)


def run_engine(query: Query, point: Point, runner: Runner = onnxruntime) -> EngineRun | None:
    """Every stored network run on a point, and the rest computed from what they gave; None if nothing is stored."""
    return execute(query, point, runner) if stored_nodes(query) else None


def execute(query: Query, point: Point, runner: Runner = onnxruntime) -> EngineRun:
    """The same, where networks from arrays alone are computed exactly."""
    work = _Work(query, runner, {x: np.asarray(values) for x, values in point.items()})
    return EngineRun(
        computed={node: work.value(node) for node in (*query.inputs, *query.rows.parts)},
        outputs=dict(work.named()),
        by="onnxruntime" if work.owners else "exact",
    )


@final
class _Work:
    """One pass over a query's graph, in an order in which every stored network finds its arguments computed."""

    def __init__(self, query: Query, runner: Runner, point: Mapping[Input, Array]) -> None:
        self.query, self.runner, self.owners = query, runner, stored_nodes(query)
        self.exact: dict[Node, Scaled] = {}
        self.rough: dict[Node, Array] = {}
        self.given: dict[str, Array] = {}
        order = topological((*query.inputs, *query.rows.parts, *results(query)), self._dependencies)
        read = frozenset(order)
        for node in order:
            if isinstance(node, Input):
                self._keep(node, point[node])
            elif node in self.owners:
                if node not in self.exact and node not in self.rough:
                    self._run(self.owners[node], read)
            else:
                self._apply(node)

    def value(self, node: Node) -> Array:
        """Fractions where the value is exact, else floats."""
        return self.exact[node].fractions() if node in self.exact else self.rough[node]

    def named(self) -> Iterator[tuple[str, Array]]:
        """Outputs by name: those of models in their dtype, of others as Fractions or floats."""
        for application in self.query.applications:
            for name, tensor in application.network.outputs.items():
                full = output_title(self.query, application, name)
                yield full, self.given.get(full, self.value(application.output(name))).reshape(tensor.shape)

    def _dependencies(self, node: Node) -> tuple[Node, ...]:
        return self.owners[node].arguments if node in self.owners else node.parents

    def _keep(self, node: Node, values: Array) -> None:
        flat = values.reshape(-1)
        if flat.dtype == object or np.isfinite(flat).all():
            self.exact[node] = Scaled.of(flat)
        else:
            self.rough[node] = flat.astype(np.float64)

    def _apply(self, node: Node) -> None:
        if not node.model and all(parent in self.exact for parent in node.parents):  # else no run gives it
            try:
                self.exact[node] = apply_scaled(node, tuple(self.exact[p] for p in node.parents))
                return
            except UnsupportedError:  # a smooth function
                pass
        with np.errstate(invalid="ignore", over="ignore"):
            self.rough[node] = np.asarray(apply_node(node, tuple(nearest(self.value(p)) for p in node.parents)))

    def _run(self, application: Application, read: frozenset[Node]) -> None:
        """Run one stored network on the values of its arguments; take its outputs and the hidden tensors read."""
        network = application.network
        with np.errstate(over="ignore"):
            feeds = {
                name: nearest(self.value(argument)).astype(network.dtype).reshape(tensor.shape)
                for argument, (name, tensor) in zip(application.arguments, network.inputs.items(), strict=True)
            }
        images = ((name, application.image[tensor.node]) for name, tensor in network.tensors.items())
        wanted = {
            name: node
            for name, node in images
            if node in read and node not in self.exact and node not in self.rough and name not in network.outputs
        }
        found = self.runner(network, feeds, tuple(wanted))
        for name in network.outputs:
            self.given[output_title(self.query, application, name)] = found[name]
            self._keep(application.output(name), found[name])
        for name, node in wanted.items():
            if node not in self.exact and node not in self.rough:
                self._keep(node, found[name])


def stored_nodes(query: Query) -> dict[Node, Application]:
    """Which nodes a stored network computes: its outputs and named tensors, but nothing that its arguments rest on."""
    owners: dict[Node, Application] = {}
    for application in query.applications:
        if application.network.model is not None:
            before = set(topological(application.arguments))
            hidden = (application.image[t.node] for t in application.network.tensors.values())
            owners.update({node: application for node in hidden if node not in before})
            owners.update(dict.fromkeys(results_of(application), application))
    return {node: a for node, a in owners.items() if not isinstance(node, Input)}
