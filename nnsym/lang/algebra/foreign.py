"""What numpy and torch ask of terms and formulas: their operators hand over, every other function raises.

Both libraries would otherwise make object arrays of terms, ask for truth values, or raise without a place.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

from nnsym.lang.guard import misread

_GENERAL = "Use the term's own methods (sum, mean, max, min, abs, reshape) or nn.max, nn.min, nn.abs, nn.clip, nn.norm"

_REMEDIES = {
    "Use nn.max, or nn.max(a, b) elementwise": "max amax maximum fmax",
    "Use nn.min, or nn.min(a, b) elementwise": "min amin minimum fmin",
    "Use nn.abs": "abs absolute fabs",
    "Use nn.clip(term, lower, upper)": "clip clamp",
    "Use nn.relu": "relu relu_",
    "Use nn.sign": "sign sgn",
    "Use nn.norm(term, p)": "norm vector_norm",
    "Use nn.argmax or nn.argmin": "argmax argmin",
    "Use nn.topk": "topk sort argsort partition",
    "Use nn.concat": "concatenate concat cat hstack stack vstack",
    "Use term.sum() or term.mean(), with axis=": "sum mean average",
    "Use term.reshape, term.T or an index": "reshape ravel transpose squeeze expand_dims flatten",
    "Use a @ b": "dot inner vdot einsum tensordot linear",
    "Use term ** 2": "square power float_power pow",
    "Use nn.sqrt, nn.exp, nn.log, nn.sin or nn.cos": "sqrt exp log sin cos",
    "Use nn.all or nn.any": "all any logical_and logical_or logical_not alltrue sometrue",
    "Use (condition) >> (conclusion), or nn.max, nn.min, nn.abs": "where select heaviside",
    "Use nn.abs(a - b) <= tolerance": "isclose allclose array_equal array_equiv",
}
_REMEDY = {name: remedy for remedy, names in _REMEDIES.items() for name in names.split()}

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "radd": lambda a, b: b + a,
    "sub": operator.sub,
    "subtract": operator.sub,
    "rsub": lambda a, b: b - a,
    "mul": operator.mul,
    "multiply": operator.mul,
    "rmul": lambda a, b: b * a,
    "div": operator.truediv,
    "truediv": operator.truediv,
    "divide": operator.truediv,
    "true_divide": operator.truediv,
    "rdiv": lambda a, b: b / a,
    "rtruediv": lambda a, b: b / a,
    "matmul": operator.matmul,
    "rmatmul": lambda a, b: b @ a,
    "le": operator.le,
    "less_equal": operator.le,
    "lt": operator.lt,
    "less": operator.lt,
    "ge": operator.ge,
    "greater_equal": operator.ge,
    "gt": operator.gt,
    "greater": operator.gt,
    "eq": operator.eq,
    "equal": operator.eq,
    "ne": operator.ne,
    "not_equal": operator.ne,
    "and": operator.and_,
    "bitwise_and": operator.and_,
    "rand": operator.and_,
    "or": operator.or_,
    "bitwise_or": operator.or_,
    "ror": operator.or_,
}


class Foreign:
    """Base of terms and formulas, which :meth:`lifted` makes of what stands beside them; a formula goes first."""

    __slots__ = ()
    __array_priority__ = 1000.0
    first = False

    @staticmethod
    def lifted(value: object) -> Any:
        """What another operand is taken as."""
        raise NotImplementedError

    def __array_ufunc__(self, function: Any, kind: str, *arguments: Any, **options: Any) -> Any:
        """Arrays of numpy on the left: ``array <= term`` and the other operators; every other ufunc raises."""
        if kind != "__call__" or options:
            refused("numpy", function.__name__)
        return _operated("numpy", function.__name__, arguments)

    def __array_function__(self, function: Any, *_: object, **__: object) -> NoReturn:
        refused("numpy", function.__name__)

    def __array__(self, *_: object, **__: object) -> NoReturn:
        raise misread(f"'{self}' is not an array of numbers", _GENERAL)

    @classmethod
    def __torch_function__(
        cls, function: Any, types: object, arguments: tuple[Any, ...] = (), options: dict[str, Any] | None = None
    ) -> Any:
        """Torch tensors on the left, likewise."""
        name = getattr(function, "__name__", str(function)).strip("_")
        if options:
            refused("torch", name)
        return _operated("torch", name, arguments)


def _operated(library: str, name: str, arguments: tuple[Any, ...]) -> Any:
    if name not in _OPERATORS or len(arguments) != 2:
        refused(library, name)
    ours = [a for a in arguments if isinstance(a, Foreign)]
    return _OPERATORS[name](*map(max(ours, key=lambda a: a.first).lifted, arguments))


def refused(library: str, name: str) -> NoReturn:
    """Raise for a function of another library, with what to use instead."""
    raise misread(f"{library}'s {name} does not take terms and formulas", _REMEDY.get(name, _GENERAL))
