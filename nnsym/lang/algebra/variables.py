"""Variables: the unknowns that a property ranges over."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np

from nnsym.ir.node import Input, Labels, new_input
from nnsym.ir.rows import Rows
from nnsym.lang.algebra.terms import Term
from nnsym.lang.guard import bad_input, misread, shown
from nnsym.lang.writing.text import leaf

_ELEMENTS = 2**28  # of one variable


@final
class Variable(Term):
    """A vector of unknowns of the given shape, or number of elements; ``integer`` ones take whole values only.

    ``integer`` may be an array of truth values. With ``one_hot`` every line along the last axis is a choice: one
    element is 1, the others are 0. ``name`` is what tables, files and counterexamples call it. ``names`` calls its
    elements, in C order: ``x["speed"]`` is one, and files and counterexamples write ``x.speed``. ``units`` stand behind
    values, one for all or one for each: they are for people, and nothing is converted.
    """

    __slots__ = ("input",)

    def __init__(
        self,
        shape: int | tuple[int, ...],
        name: str = "x",
        integer: Any = False,
        *,
        one_hot: bool = False,
        names: Sequence[str] = (),
        units: str | Sequence[str] = (),
    ) -> None:
        try:
            axes = (
                (operator.index(shape),) if not isinstance(shape, (tuple, list)) else tuple(map(operator.index, shape))
            )
        except TypeError:
            raise misread(f"{shape!r} is not a shape", "Pass a number of elements or a tuple of them") from None
        if math.prod(axes) > _ELEMENTS:
            raise bad_input(f"a variable of shape {axes} has more than {_ELEMENTS} elements")
        if any(n < 1 for n in axes):
            raise bad_input(f"a variable of shape {axes} has no elements", "Every axis has 1 or more")
        if not isinstance(name, str) or not name.strip():
            raise misread("a variable needs a name", 'Pass name="x"')
        try:
            flags = np.broadcast_to(np.asarray(integer, dtype=bool), axes).ravel()
        except (TypeError, ValueError):
            raise misread(
                f"'integer' is {shown(integer)}, which does not fit {axes}", "Pass True, or one truth value per element"
            ) from None
        if one_hot and not axes:
            raise misread("a one-hot variable needs an axis", "Pass the number of choices as its shape")
        choice = np.arange(math.prod(axes)) // axes[-1] if one_hot else -1
        labels = _labels(math.prod(axes), names, units)
        self.input: Input = new_input(name, math.prod(axes), integer=flags, choice=choice, labels=labels)
        super().__init__(Rows.of(self.input), axes, leaf(name, self.input))

    @property
    def name(self) -> str:
        """The variable's name."""
        return self.input.name

    def __getitem__(self, key: Any) -> Term:
        """Elements by index, as numpy takes them, or one by its name."""
        names = self.input.labels.names
        if isinstance(key, str):
            if key not in names:
                known = f"Its elements: {', '.join(names)}" if names else "Name them: nn.Variable(..., names=[...])"
                raise misread(f"'{self.name}' has no element '{key}'", known)
            place = np.unravel_index(names.index(key), self.shape)
            key = tuple(map(int, place)) if self.ndim > 1 else int(place[0])
        found = super().__getitem__(key)
        if names and not found.shape:
            (element,) = np.arange(self.size).reshape(self.shape)[key].ravel()
            return Term(found.rows, found.shape, found.text._replace(string=self.input.title(int(element))))
        return found


def _labels(size: int, names: Sequence[str], units: str | Sequence[str]) -> Labels:
    """Names and units of ``size`` elements; each kind is complete or left out."""
    if isinstance(names, str) or not isinstance(names, Iterable) or not all(isinstance(name, str) for name in names):
        raise misread(f"names {names!r} are not a list of names", 'Write names=["position", "speed"]')
    if wrong := [name for name in names if not name.isidentifier()]:
        better = re.sub(r"\W", "_", wrong[0]).strip("_")
        remedy = "Name it as in Python" + (f": {better}" if better.isidentifier() else ", by letters, digits and _")
        raise misread(f"{wrong[0]!r} is no name of an element", remedy)
    several = (units,) * size if not isinstance(units, Iterable) or isinstance(units, str) else tuple(units)
    if not all(isinstance(unit, str) for unit in several):
        raise misread(f"units {units!r} are not text", 'Write units="m", or one for each element')
    for what, given in (("names", tuple(names)), ("units", several)):
        if given and len(given) != size:
            raise misread(f"{len(given)} {what} for {size} elements", "Give one for each element, in C order")
    if len(set(names)) < len(names):
        raise misread("two elements have the same name", "Give each its own")
    return Labels(tuple(names), several)


def of_input(x: Input) -> Term:
    """The elements of an input that a formula speaks of, as one vector."""
    return Term(Rows.of(x), (x.size,), leaf(x.name, x))


def one_hot(choices: int | tuple[int, ...], name: str = "s") -> Variable:
    """A categorical variable: one of its elements is 1 and the others are 0; for a shape, along the last axis."""
    return Variable(choices, name, one_hot=True)
