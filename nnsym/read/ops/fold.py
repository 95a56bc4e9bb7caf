"""Constants propagate: operators on constants run in ONNX's reference implementation, in the model's own dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.ir.network import Tensor
from nnsym.read.ops.base import Call

Array = NDArray[Any]

_RANDOM = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_LOOPS = frozenset({"Loop", "Scan", "SequenceMap"})  # of any length, and no limit is looked at inside


def reference(call: Call, arguments: tuple[Array | None, ...]) -> list[Array]:
    """The operator's results on the given arrays, one per input of the node (None where it was left out)."""
    from onnx.reference import ReferenceEvaluator

    feeds = {name: array for name, array in zip(call.proto.input, arguments, strict=True) if array is not None}
    try:
        evaluator = ReferenceEvaluator(_graph(call.proto), opsets={"": call.opset})
        return [np.asarray(result) for result in evaluator.run(None, feeds)]
    except Exception as error:  # the reference implementation raises whatever its NumPy code raises
        cause = error.__cause__ or error
        reason = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
        raise call.refuse(f"cannot be evaluated: {reason}", "Check the inputs and attributes of this node") from error


def _graph(node: Any) -> Any:
    """The node alone: a bare node would be read in the newest operator set."""
    from onnx import ValueInfoProto
    from onnx.helper import make_graph

    inputs, outputs = ([ValueInfoProto(name=n) for n in names if n] for names in (node.input, node.output))
    return make_graph([node], "node", inputs, outputs)


def fold(call: Call) -> list[Array]:
    """The results of an operator whose inputs are all constants."""
    if call.op == "Constant" and "value" in call.attributes:
        from onnx.numpy_helper import to_array

        return [to_array(call.attributes["value"])]
    if call.op in _LOOPS:
        raise call.refuse("a loop over constants", "Fold it before the export (torch.onnx.export does, onnxsim too)")
    if call.op in _RANDOM:
        raise call.refuse("random numbers", "A network must be a function of its input")
    return reference(call, tuple(None if isinstance(v, Tensor) else v for v in call.inputs))
