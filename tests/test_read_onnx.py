from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.models import agrees, f32, model, single

i64 = np.int64
node = helper.make_node


def ints(*values):
    return np.array(values, dtype=i64)


SINGLE = {
    "gemm": single("Gemm", (1, 3), f32(3, 4), f32(4)),
    "gemm transposed": single("Gemm", (1, 3), f32(4, 3), f32(1, 4), transB=1, alpha=0.7, beta=0.3),
    "gemm transA": single("Gemm", (3, 2), f32(3, 4), f32(1), transA=1),
    "gemm without bias": single("Gemm", (1, 3), f32(3, 4)),
    "matmul": single("MatMul", (1, 3), f32(3, 4)),
    "matmul rows": single("MatMul", (2, 5, 3), f32(3, 4)),
    "matmul batched": single("MatMul", (2, 5, 3), f32(2, 3, 4)),
    "matmul vector": single("MatMul", (3,), f32(3, 4)),
    "matmul with vector": single("MatMul", (2, 3), f32(3)),
    "add scalar": single("Add", (1, 3), np.float32(2)),
    "add broadcasts": single("Add", (1, 3), f32(4, 1)),
    "sub": single("Sub", (2, 3), f32(3)),
    "mul": single("Mul", (2, 3), f32(2, 1)),
    "mul by one and zero": single("Mul", (1, 3), np.array([1, 0, -2], np.float32)),
    "mul broadcasts": single("Mul", (1, 3), f32(4, 1)),
    "div": single("Div", (2, 3), f32(3) + 3),
    "square": single("Pow", (2, 3), np.float32(2)),
    "neg": single("Neg", (2, 3)),
    "relu": single("Relu", (2, 3)),
    "leaky": single("LeakyRelu", (2, 3), alpha=0.2),
    "leaky default": single("LeakyRelu", (2, 3)),
    "prelu channel": single("PRelu", (1, 2, 3), f32(2, 1)),
    "prelu one": single("PRelu", (1, 2, 3), f32(1)),
    "abs": single("Abs", (2, 3)),
    "sigmoid": single("Sigmoid", (2, 3)),
    "tanh": single("Tanh", (2, 3)),
    "hard sigmoid default": single("HardSigmoid", (2, 3)),
    "hard sigmoid": single("HardSigmoid", (2, 3), alpha=0.3),
    "clip attributes": single("Clip", (2, 3), opset=6, min=-0.5, max=1.25),
    "clip attribute": single("Clip", (2, 3), opset=6, min=0.0),
    "clip inputs": single("Clip", (2, 3), np.float32(0), np.float32(6)),
    "clip to a third": single("Clip", (2, 3), np.float32(-1 / 3), np.float32(1 / 3)),
    "thresholded": single("ThresholdedRelu", (2, 3), alpha=0.3),
    "thresholded default": single("ThresholdedRelu", (2, 3)),
    "sign": single("Sign", (2, 3)),
    "clip low": single("Clip", (2, 3), np.float32(-0.3)),
    "clip high": single("Clip", (2, 3), None, np.float32(0.3)),
    "clip open": single("Clip", (2, 3), np.float32(-np.inf), np.float32(np.inf)),
    "clip crossed": single("Clip", (2, 3), np.float32(2), np.float32(1)),
    "max constant": single("Max", (2, 3), f32(3)),
    "max zero": single("Max", (2, 3), np.float32(0)),
    "min constant": single("Min", (2, 3), f32(2, 1)),
    "reduce sum": single("ReduceSum", (2, 3, 4), ints(1)),
    "reduce sum flat": single("ReduceSum", (2, 3, 4), ints(-1, 0), keepdims=0),
    "reduce sum all": single("ReduceSum", (2, 3)),
    "reduce sum attribute": single("ReduceSum", (2, 3), opset=11, axes=[1]),
    "reduce sum none": single("ReduceSum", (2, 3), ints(), noop_with_empty_axes=1),
    "reduce mean": single("ReduceMean", (2, 3, 4), opset=13, axes=[1, 2]),
    "reduce mean input": single("ReduceMean", (2, 3, 4), ints(2)),
    "reduce max": single("ReduceMax", (2, 3), ints(1)),
    "reduce min": single("ReduceMin", (2, 3), ints(0)),
    "flatten": single("Flatten", (1, 2, 3)),
    "flatten axis": single("Flatten", (2, 3, 4), axis=2),
    "reshape": single("Reshape", (1, 6), ints(0, 2, -1)),
    "flatten negative axis": single("Flatten", (2, 3, 4), axis=-1),
    "flatten zero": single("Flatten", (2, 3, 4), axis=0),
    "transpose": single("Transpose", (2, 3, 4), perm=[2, 0, 1]),
    "transpose default": single("Transpose", (2, 3)),
    "squeeze": single("Squeeze", (1, 3, 1), ints(2)),
    "squeeze attribute": single("Squeeze", (1, 3, 1), opset=11, axes=[0]),
    "squeeze all": single("Squeeze", (1, 3, 1)),
    "unsqueeze": single("Unsqueeze", (2, 3), ints(0, 3)),
    "unsqueeze attribute": single("Unsqueeze", (2, 3), opset=11, axes=[1]),
    "slice": single("Slice", (4, 6), ints(1, 5), ints(4, 0), ints(0, 1), ints(1, -2)),
    "slice attributes": single("Slice", (4, 6), opset=9, starts=[1, -3], ends=[4, 100], axes=[0, 1]),
    "gather": single("Gather", (4, 6), ints(3, 0, -1), axis=1),
    "gather one": single("Gather", (4, 6), np.array(2), axis=0),
    "split": single("Split", (4, 6), ints(1, 5), outputs=2, axis=1),
    "split even": single("Split", (4, 6), opset=11, outputs=3, axis=1),
    "split attribute": single("Split", (4, 6), opset=11, outputs=2, axis=0, split=[3, 1]),
    "expand": single("Expand", (3, 1), ints(2, 3, 4)),
    "tile": single("Tile", (2, 3), ints(2, 1)),
    "depth to space": single("DepthToSpace", (1, 8, 2, 3), blocksize=2),
    "pad": single("Pad", (2, 3), ints(1, 0, 0, 2), np.float32(1.5)),
    "pad zero": single("Pad", (2, 3), ints(1, 0, 0, 2)),
    "pad attributes": single("Pad", (2, 3), opset=2, pads=[1, 0, 0, 2], value=-1.5),
    "pad crops": single("Pad", (4, 5), ints(-1, 1, 0, -2)),
    "pad reflect": single("Pad", (4, 5), ints(1, 2, 3, 0), mode="reflect"),
    "pad edge": single("Pad", (4, 5), ints(1, 2, 3, 0), mode="edge"),
    "pad axes": single("Pad", (4, 5), ints(1, 2), np.float32(2), ints(1)),
    "batch norm": single("BatchNormalization", (1, 2, 3), f32(2), f32(2), f32(2), f32(2) ** 2 + 0.1, epsilon=1e-3),
    "batch norm flat": single("BatchNormalization", (1, 4), f32(4), f32(4), f32(4), f32(4) ** 2 + 0.1),
    "global average": single("GlobalAveragePool", (2, 3, 4, 5)),
    "global max": single("GlobalMaxPool", (2, 3, 4)),
    "conv 1d": single("Conv", (1, 2, 7), f32(4, 2, 3), f32(4), strides=[2], pads=[1, 0]),
    "conv 3d": single("Conv", (1, 2, 4, 3, 5), f32(3, 2, 2, 2, 3), f32(3), pads=[0, 1, 0, 1, 0, 1]),
    "conv batch": single("Conv", (2, 2, 4, 4), f32(3, 2, 2, 2), f32(3)),
    "conv depthwise": single("Conv", (1, 4, 4, 4), f32(8, 1, 3, 3), f32(8), group=4, kernel_shape=[3, 3]),
    "conv transpose": single("ConvTranspose", (1, 3, 4, 3), f32(3, 2, 3, 2), f32(2), strides=[2, 1], pads=[1, 0, 0, 1]),
    "conv transpose groups": single("ConvTranspose", (1, 4, 5), f32(4, 2, 3), group=2, strides=[2], output_padding=[1]),
    "average pool beyond its padding": single(
        "AveragePool", (1, 1, 5), opset=22, kernel_shape=[3], strides=[2], pads=[1, 0], ceil_mode=1, count_include_pad=1
    ),
    "max pool 1d": single("MaxPool", (1, 2, 7), kernel_shape=[3], strides=[2], pads=[1, 1]),
    "max pool 3d": single("MaxPool", (1, 1, 4, 4, 4), kernel_shape=[2, 2, 2], strides=[2, 2, 2]),
    "identity": single("Identity", (2, 3)),
    "dropout": single("Dropout", (2, 3), np.float32(0.5), np.array(False)),
    "dropout attribute": single("Dropout", (2, 3), opset=10, ratio=0.4),
    "free batch": single("Gemm", ("N", 3), f32(3, 4), f32(4)),
}


