"""What several nodes compute together is often one function, with bounds that no product of them has.

``x (1 + erf(x / sqrt 2)) / 2`` is GELU, and as a product of two nodes it would be bounded as if its factors did not
know of each other. Every node that a lowering makes is looked at once: the compounds below are told by what they are,
whatever the order and the places of their constants. Constants are compared and combined as rationals; where one would
have to be rounded, the nodes stay as they are.

| nodes | function |
| --- | --- |
| ``x (k + k erf(s x))`` | GELU |
| ``x (k + k tanh(r x + r c x^3))``, ``x k sigmoid(2 r x + 2 r c x^3)`` | GELU's form with tanh |
| ``x k sigmoid(s x)``, ``x (k + k tanh(s x / 2))``, ``x k / (1 + e^(-s x))`` | SiLU |
| ``x tanh(softplus(x))`` | Mish |
| ``x clip(q x + p, 0, h)`` | HardSwish |
| ``x / (k + k abs(x))`` | softsign |
| ``1 / (1 + e^-x)``, ``ln(1 + e^x)``, ``ln(sigmoid(x))`` | sigmoid, softplus, log-sigmoid |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.functions.exponentials import Exp, Log, LogSigmoid, Softplus
from nnsym.ir.functions.gates import Gelu, HardSwish, Mish, Silu, TanhGelu
from nnsym.ir.functions.powers import Reciprocal, WholePower
from nnsym.ir.functions.steps import Erf, Softsign
from nnsym.ir.linear import LinearMap, Scale, Select
from nnsym.ir.node import Affine, Node, Pointwise, Product, affine, pointwise
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Hinge, Piecewise, Univariate

Polynomial = dict[int, Fraction]

_HIGHEST = 3  # the degree of the polynomials that compounds contain
_DEEP = 12  # nodes between a function and its argument


def compound(node: Node) -> Node:
    """The one function that a node is of a node before it, times a number; the node itself where it is none."""
    for fn, factor, base in _readings(node):
        if fn is not None and (number := _float(factor)) is not None:
            made = pointwise(fn, base)
            return made if number == 1 else affine(((Scale(np.full(base.size, number)), made),))
    return node


def _readings(node: Node) -> Iterator[tuple[Univariate | None, Fraction, Node]]:
    match node:
        case Product():
            for x, gate in (node.parents, node.parents[::-1]):
                line, base = _stripped(x, shifts=False)
                yield *_times(_gate(gate, base), line.factor), base
        case Pointwise(fn=Log()):
            yield from _logarithm(node.parents[0])
        case Pointwise(fn=Reciprocal()):
            rest, inner = _stripped(node.parents[0])
            if isinstance(inner, Pointwise) and isinstance(inner.fn, Exp) and rest == _Line(Fraction(1), Fraction(1)):
                line, base = _stripped(inner.parents[0], shifts=False)
                if line.factor == -1:
                    yield Sigmoid(), Fraction(1), base


Found = tuple[Univariate | None, Fraction]


def _times(found: Found, factor: Fraction) -> Found:
    return found[0], factor * found[1]


def _logarithm(argument: Node) -> Iterator[tuple[Univariate | None, Fraction, Node]]:
    line, inner = _stripped(argument)
    if not isinstance(inner, Pointwise):
        return
    if isinstance(inner.fn, Exp) and line == _Line(Fraction(1), Fraction(1)):
        yield Softplus(spelt=True), Fraction(1), inner.parents[0]
    if isinstance(inner.fn, Sigmoid) and line == _Line():
        yield LogSigmoid(), Fraction(1), inner.parents[0]


def _gate(node: Node, base: Node) -> Found:
    """``(fn, k)`` with ``base * node = k fn(base)``, or no function."""
    line, gate = _stripped(node)
    if not isinstance(gate, Pointwise):
        return None, Fraction(0)
    argument, even = gate.parents[0], line.shift == line.factor
    inner = polynomial(argument, base)
    try:
        match gate.fn:
            case Erf() if even and inner is not None and set(inner) == {1}:
                return _made(Gelu, inner[1]), 2 * line.factor
            case Tanh() if even and inner is not None:
                return _risen({k: 2 * c for k, c in inner.items()}), 2 * line.factor
            case Tanh() if line.shift == 0 and isinstance(argument, Pointwise) and argument.parents[0] is base:
                plain = isinstance(argument.fn, Softplus) and argument.fn.beta == 1.0
                return Mish() if plain else None, line.factor
            case Sigmoid() if line.shift == 0 and inner is not None:
                return _risen(inner), line.factor
            case Piecewise() as fn if line.shift == 0 and inner is not None and set(inner) <= {0, 1}:
                return _hard(fn, inner, line.factor)
            case Reciprocal() if line.shift == 0:
                return _times(_divided(argument, base), line.factor)
    except UnsupportedError:  # constants that the function does not take
        pass
    return None, Fraction(0)


def _risen(inner: Polynomial) -> Univariate | None:
    """``x sigmoid(inner)``."""
    if set(inner) == {1}:
        return _made(Silu, inner[1])
    if set(inner) == {1, 3} and inner[1]:
        return _made(TanhGelu, inner[1] / 2, inner[3] / inner[1])
    return None


def _hard(fn: Piecewise, inner: Polynomial, factor: Fraction) -> Found:
    """``x clip(inner, 0, h)``."""
    if fn.breaks.shape != (1, 2) or fn.breaks[0, 0] != 0 or fn.jumps or inner.get(1, 0) <= 0:
        return None, factor
    if fn.slopes.tolist() != [[0.0, 1.0, 0.0]] or fn.at[0, 0] != 0:
        return None, factor
    height = Fraction(fn.breaks[0, 1])
    return HardSwish(inner[1] / height, inner.get(0, Fraction(0)) / height), factor * height


def _divided(divisor: Node, base: Node) -> Found:
    """``x / divisor``."""
    line, inner = _stripped(divisor)
    if not isinstance(inner, Pointwise) or line.shift != line.factor or not line.factor:
        return None, Fraction(0)
    argument = polynomial(inner.parents[0], base)
    if argument is None or set(argument) != {1}:
        return None, Fraction(0)
    if isinstance(inner.fn, Exp):
        return _made(Silu, -argument[1]), 1 / line.factor
    slopes = inner.fn.slopes(1) if isinstance(inner.fn, Hinge) else None
    modulus = slopes is not None and (slopes[0][0], slopes[1][0]) == (-1.0, 1.0) and len(inner.fn.left) == 1  # type: ignore[attr-defined]
    return Softsign() if modulus and abs(argument[1]) == 1 else None, 1 / line.factor


def _made(kind: Any, *constants: Fraction) -> Univariate | None:
    given = [_float(c) for c in constants]
    return None if None in given or any(c is not None and c <= 0 for c in given) else kind(*given)


def _float(number: Fraction) -> float | None:
    """The float that a rational is, if it is one."""
    near = float(number)
    return near if Fraction(near) == number else None


@final
@dataclass(frozen=True)
class _Line:
    """``factor x + shift``, the same for every element."""

    factor: Fraction = Fraction(1)
    shift: Fraction = Fraction(0)


def _stripped(node: Node, *, shifts: bool = True) -> tuple[_Line, Node]:
    """The node as a line of the first node before it that is no line; without ``shifts`` only factors are taken off."""
    line = _Line()
    while isinstance(node, Affine) and len(node.maps) == 1:
        factor, shift = _uniform(node.maps[0]), _same(node.bias)
        if factor is None or shift is None or (shift and not shifts):
            break
        line, node = _Line(line.factor * factor, line.shift + line.factor * shift), node.parents[0]
    return line, node


def polynomial(node: Node, base: Node, deep: int = _DEEP) -> Polynomial | None:
    """The coefficients of a node as a polynomial of the elements of ``base``, the same for all; None if it is none."""
    if node is base:
        return {1: Fraction(1)}
    if not deep:
        return None
    match node:
        case Affine():
            shift = _same(node.bias)
            total: Polynomial | None = {} if shift is None else {0: shift}
            for linear, parent in zip(node.maps, node.parents, strict=True):
                factor, part = _uniform(linear), polynomial(parent, base, deep - 1)
                if factor is None or part is None or total is None or shift is None:
                    return None
                total = {k: total.get(k, Fraction(0)) + factor * part.get(k, Fraction(0)) for k in {*total, *part}}
            return None if total is None else _lean(total)
        case Product():
            parts = [polynomial(p, base, deep - 1) for p in node.parents]
            return None if parts[0] is None or parts[1] is None else _multiplied(parts[0], parts[1])
        case Pointwise(fn=WholePower() as fn) if fn.n <= _HIGHEST:
            part = polynomial(node.parents[0], base, deep - 1)
            result = part
            for _ in range(fn.n - 1):
                result = None if result is None or part is None else _multiplied(result, part)
            return result
    return None


def _multiplied(first: Polynomial, second: Polynomial) -> Polynomial | None:
    total: Polynomial = {}
    for k, a in first.items():
        for m, b in second.items():
            total[k + m] = total.get(k + m, Fraction(0)) + a * b
    return _lean(total) if max(total, default=0) <= _HIGHEST else None


def _lean(total: Polynomial) -> Polynomial:
    return {k: c for k, c in total.items() if c}


def _uniform(linear: LinearMap) -> Fraction | None:
    """The factor of a map that multiplies every element by one number."""
    if isinstance(linear, Select):
        return Fraction(1) if linear.is_identity else None
    return _same(linear.factor) if isinstance(linear, Scale) else None


def _same(values: Array) -> Fraction | None:
    return Fraction(float(values[0])) if len(values) and (values == values[0]).all() else None
