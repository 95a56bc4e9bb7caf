"""How large a tensor may become while a model is read: said before its array is made, not when memory is gone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from nnsym.errors import InputError
from nnsym.ir.array import Array

#: Elements of a tensor that depends on the input (VGG-16 on 224 x 224 pixels has 3.2 million in one).
LARGEST = 2**23
#: Elements of all such tensors together.
LARGEST_TOGETHER = 2**27
#: Numbers of a constant, and coefficients of a matrix.
LARGEST_CONSTANT = 2**28


def require_size(shape: Iterable[int], what: str = "the result", *, largest: int = LARGEST) -> int:
    """The number of elements of a shape; raises :class:`InputError` where it is beyond what is read.

    Python's integers are multiplied: NumPy's product of ``2^40 x 2^40`` is 0.
    """
    axes = tuple(int(n) for n in shape)
    count = math.prod(axes)
    if count > largest:
        raise InputError(
            f"{what} of shape {_shown(axes)} has {_number(count)} elements, more than the {largest} that are read",
            remedy="Check the shapes of the model, or export it smaller",
        )
    if any(n < 0 for n in axes):
        raise InputError(f"{what} has the shape {_shown(axes)}", remedy="Check the shapes of the model")
    return count


def _number(count: int) -> str:
    return str(count) if count < 10**15 else f"about 10^{len(str(count)) - 1}"


def _shown(axes: tuple[int, ...]) -> str:
    return str(axes) if len(axes) <= 8 else f"({', '.join(map(str, axes[:8]))}, ...)"


def require_result(op: str, arguments: tuple[Array | None, ...], attributes: Mapping[str, Any], largest: int) -> None:
    """Raise where an operator on arrays would make a result of more than ``largest`` elements.

    Known for the operators whose result may be far larger than what they are given.
    """
    shape = _GROWING.get(op)
    if shape is None:
        return
    try:
        grown = tuple(shape(arguments, attributes))
    except (TypeError, ValueError, IndexError, AttributeError, ZeroDivisionError, KeyError, OverflowError):
        raise InputError("its inputs do not fit the operator", remedy="Check their types and shapes") from None
    require_size(grown, largest=largest)


def _ints(value: Any) -> list[int]:
    return [int(v) for v in np.asarray(value).ravel().tolist()]


def _expanded(given: tuple[Any, ...], _: Mapping[str, Any]) -> Iterable[int]:
    wanted, shape = _ints(given[1]), list(given[0].shape)
    width = max(len(wanted), len(shape))
    pairs = zip([1] * (width - len(wanted)) + wanted, [1] * (width - len(shape)) + shape, strict=True)
    return [max(abs(a), b) for a, b in pairs]


def _tiled(given: tuple[Any, ...], _: Mapping[str, Any]) -> Iterable[int]:
    return [given[0].size, *(abs(r) for r in _ints(given[1]))]


def _padded(given: tuple[Any, ...], attributes: Mapping[str, Any]) -> Iterable[int]:
    pads = _ints(given[1] if len(given) > 1 and given[1] is not None else attributes["pads"])
    if len(given) > 3 and given[3] is not None:
        return [given[0].size, *(1 + abs(p) for p in pads)]
    rank = given[0].ndim
    return [n + abs(pads[a]) + abs(pads[a + rank]) for a, n in enumerate(given[0].shape)]


def _ranged(given: tuple[Any, ...], _: Mapping[str, Any]) -> Iterable[int]:
    start, limit, step = (float(np.asarray(v).item()) for v in given)
    return [max(0, math.ceil((limit - start) / step))]


def _resized(given: tuple[Any, ...], attributes: Mapping[str, Any]) -> Iterable[int]:
    rest = [v for v in given[1:] if v is not None and v.size]
    factors = np.asarray(rest[-1] if rest else attributes["scales"])
    if factors.dtype.kind in "iu":
        return [max(1, v) for v in _ints(factors)]
    return [given[0].size, *(math.ceil(max(1.0, abs(float(s)))) for s in factors.ravel())]


def _multiplied(given: tuple[Any, ...], _: Mapping[str, Any]) -> Iterable[int]:
    shared = max(given[0].shape[-1], 1)
    return [given[0].size // shared, max(given[1].size // shared, 1)]


def _together(given: tuple[Any, ...], _: Mapping[str, Any]) -> Iterable[int]:
    return np.broadcast_shapes(*(v.shape for v in given if v is not None))


_GROWING: Mapping[str, Callable[[tuple[Any, ...], Mapping[str, Any]], Iterable[int]]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Sum", "Mean", "Where", "Mod"), _together),
    **dict.fromkeys(("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "And", "Or", "Xor"), _together),
    **dict.fromkeys(("Resize", "Upsample"), _resized),
    "ConstantOfShape": lambda given, _: [abs(n) for n in _ints(given[0])],
    "Expand": _expanded,
    "Tile": _tiled,
    "Pad": _padded,
    "Range": _ranged,
    "MatMul": _multiplied,
    "Gather": lambda given, _: [given[0].size // max(min(given[0].shape), 1), given[1].size],
    "OneHot": lambda given, _: [given[0].size, abs(_ints(given[1])[0])],
    "Concat": lambda given, _: [sum(v.size for v in given if v is not None)],
}
