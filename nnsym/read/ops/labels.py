"""Linear models of ``ai.onnx.ml``, scaling, and the label of the largest score."""

from __future__ import annotations

import numpy as np

from nnsym.ir.linear import matrix_map
from nnsym.ir.network import Tensor
from nnsym.ir.node import affine, pointwise
from nnsym.ir.smooth_functions import Sigmoid
from nnsym.ir.softmax import softmax
from nnsym.read.ops.base import Call
from nnsym.read.ops.positions import steps_to_largest
from nnsym.read.tensors import Value, scaled, total


def label_of(scores: Tensor, labels: tuple[int, ...]) -> Tensor:
    """The label of the first largest score of every row: ``l_0 + sum_i (l_i - l_i-1) [place >= i]``."""
    rows, count = scores.shape
    if len(labels) != count:
        raise ValueError(f"{len(labels)} labels for {count} scores")
    order = np.arange(scores.node.size).reshape(rows, count)
    rises = np.diff(np.array(labels, dtype=np.float64))
    if count == 1:
        return total([np.full(rows, float(labels[0]))], [1.0])
    beyond = steps_to_largest(scores, order)
    weights = np.kron(np.eye(rows), rises[None])
    return Tensor(affine(((matrix_map(weights), beyond.node),), np.full(rows, float(labels[0]))), (rows,))


def linear_regressor(call: Call) -> list[Value]:
    """``x W^T + b``."""
    return [_linear(call, call.integer("targets", 1))]


def linear_classifier(call: Call) -> list[Value]:
    """The label of the largest score, and all scores."""
    labels = call.ints("classlabels_ints", ())
    count = len(call.attributes.get("intercepts", ())) or len(labels)
    if not labels or count != len(labels):
        raise call.refuse("labels that are texts, or one score for two labels", "Convert it with integer labels")
    scores = _linear(call, count)
    kind = call.text("post_transform", "NONE")
    return [label_of(scores, labels), transformed(call, scores, kind)]


def transformed(call: Call, scores: Tensor, kind: str) -> Tensor:
    """Scores after a ``post_transform``: row by row, or one by one."""
    if kind == "NONE":
        return scores
    if scores.shape[1] == 1:
        raise call.refuse(f"the transform {kind} of one value, which ONNX Runtime leaves out", "Export the raw values")
    if kind == "LOGISTIC":
        return Tensor(pointwise(Sigmoid(), scores.node), scores.shape)
    if kind == "SOFTMAX":
        return Tensor(softmax(scores.node, np.arange(scores.node.size).reshape(scores.shape)), scores.shape)
    raise call.refuse(f"the transform {kind}", "Export the raw scores: comparisons of them say the same")


def _linear(call: Call, targets: int) -> Tensor:
    x = call.tensor(0)
    if call.text("post_transform", "NONE") != "NONE" and call.op.endswith("Regressor"):
        raise call.refuse("a transform of its result", "Export the raw values")
    rows, features = x.shape if len(x.shape) == 2 else (1, x.shape[0])
    weight = np.asarray(call.attributes["coefficients"], dtype=np.float32).astype(np.float64).reshape(targets, features)
    given = np.asarray(call.attributes.get("intercepts", ()), dtype=np.float32).astype(np.float64)
    bias = given if given.size else np.zeros(targets)
    linear = matrix_map(np.kron(np.eye(rows), weight))
    return Tensor(affine(((linear, x.node),), np.tile(bias, rows)), (rows, targets))


def scaler(call: Call) -> list[Value]:
    """``(x - offset) scale``."""
    x = call.tensor(0)
    parts = (np.asarray(call.attributes[name], dtype=np.float32).astype(np.float64) for name in ("offset", "scale"))
    offset, scale = parts
    return [scaled(total((x, offset), (1.0, -1.0)), scale)]
