"""Comparisons, connectives, choices by computed conditions, one-hot rows, and casts: truth values are 0 and 1.

A comparison with a constant is a step of the other side; one of two computed values is a step of their difference.
Between integers a threshold lies halfway, where no value is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnsym.ir import logic
from nnsym.ir.array import Array
from nnsym.ir.functions import comparisons as steps
from nnsym.ir.linear import Scale
from nnsym.ir.network import Tensor
from nnsym.ir.node import Node, affine, constant, pointwise
from nnsym.ir.univariate import Piecewise
from nnsym.ir.zero_one import ends, integral, zero_one
from nnsym.read.ops import movement
from nnsym.read.ops.base import Call, Lowering
from nnsym.read.ops.rounding import truncated
from nnsym.read.sizes import require_size
from nnsym.read.tensors import Value, axis_of, expand, flat, numbers, total
from nnsym.read.types import NAMES

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


def _equal_integers(node: Node, *numbers: Array) -> Node:
    """1 where x is the integer t of its element, or one of several in rising order, which may be neighbours.

    Of what is 0 or 1 itself that is ``x`` or ``1 - x``.
    """
    columns = [np.broadcast_to(t, (node.size,)) for t in numbers]
    if len(columns) == 1 and zero_one(node).all() and np.isin(columns[0], (0.0, 1.0)).all():
        turned = columns[0] == 0
        return affine(((Scale(np.where(turned, -1.0, 1.0)), node),), turned.astype(float)) if turned.any() else node
    reach = 0.5 if len(columns) == 1 else 0.25
    breaks = np.stack([t + side for t in columns for side in (-reach, reach)], axis=1)
    values = np.broadcast_to(np.arange(breaks.shape[1] + 1) % 2.0, (node.size, breaks.shape[1] + 1))
    return pointwise(Piecewise(breaks, 0 * values, values, np.zeros_like(breaks), "equal"), node)


def one_hot(call: Call) -> list[Value]:
    """``on`` at the place that an integer names along a new axis, counted from the end if negative, else ``off``."""
    x, (off, on) = truncated(call.tensor(0)), call.constant(2)
    depth, axis = int(call.constant(1).ravel()[0]), axis_of(call.integer("axis", -1), len(x.shape) + 1)
    index = np.expand_dims(numbers(x), axis)
    shape = tuple(depth if a == axis else n for a, n in enumerate(index.shape))
    spread = expand(Tensor(x.node, index.shape), shape).node
    place = np.indices(shape)[axis].ravel().astype(np.float64)
    negative = bool((ends(spread)[0] < 0).any())
    there = _equal_integers(spread, *((place - depth, place) if negative else (place,)))
    chosen = (constant(np.full(there.size, float(value))) for value in (on, off))
    return [Tensor(logic.where(there, *chosen), shape)]


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
_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def cast(call: Call) -> list[Value]:
    """Kept where the type holds the numbers; to bool ``x != 0``, to integers truncated."""
    x, before = call.tensor(0), call.type(0)
    after = NAMES.get(call.integer("to", 1), "")
    if (before, after) in _KEEPING | _ROUNDING or (before in _WHOLE and _holds(after, x.node)):
        return [x]
    if after == "bool":
        return [Tensor(_nonzero(x.node), x.shape)]
    if before in _FLOATS and after in _INTEGERS:
        return [truncated(x)]
    raise call.refuse(
        f"a cast of computed values from {before} to {after or 'an unknown type'}, which rounds or wraps around",
        "Kept are float32, float64, int32, int64 and bool",
    )


def _holds(kind: str, node: Node) -> bool:
    """True if a type holds all integers in the range of a node, which no input leaves (infinities are in none)."""
    if kind in _FLOATS:
        least, most = -(2.0 ** (np.finfo(kind).nmant + 1)), 2.0 ** (np.finfo(kind).nmant + 1)
    elif kind in _WHOLE:
        least, most = float(np.iinfo(kind).min), float(np.iinfo(kind).max)
    else:
        return False
    low, high = ends(node)
    return bool((low >= least).all() and (high <= most).all())


def _nonzero(node: Node) -> Node:
    if integral(node).all():
        return logic.negation(_equal_integers(node, np.zeros(1)))
    return pointwise(steps.unequal(), node)
