"""ONNX Runtime: what a model computes in its own arithmetic. One thread, CPU, silent.

This is the reference that imports are compared with and that counterexamples are replayed on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any, final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.network import Network
from nnsym.ir.stored import Packed

#: The oldest operator set of which ONNX Runtime has every operator.
_FIRST = 7


@final
class Session:
    """A model ready to run; ``hidden`` names tensors to return besides the outputs. Starts on first use.

    ``beside`` are inputs that every run gets.
    """

    def __init__(
        self, model: bytes | Packed, hidden: tuple[str, ...] = (), beside: Mapping[str, Array] | None = None
    ) -> None:
        self.model, self.hidden, self.beside = model, hidden, beside or {}

    @cached_property
    def _native(self) -> tuple[Any, dict[str, str]]:
        """The runtime's own session, and the tensor behind each name that it returns."""
        options = _library().SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        # else a product with dequantised weights rounds its other factor to 8 bits, which the model does not say
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        whole = bytes(self.model)
        model, tensors = _with_outputs(whole, self.hidden) if self.hidden else (whole, {})
        native = _started(model, options)
        return native, {o.name: o.name for o in native.get_outputs()} | tensors

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs and hidden tensors by name; inputs have the model's own shapes and dtype."""
        native, tensors = self._native
        computed = [t for t in dict.fromkeys(tensors.values()) if t not in inputs]
        try:
            found = native.run(computed, {**inputs, **self.beside}) if computed else []  # of no names it returns all
            values = dict(zip(computed, found, strict=True))
        except Exception as error:
            raise _failure("cannot run", error) from None
        return {name: np.asarray(values.get(tensor, inputs.get(tensor))) for name, tensor in tensors.items()}


def _library() -> Any:
    """ONNX Runtime, without its telemetry: 1.32 keeps a journal of its runs below ``~/.cache``, for its maker."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # looked at when it is imported
    import onnxruntime

    return onnxruntime


def _started(model: bytes, options: Any) -> Any:
    try:
        return _library().InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime raises a dozen unrelated classes
        newer = _newer(model)
        if newer is None:
            raise _failure("cannot load", error) from None
        return _started(newer, options)


def _newer(model: bytes) -> bytes | None:
    """A model of an operator set that ONNX Runtime left behind, in the first that it has; None for any other."""
    import onnx
    from onnx import version_converter

    proto = onnx.load_model_from_string(model)
    if all(o.version >= _FIRST for o in proto.opset_import if o.domain in ("", "ai.onnx")):
        return None
    try:
        return bytes(version_converter.convert_version(proto, _FIRST).SerializeToString())
    except Exception:  # the converter raises whatever its C++ code raises
        return None


def _failure(what: str, error: Exception) -> InputError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InputError(f"ONNX Runtime {what} the model: {reason}", remedy="Check that the model is valid ONNX")


def _with_outputs(model: bytes, hidden: tuple[str, ...]) -> tuple[bytes, dict[str, str]]:
    """The model with hidden tensors among its outputs; a name may be a tensor's or its node's."""
    import onnx

    proto = onnx.load_model_from_string(model)
    if proto.functions:
        from onnx.inliner import inline_local_functions

        proto = inline_local_functions(proto)
    present = {v.name for v in (*proto.graph.output, *proto.graph.input)}
    known = {node.name: node.output[0] for node in proto.graph.node if node.name}
    known |= {out: out for node in proto.graph.node for out in node.output if out} | {n: n for n in present}
    for name in hidden:
        if name not in known:
            raise InputError(f"the model has no tensor or node '{name}'", remedy="Network.tensors lists the names")
    wanted = {name: known[name] for name in hidden}
    proto.graph.output.extend(onnx.ValueInfoProto(name=t) for t in dict.fromkeys(wanted.values()) if t not in present)
    return bytes(proto.SerializeToString()), wanted


def run_node(node: Any, opset: int, arguments: tuple[Array | None, ...]) -> list[Array] | None:
    """One operator on arrays, one per input (None where it was left out); None where ONNX Runtime does not take it."""
    from onnx import ValueInfoProto, helper, numpy_helper

    given = {name: array for name, array in zip(node.input, arguments, strict=True) if name and array is not None}
    try:
        held = [numpy_helper.from_array(np.asarray(array), name) for name, array in given.items()]
        outputs = [ValueInfoProto(name=name) for name in node.output if name]
        graph = helper.make_graph([node], "node", [], outputs, held)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        return [*Session(model.SerializeToString()).run({}).values()]
    except Exception:  # a type without a kernel, or attributes that do not fit: the reference says what is wrong
        return None


def fed(model: Any, arrays: Mapping[str, Array]) -> Session:
    """The session of a parsed model whose ``arrays``, initializers in the file, are given to every run as inputs.

    ONNX Runtime reads inputs where they are, and copies initializers. It may add in another order than for the file.
    """
    from onnx import ModelProto, helper

    proto = ModelProto()
    proto.CopyFrom(model)
    inputs = [v for v in model.graph.input if v.name not in arrays]
    inputs += [
        helper.make_tensor_value_info(t.name, t.data_type, list(t.dims))
        for t in model.graph.initializer
        if t.name in arrays
    ]
    del proto.graph.input[:], proto.graph.initializer[:]
    proto.graph.input.extend(inputs)
    proto.graph.initializer.extend(t for t in model.graph.initializer if t.name not in arrays)
    return Session(proto.SerializeToString(), beside=arrays)


@lru_cache(maxsize=8)
def _session(model: bytes, hidden: tuple[str, ...] = ()) -> Session:
    return Session(model, hidden)


@lru_cache(maxsize=1)
def _long_session(model: Packed, hidden: tuple[str, ...] = ()) -> Session:
    return Session(model, hidden)


def session_of(model: bytes | Packed, hidden: tuple[str, ...] = ()) -> Session:
    """The session of a model as it stands in its file; the last few are kept, of long models the last one."""
    return _long_session(model, hidden) if isinstance(model, Packed) else _session(model, hidden)


def operators(network: Network) -> frozenset[str]:
    """The operators of a stored model, those of local functions included; none without a model."""
    return frozenset(operator_list(network))


def operator_list(network: Network) -> list[str]:
    """The same in their order, each as often as it is applied."""
    import onnx

    if network.model is None:
        return []
    proto = onnx.load_model_from_string(bytes(network.model))
    return [node.op_type for body in (proto.graph, *proto.functions) for node in body.node]


def run(
    network: Network,
    inputs: Mapping[str, Array],
    *,
    hidden: tuple[str, ...] = (),
    session: Session | None = None,
) -> dict[str, Array]:
    """Every output of the network (and the tensors named in ``hidden``) at one point, by name.

    ``inputs`` gives every input an array with its number of elements, in any shape; it is cast to the model's
    dtype. ``session`` runs the model instead of one of its own.
    Raises :class:`InputError` for a network without a model and where ONNX Runtime refuses it.
    """
    if network.model is None:
        raise InputError("there is no ONNX model to run", where=network.name, remedy="Call network.evaluate")
    missing = [name for name in network.inputs if name not in inputs]
    if missing:
        raise InputError(f"no value for input '{missing[0]}'", where=network.name, remedy="Give one array per input")
    feeds = {}
    for name, tensor in network.inputs.items():
        values = np.asarray(inputs[name], dtype=network.dtype)
        if values.size != tensor.node.size:
            raise InputError(f"input '{name}' has shape {tensor.shape}, the value {values.shape}", where=network.name)
        feeds[name] = np.array(values.reshape(tensor.shape), order="C")  # ascontiguousarray makes () a vector
    return (session or session_of(network.model, hidden)).run(feeds)
