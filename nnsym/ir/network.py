"""A network: a graph with named inputs and outputs, their shapes, and what its numbers are stored in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from typing import Any, final
from weakref import WeakValueDictionary

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array, unmasked
from nnsym.ir.evaluate import evaluate
from nnsym.ir.names import node_names
from nnsym.ir.node import Affine, Input, Node
from nnsym.ir.stored import Packed
from nnsym.ir.text import dump
from nnsym.ir.walk import flat_pickle, substitute, topological
from nnsym.ir.words import count_of


@final
@dataclass(frozen=True, eq=False)
class Tensor:
    """An element block of a graph as a network sees it: a node and the shape it is read in (C order)."""

    node: Node
    shape: tuple[int, ...]


@final
@dataclass(frozen=True, eq=False, repr=False)
class Network:
    """``inputs`` and ``outputs`` by name, in the model's order, and every named tensor between them.

    ``dtype`` is what the model reads and computes in (``float32``, ``float64``, ``float16``), ``types`` are those of
    tensors that have another one; the IR holds its constants as float64, which is exact. ``coarse`` is a float format
    of fewer bits than ``dtype`` in which an engine evaluates some layer, if there is one: a cast, or a kernel that has
    no other. ``model`` is the serialised ONNX model that a counterexample is replayed on (``bytes(network.model)``:
    long ones are kept packed), or None for a network built from arrays (replayed in exact rationals). ``either`` has
    for some nodes another one that is equal to it on reals (but for its constant, where they have the same parents) and
    rounds otherwise: an engine may compute either, and of a node and its own argument the argument.
    """

    name: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    dtype: str = "float64"
    model: bytes | Packed | None = field(default=None, repr=False)
    types: Mapping[str, str] = field(default_factory=dict, repr=False)
    coarse: str = field(default="", repr=False)
    either: Mapping[Node, Node] = field(default_factory=dict, repr=False)

    def type_of(self, name: str) -> str:
        """The element type of a tensor of the model: ``float32``, ``int64``, ``bool`` ..."""
        return self.types.get(name, self.dtype)

    def __repr__(self) -> str:
        """``<Network digits: x (1, 64) -> y (1, 10), 40 activations, float32>``."""
        ends = [", ".join(f"{n} {t.shape}" for n, t in side.items()) for side in (self.inputs, self.outputs)]
        active = sum(node.size for node in self.nodes if not isinstance(node, (Affine, Input)))
        return f"<Network {self.name}: {ends[0]} -> {ends[1]}, {active} activations, {self.dtype}>"

    def _repr_html_(self) -> str:
        """A small table for notebooks: inputs, outputs, layers, numbers, content."""
        ends = [", ".join(f"{n} {t.shape}" for n, t in side.items()) for side in (self.inputs, self.outputs)]
        active = sum(node.size for node in self.nodes if not isinstance(node, (Affine, Input)))
        facts = {
            "inputs": ends[0],
            "outputs": ends[1],
            "affine layers": sum(isinstance(node, Affine) for node in self.nodes),
            "activations": active,
            "numbers": self.dtype,
            "sha256": self.hash,
        }
        cell = "<td style='text-align:left'>"  # notebooks put cells on the right
        rows = "".join(f"<tr>{cell}{name}</td>{cell}{escape(str(value))}</td></tr>" for name, value in facts.items())
        return f"<b>{escape(self.name)}</b><table>{rows}</table>"

    def __reduce__(self) -> tuple[Any, ...]:
        tensors = (*self.inputs.values(), *self.outputs.values(), *self.tensors.values())
        return flat_pickle(self, (*(t.node for t in tensors), *self.either, *self.either.values()))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the model file's bytes, or of the graph's content for a network from arrays."""
        if isinstance(self.model, Packed):
            return self.model.sha256
        if self.model is not None:
            return hashlib.sha256(self.model).hexdigest()
        return hashlib.sha256(dump([t.node for t in self.outputs.values()]).encode()).hexdigest()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes that the outputs depend on, parents first."""
        return topological(tensor.node for tensor in self.outputs.values())

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What is made of the network again and again, by keys of its makers; it goes when the network goes."""
        return {}

    @cached_property
    def _applied(self) -> WeakValueDictionary[tuple[Node, ...], Application]:
        return WeakValueDictionary()

    def apply(self, arguments: tuple[Node, ...]) -> Application:
        """The network on the given nodes, one per input, each with that input's number of elements."""
        found = self._applied.get(arguments)
        if found is None:
            found = self._applied[arguments] = self._apply(arguments)
        return found

    def _apply(self, arguments: tuple[Node, ...]) -> Application:
        self._require_count(arguments)
        replacement: dict[Node, Node] = {}
        for argument, (name, tensor) in zip(arguments, self.inputs.items(), strict=True):
            if argument.size != tensor.node.size:
                raise InputError(
                    f"input '{name}' has shape {tensor.shape} ({count_of(tensor.node.size, 'element')}), "
                    f"the argument has {argument.size}",
                    where=self.name,
                    remedy="Pass the declared shape, or the same number of elements in C order",
                )
            replacement[tensor.node] = argument
        everything = [t.node for t in (*self.outputs.values(), *self.tensors.values())]
        image = substitute(everything, replacement, self.run)
        return Application(self, arguments, {node: image[node] for node in everything})

    @property
    def run(self) -> str:
        """What tells its run from others': the hash of a stored model, nothing for a network that is exact."""
        return "" if self.model is None else self.hash

    def _require_count(self, arguments: tuple[Any, ...]) -> None:
        if len(arguments) != len(self.inputs):
            raise InputError(
                f"{count_of(len(arguments), 'argument')} for {count_of(len(self.inputs), 'input')}",
                where=self.name,
                remedy=f"Pass one argument for each of: {', '.join(self.inputs)}",
            )

    def __call__(self, *arguments: Any) -> Any:
        """On terms: the symbolic output. On arrays: the outputs computed in float64 (or exactly on Fractions)."""
        speaker = _symbolic(arguments)
        return self.evaluate(*arguments) if speaker is None else speaker.apply_network(self, arguments)

    def tensor(self, name: str) -> Tensor:
        """A value by the name of its ONNX tensor or node, or by its nnsym name (``relu_2``); lists close names."""
        named = {**{n: Tensor(node, (node.size,)) for node, n in node_names(self.nodes).items()}, **self.tensors}
        if name not in named:
            import difflib

            close = difflib.get_close_matches(name, named, n=5, cutoff=0.4) or list(named)[:12]
            raise InputError(f"has no value named '{name}'", where=self.name, remedy=f"Close names: {', '.join(close)}")
        return named[name]

    def hidden(self, name: str) -> Hidden:
        """A hidden value by name; call it on the network's arguments: ``f.hidden("relu_2")(x).pre[7]``."""
        self.tensor(name)
        return Hidden(self, name)

    def active(self, name: str, index: Any = None) -> Phase:
        """The phase of hidden activations; call it on the network's arguments: ``f.active("relu_2", 7)(x)``."""
        self.tensor(name)
        return Phase(self, name, index)

    def evaluate(self, *arguments: Array) -> Any:
        """The IR's value: one array per output (a single array if there is one), batch axes in front kept.

        Where the model's own first axis is a batch of one, ``n`` points may stand in it, and ``n`` outputs then do.
        """
        self._require_count(arguments)
        point: dict[Node, Array] = {}
        batches = []
        given = [_numbers(argument, self.name) for argument in arguments]
        inside = any(_batched_inside(v.shape, t) for v, t in zip(given, self.inputs.values(), strict=True))
        for values, tensor in zip(given, self.inputs.values(), strict=True):
            batches.append(_batch_axes(values.shape, tensor))
            point[tensor.node] = values.reshape((*batches[-1], tensor.node.size))
        batch = np.broadcast_shapes(*batches)
        values_of = evaluate([t.node for t in self.outputs.values()], point)
        results = [
            np.array(np.broadcast_to(values_of[t.node], (*batch, t.node.size))).reshape(
                (*batch, *(t.shape[1:] if inside and t.shape[:1] == (1,) else t.shape))
            )
            for t in self.outputs.values()
        ]
        return results[0] if len(results) == 1 else tuple(results)


