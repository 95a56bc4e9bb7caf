"""ONNX models as networks: a walk over the nodes, each lowered by the table of :mod:`nnsym.read.ops`.

Constants propagate, free batch axes become 1, float32 weights become the same float64 numbers. Unless told
otherwise the result is compared with ONNX Runtime before anyone sees it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnsym.errors import InputError, NnsymError, UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.network import Network, Tensor
from nnsym.ir.node import Node, new_input, pointwise
from nnsym.ir.stored import Packed
from nnsym.read.agree import require_agreement
from nnsym.read.chosen import Chosen, chosen
from nnsym.read.compounds import compound
from nnsym.read.footprint import ELEMENT, least_size, require_modest, value_size
from nnsym.read.grammar import Rules
from nnsym.read.meter import MEMORY, SECONDS, Meter
from nnsym.read.ops import LOWERINGS
from nnsym.read.ops.base import Call
from nnsym.read.ops.fold import fold, stored
from nnsym.read.order import node_label, sorted_nodes
from nnsym.read.runtime import fed, run
from nnsym.read.sizes import LARGEST_CONSTANT, LARGEST_TOGETHER, require_size
from nnsym.read.sources import read_model
from nnsym.read.standard import body
from nnsym.read.tensors import Value, lift
from nnsym.read.types import coarsest, kernels, require_computable, result_types, type_of

if TYPE_CHECKING:
    from onnx import ModelProto

_DTYPES = {1: "float32", 10: "float16", 11: "float64"}
_TAKES_INFINITY = frozenset({"Clip", "Max", "Min"})
_REMEDIES = {
    "QuantizeLinear": "Quantised models are not read; export the float model",
}


def load(
    source: str | Path | bytes | ModelProto,
    *,
    name: str | None = None,
    check: bool = True,
    timeout: float = SECONDS,
    memory: int = MEMORY,
    meter: Meter | None = None,
    shapes: Sequence[Sequence[int]] = (),
) -> Network:
    """Read a network from an ONNX file, ``.onnx`` or ``.onnx.gz``, from its bytes or from a ModelProto.

    ``name`` is what tables and messages call it; the default is the file's stem. With ``check`` the network
    is evaluated at random points against ONNX Runtime, and refused where the two differ by more than
    rounding can explain. A free leading axis (a batch) becomes 1; shapes otherwise stay as declared.
    ``shapes``, one for each input in the model's order, fix all free axes; if there is one for every input that the
    graph lists, those with an initial value are inputs too.

    ``timeout`` is in seconds and ``memory`` in bytes: what would take more is refused, before it does where that can be
    told. ``meter`` is a budget that is running already and stands for both.

    Raises :class:`InputError` for what is not a sound model, :class:`UnsupportedError` for operators outside
    :data:`nnsym.read.ops.LOWERINGS`, :class:`OutOfTimeError` where the time ran out.
    """
    meter = meter or Meter(seconds=timeout, memory=memory)
    found = read_model(source, meter)
    label = name if name and found.where == "model" else found.where
    reader = _Reader(_inlined(found.model, label, meter), label, meter, found.arrays, shapes)
    network = reader.network(name or found.stem, found.kept)
    meter.check(label)
    if check:
        with _guarded(label):
            session = fed(found.model, found.arrays) if found.arrays else None
            require_agreement(
                network, lambda point: run(network, point, session=session), by="ONNX Runtime", sizes=reader.sizes
            )
    return network


def _inlined(model: ModelProto, where: str, meter: Meter) -> ModelProto:
    if not model.functions:
        return model
    from onnx.inliner import inline_local_functions

    require_modest(model, where, meter)

    return inline_local_functions(model)


@contextlib.contextmanager
def _guarded(where: str) -> Iterator[None]:
    """Whatever reading a node raises becomes an error that names the node; its cause is shown by ``--debug``."""
    try:
        yield
    except NnsymError as error:
        raise error if error.where else type(error)(error.reason, where=where, remedy=error.remedy) from None
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, ZeroDivisionError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"its shapes or attributes do not fit: {reason}", where=where, remedy="Check the model"
        ) from error
    except Exception as error:  # MemoryError among them
        raise InputError(
            f"cannot be read: {type(error).__name__}: {error}", where=where, remedy="Check the inputs of this node"
        ) from error


def _as_one(value: Value) -> Value:
    """A tensor whose node is one function together with the nodes before it becomes that function."""
    return Tensor(compound(value.node), value.shape) if isinstance(value, Tensor) else value


class _Reader:
    """One pass over one graph: the values of all tensors by name."""

    def __init__(
        self,
        model: ModelProto,
        where: str,
        meter: Meter,
        arrays: Mapping[str, Array],
        shapes: Sequence[Sequence[int]] = (),
    ) -> None:
        self.graph, self.where, self.meter, self.shapes = model.graph, where, meter, shapes
        self.opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
        self.opset = self.opsets.get("", 0)
        self.rules = Rules(model, where)
        self.initializers, self.arrays = {t.name: t for t in self.graph.initializer}, arrays
        self.values: dict[str, Value] = {}
        self.dtype = "float32"
        self.made: set[Node] = set()
        self.elements = 0
        self.sizes: set[float] = set()
        self.named: dict[str, Tensor] = {}
        self.types: dict[str, str] = {}
        self.kernels: set[str] = set()
        self.either: dict[Node, Node] = {}
        self.chosen: Mapping[int, Chosen] = {}
        self.unread: dict[str, str] = {}  # results that operators have and lowerings leave out, with their nodes

    def network(self, name: str, kept: bytes | Packed) -> Network:
        declared = self._declared()
        self.chosen = chosen(self.graph, {v.name for v in declared})
        order = sorted_nodes(self.graph, self.where, {k: (one.source,) for k, one in self.chosen.items()})
        inputs = {v.name: self._input(v, k) for k, v in enumerate(declared)}
        kinds = {_DTYPES[v.type.tensor_type.elem_type] for v in declared}
        if len(kinds) != 1:
            raise UnsupportedError(
                "no inputs" if not kinds else f"inputs of both {' and '.join(sorted(kinds))}",
                where=self.where,
                remedy="A network needs inputs of one floating type",
            )
        self.values.update(inputs)
        self.dtype = kinds.pop()
        self.types.update(dict.fromkeys(inputs, self.dtype))
        for position in order:
            self._lower(position, self.graph.node[position])
        outputs = {v.name: self._output(v.name) for v in self.graph.output}
        self._lower_unused(order)
        tensors = self.named | {n: v for n, v in self.values.items() if isinstance(v, Tensor)}
        types = {n: self.types.get(n, self.dtype) for n in (*outputs, *tensors)}
        others = {n: kind for n, kind in types.items() if kind != self.dtype}
        coarse = coarsest(self.dtype, (*others.values(), *self.kernels))
        return Network(
            name, inputs, outputs, tensors, self.dtype, kept, types=others, coarse=coarse, either=self.either
        )

    def _declared(self) -> list[Any]:
        """The inputs: those without an initial value, or all if as many shapes are given."""
        every = list(self.graph.input)
        own = [v for v in every if v.name not in self.initializers]
        if self.shapes and len(self.shapes) == len(every):
            return every
        if self.shapes and len(self.shapes) != len(own):
            raise InputError(
                f"has {len(own)} inputs, {len(self.shapes)} are declared",
                where=self.where,
                remedy=f"Declare every input in the model's order: {', '.join(v.name for v in own)}",
            )
        return own

    def _lower_unused(self, order: Sequence[int]) -> None:
        """Nodes that no output depends on, as far as they can be read: a property may name what they compute."""
        for position in sorted(set(range(len(self.graph.node))) - set(order)):
            with contextlib.suppress(InputError, UnsupportedError):
                self._lower(position, self.graph.node[position])

    def _output(self, name: str) -> Tensor:
        where = f"{self.where}: output '{name}'"
        with _guarded(where):
            found = lift(self._value(name, where))
            if not found.node.size:
                raise InputError("has no elements", where=where, remedy="Check the shapes of the model")
            return found

    def _input(self, declared: Any, position: int) -> Tensor:
        where = f"{self.where}: input '{declared.name}'"
        kind = declared.type.tensor_type
        if kind.elem_type not in _DTYPES:
            raise UnsupportedError("not a tensor of floats", where=where, remedy="Export with float inputs")
        given = tuple(self.shapes[position]) if self.shapes else None
        if given is not None and (not kind.HasField("shape") or len(given) == len(kind.shape.dim)):
            lengths = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
            if all(n in (0, m) for n, m in zip(lengths, given, strict=False)):
                return self._made(declared, given, where)
        if not kind.HasField("shape"):
            raise UnsupportedError("no declared shape", where=where, remedy="Export the model with a fixed input shape")
        shape = []
        for axis, dim in enumerate(kind.shape.dim):
            fixed = dim.dim_value if dim.HasField("dim_value") else 0
            if fixed <= 0 and axis > 0:
                raise UnsupportedError(
                    f"axis {axis} has no fixed length ('{dim.dim_param or '?'}')",
                    where=where,
                    remedy="Only the leading (batch) axis may be free; export with a fixed shape",
                )
            shape.append(max(fixed, 1))
        return self._made(declared, tuple(shape), where)

    def _made(self, declared: Any, shape: tuple[int, ...], where: str) -> Tensor:
        with _guarded(where):
            count = require_size(shape, "the input")
            self.meter.take(math.prod(shape) * ELEMENT, where, f"an input of shape {shape}")
            return Tensor(new_input(declared.name, count), shape)

    def _lower(self, position: int, node: Any) -> None:
        where = f"{self.where}: node {node_label(position, node)}, {node.op_type}"
        self.meter.check(where)
        with _guarded(where):
            if position in self.chosen:
                results = [self._chosen(self.chosen[position], where)]
                kinds = [self.types.get(self.chosen[position].source, "")]
            else:
                call = self._call(node, where)
                self.meter.room(least_size(call), where, "its result")
                results = [_as_one(value) for value in self._results(call, node)]
                kinds = result_types(node, call.types, self._version(node))
                self.kernels.update(kernels(call))
                self.either.update(call.either)
            for value in results:
                self._require_size(value)
                self.meter.take(value_size(value), where, "its result")
                self._note(value)
        self.unread |= dict.fromkeys(node.output[len(results) :], where)
        for output, value, kind in zip(node.output, results, kinds, strict=False):
            if output:
                self.values[output] = value
                self.types[output] = type_of(value, kind or self.dtype)
        if node.name and results and isinstance(results[0], Tensor):
            self.named[node.name] = results[0]
            self.types.setdefault(node.name, self.types[node.output[0]])

    def _chosen(self, one: Chosen, where: str) -> Value:
        source = lift(self._value(one.source, where))
        return Tensor(pointwise(one.fn, source.node), source.shape)

    def _note(self, *values: Any) -> None:
        """The sizes of the model's own numbers, for the comparison with ONNX Runtime: the largest of each array."""
        for value in values:
            if not isinstance(value, Tensor) and (array := np.asarray(value)).dtype.kind == "f" and array.size:
                largest = max(float(array.max()), -float(array.min()))
                if 0 < largest < np.inf:
                    self.sizes.add(float(np.round(np.log10(largest))))

    def _require_size(self, value: Value) -> None:
        """Bound what one result, and all of them together, take: a small file can ask for any amount of memory."""
        if not isinstance(value, Tensor):
            require_size(value.shape, largest=LARGEST_CONSTANT)
        elif value.node not in self.made:
            self.made.add(value.node)
            self.elements += require_size(value.shape)
            if self.elements > LARGEST_TOGETHER:
                raise InputError(
                    f"all tensors up to here have {self.elements} elements, and {LARGEST_TOGETHER} are read at most",
                    remedy="Export the model smaller",
                )

    def _call(self, node: Any, where: str) -> Call:
        from onnx.helper import get_attribute_value

        self._note(*(list(a.floats) or a.f for a in node.attribute if a.f or a.floats))
        inputs = tuple(self._value(n, where) if n else None for n in node.input)
        return Call(
            op=node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}",
            where=where,
            inputs=inputs,
            types=tuple(
                "" if v is None else type_of(v, self.types.get(n, self.dtype))
                for n, v in zip(node.input, inputs, strict=True)
            ),
            attributes={a.name: get_attribute_value(a) for a in node.attribute},
            outputs=len(node.output),
            opset=self.opset,
            dtype=self.dtype,
            proto=node,
        )

    def _version(self, node: Any) -> int:
        domain = "" if node.domain == "ai.onnx" else node.domain
        return int(self.opsets.get(domain, self.opset))

    def _results(self, call: Call, node: Any) -> Sequence[Value]:
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            # a branch or a loop, of any length, that may draw random numbers and reads what it does not name as inputs
            remedy = "Fold it before the export (torch.onnx.export does, onnxsim too)"
            raise UnsupportedError("operators with a graph inside are not read", where=call.where, remedy=remedy)
        if "." not in call.op and not any(isinstance(v, Tensor) for v in call.inputs):
            self.rules.require(node)
            return fold(call)
        lowering = LOWERINGS.get(call.op)
        if lowering is None and (written := self._written_out(call, node)) is not None:
            return written
        if lowering is None:
            raise UnsupportedError(
                f"operator {call.op} is not supported",
                where=call.where,
                remedy=_REMEDIES.get(call.op, "") or "nnsym-vnnlib supports --onnx-operators lists those that are",
            )
        self.rules.require(node)
        require_computable(call)
        for name, value in zip(node.input, call.inputs, strict=True):
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                self._require_finite(name, value, call.op)
        return lowering(call)

    def _written_out(self, call: Call, node: Any) -> Sequence[Value] | None:
        """The results of an operator by its body in the standard, if it has one."""
        self.rules.require(node)
        graph = body(call)
        if graph is None:
            return None
        outer = self.values
        self.values = {name: v for name, v in zip(node.input, call.inputs, strict=True) if v is not None}
        try:
            for position, part in enumerate(graph.node):
                self._lower(position, part)
            return [self.values[name] if name else np.zeros(0) for name in node.output]
        finally:
            self.values = outer

    def _require_finite(self, name: str, value: Array, op: str) -> None:
        bad = np.isnan(value) if op in _TAKES_INFINITY else ~np.isfinite(value)
        if bad.any():
            kind = "initializer" if name in self.initializers else "constant"
            raise InputError(
                f"{int(bad.sum())} of {value.size} numbers are NaN or infinite",
                where=f"{self.where}: {kind} '{name}'",
                remedy="Check the training or the export of the model",
            )

    def _value(self, name: str, where: str) -> Value:
        if name in self.values:
            return self.values[name]
        if any(name == t.values.name for t in self.graph.sparse_initializer):
            raise UnsupportedError(f"'{name}' is a sparse initializer", where=where, remedy="Store it densely")
        if name in self.unread:
            reason = f"reads '{name}', a result that nnsym leaves out of {self.unread[name].partition(': ')[2]}"
            raise UnsupportedError(reason, where=where, remedy="Export the model without it")
        if name not in self.initializers:
            raise InputError(
                f"reads '{name}', which nothing defines",
                where=where,
                remedy="The model is damaged: export it again",
            )
        try:
            self.values[name] = self.arrays[name] if name in self.arrays else stored(self.initializers[name])
            self._note(self.values[name])
        except Exception as error:  # onnx raises whatever NumPy raises on damaged data
            raise InputError(
                f"cannot be decoded: {error}",
                where=f"{self.where}: initializer '{name}'",
                remedy="The model is damaged",
            ) from None
        return self.values[name]
