"""Element types of a model's values, by ONNX's own schemas: what an operator returns, given what it reads.

A network computes in numbers, whatever their type. The type says what a cast, a quotient or a comparison means, and
what a property may declare an output to be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from nnsym.ir.network import Tensor
from nnsym.read.ops.base import Call
from nnsym.read.tensors import Value

#: Names of the element types that a value may have.
NAMES: Mapping[int, str] = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
    10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip

_TO = {"Cast": "to", "EyeLike": "dtype"}


def type_of(value: Value, known: str) -> str:
    """The type of a value: a constant's own, else what is known of it."""
    return known if isinstance(value, Tensor) else str(np.asarray(value).dtype)


def result_types(node: Any, inputs: Sequence[str], opset: int) -> list[str]:
    """The types of a node's results, ``""`` where the schema leaves them open."""
    from onnx import defs

    if not defs.has(node.op_type, node.domain):
        return [""] * len(node.output)
    schema = defs.get_schema(node.op_type, opset, node.domain)
    bound: dict[str, str] = {}
    for position, kind in enumerate(inputs):
        formal = schema.inputs[min(position, len(schema.inputs) - 1)] if schema.inputs else None
        if formal is not None and kind:
            bound.setdefault(formal.type_str, kind)
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    cast = next((a.i for a in node.attribute if a.name == _TO.get(node.op_type)), None)
    found = []
    for position in range(len(node.output)):
        formal = schema.outputs[min(position, len(schema.outputs) - 1)]
        choices = allowed.get(formal.type_str, [formal.type_str])
        named = NAMES.get(cast, "") if cast is not None else bound.get(formal.type_str, "")
        if sorted(choices) == ["tensor(int64)", "tensor(string)"]:  # labels: texts are named as such
            choices = ["tensor(int64)"]
        found.append(named or (_named(choices[0]) if len(choices) == 1 else ""))
    return found


#: What is the same function of the numbers for every type: nothing is computed, or integers stay integers.
_ANY = frozenset(
    {"Identity", "Cast", "Where", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "And", "Or"}
    | {"Xor", "Concat", "Expand", "Gather", "GatherElements", "GatherND", "Slice", "Split", "Tile", "Transpose"}
    | {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Shape", "Size", "Pad", "DepthToSpace", "SpaceToDepth"}
    | {"Max", "Min", "ReduceMax", "ReduceMin", "Clip", "ArgMax", "ArgMin", "OneHot"}
)
#: What is so for numbers that do not wrap around.
_WIDE = frozenset({"Add", "Sub", "Mul", "Neg", "Abs", "Sign", "Sum", "ReduceSum", "MatMul", "Relu", "Mod"})
_FLOATS = frozenset({"float16", "float32", "float64"})
#: Operators that ONNX Runtime evaluates in float32, or with constants of float32, where it reads float64.
_SINGLE = frozenset({"Shrink", "HardSwish"})
#: Those that say in which type their statistics are computed, by default in float32, whatever they read.
_STASHED = frozenset({"GroupNormalization", "LayerNormalization", "RMSNormalization"})


def require_computable(call: Call) -> None:
    """Raise :class:`UnsupportedError` for arithmetic on computed integers that is none of numbers.

    Quotients and means of integers are truncated, and short ones wrap around.
    """
    for value, kind in zip(call.inputs, call.types, strict=True):
        fits = kind in _FLOATS or call.op in _ANY or (call.op in _WIDE and kind in ("int32", "int64"))
        if isinstance(value, Tensor) and not fits:
            raise call.refuse(f"{call.op} of computed values of type {kind}", "Cast them to float32 first")


def kernels(call: Call) -> set[str]:
    """The float formats in which an engine evaluates an operator, beside those of what it reads and gives."""
    computed = {kind for v, kind in zip(call.inputs, call.types, strict=True) if isinstance(v, Tensor)} & _FLOATS
    if computed and call.op in _STASHED:
        return {NAMES.get(call.integer("stash_type", 1), "float32")}
    return {"float32"} if "float64" in computed and call.op in _SINGLE else set()


def coarsest(dtype: str, kinds: Iterable[str]) -> str:
    """The float format of fewest bits among ``kinds`` that has fewer than ``dtype``, else empty."""
    bits = {kind: int(kind.lstrip("bfloat")) for kind in (dtype, *kinds) if "float" in kind}
    least = min(bits, key=lambda kind: (bits[kind], kind))
    return least if bits[least] < bits[dtype] else ""


def _named(text: str) -> str:
    """``tensor(bool)`` is ``bool``, ``tensor(float)`` is ``float32``."""
    inner = text.removeprefix("tensor(").removesuffix(")")
    return {"float": "float32", "double": "float64"}.get(inner, inner)
