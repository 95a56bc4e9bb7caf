"""Einsum: sums of products over named axes."""

from __future__ import annotations

import math

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.network import Tensor
from nnsym.read.ops.base import Call
from nnsym.read.ops.products import summed
from nnsym.read.sizes import LARGEST_CONSTANT, require_size
from nnsym.read.tensors import Value, floating, numbers


def einsum(call: Call) -> list[Value]:
    """One or two tensors; what one constant alone would be summed over is refused, as that would round it."""
    operands = [call.value(k) for k in range(len(call.inputs))]
    if len(operands) > 2:
        raise call.refuse("an Einsum of more than two tensors", "Export it as several, of two each")
    terms, result = named_axes(call.text("equation", ""), [len(v.shape) for v in operands])
    lengths: dict[str, int] = {}
    for names, value in zip(terms, operands, strict=True):
        for name, length in zip(names, value.shape, strict=True):
            lengths[name] = max(length, lengths.get(name, 1))
    inner = [n for n in lengths if n not in result]
    computed = [k for k, v in enumerate(operands) if isinstance(v, Tensor)]
    if len(computed) == 1 and not set(inner) <= set(terms[computed[0]]):
        raise call.refuse("an Einsum that sums a constant alone", "Sum it before the export")
    shape = tuple(lengths[n] for n in result)
    joint = (*shape, *(lengths[n] for n in inner))
    require_size(joint, "the products of an Einsum", largest=LARGEST_CONSTANT)
    over = math.prod(lengths[n] for n in inner)
    arrays = [
        np.broadcast_to(_on_axes(v, names, [*result, *inner]), joint).reshape(*shape, over)
        for v, names in zip(operands, terms, strict=True)
    ]
    if len(operands) == 1:
        operands, arrays = [*operands, np.ones(())], [*arrays, np.ones((1,) * (len(shape) + 1))]
    return [summed(operands[0], arrays[0], operands[1], arrays[1], shape)]


def _on_axes(value: Value, given: list[str], axes: list[str]) -> Array:
    """Element numbers, or a constant's numbers, with one axis for each name, of length 1 where it has none."""
    array, names = numbers(value) if isinstance(value, Tensor) else floating(value), list(given)
    for name in dict.fromkeys(given):
        while names.count(name) > 1:  # a diagonal, which NumPy puts last
            first = names.index(name)
            second = names.index(name, first + 1)
            array = np.diagonal(array, axis1=first, axis2=second)
            names = [n for k, n in enumerate(names) if k not in (first, second)] + [name]
    array = array.transpose([names.index(n) for n in axes if n in names])
    lengths = iter(array.shape)
    return array.reshape([next(lengths) if n in names else 1 for n in axes])


def named_axes(equation: str, ranks: list[int]) -> tuple[list[list[str]], list[str]]:
    """The names of the axes of every operand and of the result; those of an ellipsis are numbered from the back."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(ranks):
        raise ValueError(f"the equation '{equation}' does not fit {len(ranks)} operands")
    most, terms = 0, []
    for text, rank in zip(texts, ranks, strict=True):
        before, dots, after = text.partition("...")
        hidden = rank - len(before) - len(after) if dots else 0
        most = max(most, hidden)
        terms.append([*before, *(f"~{k}" for k in range(hidden, 0, -1)), *after])
        if len(terms[-1]) != rank:
            raise ValueError(f"the term '{text}' does not fit {rank} axes")
    every = [f"~{k}" for k in range(most, 0, -1)]
    if arrow:
        before, dots, after = right.partition("...")
        return terms, [*before, *(every if dots else ()), *after]
    names = [n for term in terms for n in term if not n.startswith("~")]
    return terms, [*every, *sorted(n for n in set(names) if names.count(n) == 1)]
