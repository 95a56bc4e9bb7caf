"""Statements about which elements are the largest: argmax and argmin, the unique winner, the k largest.

Ties go to the first index, as in numpy and ONNX, so that exactly one class is the argmax and exactly k elements are
the k largest, and every statement's negation is its exact complement. Sizes are linear in the number of elements:
a known class takes one row per other element; two argmax over many elements share running maxima.
"""

from __future__ import annotations

import operator
from typing import NoReturn

import numpy as np

from nnsym.ir.array import Array
from nnsym.lang.algebra.order import order_statistics, running_maxima
from nnsym.lang.algebra.terms import Term, as_term
from nnsym.lang.guard import bad_input, misread
from nnsym.lang.statements import logic
from nnsym.lang.statements.formulas import Formula, together
from nnsym.lang.writing.text import COMPARE, Text, attribute, call, infix, method, number_text

#: Up to this many elements two argmax are compared pair by pair: fewer rows than running maxima, and no binaries.
_PAIRWISE = 16


class Ranked:
    """What :class:`Argmax` and :class:`TopK` refuse: they are no numbers."""

    __slots__ = ("term", "text")
    __array_ufunc__ = None
    __array_priority__ = 1000.0
    remedy = ""

    def __init__(self, term: Term, text: Text) -> None:
        self.term, self.text = term, text

    def _refuse(self, *_: object) -> NoReturn:
        raise misread(f"'{self.text.string}' {self.remedy}")

    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __iter__ = __getitem__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __neg__ = _refuse
    __bool__ = __int__ = __index__ = __float__ = __array__ = __len__ = _refuse

    def __repr__(self) -> str:
        return self.text.string


class Argmax(Ranked):
    """The number of the first largest element (C order); compare it with ``==`` or ``!=`` to get a formula."""

    __slots__ = ()
    remedy = (
        "can only be compared by == and != with a class number or another argmax, and is unhashable. "
        "For several classes use nn.any([nn.argmax(y) == c for c in classes])"
    )

    def __eq__(self, other: object) -> Formula:  # type: ignore[override]
        return self._compared(other, "==")

    def __ne__(self, other: object) -> Formula:  # type: ignore[override]
        return self._compared(other, "!=")

    __hash__ = Ranked._refuse

    def _compared(self, other: object, symbol: str) -> Formula:
        if isinstance(other, Argmax):
            tree, right = _same_argmax(self.term, other.term), other.text
            applications = together(self.term.applications, other.term.applications)
        else:
            label = _label(other, self.term.size, "nn.argmax")
            tree, right = _first_winner(self.term, label), number_text(label, label)
            applications = self.term.applications
        text = infix(self.text, symbol, right, COMPARE)
        return Formula(tree if symbol == "==" else logic.negate(tree), text, (), applications)


def argmax(term: object) -> Argmax:
    """The first index of the largest element, as in numpy and ONNX; ``argmax(y) != c`` is the exact complement."""
    taken = _some(term, "nn.argmax")
    return Argmax(taken, call("argmax", taken.text))


def argmin(term: object) -> Argmax:
    """The first index of the smallest element; compares with class numbers, other argmin and argmax."""
    taken = _some(term, "nn.argmin")
    return Argmax(-taken, call("argmin", taken.text))


def wins(term: object, label: object) -> Formula:
    """Element ``label`` is larger than every other: the strict unique winner."""
    taken = as_term(term)
    c = _label(label, taken.size, "nn.wins")
    others = np.delete(np.arange(taken.size), c)
    tree = logic.conjunction([_beats(taken, c, others, strict=True)])
    return Formula(tree, call("wins", taken.text, number_text(c, c)), (), taken.applications)


