"""Queries on which bounds go wrong: sums that cancel; boxes that are points; whole, open, several inputs; products."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.domain import Box
from nnsym.ir.formula import Atoms
from nnsym.ir.linear import Dense
from nnsym.ir.node import Input, Node, affine, maximum, new_input, pointwise, product
from nnsym.ir.query import Query
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import absolute, clip, leaky_relu, relu
from nnsym.testing.random_nets import Random


def about(name: str, y: Node, x: Input, lower: Array, upper: Array) -> Query:
    """Some element of y is at most 0."""
    return Query(
        name, {x: Box(lower, upper)}, Rows.of(y), Atoms(np.arange(y.size), strict=False, soft=True, every=False)
    )


def real_network(rng: Random, x: Node, width: int = 3) -> Node:
    """Two hidden layers and two outputs with random float64 numbers, a leaky, an absolute and a clipped one."""
    first = pointwise(relu(), dense(rng, x, width))
    functions = (leaky_relu(0.1), absolute(), clip(-0.3, 0.7))
    second = pointwise(functions[int(rng.integers(3))], dense(rng, first, width))
    pooled = maximum(second, np.array([[0, 1], [1, 2]]))
    return dense(rng, pooled, 2)


def dense(rng: Random, x: Node, outputs: int) -> Node:
    """An affine layer of normally distributed numbers."""
    return affine(((Dense(rng.normal(size=(outputs, x.size))), x),), rng.normal(size=outputs))


def cancelling(rng: Random, x: Node) -> Node:
    """``W x - W' x`` for weights of 1e8 that differ by some ulps, and ReLUs of it: rounding is all there is."""
    weights = rng.normal(size=(3, x.size)) * 1e8
    near = weights * (1 + rng.integers(-3, 4, weights.shape) * 2.0**-52)
    apart = affine(((Dense(weights), x), (Dense(-near), x)), rng.normal(size=3) * 1e-9)
    return dense(rng, pointwise(relu(), apart), 2)


def real_queries() -> Iterator[Query]:
    """Wide boxes, boxes that are points, and boxes whose ends are rationals that no float is."""
    for seed in range(2):
        rng = np.random.default_rng([seed, 23])
        centre, radius = rng.normal(size=2), np.abs(rng.normal(size=2))
        for shape, r in (("wide", radius), ("thin", radius * 1e-9), ("point", 0 * radius)):
            for name, build in (("real", real_network), ("cancelling", cancelling)):
                x = new_input("x", 2)
                yield about(f"{name}-{shape}-{seed}", build(rng, x), x, centre - r, centre + r)
        x = new_input("x", 2)
        thirds = np.array([Fraction(1, 3), Fraction(-2, 7)], dtype=object)
        width = np.array([Fraction(seed, 10**6)] * 2, dtype=object)
        yield about(f"rational-{seed}", real_network(rng, x), x, thirds - width, thirds + width)
        yield about(f"inputs-{seed}", affine(((Dense(np.eye(2)), x),), np.array([0.1, 0.3])), x, thirds, thirds + width)


def integer_queries() -> Iterator[Query]:
    """Whole inputs whose box is not whole, and a real one beside."""
    for seed in range(2):
        rng = np.random.default_rng([seed, 29])
        x = new_input("x", 2, integer=[True, seed == 1])
        yield about(f"integer-{seed}", real_network(rng, x), x, np.array([-2.5, -0.75]), np.array([1.5, 2.25]))


def infinite_queries() -> Iterator[Query]:
    """One side or both of an input are open."""
    for seed, (low, high) in enumerate(((-np.inf, np.inf), (-1.0, np.inf), (-np.inf, 0.5))):
        rng = np.random.default_rng([seed, 31])
        x = new_input("x", 2)
        yield about(f"open-{seed}", real_network(rng, x), x, np.array([low, -1.0]), np.array([high, 1.0]))


def _of_pair(name: str, y: Node, *inputs: Input) -> Query:
    """Some element of y is at most 0, on a box of each input."""
    boxes = {x: Box(np.full(x.size, -0.75 - k), np.full(x.size, 0.5 + k)) for k, x in enumerate(inputs)}
    return Query(name, boxes, Rows.of(y), Atoms(np.arange(y.size), strict=False, soft=True, every=False))


def pair_queries() -> Iterator[Query]:
    """Two inputs that meet in one layer."""
    rng = np.random.default_rng(37)
    a, b = new_input("a", 1), new_input("b", 1)
    both = affine(((Dense(rng.normal(size=(3, 1))), a), (Dense(rng.normal(size=(3, 1))), b)), rng.normal(size=3))
    yield _of_pair("pair", dense(rng, pointwise(relu(), both), 2), a, b)


def run_queries() -> Iterator[Query]:
    """Two runs of one network, at inputs of their own: what they differ by, node by node, may be claimed."""
    for seed in range(2):
        a, b = new_input("a", 1), new_input("b", 1)
        one, two = (real_network(np.random.default_rng([seed, 43]), x) for x in (a, b))
        yield _of_pair(f"runs-{seed}", affine(((Dense(np.eye(2)), one), (Dense(-np.eye(2)), two))), a, b)


def product_queries() -> Iterator[Query]:
    """Products of two inputs, and of two hidden values."""
    rng = np.random.default_rng(41)
    a, b = new_input("a", 1), new_input("b", 1)
    yield _of_pair("product", dense(rng, product(a, b), 2), a, b)
    x = new_input("x", 2)
    hidden = pointwise(relu(), dense(rng, x, 3))
    yield _of_pair("product-hidden", dense(rng, product(hidden, dense(rng, x, 3)), 2), x)
