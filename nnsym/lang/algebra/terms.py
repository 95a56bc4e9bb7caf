"""Terms: arrays of exact affine forms over variables, network outputs and hidden neurons.

Arithmetic never rounds: numbers are taken as the rationals they denote. Where a term enters a network or a
nonlinear function it becomes a node of float64 coefficients, each rounded to nearest if it is not one.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from nnsym.ir.array import Array
from nnsym.ir.exact import to_fractions
from nnsym.ir.network import Application, Hidden, Network
from nnsym.ir.rows import Rows, stack
from nnsym.ir.univariate import absolute
from nnsym.ir.words import count_of
from nnsym.lang.algebra import products
from nnsym.lang.algebra.guarded import Guarded
from nnsym.lang.algebra.hidden import HiddenTerms, of_application, of_term
from nnsym.lang.algebra.linear import aligned, difference, materialise
from nnsym.lang.algebra.nonlinear import applied_function, extreme
from nnsym.lang.algebra.values import values_at
from nnsym.lang.guard import bad_input, exact, misread
from nnsym.lang.statements import logic
from nnsym.lang.statements.formulas import Formula, broadcast, selection, together
from nnsym.lang.writing.text import (
    COMPARE,
    PRODUCT,
    SUM,
    UNARY,
    Text,
    applied,
    attribute,
    call,
    infix,
    item,
    leaf,
    listed,
    method,
    number_text,
    prefix,
)


class Term(Guarded):
    """An array of affine forms: ``rows`` holds its elements in C order, ``shape`` how they are read.

    Numbers, numpy arrays, torch tensors, Fractions and Decimals stand on either side of ``+ - * / @`` and of
    comparisons; shapes follow numpy's rules.
    """

    __slots__ = ("applications", "rows", "shape", "text")

    def __init__(
        self, rows: Rows, shape: tuple[int, ...], text: Text, applications: tuple[Application, ...] = ()
    ) -> None:
        self.rows, self.shape, self.text, self.applications = rows, shape, text, applications

    def made(
        self, rows: Rows, shape: tuple[int, ...], text: Text, applications: tuple[Application, ...] | None = None
    ) -> Term:
        """Another term, over the same applications of networks where no others are given."""
        return Term(rows, shape, text, self.applications if applications is None else applications)

    @staticmethod
    def lifted(value: object) -> Term:
        return as_term(value)

    # -- shape

    @property
    def size(self) -> int:
        """Number of elements."""
        return len(self.rows)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def T(self) -> Term:  # noqa: N802
        """Axes reversed."""
        index = np.arange(self.size).reshape(self.shape).T
        return self._taken(index, attribute(self.text, "T"))

    def reshape(self, *shape: Any) -> Term:
        """The same elements in another shape (C order); one axis may be -1."""
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        try:
            found: tuple[int, ...] = np.empty(self.shape, dtype=bool).reshape(wanted).shape
        except (TypeError, ValueError):
            raise misread(
                f"'{self}' of shape {self.shape} cannot be reshaped to {tuple(wanted)}",
                f"The new shape has {self.size} elements too; one axis may be -1",
            ) from None
        text = method(self.text, "reshape", *(number_text(n, n) for n in found))
        return self if found == self.shape else Term(self.rows, found, text, self.applications)

    def ravel(self) -> Term:
        """All elements in one axis."""
        return self.reshape(-1)

    flatten = ravel

    def __len__(self) -> int:
        if not self.shape:
            raise misread(f"'{self}' is a single number, it has no length", "Use it as it is")
        return self.shape[0]

    def __iter__(self) -> Iterator[Term]:
        if not self.shape:
            raise misread(f"'{self}' is a single number and cannot be iterated or unpacked", "Use it as it is")
        return (self[i] for i in range(self.shape[0]))

    def __getitem__(self, key: Any) -> Term:
        if isinstance(key, (Term, Formula)):
            raise misread("an index must be known, not a term or formula", "Use nn.max, nn.argmax or nn.any")
        return self._taken(selection(self.shape, key, self.text), item(self.text, key))

    def _taken(self, index: Array, text: Text) -> Term:
        return Term(self.rows.take(index), index.shape, text, self.applications)

    def sum(self, axis: int | tuple[int, ...] | None = None) -> Term:
        """The sum over all elements, or along axes."""
        target, shape, text = self._along(axis, "sum")
        return Term(self.rows.sum_into(target, math.prod(shape)), shape, text, self.applications)

    def mean(self, axis: int | tuple[int, ...] | None = None) -> Term:
        """The mean over all elements, or along axes; exact (1/n is a rational)."""
        total = self.sum(axis)
        text = self._along(axis, "mean")[2]
        if not total.size or total.size == self.size:
            return Term(total.rows, total.shape, text, self.applications)
        if not self.size:
            raise misread("mean of nothing", "Pass at least one element")
        rows = total.rows.scale(np.asarray(Fraction(total.size, self.size), dtype=object))
        return Term(rows, total.shape, text, self.applications)

    def _along(self, axis: int | tuple[int, ...] | None, name: str) -> tuple[Array, tuple[int, ...], Text]:
        """For each element the flat place it is added to, the shape of the result, and its text."""
        elements = np.empty(self.shape, dtype=bool)
        try:
            shape, kept = elements.all(axis=axis).shape, elements.all(axis=axis, keepdims=True).shape
        except (ValueError, TypeError):
            remedy = f"Axes are smaller than {self.ndim}" if self.ndim else "Leave axis= out"
            raise misread(f"'{self}' of shape {self.shape} has no axis {axis}", remedy) from None
        target = np.arange(math.prod(kept)).reshape(kept)
        keywords = {} if axis is None else {"axis": number_text(str(axis), axis)}
        return np.broadcast_to(target, self.shape).ravel(), shape, method(self.text, name, **keywords)

    def max(self, axis: int | tuple[int, ...] | None = None) -> Term:
        """The largest element, or the largest along axes."""
        return self._extreme("max", axis)

    def min(self, axis: int | tuple[int, ...] | None = None) -> Term:
        """The smallest element, or the smallest along axes."""
        return self._extreme("min", axis)

    def abs(self) -> Term:
        """Absolute values, elementwise."""
        return abs(self)

    def _extreme(self, name: str, axis: int | tuple[int, ...] | None) -> Term:
        target, shape, text = self._along(axis, name)
        order = np.argsort(target, kind="stable").reshape(math.prod(shape), -1)
        return extreme(name, self, order, shape, text)

    # -- arithmetic

    def __add__(self, other: object) -> Term:
        return _linear(self, other, "+", operator.add)

    def __radd__(self, other: object) -> Term:
        return _linear(other, self, "+", operator.add)

    def __sub__(self, other: object) -> Term:
        return _linear(self, other, "-", operator.sub)

    def __rsub__(self, other: object) -> Term:
        return _linear(other, self, "-", operator.sub)

    def __neg__(self) -> Term:
        return Term(-self.rows, self.shape, prefix("-", self.text, UNARY), self.applications)

    def __pos__(self) -> Term:
        return self

    def __abs__(self) -> Term:
        return applied_function(absolute(), self, call("abs", self.text))

    def __mul__(self, other: object) -> Term:
        return products.elementwise(self, as_term(other))

    def __rmul__(self, other: object) -> Term:
        return products.elementwise(as_term(other), self)

    def __truediv__(self, other: object) -> Term:
        right = as_term(other)
        if right.rows.parts:
            shown = infix(self.text, "/", right.text, PRODUCT)
            return products.elementwise(self, products.inverse(right), shown)
        if not right.rows.constant.all():
            raise bad_input("division by zero", remedy="Divide by numbers other than 0")
        inverse = np.asarray(1 / to_fractions(right.rows.constant), dtype=object)
        inverted = Term(Rows.constants(inverse), right.shape, right.text)
        return products.elementwise(self, inverted, infix(self.text, "/", right.text, PRODUCT))

    def __rtruediv__(self, other: object) -> Term:
        return as_term(other) / self

    def __matmul__(self, other: object) -> Term:
        return products.matrix(self, as_term(other))

    def __rmatmul__(self, other: object) -> Term:
        return products.matrix(as_term(other), self)

    def __pow__(self, exponent: object) -> Term:
        return products.power(self, exponent)

    # -- comparisons

    def __le__(self, other: object) -> Formula:
        return self._compared(other, "<=")

    def __lt__(self, other: object) -> Formula:
        return self._compared(other, "<")

    def __ge__(self, other: object) -> Formula:
        return self._compared(other, ">=")

    def __gt__(self, other: object) -> Formula:
        return self._compared(other, ">")

    def __eq__(self, other: object) -> Formula:  # type: ignore[override]
        return self._compared(other, "==")

    def __ne__(self, other: object) -> Formula:  # type: ignore[override]
        return self._compared(other, "!=")

    __hash__ = Guarded.__hash__  # a class with its own == has none otherwise

    def _compared(self, other: object, symbol: str) -> Formula:
        """Elementwise comparison, by numpy's shape rules."""
        right = as_term(other)
        first, second, shape = aligned(self, right)
        text = infix(self.text, symbol, right.text, COMPARE)
        tree = logic.comparison(difference(first, second), symbol, text.string)
        return Formula(tree, text, shape, together(self.applications, right.applications))

    # -- values

    def __call__(self, point: object) -> Array:
        """The values at a point, in the term's shape: exact as far as floats hold them.

        ``point`` gives an array for every variable: a counterexample or witness of a result, a dictionary by the
        variables' names, or one array where the term has one variable.
        """
        return values_at(self, point)

    # -- text

    def __str__(self) -> str:
        return self.text.string

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text.string}, shape={self.shape})"

    # -- networks

    @staticmethod
    def apply_network(network: Network, arguments: tuple[object, ...]) -> Any:
        """``network(*arguments)``: one term per output, in the declared shapes (a single term if there is one)."""
        terms = [as_term(argument) for argument in arguments]
        application = _application(network, terms)
        applications = together(*(t.applications for t in terms), (application,))
        text = applied(leaf(network.name, network), *(t.text for t in terms))
        many = len(network.outputs) > 1
        results = tuple(
            Term(
                Rows.of(application.output(name)),
                tensor.shape,
                item(text, k, f"{text.string}.{name}") if many else text,
                applications,
            )
            for k, (name, tensor) in enumerate(network.outputs.items())
        )
        return results if many else results[0]

    @staticmethod
    def apply_hidden(hidden: Hidden, arguments: tuple[object, ...]) -> HiddenTerms:
        """``network.hidden(name)(*arguments)``: the hidden values of that application."""
        terms = [as_term(argument) for argument in arguments]
        application = _application(hidden.network, terms)
        applications = together(*(t.applications for t in terms), (application,))
        network = leaf(hidden.network.name, hidden.network)
        bound = applied(method(network, "hidden", number_text(hidden.name, hidden.name)), *(t.text for t in terms))
        shown = applied(network, *(t.text for t in terms)).string
        return of_application(Term, application, hidden.name, applications, shown, bound)

    def hidden(self, name: str) -> HiddenTerms:
        """Hidden values, by name, of the network application whose output this term is."""
        return of_term(self, name)

    def active(self, name: str, index: Any = None) -> Formula:
        """The activations ``index`` of a hidden value of that application are in their active phase (argument > 0)."""
        return self.hidden(name).active(index)