class TopK(Ranked):
    """The k largest elements, ties to the first index: ``has(c)`` is a formula, ``values`` and ``sum()`` are terms."""

    __slots__ = ("k",)
    remedy = "is no number. Use nn.topk(y, k).has(c) for 'c is among the k largest', .values or .sum()"

    def __init__(self, term: Term, text: Text, k: int) -> None:
        super().__init__(term, text)
        self.k = k

    __eq__ = __ne__ = __hash__ = Ranked._refuse

    def has(self, label: object) -> Formula:
        """Fewer than k elements come before ``label``: larger ones, and equal ones of smaller index.

        ``OR_a (y_c > the (a+1)-th largest before c) and (y_c >= the (k-a)-th largest after c)``, of size O(k n); the
        margin is ``y_c`` minus the k-th largest of the others. ``topk(y, 1).has(c)`` is ``argmax(y) == c``.
        """
        c, rows = _label(label, self.term.size, "nn.topk"), self.term.rows
        text = method(self.text, "has", number_text(c, c))
        if self.k in (1, self.term.size):
            certain = _first_winner(self.term, c) if self.k == 1 else logic.TRUE
            return Formula(certain, text, (), self.term.applications)
        before = order_statistics(rows.take(np.arange(c)), self.k)
        after = order_statistics(rows.take(np.arange(c + 1, len(rows))), self.k)
        own, name = rows.take(np.array([c])), f"{self.term}[{c}] is among the {self.k} largest"
        ways = []
        for a in range(self.k):
            limits = [(before, a, True), (after, self.k - 1 - a, False)]
            present = [(ranks.take(np.array([i])), strict) for ranks, i, strict in limits if i < len(ranks)]
            ways.append(logic.conjunction(logic.Each(rank - own, strict, name) for rank, strict in present))
        return Formula(logic.disjunction(ways), text, (), self.term.applications)

    @property
    def values(self) -> Term:
        """The k largest elements, the largest first."""
        rows = order_statistics(self.term.rows, self.k)
        return Term(rows, (len(rows),), attribute(self.text, "values"), self.term.applications)

    def sum(self) -> Term:
        """The sum of the k largest elements."""
        return self.values.sum()


def topk(term: object, k: object) -> TopK:
    """The k largest elements of a term, ``1 <= k <= size``."""
    taken = _some(term, "nn.topk")
    try:
        count = operator.index(k)  # type: ignore[arg-type]
    except TypeError:
        raise misread(f"nn.topk takes a whole number of elements, not {k!r}", f"k is 1 to {taken.size}") from None
    if not 1 <= count <= taken.size:
        raise bad_input(f"nn.topk of {count} among {taken.size} elements", f"k is 1 to {taken.size}")
    return TopK(taken, call("topk", taken.text, number_text(count, count)), count)


def _some(term: object, what: str) -> Term:
    taken = as_term(term)
    if not taken.size:
        raise misread(f"{what} of nothing", "Pass at least one element")
    return taken


def _same_argmax(left: Term, right: Term) -> logic.Tree:
    """Some class is the first winner of both."""
    count = min(left.size, right.size)
    if max(left.size, right.size) <= _PAIRWISE:
        both = [(_first_winner(left, c), _first_winner(right, c)) for c in range(count)]
        return logic.disjunction(logic.conjunction(pair) for pair in both)
    sides = [_winner_atoms(term, count) for term in (left, right)]
    return logic.disjunction(logic.conjunction(a + b) for a, b in zip(*sides, strict=True))


def _winner_atoms(term: Term, count: int) -> list[list[logic.Tree]]:
    """For each class ``c < count``: ``y_c`` above the largest before it and not below the largest after it.

    The margin is that of the comparisons with every other element, whose least one it is.
    """
    rows, last = term.rows, term.size - 1
    backwards = np.arange(term.size)[::-1]
    over_before = running_maxima(rows).take(np.arange(last)) - rows.take(np.arange(1, last + 1))
    after = running_maxima(rows.take(backwards)).take(backwards[1:])
    over_after = after - rows.take(np.arange(last))
    found: list[list[logic.Tree]] = []
    for c in range(count):
        atoms: list[logic.Tree] = []
        if c:
            atoms.append(logic.Each(over_before.take(np.array([c - 1])), True, f"{term}[{c}] > all before it"))
        if c < last:
            atoms.append(logic.Each(over_after.take(np.array([c])), False, f"{term}[{c}] >= all after it"))
        found.append(atoms)
    return found


def _first_winner(term: Term, c: int) -> logic.Tree:
    """``y_c > y_j`` for ``j < c`` and ``y_c >= y_j`` for ``j > c``."""
    before, after = np.arange(c), np.arange(c + 1, term.size)
    return logic.conjunction((_beats(term, c, before, strict=True), _beats(term, c, after, strict=False)))


def _beats(term: Term, c: int, others: Array, *, strict: bool) -> logic.Tree:
    """Rows ``y_j - y_c <= 0`` (``< 0``) for all ``others``; true if there are none."""
    if not len(others):
        return logic.TRUE
    rows = term.rows.take(others) - term.rows.take(np.full(len(others), c))
    sign = ">" if strict else ">="
    return logic.Block(logic.Each(rows, strict, f"{term}[{c}] {sign} the element", others), True)


def _label(label: object, size: int, what: str) -> int:
    try:
        if isinstance(label, (bool, np.bool_, Term)):
            raise TypeError
        c = operator.index(label)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise misread(f"{what} is compared with {label!r}, which is not a class number", "Pass an integer") from None
    if not 0 <= c < size:
        raise bad_input(f"class {c} does not exist among {size} elements", f"Classes are 0 to {size - 1}")
    return c
