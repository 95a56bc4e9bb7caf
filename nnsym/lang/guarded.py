"""Everything that Python and other libraries may ask of a term and that has no answer: each raises with the remedy.

A term without these would be silently dropped by ``and``, ``in``, ``max`` or a chained comparison.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

from nnsym.lang.formulas import no_truth_value
from nnsym.lang.guard import misread

_FUNCTIONS = "Use the term's own methods (sum, mean, reshape) or nn.max, nn.min, nn.abs, nn.relu, nn.norm, nn.concat"


class Guarded:
    """Base of :class:`nnsym.lang.terms.Term`."""

    __slots__ = ()
    __array_ufunc__ = None  # numpy arrays on the left hand over to the term
    __array_priority__ = 1000.0

    def __bool__(self) -> NoReturn:
        no_truth_value(f"'{self}'")

    def __contains__(self, item: object) -> NoReturn:
        raise misread(f"'in' has no meaning for the term '{self}'", "Use nn.any([a == b for b in items])")

    def __array__(self, *args: object, **kwargs: object) -> NoReturn:
        raise misread(f"the term '{self}' is not an array of numbers", _FUNCTIONS)

    def __array_function__(self, func: Any, *args: object, **kwargs: object) -> NoReturn:
        raise misread(f"numpy's {func.__name__} does not take terms", _FUNCTIONS)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Torch tensors on the left: their operators hand over to the term, everything else raises."""
        from nnsym.lang.terms import as_term

        name = getattr(func, "__name__", str(func)).strip("_")
        if kwargs or len(args) != 2 or name not in _TORCH:
            raise misread(f"torch's {name} does not take terms", _FUNCTIONS)
        return _TORCH[name](as_term(args[0]), as_term(args[1]))

    def __float__(self) -> NoReturn:
        raise misread(f"the term '{self}' has no value before it is evaluated", "Compare it instead")

    __int__ = __index__ = __complex__ = __round__ = __trunc__ = __floor__ = __ceil__ = __float__

    def __pow__(self, other: object) -> NoReturn:
        raise misread("powers of terms are not affine", "Use nn.abs, nn.max or nn.norm(term, 1) where they serve")

    __rpow__ = __pow__

    def __rtruediv__(self, other: object) -> NoReturn:
        raise misread("division by a term is not affine", "Multiply both sides of the comparison by the divisor")

    def __floordiv__(self, other: object) -> NoReturn:
        raise misread("whole division and remainders of terms are not affine")

    __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = __floordiv__

    def __and__(self, other: object) -> NoReturn:
        raise misread(
            f"'{self}' is a number, not a formula",
            "& and | bind tighter than comparisons: write (a <= b) & (c <= d)",
        )

    __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __rshift__ = __rrshift__ = __lshift__ = __rlshift__ = __and__

    def __invert__(self) -> NoReturn:
        raise misread(f"'{self}' is a number, not a formula", "Write ~(a <= b)")


_TORCH: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "radd": lambda a, b: b + a,
    "sub": operator.sub,
    "rsub": lambda a, b: b - a,
    "mul": operator.mul,
    "rmul": lambda a, b: b * a,
    "div": operator.truediv,
    "truediv": operator.truediv,
    "matmul": operator.matmul,
    "rmatmul": lambda a, b: b @ a,
    "le": operator.le,
    "lt": operator.lt,
    "ge": operator.ge,
    "gt": operator.gt,
    "eq": operator.eq,
    "ne": operator.ne,
}