def _batched_inside(shape: tuple[int, ...], tensor: Tensor) -> bool:
    """True for ``(20, 784)`` where ``(1, 784)`` is declared: the batch stands in the model's own axis."""
    own = tensor.shape
    return len(shape) == len(own) > 1 and own[0] == 1 and shape[0] != 1 and shape[1:] == own[1:]


def _numbers(argument: object, name: str) -> Array:
    """float64, or objects as they are (Fractions)."""
    try:
        values = np.asarray(unmasked(argument, "a value", f"an argument of '{name}'"))
        if values.dtype.kind in "cmM":
            raise TypeError
        return values if values.dtype == object else values.astype(np.float64)
    except (TypeError, ValueError):
        raise InputError("not an array of numbers, or ragged", where=f"an argument of '{name}'") from None


def _batch_axes(shape: tuple[int, ...], tensor: Tensor) -> tuple[int, ...]:
    for split in range(len(shape) + 1):
        if shape[split:] == tensor.shape or (np.prod(shape[split:]) == tensor.node.size and split == 0):
            return shape[:split]
    for split in range(len(shape) + 1):
        if np.prod(shape[split:]) == tensor.node.size:
            return shape[:split]
    raise InputError(f"values of shape {shape} do not fit an input of shape {tensor.shape}")


