"""Activations, clipping, and maxima of several tensors."""

from __future__ import annotations

from functools import reduce

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.functions.exponentials import Exp, Log
from nnsym.ir.functions.powers import Reciprocal, Sqrt
from nnsym.ir.network import Tensor
from nnsym.ir.node import concatenate, maximum, pointwise
from nnsym.ir.smooth_functions import Sigmoid, Tanh
from nnsym.ir.univariate import Hinge, Piecewise, Univariate, absolute, leaky_relu
from nnsym.ir.univariate import clip as clip_function
from nnsym.ir.univariate import relu as relu_function
from nnsym.ir.univariate import sign as sign_function
from nnsym.read.ops.base import Call, Lowering
from nnsym.read.sizes import require_size
from nnsym.read.tensors import Value, expand, flat, float64, scaled, total

#: ``low + relu(x - low)`` rounds by this much times 1e-16; limits beyond it are breakpoints, which nothing is added to.
_FAR = 2.0**20


def applied(fn: Univariate, x: Tensor) -> Tensor:
    """A function of every element."""
    return Tensor(pointwise(fn, x.node), x.shape)


def pointwise_of(fn: Univariate) -> Lowering:
    """The lowering of an activation without parameters."""

    def lower(call: Call) -> list[Value]:
        return [applied(fn, call.tensor(0))]

    return lower


relu, absolute_value = pointwise_of(relu_function()), pointwise_of(absolute())
sign = pointwise_of(sign_function())
sigmoid, tanh = pointwise_of(Sigmoid()), pointwise_of(Tanh())
exponential, logarithm = pointwise_of(Exp()), pointwise_of(Log())
square_root, reciprocal = pointwise_of(Sqrt()), pointwise_of(Reciprocal())


def leaky(call: Call) -> list[Value]:
    """``x`` right of 0, ``alpha x`` left of it."""
    return [applied(leaky_relu(call.number("alpha", 0.01)), call.tensor(0))]


def prelu(call: Call) -> list[Value]:
    """Leaky ReLU with one slope per channel or element."""
    x, slope = call.tensor(0), call.constant(1)
    if call.opset < 7 and slope.ndim == 1 and slope.size > 1:  # one per channel
        slope = slope.reshape(-1, *(1,) * (len(x.shape) - 2))
    left = float64(slope).ravel() if slope.size == 1 else flat(slope, x.shape)
    return [applied(Hinge(left, np.ones(1), "prelu"), x)]


def above(x: Tensor, low: Array) -> Tensor:
    """``max(x, low) = low + relu(x - low)``; the numbers of ``low`` are copied, ``-inf`` is no limit."""
    if _is_far(low):
        return _one_sided(x, low, 0.0, 1.0)
    if not np.asarray(low).any() and np.broadcast_shapes(x.shape, low.shape) == x.shape:
        return applied(relu_function(), x)
    positive = applied(relu_function(), total((x, low), (1.0, -1.0)))
    return total((positive, low), (1.0, 1.0))


def below(x: Tensor, high: Array) -> Tensor:
    """``min(x, high) = high - relu(high - x)``; ``inf`` is no limit."""
    if _is_far(high):
        return _one_sided(x, high, 1.0, 0.0)
    positive = applied(relu_function(), total((high, x), (1.0, -1.0)))
    return total((high, positive), (1.0, -1.0))


def _is_far(limit: Array) -> bool:
    return bool((np.abs(limit) > _FAR).any())