@pytest.mark.parametrize("case", SINGLE)
def test_operator_agrees_with_the_runtime(case):
    agrees(SINGLE[case])


GRAPHS = {
    "residual": model(
        [node("Gemm", ["x", "W"], ["a"]), node("Relu", ["a"], ["r"]), node("Add", ["r", "x"], ["s"]),
         node("Sub", ["s", "a"], ["y"])],
        {"x": (1, 3)}, constants={"W": f32(3, 3)},
    ),
    "x + x": model([node("Add", ["x", "x"], ["y"])], {"x": (1, 3)}),
    "constant minus": model([node("Sub", ["c", "x"], ["y"])], {"x": (1, 3)}, constants={"c": f32(2, 1)}),
    "constant matmul": model([node("MatMul", ["c", "x"], ["y"])], {"x": (3, 2)}, constants={"c": f32(4, 3)}),
    "vector matmul": model([node("MatMul", ["c", "x"], ["y"])], {"x": (3, 2)}, constants={"c": f32(3)}),
    "product": model(
        [node("Mul", ["x", "z"], ["m"]), node("Mul", ["m", "m"], ["y"])], {"x": (1, 3), "z": (2, 1)}
    ),
    "two outputs": model(
        [node("Relu", ["x"], ["y"]), node("Neg", ["z"], ["w"])], {"x": (1, 3), "z": (2,)}, ("y", "w", "x")
    ),
    "max of two": model([node("Max", ["x", "z"], ["y"])], {"x": (1, 3), "z": (2, 1)}),
    "max of three": model([node("Max", ["x", "z", "c"], ["y"])], {"x": (2, 3), "z": (2, 3)}, constants={"c": f32(3)}),
    "min of two": model([node("Min", ["x", "z", "c"], ["y"])], {"x": (1, 3), "z": (2, 3)}, constants={"c": f32(3)}),
    "sum": model([node("Sum", ["x", "c", "z"], ["y"])], {"x": (1, 3), "z": (2, 3)}, constants={"c": f32(3)}),
    "concat": model([node("Concat", ["x", "c", "z", "x"], ["y"], axis=1)], {"x": (2, 3), "z": (2, 1)},
                    constants={"c": f32(2, 2)}),
    "where": model([node("Where", ["m", "x", "c"], ["y"])], {"x": (1, 3)},
                   constants={"c": f32(2, 1), "m": np.array([[True, False, True], [False, False, True]])}),
    "gemm with computed C": model([node("Gemm", ["x", "W", "x"], ["y"], beta=0.5)], {"x": (1, 3)},
                                  constants={"W": f32(3, 3)}),
    "dynamic reshape": model(
        [node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["b"]), node("Unsqueeze", ["b", "axis"], ["u"]),
         node("Concat", ["u", "minus"], ["t"], axis=0), node("Reshape", ["x", "t"], ["y"])],
        {"x": ("batch", 2, 3)}, constants={"zero": np.array(0), "axis": ints(0), "minus": ints(-1)},
    ),
    "constants fold": model(
        [node("Constant", [], ["c"], value_floats=[0.1, 0.2, 0.3]), node("Mul", ["c", "c"], ["d"]),
         node("ConstantOfShape", ["n"], ["z"]), node("Add", ["d", "z"], ["e"]), node("Add", ["x", "e"], ["y"])],
        {"x": (1, 3)}, constants={"n": ints(3)},
    ),
    "constant output": model([node("Relu", ["x"], ["y"]), node("Neg", ["c"], ["w"])], {"x": (1, 3)}, ("y", "w"),
                             constants={"c": f32(2)}),
    "unused input": model([node("Relu", ["x"], ["y"])], {"x": (1, 3), "z": (2,)}),
    "float64": model([node("Gemm", ["x", "W"], ["y"])], {"x": (1, 3)}, constants={"W": f32(3, 3).astype(float) / 3},
                     elem=TensorProto.DOUBLE),
    "pool with places that nobody reads": model(
        [node("MaxPool", ["x"], ["m", "places"], kernel_shape=[2]), node("Neg", ["m"], ["y"])], {"x": (1, 2, 5)}
    ),
    "cast": model([node("Cast", ["x"], ["d"], to=11), node("Cast", ["d"], ["y"], to=1)], {"x": (1, 3)}),
}  # fmt: skip


