"""Exact values as whole numbers over one denominator: a forward pass in rationals that large networks can afford.

A vector is ``numerators / denominator`` with Python integers of any size. Coefficients of a network are floats, hence
whole numbers times one power of two per map; a layer is then a product of whole numbers, and no fraction is ever
reduced. (A layer of ``n`` weights costs about 0.1 us times ``n``; Fractions take thirty times as long.)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array
from nnsym.ir.linear import Dense, LinearMap, Scale, Select
from nnsym.ir.node import Affine, Input, Max, Node, Pointwise, Product
from nnsym.ir.pairs.difference import Difference
from nnsym.ir.univariate import Hinge, no_rationals
from nnsym.ir.walk import fold

_ENTRIES = 2**20  # coefficients of a sparse map that are turned into integers at once


@final
@dataclass(frozen=True, eq=False)
class Scaled:
    """``numerators / denominator``: an object array of integers ``(n,)`` over one positive integer."""

    numerators: Array
    denominator: int

    @staticmethod
    def of(values: Array) -> Scaled:
        """Finite floats, integers or Fractions, exactly."""
        if values.dtype != object:
            return _of_floats(values.astype(np.float64).ravel())
        fractions = [Fraction(v) for v in values.ravel().tolist()]
        common = math.lcm(*(v.denominator for v in fractions)) if fractions else 1
        return Scaled(_integers([v.numerator * (common // v.denominator) for v in fractions]), common)

    def fractions(self) -> Array:
        """The same as an object array of Fractions."""
        out = np.empty(len(self.numerators), dtype=object)
        out[:] = [Fraction(v, self.denominator) for v in self.numerators.tolist()]
        return out

    def over(self, denominator: int) -> Array:
        """The numerators over a multiple of the denominator."""
        factor = denominator // self.denominator
        return self.numerators if factor == 1 else self.numerators * factor

    def __len__(self) -> int:
        return len(self.numerators)


def evaluate_scaled(roots: Iterable[Node], point: Mapping[Input, Array]) -> dict[Node, Scaled]:
    """Every node that the roots depend on, at exact numbers for every input.

    Raises :class:`UnsupportedError` for a smooth activation, which has no rational value.
    """

    def rule(node: Node, args: tuple[Scaled, ...]) -> Scaled:
        if isinstance(node, Input):
            return Scaled.of(np.asarray(point[node]))
        return apply_scaled(node, args)

    return fold(roots, rule)


def apply_scaled(node: Node, args: tuple[Scaled, ...]) -> Scaled:
    """One operation on the exact values of the node's parents."""
    match node:
        case Affine():
            return _affine(node, args)
        case Pointwise(fn=Hinge() as fn):
            return _hinge(fn, args[0])
        case Pointwise() if node.fn.exact:
            return Scaled.of(np.asarray(node.fn.value(args[0].fractions())))
        case Pointwise():
            raise no_rationals(node.fn)
        case Max():
            filled = node.filled
            return Scaled(args[0].numerators[filled].max(axis=-1), args[0].denominator)
        case Product():
            return Scaled(args[0].numerators * args[1].numerators, args[0].denominator * args[1].denominator)
        case Difference():
            common = math.lcm(args[0].denominator, args[1].denominator)
            return Scaled(args[0].over(common) - args[1].over(common), common)
    raise InputError(f"no exact value of {node!r}")


def _integers(values: list[int]) -> Array:
    out = np.empty(len(values), dtype=object)
    out[:] = values
    return out


def _of_floats(values: Array) -> Scaled:
    """Floats as integers over the least power of two that does for all."""
    if not np.isfinite(values).all():
        raise InputError("infinities and NaN have no exact value")
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    used = whole != 0
    if not used.any():
        return Scaled(_integers([0] * len(values)), 1)
    trailing = _trailing_zeros(whole[used])
    least = int((exponent[used] - 53 + trailing).min())
    shift = exponent - 53 - least  # negative only where the low bits of the mantissa are zero
    down = np.where(used, np.minimum(shift, 0), 0)
    numbers = (whole >> -down).astype(object)
    up = np.where(used, np.maximum(shift, 0), 0)
    if up.any():
        numbers = np.left_shift(numbers, up.astype(object))
    if least > 0:
        return Scaled(numbers * (1 << least), 1)
    return Scaled(numbers, 1 << -least)


def _trailing_zeros(whole: Array) -> Array:
    """How many low bits of each nonzero int64 are zero."""
    lowest = (whole & -whole).astype(np.float64)
    return np.frexp(lowest)[1] - 1


def _affine(node: Affine, args: tuple[Scaled, ...]) -> Scaled:
    terms = [_Term.of(linear, arg) for linear, arg in zip(node.maps, args, strict=True)]
    bias = _of_floats(node.bias)
    common = math.lcm(bias.denominator, *(t.denominator for t in terms))
    total = bias.over(common)
    for term in terms:
        factor = common // term.denominator
        total = total + (term.numerators if factor == 1 else term.numerators * factor)
    return Scaled(np.asarray(total, dtype=object), common)


@final
@dataclass(frozen=True, eq=False)
class _Term:
    """A map applied to a vector."""

    numerators: Array
    denominator: int

    @staticmethod
    def of(linear: LinearMap, arg: Scaled) -> _Term:
        match linear:
            case Select():
                taken = arg.numerators[linear.index] if len(arg) else _integers([0] * linear.n_out)
                return _Term(np.where(linear.index >= 0, taken, 0), arg.denominator)
            case Scale():
                factor = _of_floats(linear.factor)
                return _Term(factor.numerators * arg.numerators, factor.denominator * arg.denominator)
            case Dense():
                weight = _of_floats(linear.weight.ravel())
                matrix = weight.numerators.reshape(linear.weight.shape)
                return _Term(matrix.dot(arg.numerators), weight.denominator * arg.denominator)
        return _Term._sparse(linear, arg)

    @staticmethod
    def _sparse(linear: LinearMap, arg: Scaled) -> _Term:
        """Rows in chunks, each over its own power of two; the chunks are brought over one at the end."""
        data, indices, indptr = linear.csr()
        chunks: list[Scaled] = []
        first = 0
        while first < linear.n_out:
            last = max(first + 1, int(np.searchsorted(indptr, indptr[first] + _ENTRIES, "right")) - 1)
            span = slice(int(indptr[first]), int(indptr[last]))
            weight = _of_floats(data[span])
            product = weight.numerators * arg.numerators[indices[span]]
            sums = np.zeros(last - first, dtype=object)
            filled = np.flatnonzero(np.diff(indptr[first : last + 1]))
            if len(filled):
                sums[filled] = np.add.reduceat(product, indptr[first:last][filled] - indptr[first])
            chunks.append(Scaled(sums, weight.denominator))
            first = last
        common = math.lcm(*(c.denominator for c in chunks)) if chunks else 1
        joined = np.concatenate([c.over(common) for c in chunks]) if chunks else _integers([])
        return _Term(joined, common * arg.denominator)


def _hinge(fn: Hinge, x: Scaled) -> Scaled:
    left, right = _of_floats(fn.left), _of_floats(fn.right)
    common = math.lcm(left.denominator, right.denominator)
    slope = np.where(np.asarray(x.numerators > 0, dtype=bool), right.over(common), left.over(common))
    return Scaled(np.asarray(slope * x.numerators, dtype=object), common * x.denominator)
