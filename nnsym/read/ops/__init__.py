"""Operator lowerings: one table from ONNX operator to the function that expresses it in the core calculus.

A new operator is one function and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping

from nnsym.ir import logic as logical
from nnsym.ir import steps
from nnsym.read.ops import (
    activations,
    arithmetic,
    labels,
    logic,
    movement,
    positions,
    products,
    rounding,
    trees,
    windows,
)
from nnsym.read.ops.base import Lowering

_MOVED = (
    "Concat", "DepthToSpace", "Expand", "Gather", "GatherElements", "GatherND", "Slice",
    "SpaceToDepth", "Split", "Tile", "Transpose",
)  # fmt: skip

LOWERINGS: Mapping[str, Lowering] = {
    **dict.fromkeys(_MOVED, movement.move),
    **dict.fromkeys(("Identity", "Dropout"), movement.same),
    "Cast": logic.cast,
    "Where": logic.where,
    "Not": logic.negation,
    "And": logic.connective(logical.both),
    "Or": logic.connective(logical.either),
    "Xor": logic.connective(logical.exclusive),
    "Equal": logic.comparison(steps.equal),
    "Greater": logic.comparison(steps.greater),
    "GreaterOrEqual": logic.comparison(steps.greater_equal),
    "Less": logic.comparison(steps.less),
    "LessOrEqual": logic.comparison(steps.less_equal),
    "Floor": rounding.floor,
    "Ceil": rounding.ceil,
    "Round": rounding.round_even,
    "Mod": rounding.modulo,
    "ArgMax": positions.position(1.0),
    "ArgMin": positions.position(-1.0),
    "Reshape": movement.reshape,
    "Flatten": movement.flatten,
    "Squeeze": movement.squeeze,
    "Unsqueeze": movement.unsqueeze,
    "Pad": movement.pad,
    "Shape": movement.shape,
    "Size": movement.size,
    "Add": arithmetic.add,
    "Sub": arithmetic.sub,
    "Sum": arithmetic.sum_of,
    "Neg": arithmetic.neg,
    "Mul": arithmetic.mul,
    "Div": arithmetic.div,
    "Pow": arithmetic.power,
    "ReduceSum": arithmetic.reduce_sum,
    "ReduceMean": arithmetic.reduce_mean,
    "ReduceMax": arithmetic.reduce_max,
    "ReduceMin": arithmetic.reduce_min,
    "Gemm": products.gemm,
    "MatMul": products.matmul,
    "BatchNormalization": products.batch_normalization,
    "Conv": windows.conv,
    "ConvTranspose": windows.conv_transpose,
    "AveragePool": windows.average_pool,
    "GlobalAveragePool": windows.global_average_pool,
    "MaxPool": windows.max_pool,
    "GlobalMaxPool": windows.global_max_pool,
    "Relu": activations.relu,
    "LeakyRelu": activations.leaky,
    "PRelu": activations.prelu,
    "Clip": activations.clip,
    "HardSigmoid": activations.hard_sigmoid,
    "ThresholdedRelu": activations.thresholded,
    "Abs": activations.absolute_value,
    "Sign": activations.sign,
    "Sigmoid": activations.sigmoid,
    "Tanh": activations.tanh,
    "Max": activations.maximum_of,
    "Min": activations.minimum_of,
    "ai.onnx.ml.TreeEnsembleRegressor": trees.regressor,
    "ai.onnx.ml.TreeEnsembleClassifier": trees.classifier,
    "ai.onnx.ml.TreeEnsemble": trees.ensemble,
    "ai.onnx.ml.LinearRegressor": labels.linear_regressor,
    "ai.onnx.ml.LinearClassifier": labels.linear_classifier,
    "ai.onnx.ml.Scaler": labels.scaler,
}