def _one_sided(x: Tensor, limit: Array, left: float, right: float) -> Tensor:
    """``limit`` on the side whose slope is 0, ``x`` on the other; ``x`` everywhere where the limit is infinite."""
    z = expand(x, np.broadcast_shapes(x.shape, limit.shape))
    given = flat(limit, z.shape)
    if np.isnan(given).any() or (given == (np.inf if right else -np.inf)).any():
        raise ValueError("a limit is NaN, or infinite on the side where everything lies")
    bounded = np.isfinite(given)
    if not bounded.any():
        return z
    at = np.where(bounded, given, 0.0)
    slopes = np.stack((np.where(bounded, left, 1.0), np.where(bounded, right, 1.0)), axis=-1)
    offsets = np.stack((np.where(bounded, (1 - left) * at, 0.0), np.where(bounded, (1 - right) * at, 0.0)), axis=-1)
    parts = at[:, None], slopes, offsets
    breaks, slopes, offsets = (p[:1] for p in parts) if all((p == p[:1]).all() for p in parts) else parts
    return applied(Piecewise(breaks, slopes, offsets, breaks, "clip"), z)


def clip(call: Call) -> list[Value]:
    """``min(max(x, low), high)``; a limit that is left out or infinite is open, no other: ``3.4e38`` is a number."""
    x = call.tensor(0)
    low, high = _limit(call, 1, "min"), _limit(call, 2, "max")
    if low is not None and high is not None and low >= high:
        return [np.full(x.shape, high, dtype=call.dtype)]
    if low is None and high is None:
        return [x]
    if low is not None and high is not None and max(-low, high) <= _FAR:
        return [applied(clip_function(low, high), x)]
    x = x if low is None else above(x, np.asarray(low))
    return [x if high is None else below(x, np.asarray(high))]


def _limit(call: Call, position: int, name: str) -> float | None:
    given = call.optional_constant(position)
    value = float(float64(given).item()) if given is not None else call.attributes.get(name)
    if value is None or np.isinf(value):
        if value is not None and (value > 0) == (name == "min"):
            raise call.refuse(f"the {name} of a Clip is {value}", "Check the model")
        return None
    return float(value)


def hard_sigmoid(call: Call) -> list[Value]:
    """``min(max(alpha x + beta, 0), 1)``: a clip of the affine form, whose kinks need not be floats."""
    slope, shift = np.asarray(call.number("alpha", 0.2)), np.asarray(call.number("beta", 0.5))
    z = total((scaled(call.tensor(0), slope), shift), (1.0, 1.0))
    return [applied(clip_function(0.0, 1.0), z)]


def thresholded(call: Call) -> list[Value]:
    """``x`` where ``x > alpha``, else 0."""
    at, zero = np.array([call.number("alpha", 1.0)]), np.zeros(1)
    fn = Piecewise(at, np.array([0.0, 1.0]), np.zeros(2), zero, "thresholded_relu")
    return [applied(fn, call.tensor(0))]


def _split(call: Call) -> tuple[list[Tensor], list[Array]]:
    values = [v for v in call.inputs if v is not None]
    constants = [v for v in values if not isinstance(v, Tensor)]
    return [v for v in values if isinstance(v, Tensor)], constants


def _joint(parts: list[Tensor]) -> Tensor:
    """Elementwise maximum over tensors: ``Max`` over their concatenation."""
    if len(parts) == 1:
        return parts[0]
    shape = np.broadcast_shapes(*(p.shape for p in parts))
    size = require_size(shape)
    stacked = concatenate(tuple(expand(p, shape).node for p in parts))
    return Tensor(maximum(stacked, np.arange(size)[:, None] + size * np.arange(len(parts))), shape)


def maximum_of(call: Call) -> list[Value]:
    """Elementwise maximum of tensors and constants."""
    symbolic, constants = _split(call)
    joint = _joint(symbolic)
    if constants:
        floor = reduce(np.maximum, constants)
        joint = above(joint, float64(floor))
    return [joint]


def minimum_of(call: Call) -> list[Value]:
    """Elementwise minimum, ``min(a, b) = -max(-a, -b)``."""
    symbolic, constants = _split(call)
    minus = np.asarray(-1.0)
    joint = symbolic[0] if len(symbolic) == 1 else scaled(_joint([scaled(p, minus) for p in symbolic]), minus)
    if constants:
        ceiling = reduce(np.minimum, constants)
        joint = below(joint, float64(ceiling))
    return [joint]
