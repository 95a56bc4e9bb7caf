"""What a certificate is about: its networks as one graph, and the case at the root of its tree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from typing import Any

from .errors import Refused, need, reading, whole
from .graph import Graph, Input, Node, Value
from .model import Model, read_onnx, read_plain
from .moves import Attributes, Call
from .operators import OPERATORS
from .vnnlib import Atom, Declared, Junction, Property, Variable, read_property

_DEEPEST, _ZERO = 20, Fraction(0)
#: Attributes that change nothing when a network is run: of training, and of indices that nobody may read.
_NO_MATTER = {"momentum", "ratio", "seed", "storage_order"}
#: Attributes that are 0 or 1; of other values some runtimes make the one, and some the other.
_FLAGS = {"allowzero", "ceil_mode", "count_include_pad", "keepdims", "noop_with_empty_axes", "spatial", "training_mode"}


@dataclass(frozen=True)
class Fact:
    """``sum_n terms[n][i] v_n[i] + sum_k squares[k] x_k^2 + constant <= 0``, or ``< 0``; ``own``: of the property."""

    terms: Mapping[Node, Mapping[int, Fraction]]
    constant: Fraction
    strict: bool = False
    own: bool = False
    squares: Mapping[int, Fraction] = field(default_factory=dict)


@dataclass(eq=False)
class Pending:
    """A refresh of bounds that cases of one box share, and the case that it gave once it is made.

    It starts from one that was ``asked`` for ``before``, by a token about that case.
    """

    before: Pending | None = None
    asked: Case | None = None
    made: Case | None = None


@dataclass(frozen=True)
class Case:
    """What is known at a place of the tree: ``known`` are bounds of nodes, which a ``pending`` refresh will narrow."""

    lower: tuple[Fraction | None, ...]
    upper: tuple[Fraction | None, ...]
    facts: tuple[Fact, ...] = ()
    disjunctions: tuple[Junction, ...] = ()
    known: Mapping[Node, Any] = field(default_factory=dict)
    pending: Pending | None = field(default_factory=Pending)
    empty: bool = False

    def narrowed(self, *limits: tuple[int, Fraction | None, Fraction | None]) -> Case:
        """With input elements k between two limits, ``(k, low, high)`` each."""
        lower, upper, empty = list(self.lower), list(self.upper), self.empty
        for k, low, high in limits:
            if low is not None and (lower[k] is None or low > lower[k]):  # type: ignore[operator]
                lower[k] = low
            if high is not None and (upper[k] is None or high < upper[k]):  # type: ignore[operator]
                upper[k] = high
            a, b = lower[k], upper[k]
            empty = empty or (a is not None and b is not None and a > b)
        return replace(self, lower=tuple(lower), upper=tuple(upper), pending=Pending(self.asked), empty=empty)

    @property
    def asked(self) -> Pending | None:
        """The last refresh that a token asked for and that is not made yet."""
        return self.pending if self.pending is None or self.pending.asked else self.pending.before


class Problem:
    """The graph, and where the property's variables stand in it."""

    def __init__(
        self, certificate: Mapping[str, Any], files: Mapping[str, bytes], stop: Callable[[], bool] = lambda: False
    ) -> None:
        self.graph = Graph(stop=stop)
        self.files = files
        self.entries = certificate["networks"]
        need(isinstance(self.entries, list) and self.entries, "a certificate names the networks it is about")
        names = [str(e.get("name")) for e in self.entries]
        need(len(set(names)) == len(names), "two networks of the certificate have one name")
        self.models: dict[int, Model] = {}
        self.subjects: list[tuple[str, str]] = [("property", certificate["property"]["sha256"])]  # names and digests
        self.declared: set[str] = set()  # names of the networks that the property speaks of
        self.places: dict[str, Value] = {}
        self.integers: set[int] = set()
        self.inputs: list[tuple[str, Value]] = []
        self.property = read_property(_content(certificate["property"], files, "property").decode())
        self._declare(self.property)
        self.names = [self.tensor(whole(n, 0, 1 << 30, "network"), str(t)) for n, t in certificate.get("names", [])]
        self.assumed: dict[int, tuple[list[Any], list[Fact], list[Junction]]] = {}  # of parts of the formula
        blank = (None,) * self.graph.width
        self.root = self.assume(Case(blank, blank), self.property.formula)  # every assertion holds
        self.nodes = self._reachable()

    def model(self, entry: int) -> Model:
        """The model of an entry of ``networks``; its hash is compared."""
        if entry not in self.models:
            found = self.entries[entry]
            name = self._called(entry)
            if "graph" in found:
                need("sha256" not in found, f"the {name} has a graph of its own and the hash of a file")
                self.subjects.append((name, _digest(found["graph"])))
                self.models[entry] = read_plain(found["graph"])
            else:
                self.subjects.append((name, found["sha256"]))
                self.models[entry] = read_onnx(_content(found, self.files, name))
        return self.models[entry]

    def _called(self, entry: int) -> str:
        found = self.entries[entry]
        return f"network '{str(found.get('name'))[:100]}'{', stated in the certificate' if 'graph' in found else ''}"

    def _declare(self, stated: Property) -> None:
        own = {n.name: k for k, n in enumerate(n for n in stated.networks if not n.equal)}
        need(len({n.name for n in stated.networks}) == len(stated.networks), "two networks have one name")
        for index, network in enumerate(stated.networks):
            need(not network.equal or network.equal in own, f"'{network.name}' equals no network before it")
            entry, name = own[network.equal or network.name], network.equal or network.name
            named = stated.flat or (entry < len(self.entries) and self.entries[entry].get("name") == name)
            need(named, f"network {entry} of the certificate is not '{name}', which the property declares there")
            model = self.model(entry)
            self.declared.add(self._called(entry))
            declared = {k: [t for t in network.tensors if t.kind == k] for k in ("input", "output", "hidden")}
            for kind, ends in (("input", model.inputs), ("output", model.outputs)):
                need(stated.flat or len(declared[kind]) == len(ends), f"'{network.name}' has {len(ends)} {kind}s")
            stated_inputs = [None] * len(model.inputs) if stated.flat else declared["input"]
            pairs = zip(stated_inputs, model.inputs, strict=True)
            arguments = [self.graph.input(_shape(shape, tensor)) for tensor, (_, shape) in pairs]
            self.inputs += [(t.name if t else "X", v) for t, v in zip(stated_inputs, arguments, strict=True)]
            self.outputs = self.lower(model, arguments, index, "")
            hidden = [self.tensor(index, tensor.onnx) for tensor in declared["hidden"]]
            values = [*arguments, *self.outputs, *hidden]
            for tensor, value in zip((t for tensors in declared.values() for t in tensors), values, strict=False):
                self._place(tensor, value)

    def _place(self, tensor: Declared, value: Value) -> None:
        node = value.node
        need(prod(tensor.shape) == node.size, f"'{tensor.name}' has {node.size} elements, not {tensor.shape}")
        need(tensor.kind == "input" or not tensor.integer, f"'{tensor.name}' is no input, and of whole numbers")
        self.places[tensor.name] = value
        if tensor.integer:
            self.integers |= set(range(node.first, node.first + node.size))  # type: ignore[attr-defined]

    def tensor(self, network: int, name: str) -> Value:
        """A tensor of a declared network by its name in the file."""
        need((network, name) in self.graph.tensors, f"network {network} has no tensor '{name}'")
        return self.graph.tensors[network, name]

    def lower(self, model: Model, arguments: Sequence[Any], index: int, prefix: str) -> list[Value]:
        """Add a model's nodes to the graph; the values of its outputs."""
        need(prefix.count("/") < _DEEPEST, "networks are nested too deeply")
        need(len(arguments) == len(model.inputs), f"{len(arguments)} arguments for {len(model.inputs)} inputs")
        tensors: dict[str, Any] = dict(model.constants)
        tensors |= {name: v for (name, _), v in zip(model.inputs, arguments, strict=True)}
        for op in _ordered(model, set(tensors)):
            self.graph.look()
            with reading(f"{op.kind} '{prefix}{op.outputs[0]}'"):
                flags = (op.attributes[k] for k in {*_FLAGS, "transA", "transB"} & op.attributes.keys())
                need(all(v in (0, 1) for v in flags), "a flag that is neither 0 nor 1")
                given, asked = [tensors[name] if name else None for name in op.inputs], Attributes(op.attributes)
                if op.kind == "Network":
                    made: Any = self._apply(asked.get("name"), given, index, f"{prefix}{op.outputs[0]}/")
                else:
                    need(op.kind in OPERATORS, "the operator is not read")
                    made = OPERATORS[op.kind](
                        Call(self.graph, (index, prefix + op.outputs[0]), given, asked, len(op.outputs))
                    )
                unread = sorted(asked.keys() - asked.asked - _NO_MATTER)
                need(not unread, f"the attribute {', '.join(unread)} is not read")
            for name, value in zip(op.outputs, made if isinstance(made, list) else [made], strict=False):
                need(name not in tensors, f"two tensors have the name '{prefix}{name}'")
                tensors[name] = value
        for name, value in tensors.items():
            if isinstance(value, Value):
                self.graph.tensors[index, prefix + name] = value
        need(all(isinstance(tensors.get(o), Value) for o in model.outputs), "an output that depends on no input")
        return [tensors[o] for o in model.outputs]

    def _apply(self, name: Any, given: Sequence[Any], index: int, prefix: str) -> list[Value]:
        entry = next((k for k, e in enumerate(self.entries) if e.get("name") == name), None)
        need(entry is not None, f"no network is named '{name}'")
        model = self.model(entry)  # type: ignore[arg-type]
        shapes = [_shape(shape, None) for _, shape in model.inputs]
        fits = all(isinstance(v, Value) and v.node.size == prod(s) for v, s in zip(given, shapes, strict=True))
        need(fits, f"arguments of '{name}' do not fit {shapes}")
        shaped = [Value(v.node, s) for v, s in zip(given, shapes, strict=True)]
        return self.lower(model, shaped, index, prefix)

    def element(self, variable: Variable) -> tuple[Node, int]:
        """The node and the element that a variable of the property stands for."""
        name, i = variable
        if self.property.flat and name in "XY":
            for _, value in self.inputs if name == "X" else [("Y", v) for v in self.outputs]:
                if i < value.node.size:
                    return value.node, i
                i -= value.node.size
            raise Refused(f"{name}_{variable[1]} is beyond the network's elements")
        return self.places[name].node, i

    def fact(self, atom: Atom) -> Fact:
        """An atom over the graph."""
        terms: dict[Node, dict[int, Fraction]] = {}
        squares: dict[int, Fraction] = {}
        for monomial, c in atom.left.items():
            found = [self.element(v) for v in monomial]
            if len(found) == 1:
                row, i = terms.setdefault(found[0][0], {}), found[0][1]
                row[i] = c + row[i] if i in row else c
            elif found:
                first = getattr(found[0][0], "first", None)
                need(found[0] == found[1] and first is not None, "a product of two variables, or a square of no input")
                squares[first + found[0][1]] = c  # type: ignore[operator]
        need(all(q >= 0 for q in squares.values()), "a square that makes the points no convex set")
        return Fact(terms, atom.left.get((), _ZERO), atom.strict, True, squares)

    def assume(self, case: Case, part: Any) -> Case:
        """The case in which a part of the property's formula holds as well."""
        if id(part) not in self.assumed:
            self.assumed[id(part)] = self._assumed(part)
        limits, facts, disjunctions = self.assumed[id(part)]
        case = case.narrowed(*limits) if limits else case
        return replace(case, facts=(*case.facts, *facts), disjunctions=(*case.disjunctions, *disjunctions))

    def _assumed(self, part: Any) -> tuple[list[Any], list[Fact], list[Junction]]:
        """Limits of input elements, facts and disjunctions that a part of the formula says."""
        limits, facts, disjunctions, waiting = list[Any](), list[Fact](), list[Junction](), [part]
        while waiting:
            part = waiting.pop()
            if isinstance(part, Junction):
                waiting += reversed(part.parts) if part.every else []
                disjunctions += [] if part.every else [part]
                continue
            fact = self.fact(part)
            single = [(n, i, a) for n, row in fact.terms.items() for i, a in row.items()]
            if len(single) == 1 and not fact.squares and isinstance(single[0][0], Input):
                node, i, a = single[0]
                end = -fact.constant if a == 1 else fact.constant if a == -1 else -fact.constant / a
                place = node.first + i  # type: ignore[attr-defined]
                limits.append((place, None, end) if a.numerator > 0 else (place, end, None))
            else:
                facts.append(fact)
        return limits, facts, disjunctions

    def _reachable(self) -> list[Node]:
        """Nodes that the property or a name speaks of, and what they are computed from."""
        roots = [v.node for v in self.names]
        parts: list[Any] = [self.property.formula]
        while parts:
            part = parts.pop()
            if isinstance(part, Junction):
                parts += part.parts
            else:
                roots += [self.element(v)[0] for monomial in part.left for v in monomial]
        self.graph.reachable(roots)
        return self.graph.nodes


