"""Everything that Python may ask of a term and that has no answer: each raises with the remedy.

A term without these would be silently dropped by ``and``, ``in``, ``max`` or a chained comparison.
"""

from __future__ import annotations

from typing import NoReturn

from nnsym.lang.algebra.foreign import Foreign
from nnsym.lang.guard import misread
from nnsym.lang.statements.formulas import no_truth_value


class Guarded(Foreign):
    """Base of :class:`nnsym.lang.algebra.terms.Term`."""

    __slots__ = ()

    def __bool__(self) -> NoReturn:
        no_truth_value(f"'{self}'")

    def __hash__(self) -> NoReturn:
        raise misread(
            f"the term '{self}' is unhashable: == builds a formula", "Keep terms in a list, or key them by a name"
        )

    def __contains__(self, item: object) -> NoReturn:
        raise misread(f"'in' has no meaning for the term '{self}'", "Use nn.any([a == b for b in items])")

    def __float__(self) -> NoReturn:
        raise misread(f"the term '{self}' has no value before it is evaluated", "Compare it instead")

    __int__ = __index__ = __complex__ = __round__ = __trunc__ = __floor__ = __ceil__ = __float__

    def __setitem__(self, key: object, value: object) -> NoReturn:
        raise misread(f"the term '{self}' cannot be assigned to", "Build a new one, with nn.concat or a list of terms")

    def __rpow__(self, other: object) -> NoReturn:
        raise misread(
            "a term as exponent is no polynomial", "Exponents are constants, as in term ** 2; nn.exp takes a term"
        )

    def __floordiv__(self, other: object) -> NoReturn:
        raise misread("whole division and remainders of terms are not affine", "Use an integer variable, or /")

    __rfloordiv__ = __mod__ = __rmod__ = __divmod__ = __rdivmod__ = __floordiv__

    def __and__(self, other: object) -> NoReturn:
        raise misread(
            f"'{self}' is a number, not a formula",
            "& and | bind tighter than comparisons: write (a <= b) & (c <= d)",
        )

    __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __rshift__ = __rrshift__ = __lshift__ = __rlshift__ = __and__

    def __invert__(self) -> NoReturn:
        raise misread(f"'{self}' is a number, not a formula", "Write ~(a <= b)")
