"""Constants propagate: operators on constants are computed in the model's own dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.network import Tensor
from nnsym.ir.words import kind_of
from nnsym.read.ops.base import Call
from nnsym.read.runtime import run_node
from nnsym.read.sizes import LARGEST, LARGEST_CONSTANT, require_result, require_size

_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
#: Only move, count or cast numbers: the same everywhere.
_MOVING = frozenset(
    {"Cast", "Concat", "Constant", "Expand", "Flatten", "Gather", "Identity", "Reshape", "Shape", "Size", "Slice"}
    | {"Split", "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where", "ConstantOfShape", "Pad"}
)


def reference(call: Call, arguments: tuple[Array | None, ...]) -> list[Array]:
    """The operator's results on the given arrays, one per input of the node (None where it was left out)."""
    from onnx.reference import ReferenceEvaluator

    constant = not any(isinstance(v, Tensor) for v in call.inputs)
    require_result(call.op, arguments, call.attributes, LARGEST_CONSTANT if constant else LARGEST)
    feeds = {name: array for name, array in zip(call.proto.input, arguments, strict=True) if array is not None}
    try:
        evaluator = ReferenceEvaluator(_graph(call.proto), opsets={"": call.opset})
        return in_places(call.proto, evaluator.run(None, feeds))
    except Exception as error:  # the reference implementation raises whatever its NumPy code raises
        cause = error.__cause__ or error
        reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        raise call.refuse(f"cannot be evaluated: {reason}", "Check the inputs and attributes of this node") from error


def in_places(node: Any, results: Sequence[Any]) -> list[Array]:
    """One array per output of the node; those without a name, which are not computed, get an empty one."""
    named = iter(results)
    return [np.asarray(next(named)) if name else np.zeros(0) for name in node.output]


def _graph(node: Any) -> Any:
    """The node alone: a bare node would be read in the newest operator set."""
    from onnx import ValueInfoProto
    from onnx.helper import make_graph

    inputs, outputs = ([ValueInfoProto(name=n) for n in names if n] for names in (node.input, node.output))
    return make_graph([node], "node", inputs, outputs)


def fold(call: Call) -> list[Array]:
    """The results of an operator whose inputs are all constants.

    ONNX Runtime computes what it knows, as it will when the model runs; the rest is left to ONNX's reference.
    """
    if call.op == "Constant" and "value" in call.attributes:
        return [stored(call.attributes["value"])]
    if call.op in _RANDOM:
        raise call.refuse("random numbers", "A network must be a function of its input")
    arguments = tuple(None if isinstance(v, Tensor) else v for v in call.inputs)
    if call.op not in _MOVING and any(v is not None and v.dtype.kind == "f" for v in arguments):
        require_result(call.op, arguments, call.attributes, LARGEST_CONSTANT)
        found = run_node(call.proto, call.opset, arguments)
        if found is not None:
            return in_places(call.proto, found)
    return reference(call, arguments)


def stored(tensor: Any) -> Array:
    """The array of a tensor that a model holds; data in other files was brought in, or refused, when it was opened."""
    from onnx import TensorProto
    from onnx.external_data_helper import uses_external_data
    from onnx.numpy_helper import to_array

    if not isinstance(tensor, TensorProto):
        raise ValueError(f"the attribute 'value' is {kind_of(tensor)}, not a tensor")
    if uses_external_data(tensor):
        raise ValueError("its data lies in another file, which was not read")
    require_size(tensor.dims, "a constant", largest=LARGEST_CONSTANT)
    return np.asarray(to_array(tensor))
