"""Networks from arrays: dense layers with one activation between them, replayed in exact rationals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array, unmasked
from nnsym.ir.exact import from_numbers
from nnsym.ir.functions.activations import find_activation
from nnsym.ir.linear import Dense
from nnsym.ir.network import Network, Tensor
from nnsym.ir.node import Node, affine, new_input, pointwise
from nnsym.ir.univariate import Univariate
from nnsym.ir.words import count_of


def sequential(
    layers: Iterable[tuple[object, object]], *, activation: str | Univariate = "relu", name: str = "f"
) -> Network:
    """``x -> W_n act(... act(W_1 x + b_1) ...) + b_n`` for ``layers = [(W_1, b_1), ..., (W_n, b_n)]``.

    ``W`` has shape (outputs, inputs), ``b`` has shape (outputs,) or is None for zeros; nested lists of numbers
    are taken. ``activation`` stands between layers, not after the last: ``relu``, ``leaky_relu`` (slope 0.01),
    ``abs``, ``relu6``, ``hard_tanh``, ``sign``, ``sigmoid``, ``tanh``, a name that an installed package offers
    (:mod:`nnsym.ir.functions.activations`), or a :class:`~nnsym.ir.univariate.Univariate`.
    The input is named ``x``, the output ``y``; ``affine_i`` and ``act_i`` name the values in between. Raises
    :class:`InputError` naming the layer.
    """
    fn = find_activation(activation)
    if not isinstance(layers, Iterable):
        raise InputError(f"{type(layers).__name__} is no list of layers", where=name, remedy="Pass [(W, b), ...]")
    pairs = list(layers)
    if not pairs:
        raise InputError("a network needs at least one layer", where=name)
    node: Node | None = None
    start: Node | None = None
    tensors: dict[str, Tensor] = {}
    for number, pair in enumerate(pairs, start=1):
        where = f"{name}: layer {number}"
        weight, bias = _layer(pair, where)
        if node is None:
            node = start = new_input("x", weight.shape[1])
        elif number > 1:
            node = pointwise(fn, node)
            tensors[f"act_{number - 1}"] = Tensor(node, (node.size,))
        if weight.shape[1] != node.size:
            raise InputError(
                f"W has shape {weight.shape} but gets {count_of(node.size, 'element')}",
                where=where,
                remedy="W is (outputs, inputs)",
            )
        node = affine(((Dense(weight), node),), bias)
        tensors[f"affine_{number}"] = Tensor(node, (node.size,))
    assert node is not None
    assert start is not None
    inputs, outputs = {"x": Tensor(start, (start.size,))}, {"y": Tensor(node, (node.size,))}
    return Network(name, inputs, outputs, tensors | inputs | outputs)


def _layer(pair: Any, where: str) -> tuple[Array, Array]:
    try:
        given_weight, given_bias = pair
    except (TypeError, ValueError):
        raise InputError("not a pair (W, b)", where=where, remedy="Pass [(W, b), ...]") from None
    weight = _numbers(given_weight, f"{where}: W")
    if weight.ndim != 2 or not weight.size:
        raise InputError(f"W has shape {weight.shape}", where=where, remedy="W is a matrix (outputs, inputs)")
    if given_bias is None:
        return weight, np.zeros(weight.shape[0])
    bias = _numbers(given_bias, f"{where}: b")
    if bias.shape != weight.shape[:1]:
        raise InputError(
            f"b has shape {bias.shape}, W has shape {weight.shape}", where=where, remedy="b has one number per row of W"
        )
    return weight, bias


def _numbers(values: object, where: str) -> Array:
    try:
        array = from_numbers(unmasked(values, "an array", where))
    except (TypeError, ValueError):
        raise InputError("not an array of numbers, or ragged", where=where) from None
    if array.dtype == object:
        raise InputError("holds numbers that are not float64", where=where, remedy="Convert them with float()")
    if not np.isfinite(array).all():
        raise InputError("holds NaN or infinity", where=where, remedy="Check the weights")
    return array
