"""Formulas as users hold them: ``& | ~ >>``, comparisons for "if and only if", and no truth value of their own."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any, NoReturn

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.network import Application
from nnsym.ir.node import Input
from nnsym.ir.rows import Rows
from nnsym.ir.walk import inputs_of
from nnsym.lang.algebra.foreign import Foreign
from nnsym.lang.guard import misread, plain, user_line
from nnsym.lang.statements import logic
from nnsym.lang.statements.logic import Tree
from nnsym.lang.statements.lower import Sought, search
from nnsym.lang.writing.text import AND, ATOM, COMPARE, IMPLIES, OR, Text, call, infix, item, key_text, leaf, prefix

_HINTS = (
    (r"\b(max|min|sorted)\s*\(", "Use nn.max or nn.min instead of Python's max, min or sorted"),
    (r"\b(all|any)\s*\(", "Use nn.all or nn.any instead of Python's all or any"),
    (r"\bnot\s+in\b|\bin\b(?!.*:)", "Use nn.any([a == b for b in items]) instead of 'in'"),
    (r"\b(and|or|not)\b", "Use & for and, | for or, ~ for not, >> for implies, with brackets round comparisons"),
    (r"[<>]=?[^<>&|]+[<>]", "Split the chain: (0 < y[0]) & (y[0] < 1)"),
    (
        r"\bif\b|\bassert\b|\bwhile\b|\bbool\b",
        "Use (condition) >> (conclusion); nothing is known before it is verified",
    ),
)
_REMEDY = "Use & | ~ >> for and, or, not, implies; nn.all, nn.any, nn.max, nn.min; split chains as (0 < y) & (y < 1)"


def no_truth_value(what: str) -> NoReturn:
    """Raise for an expression that Python asks to be true or false, with the remedy for that line."""
    line = user_line()
    source = line.partition("`")[2]
    hint = next((text for pattern, text in _HINTS if re.search(pattern, source)), _REMEDY)
    raise misread(f"{what} is neither true nor false until it is verified", hint)


class Formula(Foreign):
    """A statement about terms, or an array of them (``shape``); reduce arrays by ``nn.all`` or ``nn.any``.

    Built by comparing terms; joined by ``&``, ``|``, ``~``, ``>>`` (implies), ``==`` (if and only if) and ``!=``.
    """

    def __init__(
        self, tree: Tree, text: Text, shape: tuple[int, ...] = (), applications: tuple[Application, ...] = ()
    ) -> None:
        self.tree, self.text, self.shape, self.applications = tree, text, shape, applications

    def __reduce__(self) -> tuple[Any, ...]:
        return Formula, (self.tree, self.text, self.shape, self.applications)

    first = True

    @staticmethod
    def lifted(value: object) -> Formula:
        return as_formula(value)

    @property
    def size(self) -> int:
        """How many truth values it holds."""
        return math.prod(self.shape)

    def __str__(self) -> str:
        return self.text.string

    def __repr__(self) -> str:
        return f"Formula({self.text.string})" if not self.shape else f"Formula({self.text.string}, shape={self.shape})"

    def __bool__(self) -> NoReturn:
        no_truth_value(f"'{self.text.string}'")

    def __and__(self, other: object) -> Formula:
        return _join(self, other, "&", AND)

    def __rand__(self, other: object) -> Formula:
        return _join(as_formula(other), self, "&", AND)

    def __or__(self, other: object) -> Formula:
        return _join(self, other, "|", OR)

    def __ror__(self, other: object) -> Formula:
        return _join(as_formula(other), self, "|", OR)

    def __invert__(self) -> Formula:
        return self._negation

    @cached_property
    def _negation(self) -> Formula:
        return Formula(logic.negate(self.tree), prefix("~", self.text, ATOM), self.shape, self.applications)

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs that it is about."""
        return inputs_of(logic.nodes(self.tree))

    @cached_property
    def sought(self) -> Sought:
        """What methods search for it alone; many properties have one conclusion and differ in where it is to hold."""
        return search(logic.TRUE, self.tree)

    def __rshift__(self, other: object) -> Formula:
        right = as_formula(other)
        joined = _join(~self, right, "|", OR)
        form = infix(self.text, ">>", right.text, IMPLIES).form
        text = Text(f"{self.text.at(ATOM)} >> {right.text.at(ATOM)}", IMPLIES, form)
        return Formula(joined.tree, text, joined.shape, joined.applications)

    def __rrshift__(self, other: object) -> Formula:
        return as_formula(other) >> self

    def __eq__(self, other: object) -> Formula:  # type: ignore[override]
        right = as_formula(other)
        same = (self & right) | (~self & ~right)
        return Formula(same.tree, infix(self.text, "==", right.text, COMPARE), same.shape, same.applications)

    def __ne__(self, other: object) -> Formula:  # type: ignore[override]
        right = as_formula(other)
        differ = (self & ~right) | (~self & right)
        return Formula(differ.tree, infix(self.text, "!=", right.text, COMPARE), differ.shape, differ.applications)

    def __lt__(self, other: object) -> NoReturn:
        raise misread(
            f"'{self.text.string}' is a formula and cannot be ordered",
            "Split the chain: (0 < y[0]) & (y[0] < 1); put brackets round comparisons joined by & and |",
        )

    __le__ = __gt__ = __ge__ = __lt__

    def __hash__(self) -> NoReturn:
        raise misread(
            f"the formula '{self.text.string}' is unhashable: == means 'if and only if'",
            "Keep formulas in a list, or key them by a name",
        )

    def __add__(self, other: object) -> NoReturn:
        raise misread(
            f"'{self.text.string}' is a formula, not a number",
            "Use nn.all and nn.any over several formulas; to count them, give each case its own formula",
        )

    __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __neg__ = __abs__ = __add__
    __float__ = __int__ = __index__ = __truediv__ = __rtruediv__ = __pow__ = __add__

    def all(self) -> Formula:
        """``nn.all(formula)``: one statement, that every element holds."""
        return reduce_all(self)

    def any(self) -> Formula:
        """``nn.any(formula)``: one statement, that some element holds."""
        return reduce_any(self)

    def __len__(self) -> int:
        if not self.shape:
            raise misread(f"'{self.text.string}' is one formula, it has no length", "Use it as it is")
        return self.shape[0]

    def __getitem__(self, key: Any) -> Formula:
        index = selection(self.shape, key, self.text)
        tree = logic.take(self.tree, index.ravel())
        return Formula(tree, item(self.text, key), index.shape, self.applications)

    def __iter__(self) -> Iterator[Formula]:
        return (self[i] for i in range(len(self)))

    def __contains__(self, item: object) -> NoReturn:
        raise misread("'in' has no meaning for a formula", "Use nn.any([a == b for b in items])")


