"""By how much one layer, evaluated in a stored model's dtype, may miss its real value on the same arguments.

| node | error |
| --- | --- |
| affine, copies only | 0 |
| affine | ``gamma_n (|W| |x| + |b|)``, n the terms of a row and :data:`DERIVED` more; underflow beside it |
| hinge, clip and the like | 0 of constants, ``x`` and ``-x``, else the line's own products and sum |
| maximum | 0 |
| product | ``u |x| |y|`` |
| floor, rounding | 0 |
| any other function | what the function says of itself: ``slips`` of :mod:`nnsym.ir.univariate` |

Underflow: what is below the least normal number, ``t``, may be taken for 0, be it a result, an argument or a weight.
So a product ``w x`` may lose ``t (|w| + |x| + 1)``, a function ``f(0) - f(x)``. Weights into which an engine folded a
factor are smaller than those that are stored: they count with the arguments of layers before. Overflow: an engine may
add up before it divides a mean, or fold factors, or multiply by them first. What is only copied is taken as it is, and
so is what is compared.

Integers are those of a machine: from :data:`WRAPS` on nothing is said of a value that the graph knows to be one.

Comparisons do not round, so a jump stays where it is. Algorithms that change the products themselves (Winograd's and
FFT convolutions, TF32, quantised kernels) are none of the engines that this speaks of.
"""

from __future__ import annotations

import numpy as np

from nnsym.deployed.formats import UP, Format
from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.convolution import Conv
from nnsym.ir.functions.stairs import Stairs
from nnsym.ir.intervals import copies, stretch
from nnsym.ir.linear import Dense, LinearMap, Select
from nnsym.ir.node import Affine, Max, Node, Pointwise, Product
from nnsym.ir.transposed import ConvTranspose
from nnsym.ir.univariate import Hinge, Piecewise, Univariate
from nnsym.ir.zero_one import integral

#: Roundings of constants that an engine may derive otherwise than the import: 1/n of a mean, the scale of a
#: normalisation (a difference, a square root, a quotient, a product), weights with a scale folded in.
DERIVED = 8


#: Integers of 32 bits end here, and casts to them are undefined beyond.
WRAPS = 2.0**31


def local_error(
    node: Node, ranges: tuple[tuple[Array, Array], ...], form: Format, before: float = 0.0
) -> tuple[Array, bool]:
    """The error bound of every element, and whether something may overflow.

    ``ranges`` bound the arguments, two ``(n,)`` arrays per parent. ``before``: the greatest :func:`reach` of layers
    before, whose weights may be multiplied by this one's.
    """
    error, wild = _of_kind(node, ranges, form, before)
    whole = integral(node)
    return error, wild or (bool(whole.any()) and _reach(node, ranges, whole) >= WRAPS)


def reach(ranges: tuple[tuple[Array, Array], ...]) -> float:
    """What the absolute values of all arguments add up to, at most."""
    return UP * float(sum(size.sum() for size in _sizes(ranges)))


def steepest(node: Affine) -> float:
    """The greatest absolute coefficient."""
    return max((float(np.abs(m.coefficients).max(initial=0.0)) for m in node.maps), default=0.0)


def _sizes(ranges: tuple[tuple[Array, Array], ...]) -> tuple[Array, ...]:
    return tuple(np.maximum(-low, high) for low, high in ranges)


def _reach(node: Node, ranges: tuple[tuple[Array, Array], ...], whole: Array) -> float:
    """A bound of the absolute values of those elements."""
    sizes = _sizes(ranges)
    match node:
        case Affine():
            parts = (stretch(m, size) for m, size in zip(node.maps, sizes, strict=True))
            total = sum(parts, np.abs(node.bias))
        case Product():
            total = _weighed(sizes[0], sizes[1])
        case Max():
            return float(sizes[0].max())
        case Pointwise():
            total = np.max(np.abs(node.fn.span(*ranges[0])), axis=0)
        case _:
            return 0.0
    return float(np.asarray(total)[whole].max())


def _of_kind(node: Node, ranges: tuple[tuple[Array, Array], ...], form: Format, before: float) -> tuple[Array, bool]:
    sizes = _sizes(ranges)
    match node:
        case Affine():
            return _affine(node, sizes, form, reach(ranges), before)
        case Pointwise(fn=Hinge() as fn):
            slopes = np.maximum(*(_rounding(s) for s in fn.slopes(node.size)))
            return _products(_weighed(slopes, sizes[0]), slopes + sizes[0], form)
        case Pointwise(fn=Piecewise() as fn):
            return _products(2 * _lines(fn, sizes[0]), np.abs(fn.slopes).max(axis=1) + sizes[0], form)
        case Max():
            return np.zeros(node.size), False
        case Product():
            return _products(_weighed(sizes[0], sizes[1]), sizes[0] + sizes[1], form)
        case Pointwise(fn=Stairs()):
            return np.zeros(node.size), False
        case Pointwise():
            return _function(node.fn, *ranges[0], form)
    raise UnsupportedError(
        f"no rounding errors of '{type(node).__name__}' are known", remedy="Ask for the real function"
    )


