"""The evaluator: what a graph means at a point, in float64 or in exact rationals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.pairs.difference import Difference
from nnsym.ir.univariate import in_rationals
from nnsym.ir.walk import fold


@np.errstate(over="ignore", invalid="ignore")  # infinities and NaN are values; who asked judges them
def evaluate(roots: Iterable[Node], point: Mapping[Node, Array]) -> dict[Node, Array]:
    """The value of every node that the roots depend on.

    ``point`` gives each input an array of shape ``(..., size)``: float64, or an object array of Fractions,
    for which all results are exact. Smooth activations have no exact value and raise.
    """
    exact = any(value.dtype == object for value in point.values())
    batch = next((value.shape[:-1] for value in point.values()), ())

    def rule(node: Node, args: tuple[Array, ...]) -> Array:
        if node in point:
            value = point[node]
            if value.shape[-1:] != (node.size,):
                raise InputError(f"{node!r} got values of shape {value.shape}")
            return value
        if isinstance(node, Affine) and not args:  # a constant, in the numbers and batch axes of the others
            bias = to_fractions(node.bias) if exact else node.bias
            return np.broadcast_to(bias, (*batch, node.size))
        return apply_node(node, args)

    return fold(roots, rule)


def apply_node(node: Node, args: tuple[Array, ...]) -> Array:
    """One operation on the values of the node's parents."""
    match node:
        case Affine():
            exact = any(a.dtype == object for a in args)
            total = to_fractions(node.bias) if exact else node.bias
            for linear, value in zip(node.maps, args, strict=True):
                total = total + linear.apply(value)
            return np.asarray(total)
        case Pointwise():
            return in_rationals(node.fn, args[0]) if args[0].dtype == object else node.fn.value(args[0])
        case Max():
            filled = node.filled
            return np.asarray(args[0][..., filled].max(axis=-1))
        case Product():
            return np.asarray(args[0] * args[1])
        case Difference():
            return np.asarray(args[0] - args[1])
        case Input():
            raise InputError("the input has no value", where=node.name)
    node.refuse_value()
    raise InputError(f"unknown node {node!r}")