def as_formula(value: object) -> Formula:
    """A formula, or Python's and numpy's True and False (arrays of them too)."""
    if isinstance(value, Formula):
        return value
    if hasattr(value, "reading"):
        raise misread(
            f"'{str(value).split('[', 1)[0]}' is a property, not a formula",
            "Nest a quantifier as then=... of another one; verify several properties one by one",
        )
    truth = np.asarray(plain(value)) if hasattr(value, "dtype") or isinstance(value, bool) else None
    if truth is None or truth.dtype != np.bool_:
        raise misread(
            f"{type(value).__name__} is not a formula",
            "Compare terms first; & and | bind tighter than comparisons, so write (a <= b) & (c <= d)",
        )
    if truth.ndim == 0:
        return Formula(logic.TRUE if truth else logic.FALSE, leaf(str(bool(truth)), bool(truth)))
    rows = Rows.constants(np.where(truth.ravel(), -1.0, 1.0))
    return Formula(logic.Each(rows, False, "constant"), leaf("<array of truth values>", truth.copy()), truth.shape)


def _join(left: Formula, other: object, operator: str, level: int) -> Formula:
    right = as_formula(other)
    shape, (a, b) = _aligned(left, right)
    join = logic.conjunction if operator == "&" else logic.disjunction
    text = infix(left.text, operator, right.text, level, associative=True)
    return Formula(join((a, b)), text, shape, together(left.applications, right.applications))


def _aligned(*formulas: Formula) -> tuple[tuple[int, ...], list[Tree]]:
    shapes = [f.shape for f in formulas]
    if len(set(shapes)) == 1:
        return shapes[0], [f.tree for f in formulas]
    index, shape = broadcast(shapes)
    return shape, [f.tree if f.shape == shape else logic.take(f.tree, i) for f, i in zip(formulas, index, strict=True)]


def broadcast(shapes: list[tuple[int, ...]]) -> tuple[list[Array], tuple[int, ...]]:
    """Which flat element of each operand stands at each flat place of the broadcast result, by numpy's rules."""
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        raise misread(
            f"shapes {' and '.join(map(str, shapes))} do not fit together",
            "By numpy's rules axes are equally long, counted from the last one, or of length 1",
        ) from None
    return [np.broadcast_to(np.arange(int(np.prod(s))).reshape(s), shape).ravel() for s in shapes], shape


def selection(shape: tuple[int, ...], key: Any, text: Text) -> Array:
    """The flat numbers of the elements that ``[key]`` selects, in the shape numpy gives them."""
    try:
        return np.asarray(np.arange(int(np.prod(shape))).reshape(shape)[key])
    except (IndexError, TypeError, ValueError) as error:
        first = key[0] if isinstance(key, tuple) and key else key
        batch = len(shape) > 1 and shape[0] == 1 and isinstance(first, (int, np.integer))
        raise misread(
            f"'{text.string}' has shape {shape} and cannot be indexed by [{key_text(key)}]: {error}",
            f"The first axis is the batch axis: write [0, {key_text(key)}], or take [0] first" if batch else "",
        ) from None


def together(*groups: tuple[Application, ...]) -> tuple[Application, ...]:
    """All applications of the groups, equal ones once, in order of first use."""
    found: dict[tuple[int, ...], Application] = {}
    for group in groups:
        for application in group:
            found.setdefault((id(application.network), *map(id, application.arguments)), application)
    return tuple(found.values())


def reduce_all(*items: object) -> Formula:
    """``nn.all``: every element of every item; items are formulas, arrays of them, or iterables of either."""
    return _reduce("all", items)


def reduce_any(*items: object) -> Formula:
    """``nn.any``: some element of some item; items are formulas, arrays of them, or iterables of either."""
    return _reduce("any", items)


def _reduce(name: str, items: tuple[object, ...]) -> Formula:
    whole = logic.every if name == "all" else logic.some
    join = logic.conjunction if name == "all" else logic.disjunction
    formulas = list(_formulas(items))
    shown = call(name, *(f.text.string for f in formulas[:8]), *(["..."] if len(formulas) > 8 else []))
    text = Text(shown.string, form=call(name, *(f.text for f in formulas)).form)
    tree = join(whole(f.tree, f.size) for f in formulas)
    return Formula(tree, text, (), together(*(f.applications for f in formulas)))


def _formulas(items: Iterable[object]) -> Iterator[Formula]:
    for element in items:
        if isinstance(element, (Formula, bool, np.bool_)) or getattr(element, "dtype", None) == np.bool_:
            yield as_formula(element)
        elif isinstance(element, Iterable) and not isinstance(element, (str, bytes, dict, Foreign)):
            yield from _formulas(element)
        else:
            yield as_formula(element)
