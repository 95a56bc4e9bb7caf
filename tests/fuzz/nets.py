"""Random small networks as plain data: exact values, and the network that nnsym gets, from arrays or as ONNX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import helper, numpy_helper

import nnsym as nn
from tests.fuzz.cells import Incomplete, Values, sign
from tests.fuzz.draws import Draw, NumberStyle

#: ``(slope left of 0, slope right of 0)`` of hinges, limits of clips; sign has neither.
_HINGES = {"relu": (0.0, 1.0), "abs": (-1.0, 1.0)}
_CLIPS = {"relu6": (0, 6), "hard_tanh": (-1, 1)}
SMOOTH = ("sigmoid", "tanh")
ACTIVATIONS = ("relu", "relu", "relu", "leaky_relu", "abs", "relu6", "hard_tanh", "sign")


@dataclass(frozen=True)
class Net:
    """``x -> W_n act(... W_1 x + b_1 ...) + b_n``; ``stored`` is the dtype of an ONNX model, or empty for arrays."""

    name: str
    layers: tuple[tuple[tuple[tuple[float, ...], ...], tuple[float, ...]], ...]
    activation: str
    stored: str

    @property
    def inputs(self) -> int:
        return len(self.layers[0][0][0])

    @property
    def outputs(self) -> int:
        return len(self.layers[-1][1])

    @cached_property
    def exact_layers(self) -> list[tuple[list[list[Fraction]], list[Fraction]]]:
        return [([[Fraction(w) for w in row] for row in W], [Fraction(v) for v in b]) for W, b in self.layers]

    def values(self, x: Sequence[Values]) -> list[Values]:
        """The outputs on a cell, exactly; raises :class:`~tests.fuzz.cells.Undecided`."""
        v = list(x)
        for k, (W, b) in enumerate(self.exact_layers):
            h = [weighted(row, v, c, len(x[0])) for row, c in zip(W, b, strict=True)]
            v = [self._act(z) for z in h] if k < len(self.layers) - 1 else h
        return v

    def _act(self, z: Values) -> Values:
        if self.activation in _CLIPS:
            low, high = _CLIPS[self.activation]
            return clipped(z, Fraction(low), Fraction(high))
        if self.activation in SMOOTH:
            return _smooth(self.activation, z)
        side = sign(z)
        if self.activation == "sign":
            return (Fraction(side),) * len(z)
        leaky = float(np.float32(0.01)) if self.stored else 0.01
        left, right = _HINGES.get(self.activation, (leaky, 1.0))
        return tuple(Fraction(left if side < 0 else right) * v for v in z)

    def shifted(self, amount: float) -> Net:
        """Another network: ``amount`` more in every output."""
        W, b = self.layers[-1]
        return replace(self, layers=(*self.layers[:-1], (W, tuple(v + amount for v in b))))

    def network(self) -> nn.Network:
        """What nnsym gets."""
        if self.stored:
            return nn.load(self.model(), name=self.name)
        layers = [(np.array(W), np.array(b)) for W, b in self.layers]
        return nn.sequential(layers, activation=self.activation, name=self.name)

    def model(self) -> bytes:
        """The ONNX model."""
        kind = np.dtype(self.stored)
        nodes, constants, last = [], [], "x"
        for k, (W, b) in enumerate(self.layers):
            constants += [numpy_helper.from_array(np.array(W, kind), f"W{k}")]
            constants += [numpy_helper.from_array(np.array(b, kind), f"b{k}")]
            end = "y" if k == len(self.layers) - 1 else f"h{k}"
            nodes.append(helper.make_node("Gemm", [last, f"W{k}", f"b{k}"], [end], f"fc{k}", transB=1))
            if k < len(self.layers) - 1:
                nodes.append(self._node(end, last := f"r{k}", constants, kind))
        elem = helper.np_dtype_to_tensor_dtype(kind)
        ends = [helper.make_tensor_value_info("x", elem, [1, self.inputs])]
        ends += [helper.make_tensor_value_info("y", elem, [1, self.outputs])]
        graph = helper.make_graph(nodes, self.name, ends[:1], ends[1:], constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        return bytes(made.SerializeToString())

    def _node(self, start: str, end: str, constants: list[Any], kind: Any) -> Any:
        names = {
            "relu": "Relu",
            "leaky_relu": "LeakyRelu",
            "abs": "Abs",
            "sign": "Sign",
            "sigmoid": "Sigmoid",
            "tanh": "Tanh",
        }
        if self.activation in names:
            options = {"alpha": 0.01} if self.activation == "leaky_relu" else {}
            return helper.make_node(names[self.activation], [start], [end], f"act_{end}", **options)
        limits = [f"{start}_low", f"{start}_high"]
        for name, limit in zip(limits, _CLIPS[self.activation], strict=True):
            constants.append(numpy_helper.from_array(np.array(limit, kind), name))
        return helper.make_node("Clip", [start, *limits], [end], f"act_{end}")


def _smooth(activation: str, z: Values) -> Values:
    """Near the value, at points only; what judges it allows for some roundings."""
    if len(set(z)) > 1:
        raise Incomplete("a smooth function")
    x = float(z[0])
    return (Fraction(math.tanh(x) if activation == "tanh" else 0.5 * (1 + math.tanh(x / 2))),) * len(z)


def weighted(weights: Sequence[Fraction], values: Sequence[Values], constant: Fraction, count: int) -> Values:
    """``sum w_i v_i + constant`` at every vertex."""
    total = [constant] * count
    for w, v in zip(weights, values, strict=True):
        if w:
            total = [t + w * u for t, u in zip(total, v, strict=True)]
    return tuple(total)


def clipped(z: Values, low: Fraction, high: Fraction) -> Values:
    """``min(max(z, low), high)`` on a cell."""
    if sign(tuple(v - low for v in z)) <= 0:
        return (low,) * len(z)
    return (high,) * len(z) if sign(tuple(v - high for v in z)) >= 0 else z


def draw_net(
    draw: Draw,
    name: str,
    inputs: int,
    *,
    style: NumberStyle,
    stored: str,
    small: bool,
    activations: Sequence[str] = ACTIVATIONS,
) -> Net:
    """One or two hidden layers of two to four neurons; at times with terms of 2^25 or 2^60 that cancel."""
    hidden = [draw.whole(2, 3) for _ in range(1 if small or draw.chance(0.6) else 2)]
    widths = [inputs, *hidden, draw.whole(1, 3)]
    layers = []
    for n, m in pairwise(widths):
        W = [[draw.weight(style) for _ in range(n)] for _ in range(m)]
        layers.append((W, [draw.weight(style) for _ in range(m)]))
    if draw.chance(0.12):
        big = 2.0 ** (25 if stored == "float32" else 60)
        layers[0][1][0] = big * draw.sign()  # a bias that the next layer takes away again
        for row, offset in enumerate(layers[1][0]):
            layers[1][1][row] = -offset[0] * layers[0][1][0]
    kind = stored or "float64"
    rounded = tuple(
        (
            tuple(tuple(float(np.dtype(kind).type(w)) for w in row) for row in W),
            tuple(float(np.dtype(kind).type(v)) for v in b),
        )
        for W, b in layers
    )
    activation = draw.choice(activations)
    if activation == "leaky_relu" and stored == "float64":
        activation = "relu"  # ONNX Runtime has no such kernel
    return Net(name, rounded, activation, stored)
