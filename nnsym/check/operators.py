"""Operators of ONNX as the graph's three kinds of nodes: arithmetic, matrices, functions, and the table of all.

Every operator takes the call (arguments, attributes, the graph) and returns its outputs. Constants are folded exactly.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from fractions import Fraction
from math import isqrt, prod
from operator import mul
from typing import Any

from . import moves, windows
from .errors import need
from .functions import Function, Product, Sigmoid, Square, clip, leaky, relu, sign
from .graph import Map, Value, exact
from .model import Const
from .moves import Attributes, Call, Tensor, broadcast, moved, spread, transposed


def add(call: Call) -> Tensor:
    """Sums, of two or more."""
    total = call.arguments[0]
    for other in call.arguments[1:]:
        total = _plus(call, total, other, 1)
    return total


def _plus(call: Call, first: Tensor, second: Tensor, factor: int) -> Tensor:
    a, b = spread(call, first, second)
    if isinstance(b, Const):
        if isinstance(a, Const):
            return _folded(call, a, b, lambda v, w: v + factor * w)
        return call.graph.shift(a, b.values if factor == 1 else [-exact(v) for v in b.values])
    if isinstance(a, Const):
        return call.graph.shift(call.graph.scale(b, [factor] * b.node.size) if factor != 1 else b, a.values)
    rows = [[((i,), (f,)) for i in range(a.node.size)] for f in (1, factor)]
    maps = [Map(a.node.size, r) for r in rows]
    return call.graph.affine(a.shape, [(a.node, maps[0]), (b.node, maps[1])])


def _folded(call: Call, a: Const, b: Const, of: Callable[[Any, Any], Any]) -> Const:
    """Of two constants of one shape; whole numbers stay whole, and so small that no type of theirs wraps."""
    pairs = zip(a.values, b.values, strict=True)
    values = [of(v, w) if type(v) is type(w) is int else of(exact(v), exact(w)) for v, w in pairs]
    need(all(type(v) is not int or abs(v) < 1 << 31 for v in values), "whole numbers that may leave their type")
    call.graph.rounded |= any(type(v) is not int and (abs(v) >= 1 << 128 or v != array("f", [v])[0]) for v in values)
    return Const(a.shape, values)


def subtract(call: Call) -> Tensor:
    """``a - b``."""
    return _plus(call, call.arguments[0], call.arguments[1], -1)


def negate(call: Call) -> Tensor:
    """``-a``."""
    return _times(call, call.arguments[0], Const((), [-1]))


def multiply(call: Call) -> Tensor:
    """Products: by constants, of a tensor with itself (a square), of two tensors."""
    return _times(call, *call.arguments)


def _times(call: Call, first: Tensor, second: Tensor) -> Tensor:
    a, b = spread(call, first, second)
    if isinstance(a, Const):
        a, b = b, a
    if isinstance(a, Const):
        return _folded(call, a, b, mul)
    if isinstance(b, Const):
        return call.graph.scale(a, b.values)
    return call.graph.curve(Square(), a) if a.node is b.node else call.graph.curve(Product(), a, b)


def divide(call: Call) -> Tensor:
    """By constants other than 0; integers among constants towards 0."""
    a, b = spread(call, *call.arguments)
    need(isinstance(b, Const) and all(b.values), "a divisor that depends on inputs, or is 0")
    if isinstance(a, Const):
        return _folded(call, a, b, lambda v, w: v / w if isinstance(v, Fraction) else int(Fraction(v, w)))
    return call.graph.scale(a, [1 / exact(v) for v in b.values])


def power(call: Call) -> Tensor:
    """Squares."""
    x, exponent = spread(call, *call.arguments)
    need(isinstance(exponent, Const) and set(exponent.values) == {2}, "a power other than 2")
    return call.graph.curve(Square(), x)


def matmul(call: Call) -> Tensor:
    """A matrix of constants times a vector, a matrix, or a stack of them, from either side."""
    a, b = call.arguments
    x, w = (b, a) if isinstance(a, Const) else (a, b)
    need(isinstance(w, Const) and isinstance(x, Value), "a product of matrices that both depend on inputs, or neither")
    need(len(w.shape) in (1, 2), "a stack of constant matrices")
    if x is a:
        width = prod(w.shape[1:])
        made = _combined(call, x, [w.values[j::width] for j in range(width)])
        return Value(made.node, (*x.shape[:-1], *w.shape[1:]))
    xs = (*x.shape, 1) if len(x.shape) == 1 else x.shape
    (m, n), deep = xs[-2:], w.shape[-1]
    need(m == deep, f"matrices of the shapes {a.shape} and {b.shape}")
    lines = [w.values[i : i + m] for i in range(0, len(w.values), m)]
    rows: list[Any] = [
        (range(k * m * n + j, (k + 1) * m * n, n), line)
        for k in range(prod(xs[:-2]))
        for line in lines
        for j in range(n)
    ]
    return call.graph.affine((*xs[:-2], *w.shape[:-1], *x.shape[1:][-1:]), [(x.node, Map(x.node.size, rows))])


def _combined(call: Call, x: Value, columns: Sequence[Any]) -> Value:
    """Combinations of the elements along the last axis, one for each of some columns of weights."""
    n = x.shape[-1]
    need(all(len(column) == n for column in columns), f"columns of another length than {n}")
    rows = [(range(r, r + n) if n < x.node.size else None, c) for r in range(0, x.node.size, n) for c in columns]
    return call.graph.affine((*x.shape[:-1], len(columns)), [(x.node, Map(x.node.size, rows))])


def gemm(call: Call) -> Tensor:
    """``alpha a b + beta c``, turned as asked for."""
    a, b = call.arguments[:2]
    get = call.attributes.get
    alpha, beta = get("alpha", 1.0), get("beta", 1.0)
    need(len(a.shape) == len(b.shape) == 2, "Gemm of tensors that are no matrices")
    a = moved(call, a, transposed(a.shape, (1, 0))) if get("transA", 0) else a
    if get("transB", 0) and isinstance(a, Value) and isinstance(b, Const):
        n = b.shape[1]
        made = _combined(call, a, [b.values[i : i + n] for i in range(0, len(b.values), n)])
    else:
        b = moved(call, b, transposed(b.shape, (1, 0))) if get("transB", 0) else b
        made = matmul(Call(call.graph, call.name, [a, b], Attributes({})))
    if alpha != 1:
        made = call.graph.scale(made, [exact(alpha)] * made.node.size)
    if len(call.arguments) < 3 or call.arguments[2] is None:
        return made
    c = call.arguments[2]
    if beta != 1:
        c = _times(call, c, Const((), [beta]))
    return _plus(call, made, moved(call, c, broadcast(c, made.shape)), 1)


def batch_normalization(call: Call) -> Tensor:
    """``(x - mean) scale / sqrt(var + epsilon) + B``, the root to 100 binary places."""
    x, scale, shift, mean, variance = call.arguments[:5]
    need(isinstance(x, Value) and len(x.shape) >= 2, "BatchNormalization of a constant, or of a vector")
    get = call.attributes.get
    # Operator sets before 14 train where there are further outputs, those before 9 know scales of each position.
    need(not get("training_mode") and call.outputs == get("spatial", 1) == 1, "training, or factors by place")
    epsilon = exact(get("epsilon", 9.999999747378752e-06))
    each = broadcast(Const((x.shape[1],) + (1,) * (len(x.shape) - 2), range(x.shape[1])), x.shape).values
    factors = []
    for s, v in zip(scale.values, variance.values, strict=True):
        need(exact(v) + epsilon > 0, "BatchNormalization of no positive variance")
        root = isqrt((2**200 / (exact(v) + epsilon)).__floor__())
        factors.append(exact(s) * Fraction(root, 2**100))
        need(abs(exact(s)) < 2**27, "BatchNormalization of a scale beyond 2^27")
    need({len(c.values) for c in (scale, shift, mean, variance)} == {x.shape[1]}, "channels of another number")
    centred = call.graph.shift(x, [-exact(mean.values[c]) for c in each])
    return call.graph.scale(centred, [factors[c] for c in each], [shift.values[c] for c in each], inexact=True)


def pointwise(make: Callable[[Call], Function]) -> Callable[[Call], Tensor]:
    """An operator that is one function of each element."""

    def apply(call: Call) -> Tensor:
        x = call.arguments[0]
        need(isinstance(x, Value), "a function of constants")
        return call.graph.curve(make(call), x)

    return apply


def _limit(call: Call, place: int, name: str) -> Fraction | None:
    found = call.get(place, name)
    (value,) = found if isinstance(found, list) else [found]
    return None if value is None else exact(value)


def clipped(call: Call) -> Function:
    """``min(max(x, low), high)``."""
    low, high = _limit(call, 1, "min"), _limit(call, 2, "max")
    need(low is None or high is None or low < high, "a clip that is constant")
    return clip(low, high)


def parametric(call: Call) -> Tensor:
    """PRelu: ``relu(x) - slope relu(-x)``, with a slope for each element; one slope for all is one function."""
    x, slope = call.arguments
    need(isinstance(slope, Const), "a slope that depends on inputs")
    slopes = moved(call, slope, broadcast(slope, x.shape)).values
    if len(set(slopes)) == 1:
        return call.graph.curve(leaky(exact(slopes[0])), x)
    up = call.inner("#0", call.graph.curve(relu(), x))
    turned = call.graph.scale(x, [-1] * x.node.size)
    down = call.graph.scale(call.inner("#1", call.graph.curve(relu(), turned)), [-exact(s) for s in slopes])
    return _plus(call, up, down, 1)


def hard_sigmoid(call: Call) -> Function:
    """``max(0, min(1, alpha x + beta))``."""
    alpha, beta = (exact(call.attributes.get(n, d)) for n, d in (("alpha", 0.20000000298023224), ("beta", 0.5)))
    need(alpha > 0, "HardSigmoid of no positive slope")
    return clip(Fraction(0), Fraction(1), alpha, beta)


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "Add": add, "Sum": add, "Sub": subtract, "Neg": negate, "Mul": multiply, "Div": divide, "Pow": power,
    "MatMul": matmul, "Gemm": gemm, "BatchNormalization": batch_normalization,
    "Conv": windows.convolution, "AveragePool": windows.average_pool, "MaxPool": windows.max_pool,
    "GlobalAveragePool": lambda c: windows.average_pool(c, True), "GlobalMaxPool": lambda c: windows.max_pool(c, True),
    "Max": windows.maximum, "Min": lambda c: windows.maximum(c, -1),
    "ReduceSum": windows.reduce_sum, "ReduceMean": lambda c: windows.reduce_sum(c, True),
    "ReduceMax": windows.reduce_max, "ReduceMin": lambda c: windows.reduce_max(c, -1),
    "Transpose": moves.transpose, "Slice": moves.slices, "Gather": moves.gather, "Split": moves.split,
    "Concat": moves.concat, "Pad": moves.pad, "Expand": moves.expand, "Reshape": moves.reshaped,
    "Flatten": moves.flatten, "Squeeze": moves.squeeze, "Unsqueeze": moves.unsqueeze,
    "Identity": moves.same, "Dropout": moves.dropped, "Cast": moves.cast, "Constant": moves.constant,
    "ConstantOfShape": moves.filled, "Shape": moves.shape_of,
    "Relu": pointwise(lambda c: relu()), "Abs": pointwise(lambda c: leaky(Fraction(-1))),
    "LeakyRelu": pointwise(lambda c: leaky(exact(c.attributes.get("alpha", 0.009999999776482582)))),
    "PRelu": parametric, "Clip": pointwise(clipped), "HardSigmoid": pointwise(hard_sigmoid),
    "Sign": pointwise(lambda c: sign()), "Sigmoid": pointwise(lambda c: Sigmoid()),
    "Tanh": pointwise(lambda c: Sigmoid(2, 2, -1)),
}  # fmt: skip