@pytest.mark.parametrize("case", GRAPHS)
def test_graph_agrees_with_the_runtime(case):
    agrees(GRAPHS[case])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_convolution_attributes(data):
    rank = data.draw(st.integers(1, 3))
    axis = lambda low, high: data.draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))  # noqa: E731
    spatial, kernel, strides, dilations = axis(1, 6), axis(1, 3), axis(1, 3), axis(1, 2)
    group = data.draw(st.integers(1, 2))
    attributes = {"strides": strides, "dilations": dilations, "group": group}
    mode = data.draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    pads = axis(0, 2) + axis(0, 2)
    if mode != "NOTSET":
        attributes["auto_pad"], pads = mode, [0] * (2 * rank)
        if mode != "VALID":
            attributes["dilations"] = dilations = [1] * rank
    else:
        attributes["pads"] = pads
    reach = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    if mode in ("NOTSET", "VALID"):
        assume(all(s + pads[a] + pads[rank + a] >= reach[a] for a, s in enumerate(spatial)))
    weight = f32(2 * group, 2, *kernel, seed=data.draw(st.integers(0, 9)))
    agrees(single("Conv", (1, 2 * group, *spatial), weight, f32(2 * group), **attributes), count=2)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), op=st.sampled_from(["MaxPool", "AveragePool"]))
def test_pool_attributes(data, op):
    rank = data.draw(st.integers(1, 2))
    axis = lambda low, high: data.draw(st.lists(st.integers(low, high), min_size=rank, max_size=rank))  # noqa: E731
    spatial, kernel, strides = axis(2, 7), axis(1, 3), axis(1, 3)
    begin = [data.draw(st.integers(0, k - 1)) for k in kernel]
    end = [data.draw(st.integers(0, k - 1)) for k in kernel]
    attributes = {"kernel_shape": kernel, "strides": strides, "pads": begin + end}
    attributes["ceil_mode"] = data.draw(st.integers(0, 1))
    dilations = axis(1, 2)
    if op == "MaxPool":
        attributes["dilations"] = dilations
    else:
        dilations = [1] * rank
        attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    # windows that lie wholly in padding have no value: ONNX leaves them undefined
    assume(
        all(s + b + e >= d * (k - 1) + 1 for s, b, e, k, d in zip(spatial, begin, end, kernel, dilations, strict=True))
    )
    proto = single(op, (1, 2, *spatial), opset=22, **attributes)
    agrees(proto, count=2)
