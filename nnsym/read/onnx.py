"""ONNX models as networks: a walk over the nodes, each lowered by the table of :mod:`nnsym.read.ops`.

Constants propagate, free batch axes become 1, float32 weights become the same float64 numbers. Unless told
otherwise the result is compared with ONNX Runtime before anyone sees it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import InputError, NnsymError, UnsupportedError
from nnsym.ir.network import Network, Tensor
from nnsym.ir.node import new_input
from nnsym.read.meter import MEMORY, SECONDS, Meter
from nnsym.read.ops import LOWERINGS
from nnsym.read.ops.base import Call
from nnsym.read.ops.fold import fold
from nnsym.read.sizes import ELEMENT, least_size, require_modest, value_size
from nnsym.read.sources import read_model
from nnsym.read.tensors import Value, lift

if TYPE_CHECKING:
    from onnx import ModelProto

Array = NDArray[Any]

_DTYPES = {1: "float32", 11: "float64"}
_TAKES_INFINITY = frozenset({"Clip", "Max", "Min"})
_REMEDIES = {
    "Softmax": "Remove the final softmax: argmax and comparisons of logits say the same",
    "LogSoftmax": "Remove the final softmax: argmax and comparisons of logits say the same",
    "ArgMax": "Remove it: state the property over the scores, with nn.argmax",
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
) -> Network:
    """Read a network from an ONNX file, ``.onnx`` or ``.onnx.gz``, from its bytes or from a ModelProto.

    ``name`` is what tables and messages call it; the default is the file's stem. With ``check`` the network
    is evaluated at random points against ONNX Runtime, and refused where the two differ by more than
    rounding can explain. A free leading axis (a batch) becomes 1; shapes otherwise stay as declared.

    ``timeout`` is in seconds and ``memory`` in bytes: what would take more is refused, before it does where that can be
    told. ``meter`` is a budget that is running already and stands for both.

    Raises :class:`InputError` for what is not a sound model, :class:`UnsupportedError` for operators outside
    :data:`nnsym.read.ops.LOWERINGS`, :class:`OutOfTimeError` where the time ran out.
    """
    meter = meter or Meter(seconds=timeout, memory=memory)
    data, model, where, stem = read_model(source, meter)
    label = name if name and where == "model" else where
    network = _Reader(_inlined(model, label, meter), label, meter).network(name or stem, data)
    meter.check(label)
    if check:
        from nnsym.read.agree import require_agreement
        from nnsym.read.runtime import run

        require_agreement(network, lambda point: run(network, point), by="ONNX Runtime")
    return network


def _inlined(model: ModelProto, where: str, meter: Meter) -> ModelProto:
    if not model.functions:
        return model
    from onnx.inliner import inline_local_functions

    require_modest(model, where, meter)

    return inline_local_functions(model)


class _Reader:
    """One pass over one graph: the values of all tensors by name."""

    def __init__(self, model: ModelProto, where: str, meter: Meter) -> None:
        self.graph, self.where, self.meter = model.graph, where, meter
        self.opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
        self.initializers = {t.name: t for t in self.graph.initializer}
        self.values: dict[str, Value] = {}
        self.named: dict[str, Tensor] = {}

    def network(self, name: str, data: bytes) -> Network:
        declared = [v for v in self.graph.input if v.name not in self.initializers]
        inputs = {v.name: self._input(v) for v in declared}
        kinds = {_DTYPES[v.type.tensor_type.elem_type] for v in declared}
        if len(kinds) != 1:
            raise UnsupportedError(
                "no inputs" if not kinds else "inputs of both float32 and float64",
                where=self.where,
                remedy="A network needs inputs of one floating type",
            )
        self.values.update(inputs)
        for position in self._needed():
            self._lower(position, self.graph.node[position])
        outputs = {v.name: lift(self._value(v.name, f"output '{v.name}'")) for v in self.graph.output}
        tensors = {n: v for n, v in self.values.items() if isinstance(v, Tensor)}
        return Network(name, inputs, outputs, self.named | tensors, dtype=kinds.pop(), model=data)

    def _input(self, declared: Any) -> Tensor:
        where = f"{self.where}: input '{declared.name}'"
        kind = declared.type.tensor_type
        if kind.elem_type not in _DTYPES:
            raise UnsupportedError("not a float32 or float64 tensor", where=where, remedy="Export with float inputs")
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
        self.meter.take(math.prod(shape) * ELEMENT, where, f"an input of shape {shape}")
        return Tensor(new_input(declared.name, math.prod(shape)), tuple(shape))

    def _needed(self) -> list[int]:
        """The nodes that the outputs depend on, in the model's order."""
        producer = {out: i for i, node in enumerate(self.graph.node) for out in node.output if out}
        stack, needed = [v.name for v in self.graph.output], set()
        while stack:
            position = producer.get(stack.pop())
            if position is not None and position not in needed:
                needed.add(position)
                stack.extend(self.graph.node[position].input)
        return sorted(needed)

    def _lower(self, position: int, node: Any) -> None:
        label = f"'{node.name}'" if node.name else f"{position} (output '{node.output[0]}')"
        where = f"{self.where}: node {label}, {node.op_type}"
        self.meter.check(where)
        call = self._call(node, where)
        try:
            self.meter.room(least_size(call), where, "its result")
            results = self._results(call, node)
            for value in results:
                self.meter.take(value_size(value), where, "its result")
        except NnsymError as error:
            raise error if error.where else type(error)(error.reason, where=where, remedy=error.remedy) from None
        except MemoryError:
            raise self.meter.refuse(where, "its result does not fit into memory") from None
        except (ValueError, IndexError, TypeError, KeyError, OverflowError) as error:
            raise InputError(
                f"its shapes or attributes do not fit: {error}", where=where, remedy="Check the model"
            ) from error
        for output, value in zip(node.output, results, strict=False):
            if output:
                self.values[output] = value
        first = results[0]
        if node.name and isinstance(first, Tensor):
            self.named[node.name] = first

    def _call(self, node: Any, where: str) -> Call:
        from onnx.helper import get_attribute_value

        return Call(
            op=node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}",
            where=where,
            inputs=tuple(self._value(n, where) if n else None for n in node.input),
            attributes={a.name: get_attribute_value(a) for a in node.attribute},
            outputs=len(node.output),
            opset=self.opset,
            proto=node,
        )

    def _results(self, call: Call, node: Any) -> Sequence[Value]:
        if "." not in call.op and not any(isinstance(v, Tensor) for v in call.inputs):
            return fold(call)
        lowering = LOWERINGS.get(call.op)
        if lowering is None:
            raise UnsupportedError(
                f"operator {call.op} is not supported",
                where=call.where,
                remedy=_REMEDIES.get(call.op, "") or f"Supported: {', '.join(sorted(LOWERINGS))}",
            )
        for name, value in zip(node.input, call.inputs, strict=True):
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                self._require_finite(name, value, call.op)
        return lowering(call)

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
        if name not in self.initializers:
            raise InputError(
                f"reads '{name}', which nothing defines before it",
                where=where,
                remedy="The model is damaged or not sorted",
            )
        from onnx.numpy_helper import to_array

        try:
            self.values[name] = to_array(self.initializers[name])
        except Exception as error:  # onnx raises whatever NumPy raises on damaged data
            raise InputError(
                f"cannot be decoded: {error}",
                where=f"{self.where}: initializer '{name}'",
                remedy="The model is damaged",
            ) from None
        return self.values[name]
