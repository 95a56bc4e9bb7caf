"""Functions of terms: max, min, abs, relu, sign, clip, norms, concatenation."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.array import Array
from nnsym.ir.functions.activations import find_activation
from nnsym.ir.functions.exponentials import Exp, Log
from nnsym.ir.functions.powers import Sqrt
from nnsym.ir.functions.waves import Cos, Sin
from nnsym.ir.rows import stack
from nnsym.ir.univariate import Univariate, absolute, relu
from nnsym.ir.univariate import clip as clip_function
from nnsym.ir.univariate import sign as sign_function
from nnsym.lang.algebra.linear import aligned, rounded
from nnsym.lang.algebra.nonlinear import applied_function, extreme
from nnsym.lang.algebra.norms import Euclidean
from nnsym.lang.algebra.terms import Term, as_term
from nnsym.lang.guard import bad_input, exact, misread, user_line
from nnsym.lang.statements.formulas import broadcast, together
from nnsym.lang.writing.text import call, leaf, number_text


def abs_(term: object) -> Term:
    """Absolute value, elementwise."""
    return _pointwise(absolute(), "abs", term)


def relu_(term: object) -> Term:
    """max(0, term), elementwise."""
    return _pointwise(relu(), "relu", term)


def sign(term: object) -> Term:
    """-1 where the term is negative, 0 where it is 0, 1 where it is positive, elementwise."""
    return _pointwise(sign_function(), "sign", term)


def sqrt(term: object) -> Term:
    """The square root, elementwise; arguments have to be bounded by 0 from below for anything to be proved."""
    return _pointwise(Sqrt(), "sqrt", term)


def exp(term: object) -> Term:
    """``e`` to the term, elementwise."""
    return _pointwise(Exp(), "exp", term)


def log(term: object) -> Term:
    """The natural logarithm, elementwise; arguments have to be bounded away from 0 for anything to be proved."""
    return _pointwise(Log(), "log", term)


def sin(term: object) -> Term:
    """The sine, elementwise."""
    return _pointwise(Sin(), "sin", term)


def cos(term: object) -> Term:
    """The cosine, elementwise."""
    return _pointwise(Cos(), "cos", term)


def apply(activation: str | Univariate, term: object) -> Term:
    """An activation of every element: by name, or a :class:`~nnsym.ir.univariate.Univariate` of one's own.

    The full text of a property (``nn.dumps``) takes it by name only.
    """
    fn, taken = find_activation(activation), as_term(term)
    named = isinstance(activation, str)
    shown = call("apply", leaf(repr(fn.name), fn.name), taken.text) if named else call(fn.name, taken.text)
    return applied_function(fn, taken, shown if named else shown._replace(form=None))


def _pointwise(fn: Univariate, name: str, argument: object) -> Term:
    term = as_term(argument)
    return applied_function(fn, term, call(name, term.text))


def clip(term: object, lower: object = None, upper: object = None) -> Term:
    """``min(max(term, lower), upper)`` elementwise; a limit of None is left out.

    The limits are numbers, arrays or terms, and broadcast. Between constants ``lower < upper`` this is one function,
    above 0 a ReLU, else a maximum and a minimum. Raises :class:`InputError` where a constant lower limit exceeds a
    constant upper one.
    """
    taken = as_term(term)
    limits = [None if v is None else as_term(v) for v in (lower, upper)]
    low, high = limits
    shown = [number_text(None) if v is None else v.text for v in limits]
    text = call("clip", taken.text, *shown)
    if low is not None and high is not None and not (low.rows.parts or high.rows.parts):
        first, second, _ = aligned(low, high)
        if (first.constant > second.constant).any():
            raise bad_input(f"clip's lower limit {low} exceeds its upper limit {high}", "Exchange them")
        term, least, most = _together(taken, low, high)
        if len(least) and (least < most).all():
            return applied_function(clip_function(least, most), term, text)
    result = taken if low is None else _above(taken, low)
    result = result if high is None else -_above(-result, -high)
    return Term(result.rows, result.shape, text, result.applications)


def _above(term: Term, low: Term) -> Term:
    """``max(term, low)``. As ``low + relu(term - low)`` it would be one only up to the rounding of the difference."""
    zero = not low.rows.parts and not low.rows.constant.any()
    return relu_(term - low) if zero else max_(term, low)


def _together(term: Term, low: Term, high: Term) -> tuple[Term, Array, Array]:
    """The term and the limits in their common shape; limits that all elements share stay one number."""
    index, shape = broadcast([t.shape for t in (term, low, high)])
    rows, least, most = (t.rows.take(i) for t, i in zip((term, low, high), index, strict=True))
    ends = np.stack((rounded(least.constant), rounded(most.constant)))
    if (ends == ends[:, :1]).all():
        ends = ends[:, :1]
    return Term(rows, shape, term.text, term.applications), ends[0], ends[1]


def max_(*arguments: object) -> Term:
    """The largest element of one term (or list of terms); elementwise over several, which broadcast."""
    return _largest("max", arguments)


def min_(*arguments: object) -> Term:
    """The smallest element of one term (or list of terms); elementwise over several, which broadcast."""
    return _largest("min", arguments)


def _largest(name: str, arguments: tuple[object, ...]) -> Term:
    given = [as_term(list(a) if isinstance(a, Iterator) else a) for a in arguments]
    if not given or any(not t.size for t in given):
        raise misread(f"nn.{name} of nothing", "Pass at least one element")
    text = call(name, *(t.text for t in given))
    if len(given) == 1:
        return extreme(name, given[0], np.arange(given[0].size)[None, :], (), text)
    index, shape = broadcast([t.shape for t in given])
    rows = stack([t.rows.take(i) for t, i in zip(given, index, strict=True)])
    groups = np.arange(len(rows)).reshape(len(given), -1).T
    members = Term(rows, (len(rows),), text, together(*(t.applications for t in given)))
    return extreme(name, members, groups, shape, text)


def norm(term: object, p: object = 2) -> Term:
    """``p = 1``: the sum of absolute values; ``p = inf``: the largest one; over all elements.

    The Euclidean norm, ``p = 2``, is compared with numbers, affine terms and other Euclidean norms by squares; in
    arithmetic it is a square root.
    """
    taken = as_term(term)
    text = call("norm", taken.text, number_text(p, exact(p, infinite=True)))
    if p == 2:
        return Euclidean(taken, text)
    if p not in (1, np.inf):
        raise UnsupportedError(f"the norm p = {p}", where=user_line(), remedy="Norms are p=1, p=2 and p=inf")
    result = abs_(taken).sum() if p == 1 else max_(abs_(taken))
    return Term(result.rows, (), text, taken.applications)


def concat(*terms: object) -> Term:
    """All elements of the terms, one after the other, on one axis."""
    given = [as_term(t) for t in terms]
    if not given:
        raise misread("nn.concat of nothing", "Pass at least one element")
    rows = stack([t.rows for t in given])
    text = call("concat", *(t.text for t in given))
    return Term(rows, (len(rows),), text, together(*(t.applications for t in given)))
