"""Functions of terms: max, min, abs, relu, norms, and statements about the largest element."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from nnsym.errors import UnsupportedError
from nnsym.ir.node import maximum, pointwise
from nnsym.ir.rows import Rows, stack
from nnsym.ir.univariate import Univariate, absolute, relu
from nnsym.lang import logic
from nnsym.lang.formulas import Formula, broadcast, together
from nnsym.lang.guard import bad_input, misread, user_line
from nnsym.lang.linear import materialise
from nnsym.lang.terms import Term, as_term
from nnsym.lang.text import COMPARE, Text, call

Array = NDArray[Any]

_MOST_CLASSES = 128


def abs_(term: object) -> Term:
    """Absolute value, elementwise."""
    return _pointwise(absolute(), "abs", term)


def relu_(term: object) -> Term:
    """max(0, term), elementwise."""
    return _pointwise(relu(), "relu", term)


def _pointwise(fn: Univariate, name: str, argument: object) -> Term:
    term = as_term(argument)
    node = pointwise(fn, materialise(term.rows))
    return Term(Rows.of(node), term.shape, call(name, str(term)), term.applications)


def max_(*arguments: object) -> Term:
    """The largest element of one term (or list of terms); elementwise over several, which broadcast."""
    return _largest("max", arguments, 1.0)


def min_(*arguments: object) -> Term:
    """The smallest element of one term (or list of terms); elementwise over several, which broadcast."""
    return _largest("min", arguments, -1.0)


def _largest(name: str, arguments: tuple[object, ...], sign: float) -> Term:
    given = [as_term(list(a) if isinstance(a, Iterator) else a) for a in arguments]
    if not given or any(not t.size for t in given):
        raise misread(f"nn.{name} of nothing")
    text = call(name, *(str(t) for t in given))
    shape: tuple[int, ...] = ()
    if len(given) == 1:
        rows = given[0].rows
        groups: Array = np.arange(len(rows))[None, :]
    else:
        index, shape = broadcast([t.shape for t in given])
        rows = stack([t.rows.take(i) for t, i in zip(given, index, strict=True)])
        groups = np.arange(len(rows)).reshape(len(given), -1).T
    if groups.shape[1] == 1:
        return Term(rows, shape, text, given[0].applications)
    result = Rows.of(maximum(materialise(rows if sign > 0 else -rows), groups))
    return Term(result if sign > 0 else -result, shape, text, together(*(t.applications for t in given)))


def norm(term: object, p: object = 2) -> Term:
    """``p = 1``: the sum of absolute values; ``p = inf``: the largest one; over all elements."""
    taken = as_term(term)
    text = call("norm", str(taken), str(p))
    if p == 1:
        result = abs_(taken).sum()
    elif p == np.inf:
        result = max_(abs_(taken))
    else:
        raise UnsupportedError(
            f"the norm p = {p} is not piecewise linear",
            where=user_line(),
            remedy="Use p=1 or p=inf; p=2 needs quadratic rows, which come with a later version",
        )
    return Term(result.rows, (), text, taken.applications)


def concat(*terms: object) -> Term:
    """All elements of the terms, one after the other, on one axis."""
    given = [as_term(t) for t in terms]
    if not given:
        raise misread("nn.concat of nothing")
    rows = stack([t.rows for t in given])
    text = call("concat", *(str(t) for t in given))
    return Term(rows, (len(rows),), text, together(*(t.applications for t in given)))


class Argmax:
    """The number of the first largest element (C order); compare it with ``==`` or ``!=`` to get a formula."""

    __slots__ = ("term", "text")
    __array_ufunc__ = None
    __array_priority__ = 1000.0

    def __init__(self, term: Term, text: Text) -> None:
        self.term, self.text = term, text

    def __eq__(self, other: object) -> Formula:  # type: ignore[override]
        return _argmax_is(self, other, "==")

    def __ne__(self, other: object) -> Formula:  # type: ignore[override]
        return _argmax_is(self, other, "!=")

    def _refuse(self, *_: object) -> NoReturn:
        raise misread(
            f"'{self.text.string}' can only be compared by == and != with a class number or another argmax",
            "For several classes use nn.any([nn.argmax(y) == c for c in classes])",
        )

    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __iter__ = __getitem__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __neg__ = _refuse
    __bool__ = __int__ = __index__ = __float__ = __array__ = _refuse

    def __repr__(self) -> str:
        return self.text.string


def argmax(term: object) -> Argmax:
    """The first index of the largest element, as in numpy and ONNX; ``argmax(y) != c`` is the exact complement."""
    taken = as_term(term)
    if not taken.size:
        raise misread("nn.argmax of nothing")
    return Argmax(taken, call("argmax", str(taken)))


def wins(term: object, label: object) -> Formula:
    """Element ``label`` is larger than every other: the strict unique winner."""
    taken = as_term(term)
    c = _label(label, taken.size, "nn.wins")
    text = call("wins", str(taken), str(c))
    others = np.delete(np.arange(taken.size), c)
    return Formula(logic.conjunction([_beats(taken, c, others, strict=True)]), text, (), taken.applications)


def _argmax_is(left: Argmax, other: object, symbol: str) -> Formula:
    text_right = Text(str(other)) if not isinstance(other, Argmax) else other.text
    text = Text(f"{left.text.string} {symbol} {text_right.string}", COMPARE)
    if isinstance(other, Argmax):
        tree, applications = _same_argmax(left, other), together(left.term.applications, other.term.applications)
    else:
        tree, applications = (
            _first_winner(left.term, _label(other, left.term.size, "nn.argmax")),
            left.term.applications,
        )
    return Formula(tree if symbol == "==" else logic.negate(tree), text, (), applications)


def _same_argmax(left: Argmax, right: Argmax) -> logic.Tree:
    count = min(left.term.size, right.term.size)
    if count > _MOST_CLASSES:
        raise misread(f"comparing two argmax over {count} elements", f"At most {_MOST_CLASSES} elements are taken")
    both = [(_first_winner(left.term, c), _first_winner(right.term, c)) for c in range(count)]
    return logic.disjunction(logic.conjunction(pair) for pair in both)


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
