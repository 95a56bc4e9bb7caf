"""Layers of many neurons over numbers that no float adds exactly: they show what was rounded to the wrong side.

Random networks of short binary fractions never round, so a chord's end or a big-M that was rounded down passes there.
Here bounds and slopes are arbitrary float64 numbers, and runs are at the ends of the bounds, where rows are tight.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import Input, Node, Point, affine, maximum, new_input, pointwise, product
from nnsym.ir.query import Box, Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import Hinge, absolute, clip, leaky_relu, relu

#: Kinds of layer.
LAYERS = ("relu", "leaky", "abs", "hinge", "clip", "max", "product")
#: Which kinds of random network (:mod:`nnsym.testing.random_nets`) a layer belongs to.
OF_KINDS: Mapping[str, frozenset[str]] = {
    "relu": frozenset({"dense", "residual", "conv"}),
    "leaky": frozenset({"leaky"}),
    "abs": frozenset({"abs"}),
    "hinge": frozenset({"leaky", "abs"}),
    "clip": frozenset({"clip"}),
    "max": frozenset({"maxpool"}),
    "product": frozenset({"dense"}),
}
#: Neurons of a layer (one in two hundred is off by an ulp where the end of a chord is), and of one with many rows each.
_MANY, _FEW = 400, 90
#: Widths are e to so many standard normals: between 10^-4 and 10^4.
_SPREAD = 3.0


def layer_query(kind: str, seed: int = 0) -> Query:
    """A layer of one kind over inputs between arbitrary ends; every neuron has its own."""
    rng = np.random.default_rng([seed, LAYERS.index(kind), 41])
    count = _MANY if kind in ("relu", "leaky", "abs", "hinge") else _FEW
    scale = np.exp(_SPREAD * rng.normal(size=count))
    lower, upper = -rng.random(count) * scale, rng.random(count) * scale
    x = new_input("x", count)
    return _about(f"{kind}-layer-{seed}", _layer(kind, rng, x), x, lower, upper)


def network_query(seed: int = 0) -> Query:
    """One hidden layer of ReLUs over three inputs with random weights: what cuts over several inputs are tight on."""
    rng = np.random.default_rng([seed, 43])
    x = new_input("x", 3)
    h = affine(((Dense(rng.normal(size=(5, 3))), x),), rng.normal(size=5) / 4)
    y = affine(((Dense(rng.normal(size=(2, 5))), pointwise(relu(), h)),), rng.normal(size=2))
    centre, radius = rng.normal(size=3) / 4, 0.3 + rng.random(3)
    return _about(f"real-network-{seed}", y, x, centre - radius, centre + radius)


def layer_points(query: Query) -> Iterator[Point]:
    """All lower ends, all upper ends, zero, then ends at random and points between; float64 numbers as they are."""
    rng = np.random.default_rng(47)
    (x, box), = query.boxes.items()  # fmt: skip
    low, high = box.outer
    zero = np.clip(0.0, low, high)
    yield from ({x: side} for side in (low, high, zero))
    for k in range(2):
        at = rng.random(x.size)
        yield {x: np.where(at < 0.5, low, high) if k % 2 == 0 else np.clip(low + at * (high - low), low, high)}


def _layer(kind: str, rng: np.random.Generator, x: Input) -> Node:
    n = x.size
    match kind:
        case "relu":
            return pointwise(relu(), x)
        case "leaky":
            return pointwise(leaky_relu(np.where(rng.random(n) < 0.3, 0.1, rng.random(n))), x)
        case "abs":
            return pointwise(absolute(), x)
        case "hinge":
            return pointwise(Hinge(rng.normal(size=n), rng.normal(size=n), "hinge"), x)
        case "clip":
            return pointwise(clip(-rng.random(n) * 0.3, rng.random(n) * 0.4 + 0.1), x)
        case "max":
            return maximum(x, np.arange(n).reshape(-1, 3))
    return product(_half(x, 0), _half(x, 1))


def _half(x: Input, which: int) -> Node:
    """Every second element, starting with ``which``."""
    return affine(((Dense(np.eye(x.size)[which::2]), x),))


def _about(name: str, y: Node, x: Input, lower: Array, upper: Array) -> Query:
    """A sum of all elements and all inputs with signs is at most 0: a relaxation's least point is a corner of each."""
    rng = np.random.default_rng(53)
    terms = tuple((Dense(np.where(rng.random((1, node.size)) < 0.5, -1.0, 1.0)), node) for node in (y, x))
    return Query(name, {x: Box(lower, upper)}, Rows.of(affine(terms)), Atoms(np.array([0]), strict=False, soft=True))