@final
@dataclass(frozen=True, eq=False)
class Application:
    """One use of a network: ``image`` maps every output and named node of the network to its node here."""

    network: Network
    arguments: tuple[Node, ...]
    image: Mapping[Node, Node]

    def __reduce__(self) -> tuple[Any, ...]:
        return flat_pickle(self, (*self.arguments, *self.image, *self.image.values()))

    def output(self, name: str) -> Node:
        return self.image[self.network.outputs[name].node]

    def here(self, nodes: Iterable[Node]) -> dict[Node, Node]:
        """Nodes of the network, named or not, as they are in this application."""
        own = (t.node for t in self.network.inputs.values())
        replacement: dict[Node, Node] = dict(zip(own, self.arguments, strict=True))
        return substitute(nodes, replacement, self.network.run)


@final
@dataclass(frozen=True, eq=False)
class Hidden:
    """A named value inside a network; calling it on terms gives its values in that application."""

    network: Network
    name: str

    def __call__(self, *arguments: Any) -> Any:
        speaker = _symbolic(arguments)
        if speaker is None:
            raise InputError(f"hidden values of '{self.name}' need a term to stand on", where=self.network.name)
        return speaker.apply_hidden(self, arguments)

    @property
    def pre(self) -> Any:
        """Raises: the hidden value belongs to one application, which must be named."""
        raise InputError(
            f"'{self.name}' is not bound to an application of the network",
            where=self.network.name,
            remedy=f'Say which: {self.network.name}.hidden("{self.name}")(x), or y.hidden("{self.name}") for y = f(x)',
        )

    post = pre


@final
@dataclass(frozen=True, eq=False)
class Phase:
    """That hidden activations (those of ``index``, or all) are in their active phase: on terms, a formula."""

    network: Network
    name: str
    index: Any

    def __call__(self, *arguments: Any) -> Any:
        return Hidden(self.network, self.name)(*arguments).active(self.index)


def _symbolic(arguments: Any) -> Any:
    """The type of the first term among the arguments, lists of terms included; None if all are numbers."""
    for argument in arguments:
        if hasattr(type(argument), "apply_network"):
            return type(argument)
        if isinstance(argument, (list, tuple)) and (found := _symbolic(argument)) is not None:
            return found
    return None
