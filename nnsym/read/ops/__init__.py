"""Operator lowerings: one table from ONNX operator to the function that expresses it in the core calculus.

A new operator is one function and one line here.
"""

from __future__ import annotations

from collections.abc import Mapping

from nnsym.read.ops import (
    activations,
    arithmetic,
    einsum,
    movement,
    products,
    reduce,
    resize,
    windows,
)
from nnsym.read.ops.base import Lowering

_MOVED = (
    "CenterCropPad", "Compress", "Concat", "DepthToSpace", "Expand", "Gather", "GatherElements", "GatherND",
    "ReverseSequence", "ScatterElements", "ScatterND", "Slice", "SpaceToDepth", "Split", "Tile",
    "Transpose", "Trilu", "Where",
)  # fmt: skip

LOWERINGS: Mapping[str, Lowering] = {
    **dict.fromkeys(_MOVED, movement.move),
    **dict.fromkeys(("Identity", "Dropout", "Cast"), movement.same),
    "Reshape": movement.reshape,
    "Flatten": movement.flatten,
    "Squeeze": movement.squeeze,
    "Unsqueeze": movement.unsqueeze,
    "Pad": movement.pad,
    **dict.fromkeys(("Resize", "Upsample"), resize.resize),
    "Shape": movement.shape,
    "Size": movement.size,
    "Add": arithmetic.add,
    "Sub": arithmetic.sub,
    "Sum": arithmetic.sum_of,
    "Mean": arithmetic.mean_of,
    "Neg": arithmetic.neg,
    "Mul": arithmetic.mul,
    "Div": arithmetic.div,
    "Pow": arithmetic.power,
    "ReduceSum": reduce.reduce_sum,
    "ReduceMean": reduce.reduce_mean,
    "ReduceMax": reduce.reduce_max,
    "ReduceMin": reduce.reduce_min,
    "ReduceProd": reduce.reduce_prod,
    "ReduceL1": reduce.reduce_l1,
    "ReduceSumSquare": reduce.reduce_sum_square,
    "CumSum": reduce.cum_sum,
    "Gemm": products.gemm,
    "MatMul": products.matmul,
    "Einsum": einsum.einsum,
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
    "Max": activations.maximum_of,
    "Min": activations.minimum_of,
}