def _ordered(model: Model, ready: set[str]) -> list[Any]:
    """Operators in an order in which every argument is made before it is read."""
    waiting, order = list(model.ops), []
    while waiting:
        later = []
        for op in waiting:
            need(op.outputs, f"a {op.kind} that makes nothing")
            if all(not name or name in ready for name in op.inputs):
                order.append(op)
                ready.update(op.outputs)
            else:
                later.append(op)
        need(len(later) < len(waiting), f"'{waiting[0].outputs[0]}' needs a tensor that nothing makes")
        waiting = later
    return order


def _shape(shape: Sequence[int], declared: Declared | None) -> tuple[int, ...]:
    """The shape of an input: sizes that the file leaves open are those that the property declares, or 1."""
    stated = declared.shape if declared else ()
    if len(stated) == len(shape) > 0 and all(a in (0, b) for a, b in zip(shape, stated, strict=True)):
        return stated
    need(all(d >= 0 for d in shape) and prod(d or 1 for d in shape) < 1 << 26, f"an input of shape {shape}")
    return tuple(d or 1 for d in shape)


def _digest(graph: Any) -> str:
    """The hash of a graph in plain form, its names in order."""
    return hashlib.sha256(json.dumps(graph, sort_keys=True, default=str).encode()).hexdigest()


def _content(stated: Mapping[str, Any], files: Mapping[str, bytes], what: str) -> bytes:
    """The bytes that have the hash that is stated: of a property's text, or of a file."""
    data = str(stated["vnnlib"]).encode() if "vnnlib" in stated else files.get(stated["sha256"], b"")
    told = f"the {what} is not that of its hash, or not given: name its file too"
    need(hashlib.sha256(data).hexdigest() == stated["sha256"], told)
    return data
