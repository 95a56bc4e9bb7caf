"""Operators that ONNX itself defines by others: their bodies, node by node."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnsym.ir.network import Tensor
from nnsym.read.ops.base import Call


def body(call: Call) -> Any | None:
    """The graph that the standard writes for a call, or None where it has none (or this version of onnx cannot say).

    Its inputs and outputs have the names that they have in the node.
    """
    from onnx import defs, helper, inliner, numpy_helper

    if not defs.has(call.op) or not _defined(call):
        return None
    inputs, held = [], []
    for name, value in zip(call.proto.input, call.inputs, strict=True):
        if value is None:
            continue
        dtype = np.dtype(call.dtype) if isinstance(value, Tensor) else value.dtype
        inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), value.shape))
        if not isinstance(value, Tensor):
            held.append(numpy_helper.from_array(np.asarray(value), name))
    outputs = [helper.make_empty_tensor_value_info(name) for name in call.proto.output if name]
    graph = helper.make_graph([call.proto], "node", inputs, outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", call.opset)], ir_version=8)
    try:
        found = inliner.inline_selected_functions(model, [("", call.op)], inline_schema_functions=True)
    except Exception:  # an older onnx knows no such option; the inliner raises whatever its C++ code raises
        return None
    return None if any(n.op_type == call.op for n in found.graph.node) else found.graph


def _defined(call: Call) -> bool:
    from onnx import defs

    schema = defs.get_schema(call.op, call.opset, "")
    return bool(schema.has_function or schema.has_context_dependent_function)
