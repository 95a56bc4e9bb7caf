"""Euclidean norms, compared by squares, and balls: leaves of their own where they are about all of one input.

    norm(t, 2) <= s   is   s >= 0 and sum t_i^2 <= s^2        norm(t, 2) >= s   is   s <= 0 or sum t_i^2 >= s^2

Squares are product nodes; a ball of the norm 1 is the row ``sum |t_i| <= r`` over absolute values. At the top level of
a precondition :class:`nnsym.lang.statements.logic.InBall` needs neither: there it is part of the domain.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from nnsym.errors import UnsupportedError
from nnsym.ir.domain import Ball
from nnsym.ir.exact import multiply
from nnsym.ir.functions.powers import Sqrt
from nnsym.ir.node import Input, pointwise, product
from nnsym.ir.rows import Rows
from nnsym.ir.univariate import absolute, relu
from nnsym.lang.algebra.linear import difference, materialise
from nnsym.lang.algebra.terms import Term, as_term
from nnsym.lang.guard import user_line
from nnsym.lang.statements import logic
from nnsym.lang.statements.formulas import Formula, together
from nnsym.lang.writing.text import COMPARE, Text, infix


class Euclidean(Term):
    """``norm(term, 2)``: compared by itself it is its square, a polynomial; elsewhere a square root."""

    __slots__ = ("of",)

    def __init__(self, of: Term, text: Text) -> None:
        self.of, self.shape, self.text, self.applications = of, (), text, of.applications

    @property
    def rows(self) -> Rows:  # type: ignore[override]
        total = materialise(power_sum(self.of.rows, 2))
        return Rows.of(pointwise(Sqrt(), pointwise(relu(), total)))  # bounds of a sum of squares may reach below 0

    @property
    def size(self) -> int:
        """One element."""
        return 1

    def _compared(self, other: object, symbol: str) -> Formula:
        right = as_term(other)
        text = infix(self.text, symbol, right.text, COMPARE)
        applications = together(self.applications, right.applications)
        square, label = power_sum(self.of.rows, 2), text.string
        if isinstance(right, Euclidean):
            over = difference(square, power_sum(right.of.rows, 2))
            return Formula(logic.comparison(over, symbol, label), text, (), applications)
        if right.size != 1:
            raise UnsupportedError(
                f"a norm is one number, '{right}' has shape {right.shape}",
                where=user_line(),
                remedy="Compare it with each element by itself, in nn.all or nn.any",
            )
        bound = right.rows
        if bound.parts:
            sign, over = _signed(bound, label), difference(square, power_sum(bound, 2))
        else:
            limit = Fraction(bound.constant.item())
            sign = _known(limit)
            over = square - Rows.constants(np.array([limit * limit], dtype=object))
            if limit >= 0 and symbol in ("<=", "<") and (leaf := _leaf(self.of.rows, limit, 2, label)) is not None:
                strict = (logic.comparison(over, "<", label),) if symbol == "<" else ()
                return Formula(logic.conjunction((leaf, *strict)), text, (), applications)
        return Formula(_against(over, symbol, sign, label), text, (), applications)


def _signed(bound: Rows, label: str) -> Callable[[str], logic.Tree]:
    return lambda symbol: logic.comparison(bound, symbol, label)


def _known(limit: Fraction) -> Callable[[str], logic.Tree]:
    holds = {">=": limit >= 0, ">": limit > 0, "<=": limit <= 0, "<": limit < 0}
    return lambda symbol: logic.TRUE if holds[symbol] else logic.FALSE


def _against(over: Rows, symbol: str, sign: Callable[[str], logic.Tree], label: str) -> logic.Tree:
    """``norm symbol s`` where ``over`` is the difference of the squares and ``sign(c)`` is ``s c 0``."""
    match symbol:
        case "<=" | "<":
            return logic.conjunction((sign(">="), logic.comparison(over, symbol, label)))
        case ">=" | ">":
            return logic.disjunction((sign("<"), logic.comparison(over, symbol, label)))
        case "==":
            return logic.conjunction((sign(">="), logic.comparison(over, "==", label)))
    return logic.disjunction((sign("<"), logic.comparison(over, "!=", label)))


def power_sum(rows: Rows, p: int) -> Rows:
    """One row: ``sum |t_i|`` (p = 1) or ``sum t_i^2`` (p = 2) over all elements."""
    node = materialise(rows)
    powers = product(node, node) if p == 2 else pointwise(absolute(), node)
    return Rows.of(powers).sum_into(np.zeros(node.size, dtype=np.int64), 1)


def ball_tree(away: Rows, radius: Fraction, p: int, label: str) -> logic.Tree:
    """``norm(away, p) <= radius``."""
    leaf = _leaf(away, radius, p, label)
    if leaf is not None:
        return leaf
    return logic.Each(power_sum(away, p) - Rows.constants(np.array([radius**p], dtype=object)), False, label)


def _leaf(away: Rows, radius: Fraction, p: int, label: str) -> logic.InBall | None:
    """A ball leaf if ``away`` is ``x - c`` (or ``c - x``) for all elements of one input in any order, else None."""
    if len(away.parts) != 1:
        return None
    node, part = next(iter(away.parts.items()))
    size = len(away)
    if not isinstance(node, Input) or node.size != size or len(part.row) != size:
        return None
    once = len(set(part.row.tolist())) == len(set(part.column.tolist())) == size
    if not once or not all(abs(c) == 1 for c in part.coefficient.tolist()):
        return None
    centre = np.zeros(size, dtype=away.constant.dtype)
    centre[part.column] = multiply(-part.coefficient, away.constant[part.row])
    rows = power_sum(away, p) - Rows.constants(np.array([radius**p], dtype=object))
    return logic.InBall(node, Ball(centre, radius, p), logic.Each(rows, False, label))