def _function(fn: Univariate, low: Array, high: Array, form: Format) -> tuple[Array, bool]:
    error = UP * (fn.slips(low, high, form.u, form.largest) + _flushed(fn, low, high, form) + 4 * form.tiny)
    with np.errstate(invalid="ignore"):
        largest = np.max(np.abs(fn.span(low, high)), axis=0) + error
    return error, bool(~(largest <= form.largest).all())


def _flushed(fn: Univariate, low: Array, high: Array, form: Format) -> Array:
    """How far values at arguments below the least normal number are from that at 0."""
    left, right = np.maximum(low, -form.tiny), np.minimum(high, form.tiny)
    meets = (left <= right) & ((left != 0) | (right != 0))
    if not meets.any():
        return np.zeros(len(low))
    with np.errstate(all="ignore"):
        ends = np.where(meets, np.minimum(left, 0.0), low), np.where(meets, np.maximum(right, 0.0), high)
        below, above = fn.span(*ends)
        return np.where(meets, np.nan_to_num(above - below, nan=np.inf, posinf=np.inf), 0.0)


def _weighed(a: Array, b: Array) -> Array:
    """``a b`` for numbers not below 0, rounded up; 0 times an infinity is 0."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where((a == 0) | (b == 0), 0.0, UP * a * b)


def _lines(fn: Piecewise, size: Array) -> Array:
    """The largest terms of a line that rounds, ``|a| |x| + |b|``; constants, ``x`` and ``-x`` do not."""
    slopes, offsets = np.abs(fn.slopes), np.abs(fn.offsets)
    rounds = (slopes != 0) & ((slopes != 1) | (offsets != 0))
    return np.asarray(np.where(rounds, _weighed(slopes, size[:, None]) + offsets, 0.0).max(axis=1))


def _rounding(slopes: Array) -> Array:
    """Absolute slopes, 0 where a product with one does not round."""
    size = np.abs(slopes)
    return np.where((size == 0) | (size == 1), 0.0, size)


def _products(sizes: Array, factors: Array, form: Format) -> tuple[Array, bool]:
    """Of products of two factors, which add up to ``factors``, and a sum."""
    error = np.where(sizes > 0, UP * (form.gamma(4) * sizes + form.tiny * (4 + factors)), 0.0)
    return error, bool((sizes * (1 + form.gamma(4)) > form.largest).any())


def _affine(node: Affine, sizes: tuple[Array, ...], form: Format, reached: float, before: float) -> tuple[Array, bool]:
    if copies(node):
        return np.zeros(node.size), False
    total, weight = np.abs(node.bias), np.zeros(node.size)
    count = DERIVED + (node.bias != 0).astype(np.float64)
    for linear, size in zip(node.maps, sizes, strict=True):
        total = total + stretch(linear, size)
        weight = weight + stretch(linear, np.ones(linear.n_in))
        count = count + terms(linear)
    single = (count <= DERIVED + 1) & _exact_factors(node)  # one term, copied or negated
    relative = np.where(single, 0.0, form.gamma(count) * total)
    flushed = np.where(single, 0.0, form.tiny * (count + weight + max(reached, before)))
    with np.errstate(invalid="ignore"):
        largest = np.maximum(total * (1 + form.gamma(count)), np.where(single, 0.0, reached))
    # A factor beyond 1 / tiny stands for a division by a number that may be taken for 0.
    wild = (largest > form.largest).any() or not np.isfinite(largest).all() or steepest(node) * form.tiny >= 1
    return UP * (relative + flushed), bool(wild)


def _exact_factors(node: Affine) -> bool:
    """True if all coefficients are 0, 1 or -1."""
    return all(isinstance(m, Select) or bool(np.isin(m.coefficients, (0.0, 1.0, -1.0)).all()) for m in node.maps)


def terms(linear: LinearMap) -> Array:
    """How many coefficients other than 0 every row has, at most."""
    if isinstance(linear, Dense):
        return np.asarray(np.count_nonzero(linear.weight, axis=1), dtype=np.float64)
    if isinstance(linear, Select):
        return np.asarray(linear.index >= 0, dtype=np.float64)
    if isinstance(linear, Conv):
        return np.full(linear.n_out, float(linear.weight[0].size))
    if isinstance(linear, ConvTranspose):
        return np.full(linear.n_out, float(linear.longest))
    return np.asarray(np.diff(linear.csr()[2]), dtype=np.float64)
