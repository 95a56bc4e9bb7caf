"""Operators that are not functions of one variable, against ONNX Runtime: products, normalisations, resizing, norms."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

import nnsym as nn
from nnsym.bounds.engine.backward.linear import crown
from nnsym.bounds.engine.forward.interval import ibp
from nnsym.errors import InputError, UnsupportedError
from nnsym.read.onnx import load
from nnsym.read.runtime import run
from tests.models import agrees, f32, model, single

i64 = np.int64
node = helper.make_node


def ints(*values):
    return np.array(values, dtype=i64)


def scales(*values):
    return np.array(values, dtype=np.float32)


SINGLE = {
    "resize nearest": single("Resize", (1, 2, 3, 2), None, scales(1, 1, 2, 1.5), mode="nearest"),
    "resize linear": single("Resize", (1, 2, 3, 2), None, scales(1, 1, 2, 1.5), mode="linear"),
    "resize cubic": single("Resize", (1, 1, 5, 4), None, None, ints(1, 1, 7, 4), mode="cubic"),
    "resize aligned": single(
        "Resize", (1, 1, 4, 4), None, scales(1, 1, 2, 2), mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "resize of old": single("Resize", (1, 1, 2, 3), scales(1, 1, 2, 2), opset=10, mode="nearest"),
    "upsample": single("Upsample", (1, 1, 2, 3), scales(1, 1, 2, 3), opset=9, mode="nearest"),
    "upsample linear": single("Upsample", (1, 1, 2, 3), scales(1, 1, 2, 2), opset=9, mode="linear"),
    "trilu": single("Trilu", (3, 4), upper=0),
    "trilu moved": single("Trilu", (3, 4), np.array(1, i64), upper=1),
    "cumsum": single("CumSum", (2, 4), np.array(1, np.int32)),
    "cumsum reverse": single("CumSum", (3, 2), np.array(0, np.int32), exclusive=1, reverse=1),
    "scatter nd": single("ScatterND", (4, 2), ints(1, 3).reshape(2, 1), f32(2, 2)),
    "reduce l1": single("ReduceL1", (2, 3), ints(1)),
    "reduce l2": single("ReduceL2", (2, 3), ints(1), keepdims=0),
    "reduce sum square": single("ReduceSumSquare", (2, 3), ints(0)),
    "reduce log sum exp": single("ReduceLogSumExp", (2, 5), ints(1)),
    "reduce product of odd": single("ReduceProd", (2, 3), ints(1)),
    "reduce product of five": single("ReduceProd", (5, 2), ints(0), keepdims=0),
    "reduce product of four": single("ReduceProd", (4,)),
    "lp pool": single("LpPool", (1, 2, 4, 4), kernel_shape=[2, 2], p=2),
    "global lp pool": single("GlobalLpPool", (1, 2, 3, 3), p=1),
    "layer norm": single("LayerNormalization", (2, 5), f32(5), f32(5, seed=1)),
    "layer norm of two axes": single("LayerNormalization", (2, 3, 4), f32(3, 4), f32(3, 4, seed=1), axis=1),
    "layer norm with statistics": single("LayerNormalization", (2, 5), f32(5), f32(5, seed=1), outputs=3),
    "instance norm": single("InstanceNormalization", (2, 3, 4), f32(3), f32(3, seed=1)),
    "group norm": single("GroupNormalization", (1, 4, 3), f32(4), f32(4, seed=1), opset=21, num_groups=2),
    "lp normalization": single("LpNormalization", (2, 4), axis=1, p=2),
    "lp normalization 1": single("LpNormalization", (4, 2), axis=0, p=1),
    "mean variance": single("MeanVarianceNormalization", (2, 2, 3, 3)),
    "lrn": single("LRN", (1, 5, 2, 2), size=3, alpha=0.3, beta=0.6, bias=1.5),
    "softmax": single("Softmax", (2, 5)),
    "softmax axis": single("Softmax", (2, 3, 4), axis=1),
    "softmax of old": single("Softmax", (2, 3, 2), opset=11),
    "softmax of two": single("Softmax", (3, 2)),
    "softmax of one": single("Softmax", (3, 1)),
    "softmax long": single("Softmax", (2, 24)),
    "log softmax": single("LogSoftmax", (2, 5)),
    "log softmax long": single("LogSoftmax", (24, 2), axis=0),
    "einsum": single("Einsum", (2, 3), f32(3, 4), equation="ij,jk->ik"),
    "einsum diagonal": single("Einsum", (3, 3), equation="ii->i"),
    "einsum trace": single("Einsum", (3, 3), equation="ii"),
    "einsum ellipsis": single("Einsum", (2, 3, 4), f32(4, 5), equation="...i,ij->...j"),
    "mean": single("Mean", (2, 3), f32(3), f32(2, 3, seed=1)),
    "transposed same upper": single(
        "ConvTranspose", (2, 1, 3, 3), f32(1, 2, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2]
    ),
    "transposed to shape": single("ConvTranspose", (1, 1, 3, 3), f32(1, 2, 3, 3), output_shape=[6, 7], strides=[2, 2]),
    "old broadcast of the end": single("Mul", (2, 3, 4), f32(3, 4), opset=6, broadcast=1),
    "old average": single("AveragePool", (1, 2, 4), opset=6, kernel_shape=[2]),
}


@pytest.mark.parametrize("name", SINGLE)
def test_one_operator(name):
    agrees(SINGLE[name])


def of(nodes, **inputs):
    return model(nodes, inputs, ["y"])


TOGETHER = {
    "matmul": of([node("MatMul", ["a", "b"], ["y"])], a=(2, 3), b=(3, 4)),
    "matmul batched": of([node("MatMul", ["a", "b"], ["y"])], a=(2, 1, 2, 3), b=(2, 3, 2)),
    "matmul vectors": of([node("MatMul", ["a", "b"], ["y"])], a=(3,), b=(3,)),
    "gemm": of([node("Gemm", ["a", "b"], ["y"], alpha=0.5, transB=1)], a=(2, 3), b=(4, 3)),
    "einsum": of([node("Einsum", ["a", "b"], ["y"], equation="bij,bkj->bik")], a=(2, 2, 3), b=(2, 4, 3)),
    "attention": of(
        [
            node("Transpose", ["a"], ["t"], perm=[1, 0]),
            node("MatMul", ["a", "t"], ["s"]),
            node("Softmax", ["s"], ["p"], axis=-1),
            node("MatMul", ["p", "a"], ["y"]),
        ],
        a=(3, 2),
    ),
}


@pytest.mark.parametrize("name", TOGETHER)
def test_of_two_computed_tensors(name):
    network = agrees(TOGETHER[name], spread=1.0)
    _require_sound(network, 0.1)


def _require_sound(network, radius):
    random = np.random.default_rng(0)
    variables = [nn.Variable(t.shape, name=n) for n, t in network.inputs.items()]
    centres = [random.normal(size=t.shape) for t in network.inputs.values()]
    where = nn.all(*(nn.box(x, c - radius, c + radius) for x, c in zip(variables, centres, strict=True)))
    p = nn.forall(variables, where=where, then=nn.all(network(*variables) >= 0))
    points = [[random.uniform(c - radius, c + radius) for c in centres] for _ in range(200)]
    values = np.array([np.ravel(network.evaluate(*point)) for point in points])
    widths = []
    for source in (ibp, crown):
        found = source(p.query).rows
        assert (found.lower <= values.min(0) + 1e-12).all()
        assert (found.upper >= values.max(0) - 1e-12).all()
        widths.append(float((found.upper - found.lower).mean()))
    assert widths[1] <= widths[0] * (1 + 1e-9)


def test_division_by_what_is_computed():
    square = node("Mul", ["a", "a"], ["s"])
    one = node("Constant", [], ["one"], value_float=1.0)
    network = agrees(of([square, one, node("Add", ["s", "one"], ["d"]), node("Div", ["a", "d"], ["y"])], a=(4,)))
    _require_sound(network, 0.2)


def test_a_normalised_value_is_bounded_by_the_root_of_their_number():
    """Bounds of the deviation and of the root by themselves would allow values of hundreds."""
    network = load(single("LayerNormalization", (1, 9), np.ones(9, np.float32), np.zeros(9, np.float32)))
    x = nn.Variable((1, 9), name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.all(network(x) >= 0))
    for source in (ibp, crown):
        assert source(p.query).rows.upper.max() <= 3 + 1e-6


@pytest.mark.parametrize(
    "op", ["LayerNormalization", "RMSNormalization", "InstanceNormalization", "GroupNormalization"]
)
def test_an_epsilon_below_0_is_refused(op):
    """A value is not below the root of their number then, and random points of size 1 do not see it."""
    shape, count = ((1, 1, 2), 1) if op[0] in "IG" else ((1, 2), 2)
    constants = [np.ones(count, np.float32)] + [np.zeros(count, np.float32)] * (op[0] != "R")
    extra = {"num_groups": 1} if op[0] == "G" else {}
    made = single(op, shape, *constants, opset={"R": 23, "G": 21}.get(op[0], 18), epsilon=-1e-4, **extra)
    with pytest.raises(UnsupportedError, match=r"an epsilon of -0\.0001"):
        load(made, check=False)


def test_a_pattern_reads_no_initial_value_of_an_input():
    """``Where(x <= t, v, x)`` is a threshold where t is a number, and not where t is an input."""
    made = model(
        [node("LessOrEqual", ["x", "t"], ["c"]), node("Where", ["c", "v", "x"], ["y"])],
        {"x": (2,), "t": (1,)},
        constants={"t": np.float32([0.5]), "v": np.float32([0.0])},
    )
    network = load(made, check=False, shapes=[(2,), (1,)])
    assert network.evaluate(np.array([0.2, 0.9]), np.array([0.1])).tolist() == [0.2, 0.9]
    assert load(made).evaluate(np.array([0.2, 0.9])).tolist() == [0.0, 0.9]


def test_a_product_with_dequantised_weights_is_the_one_of_floats():
    """By itself ONNX Runtime rounds the other factor to 8 bits there: the import was refused, and replay was off."""
    weights, scale, zero = np.array([[-128, 127], [3, 0]], np.int8), np.float32(0.1), np.int8(-128)
    nodes = [node("DequantizeLinear", ["w", "s", "z"], ["f"]), node("MatMul", ["x", "f"], ["y"])]
    network = load(model(nodes, {"x": (1, 2)}, constants={"w": weights, "s": scale, "z": zero}))
    point = np.array([[0.3, -0.7]], np.float32)
    expected = point.astype(float) @ ((weights.astype(float) + 128) * float(scale))
    np.testing.assert_allclose(run(network, {"x": point})["y"], expected, rtol=1e-6)
    np.testing.assert_allclose(network.evaluate(point.astype(float)), expected, rtol=1e-6)


def test_an_input_that_is_the_output():
    network = load(model([], {"x": (2,)}, ["x"]))
    assert network.evaluate(np.array([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_an_operator_that_the_standard_writes_by_others():
    labels = np.array([1, 0], i64)
    network = agrees(single("SoftmaxCrossEntropyLoss", (2, 3), labels, reduction="mean"))
    assert network.outputs["y"].shape == ()


def test_what_is_refused_is_said():
    with pytest.raises(UnsupportedError, match="adds to what is there"):
        load(single("ScatterND", (4,), ints(1).reshape(1, 1), f32(1), reduction="add"))
    with pytest.raises(UnsupportedError, match="more than two"):
        load(single("Einsum", (2, 2), f32(2, 2), f32(2, 2), equation="ij,jk,kl->il"))
    with pytest.raises(UnsupportedError, match="order 3"):
        load(single("LpPool", (1, 1, 4), kernel_shape=[2], p=3))
    with pytest.raises(InputError, match="do not fit"):
        load(single("MatMul", (2, 3), f32(2, 4)))


def test_products_of_two_matrices_too_large_are_refused_before_they_are_made():
    big = model([node("MatMul", ["a", "b"], ["y"])], {"a": (2000, 2000), "b": (2000, 2000)}, elem=TensorProto.FLOAT)
    with pytest.raises((InputError, UnsupportedError)):
        load(big, check=False)
