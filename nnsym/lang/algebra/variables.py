"""Variables: the unknowns that a property ranges over."""

from __future__ import annotations

import math
import operator
from typing import Any, final

import numpy as np

from nnsym.ir.node import Input, new_input
from nnsym.ir.rows import Rows
from nnsym.lang.algebra.terms import Term
from nnsym.lang.guard import bad_input, misread
from nnsym.lang.writing.text import leaf


@final
class Variable(Term):
    """A vector of unknowns of the given shape, or number of elements; ``integer`` ones take whole values only.

    ``integer`` may be an array of truth values. With ``one_hot`` every line along the last axis is a choice: one
    element is 1, the others are 0. ``name`` is what tables, files and counterexamples call it.
    """

    __slots__ = ("input",)

    def __init__(
        self, shape: int | tuple[int, ...], name: str = "x", integer: Any = False, *, one_hot: bool = False
    ) -> None:
        try:
            axes = (
                (operator.index(shape),) if not isinstance(shape, (tuple, list)) else tuple(map(operator.index, shape))
            )
        except TypeError:
            raise misread(f"{shape!r} is not a shape", "Pass a number of elements or a tuple of them") from None
        if any(n < 1 for n in axes):
            raise bad_input(f"a variable of shape {axes} has no elements")
        if not isinstance(name, str) or not name.strip():
            raise misread("a variable needs a name", 'Pass name="x"')
        try:
            flags = np.broadcast_to(np.asarray(integer, dtype=bool), axes).ravel()
        except ValueError:
            raise misread(f"'integer' of shape {np.shape(integer)} does not fit {axes}") from None
        if one_hot and not axes:
            raise misread("a one-hot variable needs an axis", "Pass the number of choices as its shape")
        choice = np.arange(math.prod(axes)) // axes[-1] if one_hot else -1
        self.input: Input = new_input(name, math.prod(axes), integer=flags, choice=choice)
        super().__init__(Rows.of(self.input), axes, leaf(name, self.input))

    @property
    def name(self) -> str:
        """The variable's name."""
        return self.input.name


def one_hot(choices: int | tuple[int, ...], name: str = "s") -> Variable:
    """A categorical variable: one of its elements is 1 and the others are 0; for a shape, along the last axis."""
    return Variable(choices, name, one_hot=True)
