"""Small ONNX models for the reader's tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from nnsym.ir.array import Array
from nnsym.ir.network import Network
from nnsym.read.onnx import load
from nnsym.read.runtime import run


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str | None]],
    outputs: Sequence[str] = ("y",),
    constants: Mapping[str, Any] | None = None,
    *,
    opset: int = 18,
    elem: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model of the given nodes; outputs have no declared shape."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(name, elem, list(shape)) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, elem, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in (constants or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def single(
    op: str, shape: Sequence[int | str | None], *constants: Any, opset: int = 18, outputs: int = 1, **attributes: Any
) -> onnx.ModelProto:
    """One operator on an input ``x`` and constants (None leaves an input out)."""
    named = {f"c{i}": np.asarray(c) for i, c in enumerate(constants) if c is not None}
    names = ["x", *("" if c is None else f"c{i}" for i, c in enumerate(constants))]
    results = ["y"] if outputs == 1 else [f"y{i}" for i in range(outputs)]
    node = helper.make_node(op, names, results, name="n", **attributes)
    return model([node], {"x": shape}, results, named, opset=opset)


def f32(*shape: int, seed: int = 0) -> Array:
    """Random float32 numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def agrees(proto: onnx.ModelProto, *, seed: int = 1, count: int = 5, spread: float = 2.0) -> Network:
    """Load without the built-in comparison, compare with ONNX Runtime here, and give the network."""
    network = load(proto, check=False)
    random = np.random.default_rng(seed)
    for _ in range(count):
        point = {n: (spread * random.normal(size=t.shape)).astype(network.dtype) for n, t in network.inputs.items()}
        expected = run(network, point)
        found = network.evaluate(*(point[n].astype(np.float64) for n in network.inputs))
        results = found if isinstance(found, tuple) else (found,)
        for (name, tensor), values in zip(network.outputs.items(), results, strict=True):
            assert tensor.shape == expected[name].shape
            np.testing.assert_allclose(values.reshape(tensor.shape), expected[name], rtol=2e-5, atol=2e-5)
    load(proto)  # and the built-in comparison accepts it
    return network
