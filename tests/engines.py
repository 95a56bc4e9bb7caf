"""Runs that a model may have: ONNX Runtime at each level of rewriting, subnormal numbers kept or taken for 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnxruntime as ort
import torch

LEVELS = (
    ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED, ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
)  # fmt: skip


def every_run(data: bytes, feeds: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """The elements of the first output in each."""
    for level in LEVELS:
        options = ort.SessionOptions()
        options.graph_optimization_level, options.log_severity_level = level, 4
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        yield np.ravel(session.run(None, dict(feeds))[0])
        if torch.set_flush_denormal(True):  # of this thread, in which the session runs
            try:
                found = session.run(None, dict(feeds))[0]
            finally:
                torch.set_flush_denormal(False)
            yield np.ravel(found)


#: Networks of which some run is far from the others, or infinite: nodes (operator, inputs and outputs as words,
#: attributes), constants, and a point.
FAR_APART = {
    "a mean's sum": ([("ReduceMean", "x", "y", {})], {}, np.full((1, 4), 1.6e38)),
    "a window's sum": ([("AveragePool", "x", "y", {"kernel_shape": [4]})], {}, np.full((1, 1, 4), 1.6e38)),
    "an argument": ([("MatMul", "x w", "y", {})], {"w": np.full((1, 1), 1e30)}, np.full((1, 1), 1e-40)),
    "a weight": ([("MatMul", "x w", "y", {})], {"w": np.full((1, 1), 1e-40)}, np.full((1, 1), 1e30)),
    "a divisor": ([("Div", "x w", "y", {})], {"w": np.full((1, 1), 1e-39)}, np.full((1, 1), 1e-10)),
    "weights folded in": (
        [("Conv", "x w", "h", {}), ("Mul", "h s", "y", {})],
        {"w": np.full((1, 1, 1), 1e-30), "s": np.full((1, 1, 1), 1e-14)}, np.full((1, 1, 1), 1e30),
    ),
    "a scale that comes later": (
        [("Mul", "x s", "h", {}), ("MatMul", "h w", "y", {})],
        {"w": np.full((1, 1), 1e30), "s": np.full((), 1e-30)}, np.full((1, 1), 1e20),
    ),
    "a product before it is scaled": (
        [("Gemm", "x w", "y", {"alpha": 1e-10})], {"w": np.full((1, 1), 1e10)}, np.full((1, 1), 1e30),
    ),
    "a mean that is subtracted later": (
        [("BatchNormalization", "x s b m v", "y", {"epsilon": 1e-5})],
        {"s": [1e8], "b": [0.0], "m": [1e31], "v": [1e-20]}, np.full((1, 1), 1e31),
    ),
}  # fmt: skip
#: The same of operators that the checker does not read, or not in floats.
FURTHER_APART = {
    "a root": ([("Sqrt", "x", "y", {})], {}, np.full((1, 1), 1e-40)),
    "a logarithm": ([("Log", "x", "y", {})], {}, np.full((1, 1), 1e-40)),
    "a steep line": ([("LeakyRelu", "x", "y", {"alpha": 1e30})], {}, np.full((1, 1), -1e-40)),
    "a product": ([("Split", "x", "a b", {"axis": 1}), ("Mul", "a b", "y", {})], {}, np.array([[1e-40, 1e30]])),
}  # fmt: skip
