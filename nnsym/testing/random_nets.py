"""Small random networks and queries, deterministic by seed: what encodings, bounds and solvers are tested on.

Weights and biases are short dyadic rationals, so that exact arithmetic stays cheap and float arithmetic is
often exact too. With the default sizes the exact oracle takes well under a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv, window_sources
from nnsym.ir.domain import Box
from nnsym.ir.exact import add, from_numbers
from nnsym.ir.formula import Atoms, InBox, RowFormula, conjunction, disjunction, leaves
from nnsym.ir.linear import Dense
from nnsym.ir.network import Network, Tensor
from nnsym.ir.node import Input, Node, affine, concatenate, maximum, new_input, pointwise
from nnsym.ir.query import Query
from nnsym.ir.rational.oracle import minimum_margin
from nnsym.ir.rows import Rows, stack
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Hinge, Univariate, absolute, clip, leaky_relu, relu, sign

Random = np.random.Generator

#: Kinds whose networks are piecewise linear; the exact oracle knows their margins.
KINDS = ("dense", "leaky", "abs", "residual", "conv", "maxpool")
#: Kinds with more lines than two: ``clip``, and ``sign``, which jumps, on its first layer. The oracle knows them too.
PIECE_KINDS = ("clip", "sign")
#: Kinds with smooth activations.
SMOOTH_KINDS = ("sigmoid", "tanh")


def random_network(kind: str, seed: int, *, inputs: int = 2, width: int = 4, outputs: int = 3) -> Network:
    """A network of :data:`KINDS`, :data:`PIECE_KINDS` or :data:`SMOOTH_KINDS`, two layers of about ``width`` neurons.

    Images of ``conv`` have shape (1, 2, 3) whatever ``inputs`` says.
    """
    builders: dict[str, Callable[[Random, Input, int], Node]] = {
        "dense": lambda rng, x, n: _chain(rng, x, n, relu()),
        "leaky": lambda rng, x, n: _chain(rng, x, n, leaky_relu(rng.choice([-0.25, 0.125, 0.25, 1.5], size=n))),
        "abs": lambda rng, x, n: _chain(rng, x, n, absolute()),
        "residual": _residual,
        "conv": _convolution,
        "maxpool": _maxpool,
        "sigmoid": lambda rng, x, n: _chain(rng, x, n, Sigmoid()),
        "tanh": lambda rng, x, n: _chain(rng, x, n, Tanh()),
        "clip": lambda rng, x, n: _chain(rng, x, n, clip(-rng.integers(0, 9, n) / 8, rng.integers(1, 13, n) / 8)),
        "sign": lambda rng, x, n: pointwise(relu(), _dense(rng, pointwise(sign(), _dense(rng, x, n)), n)),
    }
    if kind not in builders:
        raise InputError(f"'{kind}' is no kind of random network", remedy=f"Known: {', '.join(builders)}")
    number = (*sorted({*KINDS, *SMOOTH_KINDS}), *PIECE_KINDS).index(
        kind
    )  # a new kind leaves the others' networks alone
    rng = np.random.default_rng([seed, number])
    shape = (1, 2, 3) if kind == "conv" else (inputs,)
    x = new_input("x", int(np.prod(shape)))
    y = _dense(rng, builders[kind](rng, x, width), outputs)
    return Network(f"{kind}-{seed}", {"x": Tensor(x, shape)}, {"y": Tensor(y, (outputs,))})


def random_query(network: Network, seed: int, *, tight: bool = False, max_unstable: int = 12) -> Query:
    """A box and one to three soft atoms over the network, joined in some way, at times under a precondition.

    With ``tight`` the soft rows are shifted by the exact least margin, so that the margin becomes -2^-12, 0 or
    2^-12 (unless the precondition is empty). Raises what the oracle raises for networks that it cannot take.
    """
    rng = np.random.default_rng([seed, 7])
    inputs = tuple(new_input(name, tensor.node.size) for name, tensor in network.inputs.items())
    application = network.apply(inputs)
    x, y = concatenate(inputs), concatenate(tuple(application.output(name) for name in network.outputs))
    boxes, centre = {}, []
    for node in inputs:
        middle, radius = _dyadic(rng, (node.size,), 8, 8), rng.integers(2, 9, node.size) / 8
        boxes[node] = Box(middle - radius, middle + radius)
        centre.append(middle)
    rows, formula = _formula(rng, x, y, np.concatenate(centre), boxes)
    query = Query(
        name=f"{network.name}-query-{seed}",
        boxes=boxes,
        rows=rows,
        formula=formula,
        applications=(application,),
        text=f"random query {seed} about {network.name}",
        labels=tuple(f"s_{k} <= 0" for k in range(len(rows))),
    )
    return tighten(query, rng.choice([-1.0, 0.0, 1.0]) / 2**12, max_unstable=max_unstable) if tight else query


def tighten(query: Query, margin: float, *, max_unstable: int = 12) -> Query:
    """The query with its soft rows shifted by one number, so that its least margin is exactly ``margin``."""
    least = minimum_margin(query, max_unstable=max_unstable).margin
    return shifted(query, Fraction(margin) - least) if isinstance(least, Fraction) else query


def shifted(query: Query, by: Fraction) -> Query:
    """The query with a number added to its soft rows, and so to its margins."""
    soft = np.zeros(len(query.rows), dtype=bool)
    for leaf in leaves(query.formula):
        if isinstance(leaf, Atoms) and leaf.soft:
            soft[leaf.rows] = True
    shift = from_numbers(np.array([by if s else Fraction(0) for s in soft], dtype=object))
    rows = Rows(query.rows.parts, add(query.rows.constant, shift))
    return Query(query.name, query.boxes, rows, query.formula, query.applications, query.text, query.labels)


def _dyadic(rng: Random, shape: tuple[int, ...], bound: int, denominator: int) -> Array:
    return rng.integers(-bound, bound + 1, size=shape) / denominator


def _dense(rng: Random, x: Node, outputs: int) -> Node:
    return affine(((Dense(_dyadic(rng, (outputs, x.size), 6, 4)), x),), _dyadic(rng, (outputs,), 4, 8))


def _chain(rng: Random, x: Input, width: int, fn: Univariate) -> Node:
    first = pointwise(fn, _dense(rng, x, width))
    return pointwise(fn, _dense(rng, first, width))


def _residual(rng: Random, x: Input, width: int) -> Node:
    first = pointwise(relu(), _dense(rng, x, width))
    second = _dense(rng, first, width)
    both = affine(((Dense(np.eye(width)), first), (Dense(np.eye(width)), second)))
    return pointwise(Hinge(np.zeros(1), np.ones(1), "relu"), both)


def _convolution(rng: Random, x: Input, width: int) -> Node:
    conv = Conv(_dyadic(rng, (2, 1, 2, 2), 6, 4), (1, 2, 3), (1, 1), (0, 0, 0, 0), (1, 1))
    image = pointwise(relu(), affine(((conv, x),), np.repeat(_dyadic(rng, (2,), 4, 8), conv.n_out // 2)))
    return pointwise(relu(), _dense(rng, image, width))


def _maxpool(rng: Random, x: Input, width: int) -> Node:
    image = _dense(rng, x, 8)  # read as (1, 2, 4), pooled by 2 x 2 windows
    source, inside = window_sources((2, 4), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1))
    return pointwise(relu(), _dense(rng, maximum(image, np.where(inside, source, -1)), width))


def _formula(rng: Random, x: Node, y: Node, centre: Array, boxes: dict[Input, Box]) -> tuple[Rows, RowFormula]:
    """Soft atoms over outputs (and at times an input), all, any, or one of two pairs; at times a precondition."""
    count = int(rng.integers(1, 4))
    weights = _dyadic(rng, (count, y.size), 2, 2)
    weights[np.arange(count), rng.integers(y.size, size=count)] += 1.0
    soft = Rows.of(y).combine(weights)
    if rng.random() < 0.3:
        soft = soft + Rows.of(x).combine(_dyadic(rng, (count, x.size), 1, 2))
    soft = soft + Rows.constants(_dyadic(rng, (count,), 16, 8))
    strict = bool(rng.random() < 0.3)
    conclusion: RowFormula = Atoms(np.arange(count), strict, soft=True, every=bool(rng.random() < 0.5))
    if count == 3 and rng.random() < 0.5:
        pair = Atoms(np.array([0, 1]), strict, soft=True)
        conclusion = disjunction(pair, conjunction(Atoms(np.array([1, 2]), strict, soft=True)))
    if rng.random() < 0.3:  # halves of the box, as real properties put boxes inside "or"
        conclusion = conjunction(conclusion, _halves(rng, boxes))
    if rng.random() < 0.3:
        plane = _dyadic(rng, (1, x.size), 2, 2)
        limit = from_numbers(
            [Fraction(1, 8) + sum(Fraction(a) * Fraction(c) for a, c in zip(plane[0], centre, strict=True))]
        )
        hard = Rows.of(x).combine(plane) - Rows.constants(limit)
        return stack((soft, hard)), conjunction(Atoms(np.array([count]), strict=False, soft=False), conclusion)
    return soft, conclusion


def _halves(rng: Random, boxes: dict[Input, Box]) -> RowFormula:
    node, box = next(iter(boxes.items()))
    k = int(rng.integers(node.size))
    first, second = box.upper.copy(), box.lower.copy()
    first[k] -= 3 * (box.upper[k] - box.lower[k]) / 4
    second[k] += (box.upper[k] - box.lower[k]) / 2
    return disjunction(InBox(node, box.lower, first), InBox(node, second, box.upper))
