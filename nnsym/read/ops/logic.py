"""Comparisons, connectives, choices by computed conditions, and casts: truth values are the numbers 0 and 1.

A comparison with a constant is a step of the other side; one of two computed values is a step of their difference.
Between integers a threshold lies halfway, where no value is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nnsym.ir import logic, steps
from nnsym.ir.network import Tensor
from nnsym.ir.node import Node, pointwise
from nnsym.ir.univariate import Piecewise
from nnsym.ir.zero_one import integral
from nnsym.read.ops import movement
from nnsym.read.ops.base import Call, Lowering
from nnsym.read.ops.rounding import truncated
from nnsym.read.sizes import require_size
from nnsym.read.tensors import Value, expand, flat, total
from nnsym.read.types import NAMES

Array = NDArray[Any]
Step = Callable[[object], Piecewise]

#: Between integers ``x > t`` is ``x > t + 1/2`` for an integer t: (function, shift).
_BETWEEN: dict[Step, tuple[Step, float]] = {
    steps.greater: (steps.greater, 0.5),
    steps.greater_equal: (steps.greater, -0.5),
    steps.less: (steps.less, -0.5),
    steps.less_equal: (steps.less, 0.5),
}
_TURNED: dict[Step, Step] = {
    steps.greater: steps.less,
    steps.greater_equal: steps.less_equal,
    steps.less: steps.greater,
    steps.less_equal: steps.greater_equal,
    steps.equal: steps.equal,
}


def comparison(step: Step) -> Lowering:
    """The lowering of ``a (op) b``, for the step that says when ``x (op) 0`` holds."""

    def lower(call: Call) -> list[Value]:
        if "axis" in call.attributes:  # before operator set 7 broadcasting was another one
            raise call.refuse("broadcasting along a named axis", "Convert the model to operator set 7 or later")
        a, b = call.value(0), call.value(1)
        shape = np.broadcast_shapes(a.shape, b.shape)
        require_size(shape)
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return [_stepped(step, total((a, b), (1.0, -1.0)), np.zeros(1))]
        if isinstance(a, Tensor):
            return [_stepped(step, expand(a, shape), flat(call.constant(1), shape))]
        return [_stepped(_TURNED[step], expand(b, shape), flat(a, shape))]

    return lower


def _stepped(step: Step, x: Tensor, threshold: Array) -> Tensor:
    """``x (op) threshold``; a threshold of infinity, or NaN, is none that a model should have."""
    if not np.isfinite(threshold).all():
        raise ValueError("a comparison with NaN or an infinity")
    whole = threshold == np.floor(threshold)
    tame = np.abs(threshold) < 2.0**50
    if integral(x.node).all() and (whole & tame).all():
        if step is steps.equal:
            return Tensor(_equal_integers(x.node, threshold), x.shape)
        step, shift = _BETWEEN[step]
        threshold = threshold + shift
    return Tensor(pointwise(step(threshold), x.node), x.shape)


def _equal_integers(node: Node, threshold: Array) -> Node:
    """1 between ``t - 1/2`` and ``t + 1/2``."""
    t = np.ravel(threshold)[:, None]
    zero, one = np.zeros_like(t), np.ones_like(t)
    values = np.hstack((zero, one, zero))
    ends = np.hstack((t - 0.5, t + 0.5))
    return pointwise(Piecewise(ends, 0 * values, values, np.zeros_like(ends), "equal"), node)


def connective(join: Callable[[Node, Node], Node]) -> Lowering:
    """The lowering of And, Or, Xor."""

    def lower(call: Call) -> list[Value]:
        a, b = call.value(0), call.value(1)
        shape = np.broadcast_shapes(a.shape, b.shape)
        return [Tensor(join(expand(a, shape).node, expand(b, shape).node), shape)]

    return lower


def negation(call: Call) -> list[Value]:
    """``1 - x``."""
    x = call.tensor(0)
    return [Tensor(logic.negation(x.node), x.shape)]


def where(call: Call) -> list[Value]:
    """One of two values: moved if the condition is a constant, else chosen by it."""
    condition = call.value(0)
    if not isinstance(condition, Tensor):
        return movement.move(call)
    parts = (condition, call.value(1), call.value(2))
    shape = np.broadcast_shapes(*(p.shape for p in parts))
    require_size(shape)
    return [Tensor(logic.where(*(expand(p, shape).node for p in parts)), shape)]


#: Casts that change no number: from the left to the right of a pair.
_KEEPING = frozenset(
    {("bool", kind) for kind in ("float32", "float64", "float16", "int32", "int64", "int8", "uint8", "bool")}
    | {("int32", "int64"), ("int32", "float64"), ("int32", "int32"), ("int64", "int64")}
    | {(a, b) for a in ("float32", "float64") for b in ("float32", "float64")}
    | {("float16", b) for b in ("float16", "float32", "float64")}
)
#: Casts that round only beyond what the target holds exactly, as any float operation does.
_ROUNDING = frozenset({("int64", "float32"), ("int32", "float32"), ("int64", "float64")})
_FLOATS, _INTEGERS = ("float16", "float32", "float64"), ("int32", "int64")


def cast(call: Call) -> list[Value]:
    """Kept where the type holds the numbers; to bool ``x != 0``, to integers truncated."""
    x, before = call.tensor(0), call.type(0)
    after = NAMES.get(call.integer("to", 1), "")
    if (before, after) in _KEEPING | _ROUNDING:
        return [x]
    if after == "bool":
        return [Tensor(_nonzero(x.node), x.shape)]
    if before in _FLOATS and after in _INTEGERS:
        return [truncated(x)]
    raise call.refuse(
        f"a cast of computed values from {before} to {after or 'an unknown type'}, which rounds or wraps around",
        "Kept are float32, float64, int32, int64 and bool",
    )


def _nonzero(node: Node) -> Node:
    if integral(node).all():
        return logic.negation(_equal_integers(node, np.zeros(1)))
    return pointwise(steps.unequal(), node)
