"""Operator lowerings: one table from ONNX operator to the function that expresses it in the core calculus.

A new operator is one function and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping

from nnsym.read.ops import activations, arithmetic, functions, movement, products, windows
from nnsym.read.ops.base import Lowering

_MOVED = (
    "Concat", "DepthToSpace", "Expand", "Gather", "GatherElements", "GatherND", "Slice",
    "SpaceToDepth", "Split", "Tile", "Transpose", "Where",
)  # fmt: skip

LOWERINGS: Mapping[str, Lowering] = {
    **dict.fromkeys(_MOVED, movement.move),
    **dict.fromkeys(("Identity", "Dropout", "Cast"), movement.same),
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
    "Exp": activations.exponential,
    "Log": activations.logarithm,
    "Sqrt": activations.square_root,
    "Reciprocal": activations.reciprocal,
    "Sin": functions.sine,
    "Cos": functions.cosine,
    "Atan": functions.arc_tangent,
    "Erf": functions.error_function,
    "Softsign": functions.softsign,
    "Softplus": functions.softplus,
    "Elu": functions.elu,
    "Selu": functions.scaled_elu,
    "Celu": functions.continuous_elu,
    "Gelu": functions.gelu,
    "com.microsoft.Gelu": functions.gelu,
    "com.microsoft.QuickGelu": functions.quick_gelu,
    "Swish": functions.swish,
    "Mish": functions.mish,
    "HardSwish": functions.hard_swish,
    "Shrink": functions.shrinking,
    "Max": activations.maximum_of,
    "Min": activations.minimum_of,
}
