"""Stored networks: dense float32 ONNX models with named layers, and an ONNX Runtime session of one's own."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from models import model
from onnx import helper

from nnsym.ir.array import Array
from nnsym.ir.network import Network
from nnsym.read.onnx import load

Layers = Sequence[tuple[Any, Any]]


def stored_mlp(layers: Layers, name: str) -> Network:
    """ReLU layers as ONNX; the k-th one's tensors are ``fc<k>`` before and ``relu<k>`` after the activation."""
    nodes, constants, last = [], {}, "x"
    for k, (weight, bias) in enumerate(layers, start=1):
        constants |= {f"w{k}": np.float32(weight), f"b{k}": np.float32(bias)}
        out = "y" if k == len(layers) else f"fc{k}"
        nodes.append(helper.make_node("Gemm", [last, f"w{k}", f"b{k}"], [out], name=f"gemm{k}", transB=1))
        if k < len(layers):
            nodes.append(helper.make_node("Relu", [out], [f"relu{k}"], name=f"act{k}"))
            last = f"relu{k}"
    proto = model(nodes, {"x": [1, np.shape(layers[0][0])[1]]}, ["y"], constants)
    proto.graph.name = name
    network = load(proto)
    return Network(name, network.inputs, network.outputs, network.tensors, network.dtype, network.model)


def random_layers(seed: int, *widths: int) -> list[tuple[Array, Array]]:
    """Weights in eighths."""
    rng = np.random.default_rng(seed)
    return [(rng.integers(-8, 9, (m, n)) / 8, rng.integers(-4, 5, m) / 8) for n, m in itertools.pairwise(widths)]


def onnx_values(network: Network, x: Any, *names: str) -> dict[str, Array]:
    """Outputs and named tensors at a point, by ONNX Runtime alone."""
    assert network.model is not None
    proto = onnx.load_model_from_string(network.model)
    present = {v.name for v in proto.graph.output}
    proto.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n not in present)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    (declared,) = session.get_inputs()
    shape = [d if isinstance(d, int) else 1 for d in declared.shape]
    values = session.run(None, {declared.name: np.float32(x).reshape(shape)})
    return {o.name: v.ravel() for o, v in zip(session.get_outputs(), values, strict=True)}
