"""Subproblems around known points, and what the kept engine says wrongly of them, for its tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nnsym.bounds.kept.engine import Engine
from nnsym.bounds.kept.types import BatchBounds, Domains, Limit
from nnsym.ir.convolution import Conv
from nnsym.ir.domain import Box
from nnsym.ir.exact import nearest, round_down, round_up, to_fractions
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense, Scale, Select, identity
from nnsym.ir.node import Input, Node, affine, concatenate, constant, maximum, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Hinge, absolute, clip, leaky_relu, relu, sign

ACTIVATIONS = {
    "relu": relu(),
    "leaky": leaky_relu(0.1),
    "abs": absolute(),
    "prelu": Hinge(np.array([0.3, -0.7, 1.5, 0.0]), np.array([1.0, 1.0, 0.2, -1.0])),
    "concave": Hinge(np.array([1.0]), np.array([0.3])),
    "clip": clip(-0.3, 0.7),
    "sign": sign(),
    "sigmoid": Sigmoid(),
    "tanh": Tanh(),
}
EXACT = tuple(name for name, fn in ACTIVATIONS.items() if fn.exact)


def network_query(seed: int, activation: str, *, radius: float = 0.5, scale: float = 1.0, pooled: bool = True) -> Query:
    """A residual network with a maximum, a product, copies and two inputs; ``scale`` spreads the sizes of weights."""
    rng = np.random.default_rng(seed)
    fn = ACTIVATIONS[activation]

    def dense(m: int, n: int) -> Dense:
        return Dense(rng.normal(size=(m, n)) * np.exp(rng.normal(size=(m, 1)) * np.log(scale)))

    x, t = new_input("x", 3), new_input("t", 1)
    h = affine(((dense(4, 3), x), (dense(4, 1), t)), rng.normal(size=4) * 0.3)
    a = pointwise(fn, h)
    g = affine(((dense(4, 4), a), (identity(4), h)), rng.normal(size=4))
    b = pointwise(fn, g)
    m = maximum(g, [[0, 3], [1, 2], [1, -1], [0, 1]]) if pooled else pointwise(absolute(), g)
    scaled = affine(((Scale(rng.normal(size=4)), b), (Select(np.array([3, -1, 0, 0]), 4), m)))
    p = product(scaled, pointwise(relu(), g))
    convolved = affine(((Conv(rng.normal(size=(1, 1, 2)), (1, 4), (1,), (0, 0), (1,)), p),), 0.1)
    y = affine(((dense(3, 4), m), (dense(3, 3), convolved), (dense(3, 4), a)), rng.normal(size=3))
    centre = rng.normal(size=4) / 3
    rows = Rows.of(concatenate((y, constant([0.25])))).combine(np.array([[1.0, -1, 0, 1], [0, 1, 1, 0], [0, 0, -1, 0]]))
    boxes = {x: Box(centre[:3] - radius, centre[:3] + radius), t: Box(centre[3:] - radius, centre[3:] + radius)}
    return Query(f"kept-{activation}-{seed}", boxes, rows, Atoms(np.arange(3), True, True))


def inside(query: Query, rng: np.random.Generator, count: int) -> dict[Input, Any]:
    """Points of the boxes, corners among them, as Fractions ``(count, n)``."""
    found = {}
    for x, box in query.boxes.items():
        lower, upper = to_fractions(box.lower), to_fractions(box.upper)
        share = to_fractions(rng.choice([0.0, 1.0, 0.25, 0.5, 0.875], size=(count, x.size)))
        found[x] = lower + (upper - lower) * share
    return found


def around(values: Mapping[Node, Any], engine: Engine, rng: np.random.Generator) -> dict[Node, Limit]:
    """Limits that the points keep: smaller boxes, phases, cells and halves of random elements."""
    limits = {}
    for node in (*engine.query.inputs, *engine.plan.arguments):
        exact = values[node]
        lower, upper = (np.full(exact.shape, side) for side in (-np.inf, np.inf))
        kind = rng.integers(0, 5, exact.shape)
        low, high = round_down(exact), round_up(exact)
        near = np.abs(rng.normal(size=exact.shape)) * np.abs(nearest(exact)) * 0.5
        lower = np.where(kind == 1, low, lower)
        upper = np.where(kind == 1, high + near, upper)
        lower, upper = np.where(kind == 2, low - near, lower), np.where(kind == 2, high, upper)
        lower = np.where((kind == 3) & (low >= 0), 0.0, lower)
        upper = np.where((kind == 3) & (high <= 0), 0.0, upper)
        if rng.random() < 0.7:
            limits[node] = Limit(lower, upper)
    return limits


def met(one: Mapping[Node, Limit], two: Mapping[Node, Limit]) -> dict[Node, Limit]:
    """Limits of both."""
    return {n: one[n].meet(two[n]) if n in one and n in two else one.get(n) or two[n] for n in {**one, **two}}


def faults(engine: Engine, values: Mapping[Node, Any], found: BatchBounds) -> list[str]:
    """What is said wrongly of points, one in each subproblem, whose exact values are given."""
    rows, wrong = engine.query.rows.value(values), []
    count = len(found)
    if found.empty.any():
        wrong.append("empty")
    for node, limit in found.ranges.items():
        if (values[node] < limit.lower).any() or (values[node] > limit.upper).any():
            wrong.append(f"range of {node!r}")
    if (rows < found.lower).any():
        wrong.append("rows")
    for k in range(count):
        for r in range(rows.shape[1]):
            if np.isfinite(found.constant[k, r]):
                form = to_fractions(float(found.constant[k, r]))
                for x, c in found.forms.items():
                    form += (to_fractions(c[k, r].astype(np.float64)) * values[x][k]).sum()
                if rows[k, r] < form:
                    wrong.append("forms")
    return wrong


def root(engine: Engine, count: int) -> Domains:
    """The query itself, several times."""
    return engine.root().take(np.zeros(count, dtype=np.int64))


def relu_query(
    seed: int = 0, widths: tuple[int, ...] = (12, 10, 8), inputs: int = 4, radius: float = 0.6, shift: float = -0.2
) -> Query:
    """A ReLU network with some neurons that are dead."""
    rng = np.random.default_rng(seed)
    x = new_input("x", inputs)
    node: Node = x
    for width in widths:
        weight = rng.normal(size=(width, node.size)) / np.sqrt(node.size)
        node = pointwise(relu(), affine(((Dense(weight), node),), rng.normal(size=width) + shift))
    y = affine(((Dense(rng.normal(size=(3, node.size))), node),), rng.normal(size=3))
    rows = Rows.of(y)
    box = Box(np.full(inputs, -radius), np.full(inputs, radius))
    return Query("relu", {x: box}, rows, Atoms(np.arange(3), strict=False, soft=True, every=False))


def boxes(query: Query, rng: np.random.Generator, count: int) -> tuple[Input, Limit]:
    """Random boxes inside the query's."""
    (x,) = query.inputs
    lower, upper = query.boxes[x].outer
    ends = np.sort(rng.uniform(lower, upper, size=(2, count, x.size)), axis=0)
    return x, Limit(ends[0], ends[1])
