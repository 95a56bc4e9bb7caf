"""Layers of many neurons over numbers that no float adds exactly: they show what was rounded to the wrong side.

Random networks of short binary fractions never round, so a chord's end or a big-M that was rounded down passes there.
Here bounds and slopes are arbitrary float64 numbers, and runs are at the ends of the bounds, where rows are tight.
Layers of other sizes have numbers between 10^-12 and 10^12, each of its own size, and layers of one neuron; those of
open inputs show an invented bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import Input, Node, Point, affine, maximum, new_input, pointwise, product
from nnsym.ir.query import Query
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
#: Decimal exponents of layers of other sizes; float64 has few more digits than lie between two of them.
_EXPONENTS = 12.0


def layer_query(kind: str, seed: int = 0) -> Query:
    """A layer of one kind over inputs between arbitrary ends; every neuron has its own."""
    rng = np.random.default_rng([seed, LAYERS.index(kind), 41])
    count = _MANY if kind in ("relu", "leaky", "abs", "hinge") else _FEW
    scale = np.exp(_SPREAD * rng.normal(size=count))
    lower, upper = -rng.random(count) * scale, rng.random(count) * scale
    x = new_input("x", count)
    return _about(f"{kind}-layer-{seed}", _layer(kind, rng, x), x, lower, upper)


def sized_query(kind: str, count: int = _FEW) -> Query:
    """The same with both ends, and slopes, of a size each; a third of the ends are whole, a third the other's."""
    rng = np.random.default_rng([LAYERS.index(kind), count, 59])
    lower, upper = -_of_sizes(rng, count), _of_sizes(rng, count)
    which = rng.integers(0, 3, count)
    lower = np.where(which == 0, np.floor(lower), np.where(which == 1, -upper, lower))
    upper = np.where(which == 0, np.ceil(upper), upper)
    x = new_input("x", count)
    return _about(f"{kind}-layer-of-{count}-of-other-sizes", _layer(kind, rng, x, sized=True), x, lower, upper)


def open_query(kind: str, count: int = 6) -> Query:
    """The same over inputs of which a third is open below, a third above and a third to both sides."""
    rng = np.random.default_rng([LAYERS.index(kind), 61])
    lower, upper, which = -rng.random(count), rng.random(count), np.arange(count) % 3
    x = new_input("x", count)
    low, high = np.where(which != 1, -np.inf, lower), np.where(which != 0, np.inf, upper)
    return _about(f"{kind}-layer-of-open-inputs", _layer(kind, rng, x), x, low, high)


def _of_sizes(rng: np.random.Generator, count: int) -> Array:
    return np.asarray(rng.random(count) * 10.0 ** rng.uniform(-_EXPONENTS, _EXPONENTS, count))


def network_query(seed: int = 0) -> Query:
    """One hidden layer of ReLUs over three inputs with random weights: what cuts over several inputs are tight on."""
    rng = np.random.default_rng([seed, 43])
    x = new_input("x", 3)
    h = affine(((Dense(rng.normal(size=(5, 3))), x),), rng.normal(size=5) / 4)
    y = affine(((Dense(rng.normal(size=(2, 5))), pointwise(relu(), h)),), rng.normal(size=2))
    centre, radius = rng.normal(size=3) / 4, 0.3 + rng.random(3)
    return _about(f"real-network-{seed}", y, x, centre - radius, centre + radius)


def layer_points(query: Query) -> Iterator[Point]:
    """All lower ends, all upper ends, zero, then ends at random and points between; float64 numbers as they are.

    An open side is seen as far as 2^40.
    """
    rng = np.random.default_rng(47)
    (x, box), = query.boxes.items()  # fmt: skip
    low, high = (np.clip(side, -(2.0**40), 2.0**40) for side in box.outer)
    zero = np.clip(0.0, low, high)
    yield from ({x: side} for side in (low, high, zero))
    for k in range(2):
        at = rng.random(x.size)
        yield {x: np.where(at < 0.5, low, high) if k % 2 == 0 else np.clip(low + at * (high - low), low, high)}


def _layer(kind: str, rng: np.random.Generator, x: Input, *, sized: bool = False) -> Node:
    n = x.size
    if sized and kind in ("leaky", "hinge"):
        return pointwise(_sized(kind, rng, n), x)
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
            return maximum(x, np.arange(n).reshape(-1, min(n, 3)))
    return product(_half(x, 0), _half(x, 1))


def _sized(kind: str, rng: np.random.Generator, n: int) -> Hinge:
    """Slopes of all sizes; a quarter of the pairs differ in their last digits only."""
    left, right = (rng.choice([-1.0, 1.0], n) * _of_sizes(rng, n) / 10.0 ** rng.integers(0, 12, n) for _ in range(2))
    if kind == "leaky":
        return leaky_relu(np.where(rng.random(n) < 0.25, 1 - 2.0**-50, left))
    return Hinge(left, np.where(rng.random(n) < 0.25, left * (1 + 2.0**-45), right), "hinge")


def _half(x: Input, which: int) -> Node:
    """Every second element, starting with ``which``."""
    return affine(((Dense(np.eye(x.size)[which::2]), x),))


def _about(name: str, y: Node, x: Input, lower: Array, upper: Array) -> Query:
    """A sum of all elements and all inputs with signs is at most 0: a relaxation's least point is a corner of each."""
    rng = np.random.default_rng(53)
    terms = tuple((Dense(np.where(rng.random((1, node.size)) < 0.5, -1.0, 1.0)), node) for node in (y, x))
    return Query(name, {x: Box(lower, upper)}, Rows.of(affine(terms)), Atoms(np.array([0]), strict=False, soft=True))
