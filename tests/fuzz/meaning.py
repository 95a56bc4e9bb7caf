"""What plain data means: an evaluator of the fuzzer's own, in rationals, at points and on cells.

Numbers are those that were written; on entering a function or a network each is rounded to the nearest float64, as
docs/language.md says. Nothing of nnsym is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tests.fuzz.cells import Incomplete, Values, sign
from tests.fuzz.draws import Written, value
from tests.fuzz.nets import clipped, weighted
from tests.fuzz.terms import (
    Applied,
    Atom,
    Ball,
    Compare,
    Fn,
    In,
    InBox,
    Joined,
    Length,
    Out,
    Statement,
    Sum,
    Times,
    Var,
    Wins,
)


@dataclass(frozen=True, eq=False)
class Scope:
    """The values of the variables on a cell, and of atoms that were evaluated before."""

    at: dict[Var, list[Values]]
    count: int
    known: dict[Atom | Applied, Values | list[Values]] = field(default_factory=dict)

    def sum(self, term: Sum, *, rounded: bool = False) -> Values:
        """The sum; ``rounded`` to float64 numbers first."""
        take = _nearest if rounded else value
        weights = [take(c) for c, _ in term.parts]
        return weighted(weights, [self.atom(a) for _, a in term.parts], take(term.constant), self.count)

    def outputs(self, of: Applied) -> list[Values]:
        found = self.known.get(of)
        if not isinstance(found, list):
            argument = of.argument
            given = self.at[argument] if isinstance(argument, Var) else [self.sum(s, rounded=True) for s in argument]
            found = self.known[of] = of.net.values(given)
        return found

    def atom(self, atom: Atom) -> Values:
        match atom:
            case In(var, index):
                return self.at[var][index]
            case Out(of, index):
                return self.outputs(of)[index]
        found = self.known.get(atom)
        if not isinstance(found, tuple):
            found = self.known[atom] = self._computed(atom)
        return found

    def _computed(self, atom: Atom) -> Values:
        if isinstance(atom, Times):
            return _times(self.atom(atom.left), self.atom(atom.right))
        assert isinstance(atom, Fn)
        given = [self.sum(s, rounded=True) for s in atom.arguments]
        match atom.kind:
            case "relu":
                return given[0] if sign(given[0]) > 0 else (Fraction(0),) * self.count
            case "abs":
                return absolute(given[0])
            case "sign":
                return (Fraction(sign(given[0])),) * self.count
            case "clip":
                low, high = (_nearest(v) for v in atom.limits)
                return clipped(given[0], low, high)
            case "max" | "min":
                return largest(given, 1 if atom.kind == "max" else -1)
            case "norm1":
                return weighted([Fraction(1)] * len(given), [absolute(v) for v in given], Fraction(0), self.count)
            case "norminf":
                return largest([absolute(v) for v in given], 1)
        raise AssertionError(atom.kind)


def _nearest(number: Written) -> Fraction:
    exact = value(number)
    return Fraction(exact.numerator / exact.denominator)  # which Python rounds to nearest


def _times(left: Values, right: Values) -> Values:
    for one, other in ((left, right), (right, left)):
        if len(set(one)) == 1:
            return tuple(one[0] * v for v in other)
    raise Incomplete("a product")


def minus(left: Values, right: Values) -> Values:
    return tuple(a - b for a, b in zip(left, right, strict=True))


def absolute(values: Values) -> Values:
    return tuple(-v for v in values) if sign(values) < 0 else values


def largest(values: Sequence[Values], side: int) -> Values:
    """The largest on the cell (``side`` 1), or the least (-1)."""
    best = values[0]
    for v in values[1:]:
        best = v if sign(minus(v, best)) * side > 0 else best
    return best


def compare(op: str, difference: Values) -> bool:
    """``difference op 0`` all over the cell."""
    side = sign(difference)
    return {"<=": side <= 0, "<": side < 0, ">=": side >= 0, ">": side > 0, "==": side == 0, "!=": side != 0}[op]


def truth(statement: Statement, scope: Scope) -> bool:
    """Whether it is true all over the cell; raises :class:`~tests.fuzz.cells.Undecided` where that differs."""
    match statement:
        case Compare(op, left, right):
            return compare(op, minus(scope.sum(left), scope.sum(right)))
        case Joined("and", parts):
            return all(truth(p, scope) for p in parts)
        case Joined("or", parts):
            return any(truth(p, scope) for p in parts)
        case Joined("not", (part,)):
            return not truth(part, scope)
        case Joined("implies", (a, b)):
            return not truth(a, scope) or truth(b, scope)
        case Joined("iff", (a, b)):
            return truth(a, scope) == truth(b, scope)
        case Joined("ite", (a, b, c)):
            return truth(b if truth(a, scope) else c, scope)
        case Wins(kind, of, index):
            return _wins(kind, scope.outputs(of), index)
        case InBox(var, lower, upper):
            sides = zip(scope.at[var], lower, upper, strict=True)
            return all(_within(v, value(low), value(high)) for v, low, high in sides)
        case Ball(var, centre, radius, p):
            away = [minus(v, (value(c),) * scope.count) for v, c in zip(scope.at[var], centre, strict=True)]
            return _short(away, "<=", value(radius), p)
        case Length(arguments, op, limit):
            return _short([scope.sum(s, rounded=True) for s in arguments], op, value(limit), 2)
    raise AssertionError(statement)


def _within(values: Values, low: Fraction, high: Fraction) -> bool:
    return sign(tuple(v - low for v in values)) >= 0 and sign(tuple(v - high for v in values)) <= 0


def _wins(kind: str, outputs: list[Values], index: int) -> bool:
    mine = outputs[index]
    sides = [(j, sign(minus(mine, v))) for j, v in enumerate(outputs) if j != index]
    if kind == "wins":
        return all(side > 0 for _, side in sides)
    first = all(side > 0 if j < index else side >= 0 for j, side in sides)
    return first == (kind == "argmax")


def _short(away: list[Values], op: str, limit: Fraction, p: int) -> bool:
    """``norm(away, p) op limit``; of squares only where there is one element that is not constant."""
    if p == 0:
        return all(_within(v, -limit, limit) for v in away)
    if p == 1:
        total = weighted([Fraction(1)] * len(away), [absolute(v) for v in away], -limit, len(away[0]))
        return compare(op, total)
    if all(len(set(v)) == 1 for v in away):
        square = sum((v[0] ** 2 for v in away), Fraction(0)) - limit**2
        return compare(op, (square,))
    if len(away) == 1 and limit >= 0:
        return compare(op, tuple(v - limit for v in absolute(away[0])))
    raise Incomplete("a sum of squares")


def margin(statement: Statement, scope: Scope) -> Fraction | float:
    """By how much it holds at a point: of ``a >= b`` it is ``a - b``, min over "and", max over "or"."""
    match statement:
        case Compare(op, left, right):
            return _margin(op, minus(scope.sum(left), scope.sum(right))[0])
        case Joined("and", parts):
            return min(margin(p, scope) for p in parts)
        case Joined("or", parts):
            return max(margin(p, scope) for p in parts)
        case Joined("not", (part,)):
            return -margin(part, scope)
        case Joined("implies", (a, b)):
            return max(-margin(a, scope), margin(b, scope))
        case Joined("iff", (a, b)):
            m, n = margin(a, scope), margin(b, scope)
            return max(min(m, n), min(-m, -n))
        case Joined("ite", (a, b, c)):  # (a >> b) & (~a >> c)
            m = margin(a, scope)
            return min(max(-m, margin(b, scope)), max(m, margin(c, scope)))
        case Wins(kind, of, index):
            y = [v[0] for v in scope.outputs(of)]
            rivals = [y[index] - v for j, v in enumerate(y) if j != index]
            least: Fraction | float = min(rivals) if rivals else float("inf")
            return -least if kind == "loses" else least
        case InBox(var, lower, upper):
            sides = zip(scope.at[var], lower, upper, strict=True)
            return min(min(v[0] - value(low), value(high) - v[0]) for v, low, high in sides)
        case Length(arguments, op, limit):
            squares = sum((scope.sum(s, rounded=True)[0] ** 2 for s in arguments), Fraction(0))
            return _margin(op, squares - value(limit) ** 2)
    raise AssertionError(statement)


def _margin(op: str, difference: Fraction) -> Fraction:
    return {"<": -difference, ">": difference, "=": -abs(difference), "!": abs(difference)}[op[0]]
