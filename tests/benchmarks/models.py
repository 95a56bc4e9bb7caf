"""The model of the benchmarks: a random dense ReLU network, an input box, ready bounds, and one property."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import final

import numpy as np
import onnx

import nnsym as nn
from nnsym.bounds.base import Bounds
from nnsym.bounds.methods import compute
from nnsym.ir.array import Array
from nnsym.ir.node import Affine
from nnsym.ir.query import Query
from tests.models import model

#: 784-256x6-10: the layers of the field's largest dense MNIST network.
WIDE = (784, 256, 256, 256, 256, 256, 256, 10)


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Instance:
    """Output 0 stays above output 1 on a box. ``intervals`` bound what each layer ``W x + b`` returns."""

    layers: tuple[tuple[Array, Array], ...]
    lower: Array
    upper: Array
    prop: nn.Property
    bounds: Bounds
    intervals: tuple[tuple[Array, Array], ...]

    @property
    def query(self) -> Query:
        return self.prop.query


def random_instance(shape: tuple[int, ...] = WIDE, *, radius: float = 0.03, seed: int = 0) -> Instance:
    """He-initialised weights, the box of ``radius`` around 1/2, interval bounds."""
    rng = np.random.default_rng(seed)
    layers = tuple((rng.normal(size=(m, n)) * np.sqrt(2 / n), rng.normal(size=m) / 10) for n, m in pairwise(shape))
    return instance_of(layers, np.full(shape[0], 0.5 - radius), np.full(shape[0], 0.5 + radius))


def instance_of(layers: tuple[tuple[Array, Array], ...], lower: Array, upper: Array) -> Instance:
    """The property about a network over a box, with interval bounds."""
    x = nn.Variable(len(lower), name="x")
    y = nn.sequential(layers, activation="relu")(x)
    prop = nn.forall(x, where=nn.box(x, lower, upper), then=y[0] > y[1], name="first_above_second")
    bounds = compute(prop.query, "ibp")
    found = tuple((bounds[n].lower, bounds[n].upper) for n in prop.query.nodes if isinstance(n, Affine))
    return Instance(layers=layers, lower=lower, upper=upper, prop=prop, bounds=bounds, intervals=found)


def onnx_model(layers: tuple[tuple[Array, Array], ...]) -> onnx.ModelProto:
    """The dense ReLU network in float32, as trainers export it."""
    nodes, constants, above = [], {}, "x"
    for number, (weight, bias) in enumerate(layers, start=1):
        constants |= {f"w{number}": weight.astype(np.float32), f"b{number}": bias.astype(np.float32)}
        inner = f"h{number}" if number < len(layers) else "y"
        nodes.append(onnx.helper.make_node("Gemm", [above, f"w{number}", f"b{number}"], [inner], transB=1))
        if number < len(layers):
            nodes.append(onnx.helper.make_node("Relu", [inner], [above := f"a{number}"]))
    return model(nodes, {"x": (1, layers[0][0].shape[1])}, ["y"], constants)


def vnnlib_text(lower: Array, upper: Array, outputs: int) -> str:
    """The property of :func:`random_instance` as competition files write it: one assertion a bound."""
    lines = [f"(declare-const X_{k} Real)" for k in range(len(lower))]
    lines += [f"(declare-const Y_{k} Real)" for k in range(outputs)]
    for k, (low, high) in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
        lines += [f"(assert (<= X_{k} {high!r}))", f"(assert (>= X_{k} {low!r}))"]
    return "\n".join((*lines, "(assert (<= Y_0 Y_1))", ""))


def vnnlib2_text(lower: Array, upper: Array, outputs: int) -> str:
    """Such a property in VNN-LIB 2.0, about a network from arrays."""
    lines = ["(vnnlib-version <2.0>)", f"(declare-network f (declare-input x real [{len(lower)}])"]
    lines.append(f"  (declare-output y real [{outputs}]))")
    for k, (low, high) in enumerate(zip(lower.tolist(), upper.tolist(), strict=True)):
        lines += [f"(assert (<= x[{k}] {high:.12f}))", f"(assert (>= x[{k}] {low:.12f}))"]
    return "\n".join((*lines, "(assert (<= y[0] y[1]))", ""))