def as_term(value: object) -> Term:
    """A term: itself, a list with terms in it, or the constant that numbers denote."""
    if isinstance(value, Term):
        return value
    if isinstance(value, Formula):
        raise misread(f"the formula '{value}' is not a number", "Put brackets round comparisons")
    if (
        isinstance(value, (list, tuple))
        and any(isinstance(v, (Term, list, tuple)) for v in value)
        and _holds_term(value)
    ):
        return stacked([as_term(v) for v in value])
    array = exact(value)
    return Term(Rows.constants(array), array.shape, number_text(value, array))


def _holds_term(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_term(v) for v in value)
    return isinstance(value, Term)


def stacked(terms: list[Term]) -> Term:
    """Terms of one shape along a new first axis."""
    index, shape = broadcast([t.shape for t in terms])
    rows = stack([t.rows if t.shape == shape else t.rows.take(i) for t, i in zip(terms, index, strict=True)])
    text = listed(t.text for t in terms)
    return Term(rows, (len(terms), *shape), text, together(*(t.applications for t in terms)))


def _application(network: Network, terms: list[Term]) -> Application:
    """The network on terms; shapes are checked here, where the user's line and the terms' names are known."""
    for term, (name, tensor) in zip(terms, network.inputs.items(), strict=False):
        if term.size != tensor.node.size:
            raise bad_input(
                f"input '{name}' of '{network.name}' has shape {tensor.shape} ({network.dtype}, "
                f"{count_of(tensor.node.size, 'element')}), the argument '{term}' has shape {term.shape} "
                f"({count_of(term.size, 'element')})",
                "Pass the declared shape, or the same number of elements in C order",
            )
    return network.apply(tuple(materialise(t.rows) for t in terms))


def _linear(left: object, right: object, symbol: str, combine: Callable[[Rows, Rows], Rows]) -> Term:
    a, b = as_term(left), as_term(right)
    first, second, shape = aligned(a, b)
    text = infix(a.text, symbol, b.text, SUM, associative=symbol == "+")
    return Term(combine(first, second), shape, text, together(a.applications, b.applications))
