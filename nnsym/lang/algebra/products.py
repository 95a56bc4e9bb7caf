"""Products: by numbers they stay affine; of two terms they are product nodes, which some encodings and lanes take.

Where no lane takes products, the error comes from there and names the node; linear methods relax them.
"""

from __future__ import annotations

from fractions import Fraction
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from nnsym.errors import InputError, LanguageError
from nnsym.ir.exact import nearest_float
from nnsym.ir.functions.powers import Reciprocal, power_function
from nnsym.ir.node import product
from nnsym.ir.rows import Rows, stack
from nnsym.lang.algebra.linear import aligned, materialise, multiply
from nnsym.lang.algebra.nonlinear import applied_function
from nnsym.lang.guard import exact, misread, shown
from nnsym.lang.statements.formulas import broadcast, together
from nnsym.lang.writing.text import ATOM, PRODUCT, UNARY, Text, infix, number_text

if TYPE_CHECKING:
    from nnsym.lang.algebra.terms import Term
_HIGHEST = 16


def elementwise(left: Term, right: Term, text: Text | None = None) -> Term:
    """``left * right`` by numpy's shape rules: scaled rows if a side is constant, else a product node."""
    first, second, shape = aligned(left, right)
    if first.parts and second.parts:
        rows = Rows.of(product(materialise(first), materialise(second)))
    else:
        rows = second.scale(first.constant) if second.parts else first.scale(second.constant)
    shown = infix(left.text, "*", right.text, PRODUCT) if text is None else text
    return left.made(rows, shape, shown, together(left.applications, right.applications))


def power(base: Term, exponent: object) -> Term:
    """``base ** c`` for a constant c: products for whole c from 1 to 16, else a function of one variable.

    Exponents below 0 need a base bounded away from 0, others that are not whole one bounded from below by 0.
    """
    number = _exponent(base, exponent)
    result = base
    if number.denominator > 1 or number < 0:
        if not isfinite(nearest_float(number)) or Fraction(float(number)) != number:
            raise misread(
                f"the exponent {shown(exponent)} is no float64 number", "Write it as a fraction of two powers"
            )
        result = applied_function(power_function(float(number)), base, base.text)
    else:
        for _ in range(int(number) - 1):
            result = elementwise(result, base)
    written = number_text(exponent, int(number) if number.denominator == 1 else number)
    text = infix(base.text, "**", written, ATOM, associative=True)._replace(level=UNARY)
    return base.made(result.rows, base.shape, text)


def _exponent(base: Term, exponent: object) -> Fraction:
    remedy = f"Exponents are constants: whole numbers up to {_HIGHEST}, negative ones and fractions"
    try:
        number = Fraction(exact(exponent).item())
    except (LanguageError, InputError, ValueError, TypeError):
        raise misread(f"'{base}' to the power {shown(exponent)} is no polynomial", remedy) from None
    if number == 0 or abs(number) > _HIGHEST:
        raise misread(f"'{base}' to the power {shown(exponent)} is not taken", remedy)
    return number


def inverse(term: Term) -> Term:
    """``1 / term``, elementwise."""
    return applied_function(Reciprocal(), term, term.text)


def matrix(left: Term, right: Term) -> Term:
    """``left @ right`` for one or two axes each, by numpy's rules."""
    return _matrix(left, right, infix(left.text, "@", right.text, PRODUCT))


def _matrix(left: Term, right: Term, text: Text) -> Term:
    if not (1 <= left.ndim <= 2 and 1 <= right.ndim <= 2) or left.shape[-1] != right.shape[0]:
        raise misread(
            f"shapes {left.shape} and {right.shape} do not fit a matrix product",
            "The last axis of the left one is as long as the first of the right one; each has one or two axes",
        )
    if left.rows.parts and right.rows.parts:
        return _of_terms(left, right, text)
    if left.rows.parts:
        turned = _matrix(right.T, left.T, text).T
        return left.made(turned.rows, turned.shape, text)
    weights = left.rows.constant.reshape(-1, left.shape[-1])
    columns = np.arange(right.size).reshape(right.shape[0], -1)
    products = [multiply(weights, right.rows.take(column)) for column in columns.T]
    shape = (*left.shape[:-1], *right.shape[1:])
    rows = products[0]
    if len(products) > 1:
        rows = stack(products).take(np.arange(len(weights) * len(products)).reshape(len(products), -1).T)
    return right.made(rows, shape, text)


def _of_terms(left: Term, right: Term, text: Text) -> Term:
    """``sum_k a_ik b_kj``: one product node for all pairs, and sums over it."""
    a = left.reshape(-1, left.shape[-1], 1)
    b = right.reshape(1, right.shape[0], -1)
    (first, second), (m, k, n) = broadcast([a.shape, b.shape])
    pairs = Rows.of(product(materialise(a.rows.take(first)), materialise(b.rows.take(second))))
    target = np.arange(m * n).reshape(m, 1, n).repeat(k, axis=1).ravel()
    rows = pairs.sum_into(target, m * n)
    shape = (*left.shape[:-1], *right.shape[1:])
    return left.made(rows, shape, text, together(left.applications, right.applications))
